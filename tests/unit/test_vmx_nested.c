/* SPDX-License-Identifier: MIT */
/*
 * VMX instructions of a guest hypervisor: in which order they fault and fail. Expected: Intel SDM, "VMX Instruction
 * Reference", the pseudocode of each instruction, and "VM-Instruction Error Numbers".
 */
/* link: vmx/nested/instructions.c vmx/nested/region.c vmx/nested/result.c vmx/nested/operand.c vmx/nested/vmcs12.c vmx/nested/evmcs.c */
/* link: vmx/rules/controls.c vmx/rules/rule.c core/emulate/watch.c core/emulate/operand.c core/emulate/gwalk.c */
/* link: core/emulate/gwalk_segment.c core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c tests/unit/fake_vmcs.c */
#include "tests/unit/nested_vmx_machine.h"

#define UD (FAULT + X86_UD)
#define GP (FAULT + X86_GP)
#define SS (FAULT + X86_SS)
#define PF (FAULT + X86_PF)

static unsigned all_dropped;
static gpa_t dropped;

void shadow_drop_root(struct shadow *shadow, gpa_t root)
{
	dropped = root;
}

void shadow_drop_all(struct shadow *shadow)
{
	all_dropped++;
}

static const enum exit_reason instructions[] = {
	EXIT_REASON_VMCALL, EXIT_REASON_VMCLEAR, EXIT_REASON_VMLAUNCH, EXIT_REASON_VMPTRLD, EXIT_REASON_VMPTRST,
	EXIT_REASON_VMREAD, EXIT_REASON_VMRESUME, EXIT_REASON_VMWRITE, EXIT_REASON_VMXOFF, EXIT_REASON_VMXON,
	EXIT_REASON_INVEPT, EXIT_REASON_INVVPID,
};

static void all_are(int expected)
{
	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++) {
		int result = execute(instructions[i], PLAIN, DATA);

		if (result != expected)
			fail_msg("reason %u: %d instead of %d", instructions[i], result, expected);
	}
}

/* --- VMCS shadowing --- */

static int field(enum exit_reason reason, u32 encoding)
{
	vcpu_reg_write(vcpu, REG_RAX, encoding);
	return execute(reason, REGISTER(REG_RCX) | REGISTER_2(REG_RAX), 0);
}

/* vmcs12 has what L1 has written before it is used, and L1 sees what is written for it. */
static void shadowing_follows(void **state)
{
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION), SUCCEEDED);
	assert_string_equal(shadowing, "eb");
	assert_int_equal(execute(EXIT_REASON_VMLAUNCH, 0, 0), ENTERED_L2);
	assert_string_equal(shadowing, "r");
	assert_int_equal(field(EXIT_REASON_VMWRITE, GUEST_EFER.encoding), SUCCEEDED);
	assert_string_equal(shadowing, "");
	assert_int_equal(field(EXIT_REASON_VMREAD, GUEST_EFER.encoding), SUCCEEDED);
	assert_string_equal(shadowing, "");
	assert_int_equal(field(EXIT_REASON_VMWRITE, EXIT_REASON.encoding), SUCCEEDED);
	assert_string_equal(shadowing, "rw");
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, OTHER_REGION), SUCCEEDED);
	assert_string_equal(shadowing, "e");
}

/* --- faults --- */

static void undefined_without_nested(void **state)
{
	vmx.nested = NULL;
	all_are(UD);
}

static void undefined_in_other_modes(void **state)
{
	mode_compatibility();
	all_are(UD);
	mode_32();
	fake.controls[CTL_CR0] &= ~CR0_PE;
	all_are(UD);
}

static void undefined_in_virtual_8086_mode(void **state)
{
	mode_32();
	for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++) {
		forget();
		vcpu->exit_reason = instructions[i];
		vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED | RFLAGS_VM | RFLAGS_IF);
		nested_handle_instruction(vcpu);
		assert_int_equal(outcome(), UD);
	}
}

/* Outside of VMX operation all but VMXON are undefined, whatever the privilege. */
static void undefined_outside_of_operation(void **state)
{
	nested.vmxon = false;
	for (unsigned cpl = 0; cpl < 4; cpl += 3) {
		set_cpl(cpl);
		for (unsigned i = 0; i < ARRAY_SIZE(instructions); i++)
			if (instructions[i] != EXIT_REASON_VMXON)
				assert_int_equal(execute(instructions[i], PLAIN, DATA), UD);
	}
}

