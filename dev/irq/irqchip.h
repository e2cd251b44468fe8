/* SPDX-License-Identifier: MIT */
/*
 * A VM's interrupt controllers together: the 8259s, the IOAPIC and the local APICs. Lines and
 * registers of the shared ones are not locked: callers come one at a time, as they do from a VM
 * with one vCPU.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vioapic;

struct vioapic *irqchip_ioapic(struct vm *vm);

/* Create the local APICs and the IOAPIC, and set the VM's irqchip. 0, -ENOMEM, -EEXIST, -ENOSPC. */
int apic_create(struct vm *vm);
