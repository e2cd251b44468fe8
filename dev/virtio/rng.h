/* SPDX-License-Identifier: MIT */
/* The entropy device. VIRTIO 1.2, "Entropy Device". */
#pragma once

struct vm;

/* Create it and plug it into the VM's PCI bus. 0, -ENOMEM, or an error that was logged. */
int virtio_rng_create(struct vm *vm);
