/* SPDX-License-Identifier: MIT */
/*
 * What machine checks mean, by the manuals' tables. Intel SDM, "Uncorrected Recoverable (UCR)
 * Errors" and the table of MC error classifications; AMD APM vol. 2, "Machine Check Errors".
 */
/* link: arch/fault/machine_check_judge.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/fault/machine_check.h"

enum { GO_ON = MACHINE_CHECK_GO_ON, TELL = MACHINE_CHECK_TELL_VM, VM = MACHINE_CHECK_STOP_VM,
        MACHINE = MACHINE_CHECK_STOP_MACHINE };

/* Bits of a bank's status, as the manuals number them. */
#define VAL   (1ull << 63)
#define OVER  (1ull << 62)
#define UC    (1ull << 61)
#define EN    (1ull << 60)
#define MISCV (1ull << 59)
#define ADDRV (1ull << 58)
#define PCC   (1ull << 57)
#define S     (1ull << 56)
#define AR    (1ull << 55)
#define DEFERRED (1ull << 44)
#define POISON	 (1ull << 43)

#define RIPV 1ull
#define EIPV 2ull
#define MCIP 4ull

#define PHYSICAL (2ull << 6 | 6)	/* MCi_MISC: a physical address, 64 bytes */

static const struct phys_range guest[] = { { 0x40000000, 0x200000 }, { 0x80000000, 0x400000 } };

static struct machine_check intel(bool in_guest)
{
	return (struct machine_check){
		.mcg_status = MCIP | RIPV, .recovery = true, .overflow_recovery = true,
		.in_guest = in_guest, .guest = guest, .guest_pieces = 2,
	};
}

static struct machine_check amd(bool in_guest)
{
	struct machine_check mc = intel(in_guest);

	mc.amd = true;
	return mc;
}

static int judge(struct machine_check mc, u64 status, u64 address, u64 misc, const char *expected_kind)
{
	const struct machine_check_bank bank = { status, address, misc };
	const char *kind = NULL;
	int verdict = machine_check_judge_bank(&mc, &bank, &kind);

	assert_string_equal(kind, expected_kind);
	return verdict;
}

/* For both vendors, in a guest and in Lamina. */
static void corrected_errors_stop_nothing(void **state)
{
	for (int in_guest = 0; in_guest < 2; in_guest++) {
		assert_int_equal(judge(intel(in_guest), VAL | EN, 0, 0, "corrected"), GO_ON);
		assert_int_equal(judge(intel(in_guest), VAL | EN | OVER | ADDRV, 0, 0, "corrected"), GO_ON);
		assert_int_equal(judge(amd(in_guest), VAL | EN, 0, 0, "corrected"), GO_ON);
		assert_int_equal(judge(amd(in_guest), VAL | EN | DEFERRED | ADDRV, 0x1000, 0, "deferred"), GO_ON);
		assert_int_equal(judge(amd(in_guest), VAL | EN | DEFERRED | POISON, 0, 0, "deferred"), GO_ON);
	}
	/* Bit 44 means something else in Intel's banks. */
	assert_int_equal(judge(intel(true), VAL | EN | DEFERRED, 0, 0, "corrected"), GO_ON);
}

static void corrupt_context_stops_the_machine(void **state)
{
	const u64 status = VAL | UC | EN | PCC | S | AR | ADDRV | MISCV;

	assert_int_equal(judge(intel(true), status, 0x40000000, PHYSICAL, "uncorrected"), MACHINE);
	assert_int_equal(judge(intel(false), status, 0x40000000, PHYSICAL, "uncorrected"), MACHINE);
	assert_int_equal(judge(amd(true), status, 0x40000000, 0, "uncorrected"), MACHINE);
}

/* An error that is not enabled has not raised the exception. */
static void errors_not_enabled_are_not_the_cause(void **state)
{
	assert_int_equal(judge(intel(false), VAL | UC, 0, 0, "uncorrected, not enabled"), GO_ON);
	assert_int_equal(judge(amd(true), VAL | UC | POISON, 0, 0, "uncorrected, not enabled"), GO_ON);
}

