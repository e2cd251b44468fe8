/* SPDX-License-Identifier: MIT */
/* The virtual machine control block. AMD APM vol. 2, "Layout of VMCB". */
#pragma once

#include "lib/types.h"

/* Intercept words: bits of the 32-bit words at offsets 00Ch (misc1) and 010h (misc2). */
enum intercept_misc1 {
	INTERCEPT_INTR = BIT(0),
	INTERCEPT_NMI = BIT(1),
	INTERCEPT_SMI = BIT(2),
	INTERCEPT_INIT = BIT(3),
	INTERCEPT_VINTR = BIT(4),
	INTERCEPT_CR0_SEL_WRITE = BIT(5),	/* of other bits than TS and MP */
	INTERCEPT_RDPMC = BIT(15),
	INTERCEPT_CPUID = BIT(18),
	INTERCEPT_IRET = BIT(20),
	INTERCEPT_INVD = BIT(22),
	INTERCEPT_PAUSE = BIT(23),
	INTERCEPT_HLT = BIT(24),
	INTERCEPT_INVLPGA = BIT(26),
	INTERCEPT_IOIO = BIT(27),
	INTERCEPT_MSR = BIT(28),
	INTERCEPT_TASK_SWITCH = BIT(29),
	INTERCEPT_FERR_FREEZE = BIT(30),
	INTERCEPT_SHUTDOWN = BIT(31),
};

enum intercept_misc2 {
	INTERCEPT_VMRUN = BIT(0),
	INTERCEPT_VMMCALL = BIT(1),
	INTERCEPT_VMLOAD = BIT(2),
	INTERCEPT_VMSAVE = BIT(3),
	INTERCEPT_STGI = BIT(4),
	INTERCEPT_CLGI = BIT(5),
	INTERCEPT_SKINIT = BIT(6),
	INTERCEPT_ICEBP = BIT(8),
	INTERCEPT_WBINVD = BIT(9),
	INTERCEPT_MONITOR = BIT(10),
	INTERCEPT_MWAIT = BIT(11),
	INTERCEPT_MWAIT_ARMED = BIT(12),
	INTERCEPT_XSETBV = BIT(13),
	INTERCEPT_RDPRU = BIT(14),
};

/* intercept_misc3 */
#define INTERCEPT_INVPCID BIT(2)

#define INTERCEPT_CR_READ(n)  BIT(n)
#define INTERCEPT_CR_WRITE(n) BIT(16 + (n))

/* tlb_control */
enum { TLB_KEEP = 0, TLB_FLUSH_ALL = 1, TLB_FLUSH_ASID = 3 };

/* int_control */
#define V_TPR		0xffull
#define V_IRQ		BIT_ULL(8)
#define V_INTR_PRIO(p)	((u64)(p) << 16)
#define V_IGN_TPR	BIT_ULL(20)
#define V_INTR_MASKING	BIT_ULL(24)
#define V_NMI_ENABLE	BIT_ULL(26)
#define V_INTR_VECTOR	(0xffull << 32)

/* int_state */
#define INT_SHADOW BIT_ULL(0)

/* clean: the fields that have not changed since the last VMRUN of this VMCB. "VMCB Clean Field". */
enum vmcb_clean {
	CLEAN_INTERCEPTS = BIT(0),	/* intercepts, TSC offset */
	CLEAN_PERMISSION_MAPS = BIT(1),
	CLEAN_ASID = BIT(2),
	CLEAN_INTERRUPT = BIT(3),	/* int_control */
	CLEAN_NESTED_PAGING = BIT(4),	/* nested CR3, G_PAT */
	CLEAN_CR = BIT(5),		/* CR0, CR3, CR4, EFER */
	CLEAN_DR = BIT(6),
	CLEAN_TABLES = BIT(7),		/* GDTR, IDTR */
	CLEAN_SEGMENTS = BIT(8),	/* CS, DS, SS, ES, CPL */
	CLEAN_CR2 = BIT(9),
	CLEAN_LBR = BIT(10),
	CLEAN_ALL = BIT(11) - 1,
};

