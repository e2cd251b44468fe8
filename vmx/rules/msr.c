/* SPDX-License-Identifier: MIT */
/* Intel SDM, "Loading MSRs". An entry that breaks a rule here means exit reason 34. */
#include "vmx/rules/rule.h"

#define MSR_SMM_MONITOR_CTL 0x9b

static bool reserved(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->reserved;
}

static bool fs_gs_base(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index == MSR_FS_BASE || e->index == MSR_GS_BASE;
}

static bool x2apic(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index >> 8 == 8;
}

static bool smm_only(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index == MSR_SMM_MONITOR_CTL;
}

static bool microcode(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index == MSR_BIOS_UPDT_TRIG || e->index == MSR_BIOS_SIGN_ID;
}

static bool efer(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index == MSR_EFER && (e->value & ~EFER_VALID);
}

static bool pat(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return e->index == MSR_PAT && vmx_pat_broken(e->value);
}

static bool address(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	switch (e->index) {
	case MSR_SYSENTER_ESP:
	case MSR_SYSENTER_EIP:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_KERNEL_GS_BASE:
		return !vmx_canonical(s, e->value);
	default:
		return false;
	}
}

static bool refused(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	return true;
}

static const struct {
	bool (*broken)(const struct vmx_entry_state *s, const struct vmx_msr_entry *e);
	const char *name, *text;
} rules[] = {
	{ fs_gs_base, "msr-load.fs-gs-base", "FS_BASE and GS_BASE cannot be loaded from the area" },
	{ x2apic, "msr-load.x2apic", "the local APIC's MSRs cannot be loaded from the area" },
	{ smm_only, "msr-load.smm", "this MSR can be written in SMM only" },
	{ microcode, "msr-load.microcode", "microcode updates cannot be triggered by the area" },
	{ reserved, "msr-load.reserved", "bits 63:32 of the entry must be 0" },
	{ efer, "msr-load.efer", "WRMSR refuses the value: reserved bits must be 0" },
	{ pat, "msr-load.pat", "WRMSR refuses the value: " TEXT_PAT },
	{ address, "msr-load.canonical", "WRMSR refuses the value: it must be canonical" },
	{ refused, "msr-load.wrmsr", "WRMSR refuses the MSR or the value" },
};

/* The last rule is for what only WRMSR knows. */
static unsigned first_broken(const struct vmx_entry_state *s, const struct vmx_msr_entry *e)
{
	unsigned i = 0;

	while (!rules[i].broken(s, e))
		i++;
	return i;
}

bool vmx_msr_load_refused(const struct vmx_entry_state *s, const struct vmx_msr_entry *entry)
{
	return first_broken(s, entry) < ARRAY_SIZE(rules) - 1;
}

void vmx_explain_msr_load(const struct vmx_entry_state *s, const struct vmx_msr_entry *entry,
			  struct violation *violation)
{
	unsigned i = first_broken(s, entry);

	*violation = (struct violation){
		.name = rules[i].name, .text = rules[i].text, .section = TITLE_MSR_LOAD,
	};
	violation_add_value(violation, "MSR", entry->index);
	violation_add_value(violation, "value", entry->value);
	if (entry->reserved)
		violation_add_value(violation, "reserved", entry->reserved);
}
