/* SPDX-License-Identifier: MIT */
/* One entry and one exit under SVM. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/emulate/mmio_stub.h"
#include "core/emulate/string_fast.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "svm/length.h"
#include "svm/svm.h"

/* svm/vmenter.asm */
enum exit_fastpath svm_vmenter(struct vcpu_svm *svm);
enum exit_fastpath svm_access_in_stub(struct vcpu_svm *svm);
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
static inline void store_guest_state(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	struct vcpu *vcpu = &svm->vcpu;

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
static __always_inline void take_snapshot(struct vcpu_svm *svm, const struct vmcb *vmcb, u64 code, u8 index)
{
	struct vcpu *vcpu = &svm->vcpu;
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
	record->intr = int_info;	/* the error code is EXITINTINFO's upper half, too */
}

static __noinline enum exit_fastpath entry_failed(struct vcpu_svm *svm)
{
	const struct vmcb_control *control = &svm->vmcb->control;

	take_snapshot(svm, svm->vmcb, control->exit_code, svm_exit_index(control->exit_code));
	svm->vcpu.failure = (struct failure_record){
		.kind = ENTRY_INVALID_STATE,
		.reason = control->exit_code,
		.qualification = control->event_injection,
	};
	return EXIT_FASTPATH_ENTRY_FAILED;
}

/*
 * A host interrupt has ended the guest's turn. It may have come at the guest's STI, before the VMEXIT_VINTR that a window
 * waits for. Choosing an event again spares that exit.
 */
static inline void interrupted(struct vcpu *vcpu)
{
	if (vcpu->events.irq_window)
		vcpu_request(vcpu, REQ_EVENT);
}

/* In the stub alone: svm_vcpu_run() finishes the exit itself. */
void svm_handle_intr(struct vcpu *vcpu)
{
	interrupted(vcpu);
	irq_window();
}

static __noinline enum exit_fastpath handler_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb, u64 code)
{
	struct vcpu *vcpu = &svm->vcpu;
	u8 index = svm_exit_index(code);
	enum exit_fastpath fastpath;

	if (index > SVM_INDEX_NPF || !svm_handlers[index] ||
	    (!fastpath_begins(vcpu, index) && !(index == VMEXIT_INTR && fastpath_interrupted(vcpu, index))))
		return EXIT_FASTPATH_NONE;
	take_snapshot(svm, vmcb, code, index);
	svm_entered(vmcb);
	svm_take_v_tpr(svm);
	svm_events_after_exit(vcpu);
	svm_handlers[index](vcpu);
	fastpath = fastpath_ends(vcpu);
	if (likely(fastpath == EXIT_FASTPATH_REENTER_GUEST))
		store_guest_state(svm, vmcb);
	return fastpath;
}

/* Not while single-stepping, with RF set, or near the end of 4 GiB. */
static inline bool only_rip_changes(const struct vcpu_svm *svm, u64 rip, u64 next_rip)
{
	return likely(!(svm->vmcb->save.rflags & (RFLAGS_TF | RFLAGS_RF)) && (u32)next_rip > (u32)rip);
}

/* The exit that needs a device, or the handler of an MSR. False: svm_exit_in_stub() has it. */
static __always_inline bool access_begins(struct vcpu_svm *svm, u8 index, struct access_exit *exit)
{
	exit->index = index;
	exit->rip = svm->vmcb->save.rip;
	svm->vcpu.exit_reason = index;
	return only_rip_changes(svm, exit->rip, exit->next_rip) && fastpath_begins(&svm->vcpu, index);
}

static __always_inline enum exit_fastpath access_ends(struct vcpu_svm *svm, struct vmcb *vmcb, enum exit_fastpath fastpath)
{
	vmcb->save.rip = svm->vcpu.regs[REG_RIP];
	vmcb->save.rax = svm->vcpu.regs[REG_RAX];
	return fastpath;
}

/* The modes of nearly all code that uses devices. False: another one. */
static __always_inline bool usual_code(const struct vmcb_save *save, struct code_view *view)
{
	if (save->efer & EFER_LMA) {
		*view = (struct code_view){ .mode = INSN_MODE_64, .paging = CODE_4_LEVEL, .cr3 = save->cr3 };
		return (save->cs.attributes & ATTRIBUTE_L) && !(save->cr4 & CR4_LA57);
	}
	*view = (struct code_view){ .mode = INSN_MODE_32, .paging = CODE_UNPAGED, .cs_base = save->cs.base };
	return (save->cs.attributes & ATTRIBUTE_DB) && !(save->cr0 & CR0_PG);
}

