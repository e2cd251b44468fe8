/* SPDX-License-Identifier: MIT */
/* Virtio devices: status, features, notifications, and the work that doorbells ask for. */
#include "dev/virtio/virtio.h"

#include "core/vm_log.h"
#include "dev/virtio/virtio_pci.h"

/* "Device Status Field". */
#define STATUS_ACKNOWLEDGE  BIT(0)
#define STATUS_DRIVER	    BIT(1)
#define STATUS_DRIVER_OK    BIT(2)
#define STATUS_FEATURES_OK  BIT(3)
#define STATUS_NEEDS_RESET  BIT(6)
#define STATUS_FAILED	    BIT(7)
#define STATUS_BY_DRIVER    (STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK | STATUS_FEATURES_OK | STATUS_FAILED)

/* "ISR status capability". */
#define ISR_QUEUE  BIT(0)
#define ISR_CONFIG BIT(1)

#define BREAKS_LOGGED 8u	/* for each device: a driver may reset it and break it again, for ever */

/* --- interrupts --- */

static void set_intx(struct virtio_device *device, bool level)
{
	if (device->intx == level)
		return;
	device->intx = level;
	vpci_device_set_intx(&device->pci, level);
}

/*
 * By MSI-X the driver needs no bit for a queue. The function asserts INTA as long as a bit is set: it reaches the line
 * once MSI-X is off, if the driver has not read the bit before.
 */
static void interrupt(struct virtio_device *device, u16 vector, u32 reason)
{
	bool by_message = vpci_device_uses_msix(&device->pci);

	if (!by_message || reason == ISR_CONFIG) {
		__atomic_fetch_or(&device->isr, reason, __ATOMIC_SEQ_CST);
		set_intx(device, true);
	}
	if (by_message && vector != VIRTIO_NO_VECTOR)
		vpci_device_send(&device->pci, vector);
}

u8 virtio_take_isr(struct virtio_device *device)
{
	u32 isr = __atomic_exchange_n(&device->isr, 0, __ATOMIC_SEQ_CST);

	set_intx(device, false);
	return (u8)isr;
}

void virtio_queue_notify(struct virtio_device *device, unsigned queue)
{
	struct virtqueue *q = &device->queues[queue];

	if (virtqueue_wants_interrupt(q))
		interrupt(device, q->msix_vector, ISR_QUEUE);
}

/* "Device Requirements: Notification of Device Configuration Changes": none before DRIVER_OK. */
static void notify_config(struct virtio_device *device)
{
	if (device->status & STATUS_DRIVER_OK)
		interrupt(device, device->config_vector, ISR_CONFIG);
}

void virtio_config_changed(struct virtio_device *device)
{
	device->generation++;
	notify_config(device);
}

static void stop(struct virtio_device *device)
{
	if (device->ops->stop)
		device->ops->stop(device);
}

void virtio_device_break(struct virtio_device *device, const char *why)
{
	if (device->status & STATUS_NEEDS_RESET)
		return;
	if (device->breaks < BREAKS_LOGGED)
		vm_warn(device->pci.vm, "%s: %s. It does nothing until its driver resets it%s", device->name, why,
			device->breaks == BREAKS_LOGGED - 1 ? " (not logged again)" : "");
	device->breaks++;
	device->status |= STATUS_NEEDS_RESET;
	stop(device);
	notify_config(device);
}

/* --- the work --- */

/* Before DRIVER_OK no request is taken, after the end of the protocol neither. */
static bool is_ready(const struct virtio_device *device)
{
	return (device->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET | STATUS_FAILED)) == STATUS_DRIVER_OK;
}

void virtio_device_post(struct virtio_device *device, u32 queues)
{
	/* Whoever set bits that were clear has posted the work, which takes all of them. */
	if ((__atomic_fetch_or(&device->doorbells, queues, __ATOMIC_SEQ_CST) & queues) != queues)
		vm_work_post(&device->work);
}

/*
 * Memory of the rings that was RAM when the queue was enabled may be damaged later. A request that could then not be
 * returned, or a doorbell not be asked for, would leave the driver waiting for ever.
 */
static void check_rings(struct virtio_device *device)
{
	for (u32 i = 0; i < device->queue_count; i++)
		if (unlikely(device->queues[i].broken))
			virtio_device_break(device, "the rings of a queue are no longer in RAM");
}

