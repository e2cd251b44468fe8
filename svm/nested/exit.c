/* SPDX-License-Identifier: MIT */
/*
 * Exits of L2: L0's own needs come first, then L1's intercepts, and what is left is L0's work, as for any guest.
 * And the #VMEXIT that L1 sees. AMD APM vol. 2, "#VMEXIT", "Intercept Operation".
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "svm/nested/nested.h"

/* --- #VMEXIT --- */

/* In the control area L1 finds what the processor writes there, and all of it, whatever the exit is. */
static void export_control(const struct vcpu_svm *svm, const struct nsvm_exit *exit, struct vmcb_control *to)
{
	const struct vmcb_control *control = &svm->vmcb->control;
	const struct vmcb_control *l1 = &svm->nested->vmcb12.control;
	u64 virq = svm->nested->virq_lent ? l1->int_control : control->int_control;

	to->int_control = (l1->int_control & ~(V_TPR | V_IRQ)) | (control->int_control & V_TPR) | (virq & V_IRQ);
	to->int_state = control->int_state & INT_SHADOW;
	to->exit_code = exit->code;
	to->exit_info1 = exit->info1;
	to->exit_info2 = exit->info2;
	to->exit_int_info = exit->int_info;
	to->event_injection = l1->event_injection & ~EVENT_VALID;
	to->next_rip = exit->next_rip;
	if (!svm_features.decode_assists)
		return;
	/* A length of 0 says that there are none. APM vol. 2, "Decode Assists" */
	to->fetched_length = exit->fetched ? control->fetched_length & 15 : 0;
	memcpy(to->fetched, control->fetched, sizeof(to->fetched));
}

static void export_save(struct vcpu *vcpu, struct vmcb_save *to)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb_save *save = &svm->vmcb->save;

	to->es = save->es;
	to->cs = save->cs;
	to->ss = save->ss;
	to->ds = save->ds;
	to->gdtr = save->gdtr;
	to->idtr = save->idtr;
	to->cpl = save->cpl;
	to->efer = svm_control_get(vcpu, CTL_EFER);
	to->cr4 = svm_control_get(vcpu, CTL_CR4);
	to->cr3 = save->cr3;
	to->cr0 = svm_control_get(vcpu, CTL_CR0);
	to->dr7 = save->dr7;
	to->dr6 = save->dr6;
	to->rflags = vcpu_rflags(vcpu);
	to->rip = vcpu_reg_read(vcpu, REG_RIP);
	to->rsp = vcpu_reg_read(vcpu, REG_RSP);
	to->rax = vcpu->regs[REG_RAX];
	to->cr2 = save->cr2;
	if (nsvm_paging(svm->nested))
		to->pat = save->pat;
}

/* Predictors that L2 has trained must not lead L1 astray. AMD, "Indirect Branch Control Extension" */
static void separate_predictors(void)
{
	if (cpu_features.pred_cmd && !speculation_off())
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}

/* With PAE paging #VMEXIT loads the host's PDPEs, and shuts the processor down if one is not valid. */
static bool pdpes_are_valid(struct vcpu *vcpu)
{
	const struct vmcb_save *save = &to_svm(vcpu)->vmcb->save;
	u64 reserved = 0x1e6ull | ~0ull << cpuid_physical_bits(vcpu), pdpes[4];

	if (!(save->cr0 & CR0_PG) || !(save->cr4 & CR4_PAE) || (save->efer & EFER_LMA))
		return true;
	if (guest_read(vcpu->vm, save->cr3 & 0xffffffe0, pdpes, sizeof(pdpes)))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(pdpes); i++)
		if ((pdpes[i] & PTE_PRESENT) && (pdpes[i] & reserved))
			return false;
	return true;
}

/* The host's state is what 01 has had since VMRUN, but for registers that #VMEXIT leaves as they are or sets. */
static void return_to_l1(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_save *save = &svm->vmcb->save;

	save->dr7 = DR7_RESET;
	svm_dirty(svm, CLEAN_DR);
	vcpu->regs[REG_RAX] = save->rax;
	separate_predictors();
	if (!pdpes_are_valid(vcpu)) {
		exit_triple_fault(vcpu);
		return;
	}
	/* The step of a VMRUN ends here. */
	if (save->rflags & RFLAGS_TF)
		event_raise_debug(vcpu, DR6_BS);
	vcpu_request(vcpu, REQ_EVENT);
}

