/* SPDX-License-Identifier: MIT */
/* The local APIC: priorities, acceptance of interrupts, IPIs, reset. */
#include "dev/irq/vlapic.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/startup.h"
#include "core/vm_alloc.h"
#include "dev/irq/vioapic.h"
#include "lib/errno.h"

#define ICR_WRITABLE 0xccfffu	/* without delivery status, which is always idle */
#define FIRST_VECTOR 16		/* those below are illegal */
#define ILLEGAL_VECTORS (BIT_ULL(FIRST_VECTOR) - 1)

/* --- priorities: SDM, "Task and Processor Priorities" --- */

static inline void update_ppr(struct vlapic *vlapic)
{
	int in_service = vector_set_highest(&vlapic->page.isr, vlapic->isr_hint);
	u8 service_class = in_service < 0 ? 0 : in_service & 0xf0, tpr = vlapic_tpr(vlapic);

	WRITE_ONCE(vlapic->page.ppr.value, (tpr & 0xf0) >= service_class ? tpr : service_class);
	vlapic->ppr_tpr = tpr;
}

void vlapic_update_ppr(struct vlapic *vlapic)
{
	update_ppr(vlapic);
}

static void priority_changed(struct vlapic *vlapic)
{
	update_ppr(vlapic);
	if (vlapic->irr_hint)
		vcpu_interrupt_changed(vlapic->vcpu);
}

void vlapic_set_tpr(struct vlapic *vlapic, u8 tpr)
{
	WRITE_ONCE(vlapic->page.tpr.value, tpr);
	vcpu_tpr_written(vlapic->vcpu, tpr);
	priority_changed(vlapic);
}

static inline int find_pending(const struct vlapic *vlapic)
{
	int vector;

	if (likely(!vlapic->irr_hint))
		return -1;
	vector = vector_set_highest(&vlapic->page.irr, vlapic->irr_hint);
	return vector >= 0 && (vector & 0xf0) > (vlapic_ppr(vlapic) & 0xf0) ? vector : -1;
}

int vlapic_pending(struct vlapic *vlapic)
{
	if (unlikely(posted_outstanding(vlapic->posted)))
		vlapic_merge(vlapic);
	return find_pending(vlapic);
}

unsigned vlapic_held_by_tpr(struct vlapic *vlapic)
{
	int waiting, in_service;

	if (likely(!vlapic->irr_hint))
		return 0;
	waiting = vector_set_highest(&vlapic->page.irr, vlapic->irr_hint);
	in_service = vector_set_highest(&vlapic->page.isr, vlapic->isr_hint);
	if (waiting < 0 || waiting >> 4 > vlapic_tpr(vlapic) >> 4 || (in_service >= 0 && waiting >> 4 <= in_service >> 4))
		return 0;
	return (unsigned)waiting >> 4;
}

/* Whoever acknowledges asks for what is pending next: there is no need to announce it. */
int vlapic_acknowledge(struct vlapic *vlapic)
{
	int vector;

	if (unlikely(posted_outstanding(vlapic->posted)))
		vlapic_merge(vlapic);
	vector = find_pending(vlapic);
	if (unlikely(vector < 0))
		return -1;
	vector_set_move(&vlapic->page.irr, &vlapic->irr_hint, &vlapic->page.isr, &vlapic->isr_hint, (unsigned)vector);
	/* What update_ppr() would find: its class is above TPR's and all in service. */
	WRITE_ONCE(vlapic->page.ppr.value, (u32)vector & 0xf0);
	return vector;
}

static __noinline void end_level(struct vlapic *vlapic, u8 vector)
{
	priority_changed(vlapic);
	vioapic_eoi(vcpu_vm(vlapic->vcpu), vector);
}

void vlapic_end_of_interrupt(struct vlapic *vlapic)
{
	int vector = vector_set_highest(&vlapic->page.isr, vlapic->isr_hint);

	if (vector < 0)
		return;
	vector_set_remove(&vlapic->page.isr, &vlapic->isr_hint, (u8)vector);
	if (unlikely(vector_set_has(&vlapic->page.tmr, (u8)vector)))
		end_level(vlapic, (u8)vector);
	else
		priority_changed(vlapic);
}

/* --- acceptance --- */

/* Note the error. True: its interrupt is to be signalled. SDM, "Error Handling": a write to ESR re-arms it. */
static bool record_error(struct vlapic *vlapic, enum lapic_error error)
{
	bool armed = !vlapic->errors;

	vlapic->errors |= error;
	return armed;
}

