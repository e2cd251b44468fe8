/* SPDX-License-Identifier: MIT */
/* virtio-net: from the port's ring into the driver's buffers. */
#pragma once

#include "dev/virtio/net.h"

/*
 * With the device's lock, driver ready: deliver a portion of what the port has. Returns the bits of the queues where there is more to
 * do now; frames that wait for buffers are delivered after their queue's doorbell.
 */
u32 virtio_net_receive(struct virtio_net *net);
