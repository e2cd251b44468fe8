/* SPDX-License-Identifier: MIT */
/*
 * A processor that carries out, for a test, the privileged instructions of the product's own code: the
 * host raises a signal for each, and the fake does to its registers what the instruction says. An MSR
 * that the test has not set up does not exist: rdmsr_safe() fails, and RDMSR fails the test.
 * Link: tests/unit/fake_cpu.c.
 */
#pragma once

#include "lib/types.h"

#define FAKE_DIARY 256

struct fake_cpu {
	u64 cr[9];
	u64 dr[8];
	u64 xcr0;			/* as XSETBV left it */
	char diary[FAKE_DIARY];		/* a letter for each instruction without another trace: w WBINVD, h HLT, i CLI, I STI, s VMSAVE */
	u64 vmsave_pa;			/* of the last VMSAVE */
	u64 cr0_at_wrmsr;		/* CR0 at the last WRMSR */
	void (*on_hlt)(void);		/* called for HLT, which else does nothing */

	/* VMX. o VMXON, x VMXOFF, c VMCLEAR, p VMPTRLD, e INVEPT, v INVVPID in the diary */
	bool vmx_fails;			/* from here on each of its instructions ends with VMfailInvalid */
	bool vmxon_faults;		/* VMXON raises #GP: see EXTABLE_BEGINS */
	u64 vmxon_pa, vmclear_pa, vmptrld_pa;
	u64 invept_type, invept_descriptor[2];
	u64 invvpid_type, invvpid_descriptor[2];
};
extern struct fake_cpu fake_cpu;

/* Begin anew: all registers 0, no MSRs. */
void fake_cpu_reset(void);
/* An MSR's value; it exists from here on. */
u64 *fake_msr(u32 msr);
/* From here on WRMSR of it raises #GP, or a write changes only these bits. */
void fake_msr_refuse(u32 msr);
void fake_msr_writable(u32 msr, u64 bits);
/* How often it was written. */
unsigned fake_msr_writes(u32 msr);

/*
 * In a test whose product files have instructions that may fault, at its top: the exception table
 * begins there, since a test's own file is linked first. It ends in fake_cpu.c, which must be linked last.
 */
#define EXTABLE_BEGINS __asm__(".pushsection .extable, \"a\"; .balign 8; .globl extable_begin; extable_begin: .popsection")
