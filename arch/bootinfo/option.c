/* SPDX-License-Identifier: MIT */
/* Parses Lamina's command line by the table of options that the linker script collects. */
#include "arch/bootinfo/option.h"

#include "lib/errno.h"
#include "lib/keyval.h"
#include "lib/log.h"
#include "lib/printf.h"

#define MOST_QUOTED (size_t)64	/* characters of a wrong value, so that the message has room for what is expected */

#define LIST_LINE 110			/* bytes for a line with options' names; each name is shorter */

extern const struct option options_start[], options_end[];

static const struct option *find_option(struct str_view name)
{
	for (const struct option *option = options_start; option < options_end; option++)
		if (str_view_equals(name, option->name))
			return option;
	return NULL;
}

/* All names, in as many lines as they need: none is cut. */
static void report_unknown(struct str_view name)
{
	char line[LIST_LINE] = "";
	size_t length = 0;

	log_error("command line: unknown option \"%.*s\": expected one of", (int)MIN(name.len, MOST_QUOTED), name.ptr);
	for (const struct option *option = options_start; option < options_end; option++) {
		if (length && length + strlen(option->name) + 2 >= sizeof(line)) {
			log_error("  %s,", line);
			length = 0;
		}
		length += snprintf(line + length, sizeof(line) - length, "%s%s", length ? ", " : "", option->name);
	}
	log_error("  %s", line);
}

int option_choice(struct str_view value, const char *words)
{
	const char *end;

	for (int i = 0; words; i++, words = end ? end + 1 : NULL) {
		size_t length;

		end = strchr(words, '|');
		length = end ? (size_t)(end - words) : strlen(words);
		if (value.len == length && !memcmp(value.ptr, words, length))
			return i;
	}
	return -EINVAL;
}

static int set(const struct option *option, struct str_view value)
{
	int index;

	if (!option->choice)
		return option->set(value);
	index = option_choice(value, option->values);
	if (index < 0)
		return index;
	*option->choice = (u32)index;
	return 0;
}

static void apply(const struct keyval *token)
{
	const struct option *option = find_option(token->key);

	if (!option) {
		report_unknown(token->key);
		return;
	}
	if (token->has_value == !!option->values && set(option, token->value) == 0)
		return;
	if (option->values)
		log_error("command line: %s=%.*s: expected %s=%s: %s", option->name, (int)MIN(token->value.len, MOST_QUOTED),
			  token->value.ptr, option->name, option->values, option->help);
	else
		log_error("command line: %s takes no value", option->name);
}

static bool is_file_name(const struct keyval *word, bool file_name)
{
	return keyval_is_path(word) || (file_name && !find_option(word->key) && keyval_may_name_file(word));
}

void options_apply(const char *command_line, bool file_name)
{
	struct keyval_cursor cursor;
	struct keyval token;
	bool first = true;
	int err;

	keyval_begin(&cursor, str_view_of(command_line));
	for (; (err = keyval_next(&cursor, &token)) == 0; first = false)
		if (!first || !is_file_name(&token, file_name))
			apply(&token);
	if (err == -EINVAL)
		log_error("command line: a quote is not closed at: %.*s", (int)token.key.len,
			  token.key.ptr);
}

void options_print_help(void)
{
	log_info("options:");
	for (const struct option *option = options_start; option < options_end; option++)
		log_info("  %s%s%s\n      %s", option->name, option->values ? "=" : "",
			 option->values ? option->values : "", option->help);
}

#define LOGLEVELS "error|warn|info|debug"	/* as enum log_level */

static int set_loglevel(struct str_view value)
{
	int level = option_choice(value, LOGLEVELS);

	if (level < 0)
		return level;
	log_set_level(level);
	return 0;
}
DEFINE_OPTION(loglevel, "loglevel", LOGLEVELS,
	      "the least important lines that are still printed (default info)", set_loglevel);
