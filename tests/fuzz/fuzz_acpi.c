/* SPDX-License-Identifier: MIT */
/*
 * The machine's ACPI tables: root pointer, RSDT and XSDT, MADT, FADT with the search for _S5 in DSDT
 * and SSDT, HPET. The input is what lies in physical memory at BASE. A mapping is a copy of exactly
 * the bytes that were asked for, so that reading beyond a table is noticed as reading beyond memory.
 */
/* link: arch/acpi/s5.c arch/time/timesource.c lib/printf.c lib/string.c */
#include "arch/mem/mapping.h"
#include "arch/pci/pci.h"
#include "tests/fuzz/fuzz.h"

/* Included, not linked, to reset their variables to the values at start-up. */
#include "arch/acpi/acpi.c"
#include "arch/acpi/inventory.c"
#include "arch/acpi/madt.c"
#include "arch/acpi/power.c"
#include "arch/acpi/watchdog.c"
#include "arch/time/timesource.h"

#define BASE	 0xe0000u	/* where the root pointer is looked for */
#define MAPPINGS 100000

static const u8 *memory;
static size_t memory_size;
static void *mapping[MAPPINGS];
static unsigned mappings;
static u32 device_registers[0x400];

void *firmware_map(hpa_t pa, u64 size)
{
	u8 *copy;

	if (mappings == MAPPINGS || pa >= 1ull << 52 || size > KIB(256))
		return NULL;	/* as when there is no room left for mappings */
	copy = calloc(1, size ? size : 1);
	for (u64 i = 0; i < size; i++)
		if (pa + i >= BASE && pa + i - BASE < memory_size)
			copy[i] = memory[pa + i - BASE];
		else if (pa + i >= BASE + memory_size)
			break;
	return mapping[mappings++] = copy;
}

void *mmio_map(hpa_t pa, u64 size)
{
	fuzz_assert(size <= sizeof(device_registers));
	return pa < 1ull << 52 ? device_registers : NULL;
}

u64 clock_deadline_us(u64 us) { return 0; }
bool clock_expired(u64 deadline) { return true; }
void control_leave_virtualization(void) { }

/* Never reached: nothing is switched off here. */
u16 inw(u16 port) { return 0; }
u32 inl(u16 port) { return 0; }
u8 inb(u16 port) { return 0; }
void outb(u16 port, u8 value) { }
void outw(u16 port, u16 value) { }
void pci_write8(struct pci_address at, unsigned reg, u8 value) { }

static void check_limits(void)
{
	fuzz_assert(table_count <= MAX_TABLES);
	fuzz_assert(acpi_madt.cpus <= ACPI_MAX_CPUS);
	fuzz_assert(acpi_madt.ioapics <= ACPI_MAX_IOAPICS);
	fuzz_assert(acpi_madt.overrides <= ACPI_MAX_OVERRIDES);
	acpi_madt_nmi(acpi_madt.cpus ? acpi_madt.cpu[0] : 0);
}

void fuzz_one(const u8 *data, size_t size)
{
	u8 a, b;

	memory = data;
	memory_size = size;
	table_count = 0;
	usable = NULL;
	memset(&acpi_madt, 0, sizeof(acpi_madt));
	memset(&fadt, 0, sizeof(fadt));
	have_s5 = false;
	device_registers[1] = size & 1 ? 10000000 : 0;

	/* Once with the loader's root pointer, once by the scan. */
	acpi_init(size % 3 ? data : NULL, size);
	check_limits();
	timesources[0].start(&timesources[0]);
	if (acpi_find_s5(data, size, &a, &b) == 0)
		fuzz_assert(a <= 7 && b <= 7);
	while (mappings)
		free(mapping[--mappings]);
}

/* --- valid tables, one after the other --- */

struct builder {
	u8 *data;
	size_t size;
};

static void put(struct builder *b, u64 value, unsigned bytes)
{
	memcpy(b->data + b->size, &value, bytes);
	b->size += bytes;
}

static size_t begin(struct builder *b, const char *signature)
{
	size_t start = b->size;

	memset(b->data + start, 0, 36);
	memcpy(b->data + start, signature, 4);
	b->data[start + 8] = 2;
	b->size += 36;
	return start;
}

