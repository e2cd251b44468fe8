/* SPDX-License-Identifier: MIT */
/* The forced exit for entries without a preemption timer. */
#include "core/force_exit.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/time/clock.h"
#include "core/vcpu.h"
#include "core/vm.h"

#define WAIT_US 100

void force_exit_by_self_ipi(struct vcpu *vcpu)
{
	u64 deadline;

	lapic_self_ipi(IRQ_VECTOR_FORCE_EXIT);
	if (likely(lapic_irr_pending(IRQ_VECTOR_FORCE_EXIT)))
		return;
	deadline = clock_deadline_us(WAIT_US);
	while (!lapic_irr_pending(IRQ_VECTOR_FORCE_EXIT)) {
		if (clock_expired(deadline)) {
			if (vm_once(vcpu->vm, ONCE_OTHER, IRQ_VECTOR_FORCE_EXIT))
				vm_warn(vcpu->vm, "a self-IPI was not seen pending within %u us: forced exits come late",
					WAIT_US);
			return;
		}
		cpu_relax();
	}
}
