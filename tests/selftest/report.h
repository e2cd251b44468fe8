/* SPDX-License-Identifier: MIT */
/* What both vendors' self-tests share: a checker's findings, and verdicts. */
#pragma once

#include "core/observe/entry_rule.h"
#include "core/vm.h"

/* --- the checker's findings: each rule once --- */

extern unsigned heard_count;
void heard_clear(void);
void heard_listen(void *context, const struct violation *violation);	/* a violation_sink */
bool heard_rule(const char *rule);
const char *heard_rules(void);		/* all of them, or "no rule"; until the next call */

/* --- verdicts --- */

enum verdict { NOT_TRIED, PROVEN, EXCEPTION, NOT_JUDGED, FAILED };
extern unsigned totals[FAILED + 1];
void say(enum verdict verdict, const char *rule, const char *words);
void say_totals(const char *name);

/* svm_run.c: the mutations of the VM's VMCB. */
void run_svm_mutations(struct vm *vm);
