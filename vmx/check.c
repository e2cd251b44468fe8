/* SPDX-License-Identifier: MIT */
/*
 * Why the processor refused a VM entry, in words. Intel SDM, "VM-Instruction Error Numbers",
 * "Checks on the Guest State Area", "VM-Entry Failures During or After Loading Guest State".
 *
 * The rules here are those that get broken, not all that there are.
 */
#include "arch/cpufeature.h"
#include "arch/x86.h"
#include "vmx/vmx.h"

static const char *const instruction_errors[] = {
	[1] = "VMCALL executed in VMX root operation",
	[2] = "VMCLEAR with invalid physical address",
	[3] = "VMCLEAR with VMXON pointer",
	[4] = "VMLAUNCH with non-clear VMCS",
	[5] = "VMRESUME with non-launched VMCS",
	[6] = "VMRESUME after VMXOFF",
	[7] = "VM entry with invalid control fields",
	[8] = "VM entry with invalid host-state fields",
	[9] = "VMPTRLD with invalid physical address",
	[10] = "VMPTRLD with VMXON pointer",
	[11] = "VMPTRLD with incorrect VMCS revision identifier",
	[12] = "VMREAD or VMWRITE of an unsupported field",
	[13] = "VMWRITE to a read-only field",
	[15] = "VMXON executed in VMX root operation",
	[16] = "VM entry with invalid executive-VMCS pointer",
	[17] = "VM entry with non-launched executive VMCS",
	[18] = "VM entry with executive-VMCS pointer not VMXON pointer",
	[19] = "VMCALL with non-clear VMCS",
	[20] = "VMCALL with invalid VM-exit control fields",
	[22] = "VMCALL with incorrect MSEG revision identifier",
	[23] = "VMXOFF under dual-monitor treatment of SMIs and SMM",
	[24] = "VMCALL with invalid SMM-monitor features",
	[25] = "VM entry with invalid control fields in the executive VMCS",
	[26] = "VM entry with events blocked by MOV SS",
	[28] = "invalid operand to INVEPT or INVVPID",
};

/* What the rules look at, read once. */
struct guest_state {
	u64 cr0, cr3, cr4, efer, dr7, rip, rflags, link, debugctl, pending_debug;
	u32 entry_controls, secondary, event, interruptibility, activity;
	struct segment segments[SEG_COUNT];
	struct descriptor_table gdtr, idtr;
	bool long_mode, code_64, paging, virtual_8086, injecting;
};

static void read_state(struct vcpu *vcpu, struct guest_state *s)
{
	*s = (struct guest_state){
		.cr0 = vmcs_readn(GUEST_CR0),
		.cr3 = vmcs_readn(GUEST_CR3),
		.cr4 = vmcs_readn(GUEST_CR4),
		.efer = to_vmx(vcpu)->efer,
		.dr7 = vmcs_readn(GUEST_DR7),
		.rip = vmcs_readn(GUEST_RIP),
		.rflags = vmcs_readn(GUEST_RFLAGS),
		.link = vmcs_read64(VMCS_LINK_POINTER),
		.debugctl = vmcs_read64(GUEST_DEBUGCTL),
		.pending_debug = vmcs_readn(GUEST_PENDING_DEBUG),
		.entry_controls = vmcs_read32(ENTRY_CONTROLS),
		.secondary = vmcs_read32(SECONDARY_CONTROLS),
		.event = vmcs_read32(ENTRY_INTERRUPTION_INFO),
		.interruptibility = vmcs_read32(GUEST_INTERRUPTIBILITY),
		.activity = vmcs_read32(GUEST_ACTIVITY),
	};
	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++)
		vmx_segment_get(vcpu, i, &s->segments[i]);
	vmx_table_get(vcpu, false, &s->gdtr);
	vmx_table_get(vcpu, true, &s->idtr);
	s->long_mode = s->entry_controls & ENTRY_IA32E_GUEST;
	s->code_64 = s->long_mode && s->segments[SEG_CS].l;
	s->paging = s->cr0 & CR0_PG;
	s->virtual_8086 = s->rflags & RFLAGS_VM;
	s->injecting = s->event & INTERRUPTION_VALID;
}

static bool canonical(u64 address)
{
	unsigned unused = 64 - cpu_features.linear_address_bits;

	return (u64)((s64)(address << unused) >> unused) == address;
}

static bool injects(const struct guest_state *s, enum interruption_type type)
{
	return s->injecting && INTERRUPTION_TYPE(s->event) == (u32)type;
}

/* --- the rules: each answers whether it is broken --- */

