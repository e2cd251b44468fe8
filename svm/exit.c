/* SPDX-License-Identifier: MIT */
/* Exits under SVM: decoded for the handlers of both vendors. AMD APM vol. 2, "SVM Intercept Exit Codes". */
#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "svm/length.h"
#include "svm/nested/nested.h"
#include "svm/svm.h"

static const struct vmcb_control *control_of(struct vcpu *vcpu)
{
	return &to_svm(vcpu)->vmcb->control;
}

/* Nothing to do: NMI and SMI are taken when the entry stub sets GIF, and svm_vcpu_run() has handled #MC. */
static void handle_host_event(struct vcpu *vcpu __maybe_unused)
{
}

/* The INIT stays pending after the exit: VM_CR.R_INIT has made it an #SX as soon as GIF was set. See svm/enable.c. */
static void handle_init(struct vcpu *vcpu)
{
	if (vm_once(vcpu->vm, ONCE_OTHER, VMEXIT_INIT))
		vm_warn(vcpu->vm, "an INIT signal reached the processor: ignored");
}

static void handle_alignment_check(struct vcpu *vcpu)
{
	event_raise_error(vcpu, X86_AC, 0);
}

/* The processor waits for the interrupt: a shadow of the instruction before must not hold it back for ever. */
static void handle_fpu_error(struct vcpu *vcpu)
{
	to_svm(vcpu)->vmcb->control.int_state &= ~INT_SHADOW;
	exit_fpu_error(vcpu);
}

/* Intercepted because the #DB that it raises would exit with RIP at the instruction instead of behind it. */
static void handle_icebp(struct vcpu *vcpu)
{
	if (!vcpu->ops->skip_instruction(vcpu))
		event_raise(vcpu, X86_DB);
}

static __noinline void handle_io_string(struct vcpu *vcpu, u32 info)
{
	const struct io_exit io = {
		.port = IOIO_PORT(info),
		.size = IOIO_SIZE(info),
		.in = info & IOIO_IN,
		.rep = info & IOIO_REP,
	};

	emulate_string_io(vcpu, &io);
}

static void handle_io(struct vcpu *vcpu)
{
	u32 info = (u32)control_of(vcpu)->exit_info1;

	if (unlikely(info & IOIO_STRING))
		handle_io_string(vcpu, info);
	else if (unlikely(to_svm(vcpu)->vmcb->save.dr7 & DR7_ENABLED))
		exit_io_watched(vcpu, IOIO_PORT(info), IOIO_SIZE(info), info & IOIO_IN);
	else
		exit_io(vcpu, IOIO_PORT(info), IOIO_SIZE(info), info & IOIO_IN);
}

static void handle_msr(struct vcpu *vcpu)
{
	if (control_of(vcpu)->exit_info1 & 1)
		exit_wrmsr(vcpu);
	else
		exit_rdmsr(vcpu);
}

static void handle_npf(struct vcpu *vcpu)
{
	u64 info = control_of(vcpu)->exit_info1;
	const struct tdp_fault fault = {
		.gpa = control_of(vcpu)->exit_info2,
		.access = info & PF_FETCH ? TDP_FETCH : info & PF_WRITE ? TDP_WRITE : TDP_READ,
		.walk = info & NPF_GUEST_WALK,
		.watched = to_svm(vcpu)->vmcb->save.dr7 & DR7_ENABLED,
		.what = "nested page fault",
	};

	exit_tdp_fault(vcpu, &fault);
}

static void handle_cr(struct vcpu *vcpu)
{
	u64 code = control_of(vcpu)->exit_code, info = control_of(vcpu)->exit_info1;
	unsigned cr = code == VMEXIT_CR0_SEL_WRITE ? 0 : code & 15;
	int reg;

	if (svm_features.decode_assists && (info & CR_MOV) && code != VMEXIT_CR0_SEL_WRITE)
		reg = CR_REGISTER(info);
	else
		reg = svm_unprefixed_mov_cr(to_svm(vcpu), cr);
	if (reg < 0)
		exit_cr_decode(vcpu);
	else if (code < VMEXIT_CR_WRITE)
		exit_mov_from_cr(vcpu, cr, (unsigned)reg);
	else
		exit_mov_to_cr(vcpu, cr, (unsigned)reg);
}

