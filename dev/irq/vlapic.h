/* SPDX-License-Identifier: MIT */
/*
 * The local APIC of a vCPU, in xAPIC and x2APIC mode.
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 *
 * Interrupts from other CPUs are posted (core/posted.h). Only the vCPU's home CPU changes its local APIC, but
 * for TMR, without a lock. What senders on other CPUs read is marked below: they may see an old value.
 */
#pragma once

#include "core/irqchip.h"
#include "core/pace.h"
#include "core/posted.h"
#include "core/vtimer.h"
#include "dev/irq/apic_bus.h"
#include "dev/irq/vector_set.h"
#include "lib/lapic.h"
#include "lib/types.h"

struct vm;
struct vcpu;

#define LAPIC_SIZE	   0x1000
#define LAPIC_REGISTERS	   64

/*
 * The shortest period at which the periodic timer interrupts. The counter counts at the rate that
 * the guest asked for, but interrupts that come faster than the host can deliver them would leave
 * the guest no time to run. A slow host may take longer: core/pace.h. TSC-deadline and one-shot mode need no bound: each shot is an exit.
 */
#define LAPIC_TIMER_MIN_PERIOD_NS 20000

struct vlapic_timer {
	struct pace pace;
	struct vtimer vtimer;	/* armed only while its expiry would interrupt */
	u32 initial;		/* initial count register */
	u32 remaining;		/* the count at `start`; 0: stopped */
	u64 start;		/* host TSC */
	u32 divide;		/* divide configuration register */
	u64 deadline;		/* guest TSC; 0: disarmed */
};

/*
 * Registers that a processor which virtualizes the local APIC reads, and of which it changes some, by itself:
 * core/irqchip.h. Without such a processor it is memory like any other. SDM, "Virtual-APIC Page".
 */
struct vlapic_page {
	union {
		struct apic_register by_number[PAGE_SIZE / sizeof(struct apic_register)];	/* enum lapic_register */
		struct {
			struct apic_register identity[LAPIC_TPR];
			struct apic_register tpr, apr, ppr, eoi, remote_read, ldr, dfr, svr;
			struct vector_set isr, tmr, irr;
		};
	};
};
_Static_assert(sizeof(struct vlapic_page) == PAGE_SIZE && offsetof(struct vlapic_page, tpr) == 16 * LAPIC_TPR &&
	       offsetof(struct vlapic_page, ppr) == 16 * LAPIC_PPR && offsetof(struct vlapic_page, isr) == 16 * LAPIC_ISR &&
	       offsetof(struct vlapic_page, tmr) == 16 * LAPIC_TMR && offsetof(struct vlapic_page, irr) == 16 * LAPIC_IRR,
	       "the SDM's layout");

struct vlapic {
	/*
	 * Must stay first. The home CPU, and its processor by itself, write TPR, PPR, IRR, ISR and ICR; any CPU reads PPR and
	 * IRR. TMR is atomic: a sender sets the trigger mode before it posts the vector. Of the other registers the page has
	 * copies, with APIC_BY_HARDWARE only: vlapic_publish().
	 */
	struct vlapic_page page;
	bool tmr_changed;	/* atomic: since the processor got TMR, with APIC_BY_HARDWARE */
	/* Constant. */
	struct vcpu *vcpu;
	struct posted_interrupts *posted;
	const bool *int_output;	/* of the 8259s: true while an ExtINT may be pending. READ_ONCE() */
	u32 id;			/* also the vCPU's index in the VM */
	/* Home CPU writes, any CPU reads: READ_ONCE() and WRITE_ONCE(). */
	u64 base;		/* IA32_APIC_BASE */
	u32 ldr, dfr, svr;
	/* VM lock. */
	bool lint0;		/* level of the 8259s' output */
	/* Home CPU. Of the LVT, any CPU reads LINT0. */
	vector_hint irr_hint, isr_hint;	/* of the page's sets */
	u8 ppr_tpr;		/* the TPR that PPR was made from */
	u32 esr;		/* what the guest reads */
	u32 errors;		/* since the guest last wrote ESR */
	u32 lvt[LVT_COUNT];
	struct vlapic_timer timer;
};

/* Allocate a local APIC, attach it to the vCPU, whose own region is its moved page, and reset it. 0, -ENOMEM. */
int vlapic_create(struct vcpu *vcpu, const bool *int_output);

/*
 * Reset to the state in which firmware starts an operating system: the boot processor's APIC is enabled,
 * with ExtINT on LINT0 and NMI on LINT1; the others are as after a hardware reset. All are in x2APIC mode if an id
 * needs more than 8 bits. With `init`: the state after INIT, which keeps IA32_APIC_BASE.
 */
void vlapic_reset(struct vlapic *vlapic, bool init);
/*
 * Reset all registers but IA32_APIC_BASE to their power-up state, as when the APIC is switched off there, and
 * discard what other CPUs have posted.
 */
void vlapic_power_up(struct vlapic *vlapic);
/* SDM, "Logical Destination Mode in x2APIC Mode": LDR follows from the id there. */
void vlapic_derive_ldr(struct vlapic *vlapic);

