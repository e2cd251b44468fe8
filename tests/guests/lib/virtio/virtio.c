/* SPDX-License-Identifier: MIT */
/* The driver's side of the PCI transport and of split queues, and interrupts. */
#include "virtio.h"

struct device devices[DEVICES_MAX];
u32 device_count;

/* --- finding devices --- */

static void place_find(struct device *device, struct place *place, u32 capability)
{
	place->found = true;
	place->bar = pci_get(device->bdf, capability + 4, 1);
	place->offset = pci_read(device->bdf, capability + 8);
	place->size = pci_read(device->bdf, capability + 12);
}

static void found_vendor(struct device *device, u32 capability)
{
	u32 type = pci_get(device->bdf, capability + 3, 1);

	if (type == CFG_PCI) {
		device->pci_cfg = capability;
	} else if (type == CFG_NOTIFY && device->notifies < ARRAY_SIZE(device->notify)) {
		place_find(device, &device->notify[device->notifies], capability);
		device->notify_multiplier[device->notifies++] = pci_read(device->bdf, capability + 16);
	} else if (type && type < CFG_TYPES && !device->cfg[type].found) {
		place_find(device, &device->cfg[type], capability);
	}
}

static void place_at(struct device *device, struct place *place)
{
	if (place->found)
		place->at = pci_bar(device->bdf, place->bar, &place->port) + place->offset;
}

void place_update(struct device *device)
{
	u32 table, pending;
	bool port;

	for (u32 i = 0; i < CFG_TYPES; i++)
		place_at(device, &device->cfg[i]);
	for (u32 i = 0; i < device->notifies; i++)
		place_at(device, &device->notify[i]);
	if (!device->msix)
		return;
	table = pci_read(device->bdf, device->msix + 4);
	pending = pci_read(device->bdf, device->msix + 8);
	device->msix_table = pci_bar(device->bdf, table & 7, &port) + (table & ~7u);
	device->msix_pending = pci_bar(device->bdf, pending & 7, &port) + (pending & ~7u);
}

static void found_device(u32 bdf, u16 id)
{
	struct device *device = &devices[device_count];
	u32 capability, walked = 0;

	*device = (struct device){ .bdf = bdf, .id = id };
	pci_put(bdf, PCI_COMMAND, 2, COMMAND_IO | COMMAND_MEMORY | COMMAND_MASTER);
	if (!check(pci_get(bdf, PCI_STATUS, 2) & STATUS_CAPABILITIES, "the device has capabilities"))
		return;
	for (capability = pci_get(bdf, PCI_CAPABILITIES, 1); capability >= 0x40 && walked < 48; walked++) {
		u32 kind = pci_get(bdf, capability, 1);

		if (kind == CAP_VENDOR)
			found_vendor(device, capability);
		if (kind == CAP_MSIX) {
			device->msix = capability;
			device->vectors = (pci_get(bdf, capability + 2, 2) & 0x7ff) + 1;
		}
		capability = pci_get(bdf, capability + 1, 1) & ~3u;
	}
	check(!capability, "the list of capabilities ends");
	place_update(device);
	device_count++;
}

/* Bus 0. A function other than 0 is there only where the header type says so. */
void find_devices(void)
{
	device_count = 0;
	for (u32 slot = 0; slot < 32; slot++)
		for (u32 function = 0; function < 8; function++) {
			u32 bdf = slot << 3 | function, id = pci_read(bdf, 0);

			if (function && !(pci_get(slot << 3, 0x0e, 1) & 0x80))
				break;
			if ((id & 0xffff) == 0x1af4 && id >> 16 > 0x1040 && id >> 16 < 0x1080 &&
			    device_count < DEVICES_MAX)
				found_device(bdf, (id >> 16) - 0x1040);
		}
}

struct device *find_device(u32 id, u32 n)
{
	for (u32 i = 0; i < device_count; i++)
		if (devices[i].id == id && !n--)
			return &devices[i];
	return NULL;
}

/* --- registers --- */

u32 place_read(const struct place *place, u32 offset, u32 size)
{
	ulong at = place->at + offset;

	switch (size) {
	case 1:
		return place->port ? inb(at) : *(volatile u8 *)at;
	case 2:
		return place->port ? inw(at) : *(volatile u16 *)at;
	default:
		return place->port ? inl(at) : *(volatile u32 *)at;
	}
}

