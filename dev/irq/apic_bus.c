/* SPDX-License-Identifier: MIT */
/* The routing of interrupt messages to local APICs. */
#include "dev/irq/apic_bus.h"

#include "core/irqchip.h"
#include "dev/irq/vlapic.h"

/* The addressed APIC of the lowest priority; of equals that of the lowest id, so that runs are reproducible. */
static struct vlapic *choose_lowest(struct vm *vm, const struct apic_message *message)
{
	struct vlapic *lowest = NULL;

	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct vlapic *vlapic = vcpu_vlapic(vm_vcpu(vm, i));

		if (!vlapic_enabled(vlapic) || !vlapic_is_addressed(vlapic, message))
			continue;
		if (!lowest || vlapic->ppr < lowest->ppr)
			lowest = vlapic;
	}
	return lowest;
}

bool apic_bus_send(struct vm *vm, const struct apic_message *message)
{
	bool accepted = false;

	if (message->delivery == APIC_LOWEST) {
		struct vlapic *vlapic = choose_lowest(vm, message);

		return vlapic && vlapic_accept(vlapic, message);
	}
	for (u32 i = 0; i < vm_vcpu_count(vm); i++) {
		struct vlapic *vlapic = vcpu_vlapic(vm_vcpu(vm, i));

		if (vlapic_is_addressed(vlapic, message))
			accepted |= vlapic_accept(vlapic, message);
	}
	return accepted;
}
