/* SPDX-License-Identifier: MIT */
/* The port and MMIO buses of a VM: hand each access of the guest to the device that claims it. */
#pragma once

#include "core/device.h"
#include "lib/types.h"

struct vm;
struct vcpu;
struct trace_record;

#define IO_PORTS 0x10000

#define IO_FIXED   48
#define IO_MOVABLE 40		/* a bus has 31 functions; a virtio device has one region on each bus */
#define IO_REGIONS (IO_FIXED + IO_MOVABLE)

/*
 * Fixed regions, then, from IO_FIXED on, those of PCI functions, which may overlap: the first one has the address. VM lock, but
 * any CPU looks regions up: what moves is one 64-bit word, `base`.
 */
struct io_bus {
	struct io_region regions[IO_REGIONS];
	u32 count;		/* fixed ones */
	u32 movable;		/* those of PCI functions */
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

/* The operand of an OUT, and what an IN does to RAX. A 32-bit result clears the upper half, a narrower one leaves it. */
static inline u64 io_operand(u64 rax, unsigned size)
{
	return size == 1 ? (u8)rax : size == 2 ? (u16)rax : (u32)rax;
}

static inline u64 io_result(u64 rax, unsigned size, u64 value)
{
	union {
		u64 all;
		u8 al;
	} result = { .all = rax };

	if (size == 1) {
		result.al = (u8)value;
		return result.all;
	}
	return size == 2 ? (rax & ~0xffffull) | (u16)value : (u32)value;
}

/* pio_read() and pio_write(), but the trace does not have it. */
u64 pio_access_read(struct vcpu *vcpu, u16 port, unsigned size);
void pio_access_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value);
/* Any IN or OUT for the fast path: the record has all but the value; the operand is in regs[REG_RAX]. */
void io_port_of_record(struct vcpu *vcpu, struct trace_record *record);

/* The same for memory, of any region. */
u64 mmio_read_other(struct vcpu *vcpu, gpa_t gpa, unsigned size);
void mmio_write_other(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value);

/* A byte access on behalf of the firmware, before the guest's first entry: the trace does not have it. */
u8 pio_firmware_read(struct vcpu *vcpu, u16 port);
void pio_firmware_write(struct vcpu *vcpu, u16 port, u8 value);

/* Set up the two buses of a new VM: allocates the port map. -ENOMEM. */
int io_init(struct vm *vm);
void io_destroy(struct vm *vm);

/* The base of a region that is nowhere: no guest-physical address and no port is within any region's size of it. */
#define IO_NOWHERE BIT_ULL(63)

/* VM lock: the port map's bytes for these ports, as a function of all regions. Only bytes whose region changes are written. */
void io_map_ports(struct vm *vm, u64 base, u64 size);
