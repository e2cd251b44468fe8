/* SPDX-License-Identifier: MIT */
/* The rules of VM entry, bit by bit and value by value: which ones of a field break a rule, and which do not. */
/* link: vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c vmx/rules/guest.c */
/* link: vmx/rules/segments.c vmx/rules/nonregister.c core/observe/entry_rule.c lib/string.c */
/* cflags: -Wno-missing-field-initializers */
#include "tests/unit/vmx_entry_states.h"

/* --- one bit at a time --- */

struct bits {
	const char *rule;
	void (*base)(void);
	u8 field;
	u64 breaking;		/* the bits that break the rule when they change; all others leave it kept */
	struct change changes[4];	/* made before */
};

static unsigned width_of(unsigned field)
{
	static const u8 widths[] = { 16, 64, 32, 64 };

	return field >= VMX_FIRST_PROCESSOR ? 64 : widths[vmx_field_number(field) >> 13 & 3];
}

static bool breaks(const char *rule)
{
	check();
	return was_broken(rule);
}

static void change_each_bit(const struct bits *c)
{
	c->base();
	for (unsigned i = 0; i < ARRAY_SIZE(c->changes); i++)
		apply(&c->changes[i]);
	if (breaks(c->rule))
		fail_msg("%s is broken from the start", c->rule);
	for (unsigned bit = 0; bit < width_of(c->field); bit++) {
		((u64 *)&s)[c->field] ^= BIT_ULL(bit);
		if (breaks(c->rule) != (c->breaking >> bit & 1))
			fail_msg("%s: bit %u of %s makes %s", c->rule, bit, vmx_field_name(c->field).text,
				 c->breaking >> bit & 1 ? "no difference" : "one");
		((u64 *)&s)[c->field] ^= BIT_ULL(bit);
	}
}

#define F(member) VMX_FIELD(member)
#define ABOVE_40	(~0ull << 40)	/* the physical-address width */
#define HIGH_HALF	(~0ull << 32)
#define NOT_CANONICAL	(~0ull << 47)	/* one of these, in an address that is 0 */
#define PAGE_ADDRESS	(ABOVE_40 | 0xfff)
#define PAT_FROM_UC	0xfafafafafafafafaull	/* 1 is WC and 4 is WT; 2 and what is over 7 is no type */
#define SHADOW		BIT(1)		/* blocking by MOV SS */

