/* SPDX-License-Identifier: MIT */
/*
 * Having all CPUs forget what they have cached of a VM's nested page tables, and of the shadow tables made from
 * them.
 *
 * Each vCPU of the VM gets REQ_FLUSH_TLB, which it serves before its next entry, and each of their home CPUs an
 * interrupt. A CPU that takes it is not in the guest, and looks at the requests before it enters one. So nobody
 * waits for vCPUs, which may be halted, paused, or not have their turn. A CPU that itself waits here answers
 * the others. tests/models/tdpflush.pml is the protocol. Intel SDM, "Guidelines for Use of the INVEPT
 * Instruction"; AMD APM vol. 2, "TLB Flush".
 */
#pragma once

#include "lib/types.h"

struct vm;

/*
 * After a change of an entry that was present. On return no processor uses the old one, not even for the
 * delivery of an event, and no CPU is within a walk of the tables that had begun before: what was mapped, and
 * tables that nothing refers to, can be freed. In a handler of an exit, in work, or in the service thread,
 * interrupts off, without any lock: a CPU that waits for one with interrupts off does not answer. The loaded
 * vCPU is flushed as well. Takes microseconds. -ETIMEDOUT, logged: a CPU does not answer, and the memory must
 * not be used for anything else.
 */
int tdp_flush(struct vm *vm);

/* For loops that wait, in such places, for a CPU that may be in tdp_flush(): answer it. */
void tdp_flush_answer(void);
