/* SPDX-License-Identifier: MIT */
/*
 * What must be the same on all CPUs that run guests: features, memory types, virtualization
 * capabilities. A guest's CPUID and VMCSs are made from the boot CPU's.
 */
#pragma once

#include "lib/types.h"

#define IDENTITY_WORDS 24
#define IDENTITY_MSRS  64

struct cpu_identity {
	u32 words[IDENTITY_WORDS];	/* of CPUID, as identity.c lists them; 0 where there is no such leaf */
	u64 msrs[IDENTITY_MSRS];	/* likewise; 0 where the processor has none */
	u32 microcode;
};

/* The microcode revision of the running CPU; 0 if it has none, or does not say. */
u32 cpu_microcode_read(void);
/* Read the running CPU's. Logs nothing, and takes no lock. */
void cpu_identity_read(struct cpu_identity *identity);

/*
 * May `other` run the guests of `boot`? More features than the boot CPU's are no harm. True, or false
 * with the first difference in words.
 */
bool cpu_identity_matches(const struct cpu_identity *boot, const struct cpu_identity *other, char *why, size_t size);
