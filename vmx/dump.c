/* SPDX-License-Identifier: MIT */
/*
 * A vCPU's registers and its VMCS, for reports, in lines of "name 0xvalue, name 0xvalue". A field
 * that is not listed is 0 or does not exist.
 */
#include "arch/cpu/cpu.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

/* The line that is being composed. */
struct line {
	struct vm *vm;
	char text[100];
};

static void flush(struct line *line)
{
	if (line->text[0])
		vm_info(line->vm, "  %s", line->text);
	line->text[0] = '\0';
}

static void add(struct line *line, const char *name, u64 value)
{
	char item[64];
	size_t at = strlen(line->text), length;

	length = (size_t)snprintf(item, sizeof(item), "%s%s 0x%llx", at ? ", " : "", name,
				  (unsigned long long)value);
	if (at + length >= sizeof(line->text)) {
		flush(line);
		add(line, name, value);
		return;
	}
	str_copy(line->text + at, item, sizeof(line->text) - at);
}

static void dump_registers(struct vcpu *vcpu, struct line *line)
{
	static const char names[][4] = {
		"RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
		"R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (i != REG_RSP)	/* in the VMCS */
			add(line, names[i], vcpu->regs[i]);
	add(line, "CR2", read_cr2());
	add(line, "exit RIP", vcpu->exit_rip);
	flush(line);
}

static void dump_fields(const struct vmx_entry_state *state, struct line *line)
{
	for (unsigned i = 0; i < VMX_FIELDS; i++) {
		if (i == VMX_FIELD(host_cr0) || i == VMX_FIELD(cr0) || i == VMX_FIRST_SEGMENT ||
		    i == VMX_FIRST_PROCESSOR)
			flush(line);
		if (vmx_field(state, i))
			add(line, vmx_field_name(i).text, vmx_field(state, i));
	}
	flush(line);
}

static void dump_entry_state(struct vcpu *vcpu, struct line *line)
{
	struct vmx_entry_state state;

	vmx_entry_state_read(vcpu, &state);
	/* The next entry stores these. */
	if (vcpu->regs_dirty & BIT(REG_RSP))
		state.rsp = vcpu->regs[REG_RSP];
	if (vcpu->regs_dirty & BIT(REG_RIP))
		state.rip = vcpu->regs[REG_RIP];
	if (vcpu->regs_dirty & BIT(REG_RFLAGS))
		state.rflags = vcpu->regs[REG_RFLAGS];
	dump_fields(&state, line);
}

/* Of the current VMCS, or of vmcs12 if it is not NULL. */
static u64 exit_field(struct vmcs12 *vmcs12, u32 encoding)
{
	const u64 *field = vmcs12 ? vmcs12_find(vmcs12, encoding) : NULL;
	u64 value;

	if (vmcs12)
		return field ? *field : 0;
	return vmread(encoding, &value) ? value : 0;
}

static void dump_exit(struct vmcs12 *vmcs12, struct line *line)
{
	const struct {
		u32 encoding;
		const char *name;
	} fields[] = {
		{ EXIT_REASON.encoding, "exit reason" },
		{ EXIT_QUALIFICATION.encoding, "exit qualification" },
		{ EXIT_INTERRUPTION_INFO.encoding, "VM-exit interruption information" },
		{ EXIT_INTERRUPTION_ERROR.encoding, "VM-exit interruption error code" },
		{ EXIT_INSTRUCTION_LENGTH.encoding, "VM-exit instruction length" },
		{ IDT_VECTORING_INFO.encoding, "IDT-vectoring information" },
		{ IDT_VECTORING_ERROR.encoding, "IDT-vectoring error code" },
		{ GUEST_PHYSICAL_ADDRESS.encoding, "guest-physical address" },
		{ GUEST_LINEAR_ADDRESS.encoding, "guest-linear address" },
		{ PREEMPTION_TIMER_VALUE.encoding, "preemption timer" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		u64 value = exit_field(vmcs12, fields[i].encoding);

		if (value)
			add(line, fields[i].name, value);
	}
	flush(line);
}

/* What a hypervisor in the guest has asked for, and with which capabilities. */
static void dump_vmcs12(struct vcpu *vcpu, struct line *line)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (!nested || nested->current_ptr == NO_VMCS)
		return;
	if (!vcpu->l2_runs)
		nested_shadowing_read(vcpu);
	vm_info(vcpu->vm, "vcpu %u, VMCS of the guest's own guest at 0x%llx, %s, what is not listed is 0:", vcpu->id,
		(unsigned long long)nested->current_ptr, vcpu->l2_runs ? "which runs" : "which does not run");
	dump_exit(nested->vmcs12, line);
	dump_fields(nested_entry_state(vcpu), line);
}

void vmx_dump(struct vcpu *vcpu)
{
	struct line line = { .vm = vcpu->vm };

	vm_info(vcpu->vm, "vcpu %u, what is not listed is 0:", vcpu->id);
	dump_registers(vcpu, &line);
	dump_exit(NULL, &line);
	dump_entry_state(vcpu, &line);
	dump_vmcs12(vcpu, &line);
}
