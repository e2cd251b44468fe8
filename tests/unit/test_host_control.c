/* SPDX-License-Identifier: MIT */
/*
 * The control registers of a CPU of the host, and how it leaves virtualization so that an INIT resets it.
 * Intel SDM, "Control Registers", "INIT"; AMD APM vol. 2, "VM_CR MSR (C001_0114h)".
 */
/* link: tests/unit/fake_cpu.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Where the exception table's rows go: a section whose bounds the linker names, and writable for PIE. */
#include "arch/fault/extable.h"
#undef EXTABLE
#define EXTABLE(from, to)			\
	"\n\t.pushsection extable, \"aw\""	\
	"\n\t.balign 8"				\
	"\n\t.quad " from ", " to		\
	"\n\t.popsection\n"

#include "arch/cpu/control.c"
#include "tests/unit/fake_cpu.h"

extern const struct extable_entry __start_extable[], __stop_extable[];

#define PAT    0x277u
#define VM_CR  0xc0010114u
#define VMXE   (1u << 13)

struct cpu_features cpu_features;

static u64 fixup(u64 rip)
{
	for (const struct extable_entry *e = __start_extable; e < __stop_extable; e++) {
		if (e->from == rip)
			return e->to;
	}
	return 0;
}

static int set_up(void **state)
{
	cpu_features = (struct cpu_features){ .vendor = CPU_VENDOR_INTEL, .family = 6 };
	return 0;
}

static void only_what_the_processor_has(void **state)
{
	control_init();
	assert_int_equal(fake_cpu.cr[4], 1u << 5 | 1u << 3 | 1u << 9 | 1u << 10);
	assert_int_equal(fake_cpu.cr[0], 0x80010033);
	assert_int_equal(fake_cpu_count(DO_WRMSR), 0);
}

static void all_features(void **state)
{
	cpu_features.mce = cpu_features.smep = cpu_features.smap = cpu_features.umip = cpu_features.xsave = true;
	cpu_features.pat = true;
	control_init();
	assert_int_equal(fake_cpu.cr[4], 1u << 5 | 1u << 3 | 1u << 9 | 1u << 10 |
			 1u << 6 | 1u << 20 | 1u << 21 | 1u << 11 | 1u << 18);
	assert_int_equal(fake_msr(PAT)->value, 0x0007010600070106);
}

static void leaving_vmx_operation(void **state)
{
	control_leave_virtualization();
	assert_int_equal(fake_cpu_count(DO_VMXOFF), 0);
	fake_cpu.cr[4] = VMXE;
	control_leave_virtualization();
	assert_int_equal(fake_cpu_count(DO_VMXOFF), 1);
	/* CR4.VMXE is set, but VMXON was not executed: #UD. */
	fake_cpu.fixup = fixup;
	fake_cpu.answers[DO_VMXOFF] = VM_GP;
	control_leave_virtualization();
	assert_int_equal(fake_cpu_count(DO_VMXOFF), 2);
}

static void init_is_not_redirected_any_more(void **state)
{
	fake_msr(VM_CR)->value = 0x1a;		/* LOCK, SVMDIS, R_INIT */
	control_leave_virtualization();
	assert_int_equal(fake_msr(VM_CR)->value, 0x1a);
	cpu_features.svm = true;
	control_leave_virtualization();
	assert_int_equal(fake_msr(VM_CR)->value, 0x18);
	assert_int_equal(fake_cpu_count(DO_VMXOFF), 0);
}

#define TEST(test) fake_cpu_test_setup(test, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_the_processor_has),
		TEST(all_features),
		TEST(leaving_vmx_operation),
		TEST(init_is_not_redirected_any_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
