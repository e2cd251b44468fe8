/* SPDX-License-Identifier: MIT */
/*
 * Requests as an operating system makes them: the device's interrupt reports that one is done, and until then
 * the guest sleeps. What the guest executes itself is counted, so that the rest of a request's ticks is what
 * it costs outside of the guest.
 */
#pragma once
#include "virtio.h"

/* Ticks of the guest itself; its interrupts' end-of-interrupt writes, which are not among them. */
extern u64 inside_ticks, eoi_ticks;

/* Interrupts of that device's queue by MSI-X entry 0, with EOI by MSR where there is an x2APIC. */
void requests_init(void);
void interrupt_of(struct device *device, u16 queue);	/* before queue_init() */

/* All the guest's ticks from requests_begin() on are inside, but those of doorbells and sleep. */
void requests_begin(void);
/* The ticks outside of this guest since requests_begin(); the count of those inside, if anybody asks for it. */
u64 requests_end(void);
/* The doorbell, if the device wants one for what was made available from `old` on. Interrupts are on. */
void doorbell_if_wanted(struct queue *queue, u16 old);
/* Until the queue has a used entry, which is collected. Returns its id. */
u32 sleep_until_used(struct queue *queue, u32 *written);
