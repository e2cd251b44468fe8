/* SPDX-License-Identifier: MIT */
/*
 * Entry and exit under VMX with a fake VMCS: what no emulator raises, and the order in which an
 * exit is looked at. Each letter of the diary is a step: I self-IPI, p look for it in the IRR, E
 * entry, r exit reason read, q qualification read, e VM-instruction error read, M host's
 * machine-check handler, V IDT-vectoring information read, N host's NMI handler, X timers run, H the
 * exit's handler.
 */
/* link: vmx/run.c vmx/fastpath.c vmx/events.c core/observe/statistics.c core/force_exit.c core/vm_log.c lib/string.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/time/clock.h"
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/exit.h"
#include "core/observe/trace_record.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "vmx/vmx.h"
#include "core/cpu/paravirt.h"
#include "home_cpu.h"
#include "guest_msr.h"
#include "mmio_device.h"
#include "string_device.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

#define FAILED_ENTRY BIT(31)

struct vmx_caps vmx_caps;

static char diary[64];
static struct vm_config config;
static struct vm vm;
static struct vcpu_vmx vmx;
static struct vcpu *const vcpu = &vmx.vcpu;

/* --- the fake processor --- */

static u64 vmcs[0x8000];
static bool written[0x8000];
static enum exit_fastpath enter_result;
static bool entered_by_resume;
static u32 next_reason;		/* what the coming exit writes to the exit-reason field */
static u64 tsc, exit_at;	/* time now, and at the coming exit */
static bool ipi_arrives;
static u64 polls;
static u64 reason_at_machine_check;
static u64 timers_run_at;
static u64 deadline_after_entry;	/* 0: the same */
static unsigned again;		/* entries that the stub has made by itself */

static void note(char step)
{
	size_t n = strlen(diary);

	assert_true(n + 1 < sizeof(diary));
	diary[n] = step;
}

u64 fake_vmread(u32 encoding, bool *fail)
{
	assert_true(encoding < ARRAY_SIZE(vmcs));
	if (encoding == EXIT_REASON.encoding)
		note('r');
	else if (encoding == EXIT_QUALIFICATION.encoding)
		note('q');
	else if (encoding == INSTRUCTION_ERROR.encoding)
		note('e');
	else if (encoding == IDT_VECTORING_INFO.encoding)
		note('V');
	/* Without a current VMCS every access is VMfailInvalid. */
	*fail = strchr(diary, 'E') && enter_result == EXIT_FASTPATH_ENTRY_FAILED && !vmx.vmfail_valid;
	return vmcs[encoding];
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail)
{
	assert_true(encoding < ARRAY_SIZE(vmcs));
	vmcs[encoding] = value;
	written[encoding] = true;
	*fail = false;
}

void vmcs_read_failed(u32 encoding)
{
	fail_msg("VMREAD of 0x%x failed", encoding);
	__builtin_unreachable();
}

void vmcs_write_failed(u32 encoding, u64 value)
{
	fail_msg("VMWRITE of 0x%llx to 0x%x failed", (unsigned long long)value, encoding);
	__builtin_unreachable();
}

enum exit_fastpath vmx_vmenter(struct vcpu_vmx *entered, bool resume)
{
	assert_ptr_equal(entered, &vmx);
	enum exit_fastpath result = enter_result;

	note('E');
	if (deadline_after_entry)
		vcpu->timer_deadline = deadline_after_entry;
	entered_by_resume = resume;
	tsc = exit_at;
	if (enter_result != EXIT_FASTPATH_NONE)
		return result;
	/* As the stub does. What is entered again exits for the preemption timer. */
	for (vmcs[EXIT_REASON.encoding] = next_reason;;) {
		result = vmx_exit_fastpath(entered);
		if (result == EXIT_FASTPATH_NONE)
			result = vmx_exit_in_stub(entered);
		if (result != EXIT_FASTPATH_REENTER_GUEST)
			return result;
		note('E');
		again++;
		vmcs[EXIT_REASON.encoding] = EXIT_REASON_PREEMPTION_TIMER;
	}
}

void vmx_host_nmi(void)
{
	note('N');
}

/* --- the rest of Lamina, as far as run.c sees it --- */

void exit_machine_check(struct vcpu *v, bool entered)
{
	assert_ptr_equal(v, vcpu);
	/* After a failed entry there is no guest to report it to. */
	assert_int_equal(entered, !(vcpu->exit_reason & FAILED_ENTRY));
	note('M');
	reason_at_machine_check = vcpu->exit_reason;
}


static struct cpuid_constants constants = { .leaves = BIT(0), .regs = { { 0x16, 1, 2, 3 } } };
static u32 request_by_handler;
static bool halt_by_handler;
static bool write_by_handler, switch_by_handler;
static u8 injected_at_handler;

static void handler(struct vcpu *v)
{
	note('H');
	injected_at_handler = v->events.injected.type;
	if (write_by_handler) {
		vcpu_reg_write(v, REG_RSP, 0x8888);
		vcpu_reg_write(v, REG_RFLAGS, 0x246);
	}
	if (switch_by_handler)
		vmx.vmcs = (struct vmcs){ 0 };
	if (request_by_handler)
		vcpu_request(v, request_by_handler);
	if (halt_by_handler)
		v->activity = VCPU_HALTED;
}

void (*const vmx_handlers[VMX_HANDLERS])(struct vcpu *v) = {
	[EXIT_REASON_EXCEPTION_OR_NMI] = handler,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = vmx_handle_interruption,
	[EXIT_REASON_PREEMPTION_TIMER] = vmx_handle_interruption,
	[EXIT_REASON_CPUID] = handler,
	[EXIT_REASON_IO] = handler,
	[EXIT_REASON_EPT_VIOLATION] = handler,
	[EXIT_REASON_INTERRUPT_WINDOW] = handler,
};

static bool may_enter;		/* enter_from_stub() says so once */
static u32 request_by_interrupt;

void irq_window(void)
{
	note('W');
	if (request_by_interrupt)
		vcpu_request(vcpu, request_by_interrupt);
}

/* The loop's part: tests/unit/test_enter.c. */
enum exit_fastpath enter_from_stub(struct vcpu *v)
{
	enum exit_fastpath answer = may_enter ? EXIT_FASTPATH_REENTER_GUEST : EXIT_FASTPATH_EXIT_HANDLED;

	assert_ptr_equal(v, vcpu);
	note('S');
	may_enter = false;
	v->entry_tsc = tsc;
	return answer;
}

void *vm_alloc(struct vm *v, size_t size) { return NULL; }

u64 vtimer_now(void)
{
	return tsc;
}

void vtimer_run_expired(struct vcpu *v, u64 now)
{
	note('X');
	timers_run_at = now;
}

void lapic_self_ipi(u8 vector)
{
	assert_int_equal(vector, IRQ_VECTOR_FORCE_EXIT);
	note('I');
}

bool lapic_irr_pending(u8 vector)
{
	assert_int_equal(vector, IRQ_VECTOR_FORCE_EXIT);
	if (polls++ == 0)
		note('p');
	return ipi_arrives;
}

u64 clock_deadline_us(u64 us)
{
	return us;
}

bool clock_expired(u64 deadline)
{
	return polls > deadline;
}

static void fake_reg_fetch(struct vcpu *v, enum vcpu_reg reg)
{
	assert_int_equal(reg, REG_RFLAGS);
	v->regs[reg] = vmcs[GUEST_RFLAGS.encoding];
}

static const struct vcpu_ops ops = { .reg_fetch = fake_reg_fetch };

static int setup(void **state)
{
	memset(diary, 0, sizeof(diary));
	memset(&vm, 0, sizeof(vm));
	memset(&vmx, 0, sizeof(vmx));
	memset(vmcs, 0, sizeof(vmcs));
	memset(written, 0, sizeof(written));
	vmx_caps = (struct vmx_caps){ .pin = PIN_PREEMPTION_TIMER | PIN_VIRTUAL_NMI };
	vcpu->vm = &vm;
	vcpu->cpu = &home;
	vcpu->ops = &ops;
	vcpu->timer_deadline = VTIMER_NEVER;
	enter_result = EXIT_FASTPATH_NONE;
	deadline_after_entry = 0;
	again = 0;
	request_by_handler = request_by_interrupt = 0;
	halt_by_handler = may_enter = false;
	write_by_handler = switch_by_handler = false;
	home_reset();
	vm.state = VM_RUNNING;
	attach_device(&vm, vcpu);
	attach_msrs(&vm);
	vcpu->vlapic = vcpu;
	vm.config = &config;
	config.hypervisor = HYPERVISOR_LAMINA;
	vcpu->cpuid = (struct cpuid_table *)&constants;
	vcpu->deadline_in_hardware = true;
	next_reason = EXIT_REASON_CPUID;
	tsc = 1000;
	exit_at = 2000;
	ipi_arrives = true;
	polls = 0;
	reason_at_machine_check = 0;
	return 0;
}

/* --- entries that fail --- */

/* VMfailInvalid: nothing of the VMCS can be trusted, nor read. */
static void vmfail_invalid(void **state)
{
	enter_result = EXIT_FASTPATH_ENTRY_FAILED;
	vcpu->failure.instruction_error = 99;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
	assert_string_equal(diary, "E");
	assert_int_equal(vcpu->failure.kind, ENTRY_VMFAIL_INVALID);
	assert_int_equal(vcpu->failure.instruction_error, 0);
	assert_int_equal(vcpu->failure.reason, 0);
	assert_false(vmx.vmcs.launched);
}

