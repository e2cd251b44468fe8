/* SPDX-License-Identifier: MIT */
/*
 * Packages, cores and threads from CPUID. Intel SDM, "CPUID - CPU Identification", leaves 1, 4, 0Bh, 1Fh;
 * AMD APM vol. 3, Fn8000_0008, Fn8000_001E.
 */
/* link: arch/cpu/topology.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/topology.h"

struct cpu_features cpu_features;

static struct {
	u32 leaf, subleaf;
	struct cpuid_regs regs;
} leaves[16];
static unsigned leaf_count;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	for (unsigned i = 0; i < leaf_count; i++) {
		if (leaves[i].leaf == leaf && leaves[i].subleaf == subleaf)
			return leaves[i].regs;
	}
	return (struct cpuid_regs){ 0 };
}

static void has(u32 leaf, u32 subleaf, struct cpuid_regs regs)
{
	leaves[leaf_count].leaf = leaf;
	leaves[leaf_count].subleaf = subleaf;
	leaves[leaf_count++].regs = regs;
}

static int setup(void **state)
{
	leaf_count = 0;
	cpu_features = (struct cpu_features){ .vendor = CPU_VENDOR_INTEL, .max_leaf = 0x1f };
	return 0;
}

static void divides_into(u8 thread_bits, u8 package_bits)
{
	struct cpu_topology topology = cpu_topology_read();

	assert_int_equal(topology.thread_bits, thread_bits);
	assert_int_equal(topology.package_bits, package_bits);
}

/* Level types in ECX[15:8]: 1 threads, 2 cores, 5 dies; the shift to the next level in EAX[4:0]. */
static void levels_of_leaf_0b(void **state)
{
	cpu_features.max_leaf = 0xb;
	has(0xb, 0, (struct cpuid_regs){ .eax = 1, .ebx = 2, .ecx = 0x100 });
	has(0xb, 1, (struct cpuid_regs){ .eax = 4, .ebx = 16, .ecx = 0x201 });
	divides_into(1, 4);
}

static void leaf_1f_comes_first(void **state)
{
	has(0xb, 0, (struct cpuid_regs){ .eax = 1, .ebx = 2, .ecx = 0x100 });
	has(0xb, 1, (struct cpuid_regs){ .eax = 4, .ebx = 16, .ecx = 0x201 });
	has(0x1f, 0, (struct cpuid_regs){ .eax = 1, .ebx = 2, .ecx = 0x100 });
	has(0x1f, 1, (struct cpuid_regs){ .eax = 4, .ebx = 16, .ecx = 0x201 });
	has(0x1f, 2, (struct cpuid_regs){ .eax = 6, .ebx = 64, .ecx = 0x502 });
	divides_into(1, 6);
	cpu_features.max_leaf = 0x1e;			/* then 1Fh is another leaf's data */
	divides_into(1, 4);
}

static void a_processor_without_threads(void **state)
{
	cpu_features.max_leaf = 0xb;
	has(0xb, 0, (struct cpuid_regs){ .eax = 0, .ebx = 1, .ecx = 0x100 });
	has(0xb, 1, (struct cpuid_regs){ .eax = 3, .ebx = 8, .ecx = 0x201 });
	divides_into(0, 3);
}

/* A broken one that never ends. */
static void levels_are_bounded(void **state)
{
	cpu_features.max_leaf = 0xb;
	for (u32 level = 0; level < 12; level++)
		has(0xb, level, (struct cpuid_regs){ .eax = level + 1, .ebx = 1, .ecx = 0x200 });
	divides_into(0, 8);
}

static void older_intel_processors(void **state)
{
	cpu_features.max_leaf = 4;
	divides_into(0, 0);				/* no HTT: one in a package */
	has(1, 0, (struct cpuid_regs){ .ebx = 8 << 16, .edx = BIT(28) });
	has(4, 0, (struct cpuid_regs){ .eax = 3u << 26 });
	divides_into(1, 3);				/* 8 ids, 4 cores */
	cpu_features.max_leaf = 2;
	divides_into(3, 3);				/* 8 ids, one core */
	setup(state);
	cpu_features.max_leaf = 4;
	has(1, 0, (struct cpuid_regs){ .ebx = 4 << 16, .edx = BIT(28) });
	has(4, 0, (struct cpuid_regs){ .eax = 7u << 26 });
	divides_into(0, 2);				/* more cores than ids: no threads */
}

static void amd_processors(void **state)
{
	cpu_features.vendor = CPU_VENDOR_AMD;
	cpu_features.max_leaf = 7;
	cpu_features.max_extended_leaf = 0x80000007;
	divides_into(0, 0);
	cpu_features.max_extended_leaf = 0x8000001e;
	has(0x80000008, 0, (struct cpuid_regs){ .ecx = 5 });		/* 6 cores, no size of the id */
	divides_into(0, 3);
	setup(state);
	cpu_features = (struct cpu_features){ .vendor = CPU_VENDOR_AMD, .max_extended_leaf = 0x8000001e };
	has(0x80000008, 0, (struct cpuid_regs){ .ecx = 4 << 12 | 7 });
	has(0x8000001e, 0, (struct cpuid_regs){ .ebx = 1 << 8 });
	divides_into(0, 4);				/* without TopologyExtensions the leaf is none */
	has(0x80000001, 0, (struct cpuid_regs){ .ecx = BIT(22) });
	divides_into(1, 4);
}

static void ids_are_divided(void **state)
{
	const struct cpu_topology topology = { .thread_bits = 1, .package_bits = 4 };

	assert_int_equal(cpu_thread_of(topology, 0x2d), 1);
	assert_int_equal(cpu_core_of(topology, 0x2d), 6);
	assert_int_equal(cpu_package_of(topology, 0x2d), 2);
	assert_int_equal(cpu_package_of(topology, 0x1000), 0x100);
	assert_int_equal(cpu_core_of((struct cpu_topology){ 0 }, 7), 0);
	assert_int_equal(cpu_package_of((struct cpu_topology){ 0 }, 7), 7);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(levels_of_leaf_0b),
		TEST(leaf_1f_comes_first),
		TEST(a_processor_without_threads),
		TEST(levels_are_bounded),
		TEST(older_intel_processors),
		TEST(amd_processors),
		TEST(ids_are_divided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
