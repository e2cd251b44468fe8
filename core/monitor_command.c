/* SPDX-License-Identifier: MIT */
/* The commands of the monitor. */
#include "core/console.h"
#include "core/monitor_command.h"
#include "lib/errno.h"
#include "lib/log.h"

enum argument { NO_ARGUMENT, VM, MAYBE_VM, LEVEL, DISK };

struct command {
	const char *name;
	enum argument argument;
	void (*run)(struct command_line *line);
	int (*(*operation)(const struct monitor_ops *ops))(unsigned vm);
	const char *help;
};

const char *command_words_of(int err)
{
	switch (err) {
	case -ENOENT:
		return "there is no such VM";
	case -EINVAL:
	case -EBUSY:
		return "that is not possible in the VM's state";
	case -ENOMEM:
		return "there is not enough memory";
	case -EOPNOTSUPP:
		return "that is not supported";
	default:
		return "it failed";
	}
}

/* --- commands --- */

static void list_vm(struct command_line *line, unsigned i, const struct monitor_vm *vm)
{
	struct monitor_reply *reply = line->reply;
	bool front = !strcmp(vm->name, console_front());

	if (!line->json) {
		reply_printf(reply, "%c %2u %-*s %-8s vcpus %u, %llu MiB, up %llu s", front ? '*' : ' ', i + 1,
			     VM_NAME_SIZE - 1, vm->name, vm->state, vm->vcpus, (ull)(vm->memory >> 20),
			     (ull)vm->uptime_s);
		if (vm->has_result)
			reply_printf(reply, ", result %u%s%s", vm->result, *vm->result_text ? ": " : "",
				     vm->result_text);
		reply_printf(reply, "\n");
		return;
	}
	reply_printf(reply, "%s{\"index\":%u,\"name\":", i ? "," : "", i + 1);
	reply_string(reply, vm->name);
	reply_printf(reply, ",\"state\":\"%s\",\"vcpus\":%u,\"memory\":%llu,\"uptime\":%llu,\"front\":%s", vm->state,
		     vm->vcpus, (ull)vm->memory, (ull)vm->uptime_s, front ? "true" : "false");
	if (vm->has_result) {
		reply_printf(reply, ",\"result\":{\"status\":%u,\"text\":", vm->result);
		reply_string(reply, vm->result_text);
		reply_printf(reply, "}");
	}
	reply_printf(reply, "}");
}

static void run_vms(struct command_line *line)
{
	struct monitor_vm vm;

	if (line->json)
		reply_printf(line->reply, ",\"vms\":[");
	for (unsigned i = 0; i < line->ops->vm_count(); i++) {
		if (line->ops->vm_info(i, &vm))
			list_vm(line, i, &vm);
	}
	if (line->json)
		reply_printf(line->reply, "]");
}

static void list_cpu(struct command_line *line, const struct monitor_cpu *cpu, bool first)
{
	struct monitor_reply *reply = line->reply;

	if (!line->json) {
		reply_printf(reply, "%3u APIC ID 0x%x, load %u %%, %s\n", cpu->index, cpu->apic_id, cpu->load,
			     cpu->runs);
		return;
	}
	reply_printf(reply, "%s{\"index\":%u,\"apic\":%u,\"load\":%u,\"runs\":", first ? "" : ",", cpu->index,
		     cpu->apic_id, cpu->load);
	reply_string(reply, cpu->runs);
	reply_printf(reply, "}");
}

static void run_cpus(struct command_line *line)
{
	struct monitor_cpu cpu;
	bool first = true;

	if (line->json)
		reply_printf(line->reply, ",\"cpus\":[");
	for (unsigned i = 0; i < line->ops->cpu_count(); i++) {
		if (!line->ops->cpu_info(i, &cpu))
			continue;
		list_cpu(line, &cpu, first);
		first = false;
	}
	if (line->json)
		reply_printf(line->reply, "]");
}

static void run_mem(struct command_line *line)
{
	struct monitor_mem mem = { 0 };

	line->ops->mem(&mem);
	reply_printf(line->reply, line->json ?
		     ",\"total\":%llu,\"guests\":%llu,\"disks\":%llu,\"pool\":%llu,\"pool_used\":%llu" :
		     "RAM %llu KiB, of that VMs %llu KiB, of that their disks %llu KiB; Lamina's own %llu KiB, "
		     "of that used %llu KiB\n",
		     (ull)(line->json ? mem.total : mem.total >> 10),
		     (ull)(line->json ? mem.guests : mem.guests >> 10),
		     (ull)(line->json ? mem.disks : mem.disks >> 10),
		     (ull)(line->json ? mem.pool : mem.pool >> 10),
		     (ull)(line->json ? mem.pool_used : mem.pool_used >> 10));
}

