/* SPDX-License-Identifier: MIT */
/* INIT, start-up IPIs, NMIs, and processors that have halted for good. */
#include "core/startup.h"

#include "arch/cpu/x86.h"
#include "core/irqchip.h"
#include "core/nested.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* --- sending, on any CPU --- */

void vcpu_raise_init(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;

	if (vcpu == vm_bsp(vm)) {
		/* It would continue at the reset vector, where there is no firmware. */
		vm_end(vm, VM_END_RESET, "reset by the guest (INIT signal to its %s)",
		       vm->vcpu_count == 1 ? "only processor" : "boot processor");
		return;
	}
	spin_lock(&vm->signal_lock);
	vcpu->startup = STARTUP_INIT;
	vcpu->halted_for_good = false;
	vcpu_kick(vcpu, REQ_STARTUP);
	spin_unlock(&vm->signal_lock);
}

void vcpu_raise_startup(struct vcpu *vcpu, u8 vector)
{
	enum startup_state state;

	spin_lock(&vcpu->vm->signal_lock);
	state = STARTUP_STATE(vcpu->startup);
	/* SDM, "Issuing the Startup IPI": a processor that runs, or has been started, ignores it. */
	if (state == STARTUP_INIT || state == STARTUP_WAIT) {
		vcpu->startup = (state == STARTUP_INIT ? STARTUP_INIT_SIPI : STARTUP_WAIT_SIPI) | (u32)vector << 8 |
				(vcpu->startup & STARTUP_EARLY_NMI);
		vcpu->halted_for_good = false;
		vcpu_kick(vcpu, REQ_STARTUP);
	}
	spin_unlock(&vcpu->vm->signal_lock);
}

/* A processor that waits for a start-up IPI discards NMIs: it has no IDT. */
void vcpu_raise_nmi(struct vcpu *vcpu)
{
	spin_lock(&vcpu->vm->signal_lock);
	switch (STARTUP_STATE(vcpu->startup)) {
	case STARTUP_INIT:
		if (!nested_is_on(vcpu))
			break;
		vcpu->startup |= STARTUP_EARLY_NMI;
		vcpu->halted_for_good = false;
		vcpu_kick(vcpu, REQ_STARTUP);
		break;
	case STARTUP_WAIT:
		break;
	case STARTUP_INIT_SIPI:
	case STARTUP_WAIT_SIPI:
		vcpu->startup |= STARTUP_NMI;
		break;
	case STARTUP_RUNNING:
		vcpu->halted_for_good = false;
		/* The signal lock keeps others from setting the bits meanwhile: of two NMIs none is lost, nor counted twice. */
		vcpu_kick(vcpu, READ_ONCE(vcpu->requests) & REQ_NMI ? REQ_NMI_AGAIN : REQ_NMI);
		break;
	}
	spin_unlock(&vcpu->vm->signal_lock);
}

void vcpu_unhalt(struct vcpu *vcpu)
{
	spin_lock(&vcpu->vm->signal_lock);
	__atomic_store_n(&vcpu->unhalted, true, __ATOMIC_RELEASE);
	if (STARTUP_STATE(vcpu->startup) == STARTUP_RUNNING)
		vcpu->halted_for_good = false;
	vcpu_kick(vcpu, REQ_EVENT);
	spin_unlock(&vcpu->vm->signal_lock);
}

/* --- serving, on the home CPU --- */

/* Take what was sent. What remains is the state that the vCPU goes to now. */
static u32 take(struct vcpu *vcpu)
{
	u32 word;

	spin_lock(&vcpu->vm->signal_lock);
	word = vcpu->startup;
	if (STARTUP_STATE(word) == STARTUP_INIT)
		vcpu->startup = STARTUP_WAIT;
	else if (STARTUP_STATE(word) == STARTUP_INIT_SIPI || STARTUP_STATE(word) == STARTUP_WAIT_SIPI)
		vcpu->startup = STARTUP_RUNNING;
	spin_unlock(&vcpu->vm->signal_lock);
	return word;
}

/* SDM, "MP Initialization Protocol Algorithm for MP Systems": real mode at vector << 12. */
static void start(struct vcpu *vcpu, u32 word)
{
	struct segment cs;

	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	cs.selector = (u16)(STARTUP_VECTOR(word) << 8);
	cs.base = (u64)STARTUP_VECTOR(word) << 12;
	vcpu->ops->segment_set(vcpu, SEG_CS, &cs);
	vcpu_reg_write(vcpu, REG_RIP, 0);
	vcpu->activity = VCPU_RUNNING;
	if (word & STARTUP_NMI)
		event_queue_nmi(vcpu);
	vcpu_request(vcpu, REQ_EVENT);
}

