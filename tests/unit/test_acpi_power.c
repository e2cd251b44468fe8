/* SPDX-License-Identifier: MIT */
/*
 * Power-off, reset and the PM timer by the registers that the FADT names: in I/O space, in memory and, for the
 * reset, in PCI configuration space; and those of hardware-reduced ACPI. ACPI Specification, "PM1 Control Registers",
 * "Sleep Control and Status Registers", "Reset Register".
 */
/* link: arch/acpi/s5.c arch/pci/pci.c lib/string.c */
/* cflags: -no-pie */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/acpi/power.c"

static struct acpi_fadt table;
static char said[512];

/* In memory, and each write to a port, in order. */
static u32 device[4];
#define DEVICE 0xfe000000u

static struct write { u16 port; u32 value; unsigned size; } writes[16];
static unsigned write_count;
static u32 in_port[0x10000];

static struct {
	struct acpi_header header;
	u8 aml[13];
} __packed dsdt = {
	.header = { .signature = "DSDT", .length = sizeof(dsdt) },
	/* Name (_S5_, Package (4) { 5, 6, 0, 0 }) */
	.aml = { 0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, 0x05, 0x0a, 0x06, 0x00 },
};

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(said, sizeof(said), format, args);
	va_end(args);
}

const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	return strcmp(signature, "FACP") || n ? NULL : &table.header;
}

const struct acpi_header *acpi_map_table(hpa_t pa)
{
	return pa == 0x1000 ? &dsdt.header : NULL;
}

void *mmio_map(hpa_t pa, u64 size)
{
	assert_in_range(pa, DEVICE, DEVICE + sizeof(device) - size);
	return (char *)device + (pa - DEVICE);
}

u64 clock_deadline_us(u64 us) { return 0; }
bool clock_expired(u64 deadline) { return true; }
void control_leave_virtualization(void) { }

static void wrote(u16 port, u32 value, unsigned size)
{
	assert_true(write_count < ARRAY_SIZE(writes));
	writes[write_count++] = (struct write) { port, value, size };
}

u8 inb(u16 port) { return (u8)in_port[port]; }
u16 inw(u16 port) { return (u16)in_port[port]; }
u32 inl(u16 port) { return in_port[port]; }
void outb(u16 port, u8 value) { wrote(port, value, 1); }
void outw(u16 port, u16 value) { wrote(port, value, 2); }
void outl(u16 port, u32 value) { wrote(port, value, 4); }

static void assert_wrote(unsigned i, u16 port, u32 value, unsigned size)
{
	assert_true(i < write_count);
	assert_int_equal(writes[i].port, port);
	assert_int_equal(writes[i].value, value);
	assert_int_equal(writes[i].size, size);
}

static int set_up(void **state)
{
	memset(&table, 0, sizeof(table));
	memset(device, 0, sizeof(device));
	memset(in_port, 0, sizeof(in_port));
	write_count = 0;
	said[0] = 0;
	memcpy(table.header.signature, "FACP", 4);
	table.header.length = sizeof(table);
	table.header.revision = 5;
	table.dsdt = 0x1000;
	return 0;
}

static struct acpi_address in_memory(unsigned offset)
{
	return (struct acpi_address) { .space = ACPI_SPACE_MEMORY, .address = DEVICE + offset };
}

/* SLP_TYPx is bits 10 to 12, SLP_EN bit 13; the other bits stay. */
static void test_pm1_ports(void **state)
{
	table.pm1a_control = 0x604;
	table.pm1b_control = 0x704;
	in_port[0x604] = 0x1c03;
	acpi_power_init();
	acpi_poweroff();
	assert_int_equal(write_count, 4);
	assert_wrote(0, 0x604, 5 << 10 | 3, 2);
	assert_wrote(1, 0x604, 5 << 10 | 1 << 13 | 3, 2);
	assert_wrote(2, 0x704, 6 << 10, 2);
	assert_wrote(3, 0x704, 6 << 10 | 1 << 13, 2);
	assert_non_null(strstr(said, "did not react"));
}

static void test_pm1_in_memory(void **state)
{
	table.x_pm1a_control = in_memory(4);
	device[1] = 0xabcd0003;
	acpi_power_init();
	acpi_poweroff();
	assert_int_equal(device[1], 0xabcd0000 | 5 << 10 | 1 << 13 | 3);
	assert_int_equal(write_count, 0);
}