static bool paging_without_protection(const struct guest_state *s)
{
	return s->paging && !(s->cr0 & CR0_PE);
}

static bool cr0_fixed(const struct guest_state *s)
{
	u64 must = vmx_caps.cr0_fixed0 & ~(CR0_PE | CR0_PG);

	return (s->cr0 & must) != must || (s->cr0 & ~vmx_caps.cr0_fixed1);
}

static bool cr4_fixed(const struct guest_state *s)
{
	return (s->cr4 & vmx_caps.cr4_fixed0) != vmx_caps.cr4_fixed0 ||
	       (s->cr4 & ~vmx_caps.cr4_fixed1);
}

static bool long_mode_without_paging(const struct guest_state *s)
{
	return s->long_mode && (!s->paging || !(s->cr4 & CR4_PAE));
}

static bool pcid_outside_long_mode(const struct guest_state *s)
{
	return !s->long_mode && (s->cr4 & CR4_PCIDE);
}

static bool cr3_too_wide(const struct guest_state *s)
{
	return s->cr3 >> cpu_features.physical_address_bits;
}

static bool lma_differs(const struct guest_state *s)
{
	return !!(s->efer & EFER_LMA) != s->long_mode;
}

static bool lme_differs(const struct guest_state *s)
{
	return s->paging && !!(s->efer & EFER_LME) != !!(s->efer & EFER_LMA);
}

static bool dr7_high(const struct guest_state *s)
{
	return s->dr7 >> 32;
}

static bool rflags_reserved(const struct guest_state *s)
{
	const u64 defined = 0x3f7fd7;	/* all but bits 3, 5, 15 and from 22 on; bit 1 is 1 */

	return (s->rflags & ~defined) || !(s->rflags & RFLAGS_FIXED);
}

static bool virtual_8086_in_long_mode(const struct guest_state *s)
{
	return s->virtual_8086 && (s->long_mode || !(s->cr0 & CR0_PE));
}

static bool interrupt_with_if_clear(const struct guest_state *s)
{
	return injects(s, INTERRUPTION_EXTERNAL) && !(s->rflags & RFLAGS_IF);
}

static bool interrupt_in_shadow(const struct guest_state *s)
{
	return injects(s, INTERRUPTION_EXTERNAL) &&
	       (s->interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

static bool nmi_in_shadow(const struct guest_state *s)
{
	return injects(s, INTERRUPTION_NMI) && (s->interruptibility & INTERRUPTIBILITY_MOV_SS);
}

static bool nmi_while_blocked(const struct guest_state *s)
{
	return injects(s, INTERRUPTION_NMI) && vmx_has_virtual_nmis() &&
	       (s->interruptibility & INTERRUPTIBILITY_NMI);
}

static bool two_shadows(const struct guest_state *s)
{
	return (s->interruptibility & INTERRUPTIBILITY_STI) &&
	       (s->interruptibility & INTERRUPTIBILITY_MOV_SS);
}

static bool sti_shadow_with_if_clear(const struct guest_state *s)
{
	return (s->interruptibility & INTERRUPTIBILITY_STI) && !(s->rflags & RFLAGS_IF);
}

static bool activity_unknown(const struct guest_state *s)
{
	return s->activity > 3;
}

static bool activity_in_shadow(const struct guest_state *s)
{
	return s->activity &&
	       (s->interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS));
}

static bool step_lost_in_shadow(const struct guest_state *s)
{
	bool shadow = s->interruptibility & (INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS);
	bool step = (s->rflags & RFLAGS_TF) && !(s->debugctl & BIT(1));

	return (shadow || s->activity == 1) && step != !!(s->pending_debug & PENDING_DEBUG_BS);
}

static bool rip_high(const struct guest_state *s)
{
	return !s->code_64 && s->rip >> 32;
}

static bool rip_not_canonical(const struct guest_state *s)
{
	return s->code_64 && !canonical(s->rip);
}

static bool cs_type(const struct guest_state *s)
{
	const struct segment *cs = &s->segments[SEG_CS];
	bool accessed_code = (cs->type & 9) == 9;

	return !s->virtual_8086 && !(accessed_code || cs->type == 3);
}

static bool cs_not_there(const struct guest_state *s)
{
	const struct segment *cs = &s->segments[SEG_CS];

	return cs->unusable || !cs->s || !cs->present;
}

static bool cs_l_and_d(const struct guest_state *s)
{
	return s->code_64 && s->segments[SEG_CS].db;
}

static bool cs_dpl(const struct guest_state *s)
{
	const struct segment *cs = &s->segments[SEG_CS], *ss = &s->segments[SEG_SS];

	if (s->virtual_8086)
		return false;
	if (cs->type == 3)
		return cs->dpl != 0;
	return cs->type & 4 ? cs->dpl > ss->dpl : cs->dpl != ss->dpl;
}

static bool ss_type(const struct guest_state *s)
{
	const struct segment *ss = &s->segments[SEG_SS];

	return !s->virtual_8086 && !ss->unusable && ss->type != 3 && ss->type != 7;
}

static bool ss_dpl(const struct guest_state *s)
{
	const struct segment *ss = &s->segments[SEG_SS];

	return !s->virtual_8086 && (s->segments[SEG_CS].type == 3 || !(s->cr0 & CR0_PE)) &&
	       ss->dpl != 0;
}

static bool data_type(const struct guest_state *s)
{
	static const u8 data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		const struct segment *d = &s->segments[data[i]];
		bool readable = !(d->type & 8) || (d->type & 2);

		if (!s->virtual_8086 && !d->unusable &&
		    (!(d->type & 1) || !readable || !d->s || !d->present))
			return true;
	}
	return false;
}

