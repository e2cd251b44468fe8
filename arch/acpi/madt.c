/* SPDX-License-Identifier: MIT */
/* ACPI Specification, "Multiple APIC Description Table (MADT)". */
#include "arch/acpi/madt.h"

#include "arch/acpi/acpi.h"
#include "lib/log.h"
#include "lib/string.h"

struct acpi_madt_info acpi_madt;

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
		log_warn("ACPI: more than %d I/O APICs, the rest is ignored", ACPI_MAX_IOAPICS);
		return;
	}
	acpi_madt.ioapic[acpi_madt.ioapics++] = (struct acpi_ioapic) {
		.address = ioapic->address, .gsi_base = ioapic->gsi_base,
	};
}

static void add_override(const void *entry)
{
	const struct madt_override *override = entry;

	if (acpi_madt.overrides == ACPI_MAX_OVERRIDES)
		return;
	acpi_madt.override[acpi_madt.overrides++] = (struct acpi_override) {
		.irq = override->source, .gsi = override->gsi, .flags = override->flags,
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

void madt_init(void)
{
	const struct acpi_madt *madt = (const struct acpi_madt *)acpi_find("APIC", 0);
	u32 rest, at = 0;

	if (!madt)
		return;
	if (madt->header.length < sizeof(*madt)) {
		log_warn("ACPI: the MADT has %u bytes, expected at least %u: ignored",
			 madt->header.length, (u32)sizeof(*madt));
		return;
	}
	acpi_madt.present = true;
	acpi_madt.has_8259 = madt->flags & MADT_PCAT_COMPAT;
	acpi_madt.lapic = madt->lapic_address;
	rest = madt->header.length - sizeof(*madt);
	while (rest - at >= 2) {
		const struct madt_entry *e = (const void *)((const u8 *)(madt + 1) + at);

		if (e->length < 2 || e->length > rest - at) {
			log_warn("ACPI: malformed MADT entry, type %u, length %u: the rest is ignored",
				 e->type, e->length);
			return;
		}
		take(e);
		at += e->length;
	}
}
