/* SPDX-License-Identifier: MIT */
/* Memory and string functions. The string instructions are fast enough for what Lamina moves. */
#include "lib/string.h"

#include "lib/errno.h"

#ifndef LAMINA_HOST_TEST

void *memcpy(void *to, const void *from, size_t n)
{
	void *start = to;

	asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	return start;
}

void *memmove(void *to, const void *from, size_t n)
{
	const char *last_from = (const char *)from + n - 1;
	char *last_to = (char *)to + n - 1;

	/* The difference is unsigned, so this is true for every destination below the source too. */
	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	asm volatile("std; rep movsb; cld"
		     : "+D"(last_to), "+S"(last_from), "+c"(n) : : "memory", "cc");
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	void *start = to;

	asm volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(byte) : "memory");
	return start;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n])
		n++;
	return n;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b || !*a)
			return (u8)*a - (u8)*b;
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (; *s != (char)c; s++) {
		if (!*s)
			return NULL;
	}
	return (char *)s;
}

#endif

bool str_copy(char *to, const char *from, size_t size)
{
	return str_view_copy(to, (struct str_view){ from, strnlen(from, size) }, size);
}

struct str_view str_view_of(const char *s)
{
	return (struct str_view){ s, strlen(s) };
}

bool str_view_equals(struct str_view view, const char *s)
{
	return strlen(s) == view.len && memcmp(view.ptr, s, view.len) == 0;
}

bool str_view_copy(char *to, struct str_view from, size_t size)
{
	size_t n;

	if (!size)
		return false;
	n = MIN(from.len, size - 1);
	memcpy(to, from.ptr, n);
	to[n] = '\0';
	return n == from.len;
}

static unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

/* Parse the number at the beginning of *text and remove it from *text. */
static int parse_digits(struct str_view *text, u64 *value)
{
	const char *p = text->ptr, *end = p + text->len, *first;
	unsigned int base = 10;
	bool overflow = false;

	if (text->len > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
		base = 16;
		p += 2;
	}
	*value = 0;
	for (first = p; p < end && digit_value(*p) < base; p++) {
		overflow |= __builtin_mul_overflow(*value, base, value);
		overflow |= __builtin_add_overflow(*value, digit_value(*p), value);
	}
	if (p == first)
		return -EINVAL;
	*text = (struct str_view){ p, (size_t)(end - p) };
	return overflow ? -ERANGE : 0;
}

int parse_u64_view(struct str_view text, u64 *value)
{
	u64 number;
	int err = parse_digits(&text, &number);

	if (err == -EINVAL || text.len)
		return -EINVAL;
	if (!err)
		*value = number;
	return err;
}

int parse_u64(const char *s, u64 *value)
{
	return parse_u64_view(str_view_of(s), value);
}

static unsigned int suffix_shift(char c)
{
	switch (c) {
	case 'k': case 'K': return 10;
	case 'm': case 'M': return 20;
	case 'g': case 'G': return 30;
	case 't': case 'T': return 40;
	default: return 0;
	}
}

int parse_size_view(struct str_view text, u64 *bytes)
{
	unsigned int shift;
	u64 number;
	int err = parse_digits(&text, &number);

	if (err == -EINVAL)
		return err;
	shift = text.len ? suffix_shift(text.ptr[0]) : 0;
	if (text.len != (shift ? 1 : 0))
		return -EINVAL;
	if (err || number > UINT64_MAX >> shift)
		return -ERANGE;
	*bytes = number << shift;
	return 0;
}

int parse_size(const char *s, u64 *bytes)
{
	return parse_size_view(str_view_of(s), bytes);
}
