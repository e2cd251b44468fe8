/* SPDX-License-Identifier: MIT */
/*
 * A VM's RAM: pieces of the host's memory, mapped once for Lamina and once for the guest, with the VGA hole
 * left out of the guest's view; what is RAM and what is not, at each edge; damaged pages.
 */
/* link: core/mem/guest_mem.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/mem/guest_mem.h"
#include "core/vcpu.h"
#include "core/mem/tdp.h"
#include "core/vm.h"
#include "lib/errno.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

static struct vm vm;
static struct phys_range offered[GUEST_MEM_PIECES + 2];	/* what the host's memory gives, in order */
static unsigned offers, taken, freed, maps, nested_maps;
static unsigned failing_map, failing_nested;		/* the call with this number fails; 0: none */
static bool mapping_rom;
static u64 wanted[GUEST_MEM_PIECES + 2];		/* what was asked for */
static char shown[1024];
static gpa_t rom_window;	/* what high maps then; 0: RAM from 4 GiB on */
static u8 *low, *high;					/* the guest window's two ends */

static struct mapping {
	u64 at;
	hpa_t hpa;
	u64 size;
} host_map[GUEST_MEM_PIECES + 1], guest_map[2 * GUEST_MEM_PIECES];

/* --- the rest of Lamina --- */

int guest_ram_alloc(u64 size, struct phys_range *range)
{
	if (taken == offers)
		return -ENOMEM;
	wanted[taken] = size;
	*range = offered[taken++];
	return 0;
}

void guest_ram_free(const struct phys_range *range)
{
	assert_int_equal(range->start, offered[freed].start);
	assert_int_equal(range->size, offered[freed].size);
	freed++;
}

int paging_map(struct address_space *space, u64 va, hpa_t pa, u64 size, unsigned flags)
{
	assert_ptr_equal(space, &vm.space);
	assert_int_equal(flags, mapping_rom ? MAP_READ : MAP_WRITE);
	host_map[maps] = (struct mapping){ va, pa, size };
	return ++maps == failing_map ? -EEXIST : 0;
}

static void format_of(const struct vm *v, struct tdp_format *format)
{
	*format = (struct tdp_format){ .table_bits = 7, .page_bits = 0x77, .large_bits = 0x77, .largest = TDP_1G };
}

int tdp_map(struct vm *v, const struct tdp_format *format, gpa_t gpa, hpa_t hpa, u64 size)
{
	assert_int_equal(format->table_bits, 7);
	assert_int_equal(format->page_bits, mapping_rom ? 0x75 : 0x77);
	assert_int_equal(format->largest, mapping_rom ? TDP_4K : TDP_1G);
	assert_ptr_equal(v, &vm);
	guest_map[nested_maps] = (struct mapping){ gpa, hpa, size };
	return ++nested_maps == failing_nested ? -ENOMEM : 0;
}

void memory_stats(struct memory_stats *stats) { *stats = (struct memory_stats){ .guest_free = MIB(7) }; }
void *guest_window(gpa_t gpa)
{
	if (rom_window && gpa >= rom_window)
		return high + (gpa - rom_window);
	return gpa < GUEST_HIGH_RAM ? low + gpa : high + (gpa - GUEST_HIGH_RAM);
}

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static const struct vcpu_ops ops = { .tdp_format = format_of };
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	memset(&vm, 0, sizeof(vm));
	memset(shown, 0, sizeof(shown));
	vm.ops = &ops;
	mapping_rom = false;
	offers = taken = freed = maps = nested_maps = failing_map = failing_nested = 0;
	return 0;
}

static void offer(hpa_t start, u64 size)
{
	offered[offers++] = (struct phys_range){ start, size };
}

static void is_mapped(const struct mapping *mapping, u64 at, hpa_t hpa, u64 size)
{
	assert_int_equal(mapping->at, at);
	assert_int_equal(mapping->hpa, hpa);
	assert_int_equal(mapping->size, size);
}

/* --- creation --- */

static void one_piece_has_a_hole_for_the_guest(void **state)
{
	offer(GIB(8), MIB(16));
	assert_int_equal(guest_mem_create(&vm, MIB(16)), 0);
	assert_int_equal(maps, 1);
	is_mapped(&host_map[0], HOST_GUEST_WINDOW, GIB(8), MIB(16));
	assert_int_equal(nested_maps, 2);
	is_mapped(&guest_map[0], 0, GIB(8), 0xa0000);
	is_mapped(&guest_map[1], 0xb8000, GIB(8) + 0xb8000, MIB(16) - 0xb8000);	/* from the text page on */
	assert_int_equal(vm.mem.size, MIB(16));
	assert_int_equal(guest_low_ram(&vm), MIB(16));
	assert_int_equal(guest_high_ram(&vm), 0);
	guest_mem_destroy(&vm);
	assert_int_equal(freed, 1);
	guest_mem_destroy(&vm);			/* of nothing */
	assert_int_equal(freed, 1);
}