/* EVENTINJ and EXITINTINFO. "Event Injection". */
#define EVENT_VECTOR(e)	    ((u8)(e))
#define EVENT_TYPE(e)	    ((unsigned)((e) >> 8) & 7)
#define EVENT_TYPE_BITS(t)  ((u64)(t) << 8)
#define EVENT_HAS_CODE	    BIT_ULL(11)
#define EVENT_VALID	    BIT_ULL(31)
#define EVENT_ERROR_CODE(e) ((u32)((e) >> 32))
enum { VMCB_EVENT_INTR = 0, VMCB_EVENT_NMI = 2, VMCB_EVENT_EXCEPTION = 3, VMCB_EVENT_SOFT = 4 };

struct vmcb_segment {
	u16 selector;
	u16 attributes;	/* descriptor bits 40-47 and 52-55, packed to 12 bits */
	u32 limit;
	u64 base;
};

#define ATTRIBUTE_S	  BIT(4)
#define ATTRIBUTE_PRESENT BIT(7)
#define ATTRIBUTE_AVL	  BIT(8)
#define ATTRIBUTE_L	  BIT(9)
#define ATTRIBUTE_DB	  BIT(10)
#define ATTRIBUTE_G	  BIT(11)

struct vmcb_control {
	u32 intercept_cr;
	u32 intercept_dr;
	u32 intercept_exceptions;
	u32 intercept_misc1;
	u32 intercept_misc2;
	u32 intercept_misc3;
	u8 reserved_018[0x3c - 0x18];
	u16 pause_threshold;
	u16 pause_count;
	u64 iopm_base;
	u64 msrpm_base;
	u64 tsc_offset;
	u32 asid;
	u8 tlb_control;
	u8 reserved_05d[3];
	u64 int_control;
	u64 int_state;
	u64 exit_code;
	u64 exit_info1;
	u64 exit_info2;
	u64 exit_int_info;
	u64 np_enable;
	u64 avic_bar;
	u64 ghcb;
	u64 event_injection;
	u64 nested_cr3;
	u64 lbr_control;
	u32 clean;
	u32 reserved_0c4;
	u64 next_rip;
	u8 fetched_length;
	u8 fetched[15];
	u8 reserved_0e0[0x400 - 0xe0];
};

struct vmcb_save {
	struct vmcb_segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	u8 reserved_0a0[0xcb - 0xa0];
	u8 cpl;
	u8 reserved_0cc[4];
	u64 efer;
	u8 reserved_0d8[0x148 - 0xd8];
	u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
	u8 reserved_180[0x1d8 - 0x180];
	u64 rsp;
	u64 s_cet, ssp, isst;
	u64 rax;
	u64 star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 cr2;
	u8 reserved_248[0x268 - 0x248];
	u64 pat;
	u64 debugctl, last_branch_from, last_branch_to, last_exception_from, last_exception_to;
	u8 reserved_298[0x2e0 - 0x298];
	u64 spec_ctrl;		/* if the processor virtualizes SPEC_CTRL: "SPEC_CTRL Virtualization" */
	u8 reserved_2e8[0xc00 - 0x2e8];
};

struct vmcb {
	struct vmcb_control control;
	struct vmcb_save save;
};

_Static_assert(offsetof(struct vmcb_control, pause_threshold) == 0x3c, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, iopm_base) == 0x40, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, asid) == 0x58, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, int_control) == 0x60, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, exit_code) == 0x70, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, exit_int_info) == 0x88, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, np_enable) == 0x90, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, event_injection) == 0xa8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, nested_cr3) == 0xb0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, clean) == 0xc0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_control, next_rip) == 0xc8, "VMCB layout");
_Static_assert(sizeof(struct vmcb_control) == 0x400, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, tr) == 0x90, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cpl) == 0xcb, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, efer) == 0xd0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cr4) == 0x148, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rip) == 0x178, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rsp) == 0x1d8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, s_cet) == 0x1e0, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, rax) == 0x1f8, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, cr2) == 0x240, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, pat) == 0x268, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, last_exception_to) == 0x290, "VMCB layout");
_Static_assert(offsetof(struct vmcb_save, spec_ctrl) == 0x2e0, "VMCB layout");
_Static_assert(sizeof(struct vmcb) == 4096, "VMCB layout");