static bool granularity(const struct guest_state *s)
{
	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++) {
		const struct segment *d = &s->segments[i];

		if (d->unusable || (s->virtual_8086 && i <= SEG_GS))
			continue;
		if (((d->limit & 0xfff) != 0xfff && d->g) || (d->limit >> 20 && !d->g))
			return true;
	}
	return false;
}

static bool virtual_8086_segments(const struct guest_state *s)
{
	for (enum vcpu_segment i = SEG_ES; s->virtual_8086 && i <= SEG_GS; i++) {
		const struct segment *d = &s->segments[i];

		if (d->base != (u64)d->selector << 4 || d->limit != 0xffff || d->type != 3 ||
		    d->dpl != 3)
			return true;
	}
	return false;
}

static bool tr_type(const struct guest_state *s)
{
	const struct segment *tr = &s->segments[SEG_TR];
	bool busy = tr->type == 11 || (tr->type == 3 && !s->long_mode);

	return tr->unusable || tr->s || !tr->present || !busy || (tr->selector & 4);
}

static bool ldtr_type(const struct guest_state *s)
{
	const struct segment *ldtr = &s->segments[SEG_LDTR];

	return !ldtr->unusable &&
	       (ldtr->s || !ldtr->present || ldtr->type != 2 || (ldtr->selector & 4));
}

static bool bases(const struct guest_state *s)
{
	const struct segment *g = s->segments;

	if (!canonical(g[SEG_FS].base) || !canonical(g[SEG_GS].base) ||
	    !canonical(g[SEG_TR].base) || !canonical(s->gdtr.base) || !canonical(s->idtr.base))
		return true;
	if (!g[SEG_LDTR].unusable && !canonical(g[SEG_LDTR].base))
		return true;
	for (enum vcpu_segment i = SEG_ES; i <= SEG_DS; i++)
		if ((i == SEG_CS || !g[i].unusable) && g[i].base >> 32)
			return true;
	return false;
}

static bool link_pointer(const struct guest_state *s)
{
	return s->link != ~0ull;
}

