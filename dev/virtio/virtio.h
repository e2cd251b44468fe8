/* SPDX-License-Identifier: MIT */
/*
 * A virtio device: what all kinds have in common. VIRTIO 1.2, "Basic Facilities of a Virtio Device". Modern devices
 * only; dev/virtio/virtio_pci.h is how the driver reaches them.
 */
#pragma once

#include "core/work.h"
#include "dev/pci/vpci_device.h"
#include "dev/virtio/virtqueue.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#define VIRTIO_QUEUES 18u	/* of a device, at most */

/* Device types, "Device Types". */
enum { VIRTIO_ID_NET = 1, VIRTIO_ID_BLOCK, VIRTIO_ID_CONSOLE, VIRTIO_ID_ENTROPY };

/* Features of all devices, "Reserved Feature Bits". */
#define VIRTIO_F_INDIRECT_DESC BIT_ULL(28)
#define VIRTIO_F_EVENT_IDX     BIT_ULL(29)
#define VIRTIO_F_VERSION_1     BIT_ULL(32)

struct virtio_device;

/* One kind of device. All are called with the device's lock held. */
struct virtio_ops {
	/*
	 * Serve the queues whose bits are set, a portion: some 50 microseconds at most. Returns the bits of those where
	 * there is more to do now. Called only when the driver is ready (DRIVER_OK), and the device is not broken.
	 */
	u32 (*serve)(struct virtio_device *device, u32 queues);
	/* The driver has set DRIVER_OK: `device->features` holds. NULL: nothing to do. */
	void (*start)(struct virtio_device *device);
	/* Nothing is served any more until the reset: the protocol was broken, or the driver gave up. NULL: nothing to do. */
	void (*stop)(struct virtio_device *device);
	/* Forget all requests and state. The queues are reset after it. NULL: nothing to do. */
	void (*reset)(struct virtio_device *device);
	/* The device-specific configuration, `offset + size` within config_size. Size 1, 2 or 4. */
	u32 (*config_read)(struct virtio_device *device, unsigned offset, unsigned size);
	/* NULL: read-only. */
	void (*config_write)(struct virtio_device *device, unsigned offset, unsigned size, u32 value);
};

struct virtio_device {
	struct vpci_device pci;		/* must be first */
	/* Constant. */
	const struct virtio_ops *ops;
	u64 offered;			/* features, those of all devices among them */
	u32 queue_count;
	u32 config_size;
	const char *name;		/* "a: disk 0" without the VM's name: "disk 0", for messages */
	u8 window;			/* offset of the "PCI configuration access capability" */
	struct vm_work work;
	/* Atomic. */
	u32 doorbells;			/* bit n: queue n is to be served */
	u32 isr;			/* bit 0: a queue, bit 1: the configuration */
	/* `lock`. Order: this lock, then the VM lock. Not in interrupt handlers. */
	struct spinlock lock;
	u8 status;			/* device status */
	u64 features;			/* that the driver has accepted: 0 before FEATURES_OK */
	u64 driver_features;		/* as the driver has written them */
	u32 device_feature_select, driver_feature_select;
	u16 queue_select;
	u16 config_vector;
	u8 generation;			/* of the configuration */
	bool intx;			/* INTA is asserted */
	u32 held;			/* doorbells that came while the function was no bus master */
	u32 breaks;			/* calls of virtio_device_break() */
	struct virtqueue queues[VIRTIO_QUEUES];
};

struct virtio_kind {
	const char *name;		/* as in struct virtio_device; must stay */
	u16 id;				/* VIRTIO_ID_... */
	u32 class;			/* PCI class, 24 bits */
	u64 features;			/* of this kind; those of all devices are added */
	u32 config_size;		/* at most 4 KiB */
	const struct virtio_ops *ops;
};

/*
 * Set up a device that is part of the caller's structure, from vm_alloc(), and plug it in. queue_size[] has queue_count
 * entries, each a power of two. 0, or an error that was logged.
 */
int virtio_device_create(struct vm *vm, struct virtio_device *device, const struct virtio_kind *kind,
			 unsigned queue_count, const u16 *queue_size);

/* Any CPU, any context that may send an IPI: have these queues served soon. */
void virtio_device_post(struct virtio_device *device, u32 queues);

/* With the lock: */
/* Something was returned in this queue: notify the driver if it wants to be. */
void virtio_queue_notify(struct virtio_device *device, unsigned queue);
/* The device-specific configuration has changed. */
void virtio_config_changed(struct virtio_device *device);
/* The driver has broken the protocol: DEVICE_NEEDS_RESET, and one line in the log. Nothing is served until a reset. */
void virtio_device_break(struct virtio_device *device, const char *why);
/* Has the driver accepted this feature? */
static inline bool virtio_has(const struct virtio_device *device, u64 feature)
{
	return device->features & feature;
}

/* --- for the transport, with the lock --- */

/* The driver writes the device status: 0 resets; other bits are added to those that are set. "Device Status Field". */
void virtio_write_status(struct virtio_device *device, u8 value);
/* Half `select` of the features that the driver wants; dropped after FEATURES_OK. */
void virtio_write_features(struct virtio_device *device, u32 select, u32 value);
/* The driver enables a queue: nothing before FEATURES_OK, or twice. Rings that are not in RAM break the device. */
void virtio_enable_queue(struct virtio_device *device, unsigned queue);
/* Take the interrupt status, and deassert INTA. */
u8 virtio_take_isr(struct virtio_device *device);