void place_write(const struct place *place, u32 offset, u32 size, u32 value)
{
	ulong at = place->at + offset;

	switch (size) {
	case 1:
		place->port ? outb(at, value) : (void)(*(volatile u8 *)at = value);
		break;
	case 2:
		place->port ? outw(at, value) : (void)(*(volatile u16 *)at = value);
		break;
	default:
		place->port ? outl(at, value) : (void)(*(volatile u32 *)at = value);
	}
}

static u32 width(u32 reg)
{
	if (reg == DEVICE_STATUS || reg == CONFIG_GENERATION)
		return 1;
	return reg < CONFIG_VECTOR || reg >= QUEUE_DESC ? 4 : 2;
}

u32 common(struct device *device, u32 reg)
{
	return place_read(&device->cfg[CFG_COMMON], reg, width(reg));
}

void set_common(struct device *device, u32 reg, u32 value)
{
	place_write(&device->cfg[CFG_COMMON], reg, width(reg), value);
}

void set_common64(struct device *device, u32 reg, u64 value)
{
	set_common(device, reg, value);
	set_common(device, reg + 4, value >> 32);
}

/* --- "Device Initialization" --- */

u32 reset_ms = EVENT_MS;

bool device_reset(struct device *device)
{
	u64 end = rdtsc() + tsc_per_ms() * reset_ms;

	set_common(device, DEVICE_STATUS, 0);
	while (common(device, DEVICE_STATUS) && rdtsc() < end)
		pause();
	return !common(device, DEVICE_STATUS);
}

u64 device_features(struct device *device)
{
	u64 features;

	set_common(device, DEVICE_FEATURE_SELECT, 0);
	features = common(device, DEVICE_FEATURE);
	set_common(device, DEVICE_FEATURE_SELECT, 1);
	return features | (u64)common(device, DEVICE_FEATURE) << 32;
}

bool device_negotiate(struct device *device, u64 features)
{
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE | DRIVER);
	device->offered = device_features(device);
	set_common(device, DRIVER_FEATURE_SELECT, 0);
	set_common(device, DRIVER_FEATURE, features);
	set_common(device, DRIVER_FEATURE_SELECT, 1);
	set_common(device, DRIVER_FEATURE, features >> 32);
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return common(device, DEVICE_STATUS) & FEATURES_OK;
}

