/* SPDX-License-Identifier: MIT */
/*
 * What the rules of VMRUN are checked against, how a refused VMRUN is explained, and the dump of a VMCB.
 * AMD APM vol. 2, "CR4 Register", "Extended Feature Enable Register (EFER)"; vol. 3, "Obtaining
 * Processor Information Via the CPUID Instruction".
 */
/* link: svm/check.c svm/entry_state.c svm/dump.c svm/rules/rules.c core/observe/entry_rule.c */
/* link: core/vm_log.c lib/log.c lib/string.c tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "lib/log.h"
#include "svm/svm.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

struct cpu_features cpu_features;

static struct vm vm = { .name = "web" };
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static char text[8192];

/* What CPUID says in one leaf; the others are zero. */
static u32 answered_leaf;
static struct cpuid_regs answer;
static unsigned questions;

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	assert_int_equal(subleaf, 0);
	questions++;
	return leaf == answered_leaf ? answer : (struct cpuid_regs){ 0 };
}

void *vm_alloc(struct vm *v, size_t size) { return NULL; }

static void keep(struct log_console *console, const char *part, size_t length)
{
	size_t used = strlen(text);

	assert_true(used + length < sizeof(text));
	memcpy(text + used, part, length);
	text[used + length] = '\0';
}

static struct log_console console = { .write = keep };

static int set_up_group(void **state)
{
	log_add_console(&console);
	return 0;
}

/* A real-mode guest that VMRUN accepts. */
static int set_up(void **state)
{
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->vm = &vm;
	vcpu->id = 3;
	vmcb = (struct vmcb){
		.control = {
			.intercept_misc2 = INTERCEPT_VMRUN,
			.iopm_base = 0x10000,
			.msrpm_base = 0x20000,
			.asid = 1,
		},
		.save = { .efer = EFER_SVME, .cr0 = CR0_ET, .rflags = RFLAGS_FIXED },
	};
	cpu_features = (struct cpu_features){
		.max_leaf = 7, .max_extended_leaf = 0x80000021, .physical_address_bits = 48,
	};
	answered_leaf = 0;
	answer = (struct cpuid_regs){ 0 };
	questions = 0;
	text[0] = '\0';
	return 0;
}

/* --- what this processor accepts --- */

/* SCE, LME, LMA, SVME; LMSLE, whose CPUID bit says that it is missing. */
#define EFER_OF_ANY (BIT_ULL(0) | BIT_ULL(8) | BIT_ULL(10) | BIT_ULL(12) | BIT_ULL(13))

static const struct {
	u32 leaf;
	u8 reg, bit;
	u64 cr4, efer;
} announced[] = {
	{ 7, ECX, 2, .cr4 = BIT_ULL(11) },		/* UMIP */
	{ 7, ECX, 16, .cr4 = BIT_ULL(12) },		/* LA57 */
	{ 7, EBX, 0, .cr4 = BIT_ULL(16) },		/* FSGSBASE */
	{ 1, ECX, 17, .cr4 = BIT_ULL(17) },		/* PCIDE */
	{ 1, ECX, 26, .cr4 = BIT_ULL(18) },		/* OSXSAVE */
	{ 7, EBX, 7, .cr4 = BIT_ULL(20) },		/* SMEP */
	{ 7, EBX, 20, .cr4 = BIT_ULL(21) },		/* SMAP */
	{ 7, ECX, 3, .cr4 = BIT_ULL(22) },		/* PKE */
	{ 7, ECX, 7, .cr4 = BIT_ULL(23) },		/* CET */
	{ 0x80000001, EDX, 20, .efer = BIT_ULL(11) },	/* NXE */
	{ 0x80000001, EDX, 25, .efer = BIT_ULL(14) },	/* FFXSR */
	{ 0x80000001, ECX, 17, .efer = BIT_ULL(15) },	/* TCE */
	{ 0x80000008, EBX, 8, .efer = BIT_ULL(17) },	/* MCOMMIT */
	{ 0x80000008, EBX, 13, .efer = BIT_ULL(18) },	/* INTWB */
	{ 0x80000021, EAX, 7, .efer = BIT_ULL(20) },	/* UAIE */
	{ 0x80000021, EAX, 8, .efer = BIT_ULL(21) },	/* AIBRSE */
};

