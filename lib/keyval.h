/* SPDX-License-Identifier: MIT */
/*
 * The tokenizer of command lines, Lamina's own and those of the boot modules:
 *
 *	vm=web mem=512M flag name="two words" -- console=ttyS0 quiet
 *
 * Tokens are separated by blanks (space, tab, line end). Double quotes protect blanks, around the
 * value or around the whole token, which is what GRUB makes of name="two words". A backslash
 * protects the character after it. Quotes around a whole value or token are removed; quotes and
 * backslashes inside of it stay. A bare -- ends the tokens; in a boot module's line, the guest's own
 * command line comes after it.
 */
#pragma once

#include "lib/string.h"

struct keyval {
	struct str_view key;
	struct str_view value; /* empty if there is none */
	bool has_value;	       /* there is an '=' */
};

/* May this token be a file's path or URI, rather than KEY=VALUE? It has no =, or a / before the =. */
bool keyval_may_name_file(const struct keyval *keyval);
/* Is it certainly one, since it begins with / or, as GRUB's paths may, with the ( of a device? */
bool keyval_is_path(const struct keyval *keyval);

struct keyval_cursor {
	struct str_view rest; /* not yet tokenized; after -ENOENT, what follows the -- */
	bool ended;
};

/* The text, and all views into it, stay owned by the caller. A NUL in the text ends it. */
void keyval_begin(struct keyval_cursor *cursor, struct str_view text);

/*
 * The next token: 0; -ENOENT: there is none, at the end or at a --; -EINVAL: a quote is not closed
 * (keyval->key is then the token's text, and no token follows).
 */
int keyval_next(struct keyval_cursor *cursor, struct keyval *keyval);