static void privileged(void **state)
{
	for (unsigned cpl = 1; cpl <= 3; cpl++) {
		set_cpl(cpl);
		all_are(GP);
		assert_int_equal(fake.error_code, 0);
	}
	nested.vmxon = false;
	assert_int_equal(execute(EXIT_REASON_VMXON, PLAIN, DATA), GP);
	mode_compatibility();
	set_cpl(3);
	all_are(UD);
}

/* --- VMXON, VMXOFF --- */

static int vmxon(u64 region)
{
	nested.vmxon = false;
	nested.current_ptr = nested.vmxon_ptr = NO_VMCS;
	return execute_with(EXIT_REASON_VMXON, region);
}

static void vmxon_enters_operation(void **state)
{
	nested.flush_l2 = false;
	nested.shadow = (void *)&nested;
	all_dropped = 0;
	assert_int_equal(vmxon(VMXON_REGION), SUCCEEDED);
	assert_true(nested.vmxon);
	assert_int_equal(nested.vmxon_ptr, VMXON_REGION);
	assert_true(nested.current_ptr == NO_VMCS);
	assert_true(nested.flush_l2);
	assert_int_equal(all_dropped, 1);
}

static void vmxon_refused(void **state)
{
	fake.controls[CTL_CR4] &= ~CR4_VMXE;
	set_cpl(3);
	assert_int_equal(vmxon(VMXON_REGION), UD);
	mode_64();
	set_cpl(3);
	assert_int_equal(vmxon(VMXON_REGION), GP);
	mode_64();
	fake.controls[CTL_CR0] &= ~CR0_NE;
	assert_int_equal(vmxon(VMXON_REGION), GP);
	mode_32();
	put_u64(DATA, VMXON_REGION);
	nested.vmxon = false;
	/* CR0.PG is 0 */
	assert_int_equal(execute(EXIT_REASON_VMXON, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE, DATA), GP);
	mode_64();
	fake.controls[CTL_CR4] |= BIT_ULL(22);
	assert_int_equal(vmxon(VMXON_REGION), GP);
	mode_64();
	assert_int_equal(vmxon(VMXON_REGION | 0x800), INVALID);
	assert_int_equal(vmxon(VMXON_REGION | 1ull << 40), INVALID);
	assert_int_equal(vmxon(FAKE_MMIO), INVALID);
	assert_int_equal(vmxon(FAKE_RAM_SIZE), INVALID);
	put_u32(VMXON_REGION, VMCS12_REVISION | BIT(31));
	assert_int_equal(vmxon(VMXON_REGION), INVALID);
	put_u32(VMXON_REGION, VMCS12_REVISION + 1);
	assert_int_equal(vmxon(VMXON_REGION), INVALID);
	assert_false(nested.vmxon);
	*pte(DATA) = 0;
	nested.vmxon = false;
	assert_int_equal(execute(EXIT_REASON_VMXON, PLAIN, DATA), PF);
	assert_int_equal(fake.payload, DATA);
}

/* The operand is not accessed. */
static void vmxon_in_operation(void **state)
{
	*pte(DATA) = 0;
	assert_int_equal(execute(EXIT_REASON_VMXON, PLAIN, DATA), VMX_ERROR_VMXON_IN_ROOT);
	nested.current_ptr = NO_VMCS;
	assert_int_equal(execute(EXIT_REASON_VMXON, PLAIN, DATA), INVALID);
	fake.controls[CTL_CR0] &= ~CR0_NE;
	assert_int_equal(execute(EXIT_REASON_VMXON, PLAIN, DATA), INVALID);
}

static void vmxoff_leaves_operation(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_RIP, 0x1234567890);
	assert_int_equal(nested_vmx_init(vcpu), NESTED_INIT_WAITS);
	assert_int_equal(execute(EXIT_REASON_VMXOFF, 0, 0), SUCCEEDED);
	assert_false(nested.vmxon);
	assert_true(nested.current_ptr == NO_VMCS);
	assert_memory_equal(fake.ram + REGION, &vmcs12, sizeof(vmcs12));
	/* An INIT that was sent meanwhile is served now. */
	assert_true(vcpu->requests & REQ_STARTUP);
	assert_int_equal(nested_vmx_init(vcpu), NESTED_INIT_RESETS);
	assert_int_equal(execute(EXIT_REASON_VMXOFF, 0, 0), UD);
}

