/* SPDX-License-Identifier: MIT */
/* The processor's features, read once at start-up. */
#pragma once

#include "lib/types.h"

enum cpu_vendor { CPU_VENDOR_UNKNOWN, CPU_VENDOR_INTEL, CPU_VENDOR_AMD };

/*
 * State components that a guest may change: x87, SSE, AVX, AVX-512 (core/cpu/control.c), and PKRU, which
 * needs no bit of XCR0. SDM, "XSAVE-Supported Features and State-Component Bitmaps".
 */
#define XSTATE_SWITCHED	   (BIT_ULL(0) | BIT_ULL(1) | BIT_ULL(2) | 7ull << 5 | BIT_ULL(9))
#define XSTATE_LEGACY_SIZE 576u		/* legacy region and header */

struct cpu_features {
	enum cpu_vendor vendor;		/* Hygon counts as AMD; Zhaoxin/Centaur as Intel */
	char vendor_id[13];
	char brand[49];
	u32 family, model, stepping;
	u32 max_leaf, max_extended_leaf;
	u8 physical_address_bits, linear_address_bits;
	bool nx, smep, smap, umip, pages_1g, x2apic, tsc_deadline, invariant_tsc, rdtscp, xsave, pat, mce;
	/* There are IA32_SPEC_CTRL, IA32_PRED_CMD, IA32_FLUSH_CMD, IA32_ARCH_CAPABILITIES. */
	bool spec_ctrl, pred_cmd, flush_cmd, arch_capabilities;
	bool vmx, svm;			/* CPUID bits; vcpu_ops.probe() finds out whether it is usable */
	bool hypervisor;		/* CPUID.1:ECX[31]: Lamina itself runs in a VM */

	bool xsaveopt, xsaves, xfd;	/* only with xsave */
	u64 xstate;			/* components that Lamina switches: those of XSTATE_SWITCHED that there are */
	u32 xstate_size;		/* bytes of an XSAVE area for them, in the standard format */
};

extern struct cpu_features cpu_features;

/* Fill cpu_features. Intel SDM, "CPUID - CPU Identification"; AMD APM vol. 3, "CPUID Function Numbers". */
void cpu_features_init(void);

/* The name of the first feature that every 64-bit processor has but this one lacks; NULL if there is none. */
const char *cpu_features_missing(void);
