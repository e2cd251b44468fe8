/* SPDX-License-Identifier: MIT */
/*
 * Entry and exit under SVM with a fake VMCB: what no emulator raises, and the order of the steps.
 * Each letter of the diary is a step: G CLGI, i interrupts on, I self-IPI, E entry, d interrupts off, g
 * STGI, H the exit's handler, M machine check.
 */
/* link: svm/run.c svm/fastpath.c svm/apic.c svm/events.c core/observe/statistics.c core/vm_log.c lib/string.c lib/log.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/exit.h"
#include "core/force_exit.h"
#include "core/fastpath.h"
#include "core/observe/trace_record.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "svm/length.h"
#include "svm/svm.h"
#include "core/cpu/paravirt.h"
#include "home_cpu.h"
#include "guest_msr.h"
#include "mmio_device.h"
#include "string_device.h"

bool capability_hides_apic;

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

void clgi(void);
enum exit_fastpath svm_vmenter(struct vcpu_svm *svm);
enum exit_fastpath svm_access_in_stub(struct vcpu_svm *svm);
enum exit_fastpath svm_exit_in_stub(struct vcpu_svm *svm);

static char diary[32];
static struct vm_config config;
static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;
static u64 tsc;
static unsigned again;		/* entries that the stub has made by itself */
static struct vmcb reentered;	/* the VMCB at the last of them */
static struct cpuid_constants constants = { .leaves = BIT(0), .regs = { { 0x16, 1, 2, 3 } } };
static struct exit_statistics counted;
static u32 request_by_handler;
static enum event_type reinject_at_handler;
static u64 unprefixed_next;		/* RIP behind the instruction, by its bytes */
static unsigned bytes_read;
static struct msr_shortcuts shortcuts;
static bool let_guest_set_rax, handler_changes_registers;
static u64 next_code, next_int_info, reason_at_machine_check;

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
	enum svm_fastpath fastpath;
	enum exit_fastpath answer;
	bool loaded = true;	/* since the last VMLOAD the guest has not been entered */

	assert_ptr_equal(entered, &svm);
	vmcb.control.exit_code = next_code;
	vmcb.control.exit_int_info = next_int_info;
	for (;; again++) {
		note('E');
		tsc += 1000;
		if (let_guest_set_rax)
			vmcb.save.rax = 0x99;
		fastpath = svm_exit_fastpath(vcpu);
		if (fastpath != SVM_FASTPATH_ENTER) {
			note('d');
			note('g');
			answer = fastpath == SVM_FASTPATH_ACCESS ? svm_access_in_stub(&svm) : EXIT_FASTPATH_NONE;
			if (answer == EXIT_FASTPATH_NONE)
				answer = svm_exit_in_stub(&svm);
			if (answer != EXIT_FASTPATH_REENTER_GUEST)
				return answer;
			note('G');
			note('i');
			loaded = true;
		} else if (loaded) {
			svm_entered(&vmcb);
			loaded = false;
		}
		reentered = vmcb;
		vmcb.control.exit_code = VMEXIT_INTR;
	}
}

/* --- the rest of Lamina --- */

void force_exit_by_self_ipi(struct vcpu *v) { note('I'); }
struct svm_features svm_features;
u64 svm_unprefixed_next_rip(const struct vcpu_svm *s) { bytes_read++; return unprefixed_next; }
void *vm_alloc(struct vm *v, size_t size) { return NULL; }

void svm_handle_exit(struct vcpu *v)
{
	note('H');
	reinject_at_handler = v->events.reinject.type;
	if (handler_changes_registers) {
		vcpu_reg_write(v, REG_RIP, 0x4000);
		v->regs[REG_RAX] = 0x41;
	}
	if (request_by_handler)
		vcpu_request(v, request_by_handler);
}

void (*const svm_handlers[SVM_EXITS])(struct vcpu *v) = {
	[0 ... VMEXIT_INTR - 1] = svm_handle_exit,
	[VMEXIT_INTR] = svm_handle_intr,
	[VMEXIT_INTR + 1 ... SVM_EXITS - 1] = svm_handle_exit,
};

static bool may_enter;		/* enter_from_stub() says so once */
static u32 request_by_interrupt;
static u32 apic_page[PAGE_SIZE / sizeof(u32)], tpr_at_choice;

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
	tpr_at_choice = *vcpu_tpr(v);
	return answer;
}

void svm_control_set(struct vcpu *v, enum vcpu_control control, u64 value) { vmcb.save.dr6 = value; }
void svm_end_step(struct vcpu *v) { fail(); }

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
	home_reset();
	memset(&counted, 0, sizeof(counted));
	svm.vmcb = &vmcb;
	vmcb.save.rip = 0x1234;
	vcpu->vm = &vm;
	vcpu->cpu = &home;
	vm.state = VM_RUNNING;
	attach_device(&vm, vcpu);
	attach_msrs(&vm);
	vcpu->vlapic = vcpu;
	vm.config = &config;
	config.hypervisor = HYPERVISOR_LAMINA;
	vcpu->cpuid = (struct cpuid_table *)&constants;
	memset(&shortcuts, 0, sizeof(shortcuts));
	vcpu->msrs = (struct msr_state *)&shortcuts;
	unprefixed_next = 0;
	bytes_read = 0;
	vcpu->timer_deadline = home.timer_armed = VTIMER_NEVER;
	svm_features = (struct svm_features){ .nrip_save = true };
	memset(&reentered, 0, sizeof(reentered));
	tsc = 1000;
	again = 0;
	request_by_handler = request_by_interrupt = 0;
	may_enter = false;
	memset(apic_page, 0, sizeof(apic_page));
	vcpu->vlapic = apic_page;
	vm.apic_hardware = APIC_TPR;
	tpr_at_choice = 0;
	let_guest_set_rax = handler_changes_registers = false;
	next_code = VMEXIT_CPUID;
	next_int_info = reason_at_machine_check = 0;
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
	assert_int_equal(home.trace.next, 2);		/* the entry, and the exit from the snapshot */
	assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
	assert_int_equal(home.trace.records[1].reason, VMEXIT_CPUID);
	assert_int_equal(home.trace.records[1].rip, 0x1234);
	assert_int_equal(home.trace.records[1].tsc, 2000);
}

