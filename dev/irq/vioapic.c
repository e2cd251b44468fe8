/* SPDX-License-Identifier: MIT */
/* The IOAPIC model. */
#include "dev/irq/vioapic.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "dev/irq/apic_bus.h"
#include "dev/irq/irqchip.h"
#include "dev/irq/vlapic.h"
#include "lib/errno.h"
#include "lib/ioapic.h"

#define VERSION (0x20 | (IOAPIC_PINS - 1) << 16)

enum { WINDOW_SELECT = 0x00, WINDOW_DATA = 0x10, WINDOW_EOI = 0x40 };

#define ID_WRITABLE 0x0f000000u

/* Redirection entries */
#define ENTRY_WRITABLE	   0xff0000000001afffull
#define ENTRY_LONG_ID	   0x00fe000000000000ull
#define ENTRY_DELIVERY(e)  ((e) >> 8 & 7)

/*
 * Only level-triggered interrupts with fixed or lowest-priority delivery do. In other delivery modes the
 * trigger bit is ignored.
 */
static bool waits_for_eoi(u64 entry)
{
	return (entry & IOAPIC_ENTRY_LEVEL) && ENTRY_DELIVERY(entry) <= APIC_LOWEST;
}

/*
 * Where ids are short, the bits of ENTRY_LONG_ID are 0. Where they are long, 255 is an id like others, even if the
 * guest has gone back to xAPIC mode.
 */
static struct apic_message message_of(const struct vioapic *vioapic, u64 entry)
{
	bool logical = entry >> 11 & 1;

	return (struct apic_message){
		.destination = (u32)(entry >> 56) | (u32)(entry >> 49 & 0x7f) << 8,
		.logical = logical,
		.wide = vioapic->long_ids && !logical,
		.delivery = ENTRY_DELIVERY(entry),
		.vector = (u8)entry,
		.level = waits_for_eoi(entry),
	};
}

static void deliver(struct vioapic *vioapic, unsigned pin)
{
	u64 *entry = &vioapic->entries[pin];
	const struct apic_message message = message_of(vioapic, *entry);

	/* Reserved in the IOAPIC, which cannot send start-up IPIs. */
	if (message.delivery == APIC_STARTUP)
		return;
	vioapic->sent[pin] = message.vector;
	if (apic_bus_send(vioapic->vm, &message) && message.level)
		*entry |= IOAPIC_ENTRY_REMOTE_IRR;
}

/* Deliver a level-triggered interrupt if its pin is asserted, unmasked, and waits for no EOI. */
static void service_level(struct vioapic *vioapic, unsigned pin)
{
	u64 entry = vioapic->entries[pin];

	if ((vioapic->lines & BIT(pin)) && waits_for_eoi(entry) &&
	    !(entry & (IOAPIC_ENTRY_MASKED | IOAPIC_ENTRY_REMOTE_IRR)))
		deliver(vioapic, pin);
}

void vioapic_set_pin(struct vioapic *vioapic, unsigned pin, bool level)
{
	bool rises = level && !(vioapic->lines & BIT(pin));

	if (!level) {
		vioapic->lines &= ~BIT(pin);
		return;
	}
	vioapic->lines |= BIT(pin);
	if (waits_for_eoi(vioapic->entries[pin]))
		service_level(vioapic, pin);
	else if (rises && !(vioapic->entries[pin] & IOAPIC_ENTRY_MASKED))
		deliver(vioapic, pin);	/* an edge at a masked pin is lost */
}

bool vioapic_pin_waiting(const struct vioapic *vioapic, unsigned pin)
{
	u64 entry = vioapic->entries[pin];
	const struct apic_message message = message_of(vioapic, entry);

	if ((entry & IOAPIC_ENTRY_MASKED) || message.delivery > APIC_LOWEST)
		return false;
	return apic_bus_is_waiting(vioapic->vm, &message);
}

bool vioapic_sends_nmi(const struct vioapic *vioapic, const struct vcpu *vcpu)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 entry = vioapic->entries[pin];
		const struct apic_message message = message_of(vioapic, entry);

		if (!(entry & IOAPIC_ENTRY_MASKED) && message.delivery == APIC_NMI && apic_bus_addresses(vcpu, &message))
			return true;
	}
	return false;
}

/*
 * An EOI ends the interrupts of all pins with this vector, and of those whose entry had it when the interrupt
 * was sent. A pin that is still asserted interrupts again.
 */
static void end_vector(struct vioapic *vioapic, u8 vector)
{
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
		u64 *entry = &vioapic->entries[pin];

		if (!(*entry & IOAPIC_ENTRY_REMOTE_IRR) || ((u8)*entry != vector && vioapic->sent[pin] != vector))
			continue;
		*entry &= ~IOAPIC_ENTRY_REMOTE_IRR;
		service_level(vioapic, pin);
	}
}

