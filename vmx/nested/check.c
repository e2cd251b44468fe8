/* SPDX-License-Identifier: MIT */
/*
 * May L2 be entered from vmcs12? By the rules that explain Lamina's own failed entries (vmx/rules), on a processor that
 * allows what L1 is offered. SDM, "VM Entries".
 */
#include "arch/cpu/x86.h"
#include "core/observe/trace.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"

#define VTPR_OFFSET 0x80	/* in the virtual-APIC page */
#define FAILED_BY_GUEST_STATE (NESTED_FAILED_ENTRY | EXIT_REASON_INVALID_GUEST_STATE)

/* --- the state that is checked --- */

/* In virtual-8086 mode the rules look at all bits of a segment's base: see is_known(). */
static u64 bits_of(unsigned index)
{
	bool is_base = index >= VMX_FIRST_SEGMENT && (index - VMX_FIRST_SEGMENT) % 4 == 1;

	return is_base ? ~0ull << 32 : vmx_rule_bits(index);
}

void nested_checks_init(struct nested_vmx *nested)
{
	struct nested_checks *checks = nested->checks;
	unsigned n = 0;

	_Static_assert(VMCS12_FIELDS <= 256 && VMX_FIRST_PROCESSOR <= 256, "a byte each");
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++) {
		const u64 *field = vmcs12_find(nested->vmcs12, vmx_field_number(i));

		if (!field)
			continue;
		checks->bits[n] = bits_of(i);
		checks->place[n] = (u8)(field - nested->vmcs12->fields);
		checks->index[n++] = (u8)i;
		if (i <= VMX_FIELD(cr0))
			checks->offered_others = n;
	}
	checks->offered = n;
}

/*
 * Of a state, as the rules see it. Each step is a bijection of what was before: states that differ in one field have
 * different digests. L1 can make two that have the same; then the processor refuses what the rules let pass, but for what
 * has_hidden_features() finds.
 */
static __always_inline u64 digest_of(u64 before, u64 value)
{
	u64 product = (before ^ value) * 0x9e3779b97f4a7c15ull;

	return product ^ product >> 32;
}

static u64 read_fields(const struct nested_vmx *nested, unsigned first, unsigned end, u64 digest)
{
	struct nested_checks *checks = nested->checks;
	u64 *fields = (u64 *)&checks->l1;

	for (unsigned i = first; i < end; i++) {
		u64 value = nested->vmcs12->fields[checks->place[i]];

		fields[checks->index[i]] = value;
		digest = digest_of(digest, value & checks->bits[i]);
	}
	return digest;
}

struct digests {
	u64 others, all;	/* what the rules about controls and the host look at; and guest state, too. Not 0 */
};

/* Fields of controls that L1 is not offered stay 0. */
static struct digests read_vmcs12(const struct nested_vmx *nested)
{
	const struct nested_checks *checks = nested->checks;
	u64 others = read_fields(nested, 0, checks->offered_others, 0);

	return (struct digests){ others | 1, read_fields(nested, checks->offered_others, checks->offered, others) | 1 };
}

static u64 virtual_tpr(struct vcpu *vcpu, const struct vmx_entry_state *s)
{
	u8 tpr = 0xff;

	if ((s->primary & PRIMARY_TPR_SHADOW) && guest_read(vcpu->vm, s->virtual_apic + VTPR_OFFSET, &tpr, sizeof(tpr)))
		tpr = 0xff;
	return tpr;
}

static bool uses_pae(const struct vmx_entry_state *s)
{
	return (s->cr0 & CR0_PG) && (s->cr4 & CR4_PAE) && !(s->entry & ENTRY_IA32E_GUEST);
}

static bool uses_ept(const struct vmx_entry_state *s)
{
	return (s->primary & PRIMARY_SECONDARY) && (s->secondary & SECONDARY_EPT);
}

