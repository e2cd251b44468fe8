/* SPDX-License-Identifier: MIT */
/* The log: lines go to a memory ring and to the consoles, one line at a time. */
#include "lib/log.h"

#include "lib/printf.h"
#include "lib/string.h"

#define LOG_SIZE  32768u /* a power of two */
#define TEXT_MAX  512u	 /* of one call, with all its lines */
#define PREFIX_MAX 80u	 /* in front of a line */
/* What fits() asks for one line: of LOG_TEXT_SIZE, with its line feed, and the prompt before and after it. */
#define MAKE_ROOM (LOG_TEXT_SIZE + 2 * LOG_PROMPT_SIZE + 2 * PREFIX_MAX)
_Static_assert(MAKE_ROOM < LOG_SIZE, "log_make_room()");
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
/* Of the piece that is just being put into the ring; text: NULL if there is none. */
static struct {
	const char *text;
	u64 from;
	bool by_guest;
} unfinished;
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

static void finish_interrupted(void);

/* false: this CPU already holds the lock. The caller prints into the interrupted line, and must not unlock. */
static bool lock(void)
{
	u32 me = this_cpu() + 1;
	u32 seen = UNLOCKED;

	while (!__atomic_compare_exchange_n(&lock_owner, &seen, me, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED)) {
		if (seen == me) {
			finish_interrupted();
			return false;
		}
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

/* Newlines among `n` characters of the ring. Most groups of 8 have none: no byte of the difference is 0. */
static u32 newlines(u32 at, u32 n)
{
	const u64 ones = ~0ull / 0xff;
	u64 difference;
	u32 count = 0;

	__builtin_memcpy(&difference, &ring[at - at % 8], 8);
	difference ^= ones * '\n';
	if (!((difference - ones) & ~difference & ones << 7))
		return 0;
	for (u32 i = 0; i < n; i++)
		count += ring[at + i] == '\n';
	return count;
}

static void put_at(u64 from, const char *text, u32 n, bool by_guest)
{
	u32 at = from % LOG_SIZE;
	u8 bits = (u8)((BIT(n) - 1) << at % 8);

	memcpy(&ring[at], text, n);
	/* An NMI may mark its own characters in the same byte. */
	if (by_guest)
		__atomic_fetch_or(&of_guest[at / 8], bits, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(&of_guest[at / 8], (u8)~bits, __ATOMIC_RELAXED);
}

/* Up to 8 of the characters, whose marks are in one byte. Returns how many. An NMI that logs does so behind them. */
static u32 remember(const char *text, size_t length, bool by_guest)
{
	u64 from = __atomic_load_n(&ring_end, __ATOMIC_RELAXED);
	u32 n, overwritten;

	do {
		n = (u32)MIN(length, 8 - from % 8);
		overwritten = from >= LOG_SIZE ? newlines(from % LOG_SIZE, n) : 0;
		unfinished.from = from;
		unfinished.by_guest = by_guest;
		__atomic_store_n(&unfinished.text, text, __ATOMIC_RELEASE);
	} while (!__atomic_compare_exchange_n(&ring_end, &from, from + n, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	put_at(from, text, n, by_guest);
	__atomic_store_n(&unfinished.text, NULL, __ATOMIC_RELEASE);
	lines_overwritten += overwritten;
	return n;
}

/*
 * For an NMI, or a CPU that stops the one with the lock: put what that has begun into the ring, where its place
 * has been taken. It may do so itself at the same time, and then go on to the next piece. Tried once: the text's
 * address may be what has faulted.
 */
static void finish_interrupted(void)
{
	const char *text = __atomic_load_n(&unfinished.text, __ATOMIC_ACQUIRE);
	u64 from = unfinished.from, n = __atomic_load_n(&ring_end, __ATOMIC_ACQUIRE) - from;

	if (!text || !n || n > 8 - from % 8)
		return;
	__atomic_store_n(&unfinished.text, NULL, __ATOMIC_RELEASE);
	put_at(from, text, (u32)n, unfinished.by_guest);
}

static void emit(const char *text, size_t length, bool by_guest)
{
	while (length) {
		u32 n = remember(text, length, by_guest);

		text += n;
		length -= n;
	}
}

static u64 sent(const struct log_console *console)
{
	return __atomic_load_n(&console->sent, __ATOMIC_ACQUIRE);
}

/* The console gets these characters now. False: an NMI that logged meanwhile has sent them, too. */
static bool set_sent(struct log_console *console, u64 from, u64 n)
{
	return __atomic_compare_exchange_n(&console->sent, &from, from + n, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
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
	char prefix[PREFIX_MAX];
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
		need += PREFIX_MAX;
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
static size_t next_piece(const struct log_console *console, u64 from, size_t most, bool *skip)
{
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
		u64 from;

		skip_overwritten(console);
		while ((from = sent(console)) < ring_end) {
			bool skip;
			size_t n = next_piece(console, from, LOG_SIZE, &skip);

			if (set_sent(console, from, n) && !skip)
				console->write(console, &ring[from % LOG_SIZE], n);
		}
	}
}

/* Copy the next piece for a console, which begins at *from. 0: there is none. */
static size_t take_piece(struct log_console *console, char *piece, size_t size, u64 *from)
{
	bool locked = lock(), skip = true;
	size_t n = 0;

	if (!locked)
		return 0;
	skip_overwritten(console);
	while (skip && (*from = sent(console)) < ring_end) {
		n = next_piece(console, *from, size, &skip);
		if (skip)
			set_sent(console, *from, n);
	}
	if (skip)
		n = 0;
	else
		memcpy(piece, &ring[*from % LOG_SIZE], n);
	unlock();
	return n;
}

/* The caller has the drain token. Returns whether the console took all of a piece. */
static bool send_piece(struct log_console *console)
{
	char piece[PIECE];
	u64 from = 0;
	size_t n = take_piece(console, piece, sizeof(piece), &from), taken = n;

	if (!n)
		return false;
	if (console->put)
		taken = console->put(console, piece, n);
	else
		console->write(console, piece, n);
	set_sent(console, from, taken);
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
	while (length && text[length - 1] == '\r')
		length--;
	if (length)
		line_unfinished = text[length - 1] != '\n';
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

	while (is_buffered() && backlog() > LOG_SIZE - MAKE_ROOM && now_us() - since < TAKER_US) {
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
	finish_interrupted();
	__atomic_store_n(&lock_owner, UNLOCKED, __ATOMIC_RELEASE);
}
