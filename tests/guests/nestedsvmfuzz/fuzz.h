/* SPDX-License-Identifier: MIT */
/* What the two parts of this guest share. */
#pragma once
#include "svm.h"

#define AREA 0x800000ul		/* the guest's memory: 2 MiB */

/* main.c. On the CPU that is the hypervisor. */
u32 random32(void);
u64 random_value(u64 old);
void timer_on(void);
void one_round(void);
void good_round(u32 cpu);

/* race.c */
void race(u32 resets);
