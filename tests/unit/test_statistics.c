/* SPDX-License-Identifier: MIT */
/* The accounting of exits: buckets, order, and what is printed. */
/* link: core/observe/statistics.c core/vm_log.c lib/log.c lib/string.c */
#include "tests/unit/trace_fixture.h"
#include "tests/unit/choice.h"

/* For the function that its option calls. */
#include "core/observe/statistics_print.c"
#include "core/observe/statistics_record.h"

#define VIEW(text) ((struct str_view){ text, strlen(text) })

enum { KIND_IO = 30, KIND_HLT = 12, KIND_CPUID = 10 };

static const char *exit_name(u8 index)
{
	switch (index) {
	case KIND_IO:
		return "port I/O";
	case KIND_HLT:
		return "HLT";
	case KIND_CPUID:
		return "CPUID";
	default:
		return NULL;
	}
}

static const struct vcpu_ops ops = { .exit_name = exit_name };
static char memory[16][sizeof(struct exit_statistics)] __aligned(16);
static unsigned blocks;

void *vm_alloc(struct vm *v, size_t size)
{
	assert_true(size <= sizeof(memory[0]) && blocks < ARRAY_SIZE(memory));
	return memset(memory[blocks++], 0, size);
}

static int set_up(void **state)
{
	fixture_set_up(&ops);
	blocks = 0;
	format = STATS_TABLE;
	return 0;
}

static void account(u8 kind, u64 ticks)
{
	vcpu.exit_index = kind;
	vcpu.exit_tsc = 5000;
	statistics_exit_begins(&vcpu);
	statistics_exit_ends(&vcpu, 5000 + ticks);
}

static void buckets_are_powers_of_two(void **state)
{
	assert_int_equal(statistics_bucket(0), 0);
	assert_int_equal(statistics_bucket(1), 0);
	for (unsigned n = 1; n < 64; n++) {
		unsigned expected = n < LOG2_BUCKETS ? n : LOG2_BUCKETS - 1;

		assert_int_equal(statistics_bucket(1ull << n), expected);
		assert_int_equal(statistics_bucket((1ull << n) + 1), expected);
		if (n < LOG2_BUCKETS)
			assert_int_equal(statistics_bucket((1ull << n) - 1), n - 1);
	}
	assert_int_equal(statistics_bucket(~0ull), LOG2_BUCKETS - 1);
}

static void totals_and_maximum(void **state)
{
	const struct exit_statistics *exit;

	account(KIND_IO, 100);
	account(KIND_IO, 700);
	account(KIND_IO, 200);
	exit = vcpu.statistics.by_kind[KIND_IO];
	assert_int_equal(statistics_exits(exit), 3);
	assert_int_equal(exit->ticks, 1000);
	assert_int_equal(exit->max, 700);
	assert_int_equal(exit->log2[6], 1);	/* 64 to 127 */
	assert_int_equal(exit->log2[7], 1);	/* 128 to 255 */
	assert_int_equal(exit->log2[9], 1);	/* 512 to 1023 */
	assert_int_equal(blocks, 1);		/* memory only for kinds of exits that occurred */
}

static void an_exit_ends_once(void **state)
{
	account(KIND_IO, 100);
	statistics_exit_ends(&vcpu, 9999);
	assert_int_equal(statistics_exits(vcpu.statistics.by_kind[KIND_IO]), 1);
	assert_int_equal(vcpu.statistics.by_kind[KIND_IO]->ticks, 100);
}

static void sleep_counts_as_idle(void **state)
{
	vcpu.exit_index = KIND_HLT;
	vcpu.exit_tsc = 5000;
	statistics_exit_begins(&vcpu);
	statistics_slept(&vcpu, 300);
	statistics_slept(&vcpu, 600);
	statistics_exit_ends(&vcpu, 6000);
	assert_int_equal(vcpu.statistics.by_kind[KIND_HLT]->ticks, 100);
	assert_int_equal(vcpu.statistics.idle, 900);
	account(KIND_HLT, 50);	/* that sleep is not taken off again */
	assert_int_equal(vcpu.statistics.by_kind[KIND_HLT]->ticks, 150);
}

/* The console's keys end the exit, and the processor continues to sleep. */
static void sleep_after_an_exit_was_counted_is_idle_only(void **state)
{
	account(KIND_HLT, 100);
	statistics_slept(&vcpu, 100000);
	account(KIND_IO, 50);
	assert_int_equal(vcpu.statistics.by_kind[KIND_IO]->ticks, 50);
	assert_int_equal(vcpu.statistics.by_kind[KIND_IO]->max, 50);
	assert_int_equal(vcpu.statistics.idle, 100000);
}

static void table_is_sorted_by_time(void **state)
{
	const char *io, *hlt, *cpuid, *unknown;

	for (unsigned i = 0; i < 100; i++)
		account(KIND_CPUID, 10);
	account(KIND_IO, 5000000);
	account(KIND_HLT, 1000);	/* as long as all CPUIDs: the kind's number decides */
	account(77, 1);
	statistics_print(&vcpu, false);
	io = strstr(screen, "port I/O");
	cpuid = strstr(screen, "CPUID");
	hlt = strstr(screen, "HLT");
	unknown = strstr(screen, "unknown");
	assert_true(io && cpuid && hlt && unknown);
	assert_true(io < cpuid && cpuid < hlt && hlt < unknown);
	assert_int_equal(lines_shown(), 3 + 4);
}

