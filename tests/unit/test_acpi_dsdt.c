/* SPDX-License-Identifier: MIT */
/*
 * The devices that the DSDT declares: it is read back with a small reader of AML and printed as lines, which
 * must be those of the guest's machine. Offsets and names are those of ACPI, "AML Grammar Definition",
 * "Resource Data Types for ACPI" and "Device Identification"; the ports are the PC's.
 */
/* link: dev/firmware/acpi_dsdt.c dev/firmware/aml.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dev/firmware/acpi.h"
#include "dev/firmware/aml.h"

static u8 dsdt[0x8000];
static char listing[0x10000], expected[0x10000];
static size_t listed, wanted;

static __printf(1, 2) void list(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	listed += (size_t)vsnprintf(listing + listed, sizeof(listing) - listed, format, args);
	va_end(args);
	assert_true(listed < sizeof(listing));
}

static __printf(1, 2) void want(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	wanted += (size_t)vsnprintf(expected + wanted, sizeof(expected) - wanted, format, args);
	va_end(args);
	assert_true(wanted < sizeof(expected));
}

/* --- a reader of what aml.c can write; anything else fails the test --- */

/* Bytes from `at` up to `end`. */
struct piece {
	const u8 *at, *end;
};

static u32 take(struct piece *piece, unsigned size)
{
	u32 value = 0;

	assert_true((size_t)(piece->end - piece->at) >= size);
	for (unsigned i = 0; i < size; i++)
		value |= (u32)*piece->at++ << (8 * i);
	return value;
}

/* The contents behind a PkgLength, which are taken off `piece`. */
static struct piece take_block(struct piece *piece)
{
	const u8 *start = piece->at;
	u32 lead = take(piece, 1), follow = lead >> 6, length = follow ? lead & 0xf : lead & 0x3f;
	struct piece block;

	for (u32 i = 0; i < follow; i++)
		length |= take(piece, 1) << (4 + 8 * i);
	assert_in_range(length, 1 + follow, piece->end - start);
	block = (struct piece){ piece->at, start + length };
	piece->at = block.end;
	return block;
}

static const char *take_name(struct piece *piece)
{
	static char name[5];

	for (unsigned i = 0; i < 4; i++) {
		name[i] = (char)take(piece, 1);
		/* LeadNameChar, NameChar */
		assert_true(name[i] == '_' || (name[i] >= 'A' && name[i] <= 'Z') ||
			    (i > 0 && name[i] >= '0' && name[i] <= '9'));
	}
	return name;
}

static u32 take_integer(struct piece *piece)
{
	u32 op = take(piece, 1);

	switch (op) {
	case 0x00:
	case 0x01:
		return op;
	case 0x0a:
		return take(piece, 1);
	case 0x0b:
		return take(piece, 2);
	case 0x0c:
		return take(piece, 4);
	default:
		fail_msg("opcode %#x for an integer", op);
		return 0;
	}
}

static void list_window(struct piece *item, unsigned width)
{
	static const char *const spaces[] = { "memory", "I/O", "bus" };
	u32 type = take(item, 1), general = take(item, 1), specific = take(item, 1);
	u32 granularity = take(item, width), first = take(item, width), last = take(item, width);
	u32 translation = take(item, width), length = take(item, width);

	assert_in_range(type, 0, 2);
	assert_int_equal(granularity, 0);
	assert_int_equal(translation, 0);
	assert_int_equal(length, last - first + 1);
	list("%s %x-%x, flags %x/%x\n", spaces[type], first, last, general, specific);
}

