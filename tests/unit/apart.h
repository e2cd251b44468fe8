/* SPDX-License-Identifier: MIT */
/* For code that is set up once per boot: runs each test in a process of its own. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Returns the exit status for main(). */
static inline int run_apart(const char *program, const struct CMUnitTest *tests, size_t count)
{
	unsigned failed = 0;

	for (size_t i = 0; i < count; i++) {
		pid_t child = fork();
		int status = 1;

		if (child == 0) {
			cmocka_set_test_filter(tests[i].name);
			exit(_cmocka_run_group_tests(program, tests, count, NULL, NULL));
		}
		failed += child < 0 || waitpid(child, &status, 0) < 0 || status;
	}
	printf("%s: %u of %zu failed\n", program, failed, count);
	return failed != 0;
}
