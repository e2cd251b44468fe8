/* SPDX-License-Identifier: MIT */
/* The accounting of exits, printed: a table for people, or lines for programs. */
#include "arch/bootinfo/option.h"
#include "arch/time/clock.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/printf.h"

static enum { STATS_TABLE, STATS_LINES, STATS_OFF } format;

DEFINE_CHOICE(stats, "stats", "table|lines|off",
	      "what is printed of a VM's exits when it has ended (default table)", format);

/* Buckets that are printed. The last one, from three minutes at 3 GHz on, includes all longer exits. */
#define SHOWN_BUCKETS 40

static u64 bucket(const struct exit_statistics *exit, int index)
{
	u64 count = exit->log2[index];

	for (int i = SHOWN_BUCKETS; index == SHOWN_BUCKETS - 1 && i < LOG2_BUCKETS; i++)
		count += exit->log2[i];
	return count;
}

static const struct exit_statistics *kind(const struct vcpu *vcpu, int index)
{
	return vcpu->statistics.by_kind[index];
}

/* The next kind after `previous`: most time first, then by index. `previous` -1: the first. -1: none left. */
static int next_by_time(const struct vcpu *vcpu, int previous)
{
	u64 limit = previous < 0 ? ~0ull : kind(vcpu, previous)->ticks;
	int best = -1;

	for (int i = 0; i < EXIT_KINDS; i++) {
		const struct exit_statistics *exit = kind(vcpu, i);

		if (!exit || !statistics_exits(exit) || exit->ticks > limit || (exit->ticks == limit && i <= previous))
			continue;
		if (best < 0 || exit->ticks > kind(vcpu, best)->ticks)
			best = i;
	}
	return best;
}

static const char *kind_name(const struct vcpu *vcpu, int index)
{
	const char *name = vcpu->ops->exit_name((u8)index);

	return name ? name : "unknown";
}

static u64 microseconds(u64 ticks)
{
	return clock_tsc_to_ns(ticks) / 1000;
}

/* --- for people --- */

/*
 * "2^11 7.-2": from 2^11 ticks on, a character per power of two with the share of the exits in tenths,
 * rounded down. A point is less than a tenth, a dash none, # all of them.
 */
static void histogram(const struct exit_statistics *exit, char *text, size_t size)
{
	int first = 0, last = SHOWN_BUCKETS - 1, at;
	u64 count = statistics_exits(exit);

	while (!bucket(exit, first))
		first++;
	while (!bucket(exit, last))
		last--;
	at = snprintf(text, size, "2^%d ", first);
	for (int i = first; i <= last; i++) {
		u64 tenths = bucket(exit, i) * 10 / count;

		text[at++] = !bucket(exit, i) ? '-' : !tenths ? '.' : tenths < 10 ? '0' + (char)tenths : '#';
	}
	text[at] = '\0';
}

static void print_row(const struct vcpu *vcpu, int index)
{
	const struct exit_statistics *exit = kind(vcpu, index);
	u64 us = microseconds(exit->ticks), count = statistics_exits(exit);
	char text[SHOWN_BUCKETS + 8];

	histogram(exit, text, sizeof(text));
	vm_info(vcpu->vm, "vcpu %u: %-26s %10llu %8llu.%03llu %10llu %12llu  %s", vcpu->id,
		kind_name(vcpu, index), (ull)(count), (ull)(us / 1000), (ull)(us % 1000),
		(ull)(exit->ticks / count), (ull)(exit->max), text);
}

static void print_table(const struct vcpu *vcpu, u64 entries)
{
	const u64 *outcomes = vcpu->outcomes, *timer = vcpu->timer_exits;

	vm_info(vcpu->vm, "vcpu %u: %llu entries: %llu exits handled in the loop, %llu before it,"
		" %llu on the fast path and re-entered from it, %llu failed", vcpu->id,
		(ull)(entries), (ull)(outcomes[EXIT_FASTPATH_NONE]),
		(ull)(outcomes[EXIT_FASTPATH_EXIT_HANDLED]), (ull)(outcomes[EXIT_FASTPATH_REENTER_GUEST]),
		(ull)(outcomes[EXIT_FASTPATH_ENTRY_FAILED]));
	vm_info(vcpu->vm, "vcpu %u: %llu forced exits; timer: %llu soft-disabled, %llu forced, %llu expired,"
		" %llu spurious; idle %llu ms", vcpu->id, (ull)(vcpu->forced_exits), (ull)(timer[0]),
		(ull)(timer[1]), (ull)(timer[2]), (ull)(timer[3]), (ull)(microseconds(vcpu->statistics.idle) / 1000));
	vm_info(vcpu->vm, "vcpu %u: %-26s %10s %12s %10s %12s  %s", vcpu->id, "exit", "count", "total ms",
		"avg ticks", "max ticks", "log2 of ticks, in tenths");
	for (int i = next_by_time(vcpu, -1); i >= 0; i = next_by_time(vcpu, i))
		print_row(vcpu, i);
}

/* --- for programs --- */

static void print_line(const struct vcpu *vcpu, int index)
{
	const struct exit_statistics *exit = kind(vcpu, index);
	char text[360];
	int at = 0;

	for (int i = 0; i < SHOWN_BUCKETS && at < (int)sizeof(text); i++) {
		if (bucket(exit, i))
			at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%d:%llu", at ? "," : "", i,
				       (ull)(bucket(exit, i)));
	}
	vm_info(vcpu->vm, "stat vm=%s vcpu=%u exit=\"%s\" count=%llu ticks=%llu max=%llu log2=%s",
		vm_name(vcpu->vm), vcpu->id, kind_name(vcpu, index), (ull)(statistics_exits(exit)), (ull)(exit->ticks),
		(ull)(exit->max), text);
}

static void print_lines(const struct vcpu *vcpu, u64 entries)
{
	const u64 *outcomes = vcpu->outcomes, *timer = vcpu->timer_exits;

	vm_info(vcpu->vm, "stat vm=%s vcpu=%u entries=%llu none=%llu handled=%llu reenter=%llu failed=%llu"
		" forced=%llu timer_soft=%llu timer_forced=%llu timer_expired=%llu timer_spurious=%llu"
		" idle=%llu hz=%llu", vm_name(vcpu->vm), vcpu->id, (ull)(entries),
		(ull)(outcomes[EXIT_FASTPATH_NONE]), (ull)(outcomes[EXIT_FASTPATH_EXIT_HANDLED]),
		(ull)(outcomes[EXIT_FASTPATH_REENTER_GUEST]), (ull)(outcomes[EXIT_FASTPATH_ENTRY_FAILED]),
		(ull)(vcpu->forced_exits), (ull)(timer[0]), (ull)(timer[1]), (ull)(timer[2]), (ull)(timer[3]),
		(ull)(vcpu->statistics.idle), (ull)(clock_tsc_hz()));
	for (int i = next_by_time(vcpu, -1); i >= 0; i = next_by_time(vcpu, i))
		print_line(vcpu, i);
}

void statistics_print(struct vcpu *vcpu, bool on_request)
{
	u64 entries = 0;

	if (format == STATS_OFF && !on_request)
		return;
	log_make_room();
	for (unsigned i = 0; i < ARRAY_SIZE(vcpu->outcomes); i++)
		entries += vcpu->outcomes[i];
	if (format == STATS_LINES)
		print_lines(vcpu, entries);
	else
		print_table(vcpu, entries);
}
