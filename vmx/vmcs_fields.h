/* SPDX-License-Identifier: MIT */
/*
 * The fields of the VMCS, each typed by its width, and their bits.
 * Intel SDM, "Virtual Machine Control Structures", "Field Encoding in VMCS".
 */
#pragma once

#include "core/cpu/segment.h"
#include "lib/types.h"

/*
 * One type for each width: an accessor accepts only fields of its own width, and a field cannot be
 * mistaken for a number. Bits 14:13 of an encoding are its width; the macros compare them with the type.
 */
struct vmcs_field16 { u32 encoding; };
struct vmcs_field32 { u32 encoding; };
struct vmcs_field64 { u32 encoding; };
struct vmcs_fieldn { u32 encoding; };	/* natural width */

#define VMCS_FIELD(type, width, number) \
	((struct type){ (number) + 0 * sizeof(char[((number) >> 13 & 3) == (width) ? 1 : -1]) })
#define VMCS16(number) VMCS_FIELD(vmcs_field16, 0, number)
#define VMCS64(number) VMCS_FIELD(vmcs_field64, 1, number)
#define VMCS32(number) VMCS_FIELD(vmcs_field32, 2, number)
#define VMCSN(number)  VMCS_FIELD(vmcs_fieldn, 3, number)

/* SDM, "VM-Execution Control Fields" */
#define VPID			   VMCS16(0x0000)
#define GUEST_INTERRUPT_STATUS	   VMCS16(0x0810)	/* RVI, SVI from bit 8 on */
#define IO_BITMAP_A		   VMCS64(0x2000)
#define IO_BITMAP_B		   VMCS64(0x2002)
#define MSR_BITMAP		   VMCS64(0x2004)
#define TSC_OFFSET		   VMCS64(0x2010)
#define VIRTUAL_APIC_ADDRESS	   VMCS64(0x2012)
#define APIC_ACCESS_ADDRESS	   VMCS64(0x2014)
#define EPT_POINTER		   VMCS64(0x201a)
#define VMREAD_BITMAP		   VMCS64(0x2026)
#define VMWRITE_BITMAP		   VMCS64(0x2028)
#define XSS_EXITING_BITMAP	   VMCS64(0x202c)
#define ENCLS_EXITING_BITMAP	   VMCS64(0x202e)
#define PIN_BASED_CONTROLS	   VMCS32(0x4000)
#define PRIMARY_CONTROLS	   VMCS32(0x4002)
#define EXCEPTION_BITMAP	   VMCS32(0x4004)
#define PAGE_FAULT_MASK		   VMCS32(0x4006)
#define PAGE_FAULT_MATCH	   VMCS32(0x4008)
#define CR3_TARGET_COUNT	   VMCS32(0x400a)
#define TPR_THRESHOLD		   VMCS32(0x401c)
#define SECONDARY_CONTROLS	   VMCS32(0x401e)
#define PLE_GAP			   VMCS32(0x4020)
#define PLE_WINDOW		   VMCS32(0x4022)
#define NOTIFY_WINDOW		   VMCS32(0x4024)
#define CR0_GUEST_HOST_MASK	   VMCSN(0x6000)
#define CR4_GUEST_HOST_MASK	   VMCSN(0x6002)
#define CR0_READ_SHADOW		   VMCSN(0x6004)
#define CR4_READ_SHADOW		   VMCSN(0x6006)

/* Of vectors 64 * index to 64 * index + 63. */
static inline struct vmcs_field64 eoi_exit_bitmap(unsigned index)
{
	return (struct vmcs_field64){ 0x201c + 2 * index };
}

static inline struct vmcs_fieldn cr3_target(unsigned index)
{
	return (struct vmcs_fieldn){ 0x6008 + 2 * index };
}

