/* SPDX-License-Identifier: MIT */
/*
 * The processor's privileged registers. The build host refuses RDMSR, WRMSR, MOV to and from control and
 * debug registers, XSETBV and VMSAVE with a signal, whose handler carries them out on these registers and
 * notes what was written: the product's instructions run as they are. Link: tests/unit/fake_cpu.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/types.h"

enum fake_write { FAKE_WRMSR, FAKE_CR, FAKE_DR, FAKE_XSETBV, FAKE_VMSAVE };

struct fake_msr {
	u32 number;
	bool write_faults;	/* WRMSR raises #GP */
	u64 value, ignored;	/* bits that WRMSR leaves alone */
};

struct fake_cpu {
	u64 cr[9], dr[8];
	struct fake_msr msrs[8];
	unsigned msr_count;

	/* Each write, in order. */
	struct {
		enum fake_write kind;
		u32 number;	/* of the MSR or register */
		u64 value;	/* VMSAVE: the physical address */
	} writes[32];
	unsigned write_count;
};

extern struct fake_cpu fake_cpu;

/* All zero. In a test, not in its set-up: cmocka takes over the signals in between. */
void fake_cpu_power_on(void);
/* The MSR of this number; a new one is 0. */
struct fake_msr *fake_msr(u32 number);
/* Each write since power-on or the last call was this one, and there was one at least. Forgets them. */
void fake_cpu_expect_only(enum fake_write kind, u32 number, u64 value);

/* An entry of cmocka's table: the test runs on this processor, powered on. */
void fake_cpu_run_test(void **state);
#define fake_cpu_test_setup(test, set_up) { #test, fake_cpu_run_test, set_up, NULL, (void *)(test) }
