/* SPDX-License-Identifier: MIT */
/*
 * Linux KVM's dump_vmcs() and dump_vmcb(), from dmesg, the console or a journal: prefixes of lines are
 * skipped.
 */
#include "tools/dump.h"

#include <string.h>

/* Most lines of a VMCB are one name and one value. */
#define SVM_DECIMAL(text, member) { text, SVM_PLACE(member), 10, NULL }
#define SVM_PART(text, member, at, bytes) \
	{ text, offsetof(struct vmcb, member) + (at), bytes, 16, NULL }

static const struct dump_key vmcb_keys[] = {
	SVM_PART("cr_read:", control.intercept_cr, 0, 2),
	SVM_PART("cr_write:", control.intercept_cr, 2, 2),
	SVM_PART("dr_read:", control.intercept_dr, 0, 2),
	SVM_PART("dr_write:", control.intercept_dr, 2, 2),
	SVM_KEY("exceptions:", control.intercept_exceptions),
	SVM_KEY("iopm_base_pa:", control.iopm_base),
	SVM_KEY("msrpm_base_pa:", control.msrpm_base),
	SVM_KEY("tsc_offset:", control.tsc_offset),
	SVM_DECIMAL("asid:", control.asid),
	SVM_DECIMAL("tlb_ctl:", control.tlb_control),
	SVM_PART("int_ctl:", control.int_control, 0, 4),
	SVM_PART("int_vector:", control.int_control, 4, 4),
	SVM_KEY("int_state:", control.int_state),
	SVM_DECIMAL("nested_ctl:", control.np_enable),
	SVM_DECIMAL("misc_ctl:", control.np_enable),
	SVM_KEY("nested_cr3:", control.nested_cr3),
	SVM_PART("event_inj:", control.event_injection, 0, 4),
	SVM_PART("event_inj_err:", control.event_injection, 4, 4),
	SVM_KEY("next_rip:", control.next_rip),
	SVM_DECIMAL("cpl:", save.cpl),
	SVM_KEY("efer:", save.efer),
	SVM_KEY("cr0:", save.cr0), SVM_KEY("cr2:", save.cr2),
	SVM_KEY("cr3:", save.cr3), SVM_KEY("cr4:", save.cr4),
	SVM_KEY("dr6:", save.dr6), SVM_KEY("dr7:", save.dr7),
	SVM_KEY("rip:", save.rip), SVM_KEY("rflags:", save.rflags),
	SVM_KEY("rsp:", save.rsp), SVM_KEY("rax:", save.rax),
	SVM_KEY("gpat:", save.pat), SVM_KEY("dbgctl:", save.debugctl),
	SVM_KEY("s_cet:", save.s_cet), SVM_KEY("ssp:", save.ssp),
};

static bool begins(const char *line, enum dump_kind *kind)
{
	*kind = strstr(line, "VMCB Control Area:") ? DUMP_SVM : DUMP_VMX;
	return *kind == DUMP_SVM || strstr(line, "*** Guest State ***");
}

/* Two words of 32 bits, or, before Linux 5.10, one of 64. */
static void read_intercepts(struct dump *dump, const char *line)
{
	const char *at = dump_find(line, "intercepts:");
	u64 values[2];
	unsigned count = at ? dump_numbers(at, values, 2) : 0;

	if (count == 1)
		values[1] = values[0] >> 32;
	if (count) {
		dump_set(dump, SVM_PLACE(control.intercept_misc1), values[0]);
		dump_set(dump, SVM_PLACE(control.intercept_misc2), values[1]);
	}
}

/* "cs:   s: f000 a: 009b l: 0000ffff b: 00000000ffff0000" */
static const char *const segments[VMCB_SEGMENTS] = {
	"es:", "cs:", "ss:", "ds:", "fs:", "gs:", "gdtr:", "ldtr:", "idtr:", "tr:",
};

static void read_line(struct dump *dump, const char *line)
{
	if (dump->kind == DUMP_VMX) {
		dump_read_vmcs_line(dump, line);
		return;
	}
	dump_read_keys(dump, line, vmcb_keys, ARRAY_SIZE(vmcb_keys));
	read_intercepts(dump, line);
	if (strstr(line, " s: "))
		dump_read_vmcb_segments(dump, line, segments);
}

const struct dump_format dump_kvm = {
	.name = "Linux KVM",
	.begins = begins,
	.read_line = read_line,
};
