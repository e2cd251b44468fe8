/* SPDX-License-Identifier: MIT */
/* Machine checks. Intel SDM, "Machine-Check Architecture"; AMD APM vol. 2, the same. */
#include "arch/machine_check.h"

#include "arch/cpu.h"
#include "arch/cpufeature.h"
#include "arch/panic.h"
#include "arch/trap.h"
#include "arch/x86.h"
#include "lib/log.h"

#define MCG_CAP_COUNT	0xff
#define MCG_CAP_CTL	BIT_ULL(8)
#define MCG_STATUS_RIPV BIT_ULL(0)
#define MCI_VALID	BIT_ULL(63)
#define MCI_OVERFLOW	BIT_ULL(62)
#define MCI_UNCORRECTED BIT_ULL(61)
#define MCI_MISC_VALID	BIT_ULL(59)
#define MCI_ADDR_VALID	BIT_ULL(58)
#define MCI_CORRUPT	BIT_ULL(57)	/* PCC: processor context corrupt */
#define MAX_BANKS	64

typedef unsigned long long ull;

static unsigned banks;

/*
 * With care: what is below us, firmware or another hypervisor, may announce machine checks in CPUID
 * and have no such registers, or fewer than the count says.
 */
void machine_check_init(void)
{
	u64 capabilities, count;

	if (!cpu_features.mce || rdmsr_safe(MSR_MCG_CAP, &capabilities))
		return;
	count = capabilities & MCG_CAP_COUNT;
	banks = (unsigned)MIN(count, (u64)MAX_BANKS);
	if (capabilities & MCG_CAP_CTL)
		wrmsr_safe(MSR_MCG_CTL, ~0ull);
	for (unsigned bank = 0; bank < banks; bank++) {
		wrmsr_safe(MSR_MC_CTL(bank), ~0ull);
		wrmsr_safe(MSR_MC_STATUS(bank), 0);
	}
}

/* Log a bank that holds an error and free it. Returns false if execution cannot go on. */
static bool report_bank(unsigned bank)
{
	u64 status, address = 0, misc = 0;

	if (rdmsr_safe(MSR_MC_STATUS(bank), &status) || !(status & MCI_VALID))
		return true;
	if (status & MCI_ADDR_VALID)
		rdmsr_safe(MSR_MC_ADDR(bank), &address);
	if (status & MCI_MISC_VALID)
		rdmsr_safe(MSR_MC_MISC(bank), &misc);
	log_error("machine check: bank %u: status 0x%016llx address 0x%llx misc 0x%llx: %s%s%s",
		  bank, (ull)status, (ull)address, (ull)misc,
		  status & MCI_UNCORRECTED ? "uncorrected" : "corrected",
		  status & MCI_CORRUPT ? ", processor context corrupt" : "",
		  status & MCI_OVERFLOW ? ", earlier errors lost" : "");
	wrmsr_safe(MSR_MC_STATUS(bank), 0);
	return !(status & (MCI_UNCORRECTED | MCI_CORRUPT));
}

void machine_check_handler(void)
{
	bool go_on = true;
	u64 status;

	if (rdmsr_safe(MSR_MCG_STATUS, &status))
		panic("machine check on a processor without registers that describe it");
	log_error("machine check: MCG_STATUS 0x%llx", (ull)status);
	for (unsigned bank = 0; bank < banks; bank++)
		go_on &= report_bank(bank);
	if (!go_on || !(status & MCG_STATUS_RIPV))
		panic("machine check that the processor cannot recover from");
	wrmsr(MSR_MCG_STATUS, 0);	/* MCIP: with it set, the next one shuts the CPU down */
}