/* SDM, "VM-Exit Control Fields", "VM-Entry Control Fields" */
#define EXIT_MSR_STORE_ADDRESS	   VMCS64(0x2006)
#define EXIT_MSR_LOAD_ADDRESS	   VMCS64(0x2008)
#define ENTRY_MSR_LOAD_ADDRESS	   VMCS64(0x200a)
#define EXIT_CONTROLS		   VMCS32(0x400c)
#define EXIT_MSR_STORE_COUNT	   VMCS32(0x400e)
#define EXIT_MSR_LOAD_COUNT	   VMCS32(0x4010)
#define ENTRY_CONTROLS		   VMCS32(0x4012)
#define ENTRY_MSR_LOAD_COUNT	   VMCS32(0x4014)
#define ENTRY_INTERRUPTION_INFO	   VMCS32(0x4016)
#define ENTRY_EXCEPTION_ERROR_CODE VMCS32(0x4018)
#define ENTRY_INSTRUCTION_LENGTH   VMCS32(0x401a)

/* SDM, "VM-Exit Information Fields" */
#define GUEST_PHYSICAL_ADDRESS	   VMCS64(0x2400)
#define INSTRUCTION_ERROR	   VMCS32(0x4400)
#define EXIT_REASON		   VMCS32(0x4402)
#define EXIT_INTERRUPTION_INFO	   VMCS32(0x4404)
#define EXIT_INTERRUPTION_ERROR	   VMCS32(0x4406)
#define IDT_VECTORING_INFO	   VMCS32(0x4408)
#define IDT_VECTORING_ERROR	   VMCS32(0x440a)
#define EXIT_INSTRUCTION_LENGTH	   VMCS32(0x440c)
#define EXIT_INSTRUCTION_INFO	   VMCS32(0x440e)
#define EXIT_QUALIFICATION	   VMCSN(0x6400)
#define IO_RCX			   VMCSN(0x6402)
#define IO_RSI			   VMCSN(0x6404)
#define IO_RDI			   VMCSN(0x6406)
#define IO_RIP			   VMCSN(0x6408)
#define GUEST_LINEAR_ADDRESS	   VMCSN(0x640a)

/* SDM, "Guest-State Area". The segments' fields are functions, below. */
#define VMCS_LINK_POINTER	   VMCS64(0x2800)
#define GUEST_DEBUGCTL		   VMCS64(0x2802)
#define GUEST_PAT		   VMCS64(0x2804)
#define GUEST_EFER		   VMCS64(0x2806)
#define GUEST_GDTR_LIMIT	   VMCS32(0x4810)
#define GUEST_IDTR_LIMIT	   VMCS32(0x4812)
#define GUEST_INTERRUPTIBILITY	   VMCS32(0x4824)
#define GUEST_ACTIVITY		   VMCS32(0x4826)
#define GUEST_SYSENTER_CS	   VMCS32(0x482a)
#define PREEMPTION_TIMER_VALUE	   VMCS32(0x482e)
#define GUEST_CR0		   VMCSN(0x6800)
#define GUEST_CR3		   VMCSN(0x6802)
#define GUEST_CR4		   VMCSN(0x6804)
#define GUEST_GDTR_BASE		   VMCSN(0x6816)
#define GUEST_IDTR_BASE		   VMCSN(0x6818)
#define GUEST_DR7		   VMCSN(0x681a)
#define GUEST_RSP		   VMCSN(0x681c)
#define GUEST_RIP		   VMCSN(0x681e)
#define GUEST_RFLAGS		   VMCSN(0x6820)
#define GUEST_PENDING_DEBUG	   VMCSN(0x6822)
#define GUEST_SYSENTER_ESP	   VMCSN(0x6824)
#define GUEST_SYSENTER_EIP	   VMCSN(0x6826)

static inline struct vmcs_field16 guest_selector(enum vcpu_segment index)
{
	return (struct vmcs_field16){ 0x0800 + 2 * index };
}

static inline struct vmcs_field32 guest_limit(enum vcpu_segment index)
{
	return (struct vmcs_field32){ 0x4800 + 2 * index };
}

static inline struct vmcs_field32 guest_access_rights(enum vcpu_segment index)
{
	return (struct vmcs_field32){ 0x4814 + 2 * index };
}

static inline struct vmcs_fieldn guest_base(enum vcpu_segment index)
{
	return (struct vmcs_fieldn){ 0x6806 + 2 * index };
}