static const struct bits controls[] = {
	{ "control.pin.reserved", long_mode, F(pin), 0xffffff96, { SET(allowed_pin, 0x7full << 32 | 0x16) } },
	{ "control.primary.reserved", long_mode, F(primary), 0x16, { SET(allowed_primary, HIGH_HALF | 0x16),
	  ON(primary, 0x16) } },
	{ "control.secondary.reserved", long_mode, F(secondary), BIT(30), { OFF(allowed_secondary, 1ull << 62) } },
	{ "control.tertiary.reserved", long_mode, F(tertiary), ~0xffull },
	{ "control.exit.reserved", long_mode, F(exit), BIT(9) | BIT(3), { OFF(allowed_exit, 1ull << 35),
	  ON(allowed_exit, BIT(9)) } },
	{ "control.secondary-exit.reserved", long_mode, F(secondary_exit), ~0xffull },
	{ "control.entry.reserved", long_mode, F(entry), BIT(9) | BIT(3), { OFF(allowed_entry, 1ull << 35),
	  ON(allowed_entry, BIT(9)) } },
	{ "control.cr3-target-count", long_mode, F(cr3_target_count), 0xfffffe00, { SET(misc, 0x1ff << 16) } },
	{ "control.cr3-target-count", long_mode, F(misc), 0x1ff << 16,
	  { SET(misc, 0x1ff << 16), SET(cr3_target_count, 0x1ff) } },
	{ "control.io-bitmap-a", long_mode, F(io_bitmap_a), PAGE_ADDRESS, { ON(primary, BIT(25)) } },
	{ "control.io-bitmap-b", long_mode, F(io_bitmap_b), PAGE_ADDRESS, { ON(primary, BIT(25)) } },
	{ "control.io-bitmap-b", long_mode, F(io_bitmap_b), HIGH_HALF | 0xfff,
	  { ON(primary, BIT(25)), ON(basic, 1ull << 48) } },
	{ "control.msr-bitmap", long_mode, F(msr_bitmap), PAGE_ADDRESS },
	{ "control.virtual-apic", long_mode, F(virtual_apic), PAGE_ADDRESS, { ON(primary, BIT(21)) } },
	{ "control.apic-access", long_mode, F(apic_access), PAGE_ADDRESS, { ON(secondary, BIT(0)) } },
	{ "control.pml.address", long_mode, F(pml), PAGE_ADDRESS, { ON(secondary, BIT(17)) } },
	{ "control.sub-page.address", long_mode, F(sub_page), PAGE_ADDRESS, { ON(secondary, BIT(23)) } },
	{ "control.eptp-switching.list", long_mode, F(eptp_list), PAGE_ADDRESS,
	  { ON(secondary, BIT(13)), SET(vm_functions, 1) } },
	{ "control.eptp-switching.list", long_mode, F(vm_functions), BIT(0),
	  { ON(secondary, BIT(13)), SET(eptp_list, 1) } },
	{ "control.eptp-switching.ept", long_mode, F(vm_functions), BIT(0),
	  { ON(secondary, BIT(13)), OFF(secondary, BIT(1)) } },
	{ "control.vm-functions.reserved", long_mode, F(vm_functions), ~1ull, { ON(secondary, BIT(13)) } },
	{ "control.vmcs-shadowing.vmread", long_mode, F(vmread_bitmap), PAGE_ADDRESS, { ON(secondary, BIT(14)) } },
	{ "control.vmcs-shadowing.vmwrite", long_mode, F(vmwrite_bitmap), PAGE_ADDRESS, { ON(secondary, BIT(14)) } },
	{ "control.virtualization-exception.information", long_mode, F(exception_info), PAGE_ADDRESS,
	  { ON(secondary, BIT(18)) } },
	{ "control.tpr-threshold.reserved", long_mode, F(tpr_threshold), 0xfffffff0, { ON(primary, BIT(21)) } },
	{ "control.tpr-threshold.vtpr", long_mode, F(virtual_tpr), 0xf0,
	  { ON(primary, BIT(21)), SET(virtual_tpr, 0xf0), SET(tpr_threshold, 15) } },
	/* Only bits 3:0 are compared. */
	{ "control.tpr-threshold.vtpr", long_mode, F(tpr_threshold), 0, { ON(primary, BIT(21)),
	  SET(virtual_tpr, 0xf0), SET(tpr_threshold, 15) } },
	{ "control.tpr-threshold.vtpr", long_mode, F(secondary), 0, { SET(primary, BIT(31)), SET(tpr_threshold, 15) } },
	{ "control.tpr-threshold.vtpr", long_mode, F(features), VMX_FEATURE_VIRTUAL_TPR,
	  { ON(primary, BIT(21)), SET(tpr_threshold, 15), OFF(features, VMX_FEATURE_VIRTUAL_TPR) } },
	{ "control.posted-interrupts.vector", long_mode, F(notification_vector), 0xff00, { ON(pin, BIT(7)) } },
	{ "control.posted-interrupts.descriptor", long_mode, F(posted_interrupt), ABOVE_40 | 0x3f,
	  { ON(pin, BIT(7)) } },
	{ "control.ept-pointer.accessed-dirty", long_mode, F(ept_pointer), BIT(6), { OFF(ept_vpid, BIT(21)) } },
	{ "control.ept-pointer.accessed-dirty", long_mode, F(ept_vpid), BIT(21), { ON(ept_pointer, BIT(6)) } },
	{ "control.ept-pointer.shadow-stack", long_mode, F(ept_pointer), BIT(7), { OFF(ept_vpid, BIT(23)) } },
	{ "control.ept-pointer.shadow-stack", long_mode, F(ept_vpid), BIT(23), { ON(ept_pointer, BIT(7)) } },
	{ "control.ept-pointer.reserved", long_mode, F(ept_pointer), ABOVE_40 | 0xf00 },
	{ "control.ept-pointer.memory-type", long_mode, F(ept_vpid), BIT(14) },
	{ "control.ept-pointer.walk-length", long_mode, F(ept_vpid), BIT(6) },
	{ "control.hlat.pointer", long_mode, F(hlat_pointer), ABOVE_40 | 0xfe7, { ON(tertiary, BIT(1)) } },
	{ "control.ipi-virtualization.table", long_mode, F(pid_table), ABOVE_40 | 7, { ON(tertiary, BIT(4)) } },
	/* One entry of 8 bytes fits below the end, and no second one. */
	{ "control.ipi-virtualization.table", long_mode, F(pid_last), 0xffff,
	  { ON(tertiary, BIT(4)), SET(pid_table, FAR - 8) } },
	/* Two fit here; each further one is out, though the table begins below the end. */
	{ "control.ipi-virtualization.table", long_mode, F(pid_last), 0xfffe,
	  { ON(tertiary, BIT(4)), SET(pid_table, FAR - 16) } },
	/* 1023 entries, the last one's index being 1022. */
	{ "control.ipi-virtualization.table", long_mode, F(pid_last), 0xfc01,
	  { ON(tertiary, BIT(4)), SET(pid_table, FAR - 0x1ff8), SET(pid_last, 0x3fe) } },
	{ "control.exit-msr-store", long_mode, F(exit_store), ABOVE_40 | 15, { SET(exit_store_count, 1) } },
	{ "control.exit-msr-load", long_mode, F(exit_load), ABOVE_40 | 15, { SET(exit_load_count, 1) } },
	{ "control.entry-msr-load", long_mode, F(entry_load), ABOVE_40 | 15, { SET(entry_load_count, 1) } },
	/* From one entry, which fits below the end, to none, and to three and more. */
	{ "control.entry-msr-load", long_mode, F(entry_load_count), 0xfffffffe,
	  { SET(entry_load_count, 1), SET(entry_load, FAR - 16) } },
	/* 512 entries take 8 KiB: none more fits. */
	{ "control.exit-msr-store", long_mode, F(exit_store_count), 0xfffffdff,
	  { SET(exit_store_count, 0x200), SET(exit_store, FAR - 0x2000) } },
	{ "control.event.reserved", long_mode, F(event), 0x7ffff000, { SET(event, EVENT(0u, 0x30)) } },
	{ "control.event.error-code.reserved", long_mode, F(event_error), 0xffff0000,
	  { SET(event, EVENT(3u, 13) | ERROR_CODE) } },
	{ "control.event.error-code.real-mode", real_mode, F(event), BIT(11), { SET(event, EVENT(3u, 13)) } },
	{ "control.event.error-code.missing", real_mode, F(event), 0, { SET(event, EVENT(3u, 13)) } },
	{ "control.event.error-code.missing", pae_mode, F(event), BIT(11),
	  { SET(event, EVENT(3u, 13) | BIT(11)) } },
	{ "control.event.instruction-length", long_mode, F(misc), BIT(30),
	  { SET(event, EVENT(4u, 0x80)), ON(misc, BIT(30)) } },
};

