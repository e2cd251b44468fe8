/* SPDX-License-Identifier: MIT */
/*
 * vmcs02, by which the processor runs L2: its controls are what L0 needs for itself and what L1 has asked for, from a
 * list of what L1 may ask for; its guest state is vmcs12's; its host state is L0's, as vmcs01's is.
 * Intel SDM, "VM-Execution Control Fields", "Loading Guest State".
 */
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/cpuid.h"
#include "core/mem/guest_mem.h"
#include "core/mem/shadow.h"
#include "core/mem/tdp_change.h"
#include "core/mem/tdp_flush.h"
#include "core/nested.h"
#include "core/vm.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

#define BITMAP_WORDS (PAGE_SIZE / sizeof(u64))

/* --- creation, and which of the two is current --- */

int nested_vmcs02_create(struct vcpu_vmx *vmx)
{
	struct nested_l2 *l2 = &vmx->nested->l2;

	l2->other.page = page_alloc();
	l2->msr_bitmap = page_alloc();
	if (!l2->other.page || !l2->msr_bitmap)
		return -ENOMEM;
	*(u32 *)l2->other.page = vmx_caps.revision;
	memset(l2->msr_bitmap, 0xff, PAGE_SIZE);
	nested_events_create(&vmx->vcpu);
	return nested_ept_create(&vmx->vcpu);
}

void nested_vmcs02_destroy(struct vcpu_vmx *vmx)
{
	struct nested_l2 *l2 = &vmx->nested->l2;

	nested_ept_destroy(&vmx->vcpu);
	if (l2->msr_bitmap)
		page_free(l2->msr_bitmap);
	if (l2->other.page)
		page_free(l2->other.page);
}

static void switch_vmcs(struct vcpu_vmx *vmx)
{
	struct nested_l2 *l2 = &vmx->nested->l2;
	struct vmcs other = l2->other;

	vmx_store_dirty_regs(&vmx->vcpu);
	vmx->vcpu.regs_available = 0;
	l2->other = vmx->vmcs;
	vmx->vmcs = other;
	vmx_use_vmcs(vmx);
	if (!vmx_switches_efer())
		vmx_write_efer(vmx);	/* there is one list for both */
}

/* The windows that are open are those of the level that was current: close them there. */
static void close_windows(struct vcpu *vcpu)
{
	vcpu->ops->interrupt_window(vcpu, false);
	vcpu->ops->nmi_window(vcpu, false);
	vcpu->events.irq_window = vcpu->events.nmi_window = false;
}

void nested_use_vmcs02(struct vcpu *vcpu)
{
	close_windows(vcpu);
	switch_vmcs(to_vmx(vcpu));
	nested_switch_to_l2(vcpu);
}

void nested_forget_apic_access(struct vcpu *vcpu)
{
	if (to_nested(vcpu)->l2.apic_access && !nested_ept_is_on(vcpu))
		ept_flush(vcpu->vm);
}

void nested_use_vmcs01(struct vcpu *vcpu)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;

	close_windows(vcpu);
	nested_forget_apic_access(vcpu);
	switch_vmcs(to_vmx(vcpu));
	nested_switch_to_l1(vcpu);
	if (l2->tsc_changed)
		vmx_tsc_offset_changed(vcpu);
	if (l2->pause_changed)
		vmcs_write32(SECONDARY_CONTROLS, to_vmx(vcpu)->vmcs.secondary);
	l2->tsc_changed = l2->pause_changed = false;
}

/* --- controls --- */

/*
 * What L1 asks for and the processor carries out. L0 carries out the others that L1 is offered, or makes the exits
 * itself.
 */
#define PRIMARY_FROM_L1	  (PRIMARY_INTERRUPT_WINDOW | PRIMARY_HLT | PRIMARY_INVLPG | PRIMARY_MWAIT | PRIMARY_RDPMC |	\
			   PRIMARY_RDTSC | PRIMARY_CR3_LOAD | PRIMARY_CR3_STORE | PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE | \
			   PRIMARY_NMI_WINDOW | PRIMARY_MOV_DR | PRIMARY_MONITOR_TRAP | PRIMARY_MONITOR | PRIMARY_PAUSE)
#define SECONDARY_FROM_L1 (SECONDARY_DESCRIPTOR_TABLES | SECONDARY_RDTSCP | SECONDARY_WBINVD | \
			   SECONDARY_UNRESTRICTED_GUEST | SECONDARY_INVPCID | SECONDARY_PAUSE_LOOP)
/* What L0 needs to run L1, and L2 has only if L1 asks for it. */
#define SECONDARY_OF_L1	  (SECONDARY_RDTSCP | SECONDARY_INVPCID | SECONDARY_XSAVES | SECONDARY_UNRESTRICTED_GUEST | \
			   SECONDARY_SHADOWING)