static inline struct vmcs_field64 guest_pdpte(unsigned index)
{
	return (struct vmcs_field64){ 0x280a + 2 * index };
}

/* SDM, "Host-State Area" */
#define HOST_ES_SELECTOR	   VMCS16(0x0c00)
#define HOST_CS_SELECTOR	   VMCS16(0x0c02)
#define HOST_SS_SELECTOR	   VMCS16(0x0c04)
#define HOST_DS_SELECTOR	   VMCS16(0x0c06)
#define HOST_FS_SELECTOR	   VMCS16(0x0c08)
#define HOST_GS_SELECTOR	   VMCS16(0x0c0a)
#define HOST_TR_SELECTOR	   VMCS16(0x0c0c)
#define HOST_PAT		   VMCS64(0x2c00)
#define HOST_EFER		   VMCS64(0x2c02)
#define HOST_SYSENTER_CS	   VMCS32(0x4c00)
#define HOST_CR0		   VMCSN(0x6c00)
#define HOST_CR3		   VMCSN(0x6c02)
#define HOST_CR4		   VMCSN(0x6c04)
#define HOST_FS_BASE		   VMCSN(0x6c06)
#define HOST_GS_BASE		   VMCSN(0x6c08)
#define HOST_TR_BASE		   VMCSN(0x6c0a)
#define HOST_GDTR_BASE		   VMCSN(0x6c0c)
#define HOST_IDTR_BASE		   VMCSN(0x6c0e)
#define HOST_SYSENTER_ESP	   VMCSN(0x6c10)
#define HOST_SYSENTER_EIP	   VMCSN(0x6c12)
#define HOST_RSP_ENCODING	   0x6c14	/* written by vmx/vmenter.asm */
#define HOST_RSP		   VMCSN(HOST_RSP_ENCODING)
#define HOST_RIP		   VMCSN(0x6c16)

/* SDM, "Pin-Based VM-Execution Controls" */
enum {
	PIN_EXTERNAL_INTERRUPT = BIT(0),
	PIN_NMI = BIT(3),
	PIN_VIRTUAL_NMI = BIT(5),
	PIN_PREEMPTION_TIMER = BIT(6),
	PIN_POSTED_INTERRUPTS = BIT(7),
};

/* SDM, "Processor-Based VM-Execution Controls" */
enum {
	PRIMARY_INTERRUPT_WINDOW = BIT(2),
	PRIMARY_TSC_OFFSET = BIT(3),
	PRIMARY_HLT = BIT(7),
	PRIMARY_INVLPG = BIT(9),
	PRIMARY_MWAIT = BIT(10),
	PRIMARY_RDPMC = BIT(11),
	PRIMARY_RDTSC = BIT(12),
	PRIMARY_CR3_LOAD = BIT(15),
	PRIMARY_CR3_STORE = BIT(16),
	PRIMARY_TERTIARY = BIT(17),
	PRIMARY_CR8_LOAD = BIT(19),
	PRIMARY_CR8_STORE = BIT(20),
	PRIMARY_TPR_SHADOW = BIT(21),
	PRIMARY_NMI_WINDOW = BIT(22),
	PRIMARY_MOV_DR = BIT(23),
	PRIMARY_UNCONDITIONAL_IO = BIT(24),
	PRIMARY_IO_BITMAPS = BIT(25),
	PRIMARY_MONITOR_TRAP = BIT(27),
	PRIMARY_MSR_BITMAP = BIT(28),
	PRIMARY_MONITOR = BIT(29),
	PRIMARY_PAUSE = BIT(30),
	PRIMARY_SECONDARY = BIT(31),
};

