/* SPDX-License-Identifier: MIT */
/*
 * Errors that raise no exception: from before the boot, and corrected ones. Intel SDM, "Machine-Check Error Handling by
 * Polling"; AMD APM vol. 2, "Machine Check Registers": scalable MCA has sixteen registers a bank from C000_2000 on.
 */
/* link: arch/fault/machine_check.c arch/fault/machine_check_banks.c arch/fault/machine_check_judge.c arch/fault/machine_check_poll.c lib/printf.c lib/string.c tests/unit/fake_cpu.c */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/apart.h"
#include "tests/unit/fake_cpu.h"
#include "tests/unit/home_cpu.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/printf.h"

#define CAP	  0x179
#define CTL(n)	  (0x400u + 4 * (n))
#define STATUS(n) (0x401u + 4 * (n))
#define ADDR(n)	  (0x402u + 4 * (n))
#define MISC(n)	  (0x403u + 4 * (n))
#define SMCA(n, r) (0xc0002000u + 16 * (n) + (r))

#define VAL	(1ull << 63)
#define OVER	(1ull << 62)
#define UC	(1ull << 61)
#define EN	(1ull << 60)
#define MISCV	(1ull << 59)
#define ADDRV	(1ull << 58)
#define PCC	(1ull << 57)
#define S	(1ull << 56)

struct cpu_features cpu_features;
static bool smca;
static char said[32768];
static unsigned lines, retired;

struct percpu *this_cpu(void) { return &home; }
void memory_retire(const struct phys_range *range) { retired++; }
void panic(const char *format, ...) { abort(); }
void panic_begin(void) { abort(); }
void panic_end(const char *why) { abort(); }

/* McaOverflowRecov and SUCCOR, and bit 3: scalable MCA. */
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf)
{
	return (struct cpuid_regs){ .ebx = leaf == 0x80000007 ? 3 | (smca ? 8 : 0) : 0 };
}

static struct fake_msr *known(u32 number)
{
	for (unsigned i = 0; i < fake_cpu.msr_count; i++)
		if (fake_cpu.msrs[i].number == number)
			return &fake_cpu.msrs[i];
	return NULL;
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t length = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + length, sizeof(said) - length - 1, format, args);
	va_end(args);
	strcat(said, "\n");
	lines++;
}

static void machine(enum cpu_vendor vendor, u64 capabilities)
{
	home_reset();
	said[0] = 0;
	lines = retired = 0;
	cpu_features = (struct cpu_features){ .vendor = vendor, .mce = true, .max_extended_leaf = 0x80000008 };
	fake_msr(CAP)->value = capabilities;
	for (unsigned i = 0; i < (capabilities & 0xff); i++) {
		if (smca) {
			for (unsigned r = 0; r < 10; r++)
				fake_msr(SMCA(i, r));
		} else {
			for (unsigned r = 0; r < 4; r++)
				fake_msr(CTL(i) + r);
		}
	}
}

static void expect(const char *words)
{
	if (!strstr(said, words))
		fail_msg("expected \"%s\" in:\n%s", words, said);
}

static void errors_from_before_the_boot_are_told(void **state)
{
	machine(CPU_VENDOR_INTEL, 1 << 24 | 3);
	fake_msr(STATUS(1))->value = VAL | UC | EN | PCC | ADDRV | MISCV | 0x134;
	fake_msr(ADDR(1))->value = 0x12345678;
	fake_msr(MISC(1))->value = 0x86;
	machine_check_init();
	expect("machine check before this boot, CPU 0: bank 1: status 0xbe00000000000134 address 0x12345678 misc 0x86: "
	       "uncorrected, processor context corrupt\n");
	assert_int_equal(lines, 1);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(known(CTL(i))->value == ~0ull);
		assert_true(known(STATUS(i))->value == 0);
	}
	/* Of the run before: its memory may be good. */
	assert_int_equal(retired, 0);
}

/* It takes no lock, so it logs nothing; the boot CPU does, later. */
static void those_of_another_cpu_are_told_by_the_boot_cpu(void **state)
{
	machine(CPU_VENDOR_INTEL, 6);
	home.index = 7;
	for (unsigned i = 0; i < 6; i++)
		fake_msr(STATUS(i))->value = VAL | EN | i;
	machine_check_init_cpu();
	assert_int_equal(lines, 0);
	home.index = 0;
	machine_check_report_old(6);
	assert_int_equal(lines, 0);
	machine_check_report_old(7);
	expect("before this boot, CPU 7: bank 0: status 0x9000000000000000 address 0x0 misc 0x0: corrected\n");
	expect("before this boot, CPU 7: bank 3: ");
	expect("before this boot, CPU 7: 2 more errors\n");
	assert_int_equal(lines, 5);
}

