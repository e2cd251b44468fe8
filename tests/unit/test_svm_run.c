/* SPDX-License-Identifier: MIT */
/*
 * Entry and exit under SVM with a fake VMCB: what no emulator raises, and the order of the steps.
 * Each letter of the diary is one: G CLGI, i interrupts on, I self-IPI, E entry, d interrupts off, g
 * STGI, H the exit's handler, M machine check.
 */
/* link: svm/run.c svm/fastpath.c svm/events.c core/observe/statistics.c core/vm_log.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "core/fastpath.h"
#include "core/observe/trace_record.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "svm/length.h"
#include "svm/svm.h"

void clgi(void);
enum exit_fastpath svm_vmenter(struct vcpu_svm *svm);
enum exit_fastpath svm_exit_in_stub(struct vcpu_svm *svm);

static char diary[32];
static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static u64 tsc;
static unsigned again;		/* entries that the stub has made by itself */
static struct cpuid_constants constants = { .leaves = BIT(0), .regs = { { 0x16, 1, 2, 3 } } };
static struct exit_statistics counted;
static u32 request_by_handler;
static u64 next_code, next_int_info, reason_at_machine_check;
static u64 rax_by_handler, rsp_by_handler, rax_at_second_entry, rsp_at_second_entry, rax_after_exit;
static u8 reinject_at_handler;

static void note(char step)
{
	size_t n = strlen(diary);

	assert_true(n + 1 < sizeof(diary));
	diary[n] = step;
}

/* --- the fake processor --- */

u64 vtimer_now(void) { return tsc; }
void clgi(void) { note('G'); }
void irq_enable(void) { note('i'); }
void irq_disable(void) { note('d'); }

/* As the stub does. What is entered again exits for an interrupt. */
enum exit_fastpath svm_vmenter(struct vcpu_svm *entered)
{
	enum exit_fastpath answer;

	assert_ptr_equal(entered, &svm);
	vmcb.control.exit_code = next_code;
	vmcb.control.exit_int_info = next_int_info;
	for (;; again++) {
		note('E');
		tsc += 1000;
		if (again) {
			rax_at_second_entry = vmcb.save.rax;
			rsp_at_second_entry = vmcb.save.rsp;
		}
		if (rax_after_exit)
			vmcb.save.rax = rax_after_exit;
		if (!svm_exit_fastpath(vcpu)) {
			note('d');
			note('g');
			answer = svm_exit_in_stub(&svm);
			if (answer != EXIT_FASTPATH_REENTER_GUEST)
				return answer;
			note('G');
			note('i');
		}
		vmcb.control.exit_code = VMEXIT_INTR;
	}
}

/* --- the rest of Lamina --- */

void force_exit_by_self_ipi(struct vcpu *v) { note('I'); }
struct trace_ring trace_ring;
struct svm_features svm_features;
u64 lapic_timer_armed;
u64 svm_unprefixed_next_rip(const struct vcpu_svm *s) { return 0; }
void *vm_alloc(struct vm *v, size_t size) { return NULL; }

void svm_handle_exit(struct vcpu *v)
{
	note('H');
	reinject_at_handler = v->events.reinject.type;
	if (rax_by_handler)
		v->regs[REG_RAX] = rax_by_handler;
	if (rsp_by_handler)
		vcpu_reg_write(v, REG_RSP, rsp_by_handler);
	if (request_by_handler)
		vcpu_request(v, request_by_handler);
}

void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value) { vmcb.save.dr6 = value; }
void event_raise(struct vcpu *v, u8 vector) { fail(); }

void exit_machine_check(struct vcpu *v, bool entered)
{
	assert_ptr_equal(v, vcpu);
	assert_true(entered);
	reason_at_machine_check = v->exit_reason;
	note('M');
}