/* INSB and OUTSB. EXITINFO2 is the next RIP. */
static __noinline enum exit_fastpath string_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	u32 info = (u32)vmcb->control.exit_info1;
	enum exit_fastpath fastpath;
	struct access_exit exit;
	struct string_exit string;

	exit.info1 = vmcb->control.exit_info1;
	exit.info2 = exit.next_rip = vmcb->control.exit_info2;
	if (unlikely(IOIO_SIZE(info) != 1 || (vmcb->save.dr7 & DR7_ENABLED) || (vmcb->save.rflags & RFLAGS_DF) ||
		     !access_begins(svm, VMEXIT_IOIO, &exit) || !usual_code(&vmcb->save, &string.view)))
		return EXIT_FASTPATH_NONE;
	string.port = IOIO_PORT(info);
	string.in = info & IOIO_IN;
	string.rep = info & IOIO_REP;
	string.no_execute = vmcb->save.efer & EFER_NXE;
	string.user = vmcb->save.cpl == 3;
	svm->vcpu.regs[REG_RAX] = vmcb->save.rax;
	svm_entered(vmcb);
	svm_take_v_tpr(svm);
	fastpath = fastpath_string(&svm->vcpu, &exit, &string);
	if (fastpath == EXIT_FASTPATH_NONE)
		return EXIT_FASTPATH_NONE;
	vmcb->control.int_state &= ~INT_SHADOW;
	return access_ends(svm, vmcb, fastpath);
}

/* EXITINFO2 is the next RIP. */
static __always_inline enum exit_fastpath port_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb, bool in)
{
	struct vcpu *vcpu = &svm->vcpu;
	u64 next = vmcb->control.exit_info2;
	struct access_exit exit = { .info1 = vmcb->control.exit_info1, .info2 = next, .next_rip = next };
	u32 info = (u32)exit.info1;

	if (unlikely(info & IOIO_STRING))
		return string_in_stub(svm, vmcb);
	if (unlikely((vmcb->save.dr7 & DR7_ENABLED) || !access_begins(svm, VMEXIT_IOIO, &exit)))
		return EXIT_FASTPATH_NONE;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	svm_entered(vmcb);
	svm_take_v_tpr(svm);
	vmcb->control.int_state &= ~INT_SHADOW;
	return access_ends(svm, vmcb, fastpath_port(vcpu, &exit, IOIO_PORT(info), IOIO_SIZE(info), in));
}

static __noinline enum exit_fastpath in_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	return port_in_stub(svm, vmcb, true);
}

static __noinline enum exit_fastpath out_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	return port_in_stub(svm, vmcb, false);
}

static enum exit_fastpath npf_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb);

/* An instruction that is carried out ends the shadow, before an interrupt that it has caused is injected. */
static __noinline enum exit_fastpath npf_in_shadow(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	enum exit_fastpath fastpath;

	vmcb->control.int_state &= ~INT_SHADOW;
	fastpath = npf_in_stub(svm, vmcb);
	if (fastpath == EXIT_FASTPATH_NONE)
		vmcb->control.int_state |= INT_SHADOW;
	return fastpath;
}

/* An access by an instruction: not by a walk of the guest's tables, or by the delivery of an event. */
static __noinline enum exit_fastpath npf_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	const struct vmcb_control *control = &vmcb->control;
	struct access_exit exit = {
		.index = SVM_INDEX_NPF, .info1 = control->exit_info1, .info2 = control->exit_info2, .rip = vmcb->save.rip,
	};
	struct vcpu *vcpu = &svm->vcpu;
	enum exit_fastpath fastpath;
	struct code_view view;

	if (unlikely(control->int_state & INT_SHADOW))
		return npf_in_shadow(svm, vmcb);

	if (unlikely((exit.info1 & (PF_FETCH | NPF_GUEST_WALK)) || (control->exit_int_info & EVENT_VALID)) ||
	    unlikely((vmcb->save.dr7 & DR7_ENABLED) || (vmcb->save.rflags & RFLAGS_TF) || svm->iret_pending) ||
	    !mmio_is_possible(vcpu->vm, exit.info2) || !fastpath_begins(vcpu, SVM_INDEX_NPF) || !usual_code(&vmcb->save, &view))
		return EXIT_FASTPATH_NONE;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	vcpu->exit_reason = VMEXIT_NPF;
	svm_entered(vmcb);
	svm_take_v_tpr(svm);
	fastpath = fastpath_mmio(vcpu, &exit, VMEXIT_NPF, &view, exit.info2, (exit.info1 & PF_WRITE) != 0);
	if (fastpath == EXIT_FASTPATH_NONE)
		return EXIT_FASTPATH_NONE;
	vmcb->save.rflags &= ~(u64)RFLAGS_RF;
	return access_ends(svm, vmcb, fastpath);
}