/* VMfailValid: the instruction error says why; the exit reason is that of an earlier exit. */
static void vmfail_valid(void **state)
{
	enter_result = EXIT_FASTPATH_ENTRY_FAILED;
	vmx.vmfail_valid = true;
	vmcs[EXIT_REASON.encoding] = EXIT_REASON_HLT;
	vmcs[INSTRUCTION_ERROR.encoding] = 7;
	vmcs[GUEST_RIP.encoding] = 0x5678;
	vcpu->exit_reason = EXIT_REASON_HLT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
	assert_string_equal(diary, "Ee");
	assert_int_equal(vcpu->failure.kind, ENTRY_VMFAIL_VALID);
	assert_int_equal(vcpu->failure.instruction_error, 7);
	assert_int_equal(vcpu->failure.reason, 0);
	assert_int_equal(vcpu->exit_reason, 0);
	assert_int_equal(vcpu->exit_rip, 0x5678);	/* as the fast path left it */
	assert_int_equal(vcpu->regs[REG_RIP], 0x5678);
	assert_false(vmx.vmcs.launched);
}

/*
 * A machine check during VM entry is reported as a failed entry. Basic reason 41 has to be looked at
 * before bit 31, or the host never learns of its machine check.
 */
static void machine_check_during_entry(void **state)
{
	next_reason = FAILED_ENTRY | EXIT_REASON_MACHINE_CHECK;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
	assert_string_equal(diary, "ErqM");
	assert_int_equal(vcpu->failure.kind, ENTRY_MACHINE_CHECK);
	assert_int_equal(reason_at_machine_check, 0x80000029);	/* the snapshot was taken before */
	assert_false(vmx.vmcs.launched);
}

static void failed_entry_is_not_an_exit(void **state)
{
	static const struct {
		u32 basic;
		enum entry_failure kind;
	} cases[] = {
		{ 33, ENTRY_INVALID_STATE },
		{ 34, ENTRY_MSR_LOADING },
		{ 35, ENTRY_UNKNOWN },
		{ 52, ENTRY_UNKNOWN },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		next_reason = FAILED_ENTRY | cases[i].basic;
		vmcs[EXIT_QUALIFICATION.encoding] = 4;
		/* Left by an earlier exit: an interrupt in delivery, which must not be taken up. */
		vmcs[IDT_VECTORING_INFO.encoding] = INTERRUPTION_VALID | 0x30;
		vcpu->events.injected = (struct event){ .type = EVENT_NMI, .vector = 2 };
		assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
		assert_string_equal(diary, "Erq");
		assert_int_equal(vcpu->failure.kind, cases[i].kind);
		assert_int_equal(vcpu->failure.reason, FAILED_ENTRY | cases[i].basic);
		assert_int_equal(vcpu->failure.qualification, 4);
		assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
		assert_int_equal(vcpu->events.injected.type, EVENT_NMI);	/* for the report */
		assert_false(vmx.vmcs.launched);
	}
}

static void launched_after_the_first_real_exit(void **state)
{
	next_reason = FAILED_ENTRY | EXIT_REASON_INVALID_GUEST_STATE;
	vmx_vcpu_run(vcpu, false);
	assert_false(entered_by_resume);
	next_reason = EXIT_REASON_CPUID;
	vmx_vcpu_run(vcpu, false);
	assert_false(entered_by_resume);
	vmx_vcpu_run(vcpu, false);
	assert_true(entered_by_resume);
}

/* --- exits --- */

static void ordinary_exit(void **state)
{
	vmcs[GUEST_RIP.encoding] = 0x1234;
	vcpu->events.injected.type = EVENT_NMI;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "ErqV");
	assert_int_equal(vcpu->exit_reason, EXIT_REASON_CPUID);
	assert_int_equal(vcpu->exit_index, EXIT_REASON_CPUID);
	assert_int_equal(vcpu->exit_rip, 0x1234);
	assert_int_equal(vcpu->exit_tsc, 2000);
	assert_int_equal(vcpu_reg_read(vcpu, REG_RIP), 0x1234);
	assert_int_equal(vcpu->events.injected.type, EVENT_NONE);
	assert_int_equal(home.trace.next, 2);		/* the entry, and the exit from the snapshot */
	assert_int_equal(home.trace.records[0].kind, TRACE_ENTRY);
	assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
	assert_int_equal(home.trace.records[1].reason, EXIT_REASON_CPUID);
	assert_int_equal(home.trace.records[1].rip, 0x1234);
	assert_int_equal(home.trace.records[1].tsc, 2000);
}

/* --- exits that are handled within the entry stub --- */

static struct exit_statistics counted;

static void let_answer(u32 reason)
{
	memset(&counted, 0, sizeof(counted));
	next_reason = reason;
	vcpu->statistics.by_kind[reason] = &counted;
	vmcs[GUEST_RIP.encoding] = 0x1234;
	vmcs[EXIT_INSTRUCTION_LENGTH.encoding] = 2;
	vmcs[GUEST_RFLAGS.encoding] = RFLAGS_FIXED;
	if (reason == EXIT_REASON_VMCALL)
		vcpu->regs[REG_RAX] = HYPERCALL_LAST + 1;
}

static void cpuid_is_answered_in_the_stub(void **state)
{
	let_answer(EXIT_REASON_CPUID);
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(again, 1);
	assert_string_equal(diary, "ErErqV");
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
	assert_int_equal(vcpu->regs[REG_RAX], 0x16);
	assert_int_equal(vcpu->regs[REG_RBX], 1);
	assert_int_equal(vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST], 1);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(home.trace.records[1].kind, TRACE_FASTPATH);
	assert_int_equal(home.trace.records[1].rip, 0x1234);
	assert_int_equal(home.trace.records[1].entry_rip, 0x1236);
}

/* A result that was asked for before, of leaf 1, for the same CR4.OSXSAVE; and of another leaf, which depends on nothing. */
static void cpuid_is_answered_again(void **state)
{
	static const struct {
		u64 cr4;
		enum cpuid_dependence dependence;
		bool again;
	} rows[] = {
		{ CR4_OSXSAVE | CR4_PAE, CPUID_ON_OSXSAVE, true }, { CR4_PAE, CPUID_ON_OSXSAVE, false },
		{ CR4_PAE, CPUID_ON_NOTHING, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		let_answer(EXIT_REASON_CPUID);
		constants.slots[cpuid_slot_of(1)] = (struct cpuid_slot){ .leaf = 1, .dependence = rows[i].dependence,
			.state = CR4_OSXSAVE, .regs = { 5, 6, 7, 8 } };
		vmcs[CR4_READ_SHADOW.encoding] = rows[i].cr4;
		vcpu->regs[REG_RAX] = 0xffffffff00000001;
		vcpu->regs[REG_RCX] = 3;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(vcpu->regs[REG_RAX], rows[i].again ? 5 : 0xffffffff00000001);
		assert_int_equal(vcpu->regs[REG_RCX], rows[i].again ? 7 : 3);
		assert_int_equal(home.trace.records[1].kind, rows[i].again ? TRACE_FASTPATH : TRACE_EXIT);
	}
	constants.slots[cpuid_slot_of(1)] = (struct cpuid_slot){ 0 };
}

/* Single steps, shadows and a RIP that may wrap need the exit's handler. */
static void what_is_not_plain_goes_the_long_way(void **state)
{
	for (unsigned i = 0; i < 7; i++) {
		setup(state);
		let_answer(EXIT_REASON_CPUID);
		if (i == 0)
			vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_TF;
		else if (i == 1)
			vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_RF;
		else if (i == 2)
			vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI;
		else if (i == 3)
			vmcs[GUEST_RIP.encoding] = 0xfffffffe;
		else if (i == 4)
			vcpu->regs[REG_RAX] = 1;	/* a leaf that follows the vCPU's state */
		else if (i == 5)
			vcpu->every_exit = 1;
		else
			vcpu_request(vcpu, REQ_STOP);
		vmx_vcpu_run(vcpu, false);
		assert_int_not_equal(vmcs[GUEST_RIP.encoding], 0x1236);
		assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
		assert_int_equal(again, i < 5);		/* by the handler, which this test fakes */
	}
}

/* SDM, "Exit Qualification for I/O Instructions": size less 1, IN bit 3, string bit 4, port bits 16 to 31. */
#define IO_QUALIFICATION(port, size, in) ((u64)(port) << 16 | (in) << 3 | ((size) - 1))

static void let_access_port(u64 qualification)
{
	let_answer(EXIT_REASON_IO);
	vmcs[EXIT_QUALIFICATION.encoding] = qualification;
	vmcs[GUEST_DR7.encoding] = 0x400;
	vcpu->regs[REG_RAX] = 0x1122334455667788;
	vcpu->events.reinject.type = EVENT_NMI;
	vcpu->timer_deadline = 2600;
}

static void a_port_is_written_within_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	let_access_port(IO_QUALIFICATION(DEVICE_PORT + 1, 1, 0));
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);
	assert_string_equal(diary, "ErqErqV");		/* no handler, and no vectoring information for the I/O instruction */
	assert_int_equal(device.writes, 1);
	assert_int_equal(device.offset, 1);
	assert_int_equal(device.size, 1);
	assert_int_equal(device.rip, 0x1234);
	assert_int_equal(device.value, 0x88);
	assert_true(device.locked);
	assert_int_equal(vm.lock.next, vm.lock.served);
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 600);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(record->kind, TRACE_FASTPATH_ACCESS);
	assert_int_equal(record->exit_index, EXIT_REASON_IO);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->info1, IO_QUALIFICATION(DEVICE_PORT + 1, 1, 0));
	assert_int_equal(record->entry_rip, 0x1236);
	assert_int_equal(record->access.kind, TRACE_PIO);
	assert_true(record->access.write);
	assert_int_equal(record->access.address, DEVICE_PORT + 1);
	assert_int_equal(record->access.value, 0x88);
}

