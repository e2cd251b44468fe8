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
#define ACPI_MAX_IOAPICS   256	/* their ids have eight bits */
#define ACPI_MAX_OVERRIDES 24
#define ACPI_MAX_NMI_SOURCES 8

/* "MPS INTI Flags": 0 in either field means the bus's default, for ISA edge-triggered and active high */
#define MPS_POLARITY   0x3
#define MPS_ACTIVE_LOW 0x3
#define MPS_TRIGGER    0xc
#define MPS_LEVEL      0xc

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
	u32 nmi_sources;
	struct acpi_nmi_source {	/* an I/O APIC's line that is to raise an NMI: "NMI Source Structure" */
		u32 gsi;
		u16 flags;
	} nmi_source[ACPI_MAX_NMI_SOURCES];
};
extern struct acpi_madt_info acpi_madt;

/* The inputs of a local APIC, LINT0 and LINT1. "Local APIC NMI Structure", "Local x2APIC NMI Structure" */
#define ACPI_LINTS 2
struct acpi_nmi_inputs {
	bool nmi[ACPI_LINTS];
	bool active_low[ACPI_LINTS];
};
/* Where the NMI comes in at the CPU with this APIC id. None: the MADT does not say. Logs an input that no APIC has. */
struct acpi_nmi_inputs acpi_madt_nmi(u32 apic_id);
