/* SPDX-License-Identifier: MIT */
/* ACPI Specification, "Multiple APIC Description Table (MADT)". */
#include "arch/acpi/madt.h"

#include "arch/acpi/acpi.h"
#include "lib/log.h"
#include "lib/string.h"

#define MADT_PCAT_COMPAT BIT(0)
#define CPU_ENABLED	 BIT(0)

enum entry_type {
	ENTRY_LAPIC = 0,
	ENTRY_IOAPIC = 1,
	ENTRY_OVERRIDE = 2,
	ENTRY_LAPIC_ADDRESS = 5,
	ENTRY_X2APIC = 9,
};

struct madt {
	struct acpi_header header;
	u32 lapic;
	u32 flags;
	u8 entries[];
} __packed;

/* An entry of any type; each is read only as far as its length says. */
struct entry {
	u8 type;
	u8 length;
	union {
		struct {
			u8 uid, id;
			u32 flags;
		} __packed lapic;
		struct {
			u8 id, reserved;
			u32 address, gsi_base;
		} __packed ioapic;
		struct {
			u8 bus, irq;
			u32 gsi;
			u16 flags;
		} __packed override;
		struct {
			u16 reserved;
			u64 address;
		} __packed lapic_address;
		struct {
			u16 reserved;
			u32 id, flags, uid;
		} __packed x2apic;
	};
} __packed;

struct acpi_madt_info acpi_madt;

static void add_lapic(const struct entry *e)
{
	acpi_madt.cpus += e->lapic.flags & CPU_ENABLED;
}

static void add_x2apic(const struct entry *e)
{
	acpi_madt.cpus += e->x2apic.flags & CPU_ENABLED;
}

static void add_ioapic(const struct entry *e)
{
	if (acpi_madt.ioapics == ACPI_MAX_IOAPICS) {
		log_warn("ACPI: more than %d I/O APICs, the rest is ignored", ACPI_MAX_IOAPICS);
		return;
	}
	acpi_madt.ioapic[acpi_madt.ioapics++] = (struct acpi_ioapic) {
		.address = e->ioapic.address, .gsi_base = e->ioapic.gsi_base,
	};
}

static void add_override(const struct entry *e)
{
	if (acpi_madt.overrides == ACPI_MAX_OVERRIDES)
		return;
	acpi_madt.override[acpi_madt.overrides++] = (struct acpi_override) {
		.irq = e->override.irq, .gsi = e->override.gsi, .flags = e->override.flags,
	};
}

static void set_lapic_address(const struct entry *e)
{
	acpi_madt.lapic = e->lapic_address.address;
}

static const struct {
	void (*add)(const struct entry *entry);
	u8 length;
} types[] = {
	[ENTRY_LAPIC] = { add_lapic, 8 },
	[ENTRY_IOAPIC] = { add_ioapic, 12 },
	[ENTRY_OVERRIDE] = { add_override, 10 },
	[ENTRY_LAPIC_ADDRESS] = { set_lapic_address, 12 },
	[ENTRY_X2APIC] = { add_x2apic, 16 },
};

static void take(const struct entry *e)
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
	const struct madt *madt = (const struct madt *)acpi_find("APIC", 0);
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
	acpi_madt.lapic = madt->lapic;
	rest = madt->header.length - sizeof(*madt);
	while (rest - at >= 2) {
		const struct entry *e = (const struct entry *)&madt->entries[at];

		if (e->length < 2 || e->length > rest - at) {
			log_warn("ACPI: malformed MADT entry, type %u, length %u: the rest is ignored",
				 e->type, e->length);
			return;
		}
		take(e);
		at += e->length;
	}
}
