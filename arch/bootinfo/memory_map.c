/* SPDX-License-Identifier: MIT */
/* A sorted memory map of bounded size. */
#include "arch/bootinfo/memory_map.h"

#include "arch/bootinfo/bootinfo.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/string.h"

static u64 left_out;		/* bytes of RAM */
static unsigned joined;		/* pairs of pieces that are not usable */

static hpa_t end_of(const struct boot_memory *piece)
{
	return piece->start + piece->size;
}

static bool is_usable(const struct boot_memory *piece)
{
	return piece->type == MULTIBOOT_MEMORY_AVAILABLE;
}

static void remove(unsigned index)
{
	struct boot_memory *piece = &boot_info.memory[index];

	boot_info.memory_pieces--;
	memmove(piece, piece + 1, (boot_info.memory_pieces - index) * sizeof(*piece));
}

static void insert(const struct boot_memory *piece)
{
	unsigned at = boot_info.memory_pieces;
	struct boot_memory *place;

	while (at > 0 && boot_info.memory[at - 1].start > piece->start)
		at--;
	place = &boot_info.memory[at];
	memmove(place + 1, place, (boot_info.memory_pieces - at) * sizeof(*place));
	*place = *piece;
	boot_info.memory_pieces++;
}

/* Take all pieces of the same type that overlap or touch this one out of the map and into it. */
static void absorb_neighbours(struct boot_memory *piece)
{
	for (unsigned i = 0; i < boot_info.memory_pieces && piece->size; i++) {
		const struct boot_memory *other = &boot_info.memory[i];
		hpa_t start = MIN(piece->start, other->start), end = MAX(end_of(piece), end_of(other));

		if (other->type != piece->type || !other->size || other->start > end_of(piece) ||
		    piece->start > end_of(other))
			continue;
		piece->start = start;
		piece->size = end - start;
		remove(i);
		i = ~0u;	/* the larger piece may touch those before */
	}
}

/* Leave out an empty piece, or the smallest usable one. */
static bool leave_out(bool usable)
{
	unsigned smallest = BOOT_MAX_MEMORY + 1;

	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *piece = &boot_info.memory[i];

		if ((usable ? is_usable(piece) : !piece->size) &&
		    (smallest > BOOT_MAX_MEMORY || piece->size < boot_info.memory[smallest].size))
			smallest = i;
	}
	if (smallest > BOOT_MAX_MEMORY)
		return false;
	left_out += boot_info.memory[smallest].size;
	remove(smallest);
	return true;
}

/* Join the two closest pieces that are not usable and have no usable memory between them. */
static bool join(void)
{
	unsigned before = 0, first = 0, second = 0;
	hpa_t usable_end = 0, end = 0;
	u64 least = ~0ull;
	bool any = false;

	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *piece = &boot_info.memory[i];
		u64 gap = any && piece->start > end ? piece->start - end : 0;

		if (is_usable(piece)) {
			usable_end = MAX(usable_end, end_of(piece));
			continue;
		}
		/* The pieces before this one start before it: of the usable ones, does any reach beyond the gap's start? */
		if (any && (!gap || usable_end <= end) && gap < least) {
			least = gap;
			first = before;
			second = i;
		}
		if (!any || end_of(piece) > end) {
			before = i;
			end = end_of(piece);
		}
		any = true;
	}
	if (first == second)
		return false;
	if (boot_info.memory[first].type != boot_info.memory[second].type)
		boot_info.memory[first].type = MULTIBOOT_MEMORY_RESERVED;
	end = MAX(end_of(&boot_info.memory[first]), end_of(&boot_info.memory[second]));
	boot_info.memory[first].size = end - boot_info.memory[first].start;
	remove(second);
	joined++;
	return true;
}

void boot_memory_add(hpa_t start, u64 size, u32 type)
{
	struct boot_memory piece = { start, MIN(size, ~0ull - start), type };

	absorb_neighbours(&piece);
	insert(&piece);
	if (boot_info.memory_pieces > BOOT_MAX_MEMORY && !leave_out(false) && !join())
		leave_out(true);
}

void boot_memory_report(void)
{
	if (left_out || joined)
		log_warn("boot loader: more than %d pieces of memory: %llu KiB of RAM, the smallest pieces, stay unused, and %u "
			 "gaps count as reserved", BOOT_MAX_MEMORY, (ull)left_out >> 10, joined);
	left_out = joined = 0;
}
