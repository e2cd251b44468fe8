/* SPDX-License-Identifier: MIT */
/*
 * The bare loop of floor/ as a hypervisor in a guest (L1), with nested paging. Measured: in L1, the instructions of a
 * hypervisor; in L2, its guest, a CPUID that L1 handles, the two halves of such an exit, and what L1 leaves to the one
 * beneath. The output has the format of the benchmark guest's.
 */
#include "floor/floor.h"

#include "bench.h"

const char guest_name[] = "nested";

#define FRESH	    (64ul << 20)	/* RAM that L1 has touched, and L2 has not */
#define FRESH_COUNT 8

static u64 tables[3 * 512] __attribute__((aligned(4096)));
static u64 other_vmcb[512] __attribute__((aligned(4096)));

OPERATION(nops_100, "", "", ".rept 100\n\tnop\n\t.endr", "")
OPERATION(loop_2000, "", "mov $1000, %%ecx", "1: dec %%ecx\n\tjnz 1b", "")

OPERATION(l1_cpuid_0, "", "xor %%eax, %%eax", "cpuid", "")
OPERATION(l1_vmread_rip, "", "mov $0x681e, %%eax", "vmread %%rax, %%rbx", "")
OPERATION(l1_vmread_gdtr, "", "mov $0x6816, %%eax", "vmread %%rax, %%rbx", "")
OPERATION(l1_vmwrite_gdtr, "", "mov $0x6816, %%eax", "vmwrite %%rsi, %%rax", "")
OPERATION(l1_invept, "push $0\n\tpush $0", "mov $2, %%eax", "invept (%%rsp), %%rax", "pop %%rcx\n\tpop %%rcx")
OPERATION(l1_vmsave, "", "mov %%rsi, %%rax", "vmsave", "")
OPERATION(l1_vmload, "mov %%rsi, %%rax\n\tvmsave", "mov %%rsi, %%rax", "vmload", "")
OPERATION(l1_clgi, "", "", "clgi", "stgi")
OPERATION(l1_stgi, "clgi", "", "stgi", "")
OPERATION(l1_invlpga, "", "mov %%rsi, %%rax\n\tmov $1, %%ecx", "invlpga %%rax, %%ecx", "")

OPERATION(cpuid_0, "", "xor %%eax, %%eax", "cpuid", "")
OPERATION(in_pic_mask, "", "", "in $0x21, %%al", "")
OPERATION(touch_2m, "", "", "movb $1, (%%rsi)", "")

static bool is_amd;	/* found by L1: L2's CPUID gives nothing */

static bool amd(void) { return is_amd; }
static bool intel(void) { return !is_amd; }
static ulong vmcb_address(u32 i) { return (ulong)other_vmcb; }
static ulong gdtr_base(u32 i) { return (ulong)gdt; }
static ulong fresh(u32 i) { return FRESH + (2ul << 20) * i; }

/* The TSC before the instruction that exits, in the handler at its begin and at its end, and behind the instruction. */
struct stamps {
	u32 out, begin, end, in;
};

#define STAMPS(s, insn)									\
	asm volatile("rdtsc\n\tmov %%eax, %%esi\n\t" insn "\n\tmov %%edx, %%edi\n\trdtsc"	\
		     : "=a"((s).in), "=c"((s).begin), "=S"((s).out), "=D"((s).end) : : "edx", "memory")

static struct stamps stamps(void)
{
	struct stamps s;

	if (is_amd)
		STAMPS(s, "vmmcall");
	else
		STAMPS(s, "vmcall");
	return s;
}

static u32 to_l1(ulong arg)
{
	struct stamps s = stamps();

	return s.begin - s.out;
}

static u32 to_l2(ulong arg)
{
	struct stamps s = stamps();

	return s.in - s.end;
}

/* In L1, with a current VMCS where there is VMX. GUEST_RIP will be written again. */
static void hypervisor(void)
{
	static const struct bench list[] = {
		{ OP(l1_cpuid_0) },
		{ OP(l1_vmread_rip), .present = intel },
		{ OP(l1_vmread_gdtr), .present = intel },
		{ OP(l1_vmwrite_gdtr), .present = intel, .arg = gdtr_base },
		{ OP(l1_invept), .present = intel },
		{ OP(l1_vmload), .present = amd, .arg = vmcb_address },
		{ OP(l1_vmsave), .present = amd, .arg = vmcb_address },
		{ OP(l1_clgi), .present = amd },
		{ OP(l1_stgi), .present = amd },
		{ OP(l1_invlpga), .present = amd, .arg = vmcb_address },
	};

	for (u32 i = 0; i < FRESH_COUNT; i++)
		*(volatile u8 *)fresh(i) = 0;
	RUN(list);
}

static void guest(void)
{
	static const struct bench list[] = {
		{ OP(nops_100) },
		{ OP(loop_2000) },
		{ OP(cpuid_0) },
		{ .name = "to-l1", .op = to_l1 },
		{ .name = "to-l2", .op = to_l2 },
		{ OP(in_pic_mask) },
		{ OP(touch_2m), .count = FRESH_COUNT, .arg = fresh },
	};

	RUN(list);
	say("bench: done\n");
	debug_exit(0);
}

void floor_stop(const char *why, uint64_t number)
{
	print("bench: error: ");
	print(why);
	print(" ");
	print_hex(number);
	print("\n");
	debug_exit(1);
}

int main(void)
{
	static u8 stack[16384] __attribute__((aligned(16)));
	/* As after a call. */
	const struct floor_vm vm = {
		.guest = guest, .stack = (u64)stack + sizeof(stack) - 8, .nested_tables = tables, .first = hypervisor,
	};

	outb(0x43, 0x36);	/* stop the timer that a BIOS leaves running: its interrupts would be measured, too */
	say("bench: long mode\n");
	is_amd = vendor_amd();
	if (is_amd)
		floor_svm(&vm);
	else
		floor_vmx(&vm);
	floor_stop("the guest was not entered", 0);
}