static void run_console(struct command_line *line)
{
	struct monitor_vm vm;

	if (!line->ops->vm_info(line->vm, &vm) || console_show(vm.name))
		line->error = "that VM has no console: it was never started";
}

/* The VM that is named, or all. */
static void report(struct command_line *line, void (*of_vm)(unsigned vm))
{
	for (unsigned i = 0; i < line->ops->vm_count(); i++) {
		if (line->words < 2 || i == line->vm)
			of_vm(i);
	}
}

static void run_stats(struct command_line *line)
{
	report(line, line->ops->stats);
}

static void run_trace(struct command_line *line)
{
	report(line, line->ops->trace);
}

static void run_dump(struct command_line *line)
{
	line->ops->dump(line->vm);
}

static void run_log(struct command_line *line)
{
	static const char *const levels[] = {
		[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(levels); i++) {
		if (str_view_equals(line->word[1], levels[i])) {
			log_set_level(i);
			return;
		}
	}
	line->error = "expected error, warn, info or debug";
}

static void run_help(struct command_line *line);

#define OPERATION(name)								\
	static int (*op_##name(const struct monitor_ops *ops))(unsigned vm)	\
	{									\
		return ops->name;						\
	}
OPERATION(start)
OPERATION(stop)
OPERATION(pause)
OPERATION(resume)
OPERATION(reset)

static const struct command commands[] = {
	{ "vms", NO_ARGUMENT, run_vms, NULL, "vms: the VMs; * is in front" },
	{ "cpus", NO_ARGUMENT, run_cpus, NULL, "cpus: the CPUs, and what they run" },
	{ "start", VM, NULL, op_start, "start VM: start it, if it has ended" },
	{ "stop", VM, NULL, op_stop, "stop VM: end it" },
	{ "pause", VM, NULL, op_pause, "pause VM: let it wait" },
	{ "resume", VM, NULL, op_resume, "resume VM: let it go on" },
	{ "reset", VM, NULL, op_reset, "reset VM: start it anew" },
	{ "console", VM, run_console, NULL, "console VM: bring it to the front" },
	{ "stats", MAYBE_VM, run_stats, NULL, "stats [VM]: log the statistics of its exits, or of all VMs'" },
	{ "trace", MAYBE_VM, run_trace, NULL, "trace [VM]: log the last entries and exits" },
	{ "dump", VM, run_dump, NULL, "dump VM: log the state of its vCPUs" },
	{ "screen", VM, command_screen, NULL, "screen VM: what its VGA text screen shows" },
	{ "disk", DISK, command_disk, NULL,
	  "disk [reset VM:NUMBER]: the VMs' disks; reset drops what was written to one when its VM starts next" },
	{ "net", MAYBE_VM, command_net, NULL,
	  "net [VM]: the ports of a VM, or of all, what they counted, and why frames were dropped" },
	{ "mem", NO_ARGUMENT, run_mem, NULL, "mem: memory, total and in use" },
	{ "log", LEVEL, run_log, NULL, "log LEVEL: error, warn, info or debug" },
	{ "help", NO_ARGUMENT, run_help, NULL, "help: this list; -j with a command: a reply in JSON" },
	{ "quit", NO_ARGUMENT, NULL, NULL, "quit: leave the command line" },
};

static void run_help(struct command_line *line)
{
	if (line->json)
		reply_printf(line->reply, ",\"commands\":[");
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (line->json)
			reply_printf(line->reply, "%s\"%s\"", i ? "," : "", commands[i].name);
		else
			reply_printf(line->reply, "%s\n", commands[i].help);
	}
	if (line->json)
		reply_printf(line->reply, "]");
}

/* --- the line --- */

static const char *split(struct command_line *line, const char *text)
{
	while (*text) {
		struct str_view word = { text, 0 };

		while (*text && *text != ' ') {
			text++;
			word.len++;
		}
		if (str_view_equals(word, "-j"))
			line->json = true;
		else if (word.len && line->words == COMMAND_MAX_WORDS)
			return "too many words";
		else if (word.len)
			line->word[line->words++] = word;
		text += *text == ' ';
	}
	return NULL;
}

static const struct command *find_command(struct str_view name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
		if (str_view_equals(name, commands[i].name))
			return &commands[i];
	}
	return NULL;
}

