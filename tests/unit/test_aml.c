/* SPDX-License-Identifier: MIT */
/*
 * The AML writer, byte by byte. The expected bytes come from ACPI: "AML Grammar Definition" for names,
 * integers, blocks and package lengths, "Resource Data Types for ACPI" for the descriptors, and
 * "EISAID (EISA ID To Integer Conversion)".
 */
/* link: dev/firmware/aml.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dev/firmware/aml.h"

#define BYTES(...) { __VA_ARGS__ }, sizeof((const u8[]) { __VA_ARGS__ })

static void zero(struct aml *aml) { aml_integer(aml, 0); }
static void one(struct aml *aml) { aml_integer(aml, 1); }
static void two(struct aml *aml) { aml_integer(aml, 2); }
static void largest_byte(struct aml *aml) { aml_integer(aml, 0xff); }
static void smallest_word(struct aml *aml) { aml_integer(aml, 0x100); }
static void a_word(struct aml *aml) { aml_integer(aml, 0x1234); }
static void largest_word(struct aml *aml) { aml_integer(aml, 0xffff); }
static void smallest_dword(struct aml *aml) { aml_integer(aml, 0x10000); }
static void a_dword(struct aml *aml) { aml_integer(aml, 0x12345678); }
static void largest_dword(struct aml *aml) { aml_integer(aml, 0xffffffff); }
static void a_name(struct aml *aml) { aml_name(aml, "_HID"); }
static void a_string(struct aml *aml) { aml_string(aml, "ACPI0007"); }
static void an_empty_string(struct aml *aml) { aml_string(aml, ""); }
static void pci_host_bridge_id(struct aml *aml) { aml_eisa_id(aml, "PNP0A03"); }
static void first_letters_and_digits(struct aml *aml) { aml_eisa_id(aml, "AZM09AF"); }
static void last_letters_and_digits(struct aml *aml) { aml_eisa_id(aml, "ZAYF908"); }

static void an_empty_scope(struct aml *aml) { aml_close(aml, aml_open_scope(aml, "\\_SB_")); }
static void an_empty_device(struct aml *aml) { aml_close(aml, aml_open_device(aml, "COM1")); }
static void an_empty_package(struct aml *aml) { aml_close(aml, aml_open_package(aml, 0)); }

static void a_package_of_three(struct aml *aml)
{
	size_t package = aml_open_package(aml, 3);

	aml_integer(aml, 0);
	aml_integer(aml, 1);
	aml_integer(aml, 2);
	aml_close(aml, package);
}

static void a_device_in_a_scope(struct aml *aml)
{
	size_t scope = aml_open_scope(aml, "\\_SB_"), device = aml_open_device(aml, "PCI0");

	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_close(aml, device);
	aml_close(aml, scope);
}

static void no_resources(struct aml *aml)
{
	aml_close_resources(aml, aml_open_resources(aml));
}

static void resources_behind_a_name(struct aml *aml)
{
	size_t resources;

	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_irq(aml, 4);
	aml_close_resources(aml, resources);
}

static void a_method(struct aml *aml)
{
	size_t method = aml_open_method(aml, "_PIC", 1);

	aml_store_argument(aml, "PICM");
	aml_close(aml, method);
}

static void a_choice(struct aml *aml)
{
	size_t method = aml_open_method(aml, "_PRT", 0), block = aml_open_if(aml, "PICM");

	aml_return(aml, "PRTA");
	aml_close(aml, block);
	aml_return(aml, "PRTP");
	aml_close(aml, method);
}

static void ports(struct aml *aml) { aml_io(aml, 0x3f8, 8); }
static void irq_0(struct aml *aml) { aml_irq(aml, 0); }
static void irq_7(struct aml *aml) { aml_irq(aml, 7); }
static void irq_8(struct aml *aml) { aml_irq(aml, 8); }
static void irq_15(struct aml *aml) { aml_irq(aml, 15); }
static void one_bus(struct aml *aml) { aml_bus_window(aml, 0, 0); }
static void all_buses(struct aml *aml) { aml_bus_window(aml, 0, 0xff); }
static void low_ports(struct aml *aml) { aml_io_window(aml, 0, 0x0cf7); }
static void high_ports(struct aml *aml) { aml_io_window(aml, 0x0d00, 0xffff); }
static void memory(struct aml *aml) { aml_memory_window(aml, 0xc0001000, 0xfebfffff); }

static const struct {
	const char *what;
	void (*write)(struct aml *aml);
	u8 bytes[40];
	size_t size;
} encodings[] = {
	/* ZeroOp, OneOp, BytePrefix, WordPrefix, DWordPrefix: the shortest that holds the value. */
	{ "0", zero, BYTES(0x00) },
	{ "1", one, BYTES(0x01) },
	{ "2", two, BYTES(0x0a, 2) },
	{ "the largest byte", largest_byte, BYTES(0x0a, 0xff) },
	{ "the smallest word", smallest_word, BYTES(0x0b, 0x00, 0x01) },
	{ "a word", a_word, BYTES(0x0b, 0x34, 0x12) },
	{ "the largest word", largest_word, BYTES(0x0b, 0xff, 0xff) },
	{ "the smallest double word", smallest_dword, BYTES(0x0c, 0x00, 0x00, 0x01, 0x00) },
	{ "a double word", a_dword, BYTES(0x0c, 0x78, 0x56, 0x34, 0x12) },
	{ "the largest double word", largest_dword, BYTES(0x0c, 0xff, 0xff, 0xff, 0xff) },

	/* NameOp NameSeg; StringPrefix AsciiCharList NullChar */
	{ "a name", a_name, BYTES(0x08, '_', 'H', 'I', 'D') },
	{ "a string", a_string, BYTES(0x0d, 'A', 'C', 'P', 'I', '0', '0', '0', '7', 0) },
	{ "an empty string", an_empty_string, BYTES(0x0d, 0) },

	/*
	 * Three letters of 5 bits, A = 1, then four hexadecimal digits: the bytes in the order of the text.
	 * P N P = 10000 01110 10000, A Z M = 00001 11010 01101, Z A Y = 11010 00001 11001.
	 */
	{ "PNP0A03", pci_host_bridge_id, BYTES(0x0c, 0x41, 0xd0, 0x0a, 0x03) },
	{ "AZM09AF", first_letters_and_digits, BYTES(0x0c, 0x07, 0x4d, 0x09, 0xaf) },
	{ "ZAYF908", last_letters_and_digits, BYTES(0x0c, 0x68, 0x39, 0xf9, 0x08) },

	/* Lengths of three bytes: 0x80 + the low 4 bits, bits 11:4, bits 19:12. They count themselves. */
	{ "an empty scope", an_empty_scope, BYTES(0x10, 0x88, 0, 0, '\\', '_', 'S', 'B', '_') },
	{ "an empty device", an_empty_device, BYTES(0x5b, 0x82, 0x87, 0, 0, 'C', 'O', 'M', '1') },
	{ "an empty package", an_empty_package, BYTES(0x12, 0x84, 0, 0, 0) },
	{ "a package", a_package_of_three, BYTES(0x12, 0x88, 0, 0, 3, 0x00, 0x01, 0x0a, 2) },
	{ "a device in a scope", a_device_in_a_scope,
	  BYTES(0x10, 0x87, 1, 0, '\\', '_', 'S', 'B', '_',
		0x5b, 0x82, 0x8d, 0, 0, 'P', 'C', 'I', '0', 0x08, '_', 'U', 'I', 'D', 0x00) },

	/* MethodOp PkgLength NameString MethodFlags TermList; StoreOp Arg0Op NameString */
	{ "a method", a_method,
	  BYTES(0x14, 0x8e, 0, 0, '_', 'P', 'I', 'C', 1, 0x70, 0x68, 'P', 'I', 'C', 'M') },
	/* IfOp PkgLength Predicate TermList; ReturnOp NameString */
	{ "a choice", a_choice,
	  BYTES(0x14, 0x8a, 1, 0, '_', 'P', 'R', 'T', 0, 0xa0, 0x8c, 0, 0, 'P', 'I', 'C', 'M', 0xa4, 'P', 'R', 'T', 'A',
		0xa4, 'P', 'R', 'T', 'P') },

	/* BufferOp PkgLength BufferSize; the End Tag's checksum 0 counts as valid. */
	{ "no resources", no_resources, BYTES(0x11, 0x88, 0, 0, 0x0b, 2, 0, 0x79, 0) },
	{ "resources of a device", resources_behind_a_name,
	  BYTES(0x08, '_', 'C', 'R', 'S', 0x11, 0x8b, 0, 0, 0x0b, 5, 0, 0x22, 0x10, 0x00, 0x79, 0) },

	/* I/O Port Descriptor: 16-bit decode, minimum, maximum, alignment 1, length. */
	{ "ports", ports, BYTES(0x47, 1, 0xf8, 0x03, 0xf8, 0x03, 1, 8) },
	/* IRQ Descriptor of 2 bytes: a mask; edge-triggered, active high, exclusive are implied. */
	{ "IRQ 0", irq_0, BYTES(0x22, 0x01, 0x00) },
	{ "IRQ 7", irq_7, BYTES(0x22, 0x80, 0x00) },
	{ "IRQ 8", irq_8, BYTES(0x22, 0x00, 0x01) },
	{ "IRQ 15", irq_15, BYTES(0x22, 0x00, 0x80) },
	/*
	 * Word and DWord Address Space Descriptors: length, type, general flags (_MIF and _MAF: both ends
	 * are fixed), type-specific flags, granularity, minimum, maximum, translation, length.
	 */
	{ "bus 0", one_bus, BYTES(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0) },
	{ "all buses", all_buses, BYTES(0x88, 13, 0, 2, 0x0c, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 1) },
	{ "the ports below", low_ports,
	  BYTES(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0, 0, 0xf7, 0x0c, 0, 0, 0xf8, 0x0c) },
	{ "the ports above", high_ports,
	  BYTES(0x88, 13, 0, 1, 0x0c, 3, 0, 0, 0x00, 0x0d, 0xff, 0xff, 0, 0, 0x00, 0xf3) },
	{ "memory", memory,
	  BYTES(0x87, 23, 0, 0, 0x0c, 1, 0, 0, 0, 0, 0x00, 0x10, 0x00, 0xc0, 0xff, 0xff, 0xbf, 0xfe,
		0, 0, 0, 0, 0x00, 0xf0, 0xbf, 0x3e) },
};