/* It comes from the VMCB alone, whatever the vCPU had before, and goes into the trace. */
static void the_snapshot_is_of_this_exit(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	vcpu->regs[REG_RAX] = 0x77;
	vcpu->regs_available = BIT(REG_RSP) | BIT(REG_RFLAGS);
	vcpu->events.injected.type = EVENT_NMI;
	next_code = VMEXIT_IOIO;
	next_int_info = EVENT_VALID | EVENT_HAS_CODE | EVENT_TYPE_BITS(3) | X86_GP | 0x18ull << 32;
	vmcb.control.exit_info1 = 0x1111222233334444;
	vmcb.control.exit_info2 = 0x5555666677778888;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->regs[REG_RAX], 0x77);		/* as it was stored and came back */
	assert_int_equal(vcpu->regs[REG_RIP], 0x1234);
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP));
	assert_int_equal(vcpu->exit_index, VMEXIT_IOIO);
	assert_int_equal(vcpu->events.injected.type, EVENT_NONE);
	assert_int_equal(record->info1, 0x1111222233334444);
	assert_int_equal(record->info2, 0x5555666677778888);
	assert_int_equal(record->intr_info, 0x80000b0d);
	assert_int_equal(record->error_code, 0x18);
	assert_int_equal(vmcb.control.clean, 0x7ff);		/* all that there are */
	assert_int_equal(vmcb.control.tlb_control, 0);
}

static void rax_comes_from_the_vmcb(void **state)
{
	let_guest_set_rax = true;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->regs[REG_RAX], 0x99);
}

/* RAX always; the lazy registers where they were changed. */
static void changed_registers_are_stored(void **state)
{
	static const struct {
		u32 dirty;
		u64 rsp, rip, rflags;
	} rows[] = {
		{ 0, 0x10, 0x1234, 0x30 },
		{ BIT(REG_RSP), 0xa, 0x1234, 0x30 },
		{ BIT(REG_RIP), 0x10, 0xb, 0x30 },
		{ BIT(REG_RFLAGS), 0x10, 0x1234, 0xc },
		{ REGS_LAZY, 0xa, 0xb, 0xc },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		setup(state);
		vmcb.save.rsp = 0x10;
		vmcb.save.rflags = 0x30;
		vcpu->regs[REG_RAX] = 9;
		vcpu->regs[REG_RSP] = 0xa;
		vcpu->regs[REG_RIP] = 0xb;
		vcpu->regs[REG_RFLAGS] = 0xc;
		vcpu->regs_dirty = rows[i].dirty;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(vmcb.save.rax, 9);
		assert_int_equal(vmcb.save.rsp, rows[i].rsp);
		assert_int_equal(vmcb.save.rip, rows[i].rip);
		assert_int_equal(vmcb.save.rflags, rows[i].rflags);
		assert_int_equal(vcpu->regs_dirty, 0);
	}
}

/* --- exits that are handled within the stub --- */

static void let_answer(u64 code, u8 index)
{
	next_code = code;
	vcpu->statistics.by_kind[index] = &counted;
	vmcb.control.next_rip = 0x1236;
	if (code == VMEXIT_VMMCALL)
		vcpu->regs[REG_RAX] = HYPERCALL_LAST + 1;
}

static void cpuid_takes_the_fast_path(void **state)
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
	assert_int_equal(reentered.control.event_injection, 0);
	assert_int_equal(reentered.control.tlb_control, TLB_KEEP);
	assert_int_equal(reentered.control.clean, CLEAN_ALL);
	assert_int_equal(vcpu->outcomes[EXIT_FASTPATH_REENTER_GUEST], 1);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(home.trace.records[1].kind, TRACE_FASTPATH);
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

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(rows); i++) {
		bool found = rows[i / 2].again;

		setup(state);
		let_answer(VMEXIT_CPUID, VMEXIT_CPUID);
		svm_features.nrip_save = i % 2;
		unprefixed_next = 0x1236;
		constants.slots[cpuid_slot_of(1)] = (struct cpuid_slot){ .leaf = 1, .dependence = rows[i / 2].dependence,
			.state = CR4_OSXSAVE, .regs = { 5, 6, 7, 8 } };
		svm.cr4 = rows[i / 2].cr4;
		vcpu->regs[REG_RAX] = 0xffffffff00000001;
		vcpu->regs[REG_RCX] = 3;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(reentered.save.rax, found ? 5 : 0xffffffff00000001);
		assert_int_equal(vcpu->regs[REG_RCX], found ? 7 : 3);
		assert_int_equal(home.trace.records[1].kind, found ? TRACE_FASTPATH : TRACE_EXIT);
	}
	constants.slots[cpuid_slot_of(1)] = (struct cpuid_slot){ 0 };
}

