/* SPDX-License-Identifier: MIT */
/* Calls of BIOS services, which the guest's machine does not have, and interrupts that nothing handles in real mode. */
#pragma once

struct vm;

/* Claim the port by which the BIOS' code reports them (core/load/bios.h). As pio_register(). */
int bios_call_register(struct vm *vm);
