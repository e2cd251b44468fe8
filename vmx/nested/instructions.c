/* SPDX-License-Identifier: MIT */
/*
 * The VMX instructions of a guest hypervisor: in which order they fault and fail, and what they do. They exit in VMX
 * non-root operation, where L1 itself runs, whatever its privilege. Those of L2 are L1's exits: vmx/nested/exit.c.
 * Intel SDM, "VMX Instruction Reference"; "Invalid-opcode exceptions ... have priority": "Relative Priority of Faults
 * and VM Exits".
 */
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/emulate/gwalk.h"
#include "core/emulate/watch.h"
#include "core/exit.h"
#include "vmx/nested/nested.h"
#include "vmx/nested/operand.h"

static bool code_64(void)
{
	return vmcs_read32(guest_access_rights(SEG_CS)) & ACCESS_RIGHTS_L;
}

/* Real, virtual-8086 and compatibility mode. */
static bool wrong_mode(struct vcpu *vcpu)
{
	if (vmx_control_get(vcpu, CTL_EFER) & EFER_LMA)
		return !code_64();
	return !(vmx_control_get(vcpu, CTL_CR0) & CR0_PE) || (vcpu_rflags(vcpu) & RFLAGS_VM);
}

/* Bytes of the operands that are as wide as a register. */
static unsigned register_size(struct vcpu *vcpu)
{
	return vmx_control_get(vcpu, CTL_EFER) & EFER_LMA ? 8 : 4;
}

/* A 4 KiB-aligned address within the width of L1's physical addresses? */
static bool is_region(const struct vcpu *vcpu, u64 address)
{
	return !(address & ~PAGE_MASK) && !(address >> cpuid_physical_bits(vcpu));
}

/* --- VMX operation --- */

bool nested_control_allowed(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	const struct nested_vmx *nested = to_nested(vcpu);
	const struct vmx_entry_state *l1 = &nested->checks->l1;
	u64 fixed0 = control == CTL_CR0 ? l1->cr0_fixed0 : l1->cr4_fixed0;
	u64 fixed1 = control == CTL_CR0 ? l1->cr0_fixed1 : l1->cr4_fixed1;

	return control == CTL_EFER || !nested->vmxon || (!(fixed0 & ~value) && !(value & ~fixed1));
}

static bool can_enter_operation(struct vcpu *vcpu)
{
	const struct vmx_entry_state *l1 = &to_nested(vcpu)->checks->l1;
	u64 cr0 = vmx_control_get(vcpu, CTL_CR0), cr4 = vmx_control_get(vcpu, CTL_CR4);

	return !(l1->cr0_fixed0 & ~cr0) && !(cr0 & ~l1->cr0_fixed1) &&
	       !(l1->cr4_fixed0 & ~cr4) && !(cr4 & ~l1->cr4_fixed1);
}

enum nested_init nested_vmx_init(struct vcpu *vcpu)
{
	return to_nested(vcpu)->vmxon ? NESTED_INIT_WAITS : NESTED_INIT_RESETS;
}

/* A20 is always on, and IA32_FEATURE_CONTROL allows it. From here on INIT waits: nested_vmx_init(). */
static void l1_vmxon(struct vcpu *vcpu, u32 info)
{
	struct nested_vmx *nested = to_nested(vcpu);
	u64 region;

	if (nested->vmxon) {
		nested_vmfail(vcpu, VMX_ERROR_VMXON_IN_ROOT);
		return;
	}
	if (!can_enter_operation(vcpu)) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	if (nested_operand_read(vcpu, info, 8, &region))
		return;
	if (!is_region(vcpu, region) || nested_region_revision(vcpu, region) != VMCS12_REVISION) {
		nested_vmfail_invalid(vcpu);
		return;
	}
	nested->vmxon = true;
	nested->vmxon_ptr = region;
	nested->flush_l2 = true;	/* L1 may use its VPIDs anew */
	if (nested->shadow)
		shadow_drop_all(nested->shadow);
	nested_vmsucceed(vcpu);
}

static void l1_vmxoff(struct vcpu *vcpu, u32 info)
{
	nested_region_release(vcpu);
	to_nested(vcpu)->vmxon = false;
	vcpu_request(vcpu, REQ_STARTUP);	/* an INIT may have waited */
	nested_vmsucceed(vcpu);
}

/* In VMX root operation. SDM, "VMCALL": there is no dual-monitor treatment. */
static void l1_vmcall(struct vcpu *vcpu, u32 info)
{
	nested_vmfail(vcpu, VMX_ERROR_VMCALL);
}

/* --- the current VMCS --- */

static void l1_vmclear(struct vcpu *vcpu, u32 info)
{
	u64 region;

	if (nested_operand_read(vcpu, info, 8, &region))
		return;
	if (!is_region(vcpu, region)) {
		nested_vmfail(vcpu, VMX_ERROR_VMCLEAR_ADDRESS);
	} else if (region == to_nested(vcpu)->vmxon_ptr) {
		nested_vmfail(vcpu, VMX_ERROR_VMCLEAR_VMXON);
	} else {
		nested_region_clear(vcpu, region);
		nested_vmsucceed(vcpu);
	}
}

