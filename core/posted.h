/* SPDX-License-Identifier: MIT */
/*
 * Interrupts that other CPUs send to a vCPU. Intel SDM, "Posted-Interrupt Processing": software and, where it
 * is used, hardware post in the same structure.
 *
 * Whoever posts sets the vector's request bit and then ON. The vCPU's home CPU clears ON and then takes the
 * request bits: a bit that is set later sets ON again.
 */
#pragma once

#include "lib/types.h"

#define POSTED_WORDS 4

#define POSTED_OUTSTANDING BIT(0)	/* ON: request bits were set since the home CPU looked */
#define POSTED_SUPPRESS	   BIT(1)	/* SN: hardware sends no notification */

/* All members are atomic. */
struct posted_interrupts {
	u64 requests[POSTED_WORDS];	/* PIR: bit n % 64 of word n / 64 is vector n */
	u32 control;			/* ON, SN; bits 16-23: the notification vector NV */
	u32 destination;		/* NDST: the APIC id that is notified */
	u64 reserved[3];
} __aligned(64);
_Static_assert(offsetof(struct posted_interrupts, control) * 8 == 256, "SDM: Format of Posted-Interrupt Descriptor");
_Static_assert(offsetof(struct posted_interrupts, destination) * 8 == 288, "SDM: NDST");
_Static_assert(sizeof(struct posted_interrupts) == 64, "SDM: 64 bytes");

/* Any CPU. True: nothing was outstanding, so the home CPU has to be notified. */
static inline bool posted_add(struct posted_interrupts *posted, u8 vector)
{
	__atomic_fetch_or(&posted->requests[vector / 64], BIT_ULL(vector % 64), __ATOMIC_SEQ_CST);
	return !(__atomic_fetch_or(&posted->control, POSTED_OUTSTANDING, __ATOMIC_SEQ_CST) & POSTED_OUTSTANDING);
}

static inline bool posted_outstanding(const struct posted_interrupts *posted)
{
	return __atomic_load_n(&posted->control, __ATOMIC_ACQUIRE) & POSTED_OUTSTANDING;
}

/* Is the vector posted, and not taken yet? Any CPU. */
static inline bool posted_has(const struct posted_interrupts *posted, u8 vector)
{
	return READ_ONCE(posted->requests[vector / 64]) >> (vector % 64) & 1;
}

/* Home CPU: before it takes the words of request bits, each by posted_take_word(). */
static inline void posted_begin_taking(struct posted_interrupts *posted)
{
	__atomic_fetch_and(&posted->control, ~POSTED_OUTSTANDING, __ATOMIC_SEQ_CST);
}

static inline u64 posted_take_word(struct posted_interrupts *posted, unsigned word)
{
	return READ_ONCE(posted->requests[word]) ? __atomic_exchange_n(&posted->requests[word], 0, __ATOMIC_SEQ_CST) : 0;
}
