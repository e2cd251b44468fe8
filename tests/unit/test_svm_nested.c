/* SPDX-License-Identifier: MIT */
/*
 * A vCPU with two levels: what VMRUN, #VMEXIT, INIT and a change of the CPU leave in the two VMCBs, and the events that
 * must not get lost. AMD APM vol. 2, "VMRUN Instruction", "#VMEXIT", "VMCB State Caching", "Event Injection", "INIT
 * Support".
 */
/* link: core/nested.c core/cpu/tlb_id.c svm/nested/state.c svm/nested/entry.c svm/nested/events.c svm/nested/exit.c */
/* link: svm/nested/control.c svm/nested/vmcb12.c svm/events.c svm/state.c svm/switch.c svm/vcpu.c svm/apic.c */
/* link: tests/unit/fake_cpu.c */
#include "fake_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/speculation.h"
#include "core/emulate/emulate.h"
#include "core/exit.h"
#include "core/mem/guest_mem.h"
#include "core/mem/shadow.h"
#include "core/startup.h"
#include "svm/nested/nested.h"

bool capability_hides_apic;

#define VMCB12 0x5000ull

struct cpu_features cpu_features = { .linear_address_bits = 48 };
struct svm_features svm_features = { .asids = 8, .nrip_save = true, .flush_by_asid = true };

static struct percpu cpus[2], *cpu;
static const struct vm_config config = { .nested = NESTED_ON };
static struct svm_vm maps;
static struct vcpu_ops ops, l2_ops;
static struct vm vm;
static struct vcpu_svm *svm;
static struct vcpu *vcpu;
static struct vmcb *vmcb12;		/* in L1's RAM */
static struct vmcb *vmcb01;
static u64 entered_with;		/* EVENTINJ of the last entry */
static struct insn insn;		/* at L2's RIP */
static unsigned executed;
static u64 exit_int_info, exit_next_rip;	/* of the next exit */

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return cpu; }
void panic(const char *format, ...) { fail_msg("panic: %s", format); __builtin_unreachable(); }

void *pages_alloc(unsigned order)
{
	void *memory = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);

	memset(memory, 0, PAGE_SIZE << order);
	return memory;
}

void *page_alloc(void) { return pages_alloc(0); }
void pages_free(void *memory, unsigned order) { free(memory); }
void page_free(void *page) { free(page); }
void fpu_save(struct fpu_state *of) { }
void fpu_restore(const struct fpu_state *of) { }
void fpu_restore_initial(struct fpu_state *of) { }
unsigned fpu_image_order(void) { return 0; }
void fpu_state_init(struct fpu_state *of, void *image) { of->image = image; }
void speculation_switch_vm(struct percpu *on, u32 vm_id) { }
bool speculation_off(void) { return true; }
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return (struct cpuid_regs){ 0 }; }
u8 cpuid_physical_bits(const struct vcpu *of) { return 40; }
void shadow_destroy(struct shadow *shadow) { }
bool vm_once(struct vm *of, enum once_kind kind, u64 value) { return false; }
const char *vm_name(const struct vm *of) { return ""; }
void log_line(enum log_level level, const char *prefix, const char *format, ...) { }

void *guest_ptr(const struct vm *of, gpa_t gpa, u64 size)
{
	assert_int_equal(gpa, VMCB12);
	return vmcb12;
}

int guest_read(const struct vm *of, gpa_t gpa, void *to, u64 size) { return -EFAULT; }
bool event_inject(struct vcpu *of) { return false; }
bool (*event_chooser(const struct vm *of))(struct vcpu *vcpu) { return event_inject; }
bool event_wakes(struct vcpu *of) { return false; }
void event_raise_debug(struct vcpu *of, u64 bits) { fail(); }
void exit_triple_fault(struct vcpu *of) { fail(); }
void exit_invalid_opcode(struct vcpu *of) { fail(); }
void exit_cr_instruction(struct vcpu *of, const struct insn *instruction) { executed++; }
int emulate_fetch(struct vcpu *of, struct insn *to) { *to = insn; return 0; }
int emulate_peek(struct vcpu *of, struct insn *to) { *to = insn; return 0; }
void halt_for_good(struct vcpu *of) { fail(); }

/* --- the rest of svm/ --- */

