/* SPDX-License-Identifier: MIT */
/*
 * The life of a VM: what is created, in which order it is freed, that a failure at any step leaves
 * nothing behind, the time limit, and the memory that lives as long as the VM.
 */
/* link: core/vm.c core/vm_alloc.c core/vcpu.c core/io.c core/device.c core/vtimer.c core/vm_log.c */
/* link: core/vcpu_kick.c core/work.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/observe/entry_check.h"
#include "core/observe/trace.h"
#include "core/observe/trace_stop.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "home_cpu.h"
#include "lib/errno.h"

/* Nothing runs. */
void irq_window(void) { fail(); }

#define HZ 1000000000ull

static struct percpu *const homes[] = { &home, &home, &home };
static struct vm vm;
static struct vm_config config;
static unsigned spaces, vendors, vcpus, cpuids, msrs, rams, blocks;
static unsigned steps, failing_step;		/* the step with this number fails; 0: none */
static unsigned vcpu_resets, startup_resets, irqchip_resets, offsets_changed, msr_resets, traced, passthroughs;
static bool was_init;				/* the last reset by the vendor was INIT's */
static bool watched;				/* an option needs to see each exit */
static u64 now;
static char life[64];				/* a letter for each step of a life, in order */

static void note(char step)
{
	size_t used = strlen(life);

	if (used + 1 < sizeof(life))
		life[used] = step;
}

static bool step_fails(void)
{
	return ++steps == failing_step;
}

/* Each resource: created in a step that can fail, and counted. */
static int take(unsigned *count)
{
	if (step_fails())
		return -ENOMEM;
	++*count;
	return 0;
}

/* --- the rest of Lamina --- */

int address_space_create(struct address_space *s) { return take(&spaces); }

void address_space_destroy(struct address_space *s)
{
	note('D');
	/* After a failure at the first step there is none. */
	if (spaces)
		spaces--;
}

/* Guest memory is reached through the space that is switched to. */
struct address_space kernel_space;
static const struct address_space *current_space;

void address_space_switch(const struct address_space *s) { current_space = s; }

int guest_read(const struct vm *of, gpa_t gpa, void *to, u64 size)
{
	assert_ptr_equal(of, &vm);
	assert_ptr_equal(current_space, &vm.space);
	memset(to, (int)gpa, size);
	return gpa ? 0 : -EFAULT;
}

struct percpu *this_cpu(void) { return &home; }

/* --- the scheduler --- */

static struct vcpu *attached[3];
static unsigned attached_count, notified[3];

void vcpu_switch_to(struct vcpu *vcpu)
{
	note(vcpu ? 'L' : 'l');
	home.current_vcpu = vcpu;
}

void vcpu_unload(struct vcpu *vcpu)
{
	assert_ptr_equal(home.current_vcpu, vcpu);
	note('U');
	home.current_vcpu = NULL;
}

/* From here on the vCPU may run, and others may look at all of them. */
void sched_attach(struct vcpu *vcpu)
{
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vm.active, vm.vcpu_count);
	attached[attached_count++] = vcpu;
}

void sched_notify(struct vcpu *vcpu)
{
	assert_int_not_equal(vcpu->requests, 0);
	notified[vcpu->id]++;
}

void *pages_alloc(unsigned order)
{
	void *pages;

	if (step_fails())
		return NULL;
	blocks++;
	pages = aligned_alloc(PAGE_SIZE << order, PAGE_SIZE << order);
	memset(pages, 0, PAGE_SIZE << order);
	return pages;
}

void pages_free(void *pages, unsigned order)
{
	note('B');
	blocks--;
	memset(pages, 0xee, PAGE_SIZE << order);	/* of this size it was */
	free(pages);
}

int cpuid_create(struct vcpu *vcpu)
{
	int error = take(&cpuids);

	vcpu->cpuid = error ? NULL : (void *)vcpu;
	return error;
}

void cpuid_destroy(struct vcpu *vcpu) { note('c'), cpuids -= vcpu->cpuid != NULL; }

int msr_create(struct vcpu *vcpu)
{
	int error = take(&msrs);

	vcpu->msrs = error ? NULL : (void *)vcpu;
	return error;
}