#define CACHED_MSR 0x1b

static void let_answer_rdmsr(const u64 *place)
{
	let_answer(VMEXIT_MSR, VMEXIT_MSR);
	msr_add_shortcut(&shortcuts, CACHED_MSR, place);
	vcpu->regs[REG_RCX] = 0xffffffff00000000 | CACHED_MSR;
	vcpu->regs[REG_RDX] = ~0ull;
}

/* The halves of a cached value, without the upper halves of RAX and RDX; the trace names the MSR. */
static void rdmsr_of_a_cached_value_takes_the_fast_path(void **state)
{
	static const u64 value = 0xfee00900fee00800;
	const struct trace_record *record = &home.trace.records[1];

	let_answer_rdmsr(&value);
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEEdg");
	assert_int_equal(reentered.save.rax, 0xfee00800);
	assert_int_equal(vcpu->regs[REG_RDX], 0xfee00900);
	assert_int_equal(reentered.save.rip, 0x1236);
	assert_int_equal(record->kind, TRACE_FASTPATH_RDMSR);
	assert_int_equal(record->exit_index, VMEXIT_MSR);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->access.address, CACHED_MSR);
	assert_int_equal(record->access.value, value);
	assert_int_equal(statistics_exits(&counted), 1);
}

/* Those that Lamina has are for the handler of the exit. */
static void known_hypercalls_do_not_take_the_fast_path(void **state)
{
	let_answer(VMEXIT_VMMCALL, VMEXIT_VMMCALL);
	vcpu->regs[REG_RAX] = HYPERCALL_LAST;
	svm_vcpu_run(vcpu, false);
	assert_true(!strncmp(diary, "GiEdgH", 6));
	assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
}

/* hv=none: it raises #UD, each time. */
static void without_a_hypervisor_no_hypercall_takes_the_fast_path(void **state)
{
	config.hypervisor = HYPERVISOR_NONE;
	let_answer(VMEXIT_VMMCALL, VMEXIT_VMMCALL);
	svm_vcpu_run(vcpu, false);
	assert_true(!strncmp(diary, "GiEdgH", 6));
	assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
}

static void a_hypercall_takes_the_fast_path(void **state)
{
	let_answer(VMEXIT_VMMCALL, VMEXIT_VMMCALL);
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEEdg");
	assert_int_equal(reentered.save.rax, -1000ull);	/* KVM_ENOSYS */
	assert_int_equal(reentered.save.rip, 0x1236);
	assert_int_equal(home.trace.records[1].exit_index, VMEXIT_VMMCALL);
	assert_int_equal(statistics_exits(&counted), 1);
}

static void answer_on_the_fast_path(u64 code)
{
	static const u64 value = 5;

	if (code == VMEXIT_MSR)
		let_answer_rdmsr(&value);
	else
		let_answer(code, (u8)code);
}

/* Not at the first exit of a kind, which has no statistics yet, nor where more than RIP would change. */
static void each_fast_path_has_its_conditions(void **state)
{
	static const u16 codes[] = { VMEXIT_CPUID, VMEXIT_MSR, VMEXIT_VMMCALL };

	for (unsigned i = 0; i < ARRAY_SIZE(codes) * 4; i++) {
		setup(state);
		answer_on_the_fast_path(codes[i / 4]);
		if (i % 4 == 0)
			vcpu->statistics.by_kind[codes[i / 4]] = NULL;
		else if (i % 4 == 1)
			svm_features.nrip_save = false;		/* and the bytes tell nothing */
		else if (i % 4 == 2)
			vmcb.save.rflags |= RFLAGS_TF;
		else
			svm_set_iret_pending(&svm, true);
		svm_vcpu_run(vcpu, false);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
		assert_int_equal(home.trace.records[1].reason, codes[i / 4]);
	}
}

static void other_msr_accesses_need_the_hosts_state(void **state)
{
	static const u64 value = 5;

	for (unsigned i = 0; i < 4; i++) {
		setup(state);
		svm_features.nrip_save = i % 2;
		unprefixed_next = 0x1236;
		let_answer_rdmsr(&value);
		if (i < 2)
			vmcb.control.exit_info1 = 1;		/* WRMSR */
		else
			vcpu->regs[REG_RCX] = CACHED_MSR + MSR_SHORTCUTS;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(home.trace.records[1].kind, TRACE_FASTPATH_ACCESS);
		assert_int_equal(bytes_read, !(i % 2));
	}
}

static void without_next_rip_save_the_bytes_decide(void **state)
{
	static const u16 codes[] = { VMEXIT_CPUID, VMEXIT_MSR, VMEXIT_VMMCALL };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		svm_features.nrip_save = false;
		answer_on_the_fast_path(codes[i]);
		unprefixed_next = 0x1237;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(reentered.save.rip, 0x1237);
		assert_int_equal(home.trace.records[1].kind, codes[i] == VMEXIT_MSR ? TRACE_FASTPATH_RDMSR : TRACE_FASTPATH);
		assert_int_equal(bytes_read, 1);
	}
	/* Guest memory is read for no other exit. */
	setup(state);
	svm_features.nrip_save = false;
	unprefixed_next = 0x1237;
	let_answer(VMEXIT_HLT, VMEXIT_HLT);
	svm_vcpu_run(vcpu, false);
	assert_int_equal(bytes_read, 0);
}

