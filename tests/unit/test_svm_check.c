/* SPDX-License-Identifier: MIT */
/*
 * What this processor allows in a VMCB, a refused VMRUN in words, and the VMCB as text. AMD APM vol. 2,
 * "CR4 Register", "Extended Feature Enable Register (EFER)"; vol. 3, "CPUID Function Numbers".
 */
/* link: svm/entry_state.c svm/check.c svm/dump.c svm/rules/rules.c svm/rules/exempt.c */
/* link: core/observe/entry_rule.c core/vm_log.c lib/log.c tests/unit/fake_cpu.c */
#include <stdio.h>

#include "svm_fixture.h"

#include "core/vm_log.h"

struct cpu_features cpu_features;
struct svm_features svm_features;
static struct cpuid_regs leaves[8];	/* what CPUID says: see place() */
static char shown[16384];
static const char *refused_by;		/* the rule that svm_check_next_entry() reported last */

static struct cpuid_regs *place(u32 leaf)
{
	static const u32 known[] = { 1, 7, 0x80000001, 0x80000008, 0x8000000a, 0x80000021 };

	for (unsigned i = 0; i < ARRAY_SIZE(known); i++) {
		if (known[i] == leaf)
			return &leaves[i];
	}
	fail_msg("nobody asks for CPUID leaf 0x%x", leaf);
	return NULL;
}

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return *place(leaf); }

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

static void expect_shown(const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!strstr(shown, text))
		fail_msg("\"%s\" is not in:\n%s", text, shown);
}

/* A VMCB that breaks no rule. */
static void fill_valid(void)
{
	vmcb.control.intercept_misc2 = INTERCEPT_VMRUN;
	vmcb.control.asid = 1;
	vmcb.control.np_enable = 1;
	vmcb.save.efer = EFER_SVME;
	vmcb.save.cr0 = CR0_ET;
	vmcb.save.dr6 = 0xffff0ff0;
	vmcb.save.dr7 = 0x400;
	vmcb.save.rflags = RFLAGS_FIXED;
	vmcb.save.pat = 0x0007040600070406;
}

static u64 rip_as_hardware_has_it;

static void reg_fetch(struct vcpu *v, enum vcpu_reg reg)
{
	v->regs[reg] = rip_as_hardware_has_it + reg;
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static const struct vcpu_ops ops = { .reg_fetch = reg_fetch };
	static bool added;

	svm_fixture_reset(state);
	if (!added)
		log_add_console(&console);
	added = true;
	memset(shown, 0, sizeof(shown));
	memset(leaves, 0, sizeof(leaves));
	cpu_features = (struct cpu_features){
		.max_leaf = 0xd, .max_extended_leaf = 0x80000021, .physical_address_bits = 40,
	};
	place(0x80000008)->ebx = BIT(20);	/* EferLmsleUnsupported */
	fake_cpu.cr[0] = CR0_PE | CR0_PG;
	vcpu->ops = &ops;
	vcpu->id = 3;
	rip_as_hardware_has_it = 0;
	refused_by = NULL;
	fill_valid();
	return 0;
}

static struct svm_processor processor(void)
{
	struct svm_entry_state state;

	svm_entry_state_read(vcpu, &state);
	assert_ptr_equal(state.vmcb, &vmcb);
	return state.processor;
}

static void what_every_processor_allows(void **state)
{
	struct svm_processor p = processor();

	assert_int_equal(p.physical_bits, 40);
	assert_int_equal(p.cr4_valid, 0x7ff);
	assert_int_equal(p.efer_valid, 1 << 0 | 1 << 8 | 1 << 10 | 1 << 12);
	assert_int_equal(p.host_cr0, CR0_PE | CR0_PG);
	assert_false(p.nmi_virtualization);
}

enum { IN_EAX, IN_EBX, IN_ECX, IN_EDX };

static void set_cpuid_bit(u32 leaf, unsigned reg, unsigned bit)
{
	u32 *const regs[] = { &place(leaf)->eax, &place(leaf)->ebx, &place(leaf)->ecx, &place(leaf)->edx };

	*regs[reg] |= BIT(bit);
}