void device_ok(struct device *device)
{
	set_common(device, DEVICE_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* --- queues --- */

void queue_init(struct device *device, struct queue *queue, u16 number, u16 size, volatile struct ring *ring)
{
	volatile u8 *bytes = (volatile u8 *)ring;
	u32 most;

	for (u32 i = 0; i < sizeof(*ring); i++)
		bytes[i] = 0;
	set_common(device, QUEUE_SELECT, number);
	/* Read once: hostile tests move the registers meanwhile. A queue that is not there has size 0. */
	most = common(device, QUEUE_SIZE);
	if (!size)
		size = most < RING_MAX ? most : RING_MAX;
	set_common(device, QUEUE_SIZE, size);
	size = size ? size : 1;
	*queue = (struct queue){ device, number, size, .notify_off = common(device, QUEUE_NOTIFY_OFF), .ring = ring };
	set_common64(device, QUEUE_DESC, (ulong)ring->desc);
	set_common64(device, QUEUE_DRIVER, (ulong)&ring->avail);
	set_common64(device, QUEUE_DEVICE, (ulong)&ring->used);
	set_common(device, QUEUE_ENABLE, 1);
}

static void describe(volatile struct descriptor *to, const struct buffer *buffer, u16 flags, u16 next)
{
	to->address = (ulong)buffer->data;
	to->size = buffer->size;
	to->flags = flags | (buffer->write ? D_WRITE : 0);
	to->next = next;
}

/* Writes become visible in order, and the available index before a look at what the device wants. */
static void fence(void)
{
	asm volatile("mfence" : : : "memory");
}

void queue_offer(struct queue *queue, u16 head)
{
	queue->ring->avail.ring[queue->made % queue->size] = head;
	fence();
	queue->ring->avail.index = ++queue->made;
	fence();
}

u16 queue_add(struct queue *queue, const struct buffer *buffers, u32 count)
{
	u16 head = queue->next;

	for (u32 i = 0; i < count; i++) {
		u16 at = queue->next;

		queue->next = (at + 1) % queue->size;
		describe(&queue->ring->desc[at], &buffers[i], i + 1 < count ? D_NEXT : 0, queue->next);
	}
	queue_offer(queue, head);
	return head;
}

u16 queue_add_indirect(struct queue *queue, volatile struct descriptor *table, const struct buffer *buffers, u32 count)
{
	struct buffer whole = { table, count * sizeof(*table), false };
	u16 head = queue->next;

	for (u32 i = 0; i < count; i++)
		describe(&table[i], &buffers[i], i + 1 < count ? D_NEXT : 0, i + 1);
	describe(&queue->ring->desc[head], &whole, D_INDIRECT, 0);
	queue->next = (head + 1) % queue->size;
	queue_offer(queue, head);
	return head;
}

/* Without VIRTIO_F_NOTIFICATION_DATA it is the queue's number, in 16 bits. */
void queue_kick(struct queue *queue)
{
	struct device *device = queue->device;

	place_write(&device->notify[0], queue->notify_off * device->notify_multiplier[0], 2, queue->number);
}

bool queue_used(struct queue *queue, u32 *id, u32 *written)
{
	volatile struct used_entry *entry = &queue->ring->used.ring[queue->seen % queue->size];

	if (queue->seen == queue->ring->used.index)
		return false;
	*id = entry->id;
	*written = entry->written;
	queue->seen++;
	return true;
}

bool queue_wait(struct queue *queue, u32 *id, u32 *written, u32 ms)
{
	u64 end = rdtsc() + tsc_per_ms() * ms;

	for (u32 i = 1; !queue_used(queue, id, written); i++) {
		if (rdtsc() > end)
			return false;
		pause();
		/* Bochs lets no interrupt end an SVM guest that entered with IF clear; a port access always does. */
		if (i % 1024 == 0)
			inb(0x80);
	}
	return true;
}

volatile u16 *used_event(struct queue *queue)
{
	return &queue->ring->avail.ring[queue->size];
}

u16 avail_event(struct queue *queue)
{
	return *(volatile u16 *)&queue->ring->used.ring[queue->size];
}

/* --- interrupts --- */

volatile u32 msi_count[MSI_VECTORS], pin_count[24], last_pin;
struct device *volatile intx_device;
volatile u32 intx_isr;

static void on_message(struct regs *regs)
{
	msi_count[regs->vector - MSI_VECTOR]++;
	lapic_write(0xb0, 0);
}

static void on_pin(struct regs *regs)
{
	last_pin = regs->vector - PIN_VECTOR;
	pin_count[last_pin]++;
	if (intx_device)
		intx_isr |= place_read(&intx_device->cfg[CFG_ISR], 0, 1);
	else	/* nobody could deassert it */
		ioapic_write(0x10 + 2 * last_pin, BIT(16));
	lapic_write(0xb0, 0);
}

/* PCI's pins are level-triggered, active low. */
void interrupts_init(void)
{
	u32 id = lapic_read(0x20);

	lapic_write(0xf0, 0x100 | 0xff);
	for (u32 i = 0; i < MSI_VECTORS; i++)
		interrupt_on(MSI_VECTOR + i, on_message);
	for (u32 pin = 16; pin < 24; pin++) {
		interrupt_on(PIN_VECTOR + pin, on_pin);
		ioapic_write(0x11 + 2 * pin, id);
		ioapic_write(0x10 + 2 * pin, BIT(15) | BIT(13) | (PIN_VECTOR + pin));
	}
}

void msix_enable(struct device *device, bool enable)
{
	pci_put(device->bdf, device->msix + 2, 2, enable ? MSIX_ENABLE : 0);
}

void msix_set(struct device *device, u32 entry, u64 address, u32 data, bool masked)
{
	ulong at = device->msix_table + 16 * entry;

	mmio_write(at + 12, 1);
	mmio_write(at, address);
	mmio_write(at + 4, address >> 32);
	mmio_write(at + 8, data);
	mmio_write(at + 12, masked);
}

bool wait_count(volatile u32 *count, u32 least, u32 ms)
{
	u64 end = rdtsc() + tsc_per_ms() * ms;

	sti();
	while (*count < least && rdtsc() < end)
		pause();
	cli();
	return *count >= least;
}
