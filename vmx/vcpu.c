/* SPDX-License-Identifier: MIT */
/* A vCPU under VMX: creating its VMCS, loading it on a CPU, resetting the guest state. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/cpufeature.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/cpuid.h"
#include "lib/string.h"
#include "vmx/vmx.h"

#define WRITE_LIST(list) vmcs_write_list(list, ARRAY_SIZE(list))

#define PAT_RESET 0x0007040600070406ull
#define DR6_RESET 0xffff0ff0ull
#define DR7_RESET 0x400ull

const u32 vmx_live_msrs[LIVE_MSRS] = {
	[LIVE_STAR] = MSR_STAR,
	[LIVE_LSTAR] = MSR_LSTAR,
	[LIVE_CSTAR] = MSR_CSTAR,
	[LIVE_SYSCALL_MASK] = MSR_SYSCALL_MASK,
	[LIVE_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
	[LIVE_TSC_AUX] = MSR_TSC_AUX,
};

/* --- creation --- */

struct vcpu *vmx_vcpu_create(struct vm *vm __maybe_unused)
{
	struct vcpu_vmx *vmx = page_alloc();

	if (!vmx)
		return NULL;
	vmx->vmcs = page_alloc();
	if (!vmx_switches_efer())
		vmx->efer_lists = page_alloc();
	if (!vmx->vmcs || (!vmx_switches_efer() && !vmx->efer_lists)) {
		vmx_vcpu_destroy(&vmx->vcpu);
		return NULL;
	}
	*(u32 *)vmx->vmcs = vmx_caps.revision;
	return &vmx->vcpu;
}

void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->efer_lists)
		page_free(vmx->efer_lists);
	if (vmx->vmcs)
		page_free(vmx->vmcs);
	page_free(vmx);
}

/* --- host state and controls; vmx_vcpu_reset() writes the guest state --- */

