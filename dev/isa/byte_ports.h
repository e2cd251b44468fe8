/* SPDX-License-Identifier: MIT */
/*
 * Ports of devices on an 8-bit bus: a wider access becomes one byte access per port, lowest port
 * first, as the ISA bus makes it.
 */
#pragma once

#include "lib/types.h"

struct vm;

struct byte_ports {
	const char *name;
	u16 base, count;
	u8 (*read)(void *device, u16 port);
	void (*write)(void *device, u16 port, u8 value);
	void *device;
	unsigned (*block)(void *device, u16 port, bool in, u8 *data, unsigned n);	/* optional: core/device.h */
};

/* Claim the ports. `ports` is copied. Errors as pio_register(). */
int byte_ports_register(struct vm *vm, const struct byte_ports *ports);
