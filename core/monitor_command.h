/* SPDX-License-Identifier: MIT */
/* What the files with the monitor's commands share: a line that is being carried out. */
#pragma once

#include "core/monitor_reply.h"
#include "lib/string.h"

#define COMMAND_MAX_WORDS 4

struct command_line {
	const struct monitor_ops *ops;
	struct monitor_reply *reply;
	bool json;
	unsigned words;
	struct str_view word[COMMAND_MAX_WORDS];
	unsigned vm;		/* that the command names */
	const char *error;	/* in words; NULL: none */
};

/* By its name, or by its number in the list: sets line->vm. */
bool command_find_vm(struct command_line *line, struct str_view name);

/* An error of lib/errno.h, as a user reads it. */
const char *command_words_of(int err);

void command_screen(struct command_line *line);
void command_disk(struct command_line *line);
void command_net(struct command_line *line);
