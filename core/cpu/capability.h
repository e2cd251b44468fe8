/* SPDX-License-Identifier: MIT */
/*
 * The screen that tells, before virtualization is switched on, what this processor has for it.
 * One line per capability: "  <name>   found", or "missing: <what takes its place>".
 */
#pragma once

#include "lib/types.h"

/* Both return `found`. */
bool capability_optional(const char *name, bool found, const char *replacement);
/* Says "MISSING, required" where it is not there; the vendor's probe() then fails. */
bool capability_required(const char *name, bool found);
