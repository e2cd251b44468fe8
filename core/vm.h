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
#include "core/vtimer.h"
#include "lib/spinlock.h"
#include "lib/types.h"

#ifndef VM_MAX_VCPUS	/* some unit tests define fewer */
#define VM_MAX_VCPUS 288
#endif

struct percpu;

/* VM_ENDED is final. The others change by the service thread only (core/service.h). */
enum vm_state { VM_CREATED, VM_RUNNING, VM_PAUSED, VM_ENDED };

/* Who may access a member while the VM runs: see struct vcpu in core/vcpu.h. */
struct vm {
	/* Constant. */
	u32 id;
	char name[VM_NAME_SIZE];
	const struct vm_config *config;
	const struct vcpu_ops *ops;
	const struct vcpu_ops *l2_ops;	/* while L2 runs: core/nested.h. NULL: nested=off */
	bool every_exit;		/* checks, trace stops or fastpath=off need each exit: see struct vcpu */

	/*
	 * The VM lock: shared devices, and the members that say so. Order: VM lock, memory pool, log. Not
	 * recursive. Host interrupt handlers may take it, because none is served while it is held.
	 */
	struct spinlock lock;
	/* INIT, start-up IPIs and NMIs to its vCPUs: core/startup.h. Taken last, in any context. */
	struct spinlock signal_lock;
	/* Atomic. */
	u32 state;			/* enum vm_state */
	u32 active;			/* vCPUs that the schedulers have and that have not left */
	/* Whoever changes the state to VM_ENDED, before the last vCPU leaves. */
	enum vm_end end;		/* how it ended */
	u32 exit_status;		/* VM_END_DEBUG_EXIT: the value that was written */

	/* Constant. */
	struct address_space space;	/* the host's mappings, with this VM's RAM in the guest window */
	struct guest_mem mem;		/* VM lock: the list of damaged pages */
	hpa_t tdp_root;			/* of the EPT or NPT tables: core/mem/tdp.c */
	u64 tdp_pages;			/* VM lock, once it runs: pages of these tables, for the accounting */
	u64 tdp_reserve;		/* pages that are set aside for splitting them: vmx/ept.c. 0: none is split */
	bool tdp_changing;		/* atomic: core/mem/tdp_change.c */
	void *vendor;			/* vendor: bitmaps */
	enum apic_hardware apic_hardware;	/* chosen by vcpu_ops.vm_create() */

	/* Constant. */
	struct vcpu *vcpus[VM_MAX_VCPUS];
	u32 vcpu_count;

	/* VM lock: a guest moves regions. */
	struct io_bus ports, mmio;
	/* Constant once the devices are created. */
	const struct irqchip_ops *irqchip;
	void *irqchip_data;		/* owned by dev */
	void *platform;			/* owned by dev: the devices of this VM */
	struct vm_work *work;		/* of its devices, a list: core/work.h */
	struct vm_console *console;	/* core/console.h; NULL: none, its output goes straight to the log */

	/* Constant. */
	u64 start_tsc;			/* host TSC and wall clock (seconds since 1970) at power-on */
	u64 start_time;
	/* VM lock. */
	struct vtimer_list timers;	/* of shared devices, and the time limit; the boot processor runs them */
	struct vtimer time_limit;
	struct vm_result result;	/* the last one that the guest has reported */
	/* A lock of their own: taken last, in any context. */
	struct spinlock memory_lock;
	struct vm_page *memory;		/* pages behind vm_alloc() */
	struct spinlock once_lock;
	struct vm_log_once once;
	/* The service thread: core/vm_alloc.h. */
	struct vm_end_hook *end_hooks;
};

/*
 * Create the VM that `config` describes, whose vCPU i is at home on homes[i]: host address space, RAM, nested page tables, buses, vCPUs.
 * Its devices (dev/platform.h) and vcpu_reset() follow once the VM is entered. Errors are logged, and
 * vm_destroy() cleans up after a failure too.
 */
int vm_create(struct vm *vm, const struct vm_config *config, const struct vcpu_ops *ops, struct percpu *const *homes);
void vm_destroy(struct vm *vm);

/*
 * In the service thread, until vm_start(): make the vCPU current on this CPU, with its VM's address space. Guest
 * memory and the vCPU's state can be accessed until vm_leave(), which unloads it.
 */
void vm_enter(struct vcpu *vcpu);
void vm_leave(void);

/* In the service thread, at any time: copy from the VM's RAM. As guest_read(). */
int vm_copy_memory(struct vm *vm, gpa_t gpa, void *to, u64 size);

/*
 * Let the vCPUs run on their home CPUs until the VM ends. `limit`: the host TSC at which it is stopped, or
 * VTIMER_NEVER. When the last vCPU has left, the service thread is woken: then vm_is_over() is true.
 */
void vm_start(struct vm *vm, u64 limit);
bool vm_is_over(const struct vm *vm);
/* Print the statistics of a VM that is over. */
void vm_print_end(struct vm *vm);

/* In the service thread. False: the VM is not running, or not paused. */
bool vm_pause(struct vm *vm);
bool vm_resume(struct vm *vm);
/* Stop it at its next instruction boundary. */
void vm_stop(struct vm *vm);
/* Have each vCPU log its state. */
void vm_dump(struct vm *vm);

/* Have all vCPUs look at vm->state. Any CPU. */
void vm_state_changed(struct vm *vm);
