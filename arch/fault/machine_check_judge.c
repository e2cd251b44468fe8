/* SPDX-License-Identifier: MIT */
/*
 * What a machine check means. Intel SDM, "Machine-Check Error Codes", "Uncorrected Recoverable
 * (UCR) Errors"; AMD APM vol. 2, "Machine Check Architecture", "Deferred Errors"; AMD BKDG for Family 15h Models
 * 00h-0Fh, "MC4_STATUS".
 */
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"

/* Architectural memory addresses: MCi_MISC bits 8:6. SDM, "IA32_MCi_MISC MSRs". */
#define MISC_MODE(misc)	   ((misc) >> 6 & 7)
#define MISC_MODE_PHYSICAL 2
#define MISC_LSB(misc)	   ((misc) & 63)
#define CACHE_LINE	   6	/* log2 of its bytes */

/* Before scalable MCA bank 4 is the north bridge's: bits 20:16 of its status are the extended error code. */
#define NORTH_BRIDGE	   4
#define EXTENDED_CODE(status) ((status) >> 16 & 0x1f)
#define EXTENDED_CODE_DRAM 8

/*
 * AMD's MCi_ADDR may be a cache's index and way, or a DRAM channel's own address. It is a physical address of an
 * error of the north bridge's DRAM, and of poisoned data that were used. Bit 43 is not POISON in the north bridge's bank.
 */
static bool is_physical_on_amd(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	if (!mc->scalable && bank->number == NORTH_BRIDGE)
		return EXTENDED_CODE(bank->status) == EXTENDED_CODE_DRAM;
	return bank->status & MCI_AMD_POISON;
}

static bool is_physical(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	if (!(bank->status & MCI_ADDR_VALID))
		return false;
	if (mc->amd)
		return is_physical_on_amd(mc, bank);
	return (bank->status & MCI_MISC_VALID) && MISC_MODE(bank->misc) == MISC_MODE_PHYSICAL;
}

/* The lost bytes: as many as the bank says, a cache line if it does not. */
static struct phys_range lost_range(const struct machine_check *mc, const struct machine_check_bank *bank)
{
	unsigned lsb = mc->amd ? MAX(bank->lsb, CACHE_LINE) : MISC_LSB(bank->misc);
	u64 size = 1ull << (lsb > 51 ? CACHE_LINE : lsb);

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
	enum machine_check_verdict verdict;
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
	if (status & MCI_AMD_POISON && (mc->scalable || bank->number != NORTH_BRIDGE))
		*kind = "uncorrected, poisoned data used";
	/* Reported to a guest, the error would have it continue a program that cannot go on. */
	verdict = lost_data(mc, bank);
	return verdict == MACHINE_CHECK_TELL_VM && mc->scalable && (status & MCI_AMD_TASK_CORRUPT) ?
	       MACHINE_CHECK_STOP_VM : verdict;
}

enum machine_check_verdict machine_check_judge(const struct machine_check *mc,
					       enum machine_check_verdict worst, bool explained)
{
	/* Without RIPV the interrupted code cannot be resumed. */
	if ((mc->mcg_status & MCG_STATUS_RIPV) || worst >= MACHINE_CHECK_STOP_VM)
		return worst;
	return mc->in_guest && explained ? MACHINE_CHECK_STOP_VM : MACHINE_CHECK_STOP_MACHINE;
}
