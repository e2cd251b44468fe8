/* SPDX-License-Identifier: MIT */
/*
 * A PCI function with a type 0 header: identity, base address registers, capabilities, INTA and MSI-X. What the guest sees
 * of the bases is a pure function of the command register and the base address registers, after each write.
 * PCI Local Bus Specification, "Configuration Space", "Message Signaled Interrupts".
 */
#pragma once

#include "core/device.h"
#include "dev/pci/vpci.h"
#include "dev/pci/vpci_msix.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#define VPCI_BARS	  6u
#define VPCI_CONFIG_SIZE  256u

struct vpci_identity {
	const char *name;		/* for messages; also of its I/O regions */
	u16 vendor, device, subsystem_vendor, subsystem;
	u32 class;			/* 24 bits: base class, subclass, interface */
	u8 revision;
};

struct vpci_bar {
	/* Constant. */
	u64 size;			/* bytes, a power of two; 0: there is no such register */
	bool is_port;
	u32 region;			/* handle of its I/O region */
	/* VM lock. */
	u64 base;			/* where its region is; VPCI_NOWHERE: decoding is off */
};
#define VPCI_NOWHERE (~0ull)

struct vpci_device {
	struct vpci_function function;	/* must be first */
	/* Constant. */
	struct vm *vm;
	struct vpci_bar bars[VPCI_BARS];	/* their members say what is not */
	u16 msix_vectors;		/* 0: it has no MSI-X */
	u8 msix_capability;		/* its offset */
	u8 next_capability;		/* while it is set up: where the next one goes */
	u8 writable[VPCI_CONFIG_SIZE];	/* bit set: the guest may write that bit */
	/* The bus's lock, and to write it `msix_lock`, too. Any CPU may read the command register and MSI-X's control. */
	u8 config[VPCI_CONFIG_SIZE];
	/* `msix_lock`, taken after the VM lock, in any context. */
	struct spinlock msix_lock;
	struct vpci_msix_entry msix[VPCI_MSIX_VECTORS];
	u64 msix_pending;		/* bit n: vector n's message waits until it is no longer masked */
	/* VM lock. */
	bool intx;			/* what the function asserts; the line is also subject to the command register */
};

/* Initialize, in the first free slot, and plug it in. 0, -ENOSPC: no slot is left, or there is no bus; logged. */
int vpci_device_create(struct vm *vm, struct vpci_device *device, const struct vpci_identity *identity);
/*
 * Give it a base address register; before the VM runs, and after all fixed regions are claimed. Of `region`, base is ignored, and
 * size is a power of two: 4 to 256 for ports, at least 4096 for memory, which is 64 bits wide and takes two registers. The base
 * is assigned here, and decoding enabled, as firmware does. 0; -EINVAL, -ENOSPC: logged.
 */
int vpci_device_add_ports(struct vpci_device *device, unsigned bar, const struct io_region *region);
int vpci_device_add_memory(struct vpci_device *device, unsigned bar, const struct io_region *region);
/* Add a capability of `size` bytes, its two header bytes among them; read-only. Returns its offset in config[]. */
unsigned vpci_device_add_capability(struct vpci_device *device, u8 id, unsigned size);
/* What function.read and function.write are at first: a device with registers of its own wraps them. */
u32 vpci_device_config_read(struct vpci_function *function, unsigned offset, unsigned size);
void vpci_device_config_write(struct vpci_function *function, unsigned offset, unsigned size, u32 value);

/* Any CPU, without the VM lock. */
bool vpci_device_is_bus_master(const struct vpci_device *device);	/* may it access memory and send messages? */
/* Assert or deassert INTA. Nothing reaches the line while MSI-X is enabled or the command register disables it. Takes the VM lock. */
void vpci_device_set_intx(struct vpci_device *device, bool level);
