/* SPDX-License-Identifier: MIT */
/*
 * From L2 to L1: what an exit saves in vmcs12, and the state that L1 goes on with.
 * Intel SDM, "VM Exits", from "Recording VM-Exit Information and Updating VM-Entry Control Fields" to "VMX Aborts".
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "vmx/nested/nested.h"

/* SDM, "VMX Aborts" */
enum vmx_abort { ABORT_STORE_MSRS = 1, ABORT_PDPTES = 2, ABORT_LOAD_MSRS = 4 };

/* L1's processor is in the shutdown state: its VM ends as by a triple fault. */
static void abort_l1(struct vcpu *vcpu, enum vmx_abort code)
{
	static const char *const names[] = {
		[ABORT_STORE_MSRS] = "an MSR of the VM-exit MSR-store list cannot be stored",
		[ABORT_PDPTES] = "the PDPTEs of the host state have reserved bits set",
		[ABORT_LOAD_MSRS] = "an MSR of the VM-exit MSR-load list cannot be loaded",
	};
	struct nested_vmx *nested = to_nested(vcpu);
	u32 indicator = code;

	nested->vmcs12->abort = code;
	(void)guest_write(vcpu->vm, nested->current_ptr + offsetof(struct vmcs12, abort), &indicator, sizeof(indicator));
	vm_end(vcpu->vm, VM_END_TRIPLE_FAULT, "VMX abort %u: %s", code, names[code]);
}

/* --- L1's state after the exit --- */

/* SDM, "Loading Host Segment and Descriptor-Table Registers". Types: data and code, both accessed; busy TSS. */
static void load_segments(struct vcpu *vcpu, const struct vmcs12 *v)
{
	static const struct {
		u8 segment;
		struct vmcs_field16 selector;
	} data[] = {
		{ SEG_ES, { 0x0c00 } }, { SEG_SS, { 0x0c04 } }, { SEG_DS, { 0x0c06 } }, { SEG_FS, { 0x0c08 } },
		{ SEG_GS, { 0x0c0a } },
	};
	bool long_mode = vmcs12_read32(v, EXIT_CONTROLS) & EXIT_HOST_64BIT;
	struct segment s = { .selector = vmcs12_read16(v, HOST_CS_SELECTOR), .limit = ~0u, .type = 11, .s = true,
			     .present = true, .g = true, .l = long_mode, .db = !long_mode };

	vmx_segment_set(vcpu, SEG_CS, &s);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		s = (struct segment){ .selector = vmcs12_read16(v, data[i].selector), .limit = ~0u, .type = 3, .s = true,
				      .present = true, .g = true, .db = true };
		s.unusable = !s.selector;
		if (data[i].segment == SEG_FS)
			s.base = vmcs12_readn(v, HOST_FS_BASE);
		else if (data[i].segment == SEG_GS)
			s.base = vmcs12_readn(v, HOST_GS_BASE);
		vmx_segment_set(vcpu, data[i].segment, &s);
	}
	s = (struct segment){ .selector = vmcs12_read16(v, HOST_TR_SELECTOR), .base = vmcs12_readn(v, HOST_TR_BASE),
			      .limit = 0x67, .type = 11, .present = true };
	vmx_segment_set(vcpu, SEG_TR, &s);
	s = (struct segment){ .unusable = true };
	vmx_segment_set(vcpu, SEG_LDTR, &s);
	vmx_table_set(vcpu, false, &(struct descriptor_table){ .base = vmcs12_readn(v, HOST_GDTR_BASE), .limit = 0xffff });
	vmx_table_set(vcpu, true, &(struct descriptor_table){ .base = vmcs12_readn(v, HOST_IDTR_BASE), .limit = 0xffff });
}

/* SDM, "Loading Host Page-Directory-Pointer-Table Entries". Where no RAM is, they read as ones. */
static int load_pdptes(struct vcpu *vcpu, u64 cr3)
{
	const u64 reserved = 0x1e6ull | ~0ull << cpuid_physical_bits(vcpu);
	u64 pdptes[4];

	if (guest_read(vcpu->vm, cr3 & 0xffffffe0, pdptes, sizeof(pdptes)))
		return -EINVAL;
	for (unsigned i = 0; i < ARRAY_SIZE(pdptes); i++) {
		if ((pdptes[i] & PTE_PRESENT) && (pdptes[i] & reserved))
			return -EINVAL;
		vcpu->pdptes[i] = pdptes[i];
	}
	return 0;
}

