/* SPDX-License-Identifier: MIT */
/* Walk the host's page tables on each CPU, whenever it begins to run a vCPU. */
#include "tests/selftest/isolation.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/page_table.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/log.h"
#include "lib/spinlock.h"

#define VMS	64
#define REPORTS 8	/* walks of one VM that are logged */

static struct spinlock lock;
static const struct vm *vms[VMS];	/* that have run so far; VMs that end stay here until another takes their memory */
static struct phys_range memory[VMS];
static u32 reports[VMS];

struct walk {
	u32 own;		/* index of the VM that is loaded */
	u64 leaves, own_leaves, foreign;
};

static u32 know(const struct vm *vm)
{
	u32 i = 0;

	while (i < VMS - 1 && vms[i] && vms[i] != vm)
		i++;
	vms[i] = vm;
	memory[i] = vm->mem.pieces[0];
	return i;
}

static void judge(struct walk *walk, hpa_t pa, u64 size)
{
	walk->leaves++;
	for (u32 i = 0; i < VMS && vms[i]; i++) {
		if (pa >= memory[i].start + memory[i].size || memory[i].start >= pa + size)
			continue;
		if (i == walk->own)
			walk->own_leaves++;
		else
			walk->foreign++;
	}
}

static void walk_table(struct walk *walk, const u64 *table, unsigned level)
{
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		u64 entry = table[i];

		if (!(entry & PTE_PRESENT))
			continue;
		if (level == 0 || (entry & PTE_LARGE))
			judge(walk, entry & PTE_ADDRESS & ~(pt_page_size(level) - 1), pt_page_size(level));
		else
			walk_table(walk, phys_to_virt(entry & PTE_ADDRESS), level - 1);
	}
}

void selftest_isolation(const struct vcpu *loaded)
{
	struct walk walk = { 0 };

	spin_lock(&lock);
	walk.own = know(loaded->vm);
	walk_table(&walk, phys_to_virt(read_cr3() & PTE_ADDRESS), PT_LEVELS - 1);
	if (walk.foreign || !walk.own_leaves || reports[walk.own]++ < REPORTS)
		log_info("%s isolation: VM %s: %llu leaves, %llu of the VM, %llu of %s", walk.foreign || !walk.own_leaves ?
			 "FAIL" : "PASS", loaded->vm->name, (unsigned long long)walk.leaves,
			 (unsigned long long)walk.own_leaves, (unsigned long long)walk.foreign, "other VMs");
	spin_unlock(&lock);
}
