/* SPDX-License-Identifier: MIT */
/*
 * The guest's CPUID is consistent, whatever processor the tests run on: no feature without those that it
 * requires, matching sizes, and no feature that Lamina does not provide.
 * SDM, "CPUID - CPU Identification", "Detection of AVX-512 Foundation Instructions".
 */
/* link: core/cpu/cpuid.c core/cpu/control.c core/vcpu.c arch/cpu/cpufeature.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "arch/cpu/cpufeature.h"
#include "arch/mem/memory.h"
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/irqchip.h"
#include "core/cpu/pvclock.h"
#include "core/cpu/msr.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

/* Of vcpu_reset(), which no test calls here. */
void msr_reset(struct vcpu *vcpu, bool init) { fail(); }
void startup_reset(struct vcpu *vcpu) { fail(); }

static u64 controls[CTL_XCR0 + 1], tsc_hz = 2399123457;
static struct vm_config config = { .vcpus = 1 };
static struct vm vm = { .config = &config };

static u64 control_get(struct vcpu *v, enum vcpu_control control) { return controls[control]; }
static void control_set(struct vcpu *v, enum vcpu_control control, u64 value) { controls[control] = value; }
static const struct vcpu_ops ops = { .control_get = control_get, .control_set = control_set };
static struct vcpu vcpu = { .vm = &vm, .ops = &ops };

u64 clock_tsc_hz(void) { return tsc_hz; }
void *page_alloc(void) { return calloc(1, PAGE_SIZE); }
void page_free(void *page) { free(page); }
int guest_read(const struct vm *v, gpa_t gpa, void *to, u64 size) { return -EFAULT; }
bool str_copy(char *to, const char *from, size_t size) { return snprintf(to, size, "%s", from) < (int)size; }
struct cpuid_regs pvclock_cpuid(u32 leaf, u32 vcpus) { return (struct cpuid_regs){ .eax = leaf }; }

static int set_up(void **state)
{
	memset(controls, 0, sizeof(controls));
	controls[CTL_XCR0] = 1;
	vcpu.id = 0;
	cpu_features_init();
	return cpuid_create(&vcpu);
}

static int tear_down(void **state)
{
	cpuid_destroy(&vcpu);
	return 0;
}

static struct cpuid_regs leaf(u32 number, u32 subleaf) { return cpuid_guest(&vcpu, number, subleaf); }
static bool has(u32 word, unsigned bit) { return word & BIT(bit); }

static void nothing_that_lamina_does_not_keep(void **state)
{
	struct cpuid_regs one = leaf(1, 0), seven = leaf(7, 0), d1 = leaf(0xd, 1), extended = leaf(0x80000001, 0);

	assert_false(has(one.ecx, 3));		/* MONITOR */
	assert_false(has(one.ecx, 5));		/* VMX */
	assert_false(has(one.ecx, 6));		/* SMX */
	assert_false(has(one.ecx, 15));		/* performance capabilities */
	assert_false(has(one.edx, 21));		/* debug store */
	assert_false(has(one.edx, 28));		/* hyper-threading */
	assert_false(has(seven.ebx, 4));	/* HLE */
	assert_false(has(seven.ebx, 11));	/* RTM */
	assert_false(has(seven.ebx, 14));	/* MPX */
	assert_false(has(seven.ebx, 25));	/* processor trace */
	assert_false(has(seven.ecx, 3));	/* protection keys */
	assert_false(has(seven.ecx, 5));	/* WAITPKG */
	assert_false(has(seven.ecx, 7));	/* CET */
	assert_false(has(seven.edx, 24));	/* AMX tiles */
	assert_false(has(seven.edx, 30));	/* CORE_CAPABILITIES */
	assert_true(seven.eax == 0 || seven.eax == 2);
	assert_false(has(leaf(0x80000008, 0).ebx, 25));	/* VIRT_SPEC_CTRL */
	assert_false(has(d1.eax, 3));		/* XSAVES, which needs XSS */
	assert_false(has(extended.ecx, 2));	/* SVM */
	assert_false(has(extended.ecx, 29));	/* MWAITX */
}

static void what_the_machine_provides_is_there(void **state)
{
	struct cpuid_regs one = leaf(1, 0);

	assert_true(has(one.ecx, 21));		/* x2APIC */
	assert_true(has(one.ecx, 24));		/* TSC deadline */
	assert_true(has(one.ecx, 31));		/* hypervisor */
	assert_true(has(one.edx, 9));		/* APIC */
	assert_true(has(one.edx, 12));		/* MTRR */
	assert_true(has(leaf(0x80000007, 0).edx, 8));
}

