/* SPDX-License-Identifier: MIT */
/*
 * A VM for device models, without a processor. Its buses, timers and the functions for interrupt
 * controllers are the product's. Its memory, vCPUs and log are fakes, and so is the clock, which moves only
 * when the test moves it.
 * Link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "arch/cpu/percpu.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/irqchip.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "lib/types.h"

#define FAKE_IRQS    24
#define FAKE_VCPUS   VM_MAX_VCPUS
#define FAKE_ALLOCS  320
#define FAKE_CONSOLE 4096

struct fake_vcpu {
	struct vcpu vcpu;
	/* Calls of vcpu_raise_nmi(), vcpu_raise_init(), vcpu_raise_startup(), vcpu_kick(). */
	unsigned nmis, inits, startups, kicks;
	u8 startup_vector;
};

struct fake_line {
	bool level;
	bool waiting;			/* what irq_line_waiting() returns */
	unsigned rises;
};

struct fake_vm {
	struct vm vm;
	struct fake_vcpu vcpus[FAKE_VCPUS];	/* vm.vcpu_count is 1, until a test wants more */
	struct percpu cpu;			/* the home of all of them, and where the test runs */
	struct trace_record records[TRACE_RECORDS];	/* what the buses record */

	/* What irq_line_set() was called with, until a test installs interrupt controllers. */
	struct fake_line lines[FAKE_IRQS];

	u8 *ram;
	u64 ram_size;			/* below 3 GiB, from address 0, less the VGA hole */
	u64 high_ram;			/* what guest_high_ram() returns; without memory behind it */

	unsigned ends;			/* calls of vm_end() */
	char console[FAKE_CONSOLE];
	size_t console_length;
	bool no_pci;			/* what vm_has_pci() denies */
	bool types_at_hvc0;		/* vm_types_at_hvc0() */
	bool console_full;		/* it takes nothing */
	unsigned console_pushes;	/* calls of vm_console_push() */
	char typed[FAKE_CONSOLE];
	u32 typed_count, typed_read;
	struct vm_console_end *console_ends;
	size_t send_room;		/* what vm_console_send() takes; SIZE_MAX: all */
	unsigned logged;		/* lines */

	void *allocs[FAKE_ALLOCS];
	unsigned alloc_count;
	unsigned alloc_limit;		/* vm_alloc() fails from this many on */
};

static inline struct fake_vm *fake_of(const struct vm *vm)
{
	return (struct fake_vm *)vm;
}

static inline struct fake_vcpu *fake_vcpu_of(const struct vcpu *vcpu)
{
	return (struct fake_vcpu *)vcpu;
}

/* Give the vCPU another home CPU than the one that the test runs on. */
void fake_move_away(struct vcpu *vcpu);

/* Has vcpu_interrupt_changed() or vcpu_interrupt_sent() been called for this vCPU since the last call of this function? */
bool fake_interrupt_changed(struct vcpu *vcpu);

/* TSC ticks per second. An odd number by default, so that rounding errors show. */
extern u64 fake_hz;

/* Time starts at a TSC value far from 0. Frees all in fake_destroy(). */
struct vm *fake_create(u64 ram_size);
void fake_destroy(struct vm *vm);

/* Let time pass; every timer fires at its deadline, to the tick. */
void fake_advance(struct vm *vm, u64 ticks);
void fake_advance_ns(struct vm *vm, u64 ns);
/* Let time pass without running timers, as if the host were busy; then run those that are due, once. */
void fake_stall(struct vm *vm, u64 ticks);
/* The deadline of the first timer of all vCPUs and of the shared devices; VTIMER_NEVER if none. */
u64 fake_deadline(const struct vm *vm);

/* Type a character at the VM's console. */
void fake_type(struct vm *vm, char c);
/* Tell the devices that the console has changed. */
void fake_console_changed(struct vm *vm);

/* Accesses from the BSP. */
u8 in8(struct vm *vm, u16 port);
u16 in16(struct vm *vm, u16 port);
u32 in32(struct vm *vm, u16 port);
void out8(struct vm *vm, u16 port, u8 value);
void out16(struct vm *vm, u16 port, u16 value);
void out32(struct vm *vm, u16 port, u32 value);

/* A reproducible pseudo-random sequence: xorshift64*. The state must not be 0. */
u64 fake_random(u64 *state);
