/* SPDX-License-Identifier: MIT */
/* The log: lines go to a memory ring and to the consoles, one line at a time. */
#include "lib/log.h"

#include "lib/printf.h"
#include "lib/string.h"

#define LOG_SIZE  32768u /* a power of two */
#define TEXT_MAX  512u	 /* of one call, with all its lines */
#define UNLOCKED  0u

/* Buffered output. */
#define PIECE	    64u		/* given to a console with put(), between looks at the others */
#define ROUNDS	    4		/* pieces that one call sends */
#define SLOW_PIECES 32		/* written by log_poll() to a console without put() */
#define AHEAD	    256u	/* with so much in the ring, guests' text stays with the guests */
#define TAKER_US 2000000u	/* that log_make_room() waits for a console that takes nothing */
#define TOKEN_SPINS 20000000u	/* the holder sends bounded pieces; do not wait forever for one that crashed */

static char ring[LOG_SIZE];
static u8 of_guest[LOG_SIZE / 8];	/* bit: this character of the ring is a guest's */
static u64 ring_end; /* characters ever written; the newest is ring[(ring_end - 1) % LOG_SIZE] */
static u64 lines_overwritten;
static u64 lines_dropped;	/* since the last line that said so */

static struct log_console *consoles;
static const struct log_hooks *hooks;
static enum log_level max_level = LOG_INFO;
static bool line_unfinished; /* by a guest */

static char prompt[LOG_PROMPT_SIZE];
static bool prompted;

static bool buffered;	/* atomic */
static bool polled;	/* atomic: log_poll() will be called without a further call of the wake hook */
static bool draining;	/* atomic: the drain token. Who has it sends to the consoles, in buffered mode */

/*
 * UNLOCKED, or the index of the CPU that holds the lock plus one. An NMI or exception must be able to
 * log on the CPU whose line it interrupted, so one compare-and-exchange takes the lock or finds its owner.
 */
static u32 lock_owner = UNLOCKED;

static u32 this_cpu(void)
{
	return hooks && hooks->cpu ? hooks->cpu() : 0;
}

