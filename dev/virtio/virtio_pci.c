/* SPDX-License-Identifier: MIT */
/* Virtio over PCI: the registers that a driver sees. */
#include "dev/virtio/virtio_pci.h"

#include "core/vm_log.h"
#include "dev/virtio/virtio.h"
#include "lib/bits.h"

/* "PCI Device Discovery". A revision of 1 and a subsystem ID from 40h on say that it is not transitional. */
#define VENDOR	  0x1af4
#define DEVICE	  0x1040
#define SUBSYSTEM 0x1100
#define REVISION  1

/* Base address registers, and what lies where in the one for memory. */
#define PORTS_BAR     0u
#define MEMORY_BAR    2u
#define COMMON_CONFIG	      0x0000u
#define ISR	      0x0100u
#define CONFIG	      0x1000u
#define NOTIFY	      0x2000u
#define MSIX_TABLE    0x3000u
#define MSIX_PENDING  0x3800u
#define MEMORY_SIZE   0x4000u

#define NOTIFY_MULTIPLIER 4u

/* --- common configuration: "Common configuration structure layout" --- */

enum common_register {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	CONFIG_VECTOR = 16,
	QUEUE_COUNT = 18,
	DEVICE_STATUS = 20,
	CONFIG_GENERATION = 21,
	QUEUE_SELECT = 22,
	QUEUE_ENTRIES = 24,
	QUEUE_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFFSET = 30,
	QUEUE_DESCRIPTORS = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
	QUEUE_NOTIFY_DATA = 56,
	QUEUE_RESET = 58,
	COMMON_SIZE = 60,
};

/* How many bytes the register at each offset has; 0: none begins there. The halves of 64-bit registers are two. */
static const u8 register_size[COMMON_SIZE] = {
	[DEVICE_FEATURE_SELECT] = 4,
	[DEVICE_FEATURE] = 4,
	[DRIVER_FEATURE_SELECT] = 4,
	[DRIVER_FEATURE] = 4,
	[CONFIG_VECTOR] = 2,
	[QUEUE_COUNT] = 2,
	[DEVICE_STATUS] = 1,
	[CONFIG_GENERATION] = 1,
	[QUEUE_SELECT] = 2,
	[QUEUE_ENTRIES] = 2,
	[QUEUE_VECTOR] = 2,
	[QUEUE_ENABLE] = 2,
	[QUEUE_NOTIFY_OFFSET] = 2,
	[QUEUE_DESCRIPTORS] = 4, [QUEUE_DESCRIPTORS + 4] = 4,
	[QUEUE_DRIVER] = 4, [QUEUE_DRIVER + 4] = 4,
	[QUEUE_DEVICE] = 4, [QUEUE_DEVICE + 4] = 4,
	[QUEUE_NOTIFY_DATA] = 2,
	[QUEUE_RESET] = 2,
};

/* NULL: the driver has selected a queue that there is not. */
static struct virtqueue *selected(struct virtio_device *device)
{
	return device->queue_select < device->queue_count ? &device->queues[device->queue_select] : NULL;
}

/* What the registers of a queue that there is not read as: "queue_size: ... 0 means that the queue is unavailable". */
static u32 read_queue(struct virtio_device *device, unsigned reg)
{
	const struct virtqueue *queue = selected(device);

	if (!queue)
		return reg == QUEUE_VECTOR ? VIRTIO_NO_VECTOR : 0;
	switch (reg) {
	case QUEUE_ENTRIES:
		return queue->size;
	case QUEUE_VECTOR:
		return queue->msix_vector;
	case QUEUE_ENABLE:
		return queue->enabled;
	case QUEUE_NOTIFY_OFFSET:
		return device->queue_select;
	case QUEUE_DESCRIPTORS:
		return (u32)queue->descriptors;
	case QUEUE_DESCRIPTORS + 4:
		return (u32)(queue->descriptors >> 32);
	case QUEUE_DRIVER:
		return (u32)queue->driver;
	case QUEUE_DRIVER + 4:
		return (u32)(queue->driver >> 32);
	case QUEUE_DEVICE:
		return (u32)queue->device;
	case QUEUE_DEVICE + 4:
		return (u32)(queue->device >> 32);
	default:
		return 0;	/* of features that are not offered */
	}
}

