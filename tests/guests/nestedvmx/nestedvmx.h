/* SPDX-License-Identifier: MIT */
/* A small hypervisor: its VMX instructions, each with how it ended. */
#pragma once

#include "guest.h"

enum {
	FEATURE_CONTROL = 0x3a, VMX_BASIC = 0x480, VMX_PIN = 0x481, VMX_PRIMARY = 0x482, VMX_EXIT = 0x483, VMX_ENTRY = 0x484,
	VMX_MISC = 0x485, VMX_CR0_FIXED0 = 0x486, VMX_CR0_FIXED1 = 0x487, VMX_CR4_FIXED0 = 0x488, VMX_CR4_FIXED1 = 0x489,
	VMX_VMCS_ENUM = 0x48a, VMX_SECONDARY = 0x48b, VMX_EPT_VPID = 0x48c, VMX_TRUE_PIN = 0x48d,
};
#define CR0_NE	 BIT(5)
#define CR4_VMXE BIT(13)

/* Of instructions that did not succeed: a VM-instruction error, or one of these. */
enum { SUCCEEDED = 0, INVALID = 1000, FAULT = 2000 /* plus the vector */ };

#define CF 1
#define ZF 0x40
#define STATUS_FLAGS 0x8d5	/* CF, PF, AF, ZF, SF, OF */

/* main.c: from the vector that TRY() yields and RFLAGS after the instruction. */
u32 vmx_result(u32 vector, ulong flags);

/* All status flags are 1 before the instruction: those that it leaves alone show. */
#define VMX(insn, ...) ({									\
	ulong flags_ = 0;									\
	u32 vector_ = TRY("pushfq; orq $0x8d5, (%%rsp); popfq\n\t" insn "\n\tpushfq; popq %0",	\
			  : "+r"(flags_) : __VA_ARGS__ : "cc", "memory");			\
	vmx_result(vector_, flags_);								\
})

static inline u32 vmxon(u64 region) { return VMX("vmxon %1", "m"(region)); }
static inline u32 vmxoff(void) { return VMX("vmxoff"); }
static inline u32 vmclear(u64 region) { return VMX("vmclear %1", "m"(region)); }
static inline u32 vmptrld(u64 region) { return VMX("vmptrld %1", "m"(region)); }
static inline u32 vmptrst(u64 *region) { return VMX("vmptrst (%1)", "r"(region)); }
static inline u32 vmwrite(u64 field, u64 value) { return VMX("vmwrite %1, %2", "r"(value), "r"(field)); }
static inline u32 vmlaunch(void) { return VMX("vmlaunch"); }
static inline u32 vmresume(void) { return VMX("vmresume"); }
static inline u32 vmcall(void) { return VMX("vmcall"); }

static inline u32 vmread(u64 field, u64 *value)
{
	ulong flags = 0;
	u64 read = *value;
	u32 vector = TRY("pushfq; orq $0x8d5, (%%rsp); popfq\n\tvmread %2, %1\n\tpushfq; popq %0",
			 : "+r"(flags), "+r"(read) : "r"(field) : "cc", "memory");

	*value = read;
	return vmx_result(vector, flags);
}

static inline u32 invept(u64 type, const u64 descriptor[2])
{
	return VMX("invept (%1), %2", "r"(descriptor), "r"(type));
}

static inline u32 invvpid(u64 type, const u64 descriptor[2])
{
	return VMX("invvpid (%1), %2", "r"(descriptor), "r"(type));
}

/* main.c: pages for VMCS regions, each with the revision. */
#define REGIONS 4
extern u8 regions[REGIONS][4096];
#define VMXON_REGION	((ulong)regions[0])
#define VMCS_A		((ulong)regions[1])
#define VMCS_B		((ulong)regions[2])
void regions_reset(void);
bool vmx_enable(void);		/* CR0.NE, CR4.VMXE, IA32_FEATURE_CONTROL. False: there is no VMX */

/* root.c */
void root_operation(void);
void without_vmx(void);
