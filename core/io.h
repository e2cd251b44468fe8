/* SPDX-License-Identifier: MIT */
/* The port and MMIO buses of a VM: hand each access of the guest to the device that claims it. */
#pragma once

#include "core/device.h"
#include "lib/types.h"

struct vm;
struct vcpu;

#define IO_PORTS 0x10000

#define IO_REGIONS 48

struct io_bus {
	struct io_region regions[IO_REGIONS];
	u32 count;
	u8 *port_map;		/* port bus: IO_PORTS bytes, region index + 1 or 0; NULL on the MMIO bus */
};

/*
 * An access by the guest. Where no device claims the address, reads return all ones and writes are
 * dropped; each is logged once per VM and port (at loglevel=debug) or page.
 */
u64 pio_read(struct vcpu *vcpu, u16 port, unsigned size);
void pio_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value);
u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned size);
void mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value);

/* A byte access on behalf of the firmware, before the guest's first entry: the trace does not have it. */
u8 pio_firmware_read(struct vcpu *vcpu, u16 port);
void pio_firmware_write(struct vcpu *vcpu, u16 port, u8 value);

/* Set up the two buses of a new VM: allocates the port map. -ENOMEM. */
int io_init(struct vm *vm);
void io_destroy(struct vm *vm);
