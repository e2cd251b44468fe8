/* SPDX-License-Identifier: MIT */
/* Intel SDM, "Checks on Host-State Area". A rule broken here means VM-instruction error 8. */
#include "vmx/rules/rule.h"

/* --- control registers, MSRs, and SSP --- */

static bool cr0_fixed(const struct vmx_check *c)
{
	return (c->s->cr0_fixed0 & ~c->s->host_cr0) || (c->s->host_cr0 & ~c->s->cr0_fixed1);
}

static bool cr4_fixed(const struct vmx_check *c)
{
	return (c->s->cr4_fixed0 & ~c->s->host_cr4) || (c->s->host_cr4 & ~c->s->cr4_fixed1);
}

static bool cet_without_wp(const struct vmx_check *c)
{
	return (c->s->host_cr4 & CR4_CET) && !(c->s->host_cr0 & CR0_WP);
}

static bool efer_mode(const struct vmx_check *c)
{
	const u64 both = EFER_LMA | EFER_LME;

	return (c->s->host_efer & both) != (vmx_control(c->s, EXIT(HOST_64BIT)) ? both : 0);
}

static const struct vmx_rule registers[] = {
	{ "host.cr0.fixed", "must have the bits that VMX operation fixes, PE and PG included",
	  cr0_fixed, { FIELD(host_cr0), FIELD(cr0_fixed0), FIELD(cr0_fixed1) } },
	{ "host.cr4.fixed", "must have the bits that VMX operation fixes", cr4_fixed,
	  { FIELD(host_cr4), FIELD(cr4_fixed0), FIELD(cr4_fixed1) } },
	{ "host.cr4.cet-wp", "CR4.CET needs CR0.WP", cet_without_wp,
	  { FIELD(host_cr4), FIELD(host_cr0) } },
	{ "host.cr3.width", "must not exceed the physical-address width", rule_physical,
	  { FIELD(host_cr3), FIELD(physical_bits) } },
	CANONICAL("host.sysenter-esp", host_sysenter_esp),
	CANONICAL("host.sysenter-eip", host_sysenter_eip),
	{ "host.perf-global-ctrl", "reserved bits must be 0", rule_perf,
	  { FIELD(host_perf), FIELD(perf_valid) }, 0, EXIT(LOAD_PERF) },
	{ "host.pat", TEXT_PAT, rule_pat, { FIELD(host_pat) }, 0, EXIT(LOAD_PAT) },
	{ "host.efer.reserved", TEXT_EFER, rule_efer, { FIELD(host_efer) }, 0, EXIT(LOAD_EFER) },
	{ "host.efer.mode", "LMA and LME must equal \"host address-space size\"", efer_mode,
	  { FIELD(host_efer), FIELD(exit) }, 0, EXIT(LOAD_EFER) },
	{ "host.s-cet", "bits 9:6 must be 0, bits 11:10 not both 1, bits 63:12 canonical",
	  rule_s_cet, { FIELD(host_s_cet) }, 0, EXIT(LOAD_CET) },
	{ "host.ssp.aligned", "bits 1:0 must be 0", rule_ssp, { FIELD(host_ssp) }, 0,
	  EXIT(LOAD_CET) },
	{ "host.ssp.canonical", TEXT_CANONICAL, rule_canonical, { FIELD(host_ssp) }, 0,
	  EXIT(LOAD_CET) },
	{ "host.ssp-table", TEXT_CANONICAL, rule_canonical, { FIELD(host_ssp_table) }, 0,
	  EXIT(LOAD_CET) },
	{ "host.pkrs", "bits 63:32 must be 0", rule_high_half, { FIELD(host_pkrs) }, 0,
	  EXIT(LOAD_PKRS) },
};

/* --- segment and descriptor-table registers --- */

/* RPL and TI */
static bool selector(const struct vmx_check *c)
{
	return rule_field(c, 0) & 7;
}

static bool ss_null(const struct vmx_check *c)
{
	return !c->s->host_ss && !vmx_control(c->s, EXIT(HOST_64BIT));
}

