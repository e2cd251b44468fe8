/* SPDX-License-Identifier: MIT */
/*
 * Interrupt messages between the IOAPIC and the local APICs of a VM.
 * Intel SDM, "Interrupt Distribution Mechanisms", "Determining IPI Destination".
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;

/* Delivery modes, as redirection entries, LVT entries and the ICR encode them. */
enum apic_delivery {
	APIC_FIXED,
	APIC_LOWEST,		/* only to the addressed APIC with the lowest priority */
	APIC_SMI,		/* accepted and dropped: the VM has no SMM */
	APIC_NMI = 4,
	APIC_INIT,
	APIC_STARTUP,
	APIC_EXTINT,
};

/* As the ICR encodes them. */
enum apic_shorthand { APIC_TO_DESTINATION, APIC_TO_SELF, APIC_TO_ALL, APIC_TO_OTHERS };

struct apic_message {
	u32 destination;	/* APIC id, or a set of logical ids */
	bool logical;
	bool wide;		/* FFFFFFFFh, and not FFh, means all: from an x2APIC's ICR, or with an I/O APIC's long ids */
	u8 shorthand;		/* enum apic_shorthand: not APIC_TO_DESTINATION: instead of the destination */
	u32 sender;		/* with a shorthand: the sender's APIC id */
	u8 delivery;		/* enum apic_delivery */
	u8 vector;
	bool level;		/* level-triggered: its EOI is broadcast to the IOAPIC */
};

/*
 * Deliver to every local APIC that is addressed; APIC_LOWEST: to one of them. Returns true if at least
 * one accepted the message. Any CPU.
 */
bool apic_bus_send(struct vm *vm, const struct apic_message *message);
/* Is the message's vector pending in the IRR of a local APIC that it addresses, or on its way there? Any CPU. */
bool apic_bus_is_waiting(struct vm *vm, const struct apic_message *message);
/* Does the message address this vCPU's local APIC? The only function that compares destinations. Any CPU. */
bool apic_bus_addresses(const struct vcpu *vcpu, const struct apic_message *message);
