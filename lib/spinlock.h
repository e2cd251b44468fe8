/* SPDX-License-Identifier: MIT */
/*
 * A ticket spinlock: CPUs get it in the order in which they asked for it.
 *
 * It does not touch the interrupt flag. A lock that an interrupt handler takes must be taken with
 * interrupts off everywhere else; an NMI, #MC or exception handler takes no lock at all.
 */
#pragma once

#include "lib/types.h"

struct spinlock {
	u16 next;   /* ticket for the next CPU that asks */
	u16 served; /* ticket of the CPU that holds the lock, or may take it */
};

#define SPINLOCK_INIT { 0, 0 }

static inline void spin_lock(struct spinlock *lock)
{
	u16 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket)
		__builtin_ia32_pause();
}

static inline void spin_unlock(struct spinlock *lock)
{
	u16 ticket = __atomic_load_n(&lock->served, __ATOMIC_RELAXED);

	__atomic_store_n(&lock->served, (u16)(ticket + 1), __ATOMIC_RELEASE);
}