/* A trap at the instruction's end, a result that follows the vCPU's state, a request, an NMI's IRET. */
static void what_changes_more_than_rip_takes_the_slow_path(void **state)
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
			svm_features.nrip_save = false;		/* and the bytes tell nothing */
		else if (i == 4)
			svm_set_iret_pending(&svm, true);
		else if (i == 5)
			vcpu->every_exit = 1;
		else
			vcpu_request(vcpu, REQ_STOP);
		svm_vcpu_run(vcpu, false);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(home.trace.records[1].kind, TRACE_EXIT);
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
	assert_true(home.trace.records[1].entry_tsc);

	setup(state);
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	request_by_handler = REQ_EVENT;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgHS");
	assert_int_equal(again, 0);
	assert_int_equal(statistics_exits(&counted), 0);	/* the loop will, at the next entry */

	setup(state);
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	home.timer_armed = 5;				/* the host's timer is not armed for the guest's */
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 0);
}

/* What the loop would do, too. Registers that a handler has changed are stored. */
static void an_event_may_be_injected_within_the_stub(void **state)
{
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	request_by_handler = REQ_EVENT;
	handler_changes_registers = may_enter = true;
	svm_vcpu_run(vcpu, false);
	assert_string_equal(diary, "GiEdgHSGiEdg");
	assert_int_equal(again, 1);
	assert_int_equal(reentered.save.rip, 0x4000);
	assert_int_equal(reentered.save.rax, 0x41);
}

/* A host interrupt has come because an event is to be chosen, or where a window would open. */
static void host_interrupts_are_served_within_the_stub(void **state)
{
	let_answer(VMEXIT_INTR, VMEXIT_INTR);
	vcpu_request(vcpu, REQ_EVENT);
	may_enter = true;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(strncmp(diary, "GiEdgWSGiE", 10), 0);
	assert_int_equal(home.trace.records[1].reason, VMEXIT_INTR);

	setup(state);
	let_answer(VMEXIT_INTR, VMEXIT_INTR);
	vcpu->events.irq_window = true;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgWS");
	assert_int_equal(vcpu->requests, REQ_EVENT);

	setup(state);
	let_answer(VMEXIT_INTR, VMEXIT_INTR);
	request_by_interrupt = REQ_RESCHED;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgWS");
	assert_int_equal(again, 0);
}

static void with_other_requests_the_loop_serves_host_interrupts(void **state)
{
	static const u32 requests[] = { REQ_NMI, REQ_STOP | REQ_EVENT, REQ_RESCHED, REQ_TIMER };

	for (unsigned i = 0; i < ARRAY_SIZE(requests); i++) {
		setup(state);
		let_answer(VMEXIT_INTR, VMEXIT_INTR);
		vcpu_request(vcpu, requests[i]);
		assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_null(strchr(diary, 'W'));
	}
	setup(state);
	let_answer(VMEXIT_INTR, VMEXIT_INTR);
	vcpu->every_exit = EVERY_EXIT_VENDOR;		/* the IRET of an NMI's handler is watched */
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_null(strchr(diary, 'W'));
}

/* EXITINFO1 is 1 for WRMSR. The guest's RAX is in the VMCB. */
static void let_access_msr(u32 msr, bool write)
{
	let_answer(VMEXIT_MSR, VMEXIT_MSR);
	vmcb.control.exit_info1 = write;
	vmcb.control.int_state = INT_SHADOW;
	vcpu->regs[REG_RCX] = 0xffffffff00000000 | msr;
	vcpu->regs[REG_RAX] = 0xaaaaaaaa22222222;
	vcpu->regs[REG_RDX] = 0xdddddddd11111111;
	vcpu->events.reinject.type = EVENT_NMI;
}

static void an_msr_is_accessed_within_the_stub(void **state)
{
	static const u32 msrs[] = { 0x277, 0x808, 0x6e0 };
	const struct trace_record *record = &home.trace.records[1];

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(msrs); i++) {
		bool write = i % 2;

		setup(state);
		let_access_msr(msrs[i / 2], write);
		handler_of_msr.answer = 0x3333333344444444;
		assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_string_equal(diary, "GiEdgGiEdg");
		assert_int_equal(handler_of_msr.writes, write);
		assert_int_equal(handler_of_msr.reads, !write);
		assert_int_equal(handler_of_msr.of_apic, i >= 2);
		assert_int_equal(handler_of_msr.msr, msrs[i / 2]);
		assert_int_equal(handler_of_msr.value, write ? 0x1111111122222222 : 0);
		assert_int_equal(reentered.save.rax, write ? 0xaaaaaaaa22222222 : 0x44444444);
		assert_int_equal(vcpu->regs[REG_RDX], write ? 0xdddddddd11111111 : 0x33333333);
		assert_int_equal(reentered.save.rip, 0x1236);
		assert_int_equal(reentered.control.int_state, 0);
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
		assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
		assert_int_equal(again, 0);
		assert_int_equal(handler_of_msr.raised, 1);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(vcpu->regs[REG_RIP], 0x1234);
		assert_int_equal(vcpu->regs[REG_RAX], 0xaaaaaaaa22222222);
		assert_int_equal(vcpu->regs[REG_RDX], 0xdddddddd11111111);
		assert_true(home.trace.records[1].access.refused);
		assert_int_equal(home.trace.records[1].entry_tsc, 0);
	}
}

