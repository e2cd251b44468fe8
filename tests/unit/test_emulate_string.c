/* SPDX-License-Identifier: MIT */
/* String instructions: ports and memory, faults between iterations, bounds. */
/* link: core/emulate/watch.c */
/* link: core/emulate/native.c core/emulate/native_rules.c core/emulate/saved_state.c core/emulate/by_hand.c */
/* link: arch/fault/native_run.asm */
/* link: tests/unit/fake_native.c */
/* link: core/emulate/emulate.c core/emulate/mmio.c core/emulate/string.c core/emulate/alu.c */
/* link: core/emulate/operand.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c */
/* link: lib/insn_tables.c tests/unit/fake_vcpu.c */
#include "emulate_machine.h"

static void string_io(bool in, unsigned size)
{
	const struct io_exit io = { .port = 0x1f0, .size = (u8)size, .in = in };

	emulate_string_io(&fake.vcpu, &io);
	assert_true(fake.ended || fake.port_size == 0 || fake.port == 0x1f0);
}

static void test_ins(void **state)
{
	fake.port_in = 1;
	PLACE(CODE, 0x66, 0x6d);			/* INSW */
	set(REG_RDI, DATA);
	set(REG_RCX, 7);
	string_io(true, 2);
	expect_done(CODE + 2);
	assert_int_equal(get(REG_RDI), DATA + 2);
	assert_int_equal(get(REG_RCX), 7);

	PLACE(CODE, 0xf3, 0x6d);			/* REP INSD */
	string_io(true, 4);
	expect_done(CODE + 2);
	assert_int_equal(get(REG_RCX), 0);
	assert_int_equal(get(REG_RDI), DATA + 30);
	for (unsigned i = 0; i < 30; i++)
		assert_int_equal(fake.ram[DATA + i], i + 1);
	assert_int_equal(fake.ram[DATA + 30], 0);
}