static void answer_with(u32 leaf, u8 reg, u32 value)
{
	answered_leaf = leaf;
	answer = (struct cpuid_regs){ 0 };
	*(u32 *[]){ &answer.eax, &answer.ebx, &answer.ecx, &answer.edx }[reg] = value;
}

static struct svm_processor read_processor(void)
{
	struct svm_entry_state state;

	memset(&state, 0xee, sizeof(state));
	svm_entry_state_read(vcpu, &state);
	assert_ptr_equal(state.vmcb, &vmcb);
	return state.processor;
}

static void each_cpuid_bit_announces_one_bit(void **state)
{
	struct svm_processor processor = read_processor();

	assert_int_equal(processor.efer_valid, EFER_OF_ANY);
	assert_int_equal(processor.cr4_valid, 0x7ff);
	for (unsigned i = 0; i < ARRAY_SIZE(announced); i++) {
		answer_with(announced[i].leaf, announced[i].reg, BIT(announced[i].bit));
		processor = read_processor();
		assert_int_equal(processor.efer_valid, EFER_OF_ANY | announced[i].efer);
		assert_int_equal(processor.cr4_valid, 0x7ff | announced[i].cr4);
		answer_with(announced[i].leaf, announced[i].reg, ~BIT(announced[i].bit));
		processor = read_processor();
		assert_int_equal(processor.efer_valid & announced[i].efer, 0);
		assert_int_equal(processor.cr4_valid & announced[i].cr4, 0);
	}
}

static void lmsle_has_a_bit_that_says_it_is_missing(void **state)
{
	answer_with(0x80000008, EBX, BIT(20));
	assert_int_equal(read_processor().efer_valid, EFER_OF_ANY & ~BIT_ULL(13));
}

static void what_else_the_rules_depend_on(void **state)
{
	struct svm_processor processor;

	fake_cpu.cr[0] = 0x80010033;
	processor = read_processor();
	assert_int_equal(processor.physical_bits, 48);
	assert_int_equal(processor.host_cr0, 0x80010033);
	assert_int_equal(processor.u_cet, 0);
	assert_false(processor.nmi_virtualization);
	answer_with(0x8000000a, EDX, BIT(25));
	assert_true(read_processor().nmi_virtualization);
	answer_with(0x8000000a, EDX, ~BIT(25));
	assert_false(read_processor().nmi_virtualization);
}

/* A leaf beyond the highest one answers with another leaf's values. */
static void leaves_that_do_not_exist_announce_nothing(void **state)
{
	static const u32 leaves[] = { 1, 7, 0x80000001, 0x80000008, 0x8000000a, 0x80000021 };

	for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
		set_up(NULL);
		answered_leaf = leaves[i];
		answer = (struct cpuid_regs){ ~0u, ~0u, ~0u, ~0u };
		if (leaves[i] >> 31)
			cpu_features.max_extended_leaf = leaves[i] - 1;
		else
			cpu_features.max_leaf = leaves[i] - 1;
		assert_int_equal(read_processor().efer_valid, EFER_OF_ANY);
		assert_int_equal(read_processor().cr4_valid, 0x7ff);
		assert_false(read_processor().nmi_virtualization);
	}
}

/* --- checks --- */

static char broken[64];

static void hear(void *context, const struct violation *violation)
{
	assert_ptr_equal(context, broken);
	strncat(broken, violation->name, sizeof(broken) - 1 - strlen(broken));
}

static unsigned check(void)
{
	broken[0] = '\0';
	return svm_check_next_entry(vcpu, hear, broken);
}

