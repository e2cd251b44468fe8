/* SPDX-License-Identifier: MIT */
/* Power management against ACPI's "Fixed Hardware Registers", and the ways to the reset line. */
/* link: dev/isa/vpm.c dev/isa/vi8042.c dev/isa/vkeyboard.c dev/isa/byte_ports.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -Xlinker --wrap=log_line */
#include "fake_vm.h"

#include "dev/isa/vi8042.h"
#include "dev/isa/vpm.h"

#define STATUS	PM1A_EVENT_PORT
#define ENABLE	(PM1A_EVENT_PORT + 2)
#define CONTROL PM1A_CONTROL_PORT
#define SCI	PM_SCI_IRQ
#define S5	(PM_SLEEP_TYPE_S5 << 10)
#define SLP_EN	0x2000

#define SECOND 1000000000ull

static struct vpm *vpm;
static unsigned warnings;

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...)
{
	warnings += level == LOG_WARN;
}

static int setup(void **state)
{
	struct vm *vm = fake_create(0);

	vpm = vpm_create(vm);
	assert_non_null(vpm);
	assert_non_null(vi8042_create(vm));
	*state = vm;
	return 0;
}

static int teardown(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	vm->ports.count = 0;
	assert_null(vpm_create(vm));
	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	vm->ports.count = 0;
	assert_null(vi8042_create(vm));
	fake_destroy(vm);
}

/* Where there is a PCI bus, it has the ports around it. */
static void test_the_reset_register_without_a_pci_bus(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(in8(vm, 0xcf9), 0xff);
	fake_destroy(vm);
	vm = fake_create(0);
	fake_of(vm)->no_pci = true;
	vpm = vpm_create(vm);
	assert_non_null(vpm);
	assert_int_equal(in8(vm, 0xcf8), 0xff);
	assert_int_equal(in8(vm, 0xcfa), 0xff);
	out8(vm, 0xcf9, 0x02);
	assert_int_equal(in8(vm, 0xcf9), 0x02);
	assert_int_equal(vm->end, VM_END_NONE);
	out32(vm, 0xcf8, 0x80000600);		/* a guest that looks for a bus */
	assert_int_equal(in32(vm, 0xcf8), 0xffffffff);
	out16(vm, 0xcf8, 0x0606);
	out16(vm, 0xcf9, 0x0606);
	assert_int_equal(vm->end, VM_END_NONE);
	out8(vm, 0xcf9, 0x06);
	assert_int_equal(vm->end, VM_END_RESET);
	*state = vm;
}

static void test_power_off(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(in16(vm, CONTROL), 0x0001);	/* SCI_EN: ACPI mode from the start */
	out16(vm, CONTROL, S5);
	assert_int_equal(vm->end, VM_END_NONE);
	assert_int_equal(in16(vm, CONTROL), S5 | 1);
	out16(vm, CONTROL, S5 | SLP_EN);
	assert_int_equal(vm->end, VM_END_POWEROFF);
	assert_int_equal(in16(vm, CONTROL), S5 | 1);	/* SLP_EN is write-only */
}

static void test_power_off_by_bytes(void **state)
{
	struct vm *vm = *state;

	out8(vm, CONTROL, 0);
	assert_int_equal(vm->end, VM_END_NONE);
	out8(vm, CONTROL + 1, (S5 | SLP_EN) >> 8);
	assert_int_equal(vm->end, VM_END_POWEROFF);
}

static void test_other_sleep_types(void **state)
{
	struct vm *vm = *state;

	warnings = 0;
	for (unsigned type = 0; type < 8; type++)
		if (type != PM_SLEEP_TYPE_S5 && type != 0)
			out16(vm, CONTROL, type << 10 | SLP_EN);
	assert_int_equal(vm->end, VM_END_NONE);
	assert_int_equal(warnings, 6);	/* each is reported, once */
	out16(vm, CONTROL, 1 << 10 | SLP_EN);
	assert_int_equal(warnings, 6);
}

/* What small kernels write to power QEMU off. */
static void test_sleep_type_of_qemu(void **state)
{
	struct vm *vm = *state;

	out16(vm, 0x604, 0x2000);
	assert_int_equal(vm->end, VM_END_POWEROFF);
}

