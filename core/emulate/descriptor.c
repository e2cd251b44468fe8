/* SPDX-License-Identifier: MIT */
/* Segment descriptors in the guest's memory. */
#include "core/emulate/descriptor.h"

#include "arch/cpu/x86.h"
#include "core/vcpu.h"

static struct segment segment_of(u16 selector, u64 raw)
{
	struct segment segment = {
		.base = (raw >> 16 & 0xffffff) | (raw >> 56 & 0xff) << 24,
		.limit = (u32)((raw & 0xffff) | (raw >> 32 & 0xf0000)),
		.selector = selector,
		.type = raw >> 40 & 15,
		.s = raw >> 44 & 1,
		.dpl = raw >> 45 & 3,
		.present = raw >> 47 & 1,
		.avl = raw >> 52 & 1,
		.l = raw >> 53 & 1,
		.db = raw >> 54 & 1,
		.g = raw >> 55 & 1,
	};

	if (segment.g)
		segment.limit = segment.limit << 12 | 0xfff;
	return segment;
}

/* The table's base; its last offset in *last. False: there is no LDT. */
static bool find_table(struct vcpu *vcpu, bool local, u64 *base, u32 *last)
{
	struct descriptor_table gdt;
	struct segment ldt;

	if (local) {
		vcpu->ops->segment_get(vcpu, SEG_LDTR, &ldt);
		*base = ldt.base;
		*last = ldt.limit;
		return !ldt.unusable;
	}
	vcpu->ops->table_get(vcpu, false, &gdt);
	*base = gdt.base;
	*last = gdt.limit;
	return true;
}

int descriptor_read(struct vcpu *vcpu, u16 selector, struct descriptor *descriptor, struct guest_fault *fault)
{
	u64 base, raw;
	u32 last;
	int error;

	if (!(selector & ~3u) || !find_table(vcpu, selector & SELECTOR_LOCAL, &base, &last) || (selector | 7u) > last)
		return -EINVAL;
	descriptor->gva = (u32)(base + (selector & ~7u));
	error = gwalk_read(vcpu, descriptor->gva, &raw, sizeof(raw), 0, fault);
	if (!error)
		descriptor->segment = segment_of(selector, raw);
	return error;
}

int descriptor_set_accessed(struct vcpu *vcpu, const struct descriptor *descriptor, struct guest_fault *fault)
{
	const struct segment *segment = &descriptor->segment;
	u8 byte;

	if (segment->type & DESCRIPTOR_ACCESSED)
		return 0;
	byte = (u8)(segment->type | DESCRIPTOR_ACCESSED | segment->s << 4 | segment->dpl << 5 | segment->present << 7);
	return gwalk_write(vcpu, descriptor->gva + DESCRIPTOR_TYPE_BYTE, &byte, 1, PF_WRITE, fault);
}