static void vmcall_in_root_operation(void **state)
{
	assert_int_equal(execute(EXIT_REASON_VMCALL, 0, 0), VMX_ERROR_VMCALL);
	nested.current_ptr = NO_VMCS;
	assert_int_equal(execute(EXIT_REASON_VMCALL, 0, 0), INVALID);
}

/* --- VMCLEAR, VMPTRLD, VMPTRST --- */

static void vmclear_refused(void **state)
{
	for (int current = 1; current >= 0; current--) {
		nested.current_ptr = current ? REGION : NO_VMCS;
		assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, REGION | 8), current ? 2 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, 1ull << 40), current ? 2 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, VMXON_REGION), current ? 3 : INVALID);
	}
	*pte(DATA) = 0;
	assert_int_equal(execute(EXIT_REASON_VMCLEAR, PLAIN, DATA), PF);
}

static void vmclear_of_the_current_one(void **state)
{
	vmcs12.launched = 1;
	vmcs12_write16(&vmcs12, VPID, 0x1234);
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, REGION), SUCCEEDED);
	assert_true(nested.current_ptr == NO_VMCS);
	assert_int_equal(get_u32(REGION + offsetof(struct vmcs12, launched)), 0);
	assert_int_equal(get_u32(REGION), VMCS12_REVISION);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, REGION), SUCCEEDED);
	assert_int_equal(vmcs12_read16(&vmcs12, VPID), 0x1234);
	assert_int_equal(vmcs12.launched, 0);
}

/* Nothing but the launch state changes, and no revision is needed. */
static void vmclear_of_another_one(void **state)
{
	struct vmcs12 expected;

	memset(fake.ram + OTHER_REGION, 0x5a, PAGE_SIZE);
	memset(&expected, 0x5a, sizeof(expected));
	expected.launched = 0;
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, OTHER_REGION), SUCCEEDED);
	assert_memory_equal(fake.ram + OTHER_REGION, &expected, sizeof(expected));
	assert_int_equal(nested.current_ptr, REGION);
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, FAKE_MMIO), SUCCEEDED);
	assert_int_equal(execute_with(EXIT_REASON_VMCLEAR, FAKE_RAM_SIZE), SUCCEEDED);
}

static void vmptrld_refused(void **state)
{
	for (int current = 1; current >= 0; current--) {
		nested.current_ptr = current ? REGION : NO_VMCS;
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION | 4), current ? 9 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, 1ull << 63), current ? 9 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, VMXON_REGION), current ? 10 : INVALID);
		put_u32(OTHER_REGION, VMCS12_REVISION ^ 1);
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION), current ? 11 : INVALID);
		put_u32(OTHER_REGION, VMCS12_REVISION | BIT(31));
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION), current ? 11 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, FAKE_MMIO), current ? 11 : INVALID);
		assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, FAKE_RAM_SIZE), current ? 11 : INVALID);
		assert_true(nested.current_ptr == (current ? REGION : NO_VMCS));
	}
}

/* The one before is written back, launch state and all, and comes back as it was. */
static void vmptrld_switches(void **state)
{
	vmcs12.launched = 1;
	vmcs12_writen(&vmcs12, GUEST_RSP, 0xdeadbeef00);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION), SUCCEEDED);
	assert_int_equal(nested.current_ptr, OTHER_REGION);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RSP), 0);
	assert_int_equal(vmcs12.launched, 0);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, REGION), SUCCEEDED);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RSP), 0xdeadbeef00);
	assert_int_equal(vmcs12.launched, 1);
}

/* The processor has the VMCS's data already: what L1 has put into the region meanwhile has no effect. */
static void vmptrld_of_the_current_one(void **state)
{
	vmcs12_writen(&vmcs12, GUEST_RSP, 0x1000);
	memset(fake.ram + REGION + 8, 0xff, PAGE_SIZE - 8);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, REGION), SUCCEEDED);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RSP), 0x1000);
}

/* Fields of a region that L1 has filled by itself fit their widths. */
static void regions_of_anything(void **state)
{
	memset(fake.ram + OTHER_REGION + 4, 0xff, PAGE_SIZE - 4);
	assert_int_equal(execute_with(EXIT_REASON_VMPTRLD, OTHER_REGION), SUCCEEDED);
	for (u32 encoding = 0; encoding < 0x8000; encoding += 2) {
		const u64 *field = vmcs12_find(&vmcs12, encoding);
		unsigned width = encoding >> 13;

		if (field && field != vmcs12_find(&vmcs12, INSTRUCTION_ERROR.encoding))
			assert_true(*field == (width == 0 ? 0xffff : width == 2 ? 0xffffffff : ~0ull));
	}
}

