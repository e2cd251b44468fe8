/* SPDX-License-Identifier: MIT */
/* Multiboot headers of kernel images: valid ones, a violation of each rule, and hostile input. */
/* link: lib/multiboot.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/errno.h"
#include "lib/multiboot.h"

#define MB1_MAGIC 0x1badb002u
#define MB2_MAGIC 0xe85250d6u
#define MB1_AT	  0x40
#define MB2_AT	  0x48
#define IMAGE	  0x400

/* The image under construction; words are appended to it. */
struct build {
	u8 *image;
	size_t size, at, header;
};

static struct build begin(size_t size, size_t at)
{
	return (struct build){ calloc(1, size), size, at, at };
}

static void word(struct build *build, u32 value)
{
	memcpy(build->image + build->at, &value, sizeof(value));
	build->at += sizeof(value);
}

static void words(struct build *build, const u32 *values, size_t count)
{
	for (size_t i = 0; i < count; i++)
		word(build, values[i]);
}

static struct build mb1(u32 flags)
{
	struct build build = begin(IMAGE, MB1_AT);

	words(&build, (u32[]){ MB1_MAGIC, flags, -(MB1_MAGIC + flags) }, 3);
	return build;
}

/* With the address fields: header, load, load end, bss end and entry address. */
static struct build mb1_at(u32 header, u32 load, u32 load_end, u32 bss_end, u32 entry)
{
	struct build build = mb1(0x10003);

	words(&build, (u32[]){ header, load, load_end, bss_end, entry }, 5);
	return build;
}

static struct build mb2(void)
{
	struct build build = begin(IMAGE, MB2_AT);

	build.at += 16;
	return build;
}

/* A tag with its payload, padded to a multiple of 8. */
static void tag(struct build *build, u16 type, u16 flags, const u32 *payload, u32 count)
{
	word(build, type | (u32)flags << 16);
	word(build, 8 + 4 * count);
	words(build, payload, count);
	build->at = ALIGN_UP(build->at, 8);
}

/* Write the fixed part, now that the length is known. */
static void close_with(struct build *build, u32 architecture, u32 length)
{
	u32 checksum = -(MB2_MAGIC + architecture + length);

	build->at = build->header;
	words(build, (u32[]){ MB2_MAGIC, architecture, length, checksum }, 4);
}

static void finish(struct build *build)
{
	tag(build, 0, 0, NULL, 0);
	close_with(build, 0, (u32)(build->at - build->header));
}

/* Search the image for a header, and free it. Each error but -ENOENT must come with a reason. */
static int find(int (*finder)(const void *, size_t, struct multiboot_header *, const char **),
		struct build build, struct multiboot_header *header)
{
	const char *why = NULL;
	int err = finder(build.image, build.size, header, &why);

	assert_true((err == 0 || err == -ENOENT) == (why == NULL));
	free(build.image);
	return err;
}

static int find1(struct build build, struct multiboot_header *header)
{
	return find(mb1_find_header, build, header);
}

static int find2(struct build build, struct multiboot_header *header)
{
	return find(mb2_find_header, build, header);
}

static void test_mb1_of_an_elf_file(void **state)
{
	struct multiboot_header header;

	assert_int_equal(find1(mb1(0), &header), 0);
	assert_int_equal(header.version, 1);
	assert_int_equal(header.offset, MB1_AT);
	assert_false(header.has_addresses || header.has_entry);
	assert_false(header.page_align_modules || header.wants_memory_info);
	assert_int_equal(find1(mb1(7), &header), 0);
	assert_true(header.page_align_modules && header.wants_memory_info);
	assert_true(header.requires_framebuffer);
}

static void test_mb1_unknown_requirements(void **state)
{
	struct multiboot_header header;

	for (u32 bit = 3; bit < 16; bit++)
		assert_int_equal(find1(mb1(BIT(bit)), &header), -EOPNOTSUPP);
	for (u32 bit = 17; bit < 32; bit++)
		assert_int_equal(find1(mb1(BIT(bit)), &header), 0);
}

