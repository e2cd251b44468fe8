/* SPDX-License-Identifier: MIT */
/* The monitor's command disk. */
#include "core/monitor_command.h"
#include "lib/errno.h"

static void list_disk(struct command_line *line, const char *vm, unsigned i, const struct disk_info *disk, bool first)
{
	struct monitor_reply *reply = line->reply;

	if (line->json) {
		reply_printf(reply, "%s{\"vm\":", first ? "" : ",");
		reply_string(reply, vm);
		reply_printf(reply, ",\"index\":%u,\"image\":", i);
		reply_string(reply, disk->name);
		reply_printf(reply, ",\"size\":%llu,\"readonly\":%s,\"ram\":%s,\"overlay\":%llu,\"overlay_used\":%llu,"
			     "\"dropped\":%s,\"read\":%llu,\"written\":%llu,\"errors\":%llu}",
			     (ull)disk->size, disk->read_only ? "true" : "false", disk->ram ? "true" : "false",
			     (ull)disk->overlay, (ull)disk->overlay_used, disk->dropped ? "true" : "false",
			     (ull)disk->bytes_read, (ull)disk->bytes_written, (ull)disk->errors);
		return;
	}
	reply_printf(reply, "%s:%u %s, %llu KiB, ", vm, i, disk->name, (ull)disk->size >> 10);
	if (disk->read_only || disk->ram)
		reply_printf(reply, disk->ram ? "empty at first" : "read-only");
	else
		reply_printf(reply, "overlay %llu of %llu KiB", (ull)disk->overlay_used >> 10,
			     (ull)disk->overlay >> 10);
	reply_printf(reply, ", read %llu KiB, written %llu KiB, %llu errors%s\n", (ull)disk->bytes_read >> 10,
		     (ull)disk->bytes_written >> 10, (ull)disk->errors,
		     disk->dropped ? "; what was written is dropped when the VM starts next" : "");
}

static void list_disks(struct command_line *line)
{
	struct monitor_vm vm;
	struct disk_info disk;
	bool first = true;

	if (line->json)
		reply_printf(line->reply, ",\"disks\":[");
	for (unsigned i = 0; i < line->ops->vm_count(); i++) {
		if (!line->ops->vm_info(i, &vm))
			continue;
		for (unsigned n = 0; line->ops->disk_info(i, n, &disk); n++, first = false)
			list_disk(line, vm.name, n, &disk, first);
	}
	if (line->json)
		reply_printf(line->reply, "]");
}

/* "a:0" */
static bool find_disk(struct command_line *line, struct str_view text, unsigned *disk)
{
	struct str_view vm = { text.ptr, 0 }, digits;
	u64 number;

	while (vm.len < text.len && text.ptr[vm.len] != ':')
		vm.len++;
	if (vm.len == text.len)
		return false;
	digits = (struct str_view){ text.ptr + vm.len + 1, text.len - vm.len - 1 };
	if (parse_u64_view(digits, &number) || number >= VM_MAX_DISKS || !command_find_vm(line, vm))
		return false;
	*disk = (unsigned)number;
	return true;
}

static void reset_disk(struct command_line *line)
{
	unsigned disk;
	int error = -ENOENT;

	if (find_disk(line, line->word[2], &disk))
		error = line->ops->disk_reset(line->vm, disk);
	if (error)
		line->error = error == -ENOENT ? "there is no such disk; `disk' lists them" :
						 "it is read-only: there is nothing to drop";
	else if (!line->json)
		reply_printf(line->reply,
			     "what was written is dropped when the VM starts next: `reset VM' does that now\n");
}

void command_disk(struct command_line *line)
{
	if (line->words == 1)
		list_disks(line);
	else if (line->words == 3 && str_view_equals(line->word[1], "reset"))
		reset_disk(line);
	else
		line->error = "expected nothing, or reset VM:NUMBER";
}