void msr_destroy(struct vcpu *vcpu) { note('m'), msrs -= vcpu->msrs != NULL; }
void msr_reset(struct vcpu *vcpu, bool init)
{
	assert_int_equal(init, was_init);
	msr_resets++;
}
void msr_apply_passthrough(struct vm *v) { passthroughs++; }

int guest_mem_create(struct vm *v, u64 size)
{
	int error;

	assert_int_equal(size, MIB(16));
	error = take(&rams);
	v->mem.piece_count = !error;
	return error;
}

void guest_mem_destroy(struct vm *v) { note('R'), rams -= v->mem.piece_count; }

void trace_attach(struct vcpu *vcpu)
{
	assert_ptr_equal(vcpu->cpu, &home);
	traced++;
}

/* What vm_print_end() prints, by the first letters, in its order. */
static char printed[16];

bool event_inject(struct vcpu *v) { return false; }
bool (*event_chooser(const struct vm *v))(struct vcpu *vcpu) { return event_inject; }
u64 control_cr4_allowed(const struct vcpu *v) { return 0; }
void trace_export(const struct vm *v) { strcat(printed, "t"); }
void entry_check_print(const struct vcpu *vcpu) { strcat(printed, "e"); }

void statistics_print(struct vcpu *vcpu, bool on_request)
{
	assert_false(on_request);
	strcat(printed, "s");
}

static const struct vcpu_ops watching_ops;
const struct vcpu_ops *entry_check_ops(const struct vcpu_ops *ops) { return ops; }
const struct vcpu_ops *trace_stop_ops(const struct vcpu_ops *ops) { return watched ? &watching_ops : ops; }

u64 test_tsc(void) { return now; }
u64 clock_tsc_hz(void) { return HZ; }
u64 clock_ns_to_tsc(u64 ns) { return ns; }
u64 clock_tsc_to_ns(u64 ticks) { return ticks; }

/* --- the vendor --- */

static int vendor_create(struct vm *v)
{
	int error = take(&vendors);

	v->vendor = error ? NULL : v;
	return error;
}

static void vendor_destroy(struct vm *v) { note('V'), vendors -= v->vendor != NULL; }

static struct vcpu *vcpu_create(struct vm *v)
{
	if (step_fails())
		return NULL;
	vcpus++;
	return calloc(1, sizeof(struct vcpu));
}

static void vcpu_destroy(struct vcpu *vcpu)
{
	note('v');
	vcpus--;
	free(vcpu);
}

static void vendor_reset(struct vcpu *vcpu, bool init)
{
	vcpu_resets++;
	was_init = init;
}

/* The vendor's reset comes first: it forgets the offset that it had. */
static void offset_changed(struct vcpu *vcpu)
{
	offsets_changed++;
	assert_int_equal(vcpu_resets, offsets_changed);
	assert_int_equal(vcpu->tsc_offset, -700ull);
}

/* Of power-up alone. */
void startup_reset(struct vcpu *vcpu)
{
	startup_resets++;
	vcpu->activity = VCPU_RUNNING;
}

static void irqchip_reset(struct vcpu *vcpu, bool init)
{
	assert_int_equal(init, was_init);
	irqchip_resets++;
}

static u64 cr0, efer;
static struct segment cs, ss;

static u64 control_get(struct vcpu *vcpu, enum vcpu_control control)
{
	assert_true(control == CTL_CR0 || control == CTL_EFER);
	return control == CTL_CR0 ? cr0 : efer;
}

static void segment_get(struct vcpu *vcpu, enum vcpu_segment index, struct segment *segment)
{
	assert_true(index == SEG_CS || index == SEG_SS);
	*segment = index == SEG_CS ? cs : ss;
}

#define VENDOR								\
	.vm_create = vendor_create, .vm_destroy = vendor_destroy,	\
	.vcpu_create = vcpu_create, .vcpu_destroy = vcpu_destroy,	\
	.vcpu_reset = vendor_reset, .tsc_offset_changed = offset_changed, \
	.control_get = control_get, .segment_get = segment_get