/* SLP_TYPx is bits 2 to 4, SLP_EN bit 5; WAK_STS, bit 7 of the status, is cleared by a 1. */
static void test_sleep_control_in_memory(void **state)
{
	u8 *bytes = (u8 *)device;

	table.flags = FADT_HW_REDUCED;
	table.sleep_control = in_memory(1);
	table.sleep_status = in_memory(2);
	table.pm1a_control = 0x604;		/* means nothing on such a machine */
	table.pm_timer = 0x608;
	table.pm_timer_length = 4;
	bytes[3] = 0x77;
	acpi_power_init();
	assert_non_null(strstr(said, "reduced"));
	acpi_poweroff();
	assert_int_equal(bytes[1], 5 << 2 | 1 << 5);
	assert_int_equal(bytes[2], 1 << 7);
	assert_int_equal(bytes[0] | bytes[3], 0x77);
	assert_int_equal(write_count, 0);
	assert_int_equal(acpi_pm_timer_read(&(u32) { 0 }), -ENODEV);
}

static void test_sleep_control_port(void **state)
{
	table.flags = FADT_HW_REDUCED;
	table.sleep_control = (struct acpi_address) { .space = ACPI_SPACE_IO, .address = 0x600 };
	acpi_power_init();
	acpi_poweroff();
	assert_int_equal(write_count, 1);
	assert_wrote(0, 0x600, 5 << 2 | 1 << 5, 1);
}

/* An older table ends before these fields, or has something else there. */
static void test_no_sleep_control_before_revision_5(void **state)
{
	table.header.revision = 4;
	table.flags = FADT_HW_REDUCED;
	table.sleep_control = in_memory(1);
	acpi_power_init();
	acpi_poweroff();
	assert_int_equal(device[0], 0);
	assert_non_null(strstr(said, "not known"));
}

static void test_pm_timer(void **state)
{
	u32 ticks = 0;

	table.pm_timer = 0x608;
	in_port[0x608] = 0xff123456;
	acpi_power_init();
	assert_int_equal(acpi_pm_timer_read(&ticks), -ENODEV);	/* its length is 0: there is none */
	table.pm_timer_length = 4;
	acpi_power_init();
	assert_int_equal(acpi_pm_timer_read(&ticks), 0);
	assert_int_equal(ticks, 0x123456);
	table.pm_timer = 0;
	table.x_pm_timer = in_memory(8);
	device[2] = 0x01abcdef;
	acpi_power_init();
	assert_int_equal(acpi_pm_timer_read(&ticks), 0);
	assert_int_equal(ticks, 0xabcdef);
	table.x_pm_timer = in_memory(6);			/* across two words: no register is */
	acpi_power_init();
	assert_int_equal(acpi_pm_timer_read(&ticks), -ENODEV);
}

static void test_reset(void **state)
{
	table.flags = FADT_RESET_REG_SUP;
	table.reset_value = 0x0f;
	table.reset = (struct acpi_address) { .space = ACPI_SPACE_IO, .address = 0xcf9 };
	acpi_power_init();
	reset_by_fadt();
	assert_int_equal(write_count, 1);
	assert_wrote(0, 0xcf9, 0x0f, 1);

	table.reset = in_memory(5);
	acpi_power_init();
	reset_by_fadt();
	assert_int_equal(device[1], 0x0f00);

	/* Bus 0, device 31, function 5, offset 0x46 */
	write_count = 0;
	table.reset = (struct acpi_address) { .space = ACPI_SPACE_PCI, .address = 31ull << 32 | 5 << 16 | 0x46 };
	acpi_power_init();
	reset_by_fadt();
	assert_int_equal(write_count, 2);
	assert_wrote(0, 0xcf8, 0x80000000u | 31 << 11 | 5 << 8 | 0x44, 4);
	assert_wrote(1, 0xcfc + 2, 0x0f, 1);
}

static void test_no_reset(void **state)
{
	static const struct acpi_address bad[] = {
		{ .space = ACPI_SPACE_PCI, .address = 32ull << 32 }, { .space = ACPI_SPACE_PCI, .address = 8 << 16 },
		{ .space = ACPI_SPACE_PCI, .address = 0x100 }, { .space = ACPI_SPACE_IO, .address = 0x10000 },
		{ .space = 7, .address = 0xcf9 }, { .space = ACPI_SPACE_IO, .address = 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		table.flags = FADT_RESET_REG_SUP;
		table.reset = bad[i];
		acpi_power_init();
		reset_by_fadt();
	}
	table.reset = (struct acpi_address) { .space = ACPI_SPACE_IO, .address = 0xcf9 };
	table.flags = 0;
	acpi_power_init();
	reset_by_fadt();
	assert_int_equal(write_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_pm1_ports, set_up),
		cmocka_unit_test_setup(test_pm1_in_memory, set_up),
		cmocka_unit_test_setup(test_sleep_control_in_memory, set_up),
		cmocka_unit_test_setup(test_sleep_control_port, set_up),
		cmocka_unit_test_setup(test_no_sleep_control_before_revision_5, set_up),
		cmocka_unit_test_setup(test_pm_timer, set_up),
		cmocka_unit_test_setup(test_reset, set_up),
		cmocka_unit_test_setup(test_no_reset, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
