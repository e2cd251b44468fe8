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

/* console_poll() comes after this, so it sees that somebody waits, and whether there is room by then. */
static void expect_room(struct vm_console *console)
{
	__atomic_store_n(&console->busy, true, __ATOMIC_SEQ_CST);
	log_expect_poll();
}

size_t vm_console_send(struct vm *vm, const char *text, size_t n)
{
	struct vm_console *console = vm->console;
	u64 room, taken;

	if (!console)
		return vm_console_write(vm, text, n);
	room = console_room(console);
	taken = MIN(n, room - MIN(room, VM_CONSOLE_BURST));
	if (taken)
		vm_console_write(vm, text, taken);
	if (taken < n)
		expect_room(console);
	return taken;
}

static __noinline bool put_slowly(struct vm *vm, char c)
{
	vm_console_write(vm, &c, 1);
	return vm_console_ready(vm);
}

/* The fast path: no line's end, nothing to send yet, and room enough. */
bool vm_console_put(struct vm *vm, char c)
{
	struct vm_console *console = vm->console;
	u64 head;

	if (unlikely(!console || c == '\n'))
		return put_slowly(vm, c);
	head = console->out_head;
	if (unlikely((head + 1) % SENT_AT_ONCE == 0 || console_waiting(console) >= CONSOLE_OUT_SIZE - VM_CONSOLE_BURST))
		return put_slowly(vm, c);
	console->out[head % CONSOLE_OUT_SIZE] = c;
	__atomic_store_n(&console->out_head, head + 1, __ATOMIC_RELEASE);
	log_expect_poll();
	return true;
}

#define EACH_BYTE(value) (0x0101010101010101ull * (value))

/* Copy, and tell whether there is the end of a line: a word at a time. */
static bool copy_text(char *to, const char *from, unsigned n)
{
	const char *end = from + n;
	u64 word, zero_for_end, found = 0;	/* the high bits of its bytes */

	for (; from + sizeof(word) <= end; to += sizeof(word), from += sizeof(word)) {
		__builtin_memcpy(&word, from, sizeof(word));
		__builtin_memcpy(to, &word, sizeof(word));
		zero_for_end = word ^ EACH_BYTE('\n');
		found |= (zero_for_end - EACH_BYTE(1)) & ~zero_for_end;
	}
	while (from < end) {
		found |= *from == '\n' ? 0x80 : 0;
		*to++ = *from++;
	}
	return found & EACH_BYTE(0x80);
}

bool vm_console_put_block(struct vm *vm, const char *text, unsigned n)
{
	struct vm_console *console = vm->console;
	bool line_ends;
	u64 head, at;

	if (!console)
		return false;
	head = console->out_head;
	at = head % CONSOLE_OUT_SIZE;
	if (at + n > CONSOLE_OUT_SIZE || console_waiting(console) + n > CONSOLE_OUT_SIZE - VM_CONSOLE_BURST)
		return false;
	line_ends = copy_text(&console->out[at], text, n);
	__atomic_store_n(&console->out_head, head + n, __ATOMIC_RELEASE);
	if (line_ends || head % SENT_AT_ONCE + n >= SENT_AT_ONCE)
		log_drain();
	else
		log_expect_poll();
	return true;
}

bool vm_console_ready(struct vm *vm)
{
	struct vm_console *console = vm->console;

	if (!console || console_room(console) >= VM_CONSOLE_BURST)
		return true;
	expect_room(console);
	return false;
}

void vm_console_push(struct vm *vm)
{
	if (vm->console && console_waiting(vm->console))
		log_drain();
}

/* What another device has taken from the ring, so that it is older than what is in the ring. */
static int take_back(const struct vm_console *console, const struct vm_console_end *reader)
{
	int c = -1;

	for (struct vm_console_end *end = console->ends; c < 0 && end; end = end->next) {
		if (end != reader && end->take_back)
			c = end->take_back(end->device);
	}
	return c;
}

int vm_console_read(struct vm *vm, struct vm_console_end *end)
{
	struct vm_console *console = vm->console;
	u32 tail;
	int c;

	if (!console || console->input != end)
		return -1;
	c = take_back(console, end);
	if (c >= 0)
		return c;
	tail = console->in_tail;
	if (tail == __atomic_load_n(&console->in_head, __ATOMIC_ACQUIRE))
		return -1;
	c = console->in[tail % CONSOLE_IN_SIZE];
	__atomic_store_n(&console->in_tail, tail + 1, __ATOMIC_RELEASE);
	return c;
}

/* --- the devices --- */

/* Which device gets what is typed. Returns whether it is another one than before. */
static bool choose_input(struct vm_console *console)
{
	struct vm_console_end *best = NULL;
	bool moved;

	for (struct vm_console_end *end = console->ends; end; end = end->next) {
		if (end->need > (best ? best->need : CONSOLE_UNREAD))
			best = end;
	}
	moved = best != console->input;
	console->input = best;
	return moved;
}

void vm_console_connect(struct vm *vm, struct vm_console_end *end)
{
	struct vm_console *console = vm->console;
	struct vm_console_end **last;

	if (!console)
		return;
	for (last = &console->ends; *last; last = &(*last)->next)
		;
	*last = end;
	choose_input(console);
}

void vm_console_need(struct vm *vm, struct vm_console_end *end, enum vm_console_need need)
{
	if (end->need == need)
		return;
	end->need = need;
	if (vm->console && choose_input(vm->console) && vm->console->input)
		vm->console->input->changed(vm->console->input->device);
}
