/* SPDX-License-Identifier: MIT */
/*
 * Random numbers for guests: ChaCha20 keyed by what arch/cpu/entropy.h collects. Each request has a key of its own, and the
 * common key is replaced with each ("fast key erasure"), so that nobody can calculate what others got before.
 */
#pragma once

#include "lib/types.h"

/* Find out where they come from, and log it; once per boot, further calls do nothing. Takes some 100 microseconds. */
void random_start(void);

/* After random_start(). Any CPU. `size` bytes, some 10 ticks of the TSC for each: the caller bounds it. */
void random_fill(void *to, u32 size);