static const struct vcpu_ops ops = { VENDOR };
static const struct vcpu_ops watching_ops = { VENDOR };

/* --- the tests --- */

static int set_up(void **state)
{
	home_reset();
	memset(attached, 0, sizeof(attached));
	memset(notified, 0, sizeof(notified));
	attached_count = 0;
	printed[0] = '\0';
	config = (struct vm_config){ .name = "web", .memory = MIB(16), .vcpus = 1 };
	steps = failing_step = 0;
	vcpu_resets = startup_resets = irqchip_resets = offsets_changed = msr_resets = traced = passthroughs = 0;
	watched = false;
	now = 5000;
	memset(life, 0, sizeof(life));
	log_set_level(LOG_ERROR);
	return 0;
}

static void assert_nothing_left(void)
{
	assert_int_equal(spaces, 0);
	assert_int_equal(vendors, 0);
	assert_int_equal(vcpus, 0);
	assert_int_equal(cpuids, 0);
	assert_int_equal(msrs, 0);
	assert_int_equal(rams, 0);
	assert_int_equal(blocks, 0);
}

static void a_new_vm(void **state)
{
	u32 id;

	memset(&vm, 0xa5, sizeof(vm));
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	assert_string_equal(vm.name, "web");
	assert_int_equal(vm.state, VM_CREATED);
	assert_ptr_equal(vm.config, &config);
	assert_ptr_equal(vm.ops, &ops);
	assert_false(vm.every_exit);
	assert_int_equal(vm.vcpu_count, 1);
	assert_ptr_equal(vm.vcpus[0]->vm, &vm);
	assert_ptr_equal(vm.vcpus[0]->ops, &ops);
	assert_int_equal(vm.vcpus[0]->id, 0);
	assert_int_equal(vm.vcpus[0]->every_exit, 0);
	assert_ptr_equal(vm.vcpus[0]->cpu, &home);
	assert_int_equal(vm.vcpus[0]->timer_deadline, VTIMER_NEVER);
	assert_int_equal(vm.active, 0);
	assert_int_equal(passthroughs, 1);
	id = vm.id;
	vm_destroy(&vm);
	assert_int_equal(vm.vcpu_count, 0);
	assert_nothing_left();
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	assert_int_equal(vm.id, id + 1);
	vm_destroy(&vm);
}

/* Each is at home where it was placed; the first one runs the timers of the shared devices. */
static void a_vm_with_three_vcpus(void **state)
{
	struct percpu *const places[] = { &home, &home, &home };

	config.vcpus = 3;
	assert_int_equal(vm_create(&vm, &config, &ops, places), 0);
	assert_int_equal(vm.vcpu_count, 3);
	assert_int_equal(traced, 3);
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(vm.vcpus[i]->id, i);
		assert_ptr_equal(vm.vcpus[i]->cpu, places[i]);
		assert_ptr_equal(vm.vcpus[i]->shared_timers, i ? NULL : &vm.timers);
		assert_int_equal(vm.vcpus[i]->timers.deadline, VTIMER_NEVER);
		assert_ptr_equal(vm.vcpus[i]->timers.vcpu, vm.vcpus[i]);
		assert_int_equal(vm.vcpus[i]->slice_end, VTIMER_NEVER);
	}
	assert_int_equal(vm.timers.deadline, VTIMER_NEVER);
	vm_destroy(&vm);
	assert_nothing_left();
}

/* Entry checks and trace stops need every exit: then no exit is handled in the entry stub. */
static void a_watched_vm(void **state)
{
	watched = true;
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	assert_ptr_equal(vm.ops, &watching_ops);
	assert_true(vm.every_exit);
	assert_ptr_equal(vm.vcpus[0]->ops, &watching_ops);
	assert_int_equal(vm.vcpus[0]->every_exit, 1);
	vm_destroy(&vm);
}

