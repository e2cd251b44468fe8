/* SPDX-License-Identifier: MIT */
/* Where the host's random bits come from: the processor's generator, or how irregularly its time-stamp counter advances. */
#pragma once

#include "lib/types.h"

enum entropy_source {
	ENTROPY_RDSEED,
	ENTROPY_RDRAND,
	ENTROPY_JITTER,		/* none that can be used */
};

/* Find the best one that CPUID announces and that does not repeat itself. Logs which is used, and which is not and why. */
enum entropy_source entropy_find(void);

/*
 * 64 bits of the processor's generator, after a bounded number of attempts. Any CPU, any context. false: it has none, or no bits
 * now. A generator that gives the same value twice is broken, which is logged, and not used again.
 */
bool entropy_word(u64 *word);

/*
 * How long a memory access took, in ticks of the TSC: a few bits, if any, of which nobody knows the exact number. Collect
 * many, and hash them.
 */
u64 entropy_jitter(void);
