/* SPDX-License-Identifier: MIT */
/*
 * What exceptions of the host lead to. Intel SDM, "STI"; AMD APM vol. 2, "Interrupt Shadows": an exception can come
 * between STI and the HLT that it protects.
 */
/* link: arch/fault/trap.c lib/printf.c lib/string.c tests/unit/fake_cpu.c */
#include "tests/unit/fake_cpu.h"
#include <stdlib.h>
#include "tests/unit/home_cpu.h"
#include "arch/apic/irq.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/nmi.h"
#include "arch/fault/panic.h"
#include "arch/fault/trap.h"
#include "lib/log.h"

struct trap_frame;
bool native_fix_up(struct trap_frame *frame) { return false; }

const u64 trap_stubs[256];
const char irq_wait_halt[] = "";
static unsigned machine_checks;
static u8 stack[16];

struct percpu *this_cpu(void) { return &home; }
struct percpu *percpu_by_stack(void) { return &home; }
u64 extable_find(u64 rip) { return 0; }
void nmi_handler(const struct trap_frame *frame) { home.nmi_count++; }
void irq_dispatch(u64 vector) { }
void machine_check_handler(void) { machine_checks++; }
void log_line(enum log_level level, const char *tag, const char *format, ...) { }
const char *trap_name(u64 vector) { return ""; }
void trap_report(const struct trap_frame *frame) { }
void panic_begin(void) { fail_msg("a panic"); abort(); }
void panic_end(const char *why) { abort(); }

/* Where the interrupted code goes on, in bytes from irq_wait()'s HLT. */
static s64 goes_on(u64 vector, u64 rip)
{
	struct trap_frame frame = {
		.vector = vector, .error_code = vector == X86_SX ? SX_INIT : 0, .rip = rip, .rflags = RFLAGS_IF | RFLAGS_FIXED,
		.rsp = (u64)stack,
	};

	fake_msr(MSR_GS_BASE)->value = (u64)&home;
	trap_dispatch(&frame);
	assert_int_equal(frame.rflags, RFLAGS_IF | RFLAGS_FIXED);
	assert_int_equal(frame.rsp, (u64)stack);
	return (s64)(frame.rip - (u64)irq_wait_halt);
}

/* Behind the HLT, which has one byte (F4), interrupts are on: the one that was waited for is served there. */
static void an_exception_before_the_halt_steps_over_it(void **state)
{
	const u64 halt = (u64)irq_wait_halt;

	home_reset();
	assert_int_equal(goes_on(X86_NMI, halt), 1);
	assert_int_equal(goes_on(X86_MC, halt), 1);
	assert_int_equal(machine_checks, 1);
	assert_int_equal(goes_on(X86_DB, halt), 1);
	assert_int_equal(goes_on(X86_SX, halt), 1);
	assert_int_equal(home.nmi_count, 1);
	assert_int_equal(home.debug_count, 1);
	assert_int_equal(home.init_count, 1);
}

/* The HLT is over, or STI has not been executed: nothing is left out. */
static void elsewhere_nothing_is_stepped_over(void **state)
{
	static const s64 offsets[] = { -2, -1, 1, 2, 0x1000 };

	home_reset();
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++) {
		assert_int_equal(goes_on(X86_NMI, (u64)irq_wait_halt + (u64)offsets[i]), offsets[i]);
		assert_int_equal(goes_on(X86_MC, (u64)irq_wait_halt + (u64)offsets[i]), offsets[i]);
	}
}

/* Interrupts do not come in the shadow. */
static void interrupts_change_nothing(void **state)
{
	home_reset();
	assert_int_equal(goes_on(IRQ_VECTOR_TIMER, (u64)irq_wait_halt), 0);
	assert_int_equal(goes_on(IRQ_VECTOR_TIMER, (u64)irq_wait_halt + 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_cpu_test_setup(an_exception_before_the_halt_steps_over_it, NULL),
		fake_cpu_test_setup(elsewhere_nothing_is_stepped_over, NULL),
		fake_cpu_test_setup(interrupts_change_nothing, NULL),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