static inline void set_trigger_mode(struct vlapic *vlapic, u8 vector, bool level)
{
	if (vector_set_assign(&vlapic->page.tmr, vector, level))
		__atomic_store_n(&vlapic->tmr_changed, true, __ATOMIC_SEQ_CST);
}

/* Home CPU: accept an interrupt from this CPU, without announcing it to the vCPU. */
static bool accept_vector(struct vlapic *vlapic, u8 vector, bool level)
{
	if (!vlapic_enabled(vlapic))
		return false;
	if (vector < FIRST_VECTOR) {
		vlapic_note_error(vlapic, ESR_RECEIVED_ILLEGAL_VECTOR);
		return false;
	}
	set_trigger_mode(vlapic, vector, level);
	vector_set_add(&vlapic->page.irr, &vlapic->irr_hint, vector);
	return true;
}

/*
 * Another CPU: post the interrupt. The trigger mode is set first, so that it is there when the vector is found.
 * Whether the APIC is enabled is decided again by its home CPU, as well as what to do about an illegal vector.
 */
static bool post_vector(struct vlapic *vlapic, u8 vector, bool level)
{
	if (!vlapic_enabled(vlapic))
		return false;
	set_trigger_mode(vlapic, vector, level);
	if (posted_add(vlapic->posted, vector))
		vcpu_interrupt_sent(vlapic->vcpu);
	return vector >= FIRST_VECTOR;
}

bool vlapic_receive(struct vlapic *vlapic, u8 vector, bool level)
{
	if (!vcpu_home_is_here(vlapic->vcpu))
		return post_vector(vlapic, vector, level);
	if (!accept_vector(vlapic, vector, level))
		return false;
	vcpu_interrupt_sent(vlapic->vcpu);
	return true;
}

/* The APIC was disabled while they were on their way: a level-triggered one must not wait for its EOI forever. */
static __noinline void drop(struct vlapic *vlapic, unsigned word, u64 vectors)
{
	for (; vectors; vectors &= vectors - 1) {
		u8 vector = (u8)(word * 64 + (unsigned)__builtin_ctzll(vectors));

		if (vector_set_has(&vlapic->page.tmr, vector))
			vioapic_eoi(vcpu_vm(vlapic->vcpu), vector);
	}
}

static __noinline void refuse_illegal(struct vlapic *vlapic)
{
	u32 entry = vlapic->lvt[LVT_ERROR];

	if (record_error(vlapic, ESR_RECEIVED_ILLEGAL_VECTOR) && !(entry & LVT_MASKED))
		accept_vector(vlapic, (u8)entry, false);
}

static inline void merge_register(struct vlapic *vlapic, unsigned n, u32 taken)
{
	u32 *value = &vlapic->page.irr.registers[n].value;

	if (!taken)
		return;
	WRITE_ONCE(*value, *value | taken);
	vlapic->irr_hint |= (vector_hint)BIT(n);
}

/* Vectors of one word. Usually one, of one word. */
static __noinline void merge_word(struct vlapic *vlapic, unsigned word, u64 taken)
{
	if (unlikely(!vlapic_enabled(vlapic))) {
		drop(vlapic, word, taken);
		return;
	}
	if (word == 0 && unlikely(taken & ILLEGAL_VECTORS)) {
		refuse_illegal(vlapic);
		taken &= ~ILLEGAL_VECTORS;
	}
	merge_register(vlapic, 2 * word, (u32)taken);
	merge_register(vlapic, 2 * word + 1, (u32)(taken >> 32));
}

/* Called for vCPUs that are parked, too: announce nothing, as whoever posted does that. */
void vlapic_merge(struct vlapic *vlapic)
{
	posted_begin_taking(vlapic->posted);
#pragma GCC unroll 4
	for (unsigned i = 0; i < POSTED_WORDS; i++) {
		u64 taken = posted_take_word(vlapic->posted, i);

		if (taken)
			merge_word(vlapic, i, taken);
	}
}

