/* SPDX-License-Identifier: MIT */
/*
 * The rules of VM entry: which of the manual's checks does a state fail? Pure code: fields in,
 * violations out. Intel SDM, "VM Entries", from "Checks on VMX Controls" to "Loading MSRs".
 */
#pragma once

#include "core/cpu/segment.h"
#include "core/observe/entry_rule.h"
#include "lib/types.h"
#include "vmx/capability_msrs.h"

/* --- the state. X(member, VMCS encoding, name in reports and dumps) --- */

#define VMX_CONTROL_FIELDS(X)						\
	X(pin, 0x4000, "pin-based controls")				\
	X(primary, 0x4002, "primary controls")				\
	X(secondary, 0x401e, "secondary controls")			\
	X(tertiary, 0x2034, "tertiary controls")			\
	X(exit, 0x400c, "VM-exit controls")				\
	X(secondary_exit, 0x2044, "secondary VM-exit controls")		\
	X(entry, 0x4012, "VM-entry controls")				\
	X(exception_bitmap, 0x4004, "exception bitmap")			\
	X(cr3_target_count, 0x400a, "CR3-target count")			\
	X(io_bitmap_a, 0x2000, "I/O bitmap A")				\
	X(io_bitmap_b, 0x2002, "I/O bitmap B")				\
	X(msr_bitmap, 0x2004, "MSR bitmap")				\
	X(virtual_apic, 0x2012, "virtual-APIC page")			\
	X(apic_access, 0x2014, "APIC-access page")			\
	X(tpr_threshold, 0x401c, "TPR threshold")			\
	X(eoi_exits0, 0x201c, "EOI-exit bitmap 0")			\
	X(eoi_exits1, 0x201e, "EOI-exit bitmap 1")			\
	X(eoi_exits2, 0x2020, "EOI-exit bitmap 2")			\
	X(eoi_exits3, 0x2022, "EOI-exit bitmap 3")			\
	X(notification_vector, 0x0002, "posted-interrupt notification vector")	\
	X(posted_interrupt, 0x2016, "posted-interrupt descriptor")	\
	X(vpid, 0x0000, "VPID")						\
	X(ept_pointer, 0x201a, "EPT pointer")				\
	X(pml, 0x200e, "PML address")					\
	X(sub_page, 0x2030, "sub-page-permission-table pointer")	\
	X(vm_functions, 0x2018, "VM-function controls")			\
	X(eptp_list, 0x2024, "EPTP list")				\
	X(vmread_bitmap, 0x2026, "VMREAD bitmap")			\
	X(vmwrite_bitmap, 0x2028, "VMWRITE bitmap")			\
	X(exception_info, 0x202a, "virtualization-exception information")	\
	X(tsc_offset, 0x2010, "TSC offset")				\
	X(tsc_multiplier, 0x2032, "TSC multiplier")			\
	X(hlat_pointer, 0x2040, "HLAT pointer")				\
	X(pid_table, 0x2042, "PID-pointer table")			\
	X(pid_last, 0x0008, "last PID-pointer index")			\
	X(cr0_mask, 0x6000, "CR0 guest/host mask")			\
	X(cr4_mask, 0x6002, "CR4 guest/host mask")			\
	X(cr0_shadow, 0x6004, "CR0 read shadow")			\
	X(cr4_shadow, 0x6006, "CR4 read shadow")			\
	X(exit_store_count, 0x400e, "VM-exit MSR-store count")		\
	X(exit_store, 0x2006, "VM-exit MSR-store address")		\
	X(exit_load_count, 0x4010, "VM-exit MSR-load count")		\
	X(exit_load, 0x2008, "VM-exit MSR-load address")		\
	X(entry_load_count, 0x4014, "VM-entry MSR-load count")		\
	X(entry_load, 0x200a, "VM-entry MSR-load address")		\
	X(event, 0x4016, "VM-entry interruption information")		\
	X(event_error, 0x4018, "VM-entry exception error code")		\
	X(event_length, 0x401a, "VM-entry instruction length")

#define VMX_HOST_FIELDS(X)						\
	X(host_cr0, 0x6c00, "host CR0")					\
	X(host_cr3, 0x6c02, "host CR3")					\
	X(host_cr4, 0x6c04, "host CR4")					\
	X(host_rip, 0x6c16, "host RIP")					\
	X(host_rsp, 0x6c14, "host RSP")					\
	X(host_es, 0x0c00, "host ES")					\
	X(host_cs, 0x0c02, "host CS")					\
	X(host_ss, 0x0c04, "host SS")					\
	X(host_ds, 0x0c06, "host DS")					\
	X(host_fs, 0x0c08, "host FS")					\
	X(host_gs, 0x0c0a, "host GS")					\
	X(host_tr, 0x0c0c, "host TR")					\
	X(host_fs_base, 0x6c06, "host FS base")				\
	X(host_gs_base, 0x6c08, "host GS base")				\
	X(host_tr_base, 0x6c0a, "host TR base")				\
	X(host_gdtr_base, 0x6c0c, "host GDTR base")			\
	X(host_idtr_base, 0x6c0e, "host IDTR base")			\
	X(host_sysenter_esp, 0x6c10, "host SYSENTER_ESP")		\
	X(host_sysenter_eip, 0x6c12, "host SYSENTER_EIP")		\
	X(host_pat, 0x2c00, "host PAT")					\
	X(host_efer, 0x2c02, "host EFER")				\
	X(host_perf, 0x2c04, "host PERF_GLOBAL_CTRL")			\
	X(host_s_cet, 0x6c18, "host S_CET")				\
	X(host_ssp, 0x6c1a, "host SSP")					\
	X(host_ssp_table, 0x6c1c, "host INTERRUPT_SSP_TABLE_ADDR")	\
	X(host_pkrs, 0x2c06, "host PKRS")