static void test_mb1_addresses(void **state)
{
	struct build build = mb1_at(0x100020, 0x100000, 0x100100, 0x108000, 0x100050);
	struct multiboot_header header;

	/* The text begins 0x20 into the file, and 0x100 of it are loaded. */
	assert_int_equal(find1(build, &header), 0);
	assert_true(header.has_addresses && header.has_entry);
	assert_int_equal(header.load_address, 0x100000);
	assert_int_equal(header.file_offset, 0x20);
	assert_int_equal(header.file_size, 0x100);
	assert_int_equal(header.memory_size, 0x8000);
	assert_int_equal(header.entry, 0x100050);
	/* An end of 0 means the end of the file, or no bss. */
	assert_int_equal(find1(mb1_at(0x100020, 0x100000, 0, 0, 0x100000), &header), 0);
	assert_int_equal(header.file_size, IMAGE - 0x20);
	assert_int_equal(header.memory_size, IMAGE - 0x20);
}

static void test_mb1_addresses_that_make_no_sense(void **state)
{
	static const u32 cases[][5] = {
		{ 0xfffff, 0x100000, 0, 0, 0x100000 },			/* load above header */
		{ 0x100041, 0x100000, 0, 0, 0x100000 },			/* begins before the file */
		{ 0x100040, 0x100000, 0x100401, 0, 0x100000 },		/* ends behind the file */
		{ 0x100040, 0x100000, 0x100040, 0, 0x100000 },		/* ends before the header */
		{ 0x100040, 0x100000, 0xfffff, 0, 0x100000 },		/* ends before the load */
		{ 0x100040, 0x100000, 0x100200, 0x1001ff, 0x100000 },	/* bss ends in the data */
		{ 0x100040, 0x100000, 0x100200, 0, 0x100200 },		/* entry behind it */
		{ 0x100040, 0x100000, 0x100200, 0, 0xfffff },		/* entry before it */
		{ 0xfffffe40, 0xfffffe00, 0, 0, 0xfffffe00 },		/* beyond 4 GiB */
	};
	struct multiboot_header header;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const u32 *c = cases[i];

		assert_int_equal(find1(mb1_at(c[0], c[1], c[2], c[3], c[4]), &header), -EINVAL);
	}
}

/* The last values that are allowed, with the file's offset and size, and the memory's, that follow. */
static void test_mb1_addresses_at_their_limits(void **state)
{
	static const struct {
		u32 fields[5];
		u32 file_offset, file_size, memory_size;
	} cases[] = {
		/* the header first in what is loaded; the file first */
		{ { 0x100000, 0x100000, 0, 0, 0x100000 }, MB1_AT, IMAGE - MB1_AT, IMAGE - MB1_AT },
		{ { 0x100040, 0x100000, 0, 0, 0x100000 }, 0, IMAGE, IMAGE },
		/* the least and the most of the file; the entry at the last byte */
		{ { 0x100040, 0x100000, 0x100041, 0, 0x100040 }, 0, 0x41, 0x41 },
		{ { 0x100040, 0x100000, 0x100400, 0, 0x1003ff }, 0, IMAGE, IMAGE },
		/* a bss of no byte and of one, where the entry may be, too */
		{ { 0x100040, 0x100000, 0x100200, 0x100200, 0x1001ff }, 0, 0x200, 0x200 },
		{ { 0x100040, 0x100000, 0x100200, 0x100201, 0x100200 }, 0, 0x200, 0x201 },
		{ { 0x100040, 0x100000, 0, 0x100400, 0x100000 }, 0, IMAGE, IMAGE },
		/* as high as an image may end */
		{ { 0xfffffc3f, 0xfffffbff, 0, 0, 0xfffffbff }, 0, IMAGE, IMAGE },
		{ { 0x40, 0, 0, 0xffffffff, 0 }, 0, IMAGE, 0xffffffff },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const u32 *f = cases[i].fields;
		struct multiboot_header header;

		assert_int_equal(find1(mb1_at(f[0], f[1], f[2], f[3], f[4]), &header), 0);
		assert_int_equal(header.load_address, f[1]);
		assert_int_equal(header.file_offset, cases[i].file_offset);
		assert_int_equal(header.file_size, cases[i].file_size);
		assert_int_equal(header.memory_size, cases[i].memory_size);
		assert_int_equal(header.entry, f[4]);
	}
}

static void test_mb1_addresses_past_their_limits(void **state)
{
	static const u32 cases[][5] = {
		{ 0x100040, 0x100000, 0x100200, 0x100201, 0x100201 },	/* entry behind the bss */
		{ 0x100040, 0x100000, 0, 0x1003ff, 0x100000 },		/* bss ends in the file's last byte */
		{ 0xfffffc40, 0xfffffc00, 0, 0, 0xfffffc00 },		/* ends at 4 GiB */
	};
	struct multiboot_header header;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const u32 *c = cases[i];

		assert_int_equal(find1(mb1_at(c[0], c[1], c[2], c[3], c[4]), &header), -EINVAL);
	}
}

