/* SPDX-License-Identifier: MIT */
/*
 * Which flushes a processor gets between VMs, and how many of them a schedule takes.
 * Intel, "Speculative Execution Side Channel Mitigations"; AMD, "Indirect Branch Control Extension".
 */
/* link: arch/cpu/cpufeature.c lib/log.c lib/string.c tests/unit/fake_cpu.c */
#include "tests/unit/choice.h"
#include "tests/unit/fake_cpu.h"

#include <stdio.h>
#include <string.h>

#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "lib/errno.h"
#include "lib/log.h"

/* For the function that its option calls, and for what it leaves behind. */
#include "core/cpu/speculation.c"

/* The processor. */
static u8 maker;		/* enum cpu_vendor */
static u32 max_leaf, max_extended_leaf, seven_ebx, seven_edx, amd_ebx;
static char said[4096];

struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	switch (leaf) {
	case 0:
		return maker == CPU_VENDOR_AMD ?
			(struct cpuid_regs){ max_leaf, 0x68747541, 0x444d4163, 0x69746e65 } :	/* AuthenticAMD */
			(struct cpuid_regs){ max_leaf, 0x756e6547, 0x6c65746e, 0x49656e69 };	/* GenuineIntel */
	case 7:
		return (struct cpuid_regs){ .ebx = seven_ebx, .edx = seven_edx };
	case 0x80000000:
		return (struct cpuid_regs){ .eax = max_extended_leaf };
	case 0x80000008:
		return (struct cpuid_regs){ .ebx = amd_ebx };
	default:
		return (struct cpuid_regs){ 0 };
	}
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

static int set_up(void **state)
{
	memset(&cpu_features, 0, sizeof(cpu_features));
	maker = CPU_VENDOR_INTEL;
	max_leaf = 0xd;
	max_extended_leaf = 0x80000008;
	seven_ebx = seven_edx = amd_ebx = 0;
	off = false;
	memset(said, 0, sizeof(said));
	return 0;
}

#define IBPB_AND_IBRS BIT(26)
#define MD_CLEAR      BIT(10)
#define L1D_FLUSH     BIT(28)
#define ARCH	      BIT(29)

#define PRED_CMD  0x49
#define FLUSH_CMD 0x10b
#define ARCH_CAPABILITIES 0x10a

static unsigned count_writes(u32 msr)
{
	unsigned count = 0;

	for (unsigned i = 0; i < fake_cpu_writes(); i++) {
		assert_int_equal(fake_cpu_write(i)->value, 1);	/* the one bit that both commands have */
		count += fake_cpu_write(i)->number == msr;
	}
	return count;
}

static void init(void)
{
	cpu_features_init();
	speculation_init();
}

static void expect_words(const char *title, const char *words)
{
	char line[200];

	snprintf(line, sizeof(line), "  %-34s %s\n", title, words);
	if (!strstr(said, line))
		fail_msg("\"%s\", expected \"%s\"", said, line);
}

static void switch_once(void)
{
	struct percpu cpu = { 0 };

	fake_cpu.step_count = 0;
	speculation_switch_vm(&cpu, 1);
}

