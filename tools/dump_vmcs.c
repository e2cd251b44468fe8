/* SPDX-License-Identifier: MIT */
/* A VMCS as KVM's dump_vmcs() and Xen's vmcs_dump_vcpu() print it, in nearly the same format. */
#include "tools/dump.h"

#include <string.h>

static const struct dump_key guest_keys[] = {
	VMX_KEY("CR0: actual=", cr0),
	{ "shadow=", VMX_PLACE(cr0_shadow), 16, "CR0: actual=" },
	{ "gh_mask=", VMX_PLACE(cr0_mask), 16, "CR0: actual=" },
	VMX_KEY("CR4: actual=", cr4),
	{ "shadow=", VMX_PLACE(cr4_shadow), 16, "CR4: actual=" },
	{ "gh_mask=", VMX_PLACE(cr4_mask), 16, "CR4: actual=" },
	VMX_KEY("CR3 = ", cr3),
	VMX_KEY("CR3: actual=", cr3),
	VMX_KEY("PDPTR0 = ", pdpte0), VMX_KEY("PDPTE0 = ", pdpte0),
	VMX_KEY("PDPTR1 = ", pdpte1), VMX_KEY("PDPTE1 = ", pdpte1),
	VMX_KEY("PDPTR2 = ", pdpte2), VMX_KEY("PDPTE2 = ", pdpte2),
	VMX_KEY("PDPTR3 = ", pdpte3), VMX_KEY("PDPTE3 = ", pdpte3),
	VMX_KEY("RSP = ", rsp),
	VMX_KEY("RIP = ", rip),
	VMX_KEY("RFLAGS=", rflags),
	VMX_KEY("DR7 = ", dr7),
	VMX_KEY("Sysenter RSP=", sysenter_esp),
	VMX_KEY("EFER= ", efer), VMX_KEY("EFER = ", efer),
	VMX_KEY("EFER(VMCS) = ", efer), VMX_KEY("EFER(MSR LL) = ", efer),
	VMX_KEY("PAT = ", pat),
	VMX_KEY("DebugCtl = ", debugctl),
	VMX_KEY("DebugExceptions = ", pending_debug),
	VMX_KEY("PerfGlobCtl = ", perf),
	VMX_KEY("BndCfgS = ", bndcfgs),
	VMX_KEY("Interruptibility = ", interruptibility),
	VMX_KEY("ActivityState = ", activity),
	VMX_KEY("S_CET = ", s_cet),
	VMX_KEY("SSP = ", ssp),
	VMX_KEY("SSP TABLE = ", ssp_table),
};

static const struct dump_key host_keys[] = {
	VMX_KEY("RIP = ", host_rip), VMX_KEY("RSP = ", host_rsp),
	VMX_KEY("CS=", host_cs), VMX_KEY("SS=", host_ss), VMX_KEY("DS=", host_ds),
	VMX_KEY("ES=", host_es), VMX_KEY("FS=", host_fs), VMX_KEY("GS=", host_gs),
	VMX_KEY("TR=", host_tr),
	VMX_KEY("FSBase=", host_fs_base),
	VMX_KEY("GSBase=", host_gs_base),
	VMX_KEY("TRBase=", host_tr_base),
	VMX_KEY("GDTBase=", host_gdtr_base),
	VMX_KEY("IDTBase=", host_idtr_base),
	VMX_KEY("CR0=", host_cr0), VMX_KEY("CR3=", host_cr3), VMX_KEY("CR4=", host_cr4),
	VMX_KEY("Sysenter RSP=", host_sysenter_esp),
	VMX_KEY("EFER= ", host_efer), VMX_KEY("EFER = ", host_efer),
	VMX_KEY("PAT = ", host_pat),
	VMX_KEY("PerfGlobCtl = ", host_perf),
	VMX_KEY("S_CET = ", host_s_cet),
	VMX_KEY("SSP = ", host_ssp),
	VMX_KEY("SSP TABLE = ", host_ssp_table),
};

