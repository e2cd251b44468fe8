/* SPDX-License-Identifier: MIT */
/*
 * The host's ACPI tables with all kinds of defects: each is reported with the table and its address,
 * and the good tables are used nevertheless.
 */
/* link: arch/acpi/acpi.c arch/acpi/inventory.c arch/acpi/madt.c arch/acpi/power.c arch/acpi/s5.c arch/acpi/watchdog.c */
/* link: lib/printf.c lib/string.c */
/* cflags: -no-pie */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arch/acpi/acpi.h"
#include "arch/cpu/control.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "arch/pci/pci.h"
#include "lib/log.h"

#define BASE 0xe0000u	/* physical address of `memory`; above its end nothing can be mapped */

static u8 memory[0x20000];
static char logged[65536];
static size_t used;
static unsigned mapped;

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t length = strlen(logged);
	va_list args;

	va_start(args, format);
	vsnprintf(logged + length, sizeof(logged) - length, format, args);
	va_end(args);
}

void *firmware_map(hpa_t pa, u64 size)
{
	mapped++;
	if (pa < BASE || pa - BASE >= sizeof(memory) || size > sizeof(memory) - (pa - BASE))
		return NULL;
	return memory + (pa - BASE);
}

static hpa_t mapped_register;

void *mmio_map(hpa_t pa, u64 size)
{
	mapped_register = pa;
	return NULL;
}

u64 clock_deadline_us(u64 us) { return 0; }
bool clock_expired(u64 deadline) { return true; }
void control_leave_virtualization(void) { }

static u16 watchdog_port, watchdog_register;

u16 inw(u16 port)
{
	assert_int_equal(port, watchdog_port);
	return watchdog_register;
}

/* Never reached: nothing is switched off here. */
u32 inl(u16 port) { return 0; }
u8 inb(u16 port) { return 0; }
void outb(u16 port, u8 value) { }
void outw(u16 port, u16 value) { }
void pci_write8(struct pci_address at, unsigned reg, u8 value) { }

static void sum(u8 *at, size_t size, size_t checksum)
{
	u8 total = 0;

	at[checksum] = 0;
	for (size_t i = 0; i < size; i++)
		total += at[i];
	at[checksum] = (u8)-total;
}

/* A table of this length, filled with `body`; returns its physical address. */
static u32 table(const char *signature, const void *body, u32 size)
{
	u32 length = 36 + size;
	u8 *at = memory + used;

	memcpy(at, signature, 4);
	memcpy(at + 4, &length, 4);
	memcpy(at + 36, body, size);
	sum(at, length, 9);
	used += ALIGN_UP(length, 64);
	return BASE + (u32)(at - memory);
}

static void set_length(u32 pa, u32 length)
{
	memcpy(memory + (pa - BASE) + 4, &length, 4);
}

static u32 madt(void)
{
	const u8 body[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  0, 8, 0, 0, 1, 0, 0, 0 };

	return table("APIC", body, sizeof(body));
}

static int set_up(void **state)
{
	memset(memory, 0, sizeof(memory));
	logged[0] = 0;
	used = 64;
	mapped = 0;
	memset(&acpi_madt, 0, sizeof(acpi_madt));
	return 0;
}

static void start(u8 revision, u32 rsdt, u64 xsdt)
{
	memcpy(memory, "RSD PTR ", 8);
	memory[15] = revision;
	memcpy(memory + 16, &rsdt, 4);
	memory[20] = 36;
	memcpy(memory + 24, &xsdt, 8);
	sum(memory, 20, 8);
	sum(memory, 36, 32);
	acpi_init(memory, 36);
}

static void said(const char *words)
{
	if (!strstr(logged, words))
		fail_msg("expected \"%s\" in:\n%s", words, logged);
}

/* The names, each once; an IOMMU; the nodes of CPUs and memory that are enabled, by all three kinds of entries. */
static void test_inventory(void **state)
{
	static const u8 srat[] = {
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 16, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,		/* CPU 0 in node 1 */
		0, 16, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0,		/* CPU 1 in node 0x01000001 */
		0, 16, 9, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,		/* not enabled */
		1, 40, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,				/* memory in node 5 */
		2, 24, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,	/* node 1 again */
		77, 4, 0, 0,							/* of a kind that is not known */
		0, 40,								/* longer than the table */
	};
	u32 entries[] = { madt(), table("SSDT", "", 0), table("IVRS", "1234", 4), table("SSDT", "", 0),
			  table("SRAT", srat, sizeof(srat)), table("\033[2J", "", 0) };

	start(0, table("RSDT", entries, sizeof(entries)), 0);
	said("ACPI: tables: APIC SSDT (2) IVRS SRAT ?[2J");
	said("IOMMU: AMD-Vi (IVRS)");
	said("NUMA: 3 nodes");
	assert_null(strstr(logged, "VT-d"));
}

