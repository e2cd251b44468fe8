/* SPDX-License-Identifier: MIT */
/* The fast path of exits under VMX: see core/fastpath.h. */
#include "core/fastpath.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/emulate/mmio_stub.h"
#include "core/emulate/string_fast.h"
#include "core/exit.h"
#include "core/vtimer.h"
#include "vmx/vmx.h"

/*
 * Unchecked access to the current VMCS: only for fields that every VMCS has. Use vmcs_read32() and the
 * other accessors for all other fields.
 */
#define READ(field)	   vmread_sure((field).encoding)
#define WRITE(field, value) vmwrite_sure((field).encoding, value)

/*
 * Does stepping over the instruction change only RIP? Not while single-stepping, with RF to clear, or
 * with an STI or MOV SS shadow to end.
 */
static inline bool only_rip_changes(void)
{
	return likely(!(READ(GUEST_RFLAGS) & (RFLAGS_TF | RFLAGS_RF))) &&
	       likely(!(READ(GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)));
}

/* RIP after the instruction. False: it crosses 4 GiB, and the guest's mode may wrap it. */
static inline bool next_rip(u64 rip, u64 *next)
{
	u32 length = (u32)READ(EXIT_INSTRUCTION_LENGTH);

	*next = rip + length;
	return likely((u32)*next >= length);
}

/* Leave the exit to vmx_exit_in_stub(). */
static enum exit_fastpath not_handled(struct vcpu *vcpu, u32 reason, u64 tsc)
{
	vcpu->exit_reason = reason;
	vcpu->exit_tsc = tsc;
	return EXIT_FASTPATH_NONE;
}

static __always_inline struct trace_record *skip_and_account(struct vcpu_vmx *vmx, u32 reason, u64 tsc, enum trace_kind kind,
							     struct exit_statistics *statistics, u64 rip, u64 next)
{
	WRITE(GUEST_RIP, next);
	return fastpath_done(&vmx->vcpu, statistics, kind, (u8)reason, tsc, rip, next);
}

static __noinline enum exit_fastpath reenter_with_new_timer(struct vcpu_vmx *vmx, u64 tsc)
{
	vmx_set_timer(vmx, tsc);
	return EXIT_FASTPATH_REENTER_GUEST;
}

/* The last that each does: so it needs no register that it would have to save. */
static __always_inline enum exit_fastpath reenter(struct vcpu_vmx *vmx, u64 tsc)
{
	return likely(tsc < vmx->timer_stale_at) ? EXIT_FASTPATH_REENTER_GUEST : reenter_with_new_timer(vmx, tsc);
}

/* A result of CPUID that was asked for before; NULL: none that holds. The read shadow has CR4.OSXSAVE, the host's bit. */
static __always_inline const struct cpuid_regs *cpuid_again(const struct vcpu *vcpu)
{
	const struct cpuid_slot *slot = cpuid_slot(vcpu->cpuid, (u32)vcpu->regs[REG_RAX], (u32)vcpu->regs[REG_RCX]);

	if (unlikely(!slot) ||
	    (slot->dependence == CPUID_ON_OSXSAVE && unlikely((READ(CR4_READ_SHADOW) & CR4_OSXSAVE) != slot->state)) ||
	    (slot->dependence == CPUID_ON_XCR0 && unlikely(xgetbv0() != slot->state)))
		return NULL;
	return &slot->regs;
}

static __always_inline enum exit_fastpath fastpath_cpuid(struct vcpu_vmx *vmx, u64 tsc, const struct cpuid_regs *result)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_CPUID];
	u64 rip, next;

	rip = READ(GUEST_RIP);
	if (unlikely(!statistics || !next_rip(rip, &next) || !vcpu_nothing_pending(vcpu) || !only_rip_changes()))
		return not_handled(vcpu, EXIT_REASON_CPUID, tsc);
	vcpu->regs[REG_RAX] = fastpath_cpuid_result(vcpu, result);
	skip_and_account(vmx, EXIT_REASON_CPUID, tsc, TRACE_FASTPATH, statistics, rip, next);
	return reenter(vmx, tsc);
}

