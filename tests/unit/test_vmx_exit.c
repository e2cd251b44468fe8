/* SPDX-License-Identifier: MIT */
/*
 * What each VMX exit becomes: which handler of core/exit.h is called, and with what of the VMCS.
 * Intel SDM, "VMX Basic Exit Reasons", and the sections named "Exit Qualification for ...".
 */
/* link: vmx/exit.c core/vm_log.c lib/log.c lib/string.c tests/unit/fake_vmcs.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/emulate/emulate.h"
#include "core/emulate/task.h"
#include "core/exit.h"
#include "core/mem/tdp.h"
#include "lib/log.h"
#include "tests/unit/fake_vmcs.h"
#include "vmx/nested/nested.h"
#include "vmx/vmx.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

struct vmx_caps vmx_caps;

/* 2 GHz */
u64 vtimer_from_ns(u64 ns) { return 2 * ns; }

static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;
static char called[256];	/* each call with its arguments */

__printf(1, 2) static void call(const char *format, ...)
{
	size_t at = strlen(called);
	va_list args;

	va_start(args, format);
	vsnprintf(called + at, sizeof(called) - at, format, args);
	va_end(args);
}

/* --- the rest of Lamina --- */

void vmx_handle_interruption(struct vcpu *v) { assert_ptr_equal(v, vcpu); call("interruption"); }
#define HANDLER(name) void exit_##name(struct vcpu *v) { assert_ptr_equal(v, vcpu); call(#name); }
HANDLER(cpuid)
HANDLER(rdmsr)
HANDLER(wrmsr)
HANDLER(hlt)
HANDLER(xsetbv)
HANDLER(vmcall)
HANDLER(pause)
HANDLER(invalid_opcode)
HANDLER(wbinvd)
HANDLER(rdpmc)
HANDLER(triple_fault)
HANDLER(fpu_error)
HANDLER(clts)

/* vmx/nested/instructions.c: where there is no VMX, it raises #UD. */
void nested_handle_instruction(struct vcpu *v)
{
	assert_ptr_equal(v, vcpu);
	call("nested");
}

void vtimer_run_expired(struct vcpu *v, u64 now) { call("timers"); }
void exit_rdtsc(struct vcpu *v, bool rdtscp) { call(rdtscp ? "rdtscp" : "rdtsc"); }
void exit_mov_to_cr(struct vcpu *v, unsigned cr, unsigned reg) { call("cr%u=r%u", cr, reg); }
void exit_mov_from_cr(struct vcpu *v, unsigned cr, unsigned reg) { call("r%u=cr%u", reg, cr); }
void exit_lmsw(struct vcpu *v, u16 value) { call("lmsw 0x%x", value); }

void exit_io_watched(struct vcpu *v, u16 port, unsigned size, bool in)
{
	call("watched %s 0x%x size %u", in ? "in" : "out", port, size);
}

void exit_io(struct vcpu *v, u16 port, unsigned size, bool in)
{
	call("%s 0x%x size %u", in ? "in" : "out", port, size);
}

void emulate_string_io(struct vcpu *v, const struct io_exit *io)
{
	call("%s%s 0x%x size %u", io->rep ? "rep " : "", io->in ? "ins" : "outs", io->port, io->size);
}

bool guest_is_ram(const struct vm *v, gpa_t gpa, u64 size) { return gpa < 0x100000; }

void exit_tdp_fault(struct vcpu *v, const struct tdp_fault *fault)
{
	static const char *const accesses[] = { "read", "write", "fetch" };

	assert_string_equal(fault->what, (u16)v->exit_reason == 44 ? "APIC access" : "EPT violation");
	call("%s%s 0x%llx%s", fault->watched ? "watched " : "", accesses[fault->access],
	     (unsigned long long)fault->gpa, fault->walk ? " walk" : "");
}

void exit_code_in_device(struct vcpu *v, const struct tdp_fault *fault)
{
	call("%s in a device 0x%llx", fault->walk ? "tables" : "code", (unsigned long long)fault->gpa);
}

static void register_written(void *vlapic, u32 offset) { assert_ptr_equal(vlapic, &vm); call("written 0x%x", offset); }
static void interrupt_ended(void *vlapic, u8 vector) { assert_ptr_equal(vlapic, &vm); call("ended 0x%x", vector); }