/* APM vol. 2, "Nested versus Guest Page Faults, Fault Ordering": EXITINFO1 bit 1 write, 4 fetch, 32 final, 33 walk. */
#define NPF_INFO(write) (BIT_ULL(32) | 4 | (write) << 1)

static struct fast_mov *let_access_memory(bool write)
{
	let_answer(VMEXIT_NPF, SVM_INDEX_NPF);
	svm_features.nrip_save = false;
	vmcb.control.exit_info1 = NPF_INFO(write);
	vmcb.control.exit_info2 = MMIO_ADDRESS;
	vmcb.control.int_state = INT_SHADOW;
	vmcb.control.event_injection = EVENT_VALID | 0x30;
	vmcb.save.cs.attributes = ATTRIBUTE_DB | 0x9b;
	vmcb.save.cs.base = 0;
	vmcb.save.cr0 = 0x31;
	vmcb.save.rflags = RFLAGS_RF | 2;
	vmcb.save.rip = MMIO_RIP;
	return let_mov(vcpu, write);
}

static void memory_is_accessed_within_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	for (unsigned write = 0; write < 2; write++) {
		setup(state);
		let_access_memory(write);
		vmcb.save.rax = 0x1122334455667788;
		device.answer = 0xfffffffff4f3f2f1;
		svm_vcpu_run(vcpu, false);
		assert_string_equal(diary, "GiEdgGiEdg");		/* and no handler */
		assert_int_equal(write ? device.writes : device.reads, 1);
		assert_int_equal(device.offset, 0x300);
		assert_int_equal(device.size, 4);
		assert_int_equal(device.rip, MMIO_RIP);
		assert_false(device.locked);
		if (write)
			assert_int_equal(device.value, 0x55667788);
		assert_int_equal(reentered.save.rax, write ? 0x1122334455667788 : 0xf4f3f2f1);
		assert_int_equal(reentered.save.rip, MMIO_RIP + 2);
		assert_int_equal(reentered.save.rflags, 2);
		assert_int_equal(reentered.control.int_state, 0);
		assert_int_equal(reentered.control.event_injection, 0);
		assert_int_equal(reentered.control.clean, 0x7ff);
		assert_int_equal(statistics_exits(&counted), 1);
		assert_int_equal(record->kind, TRACE_EXIT);		/* the index is not the code */
		assert_int_equal(record->exit_index, SVM_INDEX_NPF);
		assert_int_equal(record->reason, VMEXIT_NPF);
		assert_int_equal(record->rip, MMIO_RIP);
		assert_int_equal(record->entry_rip, MMIO_RIP + 2);
		assert_int_equal(record->info1, NPF_INFO(write));
		assert_int_equal(record->info2, MMIO_ADDRESS);
		assert_int_equal(record->access.kind, TRACE_MMIO);
		assert_int_equal(record->access.write, write);
		assert_int_equal(record->access.address, MMIO_ADDRESS);
		assert_int_equal(record->access.value, write ? 0x55667788 : 0xf4f3f2f1);
	}
}

/* Whatever may make it another access than that of the remembered instruction, and what every fast path needs. */
static void other_accesses_to_memory_go_to_the_handler(void **state)
{
	for (unsigned i = 0; i < 18; i++) {
		struct fast_mov *mov;

		setup(state);
		mov = let_access_memory(true);
		switch (i) {
		case 0: vmcb.control.exit_info1 = BIT_ULL(33) | 6; break;	/* a walk of the guest's tables */
		case 1: vmcb.control.exit_info1 |= BIT(4); break;
		case 2: vmcb.control.exit_info1 = NPF_INFO(0); break;
		case 3: vmcb.control.exit_info2 += 4; break;
		case 4: vmcb.control.exit_info2 = 0x300; break;			/* RAM */
		case 5: next_int_info = EVENT_VALID | 0x30; break;
		case 6: vmcb.save.dr7 = 0x402; break;
		case 7: vmcb.save.rflags |= RFLAGS_TF; break;
		case 8: svm.iret_pending = true, svm.iret_rip = MMIO_RIP; break;
		case 9: vmcb.save.cs.attributes = 0x9b; break;			/* 16-bit code */
		case 10: vmcb.save.cr0 |= CR0_PG; break;
		case 11: vmcb.save.efer = EFER_LMA; break;			/* compatibility mode */
		case 12: vmcb.save.cs.base = 0x10; break;
		case 13: mov->access |= MMIO_USES_KEPT; break;
		case 14: mmio_set_of(vcpu, MMIO_RIP)->bytes[14] ^= 1; break;	/* the code has changed */
		case 15: vcpu->mmio_memory = NULL; break;
		case 16: vcpu->every_exit = 1; break;
		default: vcpu->statistics.by_kind[SVM_INDEX_NPF] = NULL; break;
		}
		vmcb.control.int_state = INT_SHADOW;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(device.writes + device.reads, 0);
		assert_int_equal(vmcb.control.int_state, INT_SHADOW);
		assert_int_equal(vmcb.save.rip, MMIO_RIP);
		next_int_info = 0;
		assert_int_equal(!!strchr(diary, 'H'), i < 16);
	}
}

/* APM vol. 2, "IOIO Intercepts": IN bit 0, STR bit 2, REP bit 3, sizes bits 4 to 6, port bits 16 to 31. */
#define IOIO_INFO(port, size, in) ((u64)(port) << 16 | (size) << 4 | (in))

