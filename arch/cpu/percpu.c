/* SPDX-License-Identifier: MIT */
/* Per-CPU data and stacks. */
#include "arch/cpu/percpu.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"

static struct percpu boot_cpu = { .self = &boot_cpu };
static u32 cpus;	/* number of CPUs whose stacks are mapped */

void percpu_init_early(void)
{
	wrmsr(MSR_GS_BASE, (u64)&boot_cpu);
}

/* Finds the CPU by its stack, because the GS base may be a guest's. */
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

static void percpu_fill(struct percpu *cpu, u32 index)
{
	for (unsigned stack = 0; stack < CPU_STACKS; stack++)
		map_stack(index, stack);
	cpu->index = index;
	cpu->stack_top = (void *)cpu_stack_top(index, STACK_MAIN);
	gdt_create(cpu);
}

void percpu_init(void)
{
	percpu_fill(&boot_cpu, cpus++);
	gdt_load(&boot_cpu);
	trap_enable_ist();
}