/* Each feature on the left needs the one on the right. */
static void no_feature_without_what_it_needs(void **state)
{
	struct cpuid_regs one = leaf(1, 0), seven = leaf(7, 0);
	bool xsave = has(one.ecx, 26), avx = has(one.ecx, 28), avx2 = has(seven.ebx, 5), avx512 = has(seven.ebx, 16);

	assert_true(!avx || xsave);
	assert_true(!has(one.ecx, 12) || avx);	/* FMA */
	assert_true(!has(one.ecx, 29) || avx);	/* F16C */
	assert_true(!avx2 || avx);
	assert_true(!avx512 || avx2);
	assert_true(avx512 || !(seven.ebx & (BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))));
	assert_true(avx512 || !(seven.ecx & (BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14))));
	assert_true(avx || !(seven.ecx & (BIT(9) | BIT(10))));	/* VAES, VPCLMULQDQ */
	assert_true(avx || !(leaf(0x80000001, 0).ecx & (BIT(11) | BIT(16))));	/* XOP, FMA4 */
	assert_int_equal(cpuid_has(&vcpu, FEATURE_AVX), avx);
	assert_int_equal(cpuid_has(&vcpu, FEATURE_AVX512), avx512);
}

/* A guest allocates this many bytes, but XSAVE writes as many as the processor's CPUID says. */
static void xsave_sizes_cover_what_xcr0_allows(void **state)
{
	u64 allowed = control_xcr0_allowed(&vcpu);
	struct cpuid_regs all = leaf(0xd, 0);
	u32 end = 576;

	if (!cpuid_has(&vcpu, FEATURE_XSAVE)) {
		assert_int_equal(all.eax, 0);
		return;
	}
	assert_int_equal(all.eax | (u64)all.edx << 32, allowed);
	assert_int_equal(all.ebx, 576);		/* XCR0 is 1: legacy region and header */
	for (u32 i = 2; i < 63; i++) {
		struct cpuid_regs component = leaf(0xd, i);

		assert_int_equal(component.eax != 0, (allowed & BIT_ULL(i)) != 0);
		end = MAX(end, component.eax + component.ebx);
	}
	assert_int_equal(all.ecx, end);
	controls[CTL_XCR0] = allowed;
	assert_int_equal(leaf(0xd, 0).ebx, end);
}

static void what_follows_the_vcpu(void **state)
{
	vcpu.id = 5;
	assert_int_equal(leaf(1, 0).ebx >> 24, 5);
	assert_int_equal(leaf(0xb, 0).edx, 5);
	assert_int_equal(leaf(0xb, 7).edx, 5);
	assert_int_equal(leaf(0xb, 7).ecx, 7);
	assert_false(has(leaf(1, 0).ecx, 27));
	controls[CTL_CR4] = CR4_OSXSAVE;
	assert_true(has(leaf(1, 0).ecx, 27));
}

static void subleaf_matters_only_where_there_are_some(void **state)
{
	struct cpuid_regs a = leaf(1, 0), b = leaf(1, 0xffffffff);

	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(leaf(7, 1).eax | leaf(7, 1).edx, 0);
}

/* Nested tables of four levels map 48 bits of a guest-physical address. */
static void addresses_fit_nested_tables(void **state)
{
	u32 eax = leaf(0x80000008, 0).eax;

	assert_in_range(eax & 0xff, 32, 52);
	assert_int_equal(eax >> 16, (eax & 0xff) > 48 ? 48 : 0);
	assert_in_range(eax >> 8 & 0xff, 32, 48);
	assert_int_equal(cpuid_physical_bits(&vcpu), eax & 0xff);
}

static void ranges_end_where_they_say(void **state)
{
	u32 beyond = leaf(0, 0).eax + 1;
	struct cpuid_regs last = leaf(beyond - 1, 0), r = leaf(beyond, 0), zero = { 0 };

	/* SDM: Intel's answers as for the last basic leaf. */
	assert_memory_equal(&r, cpu_features.vendor == CPU_VENDOR_INTEL ? &last : &zero, sizeof(r));
}

/* The kHz that Linux computes: crystal kHz * numerator / denominator, in 32 bits. */
static void tsc_ratio_gives_the_frequency_without_overflow(void **state)
{
	static const u64 frequencies[] = { 10000000, 25000000, 1000000007, 2399123457, 3700000000, 5999999999 };

	for (unsigned i = 0; i < ARRAY_SIZE(frequencies); i++) {
		struct cpuid_regs r;
		u64 khz;

		tear_down(state);
		tsc_hz = frequencies[i];
		set_up(state);
		r = leaf(0x15, 0);
		assert_true((u64)(r.ecx / 1000) * r.ebx <= 0xffffffff);
		assert_int_not_equal(r.eax, 0);
		khz = (u64)(r.ecx / 1000) * r.ebx / r.eax;
		assert_in_range(khz, tsc_hz / 1000 - tsc_hz / 100000000 - 1, tsc_hz / 1000 + tsc_hz / 100000000 + 1);
	}
}