static bool serve(struct virtio_device *device)
{
	u32 queues = __atomic_exchange_n(&device->doorbells, 0, __ATOMIC_SEQ_CST) | device->held, more;

	device->held = 0;
	if (!queues || !is_ready(device))
		return false;
	/* A function that is no bus master accesses no memory: PCI Local Bus Specification, "Device Control". */
	if (!vpci_device_is_bus_master(&device->pci)) {
		device->held = queues;
		return false;
	}
	more = device->ops->serve(device, queues);
	check_rings(device);
	if (!more || !is_ready(device))
		return false;
	__atomic_fetch_or(&device->doorbells, more, __ATOMIC_SEQ_CST);
	return true;
}

static bool run(struct vm_work *work, struct vcpu *vcpu __maybe_unused)
{
	struct virtio_device *device = container_of(work, struct virtio_device, work);
	bool more;

	spin_lock(&device->lock);
	more = serve(device);
	spin_unlock(&device->lock);
	return more;
}

/* --- what the driver sets --- */

/* Whoever serves the queues holds the lock, so that nothing is in progress here. */
static void reset(struct virtio_device *device)
{
	if (device->ops->reset)
		device->ops->reset(device);
	for (u32 i = 0; i < device->queue_count; i++)
		virtqueue_reset(&device->queues[i]);
	__atomic_store_n(&device->doorbells, 0, __ATOMIC_SEQ_CST);
	virtio_take_isr(device);
	vpci_device_drop_pending(&device->pci);
	device->status = 0;
	device->features = device->driver_features = 0;
	device->device_feature_select = device->driver_feature_select = 0;
	device->queue_select = 0;
	device->config_vector = VIRTIO_NO_VECTOR;
	device->held = 0;
}

/* "Driver Requirements: Feature Bits". VERSION_1: "Reserved Feature Bits". */
static bool accept_features(struct virtio_device *device)
{
	u64 features = device->driver_features;

	if (features & ~device->offered || !(features & VIRTIO_F_VERSION_1)) {
		if (vm_once(device->pci.vm, ONCE_OTHER, (u64)(uintptr_t)&device->features))
			vm_info(device->pci.vm, "%s: features 0x%llx are refused: not offered 0x%llx%s", device->name,
				(ull)features, (ull)(features & ~device->offered),
				features & VIRTIO_F_VERSION_1 ? "" : ", and VIRTIO_F_VERSION_1 is missing");
		return false;
	}
	device->features = features;
	return true;
}

void virtio_write_features(struct virtio_device *device, u32 select, u32 value)
{
	unsigned shift = 32 * select;

	if (device->status & STATUS_FEATURES_OK || select > 1)
		return;
	device->driver_features = (device->driver_features & ~(0xffffffffull << shift)) | (u64)value << shift;
}

static u32 all_queues(const struct virtio_device *device)
{
	return BIT(device->queue_count) - 1;
}

void virtio_write_status(struct virtio_device *device, u8 value)
{
	u8 added = value & STATUS_BY_DRIVER & ~device->status;

	if (!value) {
		reset(device);
		return;
	}
	if (added & STATUS_FEATURES_OK && !accept_features(device))
		added &= ~STATUS_FEATURES_OK;
	if (!((device->status | added) & STATUS_FEATURES_OK))
		added &= ~STATUS_DRIVER_OK;
	device->status |= added;
	if (added & STATUS_FAILED)
		stop(device);
	if (!(added & STATUS_DRIVER_OK) || !is_ready(device))
		return;
	if (device->ops->start)
		device->ops->start(device);
	/* Requests that the driver made available before, without a doorbell. */
	virtio_device_post(device, all_queues(device));
}

void virtio_enable_queue(struct virtio_device *device, unsigned queue)
{
	struct virtqueue *q = &device->queues[queue];

	if (q->enabled || !(device->status & STATUS_FEATURES_OK))
		return;
	q->event_index = virtio_has(device, VIRTIO_F_EVENT_IDX);
	q->indirect = virtio_has(device, VIRTIO_F_INDIRECT_DESC);
	if (virtqueue_enable(q))
		virtio_device_break(device, "the rings of a queue are not aligned, or not in RAM");
	else
		virtio_device_post(device, BIT(queue));
}

int virtio_device_create(struct vm *vm, struct virtio_device *device, const struct virtio_kind *kind,
			 unsigned queue_count, const u16 *queue_size)
{
	device->ops = kind->ops;
	device->offered = kind->features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1;
	device->queue_count = queue_count;
	device->config_size = kind->config_size;
	device->name = kind->name;
	device->config_vector = VIRTIO_NO_VECTOR;
	device->lock = (struct spinlock)SPINLOCK_INIT(LOCK_DEVICE);
	for (unsigned i = 0; i < queue_count; i++)
		virtqueue_init(&device->queues[i], vm, queue_size[i]);
	vm_work_init(vm, &device->work, run);
	return virtio_pci_create(vm, device, kind);
}
