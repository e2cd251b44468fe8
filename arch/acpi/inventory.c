/* SPDX-License-Identifier: MIT */
/* What the ACPI tables announce. */
#include "arch/acpi/inventory.h"

#include "arch/acpi/acpi.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

#define MAX_NODES 64

static unsigned count_tables(const char *signature)
{
	const char *other;
	unsigned n = 0;

	for (unsigned i = 0; (other = acpi_signature(i)); i++)
		n += !memcmp(other, signature, 4);
	return n;
}

static bool is_first(unsigned index)
{
	for (unsigned i = 0; i < index; i++)
		if (!memcmp(acpi_signature(i), acpi_signature(index), 4))
			return false;
	return true;
}

/* A name with other characters than these is the table's defect, and must not be the terminal's. */
static void print_name(char *text, const char *signature)
{
	for (unsigned i = 0; i < 4; i++)
		text[i] = signature[i] > ' ' && signature[i] <= '~' ? signature[i] : '?';
	text[4] = '\0';
}

static void print_tables(void)
{
	char text[320] = "", name[5];
	size_t length = 0;

	for (unsigned i = 0; acpi_signature(i) && length < sizeof(text) - 16; i++) {
		unsigned count = count_tables(acpi_signature(i));

		if (!is_first(i))
			continue;
		print_name(name, acpi_signature(i));
		length += snprintf(text + length, sizeof(text) - length, count > 1 ? " %s (%u)" : " %s", name, count);
	}
	log_info("ACPI: tables:%s", length ? text : " none");
}

static void print_iommu(void)
{
	static const struct {
		char signature[5];
		const char *words;
	} kinds[] = {
		{ "DMAR", "Intel VT-d" }, { "IVRS", "AMD-Vi" }, { "VIOT", "virtio-iommu" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (count_tables(kinds[i].signature))
			log_info("IOMMU: %s (%s), left as the firmware has set it", kinds[i].words, kinds[i].signature);
}

/* --- NUMA --- */

enum { SRAT_LAPIC, SRAT_MEMORY, SRAT_X2APIC };
#define SRAT_ENABLED BIT(0)

struct srat {
	struct acpi_header header;
	u8 reserved[12];
} __packed;

/* "Processor Local APIC/SAPIC Affinity Structure" */
struct srat_lapic {
	u8 type, length;
	u8 domain_low, apic_id;
	u32 flags;
	u8 sapic_eid;
	u8 domain_high[3];
	u32 clock_domain;
} __packed;
_Static_assert(sizeof(struct srat_lapic) == 16, "ACPI: Processor Local APIC/SAPIC Affinity Structure");

/* "Memory Affinity Structure" */
struct srat_memory {
	u8 type, length;
	u32 domain;
	u16 reserved1;
	u64 base, size;
	u32 reserved2;
	u32 flags;
	u64 reserved3;
} __packed;
_Static_assert(sizeof(struct srat_memory) == 40, "ACPI: Memory Affinity Structure");

/* "Processor Local x2APIC Affinity Structure" */
struct srat_x2apic {
	u8 type, length;
	u16 reserved1;
	u32 domain, x2apic_id;
	u32 flags;
	u32 clock_domain, reserved2;
} __packed;
_Static_assert(sizeof(struct srat_x2apic) == 24, "ACPI: Processor Local x2APIC Affinity Structure");

static bool domain_of(const u8 *entry, u32 *domain)
{
	const struct srat_lapic *lapic = (const void *)entry;
	const struct srat_memory *memory = (const void *)entry;
	const struct srat_x2apic *x2apic = (const void *)entry;

	if (lapic->type == SRAT_LAPIC && lapic->length >= sizeof(*lapic)) {
		*domain = lapic->domain_low | (u32)lapic->domain_high[0] << 8 | (u32)lapic->domain_high[1] << 16 |
			  (u32)lapic->domain_high[2] << 24;
		return lapic->flags & SRAT_ENABLED;
	}
	if (memory->type == SRAT_MEMORY && memory->length >= sizeof(*memory)) {
		*domain = memory->domain;
		return memory->flags & SRAT_ENABLED;
	}
	if (x2apic->type == SRAT_X2APIC && x2apic->length >= sizeof(*x2apic)) {
		*domain = x2apic->domain;
		return x2apic->flags & SRAT_ENABLED;
	}
	return false;
}

/* At most MAX_NODES. */
static unsigned count_nodes(const struct acpi_header *srat)
{
	const u8 *at = (const u8 *)srat + sizeof(struct srat), *end = (const u8 *)srat + srat->length;
	u32 seen[MAX_NODES], domain;
	unsigned nodes = 0;

	/* Each entry begins with its type and its length. */
	for (; nodes < MAX_NODES && at < end && end - at >= 2 && at[1] >= 2 && at[1] <= end - at; at += at[1]) {
		unsigned i = 0;

		if (!domain_of(at, &domain))
			continue;
		while (i < nodes && seen[i] != domain)
			i++;
		if (i == nodes)
			seen[nodes++] = domain;
	}
	return nodes;
}

static void print_nodes(void)
{
	const struct acpi_header *srat = acpi_find("SRAT", 0);

	if (srat)
		log_info("NUMA: %u nodes, which makes no difference to where VMs run", count_nodes(srat));
}

void acpi_print_inventory(void)
{
	print_tables();
	print_iommu();
	print_nodes();
}
