/* SPDX-License-Identifier: MIT */
/* Interrupts between device models, the interrupt controllers' models, and the vCPU. */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

/* Implemented by dev (8259 pair + IOAPIC + local APICs); the rest of core sees only this. */
struct irqchip_ops {
	/* A device's line changes. ISA IRQ n drives the 8259s' input n and IOAPIC pin n (0 drives pin 2). */
	void (*set_line)(struct vm *vm, unsigned irq, bool level);
	/* Vector of the most urgent interrupt that the vCPU's APIC (or the 8259s by ExtINT) would deliver now, IF aside; -1: none. */
	int (*pending)(struct vcpu *vcpu);
	/* Interrupt acknowledge cycle: returns the vector and moves it to in-service; -1: it went away. */
	int (*acknowledge)(struct vcpu *vcpu);
	void (*vcpu_reset)(struct vcpu *vcpu);
	/* IA32_APIC_BASE, IA32_TSC_DEADLINE, x2APIC registers. 0, or -EINVAL: the access must raise #GP. */
	int (*msr_read)(struct vcpu *vcpu, u32 msr, u64 *value);
	int (*msr_write)(struct vcpu *vcpu, u32 msr, u64 value);
	u64 (*cr8_read)(struct vcpu *vcpu);
	void (*cr8_write)(struct vcpu *vcpu, u64 value);	/* 0..15, checked */
};

/* For device models. An edge-triggered pulse is a call with true, then one with false. */
void irq_line_set(struct vm *vm, unsigned irq, bool level);

/* For interrupt controllers: what is pending (or masked) for this vCPU changed. Any context. */
void vcpu_interrupt_changed(struct vcpu *vcpu);

/* The vCPU that ISA interrupts, ExtINT and the timers of shared devices belong to. */
struct vcpu *vm_bsp(struct vm *vm);
