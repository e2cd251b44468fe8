/* SPDX-License-Identifier: MIT */
/* What is logged about a VM once, and how a VM ends: the first reason wins, and its line says how bad it is. */
/* link: core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/vm.h"
#include "core/vm_log.h"

static struct vm vm;
static char shown[4096];
static unsigned told;	/* calls of vm_state_changed() */

void vm_state_changed(struct vm *v)
{
	assert_ptr_equal(v, &vm);
	assert_int_equal(vm.state, VM_ENDED);
	told++;
}

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	memset(&vm, 0, sizeof(vm));
	memset(shown, 0, sizeof(shown));
	told = 0;
	strcpy(vm.name, "web");
	vm.state = VM_RUNNING;
	return 0;
}

/* A kind and an index are one subject: the same index of another kind is another. */
static void each_subject_once(void **state)
{
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned kind = ONCE_PORT_READ; kind <= ONCE_OTHER; kind++) {
			assert_int_equal(vm_once(&vm, kind, 0), !round);
			assert_int_equal(vm_once(&vm, kind, 0x80000000000000), !round);
			assert_int_equal(vm_once(&vm, kind, 0x40000000000000), !round);
			assert_int_equal(vm_once(&vm, kind, 0xffffffffffffff), !round);
		}
	}
	assert_false(vm_once(&vm, ONCE_PORT_READ, 0x0100000000000000));	/* indices have 56 bits */
	assert_string_equal(shown, "");
}

static void a_full_table_is_reported_once(void **state)
{
	for (u64 i = 0; i < VM_ONCE_ENTRIES; i++)
		assert_true(vm_once(&vm, ONCE_MMIO, i));
	assert_string_equal(shown, "");
	assert_false(vm_once(&vm, ONCE_MMIO, 5));
	assert_string_equal(shown, "");			/* known ones need no room */
	assert_false(vm_once(&vm, ONCE_MMIO, VM_ONCE_ENTRIES));
	assert_non_null(strstr(shown, " web] 128 different ports, MSRs and addresses complained about; further"));
	memset(shown, 0, sizeof(shown));
	assert_false(vm_once(&vm, ONCE_MMIO, VM_ONCE_ENTRIES + 1));
	assert_string_equal(shown, "");
	assert_int_equal(vm.once.count, VM_ONCE_ENTRIES);
}

static void only_some_ends_are_errors(void **state)
{
	for (unsigned end = VM_END_POWEROFF; end <= VM_END_ENTRY_FAILED; end++) {
		bool error = end == VM_END_ERROR || end == VM_END_ENTRY_FAILED;

		setup(state);
		vm_end(&vm, end, "because of %u", end);
		assert_int_equal(vm.state, VM_ENDED);
		assert_int_equal(vm.end, end);
		assert_int_equal(told, 1);
		assert_int_equal(strstr(shown, " web] error: vm ended: because of ") != NULL, error);
		assert_int_equal(strstr(shown, " web] vm ended: because of ") != NULL, !error);
	}
}

static void the_first_end_wins(void **state)
{
	vm_end_debug_exit(&vm, 0x1234);
	assert_int_equal(vm.exit_status, 0x1234);
	assert_non_null(strstr(shown, "vm ended: debug exit, status 0x1234\n"));
	memset(shown, 0, sizeof(shown));
	vm_end(&vm, VM_END_ERROR, "too late");
	assert_int_equal(vm.end, VM_END_DEBUG_EXIT);
	assert_int_equal(told, 1);
	assert_string_equal(shown, "");
}

static void a_vm_has_its_name(void **state)
{
	assert_string_equal(vm_name(&vm), "web");
}

/* The last one is kept, as far as there is room for its text; the log has all of it. */
static void results_are_logged_and_kept(void **state)
{
	char text[VM_RESULT_SIZE + 10];

	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	vm_report_result(&vm, 3, text);
	assert_true(vm.result.given);
	assert_int_equal(vm.result.status, 3);
	assert_int_equal(strlen(vm.result.text), VM_RESULT_SIZE - 1);
	assert_non_null(strstr(shown, " web] result of the guest: 3, xxx"));
	assert_non_null(strstr(shown, text));
	vm_report_result(&vm, 0, "");
	assert_int_equal(vm.result.status, 0);
	assert_string_equal(vm.result.text, "");
	assert_non_null(strstr(shown, " web] result of the guest: 0\n"));
	assert_int_equal(vm.end, VM_END_NONE);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_subject_once),
		TEST(a_full_table_is_reported_once),
		TEST(only_some_ends_are_errors),
		TEST(the_first_end_wins),
		TEST(a_vm_has_its_name),
		TEST(results_are_logged_and_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
