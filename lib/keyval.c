/* SPDX-License-Identifier: MIT */
/* The tokenizer of command lines. */
#include "lib/keyval.h"

#include "lib/errno.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_equals_sign(char c)
{
	return c == '=';
}

static struct str_view skip(struct str_view text, size_t n)
{
	return (struct str_view){ text.ptr + n, text.len - n };
}

static struct str_view skip_blanks(struct str_view text)
{
	while (text.len && is_blank(text.ptr[0]))
		text = skip(text, 1);
	return text;
}

/*
 * The length of the text before the first character outside of quotes for which stop() is true, or of
 * all the text. *open: the text ends within quotes.
 */
static size_t span(struct str_view text, bool (*stop)(char), bool *open)
{
	size_t i;

	*open = false;
	for (i = 0; i < text.len; i++) {
		char c = text.ptr[i];

		if (c == '\\' && i + 1 < text.len)
			i++;
		else if (c == '"')
			*open = !*open;
		else if (!*open && stop(c))
			break;
	}
	return i;
}

/* Remove the quotes of a text that is quoted as a whole. */
static struct str_view unquote(struct str_view text)
{
	size_t i;

	if (!text.len || text.ptr[0] != '"')
		return text;
	for (i = 1; i < text.len && text.ptr[i] != '"'; i++) {
		if (text.ptr[i] == '\\')
			i++;
	}
	return i + 1 == text.len ? (struct str_view){ text.ptr + 1, i - 1 } : text;
}

static struct keyval split(struct str_view token)
{
	bool open;
	size_t key = span(token, is_equals_sign, &open);
	struct keyval keyval = {
		.key = { token.ptr, key },
		.value = { token.ptr + key, 0 },
		.has_value = key < token.len,
	};

	if (keyval.has_value)
		keyval.value = unquote(skip(token, key + 1));
	return keyval;
}

bool keyval_may_name_file(const struct keyval *keyval)
{
	for (size_t i = 0; i < keyval->key.len; i++)
		if (keyval->key.ptr[i] == '/')
			return true;
	return !keyval->has_value;
}

bool keyval_is_path(const struct keyval *keyval)
{
	return keyval->key.len && (keyval->key.ptr[0] == '/' || keyval->key.ptr[0] == '(');
}

void keyval_begin(struct keyval_cursor *cursor, struct str_view text)
{
	cursor->rest = (struct str_view){ text.ptr, strnlen(text.ptr, text.len) };
	cursor->ended = false;
}

int keyval_next(struct keyval_cursor *cursor, struct keyval *keyval)
{
	struct str_view text = skip_blanks(cursor->rest), token;
	bool open;

	if (cursor->ended)
		return -ENOENT;
	token = (struct str_view){ text.ptr, span(text, is_blank, &open) };
	cursor->rest = skip(text, token.len);
	if (!token.len || str_view_equals(token, "--")) {
		cursor->rest = skip_blanks(cursor->rest);
		cursor->ended = true;
		return -ENOENT;
	}
	if (open) {
		*keyval = (struct keyval){ .key = token };
		return -EINVAL;
	}
	*keyval = split(unquote(token));
	return 0;
}
