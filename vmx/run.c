/* SPDX-License-Identifier: MIT */
/* One entry and one exit under VMX. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"
#include "core/fastpath.h"
#include "core/force_exit.h"
#include "core/observe/trace_record.h"
#include "core/vtimer.h"
#include "vmx/vmx.h"

/* Index into vcpu->timer_exits. */
enum timer_outcome { TIMER_SOFT_DISABLED, TIMER_FORCED, TIMER_EXPIRED, TIMER_SPURIOUS };

/* --- forced exits and deadlines --- */

static __always_inline void set_time_limit(struct vcpu *vcpu, bool force_immediate_exit)
{
	if (vmx_has_preemption_timer()) {
		u64 now = tsc_now();

		vmcs_write32(PREEMPTION_TIMER_VALUE,
			     unlikely(force_immediate_exit) ? 0 : vmx_timer_value(vcpu->timer_deadline, now));
		vmx_timer_is_set(to_vmx(vcpu), now);
		if (unlikely(force_immediate_exit))
			to_vmx(vcpu)->timer_stale_at = 0;
	} else if (force_immediate_exit)
		force_exit_by_self_ipi(vcpu);
}

/* While L2 runs, an expired timer may have to become an exit to L1: not here. */
static __noinline enum exit_fastpath timer_exit(struct vcpu *vcpu, bool forced, bool nested)
{
	if (forced) {
		vcpu->timer_exits[TIMER_FORCED]++;
		return EXIT_FASTPATH_EXIT_HANDLED;
	}
	if (vcpu->timer_deadline == VTIMER_NEVER) {
		vcpu->timer_exits[TIMER_SOFT_DISABLED]++;
		return EXIT_FASTPATH_REENTER_GUEST;
	}
	if (nested)
		return EXIT_FASTPATH_NONE;
	if (vcpu->timer_deadline > vcpu->exit_tsc) {
		vcpu->timer_exits[TIMER_SPURIOUS]++;
		return EXIT_FASTPATH_REENTER_GUEST;
	}
	vcpu->timer_exits[TIMER_EXPIRED]++;
	vtimer_run_expired(vcpu, vcpu->exit_tsc);
	return EXIT_FASTPATH_REENTER_GUEST;
}

/* --- entry --- */

void vmx_store_dirty_regs(struct vcpu *vcpu)
{
	if (likely(!vcpu->regs_dirty))
		return;
	if (vcpu->regs_dirty & BIT(REG_RSP))
		vmcs_writen(GUEST_RSP, vcpu->regs[REG_RSP]);
	if (vcpu->regs_dirty & BIT(REG_RIP))
		vmcs_writen(GUEST_RIP, vcpu->regs[REG_RIP]);
	if (vcpu->regs_dirty & BIT(REG_RFLAGS))
		vmcs_writen(GUEST_RFLAGS, vcpu->regs[REG_RFLAGS]);
	vcpu->regs_dirty = 0;
}

/* --- exit --- */

/* VMfail: no exit reason was written, so the field still holds an earlier exit's. */
static enum exit_fastpath instruction_refused(struct vcpu *vcpu)
{
	vcpu->exit_tsc = tsc_now();
	vcpu->exit_reason = 0;
	vcpu->exit_rip = vcpu->regs[REG_RIP];
	vcpu->failure = (struct failure_record){ .kind = ENTRY_VMFAIL_INVALID };
	if (to_vmx(vcpu)->vmfail_valid) {
		/* There is a VMCS, and the fast path may have moved its RIP since the last exit that came here. */
		vcpu->exit_rip = vcpu->regs[REG_RIP] = vmcs_readn(GUEST_RIP);
		vcpu->failure.kind = ENTRY_VMFAIL_VALID;
		vcpu->failure.instruction_error = vmcs_read32(INSTRUCTION_ERROR);
	}
	return EXIT_FASTPATH_ENTRY_FAILED;
}

/* SDM, "VM-Entry Failures During or After Loading Guest State" */
static enum exit_fastpath entry_failed(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	vcpu->failure = (struct failure_record){
		.kind = ENTRY_UNKNOWN,
		.reason = reason.full,
		.qualification = to_vmx(vcpu)->qualification,
	};
	if (reason.basic == EXIT_REASON_INVALID_GUEST_STATE)
		vcpu->failure.kind = ENTRY_INVALID_STATE;
	else if (reason.basic == EXIT_REASON_MSR_LOADING)
		vcpu->failure.kind = ENTRY_MSR_LOADING;
	else if (reason.basic == EXIT_REASON_MACHINE_CHECK)
		vcpu->failure.kind = ENTRY_MACHINE_CHECK;
	return EXIT_FASTPATH_ENTRY_FAILED;
}

