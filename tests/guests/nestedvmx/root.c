/* SPDX-License-Identifier: MIT */
/* VMX root operation: what its instructions refuse, and in which order. */
#include "nestedvmx.h"

#define BEYOND	      BIT(51)			/* the physical-address width */
#define NOT_CANONICAL BIT(47)
#define NOT_MAPPED    0x100000000ul

#define CR3_TARGET_COUNT 0x400a
#define EXIT_REASON	 0x4402
#define TSC_OFFSET	 0x2010
#define GUEST_CS	 0x0802
#define GUEST_RIP	 0x681e
#define HOST_RIP	 0x6c16

static void capabilities(void)
{
	u64 basic = rdmsr(VMX_BASIC), value;
	bool true_msrs = basic & BIT(55);
	u32 classes[] = { 0x16, 0x401e172, 0x36dff, 0x11ff };

	check_eq(rdmsr(FEATURE_CONTROL) & 5, 5, "IA32_FEATURE_CONTROL: locked, VMX on");
	check_eq(try_wrmsr(FEATURE_CONTROL, 0), GP, "... and cannot be written");
	check_eq(basic >> 31 & 1, 0, "VMX_BASIC: bit 31");
	check_range(basic >> 32 & 0x1fff, 1024, 4096, "VMX_BASIC: size of a region");
	check_eq(basic >> 50 & 15, 6, "VMX_BASIC: write-back");
	for (u32 i = 0; i < 4; i++) {
		u64 original = rdmsr(VMX_PIN + i), relaxed = true_msrs ? rdmsr(VMX_TRUE_PIN + i) : original;

		check_eq((u32)original & classes[i], classes[i], "a capability MSR: the default1 class");
		check_eq((u32)relaxed & ~(u32)original, 0, "... its true MSR demands no more");
		check_eq((u32)original & ~(original >> 32), 0, "... and what must be 1 may be 1");
		check_eq(try_wrmsr(VMX_PIN + i, original), GP, "... and it cannot be written");
	}
	check_eq(rdmsr(VMX_CR0_FIXED0), 0x80000021, "CR0: bits that are 1");
	check_eq(rdmsr(VMX_CR0_FIXED1) & 0xffffffff, 0xffffffff, "CR0: bits that may be 1");
	check_eq(rdmsr(VMX_CR4_FIXED0), CR4_VMXE, "CR4: bits that are 1");
	check_eq(rdmsr(VMX_CR4_FIXED1) & CR4_VMXE, CR4_VMXE, "CR4: bits that may be 1");
	check_eq(try_rdmsr(0x4a0, &value), GP, "an MSR behind them");
}

/* --- before and after VMX operation --- */

static void outside(void)
{
	u64 descriptor[2] = { 0, 0 }, value = 0;

	check_eq(vmclear(VMCS_A), FAULT + UD, "VMCLEAR outside of VMX operation");
	check_eq(vmptrld(VMCS_A), FAULT + UD, "VMPTRLD");
	check_eq(vmptrst(&value), FAULT + UD, "VMPTRST");
	check_eq(vmread(GUEST_RIP, &value), FAULT + UD, "VMREAD");
	check_eq(vmwrite(GUEST_RIP, 0), FAULT + UD, "VMWRITE");
	check_eq(vmlaunch(), FAULT + UD, "VMLAUNCH");
	check_eq(vmresume(), FAULT + UD, "VMRESUME");
	check_eq(vmxoff(), FAULT + UD, "VMXOFF");
	check_eq(invept(2, descriptor), FAULT + UD, "INVEPT");
	check_eq(invvpid(2, descriptor), FAULT + UD, "INVVPID");
}

void without_vmx(void)
{
	ulong cr4 = READ_CR(4);
	u64 value;

	outside();
	check_eq(vmxon(VMXON_REGION), FAULT + UD, "VMXON");
	check_eq(TRY("mov %0, %%cr4", : : "r"(cr4 | CR4_VMXE)), GP, "CR4.VMXE is reserved");
	for (u32 msr = VMX_BASIC; msr <= 0x493; msr++)
		check_eq(try_rdmsr(msr, &value), GP, "a capability MSR");
}

