/* SPDX-License-Identifier: MIT */
/* Errors that raise no exception: see the header. */
#include "arch/fault/machine_check_poll.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/machine_check_banks.h"
#include "arch/mem/memory.h"
#include "lib/printf.h"

#define MAX_LINES 64	/* of corrected errors, on all CPUs: a bad memory module has them for years */
#define MAX_OLD	  4	/* kept of a CPU */

static struct {
	u32 count;	/* all of them */
	struct machine_check_bank bank[MAX_OLD];
} old[MAX_CPUS];

static u32 corrected;	/* atomic */

void machine_check_keep_old(void)
{
	u32 cpu = this_cpu()->index;
	struct machine_check_bank bank;

	for (unsigned i = 0; i < machine_check_bank_count(); i++) {
		for (unsigned deferred = 0; deferred < 2; deferred++) {
			if (!(deferred ? machine_check_bank_read_deferred(i, &bank) : machine_check_bank_read(i, &bank)))
				continue;
			if (old[cpu].count < MAX_OLD)
				old[cpu].bank[old[cpu].count] = bank;
			old[cpu].count++;
			if ((bank.status & MCI_AMD_DEFERRED) && machine_check_scalable())
				break;	/* the other registers have the same error */
		}
	}
}

void machine_check_report_old(u32 cpu)
{
	struct machine_check mc = { .in_guest = false };
	u32 count = old[cpu].count;
	char who[64];
	const char *kind;

	snprintf(who, sizeof(who), "machine check before this boot, CPU %u", cpu);
	machine_check_describe(&mc);
	for (u32 i = 0; i < MIN(count, (u32)MAX_OLD); i++) {
		machine_check_judge_bank(&mc, &old[cpu].bank[i], &kind);
		machine_check_bank_log(LOG_WARN, who, &old[cpu].bank[i], kind);
	}
	if (count > MAX_OLD)
		log_warn("%s: %u more errors", who, count - MAX_OLD);
}

/* What is uncorrected and was signalled is the exception handler's: its exception may be on the way. */
static bool is_polled(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	if (!(bank->status & MCI_UNCORRECTED))
		return true;
	return !mc->amd && mc->recovery && !(bank->status & (MCI_SIGNALED | MCI_CORRUPT));
}

static void report(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	u32 before = __atomic_fetch_add(&corrected, 1, __ATOMIC_RELAXED);
	struct phys_range damage;
	const char *kind;

	machine_check_judge_bank(mc, bank, &kind);
	if (before < MAX_LINES)
		machine_check_bank_log(LOG_WARN, "machine check, found by polling", bank, kind);
	if (before == MAX_LINES - 1)
		log_warn("machine check: more errors that raise no exception are only counted");
	if (machine_check_damage(mc, bank, &damage))
		memory_retire(&damage);
}

void machine_check_poll(void)
{
	struct machine_check mc = { .in_guest = false };
	struct machine_check_bank bank;

	machine_check_describe(&mc);
	for (unsigned i = 0; i < machine_check_bank_count(); i++) {
		if (machine_check_bank_read(i, &bank) && is_polled(&mc, &bank)) {
			machine_check_bank_clear(i);
			if ((bank.status & MCI_AMD_DEFERRED) && machine_check_scalable())	/* the other registers have the same error */
				machine_check_bank_clear_deferred(i);
			report(&mc, &bank);
		}
		if (machine_check_bank_read_deferred(i, &bank)) {
			machine_check_bank_clear_deferred(i);
			report(&mc, &bank);
		}
	}
}

void machine_check_log_count(void)
{
	u32 count = __atomic_load_n(&corrected, __ATOMIC_RELAXED);

	if (count)
		log_warn("machine check: %u errors that raised no exception were found by polling", count);
}
