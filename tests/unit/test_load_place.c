/* SPDX-License-Identifier: MIT */
/* What the loaders share: places in guest memory, the memory map, flat segments. */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm */
/* link: core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */

#include "loader_fixture.h"

#include "core/load/load.h"

void service_pause(void) { }

#define RAM  MIB(16)
#define PAGE 0x1000ull

static struct load load;

static int setup(void **state)
{
	static const struct guest_image image = { .cmdline = "" };
	struct vm *vm = fixture_create(RAM, 0);

	load = (struct load){ .vm = vm, .vcpu = &vm->vcpu, .image = &image };
	return 0;
}

static int teardown(void **state)
{
	fixture_destroy(load.vm);
	return 0;
}

static void take_before(const struct load_range *ranges, u32 count)
{
	load.taken_count = 0;
	for (u32 i = 0; i < count && ranges[i].end; i++)
		load.taken[load.taken_count++] = ranges[i];
}

/* --- free places --- */

struct search {
	struct load_range taken[2];	/* end 0: not used */
	u64 size, align;
	gpa_t min, max, expected;	/* 0: there is no place */
};

typedef gpa_t placer(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max);

static void check_search(const struct search *search, placer *place)
{
	u32 before;

	take_before(search->taken, ARRAY_SIZE(search->taken));
	before = load.taken_count;
	assert_int_equal(place(&load, search->size, search->align, search->min, search->max), search->expected);
	if (!search->expected) {
		assert_int_equal(load.taken_count, before);
		return;
	}
	assert_int_equal(load.taken_count, before + 1);
	assert_int_equal(load.taken[before].start, search->expected);
	assert_int_equal(load.taken[before].end, search->expected + search->size);
}