static void pieces_follow_each_other(void **state)
{
	offer(GIB(8), MIB(4));
	offer(GIB(1), MIB(2));
	offer(GIB(5), MIB(10));
	assert_int_equal(guest_mem_create(&vm, MIB(16)), 0);
	assert_int_equal(wanted[0], MIB(16));
	assert_int_equal(wanted[1], MIB(12));
	assert_int_equal(wanted[2], MIB(10));
	is_mapped(&host_map[1], HOST_GUEST_WINDOW + MIB(4), GIB(1), MIB(2));
	is_mapped(&host_map[2], HOST_GUEST_WINDOW + MIB(6), GIB(5), MIB(10));
	assert_int_equal(nested_maps, 4);
	is_mapped(&guest_map[2], MIB(4), GIB(1), MIB(2));
	is_mapped(&guest_map[3], MIB(6), GIB(5), MIB(10));
}

/* What does not fit below 3 GiB continues from 4 GiB on. */
static void memory_continues_above_4_gib(void **state)
{
	offer(GIB(16), GIB(3));
	offer(GIB(32), GIB(2));
	assert_int_equal(guest_mem_create(&vm, GIB(5)), 0);
	assert_int_equal(wanted[0], GIB(3));
	assert_int_equal(wanted[1], GIB(2));
	is_mapped(&host_map[1], HOST_GUEST_WINDOW + GIB(4), GIB(32), GIB(2));
	is_mapped(&guest_map[2], GIB(4), GIB(32), GIB(2));
	assert_int_equal(guest_low_ram(&vm), GIB(3));
	assert_int_equal(guest_high_ram(&vm), GIB(2));
}

static void what_fails_is_taken_back(void **state)
{
	for (unsigned failing = 0; failing < 5; failing++) {
		setup(state);
		offer(GIB(8), MIB(4));
		if (failing)
			offer(GIB(1), MIB(12));
		failing_map = failing == 1 ? 2 : 0;
		failing_nested = failing >= 2 ? failing - 1 : 0;
		assert_int_equal(guest_mem_create(&vm, MIB(16)), failing == 1 ? -EEXIST : -ENOMEM);
		assert_int_equal(freed, taken);
		assert_int_equal(vm.mem.piece_count, 0);
		assert_non_null(strstr(shown, "error: mem=16M: not enough memory, 7 MiB are free for guests: expected a smaller mem="));
		assert_int_equal(nested_maps, failing == 0 || failing == 1 ? 2 : failing - 1);
	}
}

static void too_many_pieces_are_named(void **state)
{
	for (unsigned i = 0; i < GUEST_MEM_PIECES + 1; i++)
		offer(GIB(1) + MIB(4) * i, MIB(2));
	assert_int_equal(guest_mem_create(&vm, MIB(2) * GUEST_MEM_PIECES), 0);
	guest_mem_destroy(&vm);
	taken = freed = maps = nested_maps = 0;
	assert_int_equal(guest_mem_create(&vm, MIB(2) * (GUEST_MEM_PIECES + 1)), -E2BIG);
	assert_non_null(strstr(shown, "mem=66M: the free memory is in too many pieces, "));
	assert_int_equal(freed, GUEST_MEM_PIECES);
}

/* --- what is RAM --- */

static void set_sizes(u64 low_size, u64 high_size)
{
	vm.mem.low_size = low_size;
	vm.mem.high_size = high_size;
}

static void ram_ends_where_it_ends(void **state)
{
	set_sizes(MIB(16), GIB(2));
	assert_true(guest_is_ram(&vm, 0, 1));
	assert_true(guest_is_ram(&vm, 0, 0xa0000));
	assert_false(guest_is_ram(&vm, 0, 0xa0001));
	assert_true(guest_is_ram(&vm, 0x9ffff, 1));
	assert_false(guest_is_ram(&vm, 0xa0000, 1));
	assert_false(guest_is_ram(&vm, 0xb7fff, 1));
	assert_false(guest_is_ram(&vm, 0xb7fff, 2));
	assert_true(guest_is_ram(&vm, 0xb8000, 1));
	assert_true(guest_is_ram(&vm, 0xbffff, 2));
	assert_true(guest_is_ram(&vm, 0xc0000, MIB(16) - 0xc0000));
	assert_false(guest_is_ram(&vm, 0xc0000, MIB(16) - 0xc0000 + 1));
	assert_false(guest_is_ram(&vm, MIB(16), 1));
	assert_true(guest_is_ram(&vm, GIB(4), 1));
	assert_false(guest_is_ram(&vm, GIB(4) - 1, 1));
	assert_false(guest_is_ram(&vm, GIB(4) - 1, 2));
	assert_true(guest_is_ram(&vm, GIB(4), GIB(2)));
	assert_false(guest_is_ram(&vm, GIB(4), GIB(2) + 1));
	assert_false(guest_is_ram(&vm, GIB(6), 1));
	assert_false(guest_is_ram(&vm, ~0ull, 1));
	assert_false(guest_is_ram(&vm, 0xc0000, ~0ull));	/* the sum overflows */
	set_sizes(MIB(16), 0);
	assert_false(guest_is_ram(&vm, GIB(4), 1));
}

