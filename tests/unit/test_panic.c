/* SPDX-License-Identifier: MIT */
/*
 * The report of a crash and how Lamina ends after it, where each step of both may crash again. The
 * real panic(), hooks and log; played are the console, the VMs and what ends the machine.
 */
/* link: arch/fault/panic.c lib/log.c lib/printf.c lib/string.c */

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

#include "tests/unit/apart.h"

#include "boot/ending.c"

enum step { CONSOLE_INIT, CONSOLE_RESUME, WRITE, CALLER, CURRENT_VM, TRACE, LOOP, FLUSH, POWEROFF, RESET, STEPS };

#define ALWAYS 1000u	/* far more crashes than a bounded end has room for */

static unsigned crashes[STEPS];		/* left for each step */
static unsigned calls[STEPS];
static unsigned crashed;		/* steps that crashed so far */
#define CONTEXT_RIP 16	/* <ucontext.h> and core/vcpu.h give it one name, with two values */

static bool in_loop;			/* a loop of boots is running */
static char said[16384];
static sigjmp_buf end_of_run;
enum { RUNNING, HALTED, DID_RESET, POWERED_OFF };

#define CRASH_AGAIN "Lamina: stopped: crashed again while reporting a crash\n"

/* --- the machine --- */

struct cpu_features cpu_features;
struct uart console_uart;	/* without optimization the linker wants it: make mutants */

/* An end without a bound fails here, before it has used up the stack. */
static void take_step(enum step step)
{
	calls[step]++;
	if (!crashes[step])
		return;
	crashes[step]--;
	assert_true(++crashed < ALWAYS);
	panic("step %u crashed", step);
}

/* A write crashes before it has shown anything. */
static void write_text(struct log_console *unused, const char *text, size_t length)
{
	take_step(WRITE);
	assert_true(strlen(said) + length < sizeof(said));
	strncat(said, text, length);
}

static struct log_console played_console = { .write = write_text };

/* As the real one, it begins by noting that the console is open: see arch/console/console.c. */
void console_init(void)
{
	static bool opened;

	if (opened)
		return;
	opened = true;
	take_step(CONSOLE_INIT);
}

void console_resume(void)
{
	static bool resumed;

	if (resumed)
		return;
	resumed = true;
	take_step(CONSOLE_RESUME);
}

void trap_report_caller(const u64 *frame)
{
	assert_non_null(frame);
	take_step(CALLER);
	log_error("callers");
}

/* Two CPUs; the second one runs a guest. */
static struct vm vm;
static struct vcpu vcpu = { .vm = &vm, .id = 3 };
static struct percpu cpus[2] = { { .index = 0 }, { .index = 1, .running = &vcpu } };

u32 percpu_count(void)
{
	return ARRAY_SIZE(cpus);
}

struct percpu *percpu_get(u32 index)
{
	take_step(CURRENT_VM);
	return &cpus[index];
}

const char *vm_name(const struct vm *v)
{
	assert_ptr_equal(v, &vm);
	return "web";
}

void machine_check_log_count(void) { }
void nmi_log_count(void) { }
void nmi_report_places(u64 rip) { }
void nmi_describe_guest(char *words, size_t size) { }

void trace_print(const struct vm *vm, unsigned lines)
{
	assert_null(vm);
	take_step(TRACE);
	log_info("trace");
}

bool bootloop_failed(void)
{
	take_step(LOOP);
	return in_loop;
}

void uart_flush(struct uart *uart)
{
	take_step(FLUSH);
}

static bool power_fails;

void acpi_poweroff(void)
{
	take_step(POWEROFF);
	if (!power_fails)
		siglongjmp(end_of_run, POWERED_OFF);
}

void machine_reset(void)
{
	take_step(RESET);
	siglongjmp(end_of_run, DID_RESET);
}

void irq_disable(void) { }

void percpu_init_early(void) { }
void cpus_stop(void) { }
void cpus_report(void) { }

struct percpu *percpu_by_stack(void)
{
	return &cpus[0];
}

void cpu_stop(void)
{
	siglongjmp(end_of_run, HALTED);
}

/* The privileged instructions that ring 3 refuses: HLT is the end, WRMSR of the GS base is carried out by nobody. */
static void refuse(int signal, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[CONTEXT_RIP];
	const u8 *code = (const u8 *)*rip;

	if (code[0] == 0xf4)
		siglongjmp(end_of_run, HALTED);
	if (code[0] == 0x0f && code[1] == 0x30)
		*rip += 2;
	else
		abort();
}

static void switch_on(void)
{
	struct sigaction action = { .sa_sigaction = refuse, .sa_flags = SA_SIGINFO };

	assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
	log_add_console(&played_console);
}

