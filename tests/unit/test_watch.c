/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints on data and ports, for accesses that Lamina carries out. Intel SDM, "Breakpoint Field Recognition",
 * "Debug Control Register (DR7)", "Data Memory and I/O Breakpoint Exception Conditions".
 */
/* link: core/emulate/watch.c core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c */
/* link: lib/insn.c lib/insn_tables.c tests/unit/fake_native.c tests/unit/fake_vcpu.c */
#include "emulate_machine.h"

#include "core/emulate/watch.h"

enum { EXECUTED, WRITTEN, IO, ACCESSED };

/* Breakpoint n: L bit, when, and the field for its length. */
static void set_breakpoint(unsigned n, unsigned when, unsigned length, u64 address)
{
	static const u8 fields[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };

	fake.controls[CTL_DR7] |= BIT(2 * n) | (u64)(when | fields[length] << 2) << (16 + 4 * n);
	fake.breakpoints[n] = address;
}

static void no_breakpoints(void)
{
	fake.controls[CTL_DR7] = 0x400;
	memset(fake.breakpoints, 0, sizeof(fake.breakpoints));
}

static void expect_hits(u64 hits)
{
	assert_false(fake.ended);
	assert_int_equal(fake.faulted, hits != 0);
	if (!hits)
		return;
	assert_int_equal(fake.vector, X86_DB);
	assert_int_equal(fake.payload, hits);
}

/* MOV EAX, [RBX] and MOV [RBX], EAX at an offset in the device's page: which breakpoints are hit. */
static void expect_mov(bool write, u64 offset, u64 hits)
{
	PLACE(CODE, write ? 0x89 : 0x8b, 0x03);
	set(REG_RBX, DEVICE + offset);
	access_device(FAKE_MMIO + offset, write ? TDP_WRITE : TDP_READ);
	assert_int_equal(fake.instructions_done, 1);
	assert_int_equal(get(REG_RIP), CODE + 2);
	expect_hits(hits);
}

static void when_it_is_hit(void **state)
{
	no_breakpoints();
	expect_mov(true, 0x10, 0);
	set_breakpoint(0, WRITTEN, 4, DEVICE + 0x10);
	set_breakpoint(1, ACCESSED, 4, DEVICE + 0x10);
	set_breakpoint(2, EXECUTED, 1, DEVICE + 0x10);
	set_breakpoint(3, IO, 4, DEVICE + 0x10);
	fake.controls[CTL_CR4] |= CR4_DE;
	expect_mov(true, 0x10, BIT(0) | BIT(1));
	expect_mov(false, 0x10, BIT(1));
	expect_mov(false, 0x20, 0);
	/* The G bit is as good as the L bit; without both it is off. */
	fake.controls[CTL_DR7] = (fake.controls[CTL_DR7] & ~0xffull) | BIT(3);
	expect_mov(true, 0x10, BIT(1));
	fake.controls[CTL_DR7] &= ~0xffull;
	expect_mov(true, 0x10, 0);
}

