/* SPDX-License-Identifier: MIT */
/*
 * Which MSRs a CPU gets into which state. The numbers are those of Intel's SDM, vol. 4, "Model-Specific Registers
 * (MSRs)", and of AMD's "Revision Guide" and "BIOS and Kernel Developer's Guide" of each family; of Zen, those of
 * its security bulletins AMD-SB-7008 (Zenbleed), AMD-SB-1037 (branch type confusion).
 */
/* link: arch/cpu/msr_settings.c lib/log.c lib/string.c tests/unit/fake_cpu.c */
#include "tests/unit/fake_cpu.h"

#include <string.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/msr_settings.h"
#include "arch/cpu/percpu.h"
#include "lib/errno.h"
#include "lib/log.h"

#define ONES (~0ull)

struct cpu_features cpu_features;

static struct {
	u32 leaf;
	struct cpuid_regs regs;
} announced;			/* the one leaf that is not 0 */
static u32 microcode;
static struct percpu cpu;
static char said[4096];

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	if (leaf > (leaf & BIT(31) ? cpu_features.max_extended_leaf : cpu_features.max_leaf))
		fail_msg("CPUID leaf 0x%x is not there", leaf);
	return leaf == announced.leaf ? announced.regs : (struct cpuid_regs){ 0 };
}

u32 cpu_microcode_read(void)
{
	return microcode;
}

static void keep(struct log_console *to, const char *text, size_t length)
{
	strncat(said, text, MIN(length, sizeof(said) - 1 - strlen(said)));
}

static struct log_console console = { .write = keep };

static int set_up_group(void **state)
{
	log_add_console(&console);
	return 0;
}

static void be(enum cpu_vendor vendor, u32 family, u32 model)
{
	fake_cpu_reset();
	cpu_features = (struct cpu_features){
		.vendor = vendor, .family = family, .model = model, .max_leaf = 0x20, .max_extended_leaf = 0x80000022,
	};
	memset(&announced, 0, sizeof(announced));
	memset(&cpu, 0, sizeof(cpu));
	memset(said, 0, sizeof(said));
	microcode = 0;
}

static int set_up(void **state)
{
	be(CPU_VENDOR_INTEL, 6, 0x8f);
	return 0;
}

static void announce(u32 leaf, enum cpuid_reg reg, u32 bits)
{
	u32 regs[4] = { 0 };

	regs[reg] = bits;
	announced.leaf = leaf;
	announced.regs = (struct cpuid_regs){ regs[0], regs[1], regs[2], regs[3] };
}

/* --- what was left on --- */

/* All bits are on before; `after` has those that stay. */
static const struct {
	u8 vendor;
	u32 msr;
	u64 after;
	u32 leaf;
	u8 reg;
	u32 bit;
	u32 capability_msr;
	u64 capability;
} left_on[] = {
	{ CPU_VENDOR_INTEL, 0x33, ONES & ~(3ull << 28), 7, EDX, BIT(30), 0xcf, 1ull << 5 },	/* TEST_CTRL */
	{ CPU_VENDOR_INTEL, 0x33, ONES & ~(3ull << 28), 7, EDX, BIT(30), 0xcf, 1ull << 4 },
	{ CPU_VENDOR_INTEL, 0x48, 0, 7, EDX, BIT(26) },		/* SPEC_CTRL: IBRS, STIBP, SSBD */
	{ CPU_VENDOR_INTEL, 0x48, 0, 7, EDX, BIT(27) },
	{ CPU_VENDOR_INTEL, 0x48, 0, 7, EDX, BIT(31) },
	{ CPU_VENDOR_AMD, 0x48, 0, 0x80000008, EBX, BIT(14) },
	{ CPU_VENDOR_AMD, 0x48, 0, 0x80000008, EBX, BIT(15) },
	{ CPU_VENDOR_AMD, 0x48, 0, 0x80000008, EBX, BIT(24) },
	{ CPU_VENDOR_INTEL, 0xe1, 0, 7, ECX, BIT(5) },		/* UMWAIT_CONTROL */
	{ CPU_VENDOR_INTEL, 0x140, ONES & ~3ull, 0, 0, 0, 0xce, 1ull << 31 },	/* MISC_FEATURES_ENABLES */
	{ CPU_VENDOR_AMD, 0xc0010015, ONES & ~(1ull << 35 | 1ull << 17) },	/* HWCR */
	{ CPU_VENDOR_INTEL, 0x570, 0, 7, EBX, BIT(25) },	/* RTIT_CTL */
	{ CPU_VENDOR_INTEL, 0x1d9, 0 },				/* DEBUGCTL */
	{ CPU_VENDOR_AMD, 0x1d9, 0 },
	{ CPU_VENDOR_INTEL, 0x14ce, 0, 7, EDX, BIT(19) },	/* LBR_CTL */
	{ CPU_VENDOR_AMD, 0xc000010f, ONES & ~(1ull << 6), 0x80000022, EAX, BIT(1) },
	{ CPU_VENDOR_INTEL, 0x3f1, 0, 1, EDX, BIT(21) },	/* PEBS_ENABLE */
	{ CPU_VENDOR_INTEL, 0x38f, 0, 0xa, EAX, 2 },		/* PERF_GLOBAL_CTRL */
	{ CPU_VENDOR_INTEL, 0x38f, 0, 0xa, EAX, 5 },
	{ CPU_VENDOR_AMD, 0xc0000301, 0, 0x80000022, EAX, BIT(0) },
	{ CPU_VENDOR_AMD, 0xc0011030, ONES & ~(1ull << 48), 0x80000001, ECX, BIT(10) },	/* IBS */
	{ CPU_VENDOR_AMD, 0xc0011033, ONES & ~(1ull << 17), 0x80000001, ECX, BIT(10) },
	{ CPU_VENDOR_INTEL, 0xd93, ONES & ~(1ull << 31), 7, ECX, BIT(29) },	/* PASID */
};