static void test_good_tables(void **state)
{
	u32 entries[] = { madt() };

	start(0, table("RSDT", entries, sizeof(entries)), 0);
	said("revision 0, 1 tables, 1 CPUs");
	assert_non_null(acpi_find("APIC", 0));
	assert_null(acpi_find("APIC", 1));
}

/* Nothing, unmappable, wide, the root itself, and then a good one. */
static void test_entries_that_lead_nowhere(void **state)
{
	u32 good = madt();
	u64 entries[] = { 0, 0x7fff0000, 0xffffffffffffff00, BASE + used, good };

	start(2, 0, table("XSDT", entries, sizeof(entries)));
	said("entry 0 of the XSDT points to 0x0, which cannot be reached: ignored");
	said("entry 1 of the XSDT points to 0x7fff0000, which cannot be reached: ignored");
	said("entry 2 of the XSDT points to 0xffffffffffffff00, which cannot be reached: ignored");
	said("1 CPUs");
}

static void test_root_table_in_itself(void **state)
{
	u32 entries[] = { BASE + 64 };

	start(0, table("RSDT", entries, sizeof(entries)), 0);
	said("revision 0, 1 tables, 0 CPUs");
	assert_null(acpi_find("APIC", 0));
}

static void test_bad_lengths_and_checksums(void **state)
{
	static const u32 lengths[] = { 0, 35, MIB(16) + 1, 0xffffffff };
	u32 bad = madt(), entries[] = { bad, 0 };
	u32 root = table("RSDT", entries, 4);
	char words[96];

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		set_length(bad, lengths[i]);
		start(0, root, 0);
		snprintf(words, sizeof(words), "the table at 0x%x has the impossible length %u", bad,
			 lengths[i]);
		said(words);
		assert_false(acpi_madt.present);
	}
	set_length(bad, 51);	/* inside, but then the checksum is wrong */
	start(0, root, 0);
	snprintf(words, sizeof(words), "the checksum of table APIC at 0x%x is wrong: ignored", bad);
	said(words);
	assert_false(acpi_madt.present);
}

static void test_falls_back_to_the_rsdt(void **state)
{
	u32 entries[] = { madt() };
	u64 wide[] = { entries[0] };
	u32 rsdt = table("RSDT", entries, 4), xsdt = table("XSDT", wide, 8);

	memory[xsdt - BASE + 9]++;
	start(2, rsdt, xsdt);
	said("the checksum of table XSDT");
	said("revision 2, 1 tables, 1 CPUs");

	set_up(state);
	entries[0] = madt();
	rsdt = table("RSDT", entries, 4);
	start(2, rsdt, entries[0]);
	said("has the signature APIC, expected XSDT: ignored");
	said("revision 2, 1 tables, 1 CPUs");
}

static void test_extended_checksum(void **state)
{
	u32 entries[] = { madt() };
	u32 rsdt = table("RSDT", entries, 4);

	start(2, rsdt, 0x1234);
	memory[33]++;
	logged[0] = 0;
	acpi_init(memory, 36);
	said("extended checksum is wrong: the RSDT is used");
	said("1 tables");
}

/* A root table of 16 MiB would have four million entries, each with a mapping and a log line. */
static void test_number_of_tables(void **state)
{
	static u32 entries[1000];

	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++)
		entries[i] = BASE + 64;
	start(0, table("RSDT", entries, sizeof(entries)), 0);
	said("the RSDT has 1000 entries: only the first 256 are used");
	assert_in_range(mapped, 256, 300);
}

static void test_no_root(void **state)
{
	start(0, 0, 0);
	said("the root table cannot be used");
	memset(memory, 0, 64);
	logged[0] = 0;
	acpi_init(NULL, 0);
	said("no root pointer, neither from the boot loader nor in low memory");
	assert_null(acpi_find("APIC", 0));
}

/* The last entry's length exceeds the table; the entries before it are used. */
static void test_madt_cut_off(void **state)
{
	const u8 body[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  0, 8, 0, 0, 1, 0, 0, 0,  1, 12, 0, 0 };
	u32 entries[] = { table("APIC", body, sizeof(body)) };

	start(0, table("RSDT", entries, 4), 0);
	said("malformed MADT entry, type 1, length 12: the rest is ignored");
	said("1 CPUs, 0 I/O APICs");
}

