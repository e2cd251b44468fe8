/* SPDX-License-Identifier: MIT */
/* The trace: what is recorded, what the ring keeps, and the words of each line. */
/* link: core/trace.c core/trace_print.c core/vm_log.c lib/log.c */
#include "tests/unit/trace_fixture.h"

#include "arch/cpu.h"
#include "core/trace_record.h"
#include "lib/printf.h"

static struct exit_info exit_info;

static const char *exit_name(u8 index)
{
	return index == 30 ? "I/O instruction" : index == 48 ? "EPT violation" : NULL;
}

static void fill_exit_info(struct vcpu *v, struct exit_info *info)
{
	*info = exit_info;
}

static const struct vcpu_ops ops = { .name = "VMX", .exit_name = exit_name, .exit_info = fill_exit_info };

static int set_up(void **state)
{
	fixture_set_up(&ops);
	memset(trace_ring(), 0, sizeof(*trace_ring()));
	memset(&exit_info, 0, sizeof(exit_info));
	trace_mode = TRACE_CRASH;
	return 0;
}

static void enter(u64 rip, bool forced)
{
	vcpu.entry_tsc = 1000 + 2000000123ull;
	vcpu.regs[REG_RIP] = rip;
	trace_entry(&vcpu, forced);
}

static void leave(u64 rip, u8 index)
{
	vcpu.exit_tsc = 1000 + 3000000456ull;
	vcpu.exit_rip = rip;
	vcpu.exit_index = index;
	vcpu.exit_reason = index;
	trace_exit(&vcpu);
}

static void print_all(void)
{
	clear_screen();
	trace_print(&vm, TRACE_RECORDS);
}

/* --- the words --- */

static void entry_words(void **state)
{
	enter(0x1010d3, false);
	enter(0x1010d5, true);
	print_all();
	assert_shown(" web] trace vm-3 [000] 2.000000123: kvm_entry: vcpu 0, rip 0x1010d3\n");
	assert_shown("kvm_entry: vcpu 0, rip 0x1010d5 [immediate exit]\n");
	assert_int_equal(lines_shown(), 2);
}

static void injection_words(void **state)
{
	vcpu.events.injected = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x51 };
	enter(1, false);
	vcpu.events.injected = (struct event){ .type = EVENT_EXCEPTION, .vector = 14, .has_error_code = true,
					       .error_code = 0x80000002 };
	enter(2, false);
	vcpu.events.injected = (struct event){ .type = EVENT_EXCEPTION, .vector = 6 };
	enter(3, false);
	vcpu.events.injected = (struct event){ .type = EVENT_NMI, .vector = 2 };
	enter(4, false);
	print_all();
	assert_shown("kvm_inj_virq: IRQ 0x51\n");
	assert_shown("kvm_inj_exception: #PF (0x80000002)\n");
	assert_shown("kvm_inj_exception: #UD\n");
	assert_shown("kvm_inj_exception: #NMI\n");
	assert_int_equal(lines_shown(), 8);
	assert_true(strstr(screen, "#UD") < strstr(screen, "rip 0x3"));
}

static void exit_words(void **state)
{
	enter(0, false);
	exit_info.info1 = 0x3f80000;
	leave(0xffffffff81000000, 30);
	exit_info = (struct exit_info){ .info1 = 1, .info2 = 2, .intr_info = 0x80000b0e, .error_code = 4 };
	leave(5, 48);
	print_all();
	assert_shown(" web] trace vm-3 [000] 3.000000456: kvm_exit: vcpu 0 reason IO_INSTRUCTION"
		     " rip 0xffffffff81000000 info1 0x0000000003f80000 info2 0x0000000000000000"
		     " intr_info 0x00000000 error_code 0x00000000 isa VMX exit_reason 0x1e\n");
	assert_shown("reason EPT_VIOLATION rip 0x5 info1 0x0000000000000001 info2 0x0000000000000002"
		     " intr_info 0x80000b0e error_code 0x00000004 isa VMX exit_reason 0x30\n");
	assert_int_equal(lines_shown(), 3);
}

static void nameless_exit(void **state)
{
	enter(0, false);
	vcpu.exit_index = 200;
	vcpu.exit_reason = ~0ull;
	trace_exit(&vcpu);
	print_all();
	assert_shown("reason UNKNOWN ");
	assert_shown("exit_reason 0xffffffff\n");
}

static void access_words(void **state)
{
	trace_pio(&vcpu, true, 0x3f8, 1, 0x41);
	trace_pio(&vcpu, false, 0xcfc, 4, 0x12378086);
	trace_mmio(&vcpu, true, 0xfee000b0, 4, 0);
	trace_mmio(&vcpu, false, 0x123456789000, 8, ~0ull);
	trace_msr(&vcpu, false, 0x10, 0x1234, false);
	trace_msr(&vcpu, true, 0xc0000080, 0x500, true);
	print_all();
	assert_shown("kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x41\n");
	assert_shown("kvm_pio: pio_read at 0xcfc size 4 count 1 val 0x12378086\n");
	assert_shown("kvm_mmio: mmio write len 4 gpa 0xfee000b0 val 0x0\n");
	assert_shown("kvm_mmio: mmio read len 8 gpa 0x123456789000 val 0xffffffffffffffff\n");
	assert_shown("kvm_msr: msr_read 10 = 0x1234\n");
	assert_shown("kvm_msr: msr_write c0000080 = 0x500 (#GP)\n");
}

