/* SPDX-License-Identifier: MIT */
/* The routing of interrupt messages to local APICs. */
#include "dev/irq/apic_bus.h"

#include "core/irqchip.h"
#include "dev/irq/irqchip.h"
#include "dev/irq/vlapic.h"

#define XAPIC_BROADCAST	 0xffu
#define X2APIC_BROADCAST 0xffffffffu
#define CLUSTER_SIZE	 16u	/* APICs of one x2APIC cluster; the cluster's number is in the upper half */

static bool is_broadcast(const struct apic_message *message)
{
	return message->destination == (message->wide ? X2APIC_BROADCAST : XAPIC_BROADCAST);
}

/* SDM, "Logical Destination Mode", "Logical Destination Mode in x2APIC Mode". */
static bool matches_logical_id(const struct vlapic *vlapic, const struct apic_message *message)
{
	u32 destination = message->destination, ldr = READ_ONCE(vlapic->ldr);

	if (vlapic_in_x2apic_mode(vlapic))
		return destination >> 16 == ldr >> 16 && (destination & ldr & 0xffff);
	/* An APIC in xAPIC mode has an 8-bit logical id. */
	if (message->wide)
		return false;
	ldr >>= 24;
	switch (READ_ONCE(vlapic->dfr) >> 28) {
	case 0xf: /* flat model */
		return destination & ldr;
	case 0: /* cluster model; cluster 15 is all clusters */
		return (destination >> 4 == ldr >> 4 || destination >> 4 == 0xf) &&
		       (destination & ldr & 0xf);
	default:
		return false;
	}
}

static bool is_addressed(const struct vlapic *vlapic, const struct apic_message *message)
{
	if (!(READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED))
		return false;
	switch (message->shorthand) {
	case APIC_TO_SELF:
		return vlapic->id == message->sender;
	case APIC_TO_ALL:
		return true;
	case APIC_TO_OTHERS:
		return vlapic->id != message->sender;
	}
	if (is_broadcast(message))
		return true;
	return message->logical ? matches_logical_id(vlapic, message) : message->destination == vlapic->id;
}

bool apic_bus_addresses(const struct vcpu *vcpu, const struct apic_message *message)
{
	return is_addressed(vcpu_vlapic(vcpu), message);
}

/*
 * The vCPUs that a message can address: with a physical id one, and with an x2APIC's logical id the 16 of its
 * cluster. Where all ids are below a bound, none of the guest's values gets past it.
 */
struct span {
	u32 first, end;
};

static struct span clip(u32 first, u32 size, u32 count)
{
	if (first >= count)
		return (struct span){ 0, 0 };
	return (struct span){ first, first + MIN(size, count - first) };
}

static struct span candidates(const struct vm *vm, const struct apic_message *message)
{
	u32 count = vm_vcpu_count(vm);

	if (message->shorthand == APIC_TO_SELF)
		return clip(message->sender, 1, count);
	if (message->shorthand != APIC_TO_DESTINATION || is_broadcast(message))
		return (struct span){ 0, count };
	if (!message->logical)
		return clip(message->destination, 1, count);
	if (message->wide)
		return clip((message->destination >> 16) * CLUSTER_SIZE, CLUSTER_SIZE, count);
	return (struct span){ 0, count };
}

static struct vlapic *vlapic_at(struct vm *vm, u32 index)
{
	return vcpu_vlapic(vm_vcpu(vm, index));
}

/*
 * The addressed APIC of the lowest priority. Of equals each gets its turn: the first is the one after that
 * which was chosen last. Priorities of other CPUs may be old, so that another is as good.
 */
static struct vlapic *choose_lowest(struct vm *vm, const struct apic_message *message)
{
	struct span span = candidates(vm, message);
	u32 size = span.end - span.first, *turn = irqchip_lowest_turn(vm), from = READ_ONCE(*turn);
	struct vlapic *lowest = NULL;
	u8 lowest_ppr = 0;

	from = from > span.first && from < span.end ? from - span.first : 0;
	for (u32 i = 0; i < size; i++) {
		struct vlapic *vlapic = vlapic_at(vm, span.first + (from + i) % size);
		u8 ppr = vlapic_ppr(vlapic);

		if (!vlapic_enabled(vlapic) || !is_addressed(vlapic, message))
			continue;
		if (!lowest || ppr < lowest_ppr) {
			lowest = vlapic;
			lowest_ppr = ppr;
		}
	}
	if (lowest && size > 1)
		WRITE_ONCE(*turn, lowest->id + 1);
	return lowest;
}

/* The usual message: to one APIC, by its physical id. */
static bool is_to_one(const struct vm *vm, const struct apic_message *message)
{
	return message->shorthand == APIC_TO_DESTINATION && !message->logical && message->delivery != APIC_LOWEST &&
	       message->destination < vm_vcpu_count(vm) && !is_broadcast(message);
}

bool apic_bus_send(struct vm *vm, const struct apic_message *message)
{
	struct span span;
	bool accepted = false;

	if (likely(is_to_one(vm, message))) {
		struct vlapic *vlapic = vlapic_at(vm, message->destination);

		if (likely(message->delivery == APIC_FIXED))
			return vlapic_receive(vlapic, message->vector, message->level);
		return (READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED) && vlapic_accept(vlapic, message);
	}
	span = candidates(vm, message);

	if (message->delivery == APIC_LOWEST) {
		struct vlapic *vlapic = choose_lowest(vm, message);

		return vlapic && vlapic_accept(vlapic, message);
	}
	for (u32 i = span.first; i < span.end; i++) {
		if (is_addressed(vlapic_at(vm, i), message))
			accepted |= vlapic_accept(vlapic_at(vm, i), message);
	}
	return accepted;
}

bool apic_bus_is_waiting(struct vm *vm, const struct apic_message *message)
{
	struct span span = candidates(vm, message);

	for (u32 i = span.first; i < span.end; i++) {
		const struct vlapic *vlapic = vlapic_at(vm, i);

		if (is_addressed(vlapic, message) && (vector_set_has(&vlapic->page.irr, message->vector) ||
						      posted_has(vlapic->posted, message->vector)))
			return true;
	}
	return false;
}
