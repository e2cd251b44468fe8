/* SPDX-License-Identifier: MIT */
/* The consoles of the VMs: which is in front, and how their output is put together. */
#include "core/console.h"

#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/irqchip.h"
#include "core/service.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

#define OUT_ORDER   2			/* CONSOLE_OUT_SIZE in pages */
#define DRAIN_US    3000000u	/* for a full ring at 115200 baud, and as much of the log's */
#define QUANTUM	    256u		/* of the VM in front, before it is the others' turn */
#define LINE_MAX    192u		/* a longer line of a VM in the back is cut into several */
#define MARGIN	    256u		/* of a ring that is replayed: its guest may print meanwhile */
#define ROOM_AGAIN  (CONSOLE_OUT_SIZE / 4)
/* A line of the VM in front that is being printed is not broken for a line of another, for so long. */
#define LINE_PAUSE_US 50000u
#define LINE_WAIT_US  200000u

_Static_assert((PAGE_SIZE << OUT_ORDER) == CONSOLE_OUT_SIZE, "size of the ring");
_Static_assert(sizeof(struct vm_console) <= PAGE_SIZE, "is allocated as a page");

static struct vm_console *consoles, *front;
static unsigned attached;
static bool held;		/* atomic */

/*
 * Taken inside of the log's lock by the collect hook, which gives up if it cannot have it; so no one is blocked
 * who logs while holding it, or by an NMI.
 */
static bool choosing;

/* Under `choosing`. */
static struct vm_console *turn;	/* whose output is next */
static u64 front_us;		/* when the front last printed */
static u64 deferred_us;		/* since when a line of another waits for the front's; 0: none does. Atomic */

static bool try_choose(void)
{
	return !__atomic_test_and_set(&choosing, __ATOMIC_ACQUIRE);
}

static void choose(void)
{
	while (!try_choose())
		__builtin_ia32_pause();
}

static void chosen(void)
{
	__atomic_clear(&choosing, __ATOMIC_RELEASE);
}

static struct vm *vm_of(const struct vm_console *console)
{
	return __atomic_load_n(&console->vm, __ATOMIC_ACQUIRE);
}

static u64 printed(const struct vm_console *console)
{
	return __atomic_load_n(&console->out_head, __ATOMIC_ACQUIRE);
}

static void set_sent(struct vm_console *console, u64 sent)
{
	__atomic_store_n(&console->out_sent, sent, __ATOMIC_RELEASE);
}

static char at(const struct vm_console *console, u64 position)
{
	return console->out[position % CONSOLE_OUT_SIZE];
}

static struct vm_console *find(const char *name)
{
	for (struct vm_console *console = consoles; console; console = console->next) {
		if (!strcmp(console->name, name))
			return console;
	}
	return NULL;
}

static struct vm_console *after(const struct vm_console *console)
{
	return console && console->next ? console->next : consoles;
}

/* --- moving output to the log --- */

/* The part from `from` on that is contiguous in memory, up to the end of its last line if others have a turn. */
static size_t front_piece(const struct vm_console *console, u64 from, size_t room)
{
	u64 n = MIN(printed(console) - from, CONSOLE_OUT_SIZE - from % CONSOLE_OUT_SIZE);
	u64 whole;

	n = MIN(n, MIN(room, QUANTUM));
	if (attached < 2)
		return n;
	for (whole = n; whole && at(console, from + whole - 1) != '\n'; whole--)
		;
	return whole ? whole : n;
}

static size_t move_front(struct vm_console *console, size_t room)
{
	u64 from = console->out_sent;
	size_t n;

	/* It printed while it was replayed. */
	if (printed(console) - from > CONSOLE_OUT_SIZE)
		from = printed(console) - CONSOLE_OUT_SIZE;
	n = front_piece(console, from, room);
	if (!n)
		return 0;
	log_collected(&console->out[from % CONSOLE_OUT_SIZE], n);
	set_sent(console, from + n);
	front_us = clock_us_since_boot();
	return n;
}

/* The length of the next line with its end; 0: it has not ended. A VM that has ended prints no more of it. */
static size_t next_line(const struct vm_console *console)
{
	u64 from = console->out_sent, n = MIN(printed(console) - from, LINE_MAX);

	for (u64 i = 0; i < n; i++) {
		if (at(console, from + i) == '\n')
			return i + 1;
	}
	return n == LINE_MAX || !vm_of(console) ? n : 0;
}

