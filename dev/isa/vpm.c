/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware: power management events, power-off and the PM timer; ACPI, "Fixed Hardware
 * Registers". With them the reset control register and the debug exit.
 */
#include "dev/isa/vpm.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/counter.h"

/* PM1 status; the enables are the same bits. */
#define PM1_TIMER	BIT(0)		/* the highest bit of the PM timer changed */
#define PM1_GLOBAL	BIT(5)
#define PM1_POWER_BUTTON BIT(8)
#define PM1_RTC		BIT(10)		/* never set (FADT flag FIX_RTC), but Linux enables it */
#define PM1_ENABLES	(PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)

#define CONTROL_SCI_ENABLED BIT(0)
#define CONTROL_SLEEP_TYPE(c) ((c) >> 10 & 7)
#define CONTROL_SLEEP	BIT(13)		/* write-only */
#define CONTROL_KEPT	0x1c02		/* SLP_TYP and BM_RLD */

#define TIMER_HIGHEST_SHIFT 31

struct vpm {
	struct vm *vm;
	u16 status, enable, control;
	u16 gpe0_enable;
	struct counter clock;
	u64 timer_halves;		/* changes of the timer's highest bit, at the last update_sci() */
	struct vtimer overflow;
	u8 reset_control;
};

/* --- events --- */

/* Set TMR_STS if it is due, set the SCI line, and arm the vtimer for the next TMR_STS if it is enabled. */
static void update_sci(struct vpm *vpm)
{
	u64 halves = counter_now(&vpm->clock) >> TIMER_HIGHEST_SHIFT;

	if (halves != vpm->timer_halves)
		vpm->status |= PM1_TIMER;
	vpm->timer_halves = halves;
	irq_line_set(vpm->vm, PM_SCI_IRQ, vpm->status & vpm->enable);
	if (vpm->enable & ~vpm->status & PM1_TIMER)
		vtimer_arm(&vpm->overflow,
			   counter_deadline(&vpm->clock, (halves + 1) << TIMER_HIGHEST_SHIFT));
	else
		vtimer_cancel(&vpm->overflow);
}

static void overflow_fire(struct vtimer *timer)
{
	update_sci(container_of(timer, struct vpm, overflow));
}

void vpm_power_button(struct vpm *vpm)
{
	vpm->status |= PM1_POWER_BUTTON;
	update_sci(vpm);
}

static u8 half_of(u16 value, u16 port)
{
	return port & 1 ? value >> 8 : value & 0xff;
}

static u16 with_half(u16 value, u16 port, u8 half)
{
	return port & 1 ? (value & 0x00ff) | half << 8 : (value & 0xff00) | half;
}

static u8 event_read(void *device, u16 port)
{
	struct vpm *vpm = device;

	update_sci(vpm);
	return half_of(port < PM1A_EVENT_PORT + 2 ? vpm->status : vpm->enable, port);
}

static void event_write(void *device, u16 port, u8 value)
{
	struct vpm *vpm = device;

	update_sci(vpm);
	if (port < PM1A_EVENT_PORT + 2)
		vpm->status &= ~with_half(0, port, value);	/* a 1 clears */
	else
		vpm->enable = with_half(vpm->enable, port, value) & PM1_ENABLES;
	update_sci(vpm);
}

/* --- sleep --- */

/* The port is QEMU's, where type 0 is the power-off: many small kernels know the write of 2000h and read no ACPI table. */
static void sleep(struct vpm *vpm, unsigned type)
{
	if (type == PM_SLEEP_TYPE_S5 || type == 0)
		vm_end(vpm->vm, VM_END_POWEROFF, "power-off by the guest (ACPI S5)");
	else if (vm_once(vpm->vm, ONCE_OTHER, PM1A_CONTROL_PORT + type))
		vm_warn(vpm->vm, "sleep type %u is ignored: there is only \\_S5's, %u", type,
			PM_SLEEP_TYPE_S5);
}

static u8 control_read(void *device, u16 port)
{
	struct vpm *vpm = device;

	return half_of(vpm->control | CONTROL_SCI_ENABLED, port);
}

