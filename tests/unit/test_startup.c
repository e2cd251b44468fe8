/* SPDX-License-Identifier: MIT */
/*
 * INIT, start-up IPIs, NMIs and HLT between processors. Intel SDM, "MP Initialization Protocol Algorithm for MP
 * Systems", "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT".
 */
/* link: core/startup.c core/vcpu.c core/event.c */
/* cflags: -DVM_MAX_VCPUS=3 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/x86.h"
#include "core/cpu/msr.h"
#include "core/exit.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vcpu.h"
#include "core/vm.h"

static struct vm vm;
static struct vcpu vcpus[3];
static struct { unsigned resets, inits, msr_inits, lapic_inits, kicks; struct segment cs; } done[3];
static unsigned ends;
static int waiting;	/* what the local APICs have pending */

/* --- what the code under test calls --- */

void vcpu_kick(struct vcpu *vcpu, enum vcpu_request request)
{
	/* Nobody may look before the state is complete. */
	assert_int_not_equal(vm.signal_lock.next, vm.signal_lock.served);
	done[vcpu->id].kicks++;
	vcpu_request(vcpu, request);
}

void vm_end(struct vm *of, enum vm_end end, const char *format, ...)
{
	assert_int_equal(vm.signal_lock.next, vm.signal_lock.served);
	if (vm.end == VM_END_NONE)
		vm.end = end;
	ends++;
}

struct vcpu *vm_bsp(struct vm *of) { return of->vcpus[0]; }

void msr_reset(struct vcpu *vcpu, bool init) { done[vcpu->id].msr_inits += init; }

static void vendor_reset(struct vcpu *vcpu, bool init)
{
	done[vcpu->id].resets++;
	done[vcpu->id].inits += init;
	done[vcpu->id].cs = (struct segment){ .selector = 0xf000, .base = 0xffff0000, .limit = 0xffff, .type = 11 };
	vcpu->regs[REG_RIP] = 0xfff0;
	vcpu->regs_available = REGS_LAZY;
}

static void lapic_reset(struct vcpu *vcpu, bool init) { done[vcpu->id].lapic_inits += init; }
static int pending(void *vlapic) { return waiting; }
static void tsc_offset_changed(struct vcpu *vcpu) { }
static void segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *s) { *s = done[vcpu->id].cs; }
static void segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *s)
{
	assert_int_equal(index, SEG_CS);
	done[vcpu->id].cs = *s;
}

static bool nmi_is_blocked;
static u64 no_control(struct vcpu *vcpu, enum vcpu_control control) { return 0; }

static unsigned dumps;

static void dump(struct vcpu *vcpu)
{
	assert_int_equal(vm.end, VM_END_NONE);
	assert_int_equal(vm.signal_lock.next, vm.signal_lock.served);
	dumps++;
}

static const struct vcpu_ops ops = {
	.dump = dump,
	.vcpu_reset = vendor_reset, .tsc_offset_changed = tsc_offset_changed, .segment_get = segment_get,
	.segment_set = segment_set, .control_get = no_control,
};
static u32 nmi_to;	/* bit n: a device may send vCPU n an NMI */
static bool nmi_may_come(struct vcpu *vcpu)
{
	assert_int_equal(vm.signal_lock.next, vm.signal_lock.served);	/* the VM lock comes before it */
	return nmi_to & BIT(vcpu->id);
}

static const struct irqchip_ops irqchip = {
	.vcpu_reset = lapic_reset, .pending = pending, .wakes = pending, .nmi_may_come = nmi_may_come,
};

