/* SPDX-License-Identifier: MIT */
/*
 * A processor that carries out, for a test, the privileged instructions of the product's own code: the
 * host raises a signal for each, and the fake does to its registers what the instruction says. For
 * rdmsr_safe() and wrmsr_safe() an MSR that was never named does not exist; RDMSR and WRMSR create it.
 * Link: tests/unit/fake_cpu.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/types.h"

enum fake_write { FAKE_WRMSR, FAKE_CR, FAKE_DR, FAKE_XSETBV, FAKE_VMSAVE };

struct fake_msr {
	u32 number;
	bool write_faults;	/* wrmsr_safe() fails */
	u64 value, ignored;	/* bits that a write leaves alone */
	unsigned writes;
};

#define FAKE_DIARY 256

struct fake_cpu {
	u64 cr[9];
	u64 dr[8];
	u64 xcr0;			/* as XSETBV left it */

	/* Each write, in order. */
	struct {
		enum fake_write kind;
		u32 number;		/* of the MSR or register */
		u64 value;		/* VMSAVE: the physical address */
	} writes[256];
	unsigned write_count;

	char diary[FAKE_DIARY];		/* a letter for each instruction without another trace: w WBINVD, h HLT, i CLI, I STI */
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
/* The MSR of this number, which exists from here on; a new one is 0. */
struct fake_msr *fake_msr(u32 number);
/* Each write since the reset or the last call was this one, and there was one at least. Forgets them. */
void fake_cpu_expect_only(enum fake_write kind, u32 number, u64 value);

/* An entry of cmocka's table: the test runs on this processor, reset after the set-up. */
void fake_cpu_run_test(void **state);
#define fake_cpu_test_setup(test, set_up) { #test, fake_cpu_run_test, set_up, NULL, (void *)(test) }

/*
 * In a test whose product files have instructions that may fault, at its top: the exception table
 * begins there, since a test's own file is linked first. It ends in fake_cpu.c, which must be linked last.
 */
#define EXTABLE_BEGINS __asm__(".pushsection .extable, \"a\"; .balign 8; .globl extable_begin; extable_begin: .popsection")
