/* SPDX-License-Identifier: MIT */
/* Architectural constants: control register bits, RFLAGS, exceptions, MSRs. Shared by host and guest code. */
#pragma once

#include "lib/lapic.h"
#include "lib/types.h"

/* Intel SDM, "Control Registers" */
#define CR0_PE BIT_ULL(0)
#define CR0_MP BIT_ULL(1)
#define CR0_EM BIT_ULL(2)
#define CR0_TS BIT_ULL(3)
#define CR0_ET BIT_ULL(4)
#define CR0_NE BIT_ULL(5)
#define CR0_WP BIT_ULL(16)
#define CR0_AM BIT_ULL(18)
#define CR0_NW BIT_ULL(29)
#define CR0_CD BIT_ULL(30)
#define CR0_PG BIT_ULL(31)

#define CR4_VME		BIT_ULL(0)
#define CR4_PVI		BIT_ULL(1)
#define CR4_TSD		BIT_ULL(2)
#define CR4_DE		BIT_ULL(3)
#define CR4_PSE		BIT_ULL(4)
#define CR4_PAE		BIT_ULL(5)
#define CR4_MCE		BIT_ULL(6)
#define CR4_PGE		BIT_ULL(7)
#define CR4_PCE		BIT_ULL(8)
#define CR4_OSFXSR	BIT_ULL(9)
#define CR4_OSXMMEXCPT	BIT_ULL(10)
#define CR4_UMIP	BIT_ULL(11)
#define CR4_LA57	BIT_ULL(12)
#define CR4_VMXE	BIT_ULL(13)
#define CR4_SMXE	BIT_ULL(14)
#define CR4_FSGSBASE	BIT_ULL(16)
#define CR4_PCIDE	BIT_ULL(17)
#define CR4_OSXSAVE	BIT_ULL(18)
#define CR4_SMEP	BIT_ULL(20)
#define CR4_SMAP	BIT_ULL(21)
#define CR4_PKE		BIT_ULL(22)
#define CR4_CET		BIT_ULL(23)

#define EFER_SCE   BIT_ULL(0)
#define EFER_LME   BIT_ULL(8)
#define EFER_LMA   BIT_ULL(10)
#define EFER_NXE   BIT_ULL(11)
#define EFER_SVME  BIT_ULL(12)
#define EFER_FFXSR BIT_ULL(14)

#define RFLAGS_CF    BIT_ULL(0)
#define RFLAGS_FIXED BIT_ULL(1)
#define RFLAGS_DEFINED 0x3f7fd7ull	/* all that it can hold */
#define RFLAGS_PF    BIT_ULL(2)
#define RFLAGS_AF    BIT_ULL(4)
#define RFLAGS_ZF    BIT_ULL(6)
#define RFLAGS_SF    BIT_ULL(7)
#define RFLAGS_TF    BIT_ULL(8)
#define RFLAGS_IF    BIT_ULL(9)
#define RFLAGS_DF    BIT_ULL(10)
#define RFLAGS_OF    BIT_ULL(11)
#define RFLAGS_IOPL  (3ull << 12)
#define RFLAGS_NT    BIT_ULL(14)
#define RFLAGS_RF    BIT_ULL(16)
#define RFLAGS_VM    BIT_ULL(17)
#define RFLAGS_AC    BIT_ULL(18)
#define RFLAGS_VIF   BIT_ULL(19)
#define RFLAGS_VIP   BIT_ULL(20)
#define RFLAGS_ID    BIT_ULL(21)

#define DR6_BREAKPOINTS 15ull		/* the one of DR0 to DR3 that was hit */
#define DR6_BD		BIT_ULL(13)	/* an access to a debug register, with DR7.GD */
#define DR6_BS		BIT_ULL(14)	/* single step */
#define DR7_ENABLED	0xffull			/* L0, G0 to L3, G3: any of them, any breakpoint */
#define DR7_RESET	0x400ull	/* nothing is enabled */
#define DR7_GD		BIT_ULL(13)	/* accesses to debug registers raise #DB */

/* Intel SDM, "Exception and Interrupt Reference" */
enum {
	X86_DE = 0,
	X86_DB = 1,
	X86_NMI = 2,
	X86_BP = 3,
	X86_OF = 4,
	X86_BR = 5,
	X86_UD = 6,
	X86_NM = 7,
	X86_DF = 8,
	X86_TS = 10,
	X86_NP = 11,
	X86_SS = 12,
	X86_GP = 13,
	X86_PF = 14,
	X86_MF = 16,
	X86_AC = 17,
	X86_MC = 18,
	X86_XM = 19,
	X86_VE = 20,
	X86_CP = 21,
	X86_SX = 30,	/* AMD */
};

/* Error code of #SX: an INIT that VM_CR.R_INIT has redirected. AMD APM vol. 2, "#SX - Security Exception (Vector 30)" */
#define SX_INIT	    1

