/* SPDX-License-Identifier: MIT */
/*
 * The local APIC's registers and MSRs, for the host's driver and the guest's model.
 * Intel SDM, "Advanced Programmable Interrupt Controller (APIC)".
 */
#pragma once

#include "lib/types.h"

#define MSR_APIC_BASE		0x01b
#define MSR_TSC_DEADLINE	0x6e0	/* CPUID.1:ECX[24] */
/* Hyper-V's names of registers. TLFS, "Local APIC MSR Accesses" */
#define MSR_HYPERV_EOI		0x40000070
#define MSR_HYPERV_ICR		0x40000071
#define MSR_HYPERV_TPR		0x40000072
#define MSR_HYPERV_APIC_COUNT	3
#define MSR_X2APIC(n)		(0x800 + (n)) /* CPUID.1:ECX[21]; n = register offset / 16 */

/* IA32_APIC_BASE */
#define LAPIC_BASE_BSP	   BIT_ULL(8)
#define LAPIC_BASE_X2APIC  BIT_ULL(10)
#define LAPIC_BASE_ENABLED BIT_ULL(11)
#define LAPIC_DEFAULT_BASE 0xfee00000ull

/* Registers: offset in the xAPIC page / 16, and x2APIC MSR - 0x800. */
enum lapic_register {
	LAPIC_ID = 0x02,
	LAPIC_VERSION = 0x03,
	LAPIC_TPR = 0x08,	/* task priority */
	LAPIC_APR = 0x09,	/* arbitration priority */
	LAPIC_PPR = 0x0a,	/* processor priority */
	LAPIC_EOI = 0x0b,
	LAPIC_REMOTE_READ = 0x0c,
	LAPIC_LDR = 0x0d,	/* logical destination */
	LAPIC_DFR = 0x0e,	/* destination format */
	LAPIC_SVR = 0x0f,	/* spurious interrupt vector */
	LAPIC_ISR = 0x10,	/* in service, 8 registers */
	LAPIC_TMR = 0x18,	/* trigger mode, 8 registers */
	LAPIC_IRR = 0x20,	/* requests, 8 registers */
	LAPIC_ESR = 0x28,	/* error status */
	LAPIC_LVT_CMCI = 0x2f,
	LAPIC_ICR = 0x30,	/* interrupt command; x2APIC: all 64 bits */
	LAPIC_ICR_HIGH = 0x31,
	LAPIC_LVT = 0x32,	/* local vector table, LVT_COUNT registers by enum lapic_lvt */
	LAPIC_INITIAL_COUNT = 0x38,
	LAPIC_CURRENT_COUNT = 0x39,
	LAPIC_DIVIDE = 0x3e,
	LAPIC_SELF_IPI = 0x3f,	/* x2APIC only */
};

/* The local vector table in the order of its registers. LAPIC_LVT_CMCI is not next to them. */
enum lapic_lvt {
	LVT_TIMER, LVT_THERMAL, LVT_PERFORMANCE, LVT_LINT0, LVT_LINT1, LVT_ERROR,
	LVT_COUNT,
};

#define LVT_DELIVERY(entry)   ((entry) >> 8 & 7)
#define LVT_SMI		      (2u << 8)
#define LVT_NMI		      (4u << 8)
#define LVT_ACTIVE_LOW	      BIT(13)	/* LINT0 and LINT1 */
#define LVT_DELIVERY_STATUS   BIT(12)
#define LVT_MASKED	      BIT(16)
#define LVT_TSC_DEADLINE      BIT(18)
#define LVT_TIMER_MODE(entry) ((entry) >> 17 & 3)
enum lapic_timer_mode { TIMER_ONE_SHOT, TIMER_PERIODIC, TIMER_DEADLINE };

#define SVR_ENABLED BIT(8)

enum lapic_error {
	ESR_SEND_ILLEGAL_VECTOR = BIT(5),
	ESR_RECEIVED_ILLEGAL_VECTOR = BIT(6),
	ESR_ILLEGAL_REGISTER = BIT(7),
};
