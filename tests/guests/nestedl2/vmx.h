/* SPDX-License-Identifier: MIT */
/* A hypervisor in the guest: its VMCS, and one guest (L2) in the same address space. */
#pragma once

#include "guest.h"

/* Intel SDM, "Field Encoding in VMCS" */
enum {
	VPID = 0x0000, GUEST_ES = 0x0800, HOST_ES = 0x0c00,
	IO_BITMAP_A = 0x2000, IO_BITMAP_B = 0x2002, MSR_BITMAP = 0x2004, STORE_ADDRESS = 0x2006, LOAD_ADDRESS = 0x2008,
	ENTRY_ADDRESS = 0x200a, TSC_OFFSET = 0x2010, VIRTUAL_APIC = 0x2012, APIC_ACCESS = 0x2014, EPTP = 0x201a, PHYSICAL_ADDRESS = 0x2400,
	LINK = 0x2800, GUEST_DEBUGCTL = 0x2802, GUEST_PAT = 0x2804, GUEST_EFER = 0x2806, HOST_PAT = 0x2c00, HOST_EFER = 0x2c02,
	PIN = 0x4000, PRIMARY = 0x4002, EXCEPTIONS = 0x4004, PF_MASK = 0x4006, PF_MATCH = 0x4008, CR3_COUNT = 0x400a,
	EXIT_CONTROLS = 0x400c, STORE_COUNT = 0x400e, LOAD_COUNT = 0x4010, ENTRY_CONTROLS = 0x4012, ENTRY_COUNT = 0x4014,
	EVENT = 0x4016, EVENT_ERROR = 0x4018, EVENT_LENGTH = 0x401a, THRESHOLD = 0x401c, SECONDARY = 0x401e, PAUSE_GAP = 0x4020, PAUSE_WINDOW = 0x4022,
	INSTRUCTION_ERROR = 0x4400, REASON = 0x4402, INT_INFO = 0x4404, INT_ERROR = 0x4406, IDT_INFO = 0x4408, IDT_ERROR = 0x440a,
	LENGTH = 0x440c, GUEST_ES_LIMIT = 0x4800, GDTR_LIMIT = 0x4810, IDTR_LIMIT = 0x4812, GUEST_ES_RIGHTS = 0x4814,
	INTERRUPTIBILITY = 0x4824, ACTIVITY = 0x4826, GUEST_SYSENTER_CS = 0x482a, TIMER = 0x482e, HOST_SYSENTER_CS = 0x4c00,
	CR0_MASK = 0x6000, CR4_MASK = 0x6002, CR0_SHADOW = 0x6004, CR4_SHADOW = 0x6006, CR3_TARGET = 0x6008,
	QUALIFICATION = 0x6400, LINEAR_ADDRESS = 0x640a,
	GUEST_CR0 = 0x6800, GUEST_CR3 = 0x6802, GUEST_CR4 = 0x6804, GUEST_ES_BASE = 0x6806, GUEST_GDTR = 0x6816, GUEST_IDTR = 0x6818,
	GUEST_DR7 = 0x681a, GUEST_RSP = 0x681c, GUEST_RIP = 0x681e, GUEST_RFLAGS = 0x6820, PENDING_DEBUG = 0x6822,
	GUEST_SYSENTER_ESP = 0x6824, GUEST_SYSENTER_EIP = 0x6826,
	HOST_CR0 = 0x6c00, HOST_CR3 = 0x6c02, HOST_CR4 = 0x6c04, HOST_FS_BASE = 0x6c06, HOST_GS_BASE = 0x6c08, HOST_TR_BASE = 0x6c0a,
	HOST_GDTR = 0x6c0c, HOST_IDTR = 0x6c0e, HOST_SYSENTER_ESP = 0x6c10, HOST_SYSENTER_EIP = 0x6c12, HOST_RIP = 0x6c16,
};

