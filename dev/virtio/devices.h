/* SPDX-License-Identifier: MIT */
/* The virtio devices of a VM. */
#pragma once

struct vm;

/* Those that every VM has, and those that its configuration asks for. After all regions of other devices. 0, or an error. */
int virtio_devices_create(struct vm *vm);
