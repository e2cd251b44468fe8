/* SPDX-License-Identifier: MIT */
/*
 * Break one rule of VMRUN at a time, enter for real, and compare what the processor does with the
 * checker's findings on a copy, since the processor overwrites a refused VMCB. See run.c.
 */
#include "arch/cpu/cpufeature.h"
#include "arch/mem/memory.h"
#include "arch/cpu/x86.h"
#include "core/mem/guest_mem.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"
#include "svm/svm.h"
#include "tests/selftest/report.h"
#include "tests/selftest/svm_mutations.h"

static struct svm_entry_state state;

static void check(const struct vmcb *vmcb)
{
	state.vmcb = vmcb;
	heard_clear();
	svm_check_entry(&state, heard_listen, NULL);
}

/* --- valid states, whose first instruction is a HLT at 0x1000 --- */

#define CODE	     0x1000ull
#define PML4	     0x10000ull
#define CODE_64	     (ATTRIBUTE_G | ATTRIBUTE_L | ATTRIBUTE_PRESENT | ATTRIBUTE_S | 11)
#define CODE_32	     (ATTRIBUTE_G | ATTRIBUTE_DB | ATTRIBUTE_PRESENT | ATTRIBUTE_S | 11)
#define DATA_32	     (ATTRIBUTE_G | ATTRIBUTE_DB | ATTRIBUTE_PRESENT | ATTRIBUTE_S | 3)

static struct vcpu *vcpu;
static struct vmcb product, base_state, tried;
static bool explained;

static void long_mode(struct vmcb_save *save, u16 code)
{
	const struct vmcb_segment data = { 0x10, DATA_32, ~0u, 0 };

	save->efer |= EFER_LME | EFER_LMA;
	save->cr0 |= CR0_PE | CR0_PG;
	save->cr4 |= CR4_PAE;
	save->cr3 = PML4;
	save->cs = (struct vmcb_segment){ 0x8, code, ~0u, 0 };
	save->ds = save->es = save->fs = save->gs = save->ss = data;
	save->tr = (struct vmcb_segment){ 0x40, ATTRIBUTE_PRESENT | 11, 0x67, 0x2000 };
}

static void make_base(enum svm_base base)
{
	base_state = product;
	/* Whatever an accepted mutation causes, the first exception ends it. */
	base_state.control.intercept_exceptions = ~0u;
	base_state.save.cs = (struct vmcb_segment){ 0, product.save.cs.attributes, 0xffff, 0 };
	base_state.save.rip = CODE;
	base_state.save.rsp = 0x800;
	base_state.save.rflags = RFLAGS_FIXED;
	if (base == SVM_LONG_MODE)
		long_mode(&base_state.save, CODE_64);
	else if (base == SVM_COMPATIBILITY_MODE)
		long_mode(&base_state.save, CODE_32);
}

static void prepare_guest(struct vm *vm)
{
	const u8 halt[] = { 0xf4, 0xeb, 0xfd };		/* hlt; jmp back */
	const u64 pml4 = PML4 + 0x1003, pdpt = PML4 + 0x2003, pd = 0x83;

	if (guest_write(vm, CODE, halt, sizeof(halt)) || guest_write(vm, PML4, &pml4, 8) ||
	    guest_write(vm, PML4 + 0x1000, &pdpt, 8) || guest_write(vm, PML4 + 0x2000, &pd, 8))
		log_error("FAIL no guest memory");
}

/* --- mutations --- */

static void apply(struct vmcb *vmcb, const struct svm_change *change)
{
	u8 *at = (u8 *)vmcb + change->offset;
	u64 value = 0;

	memcpy(&value, at, change->size);
	switch (change->how) {
	case VMCB_SET:
		value = change->value;
		break;
	case VMCB_ON:
		value |= change->value;
		break;
	case VMCB_OFF:
		value &= ~change->value;
		break;
	case VMCB_TOO_FAR:
		value = (1ull << state.processor.physical_bits) - change->value;
		break;
	}
	memcpy(at, &value, change->size);
}

/* Was the state accepted? A valid state must also have run: its first instruction exits. */
static bool enter(const struct vmcb *vmcb)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	enum exit_fastpath fastpath;

	*svm->vmcb = *vmcb;
	svm->vmcb->control.tlb_control = TLB_FLUSH_ALL;
	vcpu->regs_dirty = 0;
	do
		fastpath = vcpu->ops->vcpu_run(vcpu, false);
	while (fastpath == EXIT_FASTPATH_REENTER_GUEST);
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	vcpu->regs_dirty = 0;
	return fastpath != EXIT_FASTPATH_ENTRY_FAILED;
}