/* By vcpu->exit_index. The names have a table of their own, as in vmx/exit.c: the exit path reads no names. */
void (*const svm_handlers[SVM_EXITS])(struct vcpu *vcpu) = {
	[VMEXIT_CR_WRITE + 0] = handle_cr,
	[VMEXIT_CR_WRITE + 3] = handle_cr,
	[VMEXIT_CR_WRITE + 4] = handle_cr,
	[VMEXIT_CR_WRITE + 8] = handle_cr,
	[VMEXIT_CR0_SEL_WRITE] = handle_cr,
	[VMEXIT_CR_READ + 0] = handle_cr,
	[VMEXIT_CR_READ + 3] = handle_cr,
	[VMEXIT_CR_READ + 4] = handle_cr,
	[VMEXIT_CR_READ + 8] = handle_cr,
	[VMEXIT_EXCEPTION + X86_DE] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_DB] = svm_handle_debug,
	[VMEXIT_EXCEPTION + X86_BR] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_UD] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_NM] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_TS] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_NP] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_SS] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_GP] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_PF] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_MF] = svm_handle_fault,
	[VMEXIT_EXCEPTION + X86_AC] = handle_alignment_check,
	[VMEXIT_EXCEPTION + X86_MC] = handle_host_event,
	[VMEXIT_EXCEPTION + X86_XM] = svm_handle_fault,
	[VMEXIT_INTR] = svm_handle_intr,
	[VMEXIT_NMI] = handle_host_event,
	[VMEXIT_SMI] = handle_host_event,
	[VMEXIT_INIT] = handle_init,
	[VMEXIT_VINTR] = svm_handle_vintr,
	[VMEXIT_RDPMC] = exit_rdpmc,
	[VMEXIT_CPUID] = exit_cpuid,
	[VMEXIT_IRET] = svm_handle_iret,
	[VMEXIT_INVD] = exit_wbinvd,
	[VMEXIT_PAUSE] = exit_pause,
	[VMEXIT_HLT] = exit_hlt,
	[VMEXIT_INVLPGA] = nsvm_handle_invlpga,
	[VMEXIT_IOIO] = handle_io,
	[VMEXIT_MSR] = handle_msr,
	[VMEXIT_TASK_SWITCH] = svm_handle_task_switch,
	[VMEXIT_FERR_FREEZE] = handle_fpu_error,
	[VMEXIT_SHUTDOWN] = exit_triple_fault,
	[VMEXIT_VMRUN] = nsvm_handle_vmrun,
	[VMEXIT_VMMCALL] = exit_vmcall,
	[VMEXIT_VMLOAD] = nsvm_handle_vmload,
	[VMEXIT_VMSAVE] = nsvm_handle_vmsave,
	[VMEXIT_STGI] = nsvm_handle_stgi,
	[VMEXIT_CLGI] = nsvm_handle_clgi,
	[VMEXIT_SKINIT] = exit_invalid_opcode,
	[VMEXIT_ICEBP] = handle_icebp,
	[VMEXIT_WBINVD] = exit_wbinvd,
	[VMEXIT_MONITOR] = exit_invalid_opcode,
	[VMEXIT_MWAIT] = exit_invalid_opcode,
	[VMEXIT_MWAIT_ARMED] = exit_invalid_opcode,
	[VMEXIT_XSETBV] = exit_xsetbv,
	[VMEXIT_RDPRU] = exit_invalid_opcode,
	[SVM_INDEX_NPF] = handle_npf,
};

