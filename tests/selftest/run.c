/* SPDX-License-Identifier: MIT */
/*
 * Break one rule of VM entry at a time, enter for real, and compare what the processor does with
 * the checker's findings. Linked with the product by ld --wrap: the code here enters the VM named "mutations",
 * the product's code all others.
 */
#include "arch/mem/memory.h"
#include "arch/fault/panic.h"
#include "arch/cpu/x86.h"
#include "arch/mem/pool.h"
#include "core/enter.h"
#include "core/mem/guest_mem.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "svm/svm.h"
#include "tests/selftest/forced.h"
#include "tests/selftest/isolation.h"
#include "tests/selftest/report.h"
#include "tests/selftest/selftest.h"
#include "vmx/vmx.h"

enum vcpu_stop __real_vcpu_run_slice(struct vcpu *loaded);
enum vcpu_stop __wrap_vcpu_run_slice(struct vcpu *loaded);

static void check(const struct vmx_entry_state *s)
{
	heard_clear();
	vmx_check_entry(s, heard_listen, NULL);
}

/* --- mutations --- */

static u8 verdicts[512];	/* by index into mutations[] */
static struct vcpu *vcpu;
static bool field_there[VMX_FIELDS];
static struct vmx_entry_state product, base_state;
static void *spare_page;
static u32 kinds_told;

/* The parts of the state that the processor has VMCS fields for. */
static void write_state(const struct vmx_entry_state *s)
{
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++)
		if (field_there[i])
			vmwrite(vmx_field_number(i), vmx_field(s, i));
}

static void read_product_state(void)
{
	u64 value;

	vmx_store_dirty_regs(vcpu);
	vmx_entry_state_read(vcpu, &product);
	for (unsigned i = 0; i < VMX_FIRST_PROCESSOR; i++)
		field_there[i] = i != VMX_FIELD(host_rsp) && vmread(vmx_field_number(i), &value);
}

/* Forced: where the state is accepted, the exit comes before the guest's first instruction. */
static bool enter(const struct vmx_entry_state *s)
{
	enum exit_fastpath fastpath;

	write_state(s);
	fastpath = vcpu->ops->vcpu_run(vcpu, true);
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->regs_dirty = 0;
	return fastpath != EXIT_FASTPATH_ENTRY_FAILED;
}

static void apply(struct vmx_entry_state *s, const struct change *change)
{
	u64 *field = (u64 *)s + change->field;

	switch (change->how) {
	case CHANGE_SET:
		*field = change->value;
		break;
	case CHANGE_ON:
		*field |= change->value;
		break;
	case CHANGE_OFF:
		*field &= ~change->value;
		break;
	case CHANGE_FAR:
		*field |= 1ull << product.physical_bits;
		break;
	case CHANGE_ODD:
		*field = 1ull << (product.linear_bits - 1);
		break;
	case CHANGE_PAGE:
		*field = virt_to_phys(spare_page);
		break;
	case CHANGE_VMCS:
		*field = product.current_vmcs;
		break;
	}
}

/* Is it the kind of failure that the rule's list prescribes? */
static bool right_kind(const char *rule)
{
	const struct failure_record *failure = &vcpu->failure;

	if (!strncmp(rule, "guest.", 6))
		return failure->kind == ENTRY_INVALID_STATE;
	return failure->kind == ENTRY_VMFAIL_VALID &&
	       failure->instruction_error == (strncmp(rule, "host.", 5) ? 7u : 8u);
}

/* One report of each kind is printed in full, as the product prints it. */
static void explain_once(void)
{
	unsigned kind = vcpu->failure.kind == ENTRY_VMFAIL_VALID ?
			vcpu->failure.instruction_error : 16u + vcpu->failure.kind;

	if (kinds_told & BIT(kind & 31))
		return;
	kinds_told |= BIT(kind & 31);
	vmx_explain_failure(vcpu);
}

static enum verdict judge(const struct mutation *m, bool entered, char *words, size_t size)
{
	unsigned expected = 1 + !!m->also;

