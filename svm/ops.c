/* SPDX-License-Identifier: MIT */
/* SVM's operations table: the only part of this folder that the rest of Lamina uses. */
#include "svm/svm.h"

const struct vcpu_ops svm_ops = {
	.name = "SVM",
	.manual = "APM",

	.probe = svm_probe,
	.cpu_enable = svm_cpu_enable,
	.cpu_disable = svm_cpu_disable,

	.vm_create = svm_vm_create,
	.vm_destroy = svm_vm_destroy,
	.vm_map = npt_map,
	.vm_msr_passthrough = svm_vm_msr_passthrough,
	.vcpu_create = svm_vcpu_create,
	.vcpu_destroy = svm_vcpu_destroy,
	.vcpu_reset = svm_vcpu_reset,
	.vcpu_load = svm_vcpu_load,
	.vcpu_put = svm_vcpu_put,
	.vcpu_release = svm_vcpu_release,
	.flush_tlb = svm_flush_translations,
	.pause_exits = svm_pause_exits,

	.vcpu_run = svm_vcpu_run,
	.handle_exit = svm_handle_exit,
	.exit_name = svm_exit_name,

	.reg_fetch = svm_reg_fetch,
	.control_get = svm_control_get,
	.control_set = svm_control_set,
	.segment_get = svm_segment_get,
	.segment_set = svm_segment_set,
	.table_get = svm_table_get,
	.table_set = svm_table_set,
	.code_view = svm_code_view,
	.msr_get = svm_msr_get,
	.msr_set = svm_msr_set,
	.tsc_offset_changed = svm_tsc_offset_changed,
	.skip_instruction = svm_skip_instruction,
	.step_over = svm_step_over,
	.instruction_done = svm_instruction_done,

	.inject = svm_inject,
	.interrupt_blocked = svm_interrupt_blocked,
	.saved_rip = svm_saved_rip,
	.nmi_blocked = svm_nmi_blocked,
	.interrupt_window = svm_interrupt_window,
	.nmi_window = svm_nmi_window,

	.check_entry = svm_check_next_entry,
	.explain_failure = svm_explain_failure,
	.dump = svm_dump,
};
