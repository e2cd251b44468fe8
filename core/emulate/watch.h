/* SPDX-License-Identifier: MIT */
/*
 * Breakpoints on data and ports that the guest has set in DR0 to DR3, for accesses that Lamina carries out in place
 * of the processor. Intel SDM, "Breakpoint Field Recognition", "Data Memory and I/O Breakpoint Exception
 * Conditions": #DB after the instruction, or after the iteration of a repeated one.
 */
#pragma once

#include "core/vcpu.h"
#include "lib/types.h"

/* Before the first access of an instruction. */
void watch_begin(struct vcpu *vcpu);
/* After the instruction: raise #DB if an access since watch_begin() has hit a breakpoint and nothing faulted. */
void watch_end(struct vcpu *vcpu);

void watch_memory_slow(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access);
void watch_port_slow(struct vcpu *vcpu, u16 port, unsigned size);

/* `access`: PF_WRITE, or 0 for a read; other bits mean nothing. */
static inline void watch_memory(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access)
{
	if (unlikely(vcpu->watch.dr7))
		watch_memory_slow(vcpu, gva, size, access);
}

static inline void watch_port(struct vcpu *vcpu, u16 port, unsigned size)
{
	if (unlikely(vcpu->watch.dr7))
		watch_port_slow(vcpu, port, size);
}

/* exit_io() while a breakpoint is enabled: DR7_ENABLED. */
void exit_io_watched(struct vcpu *vcpu, u16 port, unsigned size, bool in);
