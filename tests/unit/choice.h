/* SPDX-License-Identifier: MIT */
/* Choose one of an option's words, as a user does. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/bootinfo/option.h"

static inline void choose(const struct option *option, const char *word)
{
	char words[64];
	u32 index = 0;

	assert_true(strlen(option->values) < sizeof(words));
	strcpy(words, option->values);
	for (char *at = strtok(words, "|"); at; at = strtok(NULL, "|"), index++) {
		if (!strcmp(at, word)) {
			*option->choice = index;
			return;
		}
	}
	fail_msg("%s=%s: no such word", option->name, word);
}