static void test_outs_downwards_with_a_segment(void **state)
{
	for (unsigned i = 0; i < 8; i++)
		fake.ram[DATA + i] = (u8)(0x10 + i);
	fake.segments[SEG_FS].base = DATA - 0x100;
	PLACE(CODE, 0x64, 0xf3, 0x66, 0x6f);		/* REP OUTSW FS:[RSI] */
	set(REG_RSI, 0x106);
	set(REG_RCX, 4);
	set(REG_RFLAGS, RFLAGS_FIXED | RFLAGS_DF);
	string_io(false, 2);
	expect_done(CODE + 4);
	assert_int_equal(get(REG_RSI), 0xfe);
	assert_int_equal(fake.port_writes, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(fake.port_written[i], 0x1716 - 0x202 * i);
}

static void test_string_addresses_wrap_at_16_bits(void **state)
{
	fake_real_mode();
	fake.port_in = 0x40;
	PLACE(0x8000, 0xf3, 0x6c);			/* REP INSB */
	set(REG_RDI, 0x123456789abcfffeull);
	set(REG_RCX, 0x56789abcdef00003ull);
	string_io(true, 1);
	expect_done(0x8002);
	assert_int_equal(fake.ram[0xfffe], 0x40);
	assert_int_equal(fake.ram[0xffff], 0x41);
	assert_int_equal(fake.ram[0], 0x42);
	assert_int_equal(get(REG_RDI), 0x123456789abc0001ull);
	assert_int_equal(get(REG_RCX), 0x56789abcdef00000ull);
}

/* What is done at once ends with the page, with what the segment has, and with RAM. */
static void test_ports_at_once_end_where_the_memory_does(void **state)
{
	PLACE(CODE, 0xf3, 0x6e);			/* REP OUTSB, over the end of a page */
	for (unsigned i = 0; i < 16; i++)
		fake.ram[DATA + 0xff8 + i] = (u8)(0x20 + i);
	set(REG_RSI, DATA + 0xff8);
	set(REG_RCX, 16);
	string_io(false, 1);
	expect_done(CODE + 2);
	assert_int_equal(fake.port_writes, 16);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(fake.port_written[i], 0x20 + i);
	assert_int_equal(get(REG_RSI), DATA + 0x1008);
	assert_int_equal(get(REG_RCX), 0);
}

static void test_rep_of_nothing(void **state)
{
	PLACE(CODE, 0xf3, 0x6c);
	set(REG_RDI, 0x800000000000ull);		/* not accessed */
	set(REG_RCX, 0);
	string_io(true, 1);
	expect_done(CODE + 2);
}

/* A fault keeps what was copied before it, and no data read from the port is lost. */
static void test_fault_in_the_middle(void **state)
{
	*pte(DATA + PAGE_SIZE) = 0;
	fake.port_in = 0;
	PLACE(CODE, 0xf3, 0x6d);			/* REP INSD */
	set(REG_RDI, DATA + PAGE_SIZE - 10);
	set(REG_RCX, 5);
	string_io(true, 4);
	expect_raised(X86_PF, PF_WRITE, DATA + PAGE_SIZE, CODE);
	assert_int_equal(get(REG_RCX), 3);
	assert_int_equal(get(REG_RDI), DATA + PAGE_SIZE - 2);
	assert_int_equal(fake.port_in, 8);
	assert_int_equal(fake.ram[DATA + PAGE_SIZE - 1], 0);

	/* The guest maps the page, and the instruction continues. */
	*pte(DATA + PAGE_SIZE) = 0x60000 | ALL;
	fake_forget();
	string_io(true, 4);
	expect_done(CODE + 2);
	assert_int_equal(fake.ram[DATA + PAGE_SIZE - 1], 9);
	assert_int_equal(fake.ram[0x60000], 10);
}

static void test_batches_are_bounded(void **state)
{
	unsigned rounds = 0;

	PLACE(CODE, 0xf3, 0xaa);			/* REP STOSB */
	set(REG_RAX, 0x5a);
	set(REG_RDI, DEVICE);
	set(REG_RCX, 3 * 256 + 1);
	while (get(REG_RIP) == CODE) {
		u64 before = get(REG_RCX);

		assert_true(++rounds < 100);
		access_device(FAKE_MMIO, TDP_WRITE);
		assert_false(fake.faulted || fake.ended);
		assert_in_range(before - get(REG_RCX), 1, 256);
	}
	assert_int_equal(rounds, 4);
	assert_int_equal(get(REG_RCX), 0);
	assert_int_equal(fake.mmio_writes, 3 * 256 + 1);
}

static void take_time(void)
{
	fake.now += 250000;
}

/* A slow console ends the batch early, so that timers and keys are served. */
static void test_slow_ports_are_left_in_time(void **state)
{
	PLACE(CODE, 0xf3, 0x6e);			/* REP OUTSB */
	set(REG_RSI, DATA);
	set(REG_RCX, 100);
	fake.on_access = take_time;
	string_io(false, 1);
	assert_int_equal(fake.port_writes, 4);
	assert_int_equal(get(REG_RIP), CODE);
	assert_int_equal(get(REG_RCX), 96);
	assert_int_equal(get(REG_RSI), DATA + 4);
}

static void request_now(void)
{
	vcpu_request(&fake.vcpu, REQ_EVENT);
}

static void end_now(void)
{
	fake.vm.state = VM_ENDED;
}

static void test_batches_end_for_what_waits(void **state)
{
	static void (*const interruptions[])(void) = { request_now, end_now };

	for (unsigned i = 0; i < ARRAY_SIZE(interruptions); i++) {
		PLACE(CODE, 0xf3, 0x6e);		/* REP OUTSB */
		set(REG_RSI, DATA);
		set(REG_RCX, 10);
		fake.on_access = interruptions[i];
		string_io(false, 1);
		fake.on_access = NULL;
		assert_int_equal(fake.port_writes, 1);
		assert_int_equal(get(REG_RCX), 9);
		assert_int_equal(get(REG_RIP), CODE);
	}
}

/* SDM, "Single-Step Exception Condition": a trap after each iteration. */
static void test_single_steps_through_strings(void **state)
{
	PLACE(CODE, 0xf3, 0xab);			/* REP STOSD */
	set(REG_RDI, DEVICE);
	set(REG_RCX, 2);
	set(REG_RFLAGS, RFLAGS_FIXED | RFLAGS_TF);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_done(CODE);
	assert_int_equal(get(REG_RCX), 1);
	fake_forget();
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_done(CODE + 2);
	assert_int_equal(get(REG_RCX), 0);
}

static void test_movs_between_ram_and_device(void **state)
{
	memcpy(fake.ram + DATA, "from memory", 12);
	PLACE(CODE, 0xf3, 0xa4);
	set(REG_RSI, DATA);
	set(REG_RDI, DEVICE + 0x100);
	set(REG_RCX, 12);
	access_device(FAKE_MMIO + 0x100, TDP_WRITE);
	expect_done(CODE + 2);
	assert_string_equal(fake.mmio + 0x100, "from memory");
	assert_int_equal(fake.mmio_reads, 0);
	assert_int_equal(fake.mmio_writes, 12);

	PLACE(CODE, 0xf3, 0xa4);
	set(REG_RSI, DEVICE + 0x100);
	set(REG_RDI, DATA + 0x100);
	set(REG_RCX, 12);
	access_device(FAKE_MMIO + 0x100, TDP_READ);
	expect_done(CODE + 2);
	assert_string_equal(fake.ram + DATA + 0x100, "from memory");
	assert_int_equal(fake.mmio_reads, 12);
	assert_int_equal(fake.mmio_writes, 0);
}

static void test_movs_within_ram_reaches_no_device(void **state)
{
	memcpy(fake.ram + DATA, "from memory", 12);
	PLACE(CODE, 0xf3, 0xa4);
	set(REG_RSI, DATA);
	set(REG_RDI, DATA + 0x200);
	set(REG_RCX, 12);
	access_device(FAKE_MMIO, TDP_WRITE);
	expect_done(CODE + 2);
	assert_string_equal(fake.ram + DATA + 0x200, "from memory");
	assert_int_equal(fake.mmio_reads + fake.mmio_writes, 0);
}

/* Source and destination are accessed with the guest's privilege, and checked before any data moves. */
static void test_strings_with_the_rights_of_the_guest(void **state)
{
	static const struct {
		u8 opcode;
		u32 source, destination;	/* error codes at CPL 3; 0: no access */
	} cases[] = {
		{ 0xa4, PF_PRESENT | PF_USER, PF_PRESENT | PF_USER | PF_WRITE },	/* MOVSB */
		{ 0xa6, PF_PRESENT | PF_USER, PF_PRESENT | PF_USER },			/* CMPSB */
		{ 0xaa, 0, PF_PRESENT | PF_USER | PF_WRITE },				/* STOSB */
		{ 0xac, PF_PRESENT | PF_USER, 0 },					/* LODSB */
		{ 0xae, 0, PF_PRESENT | PF_USER },					/* SCASB */
	};

	fake_set_cpl(3);
	set(REG_RSI, DATA);
	set(REG_RDI, DEVICE);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		for (unsigned destination = 0; destination < 2; destination++) {
			u32 code = destination ? cases[i].destination : cases[i].source;

			if (!code)
				continue;
			*pte(destination ? DEVICE : DATA) &= ~PTE_USER;
			PLACE(CODE, cases[i].opcode);
			access_device(FAKE_MMIO, TDP_WRITE);
			expect_raised(X86_PF, code, destination ? DEVICE : DATA, CODE);
			assert_int_equal(fake.mmio_reads + fake.mmio_writes, 0);
			assert_int_equal(get(REG_RSI), DATA);
			assert_int_equal(get(REG_RDI), DEVICE);
			*pte(destination ? DEVICE : DATA) |= PTE_USER;
		}
	}
}

