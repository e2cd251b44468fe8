/* SPDX-License-Identifier: MIT */
/*
 * Each field of the guest's ACPI tables, at the offset that the specification's table of that structure
 * gives ("ACPI Software Programming Model"), and an area of every size that is too small for them.
 */
/* link: dev/firmware/acpi_dsdt.c dev/firmware/aml.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -DVM_MAX_VCPUS=4 -Xlinker --wrap=log_line */
#include "fake_vm.h"

#include <stdlib.h>
#include <string.h>

#include "dev/firmware/acpi.c"

#define PROCESSORS 3
#define AREA_SIZE  (MP_TABLE_ADDRESS - GUEST_RSDP_ADDRESS)

static unsigned errors_logged;

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...);

void __wrap_log_line(enum log_level level, const char *tag, const char *format, ...)
{
	assert_int_equal(level, LOG_ERROR);
	errors_logged++;
}

static u8 memory[AREA_SIZE] __attribute__((aligned(64)));

static int set_up(void **state)
{
	struct area area = { .start = memory, .size = sizeof(memory) };

	errors_logged = 0;
	memset(memory, 0, sizeof(memory));
	assert_int_equal(write_tables(&area, PROCESSORS, true), 0);
	return 0;
}

static u64 field(const u8 *at, unsigned size)
{
	u64 value = 0;

	memcpy(&value, at, size);
	return value;
}

/* A table by its guest-physical address. */
static const u8 *at(u64 address)
{
	assert_in_range(address, GUEST_RSDP_ADDRESS, MP_TABLE_ADDRESS - 1);
	return memory + (address - GUEST_RSDP_ADDRESS);
}

static const u8 *rsdt(void) { return at(field(memory + 16, 4)); }
static const u8 *xsdt(void) { return at(field(memory + 24, 8)); }
static const u8 *fadt(void) { return at(field(xsdt() + 36, 8)); }
static const u8 *madt(void) { return at(field(xsdt() + 44, 8)); }
static const u8 *mcfg(void) { return at(field(rsdt() + 44, 4)); }
static const u8 *facs(void) { return at(field(fadt() + 36, 4)); }
static const u8 *dsdt(void) { return at(field(fadt() + 40, 4)); }

static u8 sum(const u8 *bytes, size_t size)
{
	u8 total = 0;

	while (size--)
		total += *bytes++;
	return total;
}

/* --- headers --- */

