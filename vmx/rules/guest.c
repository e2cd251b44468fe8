/* SPDX-License-Identifier: MIT */
/*
 * Intel SDM, "Checks on the Guest State Area", but for the segment registers: control registers,
 * debug registers, MSRs, descriptor tables. A rule broken here means exit reason 33.
 */
#include "vmx/rules/rule.h"

/* --- control registers, debug registers, MSRs --- */

/* CD and NW are not checked, as entries do not change them. An unrestricted guest may clear PE and PG. */
static bool cr0_fixed(const struct vmx_check *c)
{
	u64 must = c->s->cr0_fixed0, may = c->s->cr0_fixed1 | CR0_CD | CR0_NW;

	if (vmx_control(c->s, SECONDARY(UNRESTRICTED_GUEST)))
		must &= ~(CR0_PE | CR0_PG);
	return (must & ~c->s->cr0) || (c->s->cr0 & ~may);
}

static bool paging_unprotected(const struct vmx_check *c)
{
	return (c->s->cr0 & CR0_PG) && !(c->s->cr0 & CR0_PE);
}

static bool cr4_fixed(const struct vmx_check *c)
{
	return (c->s->cr4_fixed0 & ~c->s->cr4) || (c->s->cr4 & ~c->s->cr4_fixed1);
}

static bool cet_without_wp(const struct vmx_check *c)
{
	return (c->s->cr4 & CR4_CET) && !(c->s->cr0 & CR0_WP);
}

/* Which bits are reserved depends on the model; bits 5:3 and 63:16 are on every processor. */
static bool debugctl(const struct vmx_check *c)
{
	return c->s->debugctl & ~0xffc7ull;
}

static bool no_paging(const struct vmx_check *c)
{
	return !(c->s->cr0 & CR0_PG);
}

static bool no_pae(const struct vmx_check *c)
{
	return !(c->s->cr4 & CR4_PAE);
}

static bool pcid(const struct vmx_check *c)
{
	return (c->s->cr4 & CR4_PCIDE) && !vmx_control(c->s, ENTRY(IA32E_GUEST));
}

static bool efer_lma(const struct vmx_check *c)
{
	return !!(c->s->efer & EFER_LMA) != vmx_control(c->s, ENTRY(IA32E_GUEST));
}

static bool efer_lme(const struct vmx_check *c)
{
	return (c->s->cr0 & CR0_PG) && !(c->s->efer & EFER_LMA) != !(c->s->efer & EFER_LME);
}

static bool bndcfgs_reserved(const struct vmx_check *c)
{
	return c->s->bndcfgs & 0xffc;
}

static bool bndcfgs_canonical(const struct vmx_check *c)
{
	return !vmx_canonical(c->s, c->s->bndcfgs & PAGE_MASK);
}

static const struct vmx_rule registers[] = {
	{ "guest.cr0.fixed",
	  "must have the bits that VMX operation fixes; PE and PG only if not unrestricted",
	  cr0_fixed, { FIELD(cr0), FIELD(cr0_fixed0), FIELD(cr0_fixed1) } },
	{ "guest.cr0.pg-pe", "CR0.PG needs CR0.PE", paging_unprotected, { FIELD(cr0) } },
	{ "guest.cr4.fixed", "must have the bits that VMX operation fixes", cr4_fixed,
	  { FIELD(cr4), FIELD(cr4_fixed0), FIELD(cr4_fixed1) } },
	{ "guest.cr4.cet-wp", "CR4.CET needs CR0.WP", cet_without_wp, { FIELD(cr4), FIELD(cr0) } },
	{ "guest.debugctl", "reserved bits must be 0", debugctl, { FIELD(debugctl) }, 0,
	  ENTRY(LOAD_DEBUG) },
	{ "guest.ia32e.pg", "\"IA-32e mode guest\" needs CR0.PG", no_paging,
	  { FIELD(cr0), FIELD(entry) }, 0, ENTRY(IA32E_GUEST) },
	{ "guest.ia32e.pae", "\"IA-32e mode guest\" needs CR4.PAE", no_pae,
	  { FIELD(cr4), FIELD(entry) }, 0, ENTRY(IA32E_GUEST) },
	{ "guest.cr4.pcide", "CR4.PCIDE needs \"IA-32e mode guest\"", pcid,
	  { FIELD(cr4), FIELD(entry) } },
	{ "guest.cr3.width", "must not exceed the physical-address width", rule_physical,
	  { FIELD(cr3), FIELD(physical_bits) } },
	{ "guest.dr7", "bits 63:32 must be 0", rule_high_half, { FIELD(dr7) }, 0,
	  ENTRY(LOAD_DEBUG) },
	CANONICAL("guest.sysenter-esp", sysenter_esp),
	CANONICAL("guest.sysenter-eip", sysenter_eip),
	{ "guest.s-cet", "bits 9:6 must be 0, bits 11:10 not both 1, bits 63:12 canonical",
	  rule_s_cet, { FIELD(s_cet) }, 0, ENTRY(LOAD_CET) },
	{ "guest.ssp-table", TEXT_CANONICAL, rule_canonical, { FIELD(ssp_table) }, 0,
	  ENTRY(LOAD_CET) },
	{ "guest.perf-global-ctrl", "reserved bits must be 0", rule_perf,
	  { FIELD(perf), FIELD(perf_valid) }, 0, ENTRY(LOAD_PERF) },
	{ "guest.pat", TEXT_PAT, rule_pat, { FIELD(pat) }, 0, ENTRY(LOAD_PAT) },
	{ "guest.efer.reserved", TEXT_EFER, rule_efer, { FIELD(efer) }, 0, ENTRY(LOAD_EFER) },
	{ "guest.efer.lma", "LMA must equal \"IA-32e mode guest\"", efer_lma,
	  { FIELD(efer), FIELD(entry) }, 0, ENTRY(LOAD_EFER) },
	{ "guest.efer.lme", "LME must equal LMA while CR0.PG is 1", efer_lme,
	  { FIELD(efer), FIELD(cr0) }, 0, ENTRY(LOAD_EFER) },
	{ "guest.bndcfgs.reserved", "bits 11:2 must be 0", bndcfgs_reserved, { FIELD(bndcfgs) }, 0,
	  ENTRY(LOAD_BNDCFGS) },
	{ "guest.bndcfgs.canonical", "bits 63:12 must be a canonical address", bndcfgs_canonical,
	  { FIELD(bndcfgs) }, 0, ENTRY(LOAD_BNDCFGS) },
	{ "guest.pkrs", "bits 63:32 must be 0", rule_high_half, { FIELD(pkrs) }, 0,
	  ENTRY(LOAD_PKRS) },
};

/* --- descriptor tables --- */

static bool limit(const struct vmx_check *c)
{
	return rule_field(c, 0) >> 16;
}

#define LIMIT(name, member) { name, "bits 31:16 must be 0", limit, { FIELD(member) } }

static const struct vmx_rule tables[] = {
	CANONICAL("guest.gdtr.base", gdtr_base),
	CANONICAL("guest.idtr.base", idtr_base),
	LIMIT("guest.gdtr.limit", gdtr_limit),
	LIMIT("guest.idtr.limit", idtr_limit),
};

const struct vmx_rule_section vmx_guest_rules[2] = {
	RULE_SECTION(TITLE_REGISTERS, registers),
	RULE_SECTION("Checks on Guest Descriptor-Table Registers", tables),
};
