/* SPDX-License-Identifier: MIT */
/*
 * The operations while L2 runs (core/nested.h): those of VMX, since the current VMCS is vmcs02, except where L1's
 * controls or L1's part of the state count.
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/msr.h"
#include "core/emulate/code.h"
#include "core/exit.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "vmx/nested/nested.h"

static struct vmcs12 *vmcs12_of(struct vcpu *vcpu)
{
	return to_nested(vcpu)->vmcs12;
}

/* --- entry and exit --- */

/* What L1 has asked to forget. On every way into L2, so that no flush is lost. */
static void flush(struct vcpu *vcpu)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (unlikely(nested->l2.apic_changed))
		nested_write_apic(vcpu);
	nested->l2.apic_changed = false;
	if (nested->flush_l2)
		vmx_flush_tlb(vcpu);
	nested->flush_l2 = false;
	nested_ept_flush(vcpu);
}

/*
 * The processor has refused what the rules let pass, or a machine check has come in between: L1 gets what a processor
 * would give it. A VMfail is found before anything of L2 has been loaded, so L1 goes on behind its instruction.
 */
static void refused(struct vcpu *vcpu)
{
	const struct failure_record *failure = &vcpu->failure;

	if (failure->kind != ENTRY_MACHINE_CHECK && vm_once(vcpu->vm, ONCE_OTHER, (u64)__func__ + failure->kind))
		vcpu->ops->explain_failure(vcpu);
	to_nested(vcpu)->l2.entry_pending = false;
	if (failure->kind == ENTRY_VMFAIL_VALID) {
		nested_vmx_leave(vcpu);
		vcpu->exit_rip = vcpu_reg_read(vcpu, REG_RIP);	/* L1's instruction is stepped over, not L2's */
		nested_vmfail(vcpu, (enum vmx_error)failure->instruction_error);
	} else {
		nested_fail_entry(vcpu, (u32)failure->reason, failure->qualification);
	}
}

/*
 * Another of L1's CPUs has changed the virtual-APIC page, so that entries of L2 do not go on below the TPR threshold:
 * the exit that L2's own change would have made. SDM, "VM-Execution Control Fields", "TPR Virtualization".
 */
static bool below_threshold(struct vcpu *vcpu)
{
	return vcpu->failure.kind == ENTRY_VMFAIL_VALID && (to_vmx(vcpu)->vmcs.primary & PRIMARY_TPR_SHADOW);
}

/* The first entry after VMLAUNCH or VMRESUME can fail as L1's own; a later one cannot, and is L0's defect. */
static enum exit_fastpath l2_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	enum exit_fastpath fastpath;

	flush(vcpu);
	l2->halted = false;
	fastpath = vmx_l2_run(vcpu, force_immediate_exit);
	vcpu_request(vcpu, REQ_EVENT);
	if (unlikely(fastpath == EXIT_FASTPATH_ENTRY_FAILED)) {
		if (l2->entry_pending && vcpu->failure.kind != ENTRY_VMFAIL_INVALID)
			refused(vcpu);
		else if (below_threshold(vcpu))
			nested_exit_for(vcpu, EXIT_REASON_TPR_THRESHOLD, 0);
		else
			return fastpath;
		return EXIT_FASTPATH_EXIT_HANDLED;
	}
	l2->entry_pending = false;
	to_nested(vcpu)->vmcs12->launched = true;
	return fastpath;
}

static bool is_monitored(struct vcpu *vcpu)
{
	return to_vmx(vcpu)->vmcs.primary & PRIMARY_MONITOR_TRAP;
}

static void l2_hlt(struct vcpu *vcpu)
{
	vmx_skip_instruction(vcpu);
	to_nested(vcpu)->l2.halted = true;
	if (!is_monitored(vcpu))
		nested_halt(vcpu);
}

/*
 * RDMSR by L2 gives its own TSC; WRMSR writes L1's. SDM, "Changes to Instruction Behavior in VMX Non-Root Operation".
 */
static void l2_rdmsr(struct vcpu *vcpu)
{
	if ((u32)vcpu->regs[REG_RCX] != MSR_TSC) {
		exit_rdmsr(vcpu);
		return;
	}
	vcpu_set_edx_eax(vcpu, vcpu_guest_tsc(vcpu, rdtsc()) + to_nested(vcpu)->l2.tsc_offset);
	vmx_skip_instruction(vcpu);
}