bool command_find_vm(struct command_line *line, struct str_view name)
{
	struct monitor_vm vm;
	u64 number;

	for (unsigned i = 0; i < line->ops->vm_count(); i++) {
		line->vm = i;
		if (line->ops->vm_info(i, &vm) && str_view_equals(name, vm.name))
			return true;
	}
	if (parse_u64_view(name, &number) || !number || number > line->ops->vm_count())
		return false;
	line->vm = (unsigned)number - 1;
	return true;
}

static const char *check_arguments(struct command_line *line, const struct command *command)
{
	unsigned most = command->argument == NO_ARGUMENT ? 1 : command->argument == DISK ? 3 : 2;
	bool vm = command->argument == VM || command->argument == MAYBE_VM;

	if (line->words > most)
		return "too many words";
	if (line->words < 2 && command->argument == VM)
		return "expected the name of a VM";
	if (line->words < 2 && command->argument == LEVEL)
		return "expected error, warn, info or debug";
	if (vm && line->words == 2 && !command_find_vm(line, line->word[1]))
		return "there is no such VM";
	return NULL;
}

static void run(struct command_line *line, const struct command *command)
{
	int err;

	if (command->run) {
		command->run(line);
	} else if (command->operation) {
		err = command->operation(line->ops)(line->vm);
		line->error = err ? command_words_of(err) : NULL;
	}
}

static void reply_error(struct command_line *line)
{
	line->reply->length = 0;
	if (line->json) {
		reply_printf(line->reply, "{\"ok\":false,\"error\":");
		reply_string(line->reply, line->error);
		reply_printf(line->reply, "}\n");
	} else {
		reply_printf(line->reply, "error: %s\n", line->error);
	}
}

bool monitor_execute(const struct monitor_ops *ops, const char *text, struct monitor_reply *reply)
{
	struct command_line line = { .ops = ops, .reply = reply };
	const struct command *command = NULL;

	reply->length = 0;
	reply->cut = false;
	line.error = split(&line, text);
	if (line.json)
		reply_printf(reply, "{\"ok\":true");
	if (!line.error && line.words) {
		command = find_command(line.word[0]);
		line.error = command ? check_arguments(&line, command) :
				       "there is no such command; help lists them";
	}
	if (!line.error && command)
		run(&line, command);
	reply_printf(reply, line.json ? "}\n" : "ok\n");
	if (reply->cut && !line.error)
		line.error = "the reply is too long";
	if (line.error)
		reply_error(&line);
	return line.error || !command || command->run || command->operation;
}

/* --- completion --- */

struct completion {
	struct str_view begun;
	const char *common;	/* the first candidate, */
	size_t length;		/* and how much of it all have in common */
	unsigned count;
	char first[LOG_PROMPT_SIZE];
	struct monitor_reply *reply;
};

static void offer(struct completion *completion, const char *candidate)
{
	size_t same = 0;

	if (strncmp(candidate, completion->begun.ptr, completion->begun.len))
		return;
	reply_printf(completion->reply, "%s%s", completion->count ? " " : "", candidate);
	if (!completion->count++) {
		str_copy(completion->first, candidate, sizeof(completion->first));
		completion->length = strlen(completion->first);
		return;
	}
	while (same < completion->length && candidate[same] == completion->first[same])
		same++;
	completion->length = same;
}

unsigned monitor_complete(const struct monitor_ops *ops, const char *line, char *more, size_t size,
			  struct monitor_reply *reply)
{
	struct completion completion = { .begun = str_view_of(line), .reply = reply };
	struct monitor_vm vm;
	bool first = true;

	for (const char *c = line; *c; c++) {
		if (*c != ' ')
			continue;
		completion.begun = str_view_of(c + 1);
		first = false;
	}
	reply->length = 0;
	reply->text[0] = more[0] = '\0';
	for (unsigned i = 0; first && i < ARRAY_SIZE(commands); i++)
		offer(&completion, commands[i].name);
	for (unsigned i = 0; !first && i < ops->vm_count(); i++) {
		if (ops->vm_info(i, &vm))
			offer(&completion, vm.name);
	}
	reply_printf(reply, "\n");
	if (completion.count)
		str_view_copy(more, (struct str_view) { completion.first + completion.begun.len,
							completion.length - completion.begun.len }, size);
	if (completion.count == 1 && strlen(more) + 1 < size)
		str_copy(more + strlen(more), " ", 2);
	return completion.count;
}