static void vmxon_refused(void)
{
	WRITE_CR(4, READ_CR(4) & ~CR4_VMXE);
	check_eq(vmxon(VMXON_REGION), FAULT + UD, "VMXON without CR4.VMXE");
	WRITE_CR(4, READ_CR(4) | CR4_VMXE);
	WRITE_CR(0, READ_CR(0) & ~CR0_NE);
	check_eq(vmxon(VMXON_REGION), FAULT + GP, "VMXON without CR0.NE");
	WRITE_CR(0, READ_CR(0) | CR0_NE);
	check_eq(vmxon(VMXON_REGION | 8), INVALID, "VMXON: a region that is not aligned");
	check_eq(vmxon(VMXON_REGION | BEYOND), INVALID, "VMXON: beyond the physical-address width");
	*(u32 *)regions[0] ^= 1;
	check_eq(vmxon(VMXON_REGION), INVALID, "VMXON: a wrong revision");
	*(u32 *)regions[0] ^= 1 | BIT(31);
	check_eq(vmxon(VMXON_REGION), INVALID, "VMXON: bit 31 of the revision");
	*(u32 *)regions[0] ^= BIT(31);
	check_eq(vmxon(LAPIC), INVALID, "VMXON: device memory");
	check_eq(VMX("vmxon (%1)", "r"(NOT_MAPPED)), FAULT + PF, "VMXON: an operand in no page");
	check_eq(trap.cr2, NOT_MAPPED, "... its address");
	check_eq(VMX("vmxon (%1)", "r"(NOT_CANONICAL)), FAULT + GP, "VMXON: an operand that is not canonical");
	check_eq(vmclear(VMCS_A), FAULT + UD, "still outside of VMX operation");
}

/* Nothing is current. */
static void without_vmcs(void)
{
	u64 descriptor[2] = { 0, 0 }, value = 0;

	check_eq(vmptrst(&value), SUCCEEDED, "VMPTRST without a current VMCS");
	check_eq(value, ~0ull, "... stores all ones");
	check_eq(vmread(GUEST_RIP, &value), INVALID, "VMREAD without one");
	check_eq(vmwrite(GUEST_RIP, 0), INVALID, "VMWRITE");
	check_eq(vmlaunch(), INVALID, "VMLAUNCH");
	check_eq(vmresume(), INVALID, "VMRESUME");
	check_eq(vmxon(VMXON_REGION), INVALID, "VMXON in VMX operation");
	check_eq(vmptrld(VMCS_A | 8), INVALID, "VMPTRLD that fails");
	check_eq(vmclear(VMCS_A | 8), INVALID, "VMCLEAR that fails");
	check_eq(invept(3, descriptor), INVALID, "INVEPT that fails");
	check_eq(invvpid(4, descriptor), INVALID, "INVVPID that fails");
}

static void fixed_bits(void)
{
	ulong cr0 = READ_CR(0), cr4 = READ_CR(4);

	check_eq(TRY("mov %0, %%cr0", : : "r"(cr0 & ~CR0_NE)), GP, "CR0.NE cannot be cleared in VMX operation");
	check_eq(TRY("mov %0, %%cr4", : : "r"(cr4 & ~CR4_VMXE)), GP, "CR4.VMXE cannot be cleared");
	check_eq(READ_CR(0), cr0, "CR0 stays");
	check_eq(READ_CR(4), cr4, "CR4 stays");
	check_eq(cr4 & CR4_VMXE, CR4_VMXE, "CR4.VMXE reads as 1");
}

/* --- VMCLEAR, VMPTRLD, VMPTRST --- */

