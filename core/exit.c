/* SPDX-License-Identifier: MIT */
/* The handlers of exits that both vendors share. */
#include "core/exit.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/cpu/paravirt.h"
#include "core/io.h"
#include "core/irqchip.h"
#include "core/nested.h"
#include "core/observe/trace_record.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/printf.h"

static void skip(struct vcpu *vcpu)
{
	vcpu->ops->skip_instruction(vcpu);
}

/* Step over the instruction, or raise #GP(0) after an error. */
static void finish(struct vcpu *vcpu, int error)
{
	if (error)
		event_raise_error(vcpu, X86_GP, 0);
	else
		skip(vcpu);
}

void exit_cpuid(struct vcpu *vcpu)
{
	struct cpuid_regs r = cpuid_guest(vcpu, (u32)vcpu->regs[REG_RAX], (u32)vcpu->regs[REG_RCX]);

	vcpu->regs[REG_RAX] = r.eax;
	vcpu->regs[REG_RBX] = r.ebx;
	vcpu->regs[REG_RCX] = r.ecx;
	vcpu->regs[REG_RDX] = r.edx;
	skip(vcpu);
}

void exit_io(struct vcpu *vcpu, u16 port, unsigned size, bool in)
{
	u64 rax = vcpu->regs[REG_RAX];

	if (in)
		vcpu->regs[REG_RAX] = io_result(rax, size, pio_read(vcpu, port, size));
	else
		pio_write(vcpu, port, size, io_operand(rax, size));
	skip(vcpu);
}

void exit_rdmsr(struct vcpu *vcpu)
{
	u64 value = 0;
	u32 msr = (u32)vcpu->regs[REG_RCX];
	int error = msr_guest_read(vcpu, msr, &value);

	trace_msr(vcpu, false, msr, value, error);
	if (!error)
		vcpu_set_edx_eax(vcpu, value);
	finish(vcpu, error);
}

void exit_wrmsr(struct vcpu *vcpu)
{
	u32 msr = (u32)vcpu->regs[REG_RCX];
	u64 value = vcpu_edx_eax(vcpu);
	int error = msr_guest_write(vcpu, msr, value);

	trace_msr(vcpu, true, msr, value, error);
	finish(vcpu, error);
}

void exit_hlt(struct vcpu *vcpu)
{
	skip(vcpu);
	/* While it is halted, its registers may be out of reach: keep what says which events wake it. */
	vcpu->halt_if = vcpu_rflags(vcpu) & RFLAGS_IF;
	vcpu->halt_nmi = !vcpu->ops->nmi_blocked(vcpu);
	vcpu->activity = VCPU_HALTED;
	/* A pending NMI that is blocked until the IRET of the NMI handler that halts here does not wake it. */
	if (!vcpu->halt_if && !event_wakes(vcpu))
		halt_for_good(vcpu);
	/* An interrupt that has waited for its window wakes it immediately: then the entry stub can inject it. */
	if (vcpu->halt_if && vcpu->events.irq_window && !vcpu->ops->interrupt_blocked(vcpu))
		event_wakes(vcpu);
}

void exit_xsetbv(struct vcpu *vcpu)
{
	if (!(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_OSXSAVE)) {
		event_raise(vcpu, X86_UD);
		return;
	}
	if (vcpu_cpl(vcpu) != 0) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	finish(vcpu, control_write_xcr0(vcpu, (u32)vcpu->regs[REG_RCX], vcpu_edx_eax(vcpu)));
}

void exit_pause(struct vcpu *vcpu)
{
	skip(vcpu);
	vcpu->sched.yields = true;
	/* A loop of STI, PAUSE and CLI opens the window just here: that spares the window's own exit. */
	vcpu_request(vcpu, vcpu->events.irq_window ? REQ_RESCHED | REQ_EVENT : REQ_RESCHED);
}

/* The instruction is the guest's processor's own. */
static void hypercall_of_none(struct vcpu *vcpu)
{
	if (nested_is_on(vcpu) && vcpu->ops->nested_hypercall)
		vcpu->ops->nested_hypercall(vcpu);
	else
		exit_invalid_opcode(vcpu);
}

