/* SPDX-License-Identifier: MIT */
/* Files with microcode updates. Nothing in them is trusted: each size is compared with what is left. */
#include "lib/microcode.h"

#include "lib/errno.h"
#include "lib/string.h"

/* What is left of the file. */
struct remainder {
	const u8 *at;
	u64 size;
};

static u32 get32(const u8 *at)
{
	u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

static u16 get16(const u8 *at)
{
	return (u16)(at[0] | at[1] << 8);
}

static void skip(struct remainder *span, u64 bytes)
{
	span->at += bytes;
	span->size -= bytes;
}

/* The first of the newest. */
static void consider(struct microcode_update *best, const u8 *data, u32 size, u32 revision)
{
	if (!best->data || revision > best->revision)
		*best = (struct microcode_update){ data, size, revision };
}

/* --- Intel: SDM, "Microcode Update", "Extended Signature Table", "Processor Identification" --- */

#define EXTENDED_HEADER 20u
#define EXTENDED_ENTRY	12u

static u32 sum_of(const u8 *data, u32 size)
{
	u32 sum = 0;

	for (u32 i = 0; i < size; i += 4)
		sum += get32(data + i);
	return sum;
}

/* A processor without platform ids has flags of 0. */
static bool is_for(const u8 *signature, const u8 *flags, const struct microcode_cpu *cpu)
{
	return get32(signature) == cpu->signature && (!get32(flags) || (get32(flags) & cpu->platform));
}

/* An entry's checksum is that of the header with the entry's signature, flags and checksum in it. */
static bool is_in_table(const u8 *header, const u8 *table, u32 size, const struct microcode_cpu *cpu)
{
	u32 count = size < EXTENDED_HEADER ? 0 : get32(table), own = sum_of(header + 12, 8) + get32(header + 24);

	if (!count || count > (size - EXTENDED_HEADER) / EXTENDED_ENTRY ||
	    sum_of(table, EXTENDED_HEADER + count * EXTENDED_ENTRY))
		return false;
	for (u32 i = 0; i < count; i++) {
		const u8 *entry = table + EXTENDED_HEADER + i * EXTENDED_ENTRY;

		if (is_for(entry, entry + 4, cpu) && sum_of(entry, EXTENDED_ENTRY) == own)
			return true;
	}
	return false;
}

static int find_intel(struct remainder left, const struct microcode_cpu *cpu, struct microcode_update *best)
{
	int error = 0;

	while (left.size) {
		const u8 *header = left.at;
		u32 data, total, behind;

		if (left.size < MICROCODE_INTEL_HEADER || get32(header) != 1 || get32(header + 20) != 1)
			return -EINVAL;
		data = get32(header + 28) ? get32(header + 28) : 2000;
		total = get32(header + 28) ? get32(header + 32) : 2048;
		if (total > left.size || total < MICROCODE_INTEL_HEADER || total % 4 || data % 4 ||
		    data > total - MICROCODE_INTEL_HEADER)
			return -EINVAL;
		behind = MICROCODE_INTEL_HEADER + data;
		if (is_for(header + 12, header + 24, cpu) || is_in_table(header, header + behind, total - behind, cpu)) {
			if (!sum_of(header, total))
				consider(best, header, total, get32(header + 4));
			else
				error = -EINVAL;
		}
		skip(&left, total);
	}
	return error;
}

/* --- AMD: no manual has the format; it is that of the files which AMD publishes --- */

#define AMD_MAGIC	   0x00414d44u	/* "DMA" */
#define AMD_TABLE	   0u
#define AMD_PATCH	   1u
#define AMD_TABLE_ENTRY	   16u
#define AMD_PATCH_HEADER   64u

/* The processor's number in the patches of a container; 0: it is not in the table. */
static u16 equivalent(const u8 *table, u32 size, u32 signature)
{
	for (; size >= AMD_TABLE_ENTRY && get32(table); table += AMD_TABLE_ENTRY, size -= AMD_TABLE_ENTRY)
		if (get32(table) == signature)
			return get16(table + 12);
	return 0;
}

/* Patches for a processor with a certain chipset are for firmware. */
static bool patch_is_for(const u8 *patch, u32 size, u16 number)
{
	return number && size >= AMD_PATCH_HEADER && get16(patch + 24) == number && !get32(patch + 16) &&
	       !get32(patch + 20);
}

/* One or more containers. */
static int find_amd(struct remainder left, const struct microcode_cpu *cpu, struct microcode_update *best)
{
	while (left.size) {
		u32 size;
		u16 number;

		if (left.size < 12 || get32(left.at) != AMD_MAGIC || get32(left.at + 4) != AMD_TABLE)
			return -EINVAL;
		size = get32(left.at + 8);
		skip(&left, 12);
		if (size > left.size)
			return -EINVAL;
		number = equivalent(left.at, size, cpu->signature);
		skip(&left, size);
		while (left.size >= 8 && get32(left.at) == AMD_PATCH) {
			size = get32(left.at + 4);
			skip(&left, 8);
			if (size > left.size)
				return -EINVAL;
			if (patch_is_for(left.at, size, number))
				consider(best, left.at, size, get32(left.at + 4));
			skip(&left, size);
		}
	}
	return 0;
}

/* --- cpio: Linux, Documentation/driver-api/early-userspace/buffer-format.rst --- */

#define CPIO_HEADER 110u

static bool hex(const u8 *at, u64 *value)
{
	*value = 0;
	for (unsigned i = 0; i < 8; i++) {
		u8 c = at[i] | 0x20;

		if (at[i] >= '0' && at[i] <= '9')
			*value = *value << 4 | (u64)(at[i] - '0');
		else if (c >= 'a' && c <= 'f')
			*value = *value << 4 | (u64)(c - 'a' + 10);
		else
			return false;
	}
	return true;
}

static bool is_cpio(const struct remainder *span)
{
	return span->size >= CPIO_HEADER && (memcmp(span->at, "070701", 6) == 0 || memcmp(span->at, "070702", 6) == 0);
}

/* The file of this name. -ENOENT; -EINVAL. Each name and each file begins at a multiple of 4 from the first header. */
static int find_in_cpio(struct remainder left, const char *name, struct remainder *found)
{
	size_t length = strlen(name) + 1;

	while (is_cpio(&left)) {
		u64 name_size, file_size, data;

		if (!hex(left.at + 54, &file_size) || !hex(left.at + 94, &name_size))
			return -EINVAL;
		data = ALIGN_UP(CPIO_HEADER + name_size, 4);
		if (data > left.size || file_size > left.size - data)
			return -EINVAL;
		if (name_size == length && memcmp(left.at + CPIO_HEADER, name, length) == 0) {
			*found = (struct remainder){ left.at + data, file_size };
			return 0;
		}
		skip(&left, MIN(data + ALIGN_UP(file_size, 4), left.size));
	}
	return -ENOENT;
}

/* --- any of them --- */

int microcode_find(const void *file, u64 size, const struct microcode_cpu *cpu, struct microcode_update *update)
{
	struct remainder span = { file, size };
	int error;

	*update = (struct microcode_update){ 0 };
	if (is_cpio(&span)) {
		error = find_in_cpio(span, cpu->amd ? "kernel/x86/microcode/AuthenticAMD.bin" :
				     "kernel/x86/microcode/GenuineIntel.bin", &span);
		if (error)
			return error;
	}
	if (span.size < 4)
		return -EINVAL;
	/* A file of the other maker is no mistake: a boot menu entry may have both. */
	if (get32(span.at) == AMD_MAGIC)
		error = cpu->amd ? find_amd(span, cpu, update) : 0;
	else
		error = cpu->amd ? 0 : find_intel(span, cpu, update);
	if (!update->data)
		return error ? error : -ENOENT;
	return update->revision > cpu->revision ? 0 : -EEXIST;
}