static const struct bits host[] = {
	{ "host.cr0.fixed", long_mode, F(host_cr0), HIGH_HALF | CR0_PG | CR0_NE | CR0_PE },
	{ "host.cr4.fixed", long_mode, F(host_cr4), ~0xffffffull | CR4_VMXE },
	{ "host.cr3.width", long_mode, F(host_cr3), ABOVE_40 },
	{ "host.cr3.width", long_mode, F(host_cr3), ABOVE_40 & ~(3ull << 61), { ON(features, VMX_FEATURE_LAM) } },
	{ "host.sysenter-esp", long_mode, F(host_sysenter_esp), NOT_CANONICAL },
	{ "host.sysenter-eip", long_mode, F(host_sysenter_eip), NOT_CANONICAL },
	{ "host.sysenter-eip", long_mode, F(host_sysenter_eip), ~0ull << 56, { SET(linear_bits, 57) } },
	{ "host.perf-global-ctrl", long_mode, F(host_perf), ~0x70000000full },
	{ "host.pat", long_mode, F(host_pat), PAT_FROM_UC, { SET(host_pat, 0) } },
	{ "host.efer.reserved", long_mode, F(host_efer), ~0xd01ull },
	{ "host.efer.mode", long_mode, F(host_efer), EFER_LMA | EFER_LME },
	{ "host.efer.mode", host_32, F(host_efer), EFER_LMA | EFER_LME },
	{ "host.s-cet", long_mode, F(host_s_cet), NOT_CANONICAL | 0x3c0 },
	{ "host.s-cet", long_mode, F(host_s_cet), NOT_CANONICAL | 0x3c0 | BIT(11), { SET(host_s_cet, BIT(10)) } },
	{ "host.ssp.aligned", long_mode, F(host_ssp), 3 },
	{ "host.ssp.canonical", long_mode, F(host_ssp), NOT_CANONICAL },
	{ "host.ssp-table", long_mode, F(host_ssp_table), NOT_CANONICAL },
	{ "host.pkrs", long_mode, F(host_pkrs), HIGH_HALF },
	{ "host.es.selector", long_mode, F(host_es), 7 },
	{ "host.cs.selector", long_mode, F(host_cs), 7 },
	{ "host.ss.selector", long_mode, F(host_ss), 7 },
	{ "host.ds.selector", long_mode, F(host_ds), 7 },
	{ "host.fs.selector", long_mode, F(host_fs), 7 },
	{ "host.gs.selector", long_mode, F(host_gs), 7 },
	{ "host.tr.selector", long_mode, F(host_tr), 7 },
	{ "host.cs.null", long_mode, F(host_cs), BIT(3) },
	{ "host.tr.null", long_mode, F(host_tr), BIT(6) },
	{ "host.ss.null", host_32, F(host_ss), BIT(4) },
	{ "host.ss.null", long_mode, F(host_ss), 0, { SET(host_ss, BIT(4)) } },
	{ "host.fs.base", long_mode, F(host_fs_base), NOT_CANONICAL },
	{ "host.gs.base", long_mode, F(host_gs_base), NOT_CANONICAL },
	{ "host.tr.base", long_mode, F(host_tr_base), NOT_CANONICAL },
	{ "host.gdtr.base", long_mode, F(host_gdtr_base), NOT_CANONICAL },
	{ "host.idtr.base", long_mode, F(host_idtr_base), NOT_CANONICAL },
	{ "host.address-space.pcide", host_32, F(host_cr4), CR4_PCIDE },
	{ "host.address-space.pcide", long_mode, F(host_cr4), 0 },
	{ "host.address-space.rip", host_32, F(host_rip), HIGH_HALF },
	{ "host.address-space.rip", long_mode, F(host_rip), 0 },
	{ "host.address-space.pae", long_mode, F(host_cr4), CR4_PAE },
	{ "host.address-space.pae", host_32, F(host_cr4), 0 },
	{ "host.rip.canonical", long_mode, F(host_rip), NOT_CANONICAL, { SET(host_rip, 0) } },
	{ "host.rip.canonical", host_32, F(host_rip), 0, { SET(host_rip, 0) } },
	{ "host.address-space.guest", long_mode, F(exit), BIT(9) },
	{ "host.address-space.guest", host_32, F(entry), BIT(9) },
	{ "host.cr4.cet-wp", long_mode, F(host_cr4), CR4_CET, { OFF(host_cr0, CR0_WP) } },
	{ "host.cr4.cet-wp", long_mode, F(host_cr0), CR0_WP, { ON(host_cr4, CR4_CET) } },
};

static const struct bits guest[] = {
	{ "guest.cr0.fixed", long_mode, F(cr0), HIGH_HALF | CR0_NE },
	{ "guest.cr0.fixed", long_mode, F(cr0), HIGH_HALF | CR0_NE | CR0_ET,
	  { OFF(cr0_fixed1, CR0_CD | CR0_NW | CR0_ET) } },
	{ "guest.cr0.fixed", restricted, F(cr0), HIGH_HALF | CR0_NE | CR0_PG | CR0_PE },
	{ "guest.cr0.pg-pe", pae_mode, F(cr0), CR0_PE },
	{ "guest.cr4.fixed", long_mode, F(cr4), ~0xffffffull | CR4_VMXE },
	{ "guest.cr4.cet-wp", long_mode, F(cr4), CR4_CET },
	{ "guest.debugctl", long_mode, F(debugctl), ~0xffc7ull },
	{ "guest.ia32e.pg", long_mode, F(cr0), CR0_PG },
	{ "guest.ia32e.pae", long_mode, F(cr4), CR4_PAE },
	{ "guest.cr4.pcide", pae_mode, F(cr4), CR4_PCIDE },
	{ "guest.cr4.pcide", long_mode, F(entry), BIT(9), { ON(cr4, CR4_PCIDE) } },
	{ "guest.cr3.width", long_mode, F(cr3), ABOVE_40 },
	{ "guest.cr3.width", long_mode, F(cr3), ABOVE_40 & ~(3ull << 61), { ON(features, VMX_FEATURE_LAM) } },
	{ "guest.dr7", long_mode, F(dr7), HIGH_HALF },
	{ "guest.sysenter-esp", long_mode, F(sysenter_esp), NOT_CANONICAL },
	{ "guest.sysenter-eip", long_mode, F(sysenter_eip), NOT_CANONICAL },
	{ "guest.s-cet", long_mode, F(s_cet), NOT_CANONICAL | 0x3c0 | BIT(10), { SET(s_cet, BIT(11)) } },
	{ "guest.ssp-table", long_mode, F(ssp_table), NOT_CANONICAL },
	{ "guest.perf-global-ctrl", long_mode, F(perf), ~0x70000000full },
	{ "guest.pat", long_mode, F(pat), PAT_FROM_UC, { SET(pat, 0) } },
	{ "guest.efer.reserved", long_mode, F(efer), ~0xd01ull },
	{ "guest.efer.lma", long_mode, F(efer), EFER_LMA },
	{ "guest.efer.lma", pae_mode, F(efer), EFER_LMA },
	{ "guest.efer.lme", long_mode, F(efer), EFER_LMA | EFER_LME },
	{ "guest.efer.lme", real_mode, F(efer), 0 },
	{ "guest.bndcfgs.reserved", long_mode, F(bndcfgs), 0xffc },
	{ "guest.bndcfgs.canonical", long_mode, F(bndcfgs), NOT_CANONICAL },
	{ "guest.pkrs", long_mode, F(pkrs), HIGH_HALF },
	{ "guest.gdtr.base", long_mode, F(gdtr_base), NOT_CANONICAL },
	{ "guest.idtr.base", long_mode, F(idtr_base), NOT_CANONICAL },
	{ "guest.gdtr.limit", long_mode, F(gdtr_limit), 0xffff0000 },
	{ "guest.idtr.limit", long_mode, F(idtr_limit), 0xffff0000 },
};

