/* SPDX-License-Identifier: MIT */
/*
 * Why the processor refused a VM entry, in words. Intel SDM, "VM-Instruction Error Numbers",
 * "VM-Entry Failures During or After Loading Guest State".
 */
#include "lib/printf.h"
#include "vmx/vmx.h"

static const char *const instruction_errors[] = {
	[1] = "VMCALL executed in VMX root operation",
	[2] = "VMCLEAR with invalid physical address",
	[3] = "VMCLEAR with VMXON pointer",
	[4] = "VMLAUNCH with non-clear VMCS",
	[5] = "VMRESUME with non-launched VMCS",
	[6] = "VMRESUME after VMXOFF",
	[7] = "VM entry with invalid control fields",
	[8] = "VM entry with invalid host-state fields",
	[9] = "VMPTRLD with invalid physical address",
	[10] = "VMPTRLD with VMXON pointer",
	[11] = "VMPTRLD with incorrect VMCS revision identifier",
	[12] = "VMREAD or VMWRITE of an unsupported field",
	[13] = "VMWRITE to a read-only field",
	[15] = "VMXON executed in VMX root operation",
	[16] = "VM entry with invalid executive-VMCS pointer",
	[17] = "VM entry with non-launched executive VMCS",
	[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
	[19] = "VMCALL with non-clear VMCS",
	[20] = "VMCALL with invalid VM-exit control fields",
	[22] = "VMCALL with incorrect MSEG revision identifier",
	[23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
	[24] = "VMCALL with invalid SMM-monitor features",
	[25] = "VM entry with invalid control fields in the executive VMCS",
	[26] = "VM entry with events blocked by MOV SS",
	[28] = "invalid operand to INVEPT or INVVPID",
};

static const char *instruction_error_name(u32 error)
{
	if (error < ARRAY_SIZE(instruction_errors) && instruction_errors[error])
		return instruction_errors[error];
	return "unknown error";
}

/* The failure in words, printed before each rule that explains it. */
struct failure_text {
	struct vcpu *vcpu;
	char text[120];
};

static void print_violation(void *context, const struct violation *violation)
{
	const struct failure_text *failure = context;

	vm_error(failure->vcpu->vm,
		 "vcpu %u: VM entry failed: %s: %s: %s (%s) [SDM, \"%s\"]", failure->vcpu->id,
		 failure->text, violation->name, violation->text, violation->values,
		 violation->section);
}

static void print_failure(const struct failure_text *failure)
{
	vm_error(failure->vcpu->vm, "vcpu %u: VM entry failed: %s", failure->vcpu->id,
		 failure->text);
}

/* For a failure that no rule explains: the exit qualification names the cause of some. */
static const char *qualification_words(u64 qualification)
{
	static const char *const words[] = {
		[2] = ": the PDPTEs, says the exit qualification",
		[3] = ": injection of an NMI while STI blocks, says the exit qualification",
		[4] = ": the VMCS link pointer, says the exit qualification",
	};

	if (qualification < ARRAY_SIZE(words) && words[qualification])
		return words[qualification];
	return ": no rule that Lamina knows is broken; the state follows";
}

/* Print all broken rules: the processor stops at the first one, and mostly does not say which. */
static void explain_state(struct failure_text *failure, u64 qualification)
{
	struct vmx_entry_state state;

	vmx_entry_state_read(failure->vcpu, &state);
	if (!vmx_check_entry(&state, print_violation, failure))
		vm_error(failure->vcpu->vm, "vcpu %u: VM entry failed: %s%s", failure->vcpu->id,
			 failure->text, qualification_words(qualification));
}

/* `number` is the exit qualification: from 1 on. Lamina's only MSR-load list is that of EFER. */
static void explain_msr_load(struct failure_text *failure, u64 number)
{
	const struct vmx_msr_entry *list = to_vmx(failure->vcpu)->efer_lists;
	struct vmx_entry_state state;
	struct violation violation;

	vmx_entry_state_read(failure->vcpu, &state);
	if (!list || !number || number > state.entry_load_count) {
		print_failure(failure);
		return;
	}
	vmx_explain_msr_load(&state, &list[number - 1], &violation);
	print_violation(failure, &violation);
}

#define SAY(...) snprintf(text.text, sizeof(text.text), __VA_ARGS__)

void vmx_explain_failure(struct vcpu *vcpu)
{
	const struct failure_record *failure = &vcpu->failure;
	unsigned long long qualification = failure->qualification;
	u32 reason = (u32)failure->reason, error = failure->instruction_error;
	struct failure_text text = { .vcpu = vcpu };

	switch (failure->kind) {
	case ENTRY_OK:
		return;
	case ENTRY_VMFAIL_INVALID:
		SAY("VMfailInvalid: there is no current VMCS");
		break;
	case ENTRY_VMFAIL_VALID:
		SAY("VMfailValid: %s (VM-instruction error %u)", instruction_error_name(error),
		    error);
		if (error == 7 || error == 8) {
			explain_state(&text, 0);
			return;
		}
		break;
	case ENTRY_INVALID_STATE:
		SAY("invalid guest state (reason 0x%x)", reason);
		explain_state(&text, qualification);
		return;
	case ENTRY_MSR_LOADING:
		SAY("MSR loading (reason 0x%x): entry %llu of the list is refused", reason,
		    qualification);
		explain_msr_load(&text, qualification);
		return;
	case ENTRY_MACHINE_CHECK:
		SAY("machine check during VM entry (reason 0x%x)", reason);
		break;
	case ENTRY_UNKNOWN:
		SAY("reason 0x%x has no name (qualification 0x%llx)", reason, qualification);
		break;
	}
	print_failure(&text);
}