/* Controls, by the name that the manual gives them. */
enum {
	PIN_INTERRUPTS = BIT(0), PIN_NMIS = BIT(3), PIN_VIRTUAL_NMIS = BIT(5), PIN_TIMER = BIT(6),
	WINDOW = BIT(2), USE_TSC_OFFSET = BIT(3), HLT_EXITS = BIT(7), INVLPG_EXITS = BIT(9), RDPMC_EXITS = BIT(11),
	RDTSC_EXITS = BIT(12), CR3_LOADS_EXIT = BIT(15), CR3_STORES_EXIT = BIT(16), CR8_LOADS_EXIT = BIT(19),
	CR8_STORES_EXIT = BIT(20), TPR_SHADOW = BIT(21), NMI_WINDOW = BIT(22), MOV_DR_EXITS = BIT(23), IO_EXITS = BIT(24),
	IO_BITMAPS = BIT(25), MONITOR_TRAP = BIT(27), MSR_BITMAPS = BIT(28), PAUSE_EXITS = BIT(30),
	APIC_ACCESSES = BIT(0), USE_EPT = BIT(1), DESCRIPTOR_EXITS = BIT(2), USE_VPID = BIT(5), WBINVD_EXITS = BIT(6), UNRESTRICTED = BIT(7),
	PAUSE_LOOPS = BIT(10),
	SAVE_DEBUG = BIT(2), HOST_64 = BIT(9), ACKNOWLEDGE = BIT(15), SAVE_PAT = BIT(18), LOAD_PAT = BIT(19),
	SAVE_EFER = BIT(20), LOAD_EFER = BIT(21), SAVE_TIMER = BIT(22),
	LOAD_DEBUG = BIT(2), GUEST_64 = BIT(9), ENTRY_PAT = BIT(14), ENTRY_EFER = BIT(15),
};
#define USE_SECONDARY BIT(31)
#define VALID	      BIT(31)
#define ERROR_CODE    BIT(11)

/* Exits, by basic reason. */
enum {
	EXIT_EXCEPTION = 0, EXIT_INTERRUPT = 1, EXIT_TRIPLE_FAULT = 2, EXIT_INIT = 3, EXIT_WINDOW = 7,
	EXIT_NMI_WINDOW = 8, EXIT_CPUID = 10, EXIT_HLT = 12, EXIT_INVLPG = 14, EXIT_RDPMC = 15, EXIT_RDTSC = 16,
	EXIT_VMCALL = 18, EXIT_VMREAD = 23, EXIT_CR = 28, EXIT_DR = 29, EXIT_IO = 30, EXIT_RDMSR = 31,
	EXIT_WRMSR = 32, EXIT_TRAP_FLAG = 37, EXIT_PAUSE = 40, EXIT_THRESHOLD = 43, EXIT_APIC_ACCESS = 44, EXIT_GDTR_IDTR = 46,
	EXIT_EPT = 48, EXIT_EPT_WRONG = 49, EXIT_TIMER = 52, EXIT_WBINVD = 54, EXIT_XSETBV = 55,
};
#define FAILED_STATE 0x80000021u
#define FAILED_MSR   0x80000022u

/* evmcs.c: the enlightened VMCS, which is read and written by these two; NULL: VMREAD and VMWRITE are used. */
extern u8 *evmcs;
u64 evmcs_read(u64 field);
void evmcs_write(u64 field, u64 value);
bool evmcs_start(void);		/* false: this machine has none */
void evmcs_fresh(void);		/* all of it is 0, and the next entry's */
u64 *evmcs_host_rsp(void);	/* where the host's RSP is, which is about to be written */
void evmcs_checks(void);

static inline u64 vmread(u64 field)
{
	u64 value = 0xbadbad;

	if (evmcs)
		return evmcs_read(field);
	asm volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
	return value;
}

static inline void vmwrite(u64 field, u64 value)
{
	if (evmcs) {
		evmcs_write(field, value);
		return;
	}
	asm volatile("vmwrite %1, %0" : : "r"(field), "r"(value) : "cc");
}

static inline void set(u64 field, u64 bits) { vmwrite(field, vmread(field) | bits); }
static inline void clear(u64 field, u64 bits) { vmwrite(field, vmread(field) & ~bits); }

struct msr_entry {
	u32 index, reserved;
	u64 value;
};

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

/* vmcs.c */
extern u64 l2[16];		/* its registers */
extern u8 io_bitmaps[2][4096], msr_bitmap[4096], l2_stack[4096], vmcs_region[4096];
bool vmx_start(void);		/* false: this processor has no VMX; SKIP is printed */
void vmx_stop(void);
bool offers(u32 msr, u32 control);	/* the TRUE MSRs: 0x48d to 0x490; the secondary controls' 0x48b */
/* A new VMCS: the guest is to run this code, in 64-bit mode with interrupts off; nothing exits but what always does. */
void fresh(void (*code)(void));
void write_host(void);		/* the host's state alone */
/* Enter it. The exit reason in full; after a VMfail 0xf0000000 and the VM-instruction error. */
u32 enter(void);
void step_over(void);
/* One line of checks: enter, and the exit's reason is this. */
bool exits(u32 reason, const char *name);
/* ... at this offset from its code's begin. */
#define VMFAIL 0xf0000000u