/* The header has 32 bytes with its address fields, which are missing without flag 16. */
static void test_mb1_cut_off_by_the_end_of_the_file(void **state)
{
	for (size_t size = MB1_AT; size <= MB1_AT + 40; size++) {
		struct build build = mb1_at(0x100040, 0x100000, 0, 0, 0x100000), elf = mb1(0);
		struct multiboot_header header;

		build.image = realloc(build.image, size);
		build.size = size;
		assert_int_equal(find1(build, &header), size < MB1_AT + 12 ? -ENOENT :
				 size < MB1_AT + 32 ? -EINVAL : 0);
		elf.image = realloc(elf.image, size);
		elf.size = size;
		assert_int_equal(find1(elf, &header), size < MB1_AT + 12 ? -ENOENT : 0);
	}
}

static void test_each_mb1_flag_is_one_wish(void **state)
{
	struct multiboot_header header;

	for (u32 flags = 0; flags < 8; flags++) {
		assert_int_equal(find1(mb1(flags), &header), 0);
		assert_int_equal(header.page_align_modules, flags & 1);
		assert_int_equal(header.wants_memory_info, flags >> 1 & 1);
		assert_int_equal(header.requires_framebuffer, flags >> 2 & 1);
		assert_false(header.has_addresses || header.has_entry || header.requires_console);
	}
}

static void test_mb1_where_it_may_be(void **state)
{
	struct { size_t at, size; int err; } cases[] = {
		{ 0, 12, 0 }, { 4, 16, 0 }, { 8180, 10000, 0 }, { 8180, 8192, 0 },
		{ 8184, 10000, -ENOENT }, { 8192, 10000, -ENOENT }, { 2, 16, -ENOENT },
	};
	struct multiboot_header header;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct build build = begin(cases[i].size, cases[i].at);

		words(&build, (u32[]){ MB1_MAGIC, 0, -MB1_MAGIC }, 3);
		assert_int_equal(find1(build, &header), cases[i].err);
	}
}

/* The code of a boot loader contains the magic number too: without the checksum it is no header. */
static void test_a_magic_without_its_checksum_is_passed_over(void **state)
{
	struct multiboot_header header;
	struct build build = mb1(0);

	build.at = 0x10;
	words(&build, (u32[]){ MB1_MAGIC, 0, 0 }, 3);
	assert_int_equal(find1(build, &header), 0);
	assert_int_equal(header.offset, MB1_AT);

	build = mb2();
	finish(&build);
	build.at = 0x10;
	words(&build, (u32[]){ MB2_MAGIC, 0, 16, 0 }, 4);
	assert_int_equal(find2(build, &header), 0);
	assert_int_equal(header.offset, MB2_AT);
}

static void test_mb2_of_an_elf_file(void **state)
{
	struct build build = mb2();
	struct multiboot_header header;

	tag(&build, 1, 0, (u32[]){ 6, 8, 15 }, 3);
	tag(&build, 1, 1, (u32[]){ 3, 99 }, 2); /* optional */
	tag(&build, 6, 0, NULL, 0);
	finish(&build);
	assert_int_equal(find2(build, &header), 0);
	assert_int_equal(header.version, 2);
	assert_int_equal(header.offset, MB2_AT);
	assert_int_equal(header.required_info, BIT(6) | BIT(8) | BIT(15));
	assert_true(header.page_align_modules);
	assert_false(header.has_addresses || header.has_entry);
	assert_false(header.requires_console || header.requires_framebuffer);
}

static void test_mb2_addresses_and_entry(void **state)
{
	struct build build = mb2();
	struct multiboot_header header;

	tag(&build, 2, 0, (u32[]){ 0x200008, 0x200000, 0x200200, 0x201000 }, 4);
	tag(&build, 3, 0, (u32[]){ 0x200100 }, 1);
	finish(&build);
	assert_int_equal(find2(build, &header), 0);
	assert_true(header.has_addresses && header.has_entry);
	assert_int_equal(header.load_address, 0x200000);
	assert_int_equal(header.file_offset, MB2_AT - 8);
	assert_int_equal(header.file_size, 0x200);
	assert_int_equal(header.memory_size, 0x1000);
	assert_int_equal(header.entry, 0x200100);
}