/* The processor is asked once, the VMCB each time, whichever vCPU's it is. */
static void the_next_entry_is_checked(void **state)
{
	static struct vmcb second;

	assert_int_equal(check(), 0);
	assert_true(questions);
	questions = 0;
	vmcb.control.asid = 0;
	assert_int_equal(check(), 1);
	assert_string_equal(broken, "control.asid");
	second = vmcb;
	second.control.asid = 1;
	second.save.cr0 |= BIT_ULL(32);
	svm.vmcb = &second;
	assert_int_equal(check(), 1);
	assert_string_equal(broken, "guest.cr0.high");
	assert_int_equal(questions, 0);
}

/* RFLAGS may be in a register still; RIP and RSP are no rule's. */
static void rflags_that_wait_to_be_stored_are_stored_first(void **state)
{
	vcpu->regs[REG_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	vcpu->regs_dirty = BIT(REG_RSP) | BIT(REG_RIP);
	assert_int_equal(check(), 0);
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED);
	vcpu->regs_dirty = BIT(REG_RFLAGS);
	assert_int_equal(check(), 0);
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED | RFLAGS_IF);
	assert_int_equal(vcpu->regs_dirty, BIT(REG_RFLAGS));	/* the entry does what it always does */
}

static void a_refused_entry_is_explained(void **state)
{
	vcpu->failure.reason = ~0ull;
	vmcb.control.asid = 0;
	vmcb.save.cr0 |= BIT_ULL(32);
	svm_explain_failure(vcpu);
	assert_non_null(strstr(text, "web] error: vcpu 3: VM entry failed: invalid guest state "
				     "(exit code 0xffffffffffffffff): guest.cr0.high: bits 63:32 must be 0 "
				     "(CR0 0x100000010) [APM, \"Canonicalization and Consistency Checks\"]\n"));
	assert_non_null(strstr(text, "control.asid: must not be 0 (ASID 0x0)"));
	assert_null(strstr(text, "no rule"));
}

static void a_refusal_that_no_rule_explains_is_said_to_be_one(void **state)
{
	vcpu->failure.reason = 0xffffffff;
	svm_explain_failure(vcpu);
	assert_non_null(strstr(text, "error: vcpu 3: VM entry failed: invalid guest state "
				     "(exit code 0xffffffff): no rule that Lamina knows is broken"));
}

/* --- the dump --- */

static void fill_save(struct vmcb_save *save)
{
	u64 *const values[] = {
		&save->rip, &save->rflags, &save->efer, &save->cr0, &save->cr2, &save->cr3, &save->cr4,
		&save->dr6, &save->dr7, &save->pat, &save->debugctl,
	};
	struct vmcb_segment *const segments[] = {
		&save->cs, &save->ss, &save->ds, &save->es, &save->fs, &save->gs, &save->gdtr, &save->idtr,
		&save->ldtr, &save->tr,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		*values[i] = 0x100 + i;
	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++)
		*segments[i] = (struct vmcb_segment){ .selector = (u16)(0x200 + i), .attributes = (u16)(0x300 + i),
						      .limit = 0x400 + i, .base = 0x500 + i };
	save->cpl = 2;
}

static void fill_control(struct vmcb_control *control)
{
	u32 *const intercepts[] = {
		&control->intercept_cr, &control->intercept_dr, &control->intercept_exceptions,
		&control->intercept_misc1, &control->intercept_misc2, &control->intercept_misc3,
	};
	u64 *const values[] = {
		&control->iopm_base, &control->msrpm_base, &control->tsc_offset, &control->int_control,
		&control->int_state, &control->event_injection, &control->np_enable, &control->nested_cr3,
		&control->exit_code, &control->exit_info1, &control->exit_info2, &control->exit_int_info,
		&control->next_rip,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(intercepts); i++)
		*intercepts[i] = 0x600 + i;
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		*values[i] = 0x700 + i;
	control->asid = 81;
	control->tlb_control = 82;
	control->clean = 0x83;
}

