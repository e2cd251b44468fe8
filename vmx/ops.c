/* SPDX-License-Identifier: MIT */
/* VMX's operations table: all that the rest of Lamina sees of this folder. */
#include "arch/cpu/x86.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

const struct vcpu_ops vmx_ops = {
	.name = "VMX",
	.manual = "SDM",
	.loads_pdptes = true,

	.probe = vmx_probe,
	.cpu_enable = vmx_cpu_enable,
	.cpu_disable = vmx_cpu_disable,

	.vm_create = vmx_vm_create,
	.vm_destroy = vmx_vm_destroy,
	.tdp_format = ept_format,
	.vm_make_executable = ept_make_executable,
	.vm_msr_passthrough = vmx_vm_msr_passthrough,
	.vcpu_create = vmx_vcpu_create,
	.vcpu_destroy = vmx_vcpu_destroy,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.vcpu_release = vmx_vcpu_release,
	.flush_tlb = vmx_flush_tdp,
	.pause_exits = vmx_pause_exits,

	.vcpu_run = vmx_vcpu_run,
	.handle_exit = vmx_handle_exit,
	.exit_name = vmx_exit_name,

	.reg_fetch = vmx_reg_fetch,
	.control_get = vmx_control_get,
	.control_set = vmx_control_set,
	.segment_get = vmx_segment_get,
	.segment_set = vmx_segment_set,
	.table_get = vmx_table_get,
	.table_set = vmx_table_set,
	.code_view = vmx_code_view,
	.msr_get = vmx_msr_get,
	.msr_set = vmx_msr_set,
	.tsc_offset_changed = vmx_tsc_offset_changed,
	.skip_instruction = vmx_skip_instruction,
	.step_over = vmx_step_over,
	.instruction_done = vmx_instruction_done,

	.inject = vmx_inject,
	.interrupt_blocked = vmx_interrupt_blocked,
	.saved_rip = vmx_saved_rip,
	.nmi_blocked = vmx_nmi_blocked,
	.interrupt_window = vmx_interrupt_window,
	.nmi_window = vmx_nmi_window,
	.apic_entry = vmx_apic_entry,
	.apic_access = vmx_apic_access,

	.l2 = &vmx_l2_ops,
	.nested_cr4 = CR4_VMXE,
	.evmcs_leaf = NESTED_HYPERV_LEAF,
	.nested_cpuid = nested_vmx_cpuid,
	.nested_control_allowed = nested_control_allowed,
	.nested_msr_read = nested_vmx_msr_read,
	.nested_msr_write = nested_vmx_msr_write,
	.nested_hypercall = nested_vmx_hypercall,
	.nested_init = nested_vmx_init,

	.check_entry = vmx_check_next_entry,
	.explain_failure = vmx_explain_failure,
	.dump = vmx_dump,
};
