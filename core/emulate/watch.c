/* SPDX-License-Identifier: MIT */
/* Breakpoints on data and ports, for accesses that Lamina carries out. */
#include "core/emulate/watch.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/exit.h"

/* Of breakpoint n in DR7: when, and how many bytes less 1. SDM, "Debug Control Register (DR7)". */
enum { WHEN_EXECUTED, WHEN_WRITTEN, WHEN_IO, WHEN_ACCESSED };
#define WHEN(dr7, n)	((dr7) >> (16 + 4 * (n)) & 3)
#define LENGTH(dr7, n)	((dr7) >> (18 + 4 * (n)) & 3)

void watch_begin(struct vcpu *vcpu)
{
	u64 dr7 = vcpu->ops->control_get(vcpu, CTL_DR7);

	vcpu->watch.dr7 = dr7 & DR7_ENABLED ? dr7 : 0;
	vcpu->watch.hits = 0;
}

void watch_end(struct vcpu *vcpu)
{
	struct vcpu_events *events = &vcpu->events;
	u64 hits = vcpu->watch.hits;

	vcpu->watch.hits = 0;
	if (!hits)
		return;
	if (events->exception.type == EVENT_NONE)
		event_raise_debug(vcpu, hits);
	else if (events->exception.vector == X86_DB)	/* of the single step */
		events->payload |= hits;
}

/* A breakpoint's address is aligned to its length, whatever DR0 to DR3 say. */
static bool is_hit(u64 dr7, unsigned n, u64 address, unsigned size)
{
	static const u8 lengths[] = { 1, 2, 8, 4 };
	u64 length = lengths[LENGTH(dr7, n)], at = read_breakpoint(n) & ~(length - 1);

	return dr7 >> (2 * n) & 3 && address < at + length && at < address + size;
}

void watch_memory_slow(struct vcpu *vcpu, gva_t gva, unsigned size, u32 access)
{
	u64 dr7 = vcpu->watch.dr7;

	for (unsigned n = 0; n < 4; n++) {
		if ((WHEN(dr7, n) == WHEN_ACCESSED || (WHEN(dr7, n) == WHEN_WRITTEN && access & PF_WRITE)) &&
		    is_hit(dr7, n, gva, size))
			vcpu->watch.hits |= BIT(n);
	}
}

/* Without CR4.DE this kind of breakpoint is undefined, and none. */
void watch_port_slow(struct vcpu *vcpu, u16 port, unsigned size)
{
	u64 dr7 = vcpu->watch.dr7;

	if (!(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_DE))
		return;
	for (unsigned n = 0; n < 4; n++) {
		if (WHEN(dr7, n) == WHEN_IO && is_hit(dr7, n, port, size))
			vcpu->watch.hits |= BIT(n);
	}
}

void exit_io_watched(struct vcpu *vcpu, u16 port, unsigned size, bool in)
{
	watch_begin(vcpu);
	watch_port(vcpu, port, size);
	exit_io(vcpu, port, size, in);
	watch_end(vcpu);
}