/*
 * A write that L1 does not get. The bits that are L1's are the same as L1 has them read; what the processor is to have
 * there is in vmcs12.
 */
static u64 keep_bits_of_l1(struct vcpu *vcpu, struct vmcs_fieldn mask, struct vmcs_fieldn field, u64 value)
{
	u64 of_l1 = vmcs12_readn(vmcs12_of(vcpu), mask);

	return (value & ~of_l1) | (vmcs12_readn(vmcs12_of(vcpu), field) & of_l1);
}

static void l2_cr_access(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification, value;
	unsigned cr = qualification & 15, kind = qualification >> 4 & 3, reg = qualification >> 8 & 15;
	int error;

	if (kind == 1) {
		exit_mov_from_cr(vcpu, cr, reg);
		return;
	}
	if (kind == 0 && cr != 0 && cr != 3 && cr != 4) {
		exit_mov_to_cr(vcpu, cr, reg);
		return;
	}
	value = vcpu_reg_read(vcpu, reg);
	if (!vcpu_code_64(vcpu))
		value = (u32)value;
	if (kind == 3)
		value = control_lmsw_value(vcpu->ops->control_get(vcpu, CTL_CR0), (u16)(qualification >> 16));
	else if (kind == 2)
		value = vcpu->ops->control_get(vcpu, CTL_CR0) & ~CR0_TS;
	to_nested(vcpu)->l2.refused = false;
	if (cr == 3 && kind == 0)
		error = control_write_cr3(vcpu, value);
	else if (cr == 4 && kind == 0)
		error = control_write_cr4(vcpu, keep_bits_of_l1(vcpu, CR4_GUEST_HOST_MASK, GUEST_CR4, value));
	else
		error = control_write_cr0(vcpu, keep_bits_of_l1(vcpu, CR0_GUEST_HOST_MASK, GUEST_CR0, value));
	if (error && to_nested(vcpu)->l2.refused)
		nested_vmx_fault(vcpu);		/* L1's EPT does not let the PDPTEs be read */
	else if (error)
		event_raise_error(vcpu, X86_GP, 0);
	else
		vmx_skip_instruction(vcpu);
}

/* SDM, "Exit Qualification for Control-Register Accesses": LMSW, of CR0, with an operand in memory. */
#define CR_ACCESS_LMSW_OF_MEMORY (3 << 4 | BIT(6))

/* An operand in a device's memory exits before the processor knows what is to be loaded. */
static bool l2_lmsw(struct vcpu *vcpu, u16 value, unsigned length)
{
	const struct nested_exit exit = {
		.reason.full = EXIT_REASON_CR_ACCESS,
		.qualification = (u64)value << 16 | CR_ACCESS_LMSW_OF_MEMORY,
		.instruction_length = length,
		.linear_address = vmcs_readn(GUEST_LINEAR_ADDRESS),
	};

	if (!nested_l1_gets_lmsw(vmcs12_of(vcpu), value))
		return false;
	nested_vmx_exit(vcpu, &exit);
	return true;
}

/* The host's timer: for L1's devices, L1's preemption timer, or the end of the slice. */
static void l2_timer(struct vcpu *vcpu)
{
	vtimer_run_expired(vcpu, vcpu->exit_tsc);
}

static void l2_ept_violation(struct vcpu *vcpu)
{
	if (nested_ept_is_on(vcpu))
		nested_ept_violation(vcpu);
	else
		vmx_handle_exit(vcpu);
}

/* By L0, though L2's. */
static void handle_as_l0(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	switch (reason.basic) {
	case EXIT_REASON_HLT:
		l2_hlt(vcpu);
		break;
	case EXIT_REASON_RDMSR:
		l2_rdmsr(vcpu);
		break;
	case EXIT_REASON_CR_ACCESS:
		l2_cr_access(vcpu);
		break;
	case EXIT_REASON_EPT_VIOLATION:
		l2_ept_violation(vcpu);
		break;
	case EXIT_REASON_PREEMPTION_TIMER:
		l2_timer(vcpu);
		break;
	default:
		vmx_handle_exit(vcpu);
		break;
	}
}