/* In the table's order, each once, and those only that are enabled: by either type of entry, or both. */
static void test_cpus_of_the_madt(void **state)
{
	const u8 body[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
		0, 8, 0, 4, 1, 0, 0, 0,					/* local APIC 4 */
		0, 8, 1, 2, 0, 0, 0, 0,					/* disabled */
		0, 8, 1, 2, 2, 0, 0, 0,					/* could be put in later */
		9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0,	/* x2APIC 100h */
		9, 16, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,	/* the first again */
		0, 8, 3, 0, 3, 0, 0, 0,					/* local APIC 0 */
		0, 8, 4, 255, 1, 0, 0, 0,				/* no id, and so no CPU */
	};
	u32 entries[] = { table("APIC", body, sizeof(body)) };

	start(0, table("RSDT", entries, 4), 0);
	said("3 CPUs, 0 I/O APICs");
	assert_int_equal(acpi_madt.cpus, 3);
	assert_int_equal(acpi_madt.cpu[0], 4);
	assert_int_equal(acpi_madt.cpu[1], 0x100);
	assert_int_equal(acpi_madt.cpu[2], 0);
}

static void test_more_cpus_than_there_is_room_for(void **state)
{
	static u8 body[8 + (ACPI_MAX_CPUS + 2) * 16];
	u32 entries[1];

	for (u32 i = 0; i < ACPI_MAX_CPUS + 2; i++) {
		u8 entry[16] = { 9, 16, 0, 0, (u8)i, (u8)(i >> 8), 0, 0, 1 };

		memcpy(body + 8 + i * 16, entry, sizeof(entry));
	}
	entries[0] = table("APIC", body, sizeof(body));
	start(0, table("RSDT", entries, 4), 0);
	assert_int_equal(acpi_madt.cpus, ACPI_MAX_CPUS);
	assert_int_equal(acpi_madt.cpu[ACPI_MAX_CPUS - 1], ACPI_MAX_CPUS - 1);
	said("more than 256 CPUs: the one with APIC id 256 is ignored");
	said("more than 256 CPUs: the one with APIC id 257 is ignored");
}

/* Their ids have eight bits, and lines of those that are not known would stay as the firmware left them. */
static void test_as_many_ioapics_as_there_can_be(void **state)
{
	static u8 body[8 + 258 * 12];
	u32 entries[1];

	for (u32 i = 0; i < 258; i++) {
		u8 entry[12] = { 1, 12, (u8)i, 0, 0, (u8)(i << 4), (u8)(i >> 4), 0xfe, (u8)i };

		memcpy(body + 8 + i * 12, entry, sizeof(entry));
	}
	entries[0] = table("APIC", body, sizeof(body));
	start(0, table("RSDT", entries, 4), 0);
	assert_int_equal(acpi_madt.ioapics, 256);
	assert_int_equal(acpi_madt.ioapic[255].address, 0xfe0ff000);
	assert_int_equal(acpi_madt.ioapic[255].gsi_base, 255);
	said("more than 256 I/O APICs: the one at 0xfe100000 is ignored");
	said("more than 256 I/O APICs: the one at 0xfe101000 is ignored");
}

/* Bits 1:0 of the flags are the polarity, 3 is active low. The UIDs of CPUs differ from their APIC ids. */
static void test_nmi_inputs(void **state)
{
	const u8 body[] = {
		0, 0, 0xe0, 0xfe, 1, 0, 0, 0,
		0, 8, 7, 0, 1, 0, 0, 0,					/* UID 7 is APIC id 0 */
		0, 8, 0, 2, 1, 0, 0, 0,					/* UID 0 is APIC id 2 */
		9, 16, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 9, 0, 0, 0,	/* UID 9 is APIC id 100h */
		4, 6, 7, 3, 0, 0,					/* UID 7: LINT0, active low */
		4, 6, 0, 5, 0, 1,					/* UID 0: LINT1, active high, edge */
		10, 12, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0,			/* UID 9: LINT1 */
		4, 6, 7, 0, 0, 2,					/* no APIC has that */
	};
	u32 entries[] = { table("APIC", body, sizeof(body)) };
	struct acpi_nmi_inputs inputs;

	start(0, table("RSDT", entries, 4), 0);
	inputs = acpi_madt_nmi(0);
	assert_true(inputs.nmi[0] && inputs.active_low[0] && !inputs.nmi[1]);
	said("the MADT has the NMI at LINT2, which no local APIC has: ignored");
	inputs = acpi_madt_nmi(2);
	assert_true(!inputs.nmi[0] && inputs.nmi[1] && !inputs.active_low[1]);
	inputs = acpi_madt_nmi(0x100);
	assert_true(!inputs.nmi[0] && inputs.nmi[1] && !inputs.active_low[1]);
	inputs = acpi_madt_nmi(4);
	assert_false(inputs.nmi[0] || inputs.nmi[1]);
}

