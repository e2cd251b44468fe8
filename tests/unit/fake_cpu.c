/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE	/* REG_RAX and the like of <ucontext.h> */
#include "fake_cpu.h"

#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "arch/cpu/cpu.h"
#include "lib/errno.h"

struct fake_cpu fake_cpu;

struct fake_msr *fake_msr(u32 number)
{
	for (unsigned i = 0; i < fake_cpu.msr_count; i++) {
		if (fake_cpu.msrs[i].number == number)
			return &fake_cpu.msrs[i];
	}
	assert_true(fake_cpu.msr_count < ARRAY_SIZE(fake_cpu.msrs));
	fake_cpu.msrs[fake_cpu.msr_count].number = number;
	return &fake_cpu.msrs[fake_cpu.msr_count++];
}

static void note(enum fake_write kind, u32 number, u64 value)
{
	assert_true(fake_cpu.write_count < ARRAY_SIZE(fake_cpu.writes));
	fake_cpu.writes[fake_cpu.write_count].kind = kind;
	fake_cpu.writes[fake_cpu.write_count].number = number;
	fake_cpu.writes[fake_cpu.write_count++].value = value;
}

static void write_msr(u32 number, u64 value)
{
	struct fake_msr *msr = fake_msr(number);

	msr->value = (msr->value & msr->ignored) | (value & ~msr->ignored);
	note(FAKE_WRMSR, number, value);
}

int wrmsr_safe(u32 number, u64 value)
{
	if (fake_msr(number)->write_faults)
		return -EFAULT;
	write_msr(number, value);
	return 0;
}

/* The general register of this number in an instruction's encoding. */
static greg_t *general(ucontext_t *context, unsigned number)
{
	static const u8 places[] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	return &context->uc_mcontext.gregs[places[number]];
}

static u64 edx_eax(ucontext_t *context)
{
	return (u64)*general(context, 2) << 32 | (u32)*general(context, 0);
}

/* MOV to or from CRn or DRn: opcode 20 to 23, bit 0 for DRn and bit 1 for a write. */
static void move(ucontext_t *context, u8 opcode, u8 modrm, u8 rex)
{
	greg_t *reg = general(context, (modrm & 7) | (rex & 1) << 3);
	unsigned number = (modrm >> 3 & 7) | (rex & 4) << 1;
	u64 *file = opcode & 1 ? fake_cpu.dr : fake_cpu.cr;

	assert_true(number <= 8);
	if (!(opcode & 2)) {
		*reg = (greg_t)file[number];
		return;
	}
	file[number] = (u64)*reg;
	note(opcode & 1 ? FAKE_DR : FAKE_CR, number, (u64)*reg);
}

/* Returns the length behind the REX prefix, or 0: none of those. */
static unsigned execute(ucontext_t *context, const u8 *code, u8 rex)
{
	u32 ecx = (u32)*general(context, 1);
	u64 value;

	if (code[0] != 0x0f)
		return 0;
	switch (code[1]) {
	case 0x20 ... 0x23:
		move(context, code[1], code[2], rex);
		return 3;
	case 0x30:
		assert_false(fake_msr(ecx)->write_faults);
		write_msr(ecx, edx_eax(context));
		return 2;
	case 0x32:
		value = fake_msr(ecx)->value;
		*general(context, 0) = (u32)value;
		*general(context, 2) = (greg_t)(value >> 32);
		return 2;
	case 0x01:
		if (code[2] == 0xd1)
			note(FAKE_XSETBV, ecx, edx_eax(context));
		else if (code[2] == 0xdb)
			note(FAKE_VMSAVE, 0, (u64)*general(context, 0));
		else
			return 0;
		return 3;
	default:
		return 0;
	}
}

static void handle(int number, siginfo_t *info, void *argument)
{
	ucontext_t *context = argument;
	greg_t *rip = &context->uc_mcontext.gregs[REG_RIP];
	const u8 *code = (const u8 *)*rip;
	u8 rex = (code[0] & 0xf0) == 0x40 ? code[0] : 0;
	unsigned length = execute(context, code + !!rex, rex);

	if (length)
		*rip += length + !!rex;
	else
		signal(number, SIG_DFL);	/* a defect of the test: let it crash where it is */
}

void fake_cpu_power_on(void)
{
	static const int signals[] = { SIGSEGV, SIGILL };
	const struct sigaction action = { .sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_NODEFER };

	memset(&fake_cpu, 0, sizeof(fake_cpu));
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		assert_int_equal(sigaction(signals[i], &action, NULL), 0);
}

void fake_cpu_expect_only(enum fake_write kind, u32 number, u64 value)
{
	assert_true(fake_cpu.write_count);
	for (unsigned i = 0; i < fake_cpu.write_count; i++) {
		assert_int_equal(fake_cpu.writes[i].kind, kind);
		assert_int_equal(fake_cpu.writes[i].number, number);
		assert_int_equal(fake_cpu.writes[i].value, value);
	}
	fake_cpu.write_count = 0;
}

void fake_cpu_run_test(void **state)
{
	CMUnitTestFunction test = (CMUnitTestFunction)*state;

	fake_cpu_power_on();
	test(state);
}
