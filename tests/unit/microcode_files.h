/* SPDX-License-Identifier: MIT */
/*
 * Files with microcode updates, made up, for the unit test and the fuzzer: Intel SDM, "Microcode Update"; AMD's
 * containers; cpio of "newc" format. Needs string.h and stdio.h.
 */
#pragma once

#include "lib/types.h"

struct made_file {
	u8 *bytes;		/* owned by the caller */
	size_t size, max;
};

static inline void put32(u8 *at, u32 value)
{
	memcpy(at, &value, 4);
}

static inline u32 read32(const u8 *at)
{
	u32 value;

	memcpy(&value, at, 4);
	return value;
}

/* `size` zeroed bytes more; NULL if there is no room. */
static inline u8 *append(struct made_file *file, size_t size)
{
	u8 *at = file->bytes + file->size;

	if (size > file->max - file->size)
		return NULL;
	file->size += size;
	return memset(at, 0, size);
}

static inline u32 negative_sum(const u8 *at, size_t size)
{
	u32 sum = 0;

	for (size_t i = 0; i + 4 <= size; i += 4)
		sum += read32(at + i);
	return -sum;
}

/* With as many entries in the extended signature table; its entry i is for signature + i + 1 and platforms << 1. */
static inline u8 *add_intel(struct made_file *file, u32 signature, u32 platforms, u32 revision, u32 data, u32 entries)
{
	u32 total = 48 + data + (entries ? 20 + 12 * entries : 0);
	u8 *at = append(file, total), *table = at ? at + 48 + data : NULL;

	if (!at)
		return NULL;
	put32(at, 1);
	put32(at + 4, revision);
	put32(at + 8, 0x01022020);
	put32(at + 12, signature);
	put32(at + 20, 1);
	put32(at + 24, platforms);
	put32(at + 28, data);
	put32(at + 32, total);
	memset(at + 48, 0x5a, data);
	if (entries)
		put32(table, entries);
	/* The update without the table first: an entry's checksum is the header's for its signature and flags. */
	put32(at + 16, negative_sum(at, 48 + data));
	for (u32 i = 0; i < entries; i++) {
		u8 *entry = table + 20 + 12 * i;

		put32(entry, signature + i + 1);
		put32(entry + 4, platforms << 1);
		put32(entry + 8, read32(at + 16) + signature + platforms - (signature + i + 1) - (platforms << 1));
	}
	if (entries)
		put32(table + 4, negative_sum(table, 20 + 12 * entries));
	return at;
}

/* A container's begin: `count` processors, signature + i stands for the number 0x8010 + i. */
static inline u8 *add_amd_table(struct made_file *file, u32 signature, u32 count)
{
	u8 *at = append(file, 12 + 16 * (count + 1));

	if (!at)
		return NULL;
	put32(at, 0x00414d44);
	put32(at + 8, 16 * (count + 1));
	for (u32 i = 0; i < count; i++) {
		put32(at + 12 + 16 * i, signature + i);
		put32(at + 24 + 16 * i, 0x8010 + i);
	}
	return at;
}

static inline u8 *add_amd_patch(struct made_file *file, u32 number, u32 revision, u32 size)
{
	u8 *at = append(file, 8 + size);

	if (!at)
		return NULL;
	put32(at, 1);
	put32(at + 4, size);
	put32(at + 8, 0x01022020);
	put32(at + 12, revision);
	put32(at + 32, number);
	return at + 8;
}

static inline u8 *add_cpio(struct made_file *file, const char *name, const void *data, u32 size)
{
	u32 names = (u32)strlen(name) + 1, padded = (110 + names + 3) / 4 * 4;
	u8 *at = append(file, padded + (size + 3) / 4 * 4);
	char header[111];

	if (!at)
		return NULL;
	snprintf(header, sizeof(header), "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 1, 0x81a4, 0, 0, 1, 0,
		 size, 0, 0, 0, 0, names, 0);
	memcpy(at, header, 110);
	memcpy(at + 110, name, names);
	if (size)
		memcpy(at + padded, data, size);
	return at + padded;
}
