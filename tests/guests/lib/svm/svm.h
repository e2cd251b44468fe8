/* SPDX-License-Identifier: MIT */
/* A hypervisor of a few lines: one VMCB and the code of its guest. AMD APM vol. 2, "Layout of VMCB". */
#pragma once
#include "guest.h"

extern u8 vmcb[4096], msrpm[8192], iopm[3 * 4096];
extern u64 npt_pml4[512], npt_pdpt[512], npt_pd[4 * 512], npt_pt[512];

#define C32(offset) (*(volatile u32 *)(vmcb + (offset)))
#define C64(offset) (*(volatile u64 *)(vmcb + (offset)))
#define C8(offset)  (*(volatile u8 *)(vmcb + (offset)))
#define S64(offset) C64(0x400 + (offset))
#define S16(offset) (*(volatile u16 *)(vmcb + 0x400 + (offset)))

enum {	/* the control area */
	INTERCEPT_CR = 0x00, INTERCEPT_DR = 0x04, INTERCEPT_EXCEPTIONS = 0x08, INTERCEPT_1 = 0x0c, INTERCEPT_2 = 0x10,
	PAUSE_COUNT = 0x3e, IOPM_BASE = 0x40, MSRPM_BASE = 0x48, TSC_OFFSET = 0x50, ASID = 0x58, TLB_CONTROL = 0x5c, VINTR = 0x60,
	INT_STATE = 0x68, EXIT_CODE = 0x70, EXIT_INFO1 = 0x78, EXIT_INFO2 = 0x80, EXIT_INT_INFO = 0x88,
	NP_ENABLE = 0x90, EVENT_INJECTION = 0xa8, NCR3 = 0xb0, NEXT_RIP = 0xc8,
};
enum {	/* the state save area */
	ES = 0x00, CS = 0x10, SSEG = 0x20, DS = 0x30, FS = 0x40, GS = 0x50, GDTR = 0x60, LDTR = 0x70,
	IDTR = 0x80, TR = 0x90,
	CPL = 0xcb, EFER = 0xd0, CR4 = 0x148, CR3 = 0x150, CR0 = 0x158, DR7 = 0x160, DR6 = 0x168, RFLAGS = 0x170,
	RIP = 0x178, RSP = 0x1d8, RAX = 0x1f8, STAR = 0x200, LSTAR = 0x208, KERNEL_GS_BASE = 0x220,
	CR2 = 0x240, PAT = 0x268,
};
enum {	/* intercepts: bits of INTERCEPT_1 and INTERCEPT_2, as exit codes less 0x60 and 0x80 */
	I_INTR = 1 << 0, I_NMI = 1 << 1, I_VINTR = 1 << 4, I_CR0_SELECTIVE = 1 << 5, I_CPUID = 1 << 18, I_PAUSE = 1 << 23, I_HLT = 1 << 24,
	I_IOIO = 1 << 27, I_MSR = 1 << 28, I_SHUTDOWN = 1u << 31,
	I_VMRUN = 1 << 0, I_VMMCALL = 1 << 1, I_VMLOAD = 1 << 2, I_VMSAVE = 1 << 3, I_STGI = 1 << 4, I_CLGI = 1 << 5,
};
enum {	/* exit codes */
	EXIT_CR0_WRITE = 0x10, EXIT_CR3_WRITE = 0x13, EXIT_EXCEPTION = 0x40, EXIT_INTR = 0x60, EXIT_VINTR = 0x64,
	EXIT_CR0_SELECTIVE = 0x65, EXIT_CPUID = 0x72, EXIT_PAUSE = 0x77, EXIT_HLT = 0x78, EXIT_IOIO = 0x7b, EXIT_MSR = 0x7c,
	EXIT_SHUTDOWN = 0x7f, EXIT_VMRUN = 0x80, EXIT_VMMCALL = 0x81, EXIT_VMSAVE = 0x83, EXIT_STGI = 0x84, EXIT_NPF = 0x400,
};
#define EXIT_INVALID (~0ull)
#define VM_CR	     0xc0010114
#define VM_HSAVE_PA  0xc0010117
#define EFER_SVME    BIT(12)
#define MSR_EFER     0xc0000080
#define RFLAGS_IF    BIT(9)
/* The virtual interrupt: VINTR */
#define V_IRQ	       BIT(8)
#define V_PRIORITY(n)  ((u64)(n) << 16)
#define V_IGNORE_TPR   BIT(20)
#define V_INTR_MASKING BIT(24)
#define V_VECTOR(n)    ((u64)(n) << 32)
/* EVENT_INJECTION, EXIT_INT_INFO */
#define EVENT(type, vector) (BIT(31) | (type) << 8 | (vector))
#define EVENT_CODE(code)    (BIT(11) | (u64)(code) << 32)

struct registers {
	u64 rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
};
extern struct registers l2;	/* but RAX and RSP, which the VMCB has */

/* run.asm */
void vmrun(void);		/* VMRUN of the VMCB, between CLGI and STGI */
void vmrun_with_gif(void);	/* with IF set at VMRUN, so that interrupts end the guest */

/* vm.c */
void svm_on(void);
/* The guest begins at this code, in 64-bit mode, with its hypervisor's tables, and with VMMCALL intercepted. */
void begin(void (*code)(void));
u64 run(void);			/* returns the exit code */
u64 run_from(void (*code)(void));
void skip_bytes(u32 length);	/* go on behind the instruction that has exited */
void npt_on(void);		/* one to one, in pages of 2 MiB */
