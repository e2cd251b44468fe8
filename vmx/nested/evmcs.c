/* SPDX-License-Identifier: MIT */
/*
 * The enlightened VMCS: a page in L1's RAM that L1 reads and writes itself, and that its VP assist page names. It is the
 * current VMCS from an entry on: what L1 has changed is copied into vmcs12 at each entry, and what an exit writes is copied
 * back. Hyper-V Top Level Functional Specification, "Nested Virtualization", "HV_VMX_ENLIGHTENED_VMCS".
 */
#include "core/mem/guest_mem.h"
#include "core/vm.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

#define EVMCS_VERSION	   1u
#define EVMCS_ERROR	   0x2b0	/* VM-instruction error */
#define EVMCS_CLEAN_FIELDS 0x338	/* u32: a set bit says that the group's fields are as at the last entry */

/* In the VP assist page: "enlighten VM entry", a byte, and behind it the address of the enlightened VMCS. */
#define ASSIST_ENLIGHTEN 0x28

/* Groups of fields, by the clean field of each. */
enum clean {
	CLEAN_IO_BITMAPS = BIT(0), CLEAN_MSR_BITMAP = BIT(1), CLEAN_CONTROLS_2 = BIT(2), CLEAN_CONTROLS_1 = BIT(3),
	CLEAN_PRIMARY = BIT(4), CLEAN_EVENT = BIT(5), CLEAN_ENTRY = BIT(6), CLEAN_EXCEPTIONS = BIT(7), CLEAN_CRDR = BIT(8),
	CLEAN_TRANSLATION = BIT(9), CLEAN_BASIC = BIT(10), CLEAN_GUEST_1 = BIT(11), CLEAN_GUEST_2 = BIT(12),
	CLEAN_HOST_POINTERS = BIT(13), CLEAN_HOST = BIT(14), ALL_CLEAN = 0xffff,
};
enum { ALWAYS_READ = BIT(0), SAVED = BIT(1) };

