/* SPDX-License-Identifier: MIT */
/*
 * Changing what a VM's nested page tables map, at any time, while its vCPUs run on other CPUs.
 *
 * An entry goes from one mapping to another by way of "not present" and a flush of all CPUs, and so does a
 * large page that is split: no TLB ever holds two translations of an address. A guest that meets the moment in
 * between has a fault, finds in tdp_change_explains() that it was nothing, and tries again. Tables that were
 * made stay until the VM is destroyed. Intel SDM, "Recommended Invalidation"; AMD APM vol. 2, "TLB Management".
 *
 * All functions that change: as tdp_flush(), in a handler of an exit, in work, or in the service thread;
 * interrupts off; without any lock. All addresses 4 KiB aligned, sizes in bytes. On return nobody uses what was
 * mapped before: it can be freed. -ENOMEM: from some page on the range is as it was. -ETIMEDOUT: as
 * tdp_flush(); the tables are changed.
 */
#pragma once

#include "core/mem/tdp.h"

/* What is not mapped stays so. An access exits as one to a device, or ends the VM if guest_is_ram() still says RAM. */
int tdp_unmap(struct vm *vm, gpa_t gpa, u64 size);
/* Allow or forbid writes to what is mapped there. A forbidden write exits likewise. */
int tdp_protect(struct vm *vm, gpa_t gpa, u64 size, bool writable);
/* Map this memory, write-back, in pages of 4 KiB, in place of what is mapped there, or of nothing. */
int tdp_remap(struct vm *vm, gpa_t gpa, hpa_t hpa, u64 size, bool writable);

/*
 * The guest had a fault at gpa: is it allowed now, or about to be, as another CPU changes the tables? Then let
 * the guest try again. Any CPU.
 */
bool tdp_change_explains(const struct vm *vm, gpa_t gpa, bool write);