enum {
	SECONDARY_APIC_ACCESSES = BIT(0),
	SECONDARY_EPT = BIT(1),
	SECONDARY_DESCRIPTOR_TABLES = BIT(2),
	SECONDARY_RDTSCP = BIT(3),
	SECONDARY_X2APIC = BIT(4),
	SECONDARY_VPID = BIT(5),
	SECONDARY_WBINVD = BIT(6),
	SECONDARY_UNRESTRICTED_GUEST = BIT(7),
	SECONDARY_APIC_REGISTERS = BIT(8),
	SECONDARY_INTERRUPT_DELIVERY = BIT(9),
	SECONDARY_PAUSE_LOOP = BIT(10),
	SECONDARY_INVPCID = BIT(12),
	SECONDARY_VM_FUNCTIONS = BIT(13),
	SECONDARY_SHADOWING = BIT(14),
	SECONDARY_ENCLS = BIT(15),
	SECONDARY_PML = BIT(17),
	SECONDARY_VIRTUALIZATION_EXCEPTION = BIT(18),
	SECONDARY_XSAVES = BIT(20),
	SECONDARY_MODE_BASED_EXECUTE = BIT(22),
	SECONDARY_SUB_PAGE = BIT(23),
	SECONDARY_PT_GUEST_PHYSICAL = BIT(24),
	SECONDARY_TSC_SCALING = BIT(25),
	SECONDARY_NOTIFY = BIT(31),
};

/* SDM, "Tertiary Processor-Based VM-Execution Controls" */
enum {
	TERTIARY_HLAT = BIT(1),
	TERTIARY_PAGING_WRITE = BIT(2),
	TERTIARY_GUEST_PAGING = BIT(3),
	TERTIARY_IPI = BIT(4),
};

#define VM_FUNCTION_EPTP_SWITCHING BIT_ULL(0)

enum {
	EXIT_SAVE_DEBUG = BIT(2),
	EXIT_HOST_64BIT = BIT(9),
	EXIT_LOAD_PERF = BIT(12),
	EXIT_ACKNOWLEDGE = BIT(15),
	EXIT_SAVE_PAT = BIT(18),
	EXIT_LOAD_PAT = BIT(19),
	EXIT_SAVE_EFER = BIT(20),
	EXIT_LOAD_EFER = BIT(21),
	EXIT_SAVE_PREEMPTION_TIMER = BIT(22),
	EXIT_CLEAR_RTIT = BIT(25),
	EXIT_LOAD_CET = BIT(28),
	EXIT_LOAD_PKRS = BIT(29),
	EXIT_SECONDARY = BIT(31),
};

enum {
	ENTRY_LOAD_DEBUG = BIT(2),
	ENTRY_IA32E_GUEST = BIT(9),
	ENTRY_SMM = BIT(10),
	ENTRY_DEACTIVATE_DUAL_MONITOR = BIT(11),
	ENTRY_LOAD_PERF = BIT(13),
	ENTRY_LOAD_PAT = BIT(14),
	ENTRY_LOAD_EFER = BIT(15),
	ENTRY_LOAD_BNDCFGS = BIT(16),
	ENTRY_LOAD_RTIT = BIT(18),
	ENTRY_LOAD_CET = BIT(20),
	ENTRY_LOAD_LBR = BIT(21),
	ENTRY_LOAD_PKRS = BIT(22),
};

/* SDM, "Guest Non-Register State" */
enum {
	INTERRUPTIBILITY_STI = BIT(0),
	INTERRUPTIBILITY_MOV_SS = BIT(1),
	INTERRUPTIBILITY_SMI = BIT(2),
	INTERRUPTIBILITY_NMI = BIT(3),
	INTERRUPTIBILITY_ENCLAVE = BIT(4),
	INTERRUPTIBILITY_SHADOWS = INTERRUPTIBILITY_STI | INTERRUPTIBILITY_MOV_SS,
};
enum { ACTIVITY_ACTIVE, ACTIVITY_HLT, ACTIVITY_SHUTDOWN, ACTIVITY_WAIT_FOR_SIPI };
#define PENDING_DEBUG_BUS_LOCK BIT_ULL(11)
#define PENDING_DEBUG_ENABLED  BIT_ULL(12)	/* a breakpoint that was enabled was hit */
#define PENDING_DEBUG_BS       BIT_ULL(14)
#define PENDING_DEBUG_RTM      BIT_ULL(16)

