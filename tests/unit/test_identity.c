/* SPDX-License-Identifier: MIT */
/*
 * A CPU against the boot CPU, one field off at a time; and the MTRRs that a CPU takes over. Intel SDM,
 * "CPUID - CPU Identification", "MTRR Considerations in MP Systems", "Microcode Update Facilities".
 */
/* link: arch/cpu/identity.c arch/cpu/mtrr.c lib/string.c tests/unit/fake_cpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/mtrr.h"
#include "arch/cpu/x86.h"
#include "fake_cpu.h"

enum { IN_EAX, IN_EBX, IN_ECX, IN_EDX };

static struct {
	u32 leaf, subleaf;
	u32 regs[4];
} leaves[] = {
	{ 0, 0, { 0xd } }, { 1, 0, { 0 } }, { 7, 0, { 0 } }, { 7, 1, { 0 } }, { 0xd, 0, { 0 } }, { 0xd, 1, { 0 } },
	{ 0x80000000, 0, { 0x8000000a } }, { 0x80000001, 0, { 0 } }, { 0x80000007, 0, { 0 } },
	{ 0x80000008, 0, { 0 } }, { 0x8000000a, 0, { 0 } },
};
static char why[128];

static u32 *word(u32 leaf, u32 subleaf, unsigned reg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i].leaf == leaf && leaves[i].subleaf == subleaf)
			return &leaves[i].regs[reg];
	}
	fail_msg("nobody asks for CPUID leaf 0x%x.%u", leaf, subleaf);
	return NULL;
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs){ *word(leaf, subleaf, IN_EAX), *word(leaf, subleaf, IN_EBX),
				    *word(leaf, subleaf, IN_ECX), *word(leaf, subleaf, IN_EDX) };
}

static int setup(void **state)
{
	fake_cpu_reset();
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		memset(leaves[i].regs, 0, sizeof(leaves[i].regs));
	*word(0, 0, IN_EAX) = 0xd;
	*word(0, 0, IN_ECX) = 0x6c65746e;		/* "ntel" */
	*word(0x80000000, 0, IN_EAX) = 0x8000000a;
	fake_msr(0x8b)->value = 0;
	memset(why, 0, sizeof(why));
	return 0;
}

static struct cpu_identity read_it(void)
{
	struct cpu_identity identity;

	cpu_identity_read(&identity);
	return identity;
}

/* --- CPUID --- */

static const struct {
	u32 leaf, subleaf;
	u8 reg;
	bool equal;
} compared[] = {
	{ 0, 0, IN_EBX, true }, { 0, 0, IN_ECX, true }, { 0, 0, IN_EDX, true },
	{ 1, 0, IN_ECX, false }, { 1, 0, IN_EDX, false }, { 7, 0, IN_EBX, false }, { 7, 0, IN_ECX, false },
	{ 7, 0, IN_EDX, false }, { 7, 1, IN_EAX, false }, { 7, 1, IN_EDX, false }, { 0xd, 0, IN_EAX, false },
	{ 0xd, 0, IN_ECX, true }, { 0xd, 0, IN_EDX, false }, { 0xd, 1, IN_EAX, false }, { 0xd, 1, IN_ECX, false }, { 0xd, 1, IN_EDX, false },
	{ 0x80000001, 0, IN_ECX, false }, { 0x80000001, 0, IN_EDX, false }, { 0x80000007, 0, IN_EDX, false },
	{ 0x80000008, 0, IN_EAX, true }, { 0x80000008, 0, IN_EBX, false }, { 0x8000000a, 0, IN_EBX, true }, { 0x8000000a, 0, IN_EDX, false },
};

static void a_missing_feature_is_named(void **state)
{
	static const char names[][4] = { "EAX", "EBX", "ECX", "EDX" };

	for (unsigned i = 0; i < ARRAY_SIZE(compared); i++) {
		struct cpu_identity without, with;
		char expected[96];

		setup(state);
		without = read_it();
		*word(compared[i].leaf, compared[i].subleaf, compared[i].reg) ^= BIT(3);
		with = read_it();
		assert_true(cpu_identity_matches(&with, &with, why, sizeof(why)));
		assert_false(cpu_identity_matches(&with, &without, why, sizeof(why)) &&
			     cpu_identity_matches(&without, &with, why, sizeof(why)));
		snprintf(expected, sizeof(expected), "CPUID leaf 0x%x.%u %s is 0x", compared[i].leaf, compared[i].subleaf,
			 names[compared[i].reg]);
		assert_memory_equal(why, expected, strlen(expected));
	}
}