static void let_access_port(u64 info)
{
	let_answer(VMEXIT_IOIO, VMEXIT_IOIO);
	svm_features.nrip_save = false;		/* it is in EXITINFO2 in any case */
	vmcb.control.exit_info1 = info;
	vmcb.control.exit_info2 = 0x1236;
	vmcb.control.int_state = INT_SHADOW;
	vcpu->regs[REG_RAX] = 0x1122334455667788;
	vcpu->events.injected.type = EVENT_NMI;
	vcpu->events.reinject.type = EVENT_NMI;
	vmcb.control.event_injection = EVENT_VALID | 0x30;
}

static void a_port_is_written_within_the_stub(void **state)
{
	const struct trace_record *record = &home.trace.records[1];

	let_access_port(IOIO_INFO(DEVICE_PORT + 1, 1, 0));
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiEdgGiEdg");		/* and no handler */
	assert_int_equal(device.writes, 1);
	assert_int_equal(device.offset, 1);
	assert_int_equal(device.size, 1);
	assert_int_equal(device.rip, 0x1234);
	assert_int_equal(device.value, 0x88);
	assert_true(device.locked);
	assert_int_equal(vm.lock.next, vm.lock.served);
	assert_int_equal(reentered.save.rip, 0x1236);
	assert_int_equal(reentered.save.rax, 0x1122334455667788);
	assert_int_equal(reentered.control.int_state, 0);
	assert_int_equal(reentered.control.event_injection, 0);
	assert_int_equal(reentered.control.clean, 0x7ff);
	assert_int_equal(statistics_exits(&counted), 1);
	assert_int_equal(record->kind, TRACE_FASTPATH_ACCESS);
	assert_int_equal(record->exit_index, VMEXIT_IOIO);
	assert_int_equal(record->rip, 0x1234);
	assert_int_equal(record->info1, IOIO_INFO(DEVICE_PORT + 1, 1, 0));
	assert_int_equal(record->entry_rip, 0x1236);
	assert_int_equal(record->access.kind, TRACE_PIO);
	assert_true(record->access.write);
	assert_int_equal(record->access.address, DEVICE_PORT + 1);
	assert_int_equal(record->access.value, 0x88);
}

/* REP OUTSB in 64-bit code at CPL 3, or INSB in 32-bit code without paging at CPL 0. */
static void let_string(bool in)
{
	memset(&strings, 0, sizeof(strings));
	let_access_port(IOIO_INFO(DEVICE_PORT, 1, in) | BIT(2) | (in ? 0 : BIT(3)));
	vmcb.save.cs.attributes = in ? 0xc9b : 0xa9b;
	vmcb.save.cs.base = 0;
	vmcb.save.cpl = in ? 0 : 3;
	vmcb.save.cr0 = CR0_PE | (in ? 0 : CR0_PG);
	vmcb.save.cr3 = 0x5000;
	vmcb.save.efer = EFER_SVME | (in ? 0 : EFER_LMA | EFER_LME | EFER_NXE);
	vcpu->regs[REG_RSI] = 0x7000;
	strings.taken = true;
}

static void a_string_goes_to_the_port_within_the_stub(void **state)
{
	for (unsigned in = 0; in < 2; in++) {
		setup(state);
		let_string(in);
		svm_vcpu_run(vcpu, false);
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
		assert_int_equal(strings.exit.info2, 0x1236);
		assert_int_equal(reentered.save.rip, 0x1234);		/* as the other says */
		assert_int_equal(reentered.save.rax, 0x1122334455667788);
		assert_int_equal(reentered.control.int_state, 0);
		assert_int_equal(reentered.control.event_injection, 0);
		assert_int_equal(vcpu->regs[REG_RSI], 0x7003);
		assert_int_equal(home.trace.records[1].kind, TRACE_FASTPATH_ACCESS);
	}
}

static void other_strings_go_to_their_handler(void **state)
{
	for (unsigned i = 0; i < 8; i++) {
		setup(state);
		let_string(false);
		switch (i) {
		case 0: strings.taken = false; break;
		case 1: vmcb.save.rflags |= RFLAGS_DF; break;
		case 2: vmcb.save.rflags |= RFLAGS_RF; break;
		case 3: vmcb.control.exit_info1 ^= BIT(4) | BIT(5); break;	/* words */
		case 4: vmcb.save.dr7 = 0x402; break;
		case 5: vmcb.save.cs.attributes = 0xc9b; break;			/* compatibility mode */
		case 6: vmcb.save.cr4 |= CR4_LA57; break;
		default: vcpu->every_exit = 1; break;
		}
		svm_vcpu_run(vcpu, false);
		assert_int_equal(strings.calls, i == 0);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(!!strchr(diary, 'H'), i < 7);
	}
}

static void a_port_is_read_within_the_stub(void **state)
{
	let_access_port(IOIO_INFO(DEVICE_PORT, 1, 1));
	device.answer = 0xf6f5f4f3f2f1;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(device.reads, 1);
	assert_int_equal(reentered.save.rax, 0x11223344556677f1);
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
		let_access_port(IOIO_INFO(rows[i].port, rows[i].size, rows[i].in));
		device.answer = 0xf4f3f2f1;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(again, 1);
		assert_int_equal(device.reads + device.writes, 0);
		assert_int_equal(device.others, 1);
		assert_int_equal(device.offset, rows[i].port - DEVICE_PORT);
		assert_int_equal(device.size, rows[i].size);
		assert_int_equal(device.rip, 0x1234);
		if (rows[i].in)
			assert_int_equal(reentered.save.rax, 0xf4f3f2f1);
		else
			assert_int_equal(device.value, 0x1122334455667788);
		assert_null(strchr(diary, 'H'));
	}
}

