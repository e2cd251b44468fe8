/* SPDX-License-Identifier: MIT */
/* Memory that lives as long as its VM, for the state of device models; and how they learn of the VM's end. */
#pragma once

#include "lib/types.h"

struct vm;

/*
 * `size` zeroed bytes, aligned to 16, freed with the VM and never before. NULL when out of memory.
 */
void *vm_alloc(struct vm *vm, size_t size);
/* The same, aligned to 4 KiB: for what a processor finds by its physical address. */
void *vm_alloc_pages(struct vm *vm, size_t size);

/* Free all of it, with the VM. */
void vm_free_all(struct vm *vm);

/* What is to be done before anything of the VM is freed: by whoever has given others a way to it. */
struct vm_end_hook {
	void (*run)(struct vm_end_hook *hook);
	struct vm_end_hook *next;	/* of the VM's list */
};

/*
 * While the VM's devices are created: have run() called when the VM is destroyed, also after a failed creation. All its vCPUs
 * have left by then. In the service thread; it may wait for other CPUs, some microseconds. There is no undo.
 */
void vm_at_end(struct vm *vm, struct vm_end_hook *hook);
/* Run them, the last one first. */
void vm_run_end_hooks(struct vm *vm);
