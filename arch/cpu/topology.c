/* SPDX-License-Identifier: MIT */
/* Packages, cores and threads. */
#include "arch/cpu/topology.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"

#define MAX_LEVELS   8
#define LEVEL_TYPE(ecx) ((ecx) >> 8 & 0xff)
#define LEVEL_SMT    1

/* Bits for numbers from 0 to count - 1. */
static u8 bits_for(u32 count)
{
	u8 bits = 0;

	while (bits < 31 && 1u << bits < count)
		bits++;
	return bits;
}

/* "Extended Topology Enumeration Leaf". False: the processor does not have it. */
static bool read_levels(u32 leaf, struct cpu_topology *topology)
{
	struct cpuid_regs r;

	if (cpu_features.max_leaf < leaf || !cpuid(leaf).ebx)
		return false;
	*topology = (struct cpu_topology){ 0 };
	for (u32 level = 0; level < MAX_LEVELS; level++) {
		r = cpuid_count(leaf, level);
		if (!LEVEL_TYPE(r.ecx))
			break;
		if (LEVEL_TYPE(r.ecx) == LEVEL_SMT)
			topology->thread_bits = r.eax & 0x1f;
		topology->package_bits = r.eax & 0x1f;
	}
	return true;
}

/* ApicIdCoreIdSize, else the number of cores; threads by "Compute Unit Identifiers". */
static struct cpu_topology read_amd(void)
{
	struct cpu_topology topology = { 0 };
	u32 sizes;

	if (cpu_features.max_extended_leaf < 0x80000008)
		return topology;
	sizes = cpuid(0x80000008).ecx;
	topology.package_bits = (sizes >> 12 & 0xf) ?: bits_for((sizes & 0xff) + 1);
	if (cpu_features.max_extended_leaf >= 0x8000001e && cpuid(0x80000001).ecx & BIT(22))
		topology.thread_bits = bits_for((cpuid(0x8000001e).ebx >> 8 & 0xff) + 1);
	return topology;
}

/* Leaves 1 and 4: the numbers of ids and of cores. */
static struct cpu_topology read_intel(void)
{
	struct cpu_topology topology = { 0 };
	struct cpuid_regs one = cpuid(1);
	u32 cores = cpu_features.max_leaf >= 4 ? (cpuid(4).eax >> 26) + 1 : 1;

	if (!(one.edx & BIT(28)))
		return topology;
	topology.package_bits = bits_for(one.ebx >> 16 & 0xff);
	if (topology.package_bits > bits_for(cores))
		topology.thread_bits = (u8)(topology.package_bits - bits_for(cores));
	return topology;
}

struct cpu_topology cpu_topology_read(void)
{
	struct cpu_topology topology;

	if (read_levels(0x1f, &topology) || read_levels(0xb, &topology))
		return topology;
	topology = cpu_features.vendor == CPU_VENDOR_AMD ? read_amd() : read_intel();
	topology.thread_bits = MIN(topology.thread_bits, topology.package_bits);
	return topology;
}

u32 cpu_thread_of(struct cpu_topology topology, u32 apic_id)
{
	return apic_id & (BIT(topology.thread_bits) - 1);
}

u32 cpu_core_of(struct cpu_topology topology, u32 apic_id)
{
	return (apic_id & (BIT(topology.package_bits) - 1)) >> topology.thread_bits;
}

u32 cpu_package_of(struct cpu_topology topology, u32 apic_id)
{
	return apic_id >> topology.package_bits;
}