static void a_port_is_read_within_the_stub(void **state)
{
	let_access_port(IO_QUALIFICATION(DEVICE_PORT, 1, 1));
	device.answer = 0xf6f5f4f3f2f1;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(device.reads, 1);
	assert_int_equal(vcpu->regs[REG_RAX], 0x11223344556677f1);
	assert_int_equal(home.trace.records[1].access.value, 0xf1);
	assert_null(strchr(diary, 'H'));
}

/* Several bytes, and ports of another device or none. */
static void other_ports_are_accessed_within_the_stub(void **state)
{
	static const struct { u16 port; u8 size; bool in; } rows[] = {
		{ DEVICE_PORT, 2, true }, { DEVICE_PORT, 4, true }, { DEVICE_PORT + 3, 2, false }, { DEVICE_PORT + 4, 1, true },
		{ DEVICE_PORT + 4, 4, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		let_access_port(IO_QUALIFICATION(rows[i].port, rows[i].size, rows[i].in));
		device.answer = 0xf4f3f2f1;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(again, 1);
		assert_int_equal(device.reads + device.writes, 0);
		assert_int_equal(device.others, 1);
		assert_int_equal(device.offset, rows[i].port - DEVICE_PORT);
		assert_int_equal(device.size, rows[i].size);
		assert_int_equal(device.rip, 0x1234);
		if (rows[i].in)
			assert_int_equal(vcpu->regs[REG_RAX], 0xf4f3f2f1);
		else
			assert_int_equal(device.value, 0x1122334455667788);
		assert_null(strchr(diary, 'H'));
	}
}

/* REP OUTSB in 64-bit code at CPL 3, or INSB in 32-bit code without paging at CPL 0. */
static void let_string(bool in)
{
	memset(&strings, 0, sizeof(strings));
	let_access_port(IO_QUALIFICATION(DEVICE_PORT, 1, in) | BIT(4) | (in ? 0 : BIT(5)));
	vmcs[guest_access_rights(SEG_CS).encoding] = in ? 0xc09b : 0xa09b;
	vmcs[guest_access_rights(SEG_SS).encoding] = in ? 0xc093 : 0xc0f3;
	vmcs[GUEST_CR3.encoding] = 0x5000;
	vmx.vmcs.efer = in ? 0 : EFER_LMA | EFER_LME | EFER_NXE;
	vcpu->regs[REG_RSI] = 0x7000;
	strings.taken = true;
}

static void a_string_goes_to_the_port_within_the_stub(void **state)
{
	for (unsigned in = 0; in < 2; in++) {
		setup(state);
		let_string(in);
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(strings.calls, 1);
		assert_null(strchr(diary, 'H'));
		assert_int_equal(strings.string.port, DEVICE_PORT);
		assert_int_equal(strings.string.in, in);
		assert_int_equal(strings.string.rep, !in);
		assert_int_equal(strings.string.user, !in);
		assert_int_equal(strings.string.no_execute, !in);
		assert_int_equal(strings.string.view.mode, in ? INSN_MODE_32 : INSN_MODE_64);
		assert_int_equal(strings.string.view.paging, in ? CODE_UNPAGED : CODE_4_LEVEL);
		if (!in)
			assert_int_equal(strings.string.view.cr3, 0x5000);
		assert_int_equal(strings.exit.rip, 0x1234);
		assert_int_equal(strings.exit.next_rip, 0x1236);
		assert_int_equal(strings.exit.info1, vmcs[EXIT_QUALIFICATION.encoding]);
		assert_int_equal(strings.exit.info2, 0);
		assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1234);	/* as the other says */
		assert_int_equal(vcpu->regs[REG_RSI], 0x7003);
		assert_int_equal(home.trace.records[1].kind, TRACE_FASTPATH_ACCESS);
	}
}

static void other_strings_go_to_their_handler(void **state)
{
	for (unsigned i = 0; i < 9; i++) {
		setup(state);
		let_string(false);
		switch (i) {
		case 0: strings.taken = false; break;
		case 1: vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_DF; break;
		case 2: vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_TF; break;
		case 3: vmcs[EXIT_QUALIFICATION.encoding] |= 1; break;		/* words */
		case 4: vmcs[GUEST_DR7.encoding] = 0x402; break;
		case 5: vmcs[guest_access_rights(SEG_CS).encoding] = 0xc09b; break;	/* compatibility mode */
		case 6: vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI; break;
		case 7: vmx_caps.pin &= ~(u32)PIN_VIRTUAL_NMI; break;
		default: vcpu->every_exit = 1; break;
		}
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(strings.calls, i == 0);
		assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1234);
		assert_int_equal(!!strchr(diary, 'H'), i < 8);
	}
}

static void what_the_device_asks_for_is_served_by_the_loop(void **state)
{
	let_access_port(IO_QUALIFICATION(DEVICE_PORT, 1, 1));
	device.answer = 0xf1;
	device.request = REQ_EVENT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 0);
	assert_true(vmx.vmcs.launched);
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1236);
	assert_int_equal(vcpu->regs[REG_RAX], 0x11223344556677f1);
	assert_int_equal(vcpu->exit_reason, EXIT_REASON_IO);
	assert_int_equal(vcpu->exit_index, EXIT_REASON_IO);
	assert_int_equal(vcpu->exit_rip, 0x1234);
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP));
	assert_int_equal(vcpu->events.injected.type, EVENT_NONE);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	assert_int_equal(statistics_exits(&counted), 0);
}

/* Strings, breakpoints, single steps, RF, shadows, the end of 4 GiB; and what every fast path needs. */
static void other_port_exits_go_to_their_handler(void **state)
{
	for (unsigned i = 0; i < 11; i++) {
		setup(state);
		let_access_port(IO_QUALIFICATION(DEVICE_PORT, 1, 0));
		if (i == 0)
			vmcs[EXIT_QUALIFICATION.encoding] |= BIT(4);
		else if (i == 1)
			vmcs[GUEST_DR7.encoding] = 0x402;	/* G0 */
		else if (i == 2)
			vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_TF;
		else if (i == 3)
			vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_RF;
		else if (i == 4)
			vmcs[GUEST_RIP.encoding] = 0xfffffffe;
		else if (i == 5)
			vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI;
		else if (i == 6)
			vmx_caps.pin &= ~(u32)PIN_VIRTUAL_NMI;	/* the exit may show that an NMI's handler is over */
		else if (i == 7)
			vcpu->statistics.by_kind[EXIT_REASON_IO] = NULL;
		else if (i == 8)
			vcpu->every_exit = 1;
		else if (i == 9)
			vcpu_request(vcpu, REQ_STOP);
		else
			vcpu->timer_deadline = 5;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(device.writes, 0);
		assert_int_equal(!!strchr(diary, 'H'), i < 7);
	}
}

static struct msr_shortcuts shortcuts;
static u64 cached_msr;

/* The guest reads MSR 0x1d9, whose value is in memory. */
static void let_read_msr(void)
{
	let_answer(EXIT_REASON_RDMSR);
	memset(&shortcuts, 0, sizeof(shortcuts));
	cached_msr = 0x1122334455667788;
	msr_add_shortcut(&shortcuts, 0x1d9, &cached_msr);
	vcpu->msrs = (struct msr_state *)&shortcuts;
	vcpu->regs[REG_RCX] = 0xffffffff000001d9;	/* RDMSR looks at ECX only */
	vcpu->regs[REG_RAX] = vcpu->regs[REG_RDX] = ~0ull;
}

static void rdmsr_of_a_cached_value_is_answered_in_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	let_read_msr();
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(again, 1);
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
	assert_int_equal(vcpu->regs[REG_RAX], 0x55667788);	/* upper halves are cleared */
	assert_int_equal(vcpu->regs[REG_RDX], 0x11223344);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(record->kind, TRACE_FASTPATH_RDMSR);
	assert_int_equal(record->exit_index, EXIT_REASON_RDMSR);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->entry_rip, 0x1236);
	assert_int_equal(record->access.address, 0x1d9);
	assert_int_equal(record->access.value, 0x1122334455667788);
}

/* Those that Lamina has are for the handler of the exit. */
static void known_hypercalls_are_not_answered_in_the_stub(void **state)
{
	let_answer(EXIT_REASON_VMCALL);
	vcpu->regs[REG_RAX] = HYPERCALL_LAST;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_int_equal(again, 0);
	assert_int_equal(vcpu->regs[REG_RAX], HYPERCALL_LAST);
}