static int setup(void **state)
{
	memset(diary, 0, sizeof(diary));
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	memset(&trace_ring, 0, sizeof(trace_ring));
	memset(&counted, 0, sizeof(counted));
	svm.vmcb = &vmcb;
	vmcb.save.rip = 0x1234;
	vcpu->vm = &vm;
	vm.state = VM_RUNNING;
	vcpu->cpuid = (struct cpuid_table *)&constants;
	vcpu->timer_deadline = lapic_timer_armed = VTIMER_NEVER;
	svm_features.nrip_save = true;
	tsc = 1000;
	again = 0;
	request_by_handler = 0;
	next_code = VMEXIT_CPUID;
	next_int_info = reason_at_machine_check = 0;
	rax_by_handler = rsp_by_handler = rax_at_second_entry = rsp_at_second_entry = rax_after_exit = 0;
	reinject_at_handler = EVENT_NONE;
	return 0;
}

/* --- the tests --- */

static void ordinary_exit(void **state)
{
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "GiEdg");
	assert_int_equal(vcpu->exit_reason, VMEXIT_CPUID);
	assert_int_equal(vcpu->exit_rip, 0x1234);
	assert_int_equal(vmcb.control.event_injection, 0);	/* it is not injected again */
	assert_int_equal(trace_ring.next, 2);		/* the entry, and the exit from the snapshot */
	assert_int_equal(trace_ring.records[1].kind, TRACE_EXIT);
	assert_int_equal(trace_ring.records[1].reason, VMEXIT_CPUID);
	assert_int_equal(trace_ring.records[1].rip, 0x1234);
	assert_int_equal(trace_ring.records[1].tsc, 2000);
}

/* --- exits that the stub does not come back for --- */

static void let_answer(u64 code, u8 index)
{
	next_code = code;
	vcpu->statistics.by_kind[index] = &counted;
	vmcb.control.next_rip = 0x1236;
}

static void cpuid_is_answered_at_once(void **state)
{
	let_answer(VMEXIT_CPUID, VMEXIT_CPUID);
	vmcb.control.int_state = INT_SHADOW;
	vmcb.control.tlb_control = TLB_FLUSH_ASID;
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 1);
	assert_string_equal(diary, "GiEEdg");
	assert_int_equal(vmcb.save.rip, 0x1236);
	assert_int_equal(vmcb.save.rax, 0x16);
	assert_int_equal(vcpu->regs[REG_RBX], 1);
	assert_int_equal(vmcb.control.int_state, 0);
	assert_int_equal(vmcb.control.tlb_control, TLB_KEEP);
	assert_int_equal(vmcb.control.event_injection, 0);
	assert_int_equal(vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST], 1);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(trace_ring.records[1].kind, TRACE_FASTPATH);
	assert_int_equal(trace_ring.records[1].entry_rip, 0x1236);
}

/* What has to happen at an instruction's end, or what the vCPU's state decides, is not done at once. */
static void what_is_not_plain_goes_the_long_way(void **state)
{
	for (unsigned i = 0; i < 7; i++) {
		setup(state);
		let_answer(VMEXIT_CPUID, VMEXIT_CPUID);
		if (i == 0)
			vmcb.save.rflags |= RFLAGS_TF;
		else if (i == 1)
			vmcb.save.rflags |= RFLAGS_RF;
		else if (i == 2)
			vcpu->regs[REG_RAX] = 1;	/* a leaf that follows the vCPU's state */
		else if (i == 3)
			vmcb.control.next_rip = 0;
		else if (i == 4)
			svm.iret_pending = true;
		else if (i == 5)
			vcpu->every_exit = 1;
		else
			vcpu_request(vcpu, REQ_STOP);
		svm_vcpu_run(vcpu, false);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(trace_ring.records[1].kind, TRACE_EXIT);
		assert_int_equal(vcpu->regs[REG_RBX], 0);
	}
}

static void handlers_run_within_the_stub(void **state)
{
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgHGiEdg");
	assert_int_equal(again, 1);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_true(trace_ring.records[1].entry_tsc);

	setup(state);
	let_answer(VMEXIT_IOIO, VMEXIT_IOIO);
	svm_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);

	setup(state);
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	request_by_handler = REQ_EVENT;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgH");
	assert_int_equal(again, 0);
	assert_int_equal(statistics_exits(&counted), 0);	/* the loop will, at the next entry */

	setup(state);
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	lapic_timer_armed = 5;				/* the host's timer is not armed for the guest's */
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 0);
}