static const struct irqchip_ops irqchip = { .register_written = register_written, .interrupt_ended = interrupt_ended };

void exit_unexpected(struct vcpu *v, const char *format, ...)
{
	size_t at = strlen(called);
	va_list args;

	va_start(args, format);
	vsnprintf(called + at, sizeof(called) - at, format, args);
	va_end(args);
}

void event_raise_error(struct vcpu *v, u8 vector, u32 error_code)
{
	call("#%u(%u)", vector, error_code);
}

void event_raise_debug(struct vcpu *v, u64 dr6_bits) { call("#DB 0x%llx", (unsigned long long)dr6_bits); }
void vmx_nmi_blocking_after_exit(struct vcpu *v, union vmx_exit_reason reason) { call("after %u ", reason.basic); }
int vmx_skip_instruction(struct vcpu *v) { call("skip "); return 0; }
void vmx_end_shadow(void) { call("unshadow "); }
void vmx_nmi_window(struct vcpu *v, bool on) { call("NMI window %s", on ? "on" : "off"); }

void vmx_nmi_in_service(struct vcpu *v, bool on) { call("NMI %s service, ", on ? "in" : "out of"); }

static struct event task_interrupts;	/* whose delivery the exit interrupts */
static bool task_switches_succeed;

bool emulate_task_switch(struct vcpu *v, const struct task_switch *task_switch)
{
	call("task %x by %u length %u ", task_switch->selector, task_switch->source, task_switch->length);
	if (task_switch->external)
		call("external ");
	if (task_switch->has_error_code)
		call("code %x ", task_switch->error_code);
	v->events.reinject.type = EVENT_NONE;
	return task_switches_succeed;
}

u64 tdp_entry(const struct vm *v, gpa_t gpa, int *level)
{
	assert_ptr_equal(v, &vm);
	*level = 2;
	return gpa | 5;
}

static char logged[256];

static void keep(struct log_console *to, const char *text, size_t length)
{
	strncat(logged, text, MIN(length, sizeof(logged) - 1 - strlen(logged)));
}

static struct log_console console = { .write = keep };

void *vm_alloc(struct vm *v, size_t size) { return NULL; }

static int setup(void **state)
{
	fake_vmcs_clear();
	memset(&vmx, 0, sizeof(vmx));
	memset(called, 0, sizeof(called));
	vcpu->vm = &vm;
	vcpu->vlapic = &vm;	/* something to know it by */
	vm.irqchip = &irqchip;
	return 0;
}

static void take_exit(u32 reason, u64 qualification)
{
	setup(NULL);
	vcpu->exit_reason = reason;
	vcpu->exit_index = (u8)reason;
	vmx.qualification = qualification;
	vcpu->events.reinject = task_interrupts;
	FAKE(EXIT_INSTRUCTION_LENGTH) = 7;
	vmx_handle_exit(vcpu);
}

/* --- exits without more than their reason --- */

static void each_reason_has_its_handler(void **state)
{
	static const struct {
		u32 reason;
		const char *called;
	} cases[] = {
		{ 2, "triple_fault" },
		{ 10, "cpuid" }, { 11, "invalid_opcode" }, { 12, "hlt" }, { 13, "wbinvd" }, { 15, "rdpmc" },
		{ 16, "rdtsc" }, { 18, "vmcall" },
		{ 19, "nested" }, { 20, "nested" }, { 21, "nested" },
		{ 22, "nested" }, { 23, "nested" }, { 24, "nested" },
		{ 25, "nested" }, { 26, "nested" }, { 27, "nested" },
		{ 31, "rdmsr" }, { 32, "wrmsr" }, { 36, "invalid_opcode" }, { 39, "invalid_opcode" }, { 40, "pause" },
		{ 50, "nested" }, { 51, "rdtscp" }, { 53, "nested" }, { 54, "wbinvd" },
		{ 55, "xsetbv" }, { 59, "invalid_opcode" }, { 60, "invalid_opcode" },
		{ 65, "invalid_opcode" }, { 67, "invalid_opcode" }, { 68, "invalid_opcode" },
		{ 69, "invalid_opcode" }, { 70, "invalid_opcode" }, { 76, "invalid_opcode" },
		{ 77, "invalid_opcode" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exit(cases[i].reason, 0);
		assert_string_equal(called, cases[i].called);
	}
}

/* SDM, "VMX Basic Exit Reasons": 3, 4. From outside, and no concern of the guest: it goes on, each time. */
static void init_and_sipi_are_logged_once_and_ignored(void **state)
{
	static const struct {
		u32 reason;
		const char *words;
	} cases[] = {
		{ 3, "an INIT signal reached the processor: ignored" },
		{ 4, "a start-up IPI reached a processor that runs already: ignored" },
	};

	log_add_console(&console);
	memset(&vm, 0, sizeof(vm));
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(logged, 0, sizeof(logged));
		take_exit(cases[i].reason, 0);
		assert_non_null(strstr(logged, cases[i].words));
		memset(logged, 0, sizeof(logged));
		take_exit(cases[i].reason, 0);
		assert_string_equal(logged, "");
		assert_string_equal(called, "");
		assert_int_equal(vm.state, VM_CREATED);
	}
}

