/* SPDX-License-Identifier: MIT */
/* Lamina's own dumps: vmx/dump.c and svm/dump.c. */
#include "tools/dump.h"

#include <stdlib.h>
#include <string.h>

#define SVM_DECIMAL(text, member) { text, SVM_PLACE(member), 10, NULL }

static const struct dump_key vmcb_keys[] = {
	SVM_KEY("rip ", save.rip), SVM_KEY("rflags ", save.rflags),
	SVM_DECIMAL("cpl ", save.cpl), SVM_KEY("efer ", save.efer),
	SVM_KEY("cr0 ", save.cr0), SVM_KEY("cr2 ", save.cr2),
	SVM_KEY("cr3 ", save.cr3), SVM_KEY("cr4 ", save.cr4),
	SVM_KEY("dr6 ", save.dr6), SVM_KEY("dr7 ", save.dr7),
	SVM_KEY("pat ", save.pat), SVM_KEY("debugctl ", save.debugctl),
	SVM_KEY("iopm ", control.iopm_base), SVM_KEY("msrpm ", control.msrpm_base),
	SVM_KEY("tsc_offset ", control.tsc_offset), SVM_DECIMAL("asid ", control.asid),
	SVM_DECIMAL("tlb_control ", control.tlb_control), SVM_KEY("clean ", control.clean),
	SVM_KEY("int_control ", control.int_control), SVM_KEY("int_state ", control.int_state),
	SVM_KEY("event_injection ", control.event_injection),
	SVM_KEY("np_enable ", control.np_enable), SVM_KEY("nested_cr3 ", control.nested_cr3),
	SVM_KEY("next_rip ", control.next_rip),
};

/* "cs    selector 0008 attributes 029b limit ffffffff base 0000000000000000" */
static const char *const segments[VMCB_SEGMENTS] = {
	"es ", "cs ", "ss ", "ds ", "fs ", "gs ", "gdtr ", "ldtr ", "idtr ", "tr ",
};

static bool begins(const char *line, enum dump_kind *kind)
{
	const char *at = dump_find(line, "vcpu ");

	*kind = at && strstr(at, " VMCB:") ? DUMP_SVM : DUMP_VMX;
	return at && (*kind == DUMP_SVM || strstr(at, ", what is not listed is 0:"));
}

/* "intercepts: cr 00010000 dr 00000000 exceptions 00060002 misc 9c44800f 0000ffff 00000000" */
static void read_intercepts(struct dump *dump, const char *line)
{
	const char *at = dump_find(line, "intercepts:"), *misc = at ? dump_find(at, "misc ") : NULL;
	u64 values[3];

	if (!misc || dump_numbers(misc, values, 3) != 3)
		return;
	dump_set(dump, SVM_PLACE(control.intercept_misc1), values[0]);
	dump_set(dump, SVM_PLACE(control.intercept_misc2), values[1]);
	dump_set(dump, SVM_PLACE(control.intercept_misc3), values[2]);
}

/* The index of the field with this name, or -1 if several share it, as capabilities do. */
static int field_named(const char *name, size_t length)
{
	int found = -1;

	for (unsigned i = 0; i < VMX_FIELDS; i++) {
		struct vmx_field_name field = vmx_field_name(i);

		if (strncmp(field.text, name, length) || field.text[length])
			continue;
		if (found >= 0)
			return -1;
		found = (int)i;
	}
	return found;
}

/* "name 0xvalue, name 0xvalue", after the log's prefix. */
static void read_items(struct dump *dump, const char *line)
{
	const char *prefix = strstr(line, "] "), *item = prefix ? prefix + 2 : line;

	while (*item) {
		size_t length = strcspn(item, ",");
		const char *value = strstr(item, " 0x");
		int field;

		item += strspn(item, " ");
		if (value && value > item && value < item + length) {
			field = field_named(item, (size_t)(value - item));
			if (field >= 0)
				dump_set(dump, (size_t)field * sizeof(u64), sizeof(u64),
					 strtoull(value + 3, NULL, 16));
		}
		item += strcspn(item, ",");
		item += *item == ',';
	}
}

static void read_line(struct dump *dump, const char *line)
{
	if (dump->kind == DUMP_VMX) {
		read_items(dump, line);
		return;
	}
	dump_read_keys(dump, line, vmcb_keys, ARRAY_SIZE(vmcb_keys));
	read_intercepts(dump, line);
	if (strstr(line, " selector "))
		dump_read_vmcb_segments(dump, line, segments);
}

/* Fields that are not listed are 0, if the list is complete: its last line has a field that is never 0. */
static void end(struct dump *dump)
{
	if (dump->kind == DUMP_SVM || !dump->known[offsetof(struct vmx_entry_state, physical_bits)])
		return;
	for (unsigned i = 0; i < VMX_FIELDS; i++) {
		struct vmx_field_name name = vmx_field_name(i);

		if (field_named(name.text, strlen(name.text)) == (int)i)
			dump_set(dump, i * sizeof(u64), sizeof(u64), 0);
	}
}

const struct dump_format dump_lamina = {
	.name = "Lamina",
	.begins = begins,
	.read_line = read_line,
	.end = end,
};
