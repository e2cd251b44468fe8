/* SPDX-License-Identifier: MIT */
/* Exits under SVM: each is translated into a neutral call. AMD APM vol. 2, "SVM Intercept Exit Codes". */
#include "arch/x86.h"
#include "core/emulate.h"
#include "core/exit.h"
#include "svm/svm.h"

static const struct vmcb_control *control_of(struct vcpu *vcpu)
{
	return &to_svm(vcpu)->vmcb->control;
}

/* The host takes what is pending in its interrupt window, and svm_vcpu_run() has served #MC. */
static void handle_host_event(struct vcpu *vcpu __maybe_unused)
{
}

static void handle_init(struct vcpu *vcpu)
{
	vm_warn(vcpu->vm, "an INIT signal reached the processor and was held back");
}

static void handle_alignment_check(struct vcpu *vcpu)
{
	event_raise_error(vcpu, X86_AC, 0);
}

/* The intercept of #DB would come for it as well, but with RIP at the instruction instead of behind it. */
static void handle_icebp(struct vcpu *vcpu)
{
	if (!svm_skip_instruction(vcpu))
		event_raise(vcpu, X86_DB);
}

static void handle_io(struct vcpu *vcpu)
{
	u32 info = (u32)control_of(vcpu)->exit_info1;
	const struct io_exit io = {
		.port = IOIO_PORT(info),
		.size = IOIO_SIZE(info),
		.in = info & IOIO_IN,
		.string = info & IOIO_STRING,
		.rep = info & IOIO_REP,
	};

	exit_io(vcpu, &io);
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
	const struct nested_fault fault = {
		.gpa = control_of(vcpu)->exit_info2,
		.access = info & PF_FETCH ? NESTED_FETCH : info & PF_WRITE ? NESTED_WRITE : NESTED_READ,
		.walk = info & NPF_GUEST_WALK,
		.what = "nested page fault",
	};

	exit_nested_fault(vcpu, &fault);
}

static void handle_cr(struct vcpu *vcpu)
{
	u64 code = control_of(vcpu)->exit_code, info = control_of(vcpu)->exit_info1;

	if (!svm_features.decode_assists || !(info & CR_MOV))
		exit_cr_decode(vcpu);
	else if (code < VMEXIT_CR_WRITE)
		exit_mov_from_cr(vcpu, (unsigned)code, CR_REGISTER(info));
	else
		exit_mov_to_cr(vcpu, (unsigned)code - VMEXIT_CR_WRITE, CR_REGISTER(info));
}