/*
 * Snapshot first, so that no handler changes what is recorded of this exit. vmx_exit_fastpath() has
 * recorded reason and time. The interruption fields are valid only after an exception or NMI; after a
 * failed entry only the qualification is.
 */
static __always_inline void take_snapshot(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct trace_record *record;

	vmx_exit_reason_assert_layout();
	vcpu->exit_index = reason.basic < EXIT_KINDS ? (u8)reason.basic : EXIT_KINDS - 1;
	vcpu->exit_rip = vmcs_readn(GUEST_RIP);
	vcpu->regs[REG_RIP] = vcpu->exit_rip;
	vcpu->regs_available = BIT(REG_RIP);
	vmx->qualification = vmcs_readn(EXIT_QUALIFICATION);
	vmx->vectoring_info = reason.failed_entry ? 0 : vmcs_read32(IDT_VECTORING_INFO);

	record = trace_exit(vcpu, vcpu->exit_tsc, vcpu->exit_index, reason.full, vcpu->exit_rip);
	record->info1 = vmx->qualification;
	record->info2 = vmx->vectoring_info;
	record->intr_info = record->error_code = 0;
	if (unlikely(reason.basic == EXIT_REASON_EXCEPTION_OR_NMI)) {
		record->intr_info = vmcs_read32(EXIT_INTERRUPTION_INFO);
		if (record->intr_info & INTERRUPTION_ERROR_CODE)
			record->error_code = vmcs_read32(EXIT_INTERRUPTION_ERROR);
	}
}

/*
 * Of basic reasons below 64 those that can come while an event is delivered through the IDT: others leave no
 * IDT-vectoring information, which need not be read then. Those of an instruction come before anything that it
 * delivers. SDM, "Information for VM Exits During Event Delivery".
 */
#define DURING_DELIVERY (BIT_ULL(EXIT_REASON_TRIPLE_FAULT) | BIT_ULL(EXIT_REASON_TASK_SWITCH) |		\
			 BIT_ULL(EXIT_REASON_APIC_ACCESS) | BIT_ULL(EXIT_REASON_EPT_VIOLATION) |		\
			 BIT_ULL(EXIT_REASON_EPT_MISCONFIGURATION) | BIT_ULL(EXIT_REASON_APIC_WRITE) |		\
			 BIT_ULL(EXIT_REASON_PML_FULL))

/*
 * The same for the exits that vmx_exit_in_stub() handles, whose reason is nothing but a basic one. Values go from
 * register to register, since the compiler has to read again what is in memory.
 */
static __always_inline void take_snapshot_in_stub(struct vcpu_vmx *vmx, u32 reason)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u64 rip = vmread_sure(GUEST_RIP.encoding), qualification = vmread_sure(EXIT_QUALIFICATION.encoding);
	u32 vectoring = 0;
	struct trace_record *record;

	if (reason >= 64 || (DURING_DELIVERY >> reason & 1))
		vectoring = (u32)vmread_sure(IDT_VECTORING_INFO.encoding);
	record = trace_exit(vcpu, vcpu->exit_tsc, (u8)reason, reason, rip);
	record->info1 = qualification;
	record->info2 = vectoring;
	record->intr_info = record->error_code = 0;
	vcpu->exit_index = (u8)reason;
	vcpu->exit_rip = vcpu->regs[REG_RIP] = rip;
	vcpu->regs_available = BIT(REG_RIP);
	vmx->qualification = qualification;
	vmx->vectoring_info = vectoring;
}

/* Host events: serve them while NMIs are still blocked and the machine-check banks are untouched. */
static void serve_host_exception(struct vcpu *vcpu)
{
	u32 info = vmcs_read32(EXIT_INTERRUPTION_INFO);

	if (INTERRUPTION_TYPE(info) == INTERRUPTION_NMI)
		vmx_host_nmi();
	else if ((info & INTERRUPTION_VECTOR) == X86_MC)
		exit_machine_check(vcpu, true);
}