#define VMX_GUEST_FIELDS(X)						\
	X(cr0, 0x6800, "CR0")						\
	X(cr3, 0x6802, "CR3")						\
	X(cr4, 0x6804, "CR4")						\
	X(dr7, 0x681a, "DR7")						\
	X(rip, 0x681e, "RIP")						\
	X(rsp, 0x681c, "RSP")						\
	X(rflags, 0x6820, "RFLAGS")					\
	X(gdtr_base, 0x6816, "GDTR base")				\
	X(gdtr_limit, 0x4810, "GDTR limit")				\
	X(idtr_base, 0x6818, "IDTR base")				\
	X(idtr_limit, 0x4812, "IDTR limit")				\
	X(sysenter_cs, 0x482a, "SYSENTER_CS")				\
	X(sysenter_esp, 0x6824, "SYSENTER_ESP")				\
	X(sysenter_eip, 0x6826, "SYSENTER_EIP")				\
	X(debugctl, 0x2802, "DEBUGCTL")					\
	X(pat, 0x2804, "PAT")						\
	X(efer, 0x2806, "EFER")						\
	X(perf, 0x2808, "PERF_GLOBAL_CTRL")				\
	X(bndcfgs, 0x2812, "BNDCFGS")					\
	X(rtit, 0x2814, "RTIT_CTL")					\
	X(lbr_ctl, 0x2816, "LBR_CTL")					\
	X(pkrs, 0x2818, "PKRS")						\
	X(s_cet, 0x6828, "S_CET")					\
	X(ssp, 0x682a, "SSP")						\
	X(ssp_table, 0x682c, "INTERRUPT_SSP_TABLE_ADDR")		\
	X(activity, 0x4826, "activity state")				\
	X(interruptibility, 0x4824, "interruptibility state")		\
	X(interrupt_status, 0x0810, "guest interrupt status")		\
	X(pending_debug, 0x6822, "pending debug exceptions")		\
	X(link_pointer, 0x2800, "VMCS link pointer")			\
	X(pdpte0, 0x280a, "PDPTE0")					\
	X(pdpte1, 0x280c, "PDPTE1")					\
	X(pdpte2, 0x280e, "PDPTE2")					\
	X(pdpte3, 0x2810, "PDPTE3")

/* What the processor allows, which is not in the VMCS. X(member, MSR or 0, name) */
#define VMX_PROCESSOR_FIELDS(X)						\
	X(basic, MSR_VMX_BASIC, "IA32_VMX_BASIC")			\
	X(allowed_pin, MSR_VMX_PIN, "allowed pin-based controls")	\
	X(allowed_primary, MSR_VMX_PRIMARY, "allowed primary controls")	\
	X(allowed_exit, MSR_VMX_EXIT, "allowed VM-exit controls")	\
	X(allowed_entry, MSR_VMX_ENTRY, "allowed VM-entry controls")	\
	X(misc, MSR_VMX_MISC, "IA32_VMX_MISC")				\
	X(cr0_fixed0, MSR_VMX_CR0_FIXED0, "IA32_VMX_CR0_FIXED0")	\
	X(cr0_fixed1, MSR_VMX_CR0_FIXED1, "IA32_VMX_CR0_FIXED1")	\
	X(cr4_fixed0, MSR_VMX_CR4_FIXED0, "IA32_VMX_CR4_FIXED0")	\
	X(cr4_fixed1, MSR_VMX_CR4_FIXED1, "IA32_VMX_CR4_FIXED1")	\
	X(allowed_secondary, MSR_VMX_SECONDARY, "allowed secondary controls")	\
	X(ept_vpid, MSR_VMX_EPT_VPID, "IA32_VMX_EPT_VPID_CAP")		\
	X(allowed_functions, MSR_VMX_FUNCTIONS, "IA32_VMX_VMFUNC")	\
	X(allowed_tertiary, MSR_VMX_TERTIARY, "IA32_VMX_PROCBASED_CTLS3")	\
	X(allowed_secondary_exit, MSR_VMX_SECONDARY_EXIT, "IA32_VMX_EXIT_CTLS2")	\
	X(physical_bits, 0, "physical-address width")			\
	X(linear_bits, 0, "linear-address width")			\
	X(perf_valid, 0, "PERF_GLOBAL_CTRL's valid bits")		\
	X(features, 0, "features")	/* enum vmx_feature */		\
	X(virtual_tpr, 0, "VTPR")	/* of the virtual-APIC page */	\
	X(link_revision, 0, "revision of the linked VMCS")		\
	X(legacy, 0, "entry outside of IA-32e mode")	/* not 0: EFER.LMA is 0 */ \
	X(current_vmcs, 0, "current VMCS")

