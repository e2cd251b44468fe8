/* SPDX-License-Identifier: MIT */
/*
 * Interrupts between device models, the models of the interrupt controllers, and the vCPUs. Devices are called
 * with the VM lock held, local APICs without it, on their vCPU's home CPU.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;
struct posted_interrupts;

/*
 * A VM with more vCPUs than that has APIC ids that need more than 8 bits, for 255 addresses all. Its local APICs
 * start in x2APIC mode, and its I/O APIC takes destinations of 15 bits. Linux uses ids from 255 on only with both.
 */
#define IRQCHIP_SHORT_IDS 255u

/*
 * What the processor does of a local APIC's work by itself. The model begins with the page that it reads and writes for
 * that. SDM, "APIC Virtualization and Virtual Interrupts".
 */
enum apic_hardware {
	APIC_BY_SOFTWARE,
	APIC_TPR,		/* it reads and writes TPR, and exits when TPR falls below a threshold */
	APIC_BY_HARDWARE,	/* it also reads registers, delivers interrupts from IRR, and ends them: all without exits */
};

/* Where the guest accesses the registers, with APIC_BY_HARDWARE. */
enum apic_access {
	APIC_ACCESS_NONE,	/* it is switched off, or its page was moved: accesses exit */
	APIC_ACCESS_PAGE,	/* at LAPIC_DEFAULT_BASE */
	APIC_ACCESS_MSRS,	/* x2APIC mode */
};

/* What the processor has to know of IRR, ISR and TMR. */
struct apic_vectors {
	u8 requested, in_service;	/* the highest vector in IRR, in ISR; 0: none */
	bool level_changed;
	/* TMR, if it has changed: whoever sends these needs to know their EOI. Vector n: bit n % 64 of word n / 64. */
	u64 level[4];
};

/* Implemented by dev (8259 pair + IOAPIC + local APICs); the rest of core sees only this. */
struct irqchip_ops {
	/* VM lock. A device's line changes. ISA IRQ n drives the 8259s' input n and IOAPIC pin n (0 drives pin 2). */
	void (*set_line)(struct vm *vm, unsigned irq, bool level);
	/* VM lock. irq_line_waiting(). */
	bool (*line_waiting)(struct vm *vm, unsigned irq);
	/*
	 * Home CPU, as all that follow; none is called with the VM lock held. They set no request of the vCPU:
	 * pending() may be called for one that is parked. Takes in what other CPUs have posted. `vlapic`: vcpu_vlapic().
	 *
	 * Vector of the most urgent interrupt that the vCPU's APIC would deliver now, ignoring RFLAGS.IF;
	 * -1: none. 0 for an ExtINT of the 8259s: its vector is known only after acknowledge(). With APIC_BY_HARDWARE
	 * only an ExtINT, in acknowledge() as well: the processor delivers all others.
	 */
	int (*pending)(void *vlapic);
	/* The same of all interrupts: not -1: the vCPU wakes if it has halted with RFLAGS.IF set. */
	int (*wakes)(void *vlapic);
	/*
	 * Interrupt acknowledge cycle: returns the vector and moves it to in-service; -1: no longer pending. *more:
	 * another one may be pending, or was announced by this call, so that it is worth asking.
	 */
	int (*acknowledge)(void *vlapic, bool *more);
	/* With APIC_TPR: the class (1 to 15) of an interrupt that nothing but TPR holds back; 0: there is none. */
	unsigned (*held_by_tpr)(void *vlapic);
	/*
	 * With APIC_BY_HARDWARE, the next three. Before an entry: take in what other CPUs have posted. From here to the next
	 * exit IRR, ISR, TPR and PPR are the processor's.
	 */
	void (*hand_over)(void *vlapic, struct apic_vectors *vectors);
	/* The processor has written a register, by its offset in the page, and left what follows from it to the model. */
	void (*register_written)(void *vlapic, u32 offset);
	/* It has ended an interrupt that was in `level`. */
	void (*interrupt_ended)(void *vlapic, u8 vector);
	/* Power-up, or the state after INIT, which keeps id, base and mode of the local APIC. */
	void (*vcpu_reset)(struct vcpu *vcpu, bool init);
	/* Where IA32_APIC_BASE is: for reads. */
	const u64 *(*apic_base)(void *vlapic);
	/* IA32_TSC_DEADLINE, x2APIC registers, and writes of IA32_APIC_BASE. 0, or -EINVAL: the access must raise #GP. */
	int (*msr_read)(void *vlapic, u32 msr, u64 *value);
	int (*msr_write)(void *vlapic, u32 msr, u64 value);
	/* The guest's TSC was set or its offset changed: timers that wait for a guest TSC value move. */
	void (*tsc_changed)(struct vcpu *vcpu);
	u64 (*cr8_read)(struct vcpu *vcpu);
	void (*cr8_write)(struct vcpu *vcpu, u64 value);	/* 0..15, checked */
	/* Can a device still send this vCPU an NMI? Takes the VM lock. Any CPU, while none of the VM's vCPUs runs. */
	bool (*nmi_may_come)(struct vcpu *vcpu);
	/* Send what the low half of an ICR describes to one APIC, by its id. False: nobody accepted it. */
	bool (*send_ipi)(struct vcpu *sender, u32 apic_id, u32 icr);
};