static void l1_vmptrld(struct vcpu *vcpu, u32 info)
{
	u64 region;

	if (nested_operand_read(vcpu, info, 8, &region))
		return;
	if (!is_region(vcpu, region))
		nested_vmfail(vcpu, VMX_ERROR_VMPTRLD_ADDRESS);
	else if (region == to_nested(vcpu)->vmxon_ptr)
		nested_vmfail(vcpu, VMX_ERROR_VMPTRLD_VMXON);
	else if (!nested_region_load(vcpu, region))
		nested_vmfail(vcpu, VMX_ERROR_VMPTRLD_REVISION);
	else
		nested_vmsucceed(vcpu);
}

static void l1_vmptrst(struct vcpu *vcpu, u32 info)
{
	if (!nested_operand_write(vcpu, info, 8, to_nested(vcpu)->current_ptr))
		nested_vmsucceed(vcpu);
}

/* --- its fields. Of an enlightened one VMREAD gives what the last entry has read and the last exit written --- */

static u64 register_operand(struct vcpu *vcpu, enum vcpu_reg reg)
{
	u64 value = vcpu_reg_read(vcpu, reg);

	return register_size(vcpu) == 8 ? value : (u32)value;
}

static void l1_vmread(struct vcpu *vcpu, u32 info)
{
	struct nested_vmx *nested = to_nested(vcpu);
	u64 encoding, value;
	const u64 *field;

	if (nested->current_ptr == NO_VMCS) {
		nested_vmfail_invalid(vcpu);
		return;
	}
	encoding = register_operand(vcpu, INFO_REGISTER_2(info));
	field = vmcs12_find(nested->vmcs12, encoding);
	if (!field) {
		nested_vmfail(vcpu, VMX_ERROR_FIELD);
		return;
	}
	value = encoding & 1 ? *field >> 32 : *field;
	if (register_size(vcpu) == 4)
		value = (u32)value;
	if (info & INFO_IS_REGISTER)
		vcpu_reg_write(vcpu, INFO_REGISTER(info), value);
	else if (nested_operand_write(vcpu, info, register_size(vcpu), value))
		return;
	nested_vmsucceed(vcpu);
}

/* The high half of a field takes 32 bits. A value that is shorter than the field is zero-extended. */
static void write_field(u64 *field, u32 encoding, u64 value)
{
	if (encoding & 1)
		*field = (u32)*field | value << 32;
	else
		*field = value & vmcs12_width_mask(encoding);
}

static void l1_vmwrite(struct vcpu *vcpu, u32 info)
{
	struct nested_vmx *nested = to_nested(vcpu);
	u64 encoding, value, *field;

	if (nested->current_ptr == NO_VMCS || nested->enlightened) {
		nested_vmfail_invalid(vcpu);
		return;
	}
	if (info & INFO_IS_REGISTER)
		value = register_operand(vcpu, INFO_REGISTER(info));
	else if (nested_operand_read(vcpu, info, register_size(vcpu), &value))
		return;
	encoding = register_operand(vcpu, INFO_REGISTER_2(info));
	field = vmcs12_find(nested->vmcs12, encoding);
	if (!field) {
		nested_vmfail(vcpu, VMX_ERROR_FIELD);
	} else if (VMCS_IS_READ_ONLY(encoding) && !(nested->checks->l1.misc & MISC_VMWRITE_ANY)) {
		nested_vmfail(vcpu, VMX_ERROR_READ_ONLY_FIELD);
	} else {
		/* VMREADs of exit information do not exit, though VMWRITEs do. */
		if (VMCS_IS_READ_ONLY(encoding))
			nested_shadowing_read(vcpu);
		write_field(field, (u32)encoding, value);
		if (VMCS_IS_READ_ONLY(encoding))
			nested_shadowing_write(vcpu);
		nested_vmsucceed(vcpu);
	}
}

/* --- VM entry. SDM, "Basic VM-Entry Checks" --- */

static void enter(struct vcpu *vcpu, bool launch)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (nested_evmcs_may_be_on(vcpu))
		nested_evmcs_load(vcpu, launch);
	nested_shadowing_read(vcpu);
	if (nested->current_ptr == NO_VMCS)
		nested_vmfail_invalid(vcpu);
	else if (vmcs_read32(GUEST_INTERRUPTIBILITY) & INTERRUPTIBILITY_MOV_SS)
		nested_vmfail(vcpu, VMX_ERROR_MOV_SS);
	else if (nested->enlightened)
		nested_vmx_enter(vcpu);		/* there is no launch state */
	else if (launch && nested->vmcs12->launched)
		nested_vmfail(vcpu, VMX_ERROR_LAUNCH_NOT_CLEAR);
	else if (!launch && !nested->vmcs12->launched)
		nested_vmfail(vcpu, VMX_ERROR_RESUME_NOT_LAUNCHED);
	else
		nested_vmx_enter(vcpu);
}