static void explain_once(void)
{
	if (explained)
		return;
	explained = true;
	*to_svm(vcpu)->vmcb = tried;
	svm_explain_failure(vcpu);
	svm_dump(vcpu);
}

static bool is_allowed(const struct svm_mutation *m)
{
	return !strncmp(m->rule, "allowed.", 8);
}

static enum verdict judge(const struct svm_mutation *m, bool entered, char *words, size_t size)
{
	/* CPUID.1:ECX[31]: Bochs does not announce that it is an emulator. */
	const char *deviation = cpu_features.hypervisor ? m->qemu : m->bochs;

	words[0] = '\0';
	if (is_allowed(m) ? heard_count != 0 : heard_count != 1 || !heard_rule(m->rule)) {
		snprintf(words, size, "the checker names %s", heard_rules());
		return FAILED;
	}
	if (entered == is_allowed(m) && deviation) {
		snprintf(words, size, "as the manual says after all: no exception is needed");
		return FAILED;
	}
	if (entered == is_allowed(m))
		return PROVEN;
	snprintf(words, size, "%s", deviation ?: entered ? "the entry succeeded" : "it is refused");
	return deviation ? EXCEPTION : FAILED;
}

/* Break the state, enter, restore it, enter again. */
static void try(const struct svm_mutation *m)
{
	enum verdict verdict;
	char words[200];
	bool entered;

	make_base(m->base);
	tried = base_state;
	for (unsigned i = 0; i < ARRAY_SIZE(m->changes); i++)
		apply(&tried, &m->changes[i]);
	check(&tried);
	entered = enter(&tried);
	verdict = judge(m, entered, words, sizeof(words));
	if (!entered)
		explain_once();
	if (!enter(&base_state) || vcpu->exit_reason != VMEXIT_HLT) {
		verdict = FAILED;
		snprintf(words, sizeof(words), "the restored state does not run: exit code 0x%llx",
			 (unsigned long long)vcpu->exit_reason);
	}
	say(verdict, m->rule, words);
}

/* --- coverage: each rule of each list --- */

static bool has_mutation(const char *rule, bool proven)
{
	for (unsigned i = 0; i < svm_mutation_count; i++) {
		const struct svm_mutation *m = &svm_mutations[i];

		if (!strcmp(m->rule, rule) &&
		    (!proven || !(cpu_features.hypervisor ? m->qemu : m->bochs)))
			return true;
	}
	return false;
}

static const char *reason_not_judged(const char *rule)
{
	for (unsigned i = 0; i < svm_not_judged_count; i++)
		if (!strcmp(svm_not_judged[i].rule, rule))
			return svm_not_judged[i].reason;
	return NULL;
}

static void count_rules(void)
{
	unsigned proven = 0, excepted = 0, skipped = 0, missing = 0;

	for (unsigned i = 0; i < svm_rule_count; i++) {
		const char *rule = svm_rules[i].name, *reason = reason_not_judged(rule);

		if (has_mutation(rule, true)) {
			proven++;
		} else if (has_mutation(rule, false)) {
			excepted++;
		} else if (reason) {
			skipped++;
			say(NOT_JUDGED, rule, reason);
		} else {
			missing++;
			say(FAILED, rule, "no mutation tries it");
		}
	}
	log_info("selftest coverage: %u of %u judged, %u exceptions, %u not judgeable: VMRUN",
		 proven, proven + missing, excepted, skipped);
}

void run_svm_mutations(struct vm *vm)
{
	vcpu = vm->vcpus[0];
	prepare_guest(vm);
	svm_entry_state_read(vcpu, &state);
	product = *to_svm(vcpu)->vmcb;
	for (enum svm_base base = SVM_REAL_MODE; base < SVM_BASES; base++) {
		make_base(base);
		check(&base_state);
		if (enter(&base_state) && !heard_count && vcpu->exit_reason == VMEXIT_HLT)
			continue;
		log_error("FAIL base %u: exit code 0x%llx, %s", base,
			  (unsigned long long)vcpu->exit_reason, heard_rules());
		totals[FAILED]++;
	}
	for (unsigned i = 0; i < svm_mutation_count; i++)
		try(&svm_mutations[i]);
	count_rules();
	say_totals("svm-entry");
	*to_svm(vcpu)->vmcb = product;
}