static const struct bits nonregister[] = {
	{ "guest.rip.high", pae_mode, F(rip), HIGH_HALF },
	{ "guest.rip.high", long_mode, F(segments[SEG_CS].rights), BIT(13) },
	{ "guest.rip.high", long_mode, F(entry), BIT(9) },
	{ "guest.rip.width", long_mode, F(rip), ~0ull << 48, { SET(rip, 0) } },
	{ "guest.rip.width", long_mode, F(rip), ~0ull << 48 },
	{ "guest.rip.width", pae_mode, F(rip), 0 },
	{ "guest.ssp.aligned", long_mode, F(ssp), 3 },
	{ "guest.ssp.high", pae_mode, F(ssp), HIGH_HALF },
	{ "guest.ssp.high", long_mode, F(ssp), 0 },
	{ "guest.ssp.width", long_mode, F(ssp), ~0ull << 48 },
	{ "guest.rflags.reserved", long_mode, F(rflags), (~0ull << 22) | BIT(15) | BIT(5) | BIT(3) | BIT(1) },
	{ "guest.rflags.vm", long_mode, F(rflags), RFLAGS_VM },
	{ "guest.rflags.vm", real_mode, F(rflags), RFLAGS_VM },
	{ "guest.rflags.vm", pae_mode, F(rflags), 0 },
	{ "guest.rflags.if-for-extint", long_mode, F(rflags), RFLAGS_IF, { SET(event, EXTINT), SET(rflags, IF) } },
	{ "guest.activity.hlt-cpl", pae_mode, F(segments[SEG_SS].rights), 0x60, { SET(activity, 1) } },
	{ "guest.activity.hlt-cpl", pae_mode, F(segments[SEG_SS].rights), 0, { SET(activity, 2) } },
	{ "guest.activity.shadow", long_mode, F(interruptibility), 3, { SET(activity, 1) } },
	{ "guest.activity.shadow", long_mode, F(interruptibility), 0 },
	{ "guest.activity.supported", long_mode, F(misc), BIT(6), { SET(activity, 1) } },
	{ "guest.activity.supported", long_mode, F(misc), BIT(7), { SET(activity, 2) } },
	{ "guest.activity.supported", long_mode, F(misc), BIT(8), { SET(activity, 3) } },
	{ "guest.interruptibility.reserved", long_mode, F(interruptibility), 0xffffffe0 },
	{ "guest.interruptibility.sti-mov-ss", long_mode, F(interruptibility), BIT(1), { SET(interruptibility, 1) } },
	{ "guest.interruptibility.sti-mov-ss", long_mode, F(interruptibility), BIT(0), { SET(interruptibility, 2) } },
	{ "guest.interruptibility.sti-if", long_mode, F(interruptibility), BIT(0) },
	{ "guest.interruptibility.sti-if", long_mode, F(rflags), RFLAGS_IF,
	  { SET(interruptibility, 1), SET(rflags, IF) } },
	{ "guest.interruptibility.extint", long_mode, F(interruptibility), 3, { SET(event, EXTINT) } },
	{ "guest.interruptibility.extint", long_mode, F(interruptibility), 0, { SET(event, NMI) } },
	{ "guest.interruptibility.nmi-mov-ss", long_mode, F(interruptibility), BIT(1), { SET(event, NMI) } },
	{ "guest.interruptibility.nmi-mov-ss", long_mode, F(interruptibility), 0, { SET(event, EXTINT) } },
	{ "guest.interruptibility.nmi-sti", long_mode, F(interruptibility), BIT(0), { SET(event, NMI) } },
	{ "guest.interruptibility.nmi-blocked", long_mode, F(interruptibility), BIT(3), { SET(event, NMI) } },
	{ "guest.interruptibility.smi", long_mode, F(interruptibility), BIT(2) },
	{ "guest.interruptibility.enclave", long_mode, F(interruptibility), BIT(4) },
	{ "guest.interruptibility.enclave", long_mode, F(interruptibility), BIT(1),
	  { SET(interruptibility, BIT(4)), ON(features, VMX_FEATURE_SGX) } },
	{ "guest.interruptibility.enclave", long_mode, F(features), VMX_FEATURE_SGX,
	  { SET(interruptibility, BIT(4)), ON(features, VMX_FEATURE_SGX) } },
	{ "guest.pending-debug.reserved", long_mode, F(pending_debug), ~0x1500full },
	{ "guest.pending-debug.reserved", long_mode, F(pending_debug), ~0x1580full,
	  { ON(features, VMX_FEATURE_BUS_LOCK) } },
	{ "guest.pending-debug.reserved", long_mode, F(pending_debug), ~0x500full,
	  { OFF(features, VMX_FEATURE_RTM) } },
	{ "guest.pending-debug.bs-needed", long_mode, F(interruptibility), 3, { ON(rflags, RFLAGS_TF) } },
	{ "guest.pending-debug.bs-needed", long_mode, F(rflags), RFLAGS_TF, { SET(interruptibility, SHADOW) } },
	{ "guest.pending-debug.bs-needed", long_mode, F(pending_debug), BIT(14),
	  { SET(interruptibility, SHADOW), ON(rflags, RFLAGS_TF), SET(pending_debug, BIT(14)) } },
	{ "guest.pending-debug.bs-needed", long_mode, F(debugctl), BIT(1),
	  { SET(activity, 1), ON(rflags, RFLAGS_TF), SET(debugctl, 2) } },
	{ "guest.pending-debug.bs-forbidden", long_mode, F(pending_debug), BIT(14), { SET(interruptibility, SHADOW) } },
	{ "guest.pending-debug.bs-forbidden", long_mode, F(interruptibility), 3, { SET(pending_debug, BIT(14)) } },
	{ "guest.pending-debug.bs-forbidden", long_mode, F(rflags), RFLAGS_TF,
	  { SET(activity, 1), SET(pending_debug, BIT(14)), ON(rflags, RFLAGS_TF) } },
	{ "guest.pending-debug.rtm", long_mode, F(pending_debug), ~(u64)BIT(16), { SET(pending_debug, BIT(16) | BIT(12)) } },
	{ "guest.pending-debug.rtm", long_mode, F(interruptibility), BIT(1), { SET(pending_debug, BIT(16) | BIT(12)) } },
	{ "guest.pending-debug.rtm", long_mode, F(pending_debug), BIT(16) },
	{ "guest.pending-debug.rtm", long_mode, F(pending_debug), 0, { OFF(features, VMX_FEATURE_RTM) } },
	{ "guest.link-pointer.address", long_mode, F(link_pointer), PAGE_ADDRESS, { SET(link_pointer, 0x1000) } },
	{ "guest.link-pointer.revision", long_mode, F(link_revision), ~0ull, { SET(link_pointer, 0x1000) } },
	{ "guest.link-pointer.revision", long_mode, F(basic), 0x7fffffff, { SET(link_pointer, 0x1000) } },
	{ "guest.link-pointer.revision", long_mode, F(secondary), BIT(14), { SET(link_pointer, 0x1000),
	  SET(link_revision, 0x8000002b), ON(secondary, BIT(14)) } },
	{ "guest.link-pointer.revision", long_mode, F(features), VMX_FEATURE_LINKED,
	  { SET(link_pointer, 0x1000), SET(link_revision, 1), OFF(features, VMX_FEATURE_LINKED) } },
	{ "guest.link-pointer.current", long_mode, F(link_pointer), BIT(12), { SET(link_pointer, 0x4000) } },
	{ "guest.pdpte0", pae_mode, F(pdpte0), ABOVE_40 | 0x1e6 },
	{ "guest.pdpte0", pae_mode, F(pdpte0), 0, { SET(pdpte0, 0) } },
	{ "guest.pdpte1", pae_mode, F(pdpte1), ABOVE_40 | 0x1e6 },
	{ "guest.pdpte2", pae_mode, F(pdpte2), ABOVE_40 | 0x1e6 },
	{ "guest.pdpte3", pae_mode, F(pdpte3), ABOVE_40 | 0x1e6 },
	{ "guest.pdpte3", long_mode, F(pdpte3), 0, { SET(pdpte3, 1) } },
	{ "guest.pdpte3", real_mode, F(pdpte3), 0, { SET(pdpte3, 1), ON(cr4, CR4_PAE) } },
	{ "guest.pdpte3", pae_mode, F(pdpte3), 0, { OFF(cr4, CR4_PAE) } },
};