#define SELECTOR(name, member) { name, "RPL and TI must be 0", selector, { FIELD(member) } }
#define NOT_NULL(name, member) { name, "must not be 0", rule_zero, { FIELD(member) } }

static const struct vmx_rule segments[] = {
	SELECTOR("host.es.selector", host_es),
	SELECTOR("host.cs.selector", host_cs),
	SELECTOR("host.ss.selector", host_ss),
	SELECTOR("host.ds.selector", host_ds),
	SELECTOR("host.fs.selector", host_fs),
	SELECTOR("host.gs.selector", host_gs),
	SELECTOR("host.tr.selector", host_tr),
	NOT_NULL("host.cs.null", host_cs),
	NOT_NULL("host.tr.null", host_tr),
	{ "host.ss.null", "must not be 0 for a 32-bit host", ss_null,
	  { FIELD(host_ss), FIELD(exit) } },
	CANONICAL("host.fs.base", host_fs_base),
	CANONICAL("host.gs.base", host_gs_base),
	CANONICAL("host.gdtr.base", host_gdtr_base),
	CANONICAL("host.idtr.base", host_idtr_base),
	CANONICAL("host.tr.base", host_tr_base),
};

/* --- address-space size --- */

static bool not_64_bit(const struct vmx_check *c)
{
	return !vmx_control(c->s, EXIT(HOST_64BIT));
}

static bool guest_outside_ia32e(const struct vmx_check *c)
{
	return c->s->legacy && vmx_control(c->s, ENTRY(IA32E_GUEST));
}

static bool host_outside_ia32e(const struct vmx_check *c)
{
	return c->s->legacy && !not_64_bit(c);
}

static bool narrow_in_ia32e(const struct vmx_check *c)
{
	return !c->s->legacy && not_64_bit(c);
}

static bool guest_above_host(const struct vmx_check *c)
{
	return not_64_bit(c) && vmx_control(c->s, ENTRY(IA32E_GUEST));
}

static bool pcid_32_bit(const struct vmx_check *c)
{
	return not_64_bit(c) && (c->s->host_cr4 & CR4_PCIDE);
}

static bool rip_32_bit(const struct vmx_check *c)
{
	return not_64_bit(c) && c->s->host_rip >> 32;
}

static bool no_pae(const struct vmx_check *c)
{
	return !(c->s->host_cr4 & CR4_PAE);
}

static const struct vmx_rule address_space[] = {
	{ "host.address-space.outside-ia32e-guest",
	  "\"IA-32e mode guest\" must be 0: the entry is made outside of IA-32e mode", guest_outside_ia32e,
	  { FIELD(entry) } },
	{ "host.address-space.outside-ia32e-host",
	  "\"host address-space size\" must be 0: the entry is made outside of IA-32e mode", host_outside_ia32e,
	  { FIELD(exit) } },
	{ "host.address-space.64-bit",
	  "\"host address-space size\" must be 1: the entry is made in IA-32e mode", narrow_in_ia32e,
	  { FIELD(exit) } },
	{ "host.address-space.guest",
	  "\"IA-32e mode guest\" needs \"host address-space size\"", guest_above_host,
	  { FIELD(entry), FIELD(exit) } },
	{ "host.address-space.pcide", "CR4.PCIDE must be 0 for a 32-bit host", pcid_32_bit,
	  { FIELD(host_cr4), FIELD(exit) } },
	{ "host.address-space.rip", "bits 63:32 must be 0 for a 32-bit host", rip_32_bit,
	  { FIELD(host_rip), FIELD(exit) } },
	{ "host.address-space.pae", "CR4.PAE must be 1 for a 64-bit host", no_pae,
	  { FIELD(host_cr4) }, 0, EXIT(HOST_64BIT) },
	{ "host.rip.canonical", "must be canonical for a 64-bit host", rule_canonical,
	  { FIELD(host_rip) }, 0, EXIT(HOST_64BIT) },
};

const struct vmx_rule_section vmx_host_rules[3] = {
	RULE_SECTION(TITLE_HOST, registers),
	RULE_SECTION("Checks on Host Segment and Descriptor-Table Registers", segments),
	RULE_SECTION(TITLE_ADDRESS_SPACE, address_space),
};
