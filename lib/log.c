/* SPDX-License-Identifier: MIT */
/* The log: lines go to a memory ring and to the consoles, one line at a time. */
#include "lib/log.h"

#include "lib/printf.h"
#include "lib/string.h"

#define RING_SIZE 32768u /* a power of two */
#define TEXT_MAX  512u	 /* characters of one call, with all its lines */
#define UNLOCKED  0u

static char ring[RING_SIZE];
static u64 ring_end; /* characters ever written; the newest is ring[(ring_end - 1) % RING_SIZE] */
static u64 lines_overwritten;

static struct log_console *consoles;
static const struct log_hooks *hooks;
static enum log_level max_level = LOG_INFO;
static bool line_unfinished; /* by a guest */

/*
 * UNLOCKED, or the index of the CPU that holds the lock plus one. An NMI or exception must be able to
 * log on the CPU whose line it interrupted, so one compare-and-exchange takes the lock or finds its owner.
 */
static u32 lock_owner = UNLOCKED;

static u32 this_cpu(void)
{
	return hooks && hooks->cpu ? hooks->cpu() : 0;
}

/* false: this CPU already holds the lock. The caller prints into the interrupted line, and must not unlock. */
static bool lock(void)
{
	u32 me = this_cpu() + 1;
	u32 seen = UNLOCKED;

	while (!__atomic_compare_exchange_n(&lock_owner, &seen, me, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (seen == me)
			return false;
		seen = UNLOCKED;
		__builtin_ia32_pause();
	}
	return true;
}

static void unlock(void)
{
	u32 me = this_cpu() + 1;

	/* After log_force_unlock() another CPU may hold the lock: leave it alone then. */
	__atomic_compare_exchange_n(&lock_owner, &me, UNLOCKED, false, __ATOMIC_RELEASE,
				    __ATOMIC_RELAXED);
}

static void remember(char c)
{
	char *place = &ring[ring_end % RING_SIZE];

	if (ring_end++ >= RING_SIZE)
		lines_overwritten += *place == '\n';
	*place = c;
}

static void emit(const char *text, size_t length, bool by_guest)
{
	for (size_t i = 0; i < length; i++)
		remember(text[i]);
	for (struct log_console *console = consoles; console; console = console->next) {
		if (!by_guest || !console->without_guests)
			console->write(console, text, length);
	}
}

static void emit_prefix(enum log_level level, const char *tag)
{
	u64 now = hooks && hooks->now_us ? hooks->now_us() : 0;
	const char *word = level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warning: " : "";
	char prefix[80];
	int length;

	length = snprintf(prefix, sizeof(prefix), "[%5llu.%06llu cpu%u%s%.32s] %s",
			  (unsigned long long)(now / 1000000), (unsigned long long)(now % 1000000),
			  this_cpu(), tag ? " " : "", tag ? tag : "", word);
	emit(prefix, MIN((size_t)length, sizeof(prefix) - 1), false);
}

static void emit_lines(enum log_level level, const char *tag, const char *text)
{
	const char *end;

	if (line_unfinished)
		emit("\n", 1, true);
	line_unfinished = false;
	for (;; text = end + 1) {
		end = strchr(text, '\n');
		emit_prefix(level, tag);
		emit(text, end ? (size_t)(end - text) : strlen(text), false);
		emit("\n", 1, false);
		if (!end || !end[1])
			return;
	}
}

/* A console must not log while it writes: its warning is printed after the line. */
static void print_complaints(void)
{
	for (struct log_console *console = consoles; console; console = console->next) {
		const char *complaint = console->complaint;

		console->complaint = NULL;
		if (complaint)
			log_warn("%s", complaint);
	}
}

void log_vline(enum log_level level, const char *tag, const char *format, va_list args)
{
	static const char cut[] = "...";
	char text[TEXT_MAX];
	bool locked;
	int length;

	if (level > max_level)
		return;
	length = vsnprintf(text, sizeof(text), format, args);
	if ((size_t)length >= sizeof(text))
		memcpy(text + sizeof(text) - sizeof(cut), cut, sizeof(cut));

	locked = lock();
	emit_lines(level, tag, text);
	if (locked)
		unlock();
	print_complaints();
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(level, tag, format, args);
	va_end(args);
}

void log_guest_output(const char *text, size_t length)
{
	bool locked = lock();

	emit(text, length, true);
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '\r')
			line_unfinished = text[i] != '\n';
	}
	if (locked)
		unlock();
	print_complaints();
}

/* In a full ring the oldest line has lost its beginning: start with the next one. */
static u64 oldest_whole_line(void)
{
	u64 start;

	if (ring_end <= RING_SIZE)
		return 0;
	for (start = ring_end - RING_SIZE; start < ring_end; start++) {
		if (ring[start % RING_SIZE] == '\n')
			return start + 1;
	}
	return ring_end - RING_SIZE;
}

static void tell_loss(struct log_console *console)
{
	char text[80];

	snprintf(text, sizeof(text), "(%llu earlier lines are lost: the log in memory keeps %u KiB)\n",
		 (unsigned long long)lines_overwritten + 1, RING_SIZE / 1024);
	console->write(console, text, strlen(text));
}

static void replay(struct log_console *console)
{
	u64 from = oldest_whole_line();

	if (from)
		tell_loss(console);
	while (from < ring_end) {
		u64 piece = MIN(ring_end - from, RING_SIZE - from % RING_SIZE);

		console->write(console, &ring[from % RING_SIZE], piece);
		from += piece;
	}
}

void log_add_console(struct log_console *console)
{
	bool locked = lock();

	replay(console);
	console->next = consoles;
	consoles = console;
	if (locked)
		unlock();
	print_complaints();
}

void log_replay(struct log_console *console)
{
	bool locked = lock();

	replay(console);
	if (locked)
		unlock();
	print_complaints();
}

void log_set_hooks(const struct log_hooks *new_hooks)
{
	hooks = new_hooks;
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

void log_force_unlock(void)
{
	__atomic_store_n(&lock_owner, UNLOCKED, __ATOMIC_RELEASE);
}