/* hv=none: it raises #UD, each time. */
static void without_a_hypervisor_none_is_answered(void **state)
{
	config.hypervisor = HYPERVISOR_NONE;
	let_answer(EXIT_REASON_VMCALL);
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_int_equal(again, 0);
}

static void a_hypercall_is_answered_in_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	let_answer(EXIT_REASON_VMCALL);
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(again, 1);
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
	assert_int_equal(vcpu->regs[REG_RAX], (u64)-1000);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(record->kind, TRACE_FASTPATH);
	assert_int_equal(record->exit_index, EXIT_REASON_VMCALL);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->entry_rip, 0x1236);
}

enum obstacle {
	SINGLE_STEP, RESUME_FLAG, STI_SHADOW, MOV_SS_SHADOW, RIP_CROSSES_4_GIB, CHECKS, REQUEST, FIRST_OF_ITS_KIND,
	OBSTACLES,
};

static void put_up(enum obstacle obstacle)
{
	switch (obstacle) {
	case SINGLE_STEP:
		vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_TF;
		break;
	case RESUME_FLAG:
		vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_RF;
		break;
	case STI_SHADOW:
		vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI;
		break;
	case MOV_SS_SHADOW:
		vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_MOV_SS;
		break;
	case RIP_CROSSES_4_GIB:
		vmcs[GUEST_RIP.encoding] = 0xfffffffe;
		break;
	case CHECKS:
		vcpu->every_exit = 1;
		break;
	case REQUEST:
		vcpu_request(vcpu, REQ_STOP);
		break;
	default:
		vcpu->statistics.by_kind[next_reason] = NULL;
	}
}

/* Then the exit's handler does it, and the guest's registers are as they were. */
static void obstacles_leave_the_instruction_to_its_handler(void **state)
{
	static const u32 reasons[] = { EXIT_REASON_CPUID, EXIT_REASON_RDMSR, EXIT_REASON_VMCALL };

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		for (enum obstacle obstacle = 0; obstacle < OBSTACLES; obstacle++) {
			u64 rip;

			setup(state);
			if (reasons[i] == EXIT_REASON_RDMSR)
				let_read_msr();
			else
				let_answer(reasons[i]);
			vcpu->regs[REG_RAX] = 0;
			put_up(obstacle);
			rip = vmcs[GUEST_RIP.encoding];
			vmx_vcpu_run(vcpu, false);
			assert_int_equal(vmcs[GUEST_RIP.encoding], rip);
			assert_int_equal(vcpu->regs[REG_RAX], 0);
			assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
		}
	}
}

#define EPT_LINEAR 0x180u	/* the access was to the translation of a linear address */

static struct fast_mov *let_access_memory(bool write)
{
	let_answer(EXIT_REASON_EPT_VIOLATION);
	vmcs[EXIT_QUALIFICATION.encoding] = EPT_LINEAR | (write ? 2 : 1);
	vmcs[GUEST_PHYSICAL_ADDRESS.encoding] = MMIO_ADDRESS;
	vmcs[guest_access_rights(SEG_CS).encoding] = 0xc09b;
	vmcs[guest_base(SEG_CS).encoding] = 0;
	vmcs[GUEST_CR0.encoding] = 0x31;
	vmcs[GUEST_DR7.encoding] = 0x400;
	vmcs[GUEST_RFLAGS.encoding] = RFLAGS_RF | 2;	/* as processors save it */
	vmx.vmcs.efer = 0;
	vcpu->timer_deadline = 2600;
	return let_mov(vcpu, write);
}

static void memory_is_accessed_within_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	for (unsigned write = 0; write < 2; write++) {
		setup(state);
		let_access_memory(write);
		device.answer = 0xfffffffff4f3f2f1;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(again, 1);
		assert_null(strchr(diary, 'H'));
		assert_int_equal(write ? device.writes : device.reads, 1);
		assert_int_equal(device.offset, 0x300);
		assert_int_equal(device.size, 4);
		assert_int_equal(device.rip, MMIO_RIP);
		assert_false(device.locked);
		if (write)
			assert_int_equal(device.value, 0x55667788);
		else
			assert_int_equal(vcpu->regs[REG_RAX], 0xf4f3f2f1);
		assert_int_equal(vmcs[GUEST_RIP.encoding], MMIO_RIP + 2);
		assert_int_equal(vmcs[GUEST_RFLAGS.encoding], 2);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 600);
		assert_int_equal(statistics_exits(&counted), 1);
		assert_int_equal(record->exit_index, EXIT_REASON_EPT_VIOLATION);
		assert_int_equal(record->rip, MMIO_RIP);
		assert_int_equal(record->entry_rip, MMIO_RIP + 2);
		assert_int_equal(record->info1, EPT_LINEAR | (write ? 2 : 1));
		assert_int_equal(record->access.kind, TRACE_MMIO);
		assert_int_equal(record->access.write, write);
		assert_int_equal(record->access.size, 4);
		assert_int_equal(record->access.address, MMIO_ADDRESS);
		assert_int_equal(record->access.value, write ? 0x55667788 : 0xf4f3f2f1);
	}
}

static void shared_devices_in_memory_are_locked(void **state)
{
	let_access_memory(true);
	vm.mmio.regions[0].is_private = false;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(device.writes, 1);
	assert_int_equal(mmio_others, 1);
	assert_true(device.locked);
}

/* Whatever may make it another access than that of the remembered instruction, and what every fast path needs. */
/* The instruction ends the shadow, so that what it makes pending can be injected within the stub. */
static void an_access_to_memory_ends_a_shadow(void **state)
{
	static const u32 shadows[] = { INTERRUPTIBILITY_STI, INTERRUPTIBILITY_MOV_SS };

	for (unsigned i = 0; i < ARRAY_SIZE(shadows); i++) {
		setup(state);
		let_access_memory(true);
		vmcs[GUEST_INTERRUPTIBILITY.encoding] = shadows[i] | INTERRUPTIBILITY_NMI;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(device.writes, 1);
		assert_int_equal(again, 1);
		assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], INTERRUPTIBILITY_NMI);
	}
}

static void other_accesses_to_memory_go_to_the_handler(void **state)
{
	for (unsigned i = 0; i < 22; i++) {
		struct fast_mov *mov;

		setup(state);
		mov = let_access_memory(true);
		switch (i) {
		case 0: vmcs[EXIT_QUALIFICATION.encoding] = 0x82; break;	/* a walk of the guest's tables */
		case 1: vmcs[EXIT_QUALIFICATION.encoding] = 2; break;		/* no linear address */
		case 2: vmcs[EXIT_QUALIFICATION.encoding] |= 4; break;		/* a fetch */
		case 3: vmcs[EXIT_QUALIFICATION.encoding] = EPT_LINEAR | 1; break;
		case 4: vmcs[GUEST_PHYSICAL_ADDRESS.encoding] += 4; break;
		case 5: vmcs[GUEST_PHYSICAL_ADDRESS.encoding] = 0x300; break;	/* RAM */
		case 6: vmcs[GUEST_PHYSICAL_ADDRESS.encoding] |= BIT_ULL(32); break;
		case 7: vmcs[IDT_VECTORING_INFO.encoding] = BIT(31) | 0x30; break;
		case 8: vmcs[GUEST_DR7.encoding] = 0x402; break;
		case 9: vmcs[GUEST_RFLAGS.encoding] |= RFLAGS_TF; break;
		case 10: vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_MOV_SS; mov->access |= MMIO_USES_KEPT; break;
		case 11: vmx_caps.pin &= ~(u32)PIN_VIRTUAL_NMI; break;
		case 12: vmcs[guest_access_rights(SEG_CS).encoding] = 0x809b; break;	/* 16-bit code */
		case 13: vmcs[GUEST_CR0.encoding] |= CR0_PG; break;
		case 14: vmx.vmcs.efer = EFER_LMA; break;			/* compatibility mode */
		case 15: vmcs[guest_base(SEG_CS).encoding] = 0x10; break;
		case 16: mov->access |= MMIO_USES_KEPT; break;
		case 17: mmio_set_of(vcpu, MMIO_RIP)->bytes[14] ^= 1; break;	/* the code has changed */
		case 18: vm.mem.damaged_count = 1; break;
		case 19: vcpu->every_exit = 1; break;
		case 20: vcpu->statistics.by_kind[EXIT_REASON_EPT_VIOLATION] = NULL; break;
		default: vcpu->mmio_memory = NULL; break;
		}
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(device.writes + device.reads, 0);
		assert_int_equal(vmcs[GUEST_RFLAGS.encoding] & RFLAGS_RF, RFLAGS_RF);
		assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], i == 10 ? INTERRUPTIBILITY_MOV_SS : 0);
		assert_int_equal(!!strchr(diary, 'H'), i != 19 && i != 20);
		vm.mem.damaged_count = 0;
	}
}

static void let_access_msr(u32 msr, bool write)
{
	let_answer(write ? EXIT_REASON_WRMSR : EXIT_REASON_RDMSR);
	memset(&shortcuts, 0, sizeof(shortcuts));
	vcpu->msrs = (struct msr_state *)&shortcuts;
	vcpu->regs[REG_RCX] = 0xffffffff00000000 | msr;
	vcpu->regs[REG_RAX] = 0xaaaaaaaa22222222;
	vcpu->regs[REG_RDX] = 0xdddddddd11111111;
	vcpu->events.reinject.type = EVENT_NMI;
}

