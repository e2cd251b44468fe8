/* SPDX-License-Identifier: MIT */
/* Machine checks. Intel SDM, "Machine-Check Architecture"; AMD APM vol. 2, the same. */
#include "arch/fault/machine_check.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check_banks.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "lib/log.h"

#define MCG_CAP_CTL	BIT_ULL(8)

static bool recovery, overflow_recovery;

/* AMD APM vol. 3, "CPUID Fn8000_0007_EBX": McaOverflowRecov, SUCCOR. */
static void read_recovery(u64 capabilities)
{
	u32 amd = cpu_features.max_extended_leaf >= 0x80000007 ? cpuid(0x80000007).ebx : 0;
	bool is_amd = cpu_features.vendor == CPU_VENDOR_AMD;

	overflow_recovery = is_amd ? amd & BIT(0) : true;
	recovery = is_amd ? amd & BIT(1) : (capabilities & MCG_CAP_SER_P) != 0;
}

void machine_check_init_cpu(void)
{
	u64 capabilities;

	if (!cpu_features.mce || rdmsr_safe(MSR_MCG_CAP, &capabilities))
		return;
	if (capabilities & MCG_CAP_CTL)
		wrmsr_safe(MSR_MCG_CTL, ~0ull);
	machine_check_keep_old();
	for (unsigned bank = 0; bank < machine_check_bank_count(); bank++) {
		machine_check_bank_enable(bank);
		machine_check_bank_clear(bank);
		machine_check_bank_clear_deferred(bank);
	}
}

void machine_check_init(void)
{
	u64 capabilities;

	if (cpu_features.mce && !rdmsr_safe(MSR_MCG_CAP, &capabilities))
		read_recovery(capabilities);
	machine_check_init_cpu();
	machine_check_report_old(0);
}

bool machine_check_is_local(void)
{
	u64 capabilities;

	return cpu_features.mce && cpu_features.vendor == CPU_VENDOR_INTEL &&
	       !rdmsr_safe(MSR_MCG_CAP, &capabilities) && (capabilities & MCG_CAP_LMCE_P);
}

void machine_check_enable_local(void)
{
	const u64 wanted = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_LMCE;

	if (machine_check_is_local() && (rdmsr(MSR_FEATURE_CONTROL) & wanted) == wanted)
		wrmsr_safe(MSR_MCG_EXT_CTL, MCG_EXT_CTL_LMCE);
}

void machine_check_describe(struct machine_check *mc)
{
	mc->amd = cpu_features.vendor == CPU_VENDOR_AMD;
	mc->scalable = machine_check_scalable();
	mc->recovery = recovery;
	mc->overflow_recovery = overflow_recovery;
}

/*
 * Intel's processors send an error to all threads, and the threads of a core share banks. The one whose access
 * it was has EIPV set, or RIPV clear: the others leave the bank to it. SDM, "Uncorrected Recoverable (UCR) Errors".
 */
static bool is_another_threads(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	const u64 action_required = MCI_UNCORRECTED | MCI_ENABLED | MCI_SIGNALED | MCI_ACTION_REQUIRED;

	return !mc->amd && mc->recovery && (bank->status & (action_required | MCI_CORRUPT)) == action_required &&
	       (mc->mcg_status & (MCG_STATUS_RIPV | MCG_STATUS_EIPV)) == MCG_STATUS_RIPV;
}

/*
 * Log every bank that holds an error, clear it, retire the damaged memory, and return the worst verdict.
 * A guest can be informed of one loss only: with more, it is stopped.
 */
static enum machine_check_verdict report_banks(const struct machine_check *mc,
					       struct machine_check_bank *lost)
{
	enum machine_check_verdict worst = MACHINE_CHECK_GO_ON, verdict;
	struct machine_check_bank bank;
	struct phys_range damage;
	bool explained = false;
	const char *kind;

