/* SPDX-License-Identifier: MIT */
/* Whose is an exit of L2? Intel SDM, "Instructions That Cause VM Exits", "Other Causes of VM Exits". */
/* link: vmx/nested/owner.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/mem/guest_mem.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"

#define BITMAP_A 0x1000ull
#define BITMAP_B 0x2000ull
#define MSRS	 0x3000ull

struct vmx_caps vmx_caps;

static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct vcpu *const vcpu = &vmx.vcpu;
static u8 ram[0x5000];
static bool code_64;

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	if (gpa + size > sizeof(ram))
		return -EFAULT;
	memcpy(to, ram + gpa, size);
	return 0;
}

bool vcpu_code_64(struct vcpu *v) { return code_64; }

static void fetch(struct vcpu *v, enum vcpu_reg reg) { v->regs[reg] = 0; }

static int setup(void **state)
{
	static const struct vcpu_ops ops = { .reg_fetch = fetch };

	memset(&vmx, 0, sizeof(vmx));
	memset(&vmcs12, 0, sizeof(vmcs12));
	memset(ram, 0, sizeof(ram));
	fake_vmcs_clear();
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	vcpu->ops = &ops;
	vcpu->regs_available = REGS_LAZY;
	code_64 = true;
	vmcs12_write64(&vmcs12, IO_BITMAP_A, BITMAP_A);
	vmcs12_write64(&vmcs12, IO_BITMAP_B, BITMAP_B);
	vmcs12_write64(&vmcs12, MSR_BITMAP, MSRS);
	return 0;
}

static bool l1_gets(u32 reason, u64 qualification)
{
	vmx.qualification = qualification;
	return nested_l1_gets(vcpu, (union vmx_exit_reason){ .full = reason });
}

static void controls(u32 primary, u32 secondary)
{
	vmcs12_write32(&vmcs12, PRIMARY_CONTROLS, primary);
	vmcs12_write32(&vmcs12, SECONDARY_CONTROLS, secondary);
}

/* By basic reason: what decides. */
enum { NONE, L0, L1, PRIMARY, SECONDARY, OWN_TEST };
static const struct { u8 by; u32 control; } reasons[78] = {
	[0] = { OWN_TEST }, [1] = { L0 }, [2] = { L1 }, [3] = { L0 }, [4] = { L0 }, [5] = { L0 }, [6] = { L0 },
	[7] = { PRIMARY, BIT(2) }, [8] = { PRIMARY, BIT(22) }, [9] = { L1 }, [10] = { L1 }, [11] = { L1 },
	[12] = { PRIMARY, BIT(7) }, [13] = { L1 }, [14] = { PRIMARY, BIT(9) }, [15] = { PRIMARY, BIT(11) },
	[16] = { PRIMARY, BIT(12) }, [17] = { L0 }, [18] = { L1 }, [19] = { L1 }, [20] = { L1 }, [21] = { L1 }, [22] = { L1 },
	[23] = { L1 }, [24] = { L1 }, [25] = { L1 }, [26] = { L1 }, [27] = { L1 }, [28] = { OWN_TEST },
	[29] = { PRIMARY, BIT(23) }, [30] = { OWN_TEST }, [31] = { OWN_TEST }, [32] = { OWN_TEST }, [33] = { L1 }, [34] = { L1 },
	[36] = { PRIMARY, BIT(10) }, [37] = { L1 }, [39] = { PRIMARY, BIT(29) }, [40] = { PRIMARY, BIT(30) }, [41] = { L1 },
	[43] = { PRIMARY, BIT(21) }, [44] = { L1 }, [45] = { L1 }, [46] = { L1 }, [47] = { L1 }, [48] = { L0 }, [49] = { L0 },
	[50] = { L1 }, [51] = { PRIMARY, BIT(12) }, [52] = { L0 }, [53] = { L1 }, [54] = { SECONDARY, BIT(6) }, [55] = { L1 },
	[56] = { L1 }, [57] = { L1 }, [58] = { L1 }, [59] = { L0 }, [60] = { L0 }, [61] = { L1 }, [62] = { L0 }, [63] = { L1 },
	[64] = { L1 }, [65] = { L0 }, [66] = { L0 }, [67] = { L0 }, [68] = { L0 }, [69] = { L0 }, [70] = { L0 }, [72] = { L0 },
	[73] = { L0 }, [74] = { L0 }, [75] = { L0 }, [76] = { L0 }, [77] = { L0 },
};

