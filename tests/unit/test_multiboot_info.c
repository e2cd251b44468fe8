/* SPDX-License-Identifier: MIT */
/* The Multiboot2 information: each tag, malformed ones, and hostile information. */
/* link: lib/multiboot_info.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/errno.h"
#include "lib/multiboot_info.h"

#define ROOM 4096

/* The information under construction. */
struct build {
	u8 bytes[ROOM] __aligned(8);
	u32 at;
};

static void begin(struct build *build)
{
	memset(build, 0, sizeof(*build));
	build->at = 8;
}

static void tag(struct build *build, u32 type, const void *payload, u32 size)
{
	u32 head[2] = { type, 8 + size };

	memcpy(build->bytes + build->at, head, 8);
	if (size)
		memcpy(build->bytes + build->at + 8, payload, size);
	build->at = ALIGN_UP(build->at + 8 + size, 8);
}

#define TAG(build, type, ...) do {			\
	const u32 payload_[] = { __VA_ARGS__ };		\
							\
	tag(build, type, payload_, sizeof(payload_));	\
} while (0)

static void module(struct build *build, u32 start, u32 end, const char *text, u32 length)
{
	u8 payload[64] = { 0 };

	memcpy(payload, &start, 4);
	memcpy(payload + 4, &end, 4);
	memcpy(payload + 8, text, length);
	tag(build, 3, payload, 8 + length);
}

/* The end tag and the total size, and what the parser says. */
static int finish(struct build *build, struct mb2_info *info)
{
	const char *why = NULL;
	int err;

	tag(build, 0, NULL, 0);
	memcpy(build->bytes, &build->at, 4);
	err = mb2_info_parse(build->bytes, sizeof(build->bytes), info, &why);
	assert_true((err == 0) == (why == NULL));
	return err;
}

static void build_good(struct build *build)
{
	u8 rsdp[36] = "RSD PTR ";

	begin(build);
	tag(build, 1, "console=com1 loglevel=info", 27);
	tag(build, 2, "GRUB 2.06", 10);
	module(build, 0x1000000, 0x1800000, "vm=web -- quiet", 16);
	TAG(build, 4, 639, 0x7fb40);
	module(build, 0x1800000, 0x1800000, "", 1);
	TAG(build, 6, 24, 0, /**/ 0, 0, 0x9fc00, 0, 1, 0, /**/ 0x100000, 0, 0x7fee0000, 1, 2, 0);
	TAG(build, 8, 0xfd000000, 0, 4096, 1024, 768, 0x0120, 0x08081010);
	TAG(build, 9, 2, 64, 1, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /**/
	    0x22, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	TAG(build, 11, 0x12345678);
	TAG(build, 12, 0x9abcdef0, 0x1);
	tag(build, 14, rsdp, 20);
	rsdp[15] = 2;
	tag(build, 15, rsdp, 36);
	TAG(build, 17, 48, 1, /**/ 7, 0, 0, 0, 0, 0, 1, 0, 0xf, 0, 0, 0);
	tag(build, 18, NULL, 0);
	TAG(build, 21, 0x200000);
}

static void test_texts(void **state)
{
	struct build build;
	struct mb2_info info;
	struct str_view text;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_command_line(&info, &text));
	assert_true(str_view_equals(text, "console=com1 loglevel=info"));
	assert_true(mb2_loader_name(&info, &text));
	assert_true(str_view_equals(text, "GRUB 2.06"));
}

static void test_modules(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_module found;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_module(&info, 0, &found));
	assert_int_equal(found.start, 0x1000000);
	assert_int_equal(found.end, 0x1800000);
	assert_true(str_view_equals(found.cmdline, "vm=web -- quiet"));
	assert_true(mb2_module(&info, 1, &found));
	assert_int_equal(found.start, found.end);
	assert_true(str_view_equals(found.cmdline, ""));
	assert_false(mb2_module(&info, 2, &found));
	assert_false(mb2_module(&info, UINT32_MAX, &found));
}

