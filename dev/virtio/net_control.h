/* SPDX-License-Identifier: MIT */
/* virtio-net: the control queue, and which frames the driver wants. */
#pragma once

#include "dev/virtio/net.h"

/* The control queue's number, which depends on the features that the driver has accepted. */
u32 virtio_net_control_queue(const struct virtio_net *net);
/* The driver is ready: all frames pass, until it says otherwise. */
void virtio_net_control_start(struct virtio_net *net);
/* Carry out some of the commands. Returns whether there are more. */
bool virtio_net_control(struct virtio_net *net);
/* Does the driver want this frame, of at least NET_HEADER bytes? */
bool virtio_net_wants(const struct virtio_net *net, const u8 *frame, u32 length);
