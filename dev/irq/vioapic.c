/* SPDX-License-Identifier: MIT */
/* The IOAPIC model. */
#include "dev/irq/vioapic.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "dev/irq/apic_bus.h"
#include "dev/irq/irqchip.h"
#include "dev/irq/vlapic.h"
#include "lib/errno.h"

#define VERSION (0x20 | (IOAPIC_PINS - 1) << 16)

enum { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };
enum { REG_ID, REG_VERSION, REG_ARBITRATION, REG_ENTRIES = 0x10 };

#define ID_WRITABLE 0x0f000000u

/* Redirection entries */
#define ENTRY_REMOTE_IRR   BIT_ULL(14)	/* a local APIC has it and has not ended it */
#define ENTRY_LEVEL	   BIT_ULL(15)
#define ENTRY_MASKED	   BIT_ULL(16)
#define ENTRY_WRITABLE	   0xff0000000001afffull
#define ENTRY_DELIVERY(e)  ((e) >> 8 & 7)

/* Only these two wait for an EOI, whatever the entry says of the others' trigger. */
static bool waits_for_eoi(u64 entry)
{
	return (entry & ENTRY_LEVEL) && ENTRY_DELIVERY(entry) <= APIC_LOWEST;
}

static struct apic_message message_of(u64 entry)
{
	return (struct apic_message){
		.destination = (u32)(entry >> 56),
		.logical = entry >> 11 & 1,
		.delivery = ENTRY_DELIVERY(entry),
		.vector = (u8)entry,
		.level = waits_for_eoi(entry),
	};
}

static void deliver(struct ioapic *ioapic, unsigned pin)
{
	u64 *entry = &ioapic->entries[pin];
	const struct apic_message message = message_of(*entry);

	/* A start-up IPI cannot be sent from here. */
	if (message.delivery == APIC_STARTUP)
		return;
	if (apic_bus_send(ioapic->vm, &message) && message.level)
		*entry |= ENTRY_REMOTE_IRR;
}

/* Deliver what a level-triggered pin has waiting. */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
	u64 entry = ioapic->entries[pin];

	if ((ioapic->lines & BIT(pin)) && waits_for_eoi(entry) &&
	    !(entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR)))
		deliver(ioapic, pin);
}

void ioapic_set_pin(struct ioapic *ioapic, unsigned pin, bool level)
{
	bool rises = level && !(ioapic->lines & BIT(pin));

	if (!level) {
		ioapic->lines &= ~BIT(pin);
		return;
	}
	ioapic->lines |= BIT(pin);
	if (waits_for_eoi(ioapic->entries[pin]))
		service_level(ioapic, pin);
	else if (rises && !(ioapic->entries[pin] & ENTRY_MASKED))
		deliver(ioapic, pin);	/* an edge at a masked pin is lost */
}

bool ioapic_pin_waiting(const struct ioapic *ioapic, unsigned pin)
{
	u64 entry = ioapic->entries[pin];
	const struct apic_message message = message_of(entry);

	if ((entry & ENTRY_MASKED) || message.delivery > APIC_LOWEST)
		return false;
	for (u32 i = 0; i < vm_vcpu_count(ioapic->vm); i++) {
		const struct lapic *lapic = vcpu_lapic(vm_vcpu(ioapic->vm, i));

		if (lapic_is_addressed(lapic, &message) && vector_set_has(&lapic->irr, message.vector))
			return true;
	}
	return false;
}

/* One EOI ends each interrupt of this vector; a line that is still asserted interrupts again. */
static void end_vector(struct ioapic *ioapic, u8 vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 *entry = &ioapic->entries[pin];

		if ((u8)*entry != vector || !(*entry & ENTRY_REMOTE_IRR))
			continue;
		*entry &= ~ENTRY_REMOTE_IRR;
		service_level(ioapic, pin);
	}
}

void ioapic_eoi(struct vm *vm, u8 vector)
{
	end_vector(irqchip_ioapic(vm), vector);
}

bool ioapic_passes_extint(const struct ioapic *ioapic, const struct vcpu *vcpu)
{
	u64 entry = ioapic->entries[IOAPIC_PIN_8259];
	const struct apic_message message = message_of(entry);

	return !(entry & ENTRY_MASKED) && message.delivery == APIC_EXTINT &&
	       lapic_is_addressed(vcpu_lapic(vcpu), &message);
}

/* --- registers --- */

static u32 read_data(const struct ioapic *ioapic)
{
	unsigned half = ioapic->select - REG_ENTRIES, pin = half / 2;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARBITRATION:
		return ioapic->id;
	case REG_VERSION:
		return VERSION;
	default:
		return pin < IOAPIC_PINS ? (u32)(ioapic->entries[pin] >> (half % 2 * 32)) : 0;
	}
}

static void write_entry(struct ioapic *ioapic, unsigned half, u32 value)
{
	unsigned pin = half / 2, shift = half % 2 * 32;
	u64 *entry = &ioapic->entries[pin];
	u64 writable = ENTRY_WRITABLE & 0xffffffffull << shift;

	*entry = (*entry & ~writable) | ((u64)value << shift & writable);
	/* Without an EOI register guests end an interrupt by making its pin edge-triggered. */
	if (!waits_for_eoi(*entry))
		*entry &= ~ENTRY_REMOTE_IRR;
	service_level(ioapic, pin);
	/* Where the 8259s' interrupts go may have changed. */
	if (pin == IOAPIC_PIN_8259)
		vcpu_interrupt_changed(vm_bsp(ioapic->vm));
}

static void write_data(struct ioapic *ioapic, u32 value)
{
	unsigned half = ioapic->select - REG_ENTRIES;

	if (ioapic->select == REG_ID)
		ioapic->id = value & ID_WRITABLE;
	else if (half / 2 < IOAPIC_PINS)
		write_entry(ioapic, half, value);
}

/* Reads narrower than a register give the part that they cover; what is not a register reads 0. */
static u64 mmio_read_ioapic(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	const struct ioapic *ioapic = device;
	u32 value = 0;

	switch (offset & ~3ull) {
	case WINDOW_SELECT:
		value = ioapic->select;
		break;
	case WINDOW_DATA:
		value = read_data(ioapic);
		break;
	}
	return value >> (offset % 4 * 8);
}

/* The index register is one byte. The others take 32 bits at once: narrower writes are dropped. */
static void mmio_write_ioapic(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct ioapic *ioapic = device;

	if (offset == WINDOW_SELECT)
		ioapic->select = (u8)value;
	else if (size < 4)
		return;
	else if (offset == WINDOW_DATA)
		write_data(ioapic, (u32)value);
	else if (offset == WINDOW_EOI)
		end_vector(ioapic, (u8)value);
}

int ioapic_create(struct ioapic *ioapic, struct vm *vm)
{
	const struct io_region region = {
		.name = "IOAPIC",
		.base = IOAPIC_BASE,
		.size = IOAPIC_SIZE,
		.read = mmio_read_ioapic,
		.write = mmio_write_ioapic,
		.device = ioapic,
	};

	ioapic->vm = vm;
	ioapic->id = IOAPIC_APIC_ID << 24;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic->entries[pin] = ENTRY_MASKED;
	return mmio_register(vm, &region);
}