/* Bits 31:16 of the reason tell more, but not which exit it is. */
static void the_basic_reason_chooses(void **state)
{
	take_exit(BIT(26) | 10, 0);
	assert_string_equal(called, "cpuid");
}

/* What no control of Lamina makes exit, or what vmx_vcpu_run() has finished: reported in full. */
static void unexpected_exits_are_reported(void **state)
{
	static const struct {
		u32 reason;
		const char *called;
	} cases[] = {
		{ 1, "interruption" },
		{ 14, "unexpected VM exit: INVLPG (reason 0xe, qualification 0x1234)" },
		{ 29, "unexpected VM exit: MOV DR (reason 0x1d, qualification 0x1234)" },
		{ 35, "unexpected VM exit: unknown (reason 0x23, qualification 0x1234)" },
		{ 74, "unexpected VM exit: bus lock (reason 0x4a, qualification 0x1234)" },
		{ 78, "unexpected VM exit: unknown (reason 0x4e, qualification 0x1234)" },
		{ 0x0800000e, "unexpected VM exit: INVLPG (reason 0x800000e, qualification 0x1234)" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exit(cases[i].reason, 0x1234);
		assert_string_equal(called, cases[i].called);
	}
}

/* vmx_vcpu_run() finishes these, except while a guest's guest runs: where one comes here, nothing is lost, and it is said once. */
static void the_preemption_timer_is_not_lost_and_is_reported_once(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		memset(logged, 0, sizeof(logged));
		take_exit(52, 0);
		assert_string_equal(called, "timers");
		assert_int_equal(!!strstr(logged, "an exit of the preemption timer was left to its handler"), i == 0);
	}
}

static void names_end_with_the_table(void **state)
{
	assert_string_equal(vmx_exit_name(0), "exception or NMI");
	assert_string_equal(vmx_exit_name(30), "I/O instruction");
	assert_string_equal(vmx_exit_name(77), "TDCALL");
	assert_null(vmx_exit_name(38));		/* no such reason */
	assert_null(vmx_exit_name(78));
	assert_null(vmx_exit_name(255));
}

/* --- notification exits --- */

/* SDM, "Exit Qualification for Notification VM Exits": bit 0: the context is invalid; bit 12: IRET unblocked NMIs. */
static void a_lost_context_ends_the_vm(void **state)
{
	take_exit(75, 1);
	assert_string_equal(called, "the guest's state was lost while the processor was busy within one instruction");
	take_exit(75, 0x1001);
	assert_string_equal(called, "the guest's state was lost while the processor was busy within one instruction");
}

static void notify(u64 rip, u64 rsp)
{
	memset(called, 0, sizeof(called));
	vcpu->exit_reason = vcpu->exit_index = 75;
	vcpu->exit_rip = rip;
	FAKE(GUEST_RSP) = rsp;
	vmx.qualification = 0x1000;
	vmx_handle_exit(vcpu);
}