static void l1_vmlaunch(struct vcpu *vcpu, u32 info)
{
	enter(vcpu, true);
}

static void l1_vmresume(struct vcpu *vcpu, u32 info)
{
	enter(vcpu, false);
}

/* --- what L1 makes the processor forget. Both read their descriptor whatever the type --- */

static void l1_invept(struct vcpu *vcpu, u32 info)
{
	struct nested_vmx *nested = to_nested(vcpu);
	u64 type = register_operand(vcpu, INFO_REGISTER_2(info));
	u64 descriptor[2];

	if (type != INVEPT_SINGLE && type != INVEPT_ALL) {
		nested_vmfail(vcpu, VMX_ERROR_INVALIDATE);
		return;
	}
	if (nested_operand_read_pair(vcpu, info, descriptor))
		return;
	if (type == INVEPT_SINGLE && !vmx_ept_pointer_allowed(&nested->checks->l1, descriptor[0])) {
		nested_vmfail(vcpu, VMX_ERROR_INVALIDATE);
		return;
	}
	if (nested->shadow && type == INVEPT_SINGLE)
		shadow_drop_root(nested->shadow, descriptor[0] & PAGE_MASK);
	else if (nested->shadow)
		shadow_drop_all(nested->shadow);
	nested_vmsucceed(vcpu);
}

static bool vpid_descriptor_allowed(struct vcpu *vcpu, u64 type, const u64 descriptor[2])
{
	if (descriptor[0] >> 16)
		return false;
	if (type == INVVPID_ADDRESS && !gwalk_canonical(vcpu, descriptor[1]))
		return false;
	return type == INVVPID_ALL || descriptor[0];
}

/* All of L1's VPIDs share the one of vmcs02. */
static void l1_invvpid(struct vcpu *vcpu, u32 info)
{
	u64 type = register_operand(vcpu, INFO_REGISTER_2(info));
	u64 descriptor[2];

	if (type > INVVPID_NON_GLOBAL) {
		nested_vmfail(vcpu, VMX_ERROR_INVALIDATE);
		return;
	}
	if (nested_operand_read_pair(vcpu, info, descriptor))
		return;
	if (!vpid_descriptor_allowed(vcpu, type, descriptor)) {
		nested_vmfail(vcpu, VMX_ERROR_INVALIDATE);
		return;
	}
	to_nested(vcpu)->flush_l2 = true;
	nested_vmsucceed(vcpu);
}

/* --- all of them --- */

static const struct {
	void (*run)(struct vcpu *vcpu, u32 info);
	bool memory;	/* it has an operand in memory, or may have one */
} instructions[] = {
	[EXIT_REASON_VMCALL] = { l1_vmcall },
	[EXIT_REASON_VMCLEAR] = { l1_vmclear, true },
	[EXIT_REASON_VMLAUNCH] = { l1_vmlaunch },
	[EXIT_REASON_VMPTRLD] = { l1_vmptrld, true },
	[EXIT_REASON_VMPTRST] = { l1_vmptrst, true },
	[EXIT_REASON_VMREAD] = { l1_vmread, true },
	[EXIT_REASON_VMRESUME] = { l1_vmresume },
	[EXIT_REASON_VMWRITE] = { l1_vmwrite, true },
	[EXIT_REASON_VMXOFF] = { l1_vmxoff },
	[EXIT_REASON_VMXON] = { l1_vmxon, true },
	[EXIT_REASON_INVEPT] = { l1_invept, true },
	[EXIT_REASON_INVVPID] = { l1_invvpid, true },
};

/* Of VMXON alone: it is defined outside of VMX operation, but then only if CR4.VMXE allows it. */
static bool is_undefined(struct vcpu *vcpu, u16 reason)
{
	if (reason == EXIT_REASON_VMXON)
		return !(vmx_control_get(vcpu, CTL_CR4) & CR4_VMXE) || wrong_mode(vcpu);
	return !to_nested(vcpu)->vmxon || wrong_mode(vcpu);
}

void nested_handle_instruction(struct vcpu *vcpu)
{
	const union vmx_exit_reason reason = { .full = (u32)vcpu->exit_reason };
	u32 info = 0;

	if (!to_nested(vcpu) || is_undefined(vcpu, reason.basic)) {
		event_raise(vcpu, X86_UD);
		return;
	}
	if (ACCESS_RIGHTS_DPL(vmcs_read32(guest_access_rights(SEG_SS)))) {
		event_raise_error(vcpu, X86_GP, 0);
		return;
	}
	if (!instructions[reason.basic].memory) {
		instructions[reason.basic].run(vcpu, 0);
		return;
	}
	info = vmcs_read32(EXIT_INSTRUCTION_INFO);
	watch_begin(vcpu);
	instructions[reason.basic].run(vcpu, info);
	watch_end(vcpu);
}