	for (unsigned i = 0; i < machine_check_bank_count(); i++) {
		if (!machine_check_bank_read(i, &bank) || is_another_threads(mc, &bank))
			continue;
		verdict = machine_check_judge_bank(mc, &bank, &kind);
		machine_check_bank_log(LOG_ERROR, "machine check", &bank, kind);
		machine_check_bank_clear(i);
		if (machine_check_damage(mc, &bank, &damage))
			memory_retire(&damage);
		if (verdict == MACHINE_CHECK_TELL_VM && worst == MACHINE_CHECK_TELL_VM)
			verdict = MACHINE_CHECK_STOP_VM;
		if (verdict == MACHINE_CHECK_TELL_VM)
			*lost = bank;
		worst = MAX(worst, verdict);
		explained = true;
	}
	return machine_check_judge(mc, worst, explained);
}

/* Panics if the machine cannot continue; otherwise clears MCIP, so that the next machine check can be delivered. */
static enum machine_check_verdict handle(struct machine_check *mc, struct machine_check_bank *lost)
{
	enum machine_check_verdict verdict;

	if (rdmsr_safe(MSR_MCG_STATUS, &mc->mcg_status))
		panic("machine check on a processor without registers that describe it");
	machine_check_describe(mc);
	log_error("machine check: MCG_STATUS 0x%llx, %s", (ull)mc->mcg_status,
		  mc->in_guest ? "while a guest ran" : "in Lamina");
	verdict = report_banks(mc, lost);
	if (verdict == MACHINE_CHECK_STOP_MACHINE)
		panic("machine check that the processor cannot recover from");
	wrmsr(MSR_MCG_STATUS, 0);	/* MCIP: with it set, the next one shuts the CPU down */
	log_error("machine check: %s",
		  verdict == MACHINE_CHECK_GO_ON ? "nothing is lost, going on" : "what is lost was the guest's");
	return verdict;
}

static bool context_is_corrupt(void)
{
	struct machine_check_bank bank;

	for (unsigned i = 0; i < machine_check_bank_count(); i++) {
		if (machine_check_bank_read(i, &bank) && (bank.status & MCI_CORRUPT))
			return true;
	}
	return false;
}

/* Claim the report first: another CPU may be about to stop this one. */
static void __noreturn panic_parked(struct machine_check *mc)
{
	struct machine_check_bank bank;
	const char *kind;

	panic_begin();
	log_error("machine check: MCG_STATUS 0x%llx, on a parked CPU", (ull)mc->mcg_status);
	machine_check_describe(mc);
	for (unsigned i = 0; i < machine_check_bank_count(); i++) {
		if (!machine_check_bank_read(i, &bank))
			continue;
		machine_check_judge_bank(mc, &bank, &kind);
		machine_check_bank_log(LOG_ERROR, "machine check", &bank, kind);
	}
	panic_end("machine check on a parked CPU, which it cannot recover from");
}

/*
 * A CPU that only halts, or is being started. Intel's processors send an error to all CPUs, and siblings
 * share banks: what is in these is for the CPU that the error is about, which must find it.
 */
static void handle_parked(void)
{
	struct machine_check mc = { .in_guest = false };

	if (rdmsr_safe(MSR_MCG_STATUS, &mc.mcg_status) || !(mc.mcg_status & MCG_STATUS_RIPV) || context_is_corrupt())
		panic_parked(&mc);
	if (this_cpu()->state >= CPU_PARKED)	/* before, it may take no lock: see boot/cpus.c */
		log_error("machine check on a parked CPU: it goes on halting");
	wrmsr(MSR_MCG_STATUS, 0);
}

void machine_check_handler(void)
{
	struct machine_check mc = { .in_guest = false };
	struct machine_check_bank lost;

	u32 state = __atomic_load_n(&this_cpu()->state, __ATOMIC_ACQUIRE);

	if (state == CPU_CREATED || state == CPU_ONLINE)	/* the boot CPU, or one that runs guests: see boot/cpus.c */
		handle(&mc, &lost);
	else
		handle_parked();
}

enum machine_check_verdict machine_check_in_guest(struct machine_check *mc,
						  struct machine_check_bank *lost)
{
	mc->in_guest = true;
	return handle(mc, lost);
}

bool machine_check_recovery(void)
{
	return recovery;
}
