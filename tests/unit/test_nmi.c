/* SPDX-License-Identifier: MIT */
/*
 * NMIs from outside. Intel I/O controller hubs, "NMI Status and Control Register" (port 61h): bit 7 SERR#, bit 6 IOCHK#,
 * which bits 2 and 3 clear while they are 1; bits 1:0 are the speaker's.
 */
/* link: arch/fault/nmi.c lib/printf.c lib/string.c */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/apart.h"
#include "tests/unit/home_cpu.h"
#include "arch/cpu/cpu.h"
#include "arch/fault/panic.h"
#include "lib/log.h"
#include "lib/printf.h"

#include "arch/fault/nmi.h"

static u8 port_61;
static u8 next;			/* sources that are asserted while the first ones are cleared */
static bool no_port, stuck, elsewhere;
static unsigned writes, places, flushes, registers, described;
static u64 place;
static char said[8192];

u8 inb(u16 port)
{
	assert_int_equal(port, 0x61);
	return no_port ? 0xff : port_61;
}

void outb(u16 port, u8 value)
{
	assert_int_equal(port, 0x61);
	assert_int_equal(value & 0xf0, 0);
	assert_int_equal(value & 3, port_61 & 3);
	writes++;
	if (!stuck && value & 4)
		port_61 &= (u8)~0x80;
	if (!stuck && value & 8)
		port_61 &= (u8)~0x40;
	port_61 = (u8)((port_61 & 0xf0) | (value & 0x0f) | next);
	next = 0;
}

struct percpu *this_cpu(void) { return &home; }
u32 percpu_count(void) { return 1; }
struct percpu *percpu_get(u32 index) { return &home; }
bool panic_elsewhere(void) { return elsewhere; }
void cpu_stop(void) { exit(0); }
void panic_begin(void) { strcat(said, "(begin)"); }
void panic_end(const char *why) { printf("%s\n", why); exit(strstr(why, "SERR") && places == 1 ? 0 : 1); }
void trap_report(const struct trap_frame *frame) { registers++; }
void log_flush(void) { flushes++; }
static void report_places(u64 rip) { places++; place = rip; }
static void describe_guest(char *words, size_t size) { snprintf(words, size, "VM a, RIP %u", ++described); }
const struct panic_hooks panic_hooks = { .report_places = report_places, .describe_guest = describe_guest };

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t length = strlen(said);
	va_list args;

	va_start(args, format);
	vsnprintf(said + length, sizeof(said) - length - 1, format, args);
	va_end(args);
	strcat(said, "\n");
}

static void nmi(u8 port)
{
	struct trap_frame frame = { .rip = 0x1234 };

	home.self = &home;
	port_61 = port;
	nmi_handler(&frame);
}

static void the_source_is_named_and_armed_again(void **state)
{
	nmi(0x31);
	assert_non_null(strstr(said, "NMI 1 from outside: no source says so: a button, a BMC or a watchdog\n"));
	assert_int_equal(writes, 0);
	nmi(0xb1);
	assert_non_null(strstr(said, "NMI 2 from outside: SERR: a PCI system error\n"));
	assert_int_equal(port_61, 0x31);	/* cleared, and both sources are on */
	nmi(0x71);
	assert_non_null(strstr(said, "NMI 3 from outside: IOCHK: an error on an expansion bus\n"));
	assert_int_equal(port_61, 0x31);
	nmi(0xf2);
	assert_non_null(strstr(said, "NMI 4 from outside: SERR and IOCHK"));
	assert_int_equal(port_61, 0x32);
	assert_int_equal(places, 4);
	assert_int_equal(place, 0x1234);
	assert_int_equal(registers, 4);
	assert_int_equal(flushes, 4);
	assert_int_equal(home.nmi_count, 4);
}

/* The line to the CPU stays asserted then, and there is no second edge. */
static void a_source_that_comes_meanwhile_is_seen(void **state)
{
	next = 0x40;
	nmi(0x80);
	assert_non_null(strstr(said, "SERR and IOCHK"));
	assert_int_equal(port_61, 0);
}

static void a_source_that_does_not_go_is_left(void **state)
{
	stuck = true;
	nmi(0x80);
	assert_non_null(strstr(said, "SERR: a PCI system error"));
	assert_in_range(writes, 1, 20);
}

/* Hardware-reduced machines: all ones. */
static void a_machine_without_that_port(void **state)
{
	no_port = true;
	nmi(0xff);
	assert_non_null(strstr(said, "no source says so"));
	assert_int_equal(writes, 0);
}

static void a_flood_is_counted(void **state)
{
	for (unsigned i = 0; i < 1000; i++)
		nmi(0x80);
	assert_int_equal(places, 16);
	assert_int_equal(flushes, 16);
	assert_non_null(strstr(said, "more are only counted"));
	assert_int_equal(port_61, 0);
	assert_int_equal(home.nmi_count, 1000);
	nmi_log_count();
	assert_non_null(strstr(said, "CPU 0: 1000 NMIs from outside\n"));
}

/* Another CPU's question is answered, and is none from outside. */
static void a_question_is_answered(void **state)
{
	nmi_ask(&home);
	assert_int_equal(nmi_answer(&home), 0);
	nmi(0x80);
	assert_int_equal(nmi_answer(&home), 0x1234);
	assert_string_equal(home.nmi_guest, "VM a, RIP 1");	/* by the CPU itself, when it answers */
	assert_int_equal(home.nmi_count, 0);
	assert_int_equal(places, 0);
	assert_int_equal(writes, 0);
	nmi(0x80);
	assert_int_equal(home.nmi_count, 1);
	nmi_log_count();
	assert_non_null(strstr(said, "CPU 0: 1 NMIs"));
}

static void nothing_is_said_of_none(void **state)
{
	nmi_log_count();
	assert_string_equal(said, "");
}

static void what_the_option_says(void **state)
{
	nmi_set_action(NMI_IGNORE);
	nmi(0x80);
	assert_int_equal(port_61, 0);
	assert_string_equal(said, "");
	assert_int_equal(home.nmi_count, 1);
	nmi_set_action(NMI_REPORT);
	nmi(0);
	assert_int_equal(places, 1);
}

/* Before the other CPUs are stopped, they say where they are. */
static void it_may_stop_the_machine(void **state)
{
	nmi_set_action(NMI_PANIC);
	nmi(0x80);
	fail();
}

/* A crash of another CPU comes first. */
static void a_crash_elsewhere_stops_this_cpu(void **state)
{
	elsewhere = true;
	nmi(0x80);
	fail();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_source_is_named_and_armed_again),
		cmocka_unit_test(a_source_that_comes_meanwhile_is_seen),
		cmocka_unit_test(a_source_that_does_not_go_is_left),
		cmocka_unit_test(a_machine_without_that_port),
		cmocka_unit_test(a_flood_is_counted),
		cmocka_unit_test(a_question_is_answered),
		cmocka_unit_test(nothing_is_said_of_none),
		cmocka_unit_test(what_the_option_says),
		cmocka_unit_test(it_may_stop_the_machine),
		cmocka_unit_test(a_crash_elsewhere_stops_this_cpu),
	};

	return run_apart("test_nmi", tests, ARRAY_SIZE(tests));
}