/* Home CPU: accept what other CPUs have posted. Sets no request of the vCPU. */
void vlapic_merge(struct vlapic *vlapic);
/* The highest vector in IRR or posted, if its class is above PPR's; else -1. */
int vlapic_pending(struct vlapic *vlapic);
/* The same, if it is TPR alone that holds it back: its class. Else 0. */
unsigned vlapic_held_by_tpr(struct vlapic *vlapic);
/* Move that vector from IRR to ISR, and return it; -1: none. */
int vlapic_acknowledge(struct vlapic *vlapic);
/* Does LINT0 pass an ExtINT of the 8259s? true too where the APIC is switched off in IA32_APIC_BASE. */
bool vlapic_passes_extint(const struct vlapic *vlapic);
/* Any CPU: would a rise of LINT0 be an NMI? */
bool vlapic_lint0_is_nmi(const struct vlapic *vlapic);
/* Any CPU, with the VM lock: the level of LINT0, which is the 8259s' output. */
void vlapic_set_lint0(struct vlapic *vlapic, bool level);

/* Any CPU: accept a message without looking at its destination. false: it was refused. */
bool vlapic_accept(struct vlapic *vlapic, const struct apic_message *message);
/* The same for a fixed interrupt. */
bool vlapic_receive(struct vlapic *vlapic, u8 vector, bool level);
/* Signal an interrupt of the local vector table. */
void vlapic_signal(struct vlapic *vlapic, enum lapic_lvt source);
void vlapic_note_error(struct vlapic *vlapic, enum lapic_error error);

/* 8 bits each. */
static inline u8 vlapic_tpr(const struct vlapic *vlapic)
{
	return (u8)READ_ONCE(vlapic->page.tpr.value);
}

static inline u8 vlapic_ppr(const struct vlapic *vlapic)
{
	return (u8)READ_ONCE(vlapic->page.ppr.value);
}

/* Home CPU: TPR or ISR has changed, TPR perhaps by the processor itself. PPR follows. */
void vlapic_update_ppr(struct vlapic *vlapic);
/* The same where ISR has not changed since. */
static inline void vlapic_follow_tpr(struct vlapic *vlapic)
{
	if (unlikely(vlapic->ppr_tpr != vlapic_tpr(vlapic)))
		vlapic_update_ppr(vlapic);
}
void vlapic_set_tpr(struct vlapic *vlapic, u8 tpr);
void vlapic_end_of_interrupt(struct vlapic *vlapic);

/* A write of the 64-bit ICR: send the IPI. */
void vlapic_send(struct vlapic *vlapic, u64 icr);
void vlapic_send_self(struct vlapic *vlapic, u8 vector);
/* dev/irq/vlapic_registers.c: registers of both modes, by enum lapic_register. -1, false: there is no such one. */
s64 vlapic_read(struct vlapic *vlapic, unsigned reg);
bool vlapic_write(struct vlapic *vlapic, unsigned reg, u32 value);
u32 vlapic_lvt_writable(enum lapic_lvt entry);	/* mask of the writable bits */

/*
 * The xAPIC page: a region of the VM where it is after a reset, and of each vCPU that has moved it. `vcpu` accesses its own
 * local APIC. `place` is the region's device: IA32_APIC_BASE, but for the boot processor's bit, of a page that is there.
 */
u64 vlapic_mmio_read(void *place, struct vcpu *vcpu, u64 offset, unsigned size);
void vlapic_mmio_write(void *place, struct vcpu *vcpu, u64 offset, unsigned size, u64 value);
void vlapic_place_page(struct vlapic *vlapic, gpa_t base);

static inline void *vlapic_page_at(gpa_t base)
{
	return (void *)(base | LAPIC_BASE_ENABLED);
}

/* dev/irq/vlapic_msr.c. Of struct irqchip_ops. */
int vlapic_msr_read(void *vlapic, u32 msr, u64 *value);
int vlapic_msr_write(void *vlapic, u32 msr, u64 value);

/* dev/irq/vlapic_timer.c. SDM, "APIC Timer". */
void vlapic_timer_create(struct vlapic *vlapic);
void vlapic_timer_reset(struct vlapic *vlapic);
void vlapic_timer_set_lvt(struct vlapic *vlapic, u32 entry);
void vlapic_timer_set_initial(struct vlapic *vlapic, u32 count);
void vlapic_timer_set_divide(struct vlapic *vlapic, u32 value);
u32 vlapic_timer_current(const struct vlapic *vlapic);
void vlapic_timer_set_deadline(struct vlapic *vlapic, u64 guest_tsc);
u64 vlapic_timer_deadline(const struct vlapic *vlapic);
/* The guest's TSC or its offset has changed: re-arm the TSC deadline. */
void vlapic_timer_tsc_changed(struct vlapic *vlapic);

/* Enabled in IA32_APIC_BASE and in SVR: accepts interrupts. */
static inline bool vlapic_enabled(const struct vlapic *vlapic)
{
	return (READ_ONCE(vlapic->base) & LAPIC_BASE_ENABLED) && (READ_ONCE(vlapic->svr) & SVR_ENABLED);
}

/* --- dev/irq/vlapic_hardware.c: where the processor does an APIC's work, APIC_BY_HARDWARE --- */

/* A write of this register was carried out by the model: have the processor read what a read of the model returns. */
void vlapic_publish(struct vlapic *vlapic, unsigned reg);
/* The mode, or all registers, have changed. Without APIC_BY_HARDWARE nothing. */
void vlapic_mode_changed(struct vlapic *vlapic);
/* Of struct irqchip_ops. */
void vlapic_hand_over(struct vlapic *vlapic, struct apic_vectors *vectors);
void vlapic_register_written(struct vlapic *vlapic, u32 offset);
void vlapic_interrupt_ended(struct vlapic *vlapic, u8 vector);

static inline bool vlapic_in_x2apic_mode(const struct vlapic *vlapic)
{
	return READ_ONCE(vlapic->base) & LAPIC_BASE_X2APIC;
}
