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
#include "arch/pci/pci.h"
#include "arch/time/clock.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

#define PM1_SCI_ENABLE	BIT(0)
#define PM1_SLEEP_TYPE	10
#define PM1_SLEEP_MASK	(7u << PM1_SLEEP_TYPE | BIT(13))
#define PM1_SLEEP_ENABLE BIT(13)

/* "Sleep Control and Status Registers" of hardware-reduced ACPI */
#define SLEEP_TYPE	2
#define SLEEP_ENABLE	BIT(5)
#define SLEEP_WAKE_STATUS BIT(7)	/* of the status register: written as 1 to clear it */

/* A register in I/O space or in memory; with neither there is none. */
struct fixed_register {
	u16 port;
	volatile void *memory;
};

static struct acpi_fadt fadt;	/* a copy; 0 in the fields that an older, shorter table lacks */
static struct fixed_register pm1a, pm1b, pm_timer, reset, sleep_control, sleep_status;
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

static bool hardware_reduced(void)
{
	return fadt.header.revision >= 5 && fadt.flags & FADT_HW_REDUCED;
}

static bool exists(const struct fixed_register *reg)
{
	return reg->port || reg->memory;
}

/*
 * Where a register is: at the extended address if that is a port, else at the port in the old field, else in memory.
 * Map it now: mapping takes a lock, which may be held when a crash resets the machine.
 */
static struct fixed_register find(const struct acpi_address *extended, u32 old, unsigned size)
{
	struct fixed_register reg = { 0 };

	if (extended->space == ACPI_SPACE_IO && extended->address && extended->address <= 0xffff)
		reg.port = (u16)extended->address;
	else if (old && old <= 0xffff)
		reg.port = (u16)old;
	else if (extended->space == ACPI_SPACE_MEMORY && extended->address && IS_ALIGNED(extended->address, size))
		reg.memory = mmio_map(extended->address, size);
	return reg;
}

static u8 get8(const struct fixed_register *reg)
{
	return reg->memory ? *(volatile u8 *)reg->memory : inb(reg->port);
}

static void put8(const struct fixed_register *reg, u8 value)
{
	if (reg->memory)
		*(volatile u8 *)reg->memory = value;
	else
		outb(reg->port, value);
}

static u16 get16(const struct fixed_register *reg)
{
	return reg->memory ? *(volatile u16 *)reg->memory : inw(reg->port);
}

static void put16(const struct fixed_register *reg, u16 value)
{
	if (reg->memory)
		*(volatile u16 *)reg->memory = value;
	else
		outw(reg->port, value);
}

static void find_registers(void)
{
	pm1a = pm1b = pm_timer = reset = sleep_control = sleep_status = (struct fixed_register) { 0 };
	if (can_reset())
		reset = find(&fadt.reset, 0, 1);
	if (fadt.header.revision >= 5) {
		sleep_control = find(&fadt.sleep_control, 0, 1);
		sleep_status = find(&fadt.sleep_status, 0, 1);
	}
	if (hardware_reduced())
		return;
	pm1a = find(&fadt.x_pm1a_control, fadt.pm1a_control, 2);
	pm1b = find(&fadt.x_pm1b_control, fadt.pm1b_control, 2);
	if (fadt.pm_timer_length == 4)		/* 0: there is none, whatever its address is */
		pm_timer = find(&fadt.x_pm_timer, fadt.pm_timer, 4);
}

void acpi_power_init(void)
{
	const struct acpi_header *table = acpi_find("FACP", 0);

	memset(&fadt, 0, sizeof(fadt));
	have_s5 = false;
	if (!table) {
		log_warn("ACPI: no FADT: no power-off, no PM timer");
		return;
	}
	memcpy(&fadt, table, MIN((size_t)table->length, sizeof(fadt)));
	find_s5();
	find_registers();
	if (hardware_reduced())
		log_info("ACPI: the hardware is a reduced one, without PM1 registers and PM timer");
}

int acpi_pm_timer_read(u32 *ticks)
{
	if (!exists(&pm_timer))
		return -ENODEV;
	*ticks = (pm_timer.memory ? *(volatile u32 *)pm_timer.memory : inl(pm_timer.port)) & 0xffffff;
	return 0;
}

static void wait_us(u64 us)
{
	u64 end = clock_deadline_us(us);

	while (!clock_expired(end))
		cpu_relax();
}

/* Make the firmware hand over the power management registers. False if it does not within 0.3 s. */
static bool enable_acpi(void)
{
	u64 end = clock_deadline_us(300000);

	if (get16(&pm1a) & PM1_SCI_ENABLE || !fadt.smi_command ||
	    fadt.smi_command > 0xffff || !fadt.acpi_enable)
		return true;
	outb((u16)fadt.smi_command, fadt.acpi_enable);
	while (!(get16(&pm1a) & PM1_SCI_ENABLE)) {
		if (clock_expired(end))
			return false;
		cpu_relax();
	}
	return true;
}

static void sleep_by_pm1(const struct fixed_register *control, u8 type)
{
	u16 value = (get16(control) & ~PM1_SLEEP_MASK) | (u16)(type << PM1_SLEEP_TYPE);

	put16(control, value);
	put16(control, value | PM1_SLEEP_ENABLE);
}

/* What a wake-up may have left in the status register goes first. */
static void sleep_by_sleep_control(void)
{
	if (exists(&sleep_status))
		put8(&sleep_status, get8(&sleep_status) | SLEEP_WAKE_STATUS);
	put8(&sleep_control, (u8)(s5_type_a << SLEEP_TYPE | SLEEP_ENABLE));
}

void acpi_poweroff(void)
{
	if (!have_s5 || !(exists(&pm1a) || exists(&sleep_control))) {
		log_warn("ACPI: how to power off is not known");
		return;
	}
	if (exists(&pm1a)) {
		if (!enable_acpi())
			log_warn("ACPI: the firmware does not hand over power management");
		sleep_by_pm1(&pm1a, s5_type_a);
		if (exists(&pm1b))
			sleep_by_pm1(&pm1b, s5_type_b);
	} else {
		sleep_by_sleep_control();
	}
	wait_us(1000000);
	log_warn("ACPI: the machine did not react to the power-off command");
}

/* "Reset Register": an address in PCI configuration space is of bus 0: device, function and offset. */
static bool reset_by_pci(void)
{
	u64 address = fadt.reset.address;
	u64 device = address >> 32 & 0xffff, function = address >> 16 & 0xffff, offset = address & 0xffff;

	if (fadt.reset.space != ACPI_SPACE_PCI || device > 31 || function > 7 || offset > 255)
		return false;
	pci_write8((struct pci_address) { 0, (u8)device, (u8)function }, (unsigned)offset, fadt.reset_value);
	return true;
}

static void reset_by_fadt(void)
{
	if (!can_reset())
		return;
	if (exists(&reset))
		put8(&reset, fadt.reset_value);
	else if (!reset_by_pci())
		return;
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