/* --- what is looked at --- */

static int end_of_panic(void)
{
	int how;

	switch_on();
	how = sigsetjmp(end_of_run, 1);
	if (!how)
		panic("first %u", 1);
	return how;
}

static int end_of_stop(void)
{
	int how;

	switch_on();
	how = sigsetjmp(end_of_run, 1);
	if (!how)
		stop("no %s", "VMs");
	return how;
}

static unsigned times_said(const char *words)
{
	unsigned times = 0;

	for (const char *at = said; (at = strstr(at, words)); at++)
		times++;
	return times;
}

static void assert_order(const char *const words[], size_t count)
{
	const char *at = said;

	for (size_t i = 0; i < count; i++) {
		at = strstr(at, words[i]);
		assert_non_null(at);
	}
}

static void assert_last_line(const char *words)
{
	size_t length = strlen(said);

	assert_true(length >= strlen(words));
	assert_string_equal(said + length - strlen(words), words);
}

/* --- one crash --- */

static void a_panic_reports_in_order_and_halts(void **state)
{
	static const char *const order[] = {
		"error: panic: first 1\n", "error: callers\n", "error: CPU 1: VM web, vcpu 3 was running\n", "trace\n",
		"Lamina: stopped: first 1\n",
	};

	assert_int_equal(end_of_panic(), HALTED);
	assert_order(order, ARRAY_SIZE(order));
	assert_last_line("Lamina: stopped: first 1\n");
	assert_int_equal(times_said("panic:"), 1);
	assert_int_equal(times_said("crashed again"), 0);
}

static void the_last_line_is_printed_at_every_log_level(void **state)
{
	log_set_level(LOG_ERROR);
	assert_int_equal(end_of_panic(), HALTED);
	assert_last_line("Lamina: stopped: first 1\n");
}

static void onfail_says_how_a_panic_ends(void **state)
{
	on_fail = END_POWEROFF;
	assert_int_equal(end_of_panic(), POWERED_OFF);
}

static void onfail_reboot_resets(void **state)
{
	on_fail = END_REBOOT;
	assert_int_equal(end_of_panic(), DID_RESET);
}

static void a_panic_in_a_loop_of_boots_does_not_reboot(void **state)
{
	on_fail = END_REBOOT;
	in_loop = true;
	assert_int_equal(end_of_panic(), HALTED);
	assert_int_equal(calls[RESET], 0);
}

static void a_machine_that_does_not_power_off_halts_and_says_so(void **state)
{
	on_fail = END_POWEROFF;
	power_fails = true;
	assert_int_equal(end_of_panic(), HALTED);
	assert_last_line("error: the machine did not power off; halted\n");
}

/* --- a crash in the report of a crash --- */

/* Each step of a report that crashes once: that is said in the last line, once, and the end is onfail='s. */
static void check_crash_again(enum step step)
{
	crashes[step] = 1;
	on_fail = END_POWEROFF;
	assert_int_equal(end_of_panic(), POWERED_OFF);
	assert_last_line(CRASH_AGAIN);
	assert_int_equal(times_said(CRASH_AGAIN), 1);
	assert_int_equal(times_said("panic: step"), 0);
}

#define CRASHES_AGAIN(name, step)						\
	static void a_crash_in_##name##_is_said_and_ends(void **state)		\
	{									\
		check_crash_again(step);					\
	}
CRASHES_AGAIN(writing, WRITE)
CRASHES_AGAIN(the_callers, CALLER)
CRASHES_AGAIN(finding_the_vm, CURRENT_VM)
CRASHES_AGAIN(the_trace, TRACE)
CRASHES_AGAIN(ending_the_loop, LOOP)
CRASHES_AGAIN(flushing_the_port, FLUSH)
CRASHES_AGAIN(powering_off, POWEROFF)

static void a_crash_again_in_a_loop_of_boots_does_not_reboot(void **state)
{
	crashes[CALLER] = 1;
	on_fail = END_REBOOT;
	in_loop = true;
	assert_int_equal(end_of_panic(), HALTED);
	assert_int_equal(calls[RESET], 0);
	assert_last_line(CRASH_AGAIN);
}

static void a_crash_again_is_said_at_every_log_level(void **state)
{
	log_set_level(LOG_ERROR);
	crashes[CALLER] = 1;
	assert_int_equal(end_of_panic(), HALTED);
	assert_last_line(CRASH_AGAIN);
}

/* The log's lock is held when a write crashes, and the second report prints nevertheless. */
static void a_crash_in_the_middle_of_a_line_leaves_no_lock(void **state)
{
	crashes[WRITE] = 1;
	assert_int_equal(end_of_panic(), HALTED);
	assert_last_line(CRASH_AGAIN);
	said[0] = '\0';
	log_info("free");
	assert_int_equal(times_said("free\n"), 1);
}