static __noinline enum exit_fastpath fastpath_cpuid_again(struct vcpu_vmx *vmx, u64 tsc)
{
	const struct cpuid_regs *result = cpuid_again(&vmx->vcpu);

	return likely(result) ? fastpath_cpuid(vmx, tsc, result) : not_handled(&vmx->vcpu, EXIT_REASON_CPUID, tsc);
}

static __noinline enum exit_fastpath fastpath_cpuid_constant(struct vcpu_vmx *vmx, u64 tsc)
{
	const struct cpuid_regs *result = cpuid_constant(vmx->vcpu.cpuid, (u32)vmx->vcpu.regs[REG_RAX]);

	return result ? fastpath_cpuid(vmx, tsc, result) : fastpath_cpuid_again(vmx, tsc);
}

/* The exit that needs a device, or the handler of an MSR. False: vmx_exit_in_stub() has it. */
static __always_inline bool access_begins(struct vcpu_vmx *vmx, u8 reason, struct access_exit *exit)
{
	exit->index = reason;
	exit->info2 = 0;
	exit->rip = READ(GUEST_RIP);
	/* Without virtual NMIs each exit has to look whether an NMI's handler still runs. */
	return likely(next_rip(exit->rip, &exit->next_rip) && only_rip_changes()) && likely(vmx_has_virtual_nmis()) &&
	       fastpath_begins(&vmx->vcpu, reason);
}

static __always_inline enum exit_fastpath access_ends(struct vcpu_vmx *vmx, enum exit_fastpath fastpath)
{
	WRITE(GUEST_RIP, vmx->vcpu.regs[REG_RIP]);
	if (likely(fastpath == EXIT_FASTPATH_REENTER_GUEST))
		vmx_keep_timer(vmx, vmx->vcpu.entry_tsc);
	else
		vmx->vmcs.launched = true;
	return fastpath;
}

/* The modes of nearly all code that uses devices. False: another one. */
static __always_inline bool usual_code(const struct vcpu_vmx *vmx, struct code_view *view)
{
	u32 rights = (u32)READ(guest_access_rights(SEG_CS));

	if (vmx->vmcs.efer & EFER_LMA) {
		*view = (struct code_view){ .mode = INSN_MODE_64, .paging = CODE_4_LEVEL, .cr3 = READ(GUEST_CR3) };
		return (rights & ACCESS_RIGHTS_L) &&
		       !((vmx->vcpu.cr4_allowed & CR4_LA57) && (READ(GUEST_CR4) & CR4_LA57));
	}
	*view = (struct code_view){ .mode = INSN_MODE_32, .paging = CODE_UNPAGED, .cs_base = READ(guest_base(SEG_CS)) };
	return (rights & ACCESS_RIGHTS_DB) && !(READ(GUEST_CR0) & CR0_PG);
}

/* INSB and OUTSB. */
static __noinline enum exit_fastpath fastpath_string_io(struct vcpu_vmx *vmx, u64 qualification)
{
	enum exit_fastpath fastpath;
	struct access_exit exit;
	struct string_exit string;

	exit.info1 = qualification;
	if (unlikely(IO_SIZE(qualification) != 1 || (READ(GUEST_DR7) & DR7_ENABLED) || (READ(GUEST_RFLAGS) & RFLAGS_DF) ||
		     !access_begins(vmx, EXIT_REASON_IO, &exit) || !usual_code(vmx, &string.view)))
		return EXIT_FASTPATH_NONE;
	string.port = IO_PORT(qualification);
	string.in = qualification & IO_IN;
	string.rep = qualification & IO_REP;
	string.no_execute = vmx->vmcs.efer & EFER_NXE;
	string.user = ACCESS_RIGHTS_DPL((u32)READ(guest_access_rights(SEG_SS))) == 3;
	fastpath = fastpath_string(&vmx->vcpu, &exit, &string);
	return fastpath == EXIT_FASTPATH_NONE ? fastpath : access_ends(vmx, fastpath);
}

