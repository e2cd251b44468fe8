/* SPDX-License-Identifier: MIT */
/* Logical to linear addresses: limits, types and canonical form in every mode. */
/* link: core/emulate/gwalk.c core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

static int setup(void **state)
{
	fake_machine_create();
	return 0;
}

static int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static void expect_linear(enum vcpu_segment segment, u64 offset, unsigned size, u32 access,
			  gva_t expected)
{
	struct guest_fault fault;
	gva_t gva;

	assert_int_equal(gwalk_linear(&fake.vcpu, segment, offset, size, access, &gva, &fault), 0);
	assert_int_equal(gva, expected);
}

static void expect_segment_fault(enum vcpu_segment segment, u64 offset, unsigned size, u32 access,
				 u8 vector)
{
	struct guest_fault fault;
	gva_t gva;
	int error = gwalk_linear(&fake.vcpu, segment, offset, size, access, &gva, &fault);

	assert_int_equal(error, -EFAULT);
	expect_fault(&fault, vector, 0, 0);
}

static void test_real_mode_segments(void **state)
{
	fake_real_mode();
	fake.segments[SEG_DS].base = 0xffff0;
	expect_linear(SEG_DS, 0xffff, 1, 0, 0x10ffef);
	expect_linear(SEG_DS, 0xfffc, 4, PF_WRITE, 0x10ffec);
	expect_segment_fault(SEG_DS, 0xfffd, 4, 0, X86_GP);
	expect_segment_fault(SEG_SS, 0xffff, 2, PF_WRITE, X86_SS);
	/* Real mode may write to the code segment: the cached type is not checked. */
	expect_linear(SEG_CS, 0x100, 4, PF_WRITE, 0x100);
	/* A limit that was set in protected mode stays in effect. */
	fake.segments[SEG_ES].limit = 0xffffffff;
	expect_linear(SEG_ES, 0xfee00000, 4, PF_WRITE, 0xfee00000);
}

static void test_vm86_segments(void **state)
{
	fake_protected_mode(false);
	vcpu_reg_write(&fake.vcpu, REG_RFLAGS, RFLAGS_FIXED | RFLAGS_VM);
	fake.segments[SEG_CS].limit = 0xffff;
	expect_linear(SEG_CS, 0xffff, 1, PF_WRITE, 0xffff);
	expect_segment_fault(SEG_CS, 0xffff, 2, PF_WRITE, X86_GP);
	assert_int_equal(gwalk_privilege(&fake.vcpu), PF_USER);
}

/* SDM, "Code- and Data-Segment Types" */
static void test_segment_types(void **state)
{
	for (unsigned type = 0; type < 16; type++) {
		bool code = type & 8;
		bool readable = !code || (type & 2), writable = !code && (type & 2);
		u64 offset = !code && (type & 4) ? 0x20000 : 0x100;

		fake_protected_mode(true);
		fake.segments[SEG_DS].type = (u8)type;
		fake.segments[SEG_DS].limit = 0xffff;
		fake.segments[SEG_DS].base = 0xfffff000;
		if (readable)
			expect_linear(SEG_DS, offset, 4, 0, (u32)(0xfffff000 + offset));
		else
			expect_segment_fault(SEG_DS, offset, 4, 0, X86_GP);
		if (writable)
			expect_linear(SEG_DS, offset, 4, PF_WRITE, (u32)(0xfffff000 + offset));
		else
			expect_segment_fault(SEG_DS, offset, 4, PF_WRITE, X86_GP);
	}
	fake.segments[SEG_FS].unusable = true;
	expect_segment_fault(SEG_FS, 0, 1, 0, X86_GP);
	fake.segments[SEG_SS].unusable = true;
	expect_segment_fault(SEG_SS, 0, 1, 0, X86_SS);
}