static void prepare(unsigned row)
{
	be(left_on[row].vendor, left_on[row].vendor == CPU_VENDOR_AMD ? 0xf : 6, 0);
	announce(left_on[row].leaf, left_on[row].reg, left_on[row].bit);
	if (left_on[row].capability_msr)
		fake_msr(left_on[row].capability_msr)->value = left_on[row].capability;
	fake_msr(left_on[row].msr)->value = ONES;
}

static void what_was_left_on_is_off(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(left_on); i++) {
		prepare(i);
		msr_settings_apply(&cpu);
		if (fake_msr(left_on[i].msr)->value != left_on[i].after)
			fail_msg("row %u: 0x%llx", i, (ull)fake_msr(left_on[i].msr)->value);
		assert_int_equal(__builtin_popcountll(cpu.msrs_changed), 1);
		assert_int_equal(cpu.msrs_refused, 0);
		/* It is right by then: nothing is written again. */
		msr_settings_apply(&cpu);
		assert_int_equal(fake_msr(left_on[i].msr)->writes, 1);
	}
}

static void only_where_it_is_announced(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(left_on); i++) {
		if (left_on[i].leaf) {
			prepare(i);
			announce(left_on[i].leaf, left_on[i].reg, ~left_on[i].bit);
			if (left_on[i].msr == 0x48)	/* each of three bits does */
				announce(left_on[i].leaf, left_on[i].reg, 0);
			if (left_on[i].msr == 0x38f)	/* a version number */
				announce(left_on[i].leaf, left_on[i].reg, 1);
			msr_settings_apply(&cpu);
			assert_int_equal(fake_msr(left_on[i].msr)->value, ONES);
		}
		if (left_on[i].capability_msr) {
			prepare(i);
			fake_msr(left_on[i].capability_msr)->value = 0xf | 1ull << 30;
			msr_settings_apply(&cpu);
			assert_int_equal(fake_msr(left_on[i].msr)->value, ONES);
		}
	}
}

/* Leaves that are not there: test_cpuid() refuses them. */
static void old_processors(void **state)
{
	cpu_features.max_leaf = 1;
	cpu_features.max_extended_leaf = 0x80000001;
	msr_settings_apply(&cpu);
	be(CPU_VENDOR_AMD, 0xf, 0x41);
	cpu_features.max_leaf = 1;
	cpu_features.max_extended_leaf = 0x80000001;
	msr_settings_apply(&cpu);
	assert_int_equal(fake_cpu_count(DO_WRMSR), 0);
}

/* --- errata --- */

#define DE_CFG 0xc0011029u
#define LFENCE 2ull