void nsvm_forget_asid(struct vcpu_svm *of, u32 asid) { of->nested->flush = true; }
void nsvm_handle_npf(struct vcpu *of) { fail(); }
bool nsvm_intercepts_io(struct vcpu *of) { return false; }
bool nsvm_intercepts_msr(struct vcpu *of) { return false; }
void nsvm_merge_msrpm(struct vcpu *of) { }
int nsvm_paging_create(struct vm *of, struct vcpu_svm *for_vcpu) { return 0; }
void nsvm_paging_enter(struct vcpu *of) { }
void nsvm_paging_flush(struct vcpu_svm *of) { }
void svm_dump(struct vcpu *of) { }
void svm_explain_failure(struct vcpu *of) { }
void svm_end_step(struct vcpu *of) { fail(); }
void svm_handle_exit(struct vcpu *of) { fail(); }
void svm_nmi_window(struct vcpu *of, bool on) { }

/* L0's own exit, such as one that fills a shadow table. */
enum exit_fastpath svm_vcpu_run(struct vcpu *of, bool force_immediate_exit)
{
	struct vmcb_control *control = &svm->vmcb->control;

	entered_with = control->event_injection;
	control->exit_code = VMEXIT_NPF;
	control->exit_int_info = exit_int_info;
	control->next_rip = exit_next_rip;
	svm_entered(svm->vmcb);
	svm_events_after_exit(vcpu);
	return EXIT_FASTPATH_NONE;
}

/* --- */

static void load_on(unsigned number)
{
	if (vcpu->cpu) {
		svm_vcpu_put(vcpu);
		svm_vcpu_release(vcpu);
	}
	vcpu->cpu = cpu = &cpus[number];
	svm_vcpu_load(vcpu);
}

static int set_up(void **state)
{
	memset(cpus, 0, sizeof(cpus));
	cpu = &cpus[0];
	ops = l2_ops = (struct vcpu_ops){ .reg_fetch = svm_reg_fetch, .control_get = svm_control_get };
	vm = (struct vm){ .config = &config, .vendor = &maps, .ops = &ops, .l2_ops = &l2_ops };
	vcpu = svm_vcpu_create(&vm);
	svm = to_svm(vcpu);
	vcpu->ops = vm.ops;
	vmcb01 = svm->vmcb;
	vmcb12 = page_alloc();
	exit_int_info = exit_next_rip = 0;
	return 0;
}

static void power_up(void)
{
	load_on(0);
	svm_vcpu_reset(vcpu, false);
	vcpu->requests = 0;
	svm->nested->vmcb12_gpa = VMCB12;
	svm->nested->vmcb12 = (struct vmcb){ .control.intercept_misc2 = INTERCEPT_VMRUN, .control.asid = 1,
					     .save.efer = EFER_SVME };
}

static int tear_down(void **state)
{
	svm_vcpu_release(vcpu);
	svm_vcpu_destroy(vcpu);
	free(vmcb12);
	return 0;
}

static void run(void)
{
	vcpu->requests = 0;
	nsvm_vcpu_run(vcpu, false);
}

/* Clean bits speak of what one processor has kept: those of another one are worth nothing, at either level. */
static void both_vmcbs_are_read_again_on_another_cpu(void **state)
{
	power_up();
	vmcb01->control.clean = CLEAN_ALL;	/* L1's VMRUN has exited */
	nsvm_enter(vcpu);
	run();
	assert_int_equal(svm->vmcb->control.clean, CLEAN_ALL);
	load_on(1);
	assert_int_equal(svm->vmcb->control.clean, 0);
	nsvm_exit_event(vcpu, VMEXIT_INTR);
	assert_ptr_equal(svm->vmcb, vmcb01);
	assert_int_equal(vmcb01->control.clean, 0);

	/* And the other way round: L1 moves, with L2's VMCB parked. */
	nsvm_enter(vcpu);
	run();
	nsvm_exit_event(vcpu, VMEXIT_INTR);
	load_on(0);
	assert_int_equal(svm->nested->parked[LEVEL_L2].vmcb->control.clean, 0);
}

