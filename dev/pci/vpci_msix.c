/* SPDX-License-Identifier: MIT */
/* MSI-X: the capability, the table, and messages that wait. */
#include "dev/pci/vpci_msix.h"

#include "core/vm_log.h"
#include "dev/irq/msi.h"
#include "dev/pci/vpci_device.h"
#include "lib/bits.h"

#define MSIX_CAPABILITY_ID   0x11
#define MSIX_CAPABILITY_SIZE 12

/* Message control is at offset 2 of the capability. These are bits of its high byte. */
#define CONTROL_HIGH		3
#define ENABLE		BIT(7)
#define FUNCTION_MASK	BIT(6)

#define ENTRY_SIZE	16u
enum { ADDRESS_LOW, ADDRESS_HIGH, DATA, VECTOR_CONTROL };
#define VECTOR_MASK	BIT(0)

static u8 control_of(const struct vpci_device *device)
{
	return device->msix_vectors ? READ_ONCE(device->config[device->msix_capability + CONTROL_HIGH]) : 0;
}

bool vpci_device_uses_msix(const struct vpci_device *device)
{
	return control_of(device) & ENABLE;
}

void vpci_device_add_msix(struct vpci_device *device, unsigned vectors, unsigned bar, u32 table, u32 pending)
{
	unsigned at = vpci_device_add_capability(device, MSIX_CAPABILITY_ID, MSIX_CAPABILITY_SIZE);

	if (!at)
		return;
	vectors = MIN(vectors, VPCI_MSIX_VECTORS);
	device->config[at + 2] = (u8)(vectors - 1);
	for (unsigned i = 0; i < 4; i++) {
		device->config[at + 4 + i] = (u8)((table | bar) >> (8 * i));
		device->config[at + 8 + i] = (u8)((pending | bar) >> (8 * i));
	}
	device->writable[at + CONTROL_HIGH] = ENABLE | FUNCTION_MASK;
	for (unsigned i = 0; i < vectors; i++)
		device->msix[i].masked = true;
	device->msix_capability = (u8)at;
	device->msix_vectors = (u16)vectors;
}

/* --- sending --- */

/* May this vector's message be sent now? */
static bool is_open(const struct vpci_device *device, unsigned vector)
{
	return (control_of(device) & (ENABLE | FUNCTION_MASK)) == ENABLE && vpci_device_is_bus_master(device) &&
	       !device->msix[vector].masked;
}

/*
 * Messages are sent with the lock held: when a guest has masked a vector, none of it is on its way any more. Those that waited
 * are sent once each.
 */
static void send_pending(struct vpci_device *device)
{
	for (u64 left = device->msix_pending; left; left &= left - 1) {
		unsigned vector = (unsigned)__builtin_ctzll(left);

		if (!is_open(device, vector))
			continue;
		device->msix_pending &= ~BIT_ULL(vector);
		msi_send(device->vm, device->msix[vector].address, device->msix[vector].data);
	}
}

void vpci_device_send(struct vpci_device *device, unsigned vector)
{
	spin_lock(&device->msix_lock);
	if (vector < device->msix_vectors && (control_of(device) & ENABLE)) {
		if (is_open(device, vector))
			msi_send(device->vm, device->msix[vector].address, device->msix[vector].data);
		else
			device->msix_pending |= BIT_ULL(vector);
	}
	spin_unlock(&device->msix_lock);
}

/* "MSI-X Operation": the bit is cleared when what the interrupt was for is over: no spurious message later. */
void vpci_device_drop_pending(struct vpci_device *device)
{
	spin_lock(&device->msix_lock);
	device->msix_pending = 0;
	spin_unlock(&device->msix_lock);
}

void vpci_msix_changed(struct vpci_device *device)
{
	if (!device->msix_vectors)
		return;
	spin_lock(&device->msix_lock);
	if (!(control_of(device) & ENABLE))
		device->msix_pending = 0;
	send_pending(device);
	spin_unlock(&device->msix_lock);
}

/* --- the table and the pending bits --- */

static u32 read_register(const struct vpci_device *device, u64 index)
{
	const struct vpci_msix_entry *entry;

	if (index / 4 >= device->msix_vectors)
		return 0;
	entry = &device->msix[index / 4];
	switch (index % 4) {
	case ADDRESS_LOW:
		return (u32)entry->address;
	case ADDRESS_HIGH:
		return (u32)(entry->address >> 32);
	case DATA:
		return entry->data;
	default:
		return entry->masked ? VECTOR_MASK : 0;
	}
}

static void write_register(struct vpci_device *device, u64 index, u32 value)
{
	struct vpci_msix_entry *entry;

	if (index / 4 >= device->msix_vectors)
		return;
	entry = &device->msix[index / 4];
	switch (index % 4) {
	case ADDRESS_LOW:
		entry->address = (entry->address & ~0xffffffffull) | (value & ~3u);	/* bits 1:0 are 0 */
		break;
	case ADDRESS_HIGH:
		entry->address = (entry->address & 0xffffffffull) | (u64)value << 32;
		break;
	case DATA:
		entry->data = value;
		msi_prepared(device->vm, value);
		break;
	default:
		entry->masked = value & VECTOR_MASK;
	}
}

u64 vpci_msix_table_read(struct vpci_device *device, u64 offset, unsigned size)
{
	u64 value = 0;

	spin_lock(&device->msix_lock);
	for (unsigned i = 0; i < size; i++) {
		u64 at = offset + i;

		value |= (u64)(read_register(device, at / 4) >> (8 * (at % 4)) & 0xff) << (8 * i);
	}
	spin_unlock(&device->msix_lock);
	return value;
}

/* What is written stays behind the mask until all of it is: one access may set the data and clear the mask. */
void vpci_msix_table_write(struct vpci_device *device, u64 offset, unsigned size, u64 value)
{
	spin_lock(&device->msix_lock);
	for (unsigned i = 0; i < size; i++) {
		u64 at = offset + i;
		unsigned shift = 8 * (at % 4);
		u32 old = read_register(device, at / 4) & ~(0xffu << shift);

		write_register(device, at / 4, old | (u32)(value >> (8 * i) & 0xff) << shift);
	}
	send_pending(device);
	spin_unlock(&device->msix_lock);
}

u64 vpci_msix_pending_read(struct vpci_device *device, u64 offset, unsigned size)
{
	u64 pending;

	spin_lock(&device->msix_lock);
	pending = device->msix_pending;
	spin_unlock(&device->msix_lock);
	return offset < 8 ? pending >> (8 * offset) & size_mask(size) : 0;
}
