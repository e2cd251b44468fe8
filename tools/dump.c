/* SPDX-License-Identifier: MIT */
/* Words and numbers in the lines of a dump. */
#include "tools/dump.h"

#include <ctype.h>
#include <string.h>

void dump_set(struct dump *dump, size_t offset, size_t size, u64 value)
{
	if (dump->known[offset])
		return;
	for (size_t i = 0; i < size; i++) {
		dump->bytes[offset + i] = (u8)(value >> (8 * i));
		dump->known[offset + i] = true;
	}
	dump->fields++;
}

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

const char *dump_find(const char *line, const char *text)
{
	for (const char *at = line; (at = strstr(at, text)); at++)
		if (at == line || !in_word(at[-1]))
			return at + strlen(text);
	return NULL;
}

static int digit(char c, unsigned base)
{
	int value = isdigit((unsigned char)c) ? c - '0' :
		    isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10 : 16;

	return value < (int)base ? value : -1;
}

/* A whole word that is a number of at most 64 bits; *end is behind the word in any case. */
static bool number(const char *word, unsigned base, const char **end, u64 *value)
{
	const char *at = word;
	unsigned digits = 0;
	u64 sum = 0;
	bool fits = true;

	if (base == 16 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X'))
		at += 2;
	for (; digit(*at, base) >= 0; at++, digits++) {
		fits = fits && sum <= (~0ull - (unsigned)digit(*at, base)) / base;
		sum = sum * base + (unsigned)digit(*at, base);
	}
	*end = at;
	while (in_word(**end))
		(*end)++;
	*value = sum;
	return digits && fits && *end == at;
}

void dump_read_keys(struct dump *dump, const char *line, const struct dump_key *keys,
		    unsigned count)
{
	for (const struct dump_key *key = keys; key < keys + count; key++) {
		const char *at = dump_find(line, key->text);
		u64 value;

		if (!at || (key->within && !strstr(line, key->within)))
			continue;
		at += strspn(at, " ");
		if (number(at, key->base, &at, &value))
			dump_set(dump, key->offset, key->size, value);
	}
}

unsigned dump_numbers(const char *text, u64 *values, unsigned count)
{
	unsigned found = 0;

	while (*text && found < count) {
		const char *end = text;

		if (!in_word(*text)) {
			text++;
			continue;
		}
		if (number(text, 16, &end, &values[found]) && *end != ':' && *end != '=')
			found++;
		text = end;
	}
	return found;
}

void dump_read_vmcb_segments(struct dump *dump, const char *line,
			     const char *const names[VMCB_SEGMENTS])
{
	for (unsigned i = 0; i < VMCB_SEGMENTS; i++) {
		const char *at = dump_find(line, names[i]);
		size_t offset = offsetof(struct vmcb, save) + i * sizeof(struct vmcb_segment);
		u64 values[4];

		if (!at || dump_numbers(at, values, 4) != 4)
			continue;
		dump_set(dump, offset + offsetof(struct vmcb_segment, selector), 2, values[0]);
		dump_set(dump, offset + offsetof(struct vmcb_segment, attributes), 2, values[1]);
		dump_set(dump, offset + offsetof(struct vmcb_segment, limit), 4, values[2]);
		dump_set(dump, offset + offsetof(struct vmcb_segment, base), 8, values[3]);
	}
}