/* Features without which some values are reserved; and which members are known. */
enum vmx_feature {
	VMX_FEATURE_SGX = BIT(0),		/* CPUID.7.0:EBX[2] */
	VMX_FEATURE_RTM = BIT(1),		/* CPUID.7.0:EBX[11] */
	VMX_FEATURE_BUS_LOCK = BIT(2),		/* CPUID.7.0:ECX[24] */
	VMX_FEATURE_LAM = BIT(3),		/* CPUID.7.1:EAX[26] */
	VMX_FEATURE_VIRTUAL_TPR = BIT(4),	/* virtual_tpr has been read from the page */
	VMX_FEATURE_LINKED = BIT(5),		/* link_revision has been read from that VMCS */
};

struct vmx_segment_fields {
	u64 selector, base, limit, rights;
};

/*
 * Fields that this processor's VMCS lacks are 0. Whoever checks a dump from another machine does not
 * know what its processor allows, and fills in values that allow everything.
 */
struct vmx_entry_state {
#define VMX_MEMBER(member, number, name) u64 member;
	VMX_CONTROL_FIELDS(VMX_MEMBER)
	VMX_HOST_FIELDS(VMX_MEMBER)
	VMX_GUEST_FIELDS(VMX_MEMBER)
	struct vmx_segment_fields segments[SEG_COUNT];
	VMX_PROCESSOR_FIELDS(VMX_MEMBER)
#undef VMX_MEMBER
};

/*
 * A field's index is its offset in the structure, in u64s: the VMCS's fields come first, then what
 * the processor allows.
 */
#define VMX_FIELD(member)     ((u8)(offsetof(struct vmx_entry_state, member) / sizeof(u64)))
#define VMX_FIRST_SEGMENT     VMX_FIELD(segments)
#define VMX_FIRST_PROCESSOR   VMX_FIELD(basic)
#define VMX_FIELDS	      (sizeof(struct vmx_entry_state) / sizeof(u64))
_Static_assert(VMX_FIELDS <= 255, "VMX_FIELD() is a byte");

static inline u64 vmx_field(const struct vmx_entry_state *s, unsigned index)
{
	return ((const u64 *)s)[index];
}

/* The field's encoding in the VMCS; from VMX_FIRST_PROCESSOR on the MSR's number, 0 if it is in none. */
u32 vmx_field_number(unsigned index);
/* The field's name in reports and dumps: "RFLAGS", "CS base". */
struct vmx_field_name {
	char text[40];
};
struct vmx_field_name vmx_field_name(unsigned index);

/* --- the checks --- */

/*
 * SDM, "Checks on VMX Controls and Host-State Area", "Checks on the Guest State Area". Calls `sink`
 * for each broken rule, in the manual's order; returns how often. A rule about segments counts once
 * for each segment that breaks it.
 */
unsigned vmx_check_entry(const struct vmx_entry_state *s, violation_sink *sink, void *context);
/* The same for the rules that lead to one kind of failure: instruction error 7, instruction error 8, exit reason 33. */
enum vmx_rule_part { VMX_RULES_CONTROLS, VMX_RULES_HOST, VMX_RULES_GUEST };
unsigned vmx_check_part(const struct vmx_entry_state *s, enum vmx_rule_part part, violation_sink *sink, void *context);

/* Do the rules allow this EPT pointer on the state's processor? INVEPT checks it, too. */
bool vmx_ept_pointer_allowed(const struct vmx_entry_state *s, u64 pointer);

/*
 * The bits of a field that rules may look at: all, except in RIP, RSP, RFLAGS and the interrupt status, which
 * change with most exits. Two states that agree in these bits break the same rules.
 */
u64 vmx_rule_bits(unsigned index);

/* Intel SDM, "Format of an MSR Entry" */
struct vmx_msr_entry {
	u32 index;
	u32 reserved;
	u64 value;
};

/* SDM, "Loading MSRs": fills in why the processor refused this entry of the VM-entry MSR-load area. */
void vmx_explain_msr_load(const struct vmx_entry_state *s, const struct vmx_msr_entry *entry,
			  struct violation *violation);
/* Is the entry refused, whatever WRMSR says? By the rules that do not depend on the processor's model. */
bool vmx_msr_load_refused(const struct vmx_entry_state *s, const struct vmx_msr_entry *entry);

/* The manual's rules that are not checked, because they cannot concern a VM of Lamina's. */
extern const struct rule_exemption vmx_exemptions[];
extern const unsigned vmx_exemption_count;