/* What is queued for L2 is in EXITINTINFO now, or will be raised again. */
static void drop_events(struct vcpu *vcpu)
{
	vcpu->events.reinject.type = EVENT_NONE;
	vcpu->events.exception.type = EVENT_NONE;
}

void nsvm_exit(struct vcpu *vcpu, const struct nsvm_exit *exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct svm_nested *nested = svm->nested;
	struct vmcb *to = guest_ptr(vcpu->vm, nested->vmcb12_gpa, PAGE_SIZE);
	u64 cr2 = svm->vmcb->save.cr2, dr6, l2_pat = svm->vmcb->save.pat;

	if (svm->stepping)
		svm_end_step(vcpu);
	dr6 = svm->vmcb->save.dr6;
	/* Its page was RAM at VMRUN, and can only have become a damaged one since. */
	if (!to) {
		exit_triple_fault(vcpu);
		return;
	}
	export_control(svm, exit, &to->control);
	export_save(vcpu, &to->save);
	drop_events(vcpu);
	nested->gif = false;
	nsvm_switch(vcpu, false);
	svm_control_set(vcpu, CTL_CR2, cr2);
	svm_control_set(vcpu, CTL_DR6, dr6);
	if (!nsvm_paging(nested) && svm->vmcb->save.pat != l2_pat)
		svm_msr_set(vcpu, MSR_PAT, l2_pat);
	svm_choose_tlb_id(svm, this_cpu());
	if (svm->nmi_masked) {
		svm->vmcb->control.intercept_misc1 |= INTERCEPT_IRET;
		svm_dirty(svm, CLEAN_INTERCEPTS);
	}
	svm_pause_exits(vcpu, svm->pause_exits);
	return_to_l1(vcpu);
}

void nsvm_exit_event(struct vcpu *vcpu, u64 code)
{
	nsvm_exit(vcpu, &(struct nsvm_exit){ .code = code });
}

/* Nothing of L2 has been loaded, and nothing of it is saved. */
void nsvm_entry_failed(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb *to = guest_ptr(vcpu->vm, svm->nested->vmcb12_gpa, PAGE_SIZE);

	if (to) {
		to->control.exit_code = VMEXIT_INVALID;
		to->control.exit_info1 = to->control.exit_info2 = to->control.exit_int_info = 0;
	}
	if (vcpu->l2_runs) {
		drop_events(vcpu);
		svm->nested->gif = false;
		nsvm_switch(vcpu, false);
		svm_choose_tlb_id(svm, this_cpu());
	} else {
		nsvm_set_gif(vcpu, false);
	}
	vcpu->regs_available = vcpu->regs_dirty = 0;
	return_to_l1(vcpu);
}

/* --- who gets an exit --- */

/*
 * The number of an exit code is that of its bit in the intercept words: so the rule is complete, and the cases
 * are what deviates from it. *code is the one that L1 sees.
 */
static bool goes_to_l1(struct vcpu *vcpu, u64 *code)
{
	const struct vcpu_svm *svm = to_svm(vcpu);
	const struct svm_nested *nested = svm->nested;

	switch (*code) {
	case VMEXIT_EXCEPTION + X86_MC:
	case VMEXIT_INTR:
	case VMEXIT_NMI:
	case VMEXIT_SMI:
	case VMEXIT_INIT:
	case VMEXIT_NPF:
		return false;
	case VMEXIT_EXCEPTION + X86_DB:
		return !svm->stepping && nsvm_intercepts(nested, VMEXIT_EXCEPTION + X86_DB);
	case VMEXIT_VINTR:
		return !nested->virq_lent && nsvm_intercepts(nested, VMEXIT_VINTR);
	case VMEXIT_CR_WRITE + 0:
	case VMEXIT_CR0_SEL_WRITE:
		return nsvm_intercepts_cr0_write(vcpu, code);
	case VMEXIT_IOIO:
		return nsvm_intercepts_io(vcpu);
	case VMEXIT_MSR:
		return nsvm_intercepts_msr(vcpu);
	default:
		return *code >= NSVM_INTERCEPT_BITS || nsvm_intercepts(nested, (unsigned)*code);
	}
}