static int set_up_with(u32 count)
{
	memset(&vm, 0, sizeof(vm));
	memset(vcpus, 0, sizeof(vcpus));
	memset(done, 0, sizeof(done));
	ends = 0;
	waiting = -1;
	nmi_is_blocked = false;
	nmi_to = 0;
	vm.irqchip = &irqchip;
	vm.vcpu_count = count;
	vm.start_tsc = 700;
	for (u32 i = 0; i < count; i++) {
		vm.vcpus[i] = &vcpus[i];
		vcpus[i].vm = &vm;
		vcpus[i].ops = &ops;
		vcpus[i].id = i;
	}
	for (u32 i = 0; i < count; i++)
		vcpu_reset(&vcpus[i], false);
	return 0;
}

static int set_up(void **state) { return set_up_with(3); }
static int set_up_one(void **state) { return set_up_with(1); }

/* What the loop does with a vCPU that was kicked. */
static void serve(struct vcpu *vcpu)
{
	u32 requests = __atomic_fetch_and(&vcpu->requests, ~(REQ_STARTUP | REQ_NMIS | REQ_EVENT | REQ_FLUSH_TLB), __ATOMIC_SEQ_CST);

	if ((requests & REQ_STARTUP) && startup_serve(vcpu))
		requests &= ~REQ_NMIS;
	if (requests & REQ_NMI)
		event_queue_nmi(vcpu);
	if (requests & REQ_NMI_AGAIN)
		event_queue_nmi(vcpu);
	if (vcpu->activity == VCPU_HALTED && event_wakes(vcpu))
		vcpu->activity = VCPU_RUNNING;
}

/* HLT, as exit_hlt() does it. */
static void halt(struct vcpu *vcpu, bool interrupts)
{
	vcpu->halt_if = interrupts;
	vcpu->halt_nmi = !nmi_is_blocked;
	vcpu->activity = VCPU_HALTED;
	if (!interrupts && !event_wakes(vcpu))
		halt_for_good(vcpu);
	else if (event_wakes(vcpu))
		vcpu->activity = VCPU_RUNNING;
}

static void start_all(void)
{
	for (u32 i = 1; i < vm.vcpu_count; i++) {
		vcpu_raise_startup(&vcpus[i], 0x10);
		serve(&vcpus[i]);
		assert_int_equal(vcpus[i].activity, VCPU_RUNNING);
	}
}

/* --- power-up and INIT --- */

static void after_power_up_the_others_wait(void **state)
{
	assert_int_equal(vcpus[0].activity, VCPU_RUNNING);
	assert_int_equal(STARTUP_STATE(vcpus[0].startup), STARTUP_RUNNING);
	for (u32 i = 1; i < 3; i++) {
		assert_int_equal(vcpus[i].activity, VCPU_WAIT_FOR_SIPI);
		assert_int_equal(STARTUP_STATE(vcpus[i].startup), STARTUP_WAIT);
		assert_int_equal(vcpus[i].tsc_offset, vcpus[0].tsc_offset);
	}
	assert_int_equal(vcpus[0].tsc_offset, -700ull);
}

/* The table of the manual: TSC, MTRRs, MSRs and machine-check MSRs are unchanged by INIT. */
static void init_keeps_what_power_up_resets(void **state)
{
	struct vcpu *v = &vcpus[1];

	start_all();
	v->tsc_adjust = 5;
	v->tsc_offset = 9;
	v->machine_check.mcg_status = 4;
	v->events.nmi_pending = 2;
	v->events.exception.type = EVENT_EXCEPTION;
	v->events.reinject.type = EVENT_INTERRUPT;
	v->unhalted = true;
	vcpu_raise_init(v);
	serve(v);
	assert_int_equal(done[1].inits, 1);
	assert_int_equal(done[1].msr_inits, 1);
	assert_int_equal(done[1].lapic_inits, 1);
	assert_int_equal(v->tsc_adjust, 5);
	assert_int_equal(v->tsc_offset, 9);
	assert_int_equal(v->machine_check.mcg_status, 4);
	assert_int_equal(v->events.nmi_pending, 0);
	assert_int_equal(v->events.exception.type, EVENT_NONE);
	assert_int_equal(v->events.reinject.type, EVENT_NONE);
	assert_false(v->unhalted);
	assert_int_equal(v->activity, VCPU_WAIT_FOR_SIPI);
	assert_true(v->requests & REQ_FLUSH_TLB);
	vcpu_reset(v, false);
	assert_int_equal(v->tsc_adjust, 0);
	assert_int_equal(v->tsc_offset, -700ull);
	assert_int_equal(v->machine_check.mcg_status, 0);
}