static void list_resources(struct piece block)
{
	u32 size = take_integer(&block);

	assert_int_equal(size, block.end - block.at);
	while (block.at < block.end) {
		u32 tag = take(&block, 1), length = tag & 0x80 ? take(&block, 2) : tag & 7;
		struct piece item = { block.at, block.at + length };

		assert_true((size_t)(block.end - block.at) >= length);
		block.at = item.end;
		switch (tag) {
		case 0x22:
			list("IRQ mask %x\n", take(&item, 2));
			break;
		case 0x47: {
			u32 decode = take(&item, 1), first = take(&item, 2), last = take(&item, 2);

			assert_int_equal(decode, 1);
			assert_int_equal(first, last);
			assert_int_equal(take(&item, 1), 1);	/* alignment */
			list("ports %x+%u\n", first, take(&item, 1));
			break;
		}
		case 0x79:
			take(&item, 1);
			list("end\n");
			assert_ptr_equal(block.at, block.end);
			break;
		case 0x86: {
			u32 writable = take(&item, 1), base = take(&item, 4);

			list("memory %x+%x%s\n", base, take(&item, 4), writable == 1 ? "" : " read-only");
			break;
		}
		case 0x87:
			list_window(&item, 4);
			break;
		case 0x88:
			list_window(&item, 2);
			break;
		default:
			fail_msg("resource item %#x", tag);
		}
		assert_ptr_equal(item.at, item.end);
	}
}

static void list_data(struct piece *piece);

static void list_package(struct piece block)
{
	u32 elements = take(&block, 1);

	list("{");
	for (u32 i = 0; i < elements; i++) {
		if (i > 0)
			list(" ");
		list_data(&block);
	}
	list("}");
	assert_ptr_equal(block.at, block.end);
}

static void list_data(struct piece *piece)
{
	switch (*piece->at) {
	case 0x0d:
		take(piece, 1);
		list("\"");
		for (u32 c; (c = take(piece, 1)) != 0; )
			list("%c", (int)c);
		list("\"");
		break;
	case 0x11:
		take(piece, 1);
		list("\n");
		list_resources(take_block(piece));
		break;
	case 0x12:
		take(piece, 1);
		list_package(take_block(piece));
		break;
	default:
		list("%x", take_integer(piece));
	}
}

static void list_terms(struct piece block)
{
	while (block.at < block.end) {
		u32 op = take(&block, 1);
		struct piece inner;

		if (op == 0x14) {
			inner = take_block(&block);
			list("method %s", take_name(&inner));
			list(" %u\n", take(&inner, 1));
			list_terms(inner);
			list("method ends\n");
		} else if (op == 0x70) {
			assert_int_equal(take(&block, 1), 0x68);
			list("store argument in %s\n", take_name(&block));
		} else if (op == 0xa0) {
			inner = take_block(&block);
			list("if %s\n", take_name(&inner));
			list_terms(inner);
			list("if ends\n");
		} else if (op == 0xa4) {
			list("return %s\n", take_name(&block));
		} else if (op == 0x08) {
			list("%s ", take_name(&block));
			list_data(&block);
			list("\n");
		} else if (op == 0x10) {
			inner = take_block(&block);
			assert_int_equal(take(&inner, 1), '\\');
			list("scope \\%s\n", take_name(&inner));
			list_terms(inner);
			list("scope ends\n");
		} else {
			assert_int_equal(op, 0x5b);
			assert_int_equal(take(&block, 1), 0x82);
			inner = take_block(&block);
			list("device %s\n", take_name(&inner));
			list_terms(inner);
			list("device ends\n");
		}
	}
}

static void declare(u32 processors, bool pci)
{
	struct aml aml = { .buffer = dsdt, .size = sizeof(dsdt) };

	memset(dsdt, 0xa5, sizeof(dsdt));
	listed = wanted = 0;
	acpi_declare_machine(&aml, processors, pci);
	assert_false(aml_overflowed(&aml));
	list_terms((struct piece){ dsdt, dsdt + aml.used });
}

/* --- the machine --- */

static void want_processors(u32 processors)
{
	for (u32 i = 0; i < processors; i++)
		want(i < 0x100 ? "device CP%02X\n_HID \"ACPI0007\"\n_UID %x\ndevice ends\n" : "device C%03X\n_HID \"ACPI0007\"\n_UID %x\ndevice ends\n", i, i);
}

