/* SPDX-License-Identifier: MIT */
/*
 * All interrupt controllers of a VM: the 8259s, the IOAPIC and the local APICs. The VM lock protects the 8259s
 * and the IOAPIC; dev/irq/vlapic.h says who accesses a local APIC.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vioapic;

struct vioapic *irqchip_ioapic(struct vm *vm);

/* VM lock: the 8259s' output changes. */
void irqchip_pic_output(struct vm *vm, bool level);

/* For apic_bus.c: the vCPU whose turn it is among equals. Any CPU may write any value. */
u32 *irqchip_lowest_turn(struct vm *vm);

/* From now on a device may send an NMI by a message, to any processor. Any CPU. */
void irqchip_expect_nmis(struct vm *vm);

/* Create the local APICs and the IOAPIC, and set the VM's irqchip. 0, -ENOMEM, -EEXIST, -ENOSPC; logged. */
int apic_create(struct vm *vm);
