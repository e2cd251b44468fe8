/* SPDX-License-Identifier: MIT */
/*
 * The keyboard controller without a keyboard: its status after each write, its 32 bytes of RAM, and
 * that only what pulses the reset line resets. Commands as in IBM's "Technical Reference: Personal
 * Computer AT", "Keyboard Controller".
 */
/* link: dev/isa/vi8042.c dev/isa/vkeyboard.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/isa/vi8042.h"

#define DATA	0x60
#define COMMAND	0x64
#define PORT_A	0x92

/* Status: self-test passed and keyboard not locked, always. */
#define FULL	0x01
#define IDLE	0x14
#define BUSY	0x1c	/* the last write was a command */
#define TIMEOUT 0x40

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	assert_non_null(vi8042_create(vm));
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

/* The byte goes to the keyboard, and there is none. */
static void assert_no_keyboard(struct vm *vm, u8 value)
{
	out8(vm, DATA, value);
	assert_int_equal(in8(vm, COMMAND), IDLE | FULL | TIMEOUT);
	assert_int_equal(in8(vm, DATA), 0xfe);
	assert_int_equal(in8(vm, COMMAND), IDLE);
}

static void idle_from_the_start(void **state)
{
	assert_int_equal(in8(*state, COMMAND), IDLE);
}

static void each_byte_of_ram_is_kept(void **state)
{
	struct vm *vm = *state;

	for (u8 i = 0; i < 32; i++) {
		out8(vm, COMMAND, 0x60 + i);
		assert_int_equal(in8(vm, COMMAND), BUSY);
		out8(vm, DATA, 0xa0 ^ i);
		assert_int_equal(in8(vm, COMMAND), IDLE);
	}
	for (u8 i = 0; i < 32; i++) {
		out8(vm, COMMAND, 0x20 + i);
		assert_int_equal(in8(vm, COMMAND), BUSY | FULL);
		assert_int_equal(in8(vm, DATA), 0xa0 ^ i);
		assert_int_equal(in8(vm, COMMAND), BUSY);
	}
	assert_int_equal(vm->end, VM_END_NONE);
}

/* All but those that answer, take a byte, or reset. */
static void other_commands_do_nothing(void **state)
{
	struct vm *vm = *state;

	for (unsigned command = 0; command < 0x100; command++) {
		switch (command) {
		case 0x20 ... 0x3f: case 0x60 ... 0x7f: case 0xa9 ... 0xab: case 0xd0 ... 0xd4:
			continue;
		default:
			if (command >= 0xf0 && !(command & 1))
				continue;	/* pulses the reset line */
		}
		out8(vm, COMMAND, command);
		assert_int_equal(in8(vm, COMMAND), BUSY);
		assert_no_keyboard(vm, 0);
	}
	assert_int_equal(vm->end, VM_END_NONE);
}

static void each_answer(void **state)
{
	static const struct {
		u8 command, answer;
	} rows[] = {
		{ 0xa9, 0x01 },		/* mouse: the clock line is low */
		{ 0xaa, 0x55 },		/* self-test passed */
		{ 0xab, 0x00 },		/* keyboard: no error */
		{ 0xd0, 0x03 },		/* output port: no reset, A20 on */
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		out8(vm, COMMAND, rows[i].command);
		assert_int_equal(in8(vm, COMMAND), BUSY | FULL);
		assert_int_equal(in8(vm, DATA), rows[i].answer);
		assert_int_equal(in8(vm, COMMAND), BUSY);
	}
	assert_int_equal(vm->end, VM_END_NONE);
}

static void a_command_takes_one_byte(void **state)
{
	struct vm *vm = *state;

	out8(vm, COMMAND, 0x61);
	out8(vm, DATA, 0x12);
	assert_no_keyboard(vm, 0x34);
	out8(vm, COMMAND, 0x21);
	assert_int_equal(in8(vm, DATA), 0x12);
}

static void another_command_cancels_the_one_before(void **state)
{
	struct vm *vm = *state;

	out8(vm, COMMAND, 0x61);
	out8(vm, COMMAND, 0xaa);
	assert_int_equal(in8(vm, DATA), 0x55);
	assert_no_keyboard(vm, 0x34);
	out8(vm, COMMAND, 0x21);
	assert_int_equal(in8(vm, DATA), 0);
}

static void bytes_to_the_devices_and_the_output_port(void **state)
{
	static const struct {
		u8 command, status;
	} rows[] = {
		{ 0xd1, IDLE },				/* output port: no answer */
		{ 0xd2, IDLE | FULL },			/* as if from the keyboard */
		{ 0xd3, IDLE | FULL },			/* as if from the mouse */
		{ 0xd4, IDLE | FULL | TIMEOUT },	/* to the mouse, which is not there */
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		out8(vm, COMMAND, rows[i].command);
		assert_int_equal(in8(vm, COMMAND), BUSY);
		out8(vm, DATA, 0x5b);
		assert_int_equal(in8(vm, COMMAND), rows[i].status);
		if (rows[i].status & FULL)
			assert_int_equal(in8(vm, DATA), rows[i].status & TIMEOUT ? 0xfe : 0x5b);
	}
	assert_int_equal(vm->end, VM_END_NONE);
}

static void each_even_pulse_resets(void **state)
{
	for (unsigned command = 0xf0; command < 0x100; command++) {
		struct vm *vm = fake_create(0);

		assert_non_null(vi8042_create(vm));
		out8(vm, COMMAND, command);
		assert_int_equal(vm->end, command & 1 ? VM_END_NONE : VM_END_RESET);
		fake_destroy(vm);
	}
}

static void ports_beside_them_are_free(void **state)
{
	static const u16 ports[] = { DATA - 1, DATA + 1, COMMAND - 1, COMMAND + 1, PORT_A - 1, PORT_A + 1 };

	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		assert_int_equal(in8(*state, ports[i]), 0xff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(idle_from_the_start),
		TEST(each_byte_of_ram_is_kept),
		TEST(other_commands_do_nothing),
		TEST(each_answer),
		TEST(a_command_takes_one_byte),
		TEST(another_command_cancels_the_one_before),
		TEST(bytes_to_the_devices_and_the_output_port),
		cmocka_unit_test(each_even_pulse_resets),
		TEST(ports_beside_them_are_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
