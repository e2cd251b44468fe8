/* SPDX-License-Identifier: MIT */
/* Collects the checker's findings, judges them, and prints the lines that tests/test_selftest.py reads. */
#include "tests/selftest/report.h"

#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

/* --- the checker's findings --- */

#define MAX_HEARD 8

static const char *heard[MAX_HEARD];
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
