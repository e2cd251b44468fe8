/* SPDX-License-Identifier: MIT */
/* The length and the operands of an instruction that exited, by its bytes, without next-RIP save. */
/* link: svm/length.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/emulate/code.h"
#include "svm/length.h"

struct svm_features svm_features;

static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm = { .vcpu.vm = &vm, .vmcb = &vmcb };
static u8 code[16];
static u8 mode;
static bool there;

void svm_code_view(const struct vcpu *vcpu, struct code_view *view)
{
	*view = (struct code_view){ .mode = mode, .cr3 = 0x9000 };
}

const u8 *code_at(const struct vm *v, const struct code_view *view, u64 rip)
{
	assert_int_equal(rip, 0x1000);
	assert_int_equal(view->cr3, 0x9000);	/* it has been filled in */
	return there ? code + 1 : NULL;	/* at an odd address */
}

static void place(u64 exit_code, const u8 *bytes, size_t length)
{
	memset(code, 0xcc, sizeof(code));
	memcpy(code + 1, bytes, length);
	vmcb.control.exit_code = exit_code;
	vmcb.control.exit_info2 = 0x1002;
	vmcb.control.next_rip = 0x1007;
	vmcb.save.rip = 0x1000;
	there = true;
	mode = INSN_MODE_64;
	svm_features.nrip_save = false;
}

#define PLACE(exit_code, ...) \
	place((exit_code), (const u8[]){ __VA_ARGS__ }, sizeof((const u8[]){ __VA_ARGS__ }))

static void plain_instructions_are_known(void **state)
{
	PLACE(VMEXIT_CPUID, 0x0f, 0xa2);
	assert_int_equal(svm_next_rip(&svm), 0x1002);
	PLACE(VMEXIT_HLT, 0xf4);
	assert_int_equal(svm_next_rip(&svm), 0x1001);
	PLACE(VMEXIT_MSR, 0x0f, 0x30);
	assert_int_equal(svm_next_rip(&svm), 0x1002);
	PLACE(VMEXIT_MSR, 0x0f, 0x32);
	assert_int_equal(svm_next_rip(&svm), 0x1002);
	PLACE(VMEXIT_VMMCALL, 0x0f, 0x01, 0xd9);
	assert_int_equal(svm_next_rip(&svm), 0x1003);
	/* AMD APM vol. 3, the instructions' own pages. */
	static const struct {
		u64 exit_code;
		u8 last;
	} svm_instructions[] = {
		{ VMEXIT_VMRUN, 0xd8 }, { VMEXIT_VMLOAD, 0xda }, { VMEXIT_VMSAVE, 0xdb },
		{ VMEXIT_STGI, 0xdc }, { VMEXIT_CLGI, 0xdd }, { VMEXIT_INVLPGA, 0xdf },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(svm_instructions); i++) {
		PLACE(svm_instructions[i].exit_code, 0x0f, 0x01, svm_instructions[i].last);
		assert_int_equal(svm_next_rip(&svm), 0x1003);
		PLACE(svm_instructions[i].exit_code, 0x0f, 0x01, svm_instructions[i].last ^ 0x10);
		assert_int_equal(svm_next_rip(&svm), 0);
	}
	PLACE(VMEXIT_WBINVD, 0x0f, 0x09);
	assert_int_equal(svm_next_rip(&svm), 0x1002);
	PLACE(VMEXIT_XSETBV, 0x0f, 0x01, 0xd1);
	assert_int_equal(svm_next_rip(&svm), 0x1003);
	PLACE(VMEXIT_CR_WRITE + 4, 0x0f, 0x22, 0xe0);
	assert_int_equal(svm_next_rip(&svm), 0x1003);
	PLACE(VMEXIT_CR0_SEL_WRITE, 0x41, 0x0f, 0x22, 0xc1);
	assert_int_equal(svm_next_rip(&svm), 0x1004);
}

