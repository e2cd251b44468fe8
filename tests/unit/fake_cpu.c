/* SPDX-License-Identifier: MIT */
/* The fake processor: see fake_cpu.h. Intel SDM, "Instruction Set Reference". */
#define _GNU_SOURCE	/* the names of the registers in <ucontext.h> */
#include "fake_cpu.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "lib/errno.h"

#define MSRS 128

struct msr {
	u32 number;
	bool refused;
	u64 value, writable;
	unsigned writes;
};

struct fake_cpu fake_cpu;
static struct msr msrs[MSRS];
static unsigned msr_count;

int rdmsr_safe(u32 msr, u64 *value);
int wrmsr_safe(u32 msr, u64 value);

/* Of a signal handler: cmocka's fail() would return into the middle of the product's code. */
static void give_up(const char *what, u64 number)
{
	fprintf(stderr, "fake_cpu: %s 0x%llx\n", what, (unsigned long long)number);
	abort();
}

static struct msr *find(u32 number)
{
	for (unsigned i = 0; i < msr_count; i++) {
		if (msrs[i].number == number)
			return &msrs[i];
	}
	return NULL;
}

static struct msr *create(u32 number)
{
	struct msr *msr = find(number);

	if (msr)
		return msr;
	if (msr_count == MSRS)
		give_up("no room for MSR", number);
	msrs[msr_count] = (struct msr){ .number = number, .writable = ~0ull };
	return &msrs[msr_count++];
}

u64 *fake_msr(u32 number)
{
	return &create(number)->value;
}

void fake_msr_refuse(u32 number)
{
	create(number)->refused = true;
}

void fake_msr_writable(u32 number, u64 bits)
{
	create(number)->writable = bits;
}

unsigned fake_msr_writes(u32 number)
{
	return find(number) ? find(number)->writes : 0;
}

int rdmsr_safe(u32 number, u64 *value)
{
	if (!find(number))
		return -EFAULT;
	*value = find(number)->value;
	return 0;
}

int wrmsr_safe(u32 number, u64 value)
{
	struct msr *msr = find(number);

	if (!msr || msr->refused)
		return -EFAULT;
	msr->value = (msr->value & ~msr->writable) | (value & msr->writable);
	msr->writes++;
	return 0;
}

/* --- instructions --- */

static void note(char letter)
{
	size_t n = strlen(fake_cpu.diary);

	if (n + 1 < sizeof(fake_cpu.diary))
		fake_cpu.diary[n] = letter;
}

static greg_t *general_register(ucontext_t *context, unsigned number)
{
	static const int order[] = {
		REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
		REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
	};

	return &context->uc_mcontext.gregs[order[number]];
}

static u64 edx_eax(ucontext_t *context)
{
	return (u64)(u32)*general_register(context, 2) << 32 | (u32)*general_register(context, 0);
}

static void do_rdmsr(ucontext_t *context)
{
	u32 number = (u32)*general_register(context, 1);
	u64 value = 0;

	if (rdmsr_safe(number, &value))
		give_up("RDMSR of", number);
	*general_register(context, 0) = (u32)value;
	*general_register(context, 2) = (greg_t)(value >> 32);
}

static void do_wrmsr(ucontext_t *context)
{
	u32 number = (u32)*general_register(context, 1);

	if (wrmsr_safe(number, edx_eax(context)))
		give_up("WRMSR of", number);
}

/* MOV to and from control and debug registers. */
static void move(ucontext_t *context, u8 opcode, u8 modrm, u8 rex)
{
	unsigned number = (modrm >> 3 & 7) | (rex & 4) << 1;
	greg_t *reg = general_register(context, (modrm & 7) | (rex & 1) << 3);
	u64 *special = opcode & 1 ? &fake_cpu.dr[number & 7] : &fake_cpu.cr[number];

	if (opcode & 2)
		*special = (u64)*reg;
	else
		*reg = (greg_t)*special;
}

/* Returns the length of a two-byte instruction that is known here; 0: none. */
static unsigned two_bytes(ucontext_t *context, const u8 *at, u8 rex)
{
	switch (at[1]) {
	case 0x30:
		do_wrmsr(context);
		return 2;
	case 0x32:
		do_rdmsr(context);
		return 2;
	case 0x20 ... 0x23:
		move(context, at[1], at[2], rex);
		return 3;
	case 0x08:
	case 0x09:
		note('w');
		return 2;
	case 0x01:
		if (at[2] == 0xd1)
			fake_cpu.xcr0 = edx_eax(context);
		else if (at[2] == 0xdb)
			fake_cpu.vmsave_pa = (u64)*general_register(context, 0), note('s');
		else
			return 0;
		return 3;
	default:
		return 0;
	}
}

static unsigned one_byte(const u8 *at)
{
	static const char letters[][2] = { "\xf4h", "\xfai", "\xfbI" };

	for (unsigned i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		if (at[0] == (u8)letters[i][0]) {
			note(letters[i][1]);
			return 1;
		}
	}
	return 0;
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

static void on_signal(int number, siginfo_t *info, void *where)
{
	ucontext_t *context = where;
	const u8 *start = (const u8 *)context->uc_mcontext.gregs[REG_RIP], *at = start;
	u8 rex = (*at & 0xf0) == 0x40 ? *at++ : 0;
	unsigned length = *at == 0x0f ? two_bytes(context, at, rex) : one_byte(at);

	if (!length) {
		struct sigaction usual = { .sa_handler = SIG_DFL };

		sigaction(number, &usual, NULL);	/* it happens again, and ends the program */
		return;
	}
	context->uc_mcontext.gregs[REG_RIP] = (greg_t)(at + length);
}

void fake_cpu_reset(void)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };

	memset(&fake_cpu, 0, sizeof(fake_cpu));
	msr_count = 0;
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGILL, &action, NULL);
}