static void pointers(void)
{
	u64 value = 0;

	check_eq(vmclear(VMCS_A), SUCCEEDED, "VMCLEAR");
	check_eq(vmptrld(VMCS_A), SUCCEEDED, "VMPTRLD");
	check_eq(vmptrst(&value), SUCCEEDED, "VMPTRST");
	check_eq(value, VMCS_A, "... stores the current VMCS");
	check_eq(vmptrld(VMCS_B | 16), 9, "VMPTRLD: not aligned");
	check_eq(vmptrld(VMCS_B | BEYOND), 9, "VMPTRLD: beyond the physical-address width");
	check_eq(vmptrld(VMXON_REGION), 10, "VMPTRLD: the VMXON region");
	*(u32 *)regions[2] ^= 2;
	check_eq(vmptrld(VMCS_B), 11, "VMPTRLD: a wrong revision");
	*(u32 *)regions[2] ^= 2;
	check_eq(vmptrld(LAPIC), 11, "VMPTRLD: device memory");
	check_eq(vmclear(VMCS_B | 16), 2, "VMCLEAR: not aligned");
	check_eq(vmclear(VMCS_B | BEYOND), 2, "VMCLEAR: beyond the physical-address width");
	check_eq(vmclear(VMXON_REGION), 3, "VMCLEAR: the VMXON region");
	check_eq(vmxon(VMXON_REGION), 15, "VMXON in VMX root operation");
	check_eq(VMX("vmxon (%1)", "r"(NOT_MAPPED)), 15, "... without a look at its operand");
	vmptrst(&value);
	check_eq(value, VMCS_A, "the current VMCS stays");
	check_eq(VMX("vmptrld (%1)", "r"(NOT_MAPPED)), FAULT + PF, "VMPTRLD: an operand in no page");
	check_eq(VMX("vmclear (%1)", "r"(NOT_CANONICAL)), FAULT + GP, "VMCLEAR: an operand that is not canonical");
	check_eq(VMX("vmptrst (%1)", "r"(NOT_MAPPED)), FAULT + PF, "VMPTRST: an operand in no page");
	check_eq(trap.error, 2, "... a write");
	check_eq(VMX("vmptrst -8(%1)", "r"(NOT_MAPPED + 4)), FAULT + PF, "VMPTRST: an operand across its end");
}

/* --- fields --- */

static void fields(void)
{
	u64 value = 0;
	u32 count = 0, wrong = 0;

	check_eq(vmwrite(GUEST_RIP, 0x1122334455667788), SUCCEEDED, "VMWRITE");
	check_eq(vmread(GUEST_RIP, &value), SUCCEEDED, "VMREAD");
	check_eq(value, 0x1122334455667788, "... reads it");
	vmwrite(GUEST_CS, 0x12345678);
	vmread(GUEST_CS, &value);
	check_eq(value, 0x5678, "a field of 16 bits");
	vmwrite(CR3_TARGET_COUNT, 0x1122334455667788);
	vmread(CR3_TARGET_COUNT, &value);
	check_eq(value, 0x55667788, "a field of 32 bits");
	vmwrite(TSC_OFFSET, 0x1122334455667788);
	vmread(TSC_OFFSET + 1, &value);
	check_eq(value, 0x11223344, "the high half of 64 bits");
	vmwrite(TSC_OFFSET + 1, 0xaabbccdd99999999);
	vmread(TSC_OFFSET, &value);
	check_eq(value, 0x9999999955667788, "... written alone");
	check_eq(vmread(0x681f, &value), 12, "VMREAD: a high half of a field that has none");
	check_eq(vmread(0x7800, &value), 12, "VMREAD: no such field");
	check_eq(vmread(BIT(32) | GUEST_RIP, &value), 12, "VMREAD: the encoding's upper half counts");
	check_eq(vmwrite(0x7800, 0), 12, "VMWRITE: no such field");
	check_eq(vmwrite(EXIT_REASON, 5), rdmsr(VMX_MISC) & BIT(29) ? SUCCEEDED : 13, "VMWRITE: a read-only field");
	for (u32 encoding = 0; encoding < 0x8000; encoding++) {
		u32 result = vmread(encoding, &value);

		count += result == SUCCEEDED;
		wrong += result != SUCCEEDED && result != 12;
	}
	check_range(count, 100, 300, "fields that can be read");
	check_eq(wrong, 0, "... and the others are unsupported");
}

