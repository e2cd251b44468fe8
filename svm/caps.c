/* SPDX-License-Identifier: MIT */
/* The SVM features of this processor. AMD APM vol. 2, "Enabling SVM", "Determining Support for SVM". */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "core/cpu/capability.h"
#include "core/cpu/speculation.h"
#include "lib/log.h"
#include "svm/svm.h"

struct svm_features svm_features;

/* Where there is no lock, SVMDIS cannot be cleared. */
static int check_lock(u32 features)
{
	bool off, locked, can_unlock;
	u64 vm_cr = 0;

	/* Not fatal: svm_cpu_enable() finds out whether EFER.SVME can be set. */
	if (rdmsr_safe(MSR_VM_CR, &vm_cr)) {
		capability_optional("VM_CR", false, "EFER.SVME is tried");
		return 0;
	}
	off = vm_cr & VM_CR_SVM_DISABLE;
	locked = (features & SVM_LOCK) && (vm_cr & VM_CR_LOCK);
	can_unlock = (features & SVM_LOCK) && !locked;
	log_info("  %-34s SVM %s, %s%s", "VM_CR", off ? "disabled" : "enabled", locked ? "locked" : "not locked",
		 off && can_unlock ? ": Lamina switches it on" : "");
	if (!off || can_unlock)
		return 0;
	log_error("SVM is switched off by the firmware (VM_CR.SVMDIS): enable \"SVM Mode\" or \"AMD-V\" in its set-up");
	return -ENODEV;
}

int svm_probe_leaf(struct cpuid_regs leaf)
{
	int error;

	svm_features = (struct svm_features){
		.asids = leaf.ebx,
		.nrip_save = leaf.edx & SVM_NRIP_SAVE,
		.clean_bits = leaf.edx & SVM_CLEAN_BITS,
		.flush_by_asid = leaf.edx & SVM_FLUSH_BY_ASID,
		.decode_assists = leaf.edx & SVM_DECODE_ASSISTS,
		.pause_filter = leaf.edx & SVM_PAUSE_FILTER,
		.pause_threshold = leaf.edx & SVM_PAUSE_THRESHOLD,
		.spec_ctrl = leaf.edx & SVM_SPEC_CTRL,
	};

	log_info("capabilities: AMD SVM revision %u", leaf.eax & 0xff);
	error = check_lock(leaf.edx);
	if (error)
		return error;
	log_info("  %-34s %u", "address space identifiers (ASID)", svm_features.asids);
	capability_optional("next RIP saved on exit", svm_features.nrip_save,
			    "instruction length by decoding");
	capability_optional("decode assists", svm_features.decode_assists, "instruction operands by decoding");
	capability_optional("flush by ASID", svm_features.flush_by_asid, "whole TLB is flushed");
	capability_optional("VMCB clean bits", svm_features.clean_bits, "processor reloads the whole VMCB");
	capability_optional("PAUSE filter", svm_features.pause_filter, "spinning vCPUs use up their time slices");
	capability_optional("1 GiB pages", cpu_features.pages_1g, "2 MiB pages");
	capability_optional("TSC deadline timer", cpu_features.tsc_deadline, "calibrated one-shot timer");
	capability_optional("x2APIC", cpu_features.x2apic, "xAPIC");
	capability_optional("invariant TSC", cpu_features.invariant_tsc, "TSC is taken to be constant");
	speculation_init();
	log_info("  %-34s self-IPI, seen pending before VMRUN", "forced exits by");
	if (!capability_required("nested paging (NPT)", leaf.edx & SVM_NESTED_PAGING)) {
		log_error("this processor has SVM but no nested paging; Lamina runs guests with nested paging only");
		return -ENODEV;
	}
	if (svm_features.asids < 2) {
		log_error("the processor offers %u ASIDs; expected at least 2", svm_features.asids);
		return -ENODEV;
	}
	return 0;
}

int svm_probe(void)
{
	if (cpu_features.max_extended_leaf < CPUID_SVM_FEATURES) {
		log_error("CPUID announces SVM but has no leaf 8000000Ah that describes it");
		return -ENODEV;
	}
	return svm_probe_leaf(cpuid(CPUID_SVM_FEATURES));
}
