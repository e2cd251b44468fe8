/* SPDX-License-Identifier: MIT */
/* Memory for guests: damaged pages are not handed out again. */
/* link: arch/mem/memory.c arch/mem/ranges.c lib/log.c */
#include "tests/unit/trace_fixture.h"

#include "arch/fault/panic.h"
#include "arch/mem/pool.h"

const char image_start[1];	/* as boot/entry.asm and the linker have them */
hpa_t boot_image;

void pool_init(hpa_t start, u64 size) { }
u64 pool_bytes(void) { return 0; }
u64 pool_bytes_used(void) { return 0; }

void stop(const char *format, ...)
{
	fail_msg("%s", format);
	__builtin_unreachable();
}

static void retire(hpa_t start, u64 size)
{
	memory_retire(&(struct phys_range){ start, size });
}

static bool has(const struct phys_range *range, hpa_t address)
{
	return address >= range->start && address - range->start < range->size;
}

/* Allocate all memory; none of it may contain the address. Then free it. */
static u64 take_all(hpa_t forbidden)
{
	struct phys_range pieces[16];
	unsigned count = 0;
	u64 total = 0;

	while (count < ARRAY_SIZE(pieces) && !guest_ram_alloc(GIB(1), &pieces[count])) {
		assert_false(has(&pieces[count], forbidden));
		total += pieces[count++].size;
	}
	for (unsigned i = 0; i < count; i++)
		guest_ram_free(&pieces[i]);
	return total;
}

/* One test, in this order, because damaged memory stays damaged. */
static void damaged_pages_are_left_out(void **state)
{
	struct phys_range mine;
	struct memory_stats stats;

	fixture_set_up(NULL);
	memory_add(0, MIB(32));
	memory_init(0);
	memory_stats(&stats);
	assert_int_equal(take_all(~0ull), stats.guest_free);

	/* Free memory. */
	retire(MIB(20) + 0x5000, 0x1000);
	assert_int_equal(take_all(MIB(20) + 0x5000), stats.guest_free - MIB(2));
	assert_shown("memory: 0x1405000 + 0x1000 is damaged and stays unused from here on");

	/* A guest's memory: it keeps the page, the next guest does not get it. Reporting it again changes nothing. */
	assert_int_equal(guest_ram_alloc(MIB(2), &mine), 0);
	retire(mine.start + 0x1ff000, 0x1000);
	retire(mine.start + 0x1ff000, 0x1000);
	guest_ram_free(&mine);
	assert_int_equal(take_all(mine.start + 0x1ff000), stats.guest_free - MIB(4));
	clear_screen();
	take_all(mine.start);
	assert_int_equal(lines_shown(), 0);

	/* More than the list holds: it is not known any more which memory is good. */
	for (unsigned i = 0; i < 200; i++)
		retire(GIB(1) + i * 0x1000, 0x1000);
	assert_int_equal(take_all(0), 0);
	assert_shown("no more of it is handed out");
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(damaged_pages_are_left_out) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