static void a_failure_at_any_step_leaves_nothing(void **state)
{
	unsigned count;

	config.vcpus = 3;
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	count = steps;
	vm_destroy(&vm);
	/* Address space, vendor, port map, for each vCPU itself, CPUID and MSRs, RAM. */
	assert_int_equal(count, 3 + 3 * 3 + 1);
	for (unsigned i = 1; i <= count; i++) {
		steps = 0;
		failing_step = i;
		assert_int_equal(vm_create(&vm, &config, &ops, homes), -ENOMEM);
		assert_int_equal(steps, i);	/* nothing is tried after it */
		vm_destroy(&vm);
		assert_nothing_left();
	}
}

/* nested= needs a vendor that has it, and nested=evmcs VMX; nothing else is tried then. */
static void a_hypervisor_where_there_can_be_none(void **state)
{
	static const struct vcpu_ops l2 = { VENDOR };
	static const struct vcpu_ops without_evmcs = { VENDOR, .l2 = &l2 }, with_evmcs = { VENDOR, .l2 = &l2, .evmcs_leaf = 0x4000000a };

	config.nested = NESTED_ON;
	assert_int_equal(vm_create(&vm, &config, &ops, homes), -ENODEV);
	vm_destroy(&vm);
	config.nested = NESTED_EVMCS;
	assert_int_equal(vm_create(&vm, &config, &without_evmcs, homes), -ENODEV);
	assert_int_equal(steps, 0);
	vm_destroy(&vm);
	assert_int_equal(vm_create(&vm, &config, &with_evmcs, homes), 0);
	vm_destroy(&vm);
	assert_nothing_left();
}

/* What lies in the VM's own blocks is freed before these. */
static void the_order_of_its_end(void **state)
{
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	assert_non_null(vm_alloc(&vm, 100));
	memset(life, 0, sizeof(life));
	vm_destroy(&vm);
	assert_string_equal(life, "cmvRBVBD");
	assert_nothing_left();
}

/* After vm_leave() any CPU can load the vCPU. */
static void entering_and_leaving(void **state)
{
	config.vcpus = 2;
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	assert_null(home.current_vcpu);
	memset(life, 0, sizeof(life));
	vm_enter(vm.vcpus[1]);
	assert_ptr_equal(home.current_vcpu, vm.vcpus[1]);
	vm_leave();
	assert_null(home.current_vcpu);
	assert_string_equal(life, "LU");
	vm_destroy(&vm);
}

/* --- running --- */

static void create_and_start(u64 limit)
{
	config.vcpus = 3;
	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	for (u32 i = 0; i < 3; i++)
		vm.vcpus[i]->regs_available = REGS_LAZY;
	vm_start(&vm, limit);
}

static void all_vcpus_start(void **state)
{
	create_and_start(VTIMER_NEVER);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(attached_count, 3);
	for (u32 i = 0; i < 3; i++)
		assert_ptr_equal(attached[i], vm.vcpus[i]);
	assert_int_equal(vm.timers.deadline, VTIMER_NEVER);
	vm_destroy(&vm);
}

/* The boot processor is asked to stop, and nobody sooner. */
static void the_time_limit(void **state)
{
	struct vcpu *bsp;

	config.time_limit_s = 60;
	create_and_start(5000 + 60 * HZ);
	bsp = vm.vcpus[0];
	assert_int_equal(vm.timers.deadline, 5000 + 60 * HZ);
	vtimer_run_expired(bsp, 5000 + 60 * HZ - 1);
	assert_int_equal(bsp->timer_deadline, 5000 + 60 * HZ);
	assert_int_equal(bsp->requests, 0);
	bsp->requests = 0;
	vtimer_run_expired(bsp, 5000 + 60 * HZ);
	assert_int_equal(bsp->requests & REQ_STOP, REQ_STOP);
	assert_int_equal(vm.vcpus[1]->requests | vm.vcpus[2]->requests, 0);
	assert_int_equal(vm.lock.next, vm.lock.served);
	vm_destroy(&vm);
}

static void never_fires(struct vtimer *timer) { fail(); }