static __always_inline enum exit_fastpath fastpath_io(struct vcpu_vmx *vmx, u64 qualification, bool in)
{
	struct access_exit exit = { .info1 = qualification };

	if (unlikely(qualification & IO_STRING))
		return fastpath_string_io(vmx, qualification);
	if (unlikely((READ(GUEST_DR7) & DR7_ENABLED) || !access_begins(vmx, EXIT_REASON_IO, &exit)))
		return EXIT_FASTPATH_NONE;
	return access_ends(vmx, fastpath_port(&vmx->vcpu, &exit, IO_PORT(qualification), IO_SIZE(qualification), in));
}

static __noinline enum exit_fastpath fastpath_in(struct vcpu_vmx *vmx, u64 qualification)
{
	return fastpath_io(vmx, qualification, true);
}

static __noinline enum exit_fastpath fastpath_out(struct vcpu_vmx *vmx, u64 qualification)
{
	return fastpath_io(vmx, qualification, false);
}

static enum exit_fastpath fastpath_ept_violation(struct vcpu_vmx *vmx, u64 qualification);

/* An instruction that is carried out ends the shadow, before an interrupt that it has caused is injected. */
static __noinline enum exit_fastpath ept_violation_in_shadow(struct vcpu_vmx *vmx, u64 qualification)
{
	u64 state = READ(GUEST_INTERRUPTIBILITY);
	enum exit_fastpath fastpath;

	WRITE(GUEST_INTERRUPTIBILITY, state & ~(u64)(INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
	fastpath = fastpath_ept_violation(vmx, qualification);
	if (fastpath == EXIT_FASTPATH_NONE)
		WRITE(GUEST_INTERRUPTIBILITY, state);
	return fastpath;
}

/* An access by an instruction: not by a walk of the guest's tables, or by the delivery of an event. */
static __noinline enum exit_fastpath fastpath_ept_violation(struct vcpu_vmx *vmx, u64 qualification)
{
	const u64 access = EPT_VIOLATION_LINEAR_VALID | EPT_VIOLATION_TRANSLATED;
	struct access_exit exit = { .index = EXIT_REASON_EPT_VIOLATION, .info1 = qualification };
	struct vcpu *vcpu = &vmx->vcpu;
	u64 gpa = READ(GUEST_PHYSICAL_ADDRESS), rflags = READ(GUEST_RFLAGS);
	enum exit_fastpath fastpath;
	struct code_view view;

	if (unlikely((qualification & (access | EPT_VIOLATION_FETCH)) != access) || !mmio_is_possible(vcpu->vm, gpa) ||
	    unlikely((READ(IDT_VECTORING_INFO) & INTERRUPTION_VALID) || (READ(GUEST_DR7) & DR7_ENABLED)) ||
	    unlikely((rflags & RFLAGS_TF) || !vmx_has_virtual_nmis()) ||
	    unlikely(!fastpath_begins(vcpu, EXIT_REASON_EPT_VIOLATION) || !usual_code(vmx, &view)))
		return EXIT_FASTPATH_NONE;
	if (unlikely(READ(GUEST_INTERRUPTIBILITY) & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS)))
		return ept_violation_in_shadow(vmx, qualification);
	exit.rip = READ(GUEST_RIP);
	fastpath = fastpath_mmio(vcpu, &exit, EXIT_REASON_EPT_VIOLATION, &view, gpa, (qualification & EPT_VIOLATION_WRITE) != 0);
	if (fastpath == EXIT_FASTPATH_NONE)
		return EXIT_FASTPATH_NONE;
	/* Fault-like exits save RF as 1; an instruction that is over has cleared it. */
	if (rflags & RFLAGS_RF)
		WRITE(GUEST_RFLAGS, rflags & ~RFLAGS_RF);
	return access_ends(vmx, fastpath);
}

static __always_inline enum exit_fastpath fastpath_msr_exit(struct vcpu_vmx *vmx, u8 reason)
{
	struct access_exit exit = { .info1 = 0 };

	if (unlikely(!access_begins(vmx, reason, &exit)))
		return EXIT_FASTPATH_NONE;
	return access_ends(vmx, fastpath_msr(&vmx->vcpu, &exit, reason == EXIT_REASON_WRMSR));
}

static __noinline enum exit_fastpath fastpath_other_rdmsr(struct vcpu_vmx *vmx)
{
	return fastpath_msr_exit(vmx, EXIT_REASON_RDMSR);
}

static __noinline enum exit_fastpath fastpath_wrmsr(struct vcpu_vmx *vmx)
{
	return fastpath_msr_exit(vmx, EXIT_REASON_WRMSR);
}

static __noinline enum exit_fastpath fastpath_rdmsr(struct vcpu_vmx *vmx, u64 tsc)
{
	struct vcpu *vcpu = &vmx->vcpu;
	u32 msr = (u32)vcpu->regs[REG_RCX];
	const u64 *place = msr_shortcut(vcpu->msrs, msr);
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_RDMSR];
	u64 rip, next, value;

	if (!place) {
		not_handled(vcpu, EXIT_REASON_RDMSR, tsc);
		return fastpath_other_rdmsr(vmx);
	}
	rip = READ(GUEST_RIP);
	if (unlikely(!statistics || !next_rip(rip, &next) || !vcpu_nothing_pending(vcpu) || !only_rip_changes()))
		return not_handled(vcpu, EXIT_REASON_RDMSR, tsc);
	value = *place;
	vcpu_set_edx_eax(vcpu, value);
	fastpath_trace_rdmsr(skip_and_account(vmx, EXIT_REASON_RDMSR, tsc, TRACE_FASTPATH_RDMSR, statistics, rip, next),
			     msr, value);
	return reenter(vmx, tsc);
}