/* Nothing of the first report is printed yet, so the second crash gets a whole one. */
static void a_crash_while_the_console_opens_is_reported_itself(void **state)
{
	crashes[CONSOLE_INIT] = 1;
	assert_int_equal(end_of_panic(), HALTED);
	assert_int_equal(times_said("panic: step 0 crashed\n"), 1);
	assert_last_line("Lamina: stopped: step 0 crashed\n");
}

static void a_crash_while_the_console_resumes_is_reported_itself(void **state)
{
	crashes[CONSOLE_RESUME] = 1;
	assert_int_equal(end_of_panic(), HALTED);
	assert_int_equal(times_said("panic: step 1 crashed\n"), 1);
	assert_last_line("Lamina: stopped: step 1 crashed\n");
}

static void a_crash_in_stop_is_reported_as_a_first_crash(void **state)
{
	crashes[WRITE] = 1;
	assert_int_equal(end_of_stop(), HALTED);
	assert_int_equal(times_said("panic: step 2 crashed\n"), 1);
	assert_last_line("Lamina: stopped: step 2 crashed\n");
}

/* --- and one within that --- */

static void a_third_crash_halts_in_silence_whatever_onfail_says(void **state)
{
	crashes[WRITE] = 2;
	on_fail = END_REBOOT;
	assert_int_equal(end_of_panic(), HALTED);
	assert_int_equal(calls[RESET], 0);
	assert_string_equal(said, "");
}

/*
 * Steps that crash every time, as a serial port with a damaged mapping does. At most four get the chance:
 * opening the console, resuming it, the report, and the line that says that the report crashed.
 */
static void check_bounded(enum step first, enum step last)
{
	for (enum step step = first; step <= last; step++)
		crashes[step] = ALWAYS;
	assert_int_equal(end_of_panic(), HALTED);
	assert_in_range(crashed, 1, 4);
}

static void writing_that_always_crashes_ends(void **state)
{
	check_bounded(WRITE, WRITE);
	assert_int_equal(calls[WRITE], 2);
}

static void a_report_that_always_crashes_ends(void **state)
{
	check_bounded(CALLER, LOOP);
	assert_int_equal(times_said(CRASH_AGAIN), 1);
}

static void flushing_that_always_crashes_ends(void **state)
{
	check_bounded(FLUSH, FLUSH);
	assert_last_line(CRASH_AGAIN);
}

static void a_machine_where_each_step_crashes_ends(void **state)
{
	check_bounded(0, STEPS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_panic_reports_in_order_and_halts),
		cmocka_unit_test(the_last_line_is_printed_at_every_log_level),
		cmocka_unit_test(onfail_says_how_a_panic_ends),
		cmocka_unit_test(onfail_reboot_resets),
		cmocka_unit_test(a_panic_in_a_loop_of_boots_does_not_reboot),
		cmocka_unit_test(a_machine_that_does_not_power_off_halts_and_says_so),
		cmocka_unit_test(a_crash_in_writing_is_said_and_ends),
		cmocka_unit_test(a_crash_in_the_callers_is_said_and_ends),
		cmocka_unit_test(a_crash_in_finding_the_vm_is_said_and_ends),
		cmocka_unit_test(a_crash_in_the_trace_is_said_and_ends),
		cmocka_unit_test(a_crash_in_ending_the_loop_is_said_and_ends),
		cmocka_unit_test(a_crash_in_flushing_the_port_is_said_and_ends),
		cmocka_unit_test(a_crash_in_powering_off_is_said_and_ends),
		cmocka_unit_test(a_crash_again_in_a_loop_of_boots_does_not_reboot),
		cmocka_unit_test(a_crash_again_is_said_at_every_log_level),
		cmocka_unit_test(a_crash_in_the_middle_of_a_line_leaves_no_lock),
		cmocka_unit_test(a_crash_while_the_console_opens_is_reported_itself),
		cmocka_unit_test(a_crash_while_the_console_resumes_is_reported_itself),
		cmocka_unit_test(a_crash_in_stop_is_reported_as_a_first_crash),
		cmocka_unit_test(a_third_crash_halts_in_silence_whatever_onfail_says),
		cmocka_unit_test(writing_that_always_crashes_ends),
		cmocka_unit_test(a_report_that_always_crashes_ends),
		cmocka_unit_test(flushing_that_always_crashes_ends),
		cmocka_unit_test(a_machine_where_each_step_crashes_ends),
	};

	return run_apart("panic", tests, ARRAY_SIZE(tests));
}