static const struct dump_key control_keys[] = {
	VMX_KEY("PinBased=", pin),
	VMX_KEY("CPUBased=", primary),
	VMX_KEY("SecondaryExec=", secondary),
	VMX_KEY("TertiaryExec=", tertiary),
	VMX_KEY("EntryControls=", entry),
	VMX_KEY("ExitControls=", exit),
	VMX_KEY("ExceptionBitmap=", exception_bitmap),
	VMX_KEY("VMEntry: intr_info=", event),
	{ "errcode=", VMX_PLACE(event_error), 16, "VMEntry:" },
	{ "ilen=", VMX_PLACE(event_length), 16, "VMEntry:" },
	VMX_KEY("TSC Offset = ", tsc_offset),
	VMX_KEY("TSC Multiplier = ", tsc_multiplier),
	VMX_KEY("TPR Threshold = ", tpr_threshold),
	VMX_KEY("PostedIntrVec = ", notification_vector),
	VMX_KEY("APIC-access addr = ", apic_access),
	VMX_KEY("virt-APIC addr = ", virtual_apic),
	VMX_KEY("EPT pointer = ", ept_pointer),
	VMX_KEY("Virtual processor ID = ", vpid),
	VMX_KEY("VMfunc controls = ", vm_functions),
};

static const struct {
	const char *title;
	const struct dump_key *keys;
	unsigned count;
} sections[] = {
	[SECTION_GUEST] = { "*** Guest State ***", guest_keys, ARRAY_SIZE(guest_keys) },
	[SECTION_HOST] = { "*** Host State ***", host_keys, ARRAY_SIZE(host_keys) },
	[SECTION_CONTROL] = { "*** Control State ***", control_keys, ARRAY_SIZE(control_keys) },
};

/* "CS:RIP=0010:ffffffff81a00000" */
static void read_sysenter(struct dump *dump, const char *line)
{
	const char *at = dump_find(line, "CS:RIP="), *colon = at ? strchr(at, ':') : NULL;
	bool host = dump->section == SECTION_HOST;
	u64 eip;

	if (!colon || dump_numbers(colon + 1, &eip, 1) != 1)
		return;
	dump_set(dump, host ? offsetof(struct vmx_entry_state, host_sysenter_eip) :
			      offsetof(struct vmx_entry_state, sysenter_eip), sizeof(u64), eip);
}

static void read_segment(struct dump *dump, const char *line)
{
	static const char names[SEG_COUNT][6] = {
		[SEG_ES] = "ES:", [SEG_CS] = "CS:", [SEG_SS] = "SS:", [SEG_DS] = "DS:",
		[SEG_FS] = "FS:", [SEG_GS] = "GS:", [SEG_LDTR] = "LDTR:", [SEG_TR] = "TR:",
	};

	for (enum vcpu_segment i = SEG_ES; i < SEG_COUNT; i++) {
		const char *at = dump_find(line, names[i]);
		u64 values[4];	/* selector, access rights, limit, base */

		if (!at || dump_numbers(at, values, 4) != 4)
			continue;
		dump_set(dump, VMX_PLACE(segments[i].selector), values[0]);
		dump_set(dump, VMX_PLACE(segments[i].rights), values[1]);
		dump_set(dump, VMX_PLACE(segments[i].limit), values[2]);
		dump_set(dump, VMX_PLACE(segments[i].base), values[3]);
	}
}

static void read_table(struct dump *dump, const char *line)
{
	const char *gdtr = dump_find(line, "GDTR:"), *idtr = dump_find(line, "IDTR:");
	u64 values[2];	/* limit, base */

	if (gdtr && dump_numbers(gdtr, values, 2) == 2) {
		dump_set(dump, VMX_PLACE(gdtr_limit), values[0]);
		dump_set(dump, VMX_PLACE(gdtr_base), values[1]);
	}
	if (idtr && dump_numbers(idtr, values, 2) == 2) {
		dump_set(dump, VMX_PLACE(idtr_limit), values[0]);
		dump_set(dump, VMX_PLACE(idtr_base), values[1]);
	}
}

void dump_read_vmcs_line(struct dump *dump, const char *line)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sections); i++)
		if (strstr(line, sections[i].title))
			dump->section = i;
	dump_read_keys(dump, line, sections[dump->section].keys, sections[dump->section].count);
	if (strstr(line, "Sysenter")) {
		read_sysenter(dump, line);
	} else if (dump->section == SECTION_GUEST) {
		read_segment(dump, line);
		read_table(dump, line);
	}
}