/* What a handler changed is in the VMCB when the stub enters again. */
static void a_handlers_changes_are_stored_within_the_stub(void **state)
{
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	vcpu->regs_available = ~0u;
	rax_by_handler = 0x77;
	rsp_by_handler = 0x8000;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 1);
	assert_int_equal(rax_at_second_entry, 0x77);
	assert_int_equal(rsp_at_second_entry, 0x8000);

	setup(state);				/* the loop stores it where the stub does not enter again */
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	rax_by_handler = 0x77;
	request_by_handler = REQ_EVENT;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vmcb.save.rax, 0);
	assert_int_equal(vcpu->regs[REG_RAX], 0x77);
}

static void registers_are_stored_at_entry(void **state)
{
	static const enum vcpu_reg lazy[] = { REG_RIP, REG_RSP, REG_RFLAGS };

	for (unsigned i = 0; i < ARRAY_SIZE(lazy); i++) {
		setup(state);
		next_code = VMEXIT_INTR;
		vmcb.save.rip = 1, vmcb.save.rsp = 2, vmcb.save.rflags = 4;
		vcpu->regs[REG_RIP] = vcpu->regs[REG_RSP] = vcpu->regs[REG_RFLAGS] = 0x800;
		vcpu->regs[REG_RAX] = 0x99;
		vcpu->regs_dirty = BIT(lazy[i]);
		svm_vcpu_run(vcpu, false);
		assert_int_equal(vmcb.save.rip, lazy[i] == REG_RIP ? 0x800 : 1);
		assert_int_equal(vmcb.save.rsp, lazy[i] == REG_RSP ? 0x800 : 2);
		assert_int_equal(vmcb.save.rflags, lazy[i] == REG_RFLAGS ? 0x800 : 4);
		assert_int_equal(vmcb.save.rax, 0x99);
		assert_int_equal(vcpu->regs_dirty, 0);
	}
	setup(state);
	next_code = VMEXIT_INTR;
	vmcb.save.rsp = 2;
	vcpu->regs[REG_RSP] = 0x800;		/* read once, not written */
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vmcb.save.rsp, 2);
}

/* The trace's first record is of the entry: it shows the state that was stored. */
static void the_trace_shows_what_is_entered(void **state)
{
	next_code = VMEXIT_INTR;
	vcpu->regs[REG_RIP] = 0x4321;
	vcpu->regs_available = vcpu->regs_dirty = BIT(REG_RIP);
	svm_vcpu_run(vcpu, false);
	assert_int_equal(trace_ring.records[0].rip, 0x4321);
}

static void the_snapshot_is_whole(void **state)
{
	next_int_info = 0x1234567880000b0d;
	next_code = VMEXIT_IOIO;
	vmcb.control.exit_info1 = 0x11;
	vmcb.control.exit_info2 = 0x22;
	vmcb.save.rax = 0;
	vcpu->regs[REG_RAX] = 0x5566;
	vcpu->regs_available = ~0u;
	vcpu->events.injected.type = EVENT_NMI;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->regs[REG_RAX], 0x5566);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1234);
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP));	/* all others are the hardware's again */
	assert_int_equal(vcpu->events.injected.type, EVENT_NONE);
	assert_int_equal(trace_ring.records[1].info1, 0x11);
	assert_int_equal(trace_ring.records[1].info2, 0x22);
	assert_int_equal(trace_ring.records[1].intr_info, 0x80000b0d);
	assert_int_equal(trace_ring.records[1].error_code, 0x12345678);
}

/* RAX as the processor left it: not what it was at the entry. */
static void rax_comes_from_the_vmcb(void **state)
{
	next_code = VMEXIT_INTR;
	rax_after_exit = 0xabcd;
	vcpu->regs[REG_RAX] = 1;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->regs[REG_RAX], 0xabcd);
}