static void corrected_errors_are_found(void **state)
{
	machine(CPU_VENDOR_INTEL, 1 << 24 | 4);
	machine_check_init();
	fake_msr(STATUS(2))->value = VAL | EN | OVER | 0x9f;
	machine_check_poll();
	expect("machine check, found by polling: bank 2: status 0xd00000000000009f address 0x0 misc 0x0: corrected, "
	       "earlier errors lost\n");
	assert_int_equal(lines, 1);
	assert_true(known(STATUS(2))->value == 0);
	machine_check_poll();
	assert_int_equal(lines, 1);
	machine_check_log_count();
	expect("1 errors that raised no exception were found by polling");
}

/* UCNA (UC without S) raises none; with S, or without recovery, the exception is on its way and needs the bank. */
static void what_raises_an_exception_is_left_to_it(void **state)
{
	static const u64 left[] = { VAL | UC | EN | S, VAL | UC | EN | PCC, VAL | UC | EN | PCC | S };

	for (unsigned i = 0; i < ARRAY_SIZE(left); i++) {
		fake_cpu_reset();
		machine(CPU_VENDOR_INTEL, 1 << 24 | 1);
		machine_check_init();
		fake_msr(STATUS(0))->value = left[i];
		machine_check_poll();
		assert_int_equal(lines, 0);
		assert_true(known(STATUS(0))->value == left[i]);
	}
	fake_msr(STATUS(0))->value = VAL | UC | EN | ADDRV | MISCV;
	fake_msr(ADDR(0))->value = 0x5000;
	fake_msr(MISC(0))->value = 0x86;
	machine_check_poll();
	expect("uncorrected, not used yet");
	assert_int_equal(retired, 1);
	fake_cpu_reset();
	machine(CPU_VENDOR_INTEL, 1);	/* no recovery */
	machine_check_init();
	fake_msr(STATUS(0))->value = VAL | UC | EN;
	machine_check_poll();
	assert_int_equal(lines, 0);
}

static void the_log_is_bounded(void **state)
{
	machine(CPU_VENDOR_INTEL, 1);
	machine_check_init();
	for (unsigned i = 0; i < 1000; i++) {
		fake_msr(STATUS(0))->value = VAL | EN;
		machine_check_poll();
	}
	expect("more errors that raise no exception are only counted");
	assert_in_range(lines, 65, 100);
	machine_check_log_count();
	expect("1000 errors that raised no exception");
}

static void a_processor_without_machine_checks_is_left_alone(void **state)
{
	machine(CPU_VENDOR_AMD, 0);
	cpu_features.mce = false;
	fake_cpu_reset();
	machine_check_init();
	machine_check_poll();
	machine_check_log_count();
	assert_int_equal(lines, 0);
	assert_int_equal(fake_cpu.step_count, 0);
}

/* MCA_CONFIG bit 32 says that software knows of the registers; MCA_IPID: 63:48 type, 43:32 hardware id, 31:0 instance. */
static void scalable_banks(void **state)
{
	smca = true;
	machine(CPU_VENDOR_AMD, 5);
	fake_msr(SMCA(4, 4))->value = 0x25;
	machine_check_init();
	assert_int_equal(lines, 0);
	assert_true(known(SMCA(4, 4))->value == ((1ull << 32) | 0x25));
	assert_true(known(SMCA(4, 0))->value == ~0ull);
	assert_null(known(STATUS(0)));

	fake_msr(SMCA(4, 1))->value = VAL | EN | MISCV | ADDRV | 1ull << 53;
	fake_msr(SMCA(4, 2))->value = 12ull << 56 | 0x12345678;
	fake_msr(SMCA(4, 3))->value = 0xd00;
	fake_msr(SMCA(4, 5))->value = 0x0001009600250300;
	fake_msr(SMCA(4, 6))->value = 0x5d000000001;
	machine_check_poll();
	expect("bank 4: status 0x9c20000000000000 address 0x12345678 misc 0xd00: corrected\n");
	expect("bank 4: hardware 0x96 type 0x1 instance 0x250300, syndrome 0x5d000000001\n");
	assert_true(known(SMCA(4, 1))->value == 0);
}

