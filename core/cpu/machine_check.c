/* SPDX-License-Identifier: MIT */
/* A machine check while a guest ran: report it to the guest where the architecture allows, or end the VM. */
#include "core/cpu/machine_check.h"

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"
#include "core/mem/tdp_change.h"
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

/* Why no machine check can be delivered. NULL: it can. SDM, "Interrupt 18: Machine-Check Exception (#MC)". */
static const char *undeliverable(struct vcpu *vcpu)
{
	if (!(vcpu->ops->control_get(vcpu, CTL_CR4) & CR4_MCE))
		return "and takes no machine checks (CR4.MCE is clear): a shutdown";
	if (vcpu->machine_check.mcg_status & MCG_STATUS_MCIP)
		return "while it handled a machine check: a shutdown";
	return NULL;
}

static void deliver(struct vcpu *vcpu, u64 mcg_status, gpa_t gpa, u64 status, u64 misc)
{
	vcpu->machine_check = (struct guest_machine_check){
		.mcg_status = mcg_status & MCG_STATUS_SHOWN,
		.bank = { vcpu->machine_check.bank[BANK_CTL], status, gpa, misc },
	};
	event_raise(vcpu, X86_MC);
}

static void end(struct vcpu *vcpu, const char *why)
{
	vm_end(vcpu->vm, VM_END_ERROR, "machine check: the processor lost data of this VM%s%s", *why ? ", " : "", why);
}

/* Returns NULL if the error is reported to the guest, else the reason why it cannot be. */
static const char *report_to_guest(struct vcpu *vcpu, const struct machine_check *mc,
				   const struct machine_check_bank *lost)
{
	/* On AMD, the bits of MCi_ADDR from 52 on are not part of the address. */
	hpa_t address = lost->address & (BIT_ULL(52) - 1);
	const char *why = undeliverable(vcpu);
	struct phys_range damage;
	gpa_t gpa, start;
	int error;

	if (why)
		return why;
	if (!machine_check_damage(mc, lost, &damage) || guest_mem_gpa(vcpu->vm, address, &gpa))
		return "in a place that it does not see";
	start = gpa - (address - damage.start);
	vm_lock(vcpu->vm);
	error = guest_mem_damage(vcpu->vm, start, damage.size, lost->status, lost->misc);
	vm_unlock(vcpu->vm);
	if (error)
		return "in more places than can be kept apart";
	vm_warn(vcpu->vm, "machine check: reported to the guest: its memory at 0x%llx is damaged",
		(unsigned long long)gpa);
	/* No other machine check because of it, which the processor might not survive. */
	if (tdp_unmap(vcpu->vm, start, damage.size))
		vm_warn(vcpu->vm, "the damaged memory stays mapped");
	deliver(vcpu, mc->mcg_status, gpa, lost->status, lost->misc);
	return NULL;
}

void exit_damaged_memory(struct vcpu *vcpu, gpa_t gpa, const struct guest_damage *damage)
{
	const char *why = undeliverable(vcpu);

	if (why) {
		end(vcpu, why);
		return;
	}
	if (vm_once(vcpu->vm, ONCE_OTHER, damage->page))
		vm_warn(vcpu->vm, "the guest accesses its damaged memory at 0x%llx again: machine checks",
			(unsigned long long)gpa);
	deliver(vcpu, MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP, gpa, damage->status, damage->misc);
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
		end(vcpu, why);
}