/* A load_addr of -1 means: the file from its beginning. */
static void test_mb2_whole_file(void **state)
{
	struct build build = mb2();
	struct multiboot_header header;

	tag(&build, 2, 0, (u32[]){ 0x200000 + MB2_AT, ~0u, 0, 0 }, 4);
	tag(&build, 3, 0, (u32[]){ 0x200000 }, 1);
	finish(&build);
	assert_int_equal(find2(build, &header), 0);
	assert_int_equal(header.load_address, 0x200000);
	assert_int_equal(header.file_offset, 0);
	assert_int_equal(header.file_size, IMAGE);
}

/* The result for a header that has this one tag. */
static int with_tag(u16 type, u16 flags, const u32 *payload, u32 count,
		    struct multiboot_header *header)
{
	struct build build = mb2();

	tag(&build, type, flags, payload, count);
	finish(&build);
	return find2(build, header);
}

static void test_mb2_requirements(void **state)
{
	const u32 zeros[4] = { 0 };
	struct multiboot_header header;

	assert_int_equal(with_tag(4, 0, (u32[]){ 1 }, 1, &header), 0);
	assert_true(header.requires_console);
	assert_int_equal(with_tag(4, 0, (u32[]){ 2 }, 1, &header), 0);
	assert_false(header.requires_console);
	assert_int_equal(with_tag(4, 1, (u32[]){ 1 }, 1, &header), 0);
	assert_false(header.requires_console);
	assert_int_equal(with_tag(5, 0, zeros, 3, &header), 0);
	assert_true(header.requires_framebuffer);
	assert_int_equal(with_tag(5, 1, zeros, 3, &header), 0);
	assert_false(header.requires_framebuffer);
	assert_int_equal(with_tag(7, 0, NULL, 0, &header), -EOPNOTSUPP);
	assert_int_equal(with_tag(7, 1, NULL, 0, &header), 0);
	assert_int_equal(with_tag(9, 0, zeros, 1, &header), 0);
	assert_int_equal(with_tag(10, 0, zeros, 4, &header), 0);
	assert_true(header.relocatable);
	assert_int_equal(header.alignment, 1);
	assert_int_equal(with_tag(10, 1, (u32[]){ 0x100000, 0x7fffffff, 0x200000, 2 }, 4, &header), 0);
	assert_int_equal(header.min_address, 0x100000);
	assert_int_equal(header.max_address, 0x7fffffff);
	assert_int_equal(header.alignment, 0x200000);
	assert_int_equal(with_tag(10, 1, (u32[]){ 0, 1, 6, 0 }, 4, &header), -EINVAL);
	assert_int_equal(with_tag(11, 0, zeros, 1, &header), -EOPNOTSUPP);
	assert_int_equal(with_tag(11, 1, zeros, 1, &header), 0);
	assert_int_equal(with_tag(1, 0, (u32[]){ 21 }, 1, &header), 0);
	assert_int_equal(header.required_info, BIT(21));
	assert_int_equal(with_tag(1, 0, (u32[]){ 22 }, 1, &header), -EOPNOTSUPP);
}

/* Each type that is known, at its least size; none of them is an error, and each has its own effect. */
static void test_mb2_tags_of_their_least_size(void **state)
{
	static const struct {
		u16 type;
		u32 words;
	} tags[] = { { 1, 0 }, { 3, 1 }, { 4, 1 }, { 5, 3 }, { 6, 0 }, { 8, 1 }, { 9, 1 }, { 10, 4 } };
	const u32 ones[4] = { 1, 1, 1, 1 };

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
		struct multiboot_header header;
		u16 type = tags[i].type;

		assert_int_equal(with_tag(type, 0, ones, tags[i].words, &header), 0);
		assert_int_equal(header.required_info, 0);
		assert_int_equal(header.has_entry, type == 3);
		assert_int_equal(header.entry, type == 3 ? 1 : 0);
		assert_int_equal(header.requires_console, type == 4);
		assert_int_equal(header.requires_framebuffer, type == 5);
		assert_int_equal(header.page_align_modules, type == 6);
		assert_false(header.has_addresses);
	}
}

/* A request list whose last word is cut off ends before it. */
static void test_mb2_request_of_half_a_word(void **state)
{
	for (u32 rest = 0; rest < 4; rest++) {
		struct build build = mb2();
		struct multiboot_header header;

		word(&build, 1);
		word(&build, 8 + 4 + rest);
		words(&build, (u32[]){ 6, 8 }, 2);
		build.at = ALIGN_UP(build.header + 16 + 8 + 4 + rest, 8);
		finish(&build);
		assert_int_equal(find2(build, &header), 0);
		assert_int_equal(header.required_info, BIT(6));
	}
}