bool vlapic_accept(struct vlapic *vlapic, const struct apic_message *message)
{
	switch (message->delivery) {
	case APIC_FIXED:
	case APIC_LOWEST:
		return vlapic_receive(vlapic, message->vector, message->level);
	case APIC_SMI:
		return true;
	case APIC_NMI:
		vcpu_raise_nmi(vlapic->vcpu);
		return true;
	case APIC_INIT:
		vcpu_raise_init(vlapic->vcpu);
		return true;
	case APIC_STARTUP:
		vcpu_raise_startup(vlapic->vcpu, message->vector);
		return true;
	case APIC_EXTINT:
		vcpu_interrupt_sent(vlapic->vcpu);
		return true;
	default:
		return false;
	}
}

static struct apic_message message_of(u32 entry)
{
	return (struct apic_message){ .delivery = LVT_DELIVERY(entry), .vector = (u8)entry };
}

/* From the APIC to its own vCPU, which therefore need not be woken or interrupted. */
static void accept_own(struct vlapic *vlapic, const struct apic_message *message)
{
	if (message->delivery > APIC_LOWEST)
		vlapic_accept(vlapic, message);
	else if (accept_vector(vlapic, message->vector, false))
		vcpu_interrupt_changed(vlapic->vcpu);
}

void vlapic_signal(struct vlapic *vlapic, enum lapic_lvt source)
{
	u32 entry = vlapic->lvt[source];
	const struct apic_message message = message_of(entry);

	if (!(entry & LVT_MASKED))
		accept_own(vlapic, &message);
}

bool vlapic_passes_extint(const struct vlapic *vlapic)
{
	u32 entry = READ_ONCE(vlapic->lvt[LVT_LINT0]);

	if (!(READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED))
		return true;
	return !(entry & LVT_MASKED) && LVT_DELIVERY(entry) == APIC_EXTINT;
}

bool vlapic_lint0_is_nmi(const struct vlapic *vlapic)
{
	u32 entry = READ_ONCE(vlapic->lvt[LVT_LINT0]);

	return (READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED) && !(entry & LVT_MASKED) && LVT_DELIVERY(entry) == APIC_NMI;
}

/* Each rise counts as an edge, also where the guest programs the pin as level-sensitive. */
void vlapic_set_lint0(struct vlapic *vlapic, bool level)
{
	bool rises = level && !vlapic->lint0;
	u32 entry = READ_ONCE(vlapic->lvt[LVT_LINT0]);
	const struct apic_message message = message_of(entry);

	vlapic->lint0 = level;
	if (rises && (READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED) && !(entry & LVT_MASKED))
		vlapic_accept(vlapic, &message);
}

/* An error of the error interrupt itself signals nothing: record_error() is not armed then. */
void vlapic_note_error(struct vlapic *vlapic, enum lapic_error error)
{
	if (record_error(vlapic, error))
		vlapic_signal(vlapic, LVT_ERROR);
}

/* --- sending: SDM, "Interrupt Command Register (ICR)" --- */

void vlapic_send(struct vlapic *vlapic, u64 icr)
{
	u32 low = (u32)icr;
	bool wide = vlapic_in_x2apic_mode(vlapic);
	const struct apic_message message = {
		.destination = wide ? (u32)(icr >> 32) : (u32)(icr >> 56),
		.logical = low & BIT(11),
		.wide = wide,
		.shorthand = low >> 18 & 3,
		.sender = vlapic->id,
		.delivery = low >> 8 & 7,
		.vector = (u8)low,
	};
	bool vectored = message.delivery == APIC_FIXED || message.delivery == APIC_LOWEST;
	bool signal = message.delivery == APIC_INIT || message.delivery == APIC_STARTUP;
	bool deassert = message.delivery == APIC_INIT && (low & 0xc000) == 0x8000;

	/* The upper half is read here in x2APIC mode only; the xAPIC's is a register of its own. */
	vlapic->page.by_number[LAPIC_ICR].wide = icr & (~0xffffffffull | ICR_WRITABLE);

	/* Both modes are reserved in the ICR. Current processors ignore an INIT level de-assert. */
	if (message.delivery == 3 || message.delivery == APIC_EXTINT || deassert)
		return;
	/* A processor cannot reset or start itself by shorthand. */
	if (signal && (message.shorthand == APIC_TO_SELF || message.shorthand == APIC_TO_ALL))
		return;
	if (vectored && message.vector < FIRST_VECTOR) {
		vlapic_note_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
		return;
	}
	if (message.shorthand == APIC_TO_SELF)
		accept_own(vlapic, &message);
	else
		apic_bus_send(vcpu_vm(vlapic->vcpu), &message);
}

