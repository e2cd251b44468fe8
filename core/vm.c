/* SPDX-License-Identifier: MIT */
/* The life of a VM: create, enter, run, destroy. */
#include "core/vm.h"

#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/fpu.h"
#include "arch/cpu/percpu.h"
#include "core/cpu/cpuid.h"
#include "core/cpu/msr.h"
#include "core/enter.h"
#include "core/io.h"
#include "core/observe/entry_check.h"
#include "core/observe/trace.h"
#include "core/observe/trace_stop.h"
#include "core/vcpu.h"
#include "core/vm_alloc.h"
#include "core/vtimer.h"
#include "lib/errno.h"
#include "lib/string.h"

/* --- creation --- */

static void time_limit_reached(struct vtimer *timer)
{
	struct vm *vm = timer->vcpu->vm;

	vm_info(vm, "time limit of %llu s reached", (unsigned long long)vm->config->time_limit_s);
	vcpu_request(timer->vcpu, REQ_STOP);
}

static int create_vcpu(struct vm *vm, u32 id)
{
	struct vcpu *vcpu = vm->ops->vcpu_create(vm);
	int error;

	if (!vcpu)
		return -ENOMEM;
	vcpu->vm = vm;
	vcpu->ops = vm->ops;
	vcpu->id = id;
	vcpu->every_exit = vm->every_exit;
	vcpu->timer_deadline = VTIMER_NEVER;
	vm->vcpus[id] = vcpu;
	vm->vcpu_count = id + 1;

	error = cpuid_create(vcpu);
	return error ? error : msr_create(vcpu);
}

static int build(struct vm *vm)
{
	int error = address_space_create(&vm->space);

	if (!error)
		error = vm->ops->vm_create(vm);
	if (!error)
		error = io_init(vm);
	if (!error) {
		vm->time_limit = vm_alloc(vm, sizeof(*vm->time_limit));
		error = vm->time_limit ? 0 : -ENOMEM;
	}
	for (u32 i = 0; !error && i < vm->config->vcpus; i++)
		error = create_vcpu(vm, i);
	if (error) {
		vm_error(vm, "cannot create the VM: the hypervisor's own memory is used up");
		return error;
	}
	msr_apply_passthrough(vm);
	return guest_mem_create(vm, vm->config->memory);
}

int vm_create(struct vm *vm, const struct vm_config *config, const struct vcpu_ops *ops)
{
	static u32 next_id = 1;

	memset(vm, 0, sizeof(*vm));
	vm->id = next_id++;
	vm->config = config;
	vm->ops = trace_stop_ops(entry_check_ops(ops));
	vm->every_exit = vm->ops != ops;
	str_copy(vm->name, config->name, sizeof(vm->name));
	return build(vm);
}

void vm_destroy(struct vm *vm)
{
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

void vm_enter(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpus[0];

	address_space_switch(&vm->space);
	fpu_reset();
	vm->ops->vcpu_load(vcpu);
	trace_attach(vcpu);
	this_cpu()->current_vcpu = vcpu;
}

void vm_leave(struct vm *vm)
{
	vm->ops->vcpu_put(vm->vcpus[0]);
	this_cpu()->current_vcpu = NULL;
	fpu_reset();
	address_space_switch(&kernel_space);
}

void vm_run(struct vm *vm)
{
	struct vcpu *vcpu = vm->vcpus[0];

	vtimer_init(vm->time_limit, vcpu, time_limit_reached);
	if (vm->config->time_limit_s)
		vtimer_arm(vm->time_limit, rdtsc() + vtimer_from_ns(vm->config->time_limit_s * 1000000000ull));

	vm->state = VM_RUNNING;
	vm_info(vm, "first entry at RIP 0x%llx", (unsigned long long)vcpu_reg_read(vcpu, REG_RIP));
	vcpu_main(vcpu);
	vtimer_cancel(vm->time_limit);
	statistics_print(vcpu, false);
	entry_check_print(vcpu);
	trace_export(vm);
}

/* --- for the console --- */

struct vm *vm_current(void)
{
	struct vcpu *vcpu = this_cpu()->current_vcpu;

	return vcpu ? vcpu->vm : NULL;
}
