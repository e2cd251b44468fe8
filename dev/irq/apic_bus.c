/* SPDX-License-Identifier: MIT */
/* The routing of interrupt messages to local APICs. */
#include "dev/irq/apic_bus.h"

#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

/* Lowest priority first; among equals the lowest APIC id, so that runs can be repeated. */
static struct lapic *choose_lowest(struct vm *vm, const struct apic_message *message)
{
	struct lapic *lowest = NULL;

	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct lapic *lapic = vcpu_lapic(vm_vcpu(vm, i));

		if (!lapic_enabled(lapic) || !lapic_is_addressed(lapic, message))
			continue;
		if (!lowest || lapic->ppr < lowest->ppr)
			lowest = lapic;
	}
	return lowest;
}

bool apic_bus_send(struct vm *vm, const struct apic_message *message)
{
	bool accepted = false;

	if (message->delivery == APIC_LOWEST) {
		struct lapic *lapic = choose_lowest(vm, message);

		return lapic && lapic_accept(lapic, message);
	}
	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct lapic *lapic = vcpu_lapic(vm_vcpu(vm, i));

		if (lapic_is_addressed(lapic, message))
			accepted |= lapic_accept(lapic, message);
	}
	return accepted;
}