static void test_limits(void **state)
{
	fake_protected_mode(true);
	fake.segments[SEG_DS].limit = 0x1fff;
	expect_linear(SEG_DS, 0x1ffc, 4, 0, 0x1ffc);
	expect_segment_fault(SEG_DS, 0x1ffd, 4, 0, X86_GP);
	expect_segment_fault(SEG_DS, 0xffffffff, 2, 0, X86_GP);	/* does not wrap into the segment */

	fake.segments[SEG_SS].limit = 0x1fff;
	fake.segments[SEG_SS].type = 7;		/* expand-down, writable */
	expect_segment_fault(SEG_SS, 0x1fff, 1, 0, X86_SS);
	expect_segment_fault(SEG_SS, 0x1ffe, 4, 0, X86_SS);
	expect_linear(SEG_SS, 0x2000, 4, PF_WRITE, 0x2000);
	expect_linear(SEG_SS, 0xfffffffc, 4, PF_WRITE, 0xfffffffc);
	fake.segments[SEG_SS].db = false;	/* its upper bound is 64 KiB then */
	expect_linear(SEG_SS, 0xfffc, 4, PF_WRITE, 0xfffc);
	expect_segment_fault(SEG_SS, 0xfffd, 4, PF_WRITE, X86_SS);
	expect_segment_fault(SEG_SS, 0x10000, 1, PF_WRITE, X86_SS);
}

/* EIP and other offsets have 32 bits there: an address computed beyond 4 GiB wraps. */
static void test_offsets_outside_of_64_bit_code(void **state)
{
	fake_protected_mode(true);
	expect_linear(SEG_CS, 0x100000010ull, 1, PF_FETCH, 0x10);
	fake.segments[SEG_DS].limit = 0xf;
	expect_linear(SEG_DS, 0xffffffff0000000full, 1, 0, 0xf);
	expect_segment_fault(SEG_DS, 0xffffffff00000010ull, 1, 0, X86_GP);
}

static void test_privilege(void **state)
{
	fake_protected_mode(true);
	for (unsigned cpl = 0; cpl < 4; cpl++) {
		fake_set_cpl(cpl);
		assert_int_equal(gwalk_privilege(&fake.vcpu), cpl == 3 ? PF_USER : 0);
	}
}

static void test_64_bit_segments(void **state)
{
	fake_long_mode();
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		fake.segments[i].base = 0x1234000;
		fake.segments[i].limit = 0;
		fake.segments[i].unusable = i != SEG_CS;
	}
	expect_linear(SEG_DS, 0x7ffffffff000ull, 8, PF_WRITE, 0x7ffffffff000ull);
	expect_linear(SEG_CS, 0x5000, 8, PF_WRITE, 0x5000);
	expect_linear(SEG_GS, 0x5000, 8, PF_WRITE, 0x1239000);
	expect_linear(SEG_FS, 0xffffffffffffff00ull, 8, 0, 0x1233f00);
	expect_segment_fault(SEG_DS, 0x800000000000ull, 1, 0, X86_GP);
	expect_linear(SEG_DS, 0x7ffffffffff8ull, 8, 0, 0x7ffffffffff8ull);	/* up to the last canonical byte */
	expect_segment_fault(SEG_DS, 0x7ffffffffff9ull, 8, 0, X86_GP);
	expect_segment_fault(SEG_DS, 0x7ffffffffffcull, 8, 0, X86_GP);
	expect_segment_fault(SEG_SS, 0xffff7fffffffffffull, 1, 0, X86_SS);
	/* In compatibility mode the limits apply again. */
	fake.segments[SEG_CS].l = false;
	fake.segments[SEG_GS].unusable = false;
	expect_segment_fault(SEG_GS, 0x5000, 8, PF_WRITE, X86_GP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_real_mode_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vm86_segments, setup, teardown),
		cmocka_unit_test_setup_teardown(test_segment_types, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_offsets_outside_of_64_bit_code, setup, teardown),
		cmocka_unit_test_setup_teardown(test_privilege, setup, teardown),
		cmocka_unit_test_setup_teardown(test_64_bit_segments, setup, teardown),
	};

	return cmocka_run_group_tests_name("gwalk: segments", tests, NULL, NULL);
}
