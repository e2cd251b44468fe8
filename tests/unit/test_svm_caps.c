/* SPDX-License-Identifier: MIT */
/*
 * Lamina's report on a processor's SVM: the firmware's lock, which no emulator has, and each
 * capability found, missing and replaced, or missing and required.
 * AMD APM vol. 2, "Enabling SVM", "SVM Lock"; vol. 3, "CPUID Fn8000_000A".
 */
/* link: svm/caps.c core/cpu/capability.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/bootinfo/option.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "lib/log.h"
#include "lib/errno.h"
#include "svm/svm.h"

int option_choice(struct str_view value, const char *words) { return -EINVAL; }

#define NESTED_PAGING BIT(0)
#define LOCK	      BIT(2)
#define NRIP_SAVE     BIT(3)
#define CLEAN_BITS    BIT(5)
#define FLUSH_BY_ASID BIT(6)
#define ASSISTS	      BIT(7)
#define PAUSE_FILTER  BIT(10)
#define PAUSE_LIMIT   BIT(12)

#define VM_CR_LOCK   BIT_ULL(3)
#define VM_CR_SVMDIS BIT_ULL(4)

struct cpu_features cpu_features;

void speculation_init(void) { }	/* it has a test of its own */

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	assert_int_equal(leaf, 0x8000000a);
	return (struct cpuid_regs){ .eax = 1, .ebx = 8, .edx = NESTED_PAGING };
}

static u64 vm_cr;
static bool vm_cr_faults;
static char text[8192];

int rdmsr_safe(u32 msr, u64 *value)
{
	assert_int_equal(msr, MSR_VM_CR);
	if (vm_cr_faults)
		return -EFAULT;
	*value = vm_cr;
	return 0;
}

static void keep(struct log_console *console, const char *part, size_t length)
{
	size_t used = strlen(text);

	assert_true(used + length < sizeof(text));
	memcpy(text + used, part, length);
	text[used + length] = '\0';
}

static struct log_console console = { .write = keep };

static int set_up_group(void **state)
{
	log_add_console(&console);
	return 0;
}

static int set_up(void **state)
{
	cpu_features = (struct cpu_features){ 0 };
	vm_cr = 0;
	vm_cr_faults = false;
	text[0] = '\0';
	return 0;
}

static int probe(u32 asids, u32 features)
{
	return svm_probe_leaf((struct cpuid_regs){ .eax = 1, .ebx = asids, .edx = features });
}

static void firmware_switched_it_off(void **state)
{
	vm_cr = VM_CR_SVMDIS | VM_CR_LOCK;
	assert_int_equal(probe(16, NESTED_PAGING | LOCK), -ENODEV);
	assert_non_null(strstr(text, "SVM disabled, locked"));
	assert_non_null(strstr(text, "switched off by the firmware"));
	assert_non_null(strstr(text, "SVM Mode"));
}

/* AMD APM vol. 2, "Enabling SVM": without the lock feature SVMDIS is for good. */
static void switched_off_without_a_lock(void **state)
{
	vm_cr = VM_CR_SVMDIS;
	assert_int_equal(probe(16, NESTED_PAGING | LOCK), 0);
	assert_non_null(strstr(text, "SVM disabled, not locked: Lamina switches it on"));
	assert_int_equal(probe(16, NESTED_PAGING), -ENODEV);
	assert_non_null(strstr(text, "SVM disabled, not locked\n"));
	assert_non_null(strstr(text, "switched off by the firmware"));
}

static void a_lock_with_svm_on_does_no_harm(void **state)
{
	vm_cr = VM_CR_LOCK;
	assert_int_equal(probe(16, NESTED_PAGING | LOCK), 0);
	assert_non_null(strstr(text, "SVM enabled, locked"));
}

static void without_the_lock_feature_the_bit_means_nothing(void **state)
{
	vm_cr = VM_CR_LOCK;
	assert_int_equal(probe(16, NESTED_PAGING), 0);
	assert_non_null(strstr(text, "SVM enabled, not locked"));
}

static void an_unreadable_vm_cr_leaves_it_to_efer(void **state)
{
	vm_cr_faults = true;
	assert_int_equal(probe(16, NESTED_PAGING), 0);
	assert_non_null(strstr(text, "EFER.SVME is tried"));
}

static void nested_paging_is_required(void **state)
{
	assert_int_equal(probe(16, NRIP_SAVE | ASSISTS), -ENODEV);
	assert_non_null(strstr(text, "MISSING, required"));
	assert_non_null(strstr(text, "no nested paging"));
}

static void two_asids_are_required(void **state)
{
	assert_int_equal(probe(1, NESTED_PAGING), -ENODEV);
	assert_non_null(strstr(text, "1 ASIDs"));
	assert_int_equal(probe(2, NESTED_PAGING), 0);
}

