/* SPDX-License-Identifier: MIT */
/*
 * A CRC is the remainder of a division by the polynomial G. Any multiple of G may divide first: what it leaves has the
 * same remainder. In this one all exponents are multiples of 64, so that the division takes whole words:
 *
 *	x^(64*300) + x^(64*155) + x^(64*117) + x^(64*89) + 1
 *
 * A word of the quotient is a word of the data, to which the four words of the quotient are added (XOR) that lie as
 * many words before it as the exponents are below the highest. What is left of it are 300 words. They are taken by bytes.
 */
#include "lib/crc32.h"

#include "lib/string.h"

#define POLYNOMIAL 0xedb88320u	/* the lowest bit is that of the highest power */
#define WORDS	   300
#define BLOCK	   (WORDS * sizeof(u64))

static void fill_table(u32 table[256])
{
	for (u32 byte = 0; byte < 256; byte++) {
		u32 crc = byte;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[byte] = crc;
	}
}

static u32 add_bytes(const u32 table[256], u32 crc, const u8 *bytes, u64 size)
{
	for (u64 at = 0; at < size; at++)
		crc = crc >> 8 ^ table[(crc ^ bytes[at]) & 0xff];
	return crc;
}

/* A word of the data, and the words of the quotient that are added to it. */
static inline u64 add_quotient(const u8 *data, const u64 *at)
{
	u64 word;

	__builtin_memcpy(&word, data, sizeof(word));
	return word ^ at[155 - WORDS] ^ at[117 - WORDS] ^ at[89 - WORDS] ^ at[-WORDS];
}

/* The CRC of whole blocks. What was before them is as good as added to their first bytes. */
static u32 add_blocks(const u32 table[256], u32 crc, const u8 *data, u64 blocks)
{
	u64 words[2 * WORDS] = { 0 }, *const quotient = words + WORDS;	/* of the block before, and of this one */
	u64 before = crc, rest;

	crc = 0;
	for (; blocks > 1; blocks--, data += BLOCK, before = 0) {
		quotient[0] = add_quotient(data, quotient) ^ before;
#pragma GCC unroll 4
		for (unsigned i = 1; i < WORDS; i++)
			quotient[i] = add_quotient(data + i * sizeof(u64), quotient + i);
		copy_large(words, quotient, BLOCK);
	}
	memset(quotient, 0, BLOCK);
	for (unsigned i = 0; i < WORDS; i++, before = 0) {
		rest = add_quotient(data + i * sizeof(u64), quotient + i) ^ before;
		crc = add_bytes(table, crc, (const u8 *)&rest, sizeof(rest));
	}
	return crc;
}

u32 crc32_update(u32 crc, const void *data, u64 size)
{
	u64 blocks = size / BLOCK;
	u32 table[256];

	fill_table(table);
	if (blocks)
		crc = add_blocks(table, crc, data, blocks);
	return add_bytes(table, crc, (const u8 *)data + blocks * BLOCK, size % BLOCK);
}