static void test_power_button(void **state)
{
	struct vm *vm = *state;

	vpm_power_button(vpm);
	assert_false(fake_of(vm)->lines[SCI].level);
	assert_int_equal(in16(vm, STATUS), 0x0100);
	out16(vm, ENABLE, 0x0100);
	assert_true(fake_of(vm)->lines[SCI].level);
	out16(vm, STATUS, 0x0000);		/* a 0 clears nothing */
	assert_true(fake_of(vm)->lines[SCI].level);
	out16(vm, STATUS, 0x0100);
	assert_false(fake_of(vm)->lines[SCI].level);
	assert_int_equal(in16(vm, STATUS), 0);
	vpm_power_button(vpm);
	assert_true(fake_of(vm)->lines[SCI].level);
	out8(vm, STATUS + 1, 0x01);
	assert_false(fake_of(vm)->lines[SCI].level);
}

/* The registers are 16 bits wide: a byte write leaves the other byte alone. */
static void test_byte_writes(void **state)
{
	struct vm *vm = *state;

	out16(vm, ENABLE, 0x0521);
	out8(vm, ENABLE, 0x20);
	assert_int_equal(in16(vm, ENABLE), 0x0520);
	out8(vm, ENABLE + 1, 0x01);
	assert_int_equal(in16(vm, ENABLE), 0x0120);
	out8(vm, ENABLE, 0x01);
	assert_int_equal(in16(vm, ENABLE), 0x0101);
}

static void test_status_is_cleared_by_bytes(void **state)
{
	struct vm *vm = *state;

	vpm_power_button(vpm);
	fake_advance_ns(vm, 600 * SECOND);	/* and the timer's highest bit changes */
	assert_int_equal(in16(vm, STATUS), 0x0101);
	out8(vm, STATUS + 1, 0xfe);
	out8(vm, STATUS, 0xfe);
	assert_int_equal(in16(vm, STATUS), 0x0101);
	out8(vm, STATUS + 1, 0x01);
	assert_int_equal(in16(vm, STATUS), 0x0001);
	out8(vm, STATUS, 0x01);
	assert_int_equal(in16(vm, STATUS), 0);
}

static void test_enables(void **state)
{
	struct vm *vm = *state;

	out16(vm, ENABLE, 0xffff);
	assert_int_equal(in16(vm, ENABLE), 0x0521);	/* timer, global, power button, RTC */
	assert_int_equal(in32(vm, STATUS), 0x05210000);
	out8(vm, ENABLE + 1, 0);
	assert_int_equal(in16(vm, ENABLE), 0x0021);
}

static void test_timer_counts(void **state)
{
	struct vm *vm = *state;
	u32 start = in32(vm, PM_TIMER_PORT);

	fake_advance_ns(vm, 10 * SECOND);
	assert_in_range(in32(vm, PM_TIMER_PORT) - start, 35795449, 35795450);
	/* After a day it is right to the tick, modulo its width. */
	fake_advance(vm, (86400 - 10) * fake_hz);
	assert_in_range(in32(vm, PM_TIMER_PORT) - start, (u32)(86400ull * PM_TIMER_HZ) - 2,
			(u32)(86400ull * PM_TIMER_HZ) + 1);
	start = in32(vm, PM_TIMER_PORT);
	out32(vm, PM_TIMER_PORT, 0);		/* read-only */
	assert_int_equal(in32(vm, PM_TIMER_PORT), start);
	assert_int_equal(in16(vm, PM_TIMER_PORT + 2), start >> 16);
	assert_int_equal(in8(vm, PM_TIMER_PORT + 1), start >> 8 & 0xff);
}