void exit_vmcall(struct vcpu *vcpu)
{
	if (!hypervisor_is_paravirtual(vcpu->vm->config->hypervisor)) {
		hypercall_of_none(vcpu);
		return;
	}
	vcpu->regs[REG_RAX] = paravirt_hypercall(vcpu);
	skip(vcpu);
}

/* A processor that cannot take the interrupt is frozen: let others run meanwhile. */
void exit_fpu_error(struct vcpu *vcpu)
{
	vm_lock(vcpu->vm);
	irq_line_set(vcpu->vm, IRQ_FPU, true);
	vm_unlock(vcpu->vm);
	vcpu_request(vcpu, REQ_RESCHED);
}

void exit_invalid_opcode(struct vcpu *vcpu)
{
	event_raise(vcpu, X86_UD);
}

void exit_wbinvd(struct vcpu *vcpu)
{
	skip(vcpu);
}

void exit_rdtsc(struct vcpu *vcpu, bool rdtscp)
{
	u64 aux = 0;

	if (rdtscp && msr_guest_read(vcpu, MSR_TSC_AUX, &aux)) {
		event_raise(vcpu, X86_UD);
		return;
	}
	vcpu_set_edx_eax(vcpu, vcpu_guest_tsc(vcpu, rdtsc()));
	if (rdtscp)
		vcpu->regs[REG_RCX] = (u32)aux;
	skip(vcpu);
}

void exit_rdpmc(struct vcpu *vcpu)
{
	/* CPUID announces no performance counters. */
	event_raise_error(vcpu, X86_GP, 0);
}

void exit_triple_fault(struct vcpu *vcpu)
{
	/* For the author of the guest: where it was, and with which tables. */
	vcpu->ops->dump(vcpu);
	vm_end(vcpu->vm, VM_END_TRIPLE_FAULT, "triple fault (RIP 0x%llx)", (unsigned long long)vcpu->exit_rip);
}

void exit_mov_to_cr(struct vcpu *vcpu, unsigned cr, unsigned reg)
{
	u64 value = vcpu_reg_read(vcpu, reg);
	int error;

	if (!vcpu_code_64(vcpu))
		value = (u32)value;
	switch (cr) {
	case 0:
		error = control_write_cr0(vcpu, value);
		break;
	case 3:
		error = control_write_cr3(vcpu, value);
		break;
	case 4:
		error = control_write_cr4(vcpu, value);
		break;
	case 8:
		error = control_write_cr8(vcpu, value);
		break;
	default:
		event_raise(vcpu, X86_UD);
		return;
	}
	finish(vcpu, error);
}

void exit_mov_from_cr(struct vcpu *vcpu, unsigned cr, unsigned reg)
{
	static const u8 controls[] = { [0] = CTL_CR0, [2] = CTL_CR2, [3] = CTL_CR3, [4] = CTL_CR4 };
	u64 value;

	if (cr == 8) {
		value = vcpu->vm->irqchip->cr8_read(vcpu);
	} else if (cr == 0 || (cr >= 2 && cr <= 4)) {
		value = vcpu->ops->control_get(vcpu, controls[cr]);
	} else {
		event_raise(vcpu, X86_UD);
		return;
	}
	vcpu_reg_write(vcpu, reg, vcpu_code_64(vcpu) ? value : (u32)value);
	skip(vcpu);
}

void exit_clts(struct vcpu *vcpu)
{
	finish(vcpu, control_write_cr0(vcpu, vcpu->ops->control_get(vcpu, CTL_CR0) & ~CR0_TS));
}

void exit_lmsw(struct vcpu *vcpu, u16 value)
{
	u64 cr0 = vcpu->ops->control_get(vcpu, CTL_CR0);

	finish(vcpu, control_write_cr0(vcpu, control_lmsw_value(cr0, value)));
}

void exit_unexpected(struct vcpu *vcpu, const char *format, ...)
{
	char text[160];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	vm_error(vcpu->vm, "%s (RIP 0x%llx)", text, (unsigned long long)vcpu->exit_rip);
	vcpu->ops->dump(vcpu);
	trace_print(vcpu->vm, TRACE_ON_ERROR);
	vm_end(vcpu->vm, VM_END_ERROR, "%s", text);
}
