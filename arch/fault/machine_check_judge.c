/* SPDX-License-Identifier: MIT */
/*
 * What a machine check means. Intel SDM, "Machine-Check Error Codes", "Uncorrected Recoverable
 * (UCR) Errors"; AMD APM vol. 2, "Machine Check Architecture", "Deferred Errors".
 */
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"

/* Architectural memory addresses: MCi_MISC bits 8:6. SDM, "IA32_MCi_MISC MSRs". */
#define MISC_MODE(misc)	   ((misc) >> 6 & 7)
#define MISC_MODE_PHYSICAL 2
#define MISC_LSB(misc)	   ((misc) & 63)

static bool is_physical(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	if (!(bank->status & MCI_ADDR_VALID))
		return false;
	return mc->amd || ((bank->status & MCI_MISC_VALID) && MISC_MODE(bank->misc) == MISC_MODE_PHYSICAL);
}

/* The lost bytes: as many as the bank says, a cache line if it does not. */
static struct phys_range lost_range(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	unsigned lsb = mc->amd || MISC_LSB(bank->misc) > 51 ? 6 : MISC_LSB(bank->misc);
	u64 size = 1ull << lsb;

	return (struct phys_range){ bank->address & (BIT_ULL(52) - 1) & ~(size - 1), size };
}

bool machine_check_damage(const struct machine_check *mc, const struct machine_check_bank *bank,
			  struct phys_range *damage)
{
	bool deferred = mc->amd && (bank->status & MCI_AMD_DEFERRED);

	if (!(bank->status & MCI_UNCORRECTED) && !deferred)
		return false;
	if (!is_physical(mc, bank))
		return false;
	*damage = lost_range(mc, bank);
	damage->size = MAX(damage->size, PAGE_SIZE);
	damage->start &= PAGE_MASK;
	return true;
}

/* Are all the lost bytes in the guest's RAM? */
static bool is_guests(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	const struct phys_range lost = lost_range(mc, bank);
	u64 start = lost.start, size = lost.size;

	for (unsigned i = 0; i < mc->guest_pieces; i++) {
		const struct phys_range *piece = &mc->guest[i];

		if (start >= piece->start && start - piece->start < piece->size &&
		    size <= piece->size - (start - piece->start))
			return true;
	}
	return false;
}

/* Data that the interrupted context was about to use is lost. */
static enum machine_check_verdict lost_data(const struct machine_check *mc,
					    const struct machine_check_bank *bank)
{
	if (mc->in_guest && is_physical(mc, bank) && is_guests(mc, bank))
		return MACHINE_CHECK_TELL_VM;
	return MACHINE_CHECK_STOP_MACHINE;
}

static enum machine_check_verdict judge_intel(const struct machine_check *mc,
					      const struct machine_check_bank *bank, const char **kind)
{
	if (!(bank->status & MCI_SIGNALED)) {
		*kind = "uncorrected, not used yet";
		return MACHINE_CHECK_GO_ON;
	}
	if (!(bank->status & MCI_ACTION_REQUIRED)) {
		*kind = "uncorrected, action optional";
		return MACHINE_CHECK_GO_ON;
	}
	*kind = "uncorrected, action required";
	/* Overflow: the bank does not say what the other error has lost. */
	return bank->status & MCI_OVERFLOW ? MACHINE_CHECK_STOP_MACHINE : lost_data(mc, bank);
}

enum machine_check_verdict machine_check_judge_bank(const struct machine_check *mc,
						    const struct machine_check_bank *bank,
						    const char **kind)
{
	u64 status = bank->status;

	if (!(status & MCI_UNCORRECTED)) {
		*kind = mc->amd && (status & MCI_AMD_DEFERRED) ? "deferred" : "corrected";
		return MACHINE_CHECK_GO_ON;
	}
	if (!(status & MCI_ENABLED)) {
		*kind = "uncorrected, not enabled";	/* not what raised the exception */
		return MACHINE_CHECK_GO_ON;
	}
	*kind = "uncorrected";
	if ((status & MCI_CORRUPT) || !mc->recovery)
		return MACHINE_CHECK_STOP_MACHINE;
	if ((status & MCI_OVERFLOW) && !mc->overflow_recovery)
		return MACHINE_CHECK_STOP_MACHINE;
	if (!mc->amd)
		return judge_intel(mc, bank, kind);
	if (status & MCI_AMD_POISON)
		*kind = "uncorrected, poisoned data used";
	return lost_data(mc, bank);
}

enum machine_check_verdict machine_check_judge(const struct machine_check *mc,
					       enum machine_check_verdict worst, bool explained)
{
	/* Without RIPV the interrupted code cannot be resumed. */
	if ((mc->mcg_status & MCG_STATUS_RIPV) || worst >= MACHINE_CHECK_STOP_VM)
		return worst;
	return mc->in_guest && explained ? MACHINE_CHECK_STOP_VM : MACHINE_CHECK_STOP_MACHINE;
}