static void test_mb2_tags_that_are_too_small(void **state)
{
	static const u8 least_words[] = {
		[2] = 4, [3] = 1, [4] = 1, [5] = 3, [8] = 1, [9] = 1, [10] = 4,
	};
	const u32 zeros[4] = { 0 };
	struct multiboot_header header;

	for (u16 type = 2; type < ARRAY_SIZE(least_words); type++) {
		u32 least = least_words[type];

		if (least)
			assert_int_equal(with_tag(type, 0, zeros, least - 1, &header), -EINVAL);
	}
}

static void test_mb2_needs_an_entry_for_addresses(void **state)
{
	struct multiboot_header header;

	assert_int_equal(with_tag(2, 0, (u32[]){ 0x200008, 0x200000, 0, 0 }, 4, &header), -EINVAL);
}

static void test_mb2_structure(void **state)
{
	struct multiboot_header header;
	struct build build = mb2();

	/* another architecture (MIPS) */
	tag(&build, 0, 0, NULL, 0);
	close_with(&build, 4, 24);
	assert_int_equal(find2(build, &header), -EINVAL);
	/* no end tag within the length */
	build = mb2();
	tag(&build, 6, 0, NULL, 0);
	close_with(&build, 0, 24);
	assert_int_equal(find2(build, &header), -EINVAL);
	/* a length smaller than the fixed part */
	build = mb2();
	close_with(&build, 0, 8);
	assert_int_equal(find2(build, &header), -EINVAL);
	/* a length beyond the file */
	build = mb2();
	tag(&build, 0, 0, NULL, 0);
	close_with(&build, 0, IMAGE - MB2_AT + 8);
	assert_int_equal(find2(build, &header), -EINVAL);
	/* a tag of size 0, which would make the search endless */
	build = mb2();
	words(&build, (u32[]){ 6, 0, 0, 8 }, 4);
	close_with(&build, 0, 32);
	assert_int_equal(find2(build, &header), -EINVAL);
	/* a tag longer than the header */
	build = mb2();
	words(&build, (u32[]){ 6, 24, 0, 8 }, 4);
	close_with(&build, 0, 32);
	assert_int_equal(find2(build, &header), -EINVAL);
}

