/* SPDX-License-Identifier: MIT */
/* What is printed of a running vCPU is what was requested. */
/* link: core/observe/report.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "core/observe/report.h"
#include "core/observe/statistics.h"
#include "core/observe/trace.h"
#include "core/vcpu.h"

static struct vm *const vm = (struct vm *)0x1000;
static struct vcpu vcpu;
static char printed[8];

void statistics_print(struct vcpu *v, bool on_request)
{
	assert_ptr_equal(v, &vcpu);
	assert_true(on_request);
	strcat(printed, "s");
}

void trace_print(const struct vm *v, unsigned lines)
{
	assert_ptr_equal(v, vm);
	assert_int_equal(lines, TRACE_ON_REQUEST);
	strcat(printed, "t");
}

static void what_is_requested_is_printed(void **state)
{
	static const struct {
		u32 requests;
		const char *printed;
	} cases[] = {
		{ 0, "" }, { REQ_STATISTICS, "s" }, { REQ_TRACE, "t" }, { REQ_STATISTICS | REQ_TRACE, "st" },
		{ REQ_EVENT | REQ_TIMER | REQ_STOP, "" },
	};

	vcpu.vm = vm;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		printed[0] = '\0';
		vcpu_report(&vcpu, cases[i].requests);
		assert_string_equal(printed, cases[i].printed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_requested_is_printed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
