/* SPDX-License-Identifier: MIT */
/* SVM's operations table: the only part of this folder that the rest of Lamina uses. */
#include "svm/ops.h"

#include "arch/cpu/x86.h"

const struct vcpu_ops svm_ops = {
	SVM_OPS_OF_ANY_LEVEL,

	.probe = svm_probe,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,

	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,
	.tdp_format = npt_format,
	.vm_msr_passthrough = svm_vm_msr_passthrough,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.flush_tlb = svm_flush_translations,
	.pause_exits = svm_pause_exits,

	.vcpu_run = svm_vcpu_run,
	.handle_exit = svm_handle_exit,

	.code_view = svm_code_view,
	.tsc_offset_changed = svm_tsc_offset_changed,
	.skip_instruction = svm_skip_instruction,

	.inject = svm_inject,
	.interrupt_blocked = svm_interrupt_blocked,
	.nmi_blocked = svm_nmi_blocked,
	.interrupt_window = svm_interrupt_window,
	.nmi_window = svm_nmi_window,
	.apic_entry = svm_apic_entry,
	.tpr_written = svm_tpr_written,

	.l2 = &nsvm_l2_ops,
	.nested_leaf = CPUID_SVM_FEATURES,
	.nested_cpuid = nsvm_cpuid,
	.nested_control_allowed = nsvm_control_allowed,
	.nested_msr_read = nsvm_msr_read,
	.nested_msr_write = nsvm_msr_write,
};
