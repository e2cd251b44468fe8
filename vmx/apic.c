/* SPDX-License-Identifier: MIT */
/*
 * The local APIC by hardware. Intel SDM, "APIC Virtualization and Virtual Interrupts".
 *
 * The virtual-APIC page is where the model in dev/irq keeps the registers that the processor reads and writes by
 * itself. Events are chosen before an entry as ever; then vmx_apic_entry() tells the processor what it needs to know.
 * vmx/caps.c chooses what is used of it.
 */
#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "core/irqchip.h"
#include "core/mem/tdp_change.h"
#include "core/mem/tdp_flush.h"
#include "vmx/vmx.h"

/*
 * A guest that is a hypervisor has TPR alone: its own guests would find the APIC-access page in the tables that are
 * made from the VM's, and vmcs02 would have to give back what its processor has made of the vectors.
 */
enum apic_hardware vmx_apic_hardware(const struct vm *vm)
{
	return vm->l2_ops && vmx_caps.apic == APIC_BY_HARDWARE ? APIC_TPR : vmx_caps.apic;
}

/* In every mode of the local APIC CR8 is TPR's upper half. SDM, "Virtualizing CR8-Based TPR Accesses". */
u32 vmx_apic_primary(const struct vm *vm)
{
	if (vm->apic_hardware == APIC_BY_SOFTWARE)
		return vmx_caps.primary;
	return (vmx_caps.primary & ~(u32)(PRIMARY_CR8_LOAD | PRIMARY_CR8_STORE)) | PRIMARY_TPR_SHADOW;
}

/* --- before an entry --- */

/* The threshold is at most VTPR[7:4], as VM entry wants it: an interrupt that TPR does not hold back needs none. */
static void set_threshold(struct vcpu_vmx *vmx)
{
	u32 threshold = vmx->vcpu.vm->irqchip->held_by_tpr(vmx->vcpu.vlapic);
	if (threshold == vmx->vmcs.tpr_threshold)
		return;
	vmx->vmcs.tpr_threshold = threshold;
	vmx->vcpu.tpr_watched = threshold;
	vmcs_write32(TPR_THRESHOLD, threshold);
}

void vmx_apic_entry(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct apic_vectors vectors;

	if (vcpu->vm->apic_hardware == APIC_TPR) {
		set_threshold(vmx);
		return;
	}
	vcpu->vm->irqchip->hand_over(vcpu->vlapic, &vectors);
	vmcs_write16(GUEST_INTERRUPT_STATUS, (u16)(vectors.requested | vectors.in_service << 8));
	if (unlikely(vectors.level_changed))
		for (unsigned i = 0; i < ARRAY_SIZE(vectors.level); i++)
			vmcs_write64(eoi_exit_bitmap(i), vectors.level[i]);
}

/* --- where the guest accesses it --- */

/* SDM, "Virtualizing MSR-Based APIC Accesses": registers that the processor reads from the page, and writes in full. */
#define X2APIC_RANGE(first, last) (((2ull << ((last) - (first))) - 1) << (first))
#define READS_PASSED  (BIT_ULL(LAPIC_ID) | BIT_ULL(LAPIC_VERSION) | BIT_ULL(LAPIC_TPR) | BIT_ULL(LAPIC_PPR) |		\
		       BIT_ULL(LAPIC_LDR) | BIT_ULL(LAPIC_SVR) | X2APIC_RANGE(LAPIC_ISR, LAPIC_IRR + 7) | BIT_ULL(LAPIC_ESR) | \
		       BIT_ULL(LAPIC_ICR) | X2APIC_RANGE(LAPIC_LVT, LAPIC_INITIAL_COUNT) | BIT_ULL(LAPIC_DIVIDE))
#define WRITES_PASSED (BIT_ULL(LAPIC_TPR) | BIT_ULL(LAPIC_EOI) | BIT_ULL(LAPIC_SELF_IPI))