static void vmptrst_stores_the_pointer(void **state)
{
	assert_int_equal(execute(EXIT_REASON_VMPTRST, PLAIN, DATA), SUCCEEDED);
	assert_int_equal(get_u64(DATA), REGION);
	nested.current_ptr = NO_VMCS;
	assert_int_equal(execute(EXIT_REASON_VMPTRST, PLAIN, DATA), SUCCEEDED);
	assert_true(get_u64(DATA) == ~0ull);
	*pte(DATA) = DATA | PTE_PRESENT;
	fake.controls[CTL_CR0] |= CR0_WP;
	assert_int_equal(execute(EXIT_REASON_VMPTRST, PLAIN, DATA), PF);
	assert_int_equal(fake.error_code, PF_PRESENT | PF_WRITE);
}

/* --- VMREAD, VMWRITE --- */

#define FIELD_IN_RAX REGISTER_2(REG_RAX)
#define REG_RCX_OPERAND (FIELD_IN_RAX | REGISTER(REG_RCX))

static int access_field(enum exit_reason reason, u64 encoding)
{
	vcpu->regs[REG_RAX] = encoding;
	return execute(reason, REG_RCX_OPERAND, 0);
}

static int write_to(u64 encoding, u64 value)
{
	vcpu->regs[REG_RCX] = value;
	return access_field(EXIT_REASON_VMWRITE, encoding);
}

static void expect_vmread(u64 encoding, u64 value)
{
	assert_int_equal(access_field(EXIT_REASON_VMREAD, encoding), SUCCEEDED);
	if (vcpu->regs[REG_RCX] != value)
		fail_msg("field 0x%llx is 0x%llx instead of 0x%llx", (ull)encoding, (ull)vcpu->regs[REG_RCX], (ull)value);
}

static void fields_need_a_current_vmcs(void **state)
{
	nested.current_ptr = NO_VMCS;
	*pte(DATA) = 0;
	vcpu->regs[REG_RAX] = 0xffff;
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA), INVALID);
	assert_int_equal(execute(EXIT_REASON_VMWRITE, PLAIN | FIELD_IN_RAX, DATA), INVALID);
}

static const struct {
	u16 first, last;
} offered[] = {
	{ 0x0000, 0x0000 }, { 0x0800, 0x080e }, { 0x0c00, 0x0c0c }, { 0x2000, 0x200d }, { 0x2010, 0x2015 }, { 0x201a, 0x201b },
	{ 0x2400, 0x2401 }, { 0x2800, 0x2807 }, { 0x280a, 0x2811 }, { 0x2c00, 0x2c03 }, { 0x4000, 0x4022 }, { 0x4400, 0x440e },
	{ 0x4800, 0x482a }, { 0x482e, 0x482e }, { 0x4c00, 0x4c00 }, { 0x6000, 0x600e }, { 0x6400, 0x640a }, { 0x6800, 0x6826 },
	{ 0x6c00, 0x6c16 },
};

/* Only fields of 64 bits have a high half, at an odd encoding. */
static bool is_offered(u32 encoding)
{
	for (unsigned i = 0; i < ARRAY_SIZE(offered); i++)
		if (encoding >= offered[i].first && encoding <= offered[i].last)
			return !(encoding & 1) || (encoding >> 13 & 3) == 1;
	return false;
}

static void every_encoding(void **state)
{
	unsigned found = 0;

	for (u32 encoding = 0; encoding < 0x10000; encoding++) {
		bool there = is_offered(encoding);
		int result = access_field(EXIT_REASON_VMREAD, encoding);

		if (result != (there ? SUCCEEDED : VMX_ERROR_FIELD))
			fail_msg("VMREAD of 0x%x: %d", encoding, result);
		result = write_to(encoding, 0);
		if (result != (there ? SUCCEEDED : VMX_ERROR_FIELD))
			fail_msg("VMWRITE to 0x%x: %d", encoding, result);
		found += there && !(encoding & 1);
	}
	assert_int_equal(found, 134);
	for (unsigned bit = 16; bit < 64; bit++)
		assert_int_equal(access_field(EXIT_REASON_VMREAD, 1ull << bit | 0x6800), VMX_ERROR_FIELD);
}

