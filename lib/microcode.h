/* SPDX-License-Identifier: MIT */
/*
 * Files with microcode updates: which update is for a processor. Three kinds of file are known: Intel's updates, one
 * behind the other (SDM, "Microcode Update"); AMD's containers (a table of equivalent processors, then patches); and
 * the uncompressed cpio archive that Linux takes both from, in front of its initramfs.
 */
#pragma once

#include "lib/types.h"

struct microcode_cpu {
	bool amd;		/* else Intel */
	u32 signature;		/* CPUID leaf 1 EAX */
	u32 platform;		/* Intel: bit n for the platform id n */
	u32 revision;		/* that it has */
};

struct microcode_update {
	const u8 *data;		/* into the file, not aligned: Intel's header, or AMD's patch */
	u32 size;		/* bytes */
	u32 revision;
};

/* What comes before the data that Intel's processors load. */
#define MICROCODE_INTEL_HEADER 48u

/*
 * The newest update for `cpu` in a file. 0; -EEXIST: it has that revision or a newer one, *update is set all the
 * same; -ENOENT: the file has none for it; -EINVAL: it is no such file, or damaged.
 */
int microcode_find(const void *file, u64 size, const struct microcode_cpu *cpu, struct microcode_update *update);