static const struct {
	u32 leaf;
	u8 reg, bit;
	u64 cr4, efer;
} announced[] = {
	{ 7, IN_ECX, 2, 1 << 11, 0 },		/* UMIP */
	{ 7, IN_ECX, 16, 1 << 12, 0 },		/* LA57 */
	{ 7, IN_EBX, 0, 1 << 16, 0 },		/* FSGSBASE */
	{ 1, IN_ECX, 17, 1 << 17, 0 },		/* PCIDE */
	{ 1, IN_ECX, 26, 1 << 18, 0 },		/* OSXSAVE */
	{ 7, IN_EBX, 7, 1 << 20, 0 },		/* SMEP */
	{ 7, IN_EBX, 20, 1 << 21, 0 },		/* SMAP */
	{ 7, IN_ECX, 3, 1 << 22, 0 },		/* PKE */
	{ 7, IN_ECX, 7, 1 << 23, 0 },		/* CET */
	{ 0x80000001, IN_EDX, 20, 0, 1 << 11 },	/* NXE */
	{ 0x80000001, IN_EDX, 25, 0, 1 << 14 },	/* FFXSR */
	{ 0x80000001, IN_ECX, 17, 0, 1 << 15 },	/* TCE */
	{ 0x80000008, IN_EBX, 8, 0, 1 << 17 },	/* MCOMMIT */
	{ 0x80000008, IN_EBX, 13, 0, 1 << 18 },	/* INTWB */
	{ 0x80000021, IN_EAX, 7, 0, 1 << 20 },	/* UAIE */
	{ 0x80000021, IN_EAX, 8, 0, 1 << 21 },	/* AIBRSE */
};

static void each_feature_allows_its_bit(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(announced); i++) {
		setup(state);
		set_cpuid_bit(announced[i].leaf, announced[i].reg, announced[i].bit);
		assert_int_equal(processor().cr4_valid, 0x7ff | announced[i].cr4);
		assert_int_equal(processor().efer_valid, 0x1501 | announced[i].efer);
	}
}

/* What CPUID says beyond its last leaf is another leaf's. */
static void leaves_that_are_not_there_announce_nothing(void **state)
{
	memset(leaves, 0xff, sizeof(leaves));
	cpu_features.max_leaf = 6;
	cpu_features.max_extended_leaf = 0x80000000;
	assert_int_equal(processor().cr4_valid, 0x7ff | 1 << 17 | 1 << 18);	/* leaf 1 */
	assert_int_equal(processor().efer_valid, 0x1501 | 1 << 13);
	assert_false(processor().nmi_virtualization);
}

/* The bit in CPUID says that it is missing. */
static void lmsle_is_announced_the_other_way(void **state)
{
	place(0x80000008)->ebx = 0;
	assert_int_equal(processor().efer_valid, 0x1501 | 1 << 13);
	set_cpuid_bit(0x8000000a, IN_EDX, 25);
	assert_true(processor().nmi_virtualization);
}

/* --- a refused entry --- */

static void remember(void *context, const struct violation *violation)
{
	refused_by = violation->text;
}

static void a_valid_vmcb_breaks_no_rule(void **state)
{
	assert_int_equal(svm_check_next_entry(vcpu, remember, NULL), 0);
	assert_null(refused_by);
}

static void the_next_entry_is_checked_as_it_will_be(void **state)
{
	vmcb.control.asid = 0;
	assert_int_equal(svm_check_next_entry(vcpu, remember, NULL), 1);
	assert_non_null(refused_by);
	vmcb.control.asid = 1;
	vcpu->regs[REG_RFLAGS] = RFLAGS_FIXED | RFLAGS_IF;
	vcpu->regs_dirty = BIT(REG_RFLAGS);		/* not stored yet, but it will be */
	assert_int_equal(svm_check_next_entry(vcpu, remember, NULL), 0);
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED | RFLAGS_IF);
	vcpu->regs_dirty = BIT(REG_RSP);
	vcpu->regs[REG_RFLAGS] = 0;
	assert_int_equal(svm_check_next_entry(vcpu, remember, NULL), 0);
	assert_int_equal(vmcb.save.rflags, RFLAGS_FIXED | RFLAGS_IF);
}

static void a_failure_is_explained(void **state)
{
	vcpu->failure.reason = 0xffffffff;
	vmcb.control.asid = 0;
	svm_explain_failure(vcpu);
	expect_shown("error: vcpu 3: VM entry failed: invalid guest state (exit code 0xffffffff): ");
	expect_shown("ASID");
	expect_shown("[APM, \"");
	assert_null(strstr(shown, "no rule"));

	setup(state);
	vcpu->failure.reason = ~0ull;
	svm_explain_failure(vcpu);
	expect_shown("(exit code 0xffffffffffffffff): no rule that Lamina knows is broken");
}

static void each_vcpus_own_vmcb_is_checked(void **state)
{
	static struct vmcb other;
	static struct vcpu_svm svm2;

	assert_int_equal(svm_check_next_entry(vcpu, remember, NULL), 0);
	other = vmcb;
	other.control.asid = 0;
	svm2.vmcb = &other;
	svm2.vcpu.vm = &vm;
	assert_int_equal(svm_check_next_entry(&svm2.vcpu, remember, NULL), 1);
}

/* --- the dump --- */