static u32 half(u64 features, u32 select)
{
	return select > 1 ? 0 : (u32)(features >> 32 * select);
}

static u32 read_register(struct virtio_device *device, unsigned reg)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		return device->device_feature_select;
	case DEVICE_FEATURE:
		return half(device->offered, device->device_feature_select);
	case DRIVER_FEATURE_SELECT:
		return device->driver_feature_select;
	case DRIVER_FEATURE:
		return half(device->driver_features, device->driver_feature_select);
	case CONFIG_VECTOR:
		return device->config_vector;
	case QUEUE_COUNT:
		return device->queue_count;
	case DEVICE_STATUS:
		return device->status;
	case CONFIG_GENERATION:
		return device->generation;
	case QUEUE_SELECT:
		return device->queue_select;
	default:
		return read_queue(device, reg);
	}
}

static void set_low(u64 *address, u32 value)
{
	*address = (*address & ~0xffffffffull) | value;
}

static void set_high(u64 *address, u32 value)
{
	*address = (u32)*address | (u64)value << 32;
}

/* A vector that there is not is none: the driver reads it back. "MSI-X Vector Configuration". */
static u16 vector_of(const struct virtio_device *device, u32 value)
{
	return value < device->pci.msix_vectors ? (u16)value : VIRTIO_NO_VECTOR;
}

/* A queue that is enabled keeps its size and its rings. */
static void write_queue(struct virtio_device *device, unsigned reg, u32 value)
{
	struct virtqueue *queue = selected(device);

	if (!queue)
		return;
	if (reg == QUEUE_VECTOR) {
		queue->msix_vector = vector_of(device, value);
		return;
	}
	if (queue->enabled)
		return;
	switch (reg) {
	case QUEUE_ENTRIES:
		if (value && value <= queue->max && !(value & (value - 1)))
			queue->size = (u16)value;
		break;
	case QUEUE_ENABLE:
		if (value == 1)
			virtio_enable_queue(device, device->queue_select);
		break;
	case QUEUE_DESCRIPTORS:
		set_low(&queue->descriptors, value);
		break;
	case QUEUE_DESCRIPTORS + 4:
		set_high(&queue->descriptors, value);
		break;
	case QUEUE_DRIVER:
		set_low(&queue->driver, value);
		break;
	case QUEUE_DRIVER + 4:
		set_high(&queue->driver, value);
		break;
	case QUEUE_DEVICE:
		set_low(&queue->device, value);
		break;
	case QUEUE_DEVICE + 4:
		set_high(&queue->device, value);
		break;
	}
}

static void write_register(struct virtio_device *device, unsigned reg, u32 value)
{
	switch (reg) {
	case DEVICE_FEATURE_SELECT:
		device->device_feature_select = value;
		break;
	case DRIVER_FEATURE_SELECT:
		device->driver_feature_select = value;
		break;
	case DRIVER_FEATURE:
		virtio_write_features(device, device->driver_feature_select, value);
		break;
	case CONFIG_VECTOR:
		device->config_vector = vector_of(device, value);
		break;
	case DEVICE_STATUS:
		virtio_write_status(device, (u8)value);
		break;
	case QUEUE_SELECT:
		device->queue_select = (u16)value;
		break;
	default:
		write_queue(device, reg, value);
	}
}

/* Of any width and alignment. Behind the last register all is 0. */
static u64 common_read(struct virtio_device *device, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size && offset + i < COMMON_SIZE;) {
		unsigned at = (unsigned)offset + i, reg = at;

		while (!register_size[reg])
			reg--;
		value |= (u64)(read_register(device, reg) >> 8 * (at - reg)) << 8 * i;
		i += register_size[reg] - (at - reg);
	}
	return value;
}