#define SEGMENT(index, part) F(segments[index].part)

static const struct bits segments[] = {
	{ "guest.tr.ti", long_mode, SEGMENT(SEG_TR, selector), BIT(2) },
	{ "guest.ldtr.ti", long_mode, SEGMENT(SEG_LDTR, selector), BIT(2) },
	{ "guest.ss.rpl", restricted, SEGMENT(SEG_SS, selector), 3 },
	{ "guest.ss.rpl", restricted, SEGMENT(SEG_CS, selector), 3 },
	{ "guest.ss.rpl", virtual_8086_mode, SEGMENT(SEG_CS, selector), 0, { OFF(secondary, BIT(7)) } },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_TR, base), NOT_CANONICAL },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_LDTR, base), NOT_CANONICAL },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_FS, base), NOT_CANONICAL },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_GS, base), NOT_CANONICAL },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_GS, base), NOT_CANONICAL, { RIGHTS(SEG_GS, BIT(16)) } },
	{ "guest.base.canonical", long_mode, SEGMENT(SEG_LDTR, rights), BIT(16),
	  { SET(segments[SEG_LDTR].base, ODD), RIGHTS(SEG_LDTR, BIT(16)) } },
	{ "guest.base.high", long_mode, SEGMENT(SEG_CS, base), HIGH_HALF },
	{ "guest.base.high", long_mode, SEGMENT(SEG_CS, base), HIGH_HALF, { ON(segments[SEG_CS].rights, BIT(16)) } },
	{ "guest.base.high", long_mode, SEGMENT(SEG_SS, base), HIGH_HALF },
	{ "guest.base.high", long_mode, SEGMENT(SEG_DS, base), HIGH_HALF },
	{ "guest.base.high", long_mode, SEGMENT(SEG_ES, base), HIGH_HALF },
	{ "guest.base.high", long_mode, SEGMENT(SEG_ES, base), 0, { RIGHTS(SEG_ES, BIT(16)) } },
	{ "guest.cs.dpl.type-3", pae_mode, SEGMENT(SEG_CS, rights), 0x60, { RIGHTS(SEG_CS, 0xc093) } },
	{ "guest.cs.dpl.type-3", pae_mode, SEGMENT(SEG_CS, rights), 0 },
	{ "guest.cs.dpl.nonconforming", long_mode, SEGMENT(SEG_CS, rights), 0x60 },
	{ "guest.cs.dpl.nonconforming", long_mode, SEGMENT(SEG_SS, rights), 0x60 },
	{ "guest.cs.dpl.conforming", long_mode, SEGMENT(SEG_CS, rights), 0x60, { RIGHTS(SEG_CS, 0xa09f) } },
	{ "guest.cs.dpl.conforming", long_mode, SEGMENT(SEG_CS, rights), 0x40,
	  { RIGHTS(SEG_CS, 0xa09f), RIGHTS(SEG_SS, 0xc0b3) } },
	{ "guest.ss.dpl.rpl", restricted, SEGMENT(SEG_SS, rights), 0x60 },
	{ "guest.ss.dpl.rpl", restricted, SEGMENT(SEG_SS, selector), 3 },
	{ "guest.ss.dpl.rpl", pae_mode, SEGMENT(SEG_SS, selector), 0 },
	{ "guest.ss.dpl.rpl", virtual_8086_mode, SEGMENT(SEG_SS, selector), 0, { OFF(secondary, BIT(7)),
	  SET(segments[SEG_SS].selector, 0x1003) } },
	{ "guest.ss.dpl.real-mode", real_mode, SEGMENT(SEG_SS, rights), 0x60 },
	{ "guest.ss.dpl.real-mode", pae_mode, SEGMENT(SEG_SS, rights), 0 },
	{ "guest.ss.dpl.real-mode", pae_mode, SEGMENT(SEG_SS, rights), 0x60, { RIGHTS(SEG_CS, 0xc093) } },
	{ "guest.ss.dpl.real-mode", virtual_8086_mode, SEGMENT(SEG_SS, rights), 0,
	  { OFF(cr0, CR0_PE), OFF(segments[SEG_SS].rights, 0x60) } },
	{ "guest.data.dpl", restricted, SEGMENT(SEG_DS, selector), 3 },
	{ "guest.data.dpl", restricted, SEGMENT(SEG_DS, selector), 2, { RIGHTS(SEG_DS, 0xc0b3) } },
	{ "guest.data.dpl", restricted, SEGMENT(SEG_FS, rights), 0x60,
	  { RIGHTS(SEG_FS, 0xc0fb), SET(segments[SEG_FS].selector, 3) } },
	/* Conforming code may have any DPL. */
	{ "guest.data.dpl", restricted, SEGMENT(SEG_GS, selector), 0, { RIGHTS(SEG_GS, 0xc09f) } },
	{ "guest.cs.d", long_mode, SEGMENT(SEG_CS, rights), BIT(14) },
	{ "guest.cs.d", long_mode, SEGMENT(SEG_CS, rights), BIT(13), { RIGHTS(SEG_CS, 0xc09b) } },
	{ "guest.tr.s", long_mode, SEGMENT(SEG_TR, rights), BIT(4) },
	{ "guest.tr.present", long_mode, SEGMENT(SEG_TR, rights), BIT(7) },
	{ "guest.tr.present", virtual_8086_mode, SEGMENT(SEG_TR, rights), BIT(7) },
	{ "guest.ldtr.present", virtual_8086_mode, SEGMENT(SEG_LDTR, rights), BIT(7) },
	{ "guest.tr.reserved", long_mode, SEGMENT(SEG_TR, rights), 0xfffe0f00 },
	{ "guest.tr.unusable", long_mode, SEGMENT(SEG_TR, rights), BIT(16) },
	{ "guest.tr.granularity", long_mode, SEGMENT(SEG_TR, limit), 0xfff00000 },
	{ "guest.tr.granularity", long_mode, SEGMENT(SEG_TR, limit), 0xfff,
	  { RIGHTS(SEG_TR, 0x808b), SET(segments[SEG_TR].limit, 0xfff) } },
	{ "guest.ldtr.s", long_mode, SEGMENT(SEG_LDTR, rights), BIT(4) },
	{ "guest.ldtr.present", long_mode, SEGMENT(SEG_LDTR, rights), BIT(7) },
	{ "guest.ldtr.reserved", long_mode, SEGMENT(SEG_LDTR, rights), 0xfffe0f00 },
	{ "guest.ldtr.granularity", long_mode, SEGMENT(SEG_LDTR, limit), 0xfff00000 },
};