static void set_if_changed(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	if (vmx_control_get(vcpu, control) != value)
		vmx_control_set(vcpu, control, value);
}

/*
 * SDM, "Loading Host Control Registers, Debug Registers, MSRs". vmcs01 still has what L1 had at its VMLAUNCH or
 * VMRESUME. `efer`: what stays of it where the exit does not load it. -EINVAL: the PDPTEs of PAE paging.
 */
static int load_control_registers(struct vcpu *vcpu, const struct vmcs12 *v, u64 efer)
{
	const u64 cr0_kept = CR0_ET | CR0_CD | CR0_NW | ~0xffffffffull;
	const u32 exit = vmcs12_read32(v, EXIT_CONTROLS);
	u64 cr0 = vmx_control_get(vcpu, CTL_CR0), cr4 = vmcs12_readn(v, HOST_CR4), cr3 = vmcs12_readn(v, HOST_CR3);
	bool pae;
	int error = 0;

	if (exit & EXIT_LOAD_EFER)
		efer = vmcs12_read64(v, HOST_EFER);
	else if (exit & EXIT_HOST_64BIT)
		efer |= EFER_LMA | EFER_LME;
	else
		efer &= ~(EFER_LMA | EFER_LME);
	cr4 = exit & EXIT_HOST_64BIT ? cr4 | CR4_PAE : cr4 & ~CR4_PCIDE;

	set_if_changed(vcpu, CTL_EFER, efer);
	set_if_changed(vcpu, CTL_CR0, (vmcs12_readn(v, HOST_CR0) & ~cr0_kept) | (cr0 & cr0_kept));
	set_if_changed(vcpu, CTL_CR4, cr4);
	pae = !(exit & EXIT_HOST_64BIT) && (cr4 & CR4_PAE);
	if (pae)
		error = load_pdptes(vcpu, cr3);
	if (pae || vmcs_readn(GUEST_CR3) != cr3)
		vmx_control_set(vcpu, CTL_CR3, cr3);
	return error;
}

/* MSRs that an exit leaves as the level had them that was current before, unless its controls say otherwise. */
struct staying {
	u64 efer, pat;
};

static struct staying what_stays(struct vcpu *vcpu)
{
	struct staying staying = { .efer = to_vmx(vcpu)->vmcs.efer };

	if (!(vmcs12_read32(to_nested(vcpu)->vmcs12, EXIT_CONTROLS) & EXIT_LOAD_PAT))
		BUG_ON(vmx_msr_get(vcpu, MSR_PAT, &staying.pat));
	return staying;
}

/* SDM, "Loading Host State". 0, or an abort. vmcs01 is current. */
static enum vmx_abort load_host_state(struct vcpu *vcpu, const struct staying *staying)
{
	struct nested_vmx *nested = to_nested(vcpu);
	const struct vmcs12 *v = nested->vmcs12;
	const struct vmcs_setting fixed[] = {
		vmcs_setn(GUEST_DR7, 0x400),
		vmcs_set32(GUEST_SYSENTER_CS, vmcs12_read32(v, HOST_SYSENTER_CS)),
		vmcs_setn(GUEST_SYSENTER_ESP, vmcs12_readn(v, HOST_SYSENTER_ESP)),
		vmcs_setn(GUEST_SYSENTER_EIP, vmcs12_readn(v, HOST_SYSENTER_EIP)),
		vmcs_setn(GUEST_PENDING_DEBUG, 0),
	};
	bool pdptes_bad = load_control_registers(vcpu, v, staying->efer);
	bool loads_pat = vmcs12_read32(v, EXIT_CONTROLS) & EXIT_LOAD_PAT;

