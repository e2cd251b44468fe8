/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices on the PCI bus. VIRTIO 1.2, "Virtio Over PCI Bus". The doorbell of queue n is the port 4 * n of a port
 * register, so that ringing it is one OUT, which needs no decoding; it has an alias in memory.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct virtio_device;
struct virtio_kind;

/* Plug in a device that is set up otherwise: its registers, capabilities and MSI-X. 0, or an error that was logged. */
int virtio_pci_create(struct vm *vm, struct virtio_device *device, const struct virtio_kind *kind);
