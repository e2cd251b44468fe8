/* SPDX-License-Identifier: MIT */
/* Intel SDM, "Checks on VMX Controls". A rule broken here means VM-instruction error 7. */
#include "vmx/rules/rule.h"

/* --- VM-execution control fields --- */

static bool cr3_targets(const struct vmx_check *c)
{
	return c->s->cr3_target_count > MISC_CR3_TARGETS(c->s->misc);
}

static bool threshold_reserved(const struct vmx_check *c)
{
	return !vmx_control(c->s, SECONDARY(INTERRUPT_DELIVERY)) &&
	       c->s->tpr_threshold >> 4;
}

static bool threshold_above_tpr(const struct vmx_check *c)
{
	const struct vmx_entry_state *s = c->s;

	return (s->features & VMX_FEATURE_VIRTUAL_TPR) &&
	       !vmx_control(s, SECONDARY(APIC_ACCESSES)) &&
	       !vmx_control(s, SECONDARY(INTERRUPT_DELIVERY)) &&
	       (s->tpr_threshold & 15) > (s->virtual_tpr >> 4 & 15);
}

static bool notification_vector(const struct vmx_check *c)
{
	return c->s->notification_vector >> 8;
}

static bool posted_interrupt_address(const struct vmx_check *c)
{
	u64 address = c->s->posted_interrupt;

	return (address & 0x3f) || vmx_above_physical(c->s, address);
}

static bool memory_type_wrong(const struct vmx_entry_state *s, u64 pointer)
{
	unsigned type = pointer & 7;

	return !((type == 0 && (s->ept_vpid & EPT_UNCACHEABLE)) || (type == 6 && (s->ept_vpid & EPT_WRITE_BACK)));
}

static bool walk_length_wrong(const struct vmx_entry_state *s, u64 pointer)
{
	unsigned length = (pointer >> 3 & 7) + 1;

	return !((length == 4 && (s->ept_vpid & EPT_WALK_4)) || (length == 5 && (s->ept_vpid & EPT_WALK_5)));
}

static bool accessed_dirty_wrong(const struct vmx_entry_state *s, u64 pointer)
{
	return (pointer & BIT(6)) && !(s->ept_vpid & EPT_ACCESSED_DIRTY);
}

static bool shadow_stack_wrong(const struct vmx_entry_state *s, u64 pointer)
{
	return (pointer & BIT(7)) && !(s->ept_vpid & EPT_SHADOW_STACK);
}

static bool reserved_wrong(const struct vmx_entry_state *s, u64 pointer)
{
	return (pointer & 0xf00) || pointer >> s->physical_bits;
}

bool vmx_ept_pointer_allowed(const struct vmx_entry_state *s, u64 pointer)
{
	return !memory_type_wrong(s, pointer) && !walk_length_wrong(s, pointer) && !accessed_dirty_wrong(s, pointer) &&
	       !shadow_stack_wrong(s, pointer) && !reserved_wrong(s, pointer);
}

static bool ept_memory_type(const struct vmx_check *c)
{
	return memory_type_wrong(c->s, c->s->ept_pointer);
}

static bool ept_walk_length(const struct vmx_check *c)
{
	return walk_length_wrong(c->s, c->s->ept_pointer);
}

static bool ept_accessed_dirty(const struct vmx_check *c)
{
	return accessed_dirty_wrong(c->s, c->s->ept_pointer);
}

static bool ept_shadow_stack(const struct vmx_check *c)
{
	return shadow_stack_wrong(c->s, c->s->ept_pointer);
}

static bool ept_reserved(const struct vmx_check *c)
{
	return reserved_wrong(c->s, c->s->ept_pointer);
}

static bool eptp_switching_without_ept(const struct vmx_check *c)
{
	return (c->s->vm_functions & VM_FUNCTION_EPTP_SWITCHING) && rule_needs(c);
}

static bool eptp_list(const struct vmx_check *c)
{
	return (c->s->vm_functions & VM_FUNCTION_EPTP_SWITCHING) && rule_page(c);
}

static bool hlat_pointer(const struct vmx_check *c)
{
	return (c->s->hlat_pointer & 0xfe7) || c->s->hlat_pointer >> c->s->physical_bits;
}

