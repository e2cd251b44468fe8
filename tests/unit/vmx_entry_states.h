/* SPDX-License-Identifier: MIT */
/* States that break no rule of VM entry, how to change them, and which rules the changed ones break. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "vmx/rules/rule.h"

/* --- states that no rule objects to, on a processor that allows every control --- */

static struct vmx_entry_state s;

static inline void set_segment(enum vcpu_segment index, u64 selector, u64 base, u64 limit, u64 rights)
{
	s.segments[index] = (struct vmx_segment_fields){ selector, base, limit, rights };
}

/* A 64-bit guest at CPL 0 in a 64-bit host, as an unrestricted guest. */
static inline void long_mode(void)
{
	s = (struct vmx_entry_state){
		.pin = PIN_EXTERNAL_INTERRUPT | PIN_NMI | PIN_VIRTUAL_NMI | PIN_PREEMPTION_TIMER,
		.primary = PRIMARY_SECONDARY | PRIMARY_TERTIARY | PRIMARY_MSR_BITMAP,
		.secondary = SECONDARY_EPT | SECONDARY_UNRESTRICTED_GUEST | SECONDARY_VPID,
		.exit = EXIT_HOST_64BIT | EXIT_LOAD_EFER | EXIT_LOAD_PAT | EXIT_LOAD_PERF |
			EXIT_LOAD_CET | EXIT_LOAD_PKRS | EXIT_SECONDARY,
		.entry = ENTRY_IA32E_GUEST | ENTRY_LOAD_EFER | ENTRY_LOAD_PAT | ENTRY_LOAD_DEBUG |
			 ENTRY_LOAD_PERF | ENTRY_LOAD_BNDCFGS | ENTRY_LOAD_CET | ENTRY_LOAD_PKRS,
		.vpid = 1, .ept_pointer = 0x10000 | 3 << 3 | 6, .msr_bitmap = 0x20000,
		.tsc_multiplier = 1,

		.host_cr0 = CR0_PG | CR0_WP | CR0_NE | CR0_PE, .host_cr3 = 0x1000,
		.host_cr4 = CR4_PAE | CR4_VMXE, .host_rip = 0xffffffff80000000,
		.host_cs = 8, .host_tr = 0x40, .host_pat = 0x0007040600070406,
		.host_efer = EFER_LMA | EFER_LME | EFER_NXE,

		.cr0 = CR0_PG | CR0_NE | CR0_PE, .cr3 = 0x1000, .cr4 = CR4_PAE | CR4_VMXE,
		.efer = EFER_LMA | EFER_LME, .pat = 0x0007040600070406, .dr7 = 0x400,
		.rip = 0xffffffff81000000, .rflags = RFLAGS_FIXED, .link_pointer = ~0ull,
		.gdtr_limit = 0xffff, .idtr_limit = 0xffff,

		.basic = 0x2b, .misc = 7 << 6 | 4 << 16,
		.allowed_pin = ~0u * BIT_ULL(32) | 0x16, .allowed_primary = ~0u * BIT_ULL(32),
		.allowed_secondary = ~0u * BIT_ULL(32), .allowed_tertiary = 0xff,
		.allowed_exit = ~0u * BIT_ULL(32), .allowed_secondary_exit = 0xff,
		.allowed_entry = ~0u * BIT_ULL(32), .allowed_functions = 1,
		.ept_vpid = BIT(6) | BIT(14) | BIT(21) | BIT(23),
		.cr0_fixed0 = CR0_PG | CR0_NE | CR0_PE, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = CR4_VMXE, .cr4_fixed1 = 0xffffff,
		.physical_bits = 40, .linear_bits = 48, .perf_valid = 0x70000000f,
		.features = VMX_FEATURE_VIRTUAL_TPR | VMX_FEATURE_LINKED | VMX_FEATURE_RTM,
		.virtual_tpr = 0x20, .link_revision = 0x2b, .current_vmcs = 0x5000,
	};
	s.pin |= 0x16;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0x10, 0, 0xffffffff, 0xc093);
	set_segment(SEG_CS, 0x8, 0, 0xffffffff, 0xa09b);
	set_segment(SEG_LDTR, 0, 0, 0xfff, 0x82);
	set_segment(SEG_TR, 0x40, 0xffff800000001000, 0x67, 0x8b);
}

