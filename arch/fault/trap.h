/* SPDX-License-Identifier: MIT */
/*
 * Exceptions and interrupts of the host.
 * Intel SDM, "Exception and Interrupt Handling in 64-bit Mode".
 */
#pragma once

#include "arch/cpu/x86.h"
#include "lib/types.h"

/* What arch/fault/trap_entry.asm pushes, lowest address first. */
struct trap_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector;
	u64 error_code;		/* 0 where the vector has none */
	u64 rip, cs, rflags, rsp, ss;
};

/*
 * Fill and load the interrupt table, with interrupts off. All vectors use the current stack until
 * trap_enable_ist(), which needs the CPU's TSS. Other CPUs only need trap_load().
 */
void trap_init(void);
void trap_enable_ist(void);
void trap_load(void);
u64 idt_base(void);	/* linear, for the VMCS's host state area */

/* Print registers, control registers, stack words and the chain of callers. Takes no lock. */
void trap_report(const struct trap_frame *frame);
/* The same without registers, for the function whose __builtin_frame_address(0) is `frame`. */
void trap_report_caller(const u64 *frame);

/* "#GP general protection" for X86_GP, and so on; "interrupt" from 32 on. Never NULL. */
const char *trap_name(u64 vector);

/* Called by arch/fault/trap_entry.asm. */
void trap_dispatch(struct trap_frame *frame);