/* Slots 1 to 31, pins A to D on so many inputs from the first one; 0xffff stands for all functions of a slot. */
static void want_routes(const char *name, u32 first, u32 inputs)
{
	want("%s {", name);
	for (u32 slot = 1; slot <= 31; slot++)
		for (u32 pin = 0; pin < 4; pin++)
			want("%s{%x %x 0 %x}", slot == 1 && pin == 0 ? "" : " ", slot * 0x10000 + 0xffff, pin,
			     first + (slot + pin) % inputs);
	want("}\n");
}

/* "_PIC": 0, as before it is called, is PIC mode, 1 is APIC mode. */
static void want_routing(void)
{
	want_routes("PRTP", 10, 2);
	want_routes("PRTA", 16, 4);
	want("method _PRT 0\nif PICM\nreturn PRTA\nif ends\nreturn PRTP\nmethod ends\n");
}

#define EISA_PNP(id) __builtin_bswap32(0x41d00000u + (id))

static void want_device(const char *name, u32 id, const char *resources)
{
	want("device %s\n_HID %x\n_UID 1\n_CRS \n%send\n\ndevice ends\n", name, EISA_PNP(id), resources);
}

static void want_isa_devices(void)
{
	want_device("PIC_", 0x0000, "ports 20+2\nports a0+2\nports 4d0+2\nIRQ mask 4\n");
	want_device("TIMR", 0x0100, "ports 40+4\nIRQ mask 1\n");
	want_device("RTC_", 0x0b00, "ports 70+2\nIRQ mask 100\n");
	want_device("COM1", 0x0501, "ports 3f8+8\nIRQ mask 10\n");
	/* Devices of the same id differ in _UID. */
	want("device COM2\n_HID %x\n_UID 2\n_CRS \nports 2f8+8\nIRQ mask 8\nend\n\ndevice ends\n", EISA_PNP(0x0501));
	want_device("SYSR", 0x0c02,
		    "ports 60+2\nports 64+1\nports 92+1\nports f4+4\n"
		    "ports 600+4\nports 604+2\nports 608+4\nports 620+4\n");
}

static void want_machine(u32 processors)
{
	want("_S5_ {5 5 0 0}\n");
	want("PICM 0\nmethod _PIC 1\nstore argument in PICM\nmethod ends\n");
	want("scope \\_SB_\n");
	want_processors(processors);
	want("device ECAM\n_HID %x\n_UID 2\n_CRS \nmemory c0000000+100000\nend\n\ndevice ends\n", EISA_PNP(0x0c02));
	want("device PCI0\n_HID %x\n_UID 0\n_CRS \n", EISA_PNP(0x0a03));
	want("bus 0-0, flags c/0\n");
	want("ports cf8+8\n");			/* configuration mechanism #1: not the bus's to give away */
	want("I/O 0-cf7, flags c/3\n");
	want("I/O d00-ffff, flags c/3\n");
	want("memory c0100000-febfffff, flags c/1\n");	/* behind the configuration space, up to the IOAPIC */
	want("end\n\n");
	want_routing();
	want_isa_devices();
	want("device ends\nscope ends\n");
}

static void test_the_devices_of_the_machine(void **state)
{
	/* None of them, the usual ones, and both hexadecimal digits of a name. */
	static const u32 processors[] = { 0, 1, 2, 16, 17, 0x5b, 0xff, 0x100, 0x101, 0x120 };

	for (size_t i = 0; i < ARRAY_SIZE(processors); i++) {
		declare(processors[i], true);
		want_machine(processors[i]);
		assert_string_equal(listing, expected);
	}
}

static void test_without_a_pci_bus(void **state)
{
	declare(2, false);
	want("_S5_ {5 5 0 0}\nscope \\_SB_\n");
	want_processors(2);
	want_isa_devices();
	want("scope ends\n");
	assert_string_equal(listing, expected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_devices_of_the_machine),
		cmocka_unit_test(test_without_a_pci_bus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
