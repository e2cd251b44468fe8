/* SPDX-License-Identifier: MIT */
/*
 * The bits that memory encryption leaves. AMD APM vol. 3, "Encrypted Memory Capabilities"; Intel SDM,
 * "IA32_TME_ACTIVATE MSR".
 */
/* link: arch/cpu/memory_width.c tests/unit/fake_cpu.c */

#include "fake_cpu.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/memory_width.h"
#include "arch/cpu/x86.h"

struct cpu_features cpu_features;

static struct cpuid_regs leaf_7, leaf_1f;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return leaf == 7 ? leaf_7 : leaf == 0x8000001f ? leaf_1f : (struct cpuid_regs) { 0 };
}

static void machine(enum cpu_vendor vendor, u8 bits)
{
	fake_cpu_reset();
	leaf_7 = leaf_1f = (struct cpuid_regs) { 0 };
	cpu_features = (struct cpu_features) {
		.vendor = vendor, .physical_address_bits = bits, .max_leaf = 7, .max_extended_leaf = 0x8000001f,
	};
}

static void test_amd(void **state)
{
	machine(CPU_VENDOR_AMD, 48);
	leaf_1f = (struct cpuid_regs) { .eax = 1, .ebx = 5 << 6 | 47 };
	assert_int_equal(cpu_memory_width(), 48);	/* SYSCFG cannot be read */
	fake_msr(0xc0010010)->value = ~(1ull << 23);
	assert_int_equal(cpu_memory_width(), 48);	/* the firmware has not switched it on */
	fake_msr(0xc0010010)->value = 1ull << 23;
	assert_int_equal(cpu_memory_width(), 43);
	leaf_1f.ebx = 63 << 6;
	assert_int_equal(cpu_memory_width(), 48);	/* nonsense */
	leaf_1f.ebx = 5 << 6;
	cpu_features.max_extended_leaf = 0x8000001e;
	assert_int_equal(cpu_memory_width(), 48);
}

static void test_intel(void **state)
{
	machine(CPU_VENDOR_INTEL, 46);
	fake_msr(0x982)->value = 6ull << 32 | 3;
	assert_int_equal(cpu_memory_width(), 46);	/* CPUID announces no TME */
	leaf_7.ecx = 1 << 13;
	assert_int_equal(cpu_memory_width(), 40);
	fake_msr(0x982)->value = 6ull << 32 | 1;	/* locked, and off */
	assert_int_equal(cpu_memory_width(), 46);
	fake_msr(0x982)->value = 6ull << 32 | 2;
	assert_int_equal(cpu_memory_width(), 46);
	fake_msr(0x982)->value = 0xfffffff0ffffffffull;	/* one key for all memory */
	assert_int_equal(cpu_memory_width(), 46);
	fake_msr(0x982)->value = 6ull << 32 | 3;
	cpu_features.max_leaf = 6;
	assert_int_equal(cpu_memory_width(), 46);
}

static void test_others(void **state)
{
	machine(CPU_VENDOR_UNKNOWN, 40);
	leaf_7.ecx = 1 << 13;
	fake_msr(0x982)->value = 6ull << 32 | 3;
	assert_int_equal(cpu_memory_width(), 40);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(test_amd, NULL), fake_cpu_test_setup(test_intel, NULL),
		fake_cpu_test_setup(test_others, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
