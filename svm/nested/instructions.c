/* SPDX-License-Identifier: MIT */
/*
 * The instructions of SVM, executed by L1, or by L2 where L1 does not intercept them. AMD APM vol. 3, "VMRUN",
 * "VMLOAD", "VMSAVE", "STGI", "CLGI", "INVLPGA".
 */
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "svm/nested/nested.h"

/* #UD without SVM and outside of protected mode, then #GP by the privilege. */
static bool may_execute(struct vcpu *vcpu)
{
	const struct vcpu_svm *svm = to_svm(vcpu);

	if (!svm->nested || !(vcpu->l2_runs || svm->nested->svme) || !(svm->vmcb->save.cr0 & CR0_PE) ||
	    (vcpu_rflags(vcpu) & RFLAGS_VM)) {
		event_raise(vcpu, X86_UD);
		return false;
	}
	if (svm->vmcb->save.cpl) {
		event_raise_error(vcpu, X86_GP, 0);
		return false;
	}
	return true;
}

static bool code_64(const struct vmcb_save *save)
{
	return (save->efer & EFER_LMA) && (save->cs.attributes & ATTRIBUTE_L);
}

/* RAX as an address, and the instruction's length. -EFAULT: a fault was raised. */
static int operand(struct vcpu *vcpu, u64 *address, unsigned *length)
{
	const unsigned plain = 3;	/* bytes: without a prefix */
	unsigned size = code_64(&to_svm(vcpu)->vmcb->save) ? 8 : emulate_mode(vcpu) == INSN_MODE_32 ? 4 : 2;
	struct insn insn;

	*length = plain;
	if (nsvm_next_rip(vcpu) != vcpu->exit_rip + plain) {
		if (emulate_fetch(vcpu, &insn))
			return -EFAULT;
		*length = insn.length;
		size = insn.address_size;
	}
	*address = vcpu->regs[REG_RAX] & (size == 8 ? ~0ull : BIT_ULL(8 * size) - 1);
	return 0;
}

/* A VMCB's address: a page of RAM. In L2, too, it is one of the host's, L1, and not translated. */
static int vmcb_operand(struct vcpu *vcpu, gpa_t *gpa, unsigned *length)
{
	if (operand(vcpu, gpa, length))
		return -EFAULT;
	if ((*gpa & ~PAGE_MASK) || *gpa >> cpuid_physical_bits(vcpu) || !guest_is_ram(vcpu->vm, *gpa, PAGE_SIZE)) {
		event_raise_error(vcpu, X86_GP, 0);
		return -EFAULT;
	}
	return 0;
}

/*
 * L1 goes on behind the instruction when L2 exits. Only then comes the #DB of a single step: see nsvm_exit().
 */
static void step_over_vmrun(struct vcpu *vcpu, unsigned length)
{
	struct vmcb *vmcb = to_svm(vcpu)->vmcb;
	u64 rip = vcpu->exit_rip + length;

	vmcb->save.rip = code_64(&vmcb->save) ? rip : (u32)rip;
	vmcb->save.rflags = vcpu_rflags(vcpu) & ~RFLAGS_RF;
	vmcb->control.int_state &= ~INT_SHADOW;
}

/*
 * L1's other CPUs may write to it: this copy is what is checked and used. It lacks what is reserved: most of the page.
 */
static int read_vmcb12(struct vcpu *vcpu, gpa_t gpa, struct vmcb *to)
{
	return guest_read_large(vcpu->vm, gpa, to, offsetof(struct vmcb, control.reserved_0e0)) ||
	       guest_read_large(vcpu->vm, gpa + offsetof(struct vmcb, save), &to->save,
				offsetof(struct vmcb_save, reserved_2e8));
}

void nsvm_handle_vmrun(struct vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned length;
	gpa_t gpa;

	if (!may_execute(vcpu) || vmcb_operand(vcpu, &gpa, &length))
		return;
	if (svm->stepping)
		svm_end_step(vcpu);
	step_over_vmrun(vcpu, length);
	/* The page was RAM just now: it can only have become a damaged one. */
	if (read_vmcb12(vcpu, gpa, &svm->nested->vmcb12)) {
		exit_triple_fault(vcpu);
		return;
	}
	svm->nested->vmcb12_gpa = gpa;
	if (nsvm_check(vcpu))
		nsvm_entry_failed(vcpu);
	else
		nsvm_enter(vcpu);
}

/* What nsvm_copy_vmload() takes. */
static int read_vmload_state(struct vcpu *vcpu, gpa_t gpa, struct vmcb_save *save)
{
	const u64 first = offsetof(struct vmcb_save, fs), first_end = offsetof(struct vmcb_save, reserved_0a0),
		  second = offsetof(struct vmcb_save, star), second_end = offsetof(struct vmcb_save, cr2);

	gpa += offsetof(struct vmcb, save);
	return guest_read(vcpu->vm, gpa + first, &save->fs, first_end - first) ||
	       guest_read(vcpu->vm, gpa + second, &save->star, second_end - second);
}

void nsvm_handle_vmload(struct vcpu *vcpu)
{
	struct vmcb_save save;
	unsigned length;
	gpa_t gpa;

	if (!may_execute(vcpu) || vmcb_operand(vcpu, &gpa, &length) || read_vmload_state(vcpu, gpa, &save))
		return;
	nsvm_copy_vmload(&save, &to_svm(vcpu)->vmcb->save);
	emulate_advance(vcpu, length);
}

void nsvm_handle_vmsave(struct vcpu *vcpu)
{
	unsigned length;
	struct vmcb *to;
	gpa_t gpa;

	if (!may_execute(vcpu) || vmcb_operand(vcpu, &gpa, &length))
		return;
	to = guest_ptr(vcpu->vm, gpa, PAGE_SIZE);
	if (to)
		nsvm_copy_vmload(&to_svm(vcpu)->vmcb->save, &to->save);
	emulate_advance(vcpu, length);
}

void nsvm_handle_stgi(struct vcpu *vcpu)
{
	if (!may_execute(vcpu) || vcpu->ops->skip_instruction(vcpu))
		return;
	nsvm_set_gif(vcpu, true);
}

void nsvm_handle_clgi(struct vcpu *vcpu)
{
	if (!may_execute(vcpu) || vcpu->ops->skip_instruction(vcpu))
		return;
	nsvm_set_gif(vcpu, false);
}

/* One page of one ASID. All of it goes: ASID 0 is L1's own, whose translations go with a flush, too. */
void nsvm_handle_invlpga(struct vcpu *vcpu)
{
	u32 asid = (u32)vcpu->regs[REG_RCX];

	if (!may_execute(vcpu) || vcpu->ops->skip_instruction(vcpu))
		return;
	if (asid)
		nsvm_forget_asid(to_svm(vcpu), asid);
	else
		svm_flush_tlb(to_svm(vcpu));
}