static void fields_in_memory(void)
{
	u64 memory[2] = { 0xfeedface12345678, ~0ull };

	check_eq(VMX("vmwrite (%1), %2", "r"(memory), "r"((ulong)HOST_RIP)), SUCCEEDED, "VMWRITE from memory");
	memory[0] = 0;
	check_eq(VMX("vmread %2, (%1)", "r"(memory), "r"((ulong)HOST_RIP)), SUCCEEDED, "VMREAD to memory");
	check_eq(memory[0], 0xfeedface12345678, "... all of it");
	check_eq(memory[1], ~0ull, "... and no more");
	check_eq(VMX("vmread %2, -24(%1,%3,8)", "r"(memory), "r"((ulong)GUEST_CS), "r"(4ul)), SUCCEEDED,
		 "VMREAD of 16 bits: base, index, displacement");
	check_eq(memory[1], 0x5678, "... takes all of the operand");
	check_eq(VMX("vmread %2, (%1)", "r"(NOT_MAPPED), "r"((ulong)HOST_RIP)), FAULT + PF, "VMREAD to no page");
	check_eq(VMX("vmread %2, (%1)", "r"(NOT_MAPPED), "r"(0x7800ul)), 12, "... after the check of the field");
	check_eq(VMX("vmwrite (%1), %2", "r"(NOT_CANONICAL), "r"((ulong)HOST_RIP)), FAULT + GP, "VMWRITE from no address");
}

static void another_vmcs(void)
{
	u64 value = 0;

	vmwrite(GUEST_RIP, 0xaaaa);
	check_eq(vmclear(VMCS_B), SUCCEEDED, "VMCLEAR of another VMCS");
	check_eq(vmptrld(VMCS_B), SUCCEEDED, "VMPTRLD of it");
	vmwrite(GUEST_RIP, 0xbbbb);
	check_eq(vmptrld(VMCS_A), SUCCEEDED, "VMPTRLD of the first");
	vmread(GUEST_RIP, &value);
	check_eq(value, 0xaaaa, "... has its own value");
	check_eq(vmclear(VMCS_A), SUCCEEDED, "VMCLEAR of the current one");
	vmptrst(&value);
	check_eq(value, ~0ull, "... none is current then");
	check_eq(vmptrld(VMCS_B), SUCCEEDED, "VMPTRLD of the second");
	vmread(GUEST_RIP, &value);
	check_eq(value, 0xbbbb, "... has its own value");
	check_eq(vmptrld(VMCS_A), SUCCEEDED, "VMPTRLD after VMCLEAR");
	vmread(GUEST_RIP, &value);
	check_eq(value, 0xaaaa, "... the data is kept");
}

/* --- entries that fail early --- */

static void early_failures(void)
{
	u16 ss;

	check_eq(vmresume(), 5, "VMRESUME of a VMCS that is clear");
	vmwrite(CR3_TARGET_COUNT, 99);
	check_eq(vmlaunch(), 7, "VMLAUNCH with bad controls");
	asm volatile("mov %%ss, %0" : "=r"(ss));
	check_eq(VMX("mov %1, %%ss; vmlaunch", "r"((u32)ss)), 26, "VMLAUNCH behind MOV SS");
	check_eq(VMX("mov %1, %%ss; vmresume", "r"((u32)ss)), 26, "... comes before the launch state");
}

/* --- INVEPT, INVVPID --- */