/* Within the stub, too: clean, nothing to inject, what was cut off taken up before the handler looks. */
static void an_exit_in_the_stub_is_an_exit(void **state)
{
	vmcb.control.exit_code = VMEXIT_NPF;
	vmcb.control.exit_int_info = EVENT_VALID | 0x31;
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	vmcb.control.tlb_control = TLB_FLUSH_ALL;
	vmcb.control.clean = 0;
	vcpu->statistics.by_kind[SVM_INDEX_NPF] = &counted;
	svm_exit_in_stub(&svm);
	assert_int_equal(vmcb.control.event_injection, 0);
	assert_int_equal(vmcb.control.tlb_control, TLB_KEEP);
	assert_int_equal(vmcb.control.clean, CLEAN_ALL);
	assert_int_equal(vcpu->events.reinject.vector, 0x31);
	assert_int_equal(reinject_at_handler, EVENT_INTERRUPT);
	assert_int_equal(vcpu->exit_index, SVM_INDEX_NPF);
}

static void a_fast_path_exit_is_an_exit(void **state)
{
	let_answer(VMEXIT_CPUID, VMEXIT_CPUID);
	vmcb.control.exit_code = VMEXIT_CPUID;
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	vmcb.control.tlb_control = TLB_FLUSH_ALL;
	vmcb.control.clean = 0;
	assert_true(svm_exit_fastpath(vcpu));
	assert_int_equal(vmcb.control.event_injection, 0);
	assert_int_equal(vmcb.control.tlb_control, TLB_KEEP);
	assert_int_equal(vmcb.control.clean, CLEAN_ALL);
}

static void exit_codes_have_their_index(void **state)
{
	assert_int_equal(svm_exit_index(0), 0);
	assert_int_equal(svm_exit_index(0xef), 0xef);
	assert_int_equal(svm_exit_index(0xf0), SVM_INDEX_UNKNOWN);
	assert_int_equal(svm_exit_index(0x400), SVM_INDEX_NPF);
	assert_int_equal(svm_exit_index(0x401), SVM_INDEX_UNKNOWN);
	assert_int_equal(svm_exit_index(~0ull), SVM_INDEX_INVALID);
	assert_int_equal(svm_exit_index(0xffffffff), SVM_INDEX_INVALID);
	assert_int_equal(svm_exit_index(0x100000072), SVM_INDEX_UNKNOWN);
}

/* Machine checks, NMIs and the like, and failed entries are never for a handler in the stub. */
static void events_of_the_machine_leave(void **state)
{
	static const u64 codes[] = {
		VMEXIT_EXCEPTION + X86_MC, VMEXIT_EXCEPTION + X86_DB, VMEXIT_INTR, VMEXIT_NMI, VMEXIT_SMI,
		VMEXIT_INIT, ~0ull, 0xffffffff, 0x500,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		let_answer(codes[i], svm_exit_index(codes[i]));
		svm_vcpu_run(vcpu, false);
		assert_int_equal(again, 0);
		assert_null(strchr(diary, 'H'));
	}
}

/* With GIF clear and IF set, so that it can be pending but not be taken. */
static void forced_exit(void **state)
{
	next_code = VMEXIT_INTR;
	assert_int_equal(svm_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiIEdg");
}

/* No emulator intercepts #MC. The snapshot is taken before, and interrupts are served after. */
static void intercepted_machine_check(void **state)
{
	next_code = VMEXIT_EXCEPTION + X86_MC;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "GiEdgM");
	assert_int_equal(reason_at_machine_check, 0x52);
}

/* Both forms of -1, and what an earlier exit has left is not taken up. */
static void refused_entry(void **state)
{
	static const u64 codes[] = { ~0ull, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		next_code = codes[i];
		next_int_info = EVENT_VALID | 0x30;
		assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_ENTRY_FAILED);
		assert_int_equal(vcpu->failure.kind, ENTRY_INVALID_STATE);
		assert_int_equal(vcpu->failure.reason, codes[i]);
		assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	}
}

static const struct event *interrupted(u64 code, u64 info)
{
	setup(NULL);
	next_code = code;
	next_int_info = info;
	svm_vcpu_run(vcpu, false);
	return &vcpu->events.reinject;
}

/* APM vol. 2, "EXITINTINFO Pseudo-Code". */
static void interrupted_delivery_is_recovered(void **state)
{
	const struct event *event = interrupted(VMEXIT_NPF, EVENT_VALID | 0x31);

	assert_int_equal(event->type, EVENT_INTERRUPT);
	assert_int_equal(event->vector, 0x31);
	assert_true(vcpu->requests & REQ_EVENT);	/* or nobody would look at it */
	event = interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(2) | 2);
	assert_int_equal(event->type, EVENT_NMI);
	event = interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | EVENT_HAS_CODE | X86_PF | 6ull << 32);
	assert_int_equal(event->type, EVENT_EXCEPTION);
	assert_int_equal(event->vector, X86_PF);
	assert_true(event->has_error_code);
	assert_int_equal(event->error_code, 6);
}