static void more_features_do_no_harm(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(compared); i++) {
		struct cpu_identity boot, other;

		setup(state);
		if (compared[i].leaf == 0)
			continue;
		boot = read_it();
		*word(compared[i].leaf, compared[i].subleaf, compared[i].reg) |= BIT(3);
		other = read_it();
		assert_int_equal(cpu_identity_matches(&boot, &other, why, sizeof(why)), !compared[i].equal);
		assert_false(cpu_identity_matches(&other, &boot, why, sizeof(why)));
	}
}

/* OSXSAVE and OSPKE follow CR4, and APIC the local APIC's base. */
static void bits_of_the_cpus_own_state_are_not_compared(void **state)
{
	struct cpu_identity boot, other;

	*word(1, 0, IN_ECX) = BIT(27);
	*word(1, 0, IN_EDX) = BIT(9);
	*word(7, 0, IN_ECX) = BIT(4);
	boot = read_it();
	setup(state);
	other = read_it();
	assert_true(cpu_identity_matches(&boot, &other, why, sizeof(why)));
}

static void leaves_that_are_not_there_are_0(void **state)
{
	struct cpu_identity without;

	without = read_it();
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i].leaf > 1 && leaves[i].leaf != 0x80000000)
			memset(leaves[i].regs, 0xff, sizeof(leaves[i].regs));
	}
	*word(0, 0, IN_EAX) = 1;
	*word(0x80000000, 0, IN_EAX) = 0x80000000;
	assert_memory_equal(read_it().words, without.words, sizeof(without.words));
}

/* --- MSRs --- */

static const struct {
	u32 first, last;
	bool mtrr;
} msrs[] = {
	{ 0xfe, 0xfe, true }, { 0x2ff, 0x2ff, true }, { 0x250, 0x250, true }, { 0x258, 0x259, true },
	{ 0x268, 0x26f, true }, { 0x200, 0x213, true }, { 0x3a, 0x3a, false }, { 0x480, 0x493, false },
};

static void each_msr_must_be_the_same(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (u32 msr = msrs[i].first; msr <= msrs[i].last; msr++) {
			struct cpu_identity boot, other;
			char expected[96];

			setup(state);
			*word(1, 0, IN_EDX) = BIT(12);
			*word(1, 0, IN_ECX) = BIT(5);
			fake_msr(msr)->value = 1;	/* FEATURE_CONTROL: locked */
			boot = read_it();
			fake_msr(msr)->value = 0x1122334455;
			other = read_it();
			assert_false(cpu_identity_matches(&boot, &other, why, sizeof(why)));
			snprintf(expected, sizeof(expected), "%s MSR 0x%x is 0x1122334455, and 0x1 on the boot CPU",
				 msrs[i].mtrr ? "memory type" : "VMX capability", msr);
			assert_string_equal(why, expected);
			assert_false(cpu_identity_matches(&other, &boot, why, sizeof(why)));
			assert_true(cpu_identity_matches(&other, &other, why, sizeof(why)));
		}
	}
}

/* IA32_FEATURE_CONTROL: locked (0), VMX (2). An open one will be locked with VMX on, by Lamina itself. */
static void an_open_feature_control_counts_as_it_will_be(void **state)
{
	static const struct {
		u64 boot, other;
		bool matches;
	} rows[] = {
		{ 5, 0, true }, { 0, 5, true }, { 0, 0, true }, { 5, 4, true }, { 5, 1, false }, { 0, 1, false },
		{ 5, 0x40000, false }, { 0x40005, 0x40000, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		struct cpu_identity boot, other;

		setup(state);
		*word(1, 0, IN_ECX) = BIT(5);
		fake_msr(0x3a)->value = rows[i].boot;
		boot = read_it();
		fake_msr(0x3a)->value = rows[i].other;
		other = read_it();
		assert_int_equal(cpu_identity_matches(&boot, &other, why, sizeof(why)), rows[i].matches);
	}
}

static void msrs_that_are_not_announced_are_not_read(void **state)
{
	struct cpu_identity identity;

	for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
		for (u32 msr = msrs[i].first; msr <= msrs[i].last; msr++)
			fake_msr(msr)->value = ~0ull;
	}
	identity = read_it();
	for (unsigned i = 0; i < IDENTITY_MSRS; i++)
		assert_int_equal(identity.msrs[i], 0);
}