static void what_the_device_asks_for_is_served_by_the_loop(void **state)
{
	let_access_port(IOIO_INFO(DEVICE_PORT, 1, 1));
	device.answer = 0xf1;
	device.request = REQ_EVENT;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_EXIT_HANDLED);
	assert_int_equal(again, 0);
	assert_int_equal(vmcb.save.rip, 0x1236);
	assert_int_equal(vcpu->regs[REG_RIP], 0x1236);
	assert_int_equal(vcpu->regs[REG_RAX], 0x11223344556677f1);	/* the next run stores it */
	assert_int_equal(vcpu->exit_reason, VMEXIT_IOIO);
	assert_int_equal(vcpu->exit_index, VMEXIT_IOIO);
	assert_int_equal(vcpu->exit_rip, 0x1234);
	assert_int_equal(vcpu->regs_available, BIT(REG_RIP));
	assert_int_equal(vcpu->events.injected.type, EVENT_NONE);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	assert_int_equal(statistics_exits(&counted), 0);
}

/* The guest has written CR8, which did not exit. APM vol. 2, "Virtual Interrupts": V_TPR, bits 7:0 of 60h. */
static void an_event_is_chosen_by_the_guests_tpr(void **state)
{
	for (unsigned i = 0; i < 5; i++) {
		setup(state);
		if (i < 2)
			let_access_port(IOIO_INFO(DEVICE_PORT, 1, i));
		else if (i == 2)
			let_access_msr(0x10, true);
		else if (i == 3)
			let_answer(VMEXIT_INTR, VMEXIT_INTR);
		else
			let_string(false);
		home.timer_armed = 5;		/* so that the stub has to look */
		device.request = handler_of_msr.request = request_by_interrupt = REQ_EVENT;
		vmcb.control.int_control |= 9;
		svm_vcpu_run(vcpu, false);
		assert_non_null(strchr(diary, 'S'));
		assert_int_equal(tpr_at_choice, 0x90);
	}
}

/* Strings, breakpoints, single steps, RF, the end of 4 GiB, an NMI handler's IRET; and what every fast path needs. */
static void other_port_exits_go_to_their_handler(void **state)
{
	for (unsigned i = 0; i < 10; i++) {
		setup(state);
		let_access_port(IOIO_INFO(DEVICE_PORT, 1, 0));
		if (i == 0)
			vmcb.control.exit_info1 |= BIT(2);
		else if (i == 1)
			vmcb.save.dr7 = 0x402;			/* G0 */
		else if (i == 2)
			vmcb.save.rflags |= RFLAGS_TF;
		else if (i == 3)
			vmcb.save.rflags |= RFLAGS_RF;
		else if (i == 4)
			vmcb.save.rip = 0xffffffff, vmcb.control.exit_info2 = 0x100000001;
		else if (i == 5)
			svm_set_iret_pending(&svm, true), svm.iret_rip = 0x1234;
		else if (i == 6)
			vcpu->statistics.by_kind[VMEXIT_IOIO] = NULL;
		else if (i == 7)
			vcpu->every_exit = 1;
		else if (i == 8)
			vcpu_request(vcpu, REQ_STOP);
		else
			vcpu->timer_deadline = home.timer_armed = 5;
		svm_vcpu_run(vcpu, false);
		assert_int_equal(device.writes, 0);
		assert_int_equal(!!strchr(diary, 'H'), i < 5);
	}
	setup(state);
	let_access_port(IOIO_INFO(DEVICE_PORT, 1, 0));
	vmcb.save.dr7 = 0x400;					/* no breakpoint is enabled */
	svm_vcpu_run(vcpu, false);
	assert_int_equal(device.writes, 1);
}

/* The guest is entered again with what the handler has changed, and not with what was injected before. */
static void a_handler_within_the_stub_is_as_one_outside(void **state)
{
	static const u16 codes[] = { 0x04, 0x1f, 0x64, 0x65, 0x72, 0x78, 0x7b, 0x8e, 0xe3 };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		let_answer(codes[i], (u8)codes[i]);
		handler_changes_registers = true;
		vcpu->regs[REG_RAX] = 0x17;			/* a CPUID leaf that is not constant */
		next_int_info = EVENT_VALID | EVENT_TYPE_BITS(2) | 2;
		vmcb.control.event_injection = EVENT_VALID | 0x30;
		vmcb.control.exit_info1 = 0x55;
		vcpu->events.reinject.type = EVENT_NONE;
		svm_vcpu_run(vcpu, false);
		assert_non_null(strchr(diary, 'H'));
		assert_int_equal(reinject_at_handler, EVENT_NMI);
		assert_int_equal(home.trace.records[1].info1, 0x55);
		/* What is to be injected again is a request: the stub leaves. */
		assert_int_equal(again, 0);
		assert_int_equal(vmcb.control.event_injection, 0);
		assert_int_equal(vmcb.control.clean, CLEAN_ALL);
		assert_int_equal(vmcb.save.rip, 0x1234);
		assert_int_equal(vcpu->regs_dirty, BIT(REG_RIP));
	}
	setup(state);
	let_answer(VMEXIT_HLT, VMEXIT_HLT);
	handler_changes_registers = true;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(again, 1);
	assert_int_equal(reentered.save.rip, 0x4000);
	assert_int_equal(reentered.save.rax, 0x41);
}

