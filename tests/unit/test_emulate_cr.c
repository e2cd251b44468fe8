/* SPDX-License-Identifier: MIT */
/* Control register accesses whose instruction the hardware does not report. */
/* link: core/emulate/watch.c */
/* link: core/emulate/emulate.c core/emulate/cr.c core/emulate/operand.c core/emulate/gwalk.c */
/* link: core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c lib/insn.c lib/insn_tables.c tests/unit/fake_vcpu.c */
#include "core/emulate/emulate.h"
#include "emulate_machine.h"

static struct {
	char what;
	unsigned cr, reg;
} seen;

void exit_mov_to_cr(struct vcpu *vcpu, unsigned cr, unsigned reg)
{
	seen = (__typeof__(seen)){ 'w', cr, reg };
}

void exit_mov_from_cr(struct vcpu *vcpu, unsigned cr, unsigned reg)
{
	seen = (__typeof__(seen)){ 'r', cr, reg };
}

void exit_clts(struct vcpu *vcpu)
{
	seen = (__typeof__(seen)){ 'c', 0, 0 };
}

void exit_lmsw(struct vcpu *vcpu, u16 value)
{
	seen = (__typeof__(seen)){ 'l', 0, value };
}

static void expect_control(char what, unsigned cr, unsigned reg)
{
	memset(&seen, 0, sizeof(seen));
	exit_cr_decode(&fake.vcpu);
	assert_false(fake.faulted || fake.ended);
	assert_int_equal(seen.what, what);
	assert_int_equal(seen.cr, cr);
	assert_int_equal(seen.reg, reg);
}

static void test_control_register_accesses(void **state)
{
	PLACE(CODE, 0x0f, 0x22, 0xd8);			/* MOV CR3, RAX */
	expect_control('w', 3, REG_RAX);
	PLACE(CODE, 0x41, 0x0f, 0x20, 0xe5);		/* MOV R13, CR4 */
	expect_control('r', 4, REG_R13);
	PLACE(CODE, 0x44, 0x0f, 0x22, 0xc7);		/* MOV CR8, RDI */
	expect_control('w', 8, REG_RDI);
	PLACE(CODE, 0xf0, 0x0f, 0x20, 0xc1);		/* LOCK MOV ECX, CR0, which is CR8 */
	expect_control('r', 8, REG_RCX);
	PLACE(CODE, 0x0f, 0x06);
	expect_control('c', 0, 0);
	PLACE(CODE, 0x0f, 0x01, 0xf3);			/* LMSW BX */
	set(REG_RBX, 0x12345678);
	expect_control('l', 0, 0x5678);
	PLACE(CODE, 0x0f, 0x01, 0x33);			/* LMSW [RBX] */
	set(REG_RBX, DATA);
	memcpy(fake.ram + DATA, "\x21\x43\x65", 3);
	expect_control('l', 0, 0x4321);
}

static void test_lmsw_from_nowhere(void **state)
{
	memset(&seen, 0, sizeof(seen));
	PLACE(CODE, 0x0f, 0x01, 0x33);
	set(REG_RBX, DATA);
	*pte(DATA) = 0;
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_PF, 0, DATA, CODE);
	assert_int_equal(seen.what, 0);
}

static void test_smsw(void **state)
{
	u64 cr0 = fake.controls[CTL_CR0] |= CR0_NE | CR0_WP;

	PLACE(CODE, 0x48, 0x0f, 0x01, 0xe0);		/* SMSW RAX */
	set(REG_RAX, ~0ull);
	exit_cr_decode(&fake.vcpu);
	expect_done(CODE + 4);
	assert_int_equal(get(REG_RAX), cr0);

	PLACE(CODE, 0x66, 0x0f, 0x01, 0xe0);		/* SMSW AX */
	set(REG_RAX, ~0ull);
	exit_cr_decode(&fake.vcpu);
	expect_done(CODE + 4);
	assert_int_equal(get(REG_RAX), (~0ull << 16) | (cr0 & 0xffff));

	PLACE(CODE, 0x0f, 0x01, 0x23);			/* SMSW [RBX] */
	set(REG_RBX, DATA);
	memset(fake.ram + DATA, 0xff, 4);
	exit_cr_decode(&fake.vcpu);
	expect_done(CODE + 3);
	assert_int_equal(*(u32 *)(fake.ram + DATA), 0xffff0000 | (cr0 & 0xffff));
}

static void test_smsw_to_nowhere(void **state)
{
	PLACE(CODE, 0x0f, 0x01, 0x23);
	set(REG_RBX, DATA);
	*pte(DATA) &= ~PTE_WRITE;
	fake.controls[CTL_CR0] |= CR0_WP;
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_PF, PF_PRESENT | PF_WRITE, DATA, CODE);
}

