/* SPDX-License-Identifier: MIT */
/*
 * Which fields of a VMCS a guest hypervisor is offered: those of the controls that vmx/nested/caps.c announces, and those
 * that every processor has. Intel SDM, "Field Encoding in VMCS".
 */
#include "vmx/nested/vmcs12.h"

/* The fields from one encoding to another of its class, as bits by index. */
#define FIELDS(from, to) ((2ull << VMCS_CLASS_INDEX(to)) - (1ull << VMCS_CLASS_INDEX(from)))

static const u64 offered[VMCS_CLASSES] = {
	[VMCS_CLASS(0x0000)] = FIELDS(0x0000, 0x0000),		/* VPID */
	[VMCS_CLASS(0x0800)] = FIELDS(0x0800, 0x080e),		/* guest selectors */
	[VMCS_CLASS(0x0c00)] = FIELDS(0x0c00, 0x0c0c),		/* host selectors */
	[VMCS_CLASS(0x2000)] = FIELDS(0x2000, 0x200c) |		/* bitmaps, MSR lists, executive-VMCS pointer */
			       FIELDS(0x2010, 0x2014) |		/* TSC offset, virtual-APIC and APIC-access page */
			       FIELDS(0x201a, 0x201a),		/* EPT pointer */
	[VMCS_CLASS(0x2400)] = FIELDS(0x2400, 0x2400),		/* guest-physical address */
	[VMCS_CLASS(0x2800)] = FIELDS(0x2800, 0x2806) |		/* link pointer, DEBUGCTL, PAT, EFER */
			       FIELDS(0x280a, 0x2810),		/* PDPTEs */
	[VMCS_CLASS(0x2c00)] = FIELDS(0x2c00, 0x2c02),		/* PAT, EFER */
	[VMCS_CLASS(0x4000)] = FIELDS(0x4000, 0x4022),		/* controls, up to those of PAUSE loops */
	[VMCS_CLASS(0x4400)] = FIELDS(0x4400, 0x440e),		/* instruction error, exit reason, ... */
	[VMCS_CLASS(0x4800)] = FIELDS(0x4800, 0x482a) |		/* limits, access rights, states, SMBASE, SYSENTER_CS */
			       FIELDS(0x482e, 0x482e),		/* preemption timer */
	[VMCS_CLASS(0x4c00)] = FIELDS(0x4c00, 0x4c00),		/* SYSENTER_CS */
	[VMCS_CLASS(0x6000)] = FIELDS(0x6000, 0x600e),		/* masks, shadows, CR3 targets */
	[VMCS_CLASS(0x6400)] = FIELDS(0x6400, 0x640a),		/* qualification, I/O registers, linear address */
	[VMCS_CLASS(0x6800)] = FIELDS(0x6800, 0x6826),		/* control registers, bases, ... SYSENTER_EIP */
	[VMCS_CLASS(0x6c00)] = FIELDS(0x6c00, 0x6c16),
};

u64 *vmcs12_find(struct vmcs12 *v, u64 encoding)
{
	unsigned class = VMCS_CLASS(encoding), index = VMCS_CLASS_INDEX(encoding);

	/* Bits 63:15 and 12 are reserved; only 64-bit fields have a high half. */
	if (encoding >> 15 || (encoding & BIT(12)) || ((encoding & 1) && VMCS_WIDTH(encoding) != VMCS_WIDTH_64))
		return NULL;
	if (index > 63 || !(offered[class] >> index & 1))
		return NULL;
	return &v->fields[vmcs12_classes[class].first + index];
}

u64 vmcs12_width_mask(u32 encoding)
{
	switch (VMCS_WIDTH(encoding)) {
	case VMCS_WIDTH_16:
		return 0xffff;
	case VMCS_WIDTH_32:
		return 0xffffffff;
	default:
		return ~0ull;
	}
}

void vmcs12_cut(struct vmcs12 *v)
{
	for (u32 class = 0; class < VMCS_CLASSES; class++)
		for (unsigned i = 0; i < vmcs12_classes[class].count; i++)
			v->fields[vmcs12_classes[class].first + i] &= vmcs12_width_mask((class & 12) << 11);
}

unsigned vmcs12_highest_index(void)
{
	u64 all = 0;

	for (unsigned class = 0; class < VMCS_CLASSES; class++)
		all |= offered[class];
	return 63 - (unsigned)__builtin_clzll(all);
}