static void exits_without_progress_end_the_vm(void **state)
{
	for (unsigned i = 1; i < 100; i++) {
		notify(0x1000, 0x2000);
		assert_string_equal(called, "after 75 ");
	}
	notify(0x1000, 0x2000);
	assert_string_equal(called, "after 75 the processor is busy without end within one instruction of the guest");
}

static void a_guest_that_gets_on_is_not_stuck(void **state)
{
	for (unsigned i = 0; i < 1000; i++) {
		notify(0x1000 + (i / 99 & 1), 0x2000);
		assert_string_equal(called, "after 75 ");
	}
	for (unsigned i = 0; i < 1000; i++) {
		notify(0x3000, 0x2000 - 8 * (i / 99));
		assert_string_equal(called, "after 75 ");
	}
	/* Each more than a tenth of a second after the one before: it has run in between. */
	for (unsigned i = 0; i < 1000; i++) {
		vcpu->exit_tsc += 200000002;
		notify(0x4000, 0x2000);
		assert_string_equal(called, "after 75 ");
	}
}

/* --- exceptions and NMIs --- */

static void take_exception(unsigned type, unsigned vector, u64 qualification)
{
	setup(NULL);
	FAKE(EXIT_INTERRUPTION_INFO) = BIT(31) | type << 8 | vector;
	vmx.qualification = qualification;
	vmx_handle_exit(vcpu);
}

static void host_events_are_over(void **state)
{
	take_exception(2, 2, 0);	/* NMI */
	assert_string_equal(called, "");
	take_exception(3, 18, 0);	/* #MC */
	assert_string_equal(called, "");
}

/* The qualification has DR6's layout: B0 to B3, BD, BS; bits 12, 15 and others are reserved. */
static void debug_exceptions_are_raised_with_their_causes(void **state)
{
	static const struct {
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 1, "unshadow #DB 0x1" }, { 8, "unshadow #DB 0x8" }, { 0x2000, "unshadow #DB 0x2000" },
		{ 0x4000, "unshadow #DB 0x4000" }, { ~0ull, "unshadow #DB 0x600f" }, { 0, "unshadow #DB 0x0" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exception(3, 1, cases[i].qualification);
		assert_string_equal(called, cases[i].called);
	}
}

/* INT1 is a trap: RIP must be behind it. */
static void icebp_is_stepped_over(void **state)
{
	take_exception(5, 1, 0);
	assert_string_equal(called, "skip unshadow #DB 0x0");
}

static void alignment_checks_have_error_code_0(void **state)
{
	take_exception(3, 17, 0);
	assert_string_equal(called, "#17(0)");
}

static void other_exceptions_are_the_guests(void **state)
{
	take_exception(3, 16, 0);	/* #MF, which exits only while the guest's CR0.NE is 0 */
	assert_string_equal(called, "unshadow fpu_error");	/* it waits for the interrupt */
	take_exception(3, 14, 0);
	assert_string_equal(called, "exit for exception 14, which is the guest's own");
}

/* --- windows --- */

static void windows_ask_for_the_event(void **state)
{
	take_exit(7, 0);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	assert_string_equal(called, "");
	take_exit(8, 0);
	assert_int_equal(vcpu->requests, REQ_EVENT);
	assert_string_equal(called, "NMI window on");
}

/* --- exit qualifications --- */

/* Bits 15:0 selector, 31:30 source. The instruction's length is in a field of its own, that of INT n with its event. */
static void task_switches(void **state)
{
	static const struct {
		u64 qualification;
		struct event event;
		const char *called;
	} cases[] = {
		{ 0x0000002b, { 0 }, "task 2b by 0 length 7 unshadow " },
		{ 0x4000fff8, { 0 }, "NMI out of service, task fff8 by 1 length 7 unshadow " },
		{ 0x80010030, { 0 }, "task 30 by 2 length 7 unshadow " },
		{ 0xc0000028, { .type = EVENT_INTERRUPT, .vector = 0x30 }, "task 28 by 3 length 0 external unshadow " },
		{ 0xc0000028, { .type = EVENT_EXCEPTION, .vector = 13, .has_error_code = true, .error_code = 0x18 },
		  "task 28 by 3 length 0 external code 18 unshadow " },
		{ 0xc0000028, { .type = EVENT_NMI, .vector = 2 }, "task 28 by 3 length 0 external unshadow NMI in service, " },
		{ 0xc0000028, { .type = EVENT_SOFT_INTERRUPT, .length = 2 }, "task 28 by 3 length 2 unshadow " },
		{ 0xc0000028, { .type = EVENT_SOFT_EXCEPTION, .length = 1 }, "task 28 by 3 length 1 unshadow " },
		{ 0xc0000028, { .type = EVENT_PRIVILEGED_EXCEPTION, .length = 1 }, "task 28 by 3 length 1 external unshadow " },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		task_interrupts = cases[i].event;
		task_switches_succeed = true;
		take_exit(9, cases[i].qualification);
		assert_string_equal(called, cases[i].called);
	}
	task_interrupts = (struct event){ .type = EVENT_NMI, .vector = 2 };
	task_switches_succeed = false;
	take_exit(9, 0xc0000028);
	assert_string_equal(called, "task 28 by 3 length 0 external ");
	task_interrupts = (struct event){ 0 };
}

