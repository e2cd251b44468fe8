/* SPDX-License-Identifier: MIT */
/*
 * Intel SDM, "Checks on Guest RIP, RFLAGS, and SSP", "Checks on Guest Non-Register State" and
 * "Checks on Guest Page-Directory-Pointer-Table Entries".
 */
#include "vmx/rules/rule.h"

/* --- RIP, RFLAGS, and SSP --- */

static bool code_64(const struct vmx_entry_state *s)
{
	return vmx_control(s, ENTRY(IA32E_GUEST)) && (s->segments[SEG_CS].rights & ACCESS_RIGHTS_L);
}

static bool rip_high(const struct vmx_check *c)
{
	return !code_64(c->s) && c->s->rip >> 32;
}

/* Bits 63:N must be equal, N being the linear-address width. Canonical would include bit N-1. */
static bool linear_high(const struct vmx_check *c)
{
	u64 high = (u64)((s64)rule_field(c, 0) >> c->s->linear_bits);

	return code_64(c->s) && high != 0 && high != ~0ull;
}

static bool rflags_reserved(const struct vmx_check *c)
{
	return (c->s->rflags & ~0x3f7fd7ull) || !(c->s->rflags & RFLAGS_FIXED);
}

static bool rflags_vm(const struct vmx_check *c)
{
	return (c->s->rflags & RFLAGS_VM) &&
	       (vmx_control(c->s, ENTRY(IA32E_GUEST)) || !(c->s->cr0 & CR0_PE));
}

static bool rflags_if(const struct vmx_check *c)
{
	return vmx_injects(c->s, INTERRUPTION_EXTERNAL) && !(c->s->rflags & RFLAGS_IF);
}

static bool ssp_high(const struct vmx_check *c)
{
	return !code_64(c->s) && c->s->ssp >> 32;
}

static const struct vmx_rule instruction_pointer[] = {
	{ "guest.rip.high", "bits 63:32 must be 0 outside 64-bit mode", rip_high,
	  { FIELD(rip), FIELD(entry), FIELD(segments[SEG_CS].rights) } },
	{ "guest.rip.width", "the bits beyond the linear-address width must be equal", linear_high,
	  { FIELD(rip), FIELD(linear_bits) } },
	{ "guest.rflags.reserved", "bits 63:22, 15, 5 and 3 must be 0, bit 1 must be 1",
	  rflags_reserved, { FIELD(rflags) } },
	{ "guest.rflags.vm", "RFLAGS.VM must be 0 in IA-32e mode and in real mode", rflags_vm,
	  { FIELD(rflags), FIELD(cr0), FIELD(entry) } },
	{ "guest.rflags.if-for-extint", "RFLAGS.IF must be 1 to inject an external interrupt",
	  rflags_if, { FIELD(rflags), FIELD(event) }, 0, INJECTS_EVENT },
	{ "guest.ssp.aligned", "bits 1:0 must be 0", rule_ssp, { FIELD(ssp) }, 0, ENTRY(LOAD_CET) },
	{ "guest.ssp.high", "bits 63:32 must be 0 outside 64-bit mode", ssp_high, { FIELD(ssp) }, 0,
	  ENTRY(LOAD_CET) },
	{ "guest.ssp.width", "the bits beyond the linear-address width must be equal", linear_high,
	  { FIELD(ssp), FIELD(linear_bits) }, 0, ENTRY(LOAD_CET) },
};

/* --- activity state --- */

static bool activity_unknown(const struct vmx_check *c)
{
	u64 activity = c->s->activity;

	return activity > ACTIVITY_WAIT_FOR_SIPI ||
	       (activity && !MISC_HAS_ACTIVITY(c->s->misc, activity));
}

static bool halted_user(const struct vmx_check *c)
{
	return c->s->activity == ACTIVITY_HLT && (c->s->segments[SEG_SS].rights & 0x60);
}

static bool idle_in_shadow(const struct vmx_check *c)
{
	return c->s->activity != ACTIVITY_ACTIVE && (c->s->interruptibility & INTERRUPTIBILITY_SHADOWS);
}

static bool injects_exception(const struct vmx_entry_state *s, unsigned vector)
{
	return vmx_injects(s, INTERRUPTION_EXCEPTION) &&
	       (s->event & INTERRUPTION_VECTOR) == vector;
}

static bool cannot_wake(const struct vmx_check *c)
{
	const struct vmx_entry_state *s = c->s;
	bool wakes_shutdown = vmx_injects(s, INTERRUPTION_NMI) || injects_exception(s, X86_MC);

	switch (s->activity) {
	case ACTIVITY_HLT:
		return !(wakes_shutdown || vmx_injects(s, INTERRUPTION_EXTERNAL) ||
			 injects_exception(s, X86_DB) || vmx_injects(s, INTERRUPTION_OTHER));
	case ACTIVITY_SHUTDOWN:
		return !wakes_shutdown;
	case ACTIVITY_WAIT_FOR_SIPI:
		return true;
	default:
		return false;
	}
}

