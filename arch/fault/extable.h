/* SPDX-License-Identifier: MIT */
/*
 * The exception table: instructions that may fault, and where to continue if they do. A #GP, #UD
 * or #PF at `from` continues at `to`; a fault anywhere else is a panic.
 *
 *	asm volatile("1: rdmsr; xor %[error], %[error]; 2:" EXTABLE("1b", "2b") ...)
 */
#pragma once

#include "lib/types.h"

#define EXTABLE(from, to)			\
	"\n\t.pushsection .extable, \"a\""	\
	"\n\t.balign 8"				\
	"\n\t.quad " from ", " to		\
	"\n\t.popsection\n"

struct extable_entry {
	u64 from, to;
};

/* Where to continue after a fault at `rip` (linear addresses); 0 if the table has no such entry. */
u64 extable_find(u64 rip);