/* The code was there for the first instruction, and is gone for the second. */
static void test_no_port_is_read_without_code(void **state)
{
	PLACE(CODE, 0x6c);				/* INSB */
	set(REG_RDI, DATA);
	string_io(true, 1);
	expect_done(CODE + 1);
	fake.port_in = 7;
	*pte(CODE) = 0;
	set(REG_RIP, CODE);
	fake_forget();
	string_io(true, 1);
	expect_raised(X86_PF, 0, CODE, CODE);
	assert_int_equal(fake.port_in, 7);
	assert_int_equal(get(REG_RDI), DATA + 1);
}

static void test_port_strings_with_the_rights_of_the_guest(void **state)
{
	fake_set_cpl(3);
	set(REG_RSI, DATA);
	set(REG_RDI, DATA);
	*pte(DATA) &= ~PTE_USER;
	PLACE(CODE, 0x6c);				/* INSB */
	string_io(true, 1);
	expect_raised(X86_PF, PF_PRESENT | PF_USER | PF_WRITE, DATA, CODE);
	PLACE(CODE, 0x6e);				/* OUTSB */
	string_io(false, 1);
	expect_raised(X86_PF, PF_PRESENT | PF_USER, DATA, CODE);
	assert_int_equal(fake.port_size, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ins),
		TEST(test_outs_downwards_with_a_segment),
		TEST(test_string_addresses_wrap_at_16_bits),
		TEST(test_ports_at_once_end_where_the_memory_does),
		TEST(test_rep_of_nothing),
		TEST(test_slow_ports_are_left_in_time),
		TEST(test_fault_in_the_middle),
		TEST(test_batches_are_bounded),
		TEST(test_batches_end_for_what_waits),
		TEST(test_single_steps_through_strings),
		TEST(test_movs_between_ram_and_device),
		TEST(test_movs_within_ram_reaches_no_device),
		TEST(test_strings_with_the_rights_of_the_guest),
		TEST(test_no_port_is_read_without_code),
		TEST(test_port_strings_with_the_rights_of_the_guest),
	};

	return cmocka_run_group_tests_name("emulate: strings", tests, NULL, NULL);
}
