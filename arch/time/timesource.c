/* SPDX-License-Identifier: MIT */
/* HPET, ACPI power management timer and 8254. */
#include "arch/time/timesource.h"

#include "arch/acpi/acpi.h"
#include "arch/acpi/power.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/time/muldiv.h"
#include "lib/errno.h"
#include "lib/log.h"

/* IA-PC HPET Specification, "Register Definitions", "HPET Description Table" */
#define HPET_CAPABILITIES 0
#define HPET_PERIOD	1	/* 32-bit words: upper half of the capabilities, in femtoseconds */
#define HPET_CONFIG	(0x10 / 4)
#define HPET_COUNTER	(0xf0 / 4)
#define HPET_TIMER(n)	((0x100 + 0x20 * (n)) / 4)	/* its configuration */
#define HPET_RUN	BIT(0)
#define HPET_LEGACY	BIT(1)	/* timers 0 and 1 replace the 8254's and the RTC's interrupts */
#define HPET_TIMER_INTERRUPT BIT(2)
#define HPET_SIZE	0x400
#define HPET_MAX_PERIOD 100000000u

struct hpet_table {
	struct acpi_header header;
	u32 event_timer_block_id;
	struct acpi_address base;
} __packed;

static volatile u32 *hpet;

/* The counter's start would start the timers that the firmware has left on. */
static void stop_timers(void)
{
	u32 last = hpet[HPET_CAPABILITIES] >> 8 & 0x1f;

	for (u32 n = 0; n <= last && HPET_TIMER(n) < HPET_SIZE / 4; n++)
		hpet[HPET_TIMER(n)] &= ~HPET_TIMER_INTERRUPT;
}

static int hpet_start(struct timesource *source)
{
	const struct hpet_table *table = (const struct hpet_table *)acpi_find("HPET", 0);
	u32 period;

	if (!table)
		return -ENODEV;
	if (table->header.length < sizeof(*table)) {
		log_warn("ACPI: the HPET's table has %u bytes, expected at least %u: ignored",
			 table->header.length, (u32)sizeof(*table));
		return -ENODEV;
	}
	if (table->base.space != ACPI_SPACE_MEMORY || !table->base.address)
		return -ENODEV;
	hpet = mmio_map(table->base.address, HPET_SIZE);
	if (!hpet)
		return -ENODEV;
	period = hpet[HPET_PERIOD];
	if (period == 0 || period > HPET_MAX_PERIOD)
		return -ENODEV;
	source->hz = 1000000000000000ull / period;
	stop_timers();
	hpet[HPET_CONFIG] = (hpet[HPET_CONFIG] & ~HPET_LEGACY) | HPET_RUN;
	return 0;
}

static u32 hpet_read(const struct timesource *source)
{
	return hpet[HPET_COUNTER];
}

static int pm_timer_start(struct timesource *source)
{
	u32 ticks;

	return acpi_pm_timer_read(&ticks);
}

static u32 pm_timer_read(const struct timesource *source)
{
	u32 ticks = 0;

	acpi_pm_timer_read(&ticks);
	return ticks;
}

/*
 * Channel 2 of the 8254 counts down from 65535 once its gate opens; the speaker stays off.
 * Intel 8254 data sheet, "Mode 0", "Counter Latch Command".
 */
#define PIT_CHANNEL_2	   0x42
#define PIT_COMMAND	   0x43
#define PIT_LATCH_2	   0x80
#define PIT_2_BOTH_MODE_0  0xb0
#define PORT_B		   0x61
#define PORT_B_GATE_2	   BIT(0)
#define PORT_B_SPEAKER	   BIT(1)

static int pit_start(struct timesource *source)
{
	u8 port_b = inb(PORT_B) & ~(PORT_B_GATE_2 | PORT_B_SPEAKER);

	outb(PORT_B, port_b);
	outb(PIT_COMMAND, PIT_2_BOTH_MODE_0);
	outb(PIT_CHANNEL_2, 0xff);
	outb(PIT_CHANNEL_2, 0xff);
	outb(PORT_B, port_b | PORT_B_GATE_2);
	return 0;
}

static u32 pit_read(const struct timesource *source)
{
	u32 low, high;

	outb(PIT_COMMAND, PIT_LATCH_2);
	low = inb(PIT_CHANNEL_2);
	high = inb(PIT_CHANNEL_2);
	return 0xffff - (high << 8 | low);
}

struct timesource timesources[] = {
	[TIMESOURCE_HPET] = { "HPET", hpet_start, hpet_read, 0, 0xffffffff },
	[TIMESOURCE_PM_TIMER] = { "ACPI PM timer", pm_timer_start, pm_timer_read, 3579545, 0xffffff },
	[TIMESOURCE_8254] = { "8254", pit_start, pit_read, 1193182, 0xffff },
	{ .name = NULL },
};