/* Of L2's exits there are more: L1 has its own intercepts. */
static const char *const names[SVM_EXITS] = {
	[VMEXIT_CR_READ + 0] = "CR0 read",
	[VMEXIT_CR_READ + 2] = "CR2 read",
	[VMEXIT_CR_READ + 3] = "CR3 read",
	[VMEXIT_CR_READ + 4] = "CR4 read",
	[VMEXIT_CR_READ + 8] = "CR8 read",
	[VMEXIT_CR_WRITE + 0] = "CR0 write",
	[VMEXIT_CR_WRITE + 2] = "CR2 write",
	[VMEXIT_CR_WRITE + 3] = "CR3 write",
	[VMEXIT_CR_WRITE + 4] = "CR4 write",
	[VMEXIT_CR_WRITE + 8] = "CR8 write",
	[VMEXIT_DR_READ ... VMEXIT_DR_READ + 15] = "DR read",
	[VMEXIT_DR_WRITE ... VMEXIT_DR_WRITE + 15] = "DR write",
	[VMEXIT_EXCEPTION + X86_DE] = "#DE",
	[VMEXIT_EXCEPTION + X86_DB] = "#DB",
	[VMEXIT_EXCEPTION + X86_BP] = "#BP",
	[VMEXIT_EXCEPTION + X86_OF] = "#OF",
	[VMEXIT_EXCEPTION + X86_BR] = "#BR",
	[VMEXIT_EXCEPTION + X86_UD] = "#UD",
	[VMEXIT_EXCEPTION + X86_NM] = "#NM",
	[VMEXIT_EXCEPTION + X86_DF] = "#DF",
	[VMEXIT_EXCEPTION + X86_TS] = "#TS",
	[VMEXIT_EXCEPTION + X86_NP] = "#NP",
	[VMEXIT_EXCEPTION + X86_SS] = "#SS",
	[VMEXIT_EXCEPTION + X86_GP] = "#GP",
	[VMEXIT_EXCEPTION + X86_PF] = "#PF",
	[VMEXIT_EXCEPTION + X86_MF] = "#MF",
	[VMEXIT_EXCEPTION + X86_AC] = "#AC",
	[VMEXIT_EXCEPTION + X86_MC] = "#MC",
	[VMEXIT_EXCEPTION + X86_XM] = "#XM",
	[VMEXIT_EXCEPTION + X86_CP] = "#CP",
	[VMEXIT_EXCEPTION + X86_SX] = "#SX",
	[VMEXIT_INTR] = "external interrupt",
	[VMEXIT_NMI] = "NMI",
	[VMEXIT_SMI] = "SMI",
	[VMEXIT_INIT] = "INIT",
	[VMEXIT_VINTR] = "interrupt window",
	[VMEXIT_CR0_SEL_WRITE] = "CR0 selective write",
	[VMEXIT_IDTR_READ] = "SIDT",
	[VMEXIT_GDTR_READ] = "SGDT",
	[VMEXIT_LDTR_READ] = "SLDT",
	[VMEXIT_TR_READ] = "STR",
	[VMEXIT_IDTR_WRITE] = "LIDT",
	[VMEXIT_GDTR_WRITE] = "LGDT",
	[VMEXIT_LDTR_WRITE] = "LLDT",
	[VMEXIT_TR_WRITE] = "LTR",
	[VMEXIT_RDTSC] = "RDTSC",
	[VMEXIT_RDPMC] = "RDPMC",
	[VMEXIT_PUSHF] = "PUSHF",
	[VMEXIT_POPF] = "POPF",
	[VMEXIT_CPUID] = "CPUID",
	[VMEXIT_RSM] = "RSM",
	[VMEXIT_IRET] = "IRET",
	[VMEXIT_SWINT] = "INT n",
	[VMEXIT_INVD] = "INVD",
	[VMEXIT_PAUSE] = "PAUSE",
	[VMEXIT_HLT] = "HLT",
	[VMEXIT_INVLPG] = "INVLPG",
	[VMEXIT_INVLPGA] = "INVLPGA",
	[VMEXIT_IOIO] = "port I/O",
	[VMEXIT_MSR] = "MSR",
	[VMEXIT_TASK_SWITCH] = "task switch",
	[VMEXIT_FERR_FREEZE] = "floating-point error",
	[VMEXIT_SHUTDOWN] = "shutdown",
	[VMEXIT_VMRUN] = "VMRUN",
	[VMEXIT_VMMCALL] = "VMMCALL",
	[VMEXIT_VMLOAD] = "VMLOAD",
	[VMEXIT_VMSAVE] = "VMSAVE",
	[VMEXIT_STGI] = "STGI",
	[VMEXIT_CLGI] = "CLGI",
	[VMEXIT_SKINIT] = "SKINIT",
	[VMEXIT_RDTSCP] = "RDTSCP",
	[VMEXIT_ICEBP] = "ICEBP",
	[VMEXIT_WBINVD] = "WBINVD",
	[VMEXIT_MONITOR] = "MONITOR",
	[VMEXIT_MWAIT] = "MWAIT",
	[VMEXIT_MWAIT_ARMED] = "MWAIT",
	[VMEXIT_XSETBV] = "XSETBV",
	[VMEXIT_RDPRU] = "RDPRU",
	[SVM_INDEX_NPF] = "nested page fault",
	[SVM_INDEX_UNKNOWN] = "unknown exit code",
	[SVM_INDEX_INVALID] = "invalid guest state",
};