/* Page-fault error code */
#define PF_PRESENT  BIT(0)
#define PF_WRITE    BIT(1)
#define PF_USER	    BIT(2)
#define PF_RESERVED BIT(3)
#define PF_FETCH    BIT(4)

/* Page-table entries */
#define PTE_PRESENT  BIT_ULL(0)
#define PTE_WRITE    BIT_ULL(1)
#define PTE_USER     BIT_ULL(2)
#define PTE_PWT	     BIT_ULL(3)
#define PTE_PCD	     BIT_ULL(4)
#define PTE_ACCESSED BIT_ULL(5)
#define PTE_DIRTY    BIT_ULL(6)
#define PTE_LARGE    BIT_ULL(7)
#define PTE_GLOBAL   BIT_ULL(8)
#define PTE_NX	     BIT_ULL(63)
#define PTE_ADDRESS  0x000ffffffffff000ull

/* In the operand of MOV to CR3 while CR4.PCIDE is 1 */
#define CR3_NO_FLUSH BIT_ULL(63)

/* Model-specific registers, each with the CPUID bit that announces it (none: every x86-64 has it). */
#define MSR_TSC			0x010
#define MSR_PLATFORM_ID		0x017
#define MSR_FEATURE_CONTROL	0x03a	/* CPUID.1:ECX[5] (VMX) */
#define MSR_TSC_ADJUST		0x03b	/* CPUID.7.0:EBX[1] */
#define MSR_SPEC_CTRL		0x048	/* CPUID.7.0:EDX[26] */
#define MSR_PRED_CMD		0x049	/* CPUID.7.0:EDX[26] or CPUID.80000008h:EBX[12] */
#define PRED_CMD_IBPB		BIT_ULL(0)
#define MSR_BIOS_UPDT_TRIG	0x079	/* Intel: loads a microcode update */
#define MSR_BIOS_SIGN_ID	0x08b
#define MSR_FLUSH_CMD		0x10b	/* CPUID.7.0:EDX[28] */
#define MSR_MTRR_CAP		0x0fe	/* CPUID.1:EDX[12] */
#define MSR_ARCH_CAPABILITIES	0x10a	/* CPUID.7.0:EDX[29] */
#define MSR_SYSENTER_CS		0x174	/* CPUID.1:EDX[11] */
#define MSR_SYSENTER_ESP	0x175
#define MSR_SYSENTER_EIP	0x176
#define MSR_MCG_CAP		0x179	/* CPUID.1:EDX[14] */
#define MSR_MCG_STATUS		0x17a
#define MSR_MCG_CTL		0x17b	/* MCG_CAP[8] */
#define MSR_MISC_ENABLE		0x1a0	/* Intel */
#define MISC_ENABLE_LIMIT_CPUID	BIT_ULL(22)	/* CPUID has basic leaves 0 to 2 only */
#define MISC_ENABLE_NO_XD	BIT_ULL(34)	/* CPUID shows no execute-disable (NX) */
#define MSR_XFD			0x1c4	/* CPUID.(0xd,1):EAX[4] */
#define MSR_DEBUGCTL		0x1d9
#define DEBUGCTL_BTF		BIT_ULL(1) /* RFLAGS.TF traps branches only */
#define MSR_MTRR_PHYSBASE(n)	(0x200 + 2 * (n))
#define MSR_MTRR_PHYSMASK(n)	(0x201 + 2 * (n))
#define MSR_MTRR_FIX64K		0x250
#define MSR_MTRR_FIX16K_80000	0x258
#define MSR_MTRR_FIX16K_A0000	0x259
#define MSR_MTRR_FIX4K(n)	(0x268 + (n))	/* n = 0..7 */
#define MSR_PAT			0x277	/* CPUID.1:EDX[16] */
#define MSR_MTRR_DEF_TYPE	0x2ff
/* IA32_FEATURE_CONTROL */
#define FEATURE_CONTROL_LOCKED	BIT_ULL(0)
#define FEATURE_CONTROL_VMX	BIT_ULL(2)	/* outside SMX operation */
#define FEATURE_CONTROL_LMCE	BIT_ULL(20)	/* machine checks may be delivered to the one CPU that they are about */
/* IA32_MCG_CAP */
#define MCG_CAP_SER_P		BIT_ULL(24)	/* the processor says which errors software can recover from */
#define MCG_CAP_LMCE_P		BIT_ULL(27)	/* local machine checks */
/* IA32_MCG_STATUS */
#define MCG_STATUS_RIPV		BIT_ULL(0)	/* the interrupted program can be resumed */
#define MCG_STATUS_EIPV		BIT_ULL(1)	/* the instruction at the saved RIP caused it */
#define MCG_STATUS_MCIP		BIT_ULL(2)	/* one is being handled: the next one is a shutdown */
/* IA32_MCi_STATUS. SDM, "IA32_MCi_STATUS MSRS"; AMD APM vol. 2, "MCi_STATUS". */
#define MCI_VALID		BIT_ULL(63)
#define MCI_OVERFLOW		BIT_ULL(62)
#define MCI_UNCORRECTED		BIT_ULL(61)
#define MCI_ENABLED		BIT_ULL(60)
#define MCI_MISC_VALID		BIT_ULL(59)
#define MCI_ADDR_VALID		BIT_ULL(58)
#define MCI_CORRUPT		BIT_ULL(57)	/* PCC: processor context corrupt */
#define MCI_SIGNALED		BIT_ULL(56)	/* Intel, MCG_CAP.SER_P: S */
#define MCI_ACTION_REQUIRED	BIT_ULL(55)	/* Intel, MCG_CAP.SER_P: AR */
#define MCI_AMD_TASK_CORRUPT	BIT_ULL(55)	/* AMD, scalable MCA: TCC: the interrupted program cannot go on */
#define MCI_AMD_SYNDROME_VALID	BIT_ULL(53)	/* AMD, scalable MCA */
#define MCI_AMD_DEFERRED	BIT_ULL(44)
#define MCI_AMD_POISON		BIT_ULL(43)
#define MSR_MCG_EXT_CTL		0x4d0	/* MCG_CAP[27] */
#define MCG_EXT_CTL_LMCE	BIT_ULL(0)
#define MSR_MC_CTL(n)		(0x400 + 4 * (n))
#define MSR_MC_STATUS(n)	(0x401 + 4 * (n))
#define MSR_MC_ADDR(n)		(0x402 + 4 * (n))
#define MSR_MC_MISC(n)		(0x403 + 4 * (n))
/*
 * Scalable MCA: CPUID.80000007h:EBX[3]. AMD APM vol. 2, "Machine Check Registers": sixteen registers a bank, of which
 * those at 400h are an alias of a part, for the first 32 banks.
 */