static void the_lowest_free_place_is_taken(void **state)
{
	static const struct search cases[] = {
		/* Alignment. */
		{ { }, PAGE, PAGE, 0x10000, RAM, 0x10000 },
		{ { }, PAGE, PAGE, 0x10001, RAM, 0x11000 },
		{ { }, 1, 1, 0x10001, RAM, 0x10001 },
		{ { }, PAGE, MIB(2), MIB(1), RAM, MIB(2) },
		/* Neighbours may touch, but not overlap. */
		{ { { 0xf000, 0x10000 } }, PAGE, PAGE, 0x10000, RAM, 0x10000 },
		{ { { 0x11000, 0x12000 } }, PAGE, PAGE, 0x10000, RAM, 0x10000 },
		{ { { 0x10000, 0x10001 } }, PAGE, PAGE, 0x10000, RAM, 0x11000 },
		{ { { 0x10fff, 0x11000 } }, PAGE, PAGE, 0x10000, RAM, 0x11000 },
		{ { { 0x10800, 0x10801 } }, PAGE, PAGE, 0x10000, RAM, 0x11000 },
		{ { { 0x10000, 0x11000 }, { 0x12000, 0x13000 } }, PAGE, PAGE, 0x10000, RAM, 0x11000 },
		{ { { 0x10000, 0x11000 }, { 0x12000, 0x13000 } }, PAGE + 1, PAGE, 0x10000, RAM, 0x13000 },
		{ { { 0x12000, 0x13000 }, { 0x10000, 0x11000 } }, PAGE + 1, PAGE, 0x10000, RAM, 0x13000 },
		{ { { MIB(2), MIB(3) } }, PAGE, MIB(2), MIB(1), RAM, MIB(4) },
		/* A PC's reserved area below 1 MiB. */
		{ { }, 0xc00, 1, 0x9f000, RAM, 0x9f000 },
		{ { }, 0xc01, 1, 0x9f000, RAM, 0x100000 },
		{ { }, 1, 1, 0x9fbff, RAM, 0x9fbff },
		{ { }, 1, 1, 0x9fc00, RAM, 0x100000 },
		{ { }, 1, 1, 0xe0000, RAM, 0x100000 },
		{ { }, 1, 1, 0xfffff, RAM, 0x100000 },
		{ { }, 1, 1, 0x100000, RAM, 0x100000 },
		/* The end of RAM, and max. */
		{ { }, PAGE, PAGE, RAM - PAGE, GIB(3), RAM - PAGE },
		{ { }, PAGE + 1, PAGE, RAM - PAGE, GIB(3), 0 },
		{ { }, PAGE, PAGE, RAM, GIB(3), 0 },
		{ { }, PAGE, PAGE, RAM + PAGE, GIB(3), 0 },
		{ { }, PAGE, PAGE, MIB(2), MIB(2) + PAGE, MIB(2) },
		{ { }, PAGE + 1, PAGE, MIB(2), MIB(2) + PAGE, 0 },
		{ { }, 1, 1, MIB(2), MIB(2), 0 },
		{ { }, 1, 1, MIB(2) + 1, MIB(2), 0 },
		{ { }, ~0ull, 1, MIB(2), MIB(3), 0 },
		{ { }, PAGE, PAGE, ~0ull, RAM, 0 },		/* rounded up, that is address 0 */
		{ { { MIB(2), MIB(2) + PAGE } }, PAGE, PAGE, MIB(2), MIB(2) + PAGE, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_search(&cases[i], load_place_low);
}

static void the_highest_free_place_is_taken(void **state)
{
	static const struct search cases[] = {
		{ { }, PAGE, PAGE, MIB(1), GIB(3), RAM - PAGE },
		{ { }, PAGE + 1, PAGE, MIB(1), GIB(3), RAM - 2 * PAGE },
		{ { }, PAGE, PAGE, MIB(1), MIB(3), MIB(3) - PAGE },
		{ { }, PAGE, PAGE, MIB(1), MIB(3) + 1, MIB(3) - PAGE },
		{ { }, PAGE, PAGE, MIB(1), MIB(3) - 1, MIB(3) - 2 * PAGE },
		/* Neighbours. */
		{ { { RAM - PAGE, RAM } }, PAGE, PAGE, MIB(1), RAM, RAM - 2 * PAGE },
		{ { { RAM - 1, RAM } }, PAGE, PAGE, MIB(1), RAM, RAM - 2 * PAGE },
		{ { { RAM - PAGE, RAM - PAGE + 1 } }, PAGE, PAGE, MIB(1), RAM, RAM - 2 * PAGE },
		{ { { MIB(2), RAM - PAGE } }, PAGE, PAGE, MIB(1), RAM, RAM - PAGE },
		{ { { MIB(2), RAM - PAGE } }, PAGE + 1, PAGE, MIB(1), RAM, MIB(2) - 2 * PAGE },
		{ { { RAM - PAGE, RAM }, { RAM - 3 * PAGE, RAM - 2 * PAGE } }, 2 * PAGE, PAGE, MIB(1), RAM,
		  RAM - 5 * PAGE },
		/* A PC's reserved area below 1 MiB. */
		{ { }, PAGE, PAGE, PAGE, MIB(1) + PAGE, MIB(1) },
		{ { }, PAGE, PAGE, PAGE, MIB(1) + PAGE - 1, 0x9e000 },
		{ { }, PAGE, 1, PAGE, MIB(1), 0x9ec00 },
		{ { }, PAGE, 1, PAGE, 0x9fc00, 0x9ec00 },
		{ { }, PAGE, 1, PAGE, 0x9fc01, 0x9ec00 },
		{ { }, PAGE, PAGE, 0x9f000, MIB(1), 0 },
		/* The lowest address. */
		{ { }, PAGE, PAGE, MIB(3) - PAGE, MIB(3), MIB(3) - PAGE },
		{ { }, PAGE + 1, PAGE, MIB(3) - PAGE, MIB(3), 0 },
		{ { }, PAGE - 1, PAGE, MIB(3) - PAGE + 1, MIB(3), 0 },
		{ { }, RAM + PAGE, PAGE, MIB(1), RAM, 0 },
		{ { }, RAM, PAGE, MIB(1), RAM, 0 },
		{ { }, 1, 1, MIB(3), MIB(3), 0 },
		{ { }, 1, 1, MIB(3), MIB(2), 0 },
		{ { }, 1, 1, RAM, GIB(3), 0 },
		{ { { MIB(2), RAM } }, PAGE, PAGE, MIB(2), RAM, 0 },
		{ { { MIB(2) + 1, RAM } }, PAGE, PAGE, MIB(2), RAM, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		check_search(&cases[i], load_place_high);
}

static void a_full_list_of_ranges_leaves_no_place(void **state)
{
	static placer *const placers[] = { load_place_low, load_place_high };

	for (size_t i = 0; i < ARRAY_SIZE(placers); i++) {
		memset(load.taken, 0, sizeof(load.taken));
		load.taken_count = LOAD_RANGES - 1;
		assert_int_not_equal(placers[i](&load, PAGE, PAGE, MIB(2), MIB(4)), 0);
		assert_int_equal(load.taken_count, LOAD_RANGES);
		assert_int_equal(placers[i](&load, PAGE, PAGE, MIB(4), MIB(8)), 0);
		assert_int_equal(load.taken_count, LOAD_RANGES);
	}
}

static void information_gets_a_page_of_its_own(void **state)
{
	gpa_t gpa;

	assert_ptr_equal(load_place_info(&load, 5, &gpa), load.vm->ram + 0x10000);
	assert_int_equal(gpa, 0x10000);
	assert_ptr_equal(load_place_info(&load, PAGE + 1, &gpa), load.vm->ram + 0x11000);
	assert_int_equal(gpa, 0x11000);
	assert_ptr_equal(load_place_info(&load, 1, &gpa), load.vm->ram + 0x13000);
	assert_int_equal(gpa, 0x13000);
	assert_null(load_place_info(&load, RAM, &gpa));
	assert_int_equal(load.vm->errors, 1);
	fixture_said(load.vm, "no room for 16777216 bytes of boot information");
}

/* The order of the ranges does not matter; entries behind the last are ignored. */
static void an_initrd_goes_behind_the_kernel(void **state)
{
	static const struct {
		struct load_range taken[2];
		gpa_t expected;
	} cases[] = {
		{ { { MIB(2), MIB(3) }, { MIB(1), MIB(1) + PAGE } }, MIB(3) },
		{ { { MIB(1), MIB(1) + PAGE }, { MIB(2), MIB(3) + 1 } }, MIB(3) + PAGE },
		{ { { 0x10000, 0x11000 } }, MIB(1) },
	};
	static const u8 initrd[5] = { 1, 2, 3, 4, 5 };
	static const struct guest_module module = { .size = sizeof(initrd), .is_initrd = true, .string = "" };
	const struct guest_image image = { .cmdline = "", .modules = &module, .module_count = 1, .map = fixture_map };

	fixture_set_data(0, initrd);
	load.image = &image;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		take_before(cases[i].taken, ARRAY_SIZE(cases[i].taken));
		load.taken[load.taken_count] = (struct load_range){ MIB(4), MIB(5) };
		assert_int_equal(load_modules_low(&load), 0);
		assert_int_equal(load.initrd, cases[i].expected);
		assert_memory_equal(load.vm->ram + load.initrd, initrd, sizeof(initrd));
	}
}

/* --- places that the image names --- */

static void an_image_may_ask_for_ram_that_is_free(void **state)
{
	static const struct load_range taken[] = { { MIB(2), MIB(3) } };
	static const struct {
		gpa_t start;
		u64 size;
		bool good;
	} cases[] = {
		{ 0, 0x9fc00, true }, { 0, 0x9fc01, false }, { 0x9fbff, 1, true }, { 0x9fc00, 1, false },
		{ 0xfffff, 1, false }, { 0xfffff, 2, false }, { 0x100000, MIB(1), true },
		{ 0x100000, MIB(1) + 1, false }, { MIB(2), 1, false }, { MIB(3) - 1, 1, false },
		{ MIB(3), RAM - MIB(3), true }, { MIB(3), RAM - MIB(3) + 1, false }, { RAM, 1, false },
		{ MIB(2) - 1, MIB(1) + 2, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		take_before(taken, ARRAY_SIZE(taken));
		load.vm->errors = 0;
		assert_int_equal(load_take(&load, cases[i].start, cases[i].size, "it"), cases[i].good ? 0 : -EINVAL);
		assert_int_equal(load.vm->errors, !cases[i].good);
		assert_int_equal(load.taken_count, cases[i].good ? 2 : 1);
		if (cases[i].good) {
			assert_int_equal(load.taken[1].start, cases[i].start);
			assert_int_equal(load.taken[1].end, cases[i].start + cases[i].size);
		}
	}
	load.vm->errors = 0;
	assert_int_equal(load_take(&load, RAM, 0, "nothing"), 0);	/* size 0 takes nothing, at any address */
	assert_int_equal(load.vm->errors, 0);
}

static void a_full_list_of_ranges_is_an_error(void **state)
{
	memset(load.taken, 0, sizeof(load.taken));
	load.taken_count = LOAD_RANGES - 1;
	assert_int_equal(load_take(&load, MIB(2), 1, "it"), 0);
	assert_int_equal(load_take(&load, MIB(3), 1, "it"), -EINVAL);
	fixture_said(load.vm, "it has more than 128 parts");
}

static void a_flat_binary_takes_its_place(void **state)
{
	static const u8 code[] = { 0xeb, 0xfe, 0x90 };
	const struct guest_image image = { .kernel = code, .kernel_size = sizeof(code), .cmdline = "" };

	load.image = &image;
	assert_int_equal(load_flat(&load), 0);
	assert_int_equal(load.taken_count, 1);
	assert_int_equal(load.taken[0].start, 0x7c00);
	assert_int_equal(load.taken[0].end, 0x7c03);
}

static void an_entry_must_lie_in_what_was_taken(void **state)
{
	static const struct load_range taken[] = { { MIB(1), MIB(1) + 16 }, { MIB(2), MIB(2) + 1 } };
	static const struct {
		gpa_t gpa;
		bool inside;
	} cases[] = {
		{ MIB(1) - 1, false }, { MIB(1), true }, { MIB(1) + 1, true }, { MIB(1) + 15, true },
		{ MIB(1) + 16, false }, { MIB(2) - 1, false }, { MIB(2), true }, { MIB(2) + 1, false },
		{ 0, false }, { ~0ull, false },
	};

	take_before(taken, ARRAY_SIZE(taken));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(load_has_taken(&load, cases[i].gpa), cases[i].inside);
}

/* --- the memory map --- */

#define AVAILABLE 1	/* Multiboot, "Boot information format"; ACPI, "Address Range Types": the same numbers */
#define RESERVED  2

static void check_pieces(u64 low, u64 high, const struct load_memory *expected, u32 count)
{
	struct load_memory map[LOAD_MEMORY_PIECES];

	load.vm->low = low;
	load.vm->high = high;
	assert_int_equal(load_memory_map(load.vm, map), count);
	for (u32 i = 0; i < count; i++) {
		assert_int_equal(map[i].start, expected[i].start);
		assert_int_equal(map[i].size, expected[i].size);
		assert_int_equal(map[i].type, expected[i].type);
	}
}

static void the_map_names_each_piece_that_is_there(void **state)
{
	static const struct load_memory expected[] = {
		{ 0, 0x9fc00, AVAILABLE },
		{ 0x9fc00, 0x400, RESERVED },		/* extended BIOS data */
		{ 0xe0000, 0x20000, RESERVED },		/* ACPI tables */
		{ 0x100000, MIB(15), AVAILABLE },
		{ GIB(4), MIB(2), AVAILABLE },
	};

	check_pieces(MIB(16), MIB(2), expected, 5);
	check_pieces(MIB(16), 0, expected, 4);
	check_pieces(MIB(1), 0, expected, 3);
}

/* --- segments --- */

/* SDM, "Segment Descriptors": type 11 is code that may be read, 3 data that may be written; both accessed. */
static void flat_segments_have_all_attributes(void **state)
{
	for (unsigned code_64 = 0; code_64 < 2; code_64++) {
		load_flat_segments(&load.vm->vcpu, code_64);
		for (int i = SEG_ES; i <= SEG_GS; i++) {
			const struct segment *segment = &load.vm->segments[i];

			assert_int_equal(segment->selector, i == SEG_CS ? 0x10 : 0x18);
			assert_int_equal(segment->base, 0);
			assert_int_equal(segment->limit, 0xffffffff);
			assert_int_equal(segment->type, i == SEG_CS ? 11 : 3);
			assert_int_equal(segment->dpl, 0);
			assert_true(segment->s && segment->present && segment->g);
			assert_int_equal(segment->l, i == SEG_CS && code_64);
			assert_int_equal(segment->db, i != SEG_CS || !code_64);
			assert_false(segment->unusable);
		}
		assert_true(load.vm->segments[SEG_LDTR].unusable);
		assert_int_equal(load.vm->segments[SEG_TR].limit, 0x67);
		assert_int_equal(load.vm->segments[SEG_TR].type, 11);
		assert_true(load.vm->segments[SEG_TR].present);
		assert_false(load.vm->segments[SEG_TR].s || load.vm->segments[SEG_TR].unusable);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_lowest_free_place_is_taken),
		TEST(the_highest_free_place_is_taken),
		TEST(a_full_list_of_ranges_leaves_no_place),
		TEST(an_initrd_goes_behind_the_kernel),
		TEST(information_gets_a_page_of_its_own),
		TEST(an_image_may_ask_for_ram_that_is_free),
		TEST(a_full_list_of_ranges_is_an_error),
		TEST(a_flat_binary_takes_its_place),
		TEST(an_entry_must_lie_in_what_was_taken),
		TEST(the_map_names_each_piece_that_is_there),
		TEST(flat_segments_have_all_attributes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
