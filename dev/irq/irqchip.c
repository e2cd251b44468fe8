/* SPDX-License-Identifier: MIT */
/* How the guest's interrupt controllers are wired to each other and to the vCPUs. */
#include "dev/irq/irqchip.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/irq/vioapic.h"
#include "dev/irq/vlapic.h"
#include "dev/irq/vpic.h"
#include "dev/platform.h"
#include "lib/errno.h"

#define ISA_IRQS    16
#define ISA_CASCADE 2

struct irqchip {
	struct vioapic vioapic;
	bool int_output;	/* of the 8259s, as last passed to LINT0 and the IOAPIC */
};

struct vioapic *irqchip_ioapic(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	return &irqchip->vioapic;
}

/* The 8259s' output goes to the boot processor's LINT0 and to an IOAPIC pin. */
static void follow_pic(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);
	bool level = vpic_pending(vm);

	if (likely(level == irqchip->int_output))
		return;
	irqchip->int_output = level;
	vlapic_set_lint0(vcpu_vlapic(vm_bsp(vm)), level);
	vioapic_set_pin(&irqchip->vioapic, IOAPIC_PIN_8259, level);
}

static unsigned pin_of(unsigned irq)
{
	return irq == 0 ? IOAPIC_PIN_TIMER : irq;
}

static void set_line(struct vm *vm, unsigned irq, bool level)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	if (irq >= IOAPIC_PINS || irq == ISA_CASCADE)
		return;
	if (irq < ISA_IRQS) {
		vpic_set_line(vm, irq, level);
		follow_pic(vm);
	}
	vioapic_set_pin(&irqchip->vioapic, pin_of(irq), level);
}

/* Does the 8259s' output reach this vCPU as ExtINT? */
static bool extint_routed(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);

	return (vcpu == vm_bsp(vm) && vlapic_passes_extint(vcpu_vlapic(vcpu))) ||
	       vioapic_passes_extint(irqchip_ioapic(vm), vcpu);
}

/* Is an ExtINT of the 8259s pending for this vCPU? It has no priority: PPR does not block it. */
static bool extint_pending(struct vcpu *vcpu)
{
	struct irqchip *irqchip = vm_irqchip_data(vcpu_vm(vcpu));

	return unlikely(irqchip->int_output) && extint_routed(vcpu);
}

static bool line_waiting(struct vm *vm, unsigned irq)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	if (irq < ISA_IRQS && vpic_line_waiting(vm, irq) && extint_routed(vm_bsp(vm)))
		return true;
	return vioapic_pin_waiting(&irqchip->vioapic, pin_of(irq));
}

static int pending(struct vcpu *vcpu)
{
	/* The guest may have changed the output by a write to the 8259s' own ports. */
	follow_pic(vcpu_vm(vcpu));
	return unlikely(extint_pending(vcpu)) ? 0 : vlapic_pending(vcpu_vlapic(vcpu));
}

static int acknowledge(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);

	follow_pic(vm);
	if (unlikely(extint_pending(vcpu)))
		return vpic_acknowledge(vm);
	return vlapic_acknowledge(vcpu_vlapic(vcpu));
}

static void vcpu_reset(struct vcpu *vcpu)
{
	vlapic_reset(vcpu_vlapic(vcpu));
}

static int msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return vlapic_msr_read(vcpu_vlapic(vcpu), msr, value);
}

static int msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	return vlapic_msr_write(vcpu_vlapic(vcpu), msr, value);
}

static void tsc_changed(struct vcpu *vcpu)
{
	vlapic_timer_tsc_changed(vcpu_vlapic(vcpu));
}

static u64 cr8_read(struct vcpu *vcpu)
{
	const struct vlapic *vlapic = vcpu_vlapic(vcpu);

	return vlapic->tpr >> 4;
}

static void cr8_write(struct vcpu *vcpu, u64 value)
{
	vlapic_set_tpr(vcpu_vlapic(vcpu), (u8)(value << 4));
}

static const struct irqchip_ops irqchip_ops = {
	.set_line = set_line,
	.line_waiting = line_waiting,
	.pending = pending,
	.acknowledge = acknowledge,
	.vcpu_reset = vcpu_reset,
	.msr_read = msr_read,
	.msr_write = msr_write,
	.tsc_changed = tsc_changed,
	.cr8_read = cr8_read,
	.cr8_write = cr8_write,
};

int apic_create(struct vm *vm)
{
	struct irqchip *irqchip = vm_alloc(vm, sizeof(*irqchip));
	const struct io_region page = {
		.name = "local APIC",
		.base = LAPIC_DEFAULT_BASE,
		.size = LAPIC_SIZE,
		.read = vlapic_mmio_read,
		.write = vlapic_mmio_write,
		.device = vm,
	};
	u32 handle;
	int error = irqchip ? mmio_register(vm, &page, &handle) : -ENOMEM;

	if (!error)
		error = vioapic_create(&irqchip->vioapic, vm);
	for (u32 i = 0; !error && i < vm_vcpu_count(vm); i++)
		error = vlapic_create(vm_vcpu(vm, i), handle);
	if (error) {
		vm_error(vm, "cannot create the APICs (error %d)", -error);
		return error;
	}
	vm_set_irqchip(vm, &irqchip_ops, irqchip);
	return 0;
}