static void test_nmi_inputs_of_all(void **state)
{
	const u8 short_ids[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  4, 6, 255, 15, 0, 1 };
	const u8 long_ids[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  10, 12, 0, 0, 255, 255, 255, 255, 0, 0, 0, 0 };
	const u8 too_short[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  4, 5, 255, 15, 0, 0 };
	u32 entries[] = { table("APIC", short_ids, sizeof(short_ids)) };
	struct acpi_nmi_inputs inputs;

	start(0, table("RSDT", entries, 4), 0);
	inputs = acpi_madt_nmi(5);
	assert_true(!inputs.nmi[0] && inputs.nmi[1] && inputs.active_low[1]);
	set_up(state);
	entries[0] = table("APIC", long_ids, sizeof(long_ids));
	start(0, table("RSDT", entries, 4), 0);
	inputs = acpi_madt_nmi(300);
	assert_true(inputs.nmi[0] && !inputs.nmi[1] && !inputs.active_low[0]);
	set_up(state);
	entries[0] = table("APIC", too_short, sizeof(too_short));
	start(0, table("RSDT", entries, 4), 0);
	inputs = acpi_madt_nmi(5);
	assert_false(inputs.nmi[0] || inputs.nmi[1]);
	set_up(state);
	start(0, 0, 0);		/* no tables at all */
	inputs = acpi_madt_nmi(5);
	assert_false(inputs.nmi[0] || inputs.nmi[1]);
}

/* "NMI Source Structure": type 3, 8 bytes, flags and the global system interrupt. */
static void test_nmi_sources(void **state)
{
	u8 body[8 + 10 * 8] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0 };
	u32 entries[1];

	for (u8 i = 0; i < 10; i++)
		memcpy(body + 8 + i * 8, (u8[]){ 3, 8, 0x0f, 0, i, 2, 0, 0 }, 8);
	entries[0] = table("APIC", body, sizeof(body));
	start(0, table("RSDT", entries, 4), 0);
	assert_int_equal(acpi_madt.nmi_sources, 8);
	assert_int_equal(acpi_madt.nmi_source[7].gsi, 0x207);
	assert_int_equal(acpi_madt.nmi_source[7].flags, 0xf);
	said("more than 8 NMI sources: the one at GSI 520 is ignored");
	said("more than 8 NMI sources: the one at GSI 521 is ignored");
}

static void test_short_madt(void **state)
{
	const u8 entry[] = { 0, 0, 0xe0, 0xfe, 1, 0, 0, 0,  1, 4, 0, 0,  0, 8, 0, 0, 1, 0, 0, 0 };
	u32 entries[] = { table("APIC", "\0\0\0", 4) };

	start(0, table("RSDT", entries, 4), 0);
	said("the MADT has 40 bytes, expected at least 44: ignored");
	assert_false(acpi_madt.present);

	set_up(state);
	entries[0] = table("APIC", entry, sizeof(entry));
	start(0, table("RSDT", entries, 4), 0);
	said("MADT entry, type 1, has 4 bytes, expected 12: ignored");
	said("1 CPUs, 0 I/O APICs");
}

static void test_dsdt_of_another_kind(void **state)
{
	u8 body[240] = { 0 };
	u32 ssdt = table("SSDT", "\x08_S5_\x12\x06\x04\x0a\x05\x0a\x05\x00", 13), entries[2];

	memcpy(body + 4, &ssdt, 4);	/* DSDT */
	entries[0] = table("FACP", body, sizeof(body));
	entries[1] = ssdt;
	start(0, table("RSDT", entries, 8), 0);
	said("the FADT's DSDT at 0x");
	said("has the signature SSDT: ignored");
}

/* A crash may reset the machine, too, and must not map anything then. */
static void test_reset_register_is_mapped_early(void **state)
{
	u8 body[240] = { [76 + 1] = 1 << 2, [80] = 0 /* in memory */, [84 + 3] = 0xfe };
	u32 fadt = table("FACP", body, sizeof(body));

	memory[fadt - BASE + 8] = 2;	/* revision */
	sum(memory + (fadt - BASE), 276, 9);
	start(0, table("RSDT", &fadt, 4), 0);
	assert_int_equal(mapped_register, 0xfe000000);
}

/*
 * The TCO watchdog of Intel's chipsets, as firmware describes it: TCO1_CNT is at TCOBASE + 8, and its bit 11 halts the
 * timer. Action 8 asks whether it runs; instruction 0: the bits under the mask have this value.
 */