static void init_to_the_boot_processor_ends_the_vm(void **state)
{
	vcpu_raise_init(&vcpus[0]);
	assert_int_equal(vm.end, VM_END_RESET);
	assert_int_equal(done[0].kicks, 0);
}

/* --- INIT and SIPI in order --- */

static void a_startup_ipi_starts_in_real_mode(void **state)
{
	vcpu_raise_startup(&vcpus[1], 0x9a);
	assert_int_equal(done[1].kicks, 1);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_RUNNING);
	assert_int_equal(done[1].cs.selector, 0x9a00);
	assert_int_equal(done[1].cs.base, 0x9a000);
	assert_int_equal(done[1].cs.limit, 0xffff);
	assert_int_equal(vcpu_reg_read(&vcpus[1], REG_RIP), 0);
	assert_int_equal(done[1].inits, 0);	/* it was in its power-up state */
	/* The second one of the protocol changes nothing. */
	vcpu_raise_startup(&vcpus[1], 0x77);
	serve(&vcpus[1]);
	assert_int_equal(done[1].cs.selector, 0x9a00);
	assert_int_equal(done[1].kicks, 1);
}

/* INIT, SIPI, SIPI before the home CPU has looked once. */
static void init_and_startup_together_keep_their_order(void **state)
{
	struct vcpu *v = &vcpus[1];

	start_all();
	for (unsigned i = 0; i < 3; i++) {
		vcpu_raise_init(v);
		vcpu_raise_startup(v, (u8)(0x20 + i));
		vcpu_raise_startup(v, 0x77);
		serve(v);
		assert_int_equal(done[1].inits, i + 1);
		assert_int_equal(v->activity, VCPU_RUNNING);
		assert_int_equal(done[1].cs.selector, (0x20 + i) << 8);
	}
	/* SIPI, then INIT: it waits again. */
	vcpu_raise_init(v);
	vcpu_raise_startup(v, 0x30);
	vcpu_raise_init(v);
	serve(v);
	assert_int_equal(v->activity, VCPU_WAIT_FOR_SIPI);
	assert_int_equal(STARTUP_STATE(v->startup), STARTUP_WAIT);
	vcpu_raise_startup(v, 0x31);
	serve(v);
	assert_int_equal(done[1].cs.selector, 0x3100);
}

/* --- guests that are hypervisors --- */

static enum nested_init hypervisor_says;

static enum nested_init nested_init(struct vcpu *vcpu)
{
	/* It may make an exit. */
	assert_int_equal(vm.signal_lock.next, vm.signal_lock.served);
	return hypervisor_says;
}

static const struct vcpu_ops hypervisor_ops = {
	.dump = dump,
	.vcpu_reset = vendor_reset, .tsc_offset_changed = tsc_offset_changed, .segment_get = segment_get,
	.segment_set = segment_set, .control_get = no_control, .nested_init = nested_init,
};

static void hypervisor(struct vcpu *vcpu)
{
	vm.l2_ops = vcpu->ops = &hypervisor_ops;
}

