/* SPDX-License-Identifier: MIT */
/* The rules of VM entry: each is broken by what the manual forbids, and by nothing else. */
/* link: vmx/rules/rules.c vmx/rules/rule.c vmx/rules/controls.c vmx/rules/host.c vmx/rules/guest.c */
/* link: vmx/rules/segments.c vmx/rules/nonregister.c vmx/rules/msr.c */
/* link: vmx/rules/exempt.c core/observe/entry_rule.c lib/string.c */
/* cflags: -Wno-missing-field-initializers */
#include "tests/unit/vmx_entry_states.h"

static const char *all_broken(void)
{
	static char text[512];

	text[0] = '\0';
	for (unsigned i = 0; i < broken_count; i++) {
		strcat(text, " ");
		strcat(text, broken[i]);
	}
	return broken_count ? text : " nothing";
}

static void valid_states_break_nothing(void **state)
{
	void (*const modes[])(void) = {
		long_mode, real_mode, virtual_8086_mode, pae_mode, restricted,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		modes[i]();
		if (check())
			fail_msg("state %u breaks%s (%s)", i, all_broken(), last.values);
	}
}

/* --- each rule --- */

struct rule_case {
	const char *name;	/* the rule that is broken; NULL: none may be */
	void (*base)(void);
	struct change changes[4];
	const char *also;	/* a rule that is inevitably broken, too */
};

static void run_case(const struct rule_case *c, unsigned index)
{
	unsigned expected = !!c->name + !!c->also;

	c->base();
	for (unsigned i = 0; i < ARRAY_SIZE(c->changes); i++)
		apply(&c->changes[i]);
	check();
	if (broken_count != expected || (c->name && !was_broken(c->name)) ||
	    (c->also && !was_broken(c->also)))
		fail_msg("case %u: expected %s, and it breaks%s", index,
			 c->name ? c->name : "nothing", all_broken());
	if (c->name && !last.values[0])
		fail_msg("%s shows no values", c->name);
}