/* Whichever CPU arms a timer of a shared device, the boot processor's deadline follows it. */
static void the_boot_processor_waits_for_shared_timers(void **state)
{
	struct vtimer timer;
	struct vcpu *bsp;

	create_and_start(VTIMER_NEVER);
	bsp = vm.vcpus[0];
	vtimer_init_shared(&timer, &vm, never_fires);

	home.running = bsp;			/* by the boot processor itself */
	vtimer_arm(&timer, 7000);
	assert_int_equal(bsp->timer_deadline, 7000);
	assert_int_equal(bsp->requests, 0);

	home.running = vm.vcpus[1];		/* by another vCPU */
	vtimer_arm(&timer, 6000);
	assert_int_equal(bsp->requests, REQ_TIMER);
	assert_int_equal(notified[0], 1);
	assert_int_equal(notified[1], 0);
	bsp->requests = 0;
	vtimer_run_expired(bsp, 5999);
	assert_int_equal(bsp->timer_deadline, 6000);
	home.running = NULL;			/* by an interrupt handler */
	vtimer_cancel(&timer);
	assert_int_equal(bsp->requests, REQ_TIMER);
	vm_destroy(&vm);
}

/* Before it starts, its vCPUs are the service thread's: no scheduler has them. */
static void nobody_is_kicked_before_the_start(void **state)
{
	struct vtimer timer;

	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	vtimer_init_shared(&timer, &vm, never_fires);
	vtimer_arm(&timer, 7000);
	assert_int_equal(notified[0], 0);
	vm_end(&vm, VM_END_ERROR, "too early");
	assert_int_equal(notified[0], 0);
	vm_destroy(&vm);
}

static void assert_all_look(unsigned times)
{
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(vm.vcpus[i]->requests & REQ_STATE, REQ_STATE);
		assert_int_equal(notified[i], times);
	}
}

static void pause_and_resume(void **state)
{
	create_and_start(VTIMER_NEVER);
	assert_false(vm_resume(&vm));
	assert_true(vm_pause(&vm));
	assert_int_equal(vm.state, VM_PAUSED);
	assert_all_look(1);
	assert_false(vm_pause(&vm));
	assert_true(vm_resume(&vm));
	assert_int_equal(vm.state, VM_RUNNING);
	assert_all_look(2);		/* though the first request is still pending */
	vm_end(&vm, VM_END_POWEROFF, "over");
	assert_all_look(3);
	assert_false(vm_pause(&vm));
	assert_false(vm_resume(&vm));
	assert_int_equal(vm.state, VM_ENDED);
	vm_destroy(&vm);
}

static void stopping(void **state)
{
	create_and_start(VTIMER_NEVER);
	vm_stop(&vm);
	assert_int_equal(vm.state, VM_RUNNING);
	assert_int_equal(vm.vcpus[0]->requests, REQ_STOP);
	assert_int_equal(notified[0], 1);
	assert_int_equal(vm.vcpus[1]->requests, 0);
	vm_destroy(&vm);
	/* A paused vCPU would not look at the request. */
	set_up(state);
	create_and_start(VTIMER_NEVER);
	vm_pause(&vm);
	vm_stop(&vm);
	assert_int_equal(vm.state, VM_ENDED);
	assert_int_equal(vm.end, VM_END_STOPPED);
	assert_all_look(2);
	vm_destroy(&vm);
}

/* A stop that is pending when the VM is paused is not lost: the vCPU looks at it when the VM goes on. */
static void a_stop_before_a_pause(void **state)
{
	create_and_start(VTIMER_NEVER);
	vm_stop(&vm);
	vm_pause(&vm);
	assert_int_equal(vm.vcpus[0]->requests & REQ_STOP, REQ_STOP);
	vm_resume(&vm);
	assert_int_equal(vm.vcpus[0]->requests & REQ_STOP, REQ_STOP);
	vm_destroy(&vm);
}

static void it_is_over_when_the_last_vcpu_has_left(void **state)
{
	create_and_start(VTIMER_NEVER);
	assert_false(vm_is_over(&vm));
	vm_end(&vm, VM_END_POWEROFF, "over");
	for (u32 left = 3; left; left--) {
		assert_false(vm_is_over(&vm));
		vm.active--;
	}
	assert_true(vm_is_over(&vm));
	vm_print_end(&vm);
	assert_string_equal(printed, "seseset");
	vm_destroy(&vm);
	assert_nothing_left();
}