/* Each has a place of its own, of its width. */
static void fields_are_apart(void **state)
{
	for (u32 encoding = 0; encoding < 0x8000; encoding += 2)
		if (is_offered(encoding) && encoding != INSTRUCTION_ERROR.encoding)
			assert_int_equal(write_to(encoding, 0xfedcba9800000000 | encoding << 16 | encoding), SUCCEEDED);
	for (u32 encoding = 0; encoding < 0x8000; encoding += 2) {
		u64 value = 0xfedcba9800000000 | encoding << 16 | encoding;
		unsigned width = encoding >> 13;

		if (is_offered(encoding) && encoding != INSTRUCTION_ERROR.encoding)
			expect_vmread(encoding, width == 0 ? (u16)value : width == 2 ? (u32)value : value);
	}
}

static void high_halves(void **state)
{
	const u32 offset = TSC_OFFSET.encoding;

	assert_int_equal(write_to(offset, 0x1111111122222222), SUCCEEDED);
	expect_vmread(offset + 1, 0x11111111);
	assert_int_equal(write_to(offset + 1, 0xffffffff33333333), SUCCEEDED);
	expect_vmread(offset, 0x3333333322222222);
}

/* "If the VMCS field is longer, its high bits are cleared to 0"; VMREAD does not read them. */
static void fields_outside_of_64_bit_mode(void **state)
{
	assert_int_equal(write_to(TSC_OFFSET.encoding, 0x1111111122222222), SUCCEEDED);
	assert_int_equal(write_to(GUEST_RIP.encoding, 0x1111111122222222), SUCCEEDED);
	mode_32();
	vcpu->regs[REG_RCX] = ~0ull;
	expect_vmread(TSC_OFFSET.encoding, 0x22222222);
	expect_vmread(TSC_OFFSET.encoding + 1, 0x11111111);
	expect_vmread(GUEST_RIP.encoding, 0x22222222);
	/* The upper halves of registers do not count. */
	vcpu->regs[REG_RAX] = 1ull << 40 | GUEST_RIP.encoding;
	assert_int_equal(execute(EXIT_REASON_VMREAD, REG_RCX_OPERAND, 0), SUCCEEDED);
	assert_int_equal(write_to(TSC_OFFSET.encoding, 0x5555555544444444), SUCCEEDED);
	mode_64();
	expect_vmread(TSC_OFFSET.encoding, 0x44444444);
}

static void read_only_fields(void **state)
{
	assert_int_equal(write_to(EXIT_REASON.encoding, 0x80000021), SUCCEEDED);
	expect_vmread(EXIT_REASON.encoding, 0x80000021);
	checks.l1.misc = 0;
	assert_int_equal(write_to(EXIT_REASON.encoding, 1), VMX_ERROR_READ_ONLY_FIELD);
	assert_int_equal(write_to(EXIT_QUALIFICATION.encoding, 1), VMX_ERROR_READ_ONLY_FIELD);
	assert_int_equal(write_to(GUEST_RIP.encoding, 1), SUCCEEDED);
	expect_vmread(EXIT_REASON.encoding, 0x80000021);
	/* An unsupported field is found first. */
	assert_int_equal(write_to(0x6420, 1), VMX_ERROR_FIELD);
}

static void fields_in_memory(void **state)
{
	vcpu->regs[REG_RAX] = GUEST_RIP.encoding;
	put_u64(DATA, 0x123456789abcdef0);
	assert_int_equal(execute(EXIT_REASON_VMWRITE, PLAIN | FIELD_IN_RAX, DATA), SUCCEEDED);
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA + 0x100), SUCCEEDED);
	assert_int_equal(get_u64(DATA + 0x100), 0x123456789abcdef0);
	/* 16 bits are zero-extended to the operand's size. */
	put_u64(DATA + 0x100, ~0ull);
	vcpu->regs[REG_RAX] = guest_selector(SEG_CS).encoding;
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA + 0x100), SUCCEEDED);
	assert_int_equal(get_u64(DATA + 0x100), 0);
	/* Outside of 64-bit mode it has 4 bytes. */
	mode_32();
	put_u64(DATA + 0x100, ~0ull);
	assert_int_equal(execute(EXIT_REASON_VMREAD, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE | FIELD_IN_RAX, DATA + 0x100),
			 SUCCEEDED);
	assert_true(get_u64(DATA + 0x100) == 0xffffffff00000000);
}