/* SDM, "Guest Register State", "Format of Access Rights". */
#define ACCESS_RIGHTS_TYPE     0xfu
#define ACCESS_RIGHTS_S	       BIT(4)
#define ACCESS_RIGHTS_DPL(rights) ((rights) >> 5 & 3)
#define ACCESS_RIGHTS_PRESENT  BIT(7)
#define ACCESS_RIGHTS_AVL      BIT(12)
#define ACCESS_RIGHTS_L	       BIT(13)
#define ACCESS_RIGHTS_DB       BIT(14)
#define ACCESS_RIGHTS_G	       BIT(15)
#define ACCESS_RIGHTS_UNUSABLE BIT(16)	/* not in descriptors */

/* SDM, "VM-Entry Controls for Event Injection", "Information for VM Exits During Event Delivery" */
#define INTERRUPTION_VECTOR	0xffu
#define INTERRUPTION_TYPE(info) ((info) >> 8 & 7)
#define INTERRUPTION_ERROR_CODE BIT(11)
#define INTERRUPTION_NMI_UNBLOCKED BIT(12)	/* exits only: IRET had already unblocked NMIs */
#define INTERRUPTION_VALID	BIT(31)

enum interruption_type {
	INTERRUPTION_EXTERNAL = 0,
	INTERRUPTION_NMI = 2,
	INTERRUPTION_EXCEPTION = 3,
	INTERRUPTION_SOFT_INTERRUPT = 4,
	INTERRUPTION_PRIVILEGED_EXCEPTION = 5,
	INTERRUPTION_SOFT_EXCEPTION = 6,
	INTERRUPTION_OTHER = 7,		/* vector 0: a pending MTF VM exit */
};

/* SDM, "Exit Qualification for I/O Instructions" */
#define IO_SIZE(qualification) ((u8)(((qualification) & 7) + 1))
#define IO_IN		       BIT(3)
#define IO_STRING	       BIT(4)
#define IO_REP		       BIT(5)
#define IO_PORT(qualification) ((u16)((qualification) >> 16))

/* SDM, "Exit Qualification for EPT Violations" */
enum {
	EPT_VIOLATION_WRITE = BIT(1),
	EPT_VIOLATION_FETCH = BIT(2),
	EPT_VIOLATION_LINEAR_VALID = BIT(7),
	EPT_VIOLATION_TRANSLATED = BIT(8),	/* 0: while walking the guest's page tables */
	EPT_VIOLATION_NMI_UNBLOCKED = BIT(12),
};