static void each_optional_feature_is_seen_alone(void **state)
{
	probe(16, NESTED_PAGING);
	assert_false(svm_features.nrip_save || svm_features.clean_bits || svm_features.flush_by_asid ||
		     svm_features.decode_assists);
	assert_non_null(strstr(text, "instruction length by decoding"));
	probe(16, NESTED_PAGING | NRIP_SAVE);
	assert_true(svm_features.nrip_save);
	assert_false(svm_features.decode_assists);
	probe(16, NESTED_PAGING | ASSISTS);
	assert_true(svm_features.decode_assists);
	probe(16, NESTED_PAGING | FLUSH_BY_ASID);
	assert_true(svm_features.flush_by_asid);
	assert_false(svm_features.clean_bits);
	probe(16, NESTED_PAGING | CLEAN_BITS);
	assert_true(svm_features.clean_bits);
	assert_false(svm_features.nrip_save || svm_features.pause_filter || svm_features.pause_threshold);
	probe(16, NESTED_PAGING | PAUSE_FILTER);
	assert_true(svm_features.pause_filter);
	assert_false(svm_features.pause_threshold);
	probe(16, NESTED_PAGING | PAUSE_LIMIT);
	assert_true(svm_features.pause_threshold);
	assert_false(svm_features.pause_filter);
}

/* All lines of the capability list behind their time, in order: the optional ones with what replaces them. */
static const struct {
	const char *name, *missing;
} list[] = {
	{ "next RIP saved on exit", "instruction length by decoding" },
	{ "decode assists", "instruction operands by decoding" },
	{ "flush by ASID", "whole TLB is flushed" },
	{ "VMCB clean bits", "processor reloads the whole VMCB" },
	{ "PAUSE filter", "spinning vCPUs use up their time slices" },
	{ "1 GiB pages", "2 MiB pages" },
	{ "TSC deadline timer", "calibrated one-shot timer" },
	{ "x2APIC", "xAPIC" },
	{ "invariant TSC", "TSC is taken to be constant" },
};

/* The next line of `at`, without its prefix; returns what is behind it. */
static const char *expect_line(const char *at, const char *expected)
{
	const char *line = strstr(at, "] "), *end = strchr(at, '\n');

	assert_non_null(line);
	assert_non_null(end);
	line += 2;
	if ((size_t)(end - line) != strlen(expected) || strncmp(line, expected, strlen(expected)))
		fail_msg("\"%.*s\", expected \"%s\"", (int)(end - line), line, expected);
	return end + 1;
}

/* `found`: the index of the one optional capability that the processor has; ARRAY_SIZE(list): it has none. */
static void expect_list(unsigned found)
{
	const char *at = text;
	char expected[128];

	at = expect_line(at, "capabilities: AMD SVM revision 1");
	at = expect_line(at, "  VM_CR                              SVM enabled, not locked");
	at = expect_line(at, "  address space identifiers (ASID)   16");
	for (unsigned i = 0; i < ARRAY_SIZE(list); i++) {
		snprintf(expected, sizeof(expected), "  %-34s %s%s", list[i].name,
			 i == found ? "found" : "missing: ", i == found ? "" : list[i].missing);
		at = expect_line(at, expected);
	}
	at = expect_line(at, "  forced exits by                    self-IPI, seen pending before VMRUN");
	at = expect_line(at, "  nested paging (NPT)                found");
	assert_string_equal(at, "");
}

static void the_list_names_each_capability(void **state)
{
	static const u32 by_svm[] = { NRIP_SAVE, ASSISTS, FLUSH_BY_ASID, CLEAN_BITS, PAUSE_FILTER };
	bool *const by_processor[] = {
		&cpu_features.pages_1g, &cpu_features.tsc_deadline, &cpu_features.x2apic, &cpu_features.invariant_tsc,
	};

	for (unsigned i = 0; i <= ARRAY_SIZE(list); i++) {
		unsigned other = i - ARRAY_SIZE(by_svm);

		set_up(NULL);
		if (other < ARRAY_SIZE(by_processor))
			*by_processor[other] = true;
		assert_int_equal(probe(16, NESTED_PAGING | (i < ARRAY_SIZE(by_svm) ? by_svm[i] : 0)), 0);
		expect_list(i);
	}
}

/* EAX[7:0] is the revision; the rest of EAX is reserved. */
static void the_revision_is_a_byte(void **state)
{
	svm_probe_leaf((struct cpuid_regs){ .eax = 0xabcdef85, .ebx = 16, .edx = NESTED_PAGING });
	assert_non_null(strstr(text, "SVM revision 133\n"));
}

static void the_leaf_must_exist(void **state)
{
	cpu_features.max_extended_leaf = 0x80000009;
	assert_int_equal(svm_probe(), -ENODEV);
	assert_non_null(strstr(text, "no leaf 8000000Ah"));
	cpu_features.max_extended_leaf = 0x8000000a;
	assert_int_equal(svm_probe(), 0);
	assert_int_equal(svm_features.asids, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(firmware_switched_it_off, set_up),
		cmocka_unit_test_setup(switched_off_without_a_lock, set_up),
		cmocka_unit_test_setup(a_lock_with_svm_on_does_no_harm, set_up),
		cmocka_unit_test_setup(without_the_lock_feature_the_bit_means_nothing, set_up),
		cmocka_unit_test_setup(an_unreadable_vm_cr_leaves_it_to_efer, set_up),
		cmocka_unit_test_setup(nested_paging_is_required, set_up),
		cmocka_unit_test_setup(two_asids_are_required, set_up),
		cmocka_unit_test_setup(each_optional_feature_is_seen_alone, set_up),
		cmocka_unit_test_setup(the_list_names_each_capability, set_up),
		cmocka_unit_test_setup(the_revision_is_a_byte, set_up),
		cmocka_unit_test_setup(the_leaf_must_exist, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
