/* SPDX-License-Identifier: MIT */
/* A virtual machine: what its vCPUs share. */
#pragma once

#include "arch/mem/memory.h"
#include "arch/mem/paging.h"
#include "core/io.h"
#include "core/irqchip.h"
#include "core/load/config.h"
#include "core/mem/guest_mem.h"
#include "core/vm_log.h"
#include "lib/types.h"

#ifndef VM_MAX_VCPUS	/* unit tests of the interrupt controllers define more */
#define VM_MAX_VCPUS 1	/* until Lamina uses more than one CPU of the host */
#endif

enum vm_state { VM_CREATED, VM_RUNNING, VM_ENDED };

/* Who may access a member while the VM runs: see struct vcpu in core/vcpu.h. */
struct vm {
	/* Constant. */
	u32 id;
	char name[VM_NAME_SIZE];
	const struct vm_config *config;
	const struct vcpu_ops *ops;
	bool every_exit;		/* checks or trace stops need each exit: see struct vcpu */
	/* VM lock. */
	u8 state;			/* enum vm_state */
	enum vm_end end;		/* how it ended */
	u32 exit_status;		/* VM_END_DEBUG_EXIT: the value that was written */

	/* Constant. */
	struct address_space space;	/* the host's mappings, with this VM's RAM in the guest window */
	struct guest_mem mem;		/* VM lock: the list of damaged pages */
	hpa_t tdp_root;			/* of the EPT or NPT tables: core/mem/tdp.c */
	u64 tdp_pages;			/* pages of these tables, for the accounting */
	void *vendor;			/* vendor: bitmaps */

	/* Constant. */
	struct vcpu *vcpus[VM_MAX_VCPUS];
	u32 vcpu_count;

	/* VM lock: a guest moves regions. */
	struct io_bus ports, mmio;
	/* Constant once the devices are created. */
	const struct irqchip_ops *irqchip;
	void *irqchip_data;		/* owned by dev */
	void *platform;			/* owned by dev: the devices of this VM */

	/* Constant. */
	u64 start_tsc;			/* host TSC and wall clock (seconds since 1970) at power-on */
	u64 start_time;
	/* VM lock. */
	struct vm_page *memory;		/* pages behind vm_alloc() */
	struct vtimer *time_limit;
	struct vm_log_once once;
};

/*
 * Create the VM that `config` describes: host address space, RAM, nested page tables, buses, vCPUs.
 * Its devices (dev/platform.h) and vcpu_reset() follow once the VM is entered. Errors are logged, and
 * vm_destroy() cleans up after a failure too.
 */
int vm_create(struct vm *vm, const struct vm_config *config, const struct vcpu_ops *ops);
void vm_destroy(struct vm *vm);

/*
 * Load the VM on this CPU: switch to its address space and load its vCPU's state. Guest memory can be
 * accessed from vm_enter() until vm_leave().
 */
void vm_enter(struct vm *vm);
void vm_leave(struct vm *vm);

/* Run the VM until it ends, then print the statistics of its exits. */
void vm_run(struct vm *vm);

/* The VM that is loaded on this CPU, which gets the console's input. NULL: none. */
struct vm *vm_current(void);