static void test_each_encoding(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		u8 buffer[64];
		struct aml aml = { .buffer = buffer, .size = sizeof(buffer) };

		memset(buffer, 0xa5, sizeof(buffer));
		encodings[i].write(&aml);
		if (aml.used != encodings[i].size || memcmp(buffer, encodings[i].bytes, aml.used))
			fail_msg("%s", encodings[i].what);
		assert_int_equal(buffer[aml.used], 0xa5);
	}
}

/* The address sanitizer watches the end of the buffer. `used` says how much room it takes. */
static void test_a_buffer_too_small_is_noticed_at_every_size(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		for (size_t size = 0; size < encodings[i].size; size++) {
			struct aml aml = { .buffer = malloc(size), .size = size };

			encodings[i].write(&aml);
			assert_true(aml_overflowed(&aml));
			assert_int_equal(aml.used, encodings[i].size);
			free(aml.buffer);
		}
	}
}

static void test_a_buffer_of_the_very_size_is_enough(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(encodings); i++) {
		struct aml aml = { .buffer = malloc(encodings[i].size), .size = encodings[i].size };

		encodings[i].write(&aml);
		assert_false(aml_overflowed(&aml));
		assert_memory_equal(aml.buffer, encodings[i].bytes, encodings[i].size);
		free(aml.buffer);
	}
}

