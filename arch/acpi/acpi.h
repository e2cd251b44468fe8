/* SPDX-License-Identifier: MIT */
/*
 * The host's ACPI tables. Everything here also works, with less, on a machine without ACPI.
 * ACPI Specification, "ACPI Software Programming Model".
 */
#pragma once

#include "lib/types.h"

struct acpi_header {
	char signature[4];
	u32 length;		/* with this header */
	u8 revision;
	u8 checksum;
	char oem_id[6];
	char oem_table_id[8];
	u32 oem_revision;
	u32 creator_id;
	u32 creator_revision;
} __packed;
_Static_assert(sizeof(struct acpi_header) == 36, "ACPI table header");

/* "Generic Address Structure" */
struct acpi_address {
	u8 space;
	u8 bits, offset;
	u8 access_size;
	u64 address;
} __packed;
_Static_assert(sizeof(struct acpi_address) == 12, "ACPI generic address");

enum { ACPI_SPACE_MEMORY = 0, ACPI_SPACE_IO = 1 };

/*
 * Find the tables by a copy of the root pointer, or where `rsdp` is NULL by the scan of low memory;
 * then read the MADT and the FADT. Says what it found. After paging_init().
 */
void acpi_init(const void *rsdp, size_t size);

/* The n-th table of a signature, mapped and with a good checksum; NULL if there is none. */
const struct acpi_header *acpi_find(const char *signature, unsigned n);

/* A table in memory, by its address: as acpi_find(). */
const struct acpi_header *acpi_map_table(hpa_t pa);

#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 24

/* "Multiple APIC Description Table (MADT)" */
struct acpi_madt_info {
	bool present;
	bool has_8259;
	hpa_t lapic;			/* physical address of the local APICs */
	u32 cpus;			/* enabled local APICs and x2APICs */
	u32 ioapics;
	struct acpi_ioapic {
		hpa_t address;
		u32 gsi_base;
	} ioapic[ACPI_MAX_IOAPICS];
	u32 overrides;
	struct acpi_override {
		u8 irq;
		u32 gsi;
		u16 flags;		/* "MPS INTI Flags" */
	} override[ACPI_MAX_OVERRIDES];
};
extern struct acpi_madt_info acpi_madt;

/* "Power Management Timer": 3,579,545 ticks a second, 24 bits. -ENODEV where there is none. */
int acpi_pm_timer_read(u32 *ticks);

/* Enter S5. Returns only if that did not work; then it has said why. */
void acpi_poweroff(void);
/* Reset by the FADT's register, port 0xcf9, the keyboard controller, a triple fault. */
void machine_reset(void);