/* SDM: UCNA has S = AR = 0, SRAO S = 1 and AR = 0; neither concerns data that the program needs now. */
static void unused_data_stops_nothing(void **state)
{
	const u64 status = VAL | UC | EN | ADDRV | MISCV;

	for (int in_guest = 0; in_guest < 2; in_guest++) {
		assert_int_equal(judge(intel(in_guest), status, 0x1000, PHYSICAL, "uncorrected, not used yet"),
				 GO_ON);
		assert_int_equal(judge(intel(in_guest), status | S, 0x1000, PHYSICAL,
				       "uncorrected, action optional"), GO_ON);
		assert_int_equal(judge(intel(in_guest), status | S | OVER, 0x1000, PHYSICAL,
				       "uncorrected, action optional"), GO_ON);
	}
}

/* SRAR: S = AR = 1. The data that was about to be used is lost. */
static void lost_data_stops_its_owner(void **state)
{
	static const char kind[] = "uncorrected, action required";
	const u64 status = VAL | UC | EN | S | AR | ADDRV | MISCV;

	assert_int_equal(judge(intel(true), status, 0x40000000, PHYSICAL, kind), TELL);
	assert_int_equal(judge(intel(true), status, 0x401fffff, PHYSICAL, kind), TELL);
	assert_int_equal(judge(intel(true), status, 0x803fffc0, PHYSICAL, kind), TELL);
	/* Outside the guest's memory: Lamina's own. */
	assert_int_equal(judge(intel(true), status, 0x40200000, PHYSICAL, kind), MACHINE);
	assert_int_equal(judge(intel(true), status, 0x3fffffff, PHYSICAL, kind), MACHINE);
	/* 4 MiB are lost, and the guest has only half of them. */
	assert_int_equal(judge(intel(true), status, 0x40000000, 2 << 6 | 22, kind), MACHINE);
	assert_int_equal(judge(intel(true), status, 0x80000000, 2 << 6 | 22, kind), TELL);
	/* No address, a linear one, one that may be any, or another error's. */
	assert_int_equal(judge(intel(true), status & ~ADDRV, 0, 0, kind), MACHINE);
	assert_int_equal(judge(intel(true), status & ~MISCV, 0x40000000, 0, kind), MACHINE);
	assert_int_equal(judge(intel(true), status, 0x40000000, 1 << 6 | 6, kind), MACHINE);
	assert_int_equal(judge(intel(true), status | OVER, 0x40000000, PHYSICAL, kind), MACHINE);
	/* Lamina itself read the data and cannot continue. */
	assert_int_equal(judge(intel(false), status, 0x40000000, PHYSICAL, kind), MACHINE);
}

static void without_recovery_uncorrected_errors_stop_the_machine(void **state)
{
	struct machine_check mc = intel(true);

	mc.recovery = false;
	assert_int_equal(judge(mc, VAL | UC | EN, 0, 0, "uncorrected"), MACHINE);
	assert_int_equal(judge(mc, VAL | UC | EN | S | AR | ADDRV | MISCV, 0x40000000, PHYSICAL, "uncorrected"),
			 MACHINE);
	mc = amd(true);
	mc.recovery = false;
	assert_int_equal(judge(mc, VAL | UC | EN | ADDRV, 0x40000000, 0, "uncorrected"), MACHINE);
}

