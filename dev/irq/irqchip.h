/* SPDX-License-Identifier: MIT */
/*
 * All interrupt controllers of a VM: the 8259s, the IOAPIC and the local APICs. The 8259s and the
 * IOAPIC have no lock: calls for one VM must not run concurrently, and with one vCPU they do not.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vioapic;

struct vioapic *irqchip_ioapic(struct vm *vm);

/* Create the local APICs and the IOAPIC, and set the VM's irqchip. 0, -ENOMEM, -EEXIST, -ENOSPC; logged. */
int apic_create(struct vm *vm);
