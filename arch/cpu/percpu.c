/* SPDX-License-Identifier: MIT */
/* Per-CPU data and stacks. */
#include "arch/cpu/percpu.h"

#include "arch/cpu/control.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"

static struct percpu boot_cpu = { .self = &boot_cpu };
static struct percpu *cpus[MAX_CPUS];
static u32 cpu_count;	/* number of CPUs whose stacks are mapped */

void percpu_init_early(void)
{
	cpus[0] = &boot_cpu;
	wrmsr(MSR_GS_BASE, (u64)&boot_cpu);
}

/* Finds the CPU by its stack, because the GS base may be a guest's. Before percpu_init() only the boot CPU runs. */
struct percpu *percpu_by_stack(void)
{
	u64 here = (u64)__builtin_frame_address(0);
	u64 index = (here - HOST_STACKS) / STACK_SLOT / CPU_STACKS;

	return here >= HOST_STACKS && index < percpu_count() ? cpus[index] : &boot_cpu;
}

void cpu_stop(void)
{
	control_leave_virtualization();
	__atomic_store_n(&percpu_by_stack()->state, CPU_STOPPED, __ATOMIC_RELEASE);
	for (;;) {
		irq_disable();
		__asm__ volatile("hlt");
	}
}

u32 percpu_count(void)
{
	return __atomic_load_n(&cpu_count, __ATOMIC_ACQUIRE);
}

struct percpu *percpu_get(u32 index)
{
	return cpus[index];
}

/* Pages at the upper end of the slot; the rest of it stays unmapped and catches an overflow. */
static int map_stack(u32 index, enum cpu_stack stack)
{
	u64 top = cpu_stack_top(index, stack);

	for (u64 va = top - cpu_stack_size(stack); va < top; va += PAGE_SIZE) {
		void *page = page_alloc();

		if (!page || paging_map(&kernel_space, va, virt_to_phys(page), PAGE_SIZE, MAP_WRITE))
			return -ENOMEM;
	}
	return 0;
}

/* What it has taken when memory runs out stays taken: no CPU is created after that. */
static int percpu_fill(struct percpu *cpu)
{
	u32 index = percpu_count();

	for (unsigned stack = 0; stack < CPU_STACKS; stack++) {
		if (stack == STACK_SERVICE && index)
			continue;
		if (map_stack(index, stack))
			return -ENOMEM;
	}
	cpu->self = cpu;
	cpu->index = index;
	cpu->stack_top = (void *)cpu_stack_top(index, STACK_MAIN);
	if (gdt_create(cpu))
		return -ENOMEM;
	cpus[index] = cpu;
	__atomic_store_n(&cpu_count, index + 1, __ATOMIC_RELEASE);
	return 0;
}

struct percpu *percpu_create(u32 apic_id)
{
	_Static_assert(sizeof(struct percpu) <= PAGE_SIZE, "one page for each CPU");
	struct percpu *cpu = percpu_count() < MAX_CPUS ? page_alloc() : NULL;

	if (!cpu)
		return NULL;
	cpu->apic_id = apic_id;
	return percpu_fill(cpu) ? NULL : cpu;
}

void percpu_init(void)
{
	BUG_ON(percpu_fill(&boot_cpu));
	gdt_load(&boot_cpu);
	trap_enable_ist();
}