static void invalidations(void)
{
	u64 descriptor[2] = { VMCS_B | 3 << 3 | 6, 0 }, capability = rdmsr(VMX_EPT_VPID);

	check_eq(capability >> 20 & 1, 1, "INVEPT is there");
	check_eq(invept(1, descriptor), SUCCEEDED, "INVEPT: single context");
	check_eq(invept(2, descriptor), SUCCEEDED, "INVEPT: all contexts");
	check_eq(invept(0, descriptor), 28, "INVEPT: type 0");
	check_eq(invept(3, descriptor), 28, "INVEPT: type 3");
	descriptor[0] ^= 1;
	check_eq(invept(1, descriptor), 28, "INVEPT: a bad EPT pointer");
	check_eq(invept(2, descriptor), SUCCEEDED, "... which does not matter for all contexts");
	check_eq(invept(2, (u64 *)NOT_MAPPED), FAULT + PF, "INVEPT: an operand in no page");
	check_eq(invept(2, (u64 *)(NOT_MAPPED - 8)), FAULT + PF, "INVEPT: an operand across its end");

	descriptor[0] = 7;
	descriptor[1] = 0x1000;
	check_eq(capability >> 32 & 0xf01, 0xf01, "INVVPID is there");
	for (u32 type = 0; type < 4; type++)
		check_eq(invvpid(type, descriptor), SUCCEEDED, "INVVPID");
	check_eq(invvpid(4, descriptor), 28, "INVVPID: type 4");
	descriptor[1] = NOT_CANONICAL;
	check_eq(invvpid(0, descriptor), 28, "INVVPID: an address that is not canonical");
	check_eq(invvpid(1, descriptor), SUCCEEDED, "... which only type 0 looks at");
	descriptor[0] = 0;
	check_eq(invvpid(1, descriptor), 28, "INVVPID: VPID 0");
	check_eq(invvpid(3, descriptor), 28, "INVVPID: VPID 0");
	check_eq(invvpid(2, descriptor), SUCCEEDED, "... but for all contexts");
	descriptor[0] = BIT(16) | 7;
	check_eq(invvpid(1, descriptor), 28, "INVVPID: a reserved bit");
	check_eq(invvpid(0, (u64 *)NOT_MAPPED), FAULT + PF, "INVVPID: an operand in no page");
}

/* --- ring 3 --- */

static struct regs kernel;
static u8 user_stack[4096] __attribute__((aligned(16)));
static u32 user[6];

static void on_enter(struct regs *regs)
{
	kernel = *regs;
	regs->cs = USER_CODE64;
	regs->ss = USER_DATA;
	regs->sp = (ulong)user_stack + sizeof(user_stack) - 8;
	regs->ip = regs->ax;
}

static void on_leave(struct regs *regs)
{
	*regs = kernel;
}

static void in_user_mode(void)
{
	user[0] = TRY("vmxoff");
	user[1] = TRY("vmread %0, %%rax", : : "r"((ulong)GUEST_RIP) : "rax", "cc");
	user[2] = TRY("vmptrld (%0)", : : "r"(NOT_MAPPED) : "cc");
	user[3] = TRY("vmlaunch", : : : "cc");
	user[4] = TRY("vmxon (%0)", : : "r"(NOT_MAPPED) : "cc");
	user[5] = TRY("invept (%0), %1", : : "r"(NOT_MAPPED), "r"(9ul) : "cc");
	asm volatile("int $0x81");
}

static void user_mode(u32 expected, const char *name)
{
	idt[0x81].type = 0xee;
	trap_on(0x80, on_enter);
	trap_on(0x81, on_leave);
	pd[0] |= 4;
	WRITE_CR(3, pml4);
	asm volatile("int $0x80" : : "a"((ulong)in_user_mode) : "memory");
	for (u32 i = 0; i < ARRAY_SIZE(user); i++)
		check_eq(user[i], i == 4 ? GP : expected, name);
}

void root_operation(void)
{
	u64 value = 0;

	check_eq(vmxon(VMXON_REGION), FAULT + UD, "VMXON before CR4.VMXE");
	vmx_enable();
	capabilities();
	regions_reset();
	outside();
	user_mode(UD, "ring 3, outside of VMX operation");
	vmxon_refused();
	check_eq(vmxon(VMXON_REGION), SUCCEEDED, "VMXON");
	without_vmcs();
	fixed_bits();
	pointers();
	fields();
	fields_in_memory();
	another_vmcs();
	early_failures();
	invalidations();
	user_mode(GP, "ring 3, in VMX operation");
	check_eq(vmxoff(), SUCCEEDED, "VMXOFF");
	outside();
	check_eq(vmxon(VMXON_REGION), SUCCEEDED, "VMXON again");
	check_eq(vmptrst(&value), SUCCEEDED, "VMPTRST");
	check_eq(value, ~0ull, "... nothing is current");
	check_eq(vmptrld(VMCS_A), SUCCEEDED, "VMPTRLD");
	check_eq(vmxoff(), SUCCEEDED, "VMXOFF with a current VMCS");
	WRITE_CR(4, READ_CR(4) & ~CR4_VMXE);
	check_eq(READ_CR(4) & CR4_VMXE, 0, "CR4.VMXE can be cleared then");
}
