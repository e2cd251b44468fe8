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
	fake_cpu.cr0_at_wrmsr = fake_cpu.cr[0];
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

/* --- operands in memory --- */

static u64 index_part(ucontext_t *context, u8 sib, u8 rex)
{
	unsigned index = (sib >> 3 & 7) | (rex & 2) << 2;

	return index == 4 ? 0 : (u64)*general_register(context, index) << (sib >> 6);
}

/* The address, and where the instruction goes on behind it. SDM, "Addressing-Mode Encoding of ModR/M and SIB". */
static u64 address_of(ucontext_t *context, const u8 *modrm, u8 rex, const u8 **end)
{
	unsigned mod = *modrm >> 6, rm = *modrm & 7;
	const u8 *at = modrm + 1;
	u64 address = 0;
	s32 wide;

	if (rm == 4) {
		u8 sib = *at++;

		rm = sib & 7;
		address = index_part(context, sib, rex);
	} else if (rm == 5 && mod == 0) {
		memcpy(&wide, at, 4);
		*end = at + 4;
		return (u64)(at + 4) + (u64)(s64)wide;
	}
	address += (u64)*general_register(context, rm | (rex & 1) << 3);
	if (mod == 1)
		address += (u64)(s64)(s8)*at++;
	if (mod == 2) {
		memcpy(&wide, at, 4);
		address += (u64)(s64)wide;
		at += 4;
	}
	*end = at;
	return address;
}

/* --- VMX --- */

extern const u64 extable_begin[] __attribute__((weak));
extern const u64 extable_end[];
__asm__(".pushsection .extable, \"a\"; .balign 8; extable_end: .popsection");

/* VMsucceed clears all of them. */
static void set_vmx_result(ucontext_t *context)
{
	const greg_t flags = 0x8d5;	/* CF, PF, AF, ZF, SF, OF */

	context->uc_mcontext.gregs[REG_EFL] &= ~flags;
	if (fake_cpu.vmx_fails)
		context->uc_mcontext.gregs[REG_EFL] |= 1;
}

static const u8 *raise_gp(const u8 *at)
{
	for (const u64 *entry = extable_begin; entry && entry < extable_end; entry += 2) {
		if (entry[0] == (u64)at)
			return (const u8 *)entry[1];
	}
	give_up("#GP of an instruction without an entry in the exception table at", (u64)at);
	return NULL;
}

static const u8 *do_vmxon_group(ucontext_t *context, const u8 *start, u8 prefix, u8 rex, const u8 *modrm)
{
	const u8 *end;
	u64 pa;

	memcpy(&pa, (const void *)address_of(context, modrm, rex, &end), 8);
	if (prefix == 0xf3 && fake_cpu.vmxon_faults)
		return raise_gp(start);
	note(prefix == 0xf3 ? 'o' : prefix == 0x66 ? 'c' : 'p');
	*(prefix == 0xf3 ? &fake_cpu.vmxon_pa : prefix == 0x66 ? &fake_cpu.vmclear_pa : &fake_cpu.vmptrld_pa) = pa;
	set_vmx_result(context);
	return end;
}

static const u8 *do_invalidate(ucontext_t *context, bool vpid, u8 rex, const u8 *modrm)
{
	u64 type = (u64)*general_register(context, (*modrm >> 3 & 7) | (rex & 4) << 1);
	const u8 *end;
	u64 address = address_of(context, modrm, rex, &end);

	*(vpid ? &fake_cpu.invvpid_type : &fake_cpu.invept_type) = type;
	memcpy(vpid ? fake_cpu.invvpid_descriptor : fake_cpu.invept_descriptor, (const void *)address, 16);
	note(vpid ? 'v' : 'e');
	set_vmx_result(context);
	return end;
}

/* Those with a memory operand. NULL: it is none of them. */
static const u8 *vmx_instruction(ucontext_t *context, const u8 *start)
{
	u8 prefix = *start == 0xf3 || *start == 0x66 ? *start : 0;
	const u8 *at = start + !!prefix;
	u8 rex = (*at & 0xf0) == 0x40 ? *at++ : 0;

	if (at[0] != 0x0f)
		return NULL;
	if (at[1] == 0xc7 && (at[2] >> 3 & 7) == 6)
		return do_vmxon_group(context, start, prefix, rex, at + 2);
	if (at[1] == 0x38 && prefix == 0x66 && (at[2] == 0x80 || at[2] == 0x81))
		return do_invalidate(context, at[2] & 1, rex, at + 3);
	if (at[1] == 0x01 && at[2] == 0xc4) {
		note('x');
		return at + 3;
	}
	return NULL;
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
			if (at[0] == 0xf4 && fake_cpu.on_hlt)
				fake_cpu.on_hlt();
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
	const u8 *end = vmx_instruction(context, start);
	unsigned length = end ? 0 : *at == 0x0f ? two_bytes(context, at, rex) : one_byte(at);

	if (end) {
		context->uc_mcontext.gregs[REG_RIP] = (greg_t)end;
		return;
	}
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
