/* SPDX-License-Identifier: MIT */
/* Machine checks. Intel SDM, "Machine-Check Architecture"; AMD APM vol. 2, the same. */
#include "arch/fault/machine_check.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "lib/log.h"

#define MCG_CAP_COUNT	0xff
#define MCG_CAP_CTL	BIT_ULL(8)
#define MAX_BANKS	64

static bool recovery, overflow_recovery;

/* AMD APM vol. 3, "CPUID Fn8000_0007_EBX": McaOverflowRecov, SUCCOR. */
static void read_recovery(u64 capabilities)
{
	u32 amd = cpu_features.max_extended_leaf >= 0x80000007 ? cpuid(0x80000007).ebx : 0;
	bool is_amd = cpu_features.vendor == CPU_VENDOR_AMD;

	overflow_recovery = is_amd ? amd & BIT(0) : true;
	recovery = is_amd ? amd & BIT(1) : (capabilities & MCG_CAP_SER_P) != 0;
}

/* Of the running CPU: a machine can have CPUs with different numbers of banks. */
static unsigned bank_count(u64 capabilities)
{
	return (unsigned)MIN(capabilities & MCG_CAP_COUNT, (u64)MAX_BANKS);
}

/*
 * Every access may fault: an emulator or an outer hypervisor may announce machine checks in CPUID, but
 * have no such registers, or fewer than the count says.
 */
void machine_check_init_cpu(void)
{
	u64 capabilities;

	if (!cpu_features.mce || rdmsr_safe(MSR_MCG_CAP, &capabilities))
		return;
	if (capabilities & MCG_CAP_CTL)
		wrmsr_safe(MSR_MCG_CTL, ~0ull);
	for (unsigned bank = 0; bank < bank_count(capabilities); bank++) {
		wrmsr_safe(MSR_MC_CTL(bank), ~0ull);
		wrmsr_safe(MSR_MC_STATUS(bank), 0);
	}
}

void machine_check_init(void)
{
	u64 capabilities;

	if (cpu_features.mce && !rdmsr_safe(MSR_MCG_CAP, &capabilities))
		read_recovery(capabilities);
	machine_check_init_cpu();
}

/* false: the bank holds no error. */
static bool read_bank(unsigned number, struct machine_check_bank *bank)
{
	*bank = (struct machine_check_bank){ 0 };
	if (rdmsr_safe(MSR_MC_STATUS(number), &bank->status) || !(bank->status & MCI_VALID))
		return false;
	if (bank->status & MCI_ADDR_VALID)
		rdmsr_safe(MSR_MC_ADDR(number), &bank->address);
	if (bank->status & MCI_MISC_VALID)
		rdmsr_safe(MSR_MC_MISC(number), &bank->misc);
	return true;
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
	u64 capabilities = 0;
	bool explained = false;
	const char *kind;

	rdmsr_safe(MSR_MCG_CAP, &capabilities);
	for (unsigned i = 0; i < bank_count(capabilities); i++) {
		if (!read_bank(i, &bank) || is_another_threads(mc, &bank))
			continue;
		verdict = machine_check_judge_bank(mc, &bank, &kind);
		log_error("machine check: bank %u: status 0x%016llx address 0x%llx misc 0x%llx: %s%s%s",
			  i, (ull)bank.status, (ull)bank.address, (ull)bank.misc, kind,
			  bank.status & MCI_CORRUPT ? ", processor context corrupt" : "",
			  bank.status & MCI_OVERFLOW ? ", earlier errors lost" : "");
		wrmsr_safe(MSR_MC_STATUS(i), 0);
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
	mc->amd = cpu_features.vendor == CPU_VENDOR_AMD;
	mc->recovery = recovery;
	mc->overflow_recovery = overflow_recovery;
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
	u64 capabilities = 0, status;

	rdmsr_safe(MSR_MCG_CAP, &capabilities);
	for (unsigned i = 0; i < bank_count(capabilities); i++) {
		if (!rdmsr_safe(MSR_MC_STATUS(i), &status) && (status & MCI_VALID) && (status & MCI_CORRUPT))
			return true;
	}
	return false;
}

/* Claim the report first: another CPU may be about to stop this one. */
static void __noreturn panic_parked(u64 mcg_status)
{
	struct machine_check_bank bank;
	u64 capabilities = 0;

	panic_begin();
	log_error("machine check: MCG_STATUS 0x%llx, on a parked CPU", (ull)mcg_status);
	rdmsr_safe(MSR_MCG_CAP, &capabilities);
	for (unsigned i = 0; i < bank_count(capabilities); i++) {
		if (read_bank(i, &bank))
			log_error("machine check: bank %u: status 0x%016llx address 0x%llx misc 0x%llx", i,
				  (ull)bank.status, (ull)bank.address, (ull)bank.misc);
	}
	panic_end("machine check on a parked CPU, which it cannot recover from");
}

/*
 * A CPU that only halts, or is being started. Intel's processors send an error to all CPUs, and siblings
 * share banks: what is in these is for the CPU that the error is about, which must find it.
 */
static void handle_parked(void)
{
	u64 status = 0;

	if (rdmsr_safe(MSR_MCG_STATUS, &status) || !(status & MCG_STATUS_RIPV) || context_is_corrupt())
		panic_parked(status);
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