/* Those of the local APIC go to its model, the others to the policy. */
static void an_msr_is_accessed_within_the_stub(void **state)
{
	static const u32 msrs[] = { 0x277, 0x808, 0x6e0 };
	const struct trace_record *record = &home.trace.records[1];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(msrs); i++) {
		bool write = i % 2;

		setup(state);
		let_access_msr(msrs[i / 2], write);
		handler_of_msr.answer = 0x3333333344444444;
		assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
		assert_int_equal(again, 1);
		assert_null(strchr(diary, 'H'));
		assert_int_equal(handler_of_msr.writes, write);
		assert_int_equal(handler_of_msr.reads, !write);
		assert_int_equal(handler_of_msr.of_apic, i >= 2);
		assert_int_equal(handler_of_msr.msr, msrs[i / 2]);
		assert_int_equal(handler_of_msr.value, write ? 0x1111111122222222 : 0);
		assert_int_equal(vcpu->regs[REG_RAX], write ? 0xaaaaaaaa22222222 : 0x44444444);
		assert_int_equal(vcpu->regs[REG_RDX], write ? 0xdddddddd11111111 : 0x33333333);
		assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1236);
		assert_int_equal(statistics_exits(&counted), 1);
		assert_int_equal(record->kind, TRACE_FASTPATH_ACCESS);
		assert_int_equal(record->entry_rip, 0x1236);
		assert_int_equal(record->access.kind, TRACE_MSR);
		assert_int_equal(record->access.write, write);
		assert_int_equal(record->access.address, msrs[i / 2]);
		assert_int_equal(record->access.value, write ? 0x1111111122222222 : 0x3333333344444444);
	}
}

static void a_refused_msr_access_raises_gp(void **state)
{
	for (unsigned write = 0; write < 2; write++) {
		setup(state);
		let_access_msr(0x277, write);
		handler_of_msr.error = -EINVAL;
		assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_int_equal(again, 0);
		assert_int_equal(handler_of_msr.raised, 1);
		assert_int_equal(vmcs[GUEST_RIP.encoding], 0x1234);
		assert_int_equal(vcpu->regs[REG_RIP], 0x1234);
		assert_int_equal(vcpu->regs[REG_RAX], 0xaaaaaaaa22222222);
		assert_int_equal(vcpu->regs[REG_RDX], 0xdddddddd11111111);
		assert_true(home.trace.records[1].access.refused);
	}
}

/* The last RIP that does not carry into bit 32, and the same beyond 4 GiB. */
static void rip_may_come_up_to_4_gib(void **state)
{
	static const u64 rips[] = { 0xfffffffd, 0xfffffffffffffffd, 0xffffffff81000000 };

	for (unsigned i = 0; i < ARRAY_SIZE(rips); i++) {
		setup(state);
		let_answer(EXIT_REASON_VMCALL);
		vmcs[GUEST_RIP.encoding] = rips[i];
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(vmcs[GUEST_RIP.encoding], rips[i] + 2);
	}
}

static void without_a_preemption_timer_its_field_is_not_written(void **state)
{
	vmx_caps.pin &= ~(u32)PIN_PREEMPTION_TIMER;
	let_answer(EXIT_REASON_VMCALL);
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);
	assert_false(written[PREEMPTION_TIMER_VALUE.encoding]);
}

static void handlers_run_within_the_stub(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "ErqHErqV");
	assert_int_equal(again, 1);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_true(home.trace.records[1].entry_tsc);

	setup(state);
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	request_by_handler = REQ_EVENT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "ErqHS");
	assert_int_equal(statistics_exits(&counted), 0);	/* the loop will, at the next entry */
	assert_int_equal(home.trace.records[1].entry_tsc, 0);
}

/* What the loop would do, too, and registers that a handler has changed are stored. */
static void an_event_may_be_injected_within_the_stub(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	request_by_handler = REQ_EVENT;
	write_by_handler = may_enter = true;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);
	assert_int_equal(vcpu->regs_dirty, 0);
	assert_int_equal(vmcs[GUEST_RSP.encoding], 0x8888);
	assert_int_equal(strncmp(diary, "ErqHS", 5), 0);
}

/* A host interrupt has come because an event is to be chosen. */
static void host_interrupts_are_served_within_the_stub(void **state)
{
	let_answer(EXIT_REASON_EXTERNAL_INTERRUPT);
	vcpu_request(vcpu, REQ_EVENT);
	may_enter = true;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(strncmp(diary, "ErqWSE", 6), 0);
	assert_int_equal(again, 1);
	assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
	assert_int_equal(home.trace.records[1].reason, EXIT_REASON_EXTERNAL_INTERRUPT);

	/* It has nothing to say: no need to look further. */
	setup(state);
	let_answer(EXIT_REASON_EXTERNAL_INTERRUPT);
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(strncmp(diary, "ErqWE", 5), 0);
	assert_int_equal(statistics_exits(&counted), 1);

	setup(state);
	let_answer(EXIT_REASON_EXTERNAL_INTERRUPT);
	request_by_interrupt = REQ_RESCHED;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "ErqWS");
}

static void with_other_requests_the_loop_serves_host_interrupts(void **state)
{
	static const u32 requests[] = { REQ_NMI, REQ_STOP | REQ_EVENT, REQ_RESCHED, REQ_TIMER };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		setup(state);
		let_answer(EXIT_REASON_EXTERNAL_INTERRUPT);
		vcpu_request(vcpu, requests[i]);
		assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_null(strchr(diary, 'W'));
	}
	setup(state);
	let_answer(EXIT_REASON_EXTERNAL_INTERRUPT);
	vcpu->every_exit = EVERY_EXIT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_null(strchr(diary, 'W'));
}

static void the_preemption_timer_is_served_within_the_stub(void **state)
{
	static const struct {
		u32 request;
		u64 deadline;
		unsigned outcome;	/* soft-disabled, forced, expired, spurious */
	} rows[] = {
		{ 0, VTIMER_NEVER, 0 }, { REQ_EVENT, VTIMER_NEVER, 1 }, { REQ_EVENT, 1500, 1 }, { 0, 1800, 2 }, { 0, 1ull << 40, 3 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		let_answer(EXIT_REASON_PREEMPTION_TIMER);
		vcpu->timer_deadline = rows[i].deadline;
		if (rows[i].request)
			vcpu_request(vcpu, rows[i].request);
		request_by_interrupt = REQ_RESCHED;	/* or it would be entered again, and exit for the timer, for ever */
		assert_int_equal(vmx_vcpu_run(vcpu, rows[i].request != 0), EXIT_FASTPATH_EXIT_HANDLED);
		assert_string_equal(diary, rows[i].outcome == 2 ? "ErqXWS" : "ErqWS");
		for (unsigned outcome = 0; outcome < ARRAY_SIZE(vcpu->timer_exits); outcome++)
			assert_int_equal(vcpu->timer_exits[outcome], outcome == rows[i].outcome);
	}
}

/* A forced exit leaves 0 in a timer that exits save: the guest would exit again at once. SDM, "VMX-Preemption Timer". */
static void after_a_forced_exit_the_timer_is_set(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		setup(state);
		vmx_caps.exit = EXIT_SAVE_PREEMPTION_TIMER;
		let_answer(i ? EXIT_REASON_EXTERNAL_INTERRUPT : EXIT_REASON_PREEMPTION_TIMER);
		vcpu->timer_deadline = 1 << 20;
		vcpu_request(vcpu, REQ_EVENT);
		may_enter = true;
		vmx_vcpu_run(vcpu, true);
		assert_int_equal(again, 1);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], (1 << 20) - exit_at);
	}
}

static void the_first_of_a_kind_and_a_late_timer_leave(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	vcpu->statistics.by_kind[EXIT_REASON_INTERRUPT_WINDOW] = NULL;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_int_equal(again, 0);

	setup(state);
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	vcpu->timer_deadline = 1999;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_int_equal(again, 0);
}

static void an_ended_or_halted_guest_is_not_entered_again(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	vcpu_request(vcpu, REQ_STATE);		/* its VM was ended, by whichever CPU */
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_int_equal(again, 0);
	setup(state);
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	halt_by_handler = true;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 0);
}

/* Machine checks, NMIs and failed entries are never for a handler in the stub. */
static void host_events_leave_the_stub(void **state)
{
	static const u32 reasons[] = {
		EXIT_REASON_EXCEPTION_OR_NMI, FAILED_ENTRY | EXIT_REASON_IO, BIT(26) | EXIT_REASON_IO,
		BIT(29) | EXIT_REASON_EXTERNAL_INTERRUPT, BIT(28) | EXIT_REASON_PREEMPTION_TIMER,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(reasons); i++) {
		setup(state);
		let_answer(reasons[i] & 0xff);
		next_reason = reasons[i];
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(again, 0);
		assert_null(strchr(diary, 'H'));
		assert_null(strchr(diary, 'W'));
	}
}

