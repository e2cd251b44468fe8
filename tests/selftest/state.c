/* SPDX-License-Identifier: MIT */
/* Valid states of each mode, whose first instruction is at 0x1000. */
#include "tests/selftest/selftest.h"

#define CODE   0x1000ull
#define PML4   0x10000ull	/* page tables that vm.c has put there */
#define PDPT   0x11000ull

static void set_segment(struct vmx_entry_state *s, enum vcpu_segment index, u64 selector, u64 base,
			u64 limit, u64 rights)
{
	s->segments[index] = (struct vmx_segment_fields){ selector, base, limit, rights };
}

static void flat_segments(struct vmx_entry_state *s, u64 code_rights)
{
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(s, i, 0x10, 0, 0xffffffff, 0xc093);
	set_segment(s, SEG_CS, 0x8, 0, 0xffffffff, code_rights);
	set_segment(s, SEG_LDTR, 0x20, 0, 0xfff, 0x82);
	set_segment(s, SEG_TR, 0x40, 0x2000, 0x67, 0x8b);
}

/* As after a reset, whatever mode the loader has set. */
static void real_mode(struct vmx_entry_state *s)
{
	s->cr0 &= ~(CR0_PG | CR0_PE);
	s->cr4 &= ~CR4_PAE;
	s->efer = 0;
	s->entry &= ~(u64)ENTRY_IA32E_GUEST;
	s->gdtr_limit = s->idtr_limit = 0xffff;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(s, i, 0, 0, 0xffff, 0x93);
	set_segment(s, SEG_CS, 0, 0, 0xffff, 0x9b);
	set_segment(s, SEG_LDTR, 0, 0, 0xffff, 0x82);
	set_segment(s, SEG_TR, 0, 0, 0xffff, 0x8b);
}

static void pae_mode(struct vmx_entry_state *s)
{
	s->cr0 |= CR0_PG | CR0_PE;
	s->cr4 |= CR4_PAE;
	s->cr3 = PDPT;
	s->pdpte0 = PDPT + 0x1001;	/* the page directory */
	flat_segments(s, 0xc09b);
}

static void long_mode(struct vmx_entry_state *s)
{
	s->cr0 |= CR0_PG | CR0_PE;
	s->cr4 |= CR4_PAE;
	s->cr3 = PML4;
	s->efer |= EFER_LME | EFER_LMA;
	s->entry |= ENTRY_IA32E_GUEST;
	flat_segments(s, 0xa09b);
}

static void virtual_8086_mode(struct vmx_entry_state *s)
{
	s->cr0 |= CR0_PE;
	s->rflags |= RFLAGS_VM;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(s, i, 0, 0, 0xffff, 0xf3);
}

void selftest_base(enum base base, const struct vmx_entry_state *product, u64 spare_page,
		   struct vmx_entry_state *s)
{
	*s = *product;
	s->rip = CODE;
	s->rsp = 0x800;
	s->rflags = RFLAGS_FIXED;
	s->debugctl = s->pending_debug = s->interruptibility = s->activity = s->event = 0;
	real_mode(s);
	s->io_bitmap_a = s->io_bitmap_b = s->virtual_apic = s->apic_access = s->pml = spare_page;
	s->eptp_list = s->vmread_bitmap = s->vmwrite_bitmap = s->exception_info = spare_page;
	s->exit_store = s->exit_load = s->entry_load = spare_page;
	s->tsc_multiplier = 1ull << 48;
	/* The spare page is zero. */
	s->features |= VMX_FEATURE_VIRTUAL_TPR | VMX_FEATURE_LINKED;
	s->virtual_tpr = s->link_revision = 0;

	switch (base) {
	case REAL_MODE:
		break;
	case LONG_MODE:
		long_mode(s);
		break;
	case PAE_MODE:
		pae_mode(s);
		break;
	case VIRTUAL_8086_MODE:
		virtual_8086_mode(s);
		break;
	case RESTRICTED:
		pae_mode(s);
		s->secondary &= ~(u64)SECONDARY_UNRESTRICTED_GUEST;
		break;
	case BASES:
		break;
	}
}