/* Intel's appears in the upper half after a write of 0 and CPUID; AMD's is the lower half as it is. */
static void microcode_revisions(void **state)
{
	fake_msr(0x8b)->value = 0xf000000012;
	fake_msr(0x8b)->ignored = ~0ull;
	assert_int_equal(read_it().microcode, 0xf0);
	assert_int_equal(fake_msr(0x8b)->writes, 1);
	*word(0, 0, IN_ECX) = 0x444d4163;		/* "cAMD" */
	assert_int_equal(read_it().microcode, 0x12);
	assert_int_equal(fake_msr(0x8b)->writes, 1);
}

/* --- MTRRs --- */

static void fill_mtrrs(u64 start)
{
	static const u32 fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d, 0x26e, 0x26f };

	fake_msr(0xfe)->value = 0x508;			/* fixed ranges, write-combining, 8 variable ranges */
	fake_msr(0x2ff)->value = 0xc06;
	for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
		fake_msr(fixed[i])->value = start + i;
	for (u32 msr = 0x200; msr < 0x210; msr++)
		fake_msr(msr)->value = start + msr;
}

static void mtrrs_are_taken_over(void **state)
{
	struct mtrr_state boot, own;

	*word(1, 0, IN_EDX) = BIT(12);
	fill_mtrrs(0x1000);
	mtrr_read(&boot);
	assert_int_equal(boot.capabilities, 0x508);
	assert_int_equal(boot.default_type, 0xc06);
	assert_int_equal(boot.fixed[0], 0x1000);
	assert_int_equal(boot.fixed[10], 0x100a);
	assert_int_equal(boot.variable[0], 0x1200);
	assert_int_equal(boot.variable[15], 0x120f);
	assert_int_equal(boot.variable[16], 0);

	fill_mtrrs(0x2000);
	fake_msr(0x2ff)->value = 0;
	fake_cpu.cr[0] = CR0_PE | CR0_PG;
	mtrr_write(&boot);
	mtrr_read(&own);
	assert_memory_equal(&own, &boot, sizeof(own));
	assert_int_equal(fake_msr(0x2ff)->writes, 2);	/* off meanwhile */
	assert_int_equal(fake_cpu.cr0_at_wrmsr, CR0_PE | CR0_PG | CR0_CD);
	assert_int_equal(fake_cpu.cr[0], CR0_PE | CR0_PG);
	assert_int_equal(fake_cpu_count(DO_WBINVD), 2);	/* caches are written back before and after */
}

static void equal_mtrrs_are_left_alone(void **state)
{
	struct mtrr_state boot;

	*word(1, 0, IN_EDX) = BIT(12);
	fill_mtrrs(0x1000);
	mtrr_read(&boot);
	mtrr_write(&boot);
	assert_int_equal(fake_msr(0x2ff)->writes, 0);
	assert_int_equal(fake_cpu_writes(), 0);
	assert_int_equal(fake_cpu_count(DO_WBINVD), 0);
}

static void a_processor_without_mtrrs_has_none(void **state)
{
	const struct mtrr_state none = { 0 };
	struct mtrr_state boot;

	fill_mtrrs(0x1000);
	mtrr_read(&boot);
	assert_memory_equal(&boot, &none, sizeof(none));
	mtrr_write(&(struct mtrr_state){ .capabilities = 0x508 });
	assert_int_equal(fake_msr(0x2ff)->writes, 0);
}

static void fixed_ranges_are_optional(void **state)
{
	struct mtrr_state boot;

	*word(1, 0, IN_EDX) = BIT(12);
	fill_mtrrs(0x1000);
	fake_msr(0xfe)->value = 0x402;
	mtrr_read(&boot);
	assert_int_equal(boot.fixed[0], 0);
	assert_int_equal(boot.variable[3], 0x1203);
	assert_int_equal(boot.variable[4], 0);
	boot.default_type = 0x806;
	mtrr_write(&boot);
	assert_int_equal(fake_msr(0x250)->writes, 0);
	assert_int_equal(fake_msr(0x203)->writes, 1);
	assert_int_equal(fake_msr(0x204)->writes, 0);
	assert_int_equal(fake_msr(0x2ff)->value, 0x806);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_missing_feature_is_named),
		TEST(more_features_do_no_harm),
		TEST(bits_of_the_cpus_own_state_are_not_compared),
		TEST(leaves_that_are_not_there_are_0),
		TEST(each_msr_must_be_the_same),
		TEST(an_open_feature_control_counts_as_it_will_be),
		TEST(msrs_that_are_not_announced_are_not_read),
		TEST(microcode_revisions),
		TEST(mtrrs_are_taken_over),
		TEST(equal_mtrrs_are_left_alone),
		TEST(a_processor_without_mtrrs_has_none),
		TEST(fixed_ranges_are_optional),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
