/* SPDX-License-Identifier: MIT */
/*
 * Loading a vCPU on a CPU, and putting it, under VMX.
 *
 * A VMCS that is put stays active on its CPU, and launched: the next load there is a VMPTRLD, or nothing if it is
 * still the current one. VMCLEAR is for leaving the CPU: vmx_vcpu_release(). SDM, "The Virtual-Machine Control
 * Structure", "Software Use of Virtual-Machine Control Structures".
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "core/cpu/speculation.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define VPIDS 0x10000u		/* 16 bits */

const u32 vmx_live_msrs[LIVE_MSRS] = {
	[LIVE_STAR] = MSR_STAR,
	[LIVE_LSTAR] = MSR_LSTAR,
	[LIVE_CSTAR] = MSR_CSTAR,
	[LIVE_SYSCALL_MASK] = MSR_SYSCALL_MASK,
	[LIVE_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[LIVE_TSC_AUX] = MSR_TSC_AUX,
};

/* --- host state --- */

/*
 * What belongs to the CPU or the VM: written when the VMCS comes to another CPU. VM exits set the limits of GDTR
 * and IDTR to FFFFh, and nothing reloads them: no selector beyond the GDT's end is ever loaded, and 256 vectors of
 * 16 bytes end where the IDT does. The TSS has just the limit, 67h, that exits give TR.
 */
/* SDM, "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host Segment Registers" */
static void write_host_state(const struct vcpu_vmx *vmx, const struct percpu *cpu)
{
	const struct vmcs_setting host[] = {
		vmcs_setn(HOST_CR0, read_cr0()),
		vmcs_setn(HOST_CR3, vmx->vcpu.vm->space.root),
		vmcs_setn(HOST_CR4, read_cr4()),
		vmcs_setn(HOST_RIP, (u64)vmx_exit_point),
		vmcs_set16(HOST_CS_SELECTOR, GDT_CODE),
		vmcs_set16(HOST_SS_SELECTOR, 0),
		vmcs_set16(HOST_DS_SELECTOR, 0),
		vmcs_set16(HOST_ES_SELECTOR, 0),
		vmcs_set16(HOST_FS_SELECTOR, 0),
		vmcs_set16(HOST_GS_SELECTOR, 0),
		vmcs_set16(HOST_TR_SELECTOR, GDT_TSS),
		vmcs_setn(HOST_FS_BASE, 0),
		vmcs_setn(HOST_GS_BASE, (u64)cpu),
		vmcs_setn(HOST_TR_BASE, tss_base(cpu)),
		vmcs_setn(HOST_GDTR_BASE, gdt_base(cpu)),
		vmcs_setn(HOST_IDTR_BASE, idt_base()),
		vmcs_set32(HOST_SYSENTER_CS, 0),
		vmcs_setn(HOST_SYSENTER_ESP, 0),
		vmcs_setn(HOST_SYSENTER_EIP, 0),
	};

	vmcs_write_list(host, ARRAY_SIZE(host));
	if (vmx_switches_pat())
		vmcs_write64(HOST_PAT, rdmsr(MSR_PAT));
	if (vmx_switches_efer())
		vmcs_write64(HOST_EFER, rdmsr(MSR_EFER));
	else
		vmx->efer_lists[1].value = rdmsr(MSR_EFER);
}

/* --- translations --- */

/* SDM, "INVVPID - Invalidate Translations Based on VPID" */
static void invvpid(enum invvpid_type type, u32 vpid)
{
	const struct {
		u64 id, address;
	} descriptor = { vpid, 0 };
	bool done;

	__asm__ volatile("invvpid %1, %2" : "=@cca"(done) : "m"(descriptor), "r"((u64)type) : "memory");
	BUG_ON(!done);
}

void vmx_flush_tlb(const struct vcpu *vcpu)
{
	u32 vpid = ((const struct vcpu_vmx *)vcpu)->vmcs.tlb_id.id;

	if (!vmx_has_vpid())
		return;
	if (vmx_caps.ept_vpid & EPT_INVVPID_SINGLE)
		invvpid(INVVPID_SINGLE, vpid);
	else
		invvpid(INVVPID_ALL, 0);
}

/*
 * INVEPT covers all VPIDs: combined mappings bear the EPT's root as well. Shadow tables for L2 are made from the VM's EPT: what
 * the processor has cached of them is invalidated before L2's next entry.
 */
void vmx_flush_tdp(struct vcpu *vcpu)
{
	ept_flush(vcpu->vm);
	if (unlikely(to_vmx(vcpu)->nested))
		nested_vmx_forget(vcpu);
}

/*
 * A vCPU that is new on this CPU has its VM's EPT flushed: the pages of the tables may have been another VM's, or
 * have changed while no vCPU of the VM was here. So may those of its shadow tables: each before it is used.
 * Without VPIDs entries and exits flush what else there is.
 */
static __always_inline void choose_tlb_id(struct vcpu_vmx *vmx, struct percpu *cpu)
{
	bool new_here = vmx->vmcs.tlb_id.cpu != cpu;
	enum tlb_id_change change = tlb_id_assign(&vmx->vmcs.tlb_id, cpu, VPIDS);

	if (new_here) {
		ept_flush(vmx->vcpu.vm);
		if (vmx->nested)
			shadow_flush_all(vmx->nested->shadow);
	}
	if (change == TLB_ID_KEPT || !vmx_has_vpid())
		return;
	if (change == TLB_ID_NEW_FLUSH_ALL)
		invvpid(INVVPID_ALL, 0);
	vmcs_write16(VPID, (u16)vmx->vmcs.tlb_id.id);
}

/* --- registers that stay in the hardware --- */

static bool has_live_msr(unsigned index)
{
	return vmx_live_msrs[index] != MSR_TSC_AUX || cpu_features.rdtscp;
}

#define READ_DR(n)  ({ u64 value_; __asm__ volatile("mov %%db" #n ", %0" : "=r"(value_)); value_; })
#define WRITE_DR(n, value) __asm__ volatile("mov %0, %%db" #n : : "r"(value))

static void load_live_registers(const struct vcpu_vmx *vmx)
{
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		if (has_live_msr(i))
			wrmsr(vmx_live_msrs[i], vmx->live_msrs[i]);
	write_cr2(vmx->cr2);
	WRITE_DR(0, vmx->dr[0]);
	WRITE_DR(1, vmx->dr[1]);
	WRITE_DR(2, vmx->dr[2]);
	WRITE_DR(3, vmx->dr[3]);
	WRITE_DR(6, vmx->dr6);
}

static void save_live_registers(struct vcpu_vmx *vmx)
{
	for (unsigned i = 0; i < LIVE_MSRS; i++)
		if (has_live_msr(i))
			vmx->live_msrs[i] = rdmsr(vmx_live_msrs[i]);
	vmx->cr2 = read_cr2();
	vmx->dr[0] = READ_DR(0);
	vmx->dr[1] = READ_DR(1);
	vmx->dr[2] = READ_DR(2);
	vmx->dr[3] = READ_DR(3);
	vmx->dr6 = READ_DR(6);
}

void vmx_reset_live_msrs(struct vcpu_vmx *vmx)
{
	for (unsigned i = 0; i < LIVE_MSRS; i++) {
		vmx->live_msrs[i] = 0;
		if (has_live_msr(i))
			wrmsr(vmx_live_msrs[i], 0);
	}
	if (cpu_features.spec_ctrl)
		wrmsr(MSR_SPEC_CTRL, 0);
}

void vmx_reset_debug_registers(void)
{
	WRITE_DR(0, 0ull);
	WRITE_DR(1, 0ull);
	WRITE_DR(2, 0ull);
	WRITE_DR(3, 0ull);
	WRITE_DR(6, DR6_RESET);
}

/* --- load, put, release --- */

/* A VMCS that is active on one CPU must not be touched by another: the fields may be in the first one's caches. */
static void make_current(struct vcpu_vmx *vmx, struct percpu *cpu)
{
	hpa_t vmcs = virt_to_phys(vmx->vmcs.page);

	BUG_ON(vmx->vmcs.active_on && vmx->vmcs.active_on != cpu);
	if (cpu->vendor_current == vmx->vmcs.page)
		return;
	if (!vmx->vmcs.filled)
		BUG_ON(!vmclear(vmcs));
	BUG_ON(!vmptrld(vmcs));
	cpu->vendor_current = vmx->vmcs.page;
}

static void come_to(struct vcpu_vmx *vmx, struct percpu *cpu)
{
	vmx->vmcs.active_on = cpu;
	if (!vmx->vmcs.filled)
		vmx_write_controls(vmx);
	vmx->vmcs.filled = true;
	write_host_state(vmx, cpu);
	vmx->vmcs.host_rsp = 0;
	vmx->vcpu.deadline_in_hardware = vmx_has_preemption_timer();
}

static __always_inline void use_vmcs(struct vcpu_vmx *vmx, struct percpu *cpu)
{
	make_current(vmx, cpu);
	if (unlikely(vmx->vmcs.active_on != cpu))
		come_to(vmx, cpu);
	choose_tlb_id(vmx, cpu);
}

void vmx_use_vmcs(struct vcpu_vmx *vmx)
{
	use_vmcs(vmx, this_cpu());
}

void vmx_release_vmcs(struct vmcs *vmcs)
{
	struct percpu *cpu = this_cpu();

	if (!vmcs->active_on)
		return;
	BUG_ON(vmcs->active_on != cpu);
	BUG_ON(!vmclear(virt_to_phys(vmcs->page)));
	if (cpu->vendor_current == vmcs->page)
		cpu->vendor_current = NULL;
	vmcs->active_on = NULL;
	vmcs->launched = false;
}

void vmx_vcpu_load(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct percpu *cpu = this_cpu();

	use_vmcs(vmx, cpu);
	if (unlikely(vcpu->l2_runs))
		nested_forget_apic_access(vcpu);
	fpu_restore(&vmx->fpu);
	load_live_registers(vmx);
	speculation_switch_vm(cpu, vcpu->vm->id);
	speculation_load_guest(vcpu->spec_ctrl);
}

void vmx_vcpu_put(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_store_dirty_regs(vcpu);
	if (unlikely(vcpu->l2_runs))
		nested_forget_apic_access(vcpu);
	save_live_registers(vmx);
	vcpu->spec_ctrl = speculation_save_guest();
	fpu_save(&vmx->fpu);
	vcpu->regs_available = 0;
}

void vmx_vcpu_release(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_release_vmcs(&vmx->vmcs);
	if (!vmx->nested)
		return;
	vmx_release_vmcs(&vmx->nested->l2.other);
	nested_shadowing_release(vmx);
}