static void each_processor_gets_what_it_needs(void **state)
{
	static const struct {
		u8 vendor;
		u32 edx, ebx;
		u64 capabilities;
		unsigned ibpb, l1d;
		const char *words;
	} rows[] = {
		{ CPU_VENDOR_INTEL, 0, 0, 0, 0, 0, "nothing: the processor offers nothing for it" },
		{ CPU_VENDOR_INTEL, IBPB_AND_IBRS, 0, 0, 1, 0, "branch predictions" },
		{ CPU_VENDOR_INTEL, IBPB_AND_IBRS | L1D_FLUSH, 0, 0, 1, 1, "branch predictions, L1 data cache" },
		{ CPU_VENDOR_INTEL, L1D_FLUSH | MD_CLEAR, 0, 0, 0, 1, "L1 data cache, CPU buffers" },
		{ CPU_VENDOR_INTEL, MD_CLEAR, 0, 0, 0, 0, "CPU buffers" },
		{ CPU_VENDOR_INTEL, L1D_FLUSH | ARCH, 0, 0, 0, 1, "L1 data cache" },
		{ CPU_VENDOR_INTEL, L1D_FLUSH | ARCH, 0, BIT(0), 0, 0, "nothing: the processor offers nothing for it" },	/* RDCL_NO */
		{ CPU_VENDOR_INTEL, L1D_FLUSH | ARCH, 0, BIT(3), 0, 0, "nothing: the processor offers nothing for it" },	/* SKIP_L1DFL_VMENTRY */
		{ CPU_VENDOR_INTEL, 0, BIT(12), 0, 0, 0, "nothing: the processor offers nothing for it" },	/* AMD's bit */
		{ CPU_VENDOR_AMD, 0, BIT(12), 0, 1, 0, "branch predictions" },
		{ CPU_VENDOR_AMD, L1D_FLUSH, 0, 0, 0, 0, "nothing: the processor offers nothing for it" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		maker = rows[i].vendor;
		seven_edx = rows[i].edx;
		amd_ebx = rows[i].ebx;
		fake_msr(ARCH_CAPABILITIES)->value = rows[i].capabilities;
		init();
		expect_words("flushed between VMs", rows[i].words);
		switch_once();
		assert_int_equal(count_writes(PRED_CMD), rows[i].ibpb);
		assert_int_equal(count_writes(FLUSH_CMD), rows[i].l1d);
	}
}

static void leaves_that_are_not_there_say_nothing(void **state)
{
	seven_edx = ~0u;
	amd_ebx = ~0u;
	max_leaf = 6;
	max_extended_leaf = 0x80000007;
	for (unsigned vendor = CPU_VENDOR_INTEL; vendor <= CPU_VENDOR_AMD; vendor++) {
		maker = vendor;
		init();
		assert_false(cpu_features.spec_ctrl || cpu_features.pred_cmd || cpu_features.flush_cmd ||
			     cpu_features.arch_capabilities);
		expect_words("guests' own means against it", "none: the processor has none");
		switch_once();
		assert_int_equal(fake_cpu_writes(), 0);
	}
}

static void the_user_can_do_without(void **state)
{
	seven_edx = IBPB_AND_IBRS | L1D_FLUSH | MD_CLEAR;
	choose(&option_mitigations, "off");
	init();
	expect_words("flushed between VMs", "nothing (mitigations=off)");
	expect_words("guests' own means against it", "SPEC_CTRL, PRED_CMD, FLUSH_CMD");
	switch_once();
	assert_int_equal(fake_cpu_writes(), 0);

	choose(&option_mitigations, "auto");
	init();
	switch_once();
	assert_int_equal(fake_cpu_writes(), 2);
}

/*
 * The CPU remembers the VM that ran last, by an id that no other VM ever gets: neither a vCPU's address, which is
 * used again, nor "the same vCPU as before" says that nothing else ran in between.
 */
static void a_schedule_takes_as_many_flushes_as_changes_of_the_vm(void **state)
{
	static const struct {
		u8 cpu, vm;
		bool flush;
	} schedule[] = {
		{ 0, 1, true }, { 0, 1, false }, { 0, 1, false },	/* two vCPUs of VM 1 take turns */
		{ 1, 1, true },						/* on another CPU something else may have run */
		{ 0, 2, true }, { 0, 1, true }, { 0, 2, true },
		{ 1, 1, false }, { 1, 3, true }, { 0, 2, false },
	};
	struct percpu cpus[2] = { { 0 } };

	seven_edx = IBPB_AND_IBRS;
	init();
	for (unsigned i = 0; i < ARRAY_SIZE(schedule); i++) {
		fake_cpu.step_count = 0;
		speculation_switch_vm(&cpus[schedule[i].cpu], schedule[i].vm);
		assert_int_equal(count_writes(PRED_CMD), schedule[i].flush);
	}
}

/*
 * Intel, "Affected Processors"; AMD, CPUID 80000008h EBX: what the processor does not deny. RDCL_NO is bit 0 of
 * IA32_ARCH_CAPABILITIES, SSB_NO bit 4, MDS_NO bit 5, TAA_NO bit 8; TAA needs RTM.
 */
static void what_a_processor_may_leak(void **state)
{
	static const struct {
		u8 vendor;
		u32 ebx, amd_ebx;
		u64 no;
		const char *words;
	} rows[] = {
		{ CPU_VENDOR_INTEL, 0, 0, 0, "branch predictions, store bypass, Meltdown, L1 terminal fault, CPU buffers" },
		{ CPU_VENDOR_INTEL, 0, 0, BIT(0), "branch predictions, store bypass, CPU buffers" },
		{ CPU_VENDOR_INTEL, 0, 0, BIT(0) | BIT(5), "branch predictions, store bypass" },
		{ CPU_VENDOR_INTEL, BIT(11), 0, BIT(0) | BIT(5), "branch predictions, store bypass, CPU buffers" },
		{ CPU_VENDOR_INTEL, BIT(11), 0, BIT(0) | BIT(5) | BIT(8), "branch predictions, store bypass" },
		{ CPU_VENDOR_INTEL, 0, BIT(26), BIT(0) | BIT(4) | BIT(5), "branch predictions" },
		{ CPU_VENDOR_INTEL, 0, BIT(26), BIT(0) | BIT(5), "branch predictions, store bypass" },
		{ CPU_VENDOR_AMD, BIT(11), 0, 0, "branch predictions, store bypass" },
		{ CPU_VENDOR_AMD, 0, BIT(26), 0, "branch predictions" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		maker = rows[i].vendor;
		seven_ebx = rows[i].ebx;
		amd_ebx = rows[i].amd_ebx;
		seven_edx = rows[i].vendor == CPU_VENDOR_INTEL ? ARCH : 0;
		fake_msr(ARCH_CAPABILITIES)->value = rows[i].no;
		init();
		expect_words("may leak by speculation", rows[i].words);
	}
}

/*
 * Guests see the bits that describe the processor. 7, 9 to 12, 18, 21 to 23 and 25 announce MSRs that they do not
 * get; the others are not defined. Intel, "CPUID Enumeration and Architectural MSRs".
 */
static void guests_see_what_describes_the_processor(void **state)
{
	static const u8 shown[] = { 0, 1, 2, 3, 4, 5, 6, 8, 13, 14, 15, 17, 19, 20, 24, 26, 27, 28, 62 };
	u64 expected = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(shown); i++)
		expected |= 1ull << shown[i];
	fake_msr(ARCH_CAPABILITIES)->value = ~0ull;
	assert_int_equal(speculation_guest_capabilities(), 0);
	cpu_features.arch_capabilities = true;
	assert_int_equal(speculation_guest_capabilities(), expected);
	fake_msr(ARCH_CAPABILITIES)->value = 0x2b;
	assert_int_equal(speculation_guest_capabilities(), 0x2b);
	fake_cpu_reset();
	assert_int_equal(speculation_guest_capabilities(), 0);
}

/*
 * SDM, "CPUID", leaf 07H EDX: SPEC_CTRL comes with IBRS (26), STIBP (27) or SSBD (31), PRED_CMD with IBRS' bit, FLUSH_CMD
 * with bit 28, ARCH_CAPABILITIES with bit 29. APM vol. 3, leaf 80000008h EBX: IBPB (12); IBRS (14), STIBP (15), SSBD (24).
 */
static void each_register_has_its_bits(void **state)
{
	for (unsigned vendor = CPU_VENDOR_INTEL; vendor <= CPU_VENDOR_AMD; vendor++) {
		for (unsigned bit = 0; bit < 32; bit++) {
			bool amd = vendor == CPU_VENDOR_AMD;

			set_up(NULL);
			maker = vendor;
			seven_edx = BIT(bit);
			init();
			assert_int_equal(cpu_features.spec_ctrl, bit == 26 || bit == 27 || bit == 31);
			assert_int_equal(cpu_features.pred_cmd, bit == 26);
			assert_int_equal(cpu_features.flush_cmd, bit == 28);
			assert_int_equal(cpu_features.arch_capabilities, bit == 29);
			seven_edx = 0;
			amd_ebx = BIT(bit);
			init();
			assert_int_equal(cpu_features.spec_ctrl, amd && (bit == 14 || bit == 15 || bit == 24));
			assert_int_equal(cpu_features.pred_cmd, amd && bit == 12);
			assert_false(cpu_features.flush_cmd || cpu_features.arch_capabilities);
		}
	}
}

/*
 * Where IBPB covers returns, AMD says so: 80000008h EBX[30]. Elsewhere the return stack buffer is filled, and what the
 * stack holds is as before.
 */
static void returns_are_flushed_with_the_branches(void **state)
{
	static const struct { u8 vendor; u32 edx, ebx; bool branches, returns; } rows[] = {
		{ CPU_VENDOR_INTEL, 0, 0, false, false },
		{ CPU_VENDOR_INTEL, IBPB_AND_IBRS, 0, true, true },
		{ CPU_VENDOR_INTEL, IBPB_AND_IBRS, BIT(30), true, true },
		{ CPU_VENDOR_AMD, 0, BIT(12), true, true },
		{ CPU_VENDOR_AMD, 0, BIT(12) | BIT(30), true, false },
		{ CPU_VENDOR_AMD, 0, BIT(30), false, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		set_up(NULL);
		maker = rows[i].vendor;
		seven_edx = rows[i].edx;
		amd_ebx = rows[i].ebx;
		init();
		assert_int_equal(flushes.branches, rows[i].branches);
		assert_int_equal(flushes.returns, rows[i].returns);
		switch_once();
	}
}

/* The guest's SPEC_CTRL is in the processor while its vCPU is loaded, and 0 else. 0 is never written for nothing. */
static void the_guests_spec_ctrl(void **state)
{
	const u32 spec_ctrl = 0x48;

	speculation_load_guest(0);
	assert_int_equal(speculation_save_guest(), 0);
	assert_int_equal(fake_cpu.step_count, 0);	/* no such MSR */
	cpu_features.spec_ctrl = true;
	speculation_load_guest(0);
	assert_int_equal(speculation_save_guest(), 0);
	assert_int_equal(fake_cpu_writes(), 0);
	speculation_load_guest(5);
	assert_int_equal(fake_msr(spec_ctrl)->value, 5);
	fake_msr(spec_ctrl)->value = 4;			/* the guest writes it */
	assert_int_equal(speculation_save_guest(), 4);
	assert_int_equal(fake_msr(spec_ctrl)->value, 0);
	assert_int_equal(fake_cpu_writes(), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(each_processor_gets_what_it_needs, set_up),
		fake_cpu_test_setup(leaves_that_are_not_there_say_nothing, set_up),
		fake_cpu_test_setup(the_user_can_do_without, set_up),
		fake_cpu_test_setup(what_a_processor_may_leak, set_up),
		fake_cpu_test_setup(guests_see_what_describes_the_processor, set_up),
		fake_cpu_test_setup(each_register_has_its_bits, set_up),
		fake_cpu_test_setup(returns_are_flushed_with_the_branches, set_up),
		fake_cpu_test_setup(the_guests_spec_ctrl, set_up),
		fake_cpu_test_setup(a_schedule_takes_as_many_flushes_as_changes_of_the_vm, set_up),
	};

	return cmocka_run_group_tests(tests, set_up_group, NULL);
}
