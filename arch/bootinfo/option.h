/* SPDX-License-Identifier: MIT */
/*
 * Options of Lamina's own command line. Each is declared near the code that it steers:
 *
 *	DEFINE_OPTION(onend, "onend", "poweroff|reboot|halt", "when all VMs ended", set_on_end);
 *
 * The linker script collects them in alphabetical order, so nothing else has to know. The first
 * argument is a C name, the second is what the user writes.
 */
#pragma once

#include "lib/string.h"
#include "lib/types.h"

struct option {
	const char *name;
	const char *values;	/* what may follow the '=', for people; NULL for no value */
	const char *help;	/* one line */
	/* 0 or -EINVAL. Runs before everything else; the view is empty where there is no value. */
	int (*set)(struct str_view value);
};

#define DEFINE_OPTION(id, name_, values_, help_, set_)			\
	static const struct option option_##id				\
	__attribute__((section(".options." #id), used, aligned(8))) = {	\
		.name = name_, .values = values_, .help = help_, .set = set_, \
	}

/*
 * Apply a command line, which may begin with the image's file name where `file_name` says so: a
 * first word that has no = and is no option's name, or has a / in front of it. What cannot be understood gives an error line that names it and says what
 * was expected, and is otherwise ignored.
 */
void options_apply(const char *command_line, bool file_name);
/* Log the options, with their values. */
void options_print_help(void);
/* For set(): which of the words is it? -EINVAL if none. */
int option_choice(struct str_view value, const char *const words[], unsigned count);
