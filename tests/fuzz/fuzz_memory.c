/* SPDX-License-Identifier: MIT */
/*
 * The firmware's memory map: whatever it contains, no byte is handed out that is reserved or does not
 * exist, and none twice. The oracle is a loop over every piece of the input.
 */
/* link: arch/mem/memory.c arch/mem/ranges.c lib/string.c */
#include "tests/fuzz/fuzz.h"

#include <setjmp.h>

#include "arch/mem/memory.h"
#include "arch/fault/panic.h"
#include "arch/mem/pool.h"
#include "arch/mem/ranges.h"

#define MOST 256

static struct {
	u64 start, size;
	bool usable;
} piece[MOST];
static unsigned pieces;
static struct phys_range pool;
static jmp_buf stopped;

/* Symbols of the image, which are not used here. */
hpa_t boot_image;
const char image_start[1];

void stop(const char *format, ...) { longjmp(stopped, 1); }
void pool_init(hpa_t start, u64 size) { pool = (struct phys_range) { start, size }; }
u64 pool_bytes(void) { return pool.size; }
u64 pool_bytes_used(void) { return 0; }

/* Of [start, end): is there a byte that no usable piece has, or that a reserved one has? */
static void check_usable(u64 start, u64 end)
{
	u64 at = start;
	bool more = true;

	fuzz_assert(start < end && end <= BIT_ULL(52));
	for (unsigned i = 0; i < pieces; i++) {
		u64 last = piece[i].start + piece[i].size - 1;

		if (piece[i].usable || !piece[i].size)
			continue;
		if (last < piece[i].start)
			last = ~0ull;
		fuzz_assert(last < start || piece[i].start >= end);
	}
	while (at < end && more) {
		more = false;
		for (unsigned i = 0; i < pieces; i++) {
			u64 end_of_piece = piece[i].start + piece[i].size;

			if (end_of_piece < piece[i].start)
				end_of_piece = ~0ull;
			if (piece[i].usable && piece[i].start <= at && end_of_piece > at) {
				at = end_of_piece;
				more = true;
			}
		}
	}
	fuzz_assert(at >= end);
}

static void add(struct fuzz_input *input)
{
	u8 kind = (u8)fuzz_take(input, 1);
	u64 start = fuzz_take(input, kind & 2 ? 8 : 4), size = fuzz_take(input, kind & 4 ? 8 : 4);

	if (kind & 8)		/* often at page boundaries, and close to each other */
		start = (start & 0xff) << 20, size = (size & 0xff) << 20;
	if (kind & 16)		/* or less than a page before one of large pages */
		start = (start & ~(MIB(2) - 1)) - 0x801, size &= 0xfff;
	piece[pieces].start = start;
	piece[pieces].size = size;
	piece[pieces++].usable = kind & 1;
	if (kind & 1)
		memory_add(start, size);
	else
		memory_reserve(start, size);
}

static void hand_out(u64 size)
{
	static struct phys_range given[MOST];
	unsigned count = 0;

	while (count < MOST && guest_ram_alloc(size, &given[count]) == 0) {
		struct phys_range *g = &given[count];

		fuzz_assert(g->size && g->size <= size && g->size % MIB(2) == 0 &&
			    g->start % MIB(2) == 0);
		check_usable(g->start, g->start + g->size);
		fuzz_assert(g->start + g->size <= pool.start || pool.start + pool.size <= g->start);
		for (unsigned i = 0; i < count; i++)
			fuzz_assert(g->start + g->size <= given[i].start ||
				    given[i].start + given[i].size <= g->start);
		count++;
	}
	while (count)
		guest_ram_free(&given[--count]);
}

/* Empty arch/mem/memory.c's lists: add all memory, then allocate all of it. */
static void forget(void)
{
	struct phys_range range;

	while (guest_ram_alloc(BIT_ULL(52), &range) == 0)
		;
}

static void run(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, data + size };

	pieces = 0;
	while (input.at < input.end && pieces < MOST)
		add(&input);
	memory_init(0);
	check_usable(pool.start, pool.start + pool.size);
	fuzz_assert(pool.start % MIB(2) == 0 && pool.start + pool.size <= GIB(4));
	hand_out(MIB(16));
}

void fuzz_one(const u8 *data, size_t size)
{
	if (!setjmp(stopped))
		run(data, size);
	forget();
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	static const struct {
		u8 kind;
		u64 start, size;
	} map[] = {
		{ 7, 0, 0x9fc00 }, { 6, 0x9fc00, 0x400 }, { 7, 0x100000, 0x1fee0000 },
		{ 6, 0x1ffe0000, 0x20000 }, { 6, 0xfed1c000, 0x4000 }, { 7, 0x100000000, 0x40000000 },
		{ 6, 0xfd00000000, 0x300000000 }, { 6, 0x300123, 0x1234 }, { 22, 0x600000, 0x900 }, { 7, ~0ull - 5, 100 },
	};
	size_t size = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(map) && size + 17 <= max; i++) {
		unsigned n = (i * (which | 1)) % ARRAY_SIZE(map);

		data[size] = map[n].kind;
		memcpy(data + size + 1, &map[n].start, 8);
		memcpy(data + size + 9, &map[n].size, 8);
		size += 17;
	}
	return size;
}

void fuzz_repair(u8 *data, size_t size)
{
}
