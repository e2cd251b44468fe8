/* SPDX-License-Identifier: MIT */
/*
 * The list of the processor's virtualization capabilities, printed before virtualization is enabled.
 * One line per capability: "  <name>   found", or "missing: <replacement>".
 */
#pragma once

#include "lib/types.h"

/* Both return `found`. */
bool capability_optional(const char *name, bool found, const char *replacement);
/* Prints "MISSING, required" where it is missing; the vendor's probe() then fails. */
bool capability_required(const char *name, bool found);
