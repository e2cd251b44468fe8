/* SPDX-License-Identifier: MIT */
/* A set of the host's CPUs, as a user writes it. */
#include "lib/cpu_set.h"

#include "lib/errno.h"
#include "lib/keyval.h"

/* Split off what is in front of the character; all of it if there is none. */
static struct str_view before(struct str_view *rest, char separator)
{
	struct str_view part = *rest;

	part.len = 0;
	while (part.len < rest->len && rest->ptr[part.len] != separator)
		part.len++;
	rest->ptr += part.len;
	rest->len -= part.len;
	return part;
}

static int add_range(struct cpu_set *set, struct str_view range)
{
	struct str_view first_text = before(&range, '-');
	u64 first, last;

	if (parse_u64_view(first_text, &first))
		return -EINVAL;
	last = first;
	if (range.len) {
		range.ptr++;
		range.len--;
		if (parse_u64_view(range, &last))
			return -EINVAL;
	}
	if (last < first || last >= CPU_SET_SIZE)
		return -EINVAL;
	for (; first <= last; first++)
		cpu_set_add(set, (u32)first);
	return 0;
}

int cpu_set_parse(struct str_view text, struct cpu_set *set)
{
	*set = (struct cpu_set){ 0 };
	for (;;) {
		struct str_view range = before(&text, ',');

		if (add_range(set, range))
			return -EINVAL;
		if (!text.len)
			return 0;
		text.ptr++;
		text.len--;
	}
}
