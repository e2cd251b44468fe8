/* SPDX-License-Identifier: MIT */
/* The HPET as the firmware has left it. IA-PC HPET Specification, "Register Definitions". */
/* link: arch/time/timesource.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/acpi/acpi.h"
#include "arch/acpi/power.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "arch/time/timesource.h"
#include "lib/errno.h"
#include "lib/log.h"

static u32 registers[0x400 / 4 + 64];	/* and what is behind them */

static struct {
	struct acpi_header header;
	u32 block_id;
	struct acpi_address base;
} __packed table = {
	.header = { .signature = "HPET", .length = sizeof(table) }, .base = { .address = 0xfed00000 },
};

const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	return strcmp(signature, "HPET") || n ? NULL : &table.header;
}

void *mmio_map(hpa_t pa, u64 size)
{
	assert_int_equal(size, 0x400);
	return registers;
}

int acpi_pm_timer_read(u32 *ticks) { return -ENODEV; }
void log_line(enum log_level level, const char *tag, const char *format, ...) { }
u8 inb(u16 port) { return 0; }
void outb(u16 port, u8 value) { }

/* Interrupts of all timers, periodic ones, and the legacy routing are on; each timer has 32 bytes from 0x100 on. */
static void start_with(u32 timers)
{
	struct timesource *hpet = &timesources[TIMESOURCE_HPET];

	memset(registers, 0, sizeof(registers));
	registers[0] = 0x8086a001 | (timers - 1) << 8;
	registers[1] = 69841279;	/* femtoseconds: 14.318180 MHz */
	registers[0x10 / 4] = 3;
	for (u32 n = 0x100 / 4; n < sizeof(registers) / 4; n += 8)
		registers[n] = 0x010e;
	assert_int_equal(hpet->start(hpet), 0);
	assert_int_equal(hpet->hz, 14318179);
	assert_int_equal(registers[0x10 / 4], 1);
	for (u32 n = 0; n < 40; n++)
		if (0x100 + 0x20 * n < sizeof(registers))
			assert_int_equal(registers[(0x100 + 0x20 * n) / 4], n < timers && n < 24 ? 0x010a : 0x010e);
}

static void test_timers_are_stopped(void **state)
{
	start_with(3);
	start_with(1);
	start_with(32);		/* more than the registers have room for */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers_are_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
