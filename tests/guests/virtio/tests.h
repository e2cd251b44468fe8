/* SPDX-License-Identifier: MIT */
/* The tests of each kind of device. They leave it reset. */
#pragma once
#include "virtio.h"

#define LIMIT_MS EVENT_MS	/* for one request */

void test_rng(struct device *device, u32 n);	/* and all that queues and interrupts have in common */
void test_block(struct device *device, u32 n);
void test_net(void);