	vmcs_write_list(fixed, ARRAY_SIZE(fixed));
	load_segments(vcpu, v);
	BUG_ON(vmx_msr_set(vcpu, MSR_PAT, loads_pat ? vmcs12_read64(v, HOST_PAT) : staying->pat));
	vmx_end_shadow();
	vcpu_reg_write(vcpu, REG_RSP, vmcs12_readn(v, HOST_RSP));
	vcpu_reg_write(vcpu, REG_RIP, vmcs12_readn(v, HOST_RIP));
	vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED);
	/* Without a VPID for L2, exits flush what L1 has. SDM, "Operations that Invalidate Cached Mappings" */
	if (!(nested_secondary(v) & SECONDARY_VPID))
		vmx_flush_tlb(vcpu);
	if (pdptes_bad)
		return ABORT_PDPTES;
	if (nested_load_msrs(vcpu, vmcs12_read64(v, EXIT_MSR_LOAD_ADDRESS), vmcs12_read32(v, EXIT_MSR_LOAD_COUNT)))
		return ABORT_LOAD_MSRS;
	return 0;
}

/*
 * Predictors that L2 has trained must not lead L1 astray where L1 trusts in its IBRS. Intel, "Indirect Branch
 * Predictor Barrier".
 */
static void separate_predictors(void)
{
	if (cpu_features.spec_ctrl && !speculation_off())
		wrmsr(MSR_PRED_CMD, 1);
}

static void go_on_as_l1(struct vcpu *vcpu, const struct staying *staying)
{
	enum vmx_abort abort;

	separate_predictors();
	abort = load_host_state(vcpu, staying);
	vcpu->events.exception.type = vcpu->events.reinject.type = EVENT_NONE;
	vcpu_request(vcpu, REQ_EVENT);
	if (abort)
		abort_l1(vcpu, abort);
}

/* --- what L1 reads --- */

/* SDM, "Saving Guest State" */
static void save_l2(struct vcpu *vcpu, struct vmcs12 *v)
{
	const struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	const struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 exit = vmcs12_read32(v, EXIT_CONTROLS), entry = vmcs12_read32(v, ENTRY_CONTROLS);

	vmx_store_dirty_regs(vcpu);
	nested_save_guest(vcpu);
	vmcs12_writen(v, GUEST_CR0, vcpu->ops->control_get(vcpu, CTL_CR0));
	vmcs12_writen(v, GUEST_CR4, vcpu->ops->control_get(vcpu, CTL_CR4));
	vmcs12_write32(v, GUEST_ACTIVITY, l2->halted ? ACTIVITY_HLT : ACTIVITY_ACTIVE);
	if (exit & EXIT_SAVE_DEBUG)
		vmcs12_writen(v, GUEST_DR7, vmcs_readn(GUEST_DR7));
	if (exit & EXIT_SAVE_EFER)
		vmcs12_write64(v, GUEST_EFER, vmx->vmcs.efer);
	if (exit & EXIT_SAVE_PAT) {
		u64 pat;

		BUG_ON(vmx_msr_get(vcpu, MSR_PAT, &pat));
		vmcs12_write64(v, GUEST_PAT, pat);
	}
	if (nested_secondary(v) & SECONDARY_EPT)
		for (unsigned i = 0; i < 4; i++)
			vmcs12_write64(v, guest_pdpte(i), vmcs_read64(guest_pdpte(i)));
	/* IA32_VMX_MISC[5] */
	entry = (entry & ~(u32)ENTRY_IA32E_GUEST) | (vmx->vmcs.entry_controls & ENTRY_IA32E_GUEST);
	vmcs12_write32(v, ENTRY_CONTROLS, entry);
}

static void write_information(struct vmcs12 *v, const struct nested_exit *exit)
{
	vmcs12_write32(v, EXIT_REASON, exit->reason.full);
	vmcs12_writen(v, EXIT_QUALIFICATION, exit->qualification);
	vmcs12_write32(v, EXIT_INTERRUPTION_INFO, exit->interruption_info);
	vmcs12_write32(v, EXIT_INTERRUPTION_ERROR, exit->interruption_error);
	vmcs12_write32(v, IDT_VECTORING_INFO, exit->vectoring_info);
	vmcs12_write32(v, IDT_VECTORING_ERROR, exit->vectoring_error);
	vmcs12_write32(v, EXIT_INSTRUCTION_LENGTH, exit->instruction_length);
	vmcs12_write32(v, EXIT_INSTRUCTION_INFO, exit->instruction_info);
	vmcs12_writen(v, GUEST_LINEAR_ADDRESS, exit->linear_address);
	vmcs12_write64(v, GUEST_PHYSICAL_ADDRESS, exit->physical_address);
}

/*
 * An NMI that exits blocks NMIs in L1. Where L1 has no virtual NMIs, blocking is one state of L2 and L1; where it has them, its
 * entry has ended the blocking of its own. SDM, "Interruptibility State", "Updating Non-Register State".
 */
