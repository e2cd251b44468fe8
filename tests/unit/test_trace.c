/* SPDX-License-Identifier: MIT */
/* The trace: what is recorded, what the ring keeps, and the words of each line. */
/* link: core/observe/trace.c core/observe/trace_print.c core/vm_log.c lib/log.c lib/string.c */
#include "tests/unit/trace_fixture.h"

#include "arch/cpu/cpu.h"
#include "core/observe/trace_record.h"
#include "lib/errno.h"
#include "lib/printf.h"

struct exit_info {
	u64 info1, info2;
	u32 intr_info, error_code;
};
static struct exit_info exit_info;

static const char *exit_name(u8 index)
{
	return index == 30 ? "I/O instruction" : index == 48 ? "EPT violation" : NULL;
}

static const struct vcpu_ops ops = { .name = "VMX", .exit_name = exit_name };

static int set_up(void **state)
{
	fixture_set_up(&ops);
	memset(&exit_info, 0, sizeof(exit_info));
	trace_mode = TRACE_CRASH;
	trace_attach(&vcpu);
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
	struct trace_record *record;

	vcpu.exit_tsc = 1000 + 3000000456ull;
	vcpu.events.injected.type = EVENT_NONE;
	record = trace_exit(&vcpu, vcpu.exit_tsc, index, index == 200 ? ~0ull : index, rip);
	record->info1 = exit_info.info1;
	record->info2 = exit_info.info2;
	record->intr_info = exit_info.intr_info;
	record->error_code = exit_info.error_code;
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
	leave(1, 200);
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

/* The fast path writes only some of the members: the others print as if it had. */
static void fast_path_words(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct trace_record *record = &home.trace.records[home.trace.next % TRACE_RECORDS];

		memset(record, 1, sizeof(*record));
		trace_add(&vcpu, (i ? TRACE_FASTPATH_RDMSR : TRACE_FASTPATH) | TRACE_INDEX(30), 1);
		record->rip = 5;
		record->entry_tsc = 2;
		record->entry_rip = 7;
		record->access.address = 0x1b;
		record->access.value = 0x900;
		clear_screen();
		trace_print(&vm, 1);
		assert_shown("reason IO_INSTRUCTION rip 0x5 info1 0x0000000000000000 info2 0x0000000000000000"
			     " intr_info 0x00000000 error_code 0x00000000 isa VMX exit_reason 0x1e\n");
		assert_shown("kvm_entry: vcpu 0, rip 0x7\n");
		assert_int_equal(!!strstr(screen, "kvm_msr: msr_read 1b = 0x900\n"), i);
		assert_int_equal(lines_shown(), 2 + i);
	}
}