static void an_answered_exit_sets_the_timer_anew(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		setup(state);
		let_answer(i ? EXIT_REASON_IO : EXIT_REASON_CPUID);
		vcpu->timer_deadline = 2500;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(again, 1);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 500);
	}
}

/* A processor that saves the timer goes on with it. It is set again for another deadline, after a while, and in time for it. */
static void a_saved_timer_goes_on(void **state)
{
	static const struct {
		u64 handled_at, deadline, changed_to;
		bool io, set;
	} rows[] = {
		{ 2000, 1 << 20, 0, false, false },
		{ 2000, 1 << 20, 0, true, false },
		{ 1000 + TIMER_SLACK - 1, 1 << 20, 0, false, false },
		{ 1000 + TIMER_SLACK, 1 << 20, 0, false, true },
		{ 1000 + TIMER_SLACK, 1 << 20, 0, true, true },
		{ 2000, 2500, 0, true, false },
		{ 2500, 2500, 0, false, true },
		{ 2000, 1 << 20, 2200, true, true },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 deadline = rows[i].changed_to ?: rows[i].deadline;

		setup(state);
		vmx_caps.exit = EXIT_SAVE_PREEMPTION_TIMER;
		let_answer(rows[i].io ? EXIT_REASON_IO : EXIT_REASON_CPUID);
		vcpu->timer_deadline = rows[i].deadline;
		exit_at = rows[i].handled_at;
		deadline_after_entry = rows[i].changed_to;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(again, 1);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding],
				 rows[i].set ? deadline - rows[i].handled_at : rows[i].deadline - 1000);
	}
}

/* --- more of exits --- */

/* Bits 26 to 29 tell more about an exit; they must not change which exit it is. */
static void upper_bits_do_not_change_the_basic_reason(void **state)
{
	for (unsigned bit = 16; bit <= 30; bit++) {
		setup(state);
		next_reason = BIT(bit) | EXIT_REASON_PREEMPTION_TIMER;
		assert_int_equal(vmx_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
		assert_int_equal(vcpu->exit_index, EXIT_REASON_PREEMPTION_TIMER);
		assert_int_equal(vcpu->exit_reason, BIT(bit) | EXIT_REASON_PREEMPTION_TIMER);
		assert_int_equal(vcpu->timer_exits[1], 1);
		assert_true(vmx.vmcs.launched);
	}
}

static void exit_reason_layout(void **state)
{
	const union vmx_exit_reason reason = { .full = 0x9400002a };

	assert_int_equal(reason.basic, 0x2a);
	assert_true(reason.failed_entry && reason.pending_mtf && reason.bus_lock);
	assert_false(reason.enclave || reason.from_vmx_root);
	assert_int_equal(((union vmx_exit_reason){ .enclave = 1, .from_vmx_root = 1 }).full,
			 0x28000000);
}

static void host_events_are_served_right_after_the_exit(void **state)
{
	next_reason = EXIT_REASON_EXCEPTION_OR_NMI;
	vmcs[EXIT_INTERRUPTION_INFO.encoding] =
		INTERRUPTION_VALID | INTERRUPTION_NMI << 8 | X86_NMI;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "ErqVN");

	setup(state);
	next_reason = EXIT_REASON_EXCEPTION_OR_NMI;
	vmcs[EXIT_INTERRUPTION_INFO.encoding] =
		INTERRUPTION_VALID | INTERRUPTION_EXCEPTION << 8 | X86_MC;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "ErqVM");

	setup(state);
	next_reason = EXIT_REASON_EXTERNAL_INTERRUPT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "ErqV");
}

static void changed_registers_are_stored(void **state)
{
	vcpu_reg_write(vcpu, REG_RIP, 0x7c00);
	vcpu_reg_write(vcpu, REG_RFLAGS, 0x202);
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmcs[GUEST_RIP.encoding], 0x7c00);
	assert_int_equal(vmcs[GUEST_RFLAGS.encoding], 0x202);
	assert_false(written[GUEST_RSP.encoding]);
	assert_int_equal(vcpu->regs_dirty, 0);
	assert_int_equal(vcpu->regs_available,
			 BIT(REG_RIP)); /* the others are the guest's to change */
}

/* --- what is recorded of an exit --- */

/* The interruption fields hold an earlier exit's values except after an exception or NMI. */
static void interruption_fields_are_recorded_where_valid(void **state)
{
	static const struct {
		u32 reason, info, recorded, error;
	} cases[] = {
		{ EXIT_REASON_EXCEPTION_OR_NMI, 0x80000b11, 0x80000b11, 0x55 },
		{ EXIT_REASON_EXCEPTION_OR_NMI, 0x80000301, 0x80000301, 0 },	/* no error code */
		{ BIT(26) | EXIT_REASON_EXCEPTION_OR_NMI, 0x80000b11, 0x80000b11, 0x55 },	/* after a bus lock */
		{ EXIT_REASON_EXTERNAL_INTERRUPT, 0x80000b11, 0, 0 },
		{ EXIT_REASON_CPUID, 0x80000b11, 0, 0 },
		{ BIT(26) | EXIT_REASON_CPUID, 0x80000b11, 0, 0 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct trace_record *record = &home.trace.records[1];

		setup(state);
		record->intr_info = record->error_code = 0x77;	/* of a record that is overwritten */
		next_reason = cases[i].reason;
		vmcs[EXIT_INTERRUPTION_INFO.encoding] = cases[i].info;
		vmcs[EXIT_INTERRUPTION_ERROR.encoding] = 0x55;
		vmcs[EXIT_QUALIFICATION.encoding] = 0x1111222233334444;
		vmcs[IDT_VECTORING_INFO.encoding] = 0x30;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(record->kind, TRACE_EXIT);
		assert_int_equal(record->intr_info, cases[i].recorded);
		assert_int_equal(record->error_code, cases[i].error);
		assert_int_equal(record->info1, 0x1111222233334444);
		assert_int_equal(record->info2, 0x30);
		assert_int_equal(vmx.qualification, 0x1111222233334444);
		assert_int_equal(vmx.vectoring_info, 0x30);
	}
}

static void a_failed_entry_has_no_vectoring_information(void **state)
{
	next_reason = FAILED_ENTRY | EXIT_REASON_INVALID_GUEST_STATE;
	vmcs[IDT_VECTORING_INFO.encoding] = INTERRUPTION_VALID | 0x30;
	vmx.vectoring_info = INTERRUPTION_VALID | 0x31;		/* of an earlier exit */
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmx.vectoring_info, 0);
	assert_int_equal(home.trace.records[1].info2, 0);
}

static void a_refused_entry_is_at_the_rip_that_would_have_run(void **state)
{
	enter_result = EXIT_FASTPATH_ENTRY_FAILED;
	vcpu->regs[REG_RIP] = 0x7c00;
	vcpu->exit_rip = 0x1111;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->exit_rip, 0x7c00);
	assert_int_equal(vcpu->exit_tsc, exit_at);
}

/* The last of the exits that have an index of their own, and what lies beyond. */
static void reasons_without_an_index_share_the_last(void **state)
{
	static const struct {
		u32 reason, index;
	} cases[] = {
		{ EXIT_KINDS - 2, EXIT_KINDS - 2 }, { EXIT_KINDS - 1, EXIT_KINDS - 1 },
		{ EXIT_KINDS, EXIT_KINDS - 1 }, { 0xffff, EXIT_KINDS - 1 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		next_reason = cases[i].reason;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(vcpu->exit_index, cases[i].index);
	}
}

/* --- handlers within the stub --- */

/* The table of handlers ends there. */
static void an_unknown_reason_is_no_handlers(void **state)
{
	next_reason = VMX_HANDLERS;
	vcpu->statistics.by_kind[EXIT_KINDS - 1] = &counted;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "ErqV");
}

static void only_changed_registers_are_stored(void **state)
{
	static const u32 fields[] = { 0x681c, 0x681e, 0x6820 };
	static const enum vcpu_reg regs[] = { REG_RSP, REG_RIP, REG_RFLAGS };

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		setup(state);
		vcpu_reg_write(vcpu, regs[i], 0x1230 + i);
		vmx_store_dirty_regs(vcpu);
		for (unsigned j = 0; j < ARRAY_SIZE(regs); j++) {
			assert_int_equal(written[fields[j]], i == j);
			assert_int_equal(vmcs[fields[j]], i == j ? 0x1230 + i : 0);
		}
		assert_int_equal(vcpu->regs_dirty, 0);
	}
}

/* As vmx_vcpu_run() does around an exit that it returns for. */
static void the_stub_does_what_an_entry_needs(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	vcpu->events.injected.type = EVENT_NMI;
	write_by_handler = true;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);
	assert_int_equal(injected_at_handler, EVENT_NONE);
	assert_int_equal(vmcs[GUEST_RSP.encoding], 0x8888);
	assert_int_equal(vmcs[GUEST_RFLAGS.encoding], 0x246);
	assert_int_equal(vcpu->regs_dirty, 0);
	assert_true(vmx.vmcs.launched);
}

static void the_stub_leaves_a_changed_register_to_the_next_run(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	write_by_handler = true;
	request_by_handler = REQ_EVENT;
	vmx_vcpu_run(vcpu, false);
	assert_false(written[GUEST_RSP.encoding]);
	assert_int_equal(vcpu->regs_dirty, BIT(REG_RSP) | BIT(REG_RFLAGS));
	assert_true(vmx.vmcs.launched);	/* VMRESUME from here on */
}