/* Device memory is read and written as such. */
static void fields_in_device_memory(void **state)
{
	vcpu->regs[REG_RAX] = GUEST_RIP.encoding;
	vmcs12_writen(&vmcs12, GUEST_RIP, 0x1122334455667788);
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DEVICE), SUCCEEDED);
	assert_int_equal(fake.mmio_writes, 1);
	assert_int_equal(*(u64 *)fake.mmio, 0x1122334455667788);
}

/* A fault of the memory operand leaves all as it was: VMREAD's comes after the field's errors. */
static void operands_that_fault(void **state)
{
	*pte(DATA) = 0;
	vcpu->regs[REG_RAX] = 0xffff;
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA), VMX_ERROR_FIELD);
	vcpu->regs[REG_RAX] = GUEST_RIP.encoding;
	vmcs12_writen(&vmcs12, GUEST_RIP, 7);
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA), PF);
	assert_int_equal(fake.error_code, PF_WRITE);
	assert_int_equal(execute(EXIT_REASON_VMWRITE, PLAIN | FIELD_IN_RAX, DATA), PF);
	assert_int_equal(fake.error_code, 0);
	assert_int_equal(vmcs12_readn(&vmcs12, GUEST_RIP), 7);
	/* Across pages: the second one is missing, and nothing is written to the first. */
	put_u64(DATA - 8, ~0ull);
	assert_int_equal(execute(EXIT_REASON_VMREAD, PLAIN | FIELD_IN_RAX, DATA - 4), PF);
	assert_int_equal(fake.payload, DATA);
	assert_true(get_u64(DATA - 8) == ~0ull);
}

/* A breakpoint on the operand is reported after the instruction. */
static void watched_operands(void **state)
{
	fake.breakpoints[1] = DATA;
	fake.controls[CTL_DR7] = 8 | 3u << 20 | 2u << 22;	/* global 1, read or write, 8 bytes */
	forget();
	vcpu->exit_reason = EXIT_REASON_VMPTRST;
	vmx.qualification = DATA;
	FAKE(EXIT_INSTRUCTION_INFO) = PLAIN;
	nested_handle_instruction(vcpu);
	assert_int_equal(skipped, 1);
	assert_true(fake.faulted);
	assert_int_equal(fake.vector, X86_DB);
	assert_int_equal(fake.payload, BIT(1));
}

/* --- addresses --- */

static void addresses(void **state)
{
	put_u64(DATA + 0x40, OTHER_REGION);
	vcpu->regs[REG_RBX] = DATA;
	vcpu->regs[REG_R9] = 8;
	/* base + index * 8 + displacement */
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_64 | SEGMENT(SEG_DS) | 3 | (u32)REG_R9 << 18 | (u32)REG_RBX << 23, 0),
			 SUCCEEDED);
	assert_int_equal(nested.current_ptr, OTHER_REGION);
	/* A segment's base counts for FS and GS. */
	fake.segments[SEG_GS].base = DATA;
	fake.segments[SEG_DS].base = 0x12345;
	put_u64(DATA + 0x48, REGION);
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_64 | SEGMENT(SEG_GS) | NO_INDEX | NO_BASE, 0x48), SUCCEEDED);
	assert_int_equal(nested.current_ptr, REGION);
	/* The address size cuts the sum, and not its parts. */
	vcpu->regs[REG_RBX] = 0xffffffff00000000 | (DATA + 0x50);
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | (u32)REG_RBX << 23, -0x10ull),
			 SUCCEEDED);
	assert_int_equal(nested.current_ptr, OTHER_REGION);
}

static void segments(void **state)
{
	const u64 odd = 1ull << 47;

	assert_int_equal(execute(EXIT_REASON_VMPTRLD, PLAIN, odd), GP);
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_64 | SEGMENT(SEG_SS) | NO_INDEX | NO_BASE, odd), SS);
	mode_32();
	fake.segments[SEG_DS].limit = DATA + 6;
	fake.segments[SEG_SS].limit = DATA + 6;
	put_u64(DATA, OTHER_REGION);
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE, DATA), GP);
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_32 | SEGMENT(SEG_SS) | NO_INDEX | NO_BASE, DATA), SS);
	fake.segments[SEG_DS].limit++;
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE, DATA), SUCCEEDED);
	/* Code can be read, if at all, and not written. */
	assert_int_equal(execute(EXIT_REASON_VMPTRST, INFO_32 | SEGMENT(SEG_CS) | NO_INDEX | NO_BASE, DATA), GP);
	fake.segments[SEG_DS].unusable = true;
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_32 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE, DATA), GP);
}

