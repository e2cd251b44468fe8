/* SPDX-License-Identifier: MIT */
/*
 * Interrupt messages of PCI functions to the local APICs. Intel SDM, "Message Signalled Interrupts": "Message Address
 * Register Format", "Message Data Register Format".
 */
#pragma once

#include "lib/types.h"

struct vm;

/* Any CPU, with or without the VM lock. An address outside of FEExxxxxh is no interrupt: dropped, with a line once. */
void msi_send(struct vm *vm, u64 address, u32 data);
/* Any CPU: the guest has written the data of a message, which may be sent later. A halted processor may wait for it. */
void msi_prepared(struct vm *vm, u32 data);
