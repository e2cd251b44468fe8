/* SPDX-License-Identifier: MIT */
/*
 * What a device model sees of the rest: a place on the port or MMIO bus. Interrupt lines are in
 * core/irqchip.h, time in core/vtimer.h, guest memory in core/mem/guest_mem.h, and no device needs more.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

/*
 * A range of ports or of guest-physical addresses. `offset` is relative to base; size is 1, 2 or 4
 * for ports and 1, 2, 4 or 8 for memory. A port access that sticks out of the region is split into
 * bytes by the bus before it comes here; a memory access that does is treated as unclaimed. Read
 * returns the value in the low bits.
 */
struct io_region {
	const char *name;
	u64 base, size;
	u64 (*read)(void *device, struct vcpu *vcpu, u64 offset, unsigned size);
	void (*write)(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value);
	void *device;
};

/* Claim a range. -EEXIST where it overlaps, -ENOSPC; both logged. */
int pio_register(struct vm *vm, const struct io_region *region);
int mmio_register(struct vm *vm, const struct io_region *region);
/* Move or remove a claimed MMIO range (PCI BARs, APIC base); size 0 removes. */
int mmio_move(struct vm *vm, const char *name, void *device, u64 base, u64 size);

/* The devices of a VM: what dev/platform.c keeps there, NULL before. */
void *vm_platform(const struct vm *vm);
void vm_set_platform(struct vm *vm, void *platform);
