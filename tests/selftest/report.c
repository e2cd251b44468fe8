/* SPDX-License-Identifier: MIT */
/* What the checker said, what it was worth, and the lines that tests/test_selftest.py reads. */
#include "tests/selftest/report.h"

#include "core/vm_log.h"
#include "lib/printf.h"
#include "lib/string.h"

/* --- what the checker says --- */

#define MAX_HEARD 8

static const char *heard[MAX_HEARD];
static char heard_values[VIOLATION_VALUES];	/* of the last */
unsigned heard_count;

void heard_clear(void)
{
	heard_count = 0;
}

bool heard_rule(const char *rule)
{
	for (unsigned i = 0; i < heard_count; i++)
		if (!strcmp(heard[i], rule))
			return true;
	return false;
}

void heard_listen(void *context, const struct violation *violation)
{
	if (heard_count == MAX_HEARD || heard_rule(violation->name))
		return;
	str_copy(heard_values, violation->values, sizeof(heard_values));
	heard[heard_count++] = violation->name;
}

const char *heard_rules(void)
{
	static char text[256];
	int at = 0;

	text[0] = '\0';
	for (unsigned i = 0; i < heard_count; i++)
		at += snprintf(text + at, sizeof(text) - (size_t)at, "%s%s", i ? " " : "",
			       heard[i]);
	return heard_count ? text : "no rule";
}

/* --- verdicts --- */

static const char *const verdict_words[] = {
	[PROVEN] = "PASS", [EXCEPTION] = "EXCEPT", [NOT_JUDGED] = "SKIP", [FAILED] = "FAIL",
};

unsigned totals[FAILED + 1];

void say(enum verdict verdict, const char *rule, const char *words)
{
	totals[verdict]++;
	log_info("%s %s%s%s", verdict_words[verdict], rule, words[0] ? ": " : "", words);
}

void say_totals(const char *name)
{
	log_info("selftest %s: %u proven, %u exceptions, %u not judgeable, %u failed", name,
		 totals[PROVEN], totals[EXCEPTION], totals[NOT_JUDGED], totals[FAILED]);
}

/* --- false alarms --- */

#define WATCH_ALL_OF_FIRST 2000
#define WATCH_EVERY	   64

static u64 entries, watched, false_alarms;

bool watch_this_entry(void)
{
	u64 entry = entries++;

	return entry < WATCH_ALL_OF_FIRST || entry % WATCH_EVERY == 0;
}

void watched_entry(const struct vm *vm, bool succeeded)
{
	watched++;
	if (!succeeded || !heard_count)
		return;
	false_alarms++;
	vm_error(vm, "FAIL false alarm: %s (%s)", heard_rules(), heard_values);
}

void watch_report(void)
{
	log_info("selftest false alarms: %llu in %llu of %llu entries",
		 (unsigned long long)false_alarms, (unsigned long long)watched,
		 (unsigned long long)entries);
}