/* Fields that are behind each other in the page and in vmcs12. */
static const struct run {
	u16 offset, encoding;	/* of the first */
	u16 clean;		/* read at an entry where this is clear, */
	u8 count;
	u8 how;			/* or always; and written by exits */
} runs[] = {
	{ 0x008, 0x0c00, CLEAN_HOST, 7, 0 },		/* selectors */
	{ 0x018, 0x2c00, CLEAN_HOST, 2, 0 },		/* PAT, EFER */
	{ 0x028, 0x6c00, CLEAN_HOST, 3, 0 },		/* CR0, CR3, CR4 */
	{ 0x040, 0x6c10, CLEAN_HOST, 2, 0 },		/* SYSENTER_ESP, SYSENTER_EIP */
	{ 0x050, 0x6c16, CLEAN_HOST, 1, 0 },		/* RIP */
	{ 0x058, 0x4c00, CLEAN_HOST, 1, 0 },		/* SYSENTER_CS */
	{ 0x05c, 0x4000, CLEAN_CONTROLS_1, 1, 0 },	/* pin-based, VM-exit, secondary controls */
	{ 0x060, 0x400c, CLEAN_CONTROLS_1, 1, 0 },
	{ 0x064, 0x401e, CLEAN_CONTROLS_1, 1, 0 },
	{ 0x068, 0x2000, CLEAN_IO_BITMAPS, 2, 0 },
	{ 0x078, 0x2004, CLEAN_MSR_BITMAP, 1, 0 },
	{ 0x080, 0x0800, CLEAN_GUEST_2, 8, SAVED },	/* selectors */
	{ 0x090, 0x4800, CLEAN_GUEST_2, 10, SAVED },	/* limits, those of GDTR and IDTR too */
	{ 0x0b8, 0x4814, CLEAN_GUEST_2, 8, SAVED },	/* access rights */
	{ 0x0d8, 0x6806, CLEAN_GUEST_2, 10, SAVED },	/* bases */
	{ 0x140, 0x2006, 0, 3, ALWAYS_READ },		/* MSR lists */
	{ 0x158, 0x6008, 0, 4, ALWAYS_READ },		/* CR3 targets */
	{ 0x178, 0x4006, 0, 3, ALWAYS_READ },		/* page-fault mask and match, CR3-target count */
	{ 0x184, 0x400e, 0, 2, ALWAYS_READ },		/* counts of MSRs: store, load, entry load */
	{ 0x18c, 0x4014, 0, 1, ALWAYS_READ },
	{ 0x190, 0x2010, CLEAN_CONTROLS_2, 2, 0 },	/* TSC offset, virtual-APIC address */
	{ 0x1a0, 0x2800, CLEAN_GUEST_1, 1, 0 },		/* link pointer */
	{ 0x1a8, 0x2802, CLEAN_GUEST_1, 3, SAVED },	/* DEBUGCTL, PAT, EFER */
	{ 0x1c0, 0x280a, CLEAN_GUEST_1, 4, SAVED },	/* PDPTEs */
	{ 0x1e0, 0x6822, CLEAN_GUEST_1, 3, SAVED },	/* pending debug exceptions, SYSENTER_ESP, SYSENTER_EIP */
	{ 0x1f8, 0x4826, CLEAN_GUEST_1, 1, SAVED },	/* activity state */
	{ 0x1fc, 0x482a, CLEAN_GUEST_1, 1, SAVED },	/* SYSENTER_CS */
	{ 0x200, 0x6000, CLEAN_CRDR, 4, 0 },		/* masks and read shadows of CR0 and CR4 */
	{ 0x220, 0x6800, CLEAN_CRDR, 3, SAVED },	/* CR0, CR3, CR4 */
	{ 0x238, 0x681a, CLEAN_CRDR, 1, SAVED },	/* DR7 */
	{ 0x240, 0x6c06, CLEAN_HOST_POINTERS, 5, 0 },	/* bases of FS, GS, TR, GDTR, IDTR */
	{ 0x268, 0x6c14, CLEAN_HOST_POINTERS, 1, 0 },	/* RSP */
	{ 0x270, 0x201a, CLEAN_TRANSLATION, 1, 0 },	/* EPT pointer */
	{ 0x278, 0x0000, CLEAN_TRANSLATION, 1, 0 },	/* VPID */
	{ 0x2a8, 0x2400, 0, 1, SAVED },			/* guest-physical address */
	{ 0x2b0, 0x4400, 0, 8, SAVED },			/* instruction error, exit reason, and so on */
	{ 0x2d0, 0x6400, 0, 6, SAVED },			/* qualification, registers of I/O, linear address */
	{ 0x300, 0x681c, CLEAN_BASIC, 1, SAVED },	/* RSP */
	{ 0x308, 0x6820, CLEAN_BASIC, 1, SAVED },	/* RFLAGS */
	{ 0x310, 0x4824, CLEAN_BASIC, 1, SAVED },	/* interruptibility */
	{ 0x314, 0x4002, CLEAN_PRIMARY, 1, 0 },
	{ 0x318, 0x4004, CLEAN_EXCEPTIONS, 1, 0 },	/* exception bitmap */
	{ 0x31c, 0x4012, CLEAN_ENTRY, 1, SAVED },	/* VM-entry controls */
	{ 0x320, 0x4016, CLEAN_EVENT, 3, SAVED },	/* what is injected */
	{ 0x32c, 0x401c, 0, 1, ALWAYS_READ },		/* TPR threshold */
	{ 0x330, 0x681e, 0, 1, ALWAYS_READ | SAVED },	/* RIP */
};

/* L1 may write at any time: each field is read once. */
static void read_run(struct vmcs12 *v, const u8 *page, const struct run *run)
{
	u64 *to = &v->fields[vmcs12_place(run->encoding)];
	const void *from = page + run->offset;
	unsigned width = VMCS_WIDTH(run->encoding);

	if (width == VMCS_WIDTH_16)
		for (unsigned i = 0; i < run->count; i++)
			to[i] = READ_ONCE(((const u16 *)from)[i]);
	else if (width == VMCS_WIDTH_32)
		for (unsigned i = 0; i < run->count; i++)
			to[i] = READ_ONCE(((const u32 *)from)[i]);
	else
		for (unsigned i = 0; i < run->count; i++)
			to[i] = READ_ONCE(((const u64 *)from)[i]);
}

