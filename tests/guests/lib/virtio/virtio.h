/* SPDX-License-Identifier: MIT */
/*
 * A small driver of modern virtio devices on the PCI bus, for the guests virtio*. VIRTIO 1.2, "Virtio Over PCI Bus",
 * "Split Virtqueues". Nothing is hidden: tests write registers, descriptors and rings as they like.
 */
#pragma once
#include "guest.h"

enum { VIRTIO_NET = 1, VIRTIO_BLOCK, VIRTIO_CONSOLE, VIRTIO_RNG };

/* PCI configuration: "Configuration Space" of the PCI Local Bus Specification. */
enum {
	PCI_COMMAND = 0x04, PCI_STATUS = 0x06, PCI_BAR = 0x10, PCI_CAPABILITIES = 0x34, PCI_LINE = 0x3c, PCI_PIN = 0x3d,
	COMMAND_IO = 1, COMMAND_MEMORY = 2, COMMAND_MASTER = 4, COMMAND_NO_INTX = 0x400,
	STATUS_INTX = 8, STATUS_CAPABILITIES = 0x10,
	CAP_MSIX = 0x11, CAP_VENDOR = 9, MSIX_ENABLE = 0x8000, MSIX_MASK_ALL = 0x4000,
};

/* "Virtio Structure PCI Capabilities" */
enum { CFG_COMMON = 1, CFG_NOTIFY, CFG_ISR, CFG_DEVICE, CFG_PCI, CFG_TYPES };

/* "Common configuration structure layout" */
enum {
	DEVICE_FEATURE_SELECT = 0, DEVICE_FEATURE = 4, DRIVER_FEATURE_SELECT = 8, DRIVER_FEATURE = 12,
	CONFIG_VECTOR = 16, NUM_QUEUES = 18, DEVICE_STATUS = 20, CONFIG_GENERATION = 21, QUEUE_SELECT = 22, QUEUE_SIZE = 24,
	QUEUE_VECTOR = 26, QUEUE_ENABLE = 28, QUEUE_NOTIFY_OFF = 30, QUEUE_DESC = 32, QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
};

enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4, FEATURES_OK = 8, NEEDS_RESET = 64, FAILED = 128 };
#define F_INDIRECT	BIT(28)
#define F_EVENT_IDX	BIT(29)
#define F_VERSION_1	BIT(32)
#define NO_VECTOR	0xffff

enum { D_NEXT = 1, D_WRITE = 2, D_INDIRECT = 4 };
#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY	   1
#define RING_MAX 256

struct descriptor {
	u64 address;
	u32 size;
	u16 flags, next;
};

struct used_entry {
	u32 id, written;
};

/* One queue's memory. avail[size] is used_event, and what follows the used ring's last entry avail_event. */
struct ring {
	struct descriptor desc[RING_MAX];
	struct {
		u16 flags, index, ring[RING_MAX + 1];
	} avail;
	struct {
		u16 flags, index;
		struct used_entry ring[RING_MAX];
		u16 avail_event;
	} used __attribute__((aligned(4)));
} __attribute__((aligned(4096)));

struct queue {
	struct device *device;
	u16 number, size, notify_off;
	u16 next;		/* next free descriptor: they are used in a ring */
	u16 made, seen;		/* requests made available; used entries collected */
	volatile struct ring *ring;
};

/* Where a capability's structure is. */
struct place {
	bool found, port;
	u32 bar, offset, size;
	ulong at;		/* its address, or port number */
};

struct device {
	u32 bdf;
	u16 id;			/* VIRTIO_... */
	u8 msix;		/* offset of the capability; 0: none */
	u32 vectors;
	ulong msix_table, msix_pending;
	struct place cfg[CFG_TYPES];
	struct place notify[2];		/* in the capabilities' order */
	u32 notify_multiplier[2], notifies;
	u8 pci_cfg;		/* offset of the capability of type 5; 0: none */
	u64 offered;
};

#define DEVICES_MAX 32
extern struct device devices[DEVICES_MAX];
extern u32 device_count;

/* pci.c */
extern ulong ecam;			/* 0: there is no MCFG */
void pci_write(u32 bdf, u32 reg, u32 value);	/* a doubleword */
u32 pci_get(u32 bdf, u32 reg, u32 size);	/* size 1, 2, 4 */
void pci_put(u32 bdf, u32 reg, u32 size, u32 value);
u64 pci_bar(u32 bdf, u32 bar, bool *port);
/* How many bytes that register decodes; its contents are restored. */
u64 pci_bar_size(u32 bdf, u32 bar);
void find_ecam(void);
const u8 *acpi_table(const char *signature);	/* NULL: there is none */

/* virtio.c */
void find_devices(void);		/* fills devices[]; malformed capabilities fail checks */
struct device *find_device(u32 id, u32 n);	/* the n-th of its kind, from 0; NULL */
void place_update(struct device *device);	/* after its base address registers have changed */

u32 place_read(const struct place *place, u32 offset, u32 size);
void place_write(const struct place *place, u32 offset, u32 size, u32 value);
u32 common(struct device *device, u32 reg);	/* in the register's own width */
void set_common(struct device *device, u32 reg, u32 value);
void set_common64(struct device *device, u32 reg, u64 value);

bool device_reset(struct device *device);	/* false: the status is not 0 within reset_ms */
extern u32 reset_ms;				/* EVENT_MS, but where another CPU, or a test, may keep it from being 0 */
u64 device_features(struct device *device);
/* ACKNOWLEDGE, DRIVER, these features, FEATURES_OK: false if that bit does not stay. */
bool device_negotiate(struct device *device, u64 features);
void device_ok(struct device *device);
/* Select it, give it that memory, and enable it. size 0: the device's largest, RING_MAX at most. */
void queue_init(struct device *device, struct queue *queue, u16 number, u16 size, volatile struct ring *ring);

struct buffer {
	volatile void *data;
	u32 size;
	bool write;		/* by the device */
};

/* A chain of these buffers, and its head in the available ring; returns the head. */
u16 queue_add(struct queue *queue, const struct buffer *buffers, u32 count);
/* The same in an indirect table, which has room for `count`. */
u16 queue_add_indirect(struct queue *queue, volatile struct descriptor *table, const struct buffer *buffers, u32 count);
void queue_offer(struct queue *queue, u16 head);
void queue_kick(struct queue *queue);		/* the doorbell, always; by the device's first notify structure */
bool queue_used(struct queue *queue, u32 *id, u32 *written);
bool queue_wait(struct queue *queue, u32 *id, u32 *written, u32 ms);
volatile u16 *used_event(struct queue *queue);	/* in the available ring */
u16 avail_event(struct queue *queue);

/* Interrupts: all of them are counted by vector. */
#define MSI_VECTOR  0x50	/* and the next MSI_VECTORS: for messages */
#define MSI_VECTORS 16
#define PIN_VECTOR  0x70	/* + pin of the IOAPIC */
extern volatile u32 msi_count[MSI_VECTORS], pin_count[24], last_pin;
extern struct device *volatile intx_device;	/* whose ISR the handler reads */
extern volatile u32 intx_isr;			/* what it has read, or-ed */
void interrupts_init(void);			/* local APIC on, all PCI pins of the IOAPIC unmasked, level */
void msix_enable(struct device *device, bool enable);
void msix_set(struct device *device, u32 entry, u64 address, u32 data, bool masked);
bool wait_count(volatile u32 *count, u32 least, u32 ms);	/* with interrupts on */

static inline u64 msi_address(void)
{
	return 0xfee00000u | (lapic_read(0x20) >> 24) << 12;
}
