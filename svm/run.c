/* SPDX-License-Identifier: MIT */
/* One entry and one exit under SVM. */
#include "arch/cpu.h"
#include "arch/percpu.h"
#include "arch/x86.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "core/trace.h"
#include "svm/svm.h"

void svm_vmenter(struct vcpu *vcpu, u64 vmcb_pa, u64 host_vmcb_pa);

#ifdef LAMINA_HOST_TEST
/* The fake processor of tests/unit/test_svm_run.c. */
void clgi(void);
void stgi(void);
#else
static inline void clgi(void)
{
	__asm__ volatile("clgi" : : : "memory");
}

static inline void stgi(void)
{
	__asm__ volatile("stgi" : : : "memory");
}
#endif

/* What changed since the last exit goes into the VMCB. */
static void store_guest_state(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct vmcb *vmcb = svm->vmcb;

	vmcb->save.rax = vcpu->regs[REG_RAX];
	if (vcpu->regs_dirty) {
		if (vcpu->regs_dirty & BIT(REG_RIP))
			vmcb->save.rip = vcpu->regs[REG_RIP];
		if (vcpu->regs_dirty & BIT(REG_RSP))
			vmcb->save.rsp = vcpu->regs[REG_RSP];
		if (vcpu->regs_dirty & BIT(REG_RFLAGS))
			vmcb->save.rflags = vcpu->regs[REG_RFLAGS];
		vcpu->regs_dirty = 0;
	}
	vmcb->control.tlb_control = svm->flush;
	svm->flush = TLB_KEEP;
}

/* Snapshot first: nothing that a handler does later changes what is recorded of this exit. */
static void take_snapshot(struct vcpu_svm *svm)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct vmcb *vmcb = svm->vmcb;

	vcpu->exit_tsc = rdtsc();
	vcpu->exit_reason = vmcb->control.exit_code;
	vcpu->exit_index = svm_exit_index(vmcb->control.exit_code);
	vcpu->exit_rip = vmcb->save.rip;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	vcpu->regs[REG_RIP] = vmcb->save.rip;
	vcpu->regs_available = BIT(REG_RIP);
	trace_exit(vcpu);
}

enum exit_fastpath svm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;

	store_guest_state(svm);
	trace_entry(vcpu, force_immediate_exit);

	/*
	 * With GIF clear nothing is taken, and IF may be set long before VMRUN: with V_INTR_MASKING
	 * it is the host's IF at VMRUN that lets physical interrupts exit.
	 */
	clgi();
	irq_enable();
	if (unlikely(force_immediate_exit))
		force_exit_by_self_ipi(vcpu);

	svm_vmenter(vcpu, svm->vmcb_pa, this_cpu()->host_vmcb_pa);

	irq_disable();
	stgi();

	take_snapshot(svm);
	vcpu->events.injected.type = EVENT_NONE;
	if (unlikely(svm_exit_invalid(control->exit_code))) {
		vcpu->failure = (struct failure_record){
			.kind = ENTRY_INVALID_STATE,
			.reason = control->exit_code,
			.qualification = control->event_injection,
		};
		return EXIT_FASTPATH_ENTRY_FAILED;
	}
	control->event_injection = 0;
	control->clean = CLEAN_ALL;
	svm_events_after_exit(vcpu);

	/* The banks first, while they hold what went wrong. */
	if (unlikely(control->exit_code == VMEXIT_EXCEPTION + X86_MC))
		exit_machine_check(vcpu, true);
	/* The host's interrupt window, which comes next, is all that these exits are about. */
	if (control->exit_code == VMEXIT_INTR)
		return EXIT_FASTPATH_EXIT_HANDLED;
	return EXIT_FASTPATH_NONE;
}
