/* SPDX-License-Identifier: MIT */
/* What the processor offers, read once at start-up. */
#pragma once

#include "lib/types.h"

enum cpu_vendor { CPU_VENDOR_UNKNOWN, CPU_VENDOR_INTEL, CPU_VENDOR_AMD };

struct cpu_features {
	enum cpu_vendor vendor;		/* Hygon counts as AMD; Zhaoxin/Centaur as Intel */
	char vendor_id[13];
	char brand[49];
	u32 family, model, stepping;
	u32 max_leaf, max_extended_leaf;
	u8 physical_address_bits, linear_address_bits;
	bool nx, smep, smap, umip, pages_1g, x2apic, tsc_deadline, invariant_tsc, rdtscp, xsave, pat, mce;
	bool vmx, svm;			/* the CPUID bits alone; whether they do, probe() finds out */
	bool hypervisor;		/* CPUID.1:ECX[31]: we are a guest ourselves */
};

extern struct cpu_features cpu_features;

void cpu_features_init(void);

/* The name of a feature that every 64-bit processor has, and this one lacks; NULL as a rule. */
const char *cpu_features_missing(void);
