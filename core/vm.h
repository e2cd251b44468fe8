/* SPDX-License-Identifier: MIT */
/* A virtual machine: what its vCPUs share. */
#pragma once

#include "arch/mem/memory.h"
#include "arch/mem/paging.h"
#include "core/load/config.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/irqchip.h"
#include "core/vm_log.h"
#include "lib/types.h"

#ifndef VM_MAX_VCPUS	/* unit tests of the interrupt controllers define more */
#define VM_MAX_VCPUS 1	/* until Lamina uses more than one CPU of the host */
#endif

enum vm_state { VM_CREATED, VM_RUNNING, VM_ENDED };

struct vm {
	u32 id;
	char name[VM_NAME_SIZE];
	const struct vm_config *config;
	const struct vcpu_ops *ops;
	bool every_exit;		/* somebody looks at each: see struct vcpu */
	u8 state;			/* enum vm_state */
	enum vm_end end;		/* how it ended */
	u32 exit_status;		/* VM_END_DEBUG_EXIT: what was written */

	struct address_space space;	/* host's, with this VM's RAM in its guest window */
	struct guest_mem mem;
	hpa_t tdp_root;		/* of the EPT or NPT tables: core/mem/tdp.c */
	u64 tdp_pages;		/* pages of these tables, for the accounting */
	void *vendor;			/* vendor: bitmaps */

	struct vcpu *vcpus[VM_MAX_VCPUS];
	u32 vcpu_count;

	struct io_bus ports, mmio;
	const struct irqchip_ops *irqchip;
	void *irqchip_data;		/* dev's */
	void *platform;			/* dev's: the devices of this VM */

	u64 start_tsc;			/* host TSC and wall clock (seconds since 1970) at power-on */
	u64 start_time;
	struct vm_page *memory;		/* pages behind vm_alloc() */
	struct vtimer *time_limit;
	struct vm_log_once once;
};

/*
 * Build the VM that `config` describes: host address space, RAM, two-dimensional page tables, buses, vCPUs. Once
 * the VM is entered come its devices (dev/platform.h) and vcpu_reset(). Errors are logged with words,
 * and vm_destroy() cleans up after a failure too.
 */
int vm_create(struct vm *vm, const struct vm_config *config, const struct vcpu_ops *ops);
void vm_destroy(struct vm *vm);

/*
 * Make a VM the one that this CPU works for: its address space and its vCPU's state. From
 * vm_enter() on guest memory can be reached; vm_leave() undoes it.
 */
void vm_enter(struct vm *vm);
void vm_leave(struct vm *vm);

/* Run from here until it ends, and print how it ended and what its exits were. */
void vm_run(struct vm *vm);

/* The VM that runs on this CPU: the console's input is for it. NULL: none. */
struct vm *vm_current(void);
