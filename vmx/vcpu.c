/* SPDX-License-Identifier: MIT */
/* A vCPU under VMX: creating its VMCS, resetting the guest state. */
#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/cpuid.h"
#include "lib/string.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

#define WRITE_LIST(list) vmcs_write_list(list, ARRAY_SIZE(list))

#define PAT_RESET 0x0007040600070406ull

/* --- creation --- */

struct vcpu *vmx_vcpu_create(struct vm *vm)
{
	struct vcpu_vmx *vmx = page_alloc();

	void *fpu_image;

	if (!vmx)
		return NULL;
	vmx->vcpu.vm = vm;
	vmx->vmcs.page = page_alloc();
	fpu_image = pages_alloc(fpu_image_order());
	if (fpu_image)
		fpu_state_init(&vmx->fpu, fpu_image);
	if (!vmx_switches_efer())
		vmx->efer_lists = page_alloc();
	if (!vmx->vmcs.page || !fpu_image || (!vmx_switches_efer() && !vmx->efer_lists) ||
	    (vm->l2_ops && nested_vmx_create(vmx))) {
		vmx_vcpu_destroy(&vmx->vcpu);
		return NULL;
	}
	*(u32 *)vmx->vmcs.page = vmx_caps.revision;
	vmx->dr6 = DR6_RESET;
	return &vmx->vcpu;
}

void vmx_vcpu_destroy(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_vcpu_release(vcpu);		/* the processor may write to an active VMCS at any time */
	nested_vmx_destroy(vmx);
	if (vmx->efer_lists)
		page_free(vmx->efer_lists);
	if (vmx->fpu.image)
		pages_free(vmx->fpu.image, fpu_image_order());
	if (vmx->vmcs.page)
		page_free(vmx->vmcs.page);
	page_free(vmx);
}

/* --- controls; vmx_vcpu_reset() writes the guest state, vmx/switch.c the host state --- */

/* SDM, "VM-Entry Controls for MSRs": MSR-load lists for EFER, where the VMCS has no fields for it. vmx/switch.c fills in the host's. */
static void write_efer_lists(struct vcpu_vmx *vmx)
{
	const struct vmcs_setting lists[] = {
		vmcs_set64(ENTRY_MSR_LOAD_ADDRESS, virt_to_phys(&vmx->efer_lists[0])),
		vmcs_set32(ENTRY_MSR_LOAD_COUNT, 1),
		vmcs_set64(EXIT_MSR_LOAD_ADDRESS, virt_to_phys(&vmx->efer_lists[1])),
		vmcs_set32(EXIT_MSR_LOAD_COUNT, 1),
	};

	vmx->efer_lists[0] = (struct vmx_msr_entry){ .index = MSR_EFER };
	vmx->efer_lists[1] = (struct vmx_msr_entry){ .index = MSR_EFER, };
	WRITE_LIST(lists);
}

/* An instruction that this guest's CPUID does not show must raise #UD: leave its control off. */
static u32 secondary_controls(struct vcpu *vcpu)
{
	u32 controls = vmx_caps.secondary & ~(u32)SECONDARY_PAUSE_LOOP;

	if (!cpuid_has(vcpu, FEATURE_RDTSCP))
		controls &= ~(u32)SECONDARY_RDTSCP;
	if (!cpuid_has(vcpu, FEATURE_INVPCID))
		controls &= ~(u32)SECONDARY_INVPCID;
	if (!(cpuid_guest(vcpu, 0xd, 1).eax & BIT(3)))
		controls &= ~(u32)SECONDARY_XSAVES;
	return controls;
}

