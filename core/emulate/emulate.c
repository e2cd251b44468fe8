/* SPDX-License-Identifier: MIT */
/* Fetch and decode the instruction that exited, and step over it. */
#include "core/emulate/emulate.h"

#include "arch/cpu/x86.h"
#include "core/emulate/gwalk.h"
#include "core/exit.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"
#include "lib/errno.h"
#include "lib/printf.h"

/*
 * How often within a second a vCPU may look at the same instruction again. A guest that changes its code under
 * another CPU's hands takes a few rounds; more of them would be for ever.
 */
#define LOOK_AGAIN    1000
#define LOOK_AGAIN_NS 1000000000ull

/* How many of the wanted bytes one translation covers: up to the end of the page or of the code segment. */
static unsigned fetchable(struct vcpu *vcpu, u64 offset, gva_t gva, unsigned wanted)
{
	u64 rest = MIN((u64)wanted, PAGE_SIZE - (gva & ~PAGE_MASK));
	struct segment cs;

	if (vcpu_code_64(vcpu))
		return (unsigned)rest;
	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	return (unsigned)MIN(rest, cs.limit - (u64)(u32)offset + 1);
}

/* Append the bytes that follow, up to the end of a page. -EFAULT: a fault was raised, or the VM ended. */
static int fetch_more(struct vcpu *vcpu, struct code *code)
{
	u32 access = PF_FETCH | gwalk_privilege(vcpu);
	u64 offset = vcpu_reg_read(vcpu, REG_RIP) + code->length;
	struct guest_fault fault;
	unsigned size = 0;
	gva_t gva = 0;
	int error;

	error = gwalk_linear(vcpu, SEG_CS, offset, 1, access, &gva, &fault);
	if (!error) {
		size = fetchable(vcpu, offset, gva, INSN_MAX_LENGTH - code->length);
		error = gwalk_read(vcpu, gva, code->bytes + code->length, size, access, &fault);
	}
	if (error == -EIO)
		exit_unexpected(vcpu, "the guest executes at linear 0x%llx, where there is no RAM",
				(unsigned long long)gva);
	else if (error)
		guest_fault_raise(vcpu, &fault);
	else
		code->length += size;
	return error ? -EFAULT : 0;
}

enum insn_mode emulate_mode(struct vcpu *vcpu)
{
	struct segment cs;

	if (vcpu_code_64(vcpu))
		return INSN_MODE_64;
	vcpu->ops->segment_get(vcpu, SEG_CS, &cs);
	return cs.db ? INSN_MODE_32 : INSN_MODE_16;
}

/* A byte of the code, for a look that raises nothing. */
static int peek_byte(struct vcpu *vcpu, unsigned at, u8 *byte)
{
	u32 access = PF_FETCH | gwalk_privilege(vcpu);
	struct guest_fault fault;
	gva_t gva;

	if (gwalk_linear(vcpu, SEG_CS, vcpu_reg_read(vcpu, REG_RIP) + at, 1, access, &gva, &fault) ||
	    gwalk_read(vcpu, gva, byte, 1, access, &fault))
		return -EFAULT;
	return 0;
}

int emulate_peek(struct vcpu *vcpu, struct insn *insn)
{
	enum insn_mode mode = emulate_mode(vcpu);
	u8 bytes[INSN_MAX_LENGTH];
	int error = -EAGAIN;

	for (unsigned i = 0; i < INSN_MAX_LENGTH && error == -EAGAIN; i++) {
		if (peek_byte(vcpu, i, &bytes[i]))
			return -EFAULT;
		error = insn_decode(bytes, i + 1, mode, insn);
	}
	return error;
}

void emulate_refuse(struct vcpu *vcpu, const char *why)
{
	char text[3 * INSN_MAX_LENGTH + 1] = "";
	u8 byte;

	for (unsigned i = 0; i < INSN_MAX_LENGTH && !peek_byte(vcpu, i, &byte); i++)
		snprintf(text + 3 * i, sizeof(text) - 3 * i, " %02x", byte);
	if (vm_once(vcpu->vm, ONCE_INSTRUCTION, vcpu_reg_read(vcpu, REG_RIP) & PAGE_MASK))
		vm_error(vcpu->vm, "%s; the bytes at RIP are%s: #UD is raised (logged once per page)", why, text);
	event_raise(vcpu, X86_UD);
}

/* Read the second page only if the instruction continues there: otherwise it need not be mapped. */
int emulate_fetch_code(struct vcpu *vcpu, struct insn *insn, struct code *code)
{
	enum insn_mode mode = emulate_mode(vcpu);
	int error;

	code->length = 0;
	do {
		if (fetch_more(vcpu, code))
			return -EFAULT;
		error = insn_decode(code->bytes, code->length, mode, insn);
	} while (error == -EAGAIN);
	/* Another CPU of the guest has changed the code since the exit: what the processor raises for the new code. */
	if (error == -E2BIG)
		event_raise_error(vcpu, X86_GP, 0);
	else if (error)
		event_raise(vcpu, X86_UD);
	return error ? -EFAULT : 0;
}

int emulate_fetch(struct vcpu *vcpu, struct insn *insn)
{
	struct code code;

	return emulate_fetch_code(vcpu, insn, &code);
}

void emulate_look_again(struct vcpu *vcpu)
{
	u64 rip = vcpu_reg_read(vcpu, REG_RIP), now = vtimer_now();

	vcpu->watch.hits = 0;
	if (rip != vcpu->looked_again.rip || now - vcpu->looked_again.first > vtimer_from_ns(LOOK_AGAIN_NS)) {
		vcpu->looked_again.rip = rip;
		vcpu->looked_again.first = now;
		vcpu->looked_again.count = 0;
	}
	if (++vcpu->looked_again.count > LOOK_AGAIN)
		event_raise(vcpu, X86_UD);
}

/*
 * 16-bit code that runs past 0xffff does not wrap: the next fetch fails its limit check, as on the
 * processor.
 */
void emulate_advance(struct vcpu *vcpu, unsigned length)
{
	u64 old = vcpu_reg_read(vcpu, REG_RIP), rip = old + length, rflags = vcpu_rflags(vcpu);

	/* Reading the mode and writing the flags access the VMCS, which is slow: only where they matter. */
	if ((old ^ rip) >> 32 && !vcpu_code_64(vcpu))
		rip = (u32)rip;
	vcpu_reg_write(vcpu, REG_RIP, rip);
	if (rflags & RFLAGS_RF)
		vcpu_reg_write(vcpu, REG_RFLAGS, rflags & ~RFLAGS_RF);
	vcpu->ops->instruction_done(vcpu);
}
