/* SPDX-License-Identifier: MIT */
/*
 * What a guest hypervisor is offered: the capability MSRs, which are also what its VM entries are checked with
 * (vmx/nested/check.c). A control is offered if L0 carries it out: by the same control of vmcs02, where the processor
 * has it, or by itself. Intel SDM, "VMX Capability Reporting Facility".
 */
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "lib/errno.h"
#include "vmx/nested/nested.h"

/* Controls of the "default1" class: 1 in the original MSRs. The TRUE ones let some of them be 0. */
#define PIN_DEFAULT1	 0x16u
#define PRIMARY_DEFAULT1 0x0401e172u
#define EXIT_DEFAULT1	 0x00036dffu
#define ENTRY_DEFAULT1	 0x000011ffu
#define PRIMARY_MAY_BE_0 (PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE)

/* Carried out by vmcs02: offered where the processor has them. */
#define PIN_PASSED	(PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI)
#define PRIMARY_PASSED	(PRIMARY_INTERRUPT_WINDOW | PRIMARY_TSC_OFFSET | PRIMARY_HLT | PRIMARY_INVLPG | PRIMARY_MWAIT | \
			 PRIMARY_RDPMC | PRIMARY_RDTSC | PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_CR8_LOAD | \
			 PRIMARY_CR8_STORE | PRIMARY_TPR_SHADOW | PRIMARY_NMI_WINDOW | PRIMARY_MOV_DR | \
			 PRIMARY_UNCONDITIONAL_IO | PRIMARY_MONITOR_TRAP | PRIMARY_MSR_BITMAP | PRIMARY_MONITOR | \
			 PRIMARY_PAUSE | PRIMARY_SECONDARY)
#define SECONDARY_PASSED (SECONDARY_APIC_ACCESSES | SECONDARY_EPT | SECONDARY_DESCRIPTOR_TABLES | SECONDARY_RDTSCP | \
			 SECONDARY_WBINVD | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_PAUSE_LOOP | SECONDARY_INVPCID)
#define EXIT_PASSED	(EXIT_SAVE_DEBUG | EXIT_HOST_64BIT | EXIT_SAVE_PAT | EXIT_LOAD_PAT | EXIT_SAVE_EFER | EXIT_LOAD_EFER)
#define ENTRY_PASSED	(ENTRY_LOAD_DEBUG | ENTRY_IA32E_GUEST | ENTRY_LOAD_PAT | ENTRY_LOAD_EFER)
#define EPT_PASSED	(EPT_EXECUTE_ONLY | EPT_PAGES_2M | EPT_PAGES_1G | EPT_ACCESSED_DIRTY)

/* Carried out by L0 itself, on every processor. */
#define PIN_OWN		PIN_PREEMPTION_TIMER
#define PRIMARY_OWN	PRIMARY_IO_BITMAPS
#define SECONDARY_OWN	SECONDARY_VPID
#define EXIT_OWN	(EXIT_ACKNOWLEDGE | EXIT_SAVE_PREEMPTION_TIMER)
#define EPT_OWN		(EPT_WALK_4 | EPT_WRITE_BACK | EPT_INVEPT | EPT_INVEPT_SINGLE | EPT_INVEPT_ALL | EPT_INVVPID | \
			 EPT_INVVPID_ADDRESS | EPT_INVVPID_SINGLE | EPT_INVVPID_ALL | EPT_INVVPID_NON_GLOBAL)

/* Controls whose fields an enlightened VMCS does not have. */
#define PIN_NOT_IN_EVMCS (PIN_POSTED_INTERRUPTS | PIN_PREEMPTION_TIMER)
#define SECONDARY_NOT_IN_EVMCS (SECONDARY_APIC_ACCESSES | SECONDARY_PAUSE_LOOP)

/*
 * The timer's unit: slow enough that KVM takes the longest count for "never", and fast enough for its local APIC timer.
 * Of the activity states L0 carries out HLT alone.
 */
#define TIMER_SHIFT	5
#define MISC_OWN	(TIMER_SHIFT | MISC_SAVES_LMA | MISC_ACTIVITY(ACTIVITY_HLT) | MISC_CR3_TARGETS_ARE(4) | \
			 MISC_VMWRITE_ANY)

/* A capability MSR: the low half is what must be 1, the high half what may be 1. */
static u64 allowed(u32 must, u32 may)
{
	return (u64)(must | may) << 32 | must;
}

static u32 may_be_1(u64 capability)
{
	return capability >> 32;
}

static u32 secondary_offered(const struct vcpu *vcpu, const struct vmx_entry_state *host)
{
	u32 offered = (SECONDARY_PASSED & may_be_1(host->allowed_secondary)) | SECONDARY_OWN;

	if (!cpuid_has(vcpu, FEATURE_RDTSCP))
		offered &= ~(u32)SECONDARY_RDTSCP;
	if (!cpuid_has(vcpu, FEATURE_INVPCID))
		offered &= ~(u32)SECONDARY_INVPCID;
	if (vcpu->vm->config->nested == NESTED_EVMCS)
		offered &= ~(u32)SECONDARY_NOT_IN_EVMCS;
	return offered;
}

