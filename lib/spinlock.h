/* SPDX-License-Identifier: MIT */
/*
 * A ticket spinlock: CPUs get it in the order in which they asked for it.
 *
 * It does not touch the interrupt flag. A lock that an interrupt handler takes must be taken with
 * interrupts off everywhere else; an NMI, #MC or exception handler takes no lock at all.
 *
 * Locks are taken in the order of enum lock_rank, and of each rank only one. A debug build (make DEBUG=1) checks
 * that at run time: lib/lock_order.h.
 */
#pragma once

#include "lib/lock_order.h"
#include "lib/types.h"

enum lock_rank {
	LOCK_UNRANKED,		/* not checked */
	LOCK_PCI,		/* configuration space */
	LOCK_DEVICE,		/* of a virtio device */
	LOCK_VM,
	LOCK_MSIX,
	LOCK_VM_SIGNAL,
	LOCK_VM_MEMORY,
	LOCK_VM_ONCE,
	LOCK_NET_PORT,
	LOCK_DISK,
	LOCK_NATIVE,
	LOCK_MEMORY,
	LOCK_POOL,
};

struct spinlock {
	u16 next;   /* ticket for the next CPU that asks */
	u16 served; /* ticket of the CPU that holds the lock, or may take it */
	u8 rank;    /* constant: enum lock_rank */
};

#define SPINLOCK_INIT(lock_rank) { .rank = (lock_rank) }

#ifdef LAMINA_DEBUG
#define LOCK_ORDER_IS_CHECKED 1
#else
#define LOCK_ORDER_IS_CHECKED 0
#endif

static inline void spin_lock(struct spinlock *lock)
{
	u16 ticket = __atomic_fetch_add(&lock->next, 1, __ATOMIC_RELAXED);

	while (unlikely(__atomic_load_n(&lock->served, __ATOMIC_ACQUIRE) != ticket))
		__builtin_ia32_pause();
	if (LOCK_ORDER_IS_CHECKED)
		lock_order_take(lock->rank);
}

static inline void spin_unlock(struct spinlock *lock)
{
	if (LOCK_ORDER_IS_CHECKED)
		lock_order_release(lock->rank);
	/* Only the holder writes it, so it needs no LOCK. A store by x86 is a release: all before it is visible first. */
#ifdef __SANITIZE_THREAD__		/* which does not see what assembly code does */
	__atomic_store_n(&lock->served, (u16)(lock->served + 1), __ATOMIC_RELEASE);
#else
	__asm__ volatile("incw %0" : "+m"(lock->served) : : "memory", "cc");
#endif
}