/* A record of several accesses is a line for each; a count that is none comes from a record that is being written. */
static void block_words(void **state)
{
	struct trace_record *record = trace_add(&vcpu, TRACE_FASTPATH_ACCESS | TRACE_INDEX(30), 1);

	record->entry_tsc = 2;
	record->access.what = TRACE_ACCESS_WHAT(TRACE_PIO_BLOCK, 1, true);
	record->access.count = 3;
	record->access.address = 0x3f8;
	memset(record->access.bytes, 'x', TRACE_BLOCK);
	memcpy(record->access.bytes, "abc", 3);
	leave(0x10, 30);
	clear_screen();
	trace_print(&vm, 6);
	assert_shown("kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x61\n");
	assert_shown("kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x62\n");
	assert_shown("kvm_pio: pio_write at 0x3f8 size 1 count 1 val 0x63\n");
	assert_int_equal(lines_shown(), 6);
	record->access.count = ~0u;
	print_all();
	assert_int_equal(lines_shown(), 3 + TRACE_BLOCK);
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
	trace_l2_refused(&vcpu, 0x80000021, 4, "guest.link-pointer.address");
	print_all();
	assert_shown("lamina_l2_refused: vcpu 0 rip 0xfff0 code 0x80000021 qualification 0x4 rule guest.link-pointer.address\n");
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

/* A record of an exit gives up to three lines: with its access and the entry behind it. The fast path writes fewer members. */
static void lines_are_counted_and_not_records(void **state)
{
	static const struct {
		u8 kind, lines;
	} rows[] = { { TRACE_EXIT, 3 }, { TRACE_FASTPATH, 2 }, { TRACE_FASTPATH_RDMSR, 3 } };

	for (unsigned row = 0; row < ARRAY_SIZE(rows); row++) {
		const unsigned each = rows[row].lines;

		for (unsigned lines = 1; lines <= 7; lines++) {
			set_up(state);
			for (u64 i = 0; i < 3; i++) {
				leave(0x100 + i, 30);
				home.trace.records[home.trace.next - 1].kind = rows[row].kind;
				trace_pio(&vcpu, true, 0x10, 1, 0);
				enter(0x200 + i, false);
			}
			trace_print(&vm, lines);
			assert_int_equal(lines_shown(), MIN((lines + each - 1) / each, 3u) * each);	/* whole records */
		}
	}
	/* The entry has its own time, 2.000000123 s, and the exit 3.000000456 s. */
	assert_shown("2.000000");
	assert_shown("3.000000");
	assert_true(strstr(screen, "3.000000") < strstr(screen, "2.000000"));
}

static void an_empty_ring_prints_nothing(void **state)
{
	trace_print(NULL, TRACE_RECORDS);
	assert_string_equal(screen, "");
}

/* A record must not contain parts of the record that was in its place a lap earlier. */
static void details_of_the_lap_before_are_not_printed(void **state)
{
	exit_info.info2 = 0xbad;
	leave(1, 30);
	trace_pio(&vcpu, true, 0x3f8, 1, 0xbad);
	enter(0xbad, false);
	for (u64 i = 1; i < TRACE_RECORDS; i++)
		enter(i, true);
	exit_info.info2 = 0;
	leave(2, 30);
	print_all();
	assert_shown("kvm_exit: vcpu 0 reason IO_INSTRUCTION rip 0x2 ");
	assert_null(strstr(screen, "bad"));
	assert_int_equal(lines_shown(), TRACE_RECORDS);
}

/* One record holds an exit, its first access and a plain entry behind it; the order is that of time. */
static void an_exit_takes_what_follows_it(void **state)
{
	static const char *const order[] = {
		"kvm_exit: ", "at 0x10 ", "at 0x11 ", "at 0x12 ", "kvm_entry: vcpu 0, rip 0x7\n",
		"kvm_exit: ", "at 0x20 ", "kvm_entry: vcpu 0, rip 0x8\n", "kvm_exit: ", "kvm_inj_virq: ",
		"kvm_entry: vcpu 0, rip 0x9\n",
	};
	const char *at = screen;

	leave(1, 30);
	trace_pio(&vcpu, true, 0x10, 1, 0);
	trace_pio(&vcpu, true, 0x11, 1, 0);
	trace_pio(&vcpu, true, 0x12, 1, 0);
	enter(7, false);
	leave(2, 30);
	trace_pio(&vcpu, true, 0x20, 1, 0);
	enter(8, false);
	leave(3, 30);
	vcpu.events.injected = (struct event){ .type = EVENT_INTERRUPT, .vector = 0x51 };
	enter(9, false);
	assert_int_equal(home.trace.next, 4 + 1 + 2);
	trace_print(&vm, ~0u);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		at = strstr(at, order[i]);
		assert_non_null(at);
		at++;
	}
	assert_int_equal(lines_shown(), ARRAY_SIZE(order));
}

static void each_vm_sees_its_own(void **state)
{
	enter(0xaaa, false);
	vm.id = 4;
	trace_attach(&vcpu);
	enter(0xbbb, false);
	print_all();
	assert_int_equal(lines_shown(), 1);
	assert_shown("vm-4 [000] 2.000000123: kvm_entry: vcpu 0, rip 0xbbb\n");
	clear_screen();
	trace_print(NULL, TRACE_RECORDS);
	assert_int_equal(lines_shown(), 2);
	assert_shown("] trace vm-3 ");
}

/* --- the rings of several CPUs --- */

static void enter_on(struct percpu *cpu, u64 tsc, u64 rip)
{
	vcpu.cpu = cpu;
	vcpu.entry_tsc = 1000 + tsc;
	vcpu.regs[REG_RIP] = rip;
	trace_entry(&vcpu, true);	/* a record of its own */
}

static void with_another_ring(void)
{
	other.index = 1;
	other.trace.records = other_records;
	vcpu.cpu = &other;
	trace_attach(&vcpu);
}