/* EXITCODE: one unsigned 64-bit value. "SVM Intercept Exit Codes". */
enum {
	VMEXIT_CR_READ = 0x00,		/* + register */
	VMEXIT_CR_WRITE = 0x10,
	VMEXIT_DR_READ = 0x20,
	VMEXIT_DR_WRITE = 0x30,
	VMEXIT_EXCEPTION = 0x40,	/* + vector */
	VMEXIT_INTR = 0x60,
	VMEXIT_NMI = 0x61,
	VMEXIT_SMI = 0x62,
	VMEXIT_INIT = 0x63,
	VMEXIT_VINTR = 0x64,
	VMEXIT_CR0_SEL_WRITE = 0x65,
	VMEXIT_IDTR_READ = 0x66,
	VMEXIT_GDTR_READ = 0x67,
	VMEXIT_LDTR_READ = 0x68,
	VMEXIT_TR_READ = 0x69,
	VMEXIT_IDTR_WRITE = 0x6a,
	VMEXIT_GDTR_WRITE = 0x6b,
	VMEXIT_LDTR_WRITE = 0x6c,
	VMEXIT_TR_WRITE = 0x6d,
	VMEXIT_RDTSC = 0x6e,
	VMEXIT_RDPMC = 0x6f,
	VMEXIT_PUSHF = 0x70,
	VMEXIT_POPF = 0x71,
	VMEXIT_CPUID = 0x72,
	VMEXIT_RSM = 0x73,
	VMEXIT_IRET = 0x74,
	VMEXIT_SWINT = 0x75,
	VMEXIT_INVD = 0x76,
	VMEXIT_PAUSE = 0x77,
	VMEXIT_HLT = 0x78,
	VMEXIT_INVLPG = 0x79,
	VMEXIT_INVLPGA = 0x7a,
	VMEXIT_IOIO = 0x7b,
	VMEXIT_MSR = 0x7c,
	VMEXIT_TASK_SWITCH = 0x7d,
	VMEXIT_FERR_FREEZE = 0x7e,
	VMEXIT_SHUTDOWN = 0x7f,
	VMEXIT_VMRUN = 0x80,
	VMEXIT_VMMCALL = 0x81,
	VMEXIT_VMLOAD = 0x82,
	VMEXIT_VMSAVE = 0x83,
	VMEXIT_STGI = 0x84,
	VMEXIT_CLGI = 0x85,
	VMEXIT_SKINIT = 0x86,
	VMEXIT_RDTSCP = 0x87,
	VMEXIT_ICEBP = 0x88,
	VMEXIT_WBINVD = 0x89,
	VMEXIT_MONITOR = 0x8a,
	VMEXIT_MWAIT = 0x8b,
	VMEXIT_MWAIT_ARMED = 0x8c,
	VMEXIT_XSETBV = 0x8d,
	VMEXIT_RDPRU = 0x8e,
	VMEXIT_EFER_WRITE_TRAP = 0x8f,
	VMEXIT_CR_WRITE_TRAP = 0x90,
	VMEXIT_INVLPGB = 0xa0,
	VMEXIT_MCOMMIT = 0xa3,
	VMEXIT_TLBSYNC = 0xa4,
	VMEXIT_NPF = 0x400,
	VMEXIT_AVIC_INCOMPLETE_IPI = 0x401,
	VMEXIT_AVIC_NOACCEL = 0x402,
	VMEXIT_VMGEXIT = 0x403,
};
#define VMEXIT_INVALID (~0ull)

/* EXITINFO1 of VMEXIT_IOIO */
#define IOIO_IN	       BIT(0)
#define IOIO_STRING    BIT(2)
#define IOIO_REP       BIT(3)
#define IOIO_SIZE(i)   (((i) >> 4) & 7)
#define IOIO_PORT(i)   ((u16)((i) >> 16))

/* EXITINFO1 of VMEXIT_NPF: a page-fault error code, and: */
#define NPF_FINAL      BIT_ULL(32)
#define NPF_GUEST_WALK BIT_ULL(33)

/* EXITINFO1 of VMEXIT_CR_*, with decode assists: a MOV, and its general register */
#define CR_MOV	       BIT_ULL(63)
#define CR_REGISTER(i) ((unsigned)(i) & 15)

/* EXITINFO2 of a task switch: the error code in bits 31:0. APM vol. 2, "Task Switch Intercept" */
#define TASK_SWITCH_IRET       BIT_ULL(36)
#define TASK_SWITCH_JMP	       BIT_ULL(38)
#define TASK_SWITCH_ERROR_CODE BIT_ULL(44)
