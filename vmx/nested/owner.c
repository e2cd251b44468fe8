/* SPDX-License-Identifier: MIT */
/*
 * Whose is an exit of L2? L1 gets those that it has asked for and those that no control decides; L0 keeps what it
 * needs itself and what L1 has left to the processor. Intel SDM, "Instructions That Cause VM Exits", "Other Causes of
 * VM Exits".
 */
#include "arch/cpu/x86.h"
#include "core/cpu/control.h"
#include "core/mem/guest_mem.h"
#include "vmx/nested/nested.h"

static const struct vmcs12 *vmcs12_of(struct vcpu *vcpu)
{
	return to_nested(vcpu)->vmcs12;
}

static bool primary(struct vcpu *vcpu, u32 control)
{
	return vmcs12_read32(vmcs12_of(vcpu), PRIMARY_CONTROLS) & control;
}

static bool secondary(struct vcpu *vcpu, u32 control)
{
	return nested_secondary(vmcs12_of(vcpu)) & control;
}

/* --- exceptions --- */

/* SDM, "Exception Bitmap": for page faults the error code decides what the bit means. */
bool nested_l1_gets_exception(const struct vmcs12 *v, u8 vector, u32 error_code)
{
	bool bit = vmcs12_read32(v, EXCEPTION_BITMAP) >> vector & 1;

	if (vector != X86_PF)
		return bit;
	return bit == ((error_code & vmcs12_read32(v, PAGE_FAULT_MASK)) == vmcs12_read32(v, PAGE_FAULT_MATCH));
}

/* NMIs and machine checks that the processor takes are the host's. */
static bool exception(struct vcpu *vcpu)
{
	u32 info = vmcs_read32(EXIT_INTERRUPTION_INFO);
	u8 vector = info & INTERRUPTION_VECTOR;

	if (INTERRUPTION_TYPE(info) == INTERRUPTION_NMI || vector == X86_MC)
		return false;
	return nested_l1_gets_exception(vmcs12_of(vcpu), vector, vmcs_read32(EXIT_INTERRUPTION_ERROR));
}

/* --- ports --- */

/* A byte of a bitmap in L1's memory; where there is no RAM, it reads as ones. */
static u8 bitmap_byte(struct vcpu *vcpu, gpa_t gpa)
{
	u8 byte = 0xff;

	return guest_read(vcpu->vm, gpa, &byte, sizeof(byte)) ? 0xff : byte;
}

/* SDM, "I/O-Bitmap Addresses". An access that wraps around exits. */
bool nested_l1_gets_port(struct vcpu *vcpu, u16 port, unsigned size)
{
	const struct vmcs12 *v = vmcs12_of(vcpu);

	if (!primary(vcpu, PRIMARY_IO_BITMAPS))
		return primary(vcpu, PRIMARY_UNCONDITIONAL_IO);
	for (u32 p = port; p < port + size; p++) {
		gpa_t bitmap = vmcs12_read64(v, p & 0x8000 ? IO_BITMAP_B : IO_BITMAP_A);

		if (p > 0xffff || (bitmap_byte(vcpu, bitmap + (p & 0x7fff) / 8) >> p % 8 & 1))
			return true;
	}
	return false;
}

static bool port(struct vcpu *vcpu)
{
	u64 qualification = to_vmx(vcpu)->qualification;

	return nested_l1_gets_port(vcpu, IO_PORT(qualification), IO_SIZE(qualification));
}

/* --- MSRs --- */

/* SDM, "MSR-Bitmap Address": four bitmaps, for reads of low and high MSRs, and for writes. */
bool nested_l1_gets_msr(struct vcpu *vcpu, u32 msr, bool write)
{
	gpa_t bitmap = vmcs12_read64(vmcs12_of(vcpu), MSR_BITMAP) + (write ? 0x800 : 0);

	if (!primary(vcpu, PRIMARY_MSR_BITMAP))
		return true;
	if (msr >= 0xc0000000u) {
		msr -= 0xc0000000u;
		bitmap += 0x400;
	}
	return msr >= 0x2000 || (bitmap_byte(vcpu, bitmap + msr / 8) >> msr % 8 & 1);
}

/* --- control registers --- */