static void run(const struct bits *table, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		change_each_bit(&table[i]);
}

#define RUN(table) run(table, ARRAY_SIZE(table))

static void each_bit_of_the_controls(void **state) { RUN(controls); }
static void each_bit_of_the_host_state(void **state) { RUN(host); }
static void each_bit_of_the_guests_registers(void **state) { RUN(guest); }
static void each_bit_of_the_guests_other_state(void **state) { RUN(nonregister); }
static void each_bit_of_the_guests_segments(void **state) { RUN(segments); }

/* What is asked of ES, CS, SS, DS, FS and GS alike. */
static void each_bit_of_segments_in_memory(void **state)
{
	for (unsigned i = SEG_ES; i <= SEG_GS; i++) {
		const struct bits rules[] = {
			{ "guest.segment.s", long_mode, SEGMENT(i, rights), BIT(4) },
			{ "guest.segment.present", long_mode, SEGMENT(i, rights), BIT(7) },
			{ "guest.segment.reserved", long_mode, SEGMENT(i, rights), 0xfffe0f00 },
			{ "guest.segment.granularity", long_mode, SEGMENT(i, limit), 0xfff },
			{ "guest.segment.granularity", real_mode, SEGMENT(i, limit), 0xfff00000 },
			{ "guest.segment.granularity", real_mode, SEGMENT(i, rights), BIT(15),
			  { SET(segments[i].limit, 0) } },
			{ "guest.v86.base", virtual_8086_mode, SEGMENT(i, base), ~0ull },
			{ "guest.v86.base", virtual_8086_mode, SEGMENT(i, selector), 0xffff },
			{ "guest.v86.limit", virtual_8086_mode, SEGMENT(i, limit), 0xffffffff },
			{ "guest.v86.rights", virtual_8086_mode, SEGMENT(i, rights), 0xffffffff },
			/* Virtual-8086 mode has those rules in the place of these. */
			{ "guest.segment.reserved", virtual_8086_mode, SEGMENT(i, rights), 0 },
			{ "guest.segment.granularity", virtual_8086_mode, SEGMENT(i, limit), 0 },
			{ "guest.v86.limit", pae_mode, SEGMENT(i, limit), 0 },
			{ "guest.v86.rights", pae_mode, SEGMENT(i, rights), 0 },
			{ "guest.v86.base", pae_mode, SEGMENT(i, base), 0 },
		};

		RUN(rules);
	}
}

/* Of a segment that is not usable nothing is looked at; CS and TR are always used. */
static void segments_that_are_not_usable(void **state)
{
	for (unsigned i = SEG_ES; i < SEG_COUNT; i++) {
		bool always = i == SEG_CS || i == SEG_TR;

		long_mode();
		s.segments[i].rights = BIT(16);
		assert_int_equal(breaks(i < SEG_LDTR ? "guest.segment.present" : i == SEG_TR ? "guest.tr.present" :
					"guest.ldtr.present"), always);
	}
}

/* --- one value after the other --- */

struct values {
	const char *rule;
	void (*base)(void);
	u8 field, shift, count;		/* the values 0 to count - 1, in the field from bit `shift` on */
	u64 breaking;			/* bits by value */
	struct change changes[4];
};

static void try_each_value(const struct values *c)
{
	for (u64 value = 0; value < c->count; value++) {
		u64 *field = &((u64 *)&s)[c->field], mask = (u64)(c->count - 1) << c->shift;

		c->base();
		for (unsigned i = 0; i < ARRAY_SIZE(c->changes); i++)
			apply(&c->changes[i]);
		*field = (*field & ~mask) | value << c->shift;
		if (breaks(c->rule) != (c->breaking >> value & 1))
			fail_msg("%s: %s 0x%llx %s it", c->rule, vmx_field_name(c->field).text,
				 (unsigned long long)*field, c->breaking >> value & 1 ? "keeps" : "breaks");
	}
}

#define EXCEPT(value) (~(1ull << (value)))
#define FROM(value) (~0ull << (value))
/* SDM, "Checks on VM-Entry Control Fields": #DF, #TS, #NP, #SS, #GP, #PF, #AC. */
#define WITH_ERROR_CODE (BIT(8) | BIT(10) | BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(17))
#define LENGTH_1 SET(event_length, 1)

