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
	struct ioapic ioapic;
	bool int_output;	/* of the 8259s, as LINT0 and the IOAPIC saw it last */
};

struct ioapic *irqchip_ioapic(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	return &irqchip->ioapic;
}

/* The 8259s' output goes to the boot processor's LINT0 and to an IOAPIC pin. */
static void follow_pic(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);
	bool level = pic_pending(vm);

	if (likely(level == irqchip->int_output))
		return;
	irqchip->int_output = level;
	lapic_set_lint0(vcpu_lapic(vm_bsp(vm)), level);
	ioapic_set_pin(&irqchip->ioapic, IOAPIC_PIN_8259, level);
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
		pic_set_line(vm, irq, level);
		follow_pic(vm);
	}
	ioapic_set_pin(&irqchip->ioapic, pin_of(irq), level);
}

/* Does the 8259s' output reach this vCPU? */
static bool extint_routed(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);

	return (vcpu == vm_bsp(vm) && lapic_passes_extint(vcpu_lapic(vcpu))) ||
	       ioapic_passes_extint(irqchip_ioapic(vm), vcpu);
}

/* Do the 8259s interrupt this vCPU? ExtINT knows no priority: it passes whatever PPR says. */
static bool extint_pending(struct vcpu *vcpu)
{
	struct irqchip *irqchip = vm_irqchip_data(vcpu_vm(vcpu));

	return unlikely(irqchip->int_output) && extint_routed(vcpu);
}

static bool line_waiting(struct vm *vm, unsigned irq)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	if (irq < ISA_IRQS && pic_line_waiting(vm, irq) && extint_routed(vm_bsp(vm)))
		return true;
	return ioapic_pin_waiting(&irqchip->ioapic, pin_of(irq));
}

static int pending(struct vcpu *vcpu)
{
	/* The guest may have changed the output by a write to the 8259s' own ports. */
	follow_pic(vcpu_vm(vcpu));
	return unlikely(extint_pending(vcpu)) ? 0 : lapic_pending(vcpu_lapic(vcpu));
}

static int acknowledge(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);

	follow_pic(vm);
	if (unlikely(extint_pending(vcpu)))
		return pic_acknowledge(vm);
	return lapic_acknowledge(vcpu_lapic(vcpu));
}

static void vcpu_reset(struct vcpu *vcpu)
{
	lapic_reset(vcpu_lapic(vcpu));
}

static int msr_read(struct vcpu *vcpu, u32 msr, u64 *value)
{
	return lapic_msr_read(vcpu_lapic(vcpu), msr, value);
}

static int msr_write(struct vcpu *vcpu, u32 msr, u64 value)
{
	return lapic_msr_write(vcpu_lapic(vcpu), msr, value);
}

static void tsc_changed(struct vcpu *vcpu)
{
	lapic_timer_tsc_changed(vcpu_lapic(vcpu));
}

static u64 cr8_read(struct vcpu *vcpu)
{
	const struct lapic *lapic = vcpu_lapic(vcpu);

	return lapic->tpr >> 4;
}

static void cr8_write(struct vcpu *vcpu, u64 value)
{
	lapic_set_tpr(vcpu_lapic(vcpu), (u8)(value << 4));
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
		.name = LAPIC_REGION,
		.base = LAPIC_DEFAULT_BASE,
		.size = LAPIC_SIZE,
		.read = lapic_mmio_read,
		.write = lapic_mmio_write,
		.device = vm,
	};
	int error = irqchip ? mmio_register(vm, &page) : -ENOMEM;

	if (!error)
		error = ioapic_create(&irqchip->ioapic, vm);
	for (u32 i = 0; !error && i < vm_vcpu_count(vm); i++)
		error = lapic_create(vm_vcpu(vm, i));
	if (error) {
		vm_error(vm, "cannot create the APICs (error %d)", -error);
		return error;
	}
	vm_set_irqchip(vm, &irqchip_ops, irqchip);
	return 0;
}