void vmx_write_controls(struct vcpu_vmx *vmx)
{
	struct vcpu *vcpu = &vmx->vcpu;
	const struct vmcs_setting controls[] = {
		vmcs_set32(PIN_BASED_CONTROLS, vmx_caps.pin),
		vmcs_set32(PRIMARY_CONTROLS, vmx_apic_primary(vcpu->vm)),
		vmcs_set32(SECONDARY_CONTROLS, secondary_controls(vcpu)),
		vmcs_set32(EXIT_CONTROLS, vmx_caps.exit),
		vmcs_set32(ENTRY_CONTROLS, vmx_caps.entry),
		vmcs_set32(EXCEPTION_BITMAP, EXCEPTIONS_THAT_EXIT),
		vmcs_set32(PAGE_FAULT_MASK, 0),
		vmcs_set32(PAGE_FAULT_MATCH, 0),
		vmcs_set32(CR3_TARGET_COUNT, 0),
		vmcs_set32(EXIT_MSR_STORE_COUNT, 0),
		vmcs_set32(EXIT_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_MSR_LOAD_COUNT, 0),
		vmcs_set32(ENTRY_INTERRUPTION_INFO, 0),
		vmcs_set32(GUEST_ACTIVITY, ACTIVITY_ACTIVE),
		vmcs_set64(GUEST_DEBUGCTL, 0),
		vmcs_set64(MSR_BITMAP, virt_to_phys(vcpu->vm->vendor)),
		vmcs_set64(EPT_POINTER, ept_pointer(vcpu->vm)),
		vmcs_set64(VMCS_LINK_POINTER, ~0ull),
	};

	vmx->vmcs.primary = vmx_apic_primary(vcpu->vm);
	vmx->vmcs.secondary = secondary_controls(vcpu);
	vmx->vmcs.entry_controls = vmx_caps.entry;
	WRITE_LIST(controls);
	if (vmx_caps.secondary & SECONDARY_XSAVES)
		vmcs_write64(XSS_EXITING_BITMAP, 0);
	if (vmx_caps.secondary & SECONDARY_ENCLS)
		vmcs_write64(ENCLS_EXITING_BITMAP, ~0ull);
	if (vmx_caps.secondary & SECONDARY_NOTIFY)
		vmcs_write32(NOTIFY_WINDOW, 0);		/* the processor adds what no instruction takes */
	if (vmx_has_pause_loop_exits()) {
		vmcs_write32(PLE_GAP, PAUSE_LOOP_GAP);
		vmcs_write32(PLE_WINDOW, PAUSE_LOOP_WINDOW);
	}
	if (!vmx_switches_efer())
		write_efer_lists(vmx);
}

void vmx_pause_exits(struct vcpu *vcpu, bool on)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx_has_pause_loop_exits())
		return;
	if (on)
		vmx->vmcs.secondary |= SECONDARY_PAUSE_LOOP;
	else
		vmx->vmcs.secondary &= ~(u32)SECONDARY_PAUSE_LOOP;
	vmcs_write32(SECONDARY_CONTROLS, vmx->vmcs.secondary);
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

/*
 * MSRs that INIT leaves alone, XCR0, and the floating-point and vector registers. DEBUGCTL is not among them: no
 * guest can set it, so that it is 0 anyway.
 */
static void power_up(struct vcpu_vmx *vmx)
{
	const struct vmcs_setting msrs[] = {
		vmcs_set64(GUEST_DEBUGCTL, 0),
		vmcs_set32(GUEST_SYSENTER_CS, 0),
		vmcs_setn(GUEST_SYSENTER_ESP, 0),
		vmcs_setn(GUEST_SYSENTER_EIP, 0),
	};

	WRITE_LIST(msrs);
	BUG_ON(vmx_msr_set(&vmx->vcpu, MSR_PAT, PAT_RESET));
	vmx_reset_live_msrs(vmx);
	fpu_restore_initial(&vmx->fpu);
}

void vmx_vcpu_reset(struct vcpu *vcpu, bool init)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const u64 caches = CR0_CD | CR0_NW;
	u64 cr0 = CR0_ET | (init ? vmx_control_get(vcpu, CTL_CR0) & caches : caches);
	const struct vmcs_setting guest[] = {
		vmcs_setn(GUEST_DR7, DR7_RESET),
		vmcs_set32(GUEST_ACTIVITY, 0),
		vmcs_set32(GUEST_INTERRUPTIBILITY, 0),
		vmcs_setn(GUEST_PENDING_DEBUG, 0),
		vmcs_set32(ENTRY_INTERRUPTION_INFO, 0),
	};

	WRITE_LIST(guest);
	reset_segments(vcpu);
	vmx->vmcs.want_irq_window = vmx->vmcs.want_nmi_window = vmx->nmi_blocked = false;
	vmx_interrupt_window(vcpu, false);
	vmx_control_set(vcpu, CTL_CR0, cr0);
	vmx_control_set(vcpu, CTL_CR3, 0);
	vmx_control_set(vcpu, CTL_CR4, 0);
	vmx_control_set(vcpu, CTL_EFER, 0);
	vmx_reset_debug_registers();
	write_cr2(0);
	if (!init)
		power_up(vmx);
	if (vmx->nested)
		nested_vmx_reset(vmx, init);
	vmx_apic_reset(vcpu);

	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs[REG_RDX] = cpuid(1).eax;
	vcpu->regs[REG_RIP] = 0xfff0;
	vcpu->regs[REG_RFLAGS] = RFLAGS_FIXED;
	vcpu->regs_available = REGS_LAZY;
	vcpu->regs_dirty = REGS_LAZY;
}