/* TMR_STS: the highest bit changes, every 2^31 / 3579545 Hz = 599.9 s. */
static void test_timer_carry(void **state)
{
	struct vm *vm = *state;

	fake_advance_ns(vm, 599 * SECOND);
	assert_int_equal(in16(vm, STATUS), 0);
	fake_advance_ns(vm, 1 * SECOND);
	assert_int_equal(in16(vm, STATUS), 0x0001);
	assert_int_equal(fake_of(vm)->lines[SCI].rises, 0);
	out16(vm, STATUS, 0x0001);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
	out16(vm, ENABLE, 0x0001);
	fake_advance_ns(vm, 599 * SECOND);
	assert_int_equal(fake_of(vm)->lines[SCI].rises, 0);
	fake_advance_ns(vm, 1 * SECOND);
	assert_int_equal(fake_of(vm)->lines[SCI].rises, 1);
	fake_advance_ns(vm, 6000 * SECOND);
	assert_int_equal(fake_of(vm)->lines[SCI].rises, 1);	/* the guest has to take the first */
	out16(vm, STATUS, 0x0001);
	assert_false(fake_of(vm)->lines[SCI].level);
	fake_advance_ns(vm, 600 * SECOND);
	assert_int_equal(fake_of(vm)->lines[SCI].rises, 2);
}

static void test_no_timer_without_its_enable(void **state)
{
	struct vm *vm = *state;

	out16(vm, ENABLE, 0x0001);
	assert_int_not_equal(fake_deadline(vm), VTIMER_NEVER);
	out16(vm, ENABLE, 0x0000);
	assert_int_equal(fake_deadline(vm), VTIMER_NEVER);
}

static void test_gpe(void **state)
{
	struct vm *vm = *state;

	out16(vm, PM_GPE0_PORT, 0xffff);	/* status */
	assert_int_equal(in32(vm, PM_GPE0_PORT), 0);
	out32(vm, PM_GPE0_PORT, 0xa55affff);
	assert_int_equal(in32(vm, PM_GPE0_PORT), 0xa55a0000);
	assert_false(fake_of(vm)->lines[SCI].level);
}

static void test_debug_exit(void **state)
{
	struct vm *vm = *state;

	out8(vm, DEBUG_EXIT_PORT, 0x10);
	assert_int_equal(vm->end, VM_END_DEBUG_EXIT);
	assert_int_equal(vm->exit_status, 0x10);
}

static void test_debug_exit_reads_ones(void **state)
{
	assert_int_equal(in8(*state, DEBUG_EXIT_PORT), 0xff);
	assert_int_equal(in32(*state, DEBUG_EXIT_PORT), 0xffffffff);
}

/* A write there ends the VM: no port more than the four of one wide access. */
static void test_ports_beside_debug_exit_are_free(void **state)
{
	struct vm *vm = *state;

	out8(vm, DEBUG_EXIT_PORT - 1, 0);
	out8(vm, DEBUG_EXIT_PORT + 4, 0);
	assert_int_equal(vm->end, VM_END_NONE);
}

static void test_wide_debug_exit(void **state)
{
	struct vm *vm = *state;

	out32(vm, DEBUG_EXIT_PORT, 0x12345678);
	assert_int_equal(vm->exit_status, 0x12345678);
}

static void test_reset_register(void **state)
{
	struct vm *vm = *state;

	vpm_reset_write(vpm, 0x02);
	assert_int_equal(vpm_reset_read(vpm), 0x02);
	assert_int_equal(vm->end, VM_END_NONE);
	vpm_reset_write(vpm, PM_RESET_VALUE);
	assert_int_equal(vm->end, VM_END_RESET);
}

/* --- 8042 and port 0x92 --- */

static u8 ask_8042(struct vm *vm, u8 command)
{
	assert_int_equal(in8(vm, 0x64) & 0x02, 0);	/* ready for input at any time */
	out8(vm, 0x64, command);
	assert_int_equal(in8(vm, 0x64) & 0x01, 0x01);
	return in8(vm, 0x60);
}

static void test_8042_commands(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(in8(vm, 0x64) & 0x03, 0);
	assert_int_equal(ask_8042(vm, 0xaa), 0x55);
	assert_int_equal(in8(vm, 0x64) & 0x01, 0);
	assert_int_equal(in8(vm, 0x64) & 0x04, 0x04);	/* passed */
	assert_int_equal(ask_8042(vm, 0xab), 0x00);
	assert_int_equal(ask_8042(vm, 0xa9), 0x01);
	for (u8 command = 0xd2; command <= 0xd3; command++) {
		out8(vm, 0x64, command);	/* as if from keyboard or mouse */
		out8(vm, 0x60, 0x5a);
		assert_int_equal(in8(vm, 0x64) & 0x41, 0x01);
		assert_int_equal(in8(vm, 0x60), 0x5a);
	}
	assert_int_equal(ask_8042(vm, 0xd0) & 0x03, 0x03);	/* no reset, A20 on */
	out8(vm, 0x64, 0x60);
	assert_int_equal(in8(vm, 0x64) & 0x09, 0x08);
	out8(vm, 0x60, 0x47);
	assert_int_equal(ask_8042(vm, 0x20), 0x47);
}