static const struct {
	const char *name;
	void (*handle)(struct vcpu *vcpu);
} exits[256] = {
	[VMEXIT_CR_WRITE + 0] = { "CR0 write", handle_cr },
	[VMEXIT_CR_WRITE + 3] = { "CR3 write", handle_cr },
	[VMEXIT_CR_WRITE + 4] = { "CR4 write", handle_cr },
	[VMEXIT_CR_WRITE + 8] = { "CR8 write", handle_cr },
	[VMEXIT_CR_READ + 0] = { "CR0 read", handle_cr },
	[VMEXIT_CR_READ + 3] = { "CR3 read", handle_cr },
	[VMEXIT_CR_READ + 4] = { "CR4 read", handle_cr },
	[VMEXIT_CR_READ + 8] = { "CR8 read", handle_cr },
	[VMEXIT_EXCEPTION + X86_DB] = { "#DB", svm_handle_debug },
	[VMEXIT_EXCEPTION + X86_AC] = { "#AC", handle_alignment_check },
	[VMEXIT_EXCEPTION + X86_MC] = { "#MC", handle_host_event },
	[VMEXIT_INTR] = { "external interrupt", handle_host_event },
	[VMEXIT_NMI] = { "NMI", handle_host_event },
	[VMEXIT_SMI] = { "SMI", handle_host_event },
	[VMEXIT_INIT] = { "INIT", handle_init },
	[VMEXIT_VINTR] = { "interrupt window", svm_handle_vintr },
	[VMEXIT_RDPMC] = { "RDPMC", exit_rdpmc },
	[VMEXIT_CPUID] = { "CPUID", exit_cpuid },
	[VMEXIT_IRET] = { "IRET", svm_handle_iret },
	[VMEXIT_INVD] = { "INVD", exit_wbinvd },
	[VMEXIT_HLT] = { "HLT", exit_hlt },
	[VMEXIT_INVLPGA] = { "INVLPGA", exit_invalid_opcode },
	[VMEXIT_IOIO] = { "port I/O", handle_io },
	[VMEXIT_MSR] = { "MSR", handle_msr },
	[VMEXIT_SHUTDOWN] = { "shutdown", exit_triple_fault },
	[VMEXIT_VMRUN] = { "VMRUN", exit_invalid_opcode },
	[VMEXIT_VMMCALL] = { "VMMCALL", exit_vmcall },
	[VMEXIT_VMLOAD] = { "VMLOAD", exit_invalid_opcode },
	[VMEXIT_VMSAVE] = { "VMSAVE", exit_invalid_opcode },
	[VMEXIT_STGI] = { "STGI", exit_invalid_opcode },
	[VMEXIT_CLGI] = { "CLGI", exit_invalid_opcode },
	[VMEXIT_SKINIT] = { "SKINIT", exit_invalid_opcode },
	[VMEXIT_ICEBP] = { "ICEBP", handle_icebp },
	[VMEXIT_WBINVD] = { "WBINVD", exit_wbinvd },
	[VMEXIT_MONITOR] = { "MONITOR", exit_invalid_opcode },
	[VMEXIT_MWAIT] = { "MWAIT", exit_invalid_opcode },
	[VMEXIT_MWAIT_ARMED] = { "MWAIT", exit_invalid_opcode },
	[VMEXIT_XSETBV] = { "XSETBV", exit_xsetbv },
	[VMEXIT_RDPRU] = { "RDPRU", exit_invalid_opcode },
	/* From here on folded by svm_exit_index(). */
	[0xf0] = { "nested page fault", handle_npf },
	[0xfe] = { "unknown exit code", NULL },
	[0xff] = { "invalid guest state", NULL },
};

u8 svm_exit_index(u64 exit_code)
{
	if (exit_code < 0xf0)
		return (u8)exit_code;
	if (exit_code == VMEXIT_NPF)
		return 0xf0;
	return svm_exit_invalid(exit_code) ? 0xff : 0xfe;
}

const char *svm_exit_name(u8 exit_index)
{
	return exits[exit_index].name;
}

void svm_exit_info(struct vcpu *vcpu, struct exit_info *info)
{
	const struct vmcb_control *control = control_of(vcpu);

	*info = (struct exit_info){
		.info1 = control->exit_info1,
		.info2 = control->exit_info2,
		.intr_info = (u32)control->exit_int_info,
		.error_code = EVENT_ERROR_CODE(control->exit_int_info),
	};
}

void svm_handle_exit(struct vcpu *vcpu)
{
	if (likely(exits[vcpu->exit_index].handle))
		exits[vcpu->exit_index].handle(vcpu);
	else
		exit_unexpected(vcpu, "exit code 0x%llx was not asked for (EXITINFO1 0x%llx, EXITINFO2 0x%llx)",
				(unsigned long long)vcpu->exit_reason,
				(unsigned long long)control_of(vcpu)->exit_info1,
				(unsigned long long)control_of(vcpu)->exit_info2);
}

/*
 * Where the processor saves the next RIP, for intercepted instructions it is right. An IN or OUT
 * has it in EXITINFO2 on every processor. Otherwise the instruction has to be looked at.
 */
int svm_skip_instruction(struct vcpu *vcpu)
{
	const struct vmcb_control *control = control_of(vcpu);
	u64 rip = vcpu_reg_read(vcpu, REG_RIP);
	struct insn insn;

	if (svm_features.nrip_save && control->next_rip) {
		emulate_advance(vcpu, (unsigned)(control->next_rip - rip));
	} else if (control->exit_code == VMEXIT_IOIO) {
		emulate_advance(vcpu, (unsigned)(control->exit_info2 - rip));
	} else {
		if (emulate_fetch(vcpu, &insn))
			return -EFAULT;
		emulate_advance(vcpu, insn.length);
	}
	return 0;
}

/* TF may be set for a step of Lamina's own, which ends here. */
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