/* An ASID belongs to its CPU and generation: INIT may not bring back one that another vCPU has by now. */
static void init_during_l2_gives_l1_an_asid_of_this_cpu(void **state)
{
	struct tlb_id others = { 0 };

	power_up();
	nsvm_enter(vcpu);
	tlb_id_restart(cpu);
	tlb_id_assign(&others, cpu, svm_features.asids);
	assert_int_equal(others.id, 1);
	load_on(0);
	svm_vcpu_reset(vcpu, true);
	assert_ptr_equal(svm->vmcb, vmcb01);
	assert_int_equal(svm->tlb_id.generation, cpu->tlb_id_generation);
	assert_int_equal(svm->tlb_id.id, vmcb01->control.asid);
	assert_int_not_equal(vmcb01->control.asid, others.id);
}

static void expect_reinjection(u64 event, enum event_type type)
{
	svm->nested->vmcb12.control.event_injection = event;
	svm->nested->vmcb12.control.next_rip = 0x1002;
	nsvm_enter(vcpu);
	assert_int_equal(vcpu->events.reinject.type, type);
	svm->vmcb->control.event_injection = event;
	exit_int_info = event;
	run();
	assert_int_equal(entered_with, event);
	assert_int_equal(vcpu->events.reinject.type, type);
	assert_int_equal(vcpu->events.reinject.vector, (u8)event);
	assert_int_equal(svm->vmcb->control.next_rip, 0x1002);
	assert_true(vcpu->requests & REQ_EVENT);

	/* It is delivered, and some later exit has nothing to do with it. */
	svm->vmcb->control.event_injection = event;
	exit_int_info = 0;
	run();
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	nsvm_exit_event(vcpu, VMEXIT_INTR);
}

/* INT 80h, #BP and #OF of L1's EVENTINJ: no instruction of L2's would raise them again. */
static void software_events_of_l1_survive_an_exit_of_lamina(void **state)
{
	power_up();
	expect_reinjection(EVENT_VALID | EVENT_TYPE_BITS(VMCB_EVENT_SOFT) | 0x80, EVENT_SOFT_INTERRUPT);
	expect_reinjection(EVENT_VALID | EVENT_TYPE_BITS(VMCB_EVENT_EXCEPTION) | X86_BP, EVENT_EXCEPTION);
	expect_reinjection(EVENT_VALID | EVENT_TYPE_BITS(VMCB_EVENT_EXCEPTION) | X86_OF, EVENT_EXCEPTION);
}

/* L2's own INT n is at RIP, and comes again by itself. */
static void software_events_of_l2_are_left_to_its_instruction(void **state)
{
	power_up();
	nsvm_enter(vcpu);
	exit_int_info = EVENT_VALID | EVENT_TYPE_BITS(VMCB_EVENT_SOFT) | 0x80;
	run();
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
}

static void l1_intercepts_invpcid_and_nothing_else_of_its_word(void **state)
{
	power_up();
	svm->nested->vmcb12.control.intercept_misc3 = ~0u;
	nsvm_enter(vcpu);
	run();
	assert_int_equal(svm->vmcb->control.intercept_misc3, BIT(2));
}

/* MOV from CR4 exits for Lamina; then another CPU writes what L1 intercepts there, or what it does not. */
static void code_that_changes_gets_past_no_intercept_of_l1(void **state)
{
	static const struct insn mov_to_cr3 = { .map = INSN_MAP_0F, .opcode = 0x22, .modrm_reg = 3 };
	static const struct insn mov_to_cr0 = { .map = INSN_MAP_0F, .opcode = 0x22, .modrm_reg = 0 };
	static const struct insn mov_from_cr4 = { .map = INSN_MAP_0F, .opcode = 0x20, .modrm_reg = 4 };
	const u64 rax = CR0_PE | CR0_ET;

	power_up();
	svm->nested->vmcb12.control.intercept_cr = INTERCEPT_CR_WRITE(3);
	svm->nested->vmcb12.control.intercept_misc1 = INTERCEPT_CR0_SEL_WRITE;
	nsvm_enter(vcpu);
	vcpu->exit_reason = VMEXIT_CR_READ + 4;
	executed = 0;
	insn = mov_to_cr3;
	nsvm_handle_exit(vcpu);
	assert_int_equal(executed, 0);
	vcpu->regs[REG_RAX] = rax;
	insn = mov_to_cr0;
	nsvm_handle_exit(vcpu);
	assert_int_equal(executed, 0);
	/* TS alone is not selected. */
	vcpu->regs[REG_RAX] = svm_control_get(vcpu, CTL_CR0) ^ CR0_TS;
	nsvm_handle_exit(vcpu);
	assert_int_equal(executed, 1);
	insn = mov_from_cr4;
	nsvm_handle_exit(vcpu);
	assert_int_equal(executed, 2);
	assert_true(vcpu->l2_runs);
}