static void reset_of_a_vcpu(void **state)
{
	const struct irqchip_ops irqchip = { .vcpu_reset = irqchip_reset };
	struct vcpu *vcpu;

	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	vcpu = vm.vcpus[0];
	vm.start_tsc = 700;
	memset(&vcpu->events, 0xa5, sizeof(vcpu->events));
	memset(&vcpu->machine_check, 0xa5, sizeof(vcpu->machine_check));
	vcpu->activity = VCPU_HALTED;
	vcpu->tsc_adjust = vcpu->tsc_offset = 99;
	vcpu_reset(vcpu, false);	/* without interrupt controllers */
	assert_int_equal(irqchip_resets, 0);
	vm_set_irqchip(&vm, &irqchip, NULL);
	vcpu_reset(vcpu, false);
	assert_int_equal(irqchip_resets, 1);
	assert_int_equal(vcpu_resets, 2);
	assert_int_equal(startup_resets, 2);
	assert_int_equal(msr_resets, 2);
	assert_int_equal(offsets_changed, 2);
	assert_false(was_init);
	assert_int_equal(vcpu->activity, VCPU_RUNNING);
	assert_int_equal(vcpu->tsc_adjust, 0);
	assert_int_equal(vcpu->tsc_offset, -700ull);	/* the guest's TSC starts at 0 */
	assert_int_equal(vcpu->events.exception.type, EVENT_NONE);
	assert_int_equal(vcpu->events.reinject.type, EVENT_NONE);
	assert_int_equal(vcpu->events.nmi_pending, 0);
	assert_int_equal(vcpu->machine_check.mcg_status, 0);
	assert_int_equal(vcpu->machine_check.bank[3], 0);
	vm_destroy(&vm);
}

/* SDM, "IA-32 and Intel 64 Processor States Following Power-up, Reset, or INIT": the TSC and MSRs are kept. */
static void init_of_a_vcpu(void **state)
{
	struct vcpu *vcpu;

	assert_int_equal(vm_create(&vm, &config, &ops, homes), 0);
	vcpu = vm.vcpus[0];
	vm.start_tsc = 700;
	vcpu_reset(vcpu, false);
	vcpu->requests = 0;
	vcpu->tsc_adjust = 99;
	vcpu->machine_check.mcg_status = 1;
	vcpu->events.nmi_pending = 1;
	vcpu_reset(vcpu, true);
	assert_true(was_init);
	assert_int_equal(startup_resets, 1);
	assert_int_equal(vcpu->activity, VCPU_WAIT_FOR_SIPI);
	assert_int_equal(vcpu->tsc_adjust, 99);
	assert_int_equal(vcpu->tsc_offset, -700ull);
	assert_int_equal(vcpu->machine_check.mcg_status, 1);
	assert_int_equal(vcpu->events.nmi_pending, 0);
	assert_int_equal(vcpu->requests & REQ_FLUSH_TLB, REQ_FLUSH_TLB);
	vm_destroy(&vm);
}

void vm_set_irqchip(struct vm *v, const struct irqchip_ops *irqchip, void *data) { v->irqchip = irqchip; }

/* SDM, "Current Privilege Level": RPL and DPL of SS; 64-bit code needs EFER.LMA and CS.L. */
static void modes_of_a_vcpu(void **state)
{
	struct vcpu vcpu = { .ops = &ops, .regs_available = REGS_LAZY };

	cr0 = efer = 0;
	cs.l = true;
	ss.dpl = 3;
	assert_false(vcpu_long_mode(&vcpu));
	assert_false(vcpu_code_64(&vcpu));
	assert_int_equal(vcpu_cpl(&vcpu), 0);	/* real mode */
	cr0 = 1;
	assert_int_equal(vcpu_cpl(&vcpu), 3);
	ss.dpl = 0;
	assert_int_equal(vcpu_cpl(&vcpu), 0);
	vcpu.regs[REG_RFLAGS] = 1u << 17;	/* virtual-8086 mode */
	assert_int_equal(vcpu_cpl(&vcpu), 3);
	efer = 1u << 10;
	assert_true(vcpu_long_mode(&vcpu));
	assert_true(vcpu_code_64(&vcpu));
	cs.l = false;
	assert_true(vcpu_long_mode(&vcpu));
	assert_false(vcpu_code_64(&vcpu));
	efer = 1u << 8;				/* LME alone */
	cs.l = true;
	assert_false(vcpu_code_64(&vcpu));
}