/* The bits that each model gets set in each MSR, of which all are clear before; with a microcode of revision 0. */
static const struct {
	u8 family, model;
	u64 ls_cfg, dc_cfg, fp_cfg, de_cfg, bp_cfg, chicken;	/* c0011020, 22, 28, 29, 2e, c00110e3 */
} models[] = {
	{ 0x0f, 0x41 },
	{ 0x10, 0x04, .dc_cfg = 1ull << 47, .de_cfg = LFENCE | 1 },
	{ 0x11, 0x03 },
	{ 0x12, 0x01, .de_cfg = LFENCE | 1 | 1ull << 31 },
	{ 0x14, 0x02, .de_cfg = LFENCE },
	{ 0x15, 0x02, .de_cfg = LFENCE },
	{ 0x16, 0x00, .ls_cfg = 1 << 15, .de_cfg = LFENCE },
	{ 0x16, 0x0f, .ls_cfg = 1 << 15, .de_cfg = LFENCE },
	{ 0x16, 0x30, .de_cfg = LFENCE },
	{ 0x17, 0x01, .ls_cfg = 1 << 4 | 1ull << 57, .fp_cfg = 1 << 9 | 1 << 4, .de_cfg = LFENCE | 1 << 13 },
	{ 0x17, 0x08, .fp_cfg = 1 << 9, .de_cfg = LFENCE },
	{ 0x17, 0x2f, .fp_cfg = 1 << 9, .de_cfg = LFENCE },
	{ 0x17, 0x50, .fp_cfg = 1 << 9, .de_cfg = LFENCE },
	{ 0x17, 0x31, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x47, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x60, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x68, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x71, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x7f, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x90, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0xa0, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x80, .de_cfg = LFENCE },
	{ 0x17, 0x91, .de_cfg = LFENCE | 1 << 9, .bp_cfg = 1ull << 33, .chicken = 2 },
	{ 0x17, 0x92, .de_cfg = LFENCE },
	{ 0x18, 0x00, .de_cfg = LFENCE },			/* Hygon */
	{ 0x19, 0x01, .de_cfg = LFENCE },
	{ 0x19, 0x11, .de_cfg = LFENCE, .bp_cfg = 1 << 5 },
	{ 0x19, 0x21, .de_cfg = LFENCE },
	{ 0x19, 0x61, .de_cfg = LFENCE, .bp_cfg = 1 << 5 },
	{ 0x19, 0xa0, .de_cfg = LFENCE, .bp_cfg = 1 << 5 },
	{ 0x1a, 0x44, .de_cfg = LFENCE },
};

static void each_model_avoids_its_errata(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
		const struct {
			u32 msr;
			u64 set;
		} expected[] = {
			{ 0xc0011020, models[i].ls_cfg }, { 0xc0011022, models[i].dc_cfg }, { 0xc0011028, models[i].fp_cfg },
			{ DE_CFG, models[i].de_cfg }, { 0xc001102e, models[i].bp_cfg }, { 0xc00110e3, models[i].chicken },
		};

		be(CPU_VENDOR_AMD, models[i].family, models[i].model);
		for (unsigned m = 0; m < ARRAY_SIZE(expected); m++)
			fake_msr(expected[m].msr);
		msr_settings_apply(&cpu);
		for (unsigned m = 0; m < ARRAY_SIZE(expected); m++)
			if (fake_msr(expected[m].msr)->value != expected[m].set)
				fail_msg("family 0x%x model 0x%x MSR 0x%x: 0x%llx, expected 0x%llx", models[i].family,
					 models[i].model, expected[m].msr, (ull)fake_msr(expected[m].msr)->value,
					 (ull)expected[m].set);
		assert_int_equal(cpu.msrs_refused, 0);
	}
	be(CPU_VENDOR_INTEL, 0x17, 0x31);
	fake_msr(DE_CFG);
	msr_settings_apply(&cpu);
	assert_int_equal(fake_cpu_count(DO_WRMSR), 0);
}

/* C1eOnCmpHalt and SmiOnCmpHalt; and the bit that turns WC+ memory into uncached. Other bits stay. */
static void what_firmware_switched_on(void **state)
{
	static const u8 families[] = { 0xf, 0x10, 0x11, 0x12, 0x14 };

	for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
		be(CPU_VENDOR_AMD, families[i], 2);
		fake_msr(0xc0010055)->value = 0x1fffffff;
		fake_msr(0xc001102a)->value = 0x3000000;
		msr_settings_apply(&cpu);
		assert_int_equal(fake_msr(0xc0010055)->value,
				 families[i] >= 0x10 && families[i] <= 0x12 ? 0x07ffffff : 0x1fffffff);
		assert_int_equal(fake_msr(0xc001102a)->value, families[i] == 0x10 ? 0x2000000 : 0x3000000);
	}
}