/* Of each register that the access has all of; a part of a register is not written. */
static void common_write(struct virtio_device *device, u64 offset, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size && offset + i < COMMON_SIZE;) {
		unsigned reg = (unsigned)offset + i, bytes = register_size[reg];

		if (bytes && bytes <= size - i)
			write_register(device, reg, (u32)(value >> 8 * i & size_mask(bytes)));
		else
			vm_debug_once(device->pci.vm, ONCE_OTHER, (u64)(uintptr_t)device + reg,
				      "%s: a write of a part of the register at 0x%x is dropped", device->name, reg);
		i += bytes ?: 1;
	}
}

/* --- the device's own configuration --- */

/* How much of an access is one piece for the device: the whole, a half of 8 bytes, or a byte. 0: behind the end. */
static unsigned config_piece(const struct virtio_device *device, u64 offset, unsigned size)
{
	if (offset >= device->config_size)
		return 0;
	size = MIN(size, 4u);
	return size <= device->config_size - offset && size != 3 ? size : 1;
}

static u64 config_read(struct virtio_device *device, u64 offset, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0, piece; i < size; i += piece) {
		piece = config_piece(device, offset + i, size - i);
		if (!piece)
			break;
		value |= (device->ops->config_read(device, (unsigned)offset + i, piece) & size_mask(piece)) << 8 * i;
	}
	return value;
}

static void config_write(struct virtio_device *device, u64 offset, unsigned size, u64 value)
{
	if (!device->ops->config_write)
		return;
	for (unsigned i = 0, piece; i < size; i += piece) {
		piece = config_piece(device, offset + i, size - i);
		if (!piece)
			break;
		device->ops->config_write(device, (unsigned)offset + i, piece,
					  (u32)(value >> 8 * i & size_mask(piece)));
	}
}

/* --- the base address registers: without the VM lock --- */

static u64 locked_read(struct virtio_device *device, u64 offset, unsigned size)
{
	u64 value = 0;

	spin_lock(&device->lock);
	if (offset < ISR)
		value = common_read(device, offset - COMMON_CONFIG, size);
	else if (offset == ISR)
		value = virtio_take_isr(device);
	else if (offset >= CONFIG && offset < NOTIFY)
		value = config_read(device, offset - CONFIG, size);
	spin_unlock(&device->lock);
	return value;
}

static u64 memory_read(void *owner, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size)
{
	struct virtio_device *device = owner;

	if (offset < NOTIFY)
		return locked_read(device, offset, size);
	if (offset < MSIX_TABLE)
		return 0;
	if (offset < MSIX_PENDING)
		return vpci_msix_table_read(&device->pci, offset - MSIX_TABLE, size);
	return vpci_msix_pending_read(&device->pci, offset - MSIX_PENDING, size);
}

/* A doorbell says only that there may be requests: the queue is looked at outside of the exit. */
static void ring(struct virtio_device *device, u64 offset)
{
	u64 queue = offset / NOTIFY_MULTIPLIER;

	if (queue < device->queue_count)
		virtio_device_post(device, BIT(queue));
}

static void memory_write(void *owner, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size, u64 value)
{
	struct virtio_device *device = owner;

	if (offset >= MSIX_TABLE && offset < MSIX_PENDING) {
		vpci_msix_table_write(&device->pci, offset - MSIX_TABLE, size, value);
		return;
	}
	if (offset >= NOTIFY && offset < MSIX_TABLE) {
		ring(device, offset - NOTIFY);
		return;
	}
	if (offset >= MSIX_PENDING)
		return;
	spin_lock(&device->lock);
	if (offset < ISR)
		common_write(device, offset - COMMON_CONFIG, size, value);
	else if (offset >= CONFIG)
		config_write(device, offset - CONFIG, size, value);
	spin_unlock(&device->lock);
}