/* What the rules look at outside of the VMCS. Each word is read once, and what has been checked is what is used. */
static void read_others(struct vcpu *vcpu, struct digests *digests)
{
	struct vmx_entry_state *s = &to_nested(vcpu)->checks->l1;
	u64 digest;

	s->current_vmcs = to_nested(vcpu)->current_ptr;
	s->legacy = !(vmx_control_get(vcpu, CTL_EFER) & EFER_LMA);
	s->virtual_tpr = virtual_tpr(vcpu, s);
	s->link_revision = s->link_pointer == NO_VMCS ? 0 : nested_region_revision(vcpu, s->link_pointer & PAGE_MASK);
	digest = digest_of(digest_of(s->current_vmcs | s->legacy, s->virtual_tpr), s->link_revision);
	digests->others = digest_of(digests->others, digest) | 1;
	digests->all = digest_of(digests->all, digest) | 1;
}

static bool is_known(const u64 passed[NESTED_PASSED], u64 digest)
{
	return passed[digest >> 32 & (NESTED_PASSED - 1)] == digest;
}

static void remember(u64 passed[NESTED_PASSED], u64 digest)
{
	passed[digest >> 32 & (NESTED_PASSED - 1)] = digest;
}

/* --- what is reported --- */

static void keep_first(void *context, const struct violation *violation)
{
	struct violation *first = context;

	if (!first->name)
		*first = *violation;
}

static const char *words(u32 code)
{
	switch (code) {
	case VMX_ERROR_CONTROLS:
		return "VM-instruction error 7, invalid control fields";
	case VMX_ERROR_HOST_STATE:
		return "VM-instruction error 8, invalid host-state fields";
	case FAILED_BY_GUEST_STATE:
		return "reason 0x80000021, invalid guest state";
	default:
		return "reason 0x80000022, MSR loading";
	}
}

/* `code`: a VM-instruction error, or the full exit reason. */
static void report(struct vcpu *vcpu, u32 code, u64 qualification, const struct violation *violation)
{
	trace_l2_refused(vcpu, code, qualification, violation->name);
	/* The names are constants: each has an address of its own. */
	if (vm_once(vcpu->vm, ONCE_OTHER, (u64)violation->name))
		vm_warn(vcpu->vm, "vcpu %u: the guest's VM entry fails: %s: %s: %s (%s) [SDM, \"%s\"]", vcpu->id, words(code),
			violation->name, violation->text, violation->values, violation->section);
}

/* `code`: as report()'s. */
static __noinline void fail(struct vcpu *vcpu, struct nested_check *check, u32 code, u64 qualification,
			    const struct violation *violation)
{
	report(vcpu, code, qualification, violation);
	if (code & NESTED_FAILED_ENTRY) {
		check->outcome = NESTED_ENTRY_FAILED;
		check->reason = code;
		check->qualification = qualification;
	} else {
		check->outcome = NESTED_ENTRY_VMFAIL;
		check->error = (enum vmx_error)code;
	}
	check->rule = violation->name;
}

/* --- the checks --- */

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* SDM, "VM-Entry Failures During or After Loading Guest State" */
static u64 qualification(const char *rule)
{
	if (begins(rule, "guest.pdpte"))
		return 2;
	if (begins(rule, "guest.interruptibility.nmi-sti"))
		return 3;
	return begins(rule, "guest.link-pointer.") ? 4 : 0;
}

static void check_rules(struct vcpu *vcpu, bool guest_alone, struct nested_check *check)
{
	const struct vmx_entry_state *s = &to_nested(vcpu)->checks->l1;
	struct violation first = { .name = NULL };

	if (!guest_alone && vmx_check_part(s, VMX_RULES_CONTROLS, keep_first, &first))
		fail(vcpu, check, VMX_ERROR_CONTROLS, 0, &first);
	else if (!guest_alone && vmx_check_part(s, VMX_RULES_HOST, keep_first, &first))
		fail(vcpu, check, VMX_ERROR_HOST_STATE, 0, &first);
	else if (vmx_check_part(s, VMX_RULES_GUEST, keep_first, &first))
		fail(vcpu, check, FAILED_BY_GUEST_STATE, qualification(first.name), &first);
}

/*
 * Without EPT the four pointers of PAE paging are those in memory, as for a MOV to CR3. Where no RAM is, they read as
 * ones. SDM, "Loading Page-Directory-Pointer-Table Entries".
 */