static inline void real_mode(void)
{
	long_mode();
	s.entry &= ~(u64)ENTRY_IA32E_GUEST;
	s.cr0 = CR0_NE;
	s.cr4 = CR4_VMXE;
	s.efer = 0;
	s.rip = 0xfff0;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0, 0, 0xffff, 0x93);
	set_segment(SEG_CS, 0xf000, 0xffff0000, 0xffff, 0x9b);
	set_segment(SEG_TR, 0, 0, 0xffff, 0x8b);
}

static inline void virtual_8086_mode(void)
{
	real_mode();
	s.cr0 |= CR0_PE;
	s.rflags |= RFLAGS_VM;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		set_segment(i, 0x1000, 0x10000, 0xffff, 0xf3);
}

/* 32-bit, with PAE paging and loaded PDPTEs. */
static inline void pae_mode(void)
{
	real_mode();
	s.cr0 |= CR0_PG | CR0_PE;
	s.cr4 |= CR4_PAE;
	s.pdpte0 = s.pdpte1 = s.pdpte2 = s.pdpte3 = 0x1001;
}

/* As pae_mode(), without "unrestricted guest": what that relaxes applies. */
static inline void restricted(void)
{
	pae_mode();
	s.secondary &= ~(u64)SECONDARY_UNRESTRICTED_GUEST;
}

/* A 32-bit host, whose processor would have to be outside IA-32e mode. */
static inline void host_32(void)
{
	pae_mode();
	s.exit &= ~(u64)EXIT_HOST_64BIT;
	s.host_efer = 0;
	s.host_ss = 0x10;
	s.host_rip = 0x1000;
}

/* --- changes to them --- */

struct change {
	u8 field;
	char how;	/* '=', '|', '&' */
	u64 value;
};

#define SET(member, value) { VMX_FIELD(member), '=', value }
#define ON(member, bits)   { VMX_FIELD(member), '|', bits }
#define OFF(member, bits)  { VMX_FIELD(member), '&', ~(u64)(bits) }
#define RIGHTS(segment, value) SET(segments[segment].rights, value)

static inline void apply(const struct change *change)
{
	u64 *field = (u64 *)&s + change->field;

	switch (change->how) {
	case '=':
		*field = change->value;
		break;
	case '|':
		*field |= change->value;
		break;
	case '&':
		*field &= change->value;
		break;
	}
}

/* --- what a check says --- */

static const char *broken[32];
static unsigned broken_count;
static struct violation last;

static inline void listen(void *context, const struct violation *violation)
{
	assert_true(broken_count < ARRAY_SIZE(broken));
	last = *violation;
	for (unsigned i = 0; i < broken_count; i++)
		if (!strcmp(broken[i], violation->name))
			return;
	broken[broken_count++] = violation->name;
}

static inline unsigned check(void)
{
	broken_count = 0;
	return vmx_check_entry(&s, listen, NULL);
}

static inline bool was_broken(const char *name)
{
	for (unsigned i = 0; i < broken_count; i++)
		if (!strcmp(broken[i], name))
			return true;
	return false;
}

#define EXTINT (INTERRUPTION_VALID | 0x30)
#define EVENT(type, vector) (INTERRUPTION_VALID | (type) << 8 | (vector))
#define ERROR_CODE INTERRUPTION_ERROR_CODE
#define NMI EVENT(2u, 2)
#define FAR (1ull << 40)		/* beyond the physical-address width */
#define ODD (1ull << 47)		/* not canonical */
#define IF (RFLAGS_FIXED | RFLAGS_IF)