static __always_inline enum exit_fastpath msr_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb, bool write)
{
	struct vcpu *vcpu = &svm->vcpu;
	struct access_exit exit = { .info1 = vmcb->control.exit_info1, .info2 = vmcb->control.exit_info2 };

	exit.next_rip = likely(svm_features.nrip_save) ? vmcb->control.next_rip : svm_unprefixed_next_rip(svm);
	if (unlikely(!access_begins(svm, VMEXIT_MSR, &exit)))
		return EXIT_FASTPATH_NONE;
	vcpu->regs[REG_RAX] = vmcb->save.rax;
	svm_entered(vmcb);
	svm_take_v_tpr(svm);
	vmcb->control.int_state &= ~INT_SHADOW;
	return access_ends(svm, vmcb, fastpath_msr(vcpu, &exit, write));
}

static __noinline enum exit_fastpath rdmsr_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	return msr_in_stub(svm, vmcb, false);
}

static __noinline enum exit_fastpath wrmsr_in_stub(struct vcpu_svm *svm, struct vmcb *vmcb)
{
	return msr_in_stub(svm, vmcb, true);
}

/*
 * Called by the entry stub for IN, OUT, MMIO, RDMSR and WRMSR as svm_exit_in_stub() for others, but before the guest's
 * registers are saved that C functions keep. EXIT_FASTPATH_NONE: it is to save them and call that.
 */
enum exit_fastpath svm_access_in_stub(struct vcpu_svm *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	u64 code = vmcb->control.exit_code;

	if (code == VMEXIT_MSR)
		return vmcb->control.exit_info1 & 1 ? wrmsr_in_stub(svm, vmcb) : rdmsr_in_stub(svm, vmcb);
	if (code == VMEXIT_NPF)
		return npf_in_stub(svm, vmcb);
	return vmcb->control.exit_info1 & IOIO_IN ? in_in_stub(svm, vmcb) : out_in_stub(svm, vmcb);
}

/*
 * Called by the entry stub, with the host's state loaded, GIF set and interrupts off. Leaves exceptions,
 * NMI, SMI, INIT and failed entries to svm_vcpu_run().
 */
enum exit_fastpath svm_exit_in_stub(struct vcpu_svm *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	u64 code = vmcb->control.exit_code;

	if (code - VMEXIT_EXCEPTION <= VMEXIT_INIT - VMEXIT_EXCEPTION && code != VMEXIT_INTR)
		return EXIT_FASTPATH_NONE;
	return handler_in_stub(svm, vmcb, code);
}

enum exit_fastpath svm_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control *control = &svm->vmcb->control;
	enum exit_fastpath fastpath;

	store_guest_state(svm, svm->vmcb);
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

	svm_take_v_tpr(svm);
	if (fastpath == EXIT_FASTPATH_EXIT_HANDLED)
		return EXIT_FASTPATH_EXIT_HANDLED;
	if (unlikely(svm_exit_invalid(control->exit_code)))
		return entry_failed(svm);
	take_snapshot(svm, svm->vmcb, control->exit_code, svm_exit_index(control->exit_code));
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);

	/* The interrupt is still pending: the host's interrupt window, which comes next, serves it. */
	if (control->exit_code == VMEXIT_INTR) {
		interrupted(vcpu);
		return EXIT_FASTPATH_EXIT_HANDLED;
	}
	/* Read the machine-check banks before anything changes them. */
	if (unlikely(control->exit_code == VMEXIT_EXCEPTION + X86_MC))
		exit_machine_check(vcpu, true);
	return EXIT_FASTPATH_NONE;
}
