/* SPDX-License-Identifier: MIT */
/*
 * Code in large EPT pages, on processors with the erratum of Intel's "Machine Check Error Avoidance on Page Size
 * Change": such pages have no execute permission, and become pages of 4 KiB where the guest executes them.
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "core/cpu/speculation.h"
#include "core/mem/tdp.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"
#include "vmx/vmx.h"

#define ARCH_PSCHANGE_MC_NO BIT_ULL(6)

static bool split_code;		/* code is executed from pages of 4 KiB only */
static u64 reserved;		/* tables, for all VMs. Of the service thread */

/*
 * The instruction TLB of some processors may hold a page in two sizes, after a guest has changed the size
 * of its own page, and then raise a machine check that stops the whole machine; an EPT page of 4 KiB makes all
 * its entries small. Intel, "Machine Check Error Avoidance on Page Size Change". The models are Atoms and Xeon Phi,
 * which do not do that; later processors say so by a bit.
 */
static bool may_hit_twice(void)
{
	static const u8 safe_models[] = {
		0x1c, 0x26, 0x27, 0x35, 0x36, 0x37, 0x4a, 0x4c, 0x4d, 0x57, 0x5a, 0x5c, 0x5d, 0x5f, 0x75, 0x7a, 0x85,
		0x86, 0x96, 0x9c,
	};
	const struct cpu_features *f = &cpu_features;
	u64 capabilities = 0;

	if (strcmp(f->vendor_id, "GenuineIntel") != 0 || f->family != 6)
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(safe_models); i++)
		if (f->model == safe_models[i])
			return false;
	if (f->max_leaf < 7 || !(cpuid(7).edx & BIT(29)) || rdmsr_safe(MSR_ARCH_CAPABILITIES, &capabilities))
		return true;
	return !(capabilities & ARCH_PSCHANGE_MC_NO);
}

void ept_init(void)
{
	bool erratum = may_hit_twice();

	split_code = erratum && !speculation_off();
	log_info("  %-34s %s", "code in large EPT pages",
		 split_code ? "split to 4 KiB where it is executed (erratum: machine check)" :
		 erratum ? "executed (mitigations=off)" : "executed");
}

/* A guest may execute anywhere in its memory: without a reserve it could take the pool from all others. */
void ept_reserve(struct vm *vm)
{
	struct memory_stats stats;
	u64 needed;

	if (!split_code)
		return;
	needed = vm->config->memory / MIB(2) + vm->config->memory / GIB(1) + 2;
	memory_stats(&stats);
	if (needed + reserved > stats.pool / 2 / PAGE_SIZE) {
		vm_warn(vm, "the hypervisor's memory does not suffice to split the pages of its code: "
			"the guest can cause a machine check by this processor's erratum");
		return;
	}
	vm->tdp_reserve = needed;
	reserved += needed;
}

void ept_unreserve(struct vm *vm)
{
	reserved -= vm->tdp_reserve;
	vm->tdp_reserve = 0;
}

/*
 * Nothing is flushed: the violation has removed what this CPU had cached for the address, and another CPU that still
 * has the large page faults, finds it split, and goes on. One table for each 2 MiB of the VM's memory at most.
 * SDM, "Operations that Invalidate Cached Mappings".
 */
int ept_make_executable(struct vm *vm, gpa_t gpa)
{
	struct tdp_format format;
	int error;

	if (!vm->tdp_reserve)
		return -ENOENT;
	ept_format(vm, &format);
	spin_lock(&vm->lock);
	error = tdp_split(vm, &format, gpa);
	spin_unlock(&vm->lock);
	return error;
}
