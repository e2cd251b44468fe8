/* SPDX-License-Identifier: MIT */
/* ACPI Specification, "Multiple APIC Description Table (MADT)". */
#include "arch/acpi/madt.h"

#include "arch/acpi/acpi.h"
#include "lib/log.h"
#include "lib/string.h"

struct acpi_madt_info acpi_madt;
static const struct acpi_madt *usable;	/* mapped; NULL: none that can be used */

/* A CPU can have an entry of either type, or of both. */
static void add_cpu(u32 apic_id, u32 flags)
{
	if (!(flags & MADT_LAPIC_ENABLED))
		return;
	for (u32 i = 0; i < acpi_madt.cpus; i++) {
		if (acpi_madt.cpu[i] == apic_id)
			return;
	}
	if (acpi_madt.cpus == ACPI_MAX_CPUS)
		log_warn("ACPI: more than %d CPUs: the one with APIC id %u is ignored", ACPI_MAX_CPUS, apic_id);
	else
		acpi_madt.cpu[acpi_madt.cpus++] = apic_id;
}

static void add_lapic(const void *entry)
{
	const struct madt_lapic *lapic = entry;

	if (lapic->apic_id != MADT_NO_APIC_ID)
		add_cpu(lapic->apic_id, lapic->flags);
}

static void add_x2apic(const void *entry)
{
	const struct madt_x2apic *x2apic = entry;

	add_cpu(x2apic->apic_id, x2apic->flags);
}

static void add_ioapic(const void *entry)
{
	const struct madt_ioapic *ioapic = entry;

	if (acpi_madt.ioapics == ACPI_MAX_IOAPICS) {
		log_warn("ACPI: more than %d I/O APICs: the one at 0x%x is ignored", ACPI_MAX_IOAPICS, ioapic->address);
		return;
	}
	acpi_madt.ioapic[acpi_madt.ioapics++] = (struct acpi_ioapic) {
		.address = ioapic->address, .gsi_base = ioapic->gsi_base,
	};
}

static void add_override(const void *entry)
{
	const struct madt_override *override = entry;

	if (acpi_madt.overrides == ACPI_MAX_OVERRIDES) {
		log_warn("ACPI: more than %d interrupt source overrides: that of IRQ %u is ignored", ACPI_MAX_OVERRIDES,
			 override->source);
		return;
	}
	acpi_madt.override[acpi_madt.overrides++] = (struct acpi_override) {
		.irq = override->source, .gsi = override->gsi, .flags = override->flags,
	};
}

static void add_nmi_source(const void *entry)
{
	const struct madt_nmi_source *source = entry;

	if (acpi_madt.nmi_sources == ACPI_MAX_NMI_SOURCES) {
		log_warn("ACPI: more than %d NMI sources: the one at GSI %u is ignored", ACPI_MAX_NMI_SOURCES, source->gsi);
		return;
	}
	acpi_madt.nmi_source[acpi_madt.nmi_sources++] = (struct acpi_nmi_source) {
		.gsi = source->gsi, .flags = source->flags,
	};
}

static void set_lapic_address(const void *entry)
{
	const struct madt_lapic_address *lapic = entry;

	acpi_madt.lapic = lapic->address;
}

/* An entry is read only as far as its length says. */
static const struct {
	void (*add)(const void *entry);
	u8 length;
} types[] = {
	[MADT_LAPIC] = { add_lapic, sizeof(struct madt_lapic) },
	[MADT_IOAPIC] = { add_ioapic, sizeof(struct madt_ioapic) },
	[MADT_OVERRIDE] = { add_override, sizeof(struct madt_override) },
	[MADT_NMI_SOURCE] = { add_nmi_source, sizeof(struct madt_nmi_source) },
	[MADT_LAPIC_ADDRESS] = { set_lapic_address, sizeof(struct madt_lapic_address) },
	[MADT_X2APIC] = { add_x2apic, sizeof(struct madt_x2apic) },
};

static void take(const struct madt_entry *e)
{
	if (e->type >= ARRAY_SIZE(types) || !types[e->type].add)
		return;
	if (e->length < types[e->type].length)
		log_warn("ACPI: MADT entry, type %u, has %u bytes, expected %u: ignored", e->type,
			 e->length, types[e->type].length);
	else
		types[e->type].add(e);
}