/*
 * A hypervisor's vCPU may hold INIT back; or L2 runs, and it becomes an exit to L1. A start-up IPI after it is lost then: the
 * vCPU does not wait for one. SDM, "Virtual-Machine Monitor Programming Considerations", "INIT in VMX Operation".
 */
static bool taken_by_hypervisor(struct vcpu *vcpu)
{
	enum startup_state state = STARTUP_STATE(READ_ONCE(vcpu->startup));
	enum nested_init result;
	u32 nmi;

	if (!vcpu->ops->nested_init || (state != STARTUP_INIT && state != STARTUP_INIT_SIPI))
		return false;
	result = vcpu->ops->nested_init(vcpu);
	if (result == NESTED_INIT_RESETS)
		return false;
	spin_lock(&vcpu->vm->signal_lock);
	nmi = vcpu->startup & (STARTUP_NMI | STARTUP_EARLY_NMI);
	vcpu->startup = result == NESTED_INIT_WAITS ? STARTUP_INIT : STARTUP_RUNNING;
	spin_unlock(&vcpu->vm->signal_lock);
	if (nmi)
		event_queue_nmi(vcpu);
	return true;
}

bool startup_serve(struct vcpu *vcpu)
{
	u32 word;

	if (unlikely(nested_is_on(vcpu)) && taken_by_hypervisor(vcpu))
		return false;
	word = take(vcpu);

	switch (STARTUP_STATE(word)) {
	case STARTUP_INIT:
		vcpu_reset(vcpu, true);
		halt_for_good(vcpu);
		return true;
	case STARTUP_INIT_SIPI:
		vcpu_reset(vcpu, true);
		start(vcpu, word);
		return true;
	case STARTUP_WAIT_SIPI:
		start(vcpu, word);
		return true;
	default:
		return false;
	}
}

void startup_reset(struct vcpu *vcpu)
{
	bool bsp = vcpu == vm_bsp(vcpu->vm);

	vcpu->startup = bsp ? STARTUP_RUNNING : STARTUP_WAIT;
	vcpu->halted_for_good = !bsp;
	vcpu->unhalted = false;
	vcpu->activity = bsp ? VCPU_RUNNING : VCPU_WAIT_FOR_SIPI;
}

/* --- processors that have halted for good --- */

/* Was a signal sent that the vCPU has not looked at yet? */
static bool is_signalled(const struct vcpu *vcpu)
{
	u32 requests = __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE);

	return (requests & (REQ_NMIS | REQ_STARTUP)) || READ_ONCE(vcpu->unhalted);
}

static bool all_halted_for_good(const struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (!vm->vcpus[i]->halted_for_good)
			return false;
	return true;
}

/* A device may send an NMI to one that is not in an NMI's handler: a line of the IOAPIC or the 8259s that is routed so. */
static bool nmi_may_come(const struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu->activity == VCPU_HALTED && vcpu->halt_nmi && vm->irqchip->nmi_may_come(vcpu))
			return true;
	}
	return false;
}

/* A device's NMI may have come while its ways were looked at. */
static bool still_halted_for_good(struct vm *vm)
{
	bool still;

	spin_lock(&vm->signal_lock);
	still = all_halted_for_good(vm);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		still &= vm->vcpus[i]->activity != VCPU_HALTED ||
			 !(__atomic_load_n(&vm->vcpus[i]->requests, __ATOMIC_ACQUIRE) & REQ_NMIS);
	spin_unlock(&vm->signal_lock);
	return still;
}

void halt_for_good(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	bool over;

	spin_lock(&vm->signal_lock);
	vcpu->halted_for_good = !is_signalled(vcpu);
	over = vcpu->halted_for_good && all_halted_for_good(vm);
	spin_unlock(&vm->signal_lock);
	if (!over || nmi_may_come(vm) || !still_halted_for_good(vm))
		return;
	vcpu->ops->dump(vcpu);	/* for the author of the guest, as after a triple fault */
	if (vm->vcpu_count == 1)
		vm_end(vm, VM_END_HALTED, "halted with interrupts off, nothing can wake it (RIP 0x%llx)",
		       (unsigned long long)vcpu->exit_rip);
	else
		vm_end(vm, VM_END_HALTED, "all processors are halted with interrupts off, nothing can wake them "
		       "(the last: %u, RIP 0x%llx)", vcpu->id, (unsigned long long)vcpu->exit_rip);
}

void halt_is_over(struct vcpu *vcpu)
{
	spin_lock(&vcpu->vm->signal_lock);
	vcpu->halted_for_good = false;
	spin_unlock(&vcpu->vm->signal_lock);
}
