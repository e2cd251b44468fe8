/* SPDX-License-Identifier: MIT */
/*
 * For virtio devices on the fake VM: a driver's side of a virtqueue in the VM's RAM, and a transport without PCI. The
 * queues themselves are the product's (dev/virtio/virtqueue.c). VIRTIO 1.2, "Split Virtqueues".
 *
 *	struct vm *vm = fake_create(MIB(1));
 *	struct fake_queue queue;
 *
 *	fake_virtio_accept(device, VIRTIO_F_VERSION_1);		what a driver negotiates
 *	fake_queue_create(&queue, vm, &device->queues[0], 0x10000, 16);
 *	fake_virtio_start(device);				DRIVER_OK
 *	fake_queue_add(&queue, buffers, 2);			a chain of two buffers
 *	fake_virtio_kick(device, 0);				the doorbell, and all that the device does then
 *	assert_true(fake_queue_used(&queue, &head, &written));
 *
 * Link: tests/unit/fake_virtio.c dev/virtio/virtqueue.c and what fake_vm.h says. A test of the transport itself links
 * dev/virtio/virtio.c and tests/unit/fake_queue.c instead of fake_virtio.c, which includes it.
 */
#pragma once

#include "fake_vm.h"

#include "dev/virtio/virtio.h"
#include "dev/virtio/virtqueue.h"

/* --- tests/unit/fake_queue.c --- */

#define FAKE_NEXT	BIT(0)	/* flags of a descriptor: "The Virtqueue Descriptor Table" */
#define FAKE_WRITE	BIT(1)
#define FAKE_INDIRECT	BIT(2)

struct fake_buffer {
	u64 gpa;
	u32 size;
	bool writable;		/* the device writes it */
};

struct fake_queue {
	struct vm *vm;
	struct virtqueue *queue;	/* the device's side; NULL: addressed through registers only */
	u16 size;
	u64 descriptors, driver, device;	/* guest-physical */
	u16 next_free;		/* the descriptor that the next chain begins with; they are used in a ring */
	u16 available;		/* index of the available ring: requests that were made */
	u16 seen;		/* used entries that were collected */
};

/* Where a queue that begins at `gpa` ends. */
u64 fake_queue_end(u64 gpa, u16 size);
/*
 * Lay out an empty queue at `gpa`, which is a multiple of 16, and enable it; with `queue` NULL the test enables it.
 * The VM's RAM must be large enough.
 */
void fake_queue_create(struct fake_queue *q, struct vm *vm, struct virtqueue *queue, u64 gpa, u16 size);

/* Make a request of these buffers, or of an indirect table at `table` that lists them. Returns its head. */
u16 fake_queue_add(struct fake_queue *q, const struct fake_buffer *buffers, unsigned count);
u16 fake_queue_add_indirect(struct fake_queue *q, u64 table, const struct fake_buffer *buffers, unsigned count);
/* The next request that was returned, and how many bytes the device says it has written. False: there is none. */
bool fake_queue_used(struct fake_queue *q, u16 *head, u32 *written);
/* How many were returned and not yet collected. */
u16 fake_queue_used_count(const struct fake_queue *q);

/* For drivers that make mistakes: write a descriptor; put a head into the available ring, with its index. */
void fake_queue_set(struct fake_queue *q, u16 index, u64 gpa, u32 size, u16 flags, u16 next);
void fake_queue_set_at(struct fake_queue *q, u64 table, u16 index, u64 gpa, u32 size, u16 flags, u16 next);
void fake_queue_offer(struct fake_queue *q, u16 head);
void fake_queue_set_available(struct fake_queue *q, u16 index);

/* Notifications: what the driver asks for ("Available Buffer Notification Suppression" and the event indices). */
void fake_queue_set_flags(struct fake_queue *q, u16 flags);		/* of the available ring */
void fake_queue_set_used_event(struct fake_queue *q, u16 index);
u16 fake_queue_flags(const struct fake_queue *q);			/* of the used ring */
u16 fake_queue_available_event(const struct fake_queue *q);

/* The VM's RAM, little endian; the test fails where there is none. */
void fake_ram_write(struct vm *vm, u64 gpa, const void *from, size_t size);
void fake_ram_read(const struct vm *vm, u64 gpa, void *to, size_t size);

/* --- tests/unit/fake_virtio.c: a transport without PCI --- */

/* What the device has told its driver. */
struct fake_transport {
	struct virtio_device *device;
	unsigned notified[VIRTIO_QUEUES];	/* calls of virtio_queue_notify() for which virtqueue_wants_interrupt() was true */
	unsigned config_changes;
	unsigned breaks;			/* calls of virtio_device_break() */
	char why[160];				/* what the last one said */
	u32 served;				/* calls of serve() */
};

/* Of a device that was created with virtio_device_create(): up to 256 in a test program. */
struct fake_transport *fake_transport_of(const struct virtio_device *device);
/* The next virtio_device_create() returns this error. */
extern int fake_virtio_failure;

/* Negotiate these features; the test fails if one is not offered. Before fake_queue_create(). */
void fake_virtio_accept(struct virtio_device *device, u64 features);
/* DRIVER_OK. */
void fake_virtio_start(struct virtio_device *device);
/* Ring the doorbell of a queue, and run the device until it has no more to do. */
void fake_virtio_kick(struct virtio_device *device, unsigned queue);
/*
 * Run the device until it has no more to do, as after a call of virtio_device_post(). Returns the calls of serve();
 * the test fails after 100000.
 */
unsigned fake_virtio_run(struct virtio_device *device);
/* The driver writes 0 to the status. */
void fake_virtio_reset(struct virtio_device *device);
/* Accesses to the device-specific configuration. */
u32 fake_virtio_config(struct virtio_device *device, unsigned offset, unsigned size);
void fake_virtio_set_config(struct virtio_device *device, unsigned offset, unsigned size, u32 value);
