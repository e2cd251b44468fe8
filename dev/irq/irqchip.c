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
	/* VM lock. */
	struct vioapic vioapic;
	bool int_output;	/* of the 8259s; any CPU may read it: it is true while an ExtINT may be pending */
	/* Atomic. */
	u32 lowest_turn;
	bool message_is_nmi;	/* one that the guest has prepared is, or was */
};

struct vioapic *irqchip_ioapic(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	return &irqchip->vioapic;
}

u32 *irqchip_lowest_turn(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	return &irqchip->lowest_turn;
}

void irqchip_expect_nmis(struct vm *vm)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	__atomic_store_n(&irqchip->message_is_nmi, true, __ATOMIC_RELEASE);
}

/* It goes to the boot processor's LINT0 and to an IOAPIC pin. */
void irqchip_pic_output(struct vm *vm, bool level)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	WRITE_ONCE(irqchip->int_output, level);
	vlapic_set_lint0(vcpu_vlapic(vm_bsp(vm)), level);
	vioapic_set_pin(&irqchip->vioapic, IOAPIC_PIN_8259, level);
	vcpu_interrupt_sent(vm_bsp(vm));
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
	if (irq < ISA_IRQS)
		vpic_set_line(vm, irq, level);
	vioapic_set_pin(&irqchip->vioapic, pin_of(irq), level);
}

/* Does the 8259s' output reach this vCPU as ExtINT? */
static bool extint_routed(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);

	return (vcpu == vm_bsp(vm) && vlapic_passes_extint(vcpu_vlapic(vcpu))) ||
	       vioapic_passes_extint(irqchip_ioapic(vm), vcpu);
}

/*
 * Is an ExtINT of the 8259s pending for this vCPU? It has no priority: PPR does not block it. Without the VM
 * lock: whatever makes the answer true calls vcpu_interrupt_sent() after that.
 */
static inline bool extint_pending(const struct vlapic *vlapic)
{
	return unlikely(READ_ONCE(*vlapic->int_output)) && extint_routed(vlapic->vcpu);
}

static bool line_waiting(struct vm *vm, unsigned irq)
{
	struct irqchip *irqchip = vm_irqchip_data(vm);

	if (irq < ISA_IRQS && vpic_line_waiting(vm, irq) && extint_routed(vm_bsp(vm)))
		return true;
	return vioapic_pin_waiting(&irqchip->vioapic, pin_of(irq));
}

static __always_inline int pending(void *vlapic)
{
	return unlikely(extint_pending(vlapic)) ? 0 : vlapic_pending(vlapic);
}

static __noinline int acknowledge_extint(const struct vlapic *vlapic)
{
	struct vm *vm = vcpu_vm(vlapic->vcpu);
	int vector = -1;

	vm_lock(vm);
	/* Another processor may have acknowledged it in the meantime. */
	if (extint_pending(vlapic))
		vector = vpic_acknowledge(vm);
	vm_unlock(vm);
	return vector;
}

static __always_inline int acknowledge(void *data, bool *more)
{
	struct vlapic *vlapic = data;
	bool extint = extint_pending(vlapic);
	int vector = unlikely(extint) ? acknowledge_extint(vlapic) : -1;

	if (likely(vector < 0))
		vector = vlapic_acknowledge(vlapic);
	*more = (u32)extint | vlapic->irr_hint | READ_ONCE(*vlapic->int_output) | posted_outstanding(vlapic->posted);
	return vector;
}

/* --- where the guest changes TPR without an exit --- */

static int pending_after_tpr(void *vlapic)
{
	vlapic_follow_tpr(vlapic);
	return pending(vlapic);
}

static int acknowledge_after_tpr(void *vlapic, bool *more)
{
	vlapic_follow_tpr(vlapic);
	return acknowledge(vlapic, more);
}

static unsigned held_by_tpr(void *vlapic)
{
	return vlapic_held_by_tpr(vlapic);
}

/* --- where the processor does the rest as well --- */

static int pending_extint(void *vlapic)
{
	return extint_pending(vlapic) ? 0 : -1;
}

static int acknowledge_extint_alone(void *data, bool *more)
{
	const struct vlapic *vlapic = data;
	int vector = extint_pending(vlapic) ? acknowledge_extint(vlapic) : -1;

	*more = READ_ONCE(*vlapic->int_output);
	return vector;
}

static void hand_over(void *vlapic, struct apic_vectors *vectors)
{
	vlapic_hand_over(vlapic, vectors);
}

static void register_written(void *vlapic, u32 offset)
{
	vlapic_register_written(vlapic, offset);
}

static void interrupt_ended(void *vlapic, u8 vector)
{
	vlapic_interrupt_ended(vlapic, vector);
}

/* --- for all --- */

static void vcpu_reset(struct vcpu *vcpu, bool init)
{
	vlapic_reset(vcpu_vlapic(vcpu), init);
}

static const u64 *apic_base(void *vlapic)
{
	return &((const struct vlapic *)vlapic)->base;
}