/* LMSW and SMSW access two bytes of memory, whatever the operand size. */
static void test_memory_operands_of_16_bits(void **state)
{
	*pte(DATA + PAGE_SIZE) = 0;
	set(REG_RBX, DATA + PAGE_SIZE - 2);
	memcpy(fake.ram + DATA + PAGE_SIZE - 2, "\x78\x56", 2);
	PLACE(CODE, 0x48, 0x0f, 0x01, 0x33);		/* LMSW [RBX] */
	expect_control('l', 0, 0x5678);
	PLACE(CODE, 0x48, 0x0f, 0x01, 0x23);		/* SMSW [RBX] */
	exit_cr_decode(&fake.vcpu);
	expect_done(CODE + 4);

	set(REG_RBX, DATA + PAGE_SIZE - 1);
	PLACE(CODE, 0x0f, 0x01, 0x33);
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_PF, 0, DATA + PAGE_SIZE, CODE);
	PLACE(CODE, 0x0f, 0x01, 0x23);
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_PF, PF_WRITE, DATA + PAGE_SIZE, CODE);
}

/* AMD APM vol. 3, "MOV CRn": only LOCK MOV CR0 is CR8. */
static void test_lock_prefix(void **state)
{
	PLACE(CODE, 0xf0, 0x0f, 0x22, 0xc1);
	expect_control('w', 8, REG_RCX);
	PLACE(CODE, 0x0f, 0x22, 0xc1);
	expect_control('w', 0, REG_RCX);
	PLACE(CODE, 0x0f, 0x20, 0xc1);
	expect_control('r', 0, REG_RCX);
}

/* Another CPU has changed the code since the exit: the processor executes what is there now. */
static void test_control_access_by_something_else(void **state)
{
	static const u8 others[][3] = {
		{ 0x0f, 0xa2 },			/* CPUID */
		{ 0x22, 0xd8 },			/* AND; MOV to a control register in map 0F */
		{ 0x20, 0xd8 },
		{ 0x01, 0xf3 },			/* ADD; LMSW in map 0F */
		{ 0x01, 0xe0 },
		{ 0x0f, 0x01, 0xd8 },		/* 0F 01 /3 */
		{ 0x0f, 0x01, 0x3b },		/* INVLPG [RBX] */
		{ 0x0f, 0x21, 0xd8 },		/* MOV RAX, DR3 */
		{ 0x0f, 0x23, 0xd8 },
		{ 0x0f, 0x00, 0xf3 },		/* 0F 00 /6 */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		memset(&seen, 0, sizeof(seen));
		place(CODE, others[i], sizeof(others[i]));
		exit_cr_decode(&fake.vcpu);
		assert_false(fake.ended || fake.faulted);
		assert_int_equal(seen.what + fake.instructions_done, 0);
		assert_int_equal(get(REG_RIP), CODE);
	}
	PLACE(CODE, 0x06);			/* PUSH ES, which 64-bit mode does not have */
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_UD, 0, 0, CODE);
}

/* A processor that would come back for ever raises #UD in the end; time, or another place, ends the count. */
static void test_looking_again_is_bounded(void **state)
{
	PLACE(CODE, 0x0f, 0xa2);
	PLACE(CODE + 8, 0x0f, 0xa2);
	fake.vcpu.looked_again.count = 0;
	for (unsigned i = 0; i < 1000; i++)
		exit_cr_decode(&fake.vcpu);
	assert_false(fake.ended || fake.faulted);
	fake.now += 1000000001;
	for (unsigned i = 0; i < 1000; i++)
		exit_cr_decode(&fake.vcpu);
	set(REG_RIP, CODE);
	exit_cr_decode(&fake.vcpu);
	assert_false(fake.ended || fake.faulted);
	for (unsigned i = 1; i < 1000; i++)
		exit_cr_decode(&fake.vcpu);
	assert_false(fake.ended || fake.faulted);
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_UD, 0, 0, CODE);
}

static void test_code_that_is_gone(void **state)
{
	memset(&seen, 0, sizeof(seen));
	PLACE(CODE, 0x0f, 0x22, 0xd8);
	*pte(CODE) = 0;
	exit_cr_decode(&fake.vcpu);
	expect_raised(X86_PF, 0, CODE, CODE);
	assert_int_equal(seen.what, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_control_register_accesses),
		TEST(test_lmsw_from_nowhere),
		TEST(test_smsw),
		TEST(test_smsw_to_nowhere),
		TEST(test_memory_operands_of_16_bits),
		TEST(test_lock_prefix),
		TEST(test_control_access_by_something_else),
		TEST(test_looking_again_is_bounded),
		TEST(test_code_that_is_gone),
	};

	return cmocka_run_group_tests_name("emulate: control registers", tests, NULL, NULL);
}
