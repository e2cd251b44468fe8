/* SPDX-License-Identifier: MIT */
/*
 * Hyper-V's interface, as far as a hypervisor needs it to find the enlightened VMCS: with nested=evmcs.
 * Hyper-V Top Level Functional Specification, "Feature and Interface Discovery", "Hypercall Interface", "Virtual Processors",
 * "Nested Virtualization".
 */
#include "arch/cpu/x86.h"
#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "vmx/nested/nested.h"

/* Leaf 40000003h EAX: the MSRs that there are. */
#define ACCESS_APIC	     BIT(4)
#define ACCESS_HYPERCALL     BIT(5)
#define ACCESS_VP_INDEX	     BIT(6)
#define ACCESS_FREQUENCY     BIT(11)
#define ACCESS_TSC_INVARIANT BIT(15)
#define EDX_FREQUENCY	     BIT(8)
/* Leaf 40000004h EAX: what is recommended. Nothing that makes hypercalls. */
#define RECOMMENDED_EVMCS    BIT(14)

#define MSR_GUEST_OS_ID	   0x40000000
#define MSR_HYPERCALL	   0x40000001
#define MSR_VP_INDEX	   0x40000002
#define MSR_TSC_FREQUENCY  0x40000022
#define MSR_APIC_FREQUENCY 0x40000023
#define MSR_ASSIST	   0x40000073
#define MSR_TSC_INVARIANT  0x40000118

#define HYPERCALL_ENABLED  BIT_ULL(0)
#define HYPERCALL_LOCKED   BIT_ULL(1)
#define STATUS_INVALID_HYPERCALL_CODE 2

static bool is_offered(const struct vcpu *vcpu)
{
	return vcpu->vm->config->nested == NESTED_EVMCS;
}

/* --- CPUID --- */

void nested_hyperv_cpuid(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs)
{
	const u32 vcpus = vcpu->vm->config->vcpus;
	const struct cpuid_regs leaves[] = {
		{ NESTED_HYPERV_LEAF, 0x7263694d, 0x666f736f, 0x76482074 },	/* "Microsoft Hv" */
		{ 0x31237648, 0, 0, 0 },					/* "Hv#1" */
		{ 0, 0, 0, 0 },
		{ ACCESS_APIC | ACCESS_HYPERCALL | ACCESS_VP_INDEX | ACCESS_FREQUENCY | ACCESS_TSC_INVARIANT, 0, 0, EDX_FREQUENCY },
		{ RECOMMENDED_EVMCS, ~0u, 0, 0 },				/* spinlocks never notify */
		{ vcpus, vcpus, 0, 0 },
		[NESTED_HYPERV_LEAF & 15] = { 1 << 8 | 1, 0, 0, 0 },		/* versions of the enlightened VMCS: from 1 to 1 */
	};

	if (is_offered(vcpu) && leaf - 0x40000000 < ARRAY_SIZE(leaves))
		*regs = leaves[leaf - 0x40000000];
}

/* --- MSRs --- */

/* The first two are the VM's: vCPU 0 has them. */
static struct hyperv *shared(const struct vcpu *vcpu)
{
	return &to_nested(vcpu->vm->vcpus[0])->hyperv;
}

int nested_hyperv_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct hyperv *own = &to_nested(vcpu)->hyperv;

	if (!is_offered(vcpu))
		return -ENOENT;
	switch (msr) {
	case MSR_GUEST_OS_ID:
		*value = READ_ONCE(shared(vcpu)->guest_os_id);
		return 0;
	case MSR_HYPERCALL:
		*value = READ_ONCE(shared(vcpu)->hypercall);
		return 0;
	case MSR_VP_INDEX:
		*value = vcpu->id;
		return 0;
	case MSR_TSC_FREQUENCY:
		*value = clock_tsc_hz();
		return 0;
	case MSR_APIC_FREQUENCY:
		*value = LAPIC_TIMER_HZ;
		return 0;
	case MSR_ASSIST:
		*value = own->assist;
		return 0;
	case MSR_TSC_INVARIANT:
		*value = own->tsc_invariant;
		return 0;
	case MSR_HYPERV_EOI ... MSR_HYPERV_TPR:
		return vcpu->vm->irqchip->msr_read(vcpu->vlapic, msr, value);
	default:
		return -ENOENT;
	}
}

