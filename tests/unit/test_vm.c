/* SPDX-License-Identifier: MIT */
/*
 * The life of a VM: what is created, in which order it is freed, that a failure at any step leaves
 * nothing behind, the time limit, and the memory that lives as long as the VM.
 */
/* link: core/vm.c core/vm_alloc.c core/vcpu.c core/io.c core/device.c core/vtimer.c core/vm_log.c */
/* link: lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/x86.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "arch/time/clock.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/enter.h"
#include "core/observe/entry_check.h"
#include "core/observe/trace.h"
#include "core/observe/trace_record.h"
#include "core/observe/trace_stop.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "lib/errno.h"

#define HZ 1000000000ull

struct trace_ring trace_ring;
struct address_space kernel_space;
static struct percpu this;
static struct vm vm;
static struct vm_config config;
static const struct address_space *space;	/* the one in use */
static struct vcpu *loaded;
static unsigned spaces, vendors, vcpus, cpuids, msrs, rams, blocks;
static unsigned steps, failing_step;		/* the step with this number fails; 0: none */
static unsigned fpu_resets, vcpu_resets, irqchip_resets, offsets_changed, msr_resets, traced, passthroughs;
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


void address_space_switch(const struct address_space *s)
{
	note('S');
	space = s;
}

void fpu_reset(void)
{
	note(this.current_vcpu ? 'F' : 'f');
	fpu_resets++;
}

struct percpu *this_cpu(void) { return &this; }

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
void msr_reset(struct vcpu *vcpu) { msr_resets++; }
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

void trace_attach(struct vcpu *vcpu) { note(this.current_vcpu ? 'T' : 't'), traced++; }
/* What vm_run() prints at the end, by the first letters, in its order. */
static char printed[8];

void trace_export(const struct vm *v) { strcat(printed, "t"); }
void entry_check_print(const struct vcpu *vcpu) { strcat(printed, "e"); }