/* After a shutdown the field means nothing. */
u64 nsvm_interrupted_event(const struct vcpu_svm *svm)
{
	const struct vmcb_control *control = &svm->vmcb->control;

	if (!(control->exit_int_info & EVENT_VALID) || control->exit_code == VMEXIT_SHUTDOWN)
		return 0;
	return control->exit_int_info;
}

static void reflect(struct vcpu *vcpu, u64 code)
{
	const struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;

	nsvm_exit(vcpu, &(struct nsvm_exit){
		.code = code,
		.info1 = control->exit_info1,
		.info2 = control->exit_info2,
		.int_info = nsvm_interrupted_event(to_svm(vcpu)),
		.next_rip = control->next_rip,
		.fetched = code == VMEXIT_EXCEPTION + X86_PF,
	});
}

/* RDMSR of the time-stamp counter shows L1's offset, as RDTSC does. Core knows L1's counter only. */
static void handle_msr(struct vcpu *vcpu)
{
	const struct vmcb_control *control = &to_svm(vcpu)->vmcb->control;

	if ((control->exit_info1 & 1) || (u32)vcpu->regs[REG_RCX] != MSR_TSC) {
		svm_handle_exit(vcpu);
		return;
	}
	vcpu_set_edx_eax(vcpu, rdtsc() + control->tsc_offset);
	vcpu->ops->skip_instruction(vcpu);
}

/* L1 intercepts VMRUN always. What it does not intercept of SVM's other instructions acts on its own state. */
static void handle_for_l2(struct vcpu *vcpu)
{
	switch (vcpu->exit_reason) {
	case VMEXIT_CR_READ ... VMEXIT_DR_READ - 1:
	case VMEXIT_CR0_SEL_WRITE:
		nsvm_handle_cr(vcpu);
		break;
	case VMEXIT_VINTR:
		nsvm_handle_vintr(vcpu);
		break;
	case VMEXIT_HLT:
		nsvm_handle_hlt(vcpu);
		break;
	case VMEXIT_VMMCALL:
		exit_invalid_opcode(vcpu);
		break;
	case VMEXIT_NPF:
		nsvm_handle_npf(vcpu);
		break;
	case VMEXIT_MSR:
		handle_msr(vcpu);
		break;
	default:
		svm_handle_exit(vcpu);
	}
}

void nsvm_handle_exit(struct vcpu *vcpu)
{
	u64 code = vcpu->exit_reason;

	if (goes_to_l1(vcpu, &code))
		reflect(vcpu, code);
	else
		handle_for_l2(vcpu);
}

enum exit_fastpath nsvm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	enum exit_fastpath fastpath;
	u64 injected;

	nsvm_merge_intercepts(svm);
	nsvm_paging_flush(svm);
	injected = svm->vmcb->control.event_injection;
	fastpath = svm_vcpu_run(vcpu, force_immediate_exit);
	if (likely(fastpath != EXIT_FASTPATH_ENTRY_FAILED)) {
		nsvm_keep_injection(vcpu, injected);
		if (EVENT_TYPE(nsvm_interrupted_event(svm)) != VMCB_EVENT_NMI)
			svm->nested->nmi_of_l1 = false;
		return fastpath;
	}
	/* The rules let pass what the processor refuses: L1 gets the exit that a processor gives. */
	if (vm_once(vcpu->vm, ONCE_OTHER, VMEXIT_INVALID)) {
		vm_error(vcpu->vm, "vcpu %u: the processor refuses the VMRUN of a guest's guest", vcpu->id);
		svm_explain_failure(vcpu);
		svm_dump(vcpu);
	}
	nsvm_entry_failed(vcpu);
	return EXIT_FASTPATH_EXIT_HANDLED;
}