/* The next entry, or the first one behind NULL; NULL: there is none, or it is malformed. */
static const struct madt_entry *next_entry(const struct madt_entry *e)
{
	u32 at = e ? (u32)((const u8 *)e - (const u8 *)usable) + e->length : sizeof(*usable);
	u32 rest = usable->header.length - at;

	if (rest < sizeof(*e))
		return NULL;
	e = (const void *)((const u8 *)usable + at);
	return e->length < sizeof(*e) || e->length > rest ? NULL : e;
}

/* The rest behind the last entry that next_entry() gives. */
static void check_end(const struct madt_entry *last)
{
	u32 at = last ? (u32)((const u8 *)last - (const u8 *)usable) + last->length : sizeof(*usable);
	const struct madt_entry *e = (const void *)((const u8 *)usable + at);

	if (usable->header.length - at >= sizeof(*e))
		log_warn("ACPI: malformed MADT entry, type %u, length %u: the rest is ignored", e->type, e->length);
}

void madt_init(void)
{
	const struct acpi_madt *madt = (const struct acpi_madt *)acpi_find("APIC", 0);
	const struct madt_entry *last = NULL;

	usable = NULL;
	if (!madt)
		return;
	if (madt->header.length < sizeof(*madt)) {
		log_warn("ACPI: the MADT has %u bytes, expected at least %u: ignored",
			 madt->header.length, (u32)sizeof(*madt));
		return;
	}
	usable = madt;
	acpi_madt.present = true;
	acpi_madt.has_8259 = madt->flags & MADT_PCAT_COMPAT;
	acpi_madt.lapic = madt->lapic_address;
	for (const struct madt_entry *e = next_entry(NULL); e; e = next_entry(e)) {
		take(e);
		last = e;
	}
	check_end(last);
}

/* --- NMIs; the entries name a CPU by its UID in the ACPI name space --- */

static bool find_uid(u32 apic_id, u32 *uid)
{
	for (const struct madt_entry *e = next_entry(NULL); e; e = next_entry(e)) {
		const struct madt_lapic *lapic = (const void *)e;
		const struct madt_x2apic *x2apic = (const void *)e;

		if (e->type == MADT_LAPIC && e->length >= sizeof(*lapic) && lapic->apic_id == apic_id &&
		    lapic->apic_id != MADT_NO_APIC_ID) {
			*uid = lapic->processor_uid;
			return true;
		}
		if (e->type == MADT_X2APIC && e->length >= sizeof(*x2apic) && x2apic->apic_id == apic_id) {
			*uid = x2apic->processor_uid;
			return true;
		}
	}
	return false;
}

static void add_nmi(struct acpi_nmi_inputs *inputs, u8 lint, u16 flags)
{
	if (lint >= ACPI_LINTS) {
		log_warn("ACPI: the MADT has the NMI at LINT%u, which no local APIC has: ignored", lint);
		return;
	}
	inputs->nmi[lint] = true;
	inputs->active_low[lint] = (flags & MPS_POLARITY) == MPS_ACTIVE_LOW;
}

struct acpi_nmi_inputs acpi_madt_nmi(u32 apic_id)
{
	struct acpi_nmi_inputs inputs = { 0 };
	u32 uid = 0;
	bool known;

	if (!usable)
		return inputs;
	known = find_uid(apic_id, &uid);
	for (const struct madt_entry *e = next_entry(NULL); e; e = next_entry(e)) {
		const struct madt_lapic_nmi *lapic = (const void *)e;
		const struct madt_x2apic_nmi *x2apic = (const void *)e;

		if (e->type == MADT_LAPIC_NMI && e->length >= sizeof(*lapic) &&
		    (lapic->processor_uid == MADT_ALL_PROCESSORS || (known && lapic->processor_uid == uid)))
			add_nmi(&inputs, lapic->lint, lapic->flags);
		else if (e->type == MADT_X2APIC_NMI && e->length >= sizeof(*x2apic) &&
			 (x2apic->processor_uid == MADT_ALL_X2APICS || (known && x2apic->processor_uid == uid)))
			add_nmi(&inputs, x2apic->lint, x2apic->flags);
	}
	return inputs;
}
