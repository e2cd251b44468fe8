/* SPDX-License-Identifier: MIT */
/* Linux kernel images: a valid one, a violation of each rule, the checksum, and hostile input. */
/* link: lib/bzimage.c lib/crc32.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/bzimage.h"
#include "lib/errno.h"

#define SETUP	(3 * 512)
#define KERNEL	(80 * 16)
#define IMAGE	(SETUP + KERNEL)
#define VERSION 0x3a0
#define PE	0x40

/* Offsets in the file. Linux boot protocol, "Details of Header Fields". */
enum field {
	SETUP_SECTS = 0x1f1, SYSSIZE = 0x1f4, BOOT_FLAG = 0x1fe, JUMP = 0x200, MAGIC = 0x202,
	PROTOCOL = 0x206, KERNEL_VERSION = 0x20e, LOADFLAGS = 0x211, INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230, RELOCATABLE = 0x234, XLOADFLAGS = 0x236, CMDLINE_SIZE = 0x238,
	PAYLOAD_OFFSET = 0x248, PAYLOAD_LENGTH = 0x24c, PREF_ADDRESS = 0x258, INIT_SIZE = 0x260,
};

static void put(u8 *image, size_t at, u64 value, size_t width)
{
	memcpy(image + at, &value, width);
}

static u8 *good(void)
{
	u8 *image = calloc(1, IMAGE);

	for (size_t i = SETUP; i < IMAGE; i++)
		image[i] = (u8)(i * 7);
	put(image, SETUP_SECTS, 2, 1);
	put(image, SYSSIZE, KERNEL / 16, 4);
	put(image, BOOT_FLAG, 0xaa55, 2);
	put(image, JUMP, 0x6aeb, 2);
	memcpy(image + MAGIC, "HdrS", 4);
	put(image, PROTOCOL, 0x20f, 2);
	put(image, KERNEL_VERSION, VERSION - 0x200, 2);
	strcpy((char *)image + VERSION, "6.1.0-test");
	put(image, LOADFLAGS, 1, 1);
	put(image, INITRD_ADDR_MAX, 0x7fffffff, 4);
	put(image, KERNEL_ALIGNMENT, 0x200000, 4);
	put(image, RELOCATABLE, 1, 1);
	put(image, XLOADFLAGS, 0x7f, 2);
	put(image, CMDLINE_SIZE, 2047, 4);
	put(image, PAYLOAD_OFFSET, 0x100, 4);
	put(image, PAYLOAD_LENGTH, 0x200, 4);
	put(image, PREF_ADDRESS, 0x1000000, 8);
	put(image, INIT_SIZE, 0x3378000, 4);
	return image;
}

static void test_good(void **state)
{
	u8 *image = good();
	struct bzimage bzimage;
	const char *why = NULL;
	char version[32];

	assert_true(bzimage_has_magic(image, IMAGE));
	assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
	assert_int_equal(bzimage.setup_header_size, 0x26c - 0x1f1);
	assert_int_equal(bzimage.kernel_offset, SETUP);
	assert_int_equal(bzimage.kernel_size, KERNEL);
	assert_int_equal(bzimage.memory_size, 0x3378000);
	assert_true(bzimage.relocatable);
	assert_int_equal(bzimage.alignment, 0x200000);
	assert_int_equal(bzimage.load_address, 0x1000000);
	assert_int_equal(bzimage.initrd_end_max, 0x80000000);
	assert_int_equal(bzimage.cmdline_max, 2047);
	assert_int_equal(bzimage.header.version, 0x20f);
	bzimage_version(&bzimage, version, sizeof(version));
	assert_string_equal(version, "6.1.0-test");
	bzimage_version(&bzimage, version, 4);
	assert_string_equal(version, "6.1");
	free(image);
}

/* A setup_sects of zero means four, "for backwards compatibility". */
static void test_four_setup_sectors_by_default(void **state)
{
	u8 *image = calloc(1, 5 * 512 + KERNEL), *source = good();
	struct bzimage bzimage;
	const char *why = NULL;

	memcpy(image, source, SETUP);
	image[SETUP_SECTS] = 0;
	assert_int_equal(bzimage_parse(image, 5 * 512 + KERNEL, &bzimage, &why), 0);
	assert_int_equal(bzimage.kernel_offset, 5 * 512);
	free(image);
	free(source);
}

