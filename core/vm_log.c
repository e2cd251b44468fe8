/* SPDX-License-Identifier: MIT */
/* Log lines about a VM, and how a VM ends. */
#include "core/vm_log.h"

#include "core/vm.h"
#include "lib/printf.h"

const char *vm_name(const struct vm *vm)
{
	return vm->name;
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	struct vm_log_once *once = &vm->once;
	u64 key = (u64)kind << 56 | (index & 0x00ffffffffffffffull);

	for (u32 i = 0; i < once->count; i++) {
		if (once->seen[i] == key)
			return false;
	}
	if (once->count < VM_ONCE_ENTRIES) {
		once->seen[once->count++] = key;
		return true;
	}
	if (!once->full)
		vm_info(vm, "%u different ports, MSRs and addresses complained about; further ones are not logged",
			VM_ONCE_ENTRIES);
	once->full = true;
	return false;
}

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
	char text[160];
	va_list args;

	if (vm->state == VM_ENDED)
		return;
	vm->state = VM_ENDED;
	vm->end = end;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (end == VM_END_ERROR || end == VM_END_ENTRY_FAILED)
		vm_error(vm, "vm ended: %s", text);
	else
		vm_info(vm, "vm ended: %s", text);
}

void vm_end_debug_exit(struct vm *vm, u32 status)
{
	vm->exit_status = status;
	vm_end(vm, VM_END_DEBUG_EXIT, "debug exit, status 0x%x", status);
}

void vm_console_write(struct vm *vm __maybe_unused, const char *text, size_t n)
{
	log_guest_output(text, n);
}
