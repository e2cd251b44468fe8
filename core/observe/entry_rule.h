/* SPDX-License-Identifier: MIT */
/*
 * How both vendors' checkers of VM entry state report what they find. A checker only reads a structure of
 * fields and reports violations, so it also works on a dump from another machine.
 */
#pragma once

#include "lib/types.h"

#define VIOLATION_VALUES 192

/* One rule of the manual that the state breaks. The three strings are constants. */
struct violation {
	const char *name;	/* stable, dotted: "guest.rflags.if-for-extint" */
	const char *text;	/* the rule, in words */
	const char *section;	/* its title in the manual */
	char values[VIOLATION_VALUES];	/* of the fields in question: "RFLAGS 0x2, CR0 0x60000010" */
};

/* Called for each broken rule, in the manual's order. `violation` is valid only during the call. */
typedef void violation_sink(void *context, const struct violation *violation);

/* Append "label 0x1f" to the values; what does not fit is cut. */
void violation_add_value(struct violation *violation, const char *label, u64 value);

/* A rule of the manual that the checker leaves out, and why. */
struct rule_exemption {
	const char *name, *section, *reason;
};