/* As the handler of VMLAUNCH does: vmcs02 has not been entered. */
static void a_vmcs_that_a_handler_makes_current_is_not_launched(void **state)
{
	let_answer(EXIT_REASON_INTERRUPT_WINDOW);
	switch_by_handler = true;
	request_by_handler = REQ_EVENT;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_false(vmx.vmcs.launched);
}

/* An IDT-vectoring field that is valid: the event is injected again, before the handler's request. */
static void the_stub_takes_up_an_interrupted_delivery(void **state)
{
	let_answer(EXIT_REASON_EPT_VIOLATION);
	vmcs[IDT_VECTORING_INFO.encoding] = INTERRUPTION_VALID | 0x31;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(vcpu->events.reinject.type, EVENT_INTERRUPT);
	assert_int_equal(vcpu->events.reinject.vector, 0x31);
	assert_int_equal(again, 0);
}

/* --- the preemption timer --- */

static void timer_fires_while_soft_disabled(void **state)
{
	next_reason = EXIT_REASON_PREEMPTION_TIMER;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 0xffffffff);
	assert_string_equal(diary, "ErqV");
	assert_int_equal(vcpu->timer_exits[0], 1);
}

/* Whatever the deadline is: 0 makes the guest exit before its first instruction. */
static void timer_fires_because_the_exit_is_forced(void **state)
{
	static const u64 deadlines[] = { VTIMER_NEVER, 500, 5000 };

	for (unsigned i = 0; i < ARRAY_SIZE(deadlines); i++) {
		setup(state);
		vcpu->timer_deadline = deadlines[i];
		next_reason = EXIT_REASON_PREEMPTION_TIMER;
		assert_int_equal(vmx_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
		assert_true(written[PREEMPTION_TIMER_VALUE.encoding]);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 0);
		assert_string_equal(diary, "ErqV");
		assert_int_equal(vcpu->timer_exits[1], 1);
	}
}

/* Forcing ends with the entry that it was asked for: the timer is set anew for each. */
static void forced_exit_does_not_stick(void **state)
{
	vmx_vcpu_run(vcpu, true);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 0);
	vcpu->timer_deadline = tsc + 70;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 70);
}

static void timer_fires_at_the_deadline(void **state)
{
	vcpu->timer_deadline = 1800;
	next_reason = EXIT_REASON_PREEMPTION_TIMER;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 800);
	assert_string_equal(diary, "ErqVX");
	assert_int_equal(timers_run_at, 2000);
	assert_int_equal(vcpu->timer_exits[2], 1);
}

/* A deadline beyond the timer's 32 bits takes more than one round. */
static void timer_fires_before_a_far_deadline(void **state)
{
	vcpu->timer_deadline = 1ull << 40;
	next_reason = EXIT_REASON_PREEMPTION_TIMER;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], 0xffffffff);
	assert_string_equal(diary, "ErqV");
	assert_int_equal(vcpu->timer_exits[3], 1);
}

/* One tick before the deadline no timer has expired, and the guest continues; at the deadline it has. */
static void timer_is_early_until_the_deadline(void **state)
{
	vcpu->timer_deadline = exit_at + 1;
	next_reason = EXIT_REASON_PREEMPTION_TIMER;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "ErqV");
	assert_int_equal(vcpu->timer_exits[3], 1);
	assert_int_equal(vcpu->timer_exits[2], 0);

	setup(state);
	vcpu->timer_deadline = exit_at;
	next_reason = EXIT_REASON_PREEMPTION_TIMER;
	assert_int_equal(vmx_vcpu_run(vcpu, false), EXIT_FASTPATH_REENTER_GUEST);
	assert_string_equal(diary, "ErqVX");
	assert_int_equal(vcpu->timer_exits[2], 1);
	assert_int_equal(vcpu->timer_exits[3], 0);
}

/* The processor's side: the timer counts down when bit `shift` of the TSC changes. */
static u64 fires_at(u64 now, u32 value, unsigned shift)
{
	while (value) {
		now++;
		if (now >> shift != (now - 1) >> shift)
			value--;
	}
	return now;
}

static void deadline_is_scaled(void **state)
{
	for (unsigned shift = 0; shift <= 6; shift++) {
		for (u64 now = 1000; now < 1000 + 130; now++) {
			for (u64 deadline = 900; deadline < 1300; deadline += 7) {
				u64 fires;

				setup(state);
				vmx_caps.timer_shift = shift;
				tsc = now;
				vcpu->timer_deadline = deadline;
				vmx_vcpu_run(vcpu, false);
				fires = fires_at(now, (u32)vmcs[PREEMPTION_TIMER_VALUE.encoding],
						 shift);
				if (deadline <= now)
					assert_int_equal(fires, now);
				else
					assert_in_range(fires, deadline,
							deadline + (1u << shift) - 1);
			}
		}
	}
}

static void deadline_saturates(void **state)
{
	static const struct {
		u64 delta;
		u32 value;
	} cases[] = {
		{ 0xfffffffe, 0xfffffffe }, { 0xffffffff, 0xffffffff }, { 0x100000000, 0xffffffff },
		{ 0x100000001, 0xffffffff }, { 1ull << 62, 0xffffffff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		setup(state);
		vcpu->timer_deadline = tsc + cases[i].delta;
		vmx_vcpu_run(vcpu, false);
		assert_int_equal(vmcs[PREEMPTION_TIMER_VALUE.encoding], cases[i].value);
	}
}

/* --- without the preemption timer --- */

static void self_ipi_forces_the_exit(void **state)
{
	vmx_caps.pin = 0;
	vcpu->timer_deadline = 500;	/* the core's local APIC timer takes care of it */
	next_reason = EXIT_REASON_EXTERNAL_INTERRUPT;
	assert_int_equal(vmx_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "IpErqV");
	assert_false(written[PREEMPTION_TIMER_VALUE.encoding]);

	setup(state);
	vmx_caps.pin = 0;
	vmx_vcpu_run(vcpu, false);
	assert_string_equal(diary, "ErqV");
	assert_false(written[PREEMPTION_TIMER_VALUE.encoding]);
}

static void lost_self_ipi_does_not_hang(void **state)
{
	vmx_caps.pin = 0;
	ipi_arrives = false;
	assert_int_equal(vmx_vcpu_run(vcpu, true), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "IpErqV");
	assert_in_range(polls, 2, 1000);
}

/* --- what was being delivered --- */

static void exit_while_delivering(u32 info)
{
	setup(NULL);
	vmcs[IDT_VECTORING_INFO.encoding] = info;
	vmcs[IDT_VECTORING_ERROR.encoding] = 0x18;
	vmcs[EXIT_INSTRUCTION_LENGTH.encoding] = 2;
	vmx_vcpu_run(vcpu, false);
}

static void interrupted_delivery_is_recovered(void **state)
{
	const struct event *event = &vcpu->events.reinject;

	exit_while_delivering(INTERRUPTION_VALID | 0x30);
	assert_int_equal(event->type, EVENT_INTERRUPT);
	assert_true(vcpu->requests & REQ_EVENT);	/* or nobody would look at it */
	assert_int_equal(event->vector, 0x30);
	assert_false(event->has_error_code);
	assert_int_equal(event->length, 0);

	exit_while_delivering(INTERRUPTION_VALID | INTERRUPTION_ERROR_CODE | 3 << 8 | X86_GP);
	assert_int_equal(event->type, EVENT_EXCEPTION);
	assert_int_equal(event->vector, X86_GP);
	assert_true(event->has_error_code);
	assert_int_equal(event->error_code, 0x18);

	exit_while_delivering(INTERRUPTION_VALID | 4 << 8 | 0x80);
	assert_int_equal(event->type, EVENT_SOFT_INTERRUPT);
	assert_int_equal(event->length, 2);

	exit_while_delivering(INTERRUPTION_VALID | 6 << 8 | X86_BP);
	assert_int_equal(event->type, EVENT_SOFT_EXCEPTION);
	assert_int_equal(event->length, 2);

	exit_while_delivering(0x30);
	assert_int_equal(event->type, EVENT_NONE);
}

/* An NMI that is to be injected again must not find NMIs blocked by its own first try. */
static void interrupted_nmi_is_not_blocked(void **state)
{
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_NMI;
	vmcs[IDT_VECTORING_INFO.encoding] = INTERRUPTION_VALID | 2 << 8 | X86_NMI;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NMI);
	assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], 0);
}

/* IRET unblocks NMIs, then its access to the stack exits: it runs again, they are still blocked. */
static void interrupted_iret_still_blocks_nmis(void **state)
{
	next_reason = EXIT_REASON_EPT_VIOLATION;
	vmcs[EXIT_QUALIFICATION.encoding] = EPT_VIOLATION_NMI_UNBLOCKED;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], INTERRUPTIBILITY_NMI);

	setup(state);
	next_reason = EXIT_REASON_EPT_VIOLATION;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], 0);

	/* Bit 12 of another exit's qualification means something else. */
	setup(state);
	next_reason = EXIT_REASON_IO;
	vmcs[EXIT_QUALIFICATION.encoding] = EPT_VIOLATION_NMI_UNBLOCKED;
	vmx_vcpu_run(vcpu, false);
	assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], 0);
}