/* SDM, "INIT in VMX Operation": it stays pending; the start-up IPI after it is lost, as the processor does not wait. */
static void a_hypervisor_holds_init_back(void **state)
{
	struct vcpu *v = &vcpus[1];

	start_all();
	hypervisor(v);
	hypervisor_says = NESTED_INIT_WAITS;
	vcpu_raise_init(v);
	vcpu_raise_startup(v, 0x30);
	serve(v);
	vcpu_raise_startup(v, 0x31);
	serve(v);
	assert_int_equal(done[1].inits, 0);
	assert_int_equal(v->activity, VCPU_RUNNING);
	/* VMXOFF */
	hypervisor_says = NESTED_INIT_RESETS;
	vcpu_request(v, REQ_STARTUP);
	serve(v);
	assert_int_equal(done[1].inits, 1);
	assert_int_equal(v->activity, VCPU_WAIT_FOR_SIPI);
	vcpu_raise_startup(v, 0x32);
	serve(v);
	assert_int_equal(done[1].cs.selector, 0x3200);
}

/* Meanwhile NMIs arrive. Where INIT resets the vCPU after all, they are discarded, as it has no IDT then. */
static void nmis_while_init_is_held_back(void **state)
{
	struct vcpu *v = &vcpus[1];

	start_all();
	hypervisor(v);
	hypervisor_says = NESTED_INIT_WAITS;
	vcpu_raise_init(v);
	vcpu_raise_nmi(v);			/* before it is looked at, */
	vcpu_raise_startup(v, 0x30);
	v->events.nmi_pending = 0;
	serve(v);
	assert_int_equal(v->events.nmi_pending, 1);
	vcpu_raise_nmi(v);			/* while it waits, */
	assert_true(v->requests & REQ_STARTUP);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 2);
	v->events.nmi_pending = 0;
	vcpu_raise_nmi(v);			/* and when it does not wait any longer */
	hypervisor_says = NESTED_INIT_RESETS;
	serve(v);
	assert_int_equal(done[1].inits, 1);
	assert_int_equal(v->events.nmi_pending, 0);
	vcpu_raise_startup(v, 0x31);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 0);
}

static void init_exits_to_a_hypervisor(void **state)
{
	struct vcpu *v = &vcpus[1];

	start_all();
	hypervisor(v);
	hypervisor_says = NESTED_INIT_EXITS;
	vcpu_raise_init(v);
	vcpu_raise_startup(v, 0x30);
	serve(v);
	hypervisor_says = NESTED_INIT_RESETS;
	vcpu_request(v, REQ_STARTUP);
	serve(v);
	assert_int_equal(done[1].inits, 0);
	assert_int_equal(v->activity, VCPU_RUNNING);
	vcpu_raise_init(v);
	serve(v);
	assert_int_equal(done[1].inits, 1);
}

static void a_running_processor_ignores_startup_ipis(void **state)
{
	vcpu_raise_startup(&vcpus[0], 0x10);
	assert_int_equal(done[0].kicks, 0);
	assert_false(startup_serve(&vcpus[0]));
	assert_int_equal(done[0].resets, 1);
}

/* --- NMIs --- */

static void an_nmi_before_the_startup_ipi_is_lost(void **state)
{
	struct vcpu *v = &vcpus[1];

	vcpu_raise_nmi(v);
	assert_int_equal(done[1].kicks, 0);
	vcpu_raise_startup(v, 0x10);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 0);
	/* And so is one before the INIT. */
	vcpu_raise_nmi(v);
	vcpu_raise_init(v);
	vcpu_raise_nmi(v);
	vcpu_raise_startup(v, 0x10);
	serve(v);
	assert_int_equal(v->activity, VCPU_RUNNING);
	assert_int_equal(v->events.nmi_pending, 0);
}

static void an_nmi_after_the_startup_ipi_is_delivered(void **state)
{
	struct vcpu *v = &vcpus[1];

	vcpu_raise_init(v);
	vcpu_raise_startup(v, 0x10);
	vcpu_raise_nmi(v);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 1);
	vcpu_raise_nmi(v);
	assert_true(v->requests & REQ_NMI);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 2);
}