/* Exceptions, host events and failed entries leave the stub without a handler. */
static void host_events_leave_the_stub(void **state)
{
	static const u64 codes[] = {
		VMEXIT_EXCEPTION + X86_MC, VMEXIT_EXCEPTION + X86_DB, VMEXIT_NMI, VMEXIT_SMI,
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

/* The self-IPI is sent with GIF clear and IF set: it stays pending until VMRUN. */
static void forced_exit(void **state)
{
	next_code = VMEXIT_INTR;
	assert_int_equal(svm_vcpu_run(vcpu, true), EXIT_FASTPATH_EXIT_HANDLED);
	assert_string_equal(diary, "GiIEdg");
}

/* The host's interrupt comes with the guest's STI: the window is open, though no VMEXIT_VINTR says so. */
static void host_interrupt_before_the_window(void **state)
{
	next_code = VMEXIT_INTR;
	vcpu->requests = 0;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->requests, 0);
	vcpu->events.irq_window = true;
	svm_vcpu_run(vcpu, false);
	assert_int_equal(vcpu->requests, REQ_EVENT);
}

/* No emulator intercepts #MC. The snapshot is taken before, and interrupts are served after. */
static void intercepted_machine_check(void **state)
{
	next_code = VMEXIT_EXCEPTION + X86_MC;
	assert_int_equal(svm_vcpu_run(vcpu, false), EXIT_FASTPATH_NONE);
	assert_string_equal(diary, "GiEdgM");
	assert_int_equal(reason_at_machine_check, 0x52);
}

/* Both forms of -1. EXITINTINFO is of an earlier exit then. */
static void refused_entry(void **state)
{
	static const u64 codes[] = { ~0ull, 0xffffffff };

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		setup(state);
		vcpu->regs[REG_RIP] = 0x1234;
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
	assert_true(vcpu->requests & REQ_EVENT);	/* without it nobody would look at the event */
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

static void stale_exitintinfo_is_ignored(void **state)
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
		cmocka_unit_test_setup(the_snapshot_is_of_this_exit, setup),
		cmocka_unit_test_setup(rax_comes_from_the_vmcb, setup),
		cmocka_unit_test_setup(changed_registers_are_stored, setup),
		cmocka_unit_test_setup(cpuid_takes_the_fast_path, setup),
		cmocka_unit_test_setup(cpuid_is_answered_again, setup),
		cmocka_unit_test_setup(rdmsr_of_a_cached_value_takes_the_fast_path, setup),
		cmocka_unit_test_setup(a_hypercall_takes_the_fast_path, setup),
		cmocka_unit_test_setup(known_hypercalls_do_not_take_the_fast_path, setup),
		cmocka_unit_test_setup(without_a_hypervisor_no_hypercall_takes_the_fast_path, setup),
		cmocka_unit_test_setup(each_fast_path_has_its_conditions, setup),
		cmocka_unit_test_setup(other_msr_accesses_need_the_hosts_state, setup),
		cmocka_unit_test_setup(without_next_rip_save_the_bytes_decide, setup),
		cmocka_unit_test_setup(what_changes_more_than_rip_takes_the_slow_path, setup),
		cmocka_unit_test_setup(handlers_run_within_the_stub, setup),
		cmocka_unit_test_setup(an_event_may_be_injected_within_the_stub, setup),
		cmocka_unit_test_setup(host_interrupts_are_served_within_the_stub, setup),
		cmocka_unit_test_setup(with_other_requests_the_loop_serves_host_interrupts, setup),
		cmocka_unit_test_setup(an_msr_is_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(a_refused_msr_access_raises_gp, setup),
		cmocka_unit_test_setup(memory_is_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(other_accesses_to_memory_go_to_the_handler, setup),
		cmocka_unit_test_setup(a_port_is_written_within_the_stub, setup),
		cmocka_unit_test_setup(a_string_goes_to_the_port_within_the_stub, setup),
		cmocka_unit_test_setup(other_strings_go_to_their_handler, setup),
		cmocka_unit_test_setup(a_port_is_read_within_the_stub, setup),
		cmocka_unit_test_setup(other_ports_are_accessed_within_the_stub, setup),
		cmocka_unit_test_setup(what_the_device_asks_for_is_served_by_the_loop, setup),
		cmocka_unit_test_setup(an_event_is_chosen_by_the_guests_tpr, setup),
		cmocka_unit_test_setup(other_port_exits_go_to_their_handler, setup),
		cmocka_unit_test_setup(a_handler_within_the_stub_is_as_one_outside, setup),
		cmocka_unit_test_setup(host_events_leave_the_stub, setup),
		cmocka_unit_test_setup(forced_exit, setup),
		cmocka_unit_test_setup(host_interrupt_before_the_window, setup),
		cmocka_unit_test_setup(intercepted_machine_check, setup),
		cmocka_unit_test_setup(refused_entry, setup),
		cmocka_unit_test_setup(interrupted_delivery_is_recovered, setup),
		cmocka_unit_test_setup(interrupted_instructions_run_again, setup),
		cmocka_unit_test_setup(stale_exitintinfo_is_ignored, setup),
		cmocka_unit_test_setup(injection_format, setup),
		cmocka_unit_test_setup(iret_unblocks_nmis_when_it_has_run, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
