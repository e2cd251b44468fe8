/* SPDX-License-Identifier: MIT */
/*
 * The host's ACPI tables. All functions can be called on a machine without ACPI; they find nothing there.
 * ACPI Specification, "ACPI Software Programming Model".
 */
#pragma once

#include "lib/acpi_tables.h"
#include "lib/types.h"

/*
 * Find the tables by a copy of the root pointer (`size` bytes) or, if `rsdp` is NULL or not valid, by a
 * scan of low memory; then read the MADT and the FADT. Logs what it found. After paging_init().
 */
void acpi_init(const void *rsdp, size_t size);

/* The n-th table, from 0, with a signature, mapped permanently; NULL if there is none or it is damaged. */
const struct acpi_header *acpi_find(const char *signature, unsigned n);

/* The four characters of the table of this index, from 0, in the root table's order; NULL: there are no more. */
const char *acpi_signature(unsigned index);

/* A table in memory, by its address: as acpi_find(). */
const struct acpi_header *acpi_map_table(hpa_t pa);

#define ACPI_MAX_CPUS	   256
#define ACPI_MAX_IOAPICS   16
#define ACPI_MAX_OVERRIDES 24

/* "Multiple APIC Description Table (MADT)" */
struct acpi_madt_info {
	bool present;
	bool has_8259;
	hpa_t lapic;			/* physical address of the local APICs */
	u32 cpus;			/* that are enabled */
	u32 cpu[ACPI_MAX_CPUS];		/* their local APICs' ids, each once, in the table's order */
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