/* In the stub alone: vmx_vcpu_run() finishes these exits itself. */
void vmx_handle_interruption(struct vcpu *vcpu)
{
	if (vcpu->exit_index == EXIT_REASON_PREEMPTION_TIMER)
		timer_exit(vcpu, vcpu_requested(vcpu), false);
	irq_window();
}

/* A host interrupt, or the preemption timer: of a forced exit, if a request is pending. */
static inline bool is_interruption(const struct vcpu *vcpu, u32 reason)
{
	return (reason == EXIT_REASON_EXTERNAL_INTERRUPT || reason == EXIT_REASON_PREEMPTION_TIMER) &&
	       fastpath_interrupted(vcpu, (u8)reason);
}

/*
 * Exits that a handler of vmx_handlers[] finishes. vmx_vcpu_run() gets exceptions, NMIs, failed entries, and reasons with
 * any modifier bit set.
 */
enum exit_fastpath vmx_exit_in_stub(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 reason = (u32)vcpu->exit_reason;
	const union vmx_exit_reason full = { .full = reason };
	enum exit_fastpath fastpath;

	if (reason == EXIT_REASON_EXCEPTION_OR_NMI || reason >= VMX_HANDLERS || !vmx_handlers[reason] ||
	    (!fastpath_begins(vcpu, (u8)reason) && !is_interruption(vcpu, reason)))
		return EXIT_FASTPATH_NONE;
	vmx->vmcs.launched = true;
	take_snapshot_in_stub(vmx, reason);
	vmx_events_after_exit(vcpu, full);
	vcpu->events.injected.type = EVENT_NONE;
	vmx_handlers[reason](vcpu);
	fastpath = fastpath_ends(vcpu);
	if (likely(fastpath == EXIT_FASTPATH_REENTER_GUEST)) {
		if (unlikely(vcpu->regs_dirty))
			vmx_store_dirty_regs(vcpu);
		vmx_keep_timer(vmx, vcpu->entry_tsc);
	}
	return fastpath;
}

static __always_inline enum exit_fastpath run(struct vcpu *vcpu, bool force_immediate_exit, bool nested)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	union vmx_exit_reason reason;
	enum exit_fastpath fastpath;

	vmx_store_dirty_regs(vcpu);
	set_time_limit(vcpu, force_immediate_exit);
	trace_entry(vcpu, force_immediate_exit);

	fastpath = vmx_vmenter(vmx, vmx->vmcs.launched);
	/* The handler of VMLAUNCH has made another VMCS current: what was entered is marked as launched in the stub. */
	if (fastpath == EXIT_FASTPATH_EXIT_HANDLED)
		return EXIT_FASTPATH_EXIT_HANDLED;
	if (unlikely(fastpath != EXIT_FASTPATH_NONE))
		return instruction_refused(vcpu);

	reason.full = (u32)vcpu->exit_reason;
	take_snapshot(vcpu, reason);
	/* A machine check during entry always has bit 31 set: look for it before the failed entry. */
	if (unlikely(reason.basic == EXIT_REASON_MACHINE_CHECK))
		exit_machine_check(vcpu, false);
	if (unlikely(reason.failed_entry))
		return entry_failed(vcpu, reason);

	vmx->vmcs.launched = true;
	vcpu->events.injected.type = EVENT_NONE;
	vmx_events_after_exit(vcpu, reason);

	switch (reason.basic) {
	case EXIT_REASON_PREEMPTION_TIMER:
		return timer_exit(vcpu, force_immediate_exit, nested);
	case EXIT_REASON_EXCEPTION_OR_NMI:
		serve_host_exception(vcpu);
		return EXIT_FASTPATH_NONE;
	case EXIT_REASON_EXTERNAL_INTERRUPT:
		/* Not acknowledged by the exit, so still pending: the loop's interrupt window, which is next, serves it. */
		return EXIT_FASTPATH_EXIT_HANDLED;
	default:
		return EXIT_FASTPATH_NONE;
	}
}

enum exit_fastpath vmx_vcpu_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	return run(vcpu, force_immediate_exit, false);
}

/* Every exit comes here, since the stub handles none while L2 runs. */
enum exit_fastpath vmx_l2_run(struct vcpu *vcpu, bool force_immediate_exit)
{
	return run(vcpu, force_immediate_exit, true);
}