/* A power of two. */
static u64 ports_size(const struct virtio_device *device)
{
	u64 size = NOTIFY_MULTIPLIER;

	while (size < device->queue_count * NOTIFY_MULTIPLIER)
		size *= 2;
	return size;
}

static u64 ports_read(void *owner __maybe_unused, struct vcpu *vcpu __maybe_unused, u64 offset __maybe_unused,
		      unsigned size __maybe_unused)
{
	return 0;
}

static void ports_write(void *owner, struct vcpu *vcpu __maybe_unused, u64 offset, unsigned size __maybe_unused,
			u64 value __maybe_unused)
{
	ring(owner, offset);
}

/* --- capabilities: "Virtio Structure PCI Capabilities" --- */

#define COMMAND_REGISTER	  4
#define CAPABILITY_VENDOR 9
#define CAPABILITY_SIZE	  16u	/* struct virtio_pci_cap */

enum capability_type { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_WINDOW };

/* Where its members are. */
enum { CAP_LENGTH = 2, CAP_TYPE = 3, CAP_BAR = 4, CAP_OFFSET = 8, CAP_STRUCTURE = 12, CAP_MORE = 16 };

static void put32(u8 *at, u32 value)
{
	for (unsigned i = 0; i < 4; i++)
		at[i] = (u8)(value >> 8 * i);
}

static u32 get32(const u8 *at)
{
	return at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24;
}

/* A structure of `length` bytes at `offset` of a base address register. `more`: bytes behind the usual ones. */
static u8 *add_capability(struct virtio_device *device, enum capability_type type, unsigned bar, u32 offset, u32 length,
			  unsigned more)
{
	unsigned where = vpci_device_add_capability(&device->pci, CAPABILITY_VENDOR, CAPABILITY_SIZE + more);
	u8 *at = device->pci.config + where;

	at[CAP_LENGTH] = (u8)(CAPABILITY_SIZE + more);
	at[CAP_TYPE] = type;
	at[CAP_BAR] = (u8)bar;
	put32(at + CAP_OFFSET, offset);
	put32(at + CAP_STRUCTURE, length);
	return at;
}

/*
 * "PCI configuration access capability": a window to the base address registers for drivers that cannot access these. It
 * refers to `length` bytes at `offset` of a register. The bus's lock is held, which comes before the device's.
 */
static bool window_is_valid(const struct virtio_device *device, u32 *offset, u32 *length)
{
	const u8 *window = device->pci.config + device->window;
	u64 size = 0;

	if (window[CAP_BAR] == MEMORY_BAR)
		size = MEMORY_SIZE;
	else if (window[CAP_BAR] == PORTS_BAR)
		size = ports_size(device);
	*offset = get32(window + CAP_OFFSET);
	*length = get32(window + CAP_STRUCTURE);
	return (*length == 1 || *length == 2 || *length == 4) && !(*offset % *length) && *offset < size;
}

static u32 read_through(struct virtio_device *device, u32 offset, u32 length)
{
	if (device->pci.config[device->window + CAP_BAR] == PORTS_BAR)
		return (u32)ports_read(device, NULL, offset, length);
	return (u32)memory_read(device, NULL, offset, length);
}

static void write_through(struct virtio_device *device, u32 offset, u32 length, u32 value)
{
	if (device->pci.config[device->window + CAP_BAR] == PORTS_BAR)
		ports_write(device, NULL, offset, length, value);
	else
		memory_write(device, NULL, offset, length, value);
}

static u32 window_read(struct vpci_function *function, unsigned offset, unsigned size)
{
	struct virtio_device *device = container_of(function, struct virtio_device, pci.function);
	u8 *window = device->pci.config + device->window;
	u32 at, length, value;

	if (offset == device->window + (unsigned)CAP_MORE && window_is_valid(device, &at, &length)) {
		value = read_through(device, at, length);
		for (unsigned i = 0; i < length; i++)
			window[CAP_MORE + i] = (u8)(value >> 8 * i);
	}
	return vpci_device_config_read(function, offset, size);
}

