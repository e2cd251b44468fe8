/* SPDX-License-Identifier: MIT */
/* The search of the exception table. */
#include "arch/fault/extable.h"

/* linker.ld */
extern const struct extable_entry extable_start[], extable_end[];

u64 extable_find(u64 rip)
{
	for (const struct extable_entry *e = extable_start; e < extable_end; e++)
		if (e->from == rip)
			return e->to;
	return 0;
}
