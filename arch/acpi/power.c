/* SPDX-License-Identifier: MIT */
/* Power off, reset and the PM timer: see arch/acpi/power.h. */
#include "arch/acpi/power.h"

#include "arch/acpi/acpi.h"
#include "arch/acpi/s5.h"
#include "arch/cpu/control.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

#define PM1_SCI_ENABLE	BIT(0)
#define PM1_SLEEP_TYPE	10
#define PM1_SLEEP_MASK	(7u << PM1_SLEEP_TYPE | BIT(13))
#define PM1_SLEEP_ENABLE BIT(13)

static struct acpi_fadt fadt;	/* a copy; 0 in the fields that an older, shorter table lacks */
static volatile u8 *reset_register;	/* NULL: not in memory */
static bool have_s5;
static u8 s5_type_a, s5_type_b;

static void find_s5(void)
{
	hpa_t pa = fadt.x_dsdt ? fadt.x_dsdt : fadt.dsdt;
	const struct acpi_header *dsdt = acpi_map_table(pa);

	if (dsdt && memcmp(dsdt->signature, "DSDT", 4)) {
		log_warn("ACPI: the FADT's DSDT at 0x%llx has the signature %.4s: ignored",
			 (unsigned long long)pa, dsdt->signature);
		dsdt = acpi_find("SSDT", 0);
	}
	for (unsigned n = 0; dsdt; dsdt = acpi_find("SSDT", n++)) {
		if (acpi_find_s5((const u8 *)(dsdt + 1), dsdt->length - sizeof(*dsdt), &s5_type_a,
				 &s5_type_b) == 0) {
			have_s5 = true;
			return;
		}
	}
}

static bool can_reset(void)
{
	return fadt.header.revision >= 2 && fadt.flags & FADT_RESET_REG_SUP && fadt.reset.address;
}

void acpi_power_init(void)
{
	const struct acpi_header *table = acpi_find("FACP", 0);

	if (!table) {
		log_warn("ACPI: no FADT: no power-off, no PM timer");
		return;
	}
	memcpy(&fadt, table, MIN((size_t)table->length, sizeof(fadt)));
	find_s5();
	/* Map it now: mapping takes a lock, which may be held when a crash resets the machine. */
	if (can_reset() && fadt.reset.space == ACPI_SPACE_MEMORY)
		reset_register = mmio_map(fadt.reset.address, 1);
}

/* The port of a register: the extended address if that is a port, else the old field. 0: none. */
static u16 port_of(const struct acpi_address *extended, u32 old)
{
	if (extended->space == ACPI_SPACE_IO && extended->address && extended->address <= 0xffff)
		return (u16)extended->address;
	return old <= 0xffff ? (u16)old : 0;
}

int acpi_pm_timer_read(u32 *ticks)
{
	u16 port = port_of(&fadt.x_pm_timer, fadt.pm_timer);

	if (!port)
		return -ENODEV;
	*ticks = inl(port) & 0xffffff;
	return 0;
}

static void wait_us(u64 us)
{
	u64 end = clock_deadline_us(us);

	while (!clock_expired(end))
		cpu_relax();
}

/* Make the firmware hand over the power management registers. False if it does not within 0.3 s. */
static bool enable_acpi(u16 control)
{
	u64 end = clock_deadline_us(300000);

	if (inw(control) & PM1_SCI_ENABLE || !fadt.smi_command ||
	    fadt.smi_command > 0xffff || !fadt.acpi_enable)
		return true;
	outb((u16)fadt.smi_command, fadt.acpi_enable);
	while (!(inw(control) & PM1_SCI_ENABLE)) {
		if (clock_expired(end))
			return false;
		cpu_relax();
	}
	return true;
}

static void sleep(u16 control, u8 type)
{
	u16 value = (inw(control) & ~PM1_SLEEP_MASK) | (u16)(type << PM1_SLEEP_TYPE);

	outw(control, value);
	outw(control, value | PM1_SLEEP_ENABLE);
}

void acpi_poweroff(void)
{
	u16 a = port_of(&fadt.x_pm1a_control, fadt.pm1a_control);
	u16 b = port_of(&fadt.x_pm1b_control, fadt.pm1b_control);

	if (!a || !have_s5) {
		log_warn("ACPI: how to power off is not known");
		return;
	}
	if (!enable_acpi(a))
		log_warn("ACPI: the firmware does not hand over power management");
	sleep(a, s5_type_a);
	if (b)
		sleep(b, s5_type_b);
	wait_us(1000000);
	log_warn("ACPI: the machine did not react to the power-off command");
}

static void reset_by_fadt(void)
{
	if (!can_reset())
		return;
	if (fadt.reset.space == ACPI_SPACE_IO)
		outb((u16)fadt.reset.address, fadt.reset_value);
	else if (reset_register)
		*reset_register = fadt.reset_value;
	wait_us(100000);
}

/* "Reset Control Register" of Intel's chipsets: choose a hard reset, then start it by a rising edge. */
static void reset_by_cf9(void)
{
	outb(0xcf9, 0x02);
	outb(0xcf9, 0x06);
	wait_us(100000);
}

static void reset_by_keyboard_controller(void)
{
	u64 end = clock_deadline_us(10000);

	while (inb(0x64) & BIT(1) && !clock_expired(end))	/* input buffer full */
		cpu_relax();
	outb(0x64, 0xfe);
	wait_us(100000);
}

static void reset_by_triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __packed none = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

void machine_reset(void)
{
	reset_by_fadt();
	reset_by_cf9();
	control_leave_virtualization();	/* the next method may only raise INIT */
	reset_by_keyboard_controller();
	reset_by_triple_fault();
}
