/* SPDX-License-Identifier: MIT */
/* The monitor's keys and command line at the console. */
#include "core/monitor.h"

#include "arch/time/clock.h"
#include "core/console.h"
#include "core/service.h"
#include "lib/lineedit.h"
#include "lib/log.h"
#include "lib/printf.h"
#include "lib/string.h"

#define QUEUE_SIZE 256u		/* a power of two */
#define ESCAPE_US  30000u	/* the rest of an escape sequence follows sooner */
#define PROMPT	   "lamina> "

static const struct monitor_ops *ops;

/* Boot CPU: filled by interrupt handlers, emptied by the service thread. Below 256: a character, else an action. */
static u16 queue[QUEUE_SIZE];
static u32 head, tail;
static bool open;		/* the command line takes all that is typed */
static u64 typed_us;

/* Service thread. */
static struct line_editor editor;
static struct monitor_reply reply;

static void enqueue(u16 what)
{
	if (head - tail < QUEUE_SIZE)
		queue[head++ % QUEUE_SIZE] = what;
	typed_us = clock_us_since_boot();
	service_wake();
}

bool monitor_takes(char c)
{
	static bool escaped;
	enum monitor_action action;

	if (open) {
		enqueue((u8)c);
		return true;
	}
	action = monitor_decide(&escaped, c);
	switch (action) {
	case MONITOR_PASS:
		return false;
	case MONITOR_WAIT:
		return true;
	/* Here and now: what is typed next is for the other VM. */
	case MONITOR_NEXT:
	case MONITOR_PREVIOUS:
		console_show_next(action == MONITOR_PREVIOUS);
		return true;
	case MONITOR_NUMBER:
		if (console_show_number((unsigned)(c - '0')))
			log_info("console: there is no VM number %c", c);
		return true;
	case MONITOR_COMMAND:
		open = true;
		break;
	default:
		break;
	}
	enqueue((u16)(action << 8));
	return true;
}

/* --- in the service thread --- */

static void print_keys(void)
{
	log_info("console: type Ctrl-_ and then");
	for (const struct monitor_key *key = monitor_keys; key->key; key++)
		log_info("  %s", key->help);
}

static void show_line(void)
{
	char text[LOG_PROMPT_SIZE];

	snprintf(text, sizeof(text), "%s%s", PROMPT, editor.text);
	log_make_room();
	log_set_prompt(text);
}

static void open_line(void)
{
	console_hold(true);
	line_editor_clear(&editor, false);
	show_line();
}

static void close_line(void)
{
	line_editor_clear(&editor, false);
	log_set_prompt(NULL);
	open = false;
	console_hold(false);
}

/* Line by line, so that each waits for its room. */
static void print_reply(void)
{
	char *line = reply.text, *end;

	for (; *line; line = end + 1) {
		char after;

		end = strchr(line, '\n');
		after = end[1];
		end[1] = '\0';
		log_make_room();
		log_text(line);
		end[1] = after;
	}
}

static void execute_line(void)
{
	bool stay;

	log_set_prompt(NULL);
	stay = monitor_execute(ops, editor.text, &reply);
	print_reply();
	line_editor_clear(&editor, true);
	if (stay)
		show_line();
	else
		close_line();
}

static void complete_line(void)
{
	char more[LINE_SIZE];
	unsigned count = monitor_complete(ops, editor.text, more, sizeof(more), &reply);

	if (count > 1 && !more[0])
		log_text(reply.text);
	line_editor_append(&editor, more);
	show_line();
}

static void edit(char c)
{
	switch (line_editor_type(&editor, c)) {
	case LINE_DONE:
		execute_line();
		break;
	case LINE_LEFT:
		close_line();
		break;
	case LINE_TAB:
		complete_line();
		break;
	case LINE_CHANGED:
		show_line();
		break;
	}
}

static void show_screen(unsigned vm)
{
	reply.length = 0;
	reply.cut = false;
	if (monitor_screen(ops, vm, &reply))
		log_info("console: the VM has no screen in its state");
	else
		print_reply();
}

/* The VM in front. false: there is none. */
static bool find_front(unsigned *vm)
{
	struct monitor_vm info;

	for (*vm = 0; *vm < ops->vm_count(); ++*vm) {
		if (ops->vm_info(*vm, &info) && !strcmp(info.name, console_front()))
			return true;
	}
	return false;
}

static void act(enum monitor_action action)
{
	unsigned vm;

	if (action == MONITOR_HELP) {
		print_keys();
	} else if (action == MONITOR_COMMAND) {
		open_line();
	} else if (!find_front(&vm)) {
		log_info("console: there is no VM");
	} else if (action == MONITOR_STATISTICS) {
		ops->stats(vm);
	} else if (action == MONITOR_TRACE) {
		ops->trace(vm);
	} else if (action == MONITOR_SCREEN) {
		show_screen(vm);
	} else if (action == MONITOR_STOP && ops->stop(vm)) {
		log_info("console: the VM cannot be stopped in its state");
	}
}

void monitor_run_pending(void)
{
	while (tail != READ_ONCE(head)) {
		u16 what = queue[tail++ % QUEUE_SIZE];

		if (what >> 8)
			act(what >> 8);
		else if (open)
			edit((char)what);
	}
	if (open && line_editor_escape_waits(&editor) && clock_us_since_boot() - typed_us >= ESCAPE_US)
		close_line();
	monitor_port_run(ops);
}

bool monitor_poll(void)
{
	if (!open || !line_editor_escape_waits(&editor))
		return false;
	if (clock_us_since_boot() - typed_us >= ESCAPE_US)
		service_wake();
	return true;
}

void monitor_init(const struct monitor_ops *operations)
{
	ops = operations;
}
