/* SPDX-License-Identifier: MIT */
/*
 * VMCS shadowing: L1's VMREADs and VMWRITEs of the fields that hypervisors access most do not exit. While L1 has a current VMCS,
 * the processor has those fields of it in a shadow VMCS; vmcs12 has the others, and what L0 works with.
 * Intel SDM, "VMCS Shadowing", "Software Access to VMCS Data", "VMREAD and VMWRITE Bitmap Addresses".
 */
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/vm.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

#define SHADOW_INDICATOR BIT(31)	/* of the revision: SDM, "Format of the VMCS Region" */

/* Which of the two copies is ahead, and when: L1 writes while it runs, an exit of L2 changes vmcs12. */
enum who { BY_L1 = BIT(0), BY_EXIT = BIT(1), BY_BOTH = BY_L1 | BY_EXIT };

static const struct {
	u16 encoding, written;
} fields[] = {
	{ 0x4402, BY_EXIT }, { 0x4404, BY_EXIT }, { 0x4406, BY_EXIT }, { 0x4408, BY_EXIT }, { 0x440a, BY_EXIT },
	{ 0x440c, BY_EXIT }, { 0x440e, BY_EXIT },		/* exit reason to instruction information */
	{ 0x6400, BY_EXIT }, { 0x640a, BY_EXIT }, { 0x2400, BY_EXIT },	/* qualification, linear and physical address */
	{ 0x681c, BY_BOTH }, { 0x681e, BY_BOTH }, { 0x6820, BY_BOTH },	/* RSP, RIP, RFLAGS */
	{ 0x6800, BY_BOTH }, { 0x6802, BY_BOTH }, { 0x6804, BY_BOTH },	/* CR0, CR3, CR4 */
	{ 0x4816, BY_BOTH }, { 0x4818, BY_BOTH },		/* access rights of CS and SS */
	{ 0x4824, BY_BOTH },					/* interruptibility */
	{ 0x4012, BY_BOTH },					/* VM-entry controls */
	{ 0x4016, BY_BOTH }, { 0x4018, BY_L1 }, { 0x401a, BY_L1 },	/* what is injected */
	{ 0x4002, BY_L1 }, { 0x4004, BY_L1 }, { 0x401c, BY_L1 },	/* primary controls, exception bitmap, TPR threshold */
	{ 0x6000, BY_L1 }, { 0x6002, BY_L1 }, { 0x6004, BY_L1 }, { 0x6006, BY_L1 },	/* masks and shadows of CR0, CR4 */
	{ 0x0c08, BY_L1 }, { 0x0c0a, BY_L1 }, { 0x6c02, BY_L1 }, { 0x6c04, BY_L1 },	/* the host's FS, GS, CR3, CR4 */
	{ 0x6c06, BY_L1 }, { 0x6c08, BY_L1 }, { 0x6c14, BY_L1 },	/* its bases of FS and GS, RSP */
};

/* --- what a vCPU has --- */

/* A bit that is 1: the access exits. */
static void open_fields(u8 *reads, u8 *writes)
{
	memset(reads, 0xff, PAGE_SIZE);
	memset(writes, 0xff, PAGE_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
		reads[fields[i].encoding / 8] &= (u8)~BIT(fields[i].encoding % 8);
		if (fields[i].written & BY_L1)
			writes[fields[i].encoding / 8] &= (u8)~BIT(fields[i].encoding % 8);
	}
}

int nested_shadowing_create(struct vcpu_vmx *vmx)
{
	struct nested_shadowing *s = &vmx->nested->shadowing;

	if (!vmx_caps.shadowing || vmx->vcpu.vm->config->nested != NESTED_ON)
		return 0;
	s->page = page_alloc();
	s->reads = page_alloc();
	s->writes = page_alloc();
	if (!s->page || !s->reads || !s->writes)
		return -ENOMEM;
	*(u32 *)s->page = vmx_caps.revision | SHADOW_INDICATOR;
	open_fields(s->reads, s->writes);
	return 0;
}

void nested_shadowing_destroy(struct vcpu_vmx *vmx)
{
	struct nested_shadowing *s = &vmx->nested->shadowing;
	void *const pages[] = { s->page, s->reads, s->writes };

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		if (pages[i])
			page_free(pages[i]);
}

/* --- copies. Entries of L1 make a shadow VMCS active as well: only a VMCLEAR has it all in its page --- */

static void make_current(struct vcpu *vcpu)
{
	BUG_ON(!vmptrld(virt_to_phys(to_nested(vcpu)->shadowing.page)));
}

static void make_vmcs01_current(struct vcpu *vcpu)
{
	BUG_ON(!vmclear(virt_to_phys(to_nested(vcpu)->shadowing.page)));
	BUG_ON(!vmptrld(virt_to_phys(to_vmx(vcpu)->vmcs.page)));
}

void nested_shadowing_release(struct vcpu_vmx *vmx)
{
	const struct nested_shadowing *s = &vmx->nested->shadowing;

	if (s->on)
		BUG_ON(!vmclear(virt_to_phys(s->page)));
}

static void write_fields(struct vcpu *vcpu, u32 written)
{
	const struct vmcs12 *v = to_nested(vcpu)->vmcs12;

	make_current(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].written & written)
			vmcs_write_encoded(fields[i].encoding, v->fields[vmcs12_place(fields[i].encoding)]);
	make_vmcs01_current(vcpu);
}

void nested_shadowing_read(struct vcpu *vcpu)
{
	struct vmcs12 *v = to_nested(vcpu)->vmcs12;

	if (!to_nested(vcpu)->shadowing.on)
		return;
	make_current(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(fields); i++)
		if (fields[i].written & BY_L1)
			v->fields[vmcs12_place(fields[i].encoding)] = vmcs_read_encoded(fields[i].encoding);
	make_vmcs01_current(vcpu);
}

void nested_shadowing_write(struct vcpu *vcpu)
{
	if (to_nested(vcpu)->shadowing.on)
		write_fields(vcpu, BY_EXIT);
}

/* --- on and off --- */

static void switch_it(struct vcpu *vcpu, bool on)
{
	struct nested_shadowing *s = &to_nested(vcpu)->shadowing;
	struct vmcs *vmcs = &to_vmx(vcpu)->vmcs;

	s->on = on;
	vmcs->secondary = on ? vmcs->secondary | SECONDARY_SHADOWING : vmcs->secondary & ~(u32)SECONDARY_SHADOWING;
	vmcs_write32(SECONDARY_CONTROLS, vmcs->secondary);
	vmcs_write64(VMCS_LINK_POINTER, on ? virt_to_phys(s->page) : NO_VMCS);
	if (on) {
		vmcs_write64(VMREAD_BITMAP, virt_to_phys(s->reads));
		vmcs_write64(VMWRITE_BITMAP, virt_to_phys(s->writes));
	}
}

void nested_shadowing_begin(struct vcpu *vcpu)
{
	void *page = to_nested(vcpu)->shadowing.page;

	if (!page)
		return;
	BUG_ON(!vmclear(virt_to_phys(page)));	/* it may be new */
	write_fields(vcpu, BY_BOTH);
	switch_it(vcpu, true);
}

void nested_shadowing_end(struct vcpu *vcpu)
{
	if (!to_nested(vcpu)->shadowing.on)
		return;
	nested_shadowing_read(vcpu);
	switch_it(vcpu, false);
}