/* "System Description Table Header" */
static void test_each_header(void **state)
{
	const struct {
		const u8 *table;
		const char *signature;
		u8 revision;
		u32 length;		/* 0: not known beforehand */
	} tables[] = {
		{ rsdt(), "RSDT", 1, 36 + 3 * 4 },
		{ xsdt(), "XSDT", 1, 36 + 3 * 8 },
		{ fadt(), "FACP", 6, 276 },
		{ madt(), "APIC", 4, 44 + PROCESSORS * 8 + 12 + 2 * 10 + 6 },
		{ dsdt(), "DSDT", 2, 0 },
		{ mcfg(), "MCFG", 1, 44 + 16 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		const u8 *table = tables[i].table;
		u32 length = (u32)field(table + 4, 4);

		assert_memory_equal(table, tables[i].signature, 4);
		if (tables[i].length)
			assert_int_equal(length, tables[i].length);
		assert_int_equal(table[8], tables[i].revision);
		assert_int_equal(sum(table, length), 0);
		assert_memory_equal(table + 10, "LAMINA", 6);
		assert_memory_equal(table + 16, "LAMINAVM", 8);
		assert_int_equal(field(table + 24, 4), 1);
		assert_memory_equal(table + 28, "LMNA", 4);
		assert_int_equal(field(table + 32, 4), 1);
	}
}

/* "Root System Description Pointer (RSDP) Structure" */
static void test_rsdp(void **state)
{
	assert_memory_equal(memory, "RSD PTR ", 8);
	assert_int_equal(sum(memory, 20), 0);
	assert_memory_equal(memory + 9, "LAMINA", 6);
	assert_int_equal(memory[15], 2);
	assert_memory_equal(at(field(memory + 16, 4)), "RSDT", 4);
	assert_int_equal(field(memory + 20, 4), 36);
	assert_memory_equal(at(field(memory + 24, 8)), "XSDT", 4);
	assert_int_equal(sum(memory, 36), 0);
	assert_int_equal(field(memory + 33, 3), 0);
}

static void test_both_root_tables_name_the_fadt_the_madt_and_the_mcfg(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(field(rsdt() + 36 + i * 4, 4), field(xsdt() + 36 + i * 8, 8));
	assert_memory_equal(fadt(), "FACP", 4);
	assert_memory_equal(madt(), "APIC", 4);
	assert_memory_equal(mcfg(), "MCFG", 4);
}

/* PCI Firmware Specification, "MCFG Table Description": bus 0 of segment 0, from 3 GiB on, where RAM ends. */
static void test_mcfg(void **state)
{
	assert_int_equal(field(mcfg() + 36, 8), 0);
	assert_int_equal(field(mcfg() + 44, 8), 0xc0000000);
	assert_int_equal(field(mcfg() + 52, 2), 0);
	assert_int_equal(mcfg()[54], 0);
	assert_int_equal(mcfg()[55], 0);
	assert_int_equal(field(mcfg() + 56, 4), 0);
}

static void test_without_a_pci_bus_there_is_no_mcfg(void **state)
{
	struct area area = { .start = memory, .size = sizeof(memory) };

	memset(memory, 0, sizeof(memory));
	assert_int_equal(write_tables(&area, PROCESSORS, false), 0);
	assert_int_equal(field(rsdt() + 4, 4), 36 + 2 * 4);
	assert_int_equal(field(xsdt() + 4, 4), 36 + 2 * 8);
	assert_memory_equal(fadt(), "FACP", 4);
	assert_memory_equal(madt(), "APIC", 4);
}

/* "Firmware ACPI Control Structure (FACS)": 64 bytes at a multiple of 64, without a checksum. */
static void test_facs(void **state)
{
	u8 expected[64] = { 'F', 'A', 'C', 'S', 64, [32] = 2 };

	assert_int_equal((GUEST_RSDP_ADDRESS + (u64)(facs() - memory)) % 64, 0);
	assert_memory_equal(facs(), expected, sizeof(expected));
}

/* The length in the DSDT's header ends where its last device ends: behind two objects and two blocks. */
static void test_dsdt_has_its_contents_behind_the_header(void **state)
{
	const u8 *aml = dsdt() + 36, *scope;

	assert_memory_equal(aml, "\x08_S5_\x12", 6);
	/* A package of less than 16 bytes: the low 4 bits of the length that starts behind the opcode. */
	scope = aml + 6 + (aml[6] & 0xf);
	assert_memory_equal(scope, "\x08PICM\0\x14", 7);
	scope += 7 + (scope[7] & 0xf);
	assert_int_equal(scope[0], 0x10);
	assert_int_equal(scope[1] & 0xc0, 0x80);
	assert_ptr_equal(scope + 1 + ((scope[1] & 0xf) | scope[2] << 4 | scope[3] << 12),
			 dsdt() + field(dsdt() + 4, 4));
}

/* --- FADT --- */

/* "Fixed ACPI Description Table (FADT)": offset, size, value; what is not here is 0. */
static const struct {
	u16 offset, size;
	u64 value;
} fadt_fields[] = {
	{ 46, 2, 9 },			/* SCI_INT */
	{ 56, 4, 0x600 },		/* PM1a_EVT_BLK */
	{ 64, 4, 0x604 },		/* PM1a_CNT_BLK */
	{ 76, 4, 0x608 },		/* PM_TMR_BLK */
	{ 80, 4, 0x620 },		/* GPE0_BLK */
	{ 88, 1, 4 },			/* PM1_EVT_LEN */
	{ 89, 1, 2 },			/* PM1_CNT_LEN */
	{ 91, 1, 4 },			/* PM_TMR_LEN */
	{ 92, 1, 4 },			/* GPE0_BLK_LEN */
	{ 96, 2, 0xfff },		/* P_LVL2_LAT: above 100, no C2 */
	{ 98, 2, 0xfff },		/* P_LVL3_LAT: above 1000, no C3 */
	{ 108, 1, 0x32 },		/* CENTURY */
	{ 109, 2, 1 << 0 | 1 << 2 },	/* IAPC_BOOT_ARCH: legacy devices, no VGA, no 8042 */
	/*
	 * WBINVD, PROC_C1, SLP_BUTTON and FIX_RTC (neither is in the fixed registers), TMR_VAL_EXT,
	 * RESET_REG_SUP, HEADLESS; not PWR_BUTTON: the power button is in the fixed registers.
	 */
	{ 112, 4, 1 << 0 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 12 },
	{ 128, 1, 0x06 },		/* RESET_VALUE */
	/* Generic Address Structures: system I/O, bits, offset 0, access size; the address. */
	{ 116, 4, 0x01000801 }, { 120, 8, 0xcf9 },	/* RESET_REG */
	{ 148, 4, 0x02002001 }, { 152, 8, 0x600 },	/* X_PM1a_EVT_BLK */
	{ 172, 4, 0x02001001 }, { 176, 8, 0x604 },	/* X_PM1a_CNT_BLK */
	{ 208, 4, 0x03002001 }, { 212, 8, 0x608 },	/* X_PM_TMR_BLK */
	{ 220, 4, 0x01002001 }, { 224, 8, 0x620 },	/* X_GPE0_BLK */
	{ 268, 8, 0x0000616e696d614c },			/* Hypervisor Vendor Identity: "Lamina" */
};

static void test_each_field_of_the_fadt(void **state)
{
	u8 expected[276] = { 0 };
	u64 dsdt_address = GUEST_RSDP_ADDRESS + (u64)(dsdt() - memory);

	memcpy(expected, fadt(), 36);		/* the header: see above */
	memcpy(expected + 36, fadt() + 36, 4);	/* FIRMWARE_CTRL: where the test found the FACS */
	memcpy(expected + 40, &dsdt_address, 4);	/* DSDT */
	memcpy(expected + 140, &dsdt_address, 8);	/* X_DSDT */
	for (size_t i = 0; i < ARRAY_SIZE(fadt_fields); i++)
		memcpy(expected + fadt_fields[i].offset, &fadt_fields[i].value, fadt_fields[i].size);
	for (size_t i = 0; i < sizeof(expected); i++)
		if (fadt()[i] != expected[i])
			fail_msg("offset %zu: %#x, expected %#x", i, fadt()[i], expected[i]);
}

/* --- MADT --- */

/* "Multiple APIC Description Table (MADT)" and its Interrupt Controller Structures. */
static void test_each_structure_of_the_madt(void **state)
{
	static const u8 expected[] = {
		0x00, 0x00, 0xe0, 0xfe, 1, 0, 0, 0,	/* local APICs' address; PCAT_COMPAT */
		0, 8, 0, 0, 1, 0, 0, 0,			/* Processor Local APIC: UID, ID; enabled */
		0, 8, 1, 1, 1, 0, 0, 0,
		0, 8, 2, 2, 1, 0, 0, 0,
		1, 12, 0, 0, 0x00, 0x00, 0xc0, 0xfe, 0, 0, 0, 0,	/* I/O APIC 0: address, first GSI */
		2, 10, 0, 0, 2, 0, 0, 0, 0, 0,		/* ISA IRQ 0 is GSI 2, as its bus has it */
		2, 10, 0, 9, 9, 0, 0, 0, 0x0d, 0,	/* the SCI: active high, level-triggered */
		4, 6, 0xff, 0, 0, 1,			/* NMI: all processors, LINT1 */
	};

	assert_int_equal(field(madt() + 4, 4), 36 + sizeof(expected));
	assert_memory_equal(madt() + 36, expected, sizeof(expected));
}

/* --- room --- */

/* Write into an area of this size, whose end the address sanitizer watches. */
static int write_into(size_t size, size_t *used)
{
	struct area area = { .start = calloc(1, MAX(size, 1u)), .size = size };
	int error = write_tables(&area, PROCESSORS, true);

	free(area.start);
	*used = area.used;
	return error;
}

static void test_every_area_that_is_too_small_is_an_error(void **state)
{
	size_t needed, used;

	assert_int_equal(write_into(sizeof(memory), &needed), 0);
	/* All that the tables use, and no byte more. */
	assert_int_equal(xsdt() + 60 - memory, needed);
	for (size_t size = 0; size < needed; size++)
		if (write_into(size, &used) != -ENOSPC)
			fail_msg("%zu bytes were enough, not %zu", size, needed);
	assert_int_equal(write_into(needed, &used), 0);
	assert_int_equal(used, needed);
}

/* The most processors that the one-byte fields of the MADT can name. */
static void test_there_is_room_for_255_processors(void **state)
{
	struct area area = { .start = memory, .size = sizeof(memory) };

	memset(memory, 0, sizeof(memory));
	assert_int_equal(write_tables(&area, 255, true), 0);
	assert_int_equal(field(madt() + 4, 4), 44 + 255 * 8 + 12 + 2 * 10 + 6);
	assert_memory_equal(madt() + 44 + 254 * 8, "\x00\x08\xfe\xfe\x01\0\0\0", 8);
	assert_int_equal(sum(madt(), field(madt() + 4, 4)), 0);
	assert_int_equal(sum(dsdt(), field(dsdt() + 4, 4)), 0);
}

/* "Processor Local x2APIC Structure", "Local x2APIC NMI Structure": for all others. */
static void test_processors_beyond_255_have_x2apic_structures(void **state)
{
	static const u8 x2apic_nmi[] = { 10, 12, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0 };

	for (u32 processors = 256; processors <= 288; processors += 32) {
		struct area area = { .start = memory, .size = sizeof(memory) };
		const u8 *at;

		memset(memory, 0, sizeof(memory));
		assert_int_equal(write_tables(&area, processors, true), 0);
		at = madt() + 44 + 254 * 8;
		assert_memory_equal(at, "\x00\x08\xfe\xfe\x01\0\0\0", 8);
		at += 8;
		for (u32 id = 255; id < processors; id++, at += 16) {
			assert_memory_equal(at, "\x09\x10\0\0", 4);
			assert_int_equal(field(at + 4, 4), id);
			assert_int_equal(field(at + 8, 4), 1);	/* enabled */
			assert_int_equal(field(at + 12, 4), id);
		}
		at += 12 + 2 * 10;
		assert_memory_equal(at, "\x04\x06\xff\0\0\x01", 6);
		assert_memory_equal(at + 6, x2apic_nmi, sizeof(x2apic_nmi));
		assert_ptr_equal(at + 18, madt() + field(madt() + 4, 4));
		assert_int_equal(sum(madt(), field(madt() + 4, 4)), 0);
	}
}

/* A DSDT of odd length included. */
static void test_each_table_starts_at_a_multiple_of_16(void **state)
{
	for (u32 processors = 1; processors <= 8; processors++) {
		struct area area = { .start = memory, .size = sizeof(memory) };
		const u8 *tables[6];

		memset(memory, 0, sizeof(memory));
		assert_int_equal(write_tables(&area, processors, true), 0);
		tables[0] = rsdt();
		tables[1] = xsdt();
		tables[2] = fadt();
		tables[3] = madt();
		tables[4] = dsdt();
		tables[5] = mcfg();
		for (unsigned i = 0; i < ARRAY_SIZE(tables); i++)
			assert_int_equal((tables[i] - memory) % 16, 0);
	}
}

/* --- in the guest's RAM --- */

static void test_the_guest_finds_the_same_tables(void **state)
{
	struct vm *vm = fake_create(MIB(2));
	u8 *ram = fake_of(vm)->ram;

	/* What was there before must not shine through, and what lies around stays. */
	memset(ram, 0xa5, MIB(2));
	vm->vcpu_count = PROCESSORS;
	assert_int_equal(acpi_tables_write(vm), 0);
	assert_int_equal(errors_logged, 0);
	assert_memory_equal(ram + GUEST_RSDP_ADDRESS, memory, sizeof(memory));
	assert_int_equal(ram[GUEST_RSDP_ADDRESS - 1], 0xa5);
	assert_int_equal(ram[MP_TABLE_ADDRESS], 0xa5);
	fake_destroy(vm);
}

static void test_an_area_that_is_not_ram_is_reported(void **state)
{
	struct vm *vm = fake_create(MP_TABLE_ADDRESS - 1);

	assert_int_equal(acpi_tables_write(vm), -EFAULT);
	assert_int_equal(errors_logged, 1);
	fake_destroy(vm);
}

#define TEST(f) cmocka_unit_test_setup(f, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_each_header),
		TEST(test_rsdp),
		TEST(test_both_root_tables_name_the_fadt_the_madt_and_the_mcfg),
		TEST(test_mcfg),
		TEST(test_without_a_pci_bus_there_is_no_mcfg),
		TEST(test_facs),
		TEST(test_dsdt_has_its_contents_behind_the_header),
		TEST(test_each_field_of_the_fadt),
		TEST(test_each_structure_of_the_madt),
		TEST(test_every_area_that_is_too_small_is_an_error),
		TEST(test_there_is_room_for_255_processors),
		TEST(test_processors_beyond_255_have_x2apic_structures),
		TEST(test_each_table_starts_at_a_multiple_of_16),
		TEST(test_the_guest_finds_the_same_tables),
		TEST(test_an_area_that_is_not_ram_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