static void test_memory_map(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_memory_map map;
	struct mb2_memory_entry entry;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_memory_map(&info, &map));
	assert_int_equal(map.count, 2);
	entry = mb2_memory_entry(&map, 0);
	assert_int_equal(entry.base, 0);
	assert_int_equal(entry.length, 0x9fc00);
	assert_int_equal(entry.type, MULTIBOOT_MEMORY_AVAILABLE);
	entry = mb2_memory_entry(&map, 1);
	assert_int_equal(entry.base, 0x100000);
	assert_int_equal(entry.length, 0x17fee0000);
	assert_int_equal(entry.type, MULTIBOOT_MEMORY_RESERVED);
}

/* "The boot loader may extend the entries": the distance is what the tag says. */
static void test_larger_memory_map_entries(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_memory_map map;

	begin(&build);
	TAG(&build, 6, 32, 1, /**/ 0x1000, 0, 1, 0, 1, 0, 9, 9, /**/ 0x2000, 0, 2, 0, 5, 0, 9, 9);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_memory_map(&info, &map));
	assert_int_equal(map.count, 2);
	assert_int_equal(mb2_memory_entry(&map, 1).base, 0x2000);
	assert_int_equal(mb2_memory_entry(&map, 1).type, 5);
}

static void test_firmware_tables(void **state)
{
	struct build build;
	struct mb2_info info;
	const void *rsdp, *descriptors;
	u32 size, count;
	hpa_t address;
	bool is_64bit;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_rsdp(&info, &rsdp, &size));
	assert_int_equal(size, 36);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(((const u8 *)rsdp)[15], 2);
	assert_true(mb2_efi_system_table(&info, &address, &is_64bit));
	assert_true(is_64bit);
	assert_int_equal(address, 0x19abcdef0);
	assert_true(mb2_efi_boot_services(&info));
	assert_true(mb2_efi_memory_map(&info, &descriptors, &size, &count));
	assert_int_equal(size, 48);
	assert_int_equal(count, 1);
	assert_int_equal(*(const u32 *)descriptors, 7);
	assert_true(mb2_load_base(&info, &address));
	assert_int_equal(address, 0x200000);
}

static void test_old_firmware_tables(void **state)
{
	struct build build;
	struct mb2_info info;
	const void *rsdp;
	u32 size;
	hpa_t address;
	bool is_64bit;

	begin(&build);
	TAG(&build, 11, 0x12345678);
	tag(&build, 15, "RSD PTR ", 9); /* too short to be one */
	tag(&build, 14, "RSD PTR ............", 20);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_rsdp(&info, &rsdp, &size));
	assert_int_equal(size, 20);
	assert_true(mb2_efi_system_table(&info, &address, &is_64bit));
	assert_false(is_64bit);
	assert_int_equal(address, 0x12345678);
}

static void test_framebuffer_and_sections(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_framebuffer_tag framebuffer;
	struct mb2_elf_sections sections;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_framebuffer(&info, &framebuffer));
	assert_int_equal(framebuffer.address, 0xfd000000);
	assert_int_equal(framebuffer.pitch, 4096);
	assert_int_equal(framebuffer.width, 1024);
	assert_int_equal(framebuffer.height, 768);
	assert_int_equal(framebuffer.bits_per_pixel, 32);
	assert_int_equal(framebuffer.type, MB2_FRAMEBUFFER_RGB);
	assert_true(mb2_elf_sections(&info, &sections));
	assert_int_equal(sections.count, 2);
	assert_int_equal(sections.entry_size, 64);
	assert_int_equal(sections.string_table, 1);
	assert_int_equal(*(const u8 *)sections.headers, 0x11);
	assert_int_equal(((const u8 *)sections.headers)[64], 0x22);
}

