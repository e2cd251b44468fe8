/* SPDX-License-Identifier: MIT */
/* Memory and string functions with their C library contracts, and bounded extras. */
#pragma once

#include "lib/types.h"

#ifdef LAMINA_HOST_TEST
#include <string.h> /* the sanitizers watch the C library's; test_string.c tests ours */
#else
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
#endif

/*
 * memcpy() and memset() to 0 for large sizes: eight bytes a step, where a string instruction takes them one by one.
 * The C library's in host tests.
 */
static inline void copy_large(void *to, const void *from, u64 size)
{
#ifdef LAMINA_HOST_TEST
	memcpy(to, from, size);
#else
	u64 words = size / 8, rest = size % 8;

	__asm__ volatile("rep movsq\n\t"
			 "mov %3, %2\n\t"
			 "rep movsb"
			 : "+&D"(to), "+&S"(from), "+&c"(words) : "r"(rest) : "memory");
#endif
}

static inline void clear_large(void *to, u64 size)
{
#ifdef LAMINA_HOST_TEST
	memset(to, 0, size);
#else
	u64 words = size / 8, rest = size % 8;

	__asm__ volatile("rep stosq\n\t"
			 "mov %2, %1\n\t"
			 "rep stosb"
			 : "+&D"(to), "+&c"(words) : "r"(rest), "a"(0) : "memory");
#endif
}

/* The sum of all bytes, modulo 256: 0 for a firmware table whose checksum byte is right. */
static inline u8 byte_sum(const void *data, size_t size)
{
	const u8 *bytes = data;
	u8 sum = 0;

	while (size--)
		sum += *bytes++;
	return sum;
}

/* Copy at most size-1 characters and always terminate, unless size is 0. false: the text was cut. */
bool str_copy(char *to, const char *from, size_t size);

/* A part of a longer text: not terminated, and owned by the owner of that text. */
struct str_view {
	const char *ptr;
	size_t len;
};

struct str_view str_view_of(const char *s);
bool str_view_equals(struct str_view view, const char *s);

/* As str_copy(). */
bool str_view_copy(char *to, struct str_view from, size_t size);

/*
 * Parse a whole string as an unsigned number: decimal, or hexadecimal after 0x. 0; -EINVAL: the string
 * is not a number; -ERANGE: the number needs more than 64 bits. *value changes on success only.
 */
int parse_u64(const char *s, u64 *value);
int parse_u64_view(struct str_view text, u64 *value);

/* As parse_u64, with an optional suffix K, M, G or T (powers of 1024, either case). Bytes. */
int parse_size(const char *s, u64 *bytes);
int parse_size_view(struct str_view text, u64 *bytes);
