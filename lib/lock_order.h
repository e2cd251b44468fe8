/* SPDX-License-Identifier: MIT */
/* The check of the order in which locks are taken. In a debug build; otherwise nothing calls it. */
#pragma once

#include "lib/types.h"

struct lock_order_hooks {
	u32 (*cpu)(void);	/* index of the running CPU */
	/* A lock of rank `taken` was taken while one of rank `held` is held. */
	void (*violated)(unsigned held, unsigned taken);
};

/* Set once, early in start-up. Before that nothing is checked. */
void lock_order_set_hooks(const struct lock_order_hooks *hooks);

/* For lib/spinlock.h: the running CPU has got a lock of this rank (0: unranked), or releases it. */
void lock_order_take(unsigned rank);
void lock_order_release(unsigned rank);