/*
 * A page of L1's RAM, as a host-physical address; 0: it is not RAM. The processor writes there whatever EPT says: a ROM,
 * which other VMs have as well, must not be it.
 */
static __noinline hpa_t page_of_l1(const struct vcpu *vcpu, gpa_t gpa)
{
	hpa_t page;

	if (!guest_ptr(vcpu->vm, gpa, PAGE_SIZE))
		return 0;
	while (tdp_translate(vcpu->vm, gpa, &page)) {
		if (!tdp_change_explains(vcpu->vm, gpa, true))
			return 0;
		tdp_flush_answer();
	}
	return page;
}

/*
 * What is cached of a page does not say whether it was the APIC-access page. Without EPT of its own L2 has L1's tables, to which
 * the page is RAM. SDM, "Linear Accesses to the APIC-Access Page".
 */
static void set_apic_access(struct vcpu *vcpu, hpa_t page)
{
	struct nested_vmx *nested = to_nested(vcpu);

	if (page != nested->l2.apic_access || (page && !nested_ept_is_on(vcpu))) {
		ept_flush(vcpu->vm);
		shadow_flush_all(nested->shadow);
		nested->flush_l2 = true;
	}
	nested->l2.apic_access = page;
	if (page)
		vmcs_write64(APIC_ACCESS_ADDRESS, page);
}

/* Without a TPR shadow L2 must not reach the processor's own TPR: L0's CR8 exits see to that. */
void nested_write_apic(struct vcpu *vcpu)
{
	const u32 cr8 = PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE;
	const struct vmcs12 *v = to_nested(vcpu)->vmcs12;
	struct vmcs *vmcs = &to_vmx(vcpu)->vmcs;
	u32 asked = vmcs12_read32(v, PRIMARY_CONTROLS);
	hpa_t apic = asked & PRIMARY_TPR_SHADOW ? page_of_l1(vcpu, vmcs12_read64(v, VIRTUAL_APIC_ADDRESS)) : 0;
	gpa_t access = nested_apic_access(v);

	vmcs->primary = (vmcs->primary & ~(u32)PRIMARY_TPR_SHADOW) | cr8;
	if (apic) {
		vmcs->primary = (vmcs->primary & ~cr8) | PRIMARY_TPR_SHADOW | (asked & cr8);
		vmcs_write64(VIRTUAL_APIC_ADDRESS, apic);
		vmcs_write32(TPR_THRESHOLD, vmcs12_read32(v, TPR_THRESHOLD));
	}
	set_apic_access(vcpu, access == NO_APIC_ACCESS ? 0 : page_of_l1(vcpu, access));
	vmcs->secondary &= ~(u32)SECONDARY_APIC_ACCESSES;
	if (to_nested(vcpu)->l2.apic_access)
		vmcs->secondary |= SECONDARY_APIC_ACCESSES;
	vmcs_write32(PRIMARY_CONTROLS, vmcs->primary);
	vmcs_write32(SECONDARY_CONTROLS, vmcs->secondary);
}

/* L0's loops of PAUSE exit where L1 asks for none; L1's, if it does. */
static void write_pause_loops(const struct vmcs12 *v)
{
	bool asked = nested_secondary(v) & SECONDARY_PAUSE_LOOP;

	vmcs_write32(PLE_GAP, asked ? vmcs12_read32(v, PLE_GAP) : PAUSE_LOOP_GAP);
	vmcs_write32(PLE_WINDOW, asked ? vmcs12_read32(v, PLE_WINDOW) : PAUSE_LOOP_WINDOW);
}

/*
 * Of a larger page the processor need not watch a part: without EPT of its own, L2 has L1's tables. Each such page costs a table
 * or two, so there are not many. SDM, "Issues Pertaining to Page Size and TLB Management".
 */
static void split_around_apic(struct vcpu *vcpu, gpa_t gpa)
{
	const u8 most = 64;
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	int level;

	if (gpa == NO_APIC_ACCESS || nested_ept_is_on(vcpu) || !tdp_entry(vcpu->vm, gpa, &level) || !level)
		return;
	if (l2->splits < most && !tdp_protect(vcpu->vm, gpa, PAGE_SIZE, true))
		l2->splits++;
	else if (vm_once(vcpu->vm, ONCE_OTHER, gpa))
		vm_warn(vcpu->vm, "a nested guest may miss exits: its APIC-access page 0x%llx is part of a large one",
			(unsigned long long)gpa);
}