/* AMD-SB-7008: the microcode revisions that need no bit. */
static void zenbleed_by_microcode(void **state)
{
	static const struct {
		u8 model;
		u32 fixed;
	} rows[] = {
		{ 0x31, 0x0830107b }, { 0x60, 0x0860010c }, { 0x68, 0x08608107 }, { 0x71, 0x08701033 }, { 0xa0, 0x08a00009 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		for (unsigned newer = 0; newer < 2; newer++) {
			be(CPU_VENDOR_AMD, 0x17, rows[i].model);
			microcode = rows[i].fixed - 1 + newer;
			fake_msr(DE_CFG);
			msr_settings_apply(&cpu);
			assert_int_equal(fake_msr(DE_CFG)->value, newer ? LFENCE : LFENCE | 1 << 9);
		}
	}
}

/* The models of which no such revision is known. */
static void zenbleed_whatever_the_microcode(void **state)
{
	static const u8 no_revision[] = { 0x40, 0x47, 0x4f, 0x90, 0x91 };

	for (unsigned i = 0; i < ARRAY_SIZE(no_revision); i++) {
		be(CPU_VENDOR_AMD, 0x17, no_revision[i]);
		microcode = 0xffffffff;
		fake_msr(DE_CFG);
		msr_settings_apply(&cpu);
		assert_int_equal(fake_msr(DE_CFG)->value, LFENCE | 1 << 9);
	}
}

/* --- processors that refuse, and the report --- */

static void a_refusal_is_said(void **state)
{
	be(CPU_VENDOR_AMD, 0x17, 0x31);
	fake_msr(DE_CFG)->write_faults = true;
	fake_msr(0xc00110e3)->ignored = ONES;
	msr_settings_apply(&cpu);
	assert_int_equal(cpu.msrs_changed, 0);
	assert_int_equal(__builtin_popcountll(cpu.msrs_refused), 3);
	msr_settings_report(&cpu);
	assert_non_null(strstr(said, "CPU 0: MSR 0xc0011029 refuses a setting: LFENCE serializes\n"));
	assert_non_null(strstr(said, "refuses a setting: registers of another program seen (Zenbleed)\n"));
	assert_non_null(strstr(said, "CPU 0: MSR 0xc00110e3 refuses a setting: branch type confusion\n"));

	/* A microcode update may help. */
	fake_msr(DE_CFG)->write_faults = false;
	fake_msr(0xc00110e3)->ignored = 0;
	msr_settings_apply(&cpu);
	assert_int_equal(cpu.msrs_refused, 0);
	memset(said, 0, sizeof(said));
	msr_settings_report(&cpu);
	assert_null(strstr(said, "refuses"));
	assert_non_null(strstr(said, "CPU 0: set for its errata: branch type confusion (MSR 0xc00110e3)\n"));
}

static void what_was_on_is_said(void **state)
{
	announce(7, EBX, BIT(25));
	fake_msr(0x570)->value = 1;
	msr_settings_apply(&cpu);
	msr_settings_report(&cpu);
	assert_non_null(strstr(said, "CPU 0: was on, is off: processor trace (MSR 0x570)\n"));
}

/* Of the other CPUs, of what a reset has on, and in a virtual machine: for those who ask for it only. */
static void the_usual_is_not_said_aloud(void **state)
{
	announce(0xa, EAX, 2);
	fake_msr(0x38f)->value = 0xf;
	msr_settings_apply(&cpu);
	msr_settings_report(&cpu);
	assert_string_equal(said, "");

	be(CPU_VENDOR_AMD, 0x17, 0x31);
	fake_msr(DE_CFG)->ignored = ONES;
	fake_msr(0xc00110e3);
	msr_settings_apply(&cpu);
	cpu.index = 1;
	msr_settings_report(&cpu);
	cpu.index = 0;
	cpu_features.hypervisor = true;
	msr_settings_report(&cpu);
	assert_string_equal(said, "");
}

#define TEST(test) fake_cpu_test_setup(test, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_left_on_is_off),
		TEST(only_where_it_is_announced),
		TEST(old_processors),
		TEST(each_model_avoids_its_errata),
		TEST(what_firmware_switched_on),
		TEST(zenbleed_by_microcode),
		TEST(zenbleed_whatever_the_microcode),
		TEST(a_refusal_is_said),
		TEST(what_was_on_is_said),
		TEST(the_usual_is_not_said_aloud),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
