/* SPDX-License-Identifier: MIT */
/* A VMCS or VMCB as read from the text of a dump, and the functions that all readers share. */
#pragma once

#include "lib/types.h"
#include "svm/vmcb.h"
#include "vmx/rules/rules.h"

enum dump_kind { DUMP_VMX, DUMP_SVM };
/* The sections of a VMCS in KVM's and Xen's form, which use the same field names. */
enum dump_section { SECTION_GUEST, SECTION_HOST, SECTION_CONTROL };

struct dump {
	enum dump_kind kind;
	enum dump_section section;
	const char *format;
	unsigned line, last_line;	/* of the text, counted from 1 */
	unsigned fields;		/* set so far */
	union {
		struct vmx_entry_state vmx;
		struct vmcb vmcb;
		u8 bytes[sizeof(struct vmcb)];
	};
	bool known[sizeof(struct vmcb)];	/* for each byte: the text contains it */
};
_Static_assert(sizeof(struct vmx_entry_state) <= sizeof(struct vmcb), "known[] is for both");

/* One format of dumps. */
struct dump_format {
	const char *name;
	bool (*begins)(const char *line, enum dump_kind *kind);	/* whether a dump begins with this line */
	void (*read_line)(struct dump *dump, const char *line);
	void (*end)(struct dump *dump);		/* after the last line; may be NULL */
};
extern const struct dump_format dump_lamina, dump_kvm, dump_xen;

/* A number that follows a word, and where it is stored. */
struct dump_key {
	const char *text;	/* with its punctuation: "RIP = " */
	u16 offset, size;	/* bytes, in struct dump's union */
	u8 base;		/* 10 or 16 */
	const char *within;	/* must be in the line as well; may be NULL */
};
#define VMX_PLACE(member)   offsetof(struct vmx_entry_state, member), sizeof(u64)
#define SVM_PLACE(member)   offsetof(struct vmcb, member), sizeof(((struct vmcb *)0)->member)
#define VMX_KEY(text, member) { text, VMX_PLACE(member), 16, NULL }
#define SVM_KEY(text, member) { text, SVM_PLACE(member), 16, NULL }

/* Keeps the first value of a field: lines after a dump may look like part of it. */
void dump_set(struct dump *dump, size_t offset, size_t size, u64 value);
/* Where `text` ends in `line`, if it is there as a separate word; else NULL. */
const char *dump_find(const char *line, const char *text);
/* Store the number after each key that is in the line. */
void dump_read_keys(struct dump *dump, const char *line, const struct dump_key *keys,
		    unsigned count);
/* Read up to `count` hexadecimal numbers, skipping words and punctuation. Returns how many it found. */
unsigned dump_numbers(const char *text, u64 *values, unsigned count);

/*
 * Read the line of one of a VMCB's segments: selector, attributes, limit, base. `names`: the segments'
 * names in this format, in the VMCB's order, with their punctuation.
 */
#define VMCB_SEGMENTS 10
void dump_read_vmcb_segments(struct dump *dump, const char *line,
			     const char *const names[VMCB_SEGMENTS]);
/* Read a line of a VMCS in the format that KVM and Xen share. */
void dump_read_vmcs_line(struct dump *dump, const char *line);

struct explain_options {
	unsigned physical_bits;		/* 0: not known */
	bool verbose;
};
/* Print the rules that the dump breaks. Returns how many. */
unsigned explain_dump(const struct dump *dump, const struct explain_options *options);
