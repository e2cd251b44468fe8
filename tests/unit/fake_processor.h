/* SPDX-License-Identifier: MIT */
/*
 * A processor in ring 0 for product code with privileged instructions. On the build host such an
 * instruction raises a signal; the handler decodes it, has it act on `processor`, and continues
 * behind it. So the instructions themselves are tested, with their operands.
 * Link: tests/unit/fake_processor.c.
 */
#pragma once

#include "lib/types.h"

enum privileged {
	DO_RDMSR, DO_WRMSR, DO_READ_CR, DO_WRITE_CR, DO_READ_DR, DO_WRITE_DR, DO_XSETBV,
	DO_VMXON, DO_VMXOFF, DO_VMCLEAR, DO_VMPTRLD, DO_INVEPT, DO_INVVPID,
	PRIVILEGED_KINDS,
};

/* What a VMX instruction answers. Intel SDM, "Conventions" of the VMX instruction reference. */
enum vmx_answer { VM_SUCCEED, VM_FAIL_INVALID, VM_FAIL_VALID, VM_GP };

struct privileged_step {
	enum privileged kind;
	u64 number;		/* MSR, register, XCR, or INVEPT's and INVVPID's type */
	u64 value;		/* read, written, or a VMX instruction's memory operand */
	u64 value2;		/* upper half of INVEPT's and INVVPID's descriptor */
};

#define PROCESSOR_MSRS	32
#define PROCESSOR_STEPS	128

struct fake_processor {
	u64 cr[16], dr[8];
	u64 xcr0;
	struct {
		u32 index;
		u64 value;
	} msrs[PROCESSOR_MSRS];
	unsigned msr_count;
	u64 current_vmcs;			/* set by VMPTRLD */
	enum vmx_answer answers[PRIVILEGED_KINDS];
	u64 (*fixup)(u64 rip);			/* where to go on after VM_GP */

	struct privileged_step steps[PROCESSOR_STEPS];
	unsigned step_count;
};

extern struct fake_processor processor;

/*
 * All registers 0, no MSRs, no steps. Call it in the test itself and not in its setup: cmocka installs
 * signal handlers of its own between the two.
 */
void processor_power_on(void);
/* An MSR's value. RDMSR and WRMSR of another one fail the test. */
void processor_msr(u32 index, u64 value);
u64 processor_read_msr(u32 index);
/* Step number `nth` (from 0) of this kind; NULL if there were not so many. */
const struct privileged_step *processor_step(enum privileged kind, unsigned nth);
unsigned processor_count(enum privileged kind);