/* --- interruptibility state --- */

static bool interruptibility_reserved(const struct vmx_check *c)
{
	return c->s->interruptibility >> 5;
}

static bool two_shadows(const struct vmx_check *c)
{
	return (c->s->interruptibility & INTERRUPTIBILITY_SHADOWS) == INTERRUPTIBILITY_SHADOWS;
}

static bool sti_without_if(const struct vmx_check *c)
{
	return (c->s->interruptibility & INTERRUPTIBILITY_STI) && !(c->s->rflags & RFLAGS_IF);
}

static bool interrupt_in_shadow(const struct vmx_check *c)
{
	return vmx_injects(c->s, INTERRUPTION_EXTERNAL) && (c->s->interruptibility & INTERRUPTIBILITY_SHADOWS);
}

/* Does the entry inject an NMI although this bit of the interruptibility state is set? */
static bool nmi_blocked_by(const struct vmx_check *c, u32 bit)
{
	return vmx_injects(c->s, INTERRUPTION_NMI) && (c->s->interruptibility & bit);
}

static bool nmi_in_mov_ss(const struct vmx_check *c)
{
	return nmi_blocked_by(c, INTERRUPTIBILITY_MOV_SS);
}

static bool nmi_in_sti(const struct vmx_check *c)
{
	return nmi_blocked_by(c, INTERRUPTIBILITY_STI);
}

static bool smi_blocked(const struct vmx_check *c)
{
	return c->s->interruptibility & INTERRUPTIBILITY_SMI;
}

static bool nmi_while_blocked(const struct vmx_check *c)
{
	return vmx_control(c->s, PIN(VIRTUAL_NMI)) &&
	       nmi_blocked_by(c, INTERRUPTIBILITY_NMI);
}

static bool enclave(const struct vmx_check *c)
{
	return (c->s->interruptibility & INTERRUPTIBILITY_ENCLAVE) &&
	       (!(c->s->features & VMX_FEATURE_SGX) ||
		(c->s->interruptibility & INTERRUPTIBILITY_MOV_SS));
}

/* --- pending debug exceptions --- */

static bool pending_reserved(const struct vmx_check *c)
{
	u64 valid = 15 | PENDING_DEBUG_ENABLED | PENDING_DEBUG_BS;

	if (c->s->features & VMX_FEATURE_BUS_LOCK)
		valid |= PENDING_DEBUG_BUS_LOCK;
	if (c->s->features & VMX_FEATURE_RTM)
		valid |= PENDING_DEBUG_RTM;
	return c->s->pending_debug & ~valid;
}

/* BS is checked only while STI or MOV SS blocks events, and in HLT. */
static bool step_pends(const struct vmx_entry_state *s)
{
	return (s->interruptibility & INTERRUPTIBILITY_SHADOWS) || s->activity == ACTIVITY_HLT;
}

/* Does RFLAGS.TF step instructions? With DEBUGCTL.BTF it steps branches. */
static bool steps(const struct vmx_entry_state *s)
{
	return (s->rflags & RFLAGS_TF) && !(s->debugctl & BIT(1));
}

static bool step_lost(const struct vmx_check *c)
{
	return step_pends(c->s) && steps(c->s) && !(c->s->pending_debug & PENDING_DEBUG_BS);
}

static bool step_invented(const struct vmx_check *c)
{
	return step_pends(c->s) && !steps(c->s) && (c->s->pending_debug & PENDING_DEBUG_BS);
}

static bool pending_rtm(const struct vmx_check *c)
{
	const u64 alone = PENDING_DEBUG_RTM | PENDING_DEBUG_ENABLED;

	return (c->s->features & VMX_FEATURE_RTM) && (c->s->pending_debug & PENDING_DEBUG_RTM) &&
	       (c->s->pending_debug != alone ||
		(c->s->interruptibility & INTERRUPTIBILITY_MOV_SS));
}

/* --- VMCS link pointer --- */

static bool linked(const struct vmx_entry_state *s)
{
	return s->link_pointer != ~0ull;
}

static bool link_address(const struct vmx_check *c)
{
	return linked(c->s) && rule_page(c);
}

static bool link_revision(const struct vmx_check *c)
{
	const struct vmx_entry_state *s = c->s;
	u64 shadow = vmx_control(s, SECONDARY(SHADOWING)) ? BIT_ULL(31) : 0;

	return linked(s) && (s->features & VMX_FEATURE_LINKED) &&
	       s->link_revision != ((s->basic & BASIC_REVISION) | shadow);
}

static bool link_current(const struct vmx_check *c)
{
	return linked(c->s) && c->s->link_pointer == c->s->current_vmcs;
}

#define ACTIVITY(name, text, broken) \
	{ name, text, broken, { FIELD(activity), FIELD(interruptibility) } }
