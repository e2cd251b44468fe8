/* SPDX-License-Identifier: MIT */
/* Per-CPU data and stacks, and the descriptor tables that lead to them. */
#include "arch/cpu/gdt.h"

#include "arch/cpu/cpu.h"
#include "arch/mem/memory.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/cpu/x86.h"
#include "arch/mem/pool.h"

/* What percpu.arch_data points to. */
struct cpu_tables {
	u64 gdt[GDT_SIZE / 8];
	struct tss tss;
};

_Static_assert(STACK_NMI == 1 && CPU_STACKS - 1 <= 7, "the stacks' numbers are IST indices");

static struct percpu boot_cpu = { .self = &boot_cpu };
static u32 cpus;	/* whose stacks are mapped */

static void set_gs(struct percpu *cpu)
{
	wrmsr(MSR_GS_BASE, (u64)cpu);
}

void percpu_init_early(void)
{
	set_gs(&boot_cpu);
}

/* By the stack in use: every CPU has its own, whatever the GS base says. */
struct percpu *percpu_by_stack(void)
{
	u64 here = (u64)__builtin_frame_address(0);
	u64 index = (here - HOST_STACKS) / STACK_SLOT / CPU_STACKS;

	return here >= HOST_STACKS && index == boot_cpu.index ? &boot_cpu : this_cpu();
}

u32 percpu_count(void)
{
	return cpus;
}

u64 gdt_base(const struct percpu *cpu)
{
	return (u64)((const struct cpu_tables *)cpu->arch_data)->gdt;
}

u64 tss_base(const struct percpu *cpu)
{
	return (u64)&((const struct cpu_tables *)cpu->arch_data)->tss;
}

/* Pages at the upper end of the slot; the rest of it stays unmapped and catches an overflow. */
static void map_stack(u32 index, enum cpu_stack stack)
{
	u64 top = cpu_stack_top(index, stack);

	for (u64 va = top - cpu_stack_size(stack); va < top; va += PAGE_SIZE) {
		void *page = page_alloc();

		BUG_ON(!page);
		BUG_ON(paging_map(&kernel_space, va, virt_to_phys(page), PAGE_SIZE, MAP_WRITE));
	}
}

/* Intel SDM, "TSS Descriptor in 64-bit mode": present, available 64-bit TSS. */
static void fill_tables(struct cpu_tables *tables, u32 index)
{
	u64 base = (u64)&tables->tss;
	u64 limit = sizeof(tables->tss) - 1;

	tables->gdt[GDT_CODE / 8] = 0x00af9b000000ffff;
	tables->gdt[GDT_DATA / 8] = 0x00cf93000000ffff;
	tables->gdt[GDT_TSS / 8] = limit | (base & 0xffffff) << 16 | 0x89ull << 40 |
				   (base >> 24 & 0xff) << 56;
	tables->gdt[GDT_TSS / 8 + 1] = base >> 32;
	for (unsigned stack = STACK_NMI; stack < CPU_STACKS; stack++)
		tables->tss.ist[stack - 1] = cpu_stack_top(index, stack);
	tables->tss.io_bitmap = sizeof(tables->tss);
}

static void percpu_fill(struct percpu *cpu, u32 index)
{
	_Static_assert(sizeof(struct cpu_tables) <= PAGE_SIZE, "one page of tables for each CPU");
	struct cpu_tables *tables = page_alloc();

	BUG_ON(!tables);
	for (unsigned stack = 0; stack < CPU_STACKS; stack++)
		map_stack(index, stack);
	fill_tables(tables, index);
	cpu->index = index;
	cpu->arch_data = tables;
	cpu->stack_top = (void *)cpu_stack_top(index, STACK_MAIN);
}

void gdt_load(struct percpu *cpu)
{
	struct {
		u16 limit;
		u64 base;
	} __packed pointer = { GDT_SIZE - 1, gdt_base(cpu) };
	struct cpu_tables *tables = cpu->arch_data;

	tables->gdt[GDT_TSS / 8] &= ~BIT_ULL(41);	/* LTR wants it not busy */
	__asm__ volatile("lgdt %0\n\t"
			 "ltr %w1"
			 : : "m"(pointer), "r"(GDT_TSS) : "memory");
	set_gs(cpu);
}

void percpu_init(void)
{
	percpu_fill(&boot_cpu, cpus++);
	gdt_load(&boot_cpu);
	trap_enable_ist();
}
