/* SPDX-License-Identifier: MIT */
/* Registers of the host's local APIC, whichever way it is reached. For arch/lapic*.c. */
#pragma once

#include "lib/types.h"

/* Offsets in the xAPIC's page. Intel SDM, "Local APIC Register Address Map". */
enum lapic_register {
	LAPIC_ID = 0x020,
	LAPIC_VERSION = 0x030,
	LAPIC_TPR = 0x080,
	LAPIC_EOI = 0x0b0,
	LAPIC_SVR = 0x0f0,
	LAPIC_ISR = 0x100,	/* 8 registers */
	LAPIC_IRR = 0x200,	/* 8 registers */
	LAPIC_ESR = 0x280,
	LAPIC_LVT_CMCI = 0x2f0,
	LAPIC_ICR = 0x300,
	LAPIC_ICR_HIGH = 0x310,	/* xAPIC only */
	LAPIC_LVT_TIMER = 0x320,
	LAPIC_LVT_THERMAL = 0x330,
	LAPIC_LVT_PERFORMANCE = 0x340,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LAPIC_LVT_ERROR = 0x370,
	LAPIC_TIMER_INITIAL = 0x380,
	LAPIC_TIMER_CURRENT = 0x390,
	LAPIC_TIMER_DIVIDE = 0x3e0,
};

#define LAPIC_LVT_NMI	      (4u << 8)
#define LAPIC_LVT_MASKED      BIT(16)
#define LAPIC_LVT_TSC_DEADLINE BIT(18)

u32 lapic_reg_read(enum lapic_register reg);
void lapic_reg_write(enum lapic_register reg, u32 value);
