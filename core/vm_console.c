/* SPDX-License-Identifier: MIT */
/* The rings of a VM's console. */
#include "core/vm_console.h"

#include "core/console.h"
#include "core/vm.h"
#include "lib/log.h"

#define SENT_AT_ONCE (4 * VM_CONSOLE_BURST)

static void append(struct vm_console *console, const char *text, size_t n)
{
	u64 head = console->out_head;

	for (size_t i = 0; i < n; i++)
		console->out[(head + i) % CONSOLE_OUT_SIZE] = text[i];
	__atomic_store_n(&console->out_head, head + n, __ATOMIC_RELEASE);
}

/* Send with a line, or some bursts. The rest is sent by vm_console_push() or within some milliseconds. */
size_t vm_console_write(struct vm *vm, const char *text, size_t n)
{
	struct vm_console *console = vm->console;

	if (!console) {
		log_guest_output(text, n);
		return n;
	}
	n = MIN(n, console_room(console));
	append(console, text, n);
	if (n && (n > 1 || *text == '\n' || console->out_head % SENT_AT_ONCE == 0))
		log_drain();
	else
		log_expect_poll();
	return n;
}

bool vm_console_ready(struct vm *vm)
{
	struct vm_console *console = vm->console;

	if (!console || console_room(console) >= VM_CONSOLE_BURST)
		return true;
	__atomic_store_n(&console->busy, true, __ATOMIC_SEQ_CST);
	log_expect_poll();
	return false;
}

void vm_console_push(struct vm *vm)
{
	if (vm->console && console_waiting(vm->console))
		log_drain();
}

int vm_console_read(struct vm *vm)
{
	struct vm_console *console = vm->console;
	u32 tail;
	u8 c;

	if (!console)
		return -1;
	tail = console->in_tail;
	if (tail == __atomic_load_n(&console->in_head, __ATOMIC_ACQUIRE))
		return -1;
	c = console->in[tail % CONSOLE_IN_SIZE];
	__atomic_store_n(&console->in_tail, tail + 1, __ATOMIC_RELEASE);
	return c;
}

void vm_console_connect(struct vm *vm, void (*changed)(void *device), void *device)
{
	if (!vm->console)
		return;
	vm->console->changed = changed;
	vm->console->device = device;
}
