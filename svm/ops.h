/* SPDX-License-Identifier: MIT */
/* The operations that do the same for a guest and, where the guest is a hypervisor, for its own guest. */
#pragma once

#include "svm/nested/nested.h"

#define SVM_OPS_OF_ANY_LEVEL				\
	.name = "SVM",					\
	.manual = "APM",				\
	.vcpu_reset = svm_vcpu_reset,			\
	.vcpu_load = svm_vcpu_load,			\
	.vcpu_put = svm_vcpu_put,			\
	.vcpu_release = svm_vcpu_release,		\
	.exit_name = svm_exit_name,			\
	.reg_fetch = svm_reg_fetch,			\
	.control_get = svm_control_get,			\
	.control_set = svm_control_set,			\
	.segment_get = svm_segment_get,			\
	.segment_set = svm_segment_set,			\
	.table_get = svm_table_get,			\
	.table_set = svm_table_set,			\
	.msr_get = svm_msr_get,				\
	.msr_set = svm_msr_set,				\
	.step_over = svm_step_over,			\
	.instruction_done = svm_instruction_done,	\
	.saved_rip = svm_saved_rip,			\
	.check_entry = svm_check_next_entry,		\
	.explain_failure = svm_explain_failure,		\
	.dump = svm_dump,				\
	.nested_efer = EFER_SVME,			\
	.nested_init = nsvm_init