static u64 now_us(void)
{
	return hooks && hooks->now_us ? hooks->now_us() : 0;
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

static bool is_buffered(void)
{
	return __atomic_load_n(&buffered, __ATOMIC_ACQUIRE);
}

/* --- the ring; the caller holds the lock --- */

static void remember(char c, bool by_guest)
{
	u32 at = ring_end % LOG_SIZE;
	u8 bit = (u8)BIT(at % 8);

	if (ring_end >= LOG_SIZE)
		lines_overwritten += ring[at] == '\n';
	ring[at] = c;
	of_guest[at / 8] = (u8)(by_guest ? of_guest[at / 8] | bit : of_guest[at / 8] & ~bit);
	__atomic_store_n(&ring_end, ring_end + 1, __ATOMIC_RELEASE);
}

static void emit(const char *text, size_t length, bool by_guest)
{
	for (size_t i = 0; i < length; i++)
		remember(text[i], by_guest);
}

static u64 sent(const struct log_console *console)
{
	return __atomic_load_n(&console->sent, __ATOMIC_ACQUIRE);
}

/* Text that the slowest of the consoles with put() has not got yet. They lose none: lines that do not fit are dropped. */
static u64 backlog(void)
{
	u64 most = 0;

	for (const struct log_console *console = consoles; console; console = console->next) {
		if (console->put)
			most = MAX(most, __atomic_load_n(&ring_end, __ATOMIC_ACQUIRE) - sent(console));
	}
	return most;
}

static bool collect(const char *tag, u64 most)
{
	u64 waiting = backlog();

	return hooks && hooks->collect && waiting < most && hooks->collect(tag, most - waiting);
}

/* --- lines; the caller holds the lock --- */

static void emit_prefix(enum log_level level, const char *tag)
{
	u64 now = now_us();
	const char *word = level == LOG_ERROR ? "error: " : level == LOG_WARN ? "warning: " : "";
	char prefix[80];
	int length;

	length = snprintf(prefix, sizeof(prefix), "[%5llu.%06llu cpu%u%s%.32s] %s",
			  (unsigned long long)(now / 1000000), (unsigned long long)(now % 1000000),
			  this_cpu(), tag ? " " : "", tag ? tag : "", word);
	emit(prefix, MIN((size_t)length, sizeof(prefix) - 1), false);
}

/* Go to the beginning of a line. A prompt is erased: ECMA-48, "EL - Erase in line". */
static void begin_line(void)
{
	if (prompted)
		emit("\r\033[K", 4, false);
	else if (line_unfinished)
		emit("\n", 1, true);
	line_unfinished = false;
}

static void end_line(void)
{
	if (prompted)
		emit(prompt, strlen(prompt), false);
}

static void emit_lines(enum log_level level, const char *tag, const char *text)
{
	const char *end;

	begin_line();
	for (;; text = end + 1) {
		end = strchr(text, '\n');
		emit_prefix(level, tag);
		emit(text, end ? (size_t)(end - text) : strlen(text), false);
		emit("\n", 1, false);
		if (!end || !end[1])
			break;
	}
	end_line();
}

static bool fits(const char *text)
{
	size_t need = strlen(text) + 2 * sizeof(prompt);

	for (const char *end = text; end; end = strchr(end + 1, '\n'))
		need += 80;
	return backlog() + need <= LOG_SIZE;
}

static void report_dropped(void)
{
	char words[96];

	if (!lines_dropped)
		return;
	snprintf(words, sizeof(words), "%llu lines of the log are lost: the console is too slow for them",
		 (unsigned long long)lines_dropped);
	if (!fits(words))
		return;
	lines_dropped = 0;
	emit_lines(LOG_WARN, NULL, words);
}

/* --- to the consoles --- */

/* In a full ring the oldest line has lost its beginning: start with the next one. */
static u64 oldest_whole_line(void)
{
	u64 start;

	if (ring_end <= LOG_SIZE)
		return 0;
	for (start = ring_end - LOG_SIZE; start < ring_end; start++) {
		if (ring[start % LOG_SIZE] == '\n')
			return start + 1;
	}
	return ring_end - LOG_SIZE;
}

static bool is_guests(u64 at)
{
	return of_guest[at % LOG_SIZE / 8] >> at % 8 & 1;
}

/* Length of the next piece for a console, contiguous in memory; *skip: it is not for this one. */
static size_t next_piece(const struct log_console *console, size_t most, bool *skip)
{
	u64 from = console->sent;
	size_t n = MIN(MIN(ring_end - from, LOG_SIZE - from % LOG_SIZE), most), same = 1;

	*skip = console->without_guests && n && is_guests(from);
	if (!console->without_guests || !n)
		return n;
	while (same < n && is_guests(from + same) == *skip)
		same++;
	return same;
}

/* It has fallen behind by more than the ring. */
static void skip_overwritten(struct log_console *console)
{
	static const char words[] = "\n(lines of the log are left out: they came too fast)\n";

	if (ring_end - console->sent <= LOG_SIZE)
		return;
	console->sent = oldest_whole_line();
	console->write(console, words, sizeof(words) - 1);
}

/* Immediately, with the lock held. What is written counts as sent before, because an NMI may log meanwhile. */
static void write_all(void)
{
	for (struct log_console *console = consoles; console; console = console->next) {
		skip_overwritten(console);
		while (console->sent < ring_end) {
			const char *from = &ring[console->sent % LOG_SIZE];
			bool skip;
			size_t n = next_piece(console, LOG_SIZE, &skip);

			console->sent += n;
			if (!skip)
				console->write(console, from, n);
		}
	}
}

/* Copy the next piece for a console. 0: there is none. */
static size_t take_piece(struct log_console *console, char *piece, size_t size)
{
	bool locked = lock(), skip = true;
	size_t n = 0;

	if (!locked)
		return 0;
	skip_overwritten(console);
	while (skip && console->sent < ring_end) {
		n = next_piece(console, size, &skip);
		if (skip)
			__atomic_store_n(&console->sent, console->sent + n, __ATOMIC_RELEASE);
	}
	if (skip)
		n = 0;
	memcpy(piece, &ring[console->sent % LOG_SIZE], n);
	unlock();
	return n;
}

/* The caller has the drain token. Returns whether the console took all of a piece. */
static bool send_piece(struct log_console *console)
{
	char piece[PIECE];
	size_t n = take_piece(console, piece, sizeof(piece)), taken = n;

	if (!n)
		return false;
	if (console->put)
		taken = console->put(console, piece, n);
	else
		console->write(console, piece, n);
	__atomic_store_n(&console->sent, console->sent + taken, __ATOMIC_RELEASE);
	return taken == n;
}

static bool take_token(void)
{
	return !__atomic_test_and_set(&draining, __ATOMIC_ACQUIRE);
}

static void return_token(void)
{
	/* A full barrier: drain() looks for new text after it. */
	(void)__atomic_exchange_n(&draining, false, __ATOMIC_SEQ_CST);
}

static bool collect_some(void)
{
	bool locked, moved = false;

	if (backlog() >= AHEAD)
		return false;
	locked = lock();
	if (locked) {
		report_dropped();
		moved = collect(NULL, AHEAD);
		unlock();
	}
	return moved;
}

static bool drain_once(void)
{
	bool progress = collect_some();

	for (struct log_console *console = consoles; console; console = console->next) {
		if (console->put && send_piece(console))
			progress = true;
	}
	return progress;
}

/* A console must not log while it writes: its warning is printed after the line. */
static void print_complaints(void)
{
	for (struct log_console *console = consoles; console; console = console->next) {
		const char *complaint = __atomic_exchange_n(&console->complaint, NULL, __ATOMIC_ACQ_REL);

		if (complaint)
			log_warn("%s", complaint);
	}
}

/*
 * Who adds text while another CPU has the token leaves it to that one, which therefore looks again after it
 * has returned the token. Returns whether there may be more to send without waiting.
 */
static bool drain(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 end = __atomic_load_n(&ring_end, __ATOMIC_ACQUIRE);
		bool progress;

		if (!take_token())
			return true;
		progress = drain_once();
		return_token();
		if (!progress && __atomic_load_n(&ring_end, __ATOMIC_ACQUIRE) == end)
			return false;
	}
	return true;
}

