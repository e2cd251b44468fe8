/* SPDX-License-Identifier: MIT */
/* A machine check while a guest ran: report it to the guest where the architecture allows, or end the VM. */
#include "core/cpu/machine_check.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"
#include "core/vcpu.h"
#include "core/vm.h"

enum { BANK_CTL, BANK_STATUS, BANK_ADDRESS, BANK_MISC };

/* --- the guest's registers --- */

/* Not LMCE_S: MCG_CAP announces no local machine checks. */
#define MCG_STATUS_SHOWN (MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP)

/* One bank. Intel announces software error recovery here (MCG_SER_P), AMD in CPUID (core/cpu/cpuid.c). */
static u64 capabilities(void)
{
	bool intel = cpu_features.vendor == CPU_VENDOR_INTEL;

	return 1 | (intel && machine_check_recovery() ? MCG_CAP_SER_P : 0);
}

int machine_check_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	if (msr == MSR_MCG_CAP)
		*value = capabilities();
	else if (msr == MSR_MCG_STATUS)
		*value = vcpu->machine_check.mcg_status;
	else
		*value = vcpu->machine_check.bank[msr & 3];
	return 0;
}

/* SDM, "IA32_MCi_STATUS MSRS" and the sections after it: the error registers accept only zero. */
int machine_check_write(struct vcpu *vcpu, u32 msr, u64 *value)
{
	if (msr == MSR_MCG_STATUS) {
		if (*value & ~MCG_STATUS_SHOWN)
			return -EINVAL;
		vcpu->machine_check.mcg_status = *value;
		return 0;
	}
	if (msr != MSR_MC_CTL(0) && *value)
		return -EINVAL;
	vcpu->machine_check.bank[msr & 3] = *value;
	return 0;
}

/* --- reporting it --- */

/* Returns NULL if the error is reported to the guest, else the reason why it cannot be. */
static const char *report_to_guest(struct vcpu *vcpu, const struct machine_check *mc,
				   const struct machine_check_bank *lost)
{
	/* On AMD, the bits of MCi_ADDR from 52 on are not part of the address. */
	hpa_t address = lost->address & (BIT_ULL(52) - 1);
	struct phys_range damage;
	gpa_t gpa;
	int error;

	if (!(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_MCE))
		return "and takes no machine checks (CR4.MCE is clear): a shutdown";
	if (vcpu->machine_check.mcg_status & MCG_STATUS_MCIP)
		return "while it handled a machine check: a shutdown";
	if (!machine_check_damage(mc, lost, &damage) || guest_mem_gpa(vcpu->vm, address, &gpa))
		return "in a place that it does not see";
	vm_lock(vcpu->vm);
	error = guest_mem_damage(vcpu->vm, gpa - (address - damage.start), damage.size);
	vm_unlock(vcpu->vm);
	if (error)
		return "in more places than can be kept apart";

	vcpu->machine_check = (struct guest_machine_check){
		.mcg_status = mc->mcg_status & MCG_STATUS_SHOWN,
		.bank = { vcpu->machine_check.bank[BANK_CTL], lost->status, gpa, lost->misc },
	};
	vm_warn(vcpu->vm, "machine check: reported to the guest: its memory at 0x%llx is damaged",
		(unsigned long long)gpa);
	event_raise(vcpu, X86_MC);
	return NULL;
}

void exit_machine_check(struct vcpu *vcpu, bool entered)
{
	const struct guest_mem *mem = &vcpu->vm->mem;
	struct machine_check mc = { .guest = mem->pieces, .guest_pieces = mem->piece_count };
	enum machine_check_verdict verdict;
	struct machine_check_bank lost;
	const char *why = "";

	verdict = machine_check_in_guest(&mc, &lost);
	if (verdict == MACHINE_CHECK_GO_ON)
		return;
	if (verdict == MACHINE_CHECK_TELL_VM && entered)
		why = report_to_guest(vcpu, &mc, &lost);
	if (why)
		vm_end(vcpu->vm, VM_END_ERROR, "machine check: the processor lost data of this VM%s%s",
		       *why ? ", " : "", why);
}