/* Every byte of the VMCB has another value than its neighbours. */
static void the_dump_shows_each_field(void **state)
{
	static const struct {
		const char *name;
		unsigned offset;
	} segments[] = {
		{ "cs", 0x410 }, { "ss", 0x420 }, { "ds", 0x430 }, { "es", 0x400 }, { "fs", 0x440 }, { "gs", 0x450 },
		{ "gdtr", 0x460 }, { "idtr", 0x480 }, { "ldtr", 0x470 }, { "tr", 0x490 },
	};
	static const struct {
		const char *name;
		unsigned offset;
	} words[] = {
		{ "rip", 0x578 }, { "rflags", 0x570 }, { "efer", 0x4d0 }, { "cr0", 0x558 }, { "cr2", 0x640 },
		{ "cr3", 0x550 }, { "cr4", 0x548 }, { "dr6", 0x568 }, { "dr7", 0x560 }, { "pat", 0x668 },
	};
	static const struct {
		const char *name;
		unsigned offset, size;
	} controls[] = {
		{ "cr", 0x000, 4 }, { "dr", 0x004, 4 }, { "exceptions", 0x008, 4 }, { "misc", 0x00c, 4 },
		{ "iopm", 0x040, 8 }, { "msrpm", 0x048, 8 }, { "tsc_offset", 0x050, 8 }, { "clean", 0x0c0, 4 },
		{ "int_control", 0x060, 8 }, { "int_state", 0x068, 8 }, { "exit_code", 0x070, 8 },
		{ "info1", 0x078, 8 }, { "info2", 0x080, 8 }, { "exit_int_info", 0x088, 8 },
		{ "np_enable", 0x090, 8 }, { "event_injection", 0x0a8, 8 }, { "nested_cr3", 0x0b0, 8 },
		{ "next_rip", 0x0c8, 8 }, { "debugctl", 0x670, 8 },
	};

	for (unsigned i = 0; i < sizeof(vmcb); i++)
		((u8 *)&vmcb)[i] = (u8)(0x80 | (i * 37 + i / 128 * 5));
	svm_dump(vcpu);
	expect_shown("vcpu 3 VMCB:");
	for (unsigned i = 0; i < ARRAY_SIZE(segments); i++)
		expect_shown("  %-5s selector %04llx attributes %04llx limit %08llx base %016llx\n", segments[i].name,
			     vmcb_field(segments[i].offset, 2), vmcb_field(segments[i].offset + 2, 2),
			     vmcb_field(segments[i].offset + 4, 4), vmcb_field(segments[i].offset + 8, 8));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
		expect_shown("%s %016llx", words[i].name, vmcb_field(words[i].offset, 8));
	for (unsigned i = 0; i < ARRAY_SIZE(controls); i++)
		expect_shown("%s %llx", controls[i].name, vmcb_field(controls[i].offset, controls[i].size));
	expect_shown("misc %08llx %08llx %08llx\n", vmcb_field(0x0c, 4), vmcb_field(0x10, 4), vmcb_field(0x14, 4));
	expect_shown("asid %llu", vmcb_field(0x58, 4));
	expect_shown("tlb_control %llu", vmcb_field(0x5c, 1));
	expect_shown("cpl %llu", vmcb_field(0x4cb, 1));
}

/* Registers, then the save area, then the controls; segments in the usual order. */
static void the_dump_has_its_order(void **state)
{
	static const char *const parts[] = {
		"vcpu 3 VMCB:", "  rax ", "  r8 ", "  r12 ", "  rip ", "  cr0 ", "  dr6 ", "  cs ", "  ss ", "  ds ", "  es ",
		"  fs ", "  gs ", "  gdtr ", "  idtr ", "  ldtr ", "  tr ", "  intercepts: ", "  iopm ", "  int_control ",
		"  exit_code ",
	};
	const char *at = shown;

	svm_dump(vcpu);
	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		at = strstr(at, parts[i]);
		if (!at)
			fail_msg("\"%s\" is not in its place in:\n%s", parts[i], shown);
	}
}

static void the_dump_shows_each_register(void **state)
{
	static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					     "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };

	for (unsigned reg = 0; reg < 16; reg++)
		vcpu->regs[reg] = 0x1111111111111100 + reg;
	rip_as_hardware_has_it = 0x2222222222222200;	/* RSP's comes from there */
	svm_dump(vcpu);
	for (unsigned reg = 0; reg < 16; reg++)
		expect_shown("%-3s %016llx", names[reg],
			     (reg == REG_RSP ? 0x2222222222222200 : 0x1111111111111100) + reg);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_every_processor_allows),
		TEST(each_feature_allows_its_bit),
		TEST(leaves_that_are_not_there_announce_nothing),
		TEST(lmsle_is_announced_the_other_way),
		TEST(a_valid_vmcb_breaks_no_rule),
		TEST(the_next_entry_is_checked_as_it_will_be),
		TEST(a_failure_is_explained),
		TEST(each_vcpus_own_vmcb_is_checked),
		TEST(the_dump_shows_each_field),
		TEST(the_dump_shows_each_register),
		TEST(the_dump_has_its_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