static void test_nothing_there(void **state)
{
	struct build build;
	struct mb2_info info;
	struct str_view text;
	struct mb2_module found;
	struct mb2_memory_map map;
	struct mb2_framebuffer_tag framebuffer;
	struct mb2_elf_sections sections;
	const void *pointer;
	u32 size, count;
	hpa_t address;
	bool is_64bit;

	begin(&build);
	assert_int_equal(finish(&build, &info), 0);
	assert_null(mb2_next_tag(&info, NULL));
	assert_false(mb2_command_line(&info, &text));
	assert_false(mb2_loader_name(&info, &text));
	assert_false(mb2_module(&info, 0, &found));
	assert_false(mb2_memory_map(&info, &map));
	assert_false(mb2_rsdp(&info, &pointer, &size));
	assert_false(mb2_framebuffer(&info, &framebuffer));
	assert_false(mb2_efi_system_table(&info, &address, &is_64bit));
	assert_false(mb2_efi_boot_services(&info));
	assert_false(mb2_efi_memory_map(&info, &pointer, &size, &count));
	assert_false(mb2_elf_sections(&info, &sections));
	assert_false(mb2_load_base(&info, &address));
}

static void test_unknown_tags_are_passed_over(void **state)
{
	struct build build;
	struct mb2_info info;
	struct str_view text;
	const struct mb2_tag *first;

	begin(&build);
	tag(&build, 4711, "?", 1);
	tag(&build, 1, "x", 2);
	assert_int_equal(finish(&build, &info), 0);
	first = mb2_next_tag(&info, NULL);
	assert_int_equal(first->type, 4711);
	assert_int_equal(mb2_next_tag(&info, first)->type, 1);
	assert_null(mb2_next_tag(&info, mb2_next_tag(&info, first)));
	assert_true(mb2_command_line(&info, &text));
	assert_true(str_view_equals(text, "x"));
}

static void test_texts_without_a_nul_end_with_their_tag(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_module found;
	struct str_view text;

	begin(&build);
	tag(&build, 1, "12345678", 8);
	module(&build, 1, 2, "12345678", 8);
	tag(&build, 2, NULL, 0);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_command_line(&info, &text));
	assert_true(str_view_equals(text, "12345678"));
	assert_true(mb2_module(&info, 0, &found));
	assert_true(str_view_equals(found.cmdline, "12345678"));
	assert_true(mb2_loader_name(&info, &text));
	assert_true(str_view_equals(text, ""));
}

static void test_malformed_tags_do_not_count(void **state)
{
	struct build build;
	struct mb2_info info;
	struct mb2_module found;
	struct mb2_memory_map map;
	struct mb2_framebuffer_tag framebuffer;
	struct mb2_elf_sections sections;
	const void *pointer;
	u32 size, count;
	hpa_t address;
	bool is_64bit;

	begin(&build);
	module(&build, 0x2000, 0x1000, "backwards", 10);
	TAG(&build, 3, 0x1000); /* no end */
	module(&build, 0x1000, 0x2000, "good", 5);
	TAG(&build, 6, 0, 0, 1, 2, 3, 4);  /* entries of no size */
	TAG(&build, 8, 0, 0, 0, 0, 0);	   /* no pixel format */
	TAG(&build, 9, 0x10000000, 0x10, 0, 1); /* far more sections than fit; 32 bits overflow */
	TAG(&build, 17, 0, 1, 0, 0);	   /* descriptors of no size */
	tag(&build, 12, "1234", 4);
	tag(&build, 21, NULL, 0);
	assert_int_equal(finish(&build, &info), 0);
	assert_true(mb2_module(&info, 0, &found));
	assert_true(str_view_equals(found.cmdline, "good"));
	assert_false(mb2_module(&info, 1, &found));
	assert_false(mb2_memory_map(&info, &map));
	assert_false(mb2_framebuffer(&info, &framebuffer));
	assert_false(mb2_elf_sections(&info, &sections));
	assert_false(mb2_efi_memory_map(&info, &pointer, &size, &count));
	assert_false(mb2_efi_system_table(&info, &address, &is_64bit));
	assert_false(mb2_load_base(&info, &address));
}

static int parse(const void *start, size_t readable, const char *word)
{
	struct mb2_info info;
	const char *why = "nothing";
	int err = mb2_info_parse(start, readable, &info, &why);

	if (!strstr(why, word))
		fail_msg("expected \"%s\" in \"%s\"", word, why);
	return err;
}