/* ECMA-48: leave out ESC [ parameters final, ESC x, and control characters but tabs. */
static bool is_shown(u8 *escape, char c)
{
	if (c == 0x1b) {
		*escape = 1;
	} else if (*escape == 1) {
		*escape = c == '[' ? 2 : 0;
	} else if (*escape == 2) {
		*escape = c >= '@' && c <= '~' ? 0 : 2;
	} else {
		return c == '\t' || (u8)c >= ' ';
	}
	return false;
}

static size_t copy_line(const struct vm_console *console, size_t length, char *to)
{
	size_t n = strlen(console->name);
	u8 escape = 0;

	memcpy(to, console->name, n);
	to[n++] = '|';
	to[n++] = ' ';
	for (size_t i = 0; i < length; i++) {
		char c = at(console, console->out_sent + i);

		if (is_shown(&escape, c) && c != 0x7f)
			to[n++] = c;
	}
	to[n++] = '\n';
	return n;
}

/* The line in front has not ended, but it looks as if it soon would. */
static bool wait_for_front(void)
{
	u64 now = clock_us_since_boot();

	if (!log_line_unfinished() || now - front_us >= LINE_PAUSE_US)
		return false;
	if (!deferred_us)
		__atomic_store_n(&deferred_us, now, __ATOMIC_RELAXED);
	return now - deferred_us < LINE_WAIT_US;
}

/* Move a line of a VM in the back. *full: there is one, but no room for it. */
static size_t move_line(struct vm_console *console, size_t room, bool *full)
{
	char text[VM_NAME_SIZE + LINE_MAX + 4];
	size_t length = next_line(console), n;

	if (!length || wait_for_front())
		return 0;
	__atomic_store_n(&deferred_us, 0, __ATOMIC_RELAXED);
	n = copy_line(console, length, text);
	*full = n + 1 > room;
	if (*full)
		return 0;
	if (log_line_unfinished())
		log_collected("\n", 1);
	log_collected(text, n);
	set_sent(console, console->out_sent + length);
	return n + 1;
}

static size_t move(struct vm_console *console, size_t room, bool *full)
{
	*full = false;
	return console == front ? move_front(console, room) : move_line(console, room, full);
}

/* In turn, so that a VM that prints without end does not keep the others from it. */
static bool collect_all(size_t room)
{
	bool moved = false, full = false;
	struct vm_console *last = turn = turn ? turn : consoles;

	if (!turn)
		return false;
	do {
		size_t n = move(turn, room, &full);

		moved |= n != 0;
		room -= MIN(n, room);
		if (full)
			return moved;
		turn = after(turn);
	} while (room && turn != last);
	return moved;
}

/* All of one VM, for a line of the log about it follows. */
static bool collect_one(struct vm_console *console, size_t room)
{
	bool moved = false, full;
	size_t n;

	while (console && (n = move(console, room, &full)) != 0) {
		moved = true;
		room -= MIN(n, room);
	}
	return moved;
}

bool console_collect(const char *tag, size_t room)
{
	bool moved;

	if (__atomic_load_n(&held, __ATOMIC_ACQUIRE) || !try_choose())
		return false;
	moved = tag ? collect_one(find(tag), room) : collect_all(room);
	chosen();
	return moved;
}

/* --- which is in front --- */

/* Where the replay begins: what it printed in the back, as far as the ring has it, from the beginning of a line. */
static u64 replay_start(const struct vm_console *console)
{
	u64 head = printed(console), from = console->back_from, kept = CONSOLE_OUT_SIZE - MARGIN;

	if (head <= kept || from >= head - kept)
		return MIN(from, console->out_sent);
	for (from = head - kept; from < head; from++) {
		if (at(console, from) == '\n')
			return MIN(from + 1, console->out_sent);
	}
	return MIN(head - kept, console->out_sent);
}

static void bring_to_front(struct vm_console *console)
{
	char text[VM_NAME_SIZE + 64] = "[console: ";

	if (console == front)
		return;
	str_copy(text + strlen(text), console->name, VM_NAME_SIZE);
	str_copy(text + strlen(text), " is in front]\n", 32);
	choose();
	if (front && printed(console))
		log_text(text);
	if (front)
		front->back_from = front->out_sent;
	set_sent(console, replay_start(console));
	front = console;
	__atomic_store_n(&deferred_us, 0, __ATOMIC_RELAXED);
	chosen();
	log_drain();
}

int console_show(const char *name)
{
	struct vm_console *console = find(name);

	if (!console)
		return -ENOENT;
	for (struct vm_console *other = consoles; other; other = other->next)
		other->returns = false;
	bring_to_front(console);
	return 0;
}