static void watchdog(u8 action, u8 instruction, u16 port, u32 entries, u32 cut)
{
	u8 body[32 + 24] = {
		[0] = 32, [12] = 0x58, [13] = 2, [24] = 1, [28] = (u8)entries, [29] = (u8)(entries >> 8),
		[32] = action, [33] = instruction, [36] = 1 /* I/O */, [37] = 16, [38] = 11 /* offset */, [39] = 2 /* word */,
		[40] = (u8)port, [41] = (u8)(port >> 8), [48] = 0 /* value */, [52] = 1 /* mask */,
	};
	u32 list[] = { table("WDAT", body, (u32)sizeof(body) - cut) };

	start(0, table("RSDT", list, 4), 0);
}

#define RUNS "a watchdog running (WDAT, 600 ms a count)"

static void test_watchdog_that_runs(void **state)
{
	watchdog_port = 0x468;
	watchdog_register = 0xf7ff;
	watchdog(8, 0, 0x468, 1, 0);
	said(RUNS);
	/* The number of entries is more than the table has room for. */
	set_up(state);
	watchdog(8, 0, 0x468, 1000, 0);
	said(RUNS);
}

static void test_watchdog_that_does_not(void **state)
{
	static const struct {
		u8 action, instruction;
		u16 port;
		u32 entries, cut;
	} cases[] = {
		{ 9, 0, 0x468, 1, 0 }, { 8, 1, 0x468, 1, 0 }, { 8, 0, 0x70, 1, 0 }, { 8, 0, 0x468, 0, 0 },
		{ 8, 0, 0x468, 1, 1 }, { 8, 0, 0x468, 1, 25 },
	};

	watchdog_port = 0x468;
	watchdog_register = 0x0800;	/* halted */
	watchdog(8, 0, 0x468, 1, 0);
	assert_null(strstr(logged, "watchdog"));
	watchdog_register = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set_up(state);
		watchdog(cases[i].action, cases[i].instruction, cases[i].port, cases[i].entries, cases[i].cut);
		assert_null(strstr(logged, "watchdog"));
	}
}

/* The older table: bit 0 of the control register says that the timer runs, bit 3 that it is disabled. */
static void resources(u8 units, u16 control, u32 cut)
{
	u8 body[35] = {
		[0] = 1 /* I/O */, [1] = 16, [3] = 2 /* word */, [4] = 0x60, [5] = 0x04, [12] = 1, [13] = 16, [16] = 0x64,
		[17] = 0x04, [24] = 0xff, [25] = 0xff, [26] = 0xff, [27] = 0xff, [32] = 0xff, [33] = 3, [34] = units,
	};
	u32 list[] = { table("WDRT", body, (u32)sizeof(body) - cut) };

	watchdog_port = 0x460;
	watchdog_register = control;
	start(0, table("RSDT", list, 4), 0);
}

static void test_watchdog_of_the_older_table(void **state)
{
	static const char *const periods[] = { "WDRT, 1000 ms a count", "WDRT, 100 ms a count", "WDRT, 10 ms a count" };
	static const u16 stopped[] = { 0, 0x86, 0x09, 0xffff };

	for (u8 units = 1; units <= 3; units++) {
		set_up(state);
		resources(units, 0x81, 0);
		said("a watchdog running");
		said(periods[units - 1]);
	}
	set_up(state);
	resources(77, 1, 0);		/* no such unit */
	said("a watchdog running");
	for (unsigned i = 0; i < ARRAY_SIZE(stopped); i++) {
		set_up(state);
		resources(1, stopped[i], 0);
		assert_null(strstr(logged, "watchdog"));
	}
	set_up(state);
	resources(1, 1, 1);		/* too short */
	assert_null(strstr(logged, "watchdog"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_inventory), TEST(test_good_tables), TEST(test_entries_that_lead_nowhere),
		TEST(test_root_table_in_itself), TEST(test_bad_lengths_and_checksums),
		TEST(test_falls_back_to_the_rsdt), TEST(test_extended_checksum),
		TEST(test_number_of_tables), TEST(test_no_root), TEST(test_madt_cut_off), TEST(test_short_madt),
		TEST(test_cpus_of_the_madt), TEST(test_more_cpus_than_there_is_room_for),
		TEST(test_as_many_ioapics_as_there_can_be), TEST(test_nmi_inputs), TEST(test_nmi_inputs_of_all),
		TEST(test_watchdog_that_runs), TEST(test_watchdog_that_does_not),
		TEST(test_watchdog_of_the_older_table), TEST(test_nmi_sources),
		TEST(test_dsdt_of_another_kind), TEST(test_reset_register_is_mapped_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