static const struct values values[] = {
	{ "control.cr3-target-count", long_mode, F(cr3_target_count), 0, 64, FROM(5) },
	{ "control.tpr-threshold.vtpr", long_mode, F(tpr_threshold), 0, 16, FROM(3), { ON(primary, BIT(21)) } },
	{ "control.ept-pointer.memory-type", long_mode, F(ept_pointer), 0, 8, EXCEPT(6) },
	{ "control.ept-pointer.memory-type", long_mode, F(ept_pointer), 0, 8, EXCEPT(6) & EXCEPT(0),
	  { ON(ept_vpid, BIT(8)) } },
	{ "control.ept-pointer.memory-type", long_mode, F(ept_pointer), 0, 8, EXCEPT(0),
	  { ON(ept_vpid, BIT(8)), OFF(ept_vpid, BIT(14)) } },
	{ "control.ept-pointer.walk-length", long_mode, F(ept_pointer), 3, 8, EXCEPT(3) },
	{ "control.ept-pointer.walk-length", long_mode, F(ept_pointer), 3, 8, EXCEPT(4),
	  { ON(ept_vpid, BIT(7)), OFF(ept_vpid, BIT(6)) } },
	{ "control.event.type", long_mode, F(event), 8, 8, BIT(1), { SET(event, EVENT(0u, 2)) } },
	{ "control.event.type", long_mode, F(event), 8, 8, BIT(1) | BIT(7),
	  { SET(event, EVENT(0u, 2)), OFF(allowed_primary, 1ull << 59) } },
	{ "control.event.vector", long_mode, F(event), 0, 64, 0, { SET(event, EVENT(0u, 0)) } },
	{ "control.event.vector", long_mode, F(event), 0, 64, EXCEPT(2), { SET(event, NMI) } },
	{ "control.event.vector", long_mode, F(event), 0, 64, FROM(32), { SET(event, EVENT(3u, 0)) } },
	{ "control.event.vector", long_mode, F(event), 5, 8, FROM(1), { SET(event, EVENT(3u, 6)) } },
	{ "control.event.vector", long_mode, F(event), 0, 64, EXCEPT(0), { SET(event, EVENT(7u, 0)) } },
	{ "control.event.error-code.type", long_mode, F(event), 8, 8, EXCEPT(3),
	  { SET(event, EVENT(0u, 13) | ERROR_CODE) } },
	{ "control.event.error-code.type", long_mode, F(event), 8, 8, 0, { SET(event, EVENT(0u, 13)) } },
	{ "control.event.error-code.unexpected", long_mode, F(event), 0, 64, ~(u64)WITH_ERROR_CODE,
	  { SET(event, EVENT(3u, 0) | ERROR_CODE) } },
	{ "control.event.error-code.unexpected", long_mode, F(event), 8, 8, BIT(3),
	  { SET(event, EVENT(0u, 6) | ERROR_CODE) } },
	{ "control.event.error-code.missing", long_mode, F(event), 0, 64, WITH_ERROR_CODE,
	  { SET(event, EVENT(3u, 0)) } },
	{ "control.event.error-code.missing", long_mode, F(event), 8, 8, BIT(3), { SET(event, EVENT(0u, 13)) } },
	{ "control.event.error-code.missing", real_mode, F(event), 0, 64, 0, { SET(event, EVENT(3u, 0)) } },
	/* Real mode is that of an unrestricted guest. */
	{ "control.event.error-code.missing", real_mode, F(event), 0, 64, WITH_ERROR_CODE,
	  { SET(event, EVENT(3u, 0)), OFF(secondary, BIT(7)) } },
	{ "control.event.instruction-length", long_mode, F(event_length), 0, 64, FROM(16) | BIT(0),
	  { SET(event, EVENT(4u, 0x80)) } },
	{ "control.event.instruction-length", long_mode, F(event_length), 0, 64, FROM(16),
	  { SET(event, EVENT(4u, 0x80)), ON(misc, BIT(30)) } },
	{ "control.event.instruction-length", long_mode, F(event), 8, 8, BIT(4) | BIT(5) | BIT(6),
	  { SET(event, EVENT(0u, 3)) } },
	{ "guest.rflags.if-for-extint", long_mode, F(event), 8, 8, BIT(0), { SET(event, EVENT(0u, 3)) } },
	{ "guest.activity.supported", long_mode, F(activity), 0, 16, FROM(4) },
	{ "guest.activity.supported", long_mode, F(activity), 0, 16, FROM(1), { OFF(misc, 7 << 6) } },
	{ "guest.activity.shadow", long_mode, F(activity), 0, 4, FROM(1), { SET(interruptibility, SHADOW) } },
	{ "guest.activity.hlt-cpl", pae_mode, F(activity), 0, 4, BIT(1), { RIGHTS(SEG_SS, 0xc0f3) } },
	/* HLT: external interrupts, NMIs, #DB, #MC and a pending MTF VM exit. Shutdown: NMIs and #MC. */
	{ "guest.activity.event", long_mode, F(event), 8, 8, EXCEPT(0) & EXCEPT(2) & EXCEPT(7),
	  { SET(activity, 1), SET(event, EVENT(0u, 2)) } },
	{ "guest.activity.event", long_mode, F(event), 0, 32, EXCEPT(1) & EXCEPT(18),
	  { SET(activity, 1), SET(event, EVENT(3u, 0)) } },
	{ "guest.activity.event", long_mode, F(event), 8, 8, EXCEPT(2), { SET(activity, 2), SET(event, EVENT(0u, 2)) } },
	{ "guest.activity.event", long_mode, F(event), 0, 32, EXCEPT(18),
	  { SET(activity, 2), SET(event, EVENT(3u, 0)) } },
	{ "guest.activity.event", long_mode, F(event), 8, 8, ~0ull, { SET(activity, 3), SET(event, EVENT(0u, 2)) } },
	{ "guest.activity.event", long_mode, F(event), 8, 8, 0, { SET(event, EVENT(0u, 2)) } },
	{ "guest.activity.event", long_mode, F(event), 8, 8, 0, { SET(activity, 1), SET(event, 18) } },
	{ "guest.cs.type", long_mode, SEGMENT(SEG_CS, rights), 0, 16,
	  EXCEPT(3) & EXCEPT(9) & EXCEPT(11) & EXCEPT(13) & EXCEPT(15) },
	{ "guest.cs.type", restricted, SEGMENT(SEG_CS, rights), 0, 16,
	  EXCEPT(9) & EXCEPT(11) & EXCEPT(13) & EXCEPT(15) },
	{ "guest.ss.type", long_mode, SEGMENT(SEG_SS, rights), 0, 16, EXCEPT(3) & EXCEPT(7) },
	{ "guest.cs.dpl.nonconforming", long_mode, SEGMENT(SEG_CS, rights), 0, 16, BIT(9) | BIT(11),
	  { RIGHTS(SEG_CS, 0xa0fb) } },
	{ "guest.cs.dpl.conforming", long_mode, SEGMENT(SEG_CS, rights), 0, 16, BIT(13) | BIT(15),
	  { RIGHTS(SEG_CS, 0xa0fb) } },
	{ "guest.cs.dpl.conforming", long_mode, SEGMENT(SEG_CS, rights), 5, 4, FROM(3),
	  { RIGHTS(SEG_CS, 0xa09f), RIGHTS(SEG_SS, 0xc0d3) } },
	{ "guest.cs.dpl.type-3", pae_mode, SEGMENT(SEG_CS, rights), 0, 16, BIT(3), { RIGHTS(SEG_CS, 0xc0f3) } },
	{ "guest.ss.dpl.real-mode", pae_mode, SEGMENT(SEG_CS, rights), 0, 16, BIT(3), { RIGHTS(SEG_SS, 0xc0f3) } },
	{ "guest.data.dpl", restricted, SEGMENT(SEG_ES, rights), 0, 16, 0xfff,
	  { SET(segments[SEG_ES].selector, 3) } },
	{ "guest.data.dpl", restricted, SEGMENT(SEG_ES, rights), 5, 4, BIT(0) | BIT(1),
	  { SET(segments[SEG_ES].selector, 2) } },
	{ "guest.tr.type", long_mode, SEGMENT(SEG_TR, rights), 0, 16, EXCEPT(11) },
	{ "guest.tr.type", pae_mode, SEGMENT(SEG_TR, rights), 0, 16, EXCEPT(11) & EXCEPT(3) },
	{ "guest.ldtr.type", long_mode, SEGMENT(SEG_LDTR, rights), 0, 16, EXCEPT(2) },
};