/* Without its identity the guest has no hypercall page. */
static void set_guest_os_id(struct vcpu *vcpu, u64 value)
{
	WRITE_ONCE(shared(vcpu)->guest_os_id, value);
	if (!value)
		WRITE_ONCE(shared(vcpu)->hypercall, shared(vcpu)->hypercall & ~HYPERCALL_ENABLED);
}

static int set_hypercall_page(struct vcpu *vcpu, u64 value)
{
	static const u8 code[] = { 0x0f, 0x01, 0xc1, 0xc3 };	/* VMCALL; RET */

	if (shared(vcpu)->hypercall & HYPERCALL_LOCKED)
		return 0;
	if (!shared(vcpu)->guest_os_id)
		value &= ~HYPERCALL_ENABLED;
	if ((value & HYPERCALL_ENABLED) && guest_write(vcpu->vm, value & PAGE_MASK, code, sizeof(code)))
		return -EINVAL;
	WRITE_ONCE(shared(vcpu)->hypercall, value & (PAGE_MASK | HYPERCALL_ENABLED | HYPERCALL_LOCKED));
	return 0;
}

/* Its first word, about EOI, is 0: what it says is not offered. */
static int set_assist_page(struct vcpu *vcpu, u64 value)
{
	struct nested_vmx *nested = to_nested(vcpu);
	const u32 word = 0;

	if ((value & NESTED_ASSIST_ENABLED) &&
	    (!guest_is_ram(vcpu->vm, value & PAGE_MASK, PAGE_SIZE) ||
	     guest_write(vcpu->vm, value & PAGE_MASK, &word, sizeof(word))))
		return -EINVAL;
	nested->hyperv.assist = value & (PAGE_MASK | NESTED_ASSIST_ENABLED);
	if (!nested_evmcs_may_be_on(vcpu) && nested->enlightened)
		nested_region_release(vcpu);
	return 0;
}

int nested_hyperv_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 present;

	switch (msr) {
	case MSR_GUEST_OS_ID:
	case MSR_HYPERCALL:
	case MSR_ASSIST:
	case MSR_TSC_INVARIANT:
	case MSR_HYPERV_EOI ... MSR_HYPERV_TPR:
		break;
	default:
		return nested_hyperv_msr_read(vcpu, msr, &present) ? -ENOENT : -EINVAL;
	}
	if (!is_offered(vcpu))
		return -ENOENT;
	if (msr == MSR_HYPERCALL)
		return set_hypercall_page(vcpu, value);
	if (msr == MSR_ASSIST)
		return set_assist_page(vcpu, value);
	if (msr >= MSR_HYPERV_EOI && msr <= MSR_HYPERV_TPR)
		return vcpu->vm->irqchip->msr_write(vcpu->vlapic, msr, value);
	if (msr == MSR_GUEST_OS_ID)
		set_guest_os_id(vcpu, value);
	else if (value & ~1ull)
		return -EINVAL;
	else
		to_nested(vcpu)->hyperv.tsc_invariant = value;
	return 0;
}

void nested_hyperv_reset(struct vcpu *vcpu)
{
	to_nested(vcpu)->hyperv = (struct hyperv){ 0 };
}

/* --- hypercalls --- */

/* There is none that Lamina knows. 32-bit code has the result in EDX:EAX. */
static void hypercall(struct vcpu *vcpu)
{
	if (vcpu_cpl(vcpu) || !(vmx_control_get(vcpu, CTL_CR0) & CR0_PE)) {
		event_raise(vcpu, X86_UD);
		return;
	}
	vcpu->regs[REG_RAX] = STATUS_INVALID_HYPERCALL_CODE;
	if (!vcpu_code_64(vcpu))
		vcpu->regs[REG_RDX] = 0;
	vmx_skip_instruction(vcpu);
}

void nested_vmx_hypercall(struct vcpu *vcpu)
{
	if (is_offered(vcpu))
		hypercall(vcpu);
	else
		nested_handle_instruction(vcpu);
}