const char *svm_exit_name(u8 exit_index)
{
	return names[exit_index];
}

void svm_handle_exit(struct vcpu *vcpu)
{
	if (likely(svm_handlers[vcpu->exit_index]))
		svm_handlers[vcpu->exit_index](vcpu);
	else
		exit_unexpected(vcpu, "exit code 0x%llx was not asked for (EXITINFO1 0x%llx, EXITINFO2 0x%llx)",
				(unsigned long long)vcpu->exit_reason,
				(unsigned long long)control_of(vcpu)->exit_info1,
				(unsigned long long)control_of(vcpu)->exit_info2);
}

/* The slow paths are out of line, or the fast one would need a stack frame. */
static __noinline int skip_slowly(struct vcpu *vcpu, u64 next)
{
	unsigned length = (unsigned)(next - vcpu->exit_rip);
	struct insn insn;

	if (!next) {
		if (emulate_fetch(vcpu, &insn))
			return -EFAULT;
		length = insn.length;
	}
	emulate_advance(vcpu, length);
	return 0;
}

/* `next` is 0 where it has to be decoded. Slow path: single-stepping, or RIP crosses 4 GiB and the mode may wrap it. */
static __always_inline int step_to(struct vcpu *vcpu, u64 next)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;

	if (unlikely(!next || (vmcb->save.rflags & RFLAGS_TF) || vcpu->regs_dirty ||
		     (u32)next < (u32)vcpu->exit_rip))
		return skip_slowly(vcpu, next);
	/* A fault-like exit, such as a nested page fault, saves RF set. A completed instruction clears it. */
	if (vmcb->save.rflags & RFLAGS_RF) {
		vmcb->save.rflags &= ~RFLAGS_RF;
		vcpu->regs_available &= ~(u32)BIT(REG_RFLAGS);
	}
	vcpu->regs[REG_RIP] = vmcb->save.rip = next;
	vmcb->control.int_state &= ~INT_SHADOW;
	return 0;
}

void svm_step_over(struct vcpu *vcpu, unsigned length)
{
	step_to(vcpu, vcpu->exit_rip + length);
}

static __noinline int skip_without_nrip_save(struct vcpu *vcpu)
{
	return step_to(vcpu, svm_next_rip(to_svm(vcpu)));
}

int svm_skip_instruction(struct vcpu *vcpu)
{
	if (unlikely(!svm_features.nrip_save))
		return skip_without_nrip_save(vcpu);
	return step_to(vcpu, to_svm(vcpu)->vmcb->control.next_rip);
}

/* TF may be set for Lamina's own single step, which ends here. */
void svm_instruction_done(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	bool trap = svm->stepping ? svm->guest_tf : (vcpu_rflags(vcpu) & RFLAGS_TF) != 0;

	svm->vmcb->control.int_state &= ~INT_SHADOW;
	if (svm->stepping)
		svm_end_step(vcpu);
	if (trap)
		event_raise_debug(vcpu, DR6_BS);
}