static bool text_waits(void)
{
	u64 end = __atomic_load_n(&ring_end, __ATOMIC_ACQUIRE);

	for (const struct log_console *console = consoles; console; console = console->next) {
		if (sent(console) != end)
			return true;
	}
	return false;
}

void log_expect_poll(void)
{
	if (!__atomic_load_n(&polled, __ATOMIC_RELAXED) && hooks && hooks->wake &&
	    !__atomic_exchange_n(&polled, true, __ATOMIC_ACQ_REL))
		hooks->wake();
}

static void drain_buffered(void)
{
	if (drain() || text_waits())
		log_expect_poll();
	print_complaints();
}

/* After text was added: send it, or some of it. */
static void finish(bool locked)
{
	bool later = is_buffered();

	if (!later)
		write_all();
	if (locked)
		unlock();
	if (later)
		drain_buffered();
	else
		print_complaints();
}

/* --- interface --- */

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
	/* What the guest printed before comes first. */
	if (locked && (tag || !is_buffered()))
		collect(tag, LOG_SIZE / 2);
	if (is_buffered()) {
		report_dropped();
		if (lines_dropped || !fits(text))
			lines_dropped++;
		else
			emit_lines(level, tag, text);
	} else {
		emit_lines(level, tag, text);
	}
	finish(locked);
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(level, tag, format, args);
	va_end(args);
}

static void emit_guest(const char *text, size_t length)
{
	emit(text, length, true);
	for (size_t i = 0; i < length; i++) {
		if (text[i] != '\r')
			line_unfinished = text[i] != '\n';
	}
}

void log_guest_output(const char *text, size_t length)
{
	bool locked = lock();

	emit_guest(text, length);
	finish(locked);
}

void log_collected(const char *text, size_t length)
{
	emit_guest(text, length);
}

bool log_line_unfinished(void)
{
	return line_unfinished;
}