	words[0] = '\0';
	if (heard_count != expected || !heard_rule(m->rule) || (m->also && !heard_rule(m->also))) {
		snprintf(words, size, "the checker names %s", heard_rules());
		return FAILED;
	}
	if (entered) {
		snprintf(words, size, "%s", m->passes ? m->passes : "the entry succeeded");
		return m->passes ? EXCEPTION : FAILED;
	}
	if (m->passes) {
		snprintf(words, size, "refused after all: no exception is needed");
		return FAILED;
	}
	if (!right_kind(m->rule)) {
		snprintf(words, size, "failure kind %u, instruction error %u, reason 0x%llx",
			 vcpu->failure.kind, vcpu->failure.instruction_error,
			 (unsigned long long)vcpu->failure.reason);
		return FAILED;
	}
	explain_once();
	return PROVEN;
}

static bool offered(u16 control)
{
	const u64 allowed[][2] = {
		{ FIELD(pin), product.allowed_pin >> 32 },
		{ FIELD(primary), product.allowed_primary >> 32 },
		{ FIELD(secondary), product.allowed_secondary >> 32 },
		{ FIELD(exit), product.allowed_exit >> 32 },
		{ FIELD(entry), product.allowed_entry >> 32 },
		{ FIELD(tertiary), product.allowed_tertiary },
		{ FIELD(event), ~0u },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
		if (allowed[i][0] == control >> 5)
			return allowed[i][1] >> (control & 31) & 1;
	return false;
}

/* Is the rule one for a control that the processor does not offer? */
static bool not_offered(const char *name)
{
	for (unsigned g = 0; g < ARRAY_SIZE(vmx_rule_groups); g++)
		for (unsigned i = 0; i < vmx_rule_groups[g].count; i++)
			for (unsigned j = 0; j < vmx_rule_groups[g].sections[i].count; j++) {
				const struct vmx_rule *rule = &vmx_rule_groups[g].sections[i].rules[j];

				if (!strcmp(rule->name, name))
					return rule->when && !offered(rule->when);
			}
	return false;
}

static bool to_be_tried(const struct mutation *m)
{
	bool cet = offered(CONTROL(exit, EXIT_LOAD_CET));

	return !not_offered(m->rule) && m->where != (cet ? WITHOUT_CET : WITH_CET);
}

/* Break the state, enter, restore it, enter again. */
static enum verdict try(const struct mutation *m)
{
	struct vmx_entry_state s;
	enum verdict verdict;
	char words[300];

	selftest_base(m->base, &product, virt_to_phys(spare_page), &base_state);
	s = base_state;
	for (unsigned i = 0; i < ARRAY_SIZE(m->changes); i++)
		apply(&s, &m->changes[i]);
	check(&s);
	verdict = judge(m, enter(&s), words, sizeof(words));
	if (!enter(&base_state)) {
		verdict = FAILED;
		snprintf(words, sizeof(words), "the restored state is refused");
	}
	say(verdict, m->rule, words);
	return verdict;
}

static void try_msr(const struct msr_mutation *m)
{
	struct vmx_entry_state s;
	struct violation violation;
	bool entered;

	selftest_base(REAL_MODE, &product, virt_to_phys(spare_page), &base_state);
	s = base_state;
	s.entry_load_count = 2;
	((struct vmx_msr_entry *)spare_page)[0] = (struct vmx_msr_entry){ .index = MSR_STAR };
	((struct vmx_msr_entry *)spare_page)[1] = m->entry;
	vmx_explain_msr_load(&s, &m->entry, &violation);
	entered = enter(&s);
	if (!entered) {
		to_vmx(vcpu)->efer_lists = spare_page;
		explain_once();
		to_vmx(vcpu)->efer_lists = NULL;
	}
	memset(spare_page, 0, PAGE_SIZE);

	if (strcmp(violation.name, m->rule))
		say(FAILED, m->rule, violation.name);
	else if (entered)
		say(m->passes ? EXCEPTION : FAILED, m->rule,
		    m->passes ? m->passes : "it was loaded");
	else if (vcpu->failure.kind != ENTRY_MSR_LOADING || vcpu->failure.qualification != 2)
		say(FAILED, m->rule, "another failure, or another entry of the list");
	else if (!enter(&base_state))
		say(FAILED, m->rule, "the restored state is refused");
	else
		say(PROVEN, m->rule, "");
}

/* --- coverage: each rule of each list --- */

static bool has_verdict(const char *rule, enum verdict verdict)
{
	for (unsigned i = 0; i < mutation_count; i++)
		if (!strcmp(mutations[i].rule, rule) && verdicts[i] == verdict)
			return true;
	return false;
}

static const char *reason_not_judged(const char *rule)
{
	for (unsigned i = 0; i < not_judged_count; i++)
		if (!strcmp(not_judged[i].rule, rule))
			return not_judged[i].reason;
	return NULL;
}

static void count_section(const struct vmx_rule_section *section)
{
	unsigned proven = 0, excepted = 0, skipped = 0, missing = 0;

	for (unsigned i = 0; i < section->count; i++) {
		const struct vmx_rule *rule = &section->rules[i];
		const char *reason = reason_not_judged(rule->name);

		if (has_verdict(rule->name, PROVEN)) {
			proven++;
		} else if (has_verdict(rule->name, EXCEPTION)) {
			excepted++;
		} else if (has_verdict(rule->name, FAILED)) {
			missing++;
		} else if (reason || (rule->when && !offered(rule->when))) {
			skipped++;
			say(NOT_JUDGED, rule->name,
			    reason ? reason : "this processor does not offer the control");
		} else {
			missing++;
			say(FAILED, rule->name, "no mutation tries it");
		}
	}
	log_info("selftest coverage: %u of %u judged, %u exceptions, %u not judgeable: %s", proven,
		 proven + missing, excepted, skipped, section->title);
}

static void prepare_guest(struct vm *vm)
{
	const u8 halt[] = { 0xf4, 0xeb, 0xfd };		/* hlt; jmp back */
	const u64 pml4 = 0x11003, pdpt = 0x12003, pd = 0x83;

	if (guest_write(vm, 0x1000, halt, sizeof(halt)) || guest_write(vm, 0x10000, &pml4, 8) ||
	    guest_write(vm, 0x11000, &pdpt, 8) || guest_write(vm, 0x12000, &pd, 8))
		log_error("FAIL no guest memory");
}

static void run_mutations(struct vm *vm)
{
	vcpu = vm->vcpus[0];
	spare_page = page_alloc();
	prepare_guest(vm);
	read_product_state();
	for (enum base base = REAL_MODE; base < BASES; base++) {
		selftest_base(base, &product, virt_to_phys(spare_page), &base_state);
		check(&base_state);
		if (!enter(&base_state) || heard_count) {
			log_error("FAIL base %u: %s", base, heard_rules());
			vmx_explain_failure(vcpu);
			totals[FAILED]++;
		}
	}
	BUG_ON(mutation_count > ARRAY_SIZE(verdicts));
	for (unsigned i = 0; i < mutation_count; i++)
		verdicts[i] = to_be_tried(&mutations[i]) ? (u8)try(&mutations[i]) : (u8)NOT_TRIED;
	for (unsigned i = 0; i < msr_mutation_count; i++)
		try_msr(&msr_mutations[i]);
	for (unsigned g = 0; g < ARRAY_SIZE(vmx_rule_groups); g++)
		for (unsigned i = 0; i < vmx_rule_groups[g].count; i++)
			count_section(&vmx_rule_groups[g].sections[i]);
	say_totals("vmx-entry");
	write_state(&product);
	page_free(spare_page);
}

/* For the VM named "refused", which is entered by the product: its first entry must fail. */
static void break_state(struct vcpu *refused)
{
	if (refused->ops->name == svm_ops.name)
		to_svm(refused)->vmcb->save.efer &= ~EFER_SVME;
	else
		vmcs_writen(GUEST_CR0, vmcs_readn(GUEST_CR0) & ~CR0_NE);
}

enum vcpu_stop __wrap_vcpu_run_slice(struct vcpu *loaded)
{
	struct vm *vm = loaded->vm;

	if (!strcmp(vm->name, "refused"))
		break_state(loaded);
	if (!memcmp(vm->name, "apart", 5))
		selftest_isolation(loaded);
	if (!strcmp(vm->name, "forced")) {
		selftest_forced(loaded);
	} else if (!strcmp(vm->name, "mutations")) {
		if (loaded->ops->name == svm_ops.name)
			run_svm_mutations(vm);
		else
			run_mutations(vm);
		vm_end(vm, VM_END_STOPPED, "all mutations tried");
	} else {
		return __real_vcpu_run_slice(loaded);
	}
	return VCPU_STOPPED_LEFT;
}
