/* SPDX-License-Identifier: MIT */
/*
 * A processor in ring 0 for product code with privileged instructions. On the build host such an
 * instruction raises a signal; the handler decodes it, has it act on `fake_cpu`, and continues behind it.
 * So the instructions themselves are tested, with their operands.
 *
 * For rdmsr_safe() and wrmsr_safe() an MSR that was never named does not exist; RDMSR and WRMSR create it.
 * Link: tests/unit/fake_cpu.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/types.h"

enum privileged {
	DO_RDMSR, DO_WRMSR, DO_READ_CR, DO_WRITE_CR, DO_READ_DR, DO_WRITE_DR, DO_XSETBV,
	DO_VMXON, DO_VMXOFF, DO_VMCLEAR, DO_VMPTRLD, DO_INVEPT, DO_INVVPID,
	DO_VMSAVE, DO_WBINVD, DO_HLT,
	PRIVILEGED_KINDS,
};

/* The result of a VMX instruction. Intel SDM, "Conventions" of the VMX instruction reference. */
enum vmx_answer { VM_SUCCEED, VM_FAIL_INVALID, VM_FAIL_VALID, VM_GP };

struct privileged_step {
	enum privileged kind;
	u64 number;		/* MSR, register, XCR, or INVEPT's and INVVPID's type */
	u64 value;		/* read, written, or a VMX instruction's memory operand; VMSAVE: RAX */
	u64 value2;		/* upper half of INVEPT's and INVVPID's descriptor */
};

struct fake_msr {
	u32 number;
	bool write_faults;	/* wrmsr_safe() fails */
	u64 value, ignored;	/* bits that a write leaves alone */
	unsigned writes;
};

#define FAKE_MSRS  128
#define FAKE_STEPS 1024

struct fake_cpu {
	u64 cr[16], dr[8];
	u64 xcr0;
	struct fake_msr msrs[FAKE_MSRS];
	unsigned msr_count;
	u64 current_vmcs;			/* set by VMPTRLD */
	enum vmx_answer answers[PRIVILEGED_KINDS];
	u64 (*fixup)(u64 rip);			/* where to continue after VM_GP */
	void (*on_hlt)(void);			/* called for HLT, which else does nothing */
	u64 cr0_at_wrmsr;			/* CR0 at the last WRMSR */

	struct privileged_step steps[FAKE_STEPS];
	unsigned step_count;
};

extern struct fake_cpu fake_cpu;

/* All registers 0, no MSRs, no steps. */
void fake_cpu_reset(void);
/* The MSR of this number, which exists from here on; a new one is 0. */
struct fake_msr *fake_msr(u32 number);
/* Step number `nth` (from 0) of this kind; NULL if there were not so many. */
const struct privileged_step *fake_cpu_step(enum privileged kind, unsigned nth);
unsigned fake_cpu_count(enum privileged kind);
/* Write number `nth` to a register or MSR, or VMSAVE; and how many there were. Reads are left out. */
const struct privileged_step *fake_cpu_write(unsigned nth);
unsigned fake_cpu_writes(void);
/* Each write since the reset or the last call was this one, and there was one at least. Forgets all steps. */
void fake_cpu_expect_only(enum privileged kind, u32 number, u64 value);

/* An entry of cmocka's table: the test runs on this processor, reset after the set-up. */
void fake_cpu_run_test(void **state);
#define fake_cpu_test_setup(test, set_up) { #test, fake_cpu_run_test, set_up, NULL, (void *)(test) }
