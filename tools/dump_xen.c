/* SPDX-License-Identifier: MIT */
/* Xen's vmcs_dump_vcpu() and svm_vmcb_dump(), from its console. */
#include "tools/dump.h"

#include <string.h>

static const struct dump_key vmcb_keys[] = {
	SVM_KEY("cr_intercepts = ", control.intercept_cr),
	SVM_KEY("dr_intercepts = ", control.intercept_dr),
	SVM_KEY("exception_intercepts = ", control.intercept_exceptions),
	SVM_KEY("general1_intercepts = ", control.intercept_misc1),
	SVM_KEY("general2_intercepts = ", control.intercept_misc2),
	SVM_KEY("iopm_base_pa = ", control.iopm_base),
	SVM_KEY("msrpm_base_pa = ", control.msrpm_base),
	SVM_KEY("tsc_offset = ", control.tsc_offset),
	SVM_KEY("tlb_control = ", control.tlb_control),
	SVM_KEY("vintr = ", control.int_control),
	SVM_KEY("int_stat = ", control.int_state),
	SVM_KEY("interrupt_shadow = ", control.int_state),
	SVM_KEY("event_inj ", control.event_injection),
	SVM_KEY("eventinj = ", control.event_injection),
	SVM_KEY("np_ctrl = ", control.np_enable),
	SVM_KEY("np_enable = ", control.np_enable),
	SVM_KEY("guest_asid = ", control.asid),
	SVM_KEY("asid = ", control.asid),
	SVM_KEY("cpl = ", save.cpl),
	SVM_KEY("efer = ", save.efer),
	SVM_KEY("CR0 = ", save.cr0), SVM_KEY("CR2 = ", save.cr2),
	SVM_KEY("CR3 = ", save.cr3), SVM_KEY("CR4 = ", save.cr4),
	SVM_KEY("RSP = ", save.rsp), SVM_KEY("RIP = ", save.rip),
	SVM_KEY("RAX = ", save.rax), SVM_KEY("RFLAGS=", save.rflags),
	SVM_KEY("DR6 = ", save.dr6), SVM_KEY("DR7 = ", save.dr7),
	SVM_KEY("PAT = ", save.pat),
	SVM_KEY("H_CR3 = ", control.nested_cr3),
	SVM_KEY("CleanBits = ", control.clean),
};

static bool begins(const char *line, enum dump_kind *kind)
{
	*kind = strstr(line, "Dumping guest's current state at") ? DUMP_SVM : DUMP_VMX;
	return *kind == DUMP_SVM ||
	       (strstr(line, "(XEN)") && strstr(line, "*** Guest State ***"));
}

/* "  CS: f000 009b 0000ffff 00000000ffff0000" */
static const char *const segments[VMCB_SEGMENTS] = {
	"ES:", "CS:", "SS:", "DS:", "FS:", "GS:", "GDTR:", "LDTR:", "IDTR:", "TR:",
};

static void read_line(struct dump *dump, const char *line)
{
	if (dump->kind == DUMP_VMX) {
		dump_read_vmcs_line(dump, line);
		return;
	}
	dump_read_keys(dump, line, vmcb_keys, ARRAY_SIZE(vmcb_keys));
	dump_read_vmcb_segments(dump, line, segments);
}

const struct dump_format dump_xen = {
	.name = "Xen",
	.begins = begins,
	.read_line = read_line,
};
