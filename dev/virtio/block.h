/* SPDX-License-Identifier: MIT */
/* A virtio block device for each of the VM's disks. VIRTIO 1.2, "Block Device". */
#pragma once

#include "lib/types.h"

struct vm;

/* Disk `i` of the VM. 0, or an error that was logged. */
int virtio_block_create(struct vm *vm, u32 i);
