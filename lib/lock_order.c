/* SPDX-License-Identifier: MIT */
/* The check of the order in which locks are taken. */
#include "lib/lock_order.h"

#define CPUS 256

static const struct lock_order_hooks *hooks;
static u32 held[CPUS];	/* each CPU its own: BIT(rank) of the locks that it holds */

void lock_order_set_hooks(const struct lock_order_hooks *new_hooks)
{
	hooks = new_hooks;
}

void lock_order_take(unsigned rank)
{
	u32 *mine;

	if (!hooks || !rank)
		return;
	mine = &held[hooks->cpu()];
	if (*mine >> rank)
		hooks->violated(31 - (unsigned)__builtin_clz(*mine), rank);
	*mine |= BIT(rank);
}

void lock_order_release(unsigned rank)
{
	if (hooks && rank)
		held[hooks->cpu()] &= ~BIT(rank);
}