/* The last tag is an end tag of 8 bytes or more; 7 are no tag, and one byte too many is beyond the header. */
static void test_mb2_sizes_of_the_end_tag(void **state)
{
	static const struct {
		u32 size, length;
		int err;
	} cases[] = {
		{ 8, 24, 0 }, { 7, 24, -EINVAL }, { 9, 24, -EINVAL }, { 9, 25, 0 }, { 16, 32, 0 }, { 16, 31, -EINVAL },
		{ 8, 23, -EINVAL }, { 0xffffffff, 24, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct build build = mb2();
		struct multiboot_header header;

		words(&build, (u32[]){ 0, cases[i].size }, 2);
		close_with(&build, 0, cases[i].length);
		assert_int_equal(find2(build, &header), cases[i].err);
	}
}

/* The header may end where the file does, but not behind its first 32 KiB. */
static void test_mb2_where_it_may_end(void **state)
{
	static const struct {
		size_t file;
		u32 length;
		int err;
	} cases[] = {
		{ 0x400, 0x400, 0 }, { 0x400, 0x401, -EINVAL }, { 40000, 32768, 0 }, { 40000, 32769, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct build build = begin(cases[i].file, 0);
		struct multiboot_header header;

		build.at = 16;
		tag(&build, 0, 0, NULL, 0);
		close_with(&build, 0, cases[i].length);
		assert_int_equal(find2(build, &header), cases[i].err);
	}
}

static void test_mb2_where_it_may_be(void **state)
{
	struct { size_t at; int err; } cases[] = {
		{ 0, 0 }, { 32744, 0 }, { 32752, -EINVAL }, { 32760, -ENOENT }, { 32768, -ENOENT },
		{ 4, -ENOENT },
	};
	struct multiboot_header header;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct build build = begin(40000, cases[i].at);

		build.at += 16;
		finish(&build);
		assert_int_equal(find2(build, &header), cases[i].err);
	}
}

static void check(int err, const struct multiboot_header *header, const char *why, const u8 *data,
		  size_t size)
{
	if (err) {
		assert_true(err == -ENOENT || err == -EINVAL || err == -EOPNOTSUPP);
		assert_true(err == -ENOENT || why);
		return;
	}
	if (!header->has_addresses)
		return;
	touch(data + header->file_offset, header->file_size);
	assert_true(header->file_size <= header->memory_size);
	assert_true(header->load_address <= UINT32_MAX - header->memory_size);
	assert_true(header->has_entry && header->entry >= header->load_address);
	assert_true(header->entry - header->load_address < header->memory_size);
	assert_true(size >= header->file_size);
}

/* Correct the checksum after each mutation: otherwise nothing after the checksum test would be reached. */
static void use1(const u8 *data, size_t size)
{
	struct multiboot_header header;
	const char *why = NULL;
	u32 flags;
	int err;

	if (size >= MB1_AT + 12) {
		memcpy(&flags, data + MB1_AT + 4, 4);
		flags = -(MB1_MAGIC + flags);
		memcpy((u8 *)data + MB1_AT + 8, &flags, 4);
	}
	err = mb1_find_header(data, size, &header, &why);
	check(err, &header, why, data, size);
}

static void use2(const u8 *data, size_t size)
{
	struct multiboot_header header;
	const char *why = NULL;
	u32 raw[4];
	int err;

	if (size >= MB2_AT + 16) {
		memcpy(raw, data + MB2_AT, 16);
		raw[3] = -(raw[0] + raw[1] + raw[2]);
		memcpy((u8 *)data + MB2_AT, raw, 16);
	}
	err = mb2_find_header(data, size, &header, &why);
	check(err, &header, why, data, size);
}

static void test_hostile(void **state)
{
	struct build one = mb1_at(0x100020, 0x100000, 0x100100, 0x108000, 0x100050), two = mb2();
	size_t end;

	tag(&two, 1, 0, (u32[]){ 6, 8, 15 }, 3);
	tag(&two, 2, 0, (u32[]){ 0x200008, 0x200000, 0x200200, 0x201000 }, 4);
	tag(&two, 3, 0, (u32[]){ 0x200100 }, 1);
	tag(&two, 4, 0, (u32[]){ 3 }, 1);
	tag(&two, 5, 1, (u32[]){ 1024, 768, 32 }, 3);
	tag(&two, 7, 1, NULL, 0);
	end = two.at + 8;
	finish(&two);

	each_truncation(one.image, IMAGE, use1);
	each_byte_mutation(one.image, IMAGE, MB1_AT + 32, use1);
	random_mutations(one.image, IMAGE, MB1_AT + 32, 200000, use1);
	each_truncation(two.image, IMAGE, use2);
	each_byte_mutation(two.image, IMAGE, end, use2);
	random_mutations(two.image, IMAGE, end, 200000, use2);
	free(one.image);
	free(two.image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mb1_of_an_elf_file),
		cmocka_unit_test(test_mb1_unknown_requirements),
		cmocka_unit_test(test_mb1_addresses),
		cmocka_unit_test(test_mb1_addresses_that_make_no_sense),
		cmocka_unit_test(test_mb1_addresses_at_their_limits),
		cmocka_unit_test(test_mb1_addresses_past_their_limits),
		cmocka_unit_test(test_mb1_cut_off_by_the_end_of_the_file),
		cmocka_unit_test(test_each_mb1_flag_is_one_wish),
		cmocka_unit_test(test_mb1_where_it_may_be),
		cmocka_unit_test(test_a_magic_without_its_checksum_is_passed_over),
		cmocka_unit_test(test_mb2_of_an_elf_file),
		cmocka_unit_test(test_mb2_addresses_and_entry),
		cmocka_unit_test(test_mb2_whole_file),
		cmocka_unit_test(test_mb2_requirements),
		cmocka_unit_test(test_mb2_tags_of_their_least_size),
		cmocka_unit_test(test_mb2_request_of_half_a_word),
		cmocka_unit_test(test_mb2_tags_that_are_too_small),
		cmocka_unit_test(test_mb2_needs_an_entry_for_addresses),
		cmocka_unit_test(test_mb2_structure),
		cmocka_unit_test(test_mb2_sizes_of_the_end_tag),
		cmocka_unit_test(test_mb2_where_it_may_end),
		cmocka_unit_test(test_mb2_where_it_may_be),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