static bool nmis_blocked_in_l1(struct vcpu *vcpu, const struct nested_exit *exit)
{
	if (exit->reason.basic == EXIT_REASON_EXCEPTION_OR_NMI &&
	    INTERRUPTION_TYPE(exit->interruption_info) == INTERRUPTION_NMI)
		return true;
	if (vmcs12_read32(to_nested(vcpu)->vmcs12, PIN_BASED_CONTROLS) & PIN_VIRTUAL_NMI)
		return false;
	if (!vmx_has_virtual_nmis())
		return to_vmx(vcpu)->nmi_blocked;
	return vmcs_read32(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_NMI;
}

void nested_vmx_exit(struct vcpu *vcpu, const struct nested_exit *exit)
{
	struct nested_vmx *nested = to_nested(vcpu);
	struct vmcs12 *v = nested->vmcs12;
	const struct staying staying = what_stays(vcpu);
	const bool nmis_blocked = nmis_blocked_in_l1(vcpu, exit);
	u32 event = vmcs12_read32(v, ENTRY_INTERRUPTION_INFO);
	bool stored;

	nested->l2.entry_pending = false;
	save_l2(vcpu, v);
	/* It may have left "shutdown", in which the next entry must not begin. */
	if (unlikely(exit->reason.basic == EXIT_REASON_TRIPLE_FAULT))
		vmcs_write32(GUEST_ACTIVITY, ACTIVITY_ACTIVE);
	nested_stop_timer(vcpu);
	nested->l2.halted = false;
	vcpu->activity = VCPU_RUNNING;		/* L1 is, whatever L2 was: an INIT exits from HLT as well */
	write_information(v, exit);
	vmcs12_write32(v, ENTRY_INTERRUPTION_INFO, event & ~(u32)INTERRUPTION_VALID);
	if (nested->enlightened)
		nested_evmcs_store(vcpu);
	stored = !nested_store_msrs(vcpu, vmcs12_read64(v, EXIT_MSR_STORE_ADDRESS), vmcs12_read32(v, EXIT_MSR_STORE_COUNT));

	nested_use_vmcs01(vcpu);
	nested_shadowing_write(vcpu);
	vmx_nmi_in_service(vcpu, nmis_blocked);
	if (stored)
		go_on_as_l1(vcpu, &staying);
	else
		abort_l1(vcpu, ABORT_STORE_MSRS);
}

void nested_reflect(struct vcpu *vcpu)
{
	const struct nested_exit exit = {
		.reason.full = (u32)vcpu->exit_reason,
		.qualification = to_vmx(vcpu)->qualification,
		.interruption_info = vmcs_read32(EXIT_INTERRUPTION_INFO),
		.interruption_error = vmcs_read32(EXIT_INTERRUPTION_ERROR),
		.vectoring_info = to_vmx(vcpu)->vectoring_info,
		.vectoring_error = vmcs_read32(IDT_VECTORING_ERROR),
		.instruction_length = vmcs_read32(EXIT_INSTRUCTION_LENGTH),
		.instruction_info = vmcs_read32(EXIT_INSTRUCTION_INFO),
		.linear_address = vmcs_readn(GUEST_LINEAR_ADDRESS),
		.physical_address = vmcs_read64(GUEST_PHYSICAL_ADDRESS),
	};

	nested_vmx_exit(vcpu, &exit);
}

void nested_exit_for(struct vcpu *vcpu, enum exit_reason reason, u64 qualification)
{
	const struct nested_exit exit = { .reason.full = reason, .qualification = qualification };

	nested_vmx_exit(vcpu, &exit);
}

void nested_fail_entry(struct vcpu *vcpu, u32 reason, u64 qualification)
{
	struct vmcs12 *v = to_nested(vcpu)->vmcs12;
	const struct staying staying = what_stays(vcpu);

	vmcs12_write32(v, EXIT_REASON, reason);
	vmcs12_writen(v, EXIT_QUALIFICATION, qualification);
	if (to_nested(vcpu)->enlightened)
		nested_evmcs_store(vcpu);
	if (vcpu->l2_runs)
		nested_vmx_leave(vcpu);
	nested_shadowing_write(vcpu);
	go_on_as_l1(vcpu, &staying);
}
