/* SPDX-License-Identifier: MIT */
/* Loading microcode updates into the processors. */
#include "boot/microcode.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/x86.h"
#include "arch/mem/pool.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/microcode.h"
#include "lib/string.h"

/* Written by the boot CPU, before it starts the others. */
static struct {
	u8 *copy;		/* page aligned, in memory that all CPUs map; NULL: none */
	unsigned order;
	u32 revision;
	struct microcode_cpu cpu;	/* that it is for */
} kept;

/* SDM vol. 4, "IA32_PLATFORM_ID": bits 52:50. */
static struct microcode_cpu this_processor(void)
{
	struct microcode_cpu cpu = {
		.amd = cpu_features.vendor == CPU_VENDOR_AMD,
		.signature = cpuid(1).eax,
		.revision = cpu_microcode_read(),
	};
	u64 id = 0;

	if (!cpu.amd && !rdmsr_safe(MSR_PLATFORM_ID, &id))
		cpu.platform = 1u << (id >> 50 & 7);
	return cpu;
}

static bool keep(const struct microcode_update *update, const struct microcode_cpu *cpu)
{
	unsigned order = 0;
	u8 *copy;

	while (PAGE_SIZE << order < update->size)
		order++;
	copy = pages_alloc(order);
	if (!copy) {
		log_warn("microcode: no memory for the %u bytes of revision 0x%x", update->size, update->revision);
		return false;
	}
	memcpy(copy, update->data, update->size);
	if (kept.copy)
		pages_free(kept.copy, kept.order);
	kept.copy = copy;
	kept.order = order;
	kept.revision = update->revision;
	kept.cpu = *cpu;
	return true;
}

void microcode_offer(const void *file, u64 size, const char *name)
{
	struct microcode_cpu cpu = this_processor();
	struct microcode_update update;
	int error = microcode_find(file, size, &cpu, &update);

	if (error == -EINVAL)
		log_warn("microcode: %s is damaged, or none of Intel's updates, AMD's containers and Linux' archives", name);
	else if (error == -ENOENT)
		log_info("microcode: %s has none for this processor (signature 0x%x, platform 0x%x)", name, cpu.signature,
			 cpu.platform);
	else if (error)
		log_info("microcode: %s has revision 0x%x, this processor has 0x%x", name, update.revision, cpu.revision);
	else if (!kept.copy || update.revision > kept.revision)
		keep(&update, &cpu);
}

u32 microcode_offered(void)
{
	return kept.revision;
}

bool microcode_load(void)
{
	struct microcode_cpu cpu = this_processor();

	if (!kept.copy || cpu.signature != kept.cpu.signature || cpu.platform != kept.cpu.platform ||
	    cpu.revision >= kept.revision)
		return false;
	/* Some processors may hang if dirty lines are in the caches (Broadwell, erratum "BDF90"). */
	__asm__ volatile("wbinvd" : : : "memory");
	if (cpu.amd)
		wrmsr_safe(MSR_PATCH_LOADER, (u64)kept.copy);
	else
		wrmsr_safe(MSR_BIOS_UPDT_TRIG, (u64)kept.copy + MICROCODE_INTEL_HEADER);
	return cpu_microcode_read() != cpu.revision;
}