/* The first and the last kind there can be, and kinds that took the same time: each has its row, once. */
static void every_kind_has_its_row(void **state)
{
	static const u8 kinds[] = { 0, 1, KIND_HLT, EXIT_KINDS - 1 };

	for (unsigned programs = 0; programs < 2; programs++) {
		set_up(state);
		format = programs ? STATS_LINES : STATS_TABLE;
		for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
			account(kinds[i], 100);
		vcpu.outcomes[EXIT_FASTPATH_NONE] = 4;
		statistics_print(&vcpu, true);
		assert_int_equal(lines_shown(), programs ? 1 + 4 : 3 + 4);
		assert_shown("HLT");
	}
}

static void columns_of_the_table(void **state)
{
	account(KIND_IO, 2500000);
	account(KIND_IO, 1500000);
	statistics_print(&vcpu, false);
	/* Count, milliseconds at 1 GHz, average, maximum, 2^20 and 2^21 one each. */
	assert_shown(" web] vcpu 0: exit                            count     total ms  avg ticks    max ticks");
	assert_shown(" web] vcpu 0: port I/O                            2        4.000    2000000      2500000  2^20 55\n");
}

static void histogram_in_tenths(void **state)
{
	for (unsigned i = 0; i < 1000; i++)
		account(KIND_IO, i < 700 ? 4 : i < 999 ? 16 : 128);
	account(KIND_HLT, 1);
	statistics_print(&vcpu, false);
	assert_shown("  2^2 7-2--.\n");
	assert_shown("  2^0 #\n");
}

static void outcomes_are_printed(void **state)
{
	vcpu.outcomes[EXIT_FASTPATH_NONE] = 1000;
	vcpu.outcomes[EXIT_FASTPATH_REENTER_GUEST] = 200;
	vcpu.outcomes[EXIT_FASTPATH_EXIT_HANDLED] = 30;
	vcpu.outcomes[EXIT_FASTPATH_ENTRY_FAILED] = 4;
	vcpu.forced_exits = 5;
	vcpu.timer_exits[0] = 6;
	vcpu.timer_exits[1] = 7;
	vcpu.timer_exits[2] = 8;
	vcpu.timer_exits[3] = 9;
	vcpu.statistics.idle = 12345678;
	statistics_print(&vcpu, false);
	assert_shown("vcpu 0: 1234 entries: 1000 exits handled in the loop, 30 before it,"
		     " 200 on the fast path and re-entered from it, 4 failed\n");
	assert_shown("vcpu 0: 5 forced exits; timer: 6 soft-disabled, 7 forced, 8 expired, 9 spurious; idle 12 ms\n");

	clear_screen();
	format = STATS_LINES;
	statistics_print(&vcpu, false);
	assert_shown("] stat vm=web vcpu=0 entries=1234 none=1000 handled=30 reenter=200 failed=4 forced=5"
		     " timer_soft=6 timer_forced=7 timer_expired=8 timer_spurious=9 idle=12345678 hz=1000000000\n");
}

static void lines_for_programs(void **state)
{
	choose(&option_stats, "lines");
	account(KIND_IO, 9000);
	account(KIND_IO, 9001);
	account(KIND_IO, 70000);
	statistics_print(&vcpu, false);
	assert_shown("] stat vm=web vcpu=0 exit=\"port I/O\" count=3 ticks=88001 max=70000 log2=13:2,16:1\n");
	assert_int_equal(lines_shown(), 2);
}

static void longest_line_is_whole(void **state)
{
	char last[32];

	format = STATS_LINES;
	for (unsigned i = 0; i < SHOWN_BUCKETS; i++) {
		account(KIND_IO, 1ull << i);
		vcpu.statistics.by_kind[KIND_IO]->log2[i] = 99999;
	}
	vcpu.statistics.by_kind[KIND_IO]->log2[LOG2_BUCKETS - 1] = 1;
	statistics_print(&vcpu, false);
	snprintf(last, sizeof(last), ",%u:100000\n", SHOWN_BUCKETS - 1);
	assert_shown(last);
}

static void option_off_prints_on_request_only(void **state)
{
	choose(&option_stats, "off");
	account(KIND_IO, 1);
	statistics_print(&vcpu, false);
	assert_string_equal(screen, "");
	statistics_print(&vcpu, true);
	assert_shown("port I/O");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(buckets_are_powers_of_two, set_up),
		cmocka_unit_test_setup(totals_and_maximum, set_up),
		cmocka_unit_test_setup(an_exit_ends_once, set_up),
		cmocka_unit_test_setup(sleep_counts_as_idle, set_up),
		cmocka_unit_test_setup(sleep_after_an_exit_was_counted_is_idle_only, set_up),
		cmocka_unit_test_setup(table_is_sorted_by_time, set_up),
		cmocka_unit_test_setup(every_kind_has_its_row, set_up),
		cmocka_unit_test_setup(columns_of_the_table, set_up),
		cmocka_unit_test_setup(histogram_in_tenths, set_up),
		cmocka_unit_test_setup(outcomes_are_printed, set_up),
		cmocka_unit_test_setup(lines_for_programs, set_up),
		cmocka_unit_test_setup(longest_line_is_whole, set_up),
		cmocka_unit_test_setup(option_off_prints_on_request_only, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
