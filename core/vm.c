/* SPDX-License-Identifier: MIT */
/* The life of a VM: create, enter, run, destroy. */
#include "core/vm.h"

#include "arch/bootinfo/option.h"
#include "arch/cpu/percpu.h"
#include "core/cpu/control.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/io.h"
#include "core/observe/entry_check.h"
#include "core/observe/trace.h"
#include "core/observe/trace_stop.h"
#include "core/sched.h"
#include "core/vcpu.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "core/work.h"
#include "lib/errno.h"
#include "lib/string.h"

/* --- creation --- */

/* Called with the VM lock held. */
static void time_limit_reached(struct vtimer *timer)
{
	struct vm *vm = container_of(timer, struct vm, time_limit);

	vm_info(vm, "time limit of %llu s reached", (unsigned long long)vm->config->time_limit_s);
	vm_stop(vm);
}

/* The boot processor waits for the first timer of the shared devices. */
static void shared_timers_changed(struct vtimer_list *list)
{
	struct vm *vm = container_of(list, struct vm, timers);
	struct vcpu *bsp = vm->vcpus[0];

	if (this_cpu()->running == bsp)
		vtimer_limit_changed(bsp);
	else if (vm->state != VM_CREATED)
		vcpu_kick(bsp, REQ_TIMER);
}

static int create_vcpu(struct vm *vm, u32 id, struct percpu *cpu)
{
	struct vcpu *vcpu = vm->ops->vcpu_create(vm);
	int error;

	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->ops = vm->ops;
	vcpu->cpu = cpu;
	vcpu->id = id;
	vcpu->every_exit = vm->every_exit;
	vcpu->choose_event = event_chooser(vm);
	vcpu->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER, .vcpu = vcpu };
	vcpu->shared_timers = id == 0 ? &vm->timers : NULL;
	vcpu->timer_deadline = vcpu->limit = vcpu->slice_end = VTIMER_NEVER;
	work_create(vcpu);
	vm->vcpus[id] = vcpu;
	vm->vcpu_count = id + 1;
	trace_attach(vcpu);

	error = cpuid_create(vcpu);
	if (error)
		return error;
	vcpu->cr4_allowed = control_cr4_allowed(vcpu);
	return msr_create(vcpu);
}

static int build(struct vm *vm, struct percpu *const *homes)
{
	int error;

	if (vm->config->nested != NESTED_OFF && !vm->l2_ops) {
		vm_error(vm, "nested=on: expected a processor, and its SVM or VMX, under which Lamina has it; see docs/nested.md");
		return -ENODEV;
	}
	if (vm->config->nested == NESTED_EVMCS && !vm->ops->evmcs_leaf) {
		vm_error(vm, "nested=evmcs: expected a processor with VMX, for SVM nested=on is all there is; see docs/nested.md");
		return -ENODEV;
	}
	error = address_space_create(&vm->space);
	if (!error)
		error = vm->ops->vm_create(vm);
	if (!error)
		error = io_init(vm);
	for (u32 i = 0; !error && i < vm->config->vcpus; i++)
		error = create_vcpu(vm, i, homes[i]);
	if (error) {
		vm_error(vm, "cannot create the VM: the hypervisor's own memory is used up");
		return error;
	}
	msr_apply_passthrough(vm);
	return guest_mem_create(vm, vm->config->memory);
}

static u32 fastpath_off;	/* 1: fastpath=off */
DEFINE_CHOICE(fastpath, "fastpath", "on|off",
	      "handle exits in the entry stub where nothing is pending, or each in the loop (default on)", fastpath_off);

int vm_create(struct vm *vm, const struct vm_config *config, const struct vcpu_ops *ops, struct percpu *const *homes)
{
	static u32 next_id = 1;

	memset(vm, 0, sizeof(*vm));
	vm->id = next_id++;
	vm->config = config;
	vm->ops = trace_stop_ops(entry_check_ops(ops));
	if (config->nested != NESTED_OFF && ops->l2)
		vm->l2_ops = trace_stop_ops(entry_check_ops(ops->l2));
	vm->every_exit = vm->ops != ops || fastpath_off;
	vm->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER, .changed = shared_timers_changed };
	vm->lock.rank = LOCK_VM;
	vm->signal_lock.rank = LOCK_VM_SIGNAL;
	vm->memory_lock.rank = LOCK_VM_MEMORY;
	vm->once_lock.rank = LOCK_VM_ONCE;
	str_copy(vm->name, config->name, sizeof(vm->name));
	return build(vm, homes);
}

void vm_destroy(struct vm *vm)
{
	vm_run_end_hooks(vm);
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		cpuid_destroy(vm->vcpus[i]);
		msr_destroy(vm->vcpus[i]);
		vm->ops->vcpu_destroy(vm->vcpus[i]);
	}
	vm->vcpu_count = 0;
	guest_mem_destroy(vm);
	io_destroy(vm);
	vm->ops->vm_destroy(vm);
	vm_free_all(vm);
	address_space_destroy(&vm->space);
}

/* --- running --- */

void vm_enter(struct vcpu *vcpu)
{
	vcpu_switch_to(vcpu);
}

void vm_leave(void)
{
	vcpu_unload(this_cpu()->current_vcpu);
}

int vm_copy_memory(struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	const struct vcpu *current = this_cpu()->current_vcpu;
	int error;

	address_space_switch(&vm->space);
	error = guest_read(vm, gpa, to, size);
	address_space_switch(current ? &current->vm->space : &kernel_space);
	return error;
}

static void request_of_all(struct vm *vm, enum vcpu_request request)
{
	/* Not only where no request is pending: a paused vCPU does not serve those that are. */
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		vcpu_request(vm->vcpus[i], request);
		if (vm->active)
			sched_notify(vm->vcpus[i]);
	}
}

void vm_state_changed(struct vm *vm)
{
	request_of_all(vm, REQ_STATE);
}

void vm_start(struct vm *vm, u64 limit)
{
	vtimer_init_shared(&vm->time_limit, vm, time_limit_reached);
	vtimer_arm(&vm->time_limit, limit);
	/* What the loader did may have ended it already. */
	if (vm->state != VM_CREATED)
		return;
	vm->active = vm->vcpu_count;
	__atomic_store_n(&vm->state, VM_RUNNING, __ATOMIC_RELEASE);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		sched_attach(vm->vcpus[i]);
}

bool vm_is_over(const struct vm *vm)
{
	return vm->state == VM_ENDED && !__atomic_load_n(&vm->active, __ATOMIC_ACQUIRE);
}

void vm_print_end(struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		statistics_print(vm->vcpus[i], false);
		entry_check_print(vm->vcpus[i]);
	}
	trace_export(vm);
}

static bool change_state(struct vm *vm, u32 from, u32 to)
{
	if (!__atomic_compare_exchange_n(&vm->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	vm_state_changed(vm);
	return true;
}

bool vm_pause(struct vm *vm)
{
	return change_state(vm, VM_RUNNING, VM_PAUSED);
}

bool vm_resume(struct vm *vm)
{
	return change_state(vm, VM_PAUSED, VM_RUNNING);
}

void vm_stop(struct vm *vm)
{
	/* A paused vCPU serves no request. */
	if (__atomic_load_n(&vm->state, __ATOMIC_ACQUIRE) == VM_PAUSED)
		vm_end(vm, VM_END_STOPPED, "stopped by request");
	else
		vcpu_kick(vm->vcpus[0], REQ_STOP);
}

void vm_dump(struct vm *vm)
{
	request_of_all(vm, REQ_DUMP);
}