void vioapic_eoi(struct vm *vm, u8 vector)
{
	vm_lock(vm);
	end_vector(irqchip_ioapic(vm), vector);
	vm_unlock(vm);
}

bool vioapic_passes_extint(const struct vioapic *vioapic, const struct vcpu *vcpu)
{
	u64 entry = READ_ONCE(vioapic->entries[IOAPIC_PIN_8259]);
	const struct apic_message message = message_of(vioapic, entry);

	return !(entry & IOAPIC_ENTRY_MASKED) && message.delivery == APIC_EXTINT &&
	       apic_bus_addresses(vcpu, &message);
}

/* --- registers --- */

static u32 read_data(const struct vioapic *vioapic)
{
	unsigned half = vioapic->select - IOAPIC_REG_ENTRIES, pin = half / 2;

	switch (vioapic->select) {
	case IOAPIC_REG_ID:
	case IOAPIC_REG_ARBITRATION:
		return vioapic->id;
	case IOAPIC_REG_VERSION:
		return VERSION;
	default:
		return pin < IOAPIC_PINS ? (u32)(vioapic->entries[pin] >> (half % 2 * 32)) : 0;
	}
}

/* The 8259s' ExtINT may have another receiver: have the old one and the new one look. */
static void extint_rerouted(struct vioapic *vioapic)
{
	u64 entry = vioapic->entries[IOAPIC_PIN_8259];
	const struct apic_message message = message_of(vioapic, entry);

	vcpu_interrupt_sent(vm_bsp(vioapic->vm));
	if (!(entry & IOAPIC_ENTRY_MASKED) && message.delivery == APIC_EXTINT)
		apic_bus_send(vioapic->vm, &message);
}

static void write_entry(struct vioapic *vioapic, unsigned half, u32 value)
{
	unsigned pin = half / 2, shift = half % 2 * 32;
	u64 *entry = &vioapic->entries[pin];
	u64 writable = (ENTRY_WRITABLE | (vioapic->long_ids ? ENTRY_LONG_ID : 0)) & 0xffffffffull << shift;

	WRITE_ONCE(*entry, (*entry & ~writable) | ((u64)value << shift & writable));
	/* Guests for IOAPICs without an EOI register clear remote IRR by making the pin edge-triggered. */
	if (!waits_for_eoi(*entry))
		*entry &= ~IOAPIC_ENTRY_REMOTE_IRR;
	service_level(vioapic, pin);
	if (pin == IOAPIC_PIN_8259)
		extint_rerouted(vioapic);
}

static void write_data(struct vioapic *vioapic, u32 value)
{
	unsigned half = vioapic->select - IOAPIC_REG_ENTRIES;

	if (vioapic->select == IOAPIC_REG_ID)
		vioapic->id = value & ID_WRITABLE;
	else if (half / 2 < IOAPIC_PINS)
		write_entry(vioapic, half, value);
}

/* A read narrower than a register returns the bytes that it covers; reserved offsets read 0. */
static u64 mmio_read_ioapic(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	const struct vioapic *vioapic = device;
	u32 value = 0;

	switch (offset & ~3ull) {
	case WINDOW_SELECT:
		value = vioapic->select;
		break;
	case WINDOW_DATA:
		value = read_data(vioapic);
		break;
	}
	return value >> (offset % 4 * 8);
}

/* The index register is one byte. The others need an access of 32 bits: narrower writes are dropped. */
static void mmio_write_ioapic(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct vioapic *vioapic = device;

	if (offset == WINDOW_SELECT)
		vioapic->select = (u8)value;
	else if (size < 4)
		return;
	else if (offset == WINDOW_DATA)
		write_data(vioapic, (u32)value);
	else if (offset == WINDOW_EOI)
		end_vector(vioapic, (u8)value);
}

int vioapic_create(struct vioapic *vioapic, struct vm *vm)
{
	const struct io_region region = {
		.name = "IOAPIC",
		.base = IOAPIC_BASE,
		.size = IOAPIC_SIZE,
		.read = mmio_read_ioapic,
		.write = mmio_write_ioapic,
		.device = vioapic,
	};

	vioapic->vm = vm;
	vioapic->long_ids = vm_vcpu_count(vm) > IRQCHIP_SHORT_IDS;
	vioapic->id = IOAPIC_APIC_ID << 24;
	for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
		vioapic->entries[pin] = IOAPIC_ENTRY_MASKED;
	return mmio_register(vm, &region);
}