static void memory_is_aligned_and_zero(void **state)
{
	static const size_t sizes[] = { 1, 15, 16, 17, 100, 4000, 4064, 4080, 4096, 8192, 100000, 1, MIB(1) };
	char *memory[ARRAY_SIZE(sizes)];

	memset(&vm, 0, sizeof(vm));
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		memory[i] = vm_alloc(&vm, sizes[i]);
		assert_non_null(memory[i]);
		assert_int_equal((uintptr_t)memory[i] % 16, 0);
		for (size_t at = 0; at < sizes[i]; at++)
			assert_int_equal(memory[i][at], 0);
		memset(memory[i], 0x10 + i, sizes[i]);	/* to its last byte */
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_int_equal(memory[i][0], 0x10 + i);
		assert_int_equal(memory[i][sizes[i] - 1], 0x10 + i);
	}
	vm_free_all(&vm);
	assert_null(vm.memory);
	assert_nothing_left();
	vm_free_all(&vm);	/* nothing to free */
}

static void small_pieces_share_a_page(void **state)
{
	memset(&vm, 0, sizeof(vm));
	/* 16 bytes are the block's own. */
	for (unsigned i = 0; i < (4096 - 16) / 16; i++)
		assert_non_null(vm_alloc(&vm, 16));
	assert_int_equal(blocks, 1);
	assert_non_null(vm_alloc(&vm, 16));
	assert_int_equal(blocks, 2);
	vm_free_all(&vm);
	assert_nothing_left();
}

static void memory_has_limits(void **state)
{
	memset(&vm, 0, sizeof(vm));
	assert_null(vm_alloc(&vm, MIB(1) + 1));
	assert_null(vm_alloc(&vm, ~(size_t)0));
	assert_int_equal(blocks, 0);
	failing_step = 1;
	assert_null(vm_alloc(&vm, 16));
	assert_null(vm.memory);
	assert_non_null(vm_alloc(&vm, 16));
	failing_step = 3;
	assert_null(vm_alloc(&vm, 5000));
	assert_non_null(vm_alloc(&vm, 16));	/* of the block that there is */
	assert_int_equal(blocks, 1);
	vm_free_all(&vm);
	assert_nothing_left();
}

/* From the service thread, whatever is current: that stays so. */
static void memory_is_copied_out(void **state)
{
	struct vm other = { 0 };
	struct vcpu current = { .vm = &other };
	u8 bytes[3] = { 0 };

	assert_int_equal(vm_copy_memory(&vm, 0x42, bytes, 2), 0);
	assert_memory_equal(bytes, "\x42\x42\0", 3);
	assert_ptr_equal(current_space, &kernel_space);
	home.current_vcpu = &current;
	assert_int_equal(vm_copy_memory(&vm, 0, bytes, 2), -EFAULT);
	assert_ptr_equal(current_space, &other.space);
	home.current_vcpu = NULL;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_vm),
		TEST(a_watched_vm),
		TEST(a_failure_at_any_step_leaves_nothing), TEST(a_hypervisor_where_there_can_be_none),
		TEST(entering_and_leaving),
		TEST(a_vm_with_three_vcpus),
		TEST(the_order_of_its_end),
		TEST(all_vcpus_start),
		TEST(the_time_limit),
		TEST(the_boot_processor_waits_for_shared_timers),
		TEST(nobody_is_kicked_before_the_start),
		TEST(pause_and_resume),
		TEST(stopping),
		TEST(a_stop_before_a_pause),
		TEST(it_is_over_when_the_last_vcpu_has_left),
		TEST(reset_of_a_vcpu),
		TEST(init_of_a_vcpu),
		TEST(modes_of_a_vcpu),
		TEST(memory_is_aligned_and_zero),
		TEST(small_pieces_share_a_page),
		TEST(memory_has_limits),
		TEST(memory_is_copied_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