#define BLOCKING(name, text, broken) \
	{ name, text, broken, { FIELD(interruptibility), FIELD(event) } }

static const struct vmx_rule nonregister[] = {
	{ "guest.activity.supported", "must be 0, or up to 3 where IA32_VMX_MISC[8:6] allows it",
	  activity_unknown, { FIELD(activity), FIELD(misc) } },
	{ "guest.activity.hlt-cpl", "HLT needs SS.DPL 0", halted_user,
	  { FIELD(activity), FIELD(segments[SEG_SS].rights) } },
	ACTIVITY("guest.activity.shadow",
		 "must be active while STI or MOV SS blocks events", idle_in_shadow),
	{ "guest.activity.event", "this activity state does not take this event", cannot_wake,
	  { FIELD(activity), FIELD(event) }, 0, INJECTS_EVENT },
	BLOCKING("guest.interruptibility.reserved", "bits 31:5 must be 0",
		 interruptibility_reserved),
	BLOCKING("guest.interruptibility.sti-mov-ss", "STI and MOV SS must not both block",
		 two_shadows),
	{ "guest.interruptibility.sti-if", "blocking by STI needs RFLAGS.IF", sti_without_if,
	  { FIELD(interruptibility), FIELD(rflags) } },
	BLOCKING("guest.interruptibility.extint",
		 "no external interrupt may be injected while STI or MOV SS blocks",
		 interrupt_in_shadow),
	BLOCKING("guest.interruptibility.nmi-mov-ss", "no NMI may be injected while MOV SS blocks",
		 nmi_in_mov_ss),
	BLOCKING("guest.interruptibility.smi", "blocking by SMI must be 0 outside SMM",
		 smi_blocked),
	BLOCKING("guest.interruptibility.nmi-sti",
		 "no NMI may be injected while STI blocks (some processors allow it)", nmi_in_sti),
	BLOCKING("guest.interruptibility.nmi-blocked",
		 "no NMI may be injected while NMIs are blocked, with \"virtual NMIs\"",
		 nmi_while_blocked),
	BLOCKING("guest.interruptibility.enclave",
		 "enclave interruption needs SGX and no blocking by MOV SS", enclave),
	{ "guest.pending-debug.reserved",
	  "bits 11:4, 13 and 63:15 must be 0, but those of features that the processor has",
	  pending_reserved, { FIELD(pending_debug) } },
	{ "guest.pending-debug.bs-needed",
	  "BS must be 1: RFLAGS.TF steps and the step is blocked or halted", step_lost,
	  { FIELD(pending_debug), FIELD(rflags), FIELD(interruptibility) } },
	{ "guest.pending-debug.bs-forbidden",
	  "BS must be 0: nothing steps, in a shadow or in HLT", step_invented,
	  { FIELD(pending_debug), FIELD(rflags), FIELD(interruptibility) } },
	{ "guest.pending-debug.rtm", "RTM needs bit 12, no other bit and no blocking by MOV SS",
	  pending_rtm, { FIELD(pending_debug), FIELD(interruptibility) } },
	{ "guest.link-pointer.address", TEXT_PAGE ", or all ones", link_address,
	  { FIELD(link_pointer) } },
	{ "guest.link-pointer.revision",
	  "the linked VMCS must have the processor's revision, and bit 31 as \"VMCS shadowing\"",
	  link_revision, { FIELD(link_pointer), FIELD(link_revision), FIELD(basic) } },
	{ "guest.link-pointer.current", "must not be the current VMCS", link_current,
	  { FIELD(link_pointer), FIELD(current_vmcs) } },
};

/* --- PDPTEs --- */

/* In PAE paging: are reserved bits of a present entry 1 (2:1, 8:5, beyond the physical-address width)? */
static bool pdpte(const struct vmx_check *c)
{
	const struct vmx_entry_state *s = c->s;
	u64 entry = rule_field(c, 0);

	return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !vmx_control(s, ENTRY(IA32E_GUEST)) &&
	       (entry & PTE_PRESENT) && ((entry & 0x1e6) || entry >> s->physical_bits);
}

#define PDPTE(name, member) \
	{ name, "bits 2:1, 8:5 and those beyond the physical-address width must be 0", pdpte, \
	  { FIELD(member) }, 0, SECONDARY(EPT) }

static const struct vmx_rule pdptes[] = {
	PDPTE("guest.pdpte0", pdpte0),
	PDPTE("guest.pdpte1", pdpte1),
	PDPTE("guest.pdpte2", pdpte2),
	PDPTE("guest.pdpte3", pdpte3),
};

const struct vmx_rule_section vmx_nonregister_rules[3] = {
	RULE_SECTION("Checks on Guest RIP, RFLAGS, and SSP", instruction_pointer),
	RULE_SECTION(TITLE_NONREGISTER, nonregister),
	RULE_SECTION("Checks on Guest Page-Directory-Pointer-Table Entries", pdptes),
};
