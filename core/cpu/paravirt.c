/* SPDX-License-Identifier: MIT */
/* KVM's interface for guests with several vCPUs. */
#include "core/cpu/paravirt.h"

#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

#define FEATURE_STEAL_TIME  BIT(5)
#define FEATURE_UNHALT	    BIT(7)
#define FEATURE_TLB_FLUSH   BIT(9)	/* STEAL_FLUSH_TLB below is obeyed */
#define FEATURE_SEND_IPI    BIT(11)
#define FEATURE_SCHED_YIELD BIT(13)
#define FEATURE_LONG_IDS    BIT(15)	/* MSI_EXT_DEST_ID: destinations in redirection entries have 15 bits */

u32 paravirt_features(u32 vcpus)
{
	if (vcpus == 1)
		return FEATURE_STEAL_TIME;
	return FEATURE_STEAL_TIME | FEATURE_UNHALT | FEATURE_TLB_FLUSH | FEATURE_SEND_IPI | FEATURE_SCHED_YIELD |
	       (vcpus > IRQCHIP_SHORT_IDS ? FEATURE_LONG_IDS : 0);
}

/* --- stolen time --- */

#define STEAL_ENABLE   BIT_ULL(0)
#define STEAL_RESERVED 0x3eull
#define STEAL_ADDRESS  (~0x3full)

enum { STEAL_PREEMPTED = BIT(0), STEAL_FLUSH_TLB = BIT(1) };

/* In guest memory. */
struct steal_area {
	u64 stolen;		/* ns */
	u32 version;		/* odd while it is being written */
	u32 flags;
	u8 preempted;		/* the vCPU waits; what the guest's other vCPUs want done before it runs again */
	u8 reserved[47];
};
_Static_assert(sizeof(struct steal_area) == 64, "KVM: struct kvm_steal_time");
_Static_assert(offsetof(struct steal_area, preempted) == 16, "KVM: struct kvm_steal_time");

/* Look the address up each time: a page of the guest's RAM may have been damaged since. */
static struct steal_area *area_of(const struct vcpu *vcpu)
{
	u64 msr = vcpu->steal_time.msr;

	return msr & STEAL_ENABLE ? guest_ptr(vcpu->vm, msr & STEAL_ADDRESS, sizeof(struct steal_area)) : NULL;
}

static void publish(const struct vcpu *vcpu, struct steal_area *area)
{
	u32 version = READ_ONCE(area->version) | 1;

	__atomic_store_n(&area->version, version, __ATOMIC_SEQ_CST);
	__atomic_store_n(&area->stolen, vtimer_to_ns(vcpu->steal_time.stolen), __ATOMIC_SEQ_CST);
	__atomic_store_n(&area->version, version + 1, __ATOMIC_SEQ_CST);
}

int steal_time_write(struct vcpu *vcpu, u64 value)
{
	struct steal_area *area;

	if (value & STEAL_RESERVED)
		return -EINVAL;
	if ((value & STEAL_ENABLE) && !guest_is_ram(vcpu->vm, value & STEAL_ADDRESS, sizeof(struct steal_area)))
		return -EINVAL;
	vcpu->steal_time.msr = value;
	area = area_of(vcpu);
	if (area) {
		__atomic_store_n(&area->preempted, 0, __ATOMIC_SEQ_CST);
		publish(vcpu, area);
	}
	return 0;
}

void steal_time_begins(struct vcpu *vcpu)
{
	struct steal_area *area = area_of(vcpu);

	if (area)
		__atomic_store_n(&area->preempted, STEAL_PREEMPTED, __ATOMIC_SEQ_CST);
}

void steal_time_ends(struct vcpu *vcpu, u64 ticks)
{
	struct steal_area *area = area_of(vcpu);

	vcpu->steal_time.stolen += ticks;
	if (!area)
		return;
	/* Exchange: another vCPU may ask for the flush until the moment at which it sees that this one runs. */
	if (__atomic_exchange_n(&area->preempted, 0, __ATOMIC_SEQ_CST) & STEAL_FLUSH_TLB)
		vcpu_request(vcpu, REQ_FLUSH_TLB);
	if (ticks)
		publish(vcpu, area);
}

/* --- hypercalls --- */

enum {
	HYPERCALL_KICK_CPU = HYPERCALL_FIRST,
	HYPERCALL_SEND_IPI = 10,
	HYPERCALL_SCHED_YIELD = HYPERCALL_LAST,
};

#define HYPERCALL_FORBIDDEN ((u64)-1)	/* KVM_EPERM */
#define HYPERCALL_INVALID   ((u64)-22)	/* KVM_EINVAL */

#define ICR_DESTINATION_BITS 0xc0800u	/* shorthand, logical: the destinations are in the bitmap */

/* Send to the APICs of one word of the bitmap: bit n is the id `first` + n. */
static u64 send_word(struct vcpu *vcpu, u64 set, u64 first, u32 icr)
{
	u64 accepted = 0;

	for (; set; set &= set - 1) {
		u64 bit = (u64)__builtin_ctzll(set);

		/* Compare before the sum could wrap. */
		if (first >= vcpu->vm->vcpu_count || bit >= vcpu->vm->vcpu_count - first)
			break;
		accepted += vcpu->vm->irqchip->send_ipi(vcpu, (u32)(first + bit), icr);
	}
	return accepted;
}

static u64 send_ipi(struct vcpu *vcpu, bool code_64)
{
	u64 low = vcpu->regs[REG_RBX], high = vcpu->regs[REG_RCX], first = vcpu->regs[REG_RDX];
	u32 icr = (u32)vcpu->regs[REG_RSI], width = code_64 ? 64 : 32;
	u64 accepted;

	if (!code_64) {
		low = (u32)low;
		high = (u32)high;
		first = (u32)first;
	}
	if (icr & ICR_DESTINATION_BITS)
		return HYPERCALL_INVALID;
	accepted = send_word(vcpu, low, first, icr);
	if (first < vcpu->vm->vcpu_count)
		accepted += send_word(vcpu, high, first + width, icr);
	return accepted;
}

static u64 kick_cpu(struct vcpu *vcpu)
{
	u32 apic_id = (u32)vcpu->regs[REG_RCX];

	if (apic_id < vcpu->vm->vcpu_count)
		vcpu_unhalt(vcpu->vm->vcpus[apic_id]);
	return 0;
}

u64 paravirt_hypercall(struct vcpu *vcpu)
{
	bool code_64 = vcpu_code_64(vcpu);
	u64 number = code_64 ? vcpu->regs[REG_RAX] : (u32)vcpu->regs[REG_RAX];

	if (vcpu->vm->vcpu_count == 1 ||
	    (number != HYPERCALL_KICK_CPU && number != HYPERCALL_SEND_IPI && number != HYPERCALL_SCHED_YIELD))
		return HYPERCALL_UNKNOWN;
	if (vcpu_cpl(vcpu) != 0)
		return HYPERCALL_FORBIDDEN;
	switch (number) {
	case HYPERCALL_KICK_CPU:
		return kick_cpu(vcpu);
	case HYPERCALL_SEND_IPI:
		return send_ipi(vcpu, code_64);
	default:
		vcpu->sched.yields = true;
		vcpu_request(vcpu, REQ_RESCHED);
		return 0;
	}
}
