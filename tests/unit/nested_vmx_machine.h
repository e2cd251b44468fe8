/* SPDX-License-Identifier: MIT */
/* A guest hypervisor that executes one VMX instruction at a time, on a fake vmcs01, and how each of them ended. */
#pragma once

#include "emulate_machine.h"

#include "arch/cpu/cpufeature.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"
#include "vmx/nested/operand.h"

#define VMXON_REGION 0x40000ull
#define REGION	     0x41000ull
#define OTHER_REGION 0x42000ull

/* The memory operand is at linear address DATA, unless a test says otherwise. */
#define INFO_64	    (2u << 7)	/* address size */
#define INFO_32	    (1u << 7)
#define INFO_16	    0u
#define SEGMENT(n)  ((u32)(n) << 15)
#define NO_INDEX    BIT(22)
#define NO_BASE	    BIT(27)
#define PLAIN	    (INFO_64 | SEGMENT(SEG_DS) | NO_INDEX | NO_BASE)
#define REGISTER_2(reg) ((u32)(reg) << 28)
#define REGISTER(reg)	(INFO_IS_REGISTER | (u32)(reg) << 3)

/* How an instruction ended: a VM-instruction error, or one of these. */
enum { SUCCEEDED = 0, INVALID = 1000, ENTERED_L2 = 2000, FAULT = 3000 /* plus the vector */ };

static struct vcpu_vmx vmx;
static struct nested_vmx nested;
static struct vmcs12 vmcs12;
static struct nested_checks checks;
static struct vcpu *const vcpu = &vmx.vcpu;
static struct vcpu_ops machine_ops;
static bool entered;
static unsigned skipped;

void nested_vmx_enter(struct vcpu *v)
{
	entered = true;
}

/* VMCS shadowing, in the order in which they are called: b, e, r, w. */
static char shadowing[16];

static inline void note_shadowing(char step)
{
	size_t n = strlen(shadowing);

	if (n < sizeof(shadowing) - 1) {
		shadowing[n] = step;
		shadowing[n + 1] = '\0';
	}
}

void nested_shadowing_begin(struct vcpu *v) { note_shadowing('b'); }
void nested_shadowing_end(struct vcpu *v) { note_shadowing('e'); }
void nested_shadowing_read(struct vcpu *v) { note_shadowing('r'); }
void nested_shadowing_write(struct vcpu *v) { note_shadowing('w'); }

u64 vmx_control_get(struct vcpu *v, enum vcpu_control control)
{
	return fake.controls[control];
}

static int step_over_it(struct vcpu *v)
{
	skipped++;
	return 0;
}

/* The modes that matter to VMX instructions. Without paging outside of long mode. */
static inline void mode_64(void)
{
	enter_long_mode();
	fake.controls[CTL_CR0] |= CR0_NE;
	fake.controls[CTL_CR4] |= CR4_VMXE;
	FAKE(guest_access_rights(SEG_CS)) = 0xa09b;
	FAKE(guest_access_rights(SEG_SS)) = 0xc093;
}

static inline void mode_compatibility(void)
{
	mode_64();
	FAKE(guest_access_rights(SEG_CS)) = 0xc09b;
	fake.segments[SEG_CS].l = false;
}

static inline void mode_32(void)
{
	fake_protected_mode(true);
	fake.controls[CTL_CR0] |= CR0_NE;
	fake.controls[CTL_CR4] = CR4_VMXE;
	FAKE(guest_access_rights(SEG_CS)) = 0xc09b;
	FAKE(guest_access_rights(SEG_SS)) = 0xc093;
}

static inline void set_cpl(unsigned cpl)
{
	fake_set_cpl(cpl);
	FAKE(guest_access_rights(SEG_SS)) = 0xc093 | cpl << 5;
}

static inline void put_u32(gpa_t gpa, u32 value)
{
	memcpy(fake.ram + gpa, &value, sizeof(value));
}

static inline void put_u64(gpa_t gpa, u64 value)
{
	memcpy(fake.ram + gpa, &value, sizeof(value));
}

static inline u64 get_u64(gpa_t gpa)
{
	u64 value;

	memcpy(&value, fake.ram + gpa, sizeof(value));
	return value;
}

static inline u32 get_u32(gpa_t gpa)
{
	return (u32)get_u64(gpa);
}

/* In VMX operation, with REGION current and "clear". */
static inline int machine_setup(void **state)
{
	setup(state);
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	memset(&nested, 0, sizeof(nested));
	memset(&vmcs12, 0, sizeof(vmcs12));
	memset(&checks, 0, sizeof(checks));
	memcpy(vcpu, &fake.vcpu, sizeof(*vcpu));
	machine_ops = *vcpu->ops;
	machine_ops.skip_instruction = step_over_it;
	vcpu->ops = &machine_ops;
	vmx.nested = &nested;
	nested.vmcs12 = &vmcs12;
	nested.checks = &checks;
	nested.vmxon = true;
	nested.vmxon_ptr = VMXON_REGION;
	nested.current_ptr = REGION;
	vmcs12.revision = VMCS12_REVISION;
	checks.l1 = (struct vmx_entry_state){
		.cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE, .cr4_fixed1 = 0x3fffff,
		.misc = MISC_VMWRITE_ANY, .ept_vpid = EPT_WALK_4 | EPT_WRITE_BACK, .physical_bits = 40,
	};
	put_u32(VMXON_REGION, VMCS12_REVISION);
	put_u32(REGION, VMCS12_REVISION);
	put_u32(OTHER_REGION, VMCS12_REVISION);
	mode_64();
	return 0;
}

static inline void forget(void)
{
	fake_forget();
	entered = false;
	shadowing[0] = '\0';
	skipped = 0;
	vcpu->requests = 0;
	vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED | RFLAGS_IF | RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF |
		       RFLAGS_OF);
	vmcs12_write32(&vmcs12, INSTRUCTION_ERROR, 99);
}

static inline int outcome(void)
{
	u64 flags = vcpu_reg_read(vcpu, REG_RFLAGS) & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF);

	assert_int_equal(skipped + fake.faulted + entered, 1);
	assert_true(vcpu_reg_read(vcpu, REG_RFLAGS) & RFLAGS_IF);
	if (fake.faulted)
		return FAULT + fake.vector;
	if (entered)
		return ENTERED_L2;
	if (!flags)
		return SUCCEEDED;
	if (flags == RFLAGS_CF)
		return INVALID;
	assert_int_equal(flags, RFLAGS_ZF);
	assert_int_not_equal(vmcs12_read32(&vmcs12, INSTRUCTION_ERROR), 99);
	return vmcs12_read32(&vmcs12, INSTRUCTION_ERROR);
}

static inline int execute(enum exit_reason reason, u32 info, u64 displacement)
{
	forget();
	vcpu->exit_reason = reason;
	vmx.qualification = displacement;
	FAKE(EXIT_INSTRUCTION_INFO) = info;
	nested_handle_instruction(vcpu);
	return outcome();
}

/* With an operand in memory that holds the value. */
static inline int execute_with(enum exit_reason reason, u64 operand)
{
	put_u64(DATA, operand);
	return execute(reason, PLAIN, DATA);
}