static void l2_handle_exit(struct vcpu *vcpu)
{
	const union vmx_exit_reason reason = { .full = (u32)vcpu->exit_reason };

	if (nested_l1_gets(vcpu, reason)) {
		nested_reflect(vcpu);
		return;
	}
	to_nested(vcpu)->l2.executed = false;
	handle_as_l0(vcpu, reason);
	/* INT1 has moved RIP, too, but goes on with the delivery of its #DB. */
	if (unlikely(vcpu->l2_runs && is_monitored(vcpu)) && reason.basic != EXIT_REASON_EXCEPTION_OR_NMI &&
	    (to_nested(vcpu)->l2.executed || vcpu_reg_read(vcpu, REG_RIP) != vcpu->exit_rip))
		nested_monitor_trap(vcpu);
}

/* l2_run() has set a request, so a string instruction ends after each iteration. */
static void l2_instruction_done(struct vcpu *vcpu)
{
	to_nested(vcpu)->l2.executed = true;
	vmx_instruction_done(vcpu);
}

/* --- state --- */

u64 nested_real_cr0(u64 cr0)
{
	return (cr0 & ~(CR0_CD | CR0_NW)) | CR0_ET | (vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG));
}

u64 nested_real_cr4(u64 cr4)
{
	return (cr4 & ~CR4_MCE) | (vmcs_readn(HOST_CR4) & CR4_MCE) | vmx_caps.cr4_fixed0;
}

/*
 * L2's registers as they count, not as L2 reads them: bits that L2 changes without an exit are in the processor,
 * those that L1 keeps in vmcs12, and the others, which L0 keeps, in the read shadow.
 */
static u64 l2_cr0(struct vcpu *vcpu)
{
	u64 of_l1 = vmcs12_readn(vmcs12_of(vcpu), CR0_GUEST_HOST_MASK), own = CR0_GUEST_OWNED & ~of_l1;

	return (vmcs_readn(GUEST_CR0) & own) | (vmcs12_readn(vmcs12_of(vcpu), GUEST_CR0) & of_l1) |
	       (vmcs_readn(CR0_READ_SHADOW) & ~(own | of_l1));
}

static u64 l2_cr4(struct vcpu *vcpu)
{
	u64 of_l1 = vmcs12_readn(vmcs12_of(vcpu), CR4_GUEST_HOST_MASK), own = to_vmx(vcpu)->vmcs.cr4_guest_owned;

	return (vmcs_readn(GUEST_CR4) & own) | (vmcs12_readn(vmcs12_of(vcpu), GUEST_CR4) & of_l1) |
	       (vmcs_readn(CR4_READ_SHADOW) & ~(own | of_l1));
}

static u64 l2_control_get(struct vcpu *vcpu, enum vcpu_control control)
{
	if (control == CTL_CR0)
		return l2_cr0(vcpu);
	return control == CTL_CR4 ? l2_cr4(vcpu) : vmx_control_get(vcpu, control);
}

static void load_pdptes(struct vcpu *vcpu)
{
	if (!(l2_cr0(vcpu) & CR0_PG) || !(l2_cr4(vcpu) & CR4_PAE) || (to_vmx(vcpu)->vmcs.efer & EFER_LMA))
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu->pdptes); i++)
		vmcs_write64(guest_pdpte(i), vcpu->pdptes[i]);
}

static void set_efer(struct vcpu *vcpu, u64 value)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool active = (value & EFER_LME) && (l2_cr0(vcpu) & CR0_PG);

	vmx->vmcs.efer = active ? value | EFER_LMA : value & ~EFER_LMA;
	vmx_write_efer(vmx);
	vmx->vmcs.entry_controls &= ~(u32)ENTRY_IA32E_GUEST;
	vmx->vmcs.entry_controls |= active ? ENTRY_IA32E_GUEST : 0;
	vmcs_write32(ENTRY_CONTROLS, vmx->vmcs.entry_controls);
}

static void set_shadow(struct vcpu *vcpu, struct vmcs_fieldn mask, struct vmcs_fieldn shadow, u64 value)
{
	u64 of_l1 = vmcs12_readn(vmcs12_of(vcpu), mask);

	vmcs_writen(shadow, (vmcs12_readn(vmcs12_of(vcpu), shadow) & of_l1) | (value & ~of_l1));
}