static bool pid_table(const struct vmx_check *c)
{
	u64 last = c->s->pid_table + 8 * c->s->pid_last + 7;

	return (c->s->pid_table & 7) || vmx_above_physical(c->s, c->s->pid_table) ||
	       vmx_above_physical(c->s, last);
}

#define RESERVED(name, member) \
	{ name, TEXT_ALLOWED, rule_controls_reserved, \
	  { FIELD(member), FIELD(allowed_##member) } }
#define NEEDS(name, text, when, need)    { name, text, rule_needs, {}, 0, when, need }
#define EXCLUDES(name, text, when, need) { name, text, rule_excludes, {}, 0, when, need }
#define PAGE(name, member, when)         { name, TEXT_PAGE, rule_page, { FIELD(member) }, 0, when }

static const struct vmx_rule execution[] = {
	RESERVED("control.pin.reserved", pin),
	RESERVED("control.primary.reserved", primary),
	{ "control.secondary.reserved", TEXT_ALLOWED, rule_controls_reserved,
	  { FIELD(secondary), FIELD(allowed_secondary) }, 0, PRIMARY(SECONDARY) },
	{ "control.tertiary.reserved", TEXT_ALLOWED, rule_allowed_1,
	  { FIELD(tertiary), FIELD(allowed_tertiary) }, 0, PRIMARY(TERTIARY) },
	{ "control.cr3-target-count", "must not exceed IA32_VMX_MISC[24:16]", cr3_targets,
	  { FIELD(cr3_target_count), FIELD(misc) } },
	PAGE("control.io-bitmap-a", io_bitmap_a, PRIMARY(IO_BITMAPS)),
	PAGE("control.io-bitmap-b", io_bitmap_b, PRIMARY(IO_BITMAPS)),
	PAGE("control.msr-bitmap", msr_bitmap, PRIMARY(MSR_BITMAP)),
	PAGE("control.virtual-apic", virtual_apic, PRIMARY(TPR_SHADOW)),
	{ "control.tpr-threshold.reserved",
	  "bits 31:4 must be 0 without \"virtual-interrupt delivery\"", threshold_reserved,
	  { FIELD(tpr_threshold) }, 0, PRIMARY(TPR_SHADOW) },
	{ "control.tpr-threshold.vtpr",
	  "must not exceed VTPR[7:4] where neither APIC accesses nor interrupts are virtualized",
	  threshold_above_tpr, { FIELD(tpr_threshold), FIELD(virtual_tpr) }, 0,
	  PRIMARY(TPR_SHADOW) },
	NEEDS("control.virtual-nmis.nmi-exiting", "\"virtual NMIs\" need \"NMI exiting\"",
	      PIN(VIRTUAL_NMI), PIN(NMI)),
	NEEDS("control.nmi-window.virtual-nmis", "\"NMI-window exiting\" needs \"virtual NMIs\"",
	      PRIMARY(NMI_WINDOW), PIN(VIRTUAL_NMI)),
	PAGE("control.apic-access", apic_access, SECONDARY(APIC_ACCESSES)),
	NEEDS("control.x2apic-mode.tpr-shadow",
	      "\"virtualize x2APIC mode\" needs \"use TPR shadow\"",
	      SECONDARY(X2APIC), PRIMARY(TPR_SHADOW)),
	NEEDS("control.apic-registers.tpr-shadow",
	      "\"APIC-register virtualization\" needs \"use TPR shadow\"",
	      SECONDARY(APIC_REGISTERS), PRIMARY(TPR_SHADOW)),
	NEEDS("control.interrupt-delivery.tpr-shadow",
	      "\"virtual-interrupt delivery\" needs \"use TPR shadow\"",
	      SECONDARY(INTERRUPT_DELIVERY), PRIMARY(TPR_SHADOW)),
	NEEDS("control.ipi-virtualization.tpr-shadow",
	      "\"IPI virtualization\" needs \"use TPR shadow\"",
	      TERTIARY(IPI), PRIMARY(TPR_SHADOW)),
	EXCLUDES("control.x2apic-mode.apic-accesses",
		 "\"virtualize x2APIC mode\" excludes \"virtualize APIC accesses\"",
		 SECONDARY(X2APIC), SECONDARY(APIC_ACCESSES)),
	NEEDS("control.interrupt-delivery.external-interrupts",
	      "\"virtual-interrupt delivery\" needs \"external-interrupt exiting\"",
	      SECONDARY(INTERRUPT_DELIVERY), PIN(EXTERNAL_INTERRUPT)),
	NEEDS("control.posted-interrupts.interrupt-delivery",
	      "\"process posted interrupts\" needs \"virtual-interrupt delivery\"",
	      PIN(POSTED_INTERRUPTS), SECONDARY(INTERRUPT_DELIVERY)),
	NEEDS("control.posted-interrupts.acknowledge",
	      "\"process posted interrupts\" needs \"acknowledge interrupt on exit\"",
	      PIN(POSTED_INTERRUPTS), EXIT(ACKNOWLEDGE)),
	{ "control.posted-interrupts.vector", "must be 0 to 255", notification_vector,
	  { FIELD(notification_vector) }, 0, PIN(POSTED_INTERRUPTS) },
	{ "control.posted-interrupts.descriptor",
	  "must be 64-byte-aligned and within the physical-address width",
	  posted_interrupt_address, { FIELD(posted_interrupt) }, 0, PIN(POSTED_INTERRUPTS) },
	{ "control.vpid", "must not be 0, which is the host's", rule_zero, { FIELD(vpid) }, 0,
	  SECONDARY(VPID) },
	{ "control.ept-pointer.memory-type", "bits 2:0 must be a type that the processor supports",
	  ept_memory_type, { FIELD(ept_pointer), FIELD(ept_vpid) }, 0, SECONDARY(EPT) },
	{ "control.ept-pointer.walk-length",
	  "bits 5:3 must be 3 (4 levels), or 4 where the processor supports 5 levels",
	  ept_walk_length, { FIELD(ept_pointer), FIELD(ept_vpid) }, 0, SECONDARY(EPT) },
	{ "control.ept-pointer.accessed-dirty",
	  "bit 6 must be 0: no accessed and dirty flags for EPT", ept_accessed_dirty,
	  { FIELD(ept_pointer), FIELD(ept_vpid) }, 0, SECONDARY(EPT) },
	{ "control.ept-pointer.shadow-stack",
	  "bit 7 must be 0: no access rights for supervisor shadow-stack pages", ept_shadow_stack,
	  { FIELD(ept_pointer), FIELD(ept_vpid) }, 0, SECONDARY(EPT) },
	{ "control.ept-pointer.reserved",
	  "bits 11:8 and those beyond the physical-address width must be 0", ept_reserved,
	  { FIELD(ept_pointer), FIELD(physical_bits) }, 0, SECONDARY(EPT) },
	NEEDS("control.pml.ept", "\"enable PML\" needs \"enable EPT\"",
	      SECONDARY(PML), SECONDARY(EPT)),
	PAGE("control.pml.address", pml, SECONDARY(PML)),
	NEEDS("control.unrestricted-guest.ept", "\"unrestricted guest\" needs \"enable EPT\"",
	      SECONDARY(UNRESTRICTED_GUEST), SECONDARY(EPT)),
	NEEDS("control.mode-based-execute.ept",
	      "\"mode-based execute control for EPT\" needs \"enable EPT\"",
	      SECONDARY(MODE_BASED_EXECUTE), SECONDARY(EPT)),
	NEEDS("control.sub-page.ept",
	      "\"sub-page write permissions for EPT\" needs \"enable EPT\"",
	      SECONDARY(SUB_PAGE), SECONDARY(EPT)),
	PAGE("control.sub-page.address", sub_page, SECONDARY(SUB_PAGE)),
	{ "control.vm-functions.reserved", "must have no bit that IA32_VMX_VMFUNC does not allow",
	  rule_allowed_1, { FIELD(vm_functions), FIELD(allowed_functions) }, 0,
	  SECONDARY(VM_FUNCTIONS) },
	{ "control.eptp-switching.ept", "\"EPTP switching\" needs \"enable EPT\"",
	  eptp_switching_without_ept, { FIELD(vm_functions) }, 0, SECONDARY(VM_FUNCTIONS),
	  SECONDARY(EPT) },
	{ "control.eptp-switching.list", TEXT_PAGE, eptp_list, { FIELD(eptp_list) }, 0,
	  SECONDARY(VM_FUNCTIONS) },
	PAGE("control.vmcs-shadowing.vmread", vmread_bitmap, SECONDARY(SHADOWING)),
	PAGE("control.vmcs-shadowing.vmwrite", vmwrite_bitmap, SECONDARY(SHADOWING)),
	PAGE("control.virtualization-exception.information", exception_info,
	     SECONDARY(VIRTUALIZATION_EXCEPTION)),
	NEEDS("control.pt-guest-physical.ept",
	      "\"Intel PT uses guest physical addresses\" needs \"enable EPT\"",
	      SECONDARY(PT_GUEST_PHYSICAL), SECONDARY(EPT)),
	NEEDS("control.pt-guest-physical.clear-rtit",
	      "\"Intel PT uses guest physical addresses\" needs \"clear IA32_RTIT_CTL\"",
	      SECONDARY(PT_GUEST_PHYSICAL), EXIT(CLEAR_RTIT)),
	NEEDS("control.pt-guest-physical.load-rtit",
	      "\"Intel PT uses guest physical addresses\" needs \"load IA32_RTIT_CTL\"",
	      SECONDARY(PT_GUEST_PHYSICAL), ENTRY(LOAD_RTIT)),
	{ "control.tsc-multiplier", "must not be 0 with \"use TSC scaling\"", rule_zero,
	  { FIELD(tsc_multiplier) }, 0, SECONDARY(TSC_SCALING) },
	NEEDS("control.hlat.ept", "\"enable HLAT\" needs \"enable EPT\"",
	      TERTIARY(HLAT), SECONDARY(EPT)),
	{ "control.hlat.pointer",
	  "bits 2:0, 11:5 and those beyond the physical-address width must be 0", hlat_pointer,
	  { FIELD(hlat_pointer) }, 0, TERTIARY(HLAT) },
	NEEDS("control.paging-write.ept", "\"EPT paging-write control\" needs \"enable EPT\"",
	      TERTIARY(PAGING_WRITE), SECONDARY(EPT)),
	NEEDS("control.guest-paging.ept", "\"guest-paging verification\" needs \"enable EPT\"",
	      TERTIARY(GUEST_PAGING), SECONDARY(EPT)),
	{ "control.ipi-virtualization.table",
	  "must be 8-byte-aligned and end within the physical-address width", pid_table,
	  { FIELD(pid_table), FIELD(pid_last) }, 0, TERTIARY(IPI) },
};

/* --- VM-exit control fields --- */

/* fields[0] is the area's address, fields[1] the number of its entries. */
static bool msr_area(const struct vmx_check *c)
{
	u64 address = rule_field(c, 0), count = rule_field(c, 1);

	return count && ((address & 15) || vmx_above_physical(c->s, address) ||
			 vmx_above_physical(c->s, address + 16 * count - 1));
}

#define MSR_AREA(name, member) \
	{ name, "must be 16-byte-aligned and end within the physical-address width", msr_area, \
	  { FIELD(member), FIELD(member##_count) } }

static const struct vmx_rule exit_fields[] = {
	RESERVED("control.exit.reserved", exit),
	{ "control.secondary-exit.reserved", TEXT_ALLOWED, rule_allowed_1,
	  { FIELD(secondary_exit), FIELD(allowed_secondary_exit) }, 0, EXIT(SECONDARY) },
	NEEDS("control.save-preemption-timer.active",
	      "\"save VMX-preemption timer value\" needs \"activate VMX-preemption timer\"",
	      EXIT(SAVE_PREEMPTION_TIMER), PIN(PREEMPTION_TIMER)),
	MSR_AREA("control.exit-msr-store", exit_store),
	MSR_AREA("control.exit-msr-load", exit_load),
};

/* --- VM-entry control fields --- */

static bool event_type(const struct vmx_check *c)
{
	bool monitor_trap = c->s->allowed_primary >> 32 & PRIMARY_MONITOR_TRAP;

	return vmx_injects(c->s, 1) || (vmx_injects(c->s, INTERRUPTION_OTHER) && !monitor_trap);
}

static bool event_vector(const struct vmx_check *c)
{
	u64 vector = c->s->event & INTERRUPTION_VECTOR;

	return (vmx_injects(c->s, INTERRUPTION_NMI) && vector != X86_NMI) ||
	       (vmx_injects(c->s, INTERRUPTION_EXCEPTION) && vector > 31) ||
	       (vmx_injects(c->s, INTERRUPTION_OTHER) && vector != 0);
}

static bool event_reserved(const struct vmx_check *c)
{
	return c->s->event & 0x7ffff000;
}

static bool delivers_error_code(const struct vmx_entry_state *s)
{
	return s->event & INTERRUPTION_ERROR_CODE;
}

static bool real_mode(const struct vmx_entry_state *s)
{
	return vmx_control(s, SECONDARY(UNRESTRICTED_GUEST)) && !(s->cr0 & CR0_PE);
}

static bool any_error_code(const struct vmx_entry_state *s)
{
	return s->basic & BASIC_ANY_ERROR_CODE;
}

static bool vector_has_error_code(const struct vmx_entry_state *s)
{
	const u32 with = BIT(X86_DF) | BIT(X86_TS) | BIT(X86_NP) | BIT(X86_SS) | BIT(X86_GP) |
			 BIT(X86_PF) | BIT(X86_AC);
	u64 vector = s->event & INTERRUPTION_VECTOR;

	return vector < 32 && (with >> vector & 1);
}

static bool error_code_in_real_mode(const struct vmx_check *c)
{
	return delivers_error_code(c->s) && real_mode(c->s);
}

static bool error_code_of_no_exception(const struct vmx_check *c)
{
	return delivers_error_code(c->s) && !vmx_injects(c->s, INTERRUPTION_EXCEPTION);
}

static bool error_code_unexpected(const struct vmx_check *c)
{
	return delivers_error_code(c->s) && vmx_injects(c->s, INTERRUPTION_EXCEPTION) &&
	       !any_error_code(c->s) && !vector_has_error_code(c->s);
}

static bool error_code_missing(const struct vmx_check *c)
{
	return !delivers_error_code(c->s) && vmx_injects(c->s, INTERRUPTION_EXCEPTION) &&
	       !any_error_code(c->s) && vector_has_error_code(c->s) && !real_mode(c->s);
}

static bool error_code_reserved(const struct vmx_check *c)
{
	return delivers_error_code(c->s) && c->s->event_error >> 16;
}

static bool event_length(const struct vmx_check *c)
{
	u64 length = c->s->event_length;
	bool software = vmx_injects(c->s, INTERRUPTION_SOFT_INTERRUPT) ||
			vmx_injects(c->s, INTERRUPTION_PRIVILEGED_EXCEPTION) ||
			vmx_injects(c->s, INTERRUPTION_SOFT_EXCEPTION);

	return software && (length > 15 || (!length && !(c->s->misc & MISC_NO_LENGTH)));
}

#define EVENT(name, text, broken) { name, text, broken, { FIELD(event) }, 0, INJECTS_EVENT }

static const struct vmx_rule entry_fields[] = {
	RESERVED("control.entry.reserved", entry),
	EVENT("control.event.type",
	      "the type must not be 1, nor 7 without \"monitor trap flag\"", event_type),
	EVENT("control.event.vector",
	      "the vector must be 2 for an NMI, at most 31 for an exception, 0 for type 7",
	      event_vector),
	{ "control.event.error-code.real-mode", "no error code may be delivered in real mode",
	  error_code_in_real_mode, { FIELD(event), FIELD(cr0) }, 0, INJECTS_EVENT },
	EVENT("control.event.error-code.type", "only hardware exceptions deliver an error code",
	      error_code_of_no_exception),
	EVENT("control.event.error-code.unexpected", "this exception has no error code",
	      error_code_unexpected),
	EVENT("control.event.error-code.missing", "this exception must have an error code",
	      error_code_missing),
	EVENT("control.event.reserved", "bits 30:12 must be 0", event_reserved),
	{ "control.event.error-code.reserved", "bits 31:16 of the error code must be 0",
	  error_code_reserved, { FIELD(event_error), FIELD(event) }, 0, INJECTS_EVENT },
	{ "control.event.instruction-length",
	  "must be 1 to 15 for software events, or 0 where IA32_VMX_MISC[30] allows it",
	  event_length, { FIELD(event_length), FIELD(event), FIELD(misc) }, 0, INJECTS_EVENT },
	MSR_AREA("control.entry-msr-load", entry_load),
};

const struct vmx_rule_section vmx_control_rules[3] = {
	RULE_SECTION(TITLE_EXECUTION, execution),
	RULE_SECTION("VM-Exit Control Fields", exit_fields),
	RULE_SECTION(TITLE_ENTRY, entry_fields),
};