/* 16-bit addresses, in a 16-bit code segment of protected mode. */
static void short_addresses(void **state)
{
	mode_32();
	put_u64(0x8000, OTHER_REGION);
	vcpu->regs[REG_RBX] = 0xf0000;
	vcpu->regs[REG_RSI] = 0xff00;
	assert_int_equal(execute(EXIT_REASON_VMPTRLD, INFO_16 | SEGMENT(SEG_DS) | (u32)REG_RSI << 18 | (u32)REG_RBX << 23, 0x8100),
			 SUCCEEDED);
	assert_int_equal(nested.current_ptr, OTHER_REGION);
}

/* --- VMLAUNCH, VMRESUME --- */

static void entries(void **state)
{
	assert_int_equal(execute(EXIT_REASON_VMLAUNCH, 0, 0), ENTERED_L2);
	assert_int_equal(execute(EXIT_REASON_VMRESUME, 0, 0), 5);
	vmcs12.launched = 1;
	assert_int_equal(execute(EXIT_REASON_VMLAUNCH, 0, 0), 4);
	assert_int_equal(execute(EXIT_REASON_VMRESUME, 0, 0), ENTERED_L2);
	/* STI's shadow does not matter, that of MOV SS comes before the launch state. */
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_STI;
	assert_int_equal(execute(EXIT_REASON_VMRESUME, 0, 0), ENTERED_L2);
	FAKE(GUEST_INTERRUPTIBILITY) = INTERRUPTIBILITY_MOV_SS;
	assert_int_equal(execute(EXIT_REASON_VMRESUME, 0, 0), 26);
	assert_int_equal(execute(EXIT_REASON_VMLAUNCH, 0, 0), 26);
	nested.current_ptr = NO_VMCS;
	assert_int_equal(execute(EXIT_REASON_VMLAUNCH, 0, 0), INVALID);
	assert_int_equal(execute(EXIT_REASON_VMRESUME, 0, 0), INVALID);
}

/* --- INVEPT, INVVPID --- */

#define TYPE_IN_RDX (PLAIN | REGISTER_2(REG_RDX))
#define EPTP 0x50000ull

static int invalidate(enum exit_reason reason, u64 type, u64 low, u64 high)
{
	dropped = 0;
	all_dropped = 0;
	nested.flush_l2 = false;
	nested.shadow = (void *)&nested;
	vcpu->regs[REG_RDX] = type;
	put_u64(DATA, low);
	put_u64(DATA + 8, high);
	return execute(reason, TYPE_IN_RDX, DATA);
}

static void invept(void **state)
{
	const u64 good = EPTP | 3 << 3 | 6;

	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good, 0), SUCCEEDED);
	assert_int_equal(dropped, EPTP);
	assert_int_equal(all_dropped, 0);
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 2, ~0ull, 0), SUCCEEDED);
	assert_int_equal(all_dropped, 1);
	for (u64 type = 0; type < 8; type++)
		if (type != 1 && type != 2)
			assert_int_equal(invalidate(EXIT_REASON_INVEPT, type, good, 0), 28);
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1ull << 32 | 1, good, 0), 28);
	/* What a VM entry refuses. */
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good ^ 4, 0), 28);		/* memory type 2 */
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, EPTP | 4 << 3 | 6, 0), 28);	/* 5 levels */
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good | BIT(6), 0), 28);	/* accessed and dirty flags */
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good | BIT(7), 0), 28);
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good | BIT(8), 0), 28);
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 1, good | 1ull << 40, 0), 28);
	assert_int_equal(dropped | all_dropped, 0);
	*pte(DATA) = 0;
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 2, 0, 0), PF);
	assert_int_equal(invalidate(EXIT_REASON_INVEPT, 3, 0, 0), 28);
}

