/* SPDX-License-Identifier: MIT */
/* Files with microcode updates. tests/unit/test_microcode.c tests that the right update is chosen. */
/* link: lib/microcode.c */
#include "tests/fuzz/fuzz.h"

#include "lib/microcode.h"
#include "tests/unit/microcode_files.h"

#define SIGNATURE 0x50654u

static void find(const u8 *data, size_t size, const struct microcode_cpu *cpu)
{
	struct microcode_update update;
	u8 *copy = fuzz_copy(data, size);
	int error = microcode_find(copy, size, cpu, &update);
	u32 sum = 0;

	fuzz_assert(error == 0 || error == -EEXIST || error == -ENOENT || error == -EINVAL);
	fuzz_assert((error == 0 || error == -EEXIST) == (update.data != NULL));
	fuzz_assert(error != 0 || update.revision > cpu->revision);
	if (update.data) {
		fuzz_assert(update.data >= copy && update.size <= size - (size_t)(update.data - copy));
		for (u32 i = 0; i + 4 <= update.size; i += 4)
			sum += read32(update.data + i);
		fuzz_assert(update.size >= (cpu->amd ? 64 : MICROCODE_INTEL_HEADER));
		fuzz_assert(cpu->amd || sum == 0);
	}
	free(copy);
}

void fuzz_one(const u8 *data, size_t size)
{
	find(data, size, &(struct microcode_cpu){ .signature = SIGNATURE, .platform = 1, .revision = 8 });
	find(data, size, &(struct microcode_cpu){ .signature = SIGNATURE + 1, .platform = 2 });
	find(data, size, &(struct microcode_cpu){ .amd = true, .signature = SIGNATURE, .revision = 8 });
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	u8 inner[1024];
	struct made_file file = { .bytes = data, .max = max };
	struct made_file inside = { .bytes = which & 4 ? inner : data, .max = which & 4 ? MIN(max, sizeof(inner)) : max };

	if (which & 1) {
		add_intel(&inside, SIGNATURE, 1, 9, 48, which & 2 ? 3 : 0);
		add_intel(&inside, SIGNATURE, 3, 7, 96, 0);
	} else {
		add_amd_table(&inside, SIGNATURE, 2);
		add_amd_patch(&inside, 0x8010, 7 + (which & 2), 64);
		add_amd_patch(&inside, 0x8010, 7, 80);
		if (which & 2)
			add_amd_table(&inside, SIGNATURE, 1);
	}
	if (!(which & 4))
		return inside.size;
	add_cpio(&file, "kernel", NULL, 0);
	add_cpio(&file, which & 1 ? "kernel/x86/microcode/GenuineIntel.bin" : "kernel/x86/microcode/AuthenticAMD.bin",
		 inside.bytes, (u32)inside.size);
	return file.size;
}

/* The sum of an update of Intel's, and of its table, at the file's begin. */
void fuzz_repair(u8 *data, size_t size)
{
	u32 total, used;

	if (size < MICROCODE_INTEL_HEADER || read32(data) != 1)
		return;
	total = read32(data + 32);
	used = read32(data + 28);
	if (total > size || total < MICROCODE_INTEL_HEADER || used > total - MICROCODE_INTEL_HEADER)
		return;
	used += MICROCODE_INTEL_HEADER;
	if (total - used >= 20) {
		u32 count = MIN(read32(data + used), (total - used - 20) / 12);

		put32(data + used + 4, 0);
		put32(data + used + 4, negative_sum(data + used, 20 + 12 * count));
	}
	put32(data + 16, 0);
	put32(data + 16, negative_sum(data, total));
}
