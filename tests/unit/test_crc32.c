/* SPDX-License-Identifier: MIT */
/* CRC-32 against its definition, bit by bit, for sizes around those at which whole words are divided. */
/* link: lib/crc32.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/crc32.h"
#include "lib/string.h"

#define BLOCK 2400u	/* 300 words */
#define LONGEST (5 * BLOCK)

/* IEEE 802.3: the polynomial with the bit of the highest power first, which in each byte is the lowest. */
static u32 slow(u32 crc, const u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size * 8; i++) {
		u32 bit = (crc ^ (u32)bytes[i / 8] >> i % 8) & 1;

		crc = crc >> 1 ^ (bit ? 0xedb88320 : 0);
	}
	return crc;
}

static u8 *random_bytes(size_t size)
{
	u8 *bytes = malloc(size);
	u32 state = 12345;

	assert_non_null(bytes);
	for (size_t i = 0; i < size; i++) {
		state = state * 1103515245 + 12345;
		bytes[i] = (u8)(state >> 16);
	}
	return bytes;
}

/* The customary check value, which is inverted at the end. */
static void test_the_check_value(void **state)
{
	assert_int_equal(~crc32_update(UINT32_MAX, "123456789", 9), 0xcbf43926);
}

static void test_each_size_around_whole_blocks(void **state)
{
	u8 *bytes = random_bytes(LONGEST + 16);

	for (size_t blocks = 0; blocks < 5; blocks++) {
		for (size_t size = blocks ? blocks * BLOCK - 9 : 0; size <= blocks * BLOCK + 9; size++) {
			assert_int_equal(crc32_update(UINT32_MAX, bytes, size), slow(UINT32_MAX, bytes, size));
			/* At an address of any alignment, after something else. */
			assert_int_equal(crc32_update(0x12345678, bytes + size % 8, size),
					 slow(0x12345678, bytes + size % 8, size));
		}
	}
	free(bytes);
}

static void test_each_byte_counts(void **state)
{
	u8 *bytes = random_bytes(LONGEST);
	u32 crc = crc32_update(UINT32_MAX, bytes, LONGEST);

	for (size_t at = 0; at < LONGEST; at++) {
		bytes[at] ^= 0x40;
		assert_int_not_equal(crc32_update(UINT32_MAX, bytes, LONGEST), crc);
		bytes[at] ^= 0x40;
	}
	free(bytes);
}

static void test_in_parts(void **state)
{
	u8 *bytes = random_bytes(LONGEST);
	u32 crc = slow(UINT32_MAX, bytes, LONGEST);

	for (size_t part = 0; part <= LONGEST; part += 1201)
		assert_int_equal(crc32_update(crc32_update(UINT32_MAX, bytes, part), bytes + part, LONGEST - part), crc);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_check_value),
		cmocka_unit_test(test_each_size_around_whole_blocks),
		cmocka_unit_test(test_each_byte_counts),
		cmocka_unit_test(test_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