static const struct rule_case controls[] = {
	{ "control.pin.reserved", long_mode, { OFF(pin, BIT(1)) } },
	{ "control.pin.reserved", long_mode, { SET(allowed_pin, 0x7full << 32), ON(pin, BIT(8)) } },
	{ "control.primary.reserved", long_mode, { ON(allowed_primary, BIT(1)) } },
	{ "control.primary.reserved", long_mode, { OFF(allowed_primary, 1ull << 60) ,
	  ON(primary, BIT(28)) } },
	{ "control.secondary.reserved", long_mode, { OFF(allowed_secondary, 1ull << 33) } },
	{ NULL, long_mode, { SET(allowed_secondary, 0), OFF(primary, PRIMARY_SECONDARY) } },
	{ "control.tertiary.reserved", long_mode, { ON(tertiary, BIT(8)) } },
	{ NULL, long_mode, { ON(tertiary, BIT(8)), OFF(primary, PRIMARY_TERTIARY) } },
	{ "control.cr3-target-count", long_mode, { SET(cr3_target_count, 5) } },
	{ NULL, long_mode, { SET(cr3_target_count, 4) } },
	{ "control.io-bitmap-a", long_mode, { ON(primary, BIT(25)), SET(io_bitmap_a, 0x800) } },
	{ "control.io-bitmap-a", long_mode, { ON(primary, BIT(25)), SET(io_bitmap_a, FAR) } },
	{ "control.io-bitmap-b", long_mode, { ON(primary, BIT(25)), SET(io_bitmap_b, 1) } },
	{ NULL, long_mode, { SET(io_bitmap_b, 1) } },
	{ "control.msr-bitmap", long_mode, { SET(msr_bitmap, FAR) } },
	{ "control.msr-bitmap", long_mode,
	  { SET(basic, 1ull << 48), SET(msr_bitmap, 1ull << 32) } },
	{ "control.virtual-apic", long_mode, { ON(primary, BIT(21)), SET(virtual_apic, 8) } },
	{ "control.tpr-threshold.reserved", long_mode,
	  { ON(primary, BIT(21)), SET(tpr_threshold, 0x10) } },
	{ NULL, long_mode,
	  { ON(primary, BIT(21)), SET(tpr_threshold, 0x10), ON(secondary, BIT(9)) } },
	{ "control.tpr-threshold.vtpr", long_mode,
	  { ON(primary, BIT(21)), SET(tpr_threshold, 3) } },
	{ NULL, long_mode, { ON(primary, BIT(21)), SET(tpr_threshold, 2) } },
	{ NULL, long_mode, { ON(primary, BIT(21)), SET(tpr_threshold, 3), ON(secondary, BIT(0)) } },
	{ "control.virtual-nmis.nmi-exiting", long_mode, { OFF(pin, BIT(3)) } },
	{ "control.nmi-window.virtual-nmis", long_mode,
	  { ON(primary, BIT(22)), OFF(pin, BIT(5)) } },
	{ "control.apic-access", long_mode, { ON(secondary, BIT(0)), SET(apic_access, 0x10) } },
	{ "control.x2apic-mode.tpr-shadow", long_mode, { ON(secondary, BIT(4)) } },
	{ "control.apic-registers.tpr-shadow", long_mode, { ON(secondary, BIT(8)) } },
	{ "control.interrupt-delivery.tpr-shadow", long_mode, { ON(secondary, BIT(9)) } },
	{ "control.ipi-virtualization.tpr-shadow", long_mode, { ON(tertiary, BIT(4)) } },
	{ "control.x2apic-mode.apic-accesses", long_mode,
	  { ON(primary, BIT(21)), ON(secondary, BIT(4) | BIT(0)) } },
	{ "control.interrupt-delivery.external-interrupts", long_mode,
	  { ON(primary, BIT(21)), ON(secondary, BIT(9)), OFF(pin, BIT(0)) } },
	{ "control.posted-interrupts.interrupt-delivery", long_mode,
	  { ON(pin, BIT(7)), ON(exit, BIT(15)) } },
	{ "control.posted-interrupts.acknowledge", long_mode,
	  { ON(pin, BIT(7)), ON(secondary, BIT(9)), ON(primary, BIT(21)) } },
	{ "control.posted-interrupts.vector", long_mode,
	  { ON(pin, BIT(7)), ON(exit, BIT(15)), SET(notification_vector, 0x100) },
	  "control.posted-interrupts.interrupt-delivery" },
	{ "control.posted-interrupts.descriptor", long_mode,
	  { ON(pin, BIT(7)), ON(exit, BIT(15)), SET(posted_interrupt, 0x20) },
	  "control.posted-interrupts.interrupt-delivery" },
	{ "control.vpid", long_mode, { SET(vpid, 0) } },
	{ NULL, long_mode, { SET(vpid, 0), OFF(secondary, BIT(5)) } },
	{ "control.ept-pointer.memory-type", long_mode, { SET(ept_pointer, 3 << 3 | 5) } },
	{ "control.ept-pointer.memory-type", long_mode, { SET(ept_pointer, 3 << 3) } },
	{ "control.ept-pointer.walk-length", long_mode, { SET(ept_pointer, 2 << 3 | 6) } },
	{ "control.ept-pointer.walk-length", long_mode, { SET(ept_pointer, 4 << 3 | 6) } },
	{ NULL, long_mode, { SET(ept_pointer, 4 << 3 | 6), ON(ept_vpid, BIT(7)) } },
	{ "control.ept-pointer.accessed-dirty", long_mode,
	  { ON(ept_pointer, BIT(6)), OFF(ept_vpid, BIT(21)) } },
	{ "control.ept-pointer.shadow-stack", long_mode,
	  { ON(ept_pointer, BIT(7)), OFF(ept_vpid, BIT(23)) } },
	{ NULL, long_mode, { ON(ept_pointer, BIT(7) | BIT(6)) } },
	{ "control.ept-pointer.reserved", long_mode, { ON(ept_pointer, BIT(8)) } },
	{ "control.ept-pointer.reserved", long_mode, { ON(ept_pointer, FAR) } },
	{ "control.pml.ept", long_mode,
	  { ON(secondary, BIT(17)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.pml.address", long_mode, { ON(secondary, BIT(17)), SET(pml, 0x10) } },
	{ "control.unrestricted-guest.ept", long_mode, { OFF(secondary, BIT(1)) } },
	{ "control.mode-based-execute.ept", long_mode,
	  { ON(secondary, BIT(22)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.sub-page.ept", long_mode,
	  { ON(secondary, BIT(23)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.sub-page.address", long_mode, { ON(secondary, BIT(23)), SET(sub_page, 4) } },
	{ "control.vm-functions.reserved", long_mode,
	  { ON(secondary, BIT(13)), SET(vm_functions, 2) } },
	{ "control.eptp-switching.ept", long_mode,
	  { ON(secondary, BIT(13)), SET(vm_functions, 1), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.eptp-switching.list", long_mode,
	  { ON(secondary, BIT(13)), SET(vm_functions, 1), SET(eptp_list, 0x20) } },
	{ "control.vmcs-shadowing.vmread", long_mode,
	  { ON(secondary, BIT(14)), SET(vmread_bitmap, 1) } },
	{ "control.vmcs-shadowing.vmwrite", long_mode,
	  { ON(secondary, BIT(14)), SET(vmwrite_bitmap, FAR) } },
	{ "control.virtualization-exception.information", long_mode,
	  { ON(secondary, BIT(18)), SET(exception_info, 0x40) } },
	{ "control.pt-guest-physical.ept", long_mode,
	  { ON(secondary, BIT(24)), ON(exit, BIT(25)), ON(entry, BIT(18)),
	    OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.pt-guest-physical.clear-rtit", long_mode,
	  { ON(secondary, BIT(24)), ON(entry, BIT(18)) } },
	{ "control.pt-guest-physical.load-rtit", long_mode,
	  { ON(secondary, BIT(24)), ON(exit, BIT(25)) } },
	{ "control.tsc-multiplier", long_mode, { ON(secondary, BIT(25)), SET(tsc_multiplier, 0) } },
	{ "control.hlat.ept", long_mode,
	  { ON(tertiary, BIT(1)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.hlat.pointer", long_mode, { ON(tertiary, BIT(1)), SET(hlat_pointer, 1) } },
	{ NULL, long_mode, { ON(tertiary, BIT(1)), SET(hlat_pointer, 0x1018) } },
	{ "control.paging-write.ept", long_mode,
	  { ON(tertiary, BIT(2)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.guest-paging.ept", long_mode,
	  { ON(tertiary, BIT(3)), OFF(secondary, BIT(1) | BIT(7)) } },
	{ "control.ipi-virtualization.table", long_mode,
	  { ON(tertiary, BIT(4)), ON(primary, BIT(21)), SET(pid_table, 4) } },
	{ "control.ipi-virtualization.table", long_mode,
	  { ON(tertiary, BIT(4)), ON(primary, BIT(21)), SET(pid_table, FAR - 8),
	    SET(pid_last, 1) } },

	{ "control.exit.reserved", long_mode, { OFF(allowed_exit, 1ull << 41) } },
	{ "control.secondary-exit.reserved", long_mode, { ON(secondary_exit, BIT(8)) } },
	{ "control.save-preemption-timer.active", long_mode,
	  { ON(exit, BIT(22)), OFF(pin, BIT(6)) } },
	{ "control.exit-msr-store", long_mode, { SET(exit_store_count, 1), SET(exit_store, 8) } },
	{ NULL, long_mode, { SET(exit_store, 8) } },
	{ "control.exit-msr-load", long_mode,
	  { SET(exit_load_count, 2), SET(exit_load, FAR - 16) } },
	{ NULL, long_mode, { SET(exit_load_count, 1), SET(exit_load, FAR - 16) } },

	{ "control.entry.reserved", long_mode, { ON(allowed_entry, BIT(3)) } },
	{ "control.event.type", long_mode, { SET(event, EVENT(1u, 0x30)) } },
	{ "control.event.type", long_mode,
	  { SET(event, EVENT(7u, 0)), OFF(allowed_primary, 1ull << 59) } },
	{ NULL, long_mode, { SET(event, EVENT(7u, 0)) } },
	{ NULL, long_mode, { SET(event, 1 << 8) } },
	{ "control.event.vector", long_mode, { SET(event, EVENT(2u, 3)) } },
	{ "control.event.vector", long_mode, { SET(event, EVENT(3u, 32)) } },
	{ "control.event.vector", long_mode, { SET(event, EVENT(7u, 1)) } },
	{ "control.event.error-code.real-mode", real_mode,
	  { SET(event, EVENT(3u, 13) | ERROR_CODE) } },
	{ NULL, real_mode, { SET(event, EVENT(3u, 13)) } },
	{ "control.event.error-code.type", long_mode,
	  { SET(event, EVENT(4u, 13) | ERROR_CODE), SET(event_length, 2) } },
	{ "control.event.error-code.unexpected", long_mode,
	  { SET(event, EVENT(3u, 6) | ERROR_CODE) } },
	{ NULL, long_mode, { SET(event, EVENT(3u, 21) | ERROR_CODE), SET(basic, 1ull << 56) } },
	{ "control.event.error-code.missing", long_mode, { SET(event, EVENT(3u, 13)) } },
	{ "control.event.error-code.missing", long_mode, { SET(event, EVENT(3u, 17)) } },
	{ NULL, long_mode, { SET(event, EVENT(3u, 13)), SET(basic, 1ull << 56) } },
	{ NULL, long_mode, { SET(event, EVENT(3u, 14) | ERROR_CODE), SET(event_error, 0x8001) } },
	{ "control.event.reserved", long_mode, { SET(event, EVENT(3u, 6) | BIT(12)) } },
	{ "control.event.error-code.reserved", long_mode,
	  { SET(event, EVENT(3u, 13) | ERROR_CODE), SET(event_error, 0x10000) } },
	{ "control.event.instruction-length", long_mode,
	  { SET(event, EVENT(4u, 0x80)), SET(event_length, 16) } },
	{ "control.event.instruction-length", long_mode, { SET(event, EVENT(6u, 3)) } },
	{ "control.event.instruction-length", long_mode, { SET(event, EVENT(5u, 1)) } },
	{ NULL, long_mode, { SET(event, EVENT(6u, 3)), ON(misc, BIT(30)) } },
	{ NULL, long_mode, { SET(event, EVENT(4u, 0x80)), SET(event_length, 15) } },
	{ "control.entry-msr-load", long_mode,
	  { SET(entry_load_count, 1), SET(entry_load, 0x1008) } },
};

static const struct rule_case host[] = {
	{ "host.cr0.fixed", long_mode, { OFF(host_cr0, CR0_NE) } },
	{ "host.cr0.fixed", long_mode, { OFF(host_cr0, CR0_PG) } },
	{ "host.cr0.fixed", long_mode, { ON(host_cr0, 1ull << 32) } },
	{ "host.cr4.fixed", long_mode, { OFF(host_cr4, CR4_VMXE) } },
	{ "host.cr4.fixed", long_mode, { ON(host_cr4, 1ull << 24) } },
	{ "host.cr4.cet-wp", long_mode, { ON(host_cr4, CR4_CET), OFF(host_cr0, CR0_WP) } },
	{ "host.cr3.width", long_mode, { ON(host_cr3, FAR) } },
	{ "host.cr3.width", long_mode, { ON(host_cr3, 1ull << 62) } },
	{ NULL, long_mode, { ON(host_cr3, 1ull << 62), ON(features, VMX_FEATURE_LAM) } },
	{ "host.sysenter-esp", long_mode, { SET(host_sysenter_esp, ODD) } },
	{ "host.sysenter-eip", long_mode, { SET(host_sysenter_eip, ODD) } },
	{ "host.perf-global-ctrl", long_mode, { SET(host_perf, BIT(4)) } },
	{ "host.pat", long_mode, { SET(host_pat, 0x0007040600070402) } },
	{ "host.pat", long_mode, { SET(host_pat, 0x0807040600070406) } },
	{ "host.efer.reserved", long_mode, { ON(host_efer, BIT(1)) } },
	{ "host.efer.mode", long_mode, { OFF(host_efer, EFER_LME) } },
	{ "host.s-cet", long_mode, { SET(host_s_cet, BIT(6)) } },
	{ "host.s-cet", long_mode, { SET(host_s_cet, BIT(10) | BIT(11)) } },
	{ "host.s-cet", long_mode, { SET(host_s_cet, BIT(10) | BIT(11) | 0x3f) } },
	{ NULL, long_mode, { SET(host_s_cet, BIT(10) | 0x3f) } },
	{ "host.ssp.aligned", long_mode, { SET(host_ssp, 2) } },
	{ "host.ssp.canonical", long_mode, { SET(host_ssp, ODD) } },
	{ "host.ssp-table", long_mode, { SET(host_ssp_table, ODD) } },
	{ "host.pkrs", long_mode, { SET(host_pkrs, 1ull << 32) } },

	{ "host.es.selector", long_mode, { SET(host_es, 3) } },
	{ "host.cs.selector", long_mode, { SET(host_cs, 9) } },
	{ "host.ss.selector", long_mode, { SET(host_ss, 4) } },
	{ "host.ds.selector", long_mode, { SET(host_ds, 0x13) } },
	{ "host.fs.selector", long_mode, { SET(host_fs, 0x14) } },
	{ "host.gs.selector", long_mode, { SET(host_gs, 2) } },
	{ "host.tr.selector", long_mode, { SET(host_tr, 0x44) } },
	{ "host.cs.null", long_mode, { SET(host_cs, 0) } },
	{ "host.tr.null", long_mode, { SET(host_tr, 0) } },
	{ "host.ss.null", host_32, { SET(host_ss, 0) }, "host.address-space.64-bit" },
	{ "host.fs.base", long_mode, { SET(host_fs_base, ODD) } },
	{ "host.gs.base", long_mode, { SET(host_gs_base, ODD) } },
	{ "host.gdtr.base", long_mode, { SET(host_gdtr_base, ODD) } },
	{ "host.idtr.base", long_mode, { SET(host_idtr_base, ODD) } },
	{ "host.tr.base", long_mode, { SET(host_tr_base, ODD) } },

	{ "host.address-space.64-bit", host_32 },
	{ NULL, host_32, { SET(legacy, 1) } },
	{ "host.address-space.outside-ia32e-guest", long_mode, { SET(legacy, 1) },
	  "host.address-space.outside-ia32e-host" },
	{ "host.address-space.outside-ia32e-host", pae_mode, { SET(legacy, 1) } },
	{ "host.address-space.pcide", host_32, { ON(host_cr4, CR4_PCIDE) },
	  "host.address-space.64-bit" },
	{ "host.address-space.rip", host_32, { SET(host_rip, 1ull << 32) },
	  "host.address-space.64-bit" },
	{ "host.address-space.pae", long_mode, { OFF(host_cr4, CR4_PAE) } },
	{ "host.rip.canonical", long_mode, { SET(host_rip, ODD) } },
};

static const struct rule_case guest[] = {
	{ "guest.cr0.fixed", long_mode, { OFF(cr0, CR0_NE) } },
	{ "guest.cr0.fixed", long_mode, { ON(cr0, 1ull << 32) } },
	{ NULL, long_mode, { OFF(cr0_fixed1, CR0_CD | CR0_NW), ON(cr0, CR0_CD | CR0_NW) } },
	{ "guest.cr0.fixed", restricted, { OFF(cr0, CR0_PG) } },
	{ "guest.cr0.pg-pe", pae_mode, { OFF(cr0, CR0_PE) } },
	{ "guest.cr4.fixed", long_mode, { OFF(cr4, CR4_VMXE) } },
	{ "guest.cr4.fixed", long_mode, { ON(cr4, BIT(30)) } },
	{ "guest.cr4.cet-wp", long_mode, { ON(cr4, CR4_CET) } },
	{ NULL, long_mode, { ON(cr4, CR4_CET), ON(cr0, CR0_WP) } },
	{ "guest.debugctl", long_mode, { SET(debugctl, BIT(3)) } },
	{ "guest.debugctl", long_mode, { SET(debugctl, BIT(16)) } },
	{ NULL, long_mode, { SET(debugctl, 3) } },
	{ "guest.ia32e.pg", long_mode, { OFF(cr0, CR0_PG) } },
	{ "guest.ia32e.pae", long_mode, { OFF(cr4, CR4_PAE) } },
	{ "guest.cr4.pcide", pae_mode, { ON(cr4, CR4_PCIDE) } },
	{ NULL, long_mode, { ON(cr4, CR4_PCIDE) } },
	{ "guest.cr3.width", long_mode, { ON(cr3, FAR) } },
	{ "guest.dr7", long_mode, { ON(dr7, 1ull << 32) } },
	{ NULL, long_mode, { ON(dr7, 1ull << 32), OFF(entry, ENTRY_LOAD_DEBUG) } },
	{ "guest.sysenter-esp", long_mode, { SET(sysenter_esp, ODD) } },
	{ "guest.sysenter-eip", long_mode, { SET(sysenter_eip, ODD) } },
	{ "guest.s-cet", long_mode, { SET(s_cet, BIT(9)) } },
	{ "guest.s-cet", long_mode, { SET(s_cet, ODD) } },
	{ "guest.ssp-table", long_mode, { SET(ssp_table, ODD) } },
	{ "guest.perf-global-ctrl", long_mode, { SET(perf, 1ull << 35) } },
	{ NULL, long_mode, { SET(perf, 1ull << 34 | 15) } },
	{ "guest.pat", long_mode, { SET(pat, 3) } },
	{ "guest.efer.reserved", long_mode, { ON(efer, BIT(9)) } },
	{ "guest.efer.lma", real_mode, { ON(efer, EFER_LMA) } },
	{ "guest.efer.lma", long_mode, { OFF(efer, EFER_LMA | EFER_LME) } },
	{ "guest.efer.lme", pae_mode, { ON(efer, EFER_LME) } },
	{ NULL, real_mode, { ON(efer, EFER_LME) } },
	{ "guest.bndcfgs.reserved", long_mode, { SET(bndcfgs, BIT(2)) } },
	{ "guest.bndcfgs.canonical", long_mode, { SET(bndcfgs, ODD) } },
	{ "guest.pkrs", long_mode, { SET(pkrs, 1ull << 32) } },

	{ "guest.gdtr.base", long_mode, { SET(gdtr_base, ODD) } },
	{ "guest.idtr.base", long_mode, { SET(idtr_base, ODD) } },
	{ "guest.gdtr.limit", long_mode, { SET(gdtr_limit, 0x10000) } },
	{ "guest.idtr.limit", long_mode, { SET(idtr_limit, 0x10000) } },

	{ "guest.rip.high", real_mode, { SET(rip, 1ull << 32) } },
	{ "guest.rip.high", long_mode, { RIGHTS(SEG_CS, 0xc09b) } },
	{ "guest.rip.width", long_mode, { SET(rip, 1ull << 48) } },
	/* Bits 63:48 are equal: not canonical, but the manual asks for no more. */
	{ NULL, long_mode, { SET(rip, 1ull << 47) } },
	{ "guest.rflags.reserved", long_mode, { SET(rflags, 0) } },
	{ "guest.rflags.reserved", long_mode, { ON(rflags, BIT(3)) } },
	{ "guest.rflags.reserved", long_mode, { ON(rflags, BIT(5)) } },
	{ "guest.rflags.reserved", long_mode, { ON(rflags, BIT(15)) } },
	{ "guest.rflags.reserved", long_mode, { ON(rflags, BIT(22)) } },
	{ NULL, long_mode, { SET(rflags, 0x3d7fd7 & ~RFLAGS_VM) } },
	{ "guest.rflags.if-for-extint", long_mode, { SET(event, EXTINT) } },
	{ NULL, long_mode, { SET(event, EXTINT), SET(rflags, IF) } },
	{ "guest.ssp.aligned", long_mode, { SET(ssp, 1) } },
	{ "guest.ssp.high", real_mode, { SET(ssp, 1ull << 32) } },
	{ "guest.ssp.width", long_mode, { SET(ssp, 1ull << 48) } },

	{ "guest.activity.supported", long_mode, { SET(activity, 4) } },
	{ "guest.activity.supported", long_mode, { SET(activity, 2), OFF(misc, BIT(7)) } },
	{ NULL, long_mode, { SET(activity, 2) } },
	{ "guest.activity.hlt-cpl", pae_mode,
	  { SET(activity, 1), RIGHTS(SEG_SS, 0xc0f3), RIGHTS(SEG_CS, 0xc0fb) } },
	{ "guest.activity.shadow", long_mode, { SET(activity, 1), SET(interruptibility, 2) } },
	{ "guest.activity.event", long_mode, { SET(activity, 1), SET(event, EVENT(3u, 6)) } },
	{ "guest.activity.event", long_mode,
	  { SET(activity, 2), SET(event, EXTINT), SET(rflags, IF) } },
	{ "guest.activity.event", long_mode, { SET(activity, 3), SET(event, NMI) } },
	{ NULL, long_mode, { SET(activity, 1), SET(event, NMI) } },
	{ NULL, long_mode, { SET(activity, 1), SET(event, EXTINT), SET(rflags, IF) } },
	{ NULL, long_mode, { SET(activity, 1), SET(event, EVENT(3u, 1)) } },
	{ NULL, long_mode, { SET(activity, 1), SET(event, EVENT(7u, 0)) } },
	{ NULL, long_mode, { SET(activity, 2), SET(event, EVENT(3u, 18)) } },
	{ "guest.interruptibility.reserved", long_mode, { SET(interruptibility, BIT(5)) } },
	{ "guest.interruptibility.sti-mov-ss", long_mode,
	  { SET(interruptibility, 3), SET(rflags, IF) } },
	{ "guest.interruptibility.sti-if", long_mode, { SET(interruptibility, 1) } },
	{ "guest.interruptibility.extint", long_mode,
	  { SET(interruptibility, 1), SET(rflags, IF), SET(event, EXTINT) } },
	{ "guest.interruptibility.extint", long_mode,
	  { SET(interruptibility, 2), SET(rflags, IF), SET(event, EXTINT) } },
	{ "guest.interruptibility.nmi-mov-ss", long_mode,
	  { SET(interruptibility, 2), SET(event, NMI) } },
	{ "guest.interruptibility.nmi-sti", long_mode,
	  { SET(interruptibility, 1), SET(rflags, IF), SET(event, NMI) } },
	{ "guest.interruptibility.smi", long_mode, { SET(interruptibility, 4) } },
	{ "guest.interruptibility.nmi-blocked", long_mode,
	  { SET(interruptibility, 8), SET(event, NMI) } },
	{ NULL, long_mode, { SET(interruptibility, 8), SET(event, NMI), OFF(pin, BIT(5)) } },
	{ "guest.interruptibility.enclave", long_mode, { SET(interruptibility, BIT(4)) } },
	{ NULL, long_mode, { SET(interruptibility, BIT(4)), ON(features, VMX_FEATURE_SGX) } },
	{ "guest.pending-debug.reserved", long_mode, { SET(pending_debug, BIT(4)) } },
	{ "guest.pending-debug.reserved", long_mode, { SET(pending_debug, BIT(11)) } },
	{ NULL, long_mode, { SET(pending_debug, BIT(11)), ON(features, VMX_FEATURE_BUS_LOCK) } },
	{ "guest.pending-debug.bs-needed", long_mode,
	  { SET(interruptibility, 2), ON(rflags, RFLAGS_TF) } },
	{ "guest.pending-debug.bs-needed", long_mode, { SET(activity, 1), ON(rflags, RFLAGS_TF) } },
	{ NULL, long_mode, { ON(rflags, RFLAGS_TF) } },
	{ NULL, long_mode, { SET(interruptibility, 2), ON(rflags, RFLAGS_TF), SET(debugctl, 2) } },
	{ "guest.pending-debug.bs-forbidden", long_mode,
	  { SET(interruptibility, 2), SET(pending_debug, BIT(14)) } },
	{ "guest.pending-debug.rtm", long_mode, { SET(pending_debug, BIT(16)) } },
	{ "guest.pending-debug.rtm", long_mode,
	  { SET(pending_debug, BIT(16) | BIT(12)), SET(interruptibility, 2) } },
	{ NULL, long_mode, { SET(pending_debug, BIT(16) | BIT(12)) } },
	{ "guest.link-pointer.address", long_mode, { SET(link_pointer, 0x1800) } },
	{ "guest.link-pointer.address", long_mode, { SET(link_pointer, FAR) } },
	{ NULL, long_mode, { SET(link_pointer, 0x1000) } },
	{ "guest.link-pointer.revision", long_mode,
	  { SET(link_pointer, 0x1000), SET(link_revision, 1) } },
	{ "guest.link-pointer.revision", long_mode,
	  { SET(link_pointer, 0x1000), ON(secondary, BIT(14)) } },
	{ "guest.link-pointer.current", long_mode, { SET(link_pointer, 0x5000) } },

	{ "guest.pdpte0", pae_mode, { ON(pdpte0, BIT(1)) } },
	{ "guest.pdpte1", pae_mode, { ON(pdpte1, BIT(8)) } },
	{ "guest.pdpte2", pae_mode, { ON(pdpte2, FAR) } },
	{ "guest.pdpte3", pae_mode, { ON(pdpte3, 1ull << 63) } },
	{ NULL, pae_mode, { SET(pdpte0, BIT(1)) } },
	{ NULL, long_mode, { SET(pdpte0, 3) } },
};

static const struct rule_case segments[] = {
	{ "guest.tr.ti", long_mode, { SET(segments[SEG_TR].selector, 0x44) } },
	{ "guest.ldtr.ti", long_mode, { SET(segments[SEG_LDTR].selector, 4) } },
	{ NULL, long_mode, { SET(segments[SEG_LDTR].selector, 4), RIGHTS(SEG_LDTR, 0x10000) } },
	{ "guest.ss.rpl", restricted, { SET(segments[SEG_CS].selector, 0xb) } },
	{ NULL, pae_mode, { SET(segments[SEG_CS].selector, 0xb) } },
	{ "guest.v86.base", virtual_8086_mode, { SET(segments[SEG_DS].base, 0x20000) } },
	{ "guest.base.canonical", long_mode, { SET(segments[SEG_TR].base, ODD) } },
	{ "guest.base.canonical", long_mode, { SET(segments[SEG_FS].base, ODD) } },
	{ "guest.base.canonical", long_mode, { SET(segments[SEG_GS].base, ODD) } },
	{ "guest.base.canonical", long_mode, { SET(segments[SEG_LDTR].base, ODD) } },
	{ NULL, long_mode, { SET(segments[SEG_LDTR].base, ODD), RIGHTS(SEG_LDTR, 0x10000) } },
	{ "guest.base.high", long_mode, { SET(segments[SEG_CS].base, 1ull << 32) } },
	{ "guest.base.high", long_mode, { SET(segments[SEG_ES].base, 1ull << 32) } },
	{ NULL, long_mode, { SET(segments[SEG_SS].base, 1ull << 32), RIGHTS(SEG_SS, 0x10000) } },
	{ "guest.v86.limit", virtual_8086_mode, { SET(segments[SEG_CS].limit, 0xfffff) } },
	{ "guest.v86.rights", virtual_8086_mode, { RIGHTS(SEG_SS, 0x93) } },
	{ "guest.cs.type", long_mode, { RIGHTS(SEG_CS, 0xa09a) } },
	{ "guest.cs.type", restricted, { RIGHTS(SEG_CS, 0xc093) },
	  NULL },
	{ NULL, pae_mode, { RIGHTS(SEG_CS, 0xc093) } },
	{ "guest.ss.type", long_mode, { RIGHTS(SEG_SS, 0xc091) } },
	{ "guest.data.type", long_mode, { RIGHTS(SEG_DS, 0xc092) } },
	{ "guest.data.type", long_mode, { RIGHTS(SEG_GS, 0xc099) } },
	{ NULL, long_mode, { RIGHTS(SEG_ES, 0x10000) } },
	{ "guest.segment.s", long_mode, { RIGHTS(SEG_CS, 0xa08b) } },
	{ "guest.segment.s", long_mode, { RIGHTS(SEG_FS, 0xc083) } },
	{ "guest.cs.dpl.type-3", pae_mode, { RIGHTS(SEG_CS, 0xc0f3) } },
	{ "guest.cs.dpl.nonconforming", long_mode, { RIGHTS(SEG_CS, 0xa0fb) } },
	{ "guest.cs.dpl.conforming", long_mode, { RIGHTS(SEG_CS, 0xa0bf) } },
	{ NULL, long_mode, { RIGHTS(SEG_CS, 0xa09f) } },
	{ "guest.ss.dpl.rpl", restricted,
	  { RIGHTS(SEG_SS, 0xc0b3) }, "guest.cs.dpl.nonconforming" },
	{ "guest.ss.dpl.real-mode", real_mode, { RIGHTS(SEG_SS, 0xf3), RIGHTS(SEG_CS, 0xfb) } },
	{ "guest.data.dpl", restricted, { SET(segments[SEG_DS].selector, 0x13) } },
	{ NULL, pae_mode, { SET(segments[SEG_DS].selector, 0x13) } },
	{ "guest.segment.present", long_mode, { RIGHTS(SEG_CS, 0xa01b) } },
	{ "guest.segment.present", long_mode, { RIGHTS(SEG_SS, 0xc013) } },
	{ "guest.segment.reserved", long_mode, { RIGHTS(SEG_ES, 0xc193) } },
	{ "guest.segment.reserved", long_mode, { RIGHTS(SEG_ES, 0x2c093) } },
	{ "guest.cs.d", long_mode, { RIGHTS(SEG_CS, 0xe09b) } },
	{ NULL, pae_mode, { RIGHTS(SEG_CS, 0xe09b) } },
	{ "guest.segment.granularity", long_mode, { SET(segments[SEG_ES].limit, 0xfffff000) } },
	{ "guest.segment.granularity", long_mode, { RIGHTS(SEG_CS, 0x209b) } },
	{ "guest.tr.type", long_mode, { RIGHTS(SEG_TR, 0x83) } },
	{ "guest.tr.type", pae_mode, { RIGHTS(SEG_TR, 0x89) } },
	{ NULL, pae_mode, { RIGHTS(SEG_TR, 0x83) } },
	{ "guest.tr.s", long_mode, { RIGHTS(SEG_TR, 0x9b) } },
	{ "guest.tr.present", long_mode, { RIGHTS(SEG_TR, 0x0b) } },
	{ "guest.tr.reserved", long_mode, { RIGHTS(SEG_TR, 0x48b | BIT(9)) } },
	{ "guest.tr.granularity", long_mode, { SET(segments[SEG_TR].limit, 0x100000) } },
	{ "guest.tr.unusable", long_mode, { RIGHTS(SEG_TR, 0x1008b) } },
	{ "guest.ldtr.type", long_mode, { RIGHTS(SEG_LDTR, 0x83) } },
	{ "guest.ldtr.s", long_mode, { RIGHTS(SEG_LDTR, 0x92) } },
	{ "guest.ldtr.present", long_mode, { RIGHTS(SEG_LDTR, 0x02) } },
	{ "guest.ldtr.reserved", long_mode, { RIGHTS(SEG_LDTR, 0x182) } },
	{ "guest.ldtr.granularity", long_mode, { SET(segments[SEG_LDTR].limit, 0x100000) } },
	{ NULL, long_mode, { RIGHTS(SEG_LDTR, 0x10f00) } },

	{ "guest.rflags.vm", virtual_8086_mode, { OFF(cr0, CR0_PE) } },
};

static const struct {
	const struct rule_case *cases;
	unsigned count;
} lists[] = {
	{ controls, ARRAY_SIZE(controls) }, { host, ARRAY_SIZE(host) },
	{ guest, ARRAY_SIZE(guest) }, { segments, ARRAY_SIZE(segments) },
};

static void run_list(unsigned list)
{
	for (unsigned i = 0; i < lists[list].count; i++)
		run_case(&lists[list].cases[i], i);
}

static void control_rules(void **state) { run_list(0); }
static void host_rules(void **state) { run_list(1); }
static void guest_rules(void **state) { run_list(2); }
static void segment_rules(void **state) { run_list(3); }

/* A 64-bit guest needs a 64-bit host, which breaks three rules at once. */
static void guest_wider_than_its_host(void **state)
{
	long_mode();
	s.exit &= ~(u64)EXIT_HOST_64BIT;
	check();
	assert_true(was_broken("host.address-space.guest"));
	assert_true(was_broken("host.address-space.64-bit"));
}

/* --- the list of rules itself --- */

static bool has_case(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(lists); i++)
		for (unsigned j = 0; j < lists[i].count; j++)
			if (lists[i].cases[j].name && !strcmp(lists[i].cases[j].name, name))
				return true;
	return !strcmp(name, "host.address-space.guest");
}

static void each_rule_has_a_case_and_a_name_of_its_own(void **state)
{
	const char *names[256];
	unsigned count = 0;

	for (unsigned g = 0; g < ARRAY_SIZE(vmx_rule_groups); g++)
		for (unsigned i = 0; i < vmx_rule_groups[g].count; i++) {
			const struct vmx_rule_section *section = &vmx_rule_groups[g].sections[i];

			for (unsigned j = 0; j < section->count; j++) {
				const char *name = section->rules[j].name;

				if (!has_case(name))
					fail_msg("%s has no case", name);
				for (unsigned k = 0; k < count; k++)
					assert_string_not_equal(names[k], name);
				assert_true(count < ARRAY_SIZE(names));
				names[count++] = name;
			}
		}
	print_message("%u rules, %u exemptions\n", count, vmx_exemption_count);
	for (unsigned i = 0; i < vmx_exemption_count; i++) {
		assert_non_null(vmx_exemptions[i].reason);
		for (unsigned k = 0; k < count; k++)
			assert_string_not_equal(names[k], vmx_exemptions[i].name);
	}
}

/* What vmx_rule_bits() leaves out may change as it likes: every case breaks the same rules. */
static void bits_that_no_rule_looks_at(void **state)
{
	for (unsigned list = 0; list < ARRAY_SIZE(lists); list++) {
		for (unsigned i = 0; i < lists[list].count; i++) {
			const struct rule_case *c = &lists[list].cases[i];
			char before[512];

			c->base();
			for (unsigned j = 0; j < ARRAY_SIZE(c->changes); j++)
				apply(&c->changes[j]);
			check();
			strcpy(before, all_broken());
			for (unsigned field = 0; field < VMX_FIRST_PROCESSOR; field++)
				((u64 *)&s)[field] ^= ~vmx_rule_bits(field);
			check();
			assert_string_equal(before, all_broken());
		}
	}
	assert_int_equal(vmx_rule_bits(VMX_FIELD(rsp)), 0);
	assert_int_equal(vmx_rule_bits(VMX_FIELD(host_rsp)), 0);
	/* CF, PF, AF, ZF, SF, DF and OF: instructions change them, and no rule is about them. */
	assert_int_equal(vmx_rule_bits(VMX_FIELD(rflags)), ~0xcd5ull);
	/* RIP mostly moves within 2 GiB. */
	assert_int_equal(vmx_rule_bits(VMX_FIELD(rip)) & 0x7fffffff, 0);
	assert_int_equal(vmx_rule_bits(VMX_FIELD(rip)) >> 32, ~0u);
	assert_int_equal(vmx_rule_bits(VMX_FIELD(cr0)), ~0ull);
}

static void values_name_the_fields(void **state)
{
	long_mode();
	s.event = EXTINT;
	check();
	assert_string_equal(last.text, "RFLAGS.IF must be 1 to inject an external interrupt");
	assert_string_equal(last.values,
			    "RFLAGS 0x2, VM-entry interruption information 0x80000030");
	assert_string_equal(last.section, "Checks on Guest RIP, RFLAGS, and SSP");

	long_mode();
	s.segments[SEG_DS].rights = 0xc092;
	check();
	assert_string_equal(last.values,
			    "DS 0x10, DS base 0x0, DS limit 0xffffffff, DS access rights 0xc092");
}

/* A control that needs another one: both words, or the one that holds both. */
static void values_name_the_words_of_controls(void **state)
{
	long_mode();
	s.secondary = SECONDARY_X2APIC;
	check();
	assert_string_equal(last.name, "control.x2apic-mode.tpr-shadow");
	assert_string_equal(last.values, "secondary controls 0x10, primary controls 0x90020000");

	long_mode();
	s.secondary &= ~(u64)SECONDARY_EPT;
	check();
	assert_string_equal(last.name, "control.unrestricted-guest.ept");
	assert_string_equal(last.values, "secondary controls 0xa0");

	long_mode();
	s.pin &= ~(u64)PIN_NMI;
	check();
	assert_string_equal(last.name, "control.virtual-nmis.nmi-exiting");
	assert_string_equal(last.values, "pin-based controls 0x77");
}

/* Each field has a name and a number of its own, so that dumps can be read back. */
static void fields_are_told_apart(void **state)
{
	for (unsigned i = 0; i < VMX_FIELDS; i++)
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(vmx_field_name(i).text, vmx_field_name(j).text);
			if (vmx_field_number(i) && i < VMX_FIRST_PROCESSOR)
				assert_int_not_equal(vmx_field_number(i), vmx_field_number(j));
		}
}

static void fields_have_the_numbers_of_the_vmcs(void **state)
{
	static const struct {
		u8 field;
		u32 encoding;
	} pairs[] = {
		{ VMX_FIELD(pin), 0x4000 }, { VMX_FIELD(vpid), 0 }, { VMX_FIELD(host_rip), 0x6c16 },
		{ VMX_FIELD(host_cr0), 0x6c00 }, { VMX_FIELD(cr0), 0x6800 },
		{ VMX_FIELD(rflags), 0x6820 }, { VMX_FIELD(pdpte3), 0x2810 },
		{ VMX_FIELD(segments[SEG_ES].selector), 0x800 },
		{ VMX_FIELD(segments[SEG_TR].rights), 0x4822 },
		{ VMX_FIELD(segments[SEG_CS].base), 0x6808 },
		{ VMX_FIELD(segments[SEG_LDTR].limit), 0x480c }, { VMX_FIELD(basic), 0x480 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_int_equal(vmx_field_number(pairs[i].field), pairs[i].encoding);
}

/* The rules list all fields with their encodings, since they read dumps, too: vmx/vmcs_fields.h has the same ones. */
static void encodings_are_those_of_the_accessors(void **state)
{
#define SAME(member, name) { VMX_FIELD(member), (name).encoding }
	const struct {
		u8 field;
		u32 encoding;
	} pairs[] = {
		SAME(vpid, VPID), SAME(msr_bitmap, MSR_BITMAP), SAME(tsc_offset, TSC_OFFSET),
		SAME(ept_pointer, EPT_POINTER), SAME(pin, PIN_BASED_CONTROLS),
		SAME(primary, PRIMARY_CONTROLS), SAME(exception_bitmap, EXCEPTION_BITMAP),
		SAME(cr3_target_count, CR3_TARGET_COUNT), SAME(secondary, SECONDARY_CONTROLS),
		SAME(cr0_mask, CR0_GUEST_HOST_MASK), SAME(cr4_mask, CR4_GUEST_HOST_MASK),
		SAME(cr0_shadow, CR0_READ_SHADOW), SAME(cr4_shadow, CR4_READ_SHADOW),
		SAME(exit_load, EXIT_MSR_LOAD_ADDRESS), SAME(entry_load, ENTRY_MSR_LOAD_ADDRESS),
		SAME(exit, EXIT_CONTROLS), SAME(exit_store_count, EXIT_MSR_STORE_COUNT),
		SAME(exit_load_count, EXIT_MSR_LOAD_COUNT), SAME(entry, ENTRY_CONTROLS),
		SAME(entry_load_count, ENTRY_MSR_LOAD_COUNT), SAME(event, ENTRY_INTERRUPTION_INFO),
		SAME(event_error, ENTRY_EXCEPTION_ERROR_CODE), SAME(event_length, ENTRY_INSTRUCTION_LENGTH),
		SAME(link_pointer, VMCS_LINK_POINTER), SAME(debugctl, GUEST_DEBUGCTL), SAME(pat, GUEST_PAT),
		SAME(efer, GUEST_EFER), SAME(gdtr_limit, GUEST_GDTR_LIMIT),
		SAME(idtr_limit, GUEST_IDTR_LIMIT), SAME(interruptibility, GUEST_INTERRUPTIBILITY),
		SAME(activity, GUEST_ACTIVITY), SAME(sysenter_cs, GUEST_SYSENTER_CS), SAME(cr0, GUEST_CR0),
		SAME(cr3, GUEST_CR3), SAME(cr4, GUEST_CR4), SAME(gdtr_base, GUEST_GDTR_BASE),
		SAME(idtr_base, GUEST_IDTR_BASE), SAME(dr7, GUEST_DR7), SAME(rsp, GUEST_RSP),
		SAME(rip, GUEST_RIP), SAME(rflags, GUEST_RFLAGS), SAME(pending_debug, GUEST_PENDING_DEBUG),
		SAME(sysenter_esp, GUEST_SYSENTER_ESP), SAME(sysenter_eip, GUEST_SYSENTER_EIP),
		SAME(host_es, HOST_ES_SELECTOR), SAME(host_cs, HOST_CS_SELECTOR),
		SAME(host_ss, HOST_SS_SELECTOR), SAME(host_ds, HOST_DS_SELECTOR),
		SAME(host_fs, HOST_FS_SELECTOR), SAME(host_gs, HOST_GS_SELECTOR),
		SAME(host_tr, HOST_TR_SELECTOR), SAME(host_pat, HOST_PAT), SAME(host_efer, HOST_EFER),
		SAME(host_cr0, HOST_CR0), SAME(host_cr3, HOST_CR3), SAME(host_cr4, HOST_CR4),
		SAME(host_fs_base, HOST_FS_BASE), SAME(host_gs_base, HOST_GS_BASE),
		SAME(host_tr_base, HOST_TR_BASE), SAME(host_gdtr_base, HOST_GDTR_BASE),
		SAME(host_idtr_base, HOST_IDTR_BASE), SAME(host_sysenter_esp, HOST_SYSENTER_ESP),
		SAME(host_sysenter_eip, HOST_SYSENTER_EIP), SAME(host_rip, HOST_RIP),
		{ VMX_FIELD(host_rsp), HOST_RSP_ENCODING },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
		assert_int_equal(vmx_field_number(pairs[i].field), pairs[i].encoding);
	for (enum vcpu_segment i = SEG_ES; i <= SEG_TR; i++) {
		unsigned first = VMX_FIRST_SEGMENT + 4 * i;

		assert_int_equal(vmx_field_number(first), guest_selector(i).encoding);
		assert_int_equal(vmx_field_number(first + 1), guest_base(i).encoding);
		assert_int_equal(vmx_field_number(first + 2), guest_limit(i).encoding);
		assert_int_equal(vmx_field_number(first + 3), guest_access_rights(i).encoding);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vmx_field_number(VMX_FIELD(pdpte0) + i), guest_pdpte(i).encoding);
}

/* --- MSR lists --- */

static void refused_msrs(void **state)
{
	static const struct {
		struct vmx_msr_entry entry;
		const char *name, *values;
	} cases[] = {
		{ { 0xc0000100, 0, 0 }, "msr-load.fs-gs-base", "MSR 0xc0000100, value 0x0" },
		{ { 0xc0000101, 0, 0 }, "msr-load.fs-gs-base" },
		{ { 0x808, 0, 0 }, "msr-load.x2apic" },
		{ { 0x9b, 0, 0 }, "msr-load.smm" },
		{ { 0x79, 0, 0 }, "msr-load.microcode" },
		{ { 0x8b, 0, 0 }, "msr-load.microcode" },
		{ { 0xc0000080, 1, 0 }, "msr-load.reserved",
		  "MSR 0xc0000080, value 0x0, reserved 0x1" },
		{ { 0xc0000080, 0, 2 }, "msr-load.efer" },
		{ { 0x277, 0, 2 }, "msr-load.pat" },
		{ { 0xc0000082, 0, ODD }, "msr-load.canonical" },
		{ { 0x175, 0, ODD }, "msr-load.canonical" },
		{ { 0x12345, 0, 0 }, "msr-load.wrmsr" },
		{ { 0xc0000080, 0, 0xd01 }, "msr-load.wrmsr" },
	};
	struct violation violation;

	long_mode();
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		vmx_explain_msr_load(&s, &cases[i].entry, &violation);
		assert_string_equal(violation.name, cases[i].name);
		if (cases[i].values)
			assert_string_equal(violation.values, cases[i].values);
		assert_string_equal(violation.section, "Loading MSRs");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_states_break_nothing),
		cmocka_unit_test(control_rules),
		cmocka_unit_test(host_rules),
		cmocka_unit_test(guest_rules),
		cmocka_unit_test(segment_rules),
		cmocka_unit_test(guest_wider_than_its_host),
		cmocka_unit_test(each_rule_has_a_case_and_a_name_of_its_own),
		cmocka_unit_test(bits_that_no_rule_looks_at),
		cmocka_unit_test(values_name_the_fields),
		cmocka_unit_test(values_name_the_words_of_controls),
		cmocka_unit_test(fields_are_told_apart),
		cmocka_unit_test(fields_have_the_numbers_of_the_vmcs),
		cmocka_unit_test(encodings_are_those_of_the_accessors),
		cmocka_unit_test(refused_msrs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
