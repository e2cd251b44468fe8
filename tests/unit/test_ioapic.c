/* SPDX-License-Identifier: MIT */
/*
 * The host's I/O APICs: which lines are masked, and how one is routed.
 * Intel 82093AA data sheet, "I/O Redirection Table Registers"; ACPI, "I/O APIC Structure".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/apic/ioapic.c"

#define IOAPICS 20
#define LINES	24

struct acpi_madt_info acpi_madt;
static u64 entries[IOAPICS][LINES];
static u32 version[IOAPICS];
static u32 apic_id;
static u32 places[IOAPICS];	/* whose addresses stand for the registers */

static u32 *half(const struct ioapic *ioapic, u32 reg)
{
	u32 n = (u32)((const u32 *)ioapic->select - places);

	assert_in_range(reg, 0x10, 0x10 + 2 * LINES - 1);
	return (u32 *)&entries[n][(reg - 0x10) / 2] + reg % 2;
}

static u32 read(const struct ioapic *ioapic, u32 reg)
{
	return reg == 1 ? version[(const u32 *)ioapic->select - places] : *half(ioapic, reg);
}

static void write(const struct ioapic *ioapic, u32 reg, u32 value)
{
	*half(ioapic, reg) = value;
}

void *mmio_map(hpa_t pa, u64 size) { return &places[(pa - 0xfec00000) / 0x1000]; }
void outb(u16 port, u8 value) { }
u32 lapic_id(void) { return apic_id; }
static unsigned warnings;
void log_line(enum log_level level, const char *tag, const char *format, ...) { warnings += level == LOG_WARN; }

static int set_up(void **state)
{
	memset(&acpi_madt, 0, sizeof(acpi_madt));
	count = 0;
	apic_id = 3;
	warnings = 0;
	acpi_madt.ioapics = IOAPICS;
	for (u32 i = 0; i < IOAPICS; i++) {
		acpi_madt.ioapic[i] = (struct acpi_ioapic){ 0xfec00000 + i * 0x1000, i * LINES };
		version[i] = (LINES - 1) << 16 | 0x20;
		for (u32 line = 0; line < LINES; line++)
			entries[i][line] = 0x30 + line;		/* fixed, edge-triggered, not masked */
	}
	return 0;
}

/* Bit 16 masks. All of them, however many there are. */
static void every_line_is_masked(void **state)
{
	ioapic_init();
	for (u32 i = 0; i < IOAPICS; i++)
		for (u32 line = 0; line < LINES; line++)
			assert_int_equal((u32)entries[i][line], 1 << 16);
}

/* Bits 10:8 are the delivery mode, 010b is SMI. Masked or not, the firmware knows what it is for. */
static void lines_that_raise_smis_are_the_firmwares(void **state)
{
	for (u64 mode = 0; mode < 8; mode++)
		entries[1][mode] = mode << 8 | 0x44;
	entries[2][5] = 0xff00000000018200;	/* masked, level-triggered */
	ioapic_init();
	for (u64 mode = 0; mode < 8; mode++)
		assert_int_equal((u32)entries[1][mode], mode == 2 ? 0x244 : 1 << 16);
	assert_true(entries[2][5] == 0xff00000000018200);
}

static void a_line_is_routed(void **state)
{
	ioapic_init();
	assert_int_equal(ioapic_route_isa(4, 0x40), 0);
	assert_true(entries[0][4] == (3ull << 56 | 0x40));
	/* Another line of another I/O APIC, level-triggered and active low: bits 15 and 13. */
	acpi_madt.overrides = 1;
	acpi_madt.override[0] = (struct acpi_override){ 4, 19 * LINES + 2, 0xf };
	assert_int_equal(ioapic_route_isa(4, 0x41), 0);
	assert_true(entries[19][2] == (3ull << 56 | 1 << 15 | 1 << 13 | 0x41));
	acpi_madt.override[0].gsi = IOAPICS * LINES;
	assert_int_equal(ioapic_route_isa(4, 0x41), -ENODEV);
}

/*
 * Delivery mode 100b is NMI, for which the entry must be edge-triggered. "MPS INTI Flags": 3 in bits 1:0 is active low,
 * 3 in bits 3:2 level-triggered.
 */
static void sources_of_nmis_are_routed(void **state)
{
	entries[2][5] = 0x200;
	acpi_madt.nmi_sources = 4;
	acpi_madt.nmi_source[0] = (struct acpi_nmi_source){ 7, 5 };
	acpi_madt.nmi_source[1] = (struct acpi_nmi_source){ LINES + 1, 0xf };
	acpi_madt.nmi_source[2] = (struct acpi_nmi_source){ 2 * LINES + 5, 5 };		/* SMI */
	acpi_madt.nmi_source[3] = (struct acpi_nmi_source){ IOAPICS * LINES, 5 };	/* nowhere */
	ioapic_init();
	ioapic_route_nmis();
	assert_true(entries[0][7] == (3ull << 56 | 4 << 8));
	assert_true(entries[1][1] == (3ull << 56 | 1 << 13 | 4 << 8));
	assert_true(entries[2][5] == 0x200);
	assert_int_equal(warnings, 2);
	/* Nothing else can have the line. */
	assert_int_equal(ioapic_route_isa(7, 0x40), -EBUSY);
	assert_true(entries[0][7] == (3ull << 56 | 4 << 8));
}

static void a_line_of_the_firmware_is_not_routed(void **state)
{
	entries[0][4] = 0x200;
	ioapic_init();
	assert_int_equal(ioapic_route_isa(4, 0x40), -EBUSY);
	assert_true(entries[0][4] == 0x200);
}

/* The destination field has eight bits. */
static void a_wide_apic_id_cannot_be_a_destination(void **state)
{
	apic_id = 0x100;
	ioapic_init();
	assert_int_equal(ioapic_route_isa(4, 0x40), -ENODEV);
}

static void what_does_not_answer_is_left_out(void **state)
{
	version[0] = 0xffffffff;
	version[1] = 0;
	ioapic_init();
	assert_int_equal(ioapic_route_isa(4, 0x40), -ENODEV);
	assert_int_equal((u32)entries[0][0], 0x30);
	assert_int_equal((u32)entries[2][0], 1 << 16);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_line_is_masked), TEST(lines_that_raise_smis_are_the_firmwares), TEST(a_line_is_routed),
		TEST(sources_of_nmis_are_routed), TEST(a_line_of_the_firmware_is_not_routed), TEST(a_wide_apic_id_cannot_be_a_destination),
		TEST(what_does_not_answer_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
