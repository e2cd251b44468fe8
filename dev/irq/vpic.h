/* SPDX-License-Identifier: MIT */
/* The two cascaded 8259A interrupt controllers of a PC. */
#pragma once

#include "lib/types.h"

struct vm;
struct vpic;

/* Claims its ports. NULL: no memory, or a port is taken; logged. Needs the VM's platform set. */
struct vpic *vpic_create(struct vm *vm);

/* A device's line, irq 0..15; 2, the cascade, is not wired and ignored. */
void vpic_set_line(struct vm *vm, unsigned irq, bool level);

/* Is a request of this line, not masked, still to be acknowledged? */
bool vpic_line_waiting(struct vm *vm, unsigned irq);

/*
 * Is the INT output, wired to the BSP's LINT0, asserted? Each change of it is announced by
 * vcpu_interrupt_changed(vm_bsp(vm)).
 */
bool vpic_pending(struct vm *vm);

/*
 * Interrupt acknowledge: the vector, and the interrupt moves to in-service. When the request went
 * away in the meantime that is, as in hardware, the spurious vector of IRQ 7 or 15. Never negative.
 */
int vpic_acknowledge(struct vm *vm);