static __noinline enum exit_fastpath fastpath_hypercall(struct vcpu_vmx *vmx, u64 tsc)
{
	struct vcpu *vcpu = &vmx->vcpu;
	struct exit_statistics *statistics = vcpu->statistics.by_kind[EXIT_REASON_VMCALL];
	u64 rip = READ(GUEST_RIP), next;

	if (unlikely(!statistics || !next_rip(rip, &next) || !vcpu_nothing_pending(vcpu) || !only_rip_changes() ||
		     hypercall_may_be_known(vcpu->regs[REG_RAX]) ||
		     !hypervisor_is_paravirtual(vcpu->vm->config->hypervisor)))
		return not_handled(vcpu, EXIT_REASON_VMCALL, tsc);
	vcpu->regs[REG_RAX] = HYPERCALL_UNKNOWN;
	skip_and_account(vmx, EXIT_REASON_VMCALL, tsc, TRACE_FASTPATH, statistics, rip, next);
	return reenter(vmx, tsc);
}

/*
 * Called by the entry stub: handles what needs only the vCPU. Of other exits it records reason and time, for
 * vmx_exit_in_stub(). The full reason is compared, so a failed entry or a modifier bit never matches.
 */
enum exit_fastpath vmx_exit_fastpath(struct vcpu_vmx *vmx)
{
	u32 reason = (u32)READ(EXIT_REASON);
	u64 tsc = tsc_now(), qualification;

	if (reason == EXIT_REASON_CPUID)
		return fastpath_cpuid_constant(vmx, tsc);
	if (reason == EXIT_REASON_VMCALL)
		return fastpath_hypercall(vmx, tsc);
	if (reason == EXIT_REASON_RDMSR)
		return fastpath_rdmsr(vmx, tsc);
	not_handled(&vmx->vcpu, reason, tsc);
	if (reason == EXIT_REASON_IO) {
		qualification = READ(EXIT_QUALIFICATION);
		return qualification & IO_IN ? fastpath_in(vmx, qualification) : fastpath_out(vmx, qualification);
	}
	if (reason == EXIT_REASON_WRMSR)
		return fastpath_wrmsr(vmx);
	return reason == EXIT_REASON_EPT_VIOLATION ? fastpath_ept_violation(vmx, READ(EXIT_QUALIFICATION)) : EXIT_FASTPATH_NONE;
}