/* SDM, "Handling Multiple NMIs": while one is handled another one is latched. So two that come together are two. */
static void two_nmis_at_once_are_two(void **state)
{
	struct vcpu *v = &vcpus[0];

	vcpu_raise_nmi(v);
	vcpu_raise_nmi(v);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 2);
	v->events.nmi_pending = 0;
	serve(v);
	assert_int_equal(v->events.nmi_pending, 0);
	vcpu_raise_nmi(v);
	vcpu_raise_nmi(v);
	vcpu_raise_nmi(v);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 2);
}

/* The home CPU takes the first one while the second one is sent. */
static void an_nmi_is_not_counted_twice(void **state)
{
	struct vcpu *v = &vcpus[0];

	vcpu_raise_nmi(v);
	v->requests |= REQ_NMI_AGAIN;
	v->requests &= ~(u32)REQ_NMI;
	event_queue_nmi(v);
	serve(v);
	assert_int_equal(v->events.nmi_pending, 2);
	v->events.nmi_pending = 0;
	serve(v);
	assert_int_equal(v->events.nmi_pending, 0);
}

/* --- halted for good --- */

static void the_only_processor_that_halts_ends_the_vm(void **state)
{
	halt(&vcpus[0], true);
	assert_int_equal(ends, 0);
	halt(&vcpus[0], false);
	assert_int_equal(dumps, 1);	/* registers, before the line that says how it ended */
	assert_int_equal(vm.end, VM_END_HALTED);
}

static void processors_that_never_started_can_wake_nobody(void **state)
{
	halt(&vcpus[0], false);
	assert_int_equal(vm.end, VM_END_HALTED);
}

static void the_vm_ends_with_the_last_processor(void **state)
{
	start_all();
	halt(&vcpus[0], false);
	halt(&vcpus[2], false);
	assert_int_equal(ends, 0);
	halt(&vcpus[1], true);		/* interrupts wake it */
	assert_int_equal(ends, 0);
	halt(&vcpus[1], false);
	assert_int_equal(vm.end, VM_END_HALTED);
}

/* SDM, "HLT": an NMI resumes execution, whatever IF is; not while the one before is in service: "Handling Multiple NMIs". */
static void a_processor_that_a_device_may_send_an_nmi_is_not_dead(void **state)
{
	nmi_to = BIT(0);
	halt(&vcpus[0], false);
	assert_int_equal(ends, 0);
	nmi_is_blocked = true;
	halt(&vcpus[0], false);
	assert_int_equal(vm.end, VM_END_HALTED);
}

static void nor_are_the_others(void **state)
{
	start_all();
	nmi_to = BIT(2);
	halt(&vcpus[0], false);
	halt(&vcpus[2], false);
	halt(&vcpus[1], false);
	assert_int_equal(ends, 0);
	/* The NMI comes, its handler halts: now nothing is left. */
	vcpu_raise_nmi(&vcpus[2]);
	serve(&vcpus[2]);
	assert_int_equal(vcpus[2].activity, VCPU_RUNNING);
	nmi_is_blocked = true;
	halt(&vcpus[2], false);
	assert_int_equal(ends, 1);
}

/* It discards NMIs. */
static void a_processor_that_never_started_is_woken_by_no_nmi(void **state)
{
	nmi_to = BIT(1);
	halt(&vcpus[0], false);
	assert_int_equal(vm.end, VM_END_HALTED);
}

/* Who has been sent a signal is not dead, whether it has looked or not. */
static void a_signal_keeps_the_vm_alive(void **state)
{
	start_all();
	halt(&vcpus[1], false);
	halt(&vcpus[2], false);
	vcpu_raise_nmi(&vcpus[1]);
	halt(&vcpus[0], false);
	assert_int_equal(ends, 0);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_RUNNING);
	vcpus[1].events.nmi_pending = 0;
	vcpu_raise_init(&vcpus[2]);
	halt(&vcpus[1], false);
	assert_int_equal(ends, 0);
	serve(&vcpus[2]);	/* waits for a start-up IPI that nobody can send */
	assert_int_equal(vm.end, VM_END_HALTED);
}