void vmx_apic_create_bitmap(struct vm *vm)
{
	u8 *bitmap = ((struct vmx_vm *)vm->vendor)->x2apic_bitmap;

	for (unsigned reg = 0; reg < 64; reg++)
		vmx_bitmap_pass(bitmap, MSR_X2APIC(reg), READS_PASSED >> reg & 1, WRITES_PASSED >> reg & 1);
}

static void write_access(struct vcpu_vmx *vmx)
{
	struct vmx_vm *vm = vmx->vcpu.vm->vendor;
	u32 secondary = vmx->vmcs.secondary & ~(u32)(SECONDARY_APIC_ACCESSES | SECONDARY_X2APIC);
	bool x2apic = false;

	secondary |= SECONDARY_APIC_REGISTERS | SECONDARY_INTERRUPT_DELIVERY;
	if (vmx->apic_access == APIC_ACCESS_PAGE)
		secondary |= vmx_caps.apic_secondary & SECONDARY_APIC_ACCESSES;
	else if (vmx->apic_access == APIC_ACCESS_MSRS)
		x2apic = vmx_caps.apic_secondary & SECONDARY_X2APIC;
	secondary |= x2apic ? SECONDARY_X2APIC : 0;
	vmx->vmcs.secondary = secondary;
	vmcs_write32(SECONDARY_CONTROLS, secondary);
	vmcs_write64(MSR_BITMAP, virt_to_phys(x2apic ? vm->x2apic_bitmap : vm->msr_bitmap));
	vmx_flush_tdp(&vmx->vcpu);
}

static bool all_use_page(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (READ_ONCE(to_vmx(vm->vcpus[i])->apic_access) != APIC_ACCESS_PAGE)
			return false;
	return vmx_caps.apic_secondary & SECONDARY_APIC_ACCESSES;
}

/*
 * To a vCPU that does not use it as such the APIC-access page would be RAM like any other. So it is mapped only while
 * all of the VM's vCPUs do; otherwise the accesses of those that do are EPT violations. When a vCPU's control changes, no
 * TLB has the page for it: the page is unmapped before, or mapped after, and the vCPU is flushed. SDM, "APIC-Access Page".
 */
void vmx_apic_access(struct vcpu *vcpu, enum apic_access access)
{
	struct vm *vm = vcpu->vm;
	struct vmx_vm *pages = vm->vendor;
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vmx->apic_access == access)
		return;
	while (__atomic_exchange_n(&pages->apic_changing, true, __ATOMIC_ACQUIRE)) {
		tdp_flush_answer();
		cpu_relax();
	}
	WRITE_ONCE(vmx->apic_access, access);
	if (access != APIC_ACCESS_PAGE)
		(void)tdp_unmap(vm, LAPIC_DEFAULT_BASE, PAGE_SIZE);	/* it is not used for anything else */
	if (this_cpu()->current_vcpu == vcpu)
		write_access(vmx);
	/* Without memory for tables the accesses exit. */
	if (all_use_page(vm))
		(void)tdp_remap(vm, LAPIC_DEFAULT_BASE, virt_to_phys(pages->apic_access), PAGE_SIZE, true);
	__atomic_store_n(&pages->apic_changing, false, __ATOMIC_RELEASE);
}

void vmx_apic_reset(struct vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (vcpu->vm->apic_hardware == APIC_BY_SOFTWARE)
		return;
	vmcs_write64(VIRTUAL_APIC_ADDRESS, virt_to_phys(vcpu->vlapic));
	vmcs_write32(TPR_THRESHOLD, 0);
	vmx->vmcs.tpr_threshold = 0;
	vcpu->tpr_watched = false;
	if (vcpu->vm->apic_hardware == APIC_TPR)
		return;
	vmcs_write16(GUEST_INTERRUPT_STATUS, 0);
	for (unsigned i = 0; i < 4; i++)
		vmcs_write64(eoi_exit_bitmap(i), 0);
	if (vmx_caps.apic_secondary & SECONDARY_APIC_ACCESSES)
		vmcs_write64(APIC_ACCESS_ADDRESS, virt_to_phys(((struct vmx_vm *)vcpu->vm->vendor)->apic_access));
	write_access(vmx);
}
