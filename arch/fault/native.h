/* SPDX-License-Identifier: MIT */
/*
 * One instruction of a guest, executed by this CPU in ring 0, with its memory operand moved to memory of
 * Lamina's. Core decides which instructions these may be: core/emulate/native_rules.h. What a CPU needs for it is
 * allocated at its first use. Interrupts off.
 */
#pragma once

#include "lib/types.h"

struct trap_frame;

/* Behind this many bytes there is an unmapped page: an instruction that accesses more of them faults. */
#define NATIVE_MEMORY 16384
#define NATIVE_CODE_MAX 15

struct native_regs {
	u64 gpr[16];		/* in the encoding's order. RSP is the host's: the instruction must not name it */
	u64 rflags;		/* status flags, in and out */
};

struct native_fault {
	u8 vector;
	u32 error_code;
	u64 address;		/* #PF */
};

/* Make this CPU's code page and operand memory. -ENOMEM. */
int native_prepare(void);
/* The end of the operand memory, which is the start of the unmapped page; and where the instruction will be. */
u8 *native_memory_end(void);
u64 native_code_address(void);
/*
 * Execute the instruction. 0; or -EFAULT with *fault filled in: then registers and memory are as before it. Keeps CR2.
 * The caller has seen to it that the instruction does nothing but compute.
 */
int native_run(const u8 *code, unsigned length, struct native_regs *regs, struct native_fault *fault);

/* Called by arch/fault/trap.c. True: the fault is that of native_run()'s instruction, and the frame leads back. */
bool native_fix_up(struct trap_frame *frame);

/* arch/fault/native_run.asm */
int native_enter(struct native_regs *regs, u64 code);
extern const u8 native_left[], native_faulted[];
