/* SPDX-License-Identifier: MIT */
/* A set of the host's CPUs, by index. */
#pragma once

#include "lib/string.h"
#include "lib/types.h"

#define CPU_SET_SIZE 256u

struct cpu_set {
	u64 words[CPU_SET_SIZE / 64];
};

/* "0,2-5". -EINVAL: malformed, empty, or a number above 255. */
int cpu_set_parse(struct str_view text, struct cpu_set *set);

static inline bool cpu_set_has(const struct cpu_set *set, u32 cpu)
{
	return cpu < CPU_SET_SIZE && (set->words[cpu / 64] >> (cpu % 64) & 1);
}

static inline void cpu_set_add(struct cpu_set *set, u32 cpu)
{
	set->words[cpu / 64] |= BIT_ULL(cpu % 64);
}

static inline bool cpu_set_is_empty(const struct cpu_set *set)
{
	return !(set->words[0] | set->words[1] | set->words[2] | set->words[3]);
}