/* --- injection, windows --- */

static void injection_format(void **state)
{
	const struct event gp = { .type = EVENT_EXCEPTION,
				  .vector = X86_GP,
				  .has_error_code = true,
				  .error_code = 0x28 };
	const struct event int80 = { .type = EVENT_SOFT_INTERRUPT, .vector = 0x80, .length = 2 };
	const struct event irq = { .type = EVENT_INTERRUPT, .vector = 0x31 };

	vmx_inject(vcpu, &gp);
	assert_int_equal(vmcs[ENTRY_INTERRUPTION_INFO.encoding], 0x80000b0d);
	assert_int_equal(vmcs[ENTRY_EXCEPTION_ERROR_CODE.encoding], 0x28);
	vmx_inject(vcpu, &int80);
	assert_int_equal(vmcs[ENTRY_INTERRUPTION_INFO.encoding], 0x80000480);
	assert_int_equal(vmcs[ENTRY_INSTRUCTION_LENGTH.encoding], 2);
	vmx_inject(vcpu, &irq);
	assert_int_equal(vmcs[ENTRY_INTERRUPTION_INFO.encoding], 0x80000031);
}

static void nmi_window_waits_for_the_right_thing(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	/* In STI's shadow: interrupts will be on in an instruction's time. */
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI;
	assert_true(vmx_nmi_blocked(vcpu));
	vmx_nmi_window(vcpu, true);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_INTERRUPT_WINDOW);

	/* The first is injected, a second one waits for its IRET. */
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = 0;
	vmx_inject(vcpu, &nmi);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_NMI_WINDOW);
	vmx_interrupt_window(vcpu, true);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding],
			 PRIMARY_NMI_WINDOW | PRIMARY_INTERRUPT_WINDOW);
	vmx_nmi_window(vcpu, false);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_INTERRUPT_WINDOW);
}

/* MOV SS, STI: the NMI window that the first one's shadow asked for may open in the second one's. */
static void nmi_window_in_the_shadow_of_sti_is_not_waited_for_again(void **state)
{
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_MOV_SS;
	vmx_nmi_window(vcpu, true);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_NMI_WINDOW);
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_STI;
	vmx_nmi_window(vcpu, true);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_INTERRUPT_WINDOW);
}

static void without_virtual_nmis_open_interrupts_end_the_handler(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	vmx_caps.pin = PIN_PREEMPTION_TIMER;
	vmx_inject(vcpu, &nmi);
	vmcs[GUEST_INTERRUPTIBILITY.encoding] = INTERRUPTIBILITY_NMI;
	vmcs[GUEST_RFLAGS.encoding] = RFLAGS_FIXED;
	vmx_vcpu_run(vcpu, false);
	assert_true(vmx_nmi_blocked(vcpu));
	assert_int_equal(vmcs[GUEST_INTERRUPTIBILITY.encoding], 0);
	vmx_nmi_window(vcpu, true);
	assert_int_equal(vmcs[PRIMARY_CONTROLS.encoding], PRIMARY_INTERRUPT_WINDOW);

	vmcs[GUEST_RFLAGS.encoding] = RFLAGS_FIXED | RFLAGS_IF;
	next_reason = EXIT_REASON_INTERRUPT_WINDOW;
	vmx_vcpu_run(vcpu, false);
	assert_false(vmx_nmi_blocked(vcpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(vmfail_invalid, setup),
		cmocka_unit_test_setup(vmfail_valid, setup),
		cmocka_unit_test_setup(machine_check_during_entry, setup),
		cmocka_unit_test_setup(failed_entry_is_not_an_exit, setup),
		cmocka_unit_test_setup(launched_after_the_first_real_exit, setup),
		cmocka_unit_test_setup(ordinary_exit, setup),
		cmocka_unit_test_setup(cpuid_is_answered_in_the_stub, setup),
		cmocka_unit_test_setup(cpuid_is_answered_again, setup),
		cmocka_unit_test_setup(what_is_not_plain_goes_the_long_way, setup),
		cmocka_unit_test_setup(rdmsr_of_a_cached_value_is_answered_in_the_stub, setup),
		cmocka_unit_test_setup(a_hypercall_is_answered_in_the_stub, setup),
		cmocka_unit_test_setup(known_hypercalls_are_not_answered_in_the_stub, setup),
		cmocka_unit_test_setup(without_a_hypervisor_none_is_answered, setup),
		cmocka_unit_test_setup(obstacles_leave_the_instruction_to_its_handler, setup),
		cmocka_unit_test_setup(memory_is_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(shared_devices_in_memory_are_locked, setup),
		cmocka_unit_test_setup(an_access_to_memory_ends_a_shadow, setup),
		cmocka_unit_test_setup(other_accesses_to_memory_go_to_the_handler, setup),
		cmocka_unit_test_setup(an_msr_is_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(a_refused_msr_access_raises_gp, setup),
		cmocka_unit_test_setup(rip_may_come_up_to_4_gib, setup),
		cmocka_unit_test_setup(without_a_preemption_timer_its_field_is_not_written, setup),
		cmocka_unit_test_setup(a_port_is_written_within_the_stub, setup),
		cmocka_unit_test_setup(a_port_is_read_within_the_stub, setup),
		cmocka_unit_test_setup(other_ports_are_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(a_string_goes_to_the_port_within_the_stub, setup),
		cmocka_unit_test_setup(other_strings_go_to_their_handler, setup),
		cmocka_unit_test_setup(what_the_device_asks_for_is_served_by_the_loop, setup),
		cmocka_unit_test_setup(other_port_exits_go_to_their_handler, setup),
		cmocka_unit_test_setup(handlers_run_within_the_stub, setup),
		cmocka_unit_test_setup(an_event_may_be_injected_within_the_stub, setup),
		cmocka_unit_test_setup(host_interrupts_are_served_within_the_stub, setup),
		cmocka_unit_test_setup(with_other_requests_the_loop_serves_host_interrupts, setup),
		cmocka_unit_test_setup(the_preemption_timer_is_served_within_the_stub, setup),
		cmocka_unit_test_setup(after_a_forced_exit_the_timer_is_set, setup),
		cmocka_unit_test_setup(the_first_of_a_kind_and_a_late_timer_leave, setup),
		cmocka_unit_test_setup(an_ended_or_halted_guest_is_not_entered_again, setup),
		cmocka_unit_test_setup(host_events_leave_the_stub, setup),
		cmocka_unit_test_setup(an_answered_exit_sets_the_timer_anew, setup),
		cmocka_unit_test_setup(a_saved_timer_goes_on, setup),
		cmocka_unit_test_setup(upper_bits_do_not_change_the_basic_reason, setup),
		cmocka_unit_test_setup(exit_reason_layout, setup),
		cmocka_unit_test_setup(host_events_are_served_right_after_the_exit, setup),
		cmocka_unit_test_setup(changed_registers_are_stored, setup),
		cmocka_unit_test_setup(interruption_fields_are_recorded_where_valid, setup),
		cmocka_unit_test_setup(a_failed_entry_has_no_vectoring_information, setup),
		cmocka_unit_test_setup(a_refused_entry_is_at_the_rip_that_would_have_run, setup),
		cmocka_unit_test_setup(reasons_without_an_index_share_the_last, setup),
		cmocka_unit_test_setup(an_unknown_reason_is_no_handlers, setup),
		cmocka_unit_test_setup(only_changed_registers_are_stored, setup),
		cmocka_unit_test_setup(the_stub_does_what_an_entry_needs, setup),
		cmocka_unit_test_setup(the_stub_leaves_a_changed_register_to_the_next_run, setup),
		cmocka_unit_test_setup(a_vmcs_that_a_handler_makes_current_is_not_launched, setup),
		cmocka_unit_test_setup(the_stub_takes_up_an_interrupted_delivery, setup),
		cmocka_unit_test_setup(timer_fires_while_soft_disabled, setup),
		cmocka_unit_test_setup(timer_fires_because_the_exit_is_forced, setup),
		cmocka_unit_test_setup(forced_exit_does_not_stick, setup),
		cmocka_unit_test_setup(timer_fires_at_the_deadline, setup),
		cmocka_unit_test_setup(timer_is_early_until_the_deadline, setup),
		cmocka_unit_test_setup(timer_fires_before_a_far_deadline, setup),
		cmocka_unit_test_setup(deadline_is_scaled, setup),
		cmocka_unit_test_setup(deadline_saturates, setup),
		cmocka_unit_test_setup(self_ipi_forces_the_exit, setup),
		cmocka_unit_test_setup(lost_self_ipi_does_not_hang, setup),
		cmocka_unit_test_setup(interrupted_delivery_is_recovered, setup),
		cmocka_unit_test_setup(interrupted_nmi_is_not_blocked, setup),
		cmocka_unit_test_setup(interrupted_iret_still_blocks_nmis, setup),
		cmocka_unit_test_setup(injection_format, setup),
		cmocka_unit_test_setup(nmi_window_waits_for_the_right_thing, setup),
		cmocka_unit_test_setup(nmi_window_in_the_shadow_of_sti_is_not_waited_for_again, setup),
		cmocka_unit_test_setup(without_virtual_nmis_open_interrupts_end_the_handler, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
