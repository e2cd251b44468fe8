/* SPDX-License-Identifier: MIT */
/* The words for calls of the BIOS and for exceptions in real mode: what the guest's stack and code say. */
/* link: core/bios_call.c tests/unit/fake_vcpu.c core/cpu/control.c core/vcpu.c */
#include "fake_vcpu.h"

#include <string.h>

#include "core/bios_call.h"
#include "core/device.h"
#include "core/load/bios.h"

#define STACK 0x7000u	/* SS:SP is 0600:1000 */

static struct io_region region;

int pio_register(struct vm *vm, const struct io_region *asked)
{
	region = *asked;
	return 0;
}

static int set_up(void **state)
{
	fake_machine_create();
	assert_int_equal(bios_call_register(&fake.vm), 0);
	assert_int_equal(region.base, 0xb2);
	assert_int_equal(region.size, 1);
	assert_int_equal(region.read(region.device, &fake.vcpu, 0, 1) & 0xff, 0xff);
	return 0;
}

static int tear_down(void **state)
{
	fake_machine_destroy();
	return 0;
}

/* OUT imm8, AL at this place in the code segment. On the fast path RIP is behind it already: core/fastpath.h. */
static void execute_out(u64 rip)
{
	fake.vcpu.exit_rip = rip;
	vcpu_reg_write(&fake.vcpu, REG_RIP, rip + 2);
	region.write(region.device, &fake.vcpu, 0, 1, 0x48);
}

/* The code of a vector executes its OUT, after an interrupt that returns to ip:cs. */
static void arrive(unsigned vector, u16 ip, u16 cs)
{
	const u16 frame[3] = { ip, cs, 0x202 };

	fake_forget();
	memcpy(fake.ram + STACK, frame, sizeof(frame));
	fake.segments[SEG_SS].base = 0x6000;
	vcpu_reg_write(&fake.vcpu, REG_RSP, 0xabcd1000);	/* SP has 16 bits */
	fake.segments[SEG_CS].base = 0xf0000;
	fake.vcpu.regs[REG_RAX] = 0x12340e48;
	execute_out(0xe000 + 4 * vector);
}

static void expect(const char *words)
{
	assert_true(fake.ended);
	assert_string_equal(fake.words, words);
}

static void calls_are_named(void **state)
{
	memcpy(fake.ram + 0x7c10, "\xcd\x10\x90", 3);
	arrive(0x10, 0x7c12, 0);
	expect("BIOS call INT 10h with AX 0E48h at 0000:7c10: Lamina has no BIOS services");
	/* The same place by another segment, and the first byte of a segment's end: IP wraps. */
	arrive(0x10, 0x12, 0x7c0);
	expect("BIOS call INT 10h with AX 0E48h at 07c0:0010: Lamina has no BIOS services");
	memcpy(fake.ram + 0x1fffe, "\xcd\x13", 2);
	arrive(0x13, 0, 0x1000);
	expect("BIOS call INT 13h with AX 0E48h at 1000:fffe: Lamina has no BIOS services");
	/* Vectors of exceptions can be called, too. */
	memcpy(fake.ram + 0x7c10, "\xcd\x05", 2);
	arrive(0x05, 0x7c12, 0);
	expect("BIOS call INT 05h with AX 0E48h at 0000:7c10: Lamina has no BIOS services");
	memcpy(fake.ram + 0x7c10, "\xcd\xff", 2);
	arrive(0xff, 0x7c12, 0);
	expect("BIOS call INT FFh with AX 0E48h at 0000:7c10: Lamina has no BIOS services");
}

/* A handler of the guest's that goes on with the one before it. */
static void calls_by_a_far_call_are_named(void **state)
{
	memcpy(fake.ram + 0x7c10, "\xcd\x14", 2);	/* of another vector */
	arrive(0x10, 0x7c12, 0);
	expect("BIOS call by vector 10h with AX 0E48h, to return to 0000:7c12: Lamina has no BIOS services");
	memcpy(fake.ram + 0x7c10, "\xcc\x10", 2);	/* no INT n */
	arrive(0x10, 0x7c12, 0);
	expect("BIOS call by vector 10h with AX 0E48h, to return to 0000:7c12: Lamina has no BIOS services");
}

static void exceptions_are_named(void **state)
{
	arrive(0, 0x7c12, 0);
	expect("exception 0 at 0000:7c12, and the guest has set no handler for it");
	arrive(6, 0x7c12, 0x100);
	expect("exception 6 at 0100:7c12, and the guest has set no handler for it");
	arrive(15, 0x7c12, 0);
	expect("exception 15 at 0000:7c12, and the guest has set no handler for it");
	/* Where the code is not in RAM it cannot be looked at. */
	arrive(13, 0x10, 0xffff);
	expect("exception 13 at ffff:0010, and the guest has set no handler for it");
}

/* No stack to look at: it is not in RAM, or the guest uses virtual-8086 mode. */
static void without_a_stack(void **state)
{
	const char *words = "interrupt 10h with AX 0E48h came to the BIOS: Lamina has no BIOS services";

	memcpy(fake.ram + 0x7c10, "\xcd\x10", 2);
	fake.controls[CTL_CR0] = CR0_PE;
	arrive(0x10, 0x7c12, 0);
	expect(words);
	fake.controls[CTL_CR0] = 0;
	fake_forget();
	fake.segments[SEG_SS].base = FAKE_RAM_SIZE - 0x1003;	/* half of it */
	region.write(region.device, &fake.vcpu, 0, 1, 0);
	expect(words);
}

/* Any other code may write to the port: nothing happens. */
static void other_code_is_left_alone(void **state)
{
	static const u32 places[][2] = {	/* CS' base, RIP */
		{ 0, 0x7c00 }, { 0xf0000, 0xdffc }, { 0xf0000, 0xe001 }, { 0xf0000, 0xe402 }, { 0xf0000, 0xe400 },
		{ 0xf0000, 0xfffc },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		fake.segments[SEG_CS].base = places[i][0];
		execute_out(places[i][1]);
		assert_false(fake.ended);
	}
	fake.segments[SEG_CS].base = 0xfe3fc;
	execute_out(0);
	assert_true(fake.ended);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(calls_are_named),
		TEST(calls_by_a_far_call_are_named),
		TEST(exceptions_are_named),
		TEST(without_a_stack),
		TEST(other_code_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