static void control_write(void *device, u16 port, u8 value)
{
	struct vpm *vpm = device;
	u16 written = with_half(vpm->control, port, value);

	vpm->control = written & CONTROL_KEPT;
	if (written & CONTROL_SLEEP)
		sleep(vpm, CONTROL_SLEEP_TYPE(written));
}

/* --- PM timer --- */

static u64 timer_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	struct vpm *vpm = device;

	return (u32)counter_now(&vpm->clock) >> (8 * offset);
}

static void timer_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	/* Read-only. */
}

/* --- general purpose events: none is wired --- */

static u8 gpe0_read(void *device, u16 port)
{
	struct vpm *vpm = device;

	return port < PM_GPE0_PORT + PM_GPE0_LENGTH / 2 ? 0 : half_of(vpm->gpe0_enable, port);
}

static void gpe0_write(void *device, u16 port, u8 value)
{
	struct vpm *vpm = device;

	if (port >= PM_GPE0_PORT + PM_GPE0_LENGTH / 2)
		vpm->gpe0_enable = with_half(vpm->gpe0_enable, port, value);
}

/* --- resets and other ends --- */

#define RESET_CPU	BIT(2)
#define RESET_OFFSET	1	/* in its four ports */

u8 vpm_reset_read(struct vpm *vpm)
{
	return vpm->reset_control;
}

void vpm_reset_write(struct vpm *vpm, u8 value)
{
	vpm->reset_control = value & ~RESET_CPU;
	if (value & RESET_CPU)
		vm_end(vpm->vm, VM_END_RESET, "reset by the guest (port 0x%x)", PM_RESET_PORT);
}

/*
 * The reset register without a PCI bus. It is among the four ports of an address register that a guest may look for: wider
 * accesses do not reach it.
 */
static u64 reset_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return offset == RESET_OFFSET && size == 1 ? vpm_reset_read(device) : ~0ull;
}

static void reset_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	if (offset == RESET_OFFSET && size == 1)
		vpm_reset_write(device, (u8)value);
}

static u64 debug_exit_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return ~0ull;
}

static void debug_exit_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct vpm *vpm = device;

	vm_end_debug_exit(vpm->vm, (u32)value);
}

static int register_ports(struct vpm *vpm)
{
	const struct byte_ports ports[] = {
		{ "ACPI PM1 event", PM1A_EVENT_PORT, PM1A_EVENT_LENGTH, event_read,
		  event_write, vpm },
		{ "ACPI PM1 control", PM1A_CONTROL_PORT, PM1A_CONTROL_LENGTH, control_read,
		  control_write, vpm },
		{ "ACPI GPE0", PM_GPE0_PORT, PM_GPE0_LENGTH, gpe0_read, gpe0_write, vpm },
	};
	const struct io_region regions[] = {
		{ "ACPI PM timer", PM_TIMER_PORT, PM_TIMER_LENGTH, { timer_read }, { timer_write }, vpm },
		{ "debug exit", DEBUG_EXIT_PORT, 4, { debug_exit_read }, { debug_exit_write }, vpm },
		{ "reset", PM_RESET_PORT - RESET_OFFSET, 4, { reset_read }, { reset_write }, vpm },	/* the last one: see vpm.h */
	};
	const unsigned count = ARRAY_SIZE(regions) - (vm_has_pci(vpm->vm) ? 1 : 0);
	int error = 0;

	for (unsigned i = 0; !error && i < ARRAY_SIZE(ports); i++)
		error = byte_ports_register(vpm->vm, &ports[i]);
	for (unsigned i = 0; !error && i < count; i++)
		error = pio_register(vpm->vm, &regions[i]);
	return error;
}

struct vpm *vpm_create(struct vm *vm)
{
	struct vpm *vpm = vm_alloc(vm, sizeof(*vpm));

	if (!vpm)
		return NULL;
	vpm->vm = vm;
	vpm->clock = (struct counter){ .origin = vtimer_now(), .hz = PM_TIMER_HZ };
	vtimer_init_shared(&vpm->overflow, vm, overflow_fire);
	return register_ports(vpm) ? NULL : vpm;
}
