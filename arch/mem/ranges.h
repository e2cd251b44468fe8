/* SPDX-License-Identifier: MIT */
/* A set of physical addresses as a sorted list of ranges that neither touch nor overlap. */
#pragma once

#include "arch/mem/memory.h"

#define RANGES_MAX 2048

struct ranges {
	unsigned count;
	struct phys_range range[RANGES_MAX];
};

/* Add or remove a range of `size` bytes. -ENOSPC if the list is full: then the set is unchanged. */
int ranges_add(struct ranges *ranges, hpa_t start, u64 size);
int ranges_remove(struct ranges *ranges, hpa_t start, u64 size);
/* Does the set hold all of [start, start + size), or any of it? */
bool ranges_cover(const struct ranges *ranges, hpa_t start, u64 size);
bool ranges_touch(const struct ranges *ranges, hpa_t start, u64 size);
u64 ranges_total(const struct ranges *ranges);