/* SDM, "Guest/Host Masks and Read Shadows for CR0 and CR4": a write exits if it changes what L1 has the bit read as. */
static bool changes(struct vmcs_fieldn mask, struct vmcs_fieldn shadow, const struct vmcs12 *v, u64 value)
{
	return (value ^ vmcs12_readn(v, shadow)) & vmcs12_readn(v, mask);
}

/* SDM, "CR3-Target Controls". The rules of entry bound the count. */
static bool writes_cr3(struct vcpu *vcpu, const struct vmcs12 *v, u64 value)
{
	if (!primary(vcpu, PRIMARY_CR3_LOAD))
		return false;
	for (unsigned i = 0; i < vmcs12_read32(v, CR3_TARGET_COUNT) && i < NESTED_CR3_TARGETS; i++)
		if (vmcs12_readn(v, cr3_target(i)) == value)
			return false;
	return true;
}

static bool mov_to_cr(struct vcpu *vcpu, unsigned cr, unsigned reg)
{
	const struct vmcs12 *v = vmcs12_of(vcpu);
	u64 value = vcpu_reg_read(vcpu, reg);

	if (!vcpu_code_64(vcpu))
		value = (u32)value;
	switch (cr) {
	case 0:
		return changes(CR0_GUEST_HOST_MASK, CR0_READ_SHADOW, v, value);
	case 3:
		return writes_cr3(vcpu, v, value);
	case 4:
		return changes(CR4_GUEST_HOST_MASK, CR4_READ_SHADOW, v, value);
	case 8:
		return primary(vcpu, PRIMARY_CR8_LOAD);
	default:
		return true;
	}
}

/* LMSW sets PE, and never clears it. SDM, "Instructions That Cause VM Exits Conditionally". */
bool nested_l1_gets_lmsw(const struct vmcs12 *v, u16 value)
{
	u64 mask = vmcs12_readn(v, CR0_GUEST_HOST_MASK), shadow = vmcs12_readn(v, CR0_READ_SHADOW);

	return ((value ^ shadow) & mask & (CR0_MP | CR0_EM | CR0_TS)) || (value & ~shadow & mask & CR0_PE);
}

static bool cr_access(struct vcpu *vcpu)
{
	const struct vmcs12 *v = vmcs12_of(vcpu);
	u64 qualification = to_vmx(vcpu)->qualification;
	unsigned cr = qualification & 15, reg = qualification >> 8 & 15;

	switch (qualification >> 4 & 3) {
	case 0:
		return mov_to_cr(vcpu, cr, reg);
	case 1:
		return primary(vcpu, cr == 8 ? PRIMARY_CR8_STORE : PRIMARY_CR3_STORE);
	case 2:
		return vmcs12_readn(v, CR0_GUEST_HOST_MASK) & vmcs12_readn(v, CR0_READ_SHADOW) & CR0_TS;
	default:
		return nested_l1_gets_lmsw(v, (u16)(qualification >> 16));
	}
}

/* --- all --- */

