/* SPDX-License-Identifier: MIT */
/*
 * The interface for device models: claim ranges on the port and MMIO buses. Interrupt lines are in
 * core/irqchip.h, time in core/vtimer.h, guest memory in core/mem/guest_mem.h, log
 * lines in core/vm_log.h, the console in core/vm_console.h, memory for its state in core/vm_alloc.h; no
 * device needs more.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

/*
 * A range of ports or of guest-physical addresses. `offset` is relative to base; size is 1, 2 or 4
 * for ports and 1, 2, 4 or 8 for memory. The bus splits a port access that crosses the end of the
 * region into bytes; a memory access that crosses it is treated as unclaimed. Read
 * returns the value in the low bits.
 */
struct io_region {
	const char *name;
	u64 base, size;
	union {
		u64 (*read)(void *device, struct vcpu *vcpu, u64 offset, unsigned size);
		u8 (*read_byte)(void *device, u16 port);			/* with on_byte_bus */
	};
	union {
		void (*write)(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value);
		void (*write_byte)(void *device, u16 port, u8 value);
	};
	void *device;
	/*
	 * The device belongs to the vCPU that accesses it, or has no state: it is called without the VM lock. All
	 * others are called with it held.
	 */
	bool is_private;
	/* Ports of a device on an 8-bit bus, that never move: a wider access becomes one for each port, lowest port first. */
	bool on_byte_bus;
	/*
	 * Optional, with on_byte_bus: up to `n` accesses to the same port, with the effect of as many calls of
	 * read_byte() or write_byte(). Returns how many it has carried out; 0: none, the caller has to use those. They
	 * may lower interrupt lines, and raise none.
	 */
	unsigned (*block)(void *device, u16 port, bool in, u8 *data, unsigned n);
};

/* Claim a range, before the VM runs. -EEXIST where it overlaps, -ENOSPC; both logged. */
int pio_register(struct vm *vm, const struct io_region *region);
int mmio_register(struct vm *vm, const struct io_region *region);
/*
 * A range of memory for this vCPU alone, where no fixed one is; size 0: none. Home CPU. For its local APIC, which a guest may
 * move on one processor and not on the others.
 */
struct io_region *vcpu_own_region(struct vcpu *vcpu);
/*
 * Add the region of a PCI function, which is nowhere until it is moved: `base` is ignored. Where such regions overlap others,
 * fixed ones have the address, or else the one that was registered first. -ENOSPC: logged.
 */
int pio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle);
int mmio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle);
/*
 * VM lock, while the VM runs. Move or remove a region that was registered as movable; size 0 removes. Any base: ports
 * above FFFFh and memory above the guest's addresses are nowhere. An access on another CPU meets the old place or the
 * new one. -ENOENT: no such handle.
 */
int pio_move(struct vm *vm, u32 handle, u64 base, u64 size);
int mmio_move(struct vm *vm, u32 handle, u64 base, u64 size);

/* The devices of a VM, set by dev/platform.c. NULL before. */
void *vm_platform(const struct vm *vm);
void vm_set_platform(struct vm *vm, void *platform);
