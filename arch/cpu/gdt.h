/* SPDX-License-Identifier: MIT */
/*
 * Each CPU's descriptor tables and stacks.
 * Intel SDM, "Segment Descriptors", "64-Bit Mode Task State Segment", "Interrupt Stack Table".
 */
#pragma once

#include "arch/cpu/percpu.h"
#include "arch/mem/paging.h"
#include "lib/types.h"

/* Selectors. The boot code's temporary table (boot/entry.asm) has the first two as well. */
enum {
	GDT_CODE = 0x08,
	GDT_DATA = 0x10,
	GDT_TSS = 0x18,		/* two slots */
	GDT_SIZE = 0x28,
};

/*
 * The stacks of a CPU: the ordinary one; entries of the interrupt stack table; on the boot CPU that of the
 * service thread (core/service.h).
 */
enum cpu_stack { STACK_MAIN, STACK_NMI, STACK_MACHINE_CHECK, STACK_DOUBLE_FAULT, STACK_SERVICE, CPU_STACKS };

#define STACK_SLOT 0x10000ull	/* bytes of address space for one stack; the part below the stack is unmapped */
#define STACK_SIZE 0x4000ull	/* at the upper end of the slot */
#define IST_STACK_SIZE 0x2000ull

static inline u64 cpu_stack_top(u32 cpu, enum cpu_stack stack)
{
	return HOST_STACKS + ((u64)cpu * CPU_STACKS + stack + 1) * STACK_SLOT;
}

static inline u64 cpu_stack_size(enum cpu_stack stack)
{
	return stack == STACK_MAIN || stack == STACK_SERVICE ? STACK_SIZE : IST_STACK_SIZE;
}

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 io_bitmap;		/* offset; beyond the limit: no bitmap */
} __packed;
_Static_assert(sizeof(struct tss) == 104, "TSS layout");

/* Allocate and fill the tables of a CPU whose index is set. -ENOMEM. */
int gdt_create(struct percpu *cpu);
/*
 * Load the running CPU's GDT, TSS and GS base; percpu_init() has mapped the stacks. A VMX exit changes the
 * limits of GDTR and IDTR to 0xffff: nothing relies on them.
 */
void gdt_load(struct percpu *cpu);
/* Linear base addresses, for the VMCS's host state area. */
u64 gdt_base(const struct percpu *cpu);
u64 tss_base(const struct percpu *cpu);