/*
 * For device models. The rising edge is the interrupt; keep the line high until the guest has
 * taken it, because the request of an 8259 falls with its line.
 */
void irq_line_set(struct vm *vm, unsigned irq, bool level);

#define IRQ_FPU 13	/* floating-point errors, if CR0.NE is 0: core/exit.h */

/*
 * Is an earlier interrupt of this line still pending, so that another edge would be lost? false
 * if the line is masked in both the 8259s and the IOAPIC.
 */
bool irq_line_waiting(struct vm *vm, unsigned irq);

/* For interrupt controllers, on the vCPU's home CPU and on its own behalf: its pending interrupt may have changed. */
void vcpu_interrupt_changed(struct vcpu *vcpu);
/* The same on behalf of others, on any CPU: wakes the vCPU, or makes its guest exit. */
void vcpu_interrupt_sent(struct vcpu *vcpu);

/* Is this CPU the vCPU's home, so that its local APIC may be changed directly? */
bool vcpu_home_is_here(const struct vcpu *vcpu);
struct posted_interrupts *vcpu_posted(struct vcpu *vcpu);	/* core/posted.h */

/* The VM lock, for what local APICs do to shared devices. Not recursive. */
void vm_lock(struct vm *vm);
void vm_unlock(struct vm *vm);

/* The vCPU that ISA interrupts, ExtINT and the timers of shared devices belong to. */
struct vcpu *vm_bsp(struct vm *vm);

/*
 * Frequency of the local APIC's timer in Hz, before its divider. Low enough that CPUID leaf 15h can
 * express the TSC's frequency as a multiple of it to within a few millionths, although guests multiply
 * the leaf's values in 32 bits; high enough to set a one-shot timer in steps of 40 ns.
 */
#define LAPIC_TIMER_HZ 25000000

/* For interrupt controllers, which keep ownership of `data`. From here on core calls the ops. */
void vm_set_irqchip(struct vm *vm, const struct irqchip_ops *ops, void *data);
void *vm_irqchip_data(const struct vm *vm);
u32 vm_vcpu_count(const struct vm *vm);
struct vcpu *vm_vcpu(struct vm *vm, u32 index);		/* index < vm_vcpu_count() */
struct vm *vcpu_vm(const struct vcpu *vcpu);
/* Home CPU, for interrupt controllers: TPR was written, not by the processor itself. */
void vcpu_tpr_written(struct vcpu *vcpu, u8 tpr);
enum apic_hardware vm_apic_hardware(const struct vm *vm);
/* For local APICs, with APIC_BY_HARDWARE. Home CPU, or at their creation; without any lock: core/mem/tdp_change.h. */
void vcpu_apic_access_changed(struct vcpu *vcpu, enum apic_access access);
u32 vcpu_apic_id(const struct vcpu *vcpu);		/* also its index in the VM */
void *vcpu_vlapic(const struct vcpu *vcpu);		/* the local APIC's model; NULL before it is set */
void vcpu_set_vlapic(struct vcpu *vcpu, void *vlapic);
u8 vcpu_physical_bits(const struct vcpu *vcpu);		/* width of the guest's physical addresses */