/* No default: the compiler names a reason that is missing here. */
static bool l1_gets(struct vcpu *vcpu, enum exit_reason reason)
{
	switch (reason) {
	case EXIT_REASON_EXCEPTION_OR_NMI:
		return exception(vcpu);
	/* The processor's own interrupts, and what L0 makes by itself: vmx/nested/events.c. */
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_INIT:
	case EXIT_REASON_SIPI:
	case EXIT_REASON_IO_SMI:
	case EXIT_REASON_OTHER_SMI:
	case EXIT_REASON_RSM:
	case EXIT_REASON_PREEMPTION_TIMER:
		return false;
	/* A machine check during the entry: the host's handler has seen it. */
	case EXIT_REASON_MACHINE_CHECK:
		return true;
	/* Nothing decides these. */
	case EXIT_REASON_TRIPLE_FAULT:
	case EXIT_REASON_TASK_SWITCH:
	case EXIT_REASON_CPUID:
	case EXIT_REASON_GETSEC:
	case EXIT_REASON_INVD:
	case EXIT_REASON_VMCALL:
	case EXIT_REASON_VMCLEAR:
	case EXIT_REASON_VMLAUNCH:
	case EXIT_REASON_VMPTRLD:
	case EXIT_REASON_VMPTRST:
	case EXIT_REASON_VMREAD:
	case EXIT_REASON_VMRESUME:
	case EXIT_REASON_VMWRITE:
	case EXIT_REASON_VMXOFF:
	case EXIT_REASON_VMXON:
	case EXIT_REASON_INVEPT:
	case EXIT_REASON_INVVPID:
	case EXIT_REASON_XSETBV:
	case EXIT_REASON_INVALID_GUEST_STATE:
	case EXIT_REASON_MSR_LOADING:
		return true;
	case EXIT_REASON_INTERRUPT_WINDOW:
		return primary(vcpu, PRIMARY_INTERRUPT_WINDOW);
	case EXIT_REASON_NMI_WINDOW:
		return primary(vcpu, PRIMARY_NMI_WINDOW);
	case EXIT_REASON_HLT:
		return primary(vcpu, PRIMARY_HLT);
	case EXIT_REASON_INVLPG:
		return primary(vcpu, PRIMARY_INVLPG);
	case EXIT_REASON_RDPMC:
		return primary(vcpu, PRIMARY_RDPMC);
	case EXIT_REASON_RDTSC:
	case EXIT_REASON_RDTSCP:
		return primary(vcpu, PRIMARY_RDTSC);
	case EXIT_REASON_CR_ACCESS:
		return cr_access(vcpu);
	case EXIT_REASON_MOV_DR:
		return primary(vcpu, PRIMARY_MOV_DR);
	case EXIT_REASON_IO:
		return port(vcpu);
	case EXIT_REASON_RDMSR:
		return nested_l1_gets_msr(vcpu, (u32)vcpu->regs[REG_RCX], false);
	case EXIT_REASON_WRMSR:
		return nested_l1_gets_msr(vcpu, (u32)vcpu->regs[REG_RCX], true);
	case EXIT_REASON_MWAIT:
		return primary(vcpu, PRIMARY_MWAIT);
	case EXIT_REASON_MONITOR_TRAP:
		return true;		/* L1's flag, or an event of L1's: L0 has none of its own */
	case EXIT_REASON_MONITOR:
		return primary(vcpu, PRIMARY_MONITOR);
	case EXIT_REASON_PAUSE:
		return primary(vcpu, PRIMARY_PAUSE) || secondary(vcpu, SECONDARY_PAUSE_LOOP);
	case EXIT_REASON_TPR_THRESHOLD:
		return primary(vcpu, PRIMARY_TPR_SHADOW);
	/* Only L1's controls cause them. */
	case EXIT_REASON_APIC_ACCESS:
	case EXIT_REASON_VIRTUALIZED_EOI:
	case EXIT_REASON_APIC_WRITE:
	case EXIT_REASON_GDTR_IDTR:
	case EXIT_REASON_LDTR_TR:
	case EXIT_REASON_RDRAND:
	case EXIT_REASON_RDSEED:
	case EXIT_REASON_INVPCID:
	case EXIT_REASON_XSAVES:
	case EXIT_REASON_XRSTORS:
		return true;
	case EXIT_REASON_WBINVD:
		return secondary(vcpu, SECONDARY_WBINVD);
	/* vmx/nested/ept.c asks L1's tables first. */
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIGURATION:
		return false;
	/* Not offered to L1: L0's, which raises #UD for instructions. */
	case EXIT_REASON_VMFUNC:
	case EXIT_REASON_ENCLS:
	case EXIT_REASON_PML_FULL:
	case EXIT_REASON_PCONFIG:
	case EXIT_REASON_SPP:
	case EXIT_REASON_UMWAIT:
	case EXIT_REASON_TPAUSE:
	case EXIT_REASON_LOADIWKEY:
	case EXIT_REASON_ENCLV:
	case EXIT_REASON_ENQCMD:
	case EXIT_REASON_ENQCMDS:
	case EXIT_REASON_BUS_LOCK:
	case EXIT_REASON_NOTIFY:
	case EXIT_REASON_SEAMCALL:
	case EXIT_REASON_TDCALL:
		return false;
	}
	/* A reason that this list does not know cannot be handled for L1 as L1's own: L1 decides. */
	return true;
}

bool nested_l1_gets(struct vcpu *vcpu, union vmx_exit_reason reason)
{
	return l1_gets(vcpu, (enum exit_reason)reason.basic);
}