/* In the order of time, each with its CPU. */
static void two_rings_are_merged(void **state)
{
	static const char *const order[] = {
		"[000] 0.000000010: kvm_entry: vcpu 0, rip 0x1 ", "[001] 0.000000020: kvm_entry: vcpu 0, rip 0x2 ",
		"[001] 0.000000030: kvm_entry: vcpu 0, rip 0x3 ", "[000] 0.000000040: kvm_entry: vcpu 0, rip 0x4 ",
		"[001] 0.000000050: kvm_entry: vcpu 0, rip 0x5 ",
	};
	const char *at = screen;

	with_another_ring();
	enter_on(&home, 10, 1);
	enter_on(&home, 40, 4);
	enter_on(&other, 20, 2);
	enter_on(&other, 30, 3);
	enter_on(&other, 50, 5);
	print_all();
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		at = strstr(at, order[i]);
		assert_non_null(at);
	}
	assert_int_equal(lines_shown(), 5);
	/* The newest of all, and not so many of each. */
	clear_screen();
	trace_print(&vm, 3);
	assert_int_equal(lines_shown(), 3);
	assert_shown("rip 0x3 ");
	assert_shown("rip 0x4 ");
	assert_shown("rip 0x5 ");
}

/* Neither ring needs to be full, and a busy one does not hide the other. */
static void a_full_ring_and_a_short_one(void **state)
{
	with_another_ring();
	enter_on(&other, 5000, 0xabc);
	for (u64 i = 0; i < TRACE_RECORDS + 7; i++)
		enter_on(&home, 6000 + i, 0x1000 + i);
	print_all();
	assert_int_equal(lines_shown(), TRACE_RECORDS);
	assert_null(strstr(screen, "rip 0xabc "));
	clear_screen();
	trace_print(&vm, ~0u);
	assert_int_equal(lines_shown(), TRACE_RECORDS + 1);
	assert_shown("[001] 0.000005000: kvm_entry: vcpu 0, rip 0xabc ");
	assert_shown("rip 0x1007 ");
	assert_null(strstr(screen, "rip 0x1006 "));
}

/* A VM's records on both CPUs, between those of another VM. */
static void one_vm_of_two_on_two_cpus(void **state)
{
	with_another_ring();
	enter_on(&home, 10, 1);
	enter_on(&other, 20, 2);
	vm.id = 4;
	trace_attach(&vcpu);
	enter_on(&home, 30, 3);
	enter_on(&other, 40, 4);
	vm.id = 3;
	trace_attach(&vcpu);
	enter_on(&home, 50, 5);
	trace_print(&vm, 3);
	assert_int_equal(lines_shown(), 3);
	assert_shown("rip 0x1 ");
	assert_shown("rip 0x2 ");
	assert_shown("rip 0x5 ");
	clear_screen();
	trace_print(&vm, 2);
	assert_int_equal(lines_shown(), 2);
	assert_null(strstr(screen, "rip 0x1 "));
	clear_screen();
	trace_print(NULL, TRACE_RECORDS);
	assert_int_equal(lines_shown(), 5);
}

static void a_ring_needs_memory(void **state)
{
	struct percpu cpu = { 0 };

	assert_int_equal(trace_create(&cpu), -ENOMEM);
	assert_null(cpu.trace.records);
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
	trace_export(&vm);
	trace_print(&vm, TRACE_ON_ERROR);
	assert_string_equal(screen, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(entry_words, set_up),
		cmocka_unit_test_setup(injection_words, set_up),
		cmocka_unit_test_setup(exit_words, set_up),
		cmocka_unit_test_setup(nameless_exit, set_up),
		cmocka_unit_test_setup(access_words, set_up),
		cmocka_unit_test_setup(fast_path_words, set_up),
		cmocka_unit_test_setup(block_words, set_up),
		cmocka_unit_test_setup(failure_words, set_up),
		cmocka_unit_test_setup(the_ring_keeps_the_newest, set_up),
		cmocka_unit_test_setup(the_last_lines_oldest_first, set_up),
		cmocka_unit_test_setup(lines_are_counted_and_not_records, set_up),
		cmocka_unit_test_setup(an_empty_ring_prints_nothing, set_up),
		cmocka_unit_test_setup(details_of_the_lap_before_are_not_printed, set_up),
		cmocka_unit_test_setup(an_exit_takes_what_follows_it, set_up),
		cmocka_unit_test_setup(each_vm_sees_its_own, set_up),
		cmocka_unit_test_setup(two_rings_are_merged, set_up),
		cmocka_unit_test_setup(a_full_ring_and_a_short_one, set_up),
		cmocka_unit_test_setup(one_vm_of_two_on_two_cpus, set_up),
		cmocka_unit_test_setup(a_ring_needs_memory, set_up),
		cmocka_unit_test_setup(modes, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