static void init_wakes_l1_where_l2_has_halted(void **state)
{
	power_up();
	svm->nested->vmcb12.control.intercept_misc1 = INTERCEPT_INIT;
	nsvm_enter(vcpu);
	vcpu->activity = VCPU_HALTED;
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_WAITS);
	assert_false(vcpu->l2_runs);
	assert_int_equal(vcpu->activity, VCPU_RUNNING);
	assert_int_equal(vmcb12->control.exit_code, VMEXIT_INIT);
}

/* VMRUN sets GIF as STGI does. */
static void vmrun_looks_at_an_init_that_waits(void **state)
{
	power_up();
	nsvm_set_gif(vcpu, false);
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_WAITS);
	vcpu->requests = 0;
	nsvm_enter(vcpu);
	assert_true(vcpu->requests & REQ_STARTUP);
	assert_int_equal(nsvm_init(vcpu), NESTED_INIT_RESETS);
}

/* "Pause Intercept Filtering": L1's, if L1 is offered one. */
static void l1_s_pause_filter_is_the_processor_s(void **state)
{
	power_up();
	svm->nested->vmcb12.control.intercept_misc1 = INTERCEPT_PAUSE;
	svm->nested->vmcb12.control.pause_count = 1000;
	svm->nested->vmcb12.control.pause_threshold = 50;
	nsvm_enter(vcpu);
	assert_int_equal(svm->vmcb->control.pause_count, 0);
	nsvm_exit_event(vcpu, VMEXIT_INTR);
	svm_features.pause_filter = true;
	nsvm_enter(vcpu);
	assert_int_equal(svm->vmcb->control.pause_count, 1000);
	assert_int_equal(svm->vmcb->control.pause_threshold, 0);
	nsvm_exit_event(vcpu, VMEXIT_INTR);
	svm_features.pause_threshold = true;
	nsvm_enter(vcpu);
	assert_int_equal(svm->vmcb->control.pause_threshold, 50);
	svm_features.pause_filter = svm_features.pause_threshold = false;
}

/* "Decode Assists": the bytes are those of the exit that L1 gets, or there are none. */
static void l1_gets_the_bytes_that_the_processor_has_fetched(void **state)
{
	power_up();
	svm_features.decode_assists = true;
	svm->nested->vmcb12.control.intercept_exceptions = BIT(X86_PF);
	nsvm_enter(vcpu);
	svm->vmcb->control.exit_code = vcpu->exit_reason = VMEXIT_EXCEPTION + X86_PF;
	svm->vmcb->control.fetched_length = 15;
	memset(svm->vmcb->control.fetched, 0x90, 15);
	nsvm_handle_exit(vcpu);
	assert_int_equal(vmcb12->control.exit_code, VMEXIT_EXCEPTION + X86_PF);
	assert_int_equal(vmcb12->control.fetched_length, 15);
	assert_memory_equal(vmcb12->control.fetched, svm->nested->parked[LEVEL_L2].vmcb->control.fetched, 15);
	nsvm_enter(vcpu);
	nsvm_exit_event(vcpu, VMEXIT_INTR);
	assert_int_equal(vmcb12->control.fetched_length, 0);
	svm_features.decode_assists = false;
}

#define TEST(name) { #name, fake_cpu_run_test, set_up, tear_down, (void *)(name) }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(both_vmcbs_are_read_again_on_another_cpu),
		TEST(l1_s_pause_filter_is_the_processor_s),
		TEST(l1_gets_the_bytes_that_the_processor_has_fetched),
		TEST(init_during_l2_gives_l1_an_asid_of_this_cpu),
		TEST(software_events_of_l1_survive_an_exit_of_lamina),
		TEST(software_events_of_l2_are_left_to_its_instruction),
		TEST(l1_intercepts_invpcid_and_nothing_else_of_its_word),
		TEST(code_that_changes_gets_past_no_intercept_of_l1),
		TEST(init_wakes_l1_where_l2_has_halted),
		TEST(vmrun_looks_at_an_init_that_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