/*
 * The function may have become a bus master, and then serves the doorbells that came before. Or it is one no longer:
 * who serves holds the lock and may still access memory, and the driver must find that over.
 */
static void command_written(struct virtio_device *device)
{
	u32 held;

	spin_lock(&device->lock);
	held = device->held;
	spin_unlock(&device->lock);
	if (held && vpci_device_is_bus_master(&device->pci))
		virtio_device_post(device, held);
}

static void window_write(struct vpci_function *function, unsigned offset, unsigned size, u32 value)
{
	struct virtio_device *device = container_of(function, struct virtio_device, pci.function);
	u8 *window = device->pci.config + device->window;
	u32 at, length;

	vpci_device_config_write(function, offset, size, value);
	if (offset == COMMAND_REGISTER)
		command_written(device);
	if (offset == device->window + (unsigned)CAP_MORE && window_is_valid(device, &at, &length))
		write_through(device, at, length, get32(window + CAP_MORE) & (u32)size_mask(length));
}

static void add_window(struct virtio_device *device)
{
	u8 *window = add_capability(device, CAP_WINDOW, 0, 0, 0, 4);
	u8 *writable;

	device->window = (u8)(window - device->pci.config);
	writable = device->pci.writable + device->window;
	writable[CAP_BAR] = 0xff;
	put32(writable + CAP_OFFSET, ~0u);
	put32(writable + CAP_STRUCTURE, ~0u);
	put32(writable + CAP_MORE, ~0u);
	device->pci.function.read = window_read;
	device->pci.function.write = window_write;
}

/* The one in ports first: drivers use the first that they can. */
static void add_capabilities(struct virtio_device *device)
{
	u32 notify_length = device->queue_count * NOTIFY_MULTIPLIER;

	put32(add_capability(device, CAP_NOTIFY, PORTS_BAR, 0, notify_length, 4) + CAP_MORE, NOTIFY_MULTIPLIER);
	put32(add_capability(device, CAP_NOTIFY, MEMORY_BAR, NOTIFY, notify_length, 4) + CAP_MORE, NOTIFY_MULTIPLIER);
	add_capability(device, CAP_COMMON, MEMORY_BAR, COMMON_CONFIG, COMMON_SIZE, 0);
	add_capability(device, CAP_ISR, MEMORY_BAR, ISR, 1, 0);
	if (device->config_size)
		add_capability(device, CAP_DEVICE, MEMORY_BAR, CONFIG, device->config_size, 0);
	add_window(device);
}

int virtio_pci_create(struct vm *vm, struct virtio_device *device, const struct virtio_kind *kind)
{
	const struct vpci_identity identity = {
		.name = kind->name,
		.vendor = VENDOR,
		.device = DEVICE + kind->id,
		.subsystem_vendor = VENDOR,
		.subsystem = SUBSYSTEM,
		.class = kind->class,
		.revision = REVISION,
	};
	const struct io_region ports = {
		.name = kind->name,
		.size = ports_size(device),
		.read = ports_read,
		.write = ports_write,
		.device = device,
		.is_private = true,
	};
	const struct io_region memory = {
		.name = kind->name,
		.size = MEMORY_SIZE,
		.read = memory_read,
		.write = memory_write,
		.device = device,
		.is_private = true,
	};
	int error = vpci_device_create(vm, &device->pci, &identity);

	if (!error)
		error = vpci_device_add_ports(&device->pci, PORTS_BAR, &ports);
	if (!error)
		error = vpci_device_add_memory(&device->pci, MEMORY_BAR, &memory);
	if (error)
		return error;
	add_capabilities(device);
	/* One for each queue, and one for the configuration. */
	vpci_device_add_msix(&device->pci, device->queue_count + 1, MEMORY_BAR, MSIX_TABLE, MSIX_PENDING);
	return 0;
}
