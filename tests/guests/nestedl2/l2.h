/* SPDX-License-Identifier: MIT */
/* The parts of this guest, and the form of an L2's code. */
#pragma once

#include "vmx.h"

#define NAKED __attribute__((naked)) static void

/* Run from the code's begin to the next exit; its reason, and where RIP is from the begin. */
#define AT(code, offset) ((ulong)(code) + (offset))

void exits_by_controls(void);	/* exits.c */
void events(void);		/* events.c */
void failing_entries(void);	/* failures.c */
void memory(void);		/* memory.c */
void mutate(u32 count, u32 seed);	/* mutate.c */
void inits(u32 count);		/* inits.c */
void race(u32 inits);		/* race.c */