static void invvpid(void **state)
{
	const u64 odd = 1ull << 47;

	for (u64 type = 0; type < 4; type++) {
		assert_int_equal(invalidate(EXIT_REASON_INVVPID, type, 5, 0x1000), SUCCEEDED);
		assert_true(nested.flush_l2);
		assert_int_equal(invalidate(EXIT_REASON_INVVPID, type, 0, 0x1000), type == 2 ? SUCCEEDED : 28);
		assert_int_equal(invalidate(EXIT_REASON_INVVPID, type, 0x10005, 0x1000), 28);
		assert_int_equal(invalidate(EXIT_REASON_INVVPID, type, 1ull << 63 | 5, 0x1000), 28);
		assert_false(nested.flush_l2);
		assert_int_equal(invalidate(EXIT_REASON_INVVPID, type, 5, odd), type == 0 ? 28 : SUCCEEDED);
	}
	assert_int_equal(invalidate(EXIT_REASON_INVVPID, 4, 5, 0), 28);
	assert_int_equal(invalidate(EXIT_REASON_INVVPID, 1ull << 32, 5, 0), 28);
	*pte(DATA) = 0;
	assert_int_equal(invalidate(EXIT_REASON_INVVPID, 2, 5, 0), PF);
	assert_int_equal(invalidate(EXIT_REASON_INVVPID, 4, 5, 0), 28);
	nested.current_ptr = NO_VMCS;
	assert_int_equal(invalidate(EXIT_REASON_INVVPID, 4, 5, 0), INVALID);
}

/* 16 bytes, of which the second half is in a missing page. */
static void descriptors_across_pages(void **state)
{
	*pte(DATA + PAGE_SIZE) = 0;
	vcpu->regs[REG_RDX] = 2;
	assert_int_equal(execute(EXIT_REASON_INVEPT, TYPE_IN_RDX, DATA + PAGE_SIZE - 8), PF);
	assert_int_equal(fake.payload, DATA + PAGE_SIZE);
}

/* --- control registers --- */

/* SDM, "Restrictions on VMX Operation" */
static void fixed_bits(void **state)
{
	const u64 cr0 = CR0_PE | CR0_PG | CR0_NE, cr4 = CR4_VMXE | CR4_PAE;

	assert_true(nested_control_allowed(vcpu, CTL_CR0, cr0));
	assert_true(nested_control_allowed(vcpu, CTL_CR0, cr0 | CR0_TS | CR0_CD));
	assert_false(nested_control_allowed(vcpu, CTL_CR0, cr0 & ~CR0_PE));
	assert_false(nested_control_allowed(vcpu, CTL_CR0, cr0 & ~CR0_PG));
	assert_false(nested_control_allowed(vcpu, CTL_CR0, cr0 & ~CR0_NE));
	assert_true(nested_control_allowed(vcpu, CTL_CR4, cr4));
	assert_false(nested_control_allowed(vcpu, CTL_CR4, cr4 & ~CR4_VMXE));
	assert_false(nested_control_allowed(vcpu, CTL_CR4, cr4 | 1ull << 22));
	nested.vmxon = false;
	assert_true(nested_control_allowed(vcpu, CTL_CR0, 0));
	assert_true(nested_control_allowed(vcpu, CTL_CR4, 0));
}

#define NESTED_TEST(name) cmocka_unit_test_setup_teardown(name, machine_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NESTED_TEST(undefined_without_nested), NESTED_TEST(undefined_in_other_modes), NESTED_TEST(undefined_in_virtual_8086_mode),
		NESTED_TEST(undefined_outside_of_operation), NESTED_TEST(privileged),
		NESTED_TEST(vmxon_enters_operation), NESTED_TEST(vmxon_refused), NESTED_TEST(vmxon_in_operation), NESTED_TEST(vmxoff_leaves_operation),
		NESTED_TEST(vmcall_in_root_operation),
		NESTED_TEST(vmclear_refused), NESTED_TEST(vmclear_of_the_current_one), NESTED_TEST(vmclear_of_another_one),
		NESTED_TEST(vmptrld_refused), NESTED_TEST(vmptrld_switches), NESTED_TEST(vmptrld_of_the_current_one), NESTED_TEST(regions_of_anything),
		NESTED_TEST(vmptrst_stores_the_pointer),
		NESTED_TEST(fields_need_a_current_vmcs), NESTED_TEST(every_encoding), NESTED_TEST(fields_are_apart), NESTED_TEST(high_halves),
		NESTED_TEST(fields_outside_of_64_bit_mode), NESTED_TEST(read_only_fields), NESTED_TEST(fields_in_memory),
		NESTED_TEST(fields_in_device_memory), NESTED_TEST(operands_that_fault), NESTED_TEST(watched_operands),
		NESTED_TEST(addresses), NESTED_TEST(segments), NESTED_TEST(short_addresses),
		NESTED_TEST(shadowing_follows), NESTED_TEST(entries), NESTED_TEST(invept), NESTED_TEST(invvpid), NESTED_TEST(descriptors_across_pages), NESTED_TEST(fixed_bits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
