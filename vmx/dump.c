/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's registers and the VMCS, for reports. Only fields that the controls announce; one that
 * cannot be read after all is printed as n/a.
 */
#include "arch/cpu.h"
#include "lib/printf.h"
#include "vmx/vmx.h"

#define VALUE_SIZE 20

struct text {
	char value[VALUE_SIZE];
};

static struct text field(u32 encoding)
{
	struct text text = { "n/a" };
	u64 value;

	if (vmread(encoding, &value))
		snprintf(text.value, sizeof(text.value), "%llx", (unsigned long long)value);
	return text;
}

#define FIELD(f) field((f).encoding).value

static void dump_registers(struct vcpu *vcpu)
{
	static const char *const names[] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	const u64 *regs = vcpu->regs;
	struct text rsp = field(GUEST_RSP.encoding);

	if (vcpu->regs_available & BIT(REG_RSP))
		snprintf(rsp.value, sizeof(rsp.value), "%llx", (unsigned long long)regs[REG_RSP]);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i += 4) {
		char line[120];
		int at = 0;

		for (unsigned j = i; j < i + 4; j++) {
			if (j == REG_RSP)
				at += snprintf(line + at, sizeof(line) - at, " %3s %16s", "rsp",
					       rsp.value);
			else
				at += snprintf(line + at, sizeof(line) - at, " %3s %16llx",
					       names[j], (unsigned long long)regs[j]);
		}
		vm_info(vcpu->vm, " %s", line);
	}
	vm_info(vcpu->vm, "  rip %s rflags %s (exit at rip %llx)", FIELD(GUEST_RIP),
		FIELD(GUEST_RFLAGS), (unsigned long long)vcpu->exit_rip);
}

static void dump_control_registers(struct vcpu *vcpu)
{
	vm_info(vcpu->vm, "  cr0 %s (guest reads %s, mask %s) cr2 %llx cr3 %s", FIELD(GUEST_CR0),
		FIELD(CR0_READ_SHADOW), FIELD(CR0_GUEST_HOST_MASK), (unsigned long long)read_cr2(),
		FIELD(GUEST_CR3));
	vm_info(vcpu->vm, "  cr4 %s (guest reads %s, mask %s) efer %llx", FIELD(GUEST_CR4),
		FIELD(CR4_READ_SHADOW), FIELD(CR4_GUEST_HOST_MASK),
		(unsigned long long)to_vmx(vcpu)->efer);
	vm_info(vcpu->vm, "  dr7 %s debugctl %s sysenter cs %s esp %s eip %s", FIELD(GUEST_DR7),
		FIELD(GUEST_DEBUGCTL), FIELD(GUEST_SYSENTER_CS), FIELD(GUEST_SYSENTER_ESP),
		FIELD(GUEST_SYSENTER_EIP));
	if (vmx_switches_pat())
		vm_info(vcpu->vm, "  pat %s", FIELD(GUEST_PAT));
	vm_info(vcpu->vm, "  pdpte %s %s %s %s", FIELD(guest_pdpte(0)), FIELD(guest_pdpte(1)),
		FIELD(guest_pdpte(2)), FIELD(guest_pdpte(3)));
}

static void dump_segments(struct vcpu *vcpu)
{
	static const char *const names[SEG_COUNT] = {
		[SEG_ES] = "es", [SEG_CS] = "cs", [SEG_SS] = "ss", [SEG_DS] = "ds",
		[SEG_FS] = "fs", [SEG_GS] = "gs", [SEG_LDTR] = "ldtr", [SEG_TR] = "tr",
	};

	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++)
		vm_info(vcpu->vm, "  %-4s %4s base %s limit %s access rights %s", names[i],
			FIELD(guest_selector(i)), FIELD(guest_base(i)), FIELD(guest_limit(i)),
			FIELD(guest_access_rights(i)));
	vm_info(vcpu->vm, "  gdtr base %s limit %s, idtr base %s limit %s", FIELD(GUEST_GDTR_BASE),
		FIELD(GUEST_GDTR_LIMIT), FIELD(GUEST_IDTR_BASE), FIELD(GUEST_IDTR_LIMIT));
}

static void dump_controls(struct vcpu *vcpu)
{
	vm_info(vcpu->vm,
		"  controls: pin %s primary %s secondary %s exit %s entry %s exceptions %s",
		FIELD(PIN_BASED_CONTROLS), FIELD(PRIMARY_CONTROLS), FIELD(SECONDARY_CONTROLS),
		FIELD(EXIT_CONTROLS), FIELD(ENTRY_CONTROLS), FIELD(EXCEPTION_BITMAP));
	vm_info(vcpu->vm,
		"  activity %s interruptibility %s pending debug exceptions %s link pointer %s",
		FIELD(GUEST_ACTIVITY), FIELD(GUEST_INTERRUPTIBILITY), FIELD(GUEST_PENDING_DEBUG),
		FIELD(VMCS_LINK_POINTER));
	vm_info(vcpu->vm, "  entry: interruption %s error code %s instruction length %s",
		FIELD(ENTRY_INTERRUPTION_INFO), FIELD(ENTRY_EXCEPTION_ERROR_CODE),
		FIELD(ENTRY_INSTRUCTION_LENGTH));
	vm_info(vcpu->vm,
		"  exit: reason %s qualification %s interruption %s error code %s length %s",
		FIELD(EXIT_REASON), FIELD(EXIT_QUALIFICATION), FIELD(EXIT_INTERRUPTION_INFO),
		FIELD(EXIT_INTERRUPTION_ERROR), FIELD(EXIT_INSTRUCTION_LENGTH));
	vm_info(vcpu->vm,
		"  exit: IDT vectoring %s error code %s guest-physical %s guest-linear %s",
		FIELD(IDT_VECTORING_INFO), FIELD(IDT_VECTORING_ERROR),
		FIELD(GUEST_PHYSICAL_ADDRESS), FIELD(GUEST_LINEAR_ADDRESS));
	vm_info(vcpu->vm, "  ept pointer %s tsc offset %s", FIELD(EPT_POINTER), FIELD(TSC_OFFSET));
	if (vmx_has_vpid())
		vm_info(vcpu->vm, "  vpid %s", FIELD(VPID));
	if (vmx_has_preemption_timer())
		vm_info(vcpu->vm, "  preemption timer %s", FIELD(PREEMPTION_TIMER_VALUE));
}

static void dump_host(struct vcpu *vcpu)
{
	vm_info(vcpu->vm, "  host: cr0 %s cr3 %s cr4 %s rip %s rsp %s", FIELD(HOST_CR0),
		FIELD(HOST_CR3), FIELD(HOST_CR4), FIELD(HOST_RIP), field(HOST_RSP_ENCODING).value);
	vm_info(vcpu->vm, "  host: cs %s tr %s base %s gs base %s gdtr %s idtr %s",
		FIELD(HOST_CS_SELECTOR), FIELD(HOST_TR_SELECTOR), FIELD(HOST_TR_BASE),
		FIELD(HOST_GS_BASE), FIELD(HOST_GDTR_BASE), FIELD(HOST_IDTR_BASE));
}

void vmx_dump(struct vcpu *vcpu)
{
	vm_info(vcpu->vm, "vcpu %u, values in hexadecimal:", vcpu->id);
	dump_registers(vcpu);
	dump_control_registers(vcpu);
	dump_segments(vcpu);
	dump_controls(vcpu);
	dump_host(vcpu);
}