/* The signature of a signed kernel follows the bytes that syssize counts. */
static void test_more_than_syssize_is_allowed(void **state)
{
	u8 *image = calloc(1, IMAGE + 100), *source = good();
	struct bzimage bzimage;
	const char *why = NULL;

	memcpy(image, source, IMAGE);
	assert_int_equal(bzimage_parse(image, IMAGE + 100, &bzimage, &why), 0);
	assert_int_equal(bzimage.kernel_size, KERNEL);
	free(image);
	free(source);
}

/* syssize counts in units of 16 bytes, rounded up: Linux, Documentation/arch/x86/boot.rst. memtest86+ lacks 8. */
static void test_the_last_paragraph_may_be_short(void **state)
{
	u8 *image = good();

	for (unsigned lacks = 1; lacks <= 16; lacks++) {
		u8 *copy = exact_copy(image, IMAGE - lacks);
		struct bzimage bzimage;
		const char *why = NULL;

		assert_int_equal(bzimage_parse(copy, IMAGE - lacks, &bzimage, &why), lacks < 16 ? 0 : -EINVAL);
		if (lacks < 16)
			assert_int_equal(bzimage.kernel_size, KERNEL - lacks);
		free(copy);
	}
	free(image);
}

static void test_version_text_is_optional(void **state)
{
	static const u16 nowhere[] = { 0, SETUP - 0x200, 0xffff };
	u8 *image = good();
	struct bzimage bzimage;
	const char *why = NULL;
	char version[32];

	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		put(image, KERNEL_VERSION, nowhere[i], 2);
		assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
		bzimage_version(&bzimage, version, sizeof(version));
		assert_string_equal(version, "");
	}
	free(image);
}

/* boot.rst, "xloadflags": bit 0, from protocol 2.12 on; all others are entered by the 32-bit protocol. */
static void test_the_width_of_the_entry(void **state)
{
	static const struct {
		u16 version, flags;
		bool in_64bit;
	} cases[] = {
		{ 0x20c, 1, true }, { 0x20f, 0x7f, true }, { 0x20c, 0x7e, false }, { 0x20f, 0, false },
		{ 0x20b, 1, false }, { 0x20a, 0xffff, false },
	};
	u8 *image = good();
	struct bzimage bzimage;
	const char *why;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put(image, PROTOCOL, cases[i].version, 2);
		put(image, XLOADFLAGS, cases[i].flags, 2);
		assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
		assert_int_equal(bzimage.enters_64bit, cases[i].in_64bit);
	}
	free(image);
}

static void test_each_rule(void **state)
{
	static const struct {
		enum field field;
		u64 value;
		size_t width;
		int err;
		const char *word;
	} cases[] = {
		{ BOOT_FLAG, 0x55aa, 2, -EINVAL, "aa55" },
		{ MAGIC, 0, 4, -EINVAL, "HdrS" },
		{ PROTOCOL, 0x209, 2, -EOPNOTSUPP, "2.10" },
		{ PROTOCOL, 0x207, 2, -EOPNOTSUPP, "ipxe.lkrn, start in real mode with a BIOS" },
		{ LOADFLAGS, 0xfe, 1, -EOPNOTSUPP, "LOADED_HIGH" },
		{ JUMP, 0x61eb, 2, -EINVAL, "264" },
		{ JUMP, 0x8feb, 2, -EINVAL, "290" },
		{ SETUP_SECTS, 3, 1, -EINVAL, "cut off" },
		{ SETUP_SECTS, 255, 1, -EINVAL, "cut off" },
		{ SYSSIZE, KERNEL / 16 + 1, 4, -EINVAL, "cut off" },
		{ SYSSIZE, 0xffffffff, 4, -EINVAL, "cut off" },
		{ SYSSIZE, 0x20, 4, -EINVAL, "too small" },
		{ SYSSIZE, 0, 4, -EINVAL, "too small" },
		{ PAYLOAD_OFFSET, KERNEL - 0x200 + 1, 4, -EINVAL, "compressed" },
		{ PAYLOAD_LENGTH, 0xffffffff, 4, -EINVAL, "compressed" },
		{ INIT_SIZE, KERNEL - 1, 4, -EINVAL, "init_size" },
		{ KERNEL_ALIGNMENT, 0, 4, -EINVAL, "power of two" },
		{ KERNEL_ALIGNMENT, 0x201000, 4, -EINVAL, "power of two" },
		{ PREF_ADDRESS, 0x1001000, 8, -EINVAL, "multiple" },
		{ PREF_ADDRESS, 0xffffffffffe00000, 8, -EINVAL, "64 bits" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *image = good();
		struct bzimage bzimage;
		const char *why = "nothing";

		put(image, cases[i].field, cases[i].value, cases[i].width);
		assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), cases[i].err);
		if (!strstr(why, cases[i].word))
			fail_msg("expected \"%s\" in \"%s\"", cases[i].word, why);
		free(image);
	}
}