void vlapic_send_self(struct vlapic *vlapic, u8 vector)
{
	const struct apic_message message = { .delivery = APIC_FIXED, .vector = vector };

	if (vector < FIRST_VECTOR)
		vlapic_note_error(vlapic, ESR_SEND_ILLEGAL_VECTOR);
	else
		accept_own(vlapic, &message);
}

/* --- set-up --- */

void vlapic_derive_ldr(struct vlapic *vlapic)
{
	WRITE_ONCE(vlapic->ldr, vlapic->id >> 4 << 16 | BIT(vlapic->id & 15));
}

static void discard_posted(struct vlapic *vlapic)
{
	posted_begin_taking(vlapic->posted);
	for (unsigned i = 0; i < POSTED_WORDS; i++)
		posted_take_word(vlapic->posted, i);
}

/* SDM, "Local APIC State After Power-Up or Reset". Disable it first: after that nothing is posted any more. */
void vlapic_power_up(struct vlapic *vlapic)
{
	WRITE_ONCE(vlapic->svr, 0xff);
	discard_posted(vlapic);
	for (unsigned i = 0; i < VECTOR_REGISTERS; i++) {
		WRITE_ONCE(vlapic->page.irr.registers[i].value, 0);
		WRITE_ONCE(vlapic->page.isr.registers[i].value, 0);
		__atomic_store_n(&vlapic->page.tmr.registers[i].value, 0, __ATOMIC_SEQ_CST);
	}
	vlapic->tmr_changed = true;
	vlapic->irr_hint = vlapic->isr_hint = 0;
	WRITE_ONCE(vlapic->page.tpr.value, 0);
	vcpu_tpr_written(vlapic->vcpu, 0);
	WRITE_ONCE(vlapic->page.ppr.value, 0);
	vlapic->ppr_tpr = 0;
	WRITE_ONCE(vlapic->ldr, 0);
	WRITE_ONCE(vlapic->dfr, 0xffffffff);
	vlapic->esr = vlapic->errors = 0;
	vlapic->page.by_number[LAPIC_ICR].wide = vlapic->page.by_number[LAPIC_ICR_HIGH].wide = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++)
		WRITE_ONCE(vlapic->lvt[i], LVT_MASKED);
	vlapic_timer_reset(vlapic);
}

/* Firmware hands a machine with ids above 254 over in x2APIC mode: only then Linux looks at their MADT entries. */
static void reset_base(struct vlapic *vlapic, bool bsp)
{
	struct vm *vm = vcpu_vm(vlapic->vcpu);
	u64 mode = LAPIC_BASE_ENABLED | (vm_vcpu_count(vm) > IRQCHIP_SHORT_IDS ? LAPIC_BASE_X2APIC : 0);

	vlapic_place_page(vlapic, LAPIC_DEFAULT_BASE);
	WRITE_ONCE(vlapic->base, LAPIC_DEFAULT_BASE | mode | (bsp ? LAPIC_BASE_BSP : 0));
}

void vlapic_reset(struct vlapic *vlapic, bool init)
{
	bool bsp = vlapic->vcpu == vm_bsp(vcpu_vm(vlapic->vcpu));

	if (!init)
		reset_base(vlapic, bsp);
	vlapic_power_up(vlapic);
	if (vlapic_in_x2apic_mode(vlapic))
		vlapic_derive_ldr(vlapic);
	if (bsp && !init) {
		WRITE_ONCE(vlapic->svr, vlapic->svr | SVR_ENABLED);
		WRITE_ONCE(vlapic->lvt[LVT_LINT0], APIC_EXTINT << 8);
		WRITE_ONCE(vlapic->lvt[LVT_LINT1], APIC_NMI << 8);
	}
	vlapic_mode_changed(vlapic);
	vcpu_interrupt_changed(vlapic->vcpu);
}

int vlapic_create(struct vcpu *vcpu, const bool *int_output)
{
	struct vlapic *vlapic = vm_alloc_pages(vcpu_vm(vcpu), sizeof(*vlapic));

	if (!vlapic)
		return -ENOMEM;
	vlapic->vcpu = vcpu;
	vlapic->posted = vcpu_posted(vcpu);
	vlapic->int_output = int_output;
	vlapic->id = vcpu_apic_id(vcpu);
	vlapic_timer_create(vlapic);
	vcpu_set_vlapic(vcpu, vlapic);
	vlapic_reset(vlapic, false);
	return 0;
}