/* SDM, "Checks on Host Control Registers, MSRs, and SSP", "Checks on Host Segment Registers" */
static void write_host_state(const struct vm *vm)
{
	const struct percpu *cpu = this_cpu();
	const struct vmcs_setting host[] = {
		vmcs_setn(HOST_CR0, read_cr0()),
		vmcs_setn(HOST_CR3, vm->space.root),
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

	WRITE_LIST(host);
	if (vmx_switches_pat())
		vmcs_write64(HOST_PAT, rdmsr(MSR_PAT));
	if (vmx_switches_efer())
		vmcs_write64(HOST_EFER, rdmsr(MSR_EFER));
}

/* SDM, "VM-Entry Controls for MSRs": MSR-load lists for EFER, where the VMCS has no fields for it. */
static void write_efer_lists(struct vcpu_vmx *vmx)
{
	const struct vmcs_setting lists[] = {
		vmcs_set64(ENTRY_MSR_LOAD_ADDRESS, virt_to_phys(&vmx->efer_lists[0])),
		vmcs_set32(ENTRY_MSR_LOAD_COUNT, 1),
		vmcs_set64(EXIT_MSR_LOAD_ADDRESS, virt_to_phys(&vmx->efer_lists[1])),
		vmcs_set32(EXIT_MSR_LOAD_COUNT, 1),
	};

	vmx->efer_lists[0] = (struct vmx_msr_entry){ .index = MSR_EFER };
	vmx->efer_lists[1] = (struct vmx_msr_entry){ .index = MSR_EFER, .value = rdmsr(MSR_EFER) };
	WRITE_LIST(lists);
}

/* Never 0, which is the host's VPID. */
static u16 vpid(const struct vcpu *vcpu)
{
	return (u16)((vcpu->vm->id * VM_MAX_VCPUS + vcpu->id) % 0xffff + 1);
}

/* An instruction that this guest's CPUID does not show must raise #UD: leave its control off. */
static u32 secondary_controls(struct vcpu *vcpu)
{
	u32 controls = vmx_caps.secondary;

	if (!cpuid_has(vcpu, FEATURE_RDTSCP))
		controls &= ~(u32)SECONDARY_RDTSCP;
	if (!(cpuid_guest(vcpu, 7, 0).ebx & BIT(10)))
		controls &= ~(u32)SECONDARY_INVPCID;
	if (!(cpuid_guest(vcpu, 0xd, 1).eax & BIT(3)))
		controls &= ~(u32)SECONDARY_XSAVES;
	return controls;
}

static void write_controls(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct vmcs_setting controls[] = {
		vmcs_set32(PIN_BASED_CONTROLS, vmx_caps.pin),
		vmcs_set32(PRIMARY_CONTROLS, vmx_caps.primary),
		vmcs_set32(SECONDARY_CONTROLS, secondary_controls(vcpu)),
		vmcs_set32(EXIT_CONTROLS, vmx_caps.exit),
		vmcs_set32(ENTRY_CONTROLS, vmx_caps.entry),
		/* #MC is the host's; delivering #DB or #AC can repeat endlessly (vmx/exit.c). All others are the guest's. */
		vmcs_set32(EXCEPTION_BITMAP, BIT(X86_MC) | BIT(X86_DB) | BIT(X86_AC)),
		vmcs_set32(PAGE_FAULT_MASK, 0),
		vmcs_set32(PAGE_FAULT_MATCH, 0),
		vmcs_set32(CR3_TARGET_COUNT, 0),
		vmcs_set32(EXIT_MSR_STORE_COUNT, 0),
		vmcs_set32(EXIT_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_INTERRUPTION_INFO, 0),
		vmcs_set64(MSR_BITMAP, virt_to_phys(vcpu->vm->vendor)),
		vmcs_set64(EPT_POINTER, ept_pointer(vcpu->vm)),
		vmcs_set64(VMCS_LINK_POINTER, ~0ull),
	};

	vmx->primary = vmx_caps.primary;
	vmx->entry_controls = vmx_caps.entry;
	WRITE_LIST(controls);
	if (vmx_has_vpid())
		vmcs_write16(VPID, vpid(vcpu));
	if (vmx_caps.secondary & SECONDARY_XSAVES)
		vmcs_write64(XSS_EXITING_BITMAP, 0);
	if (vmx_caps.secondary & SECONDARY_ENCLS)
		vmcs_write64(ENCLS_EXITING_BITMAP, ~0ull);
	if (!vmx_switches_efer())
		write_efer_lists(vmx);
}

/* --- load and put --- */

/* SDM, "INVVPID - Invalidate Translations Based on VPID" */
void vmx_flush_tlb(const struct vcpu *vcpu)
{
	const struct {
		u64 id, address;
	} descriptor = { vpid(vcpu), 0 };
	const u64 single = 1, all = 2;
	bool done;

	if (!vmx_has_vpid())
		return;
	__asm__ volatile("invvpid %1, %2"
			 : "=@cca"(done)
			 : "m"(descriptor),
			   "r"(vmx_caps.ept_vpid & EPT_INVVPID_SINGLE ? single : all)
			 : "memory");
	BUG_ON(!done);
}

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
	if (cpu_features.xsave)
		xsetbv0(vmx->xcr0);
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
	if (cpu_features.xsave)
		vmx->xcr0 = xgetbv0();
	vmx->cr2 = read_cr2();
	vmx->dr[0] = READ_DR(0);
	vmx->dr[1] = READ_DR(1);
	vmx->dr[2] = READ_DR(2);
	vmx->dr[3] = READ_DR(3);
	vmx->dr6 = READ_DR(6);
}

static void reset_live_registers(struct vcpu_vmx *vmx)
{
	memset(vmx->live_msrs, 0, sizeof(vmx->live_msrs));
	memset(vmx->dr, 0, sizeof(vmx->dr));
	vmx->xcr0 = 1;
	vmx->cr2 = 0;
	vmx->dr6 = DR6_RESET;
	load_live_registers(vmx);
}

