/* SPDX-License-Identifier: MIT */
/* The model-specific registers that announce VMX. Intel SDM, "VMX Capability Reporting Facility". */
#pragma once

#include "lib/types.h"

#define MSR_VMX_BASIC		0x480	/* CPUID.1:ECX[5] */
#define MSR_VMX_PIN		0x481
#define MSR_VMX_PRIMARY		0x482
#define MSR_VMX_EXIT		0x483
#define MSR_VMX_ENTRY		0x484
#define MSR_VMX_MISC		0x485
#define MSR_VMX_CR0_FIXED0	0x486
#define MSR_VMX_CR0_FIXED1	0x487
#define MSR_VMX_CR4_FIXED0	0x488
#define MSR_VMX_CR4_FIXED1	0x489
#define MSR_VMX_VMCS_ENUM	0x48a
#define MSR_VMX_SECONDARY	0x48b	/* VMX_PRIMARY[63] */
#define MSR_VMX_EPT_VPID	0x48c	/* VMX_SECONDARY[33] (EPT) or [37] (VPID) */
#define MSR_VMX_TRUE_PIN	0x48d	/* VMX_BASIC[55] */
#define MSR_VMX_TRUE_PRIMARY	0x48e
#define MSR_VMX_TRUE_EXIT	0x48f
#define MSR_VMX_TRUE_ENTRY	0x490
#define MSR_VMX_FUNCTIONS	0x491	/* VMX_SECONDARY[45] */
#define MSR_VMX_TERTIARY	0x492	/* VMX_PRIMARY[49] */
#define MSR_VMX_SECONDARY_EXIT	0x493	/* VMX_EXIT[63] */

/* MSR_VMX_BASIC. SDM, "Basic VMX Information" */
#define BASIC_REVISION		  0x7fffffffu
#define BASIC_SIZE(bytes)	  ((u64)(bytes) << 32)	/* of a VMCS region */
#define BASIC_32_BIT_ADDRESSES	  BIT_ULL(48)	/* of all structures that the VMCS points to */
#define BASIC_WRITE_BACK	  (6ull << 50)	/* memory type of the VMCS */
#define BASIC_STRING_IO		  BIT_ULL(54)	/* exits of INS and OUTS have instruction information */
#define BASIC_TRUE_CONTROLS	  BIT_ULL(55)
#define BASIC_ANY_ERROR_CODE	  BIT_ULL(56)	/* injected exceptions may come with one, or without */

/* MSR_VMX_MISC. SDM, "Miscellaneous Data" */
#define MISC_TIMER_SHIFT	  0x1full
#define MISC_SAVES_LMA		  BIT_ULL(5)	/* exits store EFER.LMA in the entry control "IA-32e mode guest" */
#define MISC_ACTIVITY(state)	  (32ull << (state))	/* from ACTIVITY_HLT on */
#define MISC_HAS_ACTIVITY(misc, state) (!!((misc) & MISC_ACTIVITY(state)))
#define MISC_CR3_TARGETS(misc)	  ((misc) >> 16 & 0x1ff)
#define MISC_CR3_TARGETS_ARE(n)	  ((u64)(n) << 16)
#define MISC_VMWRITE_ANY	  BIT_ULL(29)	/* VMWRITE to VM-exit information fields */
#define MISC_NO_LENGTH		  BIT_ULL(30)	/* injected software events may have length 0 */

/* MSR_VMX_EPT_VPID. SDM, "VPID and EPT Capabilities" */
#define EPT_EXECUTE_ONLY	  BIT_ULL(0)
#define EPT_WALK_4		  BIT_ULL(6)
#define EPT_WALK_5		  BIT_ULL(7)
#define EPT_UNCACHEABLE		  BIT_ULL(8)
#define EPT_WRITE_BACK		  BIT_ULL(14)
#define EPT_PAGES_2M		  BIT_ULL(16)
#define EPT_PAGES_1G		  BIT_ULL(17)
#define EPT_INVEPT		  BIT_ULL(20)
#define EPT_ACCESSED_DIRTY	  BIT_ULL(21)
#define EPT_SHADOW_STACK	  BIT_ULL(23)
#define EPT_INVEPT_TYPE(type)	  (BIT_ULL(24) << (type))	/* enum invept_type */
#define EPT_INVEPT_SINGLE	  EPT_INVEPT_TYPE(1)
#define EPT_INVEPT_ALL		  EPT_INVEPT_TYPE(2)
#define EPT_INVVPID		  BIT_ULL(32)
#define EPT_INVVPID_TYPE(type)	  (BIT_ULL(40) << (type))	/* enum invvpid_type */
#define EPT_INVVPID_ADDRESS	  EPT_INVVPID_TYPE(0)
#define EPT_INVVPID_SINGLE	  EPT_INVVPID_TYPE(1)
#define EPT_INVVPID_ALL		  EPT_INVVPID_TYPE(2)
#define EPT_INVVPID_NON_GLOBAL	  EPT_INVVPID_TYPE(3)