static int msr_write_published(void *vlapic, u32 msr, u64 value)
{
	int error = vlapic_msr_write(vlapic, msr, value);

	if (!error && msr - MSR_X2APIC(0) < LAPIC_REGISTERS)
		vlapic_publish(vlapic, msr - MSR_X2APIC(0));
	return error;
}

static void mmio_write_published(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	vlapic_mmio_write(device, vcpu, offset, size, value);
	vlapic_publish(vcpu_vlapic(vcpu), (unsigned)offset / 16);
}

static void tsc_changed(struct vcpu *vcpu)
{
	vlapic_timer_tsc_changed(vcpu_vlapic(vcpu));
}

static u64 cr8_read(struct vcpu *vcpu)
{
	const struct vlapic *vlapic = vcpu_vlapic(vcpu);

	return vlapic_tpr(vlapic) >> 4;
}

static void cr8_write(struct vcpu *vcpu, u64 value)
{
	vlapic_set_tpr(vcpu_vlapic(vcpu), (u8)(value << 4));
}

static bool send_ipi(struct vcpu *sender, u32 apic_id, u32 icr)
{
	const struct apic_message message = {
		.destination = apic_id,
		.wide = true,
		.delivery = icr >> 8 & 7,
		.vector = (u8)icr,
	};

	/* SDM, "Valid Interrupt Vectors". Of the other delivery modes, only NMIs are sent this way. */
	if (message.delivery != APIC_NMI && (message.delivery != APIC_FIXED || message.vector < 16))
		return false;
	return apic_bus_send(vcpu_vm(sender), &message);
}

/*
 * The 8259s' output, and the devices' lines and messages, are all that can become an NMI: nothing drives LINT1, and the
 * sources of the LVT's other entries that have a delivery mode do not exist.
 */
static bool nmi_may_come(struct vcpu *vcpu)
{
	struct vm *vm = vcpu_vm(vcpu);
	const struct irqchip *irqchip = vm_irqchip_data(vm);
	bool may;

	if (__atomic_load_n(&irqchip->message_is_nmi, __ATOMIC_ACQUIRE))
		return true;
	vm_lock(vm);
	may = (vcpu == vm_bsp(vm) && vlapic_lint0_is_nmi(vcpu_vlapic(vcpu))) ||
	      vioapic_sends_nmi(irqchip_ioapic(vm), vcpu);
	vm_unlock(vm);
	return may;
}

#define OPS_FOR_ALL \
	.set_line = set_line, .line_waiting = line_waiting, .vcpu_reset = vcpu_reset, .msr_read = vlapic_msr_read, \
	.apic_base = apic_base, \
	.tsc_changed = tsc_changed, .cr8_read = cr8_read, .cr8_write = cr8_write, \
	.nmi_may_come = nmi_may_come, .send_ipi = send_ipi

static const struct irqchip_ops irqchip_ops[] = {
	[APIC_BY_SOFTWARE] = {
		.pending = pending, .wakes = pending, .acknowledge = acknowledge, .msr_write = vlapic_msr_write, OPS_FOR_ALL
	},
	[APIC_TPR] = {
		.pending = pending_after_tpr, .wakes = pending_after_tpr, .acknowledge = acknowledge_after_tpr,
		.held_by_tpr = held_by_tpr, .msr_write = vlapic_msr_write, OPS_FOR_ALL
	},
	[APIC_BY_HARDWARE] = {
		.pending = pending_extint, .wakes = pending, .acknowledge = acknowledge_extint_alone,
		.hand_over = hand_over, .register_written = register_written, .interrupt_ended = interrupt_ended,
		.msr_write = msr_write_published, OPS_FOR_ALL
	},
};

int apic_create(struct vm *vm)
{
	struct irqchip *irqchip = vm_alloc(vm, sizeof(*irqchip));
	const struct io_region page = {
		.name = "local APIC",
		.base = LAPIC_DEFAULT_BASE,
		.size = LAPIC_SIZE,
		.read = vlapic_mmio_read,
		.write = vm_apic_hardware(vm) == APIC_BY_HARDWARE ? mmio_write_published : vlapic_mmio_write,
		.device = vlapic_page_at(LAPIC_DEFAULT_BASE),
		.is_private = true,
	};
	int error = irqchip ? mmio_register(vm, &page) : -ENOMEM;

	if (!error)
		error = vioapic_create(&irqchip->vioapic, vm);
	for (u32 i = 0; !error && i < vm_vcpu_count(vm); i++) {
		*vcpu_own_region(vm_vcpu(vm, i)) = page;
		error = vlapic_create(vm_vcpu(vm, i), &irqchip->int_output);
	}
	if (error) {
		vm_error(vm, "cannot create the APICs (error %d)", -error);
		return error;
	}
	vm_set_irqchip(vm, &irqchip_ops[vm_apic_hardware(vm)], irqchip);
	return 0;
}