/* MCA_CONFIG bit 8: the position of the lowest valid bit is in bits 29:24 of MCA_STATUS, not in 61:56 of MCA_ADDR. */
static void where_the_lowest_valid_bit_is(void **state)
{
	struct machine_check mc = { .in_guest = true };
	struct machine_check_bank lost;

	smca = true;
	machine(CPU_VENDOR_AMD, 1);
	machine_check_init();
	fake_msr(0x17a)->value = 5;	/* MCG_STATUS: MCIP, RIPV */
	fake_msr(SMCA(0, 1))->value = VAL | UC | EN | ADDRV | 1ull << 43;
	fake_msr(SMCA(0, 2))->value = 6ull << 56 | 0x40000040;
	mc.guest = &(struct phys_range){ 0x40000000, 0x200000 };
	mc.guest_pieces = 1;
	assert_int_equal(machine_check_in_guest(&mc, &lost), MACHINE_CHECK_TELL_VM);
	assert_int_equal(lost.lsb, 6);
	assert_int_equal(lost.address, 0x40000040);
	assert_int_equal(retired, 1);
	fake_msr(0x17a)->value = 5;
	fake_msr(SMCA(0, 4))->value = 1 << 8;
	fake_msr(SMCA(0, 1))->value = VAL | UC | EN | ADDRV | 1ull << 43 | 12 << 24;
	assert_int_equal(machine_check_in_guest(&mc, &lost), MACHINE_CHECK_TELL_VM);
	assert_int_equal(lost.lsb, 12);
}

/* MCA_DESTAT keeps a deferred error that MCA_STATUS has no room for. */
static void deferred_errors_have_registers_of_their_own(void **state)
{
	smca = true;
	machine(CPU_VENDOR_AMD, 2);
	fake_msr(SMCA(1, 8))->value = VAL | EN | ADDRV | 1ull << 44;
	fake_msr(SMCA(1, 9))->value = 0x7000;
	machine_check_init();
	expect("before this boot, CPU 0: bank 1: status 0x9400100000000000 address 0x7000 misc 0x0: deferred\n");
	assert_true(known(SMCA(1, 8))->value == 0);
	fake_msr(SMCA(0, 8))->value = VAL | EN | 1ull << 44;
	machine_check_poll();
	expect("found by polling: bank 0: status 0x9000100000000000 address 0x0 misc 0x0: deferred\n");
	assert_true(known(SMCA(0, 8))->value == 0);
	assert_int_equal(retired, 0);
}

/* SDM, "Local Machine Check": MCG_CAP[27]; IA32_MCG_EXT_CTL is 4D0h, and raises #GP unless 3Ah has bits 0 and 20. */
static void local_machine_checks(void **state)
{
	static const struct {
		u64 capabilities, control;
		bool enabled;
	} cases[] = {
		{ 1 << 27 | 1 << 24, 1 << 20 | 5, true }, { 1 << 24, 1 << 20 | 5, false },
		{ 1 << 27 | 1 << 24, 5, false }, { 1 << 27 | 1 << 24, 1 << 20 | 4, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_cpu_reset();
		machine(CPU_VENDOR_INTEL, cases[i].capabilities);
		fake_msr(0x3a)->value = cases[i].control;
		fake_msr(0x4d0)->value = 0;
		assert_int_equal(machine_check_is_local(), cases[i].capabilities >> 27 & 1);
		machine_check_enable_local();
		assert_int_equal(known(0x4d0)->value, cases[i].enabled);
	}
	machine(CPU_VENDOR_AMD, 1 << 27);
	assert_false(machine_check_is_local());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(errors_from_before_the_boot_are_told, NULL),
		fake_cpu_test_setup(those_of_another_cpu_are_told_by_the_boot_cpu, NULL),
		fake_cpu_test_setup(corrected_errors_are_found, NULL),
		fake_cpu_test_setup(what_raises_an_exception_is_left_to_it, NULL),
		fake_cpu_test_setup(the_log_is_bounded, NULL),
		fake_cpu_test_setup(a_processor_without_machine_checks_is_left_alone, NULL),
		fake_cpu_test_setup(scalable_banks, NULL),
		fake_cpu_test_setup(where_the_lowest_valid_bit_is, NULL),
		fake_cpu_test_setup(deferred_errors_have_registers_of_their_own, NULL),
		fake_cpu_test_setup(local_machine_checks, NULL),
	};

	return run_apart("test_machine_check_poll", tests, ARRAY_SIZE(tests));
}
