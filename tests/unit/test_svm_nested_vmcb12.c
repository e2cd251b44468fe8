/* SPDX-License-Identifier: MIT */
/*
 * What of a guest hypervisor's VMCB reaches the processor: the fields that VMRUN and VMLOAD load, and of controls the
 * bits that belong to what CPUID offers. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".
 */
/* link: svm/nested/vmcb12.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "svm/nested/nested.h"

static struct vmcb from, to;

/* Offsets of the manual's table, in bytes. */
struct field {
	u16 at, size;
};

static const struct field vmrun[] = {
	{ 0x60, 16 },		/* virtual interrupt, interrupt shadow */
	{ 0xc8, 8 },		/* next RIP */
	{ 0x400, 0x40 },	/* ES, CS, SS, DS */
	{ 0x460, 16 }, { 0x480, 16 },	/* GDTR, IDTR */
	{ 0x4cb, 1 },		/* CPL */
	{ 0x550, 8 },		/* CR3 */
	{ 0x560, 0x20 },	/* DR7, DR6, RFLAGS, RIP */
	{ 0x5d8, 8 }, { 0x5f8, 8 },	/* RSP, RAX */
	{ 0x640, 8 },		/* CR2 */
};
static const struct field vmload[] = {
	{ 0x440, 0x20 }, { 0x470, 16 }, { 0x490, 16 },	/* FS, GS, LDTR, TR */
	{ 0x600, 0x40 },	/* STAR to SYSENTER_EIP */
};

static bool is_in(const struct field *fields, unsigned count, size_t at)
{
	for (unsigned i = 0; i < count; i++)
		if (at >= fields[i].at && at < fields[i].at + fields[i].size)
			return true;
	return false;
}

/* Whatever is in the source, no other byte of the target changes. */
static void expect_untouched(const struct field *fields, unsigned count, u8 byte)
{
	for (size_t at = 0; at < sizeof(to); at++) {
		if (!is_in(fields, count, at))
			assert_int_equal(((const u8 *)&to)[at], byte);
	}
}

static void all_ones_set_no_control_that_is_not_offered(void **state)
{
	memset(&from, 0xff, sizeof(from));
	memset(&to, 0, sizeof(to));
	nsvm_import(&from, &to);
	expect_untouched(vmrun, ARRAY_SIZE(vmrun), 0);
	/* V_TPR, V_IRQ, V_INTR_PRIO, V_IGN_TPR, V_INTR_VECTOR; no V_GIF, V_NMI or AVIC. */
	assert_int_equal(to.control.int_control, 0xff001f01ffull);
	assert_int_equal(to.control.int_state, 1);
	assert_int_equal(to.save.cpl, 3);
	assert_int_equal(to.save.cs.attributes, 0xfff);
	assert_int_equal(to.save.gdtr.limit, 0xffff);
	/* Reserved bits of RFLAGS are 3, 5, 15 and those from 22 on. */
	assert_int_equal(to.save.rflags, 0x3f7fd7);
}

static void zeros_leave_what_lamina_has_set(void **state)
{
	memset(&from, 0, sizeof(from));
	memset(&to, 0, sizeof(to));
	to.control.int_control = V_INTR_MASKING;
	nsvm_import(&from, &to);
	assert_int_equal(to.control.int_control, V_INTR_MASKING);
	assert_int_equal(to.save.rflags, 2);
}

static void vmload_takes_its_fields_only(void **state)
{
	memset(&from, 0xff, sizeof(from));
	memset(&to, 0, sizeof(to));
	nsvm_copy_vmload(&from.save, &to.save);
	expect_untouched(vmload, ARRAY_SIZE(vmload), 0);
	assert_int_equal(to.save.sfmask, 0xffffffff);
	assert_int_equal(to.save.star, ~0ull);
}

static void addresses_become_canonical(void **state)
{
	memset(&from, 0, sizeof(from));
	from.save.lstar = 0x1234800000000000ull;
	from.save.fs.base = 0xffff7fffffffffffull;
	from.save.cs.base = 1ull << 47;
	nsvm_copy_vmload(&from.save, &to.save);
	nsvm_import(&from, &to);
	assert_int_equal(to.save.lstar, 0xffff800000000000ull);
	assert_int_equal(to.save.fs.base, 0x00007fffffffffffull);
	assert_int_equal(to.save.cs.base, 0xffff800000000000ull);
}

/* Random pages: what may reach the processor is bounded, and nothing else is touched. */
static void random_pages(void **state)
{
	const u8 byte = 0xa5;

	srandom(1);
	for (unsigned round = 0; round < 20000; round++) {
		for (size_t i = 0; i < sizeof(from); i += 2)
			*(u16 *)((u8 *)&from + i) = (u16)random();
		memset(&to, byte, sizeof(to));
		to.control.int_control = V_INTR_MASKING;
		nsvm_import(&from, &to);
		assert_int_equal(to.control.int_control & ~0xff011f01ffull, 0);
		assert_int_equal(to.control.int_state & ~1ull, 0);
		assert_int_equal(to.save.rflags & ~0x3f7fd7ull, 0);
		to.control.int_control = 0xa5a5a5a5a5a5a5a5ull;
		expect_untouched(vmrun, ARRAY_SIZE(vmrun), byte);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_ones_set_no_control_that_is_not_offered),
		cmocka_unit_test(zeros_leave_what_lamina_has_set),
		cmocka_unit_test(vmload_takes_its_fields_only),
		cmocka_unit_test(addresses_become_canonical),
		cmocka_unit_test(random_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