/* The last value that each rule allows. */
static void test_each_rule_at_its_limit(void **state)
{
	static const struct {
		struct {
			enum field field;
			u64 value;
			size_t width;
		} changes[3];
	} cases[] = {
		{ { { PROTOCOL, 0x20c, 2 } } },
		{ { { LOADFLAGS, 0x01, 1 }, { XLOADFLAGS, 0x01, 2 } } },
		{ { { JUMP, 0x62eb, 2 } } },		/* the header ends at 264 */
		{ { { JUMP, 0x8eeb, 2 } } },		/* and at 290 */
		{ { { SYSSIZE, 0x21, 4 }, { PAYLOAD_LENGTH, 0x110, 4 } } },
		{ { { PAYLOAD_OFFSET, KERNEL - 0x200, 4 } } },
		{ { { PAYLOAD_LENGTH, KERNEL - 0x100, 4 } } },
		{ { { INIT_SIZE, KERNEL, 4 } } },
		{ { { KERNEL_ALIGNMENT, 1, 4 }, { PREF_ADDRESS, 0x1000001, 8 } } },
		{ { { KERNEL_ALIGNMENT, 0x80000000, 4 }, { PREF_ADDRESS, 0x180000000, 8 } } },
		{ { { PREF_ADDRESS, 0xffffffffffe00000, 8 }, { INIT_SIZE, 0x1fffff, 4 } } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *image = good();
		struct bzimage bzimage;
		const char *why = "nothing";

		for (size_t k = 0; k < 3 && cases[i].changes[k].field; k++)
			put(image, cases[i].changes[k].field, cases[i].changes[k].value,
			    cases[i].changes[k].width);
		if (bzimage_parse(image, IMAGE, &bzimage, &why))
			fail_msg("case %zu: %s", i, why);
		free(image);
	}
}

/* What goes into struct boot_params ends where the jump over the header goes. */
static void test_the_size_of_the_setup_header(void **state)
{
	u8 *image = good();
	struct bzimage bzimage;
	const char *why = NULL;

	for (u32 distance = 0x66; distance <= 0x8e; distance++) {
		put(image, JUMP + 1, distance, 1);
		assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
		assert_int_equal(LINUX_SETUP_HEADER + bzimage.setup_header_size, 0x202 + distance);
	}
	free(image);
}

static void test_fields_of_other_values(void **state)
{
	u8 *image = good();
	struct bzimage bzimage;
	const char *why = NULL;

	put(image, RELOCATABLE, 0, 1);
	put(image, INITRD_ADDR_MAX, 0xffffffff, 4);
	assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
	assert_false(bzimage.relocatable);
	assert_int_equal(bzimage.initrd_end_max, 0x100000000);
	free(image);
}

/* The setup header of protocol 2.12 ends at offset 268. */
static void test_the_header_must_be_in_the_file(void **state)
{
	u8 *image = good();

	for (size_t size = 0; size < 0x300; size++) {
		u8 *copy = exact_copy(image, size);
		struct bzimage bzimage;
		const char *why = "nothing";

		assert_int_equal(bzimage_has_magic(copy, size), size >= 0x268);
		assert_int_equal(bzimage_parse(copy, size, &bzimage, &why), -EINVAL);
		assert_non_null(strstr(why, size < 0x268 ? "within the setup header" : "cut off"));
		free(copy);
	}
	free(image);
}

static void test_both_magics_are_needed(void **state)
{
	u8 *image = good();

	put(image, BOOT_FLAG, 0xaa54, 2);
	assert_false(bzimage_has_magic(image, IMAGE));
	put(image, BOOT_FLAG, 0xaa55, 2);
	image[MAGIC + 3] = 's';
	assert_false(bzimage_has_magic(image, IMAGE));
	free(image);
}

/* A text that the end of the setup code cuts off ends there. */
static void test_the_version_ends_with_the_setup_code(void **state)
{
	u8 *image = good();
	struct bzimage bzimage;
	const char *why = NULL;
	char version[32];

	memcpy(image + SETUP - 2, "6.", 2);
	image[SETUP] = 'x';
	for (u32 length = 1; length <= 2; length++) {
		put(image, KERNEL_VERSION, SETUP - length - 0x200, 2);
		assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
		bzimage_version(&bzimage, version, sizeof(version));
		assert_string_equal(version, length == 1 ? "." : "6.");
	}
	free(image);
}

static void no_pause(void)
{
}

/* Bit by bit, as the polynomial is defined, without the final inversion. */
static u32 slow_crc(const u8 *bytes, size_t size)
{
	u32 crc = UINT32_MAX;

	for (size_t i = 0; i < size * 8; i++) {
		u32 bit = (crc ^ (u32)bytes[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
	}
	return crc;
}

static bool checksum_matches(const u8 *image)
{
	struct bzimage bzimage;
	const char *why = NULL;

	assert_int_equal(bzimage_parse(image, IMAGE, &bzimage, &why), 0);
	return bzimage_checksum_matches(&bzimage, no_pause);
}

static void test_the_reference_crc(void **state)
{
	/* The customary check value of CRC-32, which is inverted at the end. */
	assert_int_equal(~slow_crc((const u8 *)"123456789", 9), 0xcbf43926);
}

static void test_checksum(void **state)
{
	u8 *image = good();

	assert_false(checksum_matches(image));
	put(image, IMAGE - 4, slow_crc(image, IMAGE - 4), 4);
	assert_true(checksum_matches(image));
	image[SETUP + 77] ^= 0x10;
	assert_false(checksum_matches(image));
	image[SETUP + 77] ^= 0x10;
	image[10] ^= 1;
	assert_false(checksum_matches(image));
	free(image);
}

/* Signing changes only the PE header's checksum and the address and size of the certificates. */
static void test_checksum_of_a_signed_kernel(void **state)
{
	u8 *image = good();

	put(image, 0x3c, PE, 4);
	memcpy(image + PE, "PE\0\0", 4);
	put(image, IMAGE - 4, slow_crc(image, IMAGE - 4), 4);
	assert_true(checksum_matches(image));
	put(image, PE + 24 + 64, 0xd8d44c, 4);
	put(image, PE + 24 + 144, 0x5c000d87200, 8);
	assert_true(checksum_matches(image));
	put(image, PE + 24 + 152, 1, 1);
	assert_false(checksum_matches(image));
	put(image, PE + 24 + 152, 0, 1);
	put(image, PE + 24 + 68, 1, 1);
	assert_false(checksum_matches(image));
	free(image);
}

/* Which bytes the checksum leaves out: `from` to `to`, exclusive, and `from2` to `to2`. */
static void assert_checked_but(u8 *image, size_t from, size_t to, size_t from2, size_t to2)
{
	put(image, IMAGE - 4, slow_crc(image, IMAGE - 4), 4);
	/* All of the setup code, where the fields are, and some of the kernel. */
	for (size_t at = 0; at < IMAGE; at += at < SETUP ? 1 : 97) {
		struct bzimage bzimage;
		const char *why = NULL;
		bool left_out = (at >= from && at < to) || (at >= from2 && at < to2);

		image[at] ^= 0x40;
		if (bzimage_parse(image, IMAGE, &bzimage, &why) == 0 &&
		    bzimage_checksum_matches(&bzimage, no_pause) != left_out)
			fail_msg("offset %#zx", at);
		image[at] ^= 0x40;
	}
}

/* PE Format: the checksum 64 bytes into the optional header, the certificates' entry at 144 of PE32+. */
static void test_each_byte_counts_but_those_of_a_signature(void **state)
{
	/* In the middle, and where the certificates' entry ends with the setup code. */
	static const u32 headers[] = { PE, SETUP - (24 + 144 + 8) };

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		u8 *image = good();
		u32 optional = headers[i] + 24;

		put(image, 0x3c, headers[i], 4);
		memcpy(image + headers[i], "PE\0\0", 4);
		assert_checked_but(image, optional + 64, optional + 68, optional + 144, optional + 152);
		free(image);
	}
}

static void test_without_a_pe_header_each_byte_counts(void **state)
{
	/* Nothing there; cut off by the end of the setup code by one byte; far outside. */
	static const struct {
		u32 at;
		const char *magic;
	} headers[] = { { PE, "PE\0\1" }, { SETUP - (24 + 144 + 7), "PE\0" }, { 0xffffffff, NULL } };

	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		u8 *image = good();

		put(image, 0x3c, headers[i].at, 4);
		if (headers[i].magic)
			memcpy(image + headers[i].at, headers[i].magic, 4);
		assert_checked_but(image, 0, 0, 0, 0);
		free(image);
	}
}

/* Whatever is accepted must be safe to load: read every byte that a loader would. */
static void use(const u8 *data, size_t size)
{
	struct bzimage bzimage;
	const char *why = NULL;
	char version[64];
	int err = bzimage_parse(data, size, &bzimage, &why);

	if (err) {
		assert_true(err == -EINVAL || err == -EOPNOTSUPP);
		assert_non_null(why);
		return;
	}
	touch(data + bzimage.kernel_offset, bzimage.kernel_size);
	touch(data + LINUX_SETUP_HEADER, bzimage.setup_header_size);
	assert_true(LINUX_SETUP_HEADER + bzimage.setup_header_size <= 0x290);
	assert_true(bzimage.memory_size >= bzimage.kernel_size);
	assert_true(bzimage.load_address <= UINT64_MAX - bzimage.memory_size);
	assert_int_equal(bzimage.alignment & (bzimage.alignment - 1), 0);
	bzimage_version(&bzimage, version, sizeof(version));
	bzimage_checksum_matches(&bzimage, no_pause);
}

static void test_hostile(void **state)
{
	u8 *image = good();

	put(image, 0x3c, PE, 4);
	memcpy(image + PE, "PE\0\0", 4);
	each_truncation(image, IMAGE, use);
	each_byte_mutation(image, IMAGE, 0x290, use);
	random_mutations(image, IMAGE, 0x290, 100000, use);
	random_mutations(image, IMAGE, PE + 4, 100000, use);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_four_setup_sectors_by_default),
		cmocka_unit_test(test_more_than_syssize_is_allowed),
		cmocka_unit_test(test_the_last_paragraph_may_be_short),
		cmocka_unit_test(test_version_text_is_optional),
		cmocka_unit_test(test_the_width_of_the_entry),
		cmocka_unit_test(test_each_rule),
		cmocka_unit_test(test_each_rule_at_its_limit),
		cmocka_unit_test(test_the_size_of_the_setup_header),
		cmocka_unit_test(test_fields_of_other_values),
		cmocka_unit_test(test_the_header_must_be_in_the_file),
		cmocka_unit_test(test_both_magics_are_needed),
		cmocka_unit_test(test_the_version_ends_with_the_setup_code),
		cmocka_unit_test(test_the_reference_crc),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_checksum_of_a_signed_kernel),
		cmocka_unit_test(test_each_byte_counts_but_those_of_a_signature),
		cmocka_unit_test(test_without_a_pe_header_each_byte_counts),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
