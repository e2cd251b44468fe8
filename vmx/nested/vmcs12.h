/* SPDX-License-Identifier: MIT */
/*
 * vmcs12: the VMCS that a guest hypervisor (L1) has made for its guest (L2). Lamina works on a copy of its own, which
 * VMPTRLD reads from L1's region and which is written back when L1 lets go of it (vmx/nested/region.c).
 * Intel SDM, "Format of the VMCS Region", "Field Encoding in VMCS".
 */
#pragma once

#include "lib/types.h"
#include "vmx/vmcs_fields.h"

#define VMCS12_REVISION 0x4c616d31u	/* the VMCS revision identifier that L1 sees; bit 31 is 0 */

/* A field's class is its width and type (bits 14:13 and 11:10 of its encoding), its index bits 9:1. */
#define VMCS_CLASSES		 16
#define VMCS_CLASS(encoding)	 (((encoding) >> 11 & 12) | ((encoding) >> 10 & 3))
#define VMCS_CLASS_INDEX(encoding) ((encoding) >> 1 & 0x1ff)
#define VMCS_WIDTH(encoding)	 ((encoding) >> 13 & 3)
enum { VMCS_WIDTH_16, VMCS_WIDTH_64, VMCS_WIDTH_32, VMCS_WIDTH_NATURAL };
#define VMCS_IS_READ_ONLY(encoding) (((encoding) >> 10 & 3) == 1)	/* VM-exit information */

/* Where the class's fields begin in vmcs12.fields, and how many there is room for: all that the manual names. */
static const struct { u8 first, count; } vmcs12_classes[VMCS_CLASSES] = {
	[VMCS_CLASS(0x0000)] = { 0, 5 },
	[VMCS_CLASS(0x0800)] = { 5, 10 },
	[VMCS_CLASS(0x0c00)] = { 15, 7 },
	[VMCS_CLASS(0x2000)] = { 22, 35 },
	[VMCS_CLASS(0x2400)] = { 57, 1 },
	[VMCS_CLASS(0x2800)] = { 58, 13 },
	[VMCS_CLASS(0x2c00)] = { 71, 4 },
	[VMCS_CLASS(0x4000)] = { 75, 19 },
	[VMCS_CLASS(0x4400)] = { 94, 8 },
	[VMCS_CLASS(0x4800)] = { 102, 24 },
	[VMCS_CLASS(0x4c00)] = { 126, 1 },
	[VMCS_CLASS(0x6000)] = { 127, 8 },
	[VMCS_CLASS(0x6400)] = { 135, 6 },
	[VMCS_CLASS(0x6800)] = { 141, 23 },
	[VMCS_CLASS(0x6c00)] = { 164, 15 },
};
#define VMCS12_FIELDS 179

/* Also the layout of the region in L1's RAM. Only the first two words' meaning is the manual's. */
struct vmcs12 {
	u32 revision;
	u32 abort;			/* VMX-abort indicator */
	u32 launched;			/* launch state: 0 is "clear" */
	u32 reserved;
	u64 fields[VMCS12_FIELDS];	/* zero-extended from their widths */
};
_Static_assert(offsetof(struct vmcs12, abort) == 4, "SDM, \"Format of the VMCS Region\"");
_Static_assert(sizeof(struct vmcs12) <= PAGE_SIZE, "BASIC announces regions of one page");

#ifdef __OPTIMIZE__
void vmcs12_has_no_such_field(void) __attribute__((error("this field has no place in struct vmcs12")));
#else
static inline void vmcs12_has_no_such_field(void) {}
#endif

/* A field of vmcs_fields.h: the bounds are checked when compiling, where the encoding is a constant. */
static __always_inline unsigned vmcs12_place(u32 encoding)
{
	unsigned index = VMCS_CLASS_INDEX(encoding);

	if (__builtin_constant_p(encoding) && index >= vmcs12_classes[VMCS_CLASS(encoding)].count)
		vmcs12_has_no_such_field();
	return vmcs12_classes[VMCS_CLASS(encoding)].first + index;
}

#define VMCS12_ACCESSORS(suffix, type)								\
	static __always_inline type vmcs12_read##suffix(const struct vmcs12 *v, struct vmcs_field##suffix field) \
	{											\
		return (type)v->fields[vmcs12_place(field.encoding)];				\
	}											\
	static __always_inline void vmcs12_write##suffix(struct vmcs12 *v, struct vmcs_field##suffix field, type value) \
	{											\
		v->fields[vmcs12_place(field.encoding)] = value;				\
	}
VMCS12_ACCESSORS(16, u16)
VMCS12_ACCESSORS(32, u32)
VMCS12_ACCESSORS(64, u64)
VMCS12_ACCESSORS(n, u64)
#undef VMCS12_ACCESSORS

/*
 * For VMREAD and VMWRITE: where the field with this encoding is. NULL: L1 is not offered such a field. The high half of a
 * 64-bit field (bit 0 of the encoding) has the place of the whole field.
 */
u64 *vmcs12_find(struct vmcs12 *v, u64 encoding);
/* All bits that a field of this width can have. */
u64 vmcs12_width_mask(u32 encoding);
/* Cut each field to its width: L1's region may hold anything. */
void vmcs12_cut(struct vmcs12 *v);
/* The highest index among the fields offered, for IA32_VMX_VMCS_ENUM. */
unsigned vmcs12_highest_index(void);