/* In its NMI handler it takes no further NMI: that one is no reason to wait. */
static void a_blocked_nmi_wakes_nobody(void **state)
{
	start_all();
	nmi_is_blocked = true;
	halt(&vcpus[1], false);
	halt(&vcpus[2], false);
	vcpu_raise_nmi(&vcpus[1]);
	halt(&vcpus[0], false);
	assert_int_equal(ends, 0);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_HALTED);
	assert_int_equal(vm.end, VM_END_HALTED);
}

static void an_nmi_wakes_with_interrupts_off(void **state)
{
	start_all();
	halt(&vcpus[1], false);
	waiting = 0x40;
	assert_false(event_wakes(&vcpus[1]));
	vcpu_raise_nmi(&vcpus[1]);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_RUNNING);
}

static void unhalt_wakes_or_makes_the_next_hlt_pass(void **state)
{
	start_all();
	halt(&vcpus[1], false);
	vcpu_unhalt(&vcpus[1]);
	assert_true(vcpus[1].requests & REQ_EVENT);
	assert_false(vcpus[1].halted_for_good);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_RUNNING);
	assert_false(vcpus[1].unhalted);
	vcpu_unhalt(&vcpus[2]);
	halt(&vcpus[2], false);
	assert_int_equal(vcpus[2].activity, VCPU_RUNNING);
	halt(&vcpus[2], false);
	assert_int_equal(vcpus[2].activity, VCPU_HALTED);
	/* It does not start a processor. */
	vcpu_raise_init(&vcpus[1]);
	serve(&vcpus[1]);
	vcpu_unhalt(&vcpus[1]);
	serve(&vcpus[1]);
	assert_int_equal(vcpus[1].activity, VCPU_WAIT_FOR_SIPI);
	halt(&vcpus[0], false);
	assert_int_equal(vm.end, VM_END_HALTED);
}

/* A machine check of the host's, for example: it counts as running again. */
static void an_exception_revives(void **state)
{
	start_all();
	halt(&vcpus[1], false);
	vcpus[1].events.exception.type = EVENT_EXCEPTION;
	assert_true(event_wakes(&vcpus[1]));
	halt(&vcpus[2], false);
	halt(&vcpus[0], false);
	assert_int_equal(ends, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)
#define ONE(name)  cmocka_unit_test_setup(name, set_up_one)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(after_power_up_the_others_wait),
		TEST(init_keeps_what_power_up_resets),
		TEST(init_to_the_boot_processor_ends_the_vm),
		ONE(init_to_the_boot_processor_ends_the_vm),
		TEST(a_startup_ipi_starts_in_real_mode),
		TEST(init_and_startup_together_keep_their_order),
		TEST(a_hypervisor_holds_init_back),
		TEST(init_exits_to_a_hypervisor), TEST(nmis_while_init_is_held_back),
		TEST(a_running_processor_ignores_startup_ipis),
		TEST(an_nmi_before_the_startup_ipi_is_lost),
		TEST(an_nmi_after_the_startup_ipi_is_delivered),
		TEST(two_nmis_at_once_are_two),
		TEST(an_nmi_is_not_counted_twice),
		ONE(the_only_processor_that_halts_ends_the_vm),
		TEST(processors_that_never_started_can_wake_nobody),
		TEST(the_vm_ends_with_the_last_processor),
		TEST(a_signal_keeps_the_vm_alive),
		TEST(a_blocked_nmi_wakes_nobody),
		TEST(an_nmi_wakes_with_interrupts_off),
		ONE(a_processor_that_a_device_may_send_an_nmi_is_not_dead),
		TEST(nor_are_the_others),
		TEST(a_processor_that_never_started_is_woken_by_no_nmi),
		TEST(unhalt_wakes_or_makes_the_next_hlt_pass),
		TEST(an_exception_revives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
