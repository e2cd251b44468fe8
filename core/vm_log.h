/* SPDX-License-Identifier: MIT */
/* Log lines about a VM, tagged with its name; lines that are logged once per subject; how a VM ends. */
#pragma once

#include "lib/log.h"
#include "lib/types.h"

struct vm;
struct vcpu;

const char *vm_name(const struct vm *vm);

#define vm_error(vm, ...) log_line(LOG_ERROR, vm_name(vm), __VA_ARGS__)
#define vm_warn(vm, ...)  log_line(LOG_WARN, vm_name(vm), __VA_ARGS__)
#define vm_info(vm, ...)  log_line(LOG_INFO, vm_name(vm), __VA_ARGS__)
#define vm_debug(vm, ...) log_line(LOG_DEBUG, vm_name(vm), __VA_ARGS__)

enum once_kind { ONCE_PORT_READ, ONCE_PORT_WRITE, ONCE_MSR_READ, ONCE_MSR_WRITE, ONCE_MMIO, ONCE_INSTRUCTION, ONCE_OTHER };

#define VM_ONCE_ENTRIES 128

/* Subjects that were logged. When the table is full, one line says so, and further subjects are not logged. */
struct vm_log_once {
	u64 seen[VM_ONCE_ENTRIES];
	u32 count;
	bool full;
};

/* true the first time that this VM has this kind and index: then log it. */
bool vm_once(struct vm *vm, enum once_kind kind, u64 index);

/* A debug line that is logged once. Uses no entry of the table if debug lines are off. */
#define vm_debug_once(vm, kind, index, ...)					\
	do {									\
		if (log_get_level() >= LOG_DEBUG && vm_once(vm, kind, index))	\
			vm_debug(vm, __VA_ARGS__);				\
	} while (0)

#define VM_RESULT_SIZE 81u

/* What the guest says its work came to. */
struct vm_result {
	bool given;
	u32 status;			/* 0 is good */
	char text[VM_RESULT_SIZE];	/* printable */
};

/* With the VM lock: log the result, and keep it for the monitor, which shows the last one. `text` may be cut. */
void vm_report_result(struct vm *vm, u32 status, const char *text);

enum vm_end {
	VM_END_NONE,
	VM_END_POWEROFF,	/* ACPI S5 */
	VM_END_RESET,		/* the guest asked for a reset */
	VM_END_TRIPLE_FAULT,
	VM_END_DEBUG_EXIT,	/* port 0xf4 */
	VM_END_HALTED,		/* halted for good */
	VM_END_STOPPED,		/* by Lamina: time limit, monitor */
	VM_END_ERROR,		/* by Lamina: the guest cannot continue; dump printed */
	VM_END_ENTRY_FAILED,	/* the CPU refused the VM entry */
};

/*
 * End the VM: logs "vm ended: <words>"; takes effect when the current exit handler returns. The
 * first call wins. `format` says how, in words: "power-off by the guest (ACPI S5)".
 */
void vm_end(struct vm *vm, enum vm_end end, const char *format, ...) __printf(3, 4);
/* As above with VM_END_DEBUG_EXIT: a write to port 0xf4. */
void vm_end_debug_exit(struct vm *vm, u32 status);
