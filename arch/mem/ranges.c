/* SPDX-License-Identifier: MIT */
/* Sets of physical addresses. */
#include "arch/mem/ranges.h"

#include "lib/errno.h"
#include "lib/string.h"

static hpa_t end_of(const struct phys_range *range)
{
	return range->start + range->size;
}

/* Replace `old` entries from index `at` on by `new` ones, whose contents the caller fills in. */
static int resize(struct ranges *ranges, unsigned at, unsigned old, unsigned new)
{
	if (ranges->count - old + new > RANGES_MAX)
		return -ENOSPC;
	memmove(&ranges->range[at + new], &ranges->range[at + old],
		(ranges->count - at - old) * sizeof(ranges->range[0]));
	ranges->count += new - old;
	return 0;
}

int ranges_add(struct ranges *ranges, hpa_t start, u64 size)
{
	hpa_t end = start + size;
	unsigned first = 0, last;
	int err;

	if (size == 0 || end < start)
		return 0;
	while (first < ranges->count && end_of(&ranges->range[first]) < start)
		first++;
	for (last = first; last < ranges->count && ranges->range[last].start <= end; last++) {
		start = MIN(start, ranges->range[last].start);
		end = MAX(end, end_of(&ranges->range[last]));
	}
	err = resize(ranges, first, last - first, 1);
	if (!err)
		ranges->range[first] = (struct phys_range) { start, end - start };
	return err;
}

int ranges_remove(struct ranges *ranges, hpa_t start, u64 size)
{
	hpa_t end = start + size < start ? ~0ull : start + size;
	struct phys_range rest[2];
	unsigned first = 0, last, pieces = 0;
	int err;

	if (size == 0)
		return 0;
	while (first < ranges->count && end_of(&ranges->range[first]) <= start)
		first++;
	for (last = first; last < ranges->count && ranges->range[last].start < end; last++) {
		struct phys_range *hit = &ranges->range[last];

		if (hit->start < start)
			rest[pieces++] = (struct phys_range) { hit->start, start - hit->start };
		if (end_of(hit) > end)
			rest[pieces++] = (struct phys_range) { end, end_of(hit) - end };
	}
	err = resize(ranges, first, last - first, pieces);
	if (!err)
		memcpy(&ranges->range[first], rest, pieces * sizeof(rest[0]));
	return err;
}

bool ranges_cover(const struct ranges *ranges, hpa_t start, u64 size)
{
	for (unsigned i = 0; i < ranges->count; i++) {
		const struct phys_range *range = &ranges->range[i];

		if (range->start <= start && start - range->start < range->size)
			return size <= range->size - (start - range->start);
	}
	return size == 0;
}

bool ranges_touch(const struct ranges *ranges, hpa_t start, u64 size)
{
	for (unsigned i = 0; i < ranges->count; i++) {
		const struct phys_range *range = &ranges->range[i];

		if (size && range->start < start + size && start < end_of(range))
			return true;
	}
	return false;
}

u64 ranges_total(const struct ranges *ranges)
{
	u64 total = 0;

	for (unsigned i = 0; i < ranges->count; i++)
		total += ranges->range[i].size;
	return total;
}
