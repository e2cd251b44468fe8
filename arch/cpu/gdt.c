/* SPDX-License-Identifier: MIT */
/* The descriptor tables of a CPU: its GDT, and the TSS that points to its stacks. */
#include "arch/cpu/gdt.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"

/* What percpu.arch_data points to. */
struct cpu_tables {
	u64 gdt[GDT_SIZE / 8];
	struct tss tss;
};

_Static_assert(STACK_NMI == 1 && STACK_SERVICE - 1 <= 7, "the stacks' numbers are IST indices");

u64 gdt_base(const struct percpu *cpu)
{
	return (u64)((const struct cpu_tables *)cpu->arch_data)->gdt;
}

u64 tss_base(const struct percpu *cpu)
{
	return (u64)&((const struct cpu_tables *)cpu->arch_data)->tss;
}

/* Intel SDM, "TSS Descriptor in 64-bit mode": present, available 64-bit TSS. */
static void fill_tables(struct cpu_tables *tables, u32 index)
{
	u64 base = (u64)&tables->tss;
	u64 limit = sizeof(tables->tss) - 1;

	tables->gdt[GDT_CODE / 8] = DESCRIPTOR_CODE_64;
	tables->gdt[GDT_DATA / 8] = DESCRIPTOR_DATA;
	tables->gdt[GDT_TSS / 8] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 |
				   (base >> 24 & 0xff) << 56;
	tables->gdt[GDT_TSS / 8 + 1] = base >> 32;
	for (unsigned stack = STACK_NMI; stack < STACK_SERVICE; stack++)
		tables->tss.ist[stack - 1] = cpu_stack_top(index, stack);
	tables->tss.io_bitmap = sizeof(tables->tss);
}

int gdt_create(struct percpu *cpu)
{
	_Static_assert(sizeof(struct cpu_tables) <= PAGE_SIZE, "one page of tables for each CPU");
	struct cpu_tables *tables = page_alloc();

	if (!tables)
		return -ENOMEM;
	fill_tables(tables, cpu->index);
	cpu->arch_data = tables;
	return 0;
}

void gdt_load(struct percpu *cpu)
{
	struct {
		u16 limit;
		u64 base;
	} __packed pointer = { GDT_SIZE - 1, gdt_base(cpu) };
	struct cpu_tables *tables = cpu->arch_data;

	tables->gdt[GDT_TSS / 8] &= ~BIT_ULL(41);	/* LTR requires the TSS not to be busy */
	__asm__ volatile("lgdt %0\n\t"
			 "ltr %w1"
			 : : "m"(pointer), "r"(GDT_TSS) : "memory");
	wrmsr(MSR_GS_BASE, (u64)cpu);
}
