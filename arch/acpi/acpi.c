/* SPDX-License-Identifier: MIT */
/* From the root pointer to the tables. ACPI Specification, "Root System Description Pointer". */
#include "arch/acpi/acpi.h"

#include "arch/acpi/inventory.h"
#include "arch/acpi/madt.h"
#include "arch/acpi/power.h"
#include "arch/acpi/watchdog.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "lib/log.h"
#include "lib/string.h"

#define RSDP_SIGNATURE "RSD PTR "
#define RSDP_V1_SIZE   20
#define MAX_TABLE      MIB(16)	/* no sane table is larger */
#define MAX_TABLES     256	/* nor are there more of them */

/* The tables that the RSDT or XSDT points to. Kept, because every mapping of a header takes page tables. */
static struct {
	hpa_t pa;
	char signature[4];
} tables[MAX_TABLES];
static unsigned table_count;

static bool rsdp_valid(const void *data, size_t size)
{
	return size >= RSDP_V1_SIZE && memcmp(data, RSDP_SIGNATURE, 8) == 0 &&
	       byte_sum(data, RSDP_V1_SIZE) == 0;
}

/* ACPI Specification, "Finding the RSDP on IA-PC Systems" */
static bool scan(hpa_t start, u64 size, struct acpi_rsdp *rsdp)
{
	const char *area = firmware_map(start, size);

	for (u64 i = 0; area && i + sizeof(*rsdp) <= size; i += 16) {
		if (rsdp_valid(area + i, RSDP_V1_SIZE)) {
			memcpy(rsdp, area + i, sizeof(*rsdp));
			return true;
		}
	}
	return false;
}

static bool scan_low_memory(struct acpi_rsdp *rsdp)
{
	const u16 *ebda_segment = firmware_map(0x40e, 2);
	hpa_t ebda = ebda_segment ? (hpa_t)*ebda_segment << 4 : 0;

	if (ebda >= KIB(512) && ebda < KIB(640) && scan(ebda, 1024, rsdp))
		return true;
	return scan(0xe0000, 0x20000, rsdp);
}

const struct acpi_header *acpi_map_table(hpa_t pa)
{
	const struct acpi_header *table;
	u32 length;

	if (!pa)
		return NULL;
	table = firmware_map(pa, sizeof(*table));
	if (!table)
		return NULL;
	length = table->length;
	if (length < sizeof(*table) || length > MAX_TABLE) {
		log_warn("ACPI: the table at 0x%llx has the impossible length %u", (ull)pa, length);
		return NULL;
	}
	table = firmware_map(pa, length);
	if (table && byte_sum(table, length) != 0) {
		log_warn("ACPI: the checksum of table %.4s at 0x%llx is wrong: ignored",
			 table->signature, (ull)pa);
		return NULL;
	}
	return table;
}

static const struct acpi_header *map_root(hpa_t pa, const char *signature)
{
	const struct acpi_header *table = acpi_map_table(pa);

	if (table && memcmp(table->signature, signature, 4)) {
		log_warn("ACPI: the root table at 0x%llx has the signature %.4s, expected %s: ignored",
			 (ull)pa, table->signature, signature);
		return NULL;
	}
	return table;
}

static void add_table(const struct acpi_header *root, unsigned index, hpa_t pa)
{
	const struct acpi_header *header = firmware_map(pa, sizeof(*header));

	if (!header) {
		log_warn("ACPI: entry %u of the %.4s points to 0x%llx, which cannot be reached: ignored",
			 index, root->signature, (ull)pa);
		return;
	}
	memcpy(tables[table_count].signature, header->signature, 4);
	tables[table_count++].pa = pa;
}

/* `pointer_size`: of the root table's entries, 4 or 8 bytes */
static void read_root(const struct acpi_header *root, unsigned pointer_size)
{
	u32 count = (root->length - (u32)sizeof(*root)) / pointer_size;

	if (count > MAX_TABLES)
		log_warn("ACPI: the %.4s has %u entries: only the first %u are used", root->signature,
			 count, MAX_TABLES);
	for (u32 i = 0; i < MIN(count, (u32)MAX_TABLES); i++) {
		hpa_t pa = 0;

		memcpy(&pa, (const char *)(root + 1) + i * pointer_size, pointer_size);
		add_table(root, i, pa);
	}
}

static bool xsdt_usable(const struct acpi_rsdp *rsdp)
{
	if (rsdp->revision < 2 || !rsdp->xsdt)
		return false;
	if (byte_sum(rsdp, sizeof(*rsdp)) == 0)
		return true;
	log_warn("ACPI: the root pointer's extended checksum is wrong: the RSDT is used");
	return false;
}

static bool find_tables(const struct acpi_rsdp *rsdp)
{
	const struct acpi_header *root = xsdt_usable(rsdp) ? map_root(rsdp->xsdt, "XSDT") : NULL;
	unsigned pointer_size = root ? 8 : 4;

	table_count = 0;
	if (!root)
		root = map_root(rsdp->rsdt, "RSDT");
	if (!root)
		return false;
	read_root(root, pointer_size);
	return true;
}

const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	for (unsigned i = 0; i < table_count; i++)
		if (memcmp(tables[i].signature, signature, 4) == 0 && n-- == 0)
			return acpi_map_table(tables[i].pa);
	return NULL;
}

const char *acpi_signature(unsigned index)
{
	return index < table_count ? tables[index].signature : NULL;
}

void acpi_init(const void *data, size_t size)
{
	struct acpi_rsdp rsdp = { 0 };

	if (data && rsdp_valid(data, size))
		memcpy(&rsdp, data, MIN(size, sizeof(rsdp)));
	else if (!scan_low_memory(&rsdp)) {
		log_warn("ACPI: no root pointer, neither from the boot loader nor in low memory");
		return;
	}
	if (!find_tables(&rsdp)) {
		log_warn("ACPI: the root table cannot be used");
		return;
	}
	madt_init();
	acpi_power_init();
	log_info("ACPI: %.6s revision %u, %u tables, %u CPUs, %u I/O APICs", rsdp.oem_id,
		 rsdp.revision, table_count, acpi_madt.cpus, acpi_madt.ioapics);
	acpi_print_inventory();
	watchdog_init();
}
