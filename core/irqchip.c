/* SPDX-License-Identifier: MIT */
/* The interface between the models of the interrupt controllers and the vCPUs. */
#include "core/irqchip.h"

#include "core/cpu/cpuid.h"
#include "core/event.h"
#include "core/vcpu.h"
#include "core/vm.h"

void irq_line_set(struct vm *vm, unsigned irq, bool level)
{
	/* Devices are created, and may set their lines, before the controllers. */
	if (vm->irqchip)
		vm->irqchip->set_line(vm, irq, level);
}

bool irq_line_waiting(struct vm *vm, unsigned irq)
{
	return vm->irqchip->line_waiting(vm, irq);
}

void vcpu_interrupt_changed(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_EVENT);
}

void vcpu_interrupt_sent(struct vcpu *vcpu)
{
	vcpu_kick(vcpu, REQ_EVENT);
}

bool vcpu_home_is_here(const struct vcpu *vcpu)
{
	return vcpu_is_home(vcpu);
}

struct posted_interrupts *vcpu_posted(struct vcpu *vcpu)
{
	return &vcpu->posted;
}

void vm_lock(struct vm *vm)
{
	spin_lock(&vm->lock);
}

void vm_unlock(struct vm *vm)
{
	spin_unlock(&vm->lock);
}

void vm_set_irqchip(struct vm *vm, const struct irqchip_ops *ops, void *data)
{
	vm->irqchip_data = data;
	vm->irqchip = ops;
}

void *vm_irqchip_data(const struct vm *vm)
{
	return vm->irqchip_data;
}

u32 vm_vcpu_count(const struct vm *vm)
{
	return vm->vcpu_count;
}

struct vcpu *vm_vcpu(struct vm *vm, u32 index)
{
	return vm->vcpus[index];
}

struct vcpu *vm_bsp(struct vm *vm)
{
	return vm->vcpus[0];
}

struct vm *vcpu_vm(const struct vcpu *vcpu)
{
	return vcpu->vm;
}

void vcpu_tpr_written(struct vcpu *vcpu, u8 tpr)
{
	if (vcpu->vm->apic_hardware != APIC_BY_SOFTWARE && vcpu->ops->tpr_written)
		vcpu->ops->tpr_written(vcpu, tpr);
}

enum apic_hardware vm_apic_hardware(const struct vm *vm)
{
	return vm->apic_hardware;
}

void vcpu_apic_access_changed(struct vcpu *vcpu, enum apic_access access)
{
	vcpu->ops->apic_access(vcpu, access);
}

u32 vcpu_apic_id(const struct vcpu *vcpu)
{
	return vcpu->id;
}

void *vcpu_vlapic(const struct vcpu *vcpu)
{
	return vcpu->vlapic;
}

void vcpu_set_vlapic(struct vcpu *vcpu, void *vlapic)
{
	vcpu->vlapic = vlapic;
}

u8 vcpu_physical_bits(const struct vcpu *vcpu)
{
	return cpuid_physical_bits(vcpu);
}
