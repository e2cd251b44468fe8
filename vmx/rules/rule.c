/* SPDX-License-Identifier: MIT */
/* Checks that many rules of VM entry share. */
#include "vmx/rules/rule.h"

/* --- questions about a state --- */

bool vmx_control(const struct vmx_entry_state *s, u16 control)
{
	unsigned word = control >> 5;

	if (word == FIELD(secondary) && !(s->primary & PRIMARY_SECONDARY))
		return false;
	if (word == FIELD(tertiary) && !(s->primary & PRIMARY_TERTIARY))
		return false;
	if (word == FIELD(secondary_exit) && !(s->exit & EXIT_SECONDARY))
		return false;
	return vmx_field(s, word - 1) >> (control & 31) & 1;
}

bool vmx_canonical(const struct vmx_entry_state *s, u64 address)
{
	unsigned unused = 64 - (unsigned)s->linear_bits;

	return (u64)((s64)(address << unused) >> unused) == address;
}

bool vmx_above_physical(const struct vmx_entry_state *s, u64 address)
{
	return address >> (s->basic & BASIC_32_BIT_ADDRESSES ? 32 : s->physical_bits);
}

bool vmx_injects(const struct vmx_entry_state *s, enum interruption_type type)
{
	return (s->event & INTERRUPTION_VALID) && INTERRUPTION_TYPE(s->event) == (u64)type;
}

bool vmx_pat_broken(u64 pat)
{
	for (unsigned i = 0; i < 8; i++, pat >>= 8)
		if ((pat & 0xff) > 7 || (pat & 0xff) == 2 || (pat & 0xff) == 3)
			return true;
	return false;
}

/* --- checks of a rule's fields --- */

bool rule_controls_reserved(const struct vmx_check *c)
{
	u64 controls = rule_field(c, 0), allowed = rule_field(c, 1);

	return ((u32)allowed & ~controls) || (controls & ~(allowed >> 32));
}

bool rule_allowed_1(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~rule_field(c, 1);
}

bool rule_needs(const struct vmx_check *c)
{
	return !vmx_control(c->s, c->rule->need);
}

bool rule_excludes(const struct vmx_check *c)
{
	return vmx_control(c->s, c->rule->need);
}

bool rule_page(const struct vmx_check *c)
{
	u64 address = rule_field(c, 0);

	return (address & ~PAGE_MASK) || vmx_above_physical(c->s, address);
}

bool rule_canonical(const struct vmx_check *c)
{
	return !vmx_canonical(c->s, rule_field(c, 0));
}

bool rule_high_half(const struct vmx_check *c)
{
	return rule_field(c, 0) >> 32;
}

bool rule_zero(const struct vmx_check *c)
{
	return rule_field(c, 0) == 0;
}

bool rule_pat(const struct vmx_check *c)
{
	return vmx_pat_broken(rule_field(c, 0));
}

/* For CR3: with linear-address masking, bits 62:61 switch it on and are not reserved. */
bool rule_physical(const struct vmx_check *c)
{
	u64 lam = c->s->features & VMX_FEATURE_LAM ? 3ull << 61 : 0;

	return (rule_field(c, 0) & ~lam) >> c->s->physical_bits;
}

bool rule_perf(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~c->s->perf_valid;
}

bool rule_efer(const struct vmx_check *c)
{
	return rule_field(c, 0) & ~EFER_VALID;
}

/* Bits 9:6 are reserved, 11:10 exclude each other, 63:12 are a canonical address. */
bool rule_s_cet(const struct vmx_check *c)
{
	u64 cet = rule_field(c, 0);

	return (cet & 0x3c0) || (cet & 0xc00) == 0xc00 || !vmx_canonical(c->s, cet & PAGE_MASK);
}

bool rule_ssp(const struct vmx_check *c)
{
	return rule_field(c, 0) & 3;
}
