/* SPDX-License-Identifier: MIT */
/*
 * Options of Lamina's own command line. Each is defined next to the code it controls:
 *
 *	DEFINE_CHOICE(onend, "onend", "poweroff|reboot|halt", "when all VMs ended", on_end);
 *	DEFINE_OPTION(slice, "slice", "MS", "a vCPU's turn", set_slice);
 *
 * A choice stores the index of the word in a variable of 32 bits, such as an enum; what is no such word is refused. Other
 * options have a function that understands the value. The linker script collects them in alphabetical order, so there
 * is no list to extend. The first argument is a C name, the second is what the user writes.
 */
#pragma once

#include "lib/string.h"
#include "lib/types.h"

struct option {
	const char *name;
	const char *values;	/* what may follow the '=', for the help text; NULL: takes no value */
	const char *help;	/* one line */
	/* 0 or -EINVAL. Runs before console_init(); the view is empty if there is no value. */
	int (*set)(struct str_view value);
	u32 *choice;		/* of a choice; NULL: set() understands the value */
};

#define DEFINE_OPTION(id, name_, values_, help_, set_)			\
	static const struct option option_##id				\
	__attribute__((section(".options." #id), used, aligned(8))) = {	\
		.name = name_, .values = values_, .help = help_, .set = set_, \
	}

#define DEFINE_CHOICE(id, name_, words_, help_, variable)		\
	_Static_assert(sizeof(variable) == sizeof(u32), "an index");	\
	static const struct option option_##id				\
	__attribute__((section(".options." #id), used, aligned(8))) = {	\
		.name = name_, .values = words_, .help = help_, .choice = (u32 *)&(variable), \
	}

/*
 * Apply a command line. It may begin with the image's path, which begins with / or (. With `file_name` it may
 * begin with any file name: a first word that is no option's name and has no =, or has a / before it. A word that cannot
 * be understood is ignored with an error line that names it and says what was expected.
 */
void options_apply(const char *command_line, bool file_name);
/* Log the options, with their values. */
void options_print_help(void);
/* For set(): which of these words, with | between them, the value is, from 0 on. -EINVAL: none. */
int option_choice(struct str_view value, const char *words);