static void test_structure(void **state)
{
	static const u32 no_room[] __aligned(8) = { 8, 0 };
	static const u32 no_end[] __aligned(8) = { 24, 0, 1, 16, 0, 0 };
	static const u32 no_size[] __aligned(8) = { 24, 0, 1, 0, 0, 8 };
	static const u32 small_size[] __aligned(8) = { 24, 0, 1, 7, 0, 8 };
	static const u32 too_long[] __aligned(8) = { 24, 0, 1, 17, 0, 8 };
	static const u32 far_too_long[] __aligned(8) = { 24, 0, 1, 0xfffffff9, 0, 8 };
	static const u32 good[] __aligned(8) = { 16, 0, 0, 8, 0, 0 };
	struct mb2_info info;
	const char *why;

	assert_int_equal(mb2_info_parse(good, 16, &info, &why), 0);
	assert_int_equal(parse(good, 15, "beyond"), -EINVAL);
	assert_int_equal(parse(good, 7, "beyond"), -EINVAL);
	assert_int_equal(parse((const u8 *)good + 4, 16, "aligned"), -EINVAL);
	assert_int_equal(parse(no_room, sizeof(no_room), "end tag"), -EINVAL);
	assert_int_equal(parse(no_end, sizeof(no_end), "end tag"), -EINVAL);
	assert_int_equal(parse(no_size, sizeof(no_size), "at least 8"), -EINVAL);
	assert_int_equal(parse(small_size, sizeof(small_size), "at least 8"), -EINVAL);
	assert_int_equal(parse(too_long, sizeof(too_long), "longer"), -EINVAL);
	assert_int_equal(parse(far_too_long, sizeof(far_too_long), "longer"), -EINVAL);
}

/* Read everything that the getters give. */
static void use(const u8 *data, size_t size)
{
	struct mb2_info info;
	const char *why = NULL;
	struct str_view text;
	struct mb2_module found;
	struct mb2_memory_map map;
	struct mb2_framebuffer_tag framebuffer;
	struct mb2_elf_sections sections;
	const void *pointer;
	u32 length, count;
	hpa_t address;
	bool is_64bit;

	if (mb2_info_parse(data, size, &info, &why)) {
		assert_non_null(why);
		return;
	}
	if (mb2_command_line(&info, &text))
		touch(text.ptr, text.len);
	if (mb2_loader_name(&info, &text))
		touch(text.ptr, text.len);
	for (u32 i = 0; mb2_module(&info, i, &found); i++) {
		assert_true(found.start <= found.end);
		touch(found.cmdline.ptr, found.cmdline.len);
	}
	if (mb2_memory_map(&info, &map)) {
		for (u32 i = 0; i < map.count; i++)
			mb2_memory_entry(&map, i);
	}
	if (mb2_rsdp(&info, &pointer, &length))
		touch(pointer, length);
	if (mb2_efi_memory_map(&info, &pointer, &length, &count))
		touch(pointer, (u64)length * count);
	if (mb2_elf_sections(&info, &sections))
		touch(sections.headers, (u64)sections.entry_size * sections.count);
	mb2_framebuffer(&info, &framebuffer);
	mb2_efi_system_table(&info, &address, &is_64bit);
	mb2_load_base(&info, &address);
}

static void test_hostile(void **state)
{
	struct build build;
	struct mb2_info info;

	build_good(&build);
	assert_int_equal(finish(&build, &info), 0);
	each_truncation(build.bytes, build.at, use);
	each_byte_mutation(build.bytes, build.at, build.at, use);
	random_mutations(build.bytes, build.at, build.at, 200000, use);
	random_mutations(build.bytes, build.at, 128, 100000, use);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_memory_map),
		cmocka_unit_test(test_larger_memory_map_entries),
		cmocka_unit_test(test_firmware_tables),
		cmocka_unit_test(test_old_firmware_tables),
		cmocka_unit_test(test_framebuffer_and_sections),
		cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_unknown_tags_are_passed_over),
		cmocka_unit_test(test_texts_without_a_nul_end_with_their_tag),
		cmocka_unit_test(test_malformed_tags_do_not_count),
		cmocka_unit_test(test_structure),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
