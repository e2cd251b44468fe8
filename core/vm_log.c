/* SPDX-License-Identifier: MIT */
/* Log lines about a VM, and how a VM ends. */
#include "core/vm_log.h"

#include "core/vm.h"
#include "lib/printf.h"
#include "lib/string.h"

const char *vm_name(const struct vm *vm)
{
	return vm->name;
}

/* What has to be logged about a subject. */
enum once_answer { ONCE_SEEN, ONCE_NEW, ONCE_FULL };

static enum once_answer remember(struct vm_log_once *once, u64 key)
{
	for (u32 i = 0; i < once->count; i++) {
		if (once->seen[i] == key)
			return ONCE_SEEN;
	}
	if (once->count < VM_ONCE_ENTRIES) {
		once->seen[once->count++] = key;
		return ONCE_NEW;
	}
	if (once->full)
		return ONCE_SEEN;
	once->full = true;
	return ONCE_FULL;
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	enum once_answer answer;

	spin_lock(&vm->once_lock);
	answer = remember(&vm->once, (u64)kind << 56 | (index & 0x00ffffffffffffffull));
	spin_unlock(&vm->once_lock);
	if (answer == ONCE_FULL)
		vm_info(vm, "%u different ports, MSRs and addresses complained about; further ones are not logged",
			VM_ONCE_ENTRIES);
	return answer == ONCE_NEW;
}

void vm_report_result(struct vm *vm, u32 status, const char *text)
{
	vm->result = (struct vm_result){ .given = true, .status = status };
	str_copy(vm->result.text, text, sizeof(vm->result.text));
	vm_info(vm, "result of the guest: %u%s%s", status, *text ? ", " : "", text);
}

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
	char text[160];
	va_list args;

	if (__atomic_exchange_n(&vm->state, VM_ENDED, __ATOMIC_ACQ_REL) == VM_ENDED)
		return;
	vm->end = end;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (end == VM_END_ERROR || end == VM_END_ENTRY_FAILED)
		vm_error(vm, "vm ended: %s", text);
	else
		vm_info(vm, "vm ended: %s", text);
	vm_state_changed(vm);
}

void vm_end_debug_exit(struct vm *vm, u32 status)
{
	vm->exit_status = status;
	vm_end(vm, VM_END_DEBUG_EXIT, "debug exit, status 0x%x", status);
}
