/* SPDX-License-Identifier: MIT */
/* What the rules of VM entry look at, as it is read from the VMCS and from the fake_cpu. */
/* link: vmx/entry_state.c vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c */
/* link: vmx/rules/guest.c vmx/rules/segments.c vmx/rules/nonregister.c core/observe/entry_rule.c lib/string.c */
/* cflags: -Wno-missing-field-initializers -Xlinker --wrap=vmx_check_entry */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/mem/memory.h"
#include "vmx/vmx.h"

struct vmx_caps vmx_caps;
struct cpu_features cpu_features;

static struct vm vm;
static struct vcpu_vmx vmx = { .vcpu.vm = &vm };

/* --- a processor whose MSRs and fields all hold their own numbers, if they are there --- */

static bool msr_absent[0x500], field_absent[0x8000];
static u64 basic;
static u64 field_xor[0x8000];
static unsigned reads;
static struct cpuid_regs leaf_7, leaf_7_1, leaf_10;

int rdmsr_safe(u32 msr, u64 *value)
{
	assert_in_range(msr, MSR_VMX_BASIC, ARRAY_SIZE(msr_absent) - 1);
	*value = msr == MSR_VMX_BASIC ? basic : msr;
	return msr_absent[msr] ? -EFAULT : 0;
}

u64 fake_vmread(u32 encoding, bool *fail)
{
	assert_true(encoding < ARRAY_SIZE(field_absent));
	reads++;
	*fail = field_absent[encoding];
	return (0x10000 + encoding) ^ field_xor[encoding];
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail) { fail_msg("VMWRITE to 0x%x", encoding); }
void vmx_store_dirty_regs(struct vcpu *vcpu) {}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	assert_true(leaf <= cpu_features.max_leaf);
	assert_true(subleaf == 0 || (leaf == 7 && subleaf == 1 && leaf_7.eax >= 1));
	switch (leaf) {
	case 7:
		return subleaf ? leaf_7_1 : leaf_7;
	case 10:
		return leaf_10;
	}
	fail_msg("CPUID leaf %u", leaf);
	return (struct cpuid_regs){ 0 };
}

static int set_up(void **state)
{
	memset(msr_absent, 0, sizeof(msr_absent));
	memset(field_absent, 0, sizeof(field_absent));
	memset(field_xor, 0, sizeof(field_xor));
	basic = BIT_ULL(55);
	reads = 0;
	leaf_7 = leaf_7_1 = leaf_10 = (struct cpuid_regs){ 0 };
	cpu_features = (struct cpu_features){
		.max_leaf = 10, .physical_address_bits = 46, .linear_address_bits = 57,
	};
	return 0;
}

static struct vmx_entry_state s;

static void read_state(void)
{
	memset(&s, 0xff, sizeof(s));
	vmx_entry_state_read(&vmx.vcpu, &s);
}

static void each_field_of_the_vmcs(void **state)
{
	read_state();
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++)
		assert_int_equal(vmx_field(&s, i), 0x10000 + vmx_field_number(i));
	assert_int_equal(s.pin, 0x14000);
	assert_int_equal(s.segments[SEG_TR].rights, 0x14822);
	assert_int_equal(s.pdpte3, 0x12810);
	assert_int_equal(reads, VMX_FIRST_PROCESSOR);
}

/* A processor without a feature lacks its fields: the rules take them for 0. */
static void a_field_that_is_not_there_is_0(void **state)
{
	field_absent[0x2042] = field_absent[0x2818] = true;
	read_state();
	assert_int_equal(s.pid_table, 0);
	assert_int_equal(s.pkrs, 0);
	assert_int_equal(s.pid_last, 0x10008);
}

static void the_true_controls_are_read_where_there_are_any(void **state)
{
	read_state();
	assert_int_equal(s.allowed_pin, 0x48d);
	assert_int_equal(s.allowed_primary, 0x48e);
	assert_int_equal(s.allowed_exit, 0x48f);
	assert_int_equal(s.allowed_entry, 0x490);
	assert_int_equal(s.allowed_secondary, 0x48b);

	basic = 0x7fffffff | BIT_ULL(54) | BIT_ULL(56);
	read_state();
	assert_int_equal(s.allowed_pin, 0x481);
	assert_int_equal(s.allowed_primary, 0x482);
	assert_int_equal(s.allowed_exit, 0x483);
	assert_int_equal(s.allowed_entry, 0x484);
	assert_int_equal(s.allowed_secondary, 0x48b);
}

static void the_other_capabilities(void **state)
{
	vmx.vmcs.page = phys_to_virt(0x5000);
	read_state();
	assert_int_equal(s.current_vmcs, 0x5000);
	assert_int_equal(s.basic, BIT_ULL(55));
	assert_int_equal(s.misc, 0x485);
	assert_int_equal(s.cr0_fixed0, 0x486);
	assert_int_equal(s.cr0_fixed1, 0x487);
	assert_int_equal(s.cr4_fixed0, 0x488);
	assert_int_equal(s.cr4_fixed1, 0x489);
	assert_int_equal(s.ept_vpid, 0x48c);
	assert_int_equal(s.allowed_functions, 0x491);
	assert_int_equal(s.allowed_tertiary, 0x492);
	assert_int_equal(s.allowed_secondary_exit, 0x493);
	assert_int_equal(s.physical_bits, 46);
	assert_int_equal(s.linear_bits, 57);
	assert_int_equal(s.virtual_tpr, 0);
	assert_int_equal(s.link_revision, 0);

	msr_absent[0x492] = true;
	read_state();
	assert_int_equal(s.allowed_tertiary, 0);
}