void nested_caps(const struct vcpu *vcpu, const struct vmx_entry_state *host, struct vmx_entry_state *l1)
{
	u32 pin = (PIN_PASSED & may_be_1(host->allowed_pin)) | PIN_OWN;
	u32 primary = (PRIMARY_PASSED & may_be_1(host->allowed_primary)) | PRIMARY_OWN;
	u32 exit = (EXIT_PASSED & may_be_1(host->allowed_exit)) | EXIT_OWN;
	u32 entry = ENTRY_PASSED & may_be_1(host->allowed_entry);

	if (!vmx_has_virtual_nmis()) {
		pin &= ~(u32)PIN_VIRTUAL_NMI;
		primary &= ~(u32)PRIMARY_NMI_WINDOW;
	}
	if (!vmx_switches_efer()) {
		exit &= ~(u32)(EXIT_SAVE_EFER | EXIT_LOAD_EFER);
		entry &= ~(u32)ENTRY_LOAD_EFER;
	}
	if (!vmx_switches_pat()) {
		exit &= ~(u32)(EXIT_SAVE_PAT | EXIT_LOAD_PAT);
		entry &= ~(u32)ENTRY_LOAD_PAT;
	}
	if (vcpu->vm->config->nested == NESTED_EVMCS) {
		pin &= ~(u32)PIN_NOT_IN_EVMCS;
		exit &= ~(u32)EXIT_SAVE_PREEMPTION_TIMER;
	}
	l1->basic = VMCS12_REVISION | BASIC_SIZE(PAGE_SIZE) | BASIC_WRITE_BACK | BASIC_TRUE_CONTROLS |
		    (host->basic & (BASIC_STRING_IO | BASIC_ANY_ERROR_CODE));
	l1->allowed_pin = allowed(PIN_DEFAULT1, pin);
	l1->allowed_primary = allowed(PRIMARY_DEFAULT1 & ~(u32)PRIMARY_MAY_BE_0, primary);
	l1->allowed_secondary = allowed(0, secondary_offered(vcpu, host));
	l1->allowed_exit = allowed(EXIT_DEFAULT1 & ~(u32)EXIT_SAVE_DEBUG, exit);
	l1->allowed_entry = allowed(ENTRY_DEFAULT1 & ~(u32)ENTRY_LOAD_DEBUG, entry);
	l1->misc = MISC_OWN | (host->misc & MISC_NO_LENGTH);
	l1->cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	l1->cr0_fixed1 = 0xffffffff;
	l1->cr4_fixed0 = CR4_VMXE;
	l1->cr4_fixed1 = (control_cr4_allowed(vcpu) | CR4_VMXE) & host->cr4_fixed1;
	l1->ept_vpid = (EPT_PASSED & host->ept_vpid) | EPT_OWN;
	l1->allowed_functions = l1->allowed_tertiary = l1->allowed_secondary_exit = 0;
	l1->physical_bits = cpuid_physical_bits(vcpu);
	l1->linear_bits = 48;
	l1->perf_valid = 0;
	l1->features = VMX_FEATURE_VIRTUAL_TPR | VMX_FEATURE_LINKED;
}

/* --- the MSRs --- */

/* An original MSR: without the true ones' relaxations. */
static u64 original(u64 true_capability, u32 default1)
{
	return true_capability | default1;
}

int nested_vmx_msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	const struct vmx_entry_state *l1 = &to_nested(vcpu)->checks->l1;

	if (msr >> 28)
		return nested_hyperv_msr_read(vcpu, msr, value);
	switch (msr) {
	case MSR_FEATURE_CONTROL:
		*value = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX;
		return 0;
	case MSR_VMX_BASIC:
		*value = l1->basic;
		return 0;
	case MSR_VMX_PIN:
		*value = original(l1->allowed_pin, PIN_DEFAULT1);
		return 0;
	case MSR_VMX_PRIMARY:
		*value = original(l1->allowed_primary, PRIMARY_DEFAULT1);
		return 0;
	case MSR_VMX_EXIT:
		*value = original(l1->allowed_exit, EXIT_DEFAULT1);
		return 0;
	case MSR_VMX_ENTRY:
		*value = original(l1->allowed_entry, ENTRY_DEFAULT1);
		return 0;
	case MSR_VMX_MISC:
		*value = l1->misc;
		return 0;
	case MSR_VMX_CR0_FIXED0:
		*value = l1->cr0_fixed0;
		return 0;
	case MSR_VMX_CR0_FIXED1:
		*value = l1->cr0_fixed1;
		return 0;
	case MSR_VMX_CR4_FIXED0:
		*value = l1->cr4_fixed0;
		return 0;
	case MSR_VMX_CR4_FIXED1:
		*value = l1->cr4_fixed1;
		return 0;
	case MSR_VMX_VMCS_ENUM:
		*value = vmcs12_highest_index() << 1;
		return 0;
	case MSR_VMX_SECONDARY:
		*value = l1->allowed_secondary;
		return 0;
	case MSR_VMX_EPT_VPID:
		*value = l1->ept_vpid;
		return 0;
	case MSR_VMX_TRUE_PIN:
		*value = l1->allowed_pin;
		return 0;
	case MSR_VMX_TRUE_PRIMARY:
		*value = l1->allowed_primary;
		return 0;
	case MSR_VMX_TRUE_EXIT:
		*value = l1->allowed_exit;
		return 0;
	case MSR_VMX_TRUE_ENTRY:
		*value = l1->allowed_entry;
		return 0;
	default:
		return -ENOENT;
	}
}

/* IA32_FEATURE_CONTROL is locked, as a PC's firmware leaves it. */
int nested_vmx_msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	u64 present;

	if (msr >> 28)
		return nested_hyperv_msr_write(vcpu, msr, value);
	return nested_vmx_msr_read(vcpu, msr, &present) ? -ENOENT : -EINVAL;
}

void nested_vmx_cpuid(const struct vcpu *vcpu, u32 leaf, struct cpuid_regs *regs)
{
	if (leaf == 1)
		regs->ecx |= BIT(5) /* VMX */;
	else
		nested_hyperv_cpuid(vcpu, leaf, regs);
}