/* --- lengths --- */

/* "Package Length Encoding" as a reader sees it. */
static size_t package_length(const u8 *at, size_t *length_bytes)
{
	unsigned follow = at[0] >> 6;
	size_t length = at[0] & (follow ? 0x0f : 0x3f);

	if (follow)
		assert_int_equal(at[0] & 0x30, 0);
	for (unsigned i = 0; i < follow; i++)
		length |= (size_t)at[1 + i] << (4 + 8 * i);
	*length_bytes = 1 + follow;
	return length;
}

static u8 long_buffer[0x30000];

static void fill(struct aml *aml, size_t size)
{
	while (size--)
		aml_integer(aml, 1);
}

/* Contents, such that the lengths go through each bit, and carry from each part into the next. */
static const size_t contents[] = {
	0, 1, 0xb, 0xc, 0x3a, 0xfb, 0xfc, 0xfd, 0x7fc, 0xffb, 0xffc, 0xffd, 0x1234, 0x7ffc, 0xfffb, 0xfffc,
	0x10000, 0x20000,
};

static void test_the_length_of_a_block_counts_all_behind_its_opcode(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(contents); i++) {
		struct aml aml = { .buffer = long_buffer, .size = sizeof(long_buffer) };
		size_t package = aml_open_package(&aml, 9), length_bytes;

		fill(&aml, contents[i]);
		aml_close(&aml, package);
		assert_int_equal(long_buffer[0], 0x12);
		assert_int_equal(package_length(long_buffer + 1, &length_bytes), aml.used - 1);
		assert_int_equal(long_buffer[1 + length_bytes], 9);
		assert_int_equal(aml.used, 1 + length_bytes + 1 + contents[i]);
	}
}

/* The name in front of it shows that the sizes do not depend on where the buffer lies. */
static void test_the_size_of_a_resource_buffer_counts_its_end_tag(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(contents) && contents[i] + 2 <= 0xffff; i++) {
		struct aml aml = { .buffer = long_buffer, .size = sizeof(long_buffer) };
		size_t resources, length_bytes;
		const u8 *size;

		aml_name(&aml, "_CRS");
		resources = aml_open_resources(&aml);
		fill(&aml, contents[i]);
		aml_close_resources(&aml, resources);
		assert_int_equal(package_length(long_buffer + 6, &length_bytes), aml.used - 6);
		size = long_buffer + 6 + length_bytes;
		assert_int_equal(size[0], 0x0b);
		assert_int_equal(size[1] | size[2] << 8, contents[i] + 2);
	}
}

/* Until it is closed, a block's length and a buffer's size are 0. */
static void test_an_open_block_has_no_length_yet(void **state)
{
	u8 buffer[16] = { [0 ... 15] = 0xa5 };
	struct aml aml = { .buffer = buffer, .size = sizeof(buffer) };

	aml_open_resources(&aml);
	assert_int_equal(aml.used, 7);
	assert_memory_equal(buffer, "\x11\0\0\0\x0b\0\0\xa5", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_encoding),
		cmocka_unit_test(test_a_buffer_too_small_is_noticed_at_every_size),
		cmocka_unit_test(test_a_buffer_of_the_very_size_is_enough),
		cmocka_unit_test(test_the_length_of_a_block_counts_all_behind_its_opcode),
		cmocka_unit_test(test_the_size_of_a_resource_buffer_counts_its_end_tag),
		cmocka_unit_test(test_an_open_block_has_no_length_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
