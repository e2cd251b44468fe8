/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of a PCI function: a table of messages, each with a mask, and pending bits. PCI Local Bus Specification, "MSI-X
 * Capability and Table Structures", "MSI-X Operation".
 */
#pragma once

#include "lib/types.h"

struct vpci_device;

#define VPCI_MSIX_VECTORS 32u

struct vpci_msix_entry {
	u64 address;
	u32 data;
	bool masked;
};

/* MSI-X with `vectors` vectors, whose table and pending bits lie in the memory register `bar` at these offsets. */
void vpci_device_add_msix(struct vpci_device *device, unsigned vectors, unsigned bar, u32 table, u32 pending);
/*
 * For the handlers of that register: accesses by the guest, of any width, relative to the table and to the pending bits; what
 * is outside of them reads as 0. Without the VM lock.
 */
u64 vpci_msix_table_read(struct vpci_device *device, u64 offset, unsigned size);
void vpci_msix_table_write(struct vpci_device *device, u64 offset, unsigned size, u64 value);
u64 vpci_msix_pending_read(struct vpci_device *device, u64 offset, unsigned size);

/* Any CPU, without the VM lock. */
bool vpci_device_uses_msix(const struct vpci_device *device);
/*
 * Send the vector's message, or note it as pending while it is masked, or while the function is no bus master. While MSI-X is
 * disabled, or for a vector that there is not: nothing.
 */
void vpci_device_send(struct vpci_device *device, unsigned vector);
/* What the function had to say is over, as after its reset: messages that wait are never sent. */
void vpci_device_drop_pending(struct vpci_device *device);

/* For vpci_device.c: the control or the command register was written, with the bus's lock only. Send what is no longer held back. */
void vpci_msix_changed(struct vpci_device *device);