/* RIP is still at the instruction, which runs again by itself. */
static void interrupted_instructions_run_again(void **state)
{
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(4) | 0x80)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_BP)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_OF)->type, EVENT_NONE);
}

static void stale_information_is_not_taken_up(void **state)
{
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_TYPE_BITS(3) | X86_GP)->type, EVENT_NONE);
	assert_int_equal(interrupted(VMEXIT_SHUTDOWN, EVENT_VALID | EVENT_TYPE_BITS(3) | X86_DF)->type, EVENT_NONE);
	/* A virtual interrupt has been seen with an exception's type. */
	assert_int_equal(interrupted(VMEXIT_NPF, EVENT_VALID | EVENT_TYPE_BITS(3) | 0x31)->type, EVENT_NONE);
}

static void injection_format(void **state)
{
	const struct event gp = { .type = EVENT_EXCEPTION, .vector = X86_GP, .has_error_code = true,
				  .error_code = 0x28 };
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	svm_inject(vcpu, &gp);
	assert_int_equal(vmcb.control.event_injection, 0x2880000b0dull);
	svm_inject(vcpu, &nmi);
	assert_int_equal(vmcb.control.event_injection, 0x80000202);
	assert_true(svm_nmi_blocked(vcpu));
}

/* NMIs stay blocked while their handler's IRET, which has exited once, has not run. */
static void iret_unblocks_nmis_when_it_has_run(void **state)
{
	const struct event nmi = { .type = EVENT_NMI, .vector = X86_NMI };

	svm_inject(vcpu, &nmi);
	next_code = VMEXIT_IRET;
	svm_vcpu_run(vcpu, false);
	svm_handle_iret(vcpu);
	assert_true(svm_nmi_blocked(vcpu));
	next_code = VMEXIT_NPF;			/* of its access to the stack: RIP has not moved */
	svm_vcpu_run(vcpu, false);
	assert_true(svm_nmi_blocked(vcpu));
	svm.iret_rip = 0x1000;			/* and now it has */
	svm_vcpu_run(vcpu, false);
	assert_false(svm_nmi_blocked(vcpu));
	assert_true(vcpu->requests & REQ_EVENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(ordinary_exit, setup),
		cmocka_unit_test_setup(cpuid_is_answered_at_once, setup),
		cmocka_unit_test_setup(what_is_not_plain_goes_the_long_way, setup),
		cmocka_unit_test_setup(handlers_run_within_the_stub, setup),
		cmocka_unit_test_setup(a_handlers_changes_are_stored_within_the_stub, setup),
		cmocka_unit_test_setup(registers_are_stored_at_entry, setup),
		cmocka_unit_test_setup(the_trace_shows_what_is_entered, setup),
		cmocka_unit_test_setup(the_snapshot_is_whole, setup),
		cmocka_unit_test_setup(rax_comes_from_the_vmcb, setup),
		cmocka_unit_test_setup(an_exit_in_the_stub_is_an_exit, setup),
		cmocka_unit_test_setup(a_fast_path_exit_is_an_exit, setup),
		cmocka_unit_test_setup(exit_codes_have_their_index, setup),
		cmocka_unit_test_setup(events_of_the_machine_leave, setup),
		cmocka_unit_test_setup(forced_exit, setup),
		cmocka_unit_test_setup(intercepted_machine_check, setup),
		cmocka_unit_test_setup(refused_entry, setup),
		cmocka_unit_test_setup(interrupted_delivery_is_recovered, setup),
		cmocka_unit_test_setup(interrupted_instructions_run_again, setup),
		cmocka_unit_test_setup(stale_information_is_not_taken_up, setup),
		cmocka_unit_test_setup(injection_format, setup),
		cmocka_unit_test_setup(iret_unblocks_nmis_when_it_has_run, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
