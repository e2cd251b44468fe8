/* SPDX-License-Identifier: MIT */
/* The two cascaded 8259A interrupt controllers of a PC. The VM lock protects them. */
#pragma once

#include "lib/types.h"

struct vm;
struct vpic;

/*
 * The inputs for PCI, which are level-triggered until the guest changes that: with the 8259s in use, the DSDT routes the interrupt
 * pins of PCI functions to them, and the functions' interrupt line registers name them.
 */
#define PCI_FIRST_IRQ 10
#define PCI_LAST_IRQ  11

/* Claims its ports. NULL: no memory, or a port is taken; logged. Needs the VM's platform set. */
struct vpic *vpic_create(struct vm *vm);

/* Set the line of an ISA interrupt, 0..15. 2, the cascade input, is ignored. */
void vpic_set_line(struct vm *vm, unsigned irq, bool level);

/* Does this line have an unmasked request that is not acknowledged yet? */
bool vpic_line_waiting(struct vm *vm, unsigned irq);

/* Is the INT output, which drives the BSP's LINT0, asserted? Each change of it calls irqchip_pic_output(). */
bool vpic_pending(struct vm *vm);

/*
 * Interrupt acknowledge cycle: moves the interrupt to in-service and returns its vector. If the request
 * has gone in the meantime, returns the spurious vector of IRQ 7 or 15, as hardware does. Never negative.
 */
int vpic_acknowledge(struct vm *vm);