#define MSR_SMCA_CTL(n)		(0xc0002000 + 0x10 * (n))
#define MSR_SMCA_STATUS(n)	(0xc0002001 + 0x10 * (n))
#define MSR_SMCA_ADDR(n)	(0xc0002002 + 0x10 * (n))
#define MSR_SMCA_MISC(n)	(0xc0002003 + 0x10 * (n))
#define MSR_SMCA_CONFIG(n)	(0xc0002004 + 0x10 * (n))
#define MSR_SMCA_IPID(n)	(0xc0002005 + 0x10 * (n))
#define MSR_SMCA_SYND(n)	(0xc0002006 + 0x10 * (n))
#define MSR_SMCA_DESTAT(n)	(0xc0002008 + 0x10 * (n))	/* MCA_STATUS and MCA_ADDR of a deferred error */
#define MSR_SMCA_DEADDR(n)	(0xc0002009 + 0x10 * (n))
#define SMCA_CONFIG_LSB_IN_STATUS BIT_ULL(8)
#define SMCA_CONFIG_ENABLE	BIT_ULL(32)	/* McaX: software knows of the registers from MCA_CONFIG on */
#define MSR_TME_ACTIVATE	0x982 /* CPUID.7.0:ECX[13] */
#define TME_ACTIVE		3ull /* locked, and switched on */
#define MSR_XSS			0xda0	/* CPUID.(0xd,1):EAX[3] */
#define MSR_EFER		0xc0000080 /* CPUID.80000001h:EDX[20 or 29] */
#define MSR_STAR		0xc0000081
#define MSR_LSTAR		0xc0000082
#define MSR_CSTAR		0xc0000083
#define MSR_SYSCALL_MASK	0xc0000084
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_TSC_AUX		0xc0000103 /* CPUID.80000001h:EDX[27] (RDTSCP) or CPUID.7.0:ECX[22] (RDPID) */
#define MSR_SYSCFG		0xc0010010 /* AMD */
#define SYSCFG_MEMORY_ENCRYPTION BIT_ULL(23)
#define MSR_PATCH_LOADER	0xc0010020 /* AMD: loads a microcode patch */
#define MSR_HWCR		0xc0010015 /* AMD */
#define MSR_VM_CR		0xc0010114 /* CPUID.80000001h:ECX[2] (SVM) */
#define VM_CR_R_INIT		BIT_ULL(1) /* an INIT raises #SX */
#define MSR_AMD_DE_CFG		0xc0011029 /* families 10h, 12h and later */
#define DE_CFG_LFENCE_SERIALIZES BIT_ULL(1)
#define MSR_VM_HSAVE_PA		0xc0010117 /* CPUID.80000001h:ECX[2] (SVM) */

#define APIC_BASE_BSP	 BIT_ULL(8)
#define APIC_BASE_X2APIC BIT_ULL(10)
#define APIC_BASE_ENABLE BIT_ULL(11)

/* Intel SDM, "Segment Descriptors": flat, accessed, of ring 0 */
#define DESCRIPTOR_CODE_32 0x00cf9b000000ffffull
#define DESCRIPTOR_CODE_64 0x00af9b000000ffffull
#define DESCRIPTOR_DATA	   0x00cf93000000ffffull