static void each_reason_has_one_owner(void **state)
{
	for (u32 reason = 0; reason < ARRAY_SIZE(reasons); reason++) {
		u32 control = reasons[reason].control;

		controls(PRIMARY_SECONDARY, 0);
		switch (reasons[reason].by) {
		case L0:
			controls(~0u, ~0u);
			assert_false(l1_gets(reason, 0));
			break;
		case L1:
			assert_true(l1_gets(reason, 0));
			break;
		case PRIMARY:
			controls(~control, ~0u & ~(u32)SECONDARY_PAUSE_LOOP);
			assert_false(l1_gets(reason, 0));
			controls(control, 0);
			assert_true(l1_gets(reason, 0));
			break;
		case SECONDARY:
			controls(~0u, ~control);
			assert_false(l1_gets(reason, 0));
			controls(PRIMARY_SECONDARY, control);
			assert_true(l1_gets(reason, 0));
			controls(0, control);		/* the word is not activated */
			assert_false(l1_gets(reason, 0));
			break;
		case NONE:
			assert_true(l1_gets(reason, 0));	/* unknown: L1's */
			break;
		}
	}
	assert_true(l1_gets(78, 0));
	assert_true(l1_gets(0xffff, 0));
	controls(PRIMARY_SECONDARY, SECONDARY_PAUSE_LOOP);
	assert_true(l1_gets(EXIT_REASON_PAUSE, 0));
}

static bool exception(u32 info, u32 error)
{
	FAKE(EXIT_INTERRUPTION_INFO) = INTERRUPTION_VALID | info;
	FAKE(EXIT_INTERRUPTION_ERROR) = error;
	return l1_gets(EXIT_REASON_EXCEPTION_OR_NMI, 0);
}

static void host_events_are_never_l1s(void **state)
{
	vmcs12_write32(&vmcs12, EXCEPTION_BITMAP, ~0u);
	assert_false(exception(INTERRUPTION_NMI << 8 | X86_NMI, 0));
	assert_false(exception(INTERRUPTION_EXCEPTION << 8 | X86_MC, 0));
	assert_true(exception(INTERRUPTION_EXCEPTION << 8 | X86_DB, 0));
	assert_true(exception(INTERRUPTION_EXCEPTION << 8 | X86_AC, 0));
	vmcs12_write32(&vmcs12, EXCEPTION_BITMAP, ~BIT(X86_DB));
	assert_false(exception(INTERRUPTION_EXCEPTION << 8 | X86_DB, 0));
}

