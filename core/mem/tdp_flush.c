/* SPDX-License-Identifier: MIT */
/* Flushing a VM's translations on all CPUs. */
#include "core/mem/tdp_flush.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/time/clock.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define FLUSH_ANSWER_US 5000000u	/* for a CPU that handles an exit, or prints, with interrupts off */

static u64 generation;		/* atomic: of the last flush that was asked for, on behalf of any VM */

/* The CPU was interrupted, so it is in no guest: the loop looks at the requests before it enters one. */
static void interrupted(void)
{
	u64 now = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);

	__atomic_store_n(&this_cpu()->tdp_flushed, now, __ATOMIC_RELEASE);
}

/* The requests were set before the generation. The next entry may come before the loop serves them again. */
void tdp_flush_answer(void)
{
	u64 now = __atomic_load_n(&generation, __ATOMIC_SEQ_CST);
	struct vcpu *vcpu = this_cpu()->current_vcpu;

	if (vcpu && (__atomic_fetch_and(&vcpu->requests, ~(u32)REQ_FLUSH_TLB, __ATOMIC_SEQ_CST) & REQ_FLUSH_TLB))
		vcpu->ops->flush_tlb(vcpu);
	__atomic_store_n(&this_cpu()->tdp_flushed, now, __ATOMIC_RELEASE);
}

static bool has_answered(const struct percpu *cpu, u64 asked)
{
	return __atomic_load_n(&cpu->tdp_flushed, __ATOMIC_ACQUIRE) >= asked;
}

static int wait_for(struct vm *vm, const struct percpu *cpu, u64 asked, u64 deadline)
{
	while (!has_answered(cpu, asked)) {
		tdp_flush_answer();
		if (clock_expired(deadline)) {
			vm_error(vm, "CPU %u does not answer: it may still use memory that was taken from the VM",
				 cpu->index);
			return -ETIMEDOUT;
		}
		cpu_relax();
	}
	return 0;
}

int tdp_flush(struct vm *vm)
{
	u64 asked, deadline = clock_deadline_us(FLUSH_ANSWER_US);
	int error = 0;

	irq_set_handler(IRQ_VECTOR_FLUSH, interrupted);
	for (u32 i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(vm->vcpus[i], REQ_FLUSH_TLB);
	asked = __atomic_add_fetch(&generation, 1, __ATOMIC_SEQ_CST);
	tdp_flush_answer();
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (!has_answered(vm->vcpus[i]->cpu, asked))
			lapic_send_fixed(vm->vcpus[i]->cpu->apic_id, IRQ_VECTOR_FLUSH);
	for (u32 i = 0; i < vm->vcpu_count && !error; i++)
		error = wait_for(vm, vm->vcpus[i]->cpu, asked, deadline);
	return error;
}