/* Measured again after the table was made: all leaves that say the frequency agree with a table that is made then. */
static void the_timing_leaves_follow_the_clock(void **state)
{
	static const u32 leaves[] = { 0x15, 0x16, 0x40000010 };
	struct cpuid_regs before[3], now[3], whole;

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
		before[i] = leaf(leaves[i], 0);
	tsc_hz += tsc_hz / 1000;
	cpuid_set_timing(&vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		now[i] = leaf(leaves[i], 0);
		assert_memory_not_equal(&now[i], &before[i], sizeof(now[i]));
		if (cpuid_constant(vcpu.cpuid, leaves[i]))
			assert_memory_equal(cpuid_constant(vcpu.cpuid, leaves[i]), &now[i], sizeof(now[i]));
	}
	tear_down(state);
	set_up(state);
	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		whole = leaf(leaves[i], 0);
		assert_memory_equal(&now[i], &whole, sizeof(whole));
	}
}

/* Firmware may limit CPUID to leaf 3: XSAVE is announced, and the leaf that describes it is not there. */
static void no_xsave_without_its_leaf(void **state)
{
	cpuid_destroy(&vcpu);
	cpu_features.max_leaf = 3;
	cpu_features.xsave = false;
	assert_int_equal(cpuid_create(&vcpu), 0);
	assert_false(has(leaf(1, 0).ecx, 26));
	assert_false(has(leaf(1, 0).ecx, 28));	/* AVX */
	assert_int_equal(leaf(0xd, 0).eax, 0);
}

/* As the fast path looks for it. NULL: the slow path has to compute it. */
static const struct cpuid_regs *again(u32 number, u32 subleaf)
{
	const struct cpuid_slot *slot = cpuid_slot(vcpu.cpuid, number, subleaf);

	return slot ? &slot->regs : NULL;
}

static void assert_again(u32 number, u32 subleaf, struct cpuid_regs expected)
{
	assert_non_null(again(number, subleaf));
	assert_memory_equal(again(number, subleaf), &expected, sizeof(expected));
}

static void a_result_is_found_again(void **state)
{
	struct cpuid_regs regs;

	assert_null(again(0x80000001, 0));
	regs = leaf(0x80000001, 0x1234);
	assert_again(0x80000001, 7, regs);	/* ECX does not count */
	assert_null(again(0x80000021, 0));	/* the same slot */
	regs = leaf(7, 0);
	assert_again(7, 0, regs);
	assert_null(again(7, 1));		/* here it does */
	leaf(7, 2);
	assert_null(again(7, 0));
	regs = leaf(0xb, 5);
	assert_again(0xb, 5, regs);
	/* Beyond the last leaf, where an Intel processor has the last leaf's values. */
	regs = leaf(0x50000000, 9);
	assert_again(0x50000000, 1, regs);
	/* A guest's guest has other state. */
	leaf(7, 1);
	vcpu.l2_runs = true;
	leaf(7, 0);
	vcpu.l2_runs = false;
	assert_null(again(7, 0));
}

static void a_result_depends_on_the_state_that_it_shows(void **state)
{
	controls[CTL_CR4] = CR4_OSXSAVE | CR4_PAE;
	leaf(1, 0);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 1, 9)->dependence, CPUID_ON_OSXSAVE);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 1, 9)->state, CR4_OSXSAVE);
	assert_true(has(again(1, 9)->ecx, 27));
	leaf(7, 0);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 7, 0)->dependence, CPUID_ON_NOTHING);
	controls[CTL_XCR0] = 3;
	leaf(0xd, 0);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 0xd, 0)->dependence, cpu_features.xsave ? CPUID_ON_XCR0 : CPUID_ON_NOTHING);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 0xd, 0)->state, cpu_features.xsave ? 3 : 0);
	leaf(0xd, 1);
	assert_int_equal(cpuid_slot(vcpu.cpuid, 0xd, 1)->dependence, CPUID_ON_NOTHING);
}

/* What changes the leaves themselves: nothing from before is found. */
static void changed_leaves_are_computed_again(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		leaf(1, 0);
		leaf(0x40000010, 0);
		if (i == 0)
			cpuid_apic_enabled(&vcpu, false);
		else if (i == 1)
			cpuid_misc_enable_changed(&vcpu, 0);
		else
			cpuid_set_timing(&vcpu);
		assert_null(again(1, 0));
		assert_null(again(0x40000010, 0));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_that_lamina_does_not_keep), TEST(what_the_machine_provides_is_there),
		TEST(no_feature_without_what_it_needs), TEST(xsave_sizes_cover_what_xcr0_allows),
		TEST(what_follows_the_vcpu), TEST(subleaf_matters_only_where_there_are_some),
		TEST(addresses_fit_nested_tables), TEST(ranges_end_where_they_say),
		TEST(no_xsave_without_its_leaf),
		TEST(a_result_is_found_again),
		TEST(a_result_depends_on_the_state_that_it_shows),
		TEST(changed_leaves_are_computed_again),
		TEST(tsc_ratio_gives_the_frequency_without_overflow),
		TEST(the_timing_leaves_follow_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
