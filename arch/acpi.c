/* SPDX-License-Identifier: MIT */
/* From the root pointer to the tables. ACPI Specification, "Root System Description Pointer". */
#include "arch/acpi.h"

#include "arch/acpi_madt.h"
#include "arch/acpi_power.h"
#include "arch/paging.h"
#include "lib/log.h"
#include "lib/string.h"

#define RSDP_SIGNATURE "RSD PTR "
#define RSDP_V1_SIZE   20
#define MAX_TABLE      MIB(16)	/* no sane table is larger */

typedef unsigned long long ull;

struct rsdp {
	char signature[8];
	u8 checksum;
	char oem_id[6];
	u8 revision;
	u32 rsdt;
	/* from revision 2 on */
	u32 length;
	u64 xsdt;
	u8 extended_checksum;
	u8 reserved[3];
} __packed;
_Static_assert(sizeof(struct rsdp) == 36, "RSDP layout");

static const struct acpi_header *root;	/* RSDT or XSDT */
static unsigned pointer_size;		/* of its entries: 4 or 8 bytes */

static bool sum_is_zero(const void *data, size_t size)
{
	const u8 *byte = data;
	u8 sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += byte[i];
	return sum == 0;
}

static bool rsdp_valid(const void *data, size_t size)
{
	return size >= RSDP_V1_SIZE && memcmp(data, RSDP_SIGNATURE, 8) == 0 &&
	       sum_is_zero(data, RSDP_V1_SIZE);
}

/* ACPI Specification, "Finding the RSDP on IA-PC Systems" */
static bool scan(hpa_t start, u64 size, struct rsdp *rsdp)
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

static bool scan_low_memory(struct rsdp *rsdp)
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
	if (table && !sum_is_zero(table, length)) {
		log_warn("ACPI: the checksum of table %.4s at 0x%llx is wrong: ignored",
			 table->signature, (ull)pa);
		return NULL;
	}
	return table;
}

static void find_root(const struct rsdp *rsdp)
{
	pointer_size = 8;
	if (rsdp->revision >= 2 && rsdp->xsdt)
		root = acpi_map_table(rsdp->xsdt);
	if (!root) {
		pointer_size = 4;
		root = acpi_map_table(rsdp->rsdt);
	}
}

static unsigned table_count(void)
{
	return root ? (root->length - sizeof(*root)) / pointer_size : 0;
}

static hpa_t table_address(unsigned i)
{
	hpa_t pa = 0;

	memcpy(&pa, (const char *)(root + 1) + i * pointer_size, pointer_size);
	return pa;
}

const struct acpi_header *acpi_find(const char *signature, unsigned n)
{
	for (unsigned i = 0; i < table_count(); i++) {
		const struct acpi_header *header = firmware_map(table_address(i), sizeof(*header));

		if (header && memcmp(header->signature, signature, 4) == 0 && n-- == 0)
			return acpi_map_table(table_address(i));
	}
	return NULL;
}

void acpi_init(const void *data, size_t size)
{
	struct rsdp rsdp = { 0 };

	if (data && rsdp_valid(data, size))
		memcpy(&rsdp, data, MIN(size, sizeof(rsdp)));
	else if (!scan_low_memory(&rsdp)) {
		log_warn("ACPI: no root pointer, neither from the boot loader nor in low memory");
		return;
	}
	find_root(&rsdp);
	if (!root) {
		log_warn("ACPI: the root table cannot be used");
		return;
	}
	madt_init();
	acpi_power_init();
	log_info("ACPI: %.6s revision %u, %u tables, %u CPUs, %u I/O APICs", rsdp.oem_id,
		 rsdp.revision, table_count(), acpi_madt.cpus, acpi_madt.ioapics);
}
