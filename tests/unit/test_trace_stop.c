/* SPDX-License-Identifier: MIT */
/* The option trace.stop=: its values, what matches, and the stop that is requested then. */
/* link: core/observe/trace.c core/observe/trace_print.c core/vm_log.c lib/log.c lib/string.c */
#include "tests/unit/trace_fixture.h"

/* For the function that its option calls. */
#include "core/observe/trace_record.h"
#include "core/observe/trace_stop.c"

static void (*during)(void);	/* what the exit or the handler leaves in the trace */
static unsigned entries_forced;

static const char *fake_exit_name(u8 index) { return index == 10 ? "CPUID" : index == 30 ? "port I/O" : NULL; }

static void leave_record(void)
{
	if (during)
		during();
	during = NULL;
}

static enum exit_fastpath fake_run(struct vcpu *v, bool force)
{
	entries_forced += force;
	leave_record();
	return EXIT_FASTPATH_NONE;
}

static void fake_handle_exit(struct vcpu *v) { leave_record(); }

static const struct vcpu_ops ops = {
	.name = "fake", .exit_name = fake_exit_name,
	.vcpu_run = fake_run, .handle_exit = fake_handle_exit,
};

static int ask(const char *text)
{
	int error;

	subject = NULL;
	memset(watched, 0, sizeof(watched));
	error = set_trace_stop((struct str_view){ text, strlen(text) });
	vcpu.stop_reason = NULL;
	vcpu.requests = 0;
	vcpu.ops = trace_stop_ops(&ops);
	return error;
}

static int set_up(void **state)
{
	fixture_set_up(&ops);
	trace_attach(&vcpu);
	trace_mode = TRACE_CRASH;
	return 0;
}

static void another_exit(void)
{
	trace_exit(&vcpu, 0, 99, 99, 0x99);
}

/* An entry that exits, and its handler; the event is in one of them. */
static bool stops_at(void (*event)(void), bool in_handler)
{
	vcpu.requests = 0;
	vcpu.stop_reason = NULL;
	during = in_handler ? another_exit : event;
	vcpu.ops->vcpu_run(&vcpu, false);
	during = in_handler ? event : NULL;
	vcpu.ops->handle_exit(&vcpu);
	trace_entry(&vcpu, false);
	assert_int_equal(vcpu.requests == REQ_STOP, vcpu.stop_reason != NULL);
	return vcpu.requests == REQ_STOP;
}

static void exit_cpuid_at_1234(void)
{
	trace_exit(&vcpu, 0, 10, 10, 0x1234);
}

static void exit_io(void)
{
	trace_exit(&vcpu, 0, 30, 1u << 26 | 30, 0x80);	/* with a flag in the upper half */
}

static void port_80(void) { trace_pio(&vcpu, true, 0x80, 1, 0x1234); }
static void mmio_80(void) { trace_mmio(&vcpu, false, 0x80, 4, 10); }
static void msr_80(void) { trace_msr(&vcpu, true, 0x80, 0, false); }
static void nothing(void) { }

static void (*const events[])(void) = { exit_cpuid_at_1234, exit_io, port_80, mmio_80, msr_80, nothing };

/* Each condition stops at its own event and at no other. */
static void only_what_was_asked_for(void **state)
{
	static const struct {
		const char *what;
		void (*event)(void);
	} cases[] = {
		{ "exit:CPUID", exit_cpuid_at_1234 }, { "exit:10", exit_cpuid_at_1234 },
		{ "rip:0x1234", exit_cpuid_at_1234 }, { "exit:PORT_IO", exit_io }, { "exit:30", exit_io },
		{ "rip:128", exit_io }, { "port:0x80", port_80 }, { "mmio:0x80", mmio_80 }, { "msr:0x80", msr_80 },
		{ "exit:HLT", NULL }, { "exit:CPU", NULL }, { "port:0x81", NULL },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(ask(cases[i].what), 0);
		for (unsigned j = 0; j < 2 * ARRAY_SIZE(events); j++) {
			void (*event)(void) = events[j / 2];

			if (stops_at(event, j & 1) != (event == cases[i].event))
				fail_msg("%s and event %u, %u", cases[i].what, j / 2, j);
		}
	}
	assert_int_equal(entries_forced, 0);
}

static void the_end_is_reported_with_the_trace(void **state)
{
	assert_int_equal(ask("port:0x80"), 0);
	assert_true(stops_at(port_80, true));
	assert_string_equal(vcpu.stop_reason, "stopped by the trace at port:0x80");
	assert_shown("stop from the trace, whose last lines are:");
	assert_shown("kvm_pio: pio_write at 0x80 size 1 count 1 val 0x1234");
	assert_true(lines_shown() >= 2);
}

static void three_events_in_one_exit(void) { port_80(); port_80(); mmio_80(); }

static void a_stop_is_reported_once(void **state)
{
	assert_int_equal(ask("port:0x80"), 0);
	assert_true(stops_at(three_events_in_one_exit, true));
	assert_null(strstr(strstr(screen, "stop from the trace") + 1, "stop from the trace"));
}

/* Records of an earlier VM do not count. */
static void records_from_before(void **state)
{
	port_80();
	assert_int_equal(ask("port:0x80"), 0);
	assert_false(stops_at(nothing, true));
}

static void invalid_conditions_are_refused(void **state)
{
	static const char *const wrong[] = {
		"", "exit", "exit:", "port:", "port:x", "msr:0x", "CPUID", "cpuid:1", "rip:CPUID", ":", "port=0x80",
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (ask(wrong[i]) == 0)
			fail_msg("\"%s\" is accepted", wrong[i]);
		assert_ptr_equal(vcpu.ops, &ops);
	}
}

static void it_switches_the_trace_on(void **state)
{
	trace_mode = TRACE_OFF;
	assert_int_equal(ask("port:0x80"), 0);
	assert_shown("trace.stop= needs the trace: trace=off does not hold");
	assert_true(stops_at(port_80, true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_what_was_asked_for, set_up),
		cmocka_unit_test_setup(the_end_is_reported_with_the_trace, set_up),
		cmocka_unit_test_setup(a_stop_is_reported_once, set_up),
		cmocka_unit_test_setup(records_from_before, set_up),
		cmocka_unit_test_setup(invalid_conditions_are_refused, set_up),
		cmocka_unit_test_setup(it_switches_the_trace_on, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
