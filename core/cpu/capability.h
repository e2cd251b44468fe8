/* SPDX-License-Identifier: MIT */
/*
 * The list of the processor's virtualization capabilities, printed before virtualization is enabled.
 * One line per capability: "  <name>   found", or "missing: <replacement>".
 */
#pragma once

#include "lib/types.h"

/* The option apicv=off: local APICs by software. And, not with apicv=full: all but TPR. */
extern bool capability_hides_apic, capability_hides_all_but_tpr;

/* Both return `found`. */
bool capability_optional(const char *name, bool found, const char *replacement);
/* Prints "MISSING, required" where it is missing; the vendor's probe() then fails. */
bool capability_required(const char *name, bool found);