static u64 end(struct builder *b, size_t start)
{
	u32 length = (u32)(b->size - start);

	memcpy(b->data + start + 4, &length, 4);
	fuzz_checksum(b->data + start, length, 9);
	b->size = ALIGN_UP(b->size, 8);
	return BASE + start;
}

/* Its last entry is whole, or cut off where the table ends. */
static u64 add_madt(struct builder *b, unsigned cut)
{
	size_t start = begin(b, "APIC");

	put(b, 0xfee00000, 4), put(b, 1, 4);
	put(b, 0x0800, 2), put(b, 0, 2), put(b, 1, 4);
	put(b, 0x0c01, 2), put(b, 0, 2), put(b, 0xfec00000, 4), put(b, 0, 4);
	put(b, 0x0a02, 2), put(b, 0, 2), put(b, 2, 4), put(b, 0, 2);
	put(b, 0x0c05, 2), put(b, 0, 2), put(b, 0xfee00000, 8);
	put(b, 0x1009, 2), put(b, 0, 2), put(b, 300, 4), put(b, 1, 4), put(b, 0, 4);
	b->size -= cut;
	b->data[b->size - (16 - cut) + 1] = (u8)(16 - cut);
	return end(b, start);
}

static u64 add_dsdt(struct builder *b, const char *signature)
{
	static const u8 s5[] = { 0x08, '\\', '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a, 5, 0x0b, 5, 0, 0, 0 };
	size_t start = begin(b, signature);

	memcpy(b->data + b->size, s5, sizeof(s5));
	b->size += sizeof(s5);
	return end(b, start);
}

static u64 add_fadt(struct builder *b, u64 dsdt)
{
	size_t start = begin(b, "FACP");

	memset(b->data + b->size, 0, sizeof(struct acpi_fadt) - 36);
	memcpy(b->data + start + offsetof(struct acpi_fadt, dsdt), &dsdt, 4);
	memcpy(b->data + start + offsetof(struct acpi_fadt, x_dsdt), &dsdt, 8);
	b->size = start + sizeof(struct acpi_fadt);
	return end(b, start);
}

static u64 add_hpet(struct builder *b)
{
	size_t start = begin(b, "HPET");

	put(b, 0x8086a201, 4), put(b, 0x4000, 4), put(b, 0xfed00000, 8), put(b, 0, 4);
	return end(b, start);
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	static u8 page[4096];
	struct builder b = { page, 48 };
	bool wide = which & 1;
	u64 tables[5];
	u64 root_table;
	size_t start;

	memset(page, 0, sizeof(page));
	tables[0] = add_fadt(&b, which & 2 ? add_dsdt(&b, "DSDT") : 0);
	tables[1] = add_madt(&b, which / 8 % 15);
	tables[2] = add_hpet(&b);
	tables[3] = add_dsdt(&b, "SSDT");
	tables[4] = BASE + b.size;	/* the root table itself */
	start = begin(&b, wide ? "XSDT" : "RSDT");
	for (unsigned i = 0; i < ARRAY_SIZE(tables) - !(which & 4); i++)
		put(&b, tables[i], wide ? 8 : 4);
	root_table = end(&b, start);

	memcpy(page, "RSD PTR ", 8);
	page[15] = wide ? 2 : 0;
	memcpy(page + 16, &root_table, 4);
	page[20] = 36;
	memcpy(page + 24, &root_table, 8);
	b.size = MIN(b.size, max);
	memcpy(data, page, b.size);
	fuzz_repair(data, b.size);
	return b.size;
}

/* Correct the root pointer's sum, and that of everything that looks like a table. */
void fuzz_repair(u8 *data, size_t size)
{
	static const char *const signatures[] = { "APIC", "FACP", "DSDT", "SSDT", "HPET", "RSDT", "XSDT" };

	if (size >= RSDP_V1_SIZE)
		fuzz_checksum(data, RSDP_V1_SIZE, 8);
	for (size_t at = 0; at + 36 <= size; at += 4) {
		u32 length;

		memcpy(&length, data + at + 4, 4);
		for (unsigned i = 0; i < ARRAY_SIZE(signatures); i++)
			if (memcmp(data + at, signatures[i], 4) == 0 && length >= 36 &&
			    length <= size - at)
				fuzz_checksum(data + at, length, 9);
	}
}
