/* SPDX-License-Identifier: MIT */
/* Switch VMX on and off on one CPU. Intel SDM, "Enabling and Entering VMX Operation". */
#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/extable.h"
#include "arch/fault/machine_check.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/tlb_id.h"
#include "lib/log.h"
#include "vmx/vmx.h"

/* -EIO: VMfail; -EFAULT: #GP, for example because the firmware has locked VMX off. */
static int vmxon(hpa_t region)
{
	int error = -EFAULT;

	__asm__ volatile("1: vmxon %[region]\n\t"
			 "movl %[refused], %[error]\n\t"
			 "jna 2f\n\t"
			 "xorl %[error], %[error]\n"
			 "2:" EXTABLE("1b", "2b")
			 : [error] "+r"(error)
			 : [region] "m"(region), [refused] "i"(-EIO)
			 : "memory", "cc");
	return error;
}

static void vmxoff(void)
{
	__asm__ volatile("vmxoff" : : : "memory", "cc");
}

/*
 * VMXON needs VMX enabled and IA32_FEATURE_CONTROL locked: do both where the firmware has left it unlocked. What else
 * it enables has to be set before it is locked.
 */
static void allow_vmx(void)
{
	u64 control = rdmsr(MSR_FEATURE_CONTROL);

	if (!(control & FEATURE_CONTROL_LOCKED))
		wrmsr(MSR_FEATURE_CONTROL, control | FEATURE_CONTROL_VMX | FEATURE_CONTROL_LOCKED |
		      (machine_check_is_local() ? FEATURE_CONTROL_LMCE : 0));
	machine_check_enable_local();
}

/* SDM, "VMX-Fixed Bits in CR0", "VMX-Fixed Bits in CR4": among them CR0.NE and CR4.VMXE. */
static void set_fixed_bits(void)
{
	write_cr0((read_cr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
	write_cr4((read_cr4() | vmx_caps.cr4_fixed0) & vmx_caps.cr4_fixed1);
}

int vmx_cpu_enable(struct percpu *cpu)
{
	int error;

	cpu->vendor_page = page_alloc();
	if (!cpu->vendor_page) {
		log_error("no memory for the VMXON region of CPU %u", cpu->index);
		return -ENOMEM;
	}
	cpu->vendor_page_pa = virt_to_phys(cpu->vendor_page);
	*(u32 *)cpu->vendor_page = vmx_caps.revision;

	fpu_reset();
	tlb_id_restart(cpu);
	cpu->vendor_current = NULL;
	allow_vmx();
	set_fixed_bits();
	error = vmxon(cpu->vendor_page_pa);
	if (!error)
		return 0;

	log_error("CPU %u refuses VMXON %s (IA32_FEATURE_CONTROL = 0x%llx)", cpu->index,
		  error == -EFAULT ? "with #GP" : "with VMfail",
		  (unsigned long long)rdmsr(MSR_FEATURE_CONTROL));
	write_cr4(read_cr4() & ~CR4_VMXE);
	page_free(cpu->vendor_page);
	cpu->vendor_page = NULL;
	return -ENODEV;
}

void vmx_cpu_disable(struct percpu *cpu)
{
	vmxoff();
	write_cr4(read_cr4() & ~CR4_VMXE);
	page_free(cpu->vendor_page);
	cpu->vendor_page = NULL;
}