void log_text(const char *text)
{
	bool locked = lock();

	if (is_buffered() && !fits(text)) {
		lines_dropped++;
	} else {
		begin_line();
		emit(text, strlen(text), false);
		end_line();
	}
	finish(locked);
}

/* The new prompt differs from the old one mostly by a character at its end: send only that. */
static void change_prompt(const char *text)
{
	size_t old = strlen(prompt), new = strlen(text);

	if (prompted && new > old && !memcmp(text, prompt, old)) {
		emit(text + old, new - old, false);
	} else if (prompted && new + 1 == old && !memcmp(text, prompt, new)) {
		emit("\b \b", 3, false);
	} else {
		begin_line();
		emit(text, new, false);
	}
	prompted = true;
	memcpy(prompt, text, new + 1);
}

void log_set_prompt(const char *text)
{
	bool locked;

	if (text && strlen(text) >= sizeof(prompt))
		return;
	locked = lock();
	if (text) {
		change_prompt(text);
	} else if (prompted) {
		prompted = false;
		emit("\n", 1, false);
	}
	finish(locked);
}

void log_drain(void)
{
	bool locked;

	if (is_buffered()) {
		drain_buffered();
		return;
	}
	locked = lock();
	if (locked)
		collect(NULL, LOG_SIZE / 2);
	finish(locked);
}

bool log_poll(void)
{
	bool more;

	if (!is_buffered())
		return false;
	/* Before it looks: who adds text afterwards calls the hook. */
	__atomic_store_n(&polled, false, __ATOMIC_SEQ_CST);
	more = drain();
	if (take_token()) {
		for (struct log_console *console = consoles; console; console = console->next) {
			for (unsigned i = 0; !console->put && i < SLOW_PIECES && send_piece(console); i++)
				;
		}
		return_token();
	}
	more |= text_waits();
	if (more)
		__atomic_store_n(&polled, true, __ATOMIC_RELEASE);
	print_complaints();
	return more;
}

void log_make_room(void)
{
	u64 since = now_us(), before = backlog();

	while (is_buffered() && backlog() > LOG_SIZE / 2 && now_us() - since < TAKER_US) {
		drain();
		if (backlog() < before)
			since = now_us();
		before = backlog();
		if (hooks && hooks->pause)
			hooks->pause();
		__builtin_ia32_pause();
	}
}

void log_flush(void)
{
	bool token = false, locked;

	for (u32 i = 0; !token && i < TOKEN_SPINS; i++) {
		token = take_token();
		__builtin_ia32_pause();
	}
	locked = lock();
	do {
		report_dropped();
		write_all();
	} while (locked && collect(NULL, LOG_SIZE / 2));
	if (locked)
		unlock();
	if (token)
		return_token();
	print_complaints();
}

void log_set_buffered(bool on)
{
	__atomic_store_n(&buffered, on, __ATOMIC_RELEASE);
	if (!on)
		log_flush();
}

static void report_loss(struct log_console *console)
{
	char text[80];

	snprintf(text, sizeof(text), "(%llu earlier lines are lost: the log in memory keeps %u KiB)\n",
		 (unsigned long long)lines_overwritten + 1, LOG_SIZE / 1024);
	console->write(console, text, strlen(text));
}

static void replay(struct log_console *console)
{
	u64 from = oldest_whole_line();

	if (from)
		report_loss(console);
	__atomic_store_n(&console->sent, ring_end, __ATOMIC_RELEASE);
	while (from < ring_end) {
		u64 piece = MIN(ring_end - from, LOG_SIZE - from % LOG_SIZE);

		console->write(console, &ring[from % LOG_SIZE], piece);
		from += piece;
	}
}

void log_add_console(struct log_console *console)
{
	bool locked = lock();

	replay(console);
	console->next = consoles;
	consoles = console;
	finish(locked);
}

void log_replay(struct log_console *console)
{
	bool locked = lock();

	replay(console);
	finish(locked);
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
	__atomic_store_n(&buffered, false, __ATOMIC_RELEASE);
	return_token();
	__atomic_store_n(&lock_owner, UNLOCKED, __ATOMIC_RELEASE);
}