static void test_8042_has_no_keyboard(void **state)
{
	struct vm *vm = *state;

	out8(vm, 0x60, 0xff);
	assert_int_equal(in8(vm, 0x64), 0x55);	/* timeout, and a byte that says so */
	assert_int_equal(in8(vm, 0x60), 0xfe);
	assert_int_equal(in8(vm, 0x64) & 0x41, 0);
}

static void test_a20_by_8042(void **state)
{
	struct vm *vm = *state;

	out8(vm, 0x64, 0xd1);
	out8(vm, 0x60, 0xdf);
	out8(vm, 0x64, 0xff);
	out8(vm, 0x64, 0xdd);
	out8(vm, 0x64, 0xdf);
	assert_int_equal(vm->end, VM_END_NONE);
	assert_int_equal(in8(vm, 0x64) & 0x01, 0);
}

static void test_reset_by_8042(void **state)
{
	struct vm *vm = *state;

	out8(vm, 0x64, 0xfe);
	assert_int_equal(vm->end, VM_END_RESET);
}

static void test_reset_by_8042_output_port(void **state)
{
	struct vm *vm = *state;

	out8(vm, 0x64, 0xd1);
	out8(vm, 0x60, 0xfe);
	assert_int_equal(vm->end, VM_END_RESET);
}

static void test_port_92(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(in8(vm, 0x92), 0x02);
	out8(vm, 0x92, 0xc2);
	assert_int_equal(in8(vm, 0x92), 0xc2);
	out8(vm, 0x92, 0x00);
	assert_int_equal(in8(vm, 0x92), 0x02);	/* A20 is always on */
	assert_int_equal(vm->end, VM_END_NONE);
	out8(vm, 0x92, 0x03);
	assert_int_equal(vm->end, VM_END_RESET);
}

static void test_hostile(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0xac91;

	for (unsigned i = 0; i < 1500000; i++) {
		u64 random = fake_random(&seed);
		unsigned index = (random >> 8) % vm->ports.count;
		const struct io_region *region = &vm->ports.regions[index];
		u16 port = region->base + (random >> 16) % region->size;

		switch (random & 7) {
		case 0 ... 1:
			out8(vm, port, random >> 32);
			break;
		case 2:
			out16(vm, port, random >> 32);
			break;
		case 3:
			out32(vm, port, random >> 32);
			break;
		case 4:
			in8(vm, port);
			break;
		case 5:
			in32(vm, port);
			break;
		case 6:
			vpm_power_button(vpm);
			break;
		default:
			fake_stall(vm, random >> 26);
			break;
		}
	}
	out16(vm, ENABLE, 0);
	out16(vm, STATUS, 0xffff);
	assert_int_equal(in16(vm, STATUS), 0);
	assert_false(fake_of(vm)->lines[SCI].level);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		TEST(test_power_off),
		TEST(test_the_reset_register_without_a_pci_bus),
		TEST(test_power_off_by_bytes),
		TEST(test_other_sleep_types),
		TEST(test_sleep_type_of_qemu),
		TEST(test_power_button),
		TEST(test_enables),
		TEST(test_byte_writes),
		TEST(test_status_is_cleared_by_bytes),
		TEST(test_timer_counts),
		TEST(test_timer_carry),
		TEST(test_no_timer_without_its_enable),
		TEST(test_gpe),
		TEST(test_debug_exit),
		TEST(test_wide_debug_exit),
		TEST(test_debug_exit_reads_ones),
		TEST(test_ports_beside_debug_exit_are_free),
		TEST(test_reset_register),
		TEST(test_8042_commands),
		TEST(test_8042_has_no_keyboard),
		TEST(test_a20_by_8042),
		TEST(test_reset_by_8042),
		TEST(test_reset_by_8042_output_port),
		TEST(test_port_92),
		TEST(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