static void write_execution_controls(struct vcpu *vcpu, const struct vmcs12 *v)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	split_around_apic(vcpu, nested_apic_access(v));
	vmx->vmcs.primary = vmx_caps.primary | (vmcs12_read32(v, PRIMARY_CONTROLS) & PRIMARY_FROM_L1);
	vmx->vmcs.secondary = (vmx->nested->l2.other.secondary & ~(u32)SECONDARY_OF_L1) |
			      (nested_secondary(v) & SECONDARY_FROM_L1);
	nested_write_apic(vcpu);
	if (vmx_has_pause_loop_exits())
		write_pause_loops(v);
	vmcs_write32(EXCEPTION_BITMAP, EXCEPTIONS_THAT_EXIT | vmcs12_read32(v, EXCEPTION_BITMAP));
	vmcs_write32(PAGE_FAULT_MASK, vmcs12_read32(v, PAGE_FAULT_MASK));
	vmcs_write32(PAGE_FAULT_MATCH, vmcs12_read32(v, PAGE_FAULT_MATCH));
}

/* SDM, "MSR-Bitmap Address": an access exits if one of the two bitmaps says so. vmx/vm.c opens few MSRs. */
static void merge_msr_bitmaps(struct vcpu *vcpu, const struct vmcs12 *v)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	const u64 *l0 = vcpu->vm->vendor, *l1 = NULL;
	u64 *merged = (u64 *)l2->msr_bitmap;

	if (vmcs12_read32(v, PRIMARY_CONTROLS) & PRIMARY_MSR_BITMAP)
		l1 = guest_ptr(vcpu->vm, vmcs12_read64(v, MSR_BITMAP), PAGE_SIZE);
	if (!l2->open_words)
		for (unsigned i = 0; i < BITMAP_WORDS && l2->open_words < ARRAY_SIZE(l2->open_word); i++)
			if (l0[i] != ~0ull)
				l2->open_word[l2->open_words++] = (u16)i;
	for (unsigned i = 0; i < l2->open_words; i++) {
		unsigned word = l2->open_word[i];

		merged[word] = l1 ? l0[word] | READ_ONCE(l1[word]) : ~0ull;
	}
}

/* Where L1 has no VPID for L2, entries and exits flush: SDM, "Operations that Invalidate Cached Mappings". */
static void choose_translations(struct vcpu *vcpu, const struct vmcs12 *v)
{
	struct nested_vmx *nested = to_nested(vcpu);
	u16 vpid = nested_secondary(v) & SECONDARY_VPID ? vmcs12_read16(v, VPID) : 0;

	if (!vpid || vpid != nested->l2.vpid)
		nested->flush_l2 = true;
	nested->l2.vpid = vpid;
	vmcs_write64(EPT_POINTER, nested_ept_pointer(vcpu));
}

/* --- control registers --- */

static void write_control_registers(struct vcpu *vcpu, const struct vmcs12 *v)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 cr0 = vmcs12_readn(v, GUEST_CR0), cr4 = vmcs12_readn(v, GUEST_CR4);
	u64 cr0_mask = vmcs12_readn(v, CR0_GUEST_HOST_MASK), cr4_mask = vmcs12_readn(v, CR4_GUEST_HOST_MASK);

	vmx->vmcs.cr4_guest_owned = vmx->nested->l2.other.cr4_guest_owned & ~cr4_mask;
	vmcs_writen(CR4_GUEST_HOST_MASK, ~vmx->vmcs.cr4_guest_owned);
	vmcs_writen(CR4_READ_SHADOW, (vmcs12_readn(v, CR4_READ_SHADOW) & cr4_mask) | (cr4 & ~cr4_mask));
	vmcs_writen(GUEST_CR4, nested_real_cr4(cr4));
	vmcs_writen(CR0_GUEST_HOST_MASK, ~(CR0_GUEST_OWNED & ~cr0_mask));
	vmcs_writen(CR0_READ_SHADOW, (vmcs12_readn(v, CR0_READ_SHADOW) & cr0_mask) | (cr0 & ~cr0_mask));
	vmcs_writen(GUEST_CR0, nested_real_cr0(cr0));
}

/* SDM, "Loading Guest Control Registers, Debug Registers, and MSRs" */
static void write_efer(struct vcpu *vcpu, const struct vmcs12 *v, u64 inherited)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 entry = vmcs12_read32(v, ENTRY_CONTROLS);
	bool ia32e = entry & ENTRY_IA32E_GUEST;
	u64 efer = inherited;

	if (entry & ENTRY_LOAD_EFER) {
		efer = vmcs12_read64(v, GUEST_EFER);
	} else {
		efer = ia32e ? efer | EFER_LMA : efer & ~EFER_LMA;
		if (vmcs12_readn(v, GUEST_CR0) & CR0_PG)
			efer = ia32e ? efer | EFER_LME : efer & ~EFER_LME;
	}
	vmx->vmcs.efer = efer;
	vmx->vmcs.entry_controls = (vmx_caps.entry & ~(u32)ENTRY_IA32E_GUEST) | (entry & ENTRY_IA32E_GUEST);
	vmcs_write32(ENTRY_CONTROLS, vmx->vmcs.entry_controls);
	vmx_write_efer(vmx);
}