/* Bits 3:0 register, 5:4 kind, 6 LMSW's operand, 11:8 general register, 31:16 LMSW's source. */
static void control_register_accesses(void **state)
{
	static const struct {
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 0x000, "cr0=r0" }, { 0x304, "cr4=r3" }, { 0xf03, "cr3=r15" }, { 0x408, "cr8=r4" },
		{ 0x013, "r0=cr3" }, { 0xf18, "r15=cr8" }, { 0x513, "r5=cr3" },
		{ 0x020, "clts" },
		{ 0xfff90030, "lmsw 0xfff9" }, { 0x10070, "lmsw 0x1" },
		{ 0xfffff0c0f03, "cr3=r15" },	/* reserved bits */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exit(28, cases[i].qualification);
		assert_string_equal(called, cases[i].called);
	}
}

/* Bits 2:0 size less 1, 3 IN, 4 string, 5 REP, 6 immediate, 31:16 port. */
static void io_instructions(void **state)
{
	static const struct {
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 0x03f80000, "out 0x3f8 size 1" }, { 0x03f80008, "in 0x3f8 size 1" },
		{ 0x00600041, "out 0x60 size 2" }, { 0xffff000b, "in 0xffff size 4" },
		{ 0x0cf80003, "out 0xcf8 size 4" },
		{ 0x01f00019, "ins 0x1f0 size 2" }, { 0x01f00039, "rep ins 0x1f0 size 2" },
		{ 0x80000013, "outs 0x8000 size 4" }, { 0x80000030, "rep outs 0x8000 size 1" },
		{ 0x03f80020, "out 0x3f8 size 1" },	/* REP without string says nothing */
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exit(30, cases[i].qualification);
		assert_string_equal(called, cases[i].called);
	}
}

/* Bits 0 read, 1 write, 2 fetch, 7 linear address valid, 8 its translation was done. */
static void ept_violations(void **state)
{
	static const struct {
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 0x181, "read 0xfee00300" }, { 0x182, "write 0xfee00300" }, { 0x184, "fetch 0xfee00300" },
		{ 0x183, "write 0xfee00300" },		/* read-modify-write */
		{ 0x081, "read 0xfee00300 walk" }, { 0x083, "write 0xfee00300 walk" },
		/* No linear address: a load of PDPTEs, which read as ones where no RAM is. */
		{ 0x001, "#13(0)" }, { 0x101, "#13(0)" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		FAKE(GUEST_PHYSICAL_ADDRESS) = 0xfee00300;
		vcpu->exit_reason = 48;
		vmx.qualification = cases[i].qualification;
		vmx_handle_exit(vcpu);
		assert_string_equal(called, cases[i].called);
	}
}