static void write_run(const struct vmcs12 *v, u8 *page, const struct run *run)
{
	const u64 *from = &v->fields[vmcs12_place(run->encoding)];
	void *to = page + run->offset;
	unsigned width = VMCS_WIDTH(run->encoding);

	if (width == VMCS_WIDTH_16)
		for (unsigned i = 0; i < run->count; i++)
			((u16 *)to)[i] = (u16)from[i];
	else if (width == VMCS_WIDTH_32)
		for (unsigned i = 0; i < run->count; i++)
			((u32 *)to)[i] = (u32)from[i];
	else
		for (unsigned i = 0; i < run->count; i++)
			((u64 *)to)[i] = from[i];
}

/* --- which page --- */

/* Does the VP assist page ask for an enlightened entry, and with which page? Read once. */
static bool is_asked_for(struct vcpu *vcpu, gpa_t *page)
{
	u64 assist = to_nested(vcpu)->hyperv.assist, words[2];

	if (guest_read(vcpu->vm, (assist & PAGE_MASK) + ASSIST_ENLIGHTEN, words, sizeof(words)) || !(words[0] & 0xff))
		return false;
	*page = words[1];
	return true;
}

bool nested_evmcs_is_on(struct vcpu *vcpu)
{
	gpa_t page;

	return nested_evmcs_may_be_on(vcpu) && is_asked_for(vcpu, &page);
}

/* Hyper-V's own hypervisor has the revision of IA32_VMX_BASIC where the version belongs. */
static u8 *checked_page(struct vcpu *vcpu, gpa_t gpa)
{
	u8 *page = gpa & ~PAGE_MASK ? NULL : guest_ptr(vcpu->vm, gpa, PAGE_SIZE);
	u32 version = page ? READ_ONCE(*(const u32 *)page) : 0;

	if (version == EVMCS_VERSION || version == VMCS12_REVISION)
		return page;
	if (!vm_once(vcpu->vm, ONCE_OTHER, (u64)runs + !page))
		return NULL;
	if (page)
		vm_warn(vcpu->vm, "vcpu %u: the guest's VM entry fails: the enlightened VMCS at 0x%lx has version 0x%x, expected %u",
			vcpu->id, gpa, version, EVMCS_VERSION);
	else
		vm_warn(vcpu->vm, "vcpu %u: the guest's VM entry fails: its enlightened VMCS is at 0x%lx, expected a page of RAM",
			vcpu->id, gpa);
	return NULL;
}

void nested_evmcs_load(struct vcpu *vcpu, bool all)
{
	struct nested_vmx *nested = to_nested(vcpu);
	bool same;
	u32 dirty;
	gpa_t gpa;
	u8 *page;

	if (!is_asked_for(vcpu, &gpa)) {
		if (nested->enlightened)
			nested_region_release(vcpu);
		return;
	}
	page = checked_page(vcpu, gpa);
	same = nested->enlightened && nested->current_ptr == gpa;
	if (!page || !same)
		nested_region_release(vcpu);
	if (!page)
		return;
	if (!same)
		memset(nested->vmcs12->fields, 0, sizeof(nested->vmcs12->fields));
	nested->enlightened = true;
	nested->current_ptr = gpa;
	dirty = same && !all ? ~READ_ONCE(*(const u32 *)(page + EVMCS_CLEAN_FIELDS)) : ~0u;
	for (unsigned i = 0; i < ARRAY_SIZE(runs); i++)
		if ((runs[i].clean & dirty) || (runs[i].how & ALWAYS_READ))
			read_run(nested->vmcs12, page, &runs[i]);
	/* L1 only clears them. */
	WRITE_ONCE(*(u32 *)(page + EVMCS_CLEAN_FIELDS), ALL_CLEAN);
}

void nested_evmcs_store(struct vcpu *vcpu)
{
	const struct nested_vmx *nested = to_nested(vcpu);
	u8 *page = guest_ptr(vcpu->vm, nested->current_ptr, PAGE_SIZE);

	for (unsigned i = 0; page && i < ARRAY_SIZE(runs); i++)
		if (runs[i].how & SAVED)
			write_run(nested->vmcs12, page, &runs[i]);
}

void nested_evmcs_store_error(struct vcpu *vcpu, u32 error)
{
	guest_write(vcpu->vm, to_nested(vcpu)->current_ptr + EVMCS_ERROR, &error, sizeof(error));
}