/* With a prefix they are longer; and another processor of the guest may have overwritten the bytes. */
static void others_have_to_be_decoded(void **state)
{
	PLACE(VMEXIT_CPUID, 0x66, 0x0f, 0xa2);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CPUID, 0x0f, 0x30);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_MSR, 0x0f, 0x31);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CR_WRITE, 0x0f, 0x06);		/* CLTS */
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CR_WRITE + 8, 0xf0, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_NPF, 0x0f, 0xa2);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(~0ull, 0x0f, 0xa2);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CPUID, 0x0f, 0xa2);
	there = false;
	assert_int_equal(svm_next_rip(&svm), 0);
}

/* Debug registers follow the control registers, and the table ends with XSETBV. */
static void exits_beside_the_known_ones_have_to_be_decoded(void **state)
{
	PLACE(VMEXIT_CR_WRITE + 15, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0x1003);
	PLACE(VMEXIT_DR_READ, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CR0_SEL_WRITE + 1, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_CR0_SEL_WRITE - 1, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0);
	PLACE(VMEXIT_XSETBV + 1, 0x0f, 0x01, 0xd1);
	assert_int_equal(svm_next_rip(&svm), 0);
}

static void code_that_is_not_in_view_has_to_be_decoded(void **state)
{
	PLACE(VMEXIT_CR_WRITE, 0x0f, 0x22, 0xc0);
	assert_int_equal(svm_next_rip(&svm), 0x1003);
	there = false;
	assert_int_equal(svm_next_rip(&svm), 0);
	there = true;
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 0), REG_RAX);
	there = false;
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 0), -ENOENT);
}

static void a_rip_that_the_processor_saves_needs_no_bytes(void **state)
{
	PLACE(VMEXIT_IOIO, 0xe4, 0x21);
	there = false;
	assert_int_equal(svm_next_rip(&svm), 0x1002);
	PLACE(VMEXIT_CPUID, 0x0f, 0xa2);
	svm_features.nrip_save = true;
	there = false;
	assert_int_equal(svm_next_rip(&svm), 0x1007);
}

static void moves_of_control_registers(void **state)
{
	PLACE(VMEXIT_CR_WRITE + 4, 0x0f, 0x22, 0xe3);			/* mov cr4, rbx */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 4), REG_RBX);
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 0), -ENOENT);		/* of another register */
	PLACE(VMEXIT_CR_READ + 4, 0x0f, 0x20, 0xe0);
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 4), REG_RAX);
	PLACE(VMEXIT_CR_WRITE + 8, 0x44, 0x0f, 0x22, 0xc1);		/* mov cr8, rcx */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 8), REG_RCX);
	PLACE(VMEXIT_CR_WRITE + 4, 0x41, 0x0f, 0x22, 0xe7);		/* mov cr4, r15 */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 4), 15);
	PLACE(VMEXIT_CR_WRITE + 3, 0x0f, 0x22, 0xdc);			/* mov cr3, rsp */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 3), REG_RSP);
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 2), -ENOENT);
	PLACE(VMEXIT_CR_WRITE + 4, 0x41, 0x0f, 0x22, 0xe7);
	mode = INSN_MODE_32;						/* INC ECX there */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 4), -ENOENT);
	PLACE(VMEXIT_CR_WRITE, 0x0f, 0x01, 0xf0);			/* lmsw ax */
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 0), -ENOENT);
	PLACE(VMEXIT_CR_WRITE, 0x0f, 0x22, 0xc0);
	there = false;
	assert_int_equal(svm_unprefixed_mov_cr(&svm, 0), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_instructions_are_known),
		cmocka_unit_test(others_have_to_be_decoded),
		cmocka_unit_test(exits_beside_the_known_ones_have_to_be_decoded),
		cmocka_unit_test(code_that_is_not_in_view_has_to_be_decoded),
		cmocka_unit_test(a_rip_that_the_processor_saves_needs_no_bytes),
		cmocka_unit_test(moves_of_control_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