static const struct rule {
	bool (*broken)(const struct guest_state *s);
	const char *words;
} rules[] = {
	{ interrupt_with_if_clear, "RFLAGS.IF must be 1 to inject an external interrupt" },
	{ interrupt_in_shadow,
	  "no external interrupt may be injected in the shadow of STI or MOV SS" },
	{ nmi_in_shadow, "no NMI may be injected in the shadow of MOV SS" },
	{ nmi_while_blocked, "no NMI may be injected while NMIs are blocked" },
	{ two_shadows, "the shadows of STI and of MOV SS exclude each other" },
	{ sti_shadow_with_if_clear, "RFLAGS.IF must be 1 in the shadow of STI" },
	{ activity_unknown, "the activity state must be 0 to 3" },
	{ activity_in_shadow, "the activity state must be active in the shadow of STI or MOV SS" },
	{ step_lost_in_shadow,
	  "pending debug exceptions must have BS exactly when RFLAGS.TF steps, in a shadow" },
	{ paging_without_protection, "CR0.PG needs CR0.PE" },
	{ cr0_fixed, "CR0 must have the bits that IA32_VMX_CR0_FIXED0 and FIXED1 prescribe" },
	{ cr4_fixed, "CR4 must have the bits that IA32_VMX_CR4_FIXED0 and FIXED1 prescribe" },
	{ long_mode_without_paging, "IA-32e mode needs CR0.PG and CR4.PAE" },
	{ pcid_outside_long_mode, "CR4.PCIDE must be 0 outside IA-32e mode" },
	{ cr3_too_wide, "CR3 must not exceed the physical address width" },
	{ lma_differs, "EFER.LMA must equal the control \"IA-32e mode guest\"" },
	{ lme_differs, "EFER.LME must equal EFER.LMA while paging is on" },
	{ dr7_high, "DR7 bits 63:32 must be 0" },
	{ rflags_reserved, "RFLAGS must have its reserved bits as they are fixed" },
	{ virtual_8086_in_long_mode, "RFLAGS.VM must be 0 in IA-32e mode and in real mode" },
	{ rip_high, "RIP bits 63:32 must be 0 outside 64-bit mode" },
	{ rip_not_canonical, "RIP must be canonical" },
	{ cs_not_there, "CS must be usable, present and a code or data segment" },
	{ cs_type, "CS must be an accessed code segment, or type 3 for an unrestricted guest" },
	{ cs_l_and_d, "CS.D must be 0 where CS.L is 1 in IA-32e mode" },
	{ cs_dpl, "CS.DPL must fit SS.DPL" },
	{ ss_type, "SS must be an accessed, writable data segment" },
	{ ss_dpl, "SS.DPL must be 0 in real mode" },
	{ data_type, "DS, ES, FS and GS must be present, accessed and readable, or unusable" },
	{ granularity, "a segment's granularity must fit its limit" },
	{ virtual_8086_segments,
	  "virtual-8086 segments must have base = selector * 16, limit 0xffff, rights 0xf3" },
	{ tr_type, "TR must be a present busy TSS, a 64-bit one in IA-32e mode" },
	{ ldtr_type, "LDTR must be a present LDT, or unusable" },
	{ bases, "bases must be canonical, those of ES, CS, SS and DS below 4 GiB" },
	{ link_pointer, "the VMCS link pointer must be all ones" },
};

static const char *broken_rule(struct vcpu *vcpu, u64 qualification)
{
	struct guest_state state;

	/* SDM, "VM-Entry Failures ...": for these the qualification tells. */
	if (qualification == 2)
		return "a PDPTE that is present has reserved bits set";
	if (qualification == 3)
		return "no NMI may be injected in the shadow of STI";
	if (qualification == 4)
		return "the VMCS link pointer must be all ones";
	read_state(vcpu, &state);
	for (unsigned i = 0; i < ARRAY_SIZE(rules); i++)
		if (rules[i].broken(&state))
			return rules[i].words;
	return "a rule that Lamina does not check; the state follows";
}

#define FAILED "vcpu %u: VM entry failed: "

static const char *instruction_error_name(u32 error)
{
	if (error < ARRAY_SIZE(instruction_errors) && instruction_errors[error])
		return instruction_errors[error];
	return "unknown error";
}

void vmx_explain_failure(struct vcpu *vcpu)
{
	const struct failure_record *failure = &vcpu->failure;
	unsigned long long qualification = failure->qualification;
	u32 reason = (u32)failure->reason;

	switch (failure->kind) {
	case ENTRY_OK:
		break;
	case ENTRY_VMFAIL_INVALID:
		vm_error(vcpu->vm, FAILED "VMfailInvalid: there is no current VMCS", vcpu->id);
		break;
	case ENTRY_VMFAIL_VALID:
		vm_error(vcpu->vm, FAILED "VMfailValid: %s (VM-instruction error %u)", vcpu->id,
			 instruction_error_name(failure->instruction_error),
			 failure->instruction_error);
		break;
	case ENTRY_INVALID_STATE:
		vm_error(vcpu->vm,
			 FAILED "invalid guest state (reason 0x%x, qualification %llu): %s",
			 vcpu->id, reason, qualification, broken_rule(vcpu, qualification));
		break;
	case ENTRY_MSR_LOADING:
		vm_error(vcpu->vm,
			 FAILED "MSR loading (reason 0x%x): entry %llu of the list is refused",
			 vcpu->id, reason, qualification);
		break;
	case ENTRY_MACHINE_CHECK:
		vm_error(vcpu->vm, FAILED "machine check during VM entry (reason 0x%x)", vcpu->id,
			 reason);
		break;
	case ENTRY_UNKNOWN:
		vm_error(vcpu->vm, FAILED "reason 0x%x has no name (qualification 0x%llx)",
			 vcpu->id, reason, qualification);
		break;
	}
}