void vmx_vcpu_load(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	hpa_t vmcs = virt_to_phys(vmx->vmcs);

	if (!vmx->filled) {
		BUG_ON(!vmclear(vmcs));
		vmx->xcr0 = 1;
		vmx->dr6 = DR6_RESET;
	}
	BUG_ON(!vmptrld(vmcs));
	write_host_state(vcpu->vm);
	if (!vmx->filled)
		write_controls(vmx);
	vmx->filled = true;
	vmx->host_rsp = 0;
	vcpu->deadline_in_hardware = vmx_has_preemption_timer();

	/* Another VM may have used this VPID, or the pages of this VM's EPT. */
	ept_flush(vcpu->vm);
	vmx_flush_tlb(vcpu);
	load_live_registers(vmx);
}

void vmx_vcpu_put(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_store_dirty_regs(vcpu);
	save_live_registers(vmx);
	BUG_ON(!vmclear(virt_to_phys(vmx->vmcs)));
	vmx->launched = false;
	vcpu->regs_available = 0;
}

/* --- reset --- */

/* SDM, "Processor State After Reset". Types: data and code, both accessed; LDT; busy TSS. */
static void reset_segments(struct vcpu *vcpu)
{
	const struct segment data = { .limit = 0xffff, .type = 3, .s = true, .present = true };
	const struct segment code = { .selector = 0xf000, .base = 0xffff0000, .limit = 0xffff,
				      .type = 11, .s = true, .present = true };
	const struct segment ldt = { .limit = 0xffff, .type = 2, .present = true };
	const struct segment tss = { .limit = 0xffff, .type = 11, .present = true };
	const struct descriptor_table table = { .limit = 0xffff };

	for (enum vcpu_segment i = SEG_ES; i <= SEG_GS; i++)
		vmx_segment_set(vcpu, i, i == SEG_CS ? &code : &data);
	vmx_segment_set(vcpu, SEG_LDTR, &ldt);
	vmx_segment_set(vcpu, SEG_TR, &tss);
	vmx_table_set(vcpu, false, &table);
	vmx_table_set(vcpu, true, &table);
}

void vmx_vcpu_reset(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const struct vmcs_setting guest[] = {
		vmcs_setn(GUEST_DR7, DR7_RESET),
		vmcs_set64(GUEST_DEBUGCTL, 0),
		vmcs_set32(GUEST_SYSENTER_CS, 0),
		vmcs_setn(GUEST_SYSENTER_ESP, 0),
		vmcs_setn(GUEST_SYSENTER_EIP, 0),
		vmcs_set32(GUEST_ACTIVITY, 0),
		vmcs_set32(GUEST_INTERRUPTIBILITY, 0),
		vmcs_setn(GUEST_PENDING_DEBUG, 0),
		vmcs_set32(ENTRY_INTERRUPTION_INFO, 0),
	};

	WRITE_LIST(guest);
	reset_segments(vcpu);
	vmx->want_irq_window = vmx->want_nmi_window = vmx->nmi_blocked = false;
	vmx_interrupt_window(vcpu, false);
	vmx_control_set(vcpu, CTL_CR0, CR0_CD | CR0_NW | CR0_ET);
	vmx_control_set(vcpu, CTL_CR3, 0);
	vmx_control_set(vcpu, CTL_CR4, 0);
	vmx_control_set(vcpu, CTL_EFER, 0);
	BUG_ON(vmx_msr_set(vcpu, MSR_PAT, PAT_RESET));
	reset_live_registers(vmx);

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = cpuid(1).eax;
	vcpu->regs[REG_RIP] = 0xfff0;
	vcpu->regs[REG_RFLAGS] = RFLAGS_FIXED;
	vcpu->regs_available = REGS_LAZY;
	vcpu->regs_dirty = REGS_LAZY;
}