/* SDM, "Exception Bitmap": bit 14 and the comparison of the error code have to agree. */
static void page_faults_are_l1s_by_their_error_code(void **state)
{
	static const struct { bool bit; u32 mask, match, error; bool l1; } cases[] = {
		{ true, 0, 0, 7, true }, { false, 0, 0, 7, false }, { true, 0, 1, 7, false }, { false, 0, 1, 7, true },
		{ true, 4, 4, 4, true }, { true, 4, 4, 3, false }, { false, 4, 4, 3, true }, { false, 4, 4, 6, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vmcs12_write32(&vmcs12, EXCEPTION_BITMAP, cases[i].bit ? BIT(X86_PF) : ~BIT(X86_PF));
		vmcs12_write32(&vmcs12, PAGE_FAULT_MASK, cases[i].mask);
		vmcs12_write32(&vmcs12, PAGE_FAULT_MATCH, cases[i].match);
		assert_int_equal(exception(INTERRUPTION_EXCEPTION << 8 | X86_PF, cases[i].error), cases[i].l1);
		assert_int_equal(nested_l1_gets_exception(&vmcs12, X86_PF, cases[i].error), cases[i].l1);
	}
}

static bool port(u16 number, unsigned size)
{
	return l1_gets(EXIT_REASON_IO, (u64)number << 16 | (size - 1));
}

/* S10: each byte of an access counts, and an access that wraps around exits. */
static void each_byte_of_a_port_access_is_looked_up(void **state)
{
	assert_false(port(0x80, 1));
	controls(PRIMARY_UNCONDITIONAL_IO, 0);
	assert_true(port(0x80, 1));
	controls(PRIMARY_UNCONDITIONAL_IO | PRIMARY_IO_BITMAPS, 0);
	assert_false(port(0x80, 4));
	ram[BITMAP_A + 0x80 / 8] = BIT(3);
	assert_true(port(0x80, 4));
	assert_false(port(0x80, 2));
	assert_true(port(0x83, 1));
	assert_false(port(0x84, 4));
	ram[BITMAP_B] = BIT(1);
	assert_true(port(0x7ffe, 4));
	assert_false(port(0x7ffe, 2));
	assert_true(port(0x8001, 1));
	assert_false(port(0xfffc, 4));
	assert_true(port(0xfffd, 4));
	assert_true(port(0xffff, 2));
	assert_false(port(0xffff, 1));
	vmcs12_write64(&vmcs12, IO_BITMAP_A, 0x100000);	/* not in RAM */
	assert_true(port(0, 1));
}

static bool msr(u32 number, bool write)
{
	vcpu->regs[REG_RCX] = number;
	return l1_gets(write ? EXIT_REASON_WRMSR : EXIT_REASON_RDMSR, 0);
}

static void msrs_have_four_bitmaps(void **state)
{
	static const struct { u32 number; bool write; u32 offset; } cases[] = {
		{ 0x174, false, 0x000 }, { 0xc0000082, false, 0x400 }, { 0x174, true, 0x800 }, { 0xc0000082, true, 0xc00 },
		{ 0x1fff, false, 0x000 }, { 0xc0001fff, true, 0xc00 },
	};

	assert_true(msr(0x174, false));		/* no bitmaps: each exits */
	controls(PRIMARY_MSR_BITMAP, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *byte = &ram[MSRS + cases[i].offset + (cases[i].number & 0x1fff) / 8];

		assert_false(msr(cases[i].number, cases[i].write));
		*byte = (u8)BIT(cases[i].number % 8);
		assert_true(msr(cases[i].number, cases[i].write));
		assert_false(msr(cases[i].number, !cases[i].write));
		*byte = 0;
	}
	assert_true(msr(0x2000, false));
	assert_true(msr(0xbfffffff, false));
	assert_true(msr(0xc0002000, true));
	assert_true(msr(0xffffffff, true));
}

static bool cr(unsigned number, unsigned kind, u64 value)
{
	vcpu->regs[REG_RBX] = value;
	return l1_gets(EXIT_REASON_CR_ACCESS, number | kind << 4 | REG_RBX << 8 | (kind == 3 ? value << 16 : 0));
}

static void control_registers_are_l1s_where_their_bits_are(void **state)
{
	vmcs12_writen(&vmcs12, CR0_GUEST_HOST_MASK, CR0_TS | CR0_PE);
	vmcs12_writen(&vmcs12, CR0_READ_SHADOW, CR0_PE);
	assert_false(cr(0, 0, CR0_PE | CR0_CD | CR0_PG));
	assert_true(cr(0, 0, CR0_PE | CR0_TS));
	assert_true(cr(0, 0, 0));
	vmcs12_writen(&vmcs12, CR4_GUEST_HOST_MASK, CR4_VMXE);
	assert_false(cr(4, 0, CR4_PAE));
	assert_true(cr(4, 0, CR4_PAE | CR4_VMXE));
	code_64 = false;
	assert_false(cr(4, 0, CR4_PAE | BIT_ULL(40)));
	vmcs12_writen(&vmcs12, CR4_GUEST_HOST_MASK, BIT_ULL(40));
	assert_false(cr(4, 0, BIT_ULL(40)));	/* 32 bits outside of 64-bit code */
	code_64 = true;
	assert_true(cr(4, 0, BIT_ULL(40)));
	/* LMSW: bits 1 to 3 both ways, PE only where it is set. CLTS: if TS is L1's and reads as 1. */
	assert_false(cr(0, 3, CR0_PE));
	assert_false(cr(0, 3, 0));
	assert_true(cr(0, 3, CR0_TS));
	vmcs12_writen(&vmcs12, CR0_READ_SHADOW, CR0_TS);
	assert_true(cr(0, 3, CR0_TS | CR0_PE));
	assert_true(cr(0, 3, 0));
	assert_true(cr(0, 2, 0));
	vmcs12_writen(&vmcs12, CR0_READ_SHADOW, 0);
	assert_false(cr(0, 2, 0));
}

static void cr3_and_cr8_are_l1s_by_controls(void **state)
{
	assert_false(cr(3, 0, 0x1000) || cr(3, 1, 0) || cr(8, 0, 0) || cr(8, 1, 0));
	controls(PRIMARY_CR3_LOAD | PRIMARY_CR8_STORE, 0);
	assert_true(cr(3, 0, 0x1000) && cr(8, 1, 0));
	assert_false(cr(3, 1, 0) || cr(8, 0, 0));
	controls(PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_CR8_LOAD, 0);
	assert_true(cr(3, 1, 0) && cr(8, 0, 0));
	vmcs12_writen(&vmcs12, cr3_target(1), 0x1000);
	vmcs12_write32(&vmcs12, CR3_TARGET_COUNT, 1);
	assert_true(cr(3, 0, 0x1000));
	vmcs12_write32(&vmcs12, CR3_TARGET_COUNT, 2);
	assert_false(cr(3, 0, 0x1000));
	vmcs12_write32(&vmcs12, CR3_TARGET_COUNT, ~0u);	/* bounded, whatever the rules of entry say */
	assert_true(cr(3, 0, 0x2000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_reason_has_one_owner, setup),
		cmocka_unit_test_setup(host_events_are_never_l1s, setup),
		cmocka_unit_test_setup(page_faults_are_l1s_by_their_error_code, setup),
		cmocka_unit_test_setup(each_byte_of_a_port_access_is_looked_up, setup),
		cmocka_unit_test_setup(msrs_have_four_bitmaps, setup),
		cmocka_unit_test_setup(control_registers_are_l1s_where_their_bits_are, setup),
		cmocka_unit_test_setup(cr3_and_cr8_are_l1s_by_controls, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
