/* SPDX-License-Identifier: MIT */
/*
 * What Lamina says of a processor's SVM: the firmware's lock, which no emulator has, and each
 * capability found, missing and replaced, or missing and required.
 * AMD APM vol. 2, "Enabling SVM", "SVM Lock"; vol. 3, "CPUID Fn8000_000A".
 */
/* link: svm/caps.c core/cpu/capability.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "lib/log.h"
#include "svm/svm.h"

#define NESTED_PAGING BIT(0)
#define LOCK	      BIT(2)
#define NRIP_SAVE     BIT(3)
#define CLEAN_BITS    BIT(5)
#define FLUSH_BY_ASID BIT(6)
#define ASSISTS	      BIT(7)

#define VM_CR_LOCK   BIT_ULL(3)
#define VM_CR_SVMDIS BIT_ULL(4)

struct cpu_features cpu_features;

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

static void an_unreadable_vm_cr_is_left_to_efer(void **state)
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
	assert_false(svm_features.nrip_save);
}

/* The screen's order, and what each line says where the processor has it. */
static void every_capability_has_its_line(void **state)
{
	static const char *const lines[] = {
		"address space identifiers (ASID)   16\n", "next RIP saved on exit             found\n",
		"decode assists                     missing: ", "flush by ASID                      found\n",
		"VMCB clean bits                    missing: ", "1 GiB pages                        found\n",
		"TSC deadline timer                 missing: ", "x2APIC                             found\n",
		"invariant TSC                      missing: ",
	};
	const char *at = text;

	cpu_features = (struct cpu_features){ .pages_1g = true, .x2apic = true };
	assert_int_equal(probe(16, NESTED_PAGING | NRIP_SAVE | FLUSH_BY_ASID), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		at = strstr(at, lines[i]);
		if (!at)
			fail_msg("\"%s\" is not in its place in:\n%s", lines[i], text);
	}
	cpu_features = (struct cpu_features){ .tsc_deadline = true, .invariant_tsc = true };
	text[0] = '\0';
	probe(16, NESTED_PAGING);
	assert_non_null(strstr(text, "TSC deadline timer                 found\n"));
	assert_non_null(strstr(text, "invariant TSC                      found\n"));
	assert_non_null(strstr(text, "1 GiB pages                        missing: 2 MiB pages\n"));
	assert_non_null(strstr(text, "x2APIC                             missing: xAPIC\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(firmware_switched_it_off, set_up),
		cmocka_unit_test_setup(a_lock_with_svm_on_does_no_harm, set_up),
		cmocka_unit_test_setup(without_the_lock_feature_the_bit_means_nothing, set_up),
		cmocka_unit_test_setup(an_unreadable_vm_cr_is_left_to_efer, set_up),
		cmocka_unit_test_setup(nested_paging_is_required, set_up),
		cmocka_unit_test_setup(two_asids_are_required, set_up),
		cmocka_unit_test_setup(each_optional_feature_is_seen_alone, set_up),
		cmocka_unit_test_setup(every_capability_has_its_line, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