/* Any byte in common counts. The address is rounded down to the length. */
static void where_it_is_hit(void **state)
{
	static const struct {
		unsigned length;
		u64 at, first, last;	/* of a MOV of 4 bytes that hits it */
	} cases[] = {
		{ 1, 0x100, 0xfd, 0x100 }, { 2, 0x100, 0xfd, 0x101 }, { 4, 0x100, 0xfd, 0x103 }, { 8, 0x100, 0xfd, 0x107 },
		{ 2, 0x103, 0xff, 0x103 }, { 4, 0x103, 0xfd, 0x103 }, { 8, 0x106, 0xfd, 0x107 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		no_breakpoints();
		set_breakpoint(2, WRITTEN, cases[i].length, DEVICE + cases[i].at);
		for (u64 offset = 0xf0; offset < 0x110; offset++)
			expect_mov(true, offset, offset >= cases[i].first && offset <= cases[i].last ? BIT(2) : 0);
	}
}

static void test_port(u16 port, unsigned size, bool in, u64 hits)
{
	fake_forget();
	exit_io_watched(&fake.vcpu, port, size, in);
	assert_int_equal(fake.instructions_done, 1);
	expect_hits(hits);
}

static void ports(void **state)
{
	no_breakpoints();
	set_breakpoint(0, IO, 2, 0x60);
	set_breakpoint(1, IO, 1, 0x64);
	set_breakpoint(2, ACCESSED, 1, 0x64);
	test_port(0x60, 1, true, 0);		/* without CR4.DE */
	fake.controls[CTL_CR4] |= CR4_DE;
	test_port(0x60, 1, true, BIT(0));
	test_port(0x61, 1, false, BIT(0));
	test_port(0x62, 1, true, 0);
	test_port(0x64, 1, false, BIT(1));
	test_port(0x61, 4, true, BIT(0) | BIT(1));
	test_port(0x65, 1, true, 0);
}

/* #DB comes after the iteration that hit it, and RIP is still at the instruction, which goes on afterwards. */
static void strings_trap_in_between(void **state)
{
	const struct io_exit io = { .port = 0x60, .size = 1, .in = true, .rep = true };

	no_breakpoints();
	set_breakpoint(3, WRITTEN, 1, DATA + 2);
	PLACE(CODE, 0xf3, 0x6c);		/* REP INSB */
	set(REG_RDI, DATA);
	set(REG_RCX, 5);
	set(REG_RDX, 0x60);
	emulate_string_io(&fake.vcpu, &io);
	expect_hits(BIT(3));
	assert_int_equal(get(REG_RCX), 2);
	assert_int_equal(get(REG_RDI), DATA + 3);
	assert_int_equal(get(REG_RIP), CODE);
	fake_forget();
	emulate_string_io(&fake.vcpu, &io);
	expect_hits(0);
	assert_int_equal(get(REG_RIP), CODE + 2);

	PLACE(CODE, 0xf3, 0xa4);		/* REP MOVSB from the device */
	set(REG_RSI, DEVICE);
	set(REG_RDI, DATA);
	set(REG_RCX, 3);
	access_device(FAKE_MMIO, TDP_READ);
	expect_hits(BIT(3));
	assert_int_equal(get(REG_RCX), 0);
	assert_int_equal(get(REG_RIP), CODE + 2);	/* it was the last one */

	fake.controls[CTL_CR4] |= CR4_DE;
	set_breakpoint(0, IO, 1, 0x60);
	PLACE(CODE, 0xf3, 0x6c);
	set(REG_RDI, DATA);
	set(REG_RCX, 5);
	emulate_string_io(&fake.vcpu, &io);
	expect_hits(BIT(0));
	assert_int_equal(get(REG_RCX), 4);
}

/* The other ways to carry an instruction out: by the processor, and by hand. One that faults hits nothing. */
static void other_instructions(void **state)
{
	no_breakpoints();
	set_breakpoint(1, ACCESSED, 1, DEVICE + 7);
	PLACE(CODE, 0x0f, 0x6f, 0x03);		/* MOVQ MM0, [RBX] */
	set(REG_RBX, DEVICE);
	access_device(FAKE_MMIO, TDP_READ);
	expect_hits(BIT(1));
	PLACE(CODE, 0xff, 0x33);		/* PUSH [RBX] */
	set(REG_RSP, DATA + 0x100);
	access_device(FAKE_MMIO, TDP_READ);
	expect_hits(BIT(1));
	PLACE(CODE, 0xff, 0x33);
	*pte(DATA) = 0;
	access_device(FAKE_MMIO, TDP_READ);
	assert_int_equal(fake.vector, X86_PF);
	expect_mov(true, 0x100, 0);
}

/* A single step and a breakpoint are one #DB. */
static void together_with_a_single_step(void **state)
{
	no_breakpoints();
	watch_begin(&fake.vcpu);
	fake_forget();
	fake.vcpu.watch.hits = BIT(2);
	event_raise_debug(&fake.vcpu, DR6_BS);
	fake.vcpu.events.payload = DR6_BS;
	watch_end(&fake.vcpu);
	assert_int_equal(fake.vcpu.events.payload, DR6_BS | BIT(2));
	assert_int_equal(fake.vcpu.watch.hits, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(when_it_is_hit),
		TEST(where_it_is_hit),
		TEST(ports),
		TEST(strings_trap_in_between),
		TEST(other_instructions),
		TEST(together_with_a_single_step),
	};

	return cmocka_run_group_tests_name("breakpoints on emulated accesses", tests, NULL, NULL);
}
