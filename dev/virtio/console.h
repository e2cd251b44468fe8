/* SPDX-License-Identifier: MIT */
/*
 * The virtio-console of a VM, with two ports: 0 is hvc0, a second console beside COM1, and 1 is "lamina.monitor", through
 * which the guest reports to Lamina (dev/virtio/guest_port.h). VIRTIO 1.2, "Console Device".
 *
 * What is printed at hvc0 goes to the VM's console as COM1's does (core/vm_console.h). What is typed comes here when
 * the driver has opened port 0 and has printed there, and COM1's driver has not enabled the interrupt for input; with
 * keyboard=hvc0 whenever the driver has opened port 0.
 */
#pragma once

struct vm;

/* Before the VM runs. 0, or an error that was logged. */
int virtio_console_create(struct vm *vm);