static void poisoned_data_stops_its_owner(void **state)
{
	const u64 status = VAL | UC | EN | ADDRV | POISON;
	struct machine_check mc = amd(true);

	assert_int_equal(judge(mc, status, 0x40000040, 0, "uncorrected, poisoned data used"), TELL);
	/* The address may be a cache's index and way: nobody knows whose data it was. */
	assert_int_equal(judge(mc, status & ~POISON, 0x40000040, 0, "uncorrected"), MACHINE);
	assert_int_equal(judge(mc, status, 0x1000, 0, "uncorrected, poisoned data used"), MACHINE);
	assert_int_equal(judge(mc, status | OVER, 0x40000040, 0, "uncorrected, poisoned data used"), TELL);
	mc.overflow_recovery = false;
	assert_int_equal(judge(mc, status | OVER, 0x40000040, 0, "uncorrected"), MACHINE);
	assert_int_equal(judge(amd(false), status, 0x40000040, 0, "uncorrected, poisoned data used"), MACHINE);
}

static bool damage(struct machine_check mc, u64 status, u64 address, u64 misc, struct phys_range *range)
{
	const struct machine_check_bank bank = { status, address, misc };

	return machine_check_damage(&mc, &bank, range);
}

/* Whole pages, and only where the bank says which. */
static void damaged_memory(void **state)
{
	const u64 status = VAL | UC | EN | ADDRV | MISCV;
	struct phys_range range;

	assert_true(damage(intel(true), status, 0x40000fc0, PHYSICAL, &range));
	assert_int_equal(range.start, 0x40000000);
	assert_int_equal(range.size, 0x1000);
	assert_true(damage(intel(false), status | S | AR, 0x12345678, 2 << 6 | 13, &range));
	assert_int_equal(range.start, 0x12344000);
	assert_int_equal(range.size, 0x2000);
	assert_true(damage(amd(true), VAL | UC | EN | POISON | ADDRV, 0x5040, 0, &range));
	assert_int_equal(range.start, 0x5000);
	assert_int_equal(range.size, 0x1000);
	/* A deferred error's address is that of a DRAM channel, or none of memory at all. */
	assert_false(damage(amd(true), VAL | EN | DEFERRED | ADDRV, 0x5040, 0, &range));
	/* Corrected; without an address; with one that is not physical. */
	assert_false(damage(intel(true), status & ~UC, 0x40000000, PHYSICAL, &range));
	assert_false(damage(intel(true), VAL | EN | DEFERRED | ADDRV | MISCV, 0x5040, PHYSICAL, &range));
	assert_false(damage(intel(true), status & ~ADDRV, 0x40000000, PHYSICAL, &range));
	assert_false(damage(intel(true), status, 0x40000000, 1 << 6 | 6, &range));
}

static struct machine_check_bank amd_bank(unsigned number, u64 status)
{
	return (struct machine_check_bank){ .status = VAL | UC | EN | ADDRV | status, .address = 0x40000040,
					    .number = (u8)number };
}

static bool is_physical_address(bool scalable, unsigned number, u64 status)
{
	struct machine_check mc = amd(true);
	struct machine_check_bank bank = amd_bank(number, status);
	struct phys_range range;

	mc.scalable = scalable;
	return machine_check_damage(&mc, &bank, &range);
}

/* Before scalable MCA bank 4 is the north bridge's: extended code 8 (bits 20:16) is a DRAM ECC error; bit 43 is no POISON. */
static void which_of_amds_addresses_are_physical(void **state)
{
	for (unsigned number = 0; number < 8; number++) {
		for (unsigned code = 0; code < 32; code++) {
			assert_int_equal(is_physical_address(false, number, (u64)code << 16), number == 4 && code == 8);
			assert_int_equal(is_physical_address(false, number, (u64)code << 16 | POISON),
					 number != 4 || code == 8);
			assert_false(is_physical_address(true, number, (u64)code << 16));
			assert_true(is_physical_address(true, number, (u64)code << 16 | POISON));
		}
	}
}