int console_show_number(unsigned number)
{
	struct vm_console *console = consoles;

	while (console && number-- > 1)
		console = console->next;
	return console ? console_show(console->name) : -ENOENT;
}

static struct vm_console *neighbour(bool backwards)
{
	struct vm_console *best = front;

	for (struct vm_console *c = after(front); c && c != front; c = after(c)) {
		if (!vm_of(c))
			continue;
		best = c;
		if (!backwards)
			break;
	}
	return best;
}

void console_show_next(bool backwards)
{
	struct vm_console *console = neighbour(backwards);

	if (console)
		console_show(console->name);
}

const char *console_front(void)
{
	return front ? front->name : "";
}

/* --- VMs come and go --- */

static struct vm_console *create(const char *name)
{
	struct vm_console *console = page_alloc(), **end = &consoles;

	if (!console)
		return NULL;
	console->out = pages_alloc(OUT_ORDER);
	if (!console->out) {
		page_free(console);
		return NULL;
	}
	str_copy(console->name, name, sizeof(console->name));
	while (*end)
		end = &(*end)->next;
	__atomic_store_n(end, console, __ATOMIC_RELEASE);
	return console;
}

int console_attach(struct vm *vm)
{
	struct vm_console *console = find(vm->name);

	if (!console)
		console = create(vm->name);
	if (!console) {
		log_line(LOG_ERROR, vm->name, "no memory for its console: what it prints goes to the log");
		return -ENOMEM;
	}
	__atomic_store_n(&console->in_tail, console->in_head, __ATOMIC_RELEASE);
	__atomic_store_n(&console->vm, vm, __ATOMIC_RELEASE);
	vm->console = console;
	attached++;
	if (!front || !vm_of(front) || console->returns)
		bring_to_front(console);
	console->returns = false;
	return 0;
}

/* What it has printed comes before anything of the next VM, as long as the devices take it. */
static void let_drain(const struct vm_console *console)
{
	u64 end = clock_deadline_us(DRAIN_US);

	do {
		log_make_room();
		log_drain();
		service_pause();
	} while (console_waiting(console) && !__atomic_load_n(&held, __ATOMIC_ACQUIRE) && !clock_expired(end));
}

void console_drain(struct vm *vm)
{
	struct vm_console *console = vm->console;

	if (!console)
		return;
	console->ends = console->input = NULL;
	__atomic_store_n(&console->busy, false, __ATOMIC_RELEASE);
	__atomic_store_n(&console->vm, NULL, __ATOMIC_RELEASE);	/* its last line may have no end */
	let_drain(console);
}

void console_detach(struct vm *vm, bool restarts)
{
	struct vm_console *console = vm->console;

	if (!console)
		return;
	console_drain(vm);
	vm->console = NULL;
	attached--;
	if (console == front && neighbour(false) != front) {
		bring_to_front(neighbour(false));
		console->returns = restarts;
	}
}

/* --- in both directions --- */

static void notify(struct vm_console *console)
{
	struct vm *vm = console->vm;

	if (!vm)
		return;
	vm_lock(vm);
	for (struct vm_console_end *end = console->ends; end; end = end->next)
		end->changed(end->device);
	vm_unlock(vm);
}

bool console_poll(void)
{
	bool log_waits = log_poll();
	bool more = __atomic_load_n(&deferred_us, __ATOMIC_RELAXED) || (front && console_waiting(front));

	for (struct vm_console *console = consoles; console; console = console->next) {
		if (!__atomic_load_n(&console->busy, __ATOMIC_ACQUIRE))
			continue;
		if (console_room(console) < ROOM_AGAIN) {
			more = true;
			continue;
		}
		__atomic_store_n(&console->busy, false, __ATOMIC_SEQ_CST);
		notify(console);
	}
	return log_waits || (more && !__atomic_load_n(&held, __ATOMIC_ACQUIRE));
}

size_t console_type(const char *text, size_t n)
{
	u32 head, room;

	if (!front || !front->vm)
		return n;
	head = front->in_head;
	room = CONSOLE_IN_SIZE - (head - __atomic_load_n(&front->in_tail, __ATOMIC_ACQUIRE));
	n = MIN(n, room);
	for (size_t i = 0; i < n; i++)
		front->in[(head + i) % CONSOLE_IN_SIZE] = (u8)text[i];
	__atomic_store_n(&front->in_head, head + (u32)n, __ATOMIC_RELEASE);
	if (n)
		notify(front);
	return n;
}

void console_hold(bool on)
{
	__atomic_store_n(&held, on, __ATOMIC_RELEASE);
	if (!on)
		log_drain();
}
