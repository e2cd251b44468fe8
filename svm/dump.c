/* SPDX-License-Identifier: MIT */
/* Print the VMCB. Plain memory reads, which can neither fail nor block. */
#include "core/vm_log.h"
#include "svm/svm.h"

static void dump_segment(struct vcpu *vcpu, const char *name, const struct vmcb_segment *segment)
{
	vm_info(vcpu->vm, "  %-5s selector %04x attributes %04x limit %08x base %016llx", name, segment->selector,
		segment->attributes, segment->limit, (ull)(segment->base));
}

static void dump_registers(struct vcpu *vcpu)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					     "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i += 4)
		vm_info(vcpu->vm, "  %-3s %016llx  %-3s %016llx  %-3s %016llx  %-3s %016llx",
			names[i], (ull)(vcpu_reg_read(vcpu, i)), names[i + 1], (ull)(vcpu_reg_read(vcpu, i + 1)),
			names[i + 2], (ull)(vcpu_reg_read(vcpu, i + 2)), names[i + 3], (ull)(vcpu_reg_read(vcpu, i + 3)));
}

static void dump_save(struct vcpu *vcpu, const struct vmcb_save *save)
{
	vm_info(vcpu->vm, "  rip %016llx  rflags %016llx  cpl %u  efer %016llx", (ull)(save->rip), (ull)(save->rflags),
		save->cpl, (ull)(save->efer));
	vm_info(vcpu->vm, "  cr0 %016llx  cr2 %016llx  cr3 %016llx  cr4 %016llx", (ull)(save->cr0), (ull)(save->cr2),
		(ull)(save->cr3), (ull)(save->cr4));
	vm_info(vcpu->vm, "  dr6 %016llx  dr7 %016llx  pat %016llx  debugctl %llx", (ull)(save->dr6),
		(ull)(save->dr7), (ull)(save->pat), (ull)(save->debugctl));
	dump_segment(vcpu, "cs", &save->cs);
	dump_segment(vcpu, "ss", &save->ss);
	dump_segment(vcpu, "ds", &save->ds);
	dump_segment(vcpu, "es", &save->es);
	dump_segment(vcpu, "fs", &save->fs);
	dump_segment(vcpu, "gs", &save->gs);
	dump_segment(vcpu, "gdtr", &save->gdtr);
	dump_segment(vcpu, "idtr", &save->idtr);
	dump_segment(vcpu, "ldtr", &save->ldtr);
	dump_segment(vcpu, "tr", &save->tr);
}

static void dump_control(struct vcpu *vcpu, const struct vmcb_control *control)
{
	vm_info(vcpu->vm, "  intercepts: cr %08x dr %08x exceptions %08x misc %08x %08x %08x", control->intercept_cr,
		control->intercept_dr, control->intercept_exceptions, control->intercept_misc1,
		control->intercept_misc2, control->intercept_misc3);
	vm_info(vcpu->vm, "  iopm %llx msrpm %llx tsc_offset %llx asid %u tlb_control %u clean %x",
		(ull)(control->iopm_base), (ull)(control->msrpm_base), (ull)(control->tsc_offset), control->asid,
		control->tlb_control, control->clean);
	vm_info(vcpu->vm, "  int_control %llx int_state %llx event_injection %llx np_enable %llx nested_cr3 %llx",
		(ull)(control->int_control), (ull)(control->int_state), (ull)(control->event_injection),
		(ull)(control->np_enable), (ull)(control->nested_cr3));
	vm_info(vcpu->vm, "  exit_code %llx info1 %llx info2 %llx exit_int_info %llx next_rip %llx",
		(ull)(control->exit_code), (ull)(control->exit_info1), (ull)(control->exit_info2),
		(ull)(control->exit_int_info), (ull)(control->next_rip));
}

void svm_dump(struct vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;

	vm_info(vcpu->vm, "vcpu %u VMCB:", vcpu->id);
	dump_registers(vcpu);
	dump_save(vcpu, &vmcb->save);
	dump_control(vcpu, &vmcb->control);
}
