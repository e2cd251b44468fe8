/* SPDX-License-Identifier: MIT */
/* The I/O APIC's registers. Intel 82093AA data sheet, "Register Description". */
#pragma once

#include "lib/types.h"

enum { IOAPIC_REG_ID, IOAPIC_REG_VERSION, IOAPIC_REG_ARBITRATION, IOAPIC_REG_ENTRIES = 0x10 };

/* Redirection table entries, 64 bits in two registers */
#define IOAPIC_ENTRY_DELIVERY(entry) ((entry) >> 8 & 7)
#define IOAPIC_DELIVERY_SMI	2
#define IOAPIC_DELIVERY_NMI	4
#define IOAPIC_ENTRY_NMI	((u32)IOAPIC_DELIVERY_NMI << 8)
#define IOAPIC_ENTRY_ACTIVE_LOW BIT_ULL(13)
#define IOAPIC_ENTRY_REMOTE_IRR BIT_ULL(14)	/* a local APIC accepted the interrupt, and sent no EOI yet */
#define IOAPIC_ENTRY_LEVEL	BIT_ULL(15)
#define IOAPIC_ENTRY_MASKED	BIT_ULL(16)