static void failure_words(void **state)
{
	vcpu.regs[REG_RIP] = 0xfff0;
	vcpu.failure = (struct failure_record){ .kind = ENTRY_INVALID_STATE, .reason = 0x80000021,
						.qualification = 3 };
	trace_failed_entry(&vcpu);
	vcpu.failure = (struct failure_record){ .kind = ENTRY_VMFAIL_VALID, .instruction_error = 7 };
	trace_failed_entry(&vcpu);
	print_all();
	assert_shown("lamina_entry_failed: vcpu 0 kind INVALID_STATE rip 0xfff0 code 0x80000021 qualification 0x3\n");
	assert_shown("kind VMFAIL_VALID rip 0xfff0 code 0x7 qualification 0x0\n");
}

/* --- the ring --- */

static void the_ring_keeps_the_newest(void **state)
{
	char text[40];

	for (u64 i = 0; i < TRACE_RECORDS + 5; i++)
		enter(0x1000 + i, false);
	print_all();
	assert_int_equal(lines_shown(), TRACE_RECORDS);
	assert_null(strstr(screen, "rip 0x1004\n"));
	assert_shown("rip 0x1005\n");
	snprintf(text, sizeof(text), "rip 0x%x\n", 0x1000 + TRACE_RECORDS + 4);
	assert_shown(text);
}

static void the_last_lines_oldest_first(void **state)
{
	for (u64 i = 0; i < 40; i++)
		enter(0x1000 + i, false);
	trace_print(&vm, 16);
	assert_int_equal(lines_shown(), 16);
	assert_true(strstr(screen, "rip 0x1018\n") < strstr(screen, "rip 0x1027\n"));
	assert_null(strstr(screen, "rip 0x1017\n"));
}

static void an_empty_ring_prints_nothing(void **state)
{
	trace_print(NULL, TRACE_RECORDS);
	assert_string_equal(screen, "");
}

/* The exit at the ring's end must not take the rest of another one, a lap ago, for its own. */
static void exit_details_of_the_last_lap_are_not_taken(void **state)
{
	enter(0, false);
	exit_info.info2 = 0xbad;
	leave(1, 30);	/* the records 1 and 2 */
	for (u64 i = 3; i < TRACE_RECORDS + 1; i++)
		enter(i, false);
	exit_info.info2 = 0;
	leave(2, 30);	/* overwrites the record 1; the record 2 follows it */
	print_all();
	assert_shown("kvm_exit: vcpu 0 reason IO_INSTRUCTION rip 0x2 ");
	assert_null(strstr(screen, "bad"));
}

static void each_vm_sees_its_own(void **state)
{
	enter(0xaaa, false);
	vm.id = 4;
	enter(0xbbb, false);
	print_all();
	assert_int_equal(lines_shown(), 1);
	assert_shown("vm-4 [000] 2.000000123: kvm_entry: vcpu 0, rip 0xbbb\n");
	clear_screen();
	trace_print(NULL, TRACE_RECORDS);
	assert_int_equal(lines_shown(), 2);
	assert_shown("] trace vm-3 ");
}

static void modes(void **state)
{
	enter(1, false);
	trace_export(&vm);
	assert_string_equal(screen, "");
	trace_mode = TRACE_CONSOLE;
	trace_export(&vm);
	assert_int_equal(lines_shown(), 1);

	set_up(state);
	trace_mode = TRACE_OFF;
	enter(1, false);
	leave(1, 30);
	trace_pio(&vcpu, true, 1, 1, 1);
	trace_mmio(&vcpu, true, 1, 1, 1);
	trace_msr(&vcpu, true, 1, 1, false);
	trace_failed_entry(&vcpu);
	assert_int_equal(trace_ring()->next, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entry_words, set_up),
		cmocka_unit_test_setup(injection_words, set_up),
		cmocka_unit_test_setup(exit_words, set_up),
		cmocka_unit_test_setup(nameless_exit, set_up),
		cmocka_unit_test_setup(access_words, set_up),
		cmocka_unit_test_setup(failure_words, set_up),
		cmocka_unit_test_setup(the_ring_keeps_the_newest, set_up),
		cmocka_unit_test_setup(the_last_lines_oldest_first, set_up),
		cmocka_unit_test_setup(an_empty_ring_prints_nothing, set_up),
		cmocka_unit_test_setup(exit_details_of_the_last_lap_are_not_taken, set_up),
		cmocka_unit_test_setup(each_vm_sees_its_own, set_up),
		cmocka_unit_test_setup(modes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