static void copies_touch_ram_only(void **state)
{
	u8 bytes[4] = { 1, 2, 3, 4 };

	low = calloc(1, 0xa0000);
	set_sizes(MIB(16), 0);
	assert_int_equal(guest_write(&vm, 0x9fffc, bytes, 4), 0);
	assert_memory_equal(low + 0x9fffc, bytes, 4);
	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(guest_read(&vm, 0x9fffd, bytes, 3), 0);
	assert_memory_equal(bytes, "\2\3\4", 3);
	assert_int_equal(guest_read(&vm, 0x9fffd, bytes, 4), -EFAULT);
	assert_int_equal(guest_write(&vm, 0x9fffd, bytes, 4), -EFAULT);
	assert_ptr_equal(guest_ptr(&vm, 0x1000, 0x1000), low + 0x1000);
	assert_null(guest_ptr(&vm, 0x9ffff, 2));
	free(low);
}

/* --- ROM --- */

static void rom_ends_at_4_gib(void **state)
{
	u8 bytes[4] = { 0 };

	high = calloc(1, KIB(64));	/* the window up to 4 GiB */
	rom_window = GIB(4) - KIB(64);
	memcpy(high + KIB(64) - 4, "\1\2\3\4", 4);
	set_sizes(MIB(16), 0);
	assert_int_equal(guest_read(&vm, GIB(4) - 4, bytes, 4), -EFAULT);
	mapping_rom = true;
	assert_int_equal(guest_rom_map(&vm, 0x7654000, KIB(64)), 0);
	assert_int_equal(maps, 1);
	is_mapped(&host_map[0], HOST_GUEST_WINDOW + GIB(4) - KIB(64), 0x7654000, KIB(64));
	assert_int_equal(nested_maps, 1);
	is_mapped(&guest_map[0], GIB(4) - KIB(64), 0x7654000, KIB(64));
	assert_int_equal(guest_read(&vm, GIB(4) - 4, bytes, 4), 0);
	assert_memory_equal(bytes, "\1\2\3\4", 4);
	assert_int_equal(guest_read(&vm, GIB(4) - 3, bytes, 4), -EFAULT);
	assert_int_equal(guest_read(&vm, GIB(4) - KIB(64) - 1, bytes, 2), -EFAULT);
	assert_int_equal(guest_write(&vm, GIB(4) - 4, bytes, 4), -EFAULT);
	assert_null(guest_ptr(&vm, GIB(4) - 4, 4));
	assert_false(guest_is_ram(&vm, GIB(4) - 4, 4));
	assert_int_equal(guest_read(&vm, GIB(4) - 4, bytes, ~0ull), -EFAULT);
	assert_int_equal(guest_read(&vm, GIB(4) - KIB(64), bytes, 4), 0);
	assert_memory_equal(bytes, "\0\0\0\0", 4);
	assert_true(guest_mem_is_rom(&vm.mem, GIB(4) - KIB(64)) && guest_mem_is_rom(&vm.mem, GIB(4) - 1));
	assert_false(guest_mem_is_rom(&vm.mem, GIB(4) - KIB(64) - 1) || guest_mem_is_rom(&vm.mem, GIB(4)));
	free(high);
	rom_window = 0;
}

static void rom_that_cannot_be_mapped(void **state)
{
	u8 bytes[4];

	mapping_rom = true;
	failing_map = 1;
	assert_int_equal(guest_rom_map(&vm, 0x7654000, KIB(64)), -EEXIST);
	failing_map = 0;
	failing_nested = 1;
	assert_int_equal(guest_rom_map(&vm, 0x7654000, KIB(64)), -ENOMEM);
	assert_int_equal(guest_read(&vm, GIB(4) - 4, bytes, 4), -EFAULT);
	assert_false(guest_mem_is_rom(&vm.mem, GIB(4) - 1));
}

/* --- from the host's addresses --- */

