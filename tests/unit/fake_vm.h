/* SPDX-License-Identifier: MIT */
/*
 * A VM as device models see it, without a processor: buses, interrupt lines, time, guest memory
 * and the log, all under the test's control. Link: tests/unit/fake_vm.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "lib/types.h"

#define FAKE_IRQS    24
#define FAKE_VCPUS   4
#define FAKE_ALLOCS  64
#define FAKE_CONSOLE 4096

struct vcpu {
	struct vm *vm;
	u32 id;
	struct vtimer *timers;		/* sorted by deadline */
	u64 tsc_offset;
	unsigned interrupt_changes;	/* calls of vcpu_interrupt_changed() */
	unsigned nmis, inits, startups;	/* calls of vcpu_raise_nmi() and so on */
	u8 startup_vector;
	void *vlapic;
};

struct fake_line {
	bool level;
	bool waiting;			/* what irq_line_waiting() says */
	unsigned rises;
};

struct vm {
	struct vcpu vcpus[FAKE_VCPUS];
	u32 vcpu_count;			/* 1, until a test wants more */
	struct io_bus ports, mmio;
	void *platform;
	const struct irqchip_ops *irqchip;
	void *irqchip_data;

	struct fake_line lines[FAKE_IRQS];
	/* Called by irq_line_set() in addition; NULL: nothing more than lines[]. */
	void (*set_line)(struct vm *vm, unsigned irq, bool level);

	u8 *ram;
	u64 ram_size;			/* below 3 GiB, from address 0, less the VGA hole */
	u64 high_ram;			/* what guest_high_ram() says; not backed */

	enum vm_end end;
	unsigned ends;			/* calls of vm_end() */
	u32 exit_status;
	char console[FAKE_CONSOLE];
	size_t console_length;
	unsigned logged;		/* lines */
	struct vm_log_once once;

	void *allocs[FAKE_ALLOCS];
	unsigned alloc_count;
	unsigned alloc_limit;		/* vm_alloc() fails from this many on */
};

/* TSC ticks per second. An odd number by default, so that roundings show. */
extern u64 fake_hz;

/* Time starts at a TSC value far from 0. Frees all in fake_destroy(). */
struct vm *fake_create(u64 ram_size);
void fake_destroy(struct vm *vm);

/* Let time pass; every timer fires at its deadline, to the tick. */
void fake_advance(struct vm *vm, u64 ticks);
void fake_advance_ns(struct vm *vm, u64 ns);
/* Let time pass without a chance to run timers, as when the host is busy; then run them once. */
void fake_stall(struct vm *vm, u64 ticks);
/* The deadline of the first timer of all vCPUs; VTIMER_NEVER if none. */
u64 fake_deadline(const struct vm *vm);

/* Accesses from the BSP. */
u8 in8(struct vm *vm, u16 port);
u16 in16(struct vm *vm, u16 port);
u32 in32(struct vm *vm, u16 port);
void out8(struct vm *vm, u16 port, u8 value);
void out16(struct vm *vm, u16 port, u16 value);
void out32(struct vm *vm, u16 port, u32 value);

/* A reproducible pseudo-random sequence: xorshift64*. The state must not be 0. */
u64 fake_random(u64 *state);