/* L0, G0 to L3, G3 of DR7: with any of them the slow way is taken, which looks at breakpoints. */
/* SDM, "Exit Qualification for APIC-Access VM Exits from Linear Accesses and Guest-Physical Accesses"; bit 16: asynchronous. */
static void accesses_to_the_local_apic(void **state)
{
	static const struct {
		u32 reason;
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 44, 0x0390, "read 0xfee00390" },
		{ 44, 0x13f0, "write 0xfee003f0" },
		{ 44, 0x2020, "code in a device 0xfee00020" },
		{ 44, 0x3300, "write 0xfee00300" },
		{ 44, 0xa123, "tables in a device 0xfee00000" },
		{ 44, 0xf123, "tables in a device 0xfee00000" },
		{ 44, 0x10390, "read 0xfee00390" },
		{ 45, 0x61, "ended 0x61" },
		{ 56, 0x300, "written 0x300" },
		{ 56, 0x3f0, "written 0x3f0" },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		take_exit(cases[i].reason, cases[i].qualification);
		assert_string_equal(called, cases[i].called);
	}
	take_exit(43, 0);	/* trap-like: the events are chosen again */
	assert_true(vcpu->requests & REQ_EVENT);
}

static void breakpoints(void **state)
{
	static const struct {
		u32 reason;
		u64 qualification;
		const char *called;
	} cases[] = {
		{ 30, 0x03f80008, "watched in 0x3f8 size 1" }, { 30, 0x01f00019, "watched ins 0x1f0 size 2" },
		{ 48, 0x182, "watched write 0xfee00300" },
	};

	for (unsigned i = 0; i < 11 * ARRAY_SIZE(cases); i++) {
		unsigned bit = i % 11, which = i / 11;
		const char *expected = cases[which].called;

		setup(state);
		FAKE(GUEST_DR7) = BIT(bit);
		FAKE(GUEST_PHYSICAL_ADDRESS) = 0xfee00300;
		vcpu->exit_reason = vcpu->exit_index = (u8)cases[which].reason;
		vmx.qualification = cases[which].qualification;
		vmx_handle_exit(vcpu);
		if (bit >= 8 || strstr(expected, "ins"))
			expected += strlen("watched ");
		assert_string_equal(called, expected);
	}
}

/* There the handler of page faults says what is wrong. */
static void pdptes_in_ram(void **state)
{
	FAKE(GUEST_PHYSICAL_ADDRESS) = 0x1000;
	vcpu->exit_reason = 48;
	vmx.qualification = 0x001;
	vmx_handle_exit(vcpu);
	assert_string_equal(called, "read 0x1000");
}

static void an_ept_misconfiguration_shows_the_entry(void **state)
{
	FAKE(GUEST_PHYSICAL_ADDRESS) = 0x12345000;
	vcpu->exit_reason = 49;
	vmx_handle_exit(vcpu);
	assert_string_equal(called, "EPT misconfiguration at guest-physical 0x12345000: "
				    "level 2 entry 0x12345005");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_reason_has_its_handler, setup),
		cmocka_unit_test_setup(init_and_sipi_are_logged_once_and_ignored, setup),
		cmocka_unit_test_setup(the_basic_reason_chooses, setup),
		cmocka_unit_test_setup(unexpected_exits_are_reported, setup),
		cmocka_unit_test_setup(the_preemption_timer_is_not_lost_and_is_reported_once, setup),
		cmocka_unit_test_setup(names_end_with_the_table, setup),
		cmocka_unit_test_setup(a_lost_context_ends_the_vm, setup),
		cmocka_unit_test_setup(exits_without_progress_end_the_vm, setup),
		cmocka_unit_test_setup(a_guest_that_gets_on_is_not_stuck, setup),
		cmocka_unit_test_setup(host_events_are_over, setup),
		cmocka_unit_test_setup(debug_exceptions_are_raised_with_their_causes, setup),
		cmocka_unit_test_setup(icebp_is_stepped_over, setup),
		cmocka_unit_test_setup(alignment_checks_have_error_code_0, setup),
		cmocka_unit_test_setup(other_exceptions_are_the_guests, setup),
		cmocka_unit_test_setup(windows_ask_for_the_event, setup),
		cmocka_unit_test_setup(task_switches, setup),
		cmocka_unit_test_setup(control_register_accesses, setup),
		cmocka_unit_test_setup(io_instructions, setup),
		cmocka_unit_test_setup(breakpoints, setup),
		cmocka_unit_test_setup(ept_violations, setup),
		cmocka_unit_test_setup(accesses_to_the_local_apic, setup),
		cmocka_unit_test_setup(pdptes_in_ram, setup),
		cmocka_unit_test_setup(an_ept_misconfiguration_shows_the_entry, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
