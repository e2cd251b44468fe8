/* SPDX-License-Identifier: MIT */
/* A transport without PCI: see fake_virtio.h. */
#include "fake_queue.c"

#include <stdio.h>

#include "lib/errno.h"

#define DEVICES	 256
#define SERVINGS 100000

#define STATUS_DRIVER_OK   BIT(2)	/* VIRTIO 1.2, "Device Status Field" */
#define STATUS_NEEDS_RESET BIT(6)

int fake_virtio_failure;
static struct fake_transport transports[DEVICES];

struct fake_transport *fake_transport_of(const struct virtio_device *device)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		if (transports[i].device == device)
			return &transports[i];
	}
	fail_msg("the device was not created with virtio_device_create()");
	return NULL;
}

/* A device at the address of one of a VM before takes its place. */
static struct fake_transport *place_for(const struct virtio_device *device)
{
	for (unsigned i = 0; i < DEVICES; i++) {
		if (transports[i].device == device)
			return &transports[i];
	}
	for (unsigned i = 0; i < DEVICES; i++) {
		if (!transports[i].device)
			return &transports[i];
	}
	memset(transports, 0, sizeof(transports));
	return &transports[0];
}

int virtio_device_create(struct vm *vm, struct virtio_device *device, const struct virtio_kind *kind,
			 unsigned queue_count, const u16 *queue_size)
{
	int failure = fake_virtio_failure;

	fake_virtio_failure = 0;
	if (failure)
		return failure;
	assert_in_range(queue_count, 1, VIRTIO_QUEUES);
	*place_for(device) = (struct fake_transport){ .device = device };
	device->pci.vm = vm;
	device->ops = kind->ops;
	device->name = kind->name;
	device->config_size = kind->config_size;
	device->offered = kind->features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	device->queue_count = queue_count;
	for (unsigned i = 0; i < queue_count; i++)
		virtqueue_init(&device->queues[i], vm, queue_size[i]);
	return 0;
}

void virtio_device_post(struct virtio_device *device, u32 queues)
{
	__atomic_fetch_or(&device->doorbells, queues, __ATOMIC_SEQ_CST);
}

void virtio_queue_notify(struct virtio_device *device, unsigned queue)
{
	assert_in_range(queue, 0, device->queue_count - 1);
	if (virtqueue_wants_interrupt(&device->queues[queue]))
		fake_transport_of(device)->notified[queue]++;
}

void virtio_config_changed(struct virtio_device *device)
{
	fake_transport_of(device)->config_changes++;
}

void virtio_device_break(struct virtio_device *device, const char *why)
{
	struct fake_transport *transport = fake_transport_of(device);

	transport->breaks++;
	snprintf(transport->why, sizeof(transport->why), "%s", why);
	device->status |= STATUS_NEEDS_RESET;
	if (device->ops->stop)
		device->ops->stop(device);
}

/* --- what a driver does --- */

void fake_virtio_accept(struct virtio_device *device, u64 features)
{
	assert_int_equal(features & ~device->offered, 0);
	device->features = features;
	for (unsigned i = 0; i < device->queue_count; i++) {
		device->queues[i].event_index = features & VIRTIO_F_EVENT_IDX;
		device->queues[i].indirect = features & VIRTIO_F_INDIRECT_DESC;
	}
}

void fake_virtio_start(struct virtio_device *device)
{
	spin_lock(&device->lock);
	device->status |= STATUS_DRIVER_OK;
	if (device->ops->start)
		device->ops->start(device);
	spin_unlock(&device->lock);
}

unsigned fake_virtio_run(struct virtio_device *device)
{
	struct fake_transport *transport = fake_transport_of(device);
	u32 before = transport->served, more;

	for (;;) {
		u32 queues = __atomic_exchange_n(&device->doorbells, 0, __ATOMIC_SEQ_CST);

		if (!queues || (device->status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET)) != STATUS_DRIVER_OK)
			return transport->served - before;
		assert_true(transport->served - before < SERVINGS);
		transport->served++;
		spin_lock(&device->lock);
		more = device->ops->serve(device, queues);
		spin_unlock(&device->lock);
		__atomic_fetch_or(&device->doorbells, more, __ATOMIC_SEQ_CST);
	}
}

void fake_virtio_kick(struct virtio_device *device, unsigned queue)
{
	virtio_device_post(device, BIT(queue));
	fake_virtio_run(device);
}

void fake_virtio_reset(struct virtio_device *device)
{
	spin_lock(&device->lock);
	if (device->ops->reset)
		device->ops->reset(device);
	for (unsigned i = 0; i < device->queue_count; i++)
		virtqueue_reset(&device->queues[i]);
	device->status = 0;
	device->features = 0;
	device->doorbells = 0;
	spin_unlock(&device->lock);
}

u32 fake_virtio_config(struct virtio_device *device, unsigned offset, unsigned size)
{
	u32 value;

	assert_true(offset + size <= device->config_size);
	spin_lock(&device->lock);
	value = device->ops->config_read(device, offset, size);
	spin_unlock(&device->lock);
	return value;
}

void fake_virtio_set_config(struct virtio_device *device, unsigned offset, unsigned size, u32 value)
{
	assert_true(offset + size <= device->config_size);
	spin_lock(&device->lock);
	if (device->ops->config_write)
		device->ops->config_write(device, offset, size, value);
	spin_unlock(&device->lock);
}
