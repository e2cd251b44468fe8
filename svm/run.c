/* SPDX-License-Identifier: MIT */
/* One entry and one exit under SVM. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/fastpath.h"
#include "core/force_exit.h"
#include "svm/svm.h"

/* svm/vmenter.asm */
enum exit_fastpath svm_vmenter(struct vcpu_svm *svm);
enum exit_fastpath svm_exit_in_stub(struct vcpu_svm *svm);

#ifdef LAMINA_HOST_TEST
/* The fake processor of tests/unit/test_svm_run.c. */
void clgi(void);
#else
static inline void clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}
#endif

/* Store what changed since the last exit into the VMCB. */
static inline void store_guest_state(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct vmcb *vmcb = svm->vmcb;

	vmcb->save.rax = vcpu->regs[REG_RAX];
	if (likely(!vcpu->regs_dirty))
		return;
	if (vcpu->regs_dirty & BIT(REG_RIP))
		vmcb->save.rip = vcpu->regs[REG_RIP];
	if (vcpu->regs_dirty & BIT(REG_RSP))
		vmcb->save.rsp = vcpu->regs[REG_RSP];
	if (vcpu->regs_dirty & BIT(REG_RFLAGS))
		vmcb->save.rflags = vcpu->regs[REG_RFLAGS];
	vcpu->regs_dirty = 0;
}

/*
 * Before any handler runs, so that none changes what is recorded of this exit. svm_exit_fastpath() has
 * already recorded the time.
 */
static __always_inline void take_snapshot(struct vcpu_svm *svm, u64 code, u8 index)
{
	struct vcpu *vcpu = &svm->vcpu;
	const struct vmcb *vmcb = svm->vmcb;
	u64 rip = vmcb->save.rip, int_info = vmcb->control.exit_int_info;
	struct trace_record *record;

	vcpu->exit_reason = code;
	vcpu->exit_index = index;
	vcpu->exit_rip = vcpu->regs[REG_RIP] = rip;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	vcpu->regs_available = BIT(REG_RIP);
	vcpu->events.injected.type = EVENT_NONE;

	record = trace_exit(vcpu, vcpu->exit_tsc, index, code, rip);
	record->info1 = vmcb->control.exit_info1;
	record->info2 = vmcb->control.exit_info2;
	record->intr_info = (u32)int_info;
	record->error_code = EVENT_ERROR_CODE(int_info);
}

static __noinline enum exit_fastpath entry_failed(struct vcpu_svm *svm)
{
	const struct vmcb_control *control = &svm->vmcb->control;

	take_snapshot(svm, control->exit_code, svm_exit_index(control->exit_code));
	svm->vcpu.failure = (struct failure_record){
		.kind = ENTRY_INVALID_STATE,
		.reason = control->exit_code,
		.qualification = control->event_injection,
	};
	return EXIT_FASTPATH_ENTRY_FAILED;
}

/*
 * Called by the entry stub, with the host's state loaded, GIF set and interrupts off. Leaves exceptions,
 * host events (INTR, NMI, SMI, INIT) and failed entries to svm_vcpu_run().
 */
enum exit_fastpath svm_exit_in_stub(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	u64 code = svm->vmcb->control.exit_code;
	u8 index = svm_exit_index(code);
	enum exit_fastpath fastpath;

	if (code - VMEXIT_EXCEPTION <= VMEXIT_INIT - VMEXIT_EXCEPTION || index > SVM_INDEX_NPF ||
	    !fastpath_begins(vcpu, index))
		return EXIT_FASTPATH_NONE;
	take_snapshot(svm, code, index);
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);
	svm_handle_exit(vcpu);
	fastpath = fastpath_ends(vcpu);
	if (likely(fastpath == EXIT_FASTPATH_REENTER_GUEST))
		store_guest_state(svm);
	return fastpath;
}

enum exit_fastpath svm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	enum exit_fastpath fastpath;

	store_guest_state(svm);
	trace_entry(vcpu, force_immediate_exit);

	/*
	 * With V_INTR_MASKING the host's IF at VMRUN decides whether physical interrupts exit. IF may be
	 * set this early because the processor takes no interrupt while GIF is clear.
	 */
	clgi();
	irq_enable();
	if (unlikely(force_immediate_exit))
		force_exit_by_self_ipi(vcpu);

	fastpath = svm_vmenter(svm);

	if (fastpath == EXIT_FASTPATH_EXIT_HANDLED)
		return EXIT_FASTPATH_EXIT_HANDLED;
	if (unlikely(svm_exit_invalid(control->exit_code)))
		return entry_failed(svm);
	take_snapshot(svm, control->exit_code, svm_exit_index(control->exit_code));
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);

	/* The interrupt is still pending: the host's interrupt window, which comes next, serves it. */
	if (control->exit_code == VMEXIT_INTR) {
		/*
		 * It may have come at the guest's STI, before the VMEXIT_VINTR that a window waits for. Choosing an event
		 * again spares that exit.
		 */
		if (vcpu->events.irq_window)
			vcpu_request(vcpu, REQ_EVENT);
		return EXIT_FASTPATH_EXIT_HANDLED;
	}
	/* Read the machine-check banks before anything changes them. */
	if (unlikely(control->exit_code == VMEXIT_EXCEPTION + X86_MC))
		exit_machine_check(vcpu, true);
	return EXIT_FASTPATH_NONE;
}
