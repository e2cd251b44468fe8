/* SPDX-License-Identifier: MIT */
/*
 * Microsoft, "Hardware Watchdog Timers Design Specification": the Watchdog Action Table (WDAT); and the older "Watchdog
 * Timer Hardware Requirements for Windows Server 2003": the Watchdog Resource Table (WDRT).
 */
#include "arch/acpi/watchdog.h"

#include "arch/acpi/acpi.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "lib/errno.h"
#include "lib/log.h"

struct wdat {
	struct acpi_header header;
	u32 header_length;
	u16 pci_segment;
	u8 pci_bus, pci_device, pci_function, reserved1[3];
	u32 period_ms, max_count, min_count;
	u8 flags, reserved2[3];
	u32 entries;
} __packed;
_Static_assert(sizeof(struct wdat) == 68, "WDAT");

struct wdat_entry {
	u8 action, instruction;
	u16 reserved;
	struct acpi_address region;
	u32 value, mask;
} __packed;
_Static_assert(sizeof(struct wdat_entry) == 24, "WDAT instruction entry");

enum { WDAT_GET_RUNNING_STATE = 8 };	/* actions */
enum { WDAT_READ_VALUE = 0 };		/* instructions: true if the register has this value */
#define RTC_PORTS_FIRST 0x70		/* an index and a data port: reading one of them says nothing */
#define RTC_PORTS_LAST	0x77
#define MAX_QUESTIONS	4		/* one is usual; each may take a mapping */

struct wdrt {
	struct acpi_header header;
	struct acpi_address control, count;
	u16 pci_device_id, pci_vendor_id;
	u8 pci_bus, pci_device, pci_function, pci_segment;
	u16 max_count;
	u8 units;
} __packed;
_Static_assert(sizeof(struct wdrt) == 71, "WDRT");

/* "Watchdog Control Register". Of a register that does not answer all bits are ones. */
#define WDRT_RUNS     BIT(0)
#define WDRT_DISABLED BIT(3)

static int read_port(const struct acpi_address *region, u32 *value)
{
	u16 port = (u16)region->address;

	if (region->address > 0xffff || (port >= RTC_PORTS_FIRST && port <= RTC_PORTS_LAST))
		return -ENODEV;
	if (region->access_size == ACPI_ACCESS_BYTE || (!region->access_size && region->bits <= 8))
		*value = inb(port);
	else if (region->access_size == ACPI_ACCESS_WORD || (!region->access_size && region->bits <= 16))
		*value = inw(port);
	else
		*value = inl(port);
	return 0;
}

static int read_region(const struct acpi_address *region, u32 *value)
{
	const volatile u32 *place;

	if (region->space == ACPI_SPACE_IO)
		return read_port(region, value);
	if (region->space != ACPI_SPACE_MEMORY || !region->address || !IS_ALIGNED(region->address, 4))
		return -ENODEV;
	place = mmio_map(region->address, sizeof(*place));
	if (!place)
		return -ENODEV;
	*value = *place;
	return 0;
}

static bool is_running(const struct wdat_entry *e)
{
	u32 value;

	return e->instruction == WDAT_READ_VALUE && e->region.offset < 32 &&
	       !read_region(&e->region, &value) && (value >> e->region.offset & e->mask) == e->value;
}

static void warn(const char *table, u32 period_ms)
{
	log_warn("ACPI: the firmware has left a watchdog running (%s, %u ms a count): it will reset the machine, "
		 "for Lamina does not serve it. Switch it off in the firmware's set-up or the BMC", table, period_ms);
}

static bool check_wdat(void)
{
	const struct wdat *wdat = (const struct wdat *)acpi_find("WDAT", 0);
	const struct wdat_entry *entry;
	u32 count, questions = 0;

	if (!wdat || wdat->header.length < sizeof(*wdat))
		return false;
	entry = (const void *)(wdat + 1);
	count = MIN(wdat->entries, (wdat->header.length - (u32)sizeof(*wdat)) / (u32)sizeof(*entry));
	for (u32 i = 0; i < count && questions < MAX_QUESTIONS; i++) {
		if (entry[i].action != WDAT_GET_RUNNING_STATE)
			continue;
		questions++;
		if (!is_running(&entry[i]))
			continue;
		warn("WDAT", wdat->period_ms);
		return true;
	}
	return false;
}

static void check_wdrt(void)
{
	static const u16 periods_ms[] = { [1] = 1000, [2] = 100, [3] = 10 };	/* "Units" */
	const struct wdrt *wdrt = (const struct wdrt *)acpi_find("WDRT", 0);
	u32 value;

	if (!wdrt || wdrt->header.length < sizeof(*wdrt) || read_region(&wdrt->control, &value) ||
	    !(value & WDRT_RUNS) || value & WDRT_DISABLED)
		return;
	warn("WDRT", wdrt->units < ARRAY_SIZE(periods_ms) ? periods_ms[wdrt->units] : 0);
}

/* Both may describe the same one. */
void watchdog_init(void)
{
	if (!check_wdat())
		check_wdrt();
}