static void l2_control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	switch (control) {
	case CTL_CR0:
		set_shadow(vcpu, CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, value);
		vmcs_writen(GUEST_CR0, nested_real_cr0(value));
		set_efer(vcpu, to_vmx(vcpu)->vmcs.efer);
		load_pdptes(vcpu);
		break;
	case CTL_CR3:
		vmcs_writen(GUEST_CR3, value);
		load_pdptes(vcpu);
		break;
	case CTL_CR4:
		set_shadow(vcpu, CR4_GUEST_HOST_MASK, CR4_READ_SHADOW, value);
		vmcs_writen(GUEST_CR4, nested_real_cr4(value));
		load_pdptes(vcpu);
		break;
	case CTL_EFER:
		set_efer(vcpu, value);
		break;
	default:
		vmx_control_set(vcpu, control, value);
		return;
	}
	vmx_flush_tlb(vcpu);
}

/* SDM, "Restrictions on VMX Operation": unrestricted guests may be in real mode, and without paging. */
static bool l2_control_allowed(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	const struct vmx_entry_state *l1 = &to_nested(vcpu)->checks->l1;
	u64 fixed0 = control == CTL_CR0 ? l1->cr0_fixed0 : l1->cr4_fixed0;
	u64 fixed1 = control == CTL_CR0 ? l1->cr0_fixed1 : l1->cr4_fixed1;

	if (control == CTL_CR0 && (nested_secondary(vmcs12_of(vcpu)) & SECONDARY_UNRESTRICTED_GUEST))
		fixed0 &= ~(CR0_PE | CR0_PG);
	return !(fixed0 & ~value) && !(value & ~fixed1);
}

/* Code is found by a walk of both levels' tables, not where L0 would find L1's. */
static void l2_code_view(const struct vcpu *vcpu, struct code_view *view)
{
	vmx_code_view(vcpu, view);
	view->paging = CODE_OTHER_PAGING;
}

static void l2_tsc_offset_changed(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;

	vmcs_write64(TSC_OFFSET, vcpu->tsc_offset + l2->tsc_offset);
	l2->tsc_changed = true;
}

/* Of both levels: vmcs01 gets it when it is current again. */
static void l2_pause_exits(struct vcpu *vcpu, bool on)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	u32 loops = vmx_has_pause_loop_exits() ? SECONDARY_PAUSE_LOOP : 0;

	vmx_pause_exits(vcpu, on || (nested_secondary(vmcs12_of(vcpu)) & SECONDARY_PAUSE_LOOP));
	l2->other.secondary = (l2->other.secondary & ~loops) | (on ? loops : 0);
	l2->pause_changed = true;
}

/* L1's processor is reset, and L2 with it. */
static void l2_reset(struct vcpu *vcpu, bool init)
{
	nested_vmx_leave(vcpu);
	vmx_vcpu_reset(vcpu, init);
}

const struct vcpu_ops vmx_l2_ops = {
	.name = "VMX",
	.manual = "SDM",
	.loads_pdptes = true,

	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = l2_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.vcpu_release = vmx_vcpu_release,
	.flush_tlb = vmx_flush_tdp,
	.pause_exits = l2_pause_exits,

	.vcpu_run = l2_run,
	.handle_exit = l2_handle_exit,
	.exit_name = vmx_exit_name,

	.reg_fetch = vmx_reg_fetch,
	.control_get = l2_control_get,
	.control_set = l2_control_set,
	.segment_get = vmx_segment_get,
	.segment_set = vmx_segment_set,
	.table_get = vmx_table_get,
	.table_set = vmx_table_set,
	.code_view = l2_code_view,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.tsc_offset_changed = l2_tsc_offset_changed,
	.skip_instruction = vmx_skip_instruction,
	.step_over = vmx_step_over,
	.instruction_done = l2_instruction_done,

	.inject = vmx_inject,
	.interrupt_blocked = nested_interrupt_blocked,
	.saved_rip = vmx_saved_rip,
	.nmi_blocked = nested_nmi_blocked,
	.interrupt_window = nested_interrupt_window,
	.nmi_window = nested_nmi_window,

	.nested_control_allowed = l2_control_allowed,
	.nested_init = nested_l2_init,
	.nested_events = nested_vmx_events,
	.nested_takes_exception = nested_takes_exception,
	.nested_triple_fault = nested_triple_fault,
	.nested_gpa = nested_vmx_gpa,
	.nested_fault = nested_vmx_fault,
	.nested_lmsw = l2_lmsw,

	.check_entry = vmx_check_next_entry,
	.explain_failure = vmx_explain_failure,
	.dump = vmx_dump,
};