static void host_addresses_lead_back(void **state)
{
	gpa_t gpa = 1;

	offer(GIB(8), MIB(2));
	offer(GIB(1), GIB(3) - MIB(2));
	offer(GIB(32), MIB(2));
	assert_int_equal(guest_mem_create(&vm, GIB(3) + MIB(2)), 0);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8), &gpa), 0);
	assert_int_equal(gpa, 0);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) + 0x9ffff, &gpa), 0);
	assert_int_equal(gpa, 0x9ffff);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) + 0xa0000, &gpa), -ENOENT);	/* the guest does not see it */
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) + 0xb7fff, &gpa), -ENOENT);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) + 0xb8000, &gpa), 0);
	assert_int_equal(gpa, 0xb8000);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) + MIB(2), &gpa), -ENOENT);
	assert_int_equal(guest_mem_gpa(&vm, GIB(8) - 1, &gpa), -ENOENT);
	assert_int_equal(guest_mem_gpa(&vm, GIB(1), &gpa), 0);
	assert_int_equal(gpa, MIB(2));
	assert_int_equal(guest_mem_gpa(&vm, GIB(4) - MIB(2) - 1, &gpa), 0);
	assert_int_equal(gpa, GIB(3) - 1);
	assert_int_equal(guest_mem_gpa(&vm, GIB(32), &gpa), 0);
	assert_int_equal(gpa, GIB(4));
	assert_int_equal(guest_mem_gpa(&vm, GIB(32) + MIB(2), &gpa), -ENOENT);
	assert_int_equal(guest_mem_gpa(&vm, 0, &gpa), -ENOENT);
}

/* --- damage --- */

static void damaged_pages_are_no_ram(void **state)
{
	set_sizes(MIB(16), 0);
	assert_int_equal(guest_mem_damage(&vm, 0x200010, 0x20, 1, 2), 0);
	assert_int_equal(vm.mem.damaged_count, 1);
	assert_int_equal(vm.mem.damaged[0].page, 0x200000);
	assert_false(guest_is_ram(&vm, 0x200000, 1));
	assert_false(guest_is_ram(&vm, 0x200fff, 1));
	assert_false(guest_is_ram(&vm, 0x1fffff, 2));
	assert_false(guest_is_ram(&vm, 0x100000, 0x200000));
	assert_true(guest_is_ram(&vm, 0x1fffff, 1));
	assert_true(guest_is_ram(&vm, 0x201000, 1));
	assert_int_equal(guest_mem_damage(&vm, 0x200000, 0x1000, 1, 2), 0);	/* again */
	assert_int_equal(vm.mem.damaged_count, 1);
	assert_int_equal(guest_mem_damage(&vm, 0x200fff, 2, 1, 2), 0);	/* and the next */
	assert_int_equal(vm.mem.damaged_count, 2);
	assert_int_equal(vm.mem.damaged[1].page, 0x201000);
	assert_ptr_equal(guest_mem_damage_at(&vm, 0x201fff), &vm.mem.damaged[1]);
	assert_int_equal(vm.mem.damaged[1].status, 1);
	assert_int_equal(vm.mem.damaged[1].misc, 2);
	assert_null(guest_mem_damage_at(&vm, 0x202000));
	assert_true(guest_mem_has(&vm, 0x201000));
	assert_false(guest_mem_has(&vm, MIB(16)));
	assert_false(guest_mem_has(&vm, GUEST_VGA_HOLE));
}

static void too_much_damage_is_refused(void **state)
{
	set_sizes(MIB(16), 0);
	assert_int_equal(guest_mem_damage(&vm, 0x200000, PAGE_SIZE * GUEST_MEM_DAMAGED + 1, 1, 2), -ENOSPC);
	assert_int_equal(vm.mem.damaged_count, 0);
	assert_int_equal(guest_mem_damage(&vm, 0x200000, PAGE_SIZE * GUEST_MEM_DAMAGED, 1, 2), 0);
	assert_int_equal(vm.mem.damaged_count, GUEST_MEM_DAMAGED);
	assert_int_equal(guest_mem_damage(&vm, 0x800000, 1, 1, 2), -ENOSPC);
	/* What is known already needs no more room. */
	assert_int_equal(guest_mem_damage(&vm, 0x200000, PAGE_SIZE * GUEST_MEM_DAMAGED, 1, 2), 0);
	assert_int_equal(guest_mem_damage(&vm, 0x201000, PAGE_SIZE * GUEST_MEM_DAMAGED, 1, 2), -ENOSPC);
	assert_int_equal(vm.mem.damaged_count, GUEST_MEM_DAMAGED);
	assert_false(guest_is_ram(&vm, 0x200000 + PAGE_SIZE * GUEST_MEM_DAMAGED - 1, 1));
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_piece_has_a_hole_for_the_guest),
		TEST(pieces_follow_each_other),
		TEST(memory_continues_above_4_gib),
		TEST(what_fails_is_taken_back),
		TEST(too_many_pieces_are_named),
		TEST(ram_ends_where_it_ends),
		TEST(copies_touch_ram_only),
		TEST(rom_ends_at_4_gib),
		TEST(rom_that_cannot_be_mapped),
		TEST(host_addresses_lead_back),
		TEST(damaged_pages_are_no_ram),
		TEST(too_much_damage_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