static bool load_pdptes(struct vcpu *vcpu, const struct vmx_entry_state *s, struct nested_check *check)
{
	const u64 reserved = 0x1e6 | ~0ull << s->physical_bits;

	if (guest_read(vcpu->vm, s->cr3 & 0xffffffe0, check->pdptes, sizeof(check->pdptes)))
		memset(check->pdptes, 0xff, sizeof(check->pdptes));
	for (unsigned i = 0; i < ARRAY_SIZE(check->pdptes); i++)
		if ((check->pdptes[i] & PTE_PRESENT) && (check->pdptes[i] & reserved))
			return false;
	return true;
}

static void check_pdptes(struct vcpu *vcpu, struct nested_check *check)
{
	const struct vmx_entry_state *s = &to_nested(vcpu)->checks->l1;
	const struct violation violation = {
		.name = "guest.pdpte.memory", .section = "Checks on Guest Page-Directory-Pointer-Table Entries",
		.text = "reserved bits of the PDPTEs that CR3 points to must be 0",
	};

	if (!uses_pae(s))
		return;
	if (uses_ept(s))
		memcpy(check->pdptes, &s->pdpte0, sizeof(check->pdptes));
	else if (!load_pdptes(vcpu, s, check))
		fail(vcpu, check, FAILED_BY_GUEST_STATE, 2, &violation);
}

/* L0's own rule: a processor takes any address of that width. */
static void check_apic_access(struct vcpu *vcpu, struct nested_check *check)
{
	gpa_t page = nested_apic_access(to_nested(vcpu)->vmcs12);
	const struct violation violation = {
		.name = "control.apic-access.ram", .section = "VM-Execution Control Fields",
		.text = "the APIC-access page must be RAM of the guest: Lamina watches no other",
	};

	if (page != NO_APIC_ACCESS && !(page & ~PAGE_MASK) && !guest_ptr(vcpu->vm, page, PAGE_SIZE))
		fail(vcpu, check, VMX_ERROR_CONTROLS, 0, &violation);
}

/* The processor itself would allow what it has and L1 is not offered: only the rules are between that and L1. */
static bool has_hidden_features(const struct vmx_entry_state *s)
{
	return (s->cr4 | s->host_cr4) & ~s->cr4_fixed1;
}

void nested_vmx_check(struct vcpu *vcpu, struct nested_check *check)
{
	struct nested_checks *checks = to_nested(vcpu)->checks;
	struct digests digests = read_vmcs12(to_nested(vcpu));
	bool known;

	read_others(vcpu, &digests);
	*check = (struct nested_check){ .outcome = NESTED_ENTRY_OK };
	check_apic_access(vcpu, check);
	if (check->outcome != NESTED_ENTRY_OK)
		return;
	/* A state that passed once passes again: L2 goes back and forth between few of them. */
	known = is_known(checks->passed, digests.all) && !(checks->l1.rflags & RFLAGS_VM) && !has_hidden_features(&checks->l1);
	if (!known)
		check_rules(vcpu, is_known(checks->passed_others, digests.others) && !has_hidden_features(&checks->l1), check);
	if (check->outcome != NESTED_ENTRY_OK)
		return;
	if (!known) {
		remember(checks->passed_others, digests.others);
		remember(checks->passed, digests.all);
	}
	check_pdptes(vcpu, check);
}

const struct vmx_entry_state *nested_entry_state(struct vcpu *vcpu)
{
	struct nested_vmx *nested = to_nested(vcpu);

	/* What is not in vmcs12 stays as at the last entry: L2 may be the current level. */
	read_vmcs12(nested);
	nested->checks->l1.current_vmcs = nested->current_ptr;
	return &nested->checks->l1;
}

bool nested_msr_entry_refused(struct vcpu *vcpu, const struct vmx_msr_entry *entry, u32 number)
{
	if (!vmx_msr_load_refused(&to_nested(vcpu)->checks->l1, entry))
		return false;
	nested_msr_entry_tell(vcpu, entry, number);
	return true;
}

void nested_msr_entry_tell(struct vcpu *vcpu, const struct vmx_msr_entry *entry, u32 number)
{
	struct violation violation;

	vmx_explain_msr_load(&to_nested(vcpu)->checks->l1, entry, &violation);
	violation_add_value(&violation, "entry", number);
	report(vcpu, NESTED_FAILED_ENTRY | EXIT_REASON_MSR_LOADING, number, &violation);
}