void statistics_print(struct vcpu *vcpu, bool on_request)
{
	assert_false(on_request);
	assert_null(vcpu->timers);
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

static void vcpu_load(struct vcpu *vcpu)
{
	assert_ptr_equal(space, &vm.space);	/* the vCPU's state is reached through the VM's space */
	note('L');
	loaded = vcpu;
}

static void vcpu_put(struct vcpu *vcpu)
{
	assert_ptr_equal(loaded, vcpu);
	note('P');
	loaded = NULL;
}

static void vendor_reset(struct vcpu *vcpu) { vcpu_resets++; }

/* The vendor's reset comes first: it forgets the offset that it had. */
static void offset_changed(struct vcpu *vcpu)
{
	offsets_changed++;
	assert_int_equal(vcpu_resets, offsets_changed);
	assert_int_equal(vcpu->tsc_offset, -700ull);
}

static void irqchip_reset(struct vcpu *vcpu) { irqchip_resets++; }

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
	.vcpu_load = vcpu_load, .vcpu_put = vcpu_put,			\
	.vcpu_reset = vendor_reset, .tsc_offset_changed = offset_changed, \
	.control_get = control_get, .segment_get = segment_get

static const struct vcpu_ops ops = { VENDOR };
static const struct vcpu_ops watching_ops = { VENDOR };

static void (*guest)(struct vcpu *vcpu);
static unsigned early_guests;

void vcpu_main(struct vcpu *vcpu)
{
	assert_int_equal(vm.state, VM_RUNNING);
	guest(vcpu);
}

/* --- the tests --- */

static int set_up(void **state)
{
	memset(&this, 0, sizeof(this));
	config = (struct vm_config){ .name = "web", .memory = MIB(16), .vcpus = 1 };
	steps = failing_step = 0;
	fpu_resets = vcpu_resets = irqchip_resets = offsets_changed = msr_resets = traced = passthroughs = 0;
	watched = false;
	now = 5000;
	space = NULL;
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
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
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
	assert_int_equal(vm.vcpus[0]->timer_deadline, VTIMER_NEVER);
	assert_int_equal(passthroughs, 1);
	id = vm.id;
	vm_destroy(&vm);
	assert_int_equal(vm.vcpu_count, 0);
	assert_nothing_left();
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	assert_int_equal(vm.id, id + 1);
	vm_destroy(&vm);
}

/* Entry checks and trace stops need every exit: then no exit is handled in the entry stub. */
static void a_watched_vm(void **state)
{
	watched = true;
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	assert_ptr_equal(vm.ops, &watching_ops);
	assert_true(vm.every_exit);
	assert_ptr_equal(vm.vcpus[0]->ops, &watching_ops);
	assert_int_equal(vm.vcpus[0]->every_exit, 1);
	vm_destroy(&vm);
}

static void a_failure_at_any_step_leaves_nothing(void **state)
{
	unsigned count;

	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	count = steps;
	vm_destroy(&vm);
	/* Address space, vendor, port map, a block for the time limit, vCPU, CPUID, MSRs, RAM. */
	assert_int_equal(count, 8);
	for (unsigned i = 1; i <= count; i++) {
		steps = 0;
		failing_step = i;
		assert_int_equal(vm_create(&vm, &config, &ops), -ENOMEM);
		assert_int_equal(steps, i);	/* nothing is tried after it */
		vm_destroy(&vm);
		assert_nothing_left();
	}
}

/*
 * No guest's registers are in the processor while another address space is in use, and the trace has the
 * vCPU before anything asks which one runs. What lies in the VM's own blocks is freed before these.
 */
static void the_order_of_a_life(void **state)
{
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	memset(life, 0, sizeof(life));
	vm_enter(&vm);
	assert_string_equal(life, "SfLt");
	memset(life, 0, sizeof(life));
	vm_leave(&vm);
	assert_string_equal(life, "PfS");
	memset(life, 0, sizeof(life));
	vm_destroy(&vm);
	assert_string_equal(life, "cmvRBVBD");
}

static void entering_and_leaving(void **state)
{
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	assert_null(vm_current());
	vm_enter(&vm);
	assert_ptr_equal(space, &vm.space);
	assert_ptr_equal(loaded, vm.vcpus[0]);
	assert_ptr_equal(vm_current(), &vm);
	assert_int_equal(fpu_resets, 1);
	assert_int_equal(traced, 1);
	vm_leave(&vm);
	assert_ptr_equal(space, &kernel_space);
	assert_null(loaded);
	assert_null(vm_current());
	assert_int_equal(fpu_resets, 2);	/* no guest's registers stay */
	vm_destroy(&vm);
}

static void guest_ends(struct vcpu *vcpu)
{
	assert_int_equal(vcpu->timer_deadline, config.time_limit_s ? 5000 + config.time_limit_s * HZ : VTIMER_NEVER);
	if (!config.time_limit_s)
		return;
	vtimer_run_expired(vcpu, 5000 + config.time_limit_s * HZ - 1);
	assert_int_equal(vcpu->requests, 0);
	vtimer_run_expired(vcpu, 5000 + config.time_limit_s * HZ);
	assert_int_equal(vcpu->requests, REQ_STOP);
}

static void guest_is_early(struct vcpu *vcpu)
{
	early_guests++;
	assert_non_null(vcpu->timers);
}

static void the_time_limit(void **state)
{
	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	vm.vcpus[0]->regs_available = REGS_LAZY;
	guest = guest_ends;
	printed[0] = '\0';
	vm_run(&vm);
	assert_string_equal(printed, "set");
	printed[0] = '\0';
	config.time_limit_s = 60;
	vm_run(&vm);
	printed[0] = '\0';
	guest = guest_is_early;
	early_guests = 0;
	vm_run(&vm);
	assert_int_equal(early_guests, 1);
	assert_null(vm.vcpus[0]->timers);	/* the timer does not outlive the guest */
	vm_destroy(&vm);
	assert_nothing_left();
}

static void reset_of_a_vcpu(void **state)
{
	const struct irqchip_ops irqchip = { .vcpu_reset = irqchip_reset };
	struct vcpu *vcpu;

	assert_int_equal(vm_create(&vm, &config, &ops), 0);
	vcpu = vm.vcpus[0];
	vm.start_tsc = 700;
	memset(&vcpu->events, 0xa5, sizeof(vcpu->events));
	memset(&vcpu->machine_check, 0xa5, sizeof(vcpu->machine_check));
	vcpu->activity = VCPU_HALTED;
	vcpu->tsc_adjust = vcpu->tsc_offset = 99;
	vcpu_reset(vcpu);	/* without interrupt controllers */
	assert_int_equal(irqchip_resets, 0);
	vm_set_irqchip(&vm, &irqchip, NULL);
	vcpu_reset(vcpu);
	assert_int_equal(irqchip_resets, 1);
	assert_int_equal(vcpu_resets, 2);
	assert_int_equal(msr_resets, 2);
	assert_int_equal(offsets_changed, 2);
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

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_vm),
		TEST(a_watched_vm),
		TEST(a_failure_at_any_step_leaves_nothing),
		TEST(entering_and_leaving),
		TEST(the_order_of_a_life),
		TEST(the_time_limit),
		TEST(reset_of_a_vcpu),
		TEST(modes_of_a_vcpu),
		TEST(memory_is_aligned_and_zero),
		TEST(small_pieces_share_a_page),
		TEST(memory_has_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