/* SDM, "IA32_PERF_GLOBAL_CTRL": general counters from bit 0, fixed ones from bit 32. */
static void counters_of_the_performance_monitor(void **state)
{
	static const struct {
		u32 eax, edx, max_leaf;
		u64 valid;
	} cases[] = {
		{ 0x07300403, 0x603, 10, 0x70000000f }, { 0x00000805, 0x04, 10, 0xf000000ff },
		{ 0x00000302, 0x00, 10, 7 }, { 0x00000001, 0x00, 10, 0 }, { 0x07300403, 0x603, 9, 0 },
		/* Counts that no processor has are cut to what fits. */
		{ 0x0000ff00, 0xffffffe1, 10, 0x17fffffff }, { 0x00002000, 0, 10, 0x7fffffff },
		{ 0x00001e00, 0, 10, 0x3fffffff }, { 0, 0x1f, 10, 0x7fffffff00000000 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		leaf_10.eax = cases[i].eax;
		leaf_10.edx = cases[i].edx;
		cpu_features.max_leaf = cases[i].max_leaf;
		read_state();
		assert_int_equal(s.perf_valid, cases[i].valid);
	}
}

/* SDM, "CPUID": each bit alone, and all others. */
static void features_that_cpuid_announces(void **state)
{
	const struct {
		u32 *reg, bit;
		u64 feature;
	} bits[] = {
		{ &leaf_7.ebx, BIT(2), VMX_FEATURE_SGX }, { &leaf_7.ebx, BIT(11), VMX_FEATURE_RTM },
		{ &leaf_7.ecx, BIT(24), VMX_FEATURE_BUS_LOCK }, { &leaf_7_1.eax, BIT(26), VMX_FEATURE_LAM },
	};

	leaf_7.eax = 1;
	read_state();
	assert_int_equal(s.features, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
		*bits[i].reg = bits[i].bit;
		read_state();
		assert_int_equal(s.features, bits[i].feature);
		*bits[i].reg = ~bits[i].bit;
		read_state();
		assert_int_equal(s.features & bits[i].feature, 0);
		*bits[i].reg = 0;
	}
	leaf_7 = leaf_7_1 = (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
	cpu_features.max_leaf = 7;
	read_state();
	assert_int_equal(s.features, VMX_FEATURE_SGX | VMX_FEATURE_RTM | VMX_FEATURE_BUS_LOCK | VMX_FEATURE_LAM);
	leaf_7.eax = 0;		/* no subleaf 1 */
	read_state();
	assert_int_equal(s.features, VMX_FEATURE_SGX | VMX_FEATURE_RTM | VMX_FEATURE_BUS_LOCK);
	cpu_features.max_leaf = 6;
	read_state();
	assert_int_equal(s.features, 0);
}

/* --- before each entry --- */

static unsigned checks, broken;

unsigned __wrap_vmx_check_entry(const struct vmx_entry_state *checked, violation_sink *sink, void *context);
unsigned __wrap_vmx_check_entry(const struct vmx_entry_state *checked, violation_sink *sink, void *context)
{
	checks++;
	return broken;
}

/* Is the state of the next entry checked against the rules? */
static bool next_is_checked(void)
{
	unsigned found;

	checks = 0;
	found = vmx_check_next_entry(&vmx.vcpu, NULL, NULL);
	assert_int_equal(found, checks ? broken : 0);
	assert_true(checks <= 1);
	return checks;
}

/* The fields that there are do not change while Lamina runs, so the first entry finds them: run this first. */
static void absent_fields_are_asked_for_once(void **state)
{
	field_absent[0x2042] = field_absent[0x2818] = true;
	broken = 1;
	assert_true(next_is_checked());
	assert_int_equal(reads, 2 * VMX_FIRST_PROCESSOR - 2);
	reads = 0;
	assert_true(next_is_checked());
	assert_int_equal(reads, VMX_FIRST_PROCESSOR - 2);
}

static void a_state_is_checked_until_it_has_passed(void **state)
{
	broken = 2;
	for (unsigned i = 0; i < 3; i++)
		assert_true(next_is_checked());
	broken = 0;
	assert_true(next_is_checked());
	for (unsigned i = 0; i < 3; i++)
		assert_false(next_is_checked());
}

static void what_rules_look_at_is_checked_when_it_changes(void **state)
{
	broken = 0;
	next_is_checked();
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++)
		for (unsigned bit = 0; bit < 64; bit++) {
			u32 number = vmx_field_number(i);

			if (number == 0x2042 || number == 0x2818)	/* found to be absent */
				continue;
			field_xor[number] ^= BIT_ULL(bit);
			assert_int_equal(next_is_checked(), vmx_rule_bits(i) >> bit & 1);
		}
}

static void another_vmcs_is_checked(void **state)
{
	broken = 0;
	vmx.vmcs.page = phys_to_virt(0x6000);
	next_is_checked();
	assert_false(next_is_checked());
	vmx.vmcs.page = phys_to_virt(0x7000);
	assert_true(next_is_checked());
	assert_false(next_is_checked());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_field_of_the_vmcs, set_up),
		cmocka_unit_test_setup(a_field_that_is_not_there_is_0, set_up),
		cmocka_unit_test_setup(the_true_controls_are_read_where_there_are_any, set_up),
		cmocka_unit_test_setup(the_other_capabilities, set_up),
		cmocka_unit_test_setup(counters_of_the_performance_monitor, set_up),
		cmocka_unit_test_setup(features_that_cpuid_announces, set_up),
		cmocka_unit_test_setup(absent_fields_are_asked_for_once, set_up),
		cmocka_unit_test_setup(a_state_is_checked_until_it_has_passed, set_up),
		cmocka_unit_test_setup(what_rules_look_at_is_checked_when_it_changes, set_up),
		cmocka_unit_test_setup(another_vmcs_is_checked, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
