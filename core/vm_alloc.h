/* SPDX-License-Identifier: MIT */
/* Memory that lives as long as its VM, for the state of device models. */
#pragma once

#include "lib/types.h"

struct vm;

/*
 * `size` zeroed bytes, aligned to 16, freed with the VM and never before. NULL when out of memory.
 */
void *vm_alloc(struct vm *vm, size_t size);

/* Free all of it, with the VM. */
void vm_free_all(struct vm *vm);
