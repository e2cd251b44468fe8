/* SPDX-License-Identifier: MIT */
/* Reading, clearing and printing banks: see the header. */
#include "arch/fault/machine_check_banks.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"

#define MCG_CAP_COUNT	  0xff
#define MAX_BANKS	  64
#define SMCA		  BIT(3)	/* CPUID.80000007h:EBX */
#define SMCA_ADDRESS_MASK (BIT_ULL(56) - 1)
#define SMCA_LSB(value, shift) ((u8)((value) >> (shift) & 63))

unsigned machine_check_bank_count(void)
{
	u64 capabilities;

	if (!cpu_features.mce || rdmsr_safe(MSR_MCG_CAP, &capabilities))
		return 0;
	return (unsigned)MIN(capabilities & MCG_CAP_COUNT, (u64)MAX_BANKS);
}

bool machine_check_scalable(void)
{
	return cpu_features.vendor == CPU_VENDOR_AMD && cpu_features.max_extended_leaf >= 0x80000007 &&
	       (cpuid(0x80000007).ebx & SMCA);
}

void machine_check_bank_enable(unsigned number)
{
	u64 config;

	if (machine_check_scalable()) {
		if (!rdmsr_safe(MSR_SMCA_CONFIG(number), &config))
			wrmsr_safe(MSR_SMCA_CONFIG(number), config | SMCA_CONFIG_ENABLE);
		wrmsr_safe(MSR_SMCA_CTL(number), ~0ull);
	} else {
		wrmsr_safe(MSR_MC_CTL(number), ~0ull);
	}
}

/* AMD APM vol. 2, "MCA_ADDR", "MCA_CONFIG": where the position of the lowest valid bit is. */
static void read_scalable(unsigned number, u32 address, struct machine_check_bank *bank)
{
	u64 config = 0;

	rdmsr_safe(MSR_SMCA_CONFIG(number), &config);
	rdmsr_safe(MSR_SMCA_IPID(number), &bank->ipid);
	if (bank->status & MCI_AMD_SYNDROME_VALID)
		rdmsr_safe(MSR_SMCA_SYND(number), &bank->syndrome);
	if (!(bank->status & MCI_ADDR_VALID) || rdmsr_safe(address, &bank->address))
		return;
	bank->lsb = config & SMCA_CONFIG_LSB_IN_STATUS ? SMCA_LSB(bank->status, 24) : SMCA_LSB(bank->address, 56);
	bank->address &= SMCA_ADDRESS_MASK;
}

bool machine_check_bank_read(unsigned number, struct machine_check_bank *bank)
{
	bool scalable = machine_check_scalable();

	*bank = (struct machine_check_bank){ .number = (u8)number };
	if (rdmsr_safe(scalable ? MSR_SMCA_STATUS(number) : MSR_MC_STATUS(number), &bank->status) ||
	    !(bank->status & MCI_VALID))
		return false;
	if (scalable)
		read_scalable(number, MSR_SMCA_ADDR(number), bank);
	else if (bank->status & MCI_ADDR_VALID)
		rdmsr_safe(MSR_MC_ADDR(number), &bank->address);
	if (bank->status & MCI_MISC_VALID)
		rdmsr_safe(scalable ? MSR_SMCA_MISC(number) : MSR_MC_MISC(number), &bank->misc);
	return true;
}

bool machine_check_bank_read_deferred(unsigned number, struct machine_check_bank *bank)
{
	*bank = (struct machine_check_bank){ .number = (u8)number };
	if (!machine_check_scalable() || rdmsr_safe(MSR_SMCA_DESTAT(number), &bank->status) ||
	    !(bank->status & MCI_VALID))
		return false;
	read_scalable(number, MSR_SMCA_DEADDR(number), bank);
	return true;
}

void machine_check_bank_clear(unsigned number)
{
	wrmsr_safe(machine_check_scalable() ? MSR_SMCA_STATUS(number) : MSR_MC_STATUS(number), 0);
}

void machine_check_bank_clear_deferred(unsigned number)
{
	if (machine_check_scalable())
		wrmsr_safe(MSR_SMCA_DESTAT(number), 0);
}

/* AMD APM vol. 2, "MCA_IPID": hardware id, its type, and which one of them it is. */
void machine_check_bank_log(enum log_level level, const char *who, const struct machine_check_bank *bank,
			    const char *kind)
{
	log_line(level, NULL, "%s: bank %u: status 0x%016llx address 0x%llx misc 0x%llx: %s%s%s", who, bank->number,
		 (ull)bank->status, (ull)bank->address, (ull)bank->misc, kind,
		 bank->status & MCI_CORRUPT ? ", processor context corrupt" : "",
		 bank->status & MCI_OVERFLOW ? ", earlier errors lost" : "");
	if (bank->ipid)
		log_line(level, NULL, "%s: bank %u: hardware 0x%x type 0x%x instance 0x%x, syndrome 0x%llx%s", who,
			 bank->number, (u32)(bank->ipid >> 32 & 0xfff), (u32)(bank->ipid >> 48), (u32)bank->ipid,
			 (ull)bank->syndrome,
			 bank->status & MCI_AMD_TASK_CORRUPT ? ", task context corrupt" : "");
}
