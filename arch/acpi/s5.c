/* SPDX-License-Identifier: MIT */
/* A search for the bytes of one AML object. */
#include "arch/acpi/s5.h"

#include "lib/errno.h"
#include "lib/string.h"

enum {	/* AML opcodes */
	ZERO_OP = 0x00, ONE_OP = 0x01, NAME_OP = 0x08, BYTE_PREFIX = 0x0a, WORD_PREFIX = 0x0b,
	DWORD_PREFIX = 0x0c, PACKAGE_OP = 0x12, ROOT_CHAR = '\\',
};

struct cursor {
	const u8 *at, *end;
};

static int next_byte(struct cursor *c)
{
	return c->at < c->end ? *c->at++ : -EINVAL;
}

/* The low byte of an integer constant: a sleep type has no bits above it. */
static int next_integer(struct cursor *c)
{
	int op = next_byte(c), value;
	unsigned skip;

	switch (op) {
	case ZERO_OP:
	case ONE_OP:
		return op;
	case BYTE_PREFIX:
		skip = 0;
		break;
	case WORD_PREFIX:
		skip = 1;
		break;
	case DWORD_PREFIX:
		skip = 3;
		break;
	default:
		return -EINVAL;
	}
	value = next_byte(c);
	while (skip-- && value >= 0)
		if (next_byte(c) < 0)
			return -EINVAL;
	return value;
}

/* What follows the name: PackageOp PkgLength NumElements, then the numbers. */
static int parse_package(struct cursor c, u8 *type_a, u8 *type_b)
{
	int lead, a, b;

	if (next_byte(&c) != PACKAGE_OP)
		return -EINVAL;
	lead = next_byte(&c);
	if (lead < 0)
		return lead;
	for (int more = lead >> 6; more > 0; more--)
		next_byte(&c);
	next_byte(&c);			/* NumElements */
	a = next_integer(&c);
	b = next_integer(&c);
	if (a < 0)
		return a;
	*type_a = a & 7;
	*type_b = b < 0 ? *type_a : b & 7;
	return 0;
}

int acpi_find_s5(const u8 *aml, size_t size, u8 *type_a, u8 *type_b)
{
	for (size_t i = 1; i + 4 <= size; i++) {
		bool named = aml[i - 1] == NAME_OP ||
			     (i >= 2 && aml[i - 1] == ROOT_CHAR && aml[i - 2] == NAME_OP);

		if (!named || memcmp(aml + i, "_S5_", 4) != 0)
			continue;
		if (parse_package((struct cursor) { aml + i + 4, aml + size }, type_a, type_b) == 0)
			return 0;
	}
	return -ENOENT;
}