/* Bits below the LSB say nothing: that much may be lost. A cache line is the least, a page what can be left out. */
static void an_address_says_how_exact_it_is(void **state)
{
	struct machine_check mc = amd(true);
	struct machine_check_bank bank = amd_bank(0, POISON);
	struct phys_range range;
	const char *kind;

	mc.scalable = true;
	bank.address = 0x40003fff;
	bank.lsb = 13;
	assert_true(machine_check_damage(&mc, &bank, &range));
	assert_int_equal(range.start, 0x40002000);
	assert_int_equal(range.size, 0x2000);
	bank.lsb = 0;
	assert_true(machine_check_damage(&mc, &bank, &range));
	assert_int_equal(range.start, 0x40003000);
	assert_int_equal(range.size, 0x1000);
	/* The guest has 2 MiB of the 4 MiB that may be lost. */
	bank.lsb = 22;
	assert_int_equal(machine_check_judge_bank(&mc, &bank, &kind), MACHINE);
	bank.lsb = 21;
	assert_int_equal(machine_check_judge_bank(&mc, &bank, &kind), TELL);
}

/* TCC, bit 55 with scalable MCA: the interrupted program cannot be resumed, so nothing can be reported to it. */
static void a_corrupt_task_is_stopped(void **state)
{
	struct machine_check mc = amd(true);
	struct machine_check_bank bank = amd_bank(0, POISON | 1ull << 55);
	const char *kind;

	assert_int_equal(machine_check_judge_bank(&mc, &bank, &kind), TELL);
	mc.scalable = true;
	assert_int_equal(machine_check_judge_bank(&mc, &bank, &kind), VM);
	bank.address = 0x1000;
	assert_int_equal(machine_check_judge_bank(&mc, &bank, &kind), MACHINE);
}

static int whole(bool in_guest, u64 mcg_status, int worst, bool explained)
{
	struct machine_check mc = intel(in_guest);

	mc.mcg_status = MCIP | mcg_status;
	return machine_check_judge(&mc, worst, explained);
}

/* RIPV = 0: the interrupted program cannot be resumed, whatever the banks say. */
static void what_cannot_be_resumed_is_stopped(void **state)
{
	assert_int_equal(whole(false, RIPV | EIPV, GO_ON, true), GO_ON);
	assert_int_equal(whole(false, RIPV, GO_ON, false), GO_ON);
	assert_int_equal(whole(false, EIPV, GO_ON, true), MACHINE);
	assert_int_equal(whole(false, 0, GO_ON, false), MACHINE);
	assert_int_equal(whole(true, RIPV, GO_ON, true), GO_ON);
	assert_int_equal(whole(true, EIPV, GO_ON, true), VM);
	/* No bank describes an error: anything may have happened. */
	assert_int_equal(whole(true, 0, GO_ON, false), MACHINE);
}

static void the_worst_error_decides(void **state)
{
	assert_int_equal(whole(true, RIPV, VM, true), VM);
	assert_int_equal(whole(true, 0, VM, true), VM);
	assert_int_equal(whole(true, RIPV, MACHINE, true), MACHINE);
	/* The guest is informed, unless it could not continue. */
	assert_int_equal(whole(true, RIPV, TELL, true), TELL);
	assert_int_equal(whole(true, EIPV, TELL, true), VM);
	assert_int_equal(whole(false, RIPV, MACHINE, true), MACHINE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(corrected_errors_stop_nothing),
		cmocka_unit_test(corrupt_context_stops_the_machine),
		cmocka_unit_test(errors_not_enabled_are_not_the_cause),
		cmocka_unit_test(unused_data_stops_nothing),
		cmocka_unit_test(lost_data_stops_its_owner),
		cmocka_unit_test(without_recovery_uncorrected_errors_stop_the_machine),
		cmocka_unit_test(poisoned_data_stops_its_owner),
		cmocka_unit_test(damaged_memory),
		cmocka_unit_test(which_of_amds_addresses_are_physical),
		cmocka_unit_test(an_address_says_how_exact_it_is),
		cmocka_unit_test(a_corrupt_task_is_stopped),
		cmocka_unit_test(what_cannot_be_resumed_is_stopped),
		cmocka_unit_test(the_worst_error_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
