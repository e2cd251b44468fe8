/* SPDX-License-Identifier: MIT */
/* Exits in real mode: no page tables, and code and data in segments of 64 KiB. From the flat program only. */
#include "bench.h"

#ifndef __x86_64__
/* real.asm */
enum { REAL_CPUID, REAL_CPUID_EMPTY, REAL_IN, REAL_OUT, REAL_PORT_EMPTY };
u32 real_run(u32 operation);

static u32 real_cpuid_0(ulong arg) { return real_run(REAL_CPUID); }
static u32 real_cpuid_0_empty(ulong arg) { return real_run(REAL_CPUID_EMPTY); }
static u32 real_in_uart_lsr(ulong arg) { return real_run(REAL_IN); }
static u32 real_in_uart_lsr_empty(ulong arg) { return real_run(REAL_PORT_EMPTY); }
static u32 real_out_unclaimed(ulong arg) { return real_run(REAL_OUT); }
static u32 real_out_unclaimed_empty(ulong arg) { return real_run(REAL_PORT_EMPTY); }
#endif

void bench_real(void)
{
#ifndef __x86_64__
	static const struct bench list[] = {
		{ OP(real_cpuid_0), .count = 32 },
		{ OP(real_in_uart_lsr), .count = 32 },
		{ OP(real_out_unclaimed), .count = 32 },
	};

	RUN(list);
#endif
}