static void each_value(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		try_each_value(&values[i]);
}

/* Data: 1, 3, 5, 7, all accessed. Code: 11 and 15, readable and accessed. */
static void types_of_data_segments(void **state)
{
	static const u8 data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		struct values types = {
			"guest.data.type", long_mode, SEGMENT(data[i], rights), 0, 16, (u16)~0x88aa,
		};

		try_each_value(&types);
	}
}

/* Each byte is one of the memory types UC, WC, WT, WP, WB and UC-. */
static void each_type_in_each_byte_of_a_pat(void **state)
{
	for (u8 byte = 0; byte < 8; byte++) {
		struct values types = { "guest.pat", long_mode, F(pat), 8 * byte, 64, ~0xf3ull };

		try_each_value(&types);
		types.rule = "host.pat";
		types.field = F(host_pat);
		try_each_value(&types);
	}
}

/* --- controls --- */

/* A control of a word that is not activated is off, whatever the word holds. */
static void words_that_are_not_activated(void **state)
{
	long_mode();
	s.secondary |= SECONDARY_X2APIC;	/* it needs "use TPR shadow" */
	assert_true(breaks("control.x2apic-mode.tpr-shadow"));
	s.primary ^= PRIMARY_SECONDARY;
	assert_false(breaks("control.x2apic-mode.tpr-shadow"));

	long_mode();
	s.tertiary |= TERTIARY_IPI;
	assert_true(breaks("control.ipi-virtualization.tpr-shadow"));
	s.primary ^= PRIMARY_TERTIARY;
	assert_false(breaks("control.ipi-virtualization.tpr-shadow"));

	assert_true(vmx_control(&(struct vmx_entry_state){ .exit = BIT(31), .secondary_exit = 4 },
				CONTROL(secondary_exit, 4u)));
	assert_false(vmx_control(&(struct vmx_entry_state){ .exit = ~(u64)BIT(31), .secondary_exit = 4 },
				 CONTROL(secondary_exit, 4u)));
}

/* Rules apply only where the control that loads the value, or uses the structure, is 1. */
static void rules_without_their_control(void **state)
{
	static const struct {
		const char *rule;
		u8 word;
		u32 control;
		struct change change;
	} cases[] = {
		{ "host.perf-global-ctrl", F(exit), BIT(12), ON(host_perf, BIT(4)) },
		{ "host.pat", F(exit), BIT(19), SET(host_pat, 2) },
		{ "host.efer.reserved", F(exit), BIT(21), ON(host_efer, BIT(1)) },
		{ "host.efer.mode", F(exit), BIT(21), SET(host_efer, 0) },
		{ "host.s-cet", F(exit), BIT(28), SET(host_s_cet, BIT(6)) },
		{ "host.pkrs", F(exit), BIT(29), SET(host_pkrs, 1ull << 32) },
		{ "guest.debugctl", F(entry), BIT(2), SET(debugctl, BIT(3)) },
		{ "guest.dr7", F(entry), BIT(2), SET(dr7, 1ull << 32) },
		{ "guest.perf-global-ctrl", F(entry), BIT(13), SET(perf, BIT(4)) },
		{ "guest.pat", F(entry), BIT(14), SET(pat, 2) },
		{ "guest.efer.reserved", F(entry), BIT(15), ON(efer, BIT(1)) },
		{ "guest.bndcfgs.reserved", F(entry), BIT(16), SET(bndcfgs, 4) },
		{ "guest.s-cet", F(entry), BIT(20), SET(s_cet, BIT(6)) },
		{ "guest.ssp.aligned", F(entry), BIT(20), SET(ssp, 1) },
		{ "guest.pkrs", F(entry), BIT(22), SET(pkrs, 1ull << 32) },
		{ "control.msr-bitmap", F(primary), BIT(28), SET(msr_bitmap, 1) },
		{ "control.vpid", F(secondary), BIT(5), SET(vpid, 0) },
		{ "control.ept-pointer.memory-type", F(secondary), BIT(1), SET(ept_pointer, 3 << 3 | 5) },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		long_mode();
		apply(&cases[i].change);
		if (!breaks(cases[i].rule))
			fail_msg("%s is not broken with its control", cases[i].rule);
		((u64 *)&s)[cases[i].word] &= ~(u64)cases[i].control;
		if (breaks(cases[i].rule))
			fail_msg("%s is broken without its control", cases[i].rule);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_bit_of_the_controls),
		cmocka_unit_test(each_bit_of_the_host_state),
		cmocka_unit_test(each_bit_of_the_guests_registers),
		cmocka_unit_test(each_bit_of_the_guests_other_state),
		cmocka_unit_test(each_bit_of_the_guests_segments),
		cmocka_unit_test(each_bit_of_segments_in_memory),
		cmocka_unit_test(segments_that_are_not_usable),
		cmocka_unit_test(each_value),
		cmocka_unit_test(types_of_data_segments),
		cmocka_unit_test(each_type_in_each_byte_of_a_pat),
		cmocka_unit_test(words_that_are_not_activated),
		cmocka_unit_test(rules_without_their_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