/* SDM, "VMX Basic Exit Reasons" */
enum exit_reason {
	EXIT_REASON_EXCEPTION_OR_NMI = 0,
	EXIT_REASON_EXTERNAL_INTERRUPT = 1,
	EXIT_REASON_TRIPLE_FAULT = 2,
	EXIT_REASON_INIT = 3,
	EXIT_REASON_SIPI = 4,
	EXIT_REASON_IO_SMI = 5,
	EXIT_REASON_OTHER_SMI = 6,
	EXIT_REASON_INTERRUPT_WINDOW = 7,
	EXIT_REASON_NMI_WINDOW = 8,
	EXIT_REASON_TASK_SWITCH = 9,
	EXIT_REASON_CPUID = 10,
	EXIT_REASON_GETSEC = 11,
	EXIT_REASON_HLT = 12,
	EXIT_REASON_INVD = 13,
	EXIT_REASON_INVLPG = 14,
	EXIT_REASON_RDPMC = 15,
	EXIT_REASON_RDTSC = 16,
	EXIT_REASON_RSM = 17,
	EXIT_REASON_VMCALL = 18,
	EXIT_REASON_VMCLEAR = 19,
	EXIT_REASON_VMLAUNCH = 20,
	EXIT_REASON_VMPTRLD = 21,
	EXIT_REASON_VMPTRST = 22,
	EXIT_REASON_VMREAD = 23,
	EXIT_REASON_VMRESUME = 24,
	EXIT_REASON_VMWRITE = 25,
	EXIT_REASON_VMXOFF = 26,
	EXIT_REASON_VMXON = 27,
	EXIT_REASON_CR_ACCESS = 28,
	EXIT_REASON_MOV_DR = 29,
	EXIT_REASON_IO = 30,
	EXIT_REASON_RDMSR = 31,
	EXIT_REASON_WRMSR = 32,
	EXIT_REASON_INVALID_GUEST_STATE = 33,
	EXIT_REASON_MSR_LOADING = 34,
	EXIT_REASON_MWAIT = 36,
	EXIT_REASON_MONITOR_TRAP = 37,
	EXIT_REASON_MONITOR = 39,
	EXIT_REASON_PAUSE = 40,
	EXIT_REASON_MACHINE_CHECK = 41,	/* during VM entry: bit 31 is set as well */
	EXIT_REASON_TPR_THRESHOLD = 43,
	EXIT_REASON_APIC_ACCESS = 44,
	EXIT_REASON_VIRTUALIZED_EOI = 45,
	EXIT_REASON_GDTR_IDTR = 46,
	EXIT_REASON_LDTR_TR = 47,
	EXIT_REASON_EPT_VIOLATION = 48,
	EXIT_REASON_EPT_MISCONFIGURATION = 49,
	EXIT_REASON_INVEPT = 50,
	EXIT_REASON_RDTSCP = 51,
	EXIT_REASON_PREEMPTION_TIMER = 52,
	EXIT_REASON_INVVPID = 53,
	EXIT_REASON_WBINVD = 54,
	EXIT_REASON_XSETBV = 55,
	EXIT_REASON_APIC_WRITE = 56,
	EXIT_REASON_RDRAND = 57,
	EXIT_REASON_INVPCID = 58,
	EXIT_REASON_VMFUNC = 59,
	EXIT_REASON_ENCLS = 60,
	EXIT_REASON_RDSEED = 61,
	EXIT_REASON_PML_FULL = 62,
	EXIT_REASON_XSAVES = 63,
	EXIT_REASON_XRSTORS = 64,
	EXIT_REASON_PCONFIG = 65,
	EXIT_REASON_SPP = 66,
	EXIT_REASON_UMWAIT = 67,
	EXIT_REASON_TPAUSE = 68,
	EXIT_REASON_LOADIWKEY = 69,
	EXIT_REASON_ENCLV = 70,
	EXIT_REASON_ENQCMD = 72,
	EXIT_REASON_ENQCMDS = 73,
	EXIT_REASON_BUS_LOCK = 74,
	EXIT_REASON_NOTIFY = 75,
	EXIT_REASON_SEAMCALL = 76,
	EXIT_REASON_TDCALL = 77,
};

/*
 * SDM, "Format of Exit Reason". Use reason.basic to choose a handler and reason.full to print or store;
 * never mask. Cast only what was compared in full before.
 */
union vmx_exit_reason {
	u32 full;
	u16 basic;
	struct {
		u32 : 16;
		u32 : 10;
		u32 bus_lock : 1;
		u32 enclave : 1;
		u32 pending_mtf : 1;
		u32 from_vmx_root : 1;
		u32 : 1;
		u32 failed_entry : 1;
	};
};
_Static_assert(sizeof(union vmx_exit_reason) == sizeof(u32), "exit reason layout");
_Static_assert(offsetof(union vmx_exit_reason, basic) == 0, "exit reason layout");

/*
 * _Static_assert() cannot test bit-fields. If the layout is right, the optimizer removes the call of
 * vmx_exit_reason_misplaced(); otherwise the build fails. Call this once, anywhere.
 */
#ifdef __OPTIMIZE__
void vmx_exit_reason_misplaced(void)
	__attribute__((error("bits of union vmx_exit_reason are misplaced")));
#else
static inline void vmx_exit_reason_misplaced(void) {}
#endif

static inline void vmx_exit_reason_assert_layout(void)
{
	const union vmx_exit_reason bus_lock = { .bus_lock = 1 }, enclave = { .enclave = 1 };
	const union vmx_exit_reason mtf = { .pending_mtf = 1 }, root = { .from_vmx_root = 1 };
	const union vmx_exit_reason failed = { .failed_entry = 1 };

	if (bus_lock.full != BIT(26) || enclave.full != BIT(27) || mtf.full != BIT(28) ||
	    root.full != BIT(29) || failed.full != BIT(31))
		vmx_exit_reason_misplaced();
}