static const char *const dumped[] = {
	"vcpu 3 VMCB:",
	"rax 0000000000000c00  rcx 0000000000000c01  rdx 0000000000000c02  rbx 0000000000000c03",
	"rsp 0000000000000c04  rbp 0000000000000c05  rsi 0000000000000c06  rdi 0000000000000c07",
	"r8  0000000000000c08  r9  0000000000000c09  r10 0000000000000c0a  r11 0000000000000c0b",
	"r12 0000000000000c0c  r13 0000000000000c0d  r14 0000000000000c0e  r15 0000000000000c0f",
	"rip 0000000000000100  rflags 0000000000000101  cpl 2  efer 0000000000000102",
	"cr0 0000000000000103  cr2 0000000000000104  cr3 0000000000000105  cr4 0000000000000106",
	"dr6 0000000000000107  dr7 0000000000000108  pat 0000000000000109  debugctl 10a",
	"cs    selector 0200 attributes 0300 limit 00000400 base 0000000000000500",
	"ss    selector 0201 attributes 0301 limit 00000401 base 0000000000000501",
	"ds    selector 0202 attributes 0302 limit 00000402 base 0000000000000502",
	"es    selector 0203 attributes 0303 limit 00000403 base 0000000000000503",
	"fs    selector 0204 attributes 0304 limit 00000404 base 0000000000000504",
	"gs    selector 0205 attributes 0305 limit 00000405 base 0000000000000505",
	"gdtr  selector 0206 attributes 0306 limit 00000406 base 0000000000000506",
	"idtr  selector 0207 attributes 0307 limit 00000407 base 0000000000000507",
	"ldtr  selector 0208 attributes 0308 limit 00000408 base 0000000000000508",
	"tr    selector 0209 attributes 0309 limit 00000409 base 0000000000000509",
	"intercepts: cr 00000600 dr 00000601 exceptions 00000602 misc 00000603 00000604 00000605",
	"iopm 700 msrpm 701 tsc_offset 702 asid 81 tlb_control 82 clean 83",
	"int_control 703 int_state 704 event_injection 705 np_enable 706 nested_cr3 707",
	"exit_code 708 info1 709 info2 70a exit_int_info 70b next_rip 70c",
};

/* Each line once, in this order. */
static void the_dump_has_each_value_in_its_place(void **state)
{
	const char *at = text;
	unsigned lines = 0;

	for (unsigned i = 0; i < 16; i++)
		vcpu->regs[i] = 0xc00 + i;
	vcpu->regs_available = BIT(REG_RSP);
	fill_save(&vmcb.save);
	fill_control(&vmcb.control);
	svm_dump(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(dumped); i++) {
		at = strstr(at, dumped[i]);
		if (!at)
			fail_msg("missing, or not in order: %s", dumped[i]);
	}
	for (const char *c = text; *c; c++)
		lines += *c == '\n';
	assert_int_equal(lines, ARRAY_SIZE(dumped));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(each_cpuid_bit_announces_one_bit, set_up),
		fake_cpu_test_setup(lmsle_has_a_bit_that_says_it_is_missing, set_up),
		fake_cpu_test_setup(what_else_the_rules_depend_on, set_up),
		fake_cpu_test_setup(leaves_that_do_not_exist_announce_nothing, set_up),
		fake_cpu_test_setup(the_next_entry_is_checked, set_up),
		fake_cpu_test_setup(rflags_that_wait_to_be_stored_are_stored_first, set_up),
		fake_cpu_test_setup(a_refused_entry_is_explained, set_up),
		fake_cpu_test_setup(a_refusal_that_no_rule_explains_is_said_to_be_one, set_up),
		fake_cpu_test_setup(the_dump_has_each_value_in_its_place, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