/* --- what both have alike --- */

#define SEGMENT_FIELDS(first) first, first + 2, first + 4, first + 6, first + 8, first + 10, first + 12, first + 14

/* By encoding: selectors, limits, access rights and bases from ES to TR, and what has a name in vmx/vmcs_fields.h. */
static const u16 alike[] = {
	SEGMENT_FIELDS(0x0800), SEGMENT_FIELDS(0x4800), SEGMENT_FIELDS(0x4814), SEGMENT_FIELDS(0x6806),
	0x4810, 0x4812, 0x6816, 0x6818,		/* GDTR, IDTR */
	0x4824,					/* interruptibility */
	0x482a, 0x6824, 0x6826,			/* SYSENTER */
	0x6802,					/* CR3 */
	0x681c, 0x681e, 0x6820,			/* RSP, RIP, RFLAGS */
	0x6822,					/* pending debug exceptions */
};

/* Where the processor has no virtual NMIs, the bit in its VMCS is the host's: vmx/events.c. */
static void move_nmi_blocking(struct vcpu *vcpu, u32 interruptibility)
{
	to_vmx(vcpu)->nmi_blocked = interruptibility & INTERRUPTIBILITY_NMI;
	vmcs_write32(GUEST_INTERRUPTIBILITY, interruptibility & ~(u32)INTERRUPTIBILITY_NMI);
}

void nested_fill_vmcs02(struct vcpu *vcpu, const struct nested_origin *from)
{
	struct nested_l2 *l2 = &to_nested(vcpu)->l2;
	const struct vmcs12 *v = to_nested(vcpu)->vmcs12;
	u32 entry = vmcs12_read32(v, ENTRY_CONTROLS);

	write_execution_controls(vcpu, v);
	merge_msr_bitmaps(vcpu, v);
	vmcs_write64(MSR_BITMAP, virt_to_phys(l2->msr_bitmap));
	l2->tsc_offset = vmcs12_read32(v, PRIMARY_CONTROLS) & PRIMARY_TSC_OFFSET ? vmcs12_read64(v, TSC_OFFSET) : 0;
	vmcs_write64(TSC_OFFSET, vcpu->tsc_offset + l2->tsc_offset);
	choose_translations(vcpu, v);

	for (unsigned i = 0; i < ARRAY_SIZE(alike); i++)
		vmcs_write_encoded(alike[i], v->fields[vmcs12_place(alike[i])]);
	if (!vmx_has_virtual_nmis())
		move_nmi_blocking(vcpu, vmcs12_read32(v, GUEST_INTERRUPTIBILITY));
	write_control_registers(vcpu, v);
	write_efer(vcpu, v, from->efer);
	for (unsigned i = 0; i < 4; i++)
		vmcs_write64(guest_pdpte(i), from->pdptes[i]);
	vmcs_writen(GUEST_DR7, entry & ENTRY_LOAD_DEBUG ? vmcs12_readn(v, GUEST_DR7) : from->dr7);
	BUG_ON(vmx_msr_set(vcpu, MSR_PAT, entry & ENTRY_LOAD_PAT ? vmcs12_read64(v, GUEST_PAT) : from->pat));

	vmcs_write32(ENTRY_INTERRUPTION_INFO, vmcs12_read32(v, ENTRY_INTERRUPTION_INFO));
	vmcs_write32(ENTRY_EXCEPTION_ERROR_CODE, vmcs12_read32(v, ENTRY_EXCEPTION_ERROR_CODE));
	vmcs_write32(ENTRY_INSTRUCTION_LENGTH, vmcs12_read32(v, ENTRY_INSTRUCTION_LENGTH));
}

void nested_save_guest(struct vcpu *vcpu)
{
	struct vmcs12 *v = to_nested(vcpu)->vmcs12;

	for (unsigned i = 0; i < ARRAY_SIZE(alike); i++)
		v->fields[vmcs12_place(alike[i])] = vmcs_read_encoded(alike[i]);
	if (!vmx_has_virtual_nmis() && to_vmx(vcpu)->nmi_blocked)
		vmcs12_write32(v, GUEST_INTERRUPTIBILITY, vmcs12_read32(v, GUEST_INTERRUPTIBILITY) | INTERRUPTIBILITY_NMI);
}
