/* SPDX-License-Identifier: MIT */
/* The processor in ring 0: see fake_cpu.h. Opcodes: Intel SDM, "Opcode Map". */
#define _GNU_SOURCE		/* names of the registers in a signal's context */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <cmocka.h>

#include "lib/errno.h"
#include "tests/unit/fake_cpu.h"

#define CF BIT(0)
#define ZF BIT(6)
#define STATUS_FLAGS (CF | ZF | BIT(2) | BIT(4) | BIT(7) | BIT(11))

struct fake_cpu fake_cpu;

int rdmsr_safe(u32 number, u64 *value);
int wrmsr_safe(u32 number, u64 value);

/* --- decoding --- */

struct instruction {
	greg_t *regs;
	const u8 *next;			/* byte to be decoded */
	u8 prefix, rex;
	u8 modrm;
	u64 address;			/* of the memory operand */
};

static greg_t *general(const struct instruction *insn, unsigned number)
{
	static const int names[16] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	return &insn->regs[names[number]];
}

static unsigned reg_field(const struct instruction *insn)
{
	return (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1;
}

static unsigned rm_field(const struct instruction *insn)
{
	return (insn->modrm & 7) | (insn->rex & 1) << 3;
}

static s64 displacement(struct instruction *insn, unsigned size)
{
	s64 value = 0;

	if (size == 1)
		value = (s8)insn->next[0];
	else if (size == 4)
		value = (s32)((u32)insn->next[0] | (u32)insn->next[1] << 8 | (u32)insn->next[2] << 16 |
			      (u32)insn->next[3] << 24);
	insn->next += size;
	return value;
}

static void decode_memory(struct instruction *insn)
{
	unsigned mod = insn->modrm >> 6, rm = insn->modrm & 7;
	unsigned size = mod == 1 ? 1 : mod == 2 ? 4 : 0;
	u64 address = 0;

	if (rm == 4) {
		u8 sib = *insn->next++;
		unsigned index = (sib >> 3 & 7) | (insn->rex & 2) << 2;

		if (mod == 0 && (sib & 7) == 5)
			size = 4;
		else
			address = (u64)*general(insn, (sib & 7) | (insn->rex & 1) << 3);
		if (index != 4)
			address += (u64)*general(insn, index) << (sib >> 6);
	} else if (mod == 0 && rm == 5) {
		size = 4;
		address = (u64)insn->next + 4;	/* RIP-relative: to the instruction's end */
	} else {
		address = (u64)*general(insn, rm_field(insn));
	}
	insn->address = address + (u64)displacement(insn, size);
}

static void decode_modrm(struct instruction *insn)
{
	insn->modrm = *insn->next++;
	if (insn->modrm < 0xc0)
		decode_memory(insn);
}

/* Prefixes and the escape byte 0F. Returns the byte after it. */
static u8 decode_opcode(struct instruction *insn)
{
	for (; *insn->next == 0x66 || *insn->next == 0xf3; insn->next++)
		insn->prefix = *insn->next;
	if ((*insn->next & 0xf0) == 0x40)
		insn->rex = *insn->next++;
	if (*insn->next++ != 0x0f)
		return 0;
	return *insn->next++;
}

/* --- what the instructions do --- */

static struct privileged_step *record(enum privileged kind, u64 number, u64 value)
{
	struct privileged_step *step = &fake_cpu.steps[fake_cpu.step_count];

	if (fake_cpu.step_count == FAKE_STEPS)
		fail_msg("more than %u privileged instructions", FAKE_STEPS);
	fake_cpu.step_count++;
	*step = (struct privileged_step){ .kind = kind, .number = number, .value = value };
	return step;
}

static struct fake_msr *find_msr(u32 number)
{
	for (unsigned i = 0; i < fake_cpu.msr_count; i++)
		if (fake_cpu.msrs[i].number == number)
			return &fake_cpu.msrs[i];
	return NULL;
}

struct fake_msr *fake_msr(u32 number)
{
	struct fake_msr *msr = find_msr(number);

	if (msr)
		return msr;
	if (fake_cpu.msr_count == FAKE_MSRS)
		fail_msg("more than %u MSRs", FAKE_MSRS);
	msr = &fake_cpu.msrs[fake_cpu.msr_count++];
	*msr = (struct fake_msr){ .number = number };
	return msr;
}

static void write_msr(u32 number, u64 value)
{
	struct fake_msr *msr = fake_msr(number);

	fake_cpu.cr0_at_wrmsr = fake_cpu.cr[0];
	msr->value = (msr->value & msr->ignored) | (value & ~msr->ignored);
	msr->writes++;
	record(DO_WRMSR, number, value);
}

int rdmsr_safe(u32 number, u64 *value)
{
	if (!find_msr(number))
		return -EFAULT;
	*value = find_msr(number)->value;
	return 0;
}

int wrmsr_safe(u32 number, u64 value)
{
	if (!find_msr(number) || find_msr(number)->write_faults)
		return -EFAULT;
	write_msr(number, value);
	return 0;
}

static void do_rdmsr(struct instruction *insn)
{
	u32 index = (u32)insn->regs[REG_RCX];
	u64 value = fake_msr(index)->value;

	record(DO_RDMSR, index, value);
	insn->regs[REG_RAX] = (greg_t)(u32)value;
	insn->regs[REG_RDX] = (greg_t)(value >> 32);
}

static u64 edx_eax(const struct instruction *insn)
{
	return (u64)(u32)insn->regs[REG_RDX] << 32 | (u32)insn->regs[REG_RAX];
}

static void do_wrmsr(struct instruction *insn)
{
	u32 index = (u32)insn->regs[REG_RCX];

	if (fake_msr(index)->write_faults)
		fail_msg("#GP of WRMSR to 0x%x", index);
	write_msr(index, edx_eax(insn));
}

static void do_move(struct instruction *insn, u8 opcode)
{
	bool debug = opcode & 1, write = opcode & 2;
	u64 *place, *reg;

	decode_modrm(insn);
	place = debug ? &fake_cpu.dr[reg_field(insn) & 7] : &fake_cpu.cr[reg_field(insn)];
	reg = (u64 *)general(insn, rm_field(insn));
	if (write)
		*place = *reg;
	else
		*reg = *place;
	record(debug ? (write ? DO_WRITE_DR : DO_READ_DR) : write ? DO_WRITE_CR : DO_READ_CR,
	       reg_field(insn), *place);
}

static void answer(struct instruction *insn, enum privileged kind, const u8 *start)
{
	greg_t *flags = &insn->regs[REG_EFL];

	*flags &= ~(greg_t)STATUS_FLAGS;
	switch (fake_cpu.answers[kind]) {
	case VM_SUCCEED:
		break;
	case VM_FAIL_INVALID:
		*flags |= CF;
		break;
	case VM_FAIL_VALID:
		*flags |= ZF;
		break;
	case VM_GP:
		insn->next = fake_cpu.fixup ? (const u8 *)fake_cpu.fixup((u64)start) : NULL;
		if (!insn->next)
			fail_msg("#GP at an instruction that the exception table does not list");
	}
}

static bool do_vmx_pointer(struct instruction *insn, const u8 *start)
{
	enum privileged kind = insn->prefix == 0x66 ? DO_VMCLEAR : insn->prefix == 0xf3 ? DO_VMXON : DO_VMPTRLD;
	u64 value;

	decode_modrm(insn);
	if ((insn->modrm >> 3 & 7) != 6 || insn->modrm >= 0xc0)
		return false;
	memcpy(&value, (const void *)insn->address, sizeof(value));
	record(kind, 0, value);
	if (kind == DO_VMPTRLD)
		fake_cpu.current_vmcs = value;
	else if (kind == DO_VMCLEAR && value == fake_cpu.current_vmcs)
		fake_cpu.current_vmcs = 0;
	answer(insn, kind, start);
	return true;
}

static bool do_invalidate(struct instruction *insn, const u8 *start)
{
	u8 opcode = *insn->next++;
	enum privileged kind = opcode == 0x80 ? DO_INVEPT : DO_INVVPID;
	u64 descriptor[2];

	if (insn->prefix != 0x66 || (opcode & 0xfe) != 0x80)
		return false;
	decode_modrm(insn);
	memcpy(descriptor, (const void *)insn->address, sizeof(descriptor));
	record(kind, (u64)*general(insn, reg_field(insn)), descriptor[0])->value2 = descriptor[1];
	answer(insn, kind, start);
	return true;
}

static bool do_group_7(struct instruction *insn, const u8 *start)
{
	switch (*insn->next++) {
	case 0xc4:
		record(DO_VMXOFF, 0, 0);
		answer(insn, DO_VMXOFF, start);
		return true;
	case 0xd1:
		fake_cpu.xcr0 = edx_eax(insn);
		record(DO_XSETBV, (u32)insn->regs[REG_RCX], fake_cpu.xcr0);
		return true;
	case 0xdb:
		record(DO_VMSAVE, 0, (u64)insn->regs[REG_RAX]);
		return true;
	}
	return false;
}

static bool do_hlt(struct instruction *insn)
{
	record(DO_HLT, 0, 0);
	insn->next++;
	if (fake_cpu.on_hlt)
		fake_cpu.on_hlt();
	return true;
}

static bool execute(struct instruction *insn)
{
	const u8 *start = insn->next;
	u8 opcode;

	if (*start == 0xf4)
		return do_hlt(insn);
	opcode = decode_opcode(insn);
	switch (opcode) {
	case 0x01:
		return do_group_7(insn, start);
	case 0x09:
		record(DO_WBINVD, 0, 0);
		return true;
	case 0x20: case 0x21: case 0x22: case 0x23:
		do_move(insn, opcode);
		return true;
	case 0x30:
		do_wrmsr(insn);
		return true;
	case 0x32:
		do_rdmsr(insn);
		return true;
	case 0x38:
		return do_invalidate(insn, start);
	case 0xc7:
		return do_vmx_pointer(insn, start);
	}
	return false;
}

/* cmocka's way to report a crash as a failed test: it must leave these two signals to the fake. */
sighandler_t signal(int number, sighandler_t handler)
{
	struct sigaction action = { .sa_handler = handler }, before;

	if (number == SIGSEGV || number == SIGILL)
		return SIG_DFL;
	sigaction(number, &action, &before);
	return before.sa_handler;
}

static void on_signal(int number, siginfo_t *info __maybe_unused, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct instruction insn = { .regs = regs, .next = (const u8 *)regs[REG_RIP] };

	struct sigaction usual = { .sa_handler = SIG_DFL };

	if (execute(&insn))
		regs[REG_RIP] = (greg_t)insn.next;
	else
		sigaction(number, &usual, NULL);	/* a defect of the test or of what it tests: it ends the program */
}

/* --- for the tests --- */

void fake_cpu_reset(void)
{
	/* Failing a test jumps out of the handler: do not leave the signal blocked. */
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	memset(&fake_cpu, 0, sizeof(fake_cpu));
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}

const struct privileged_step *fake_cpu_step(enum privileged kind, unsigned nth)
{
	for (unsigned i = 0; i < fake_cpu.step_count; i++)
		if (fake_cpu.steps[i].kind == kind && nth-- == 0)
			return &fake_cpu.steps[i];
	return NULL;
}

unsigned fake_cpu_count(enum privileged kind)
{
	unsigned count = 0;

	while (fake_cpu_step(kind, count))
		count++;
	return count;
}

static bool is_write(enum privileged kind)
{
	return kind == DO_WRMSR || kind == DO_WRITE_CR || kind == DO_WRITE_DR || kind == DO_XSETBV || kind == DO_VMSAVE;
}

const struct privileged_step *fake_cpu_write(unsigned nth)
{
	for (unsigned i = 0; i < fake_cpu.step_count; i++)
		if (is_write(fake_cpu.steps[i].kind) && nth-- == 0)
			return &fake_cpu.steps[i];
	return NULL;
}

unsigned fake_cpu_writes(void)
{
	unsigned count = 0;

	while (fake_cpu_write(count))
		count++;
	return count;
}

void fake_cpu_expect_only(enum privileged kind, u32 number, u64 value)
{
	const struct privileged_step *step;

	assert_true(fake_cpu_writes());
	for (unsigned i = 0; (step = fake_cpu_write(i)); i++) {
		assert_int_equal(step->kind, kind);
		assert_int_equal(step->number, number);
		assert_int_equal(step->value, value);
	}
	fake_cpu.step_count = 0;
}

void fake_cpu_run_test(void **state)
{
	CMUnitTestFunction test = (CMUnitTestFunction)*state;

	fake_cpu_reset();
	test(state);
}
