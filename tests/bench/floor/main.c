/* SPDX-License-Identifier: MIT */
/* Switches virtualization on and measures in the guest; the output has the format of the benchmark guest's. */
#include "floor/floor.h"

#include "bench.h"

const char guest_name[] = "floor";

OPERATION(nops_100, "", "", ".rept 100\n\tnop\n\t.endr", "")
OPERATION(loop_2000, "", "mov $1000, %%ecx", "1: dec %%ecx\n\tjnz 1b", "")
OPERATION(cpuid_0, "", "xor %%eax, %%eax", "cpuid", "")

static const struct bench list[] = { { OP(nops_100) }, { OP(loop_2000) }, { OP(cpuid_0) } };

static void guest(void)
{
	RUN(list);
	say("bench: done\n");
	debug_exit(0);
}

void floor_stop(const char *why, uint64_t number)
{
	print("floor: error: ");
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
	const struct floor_vm vm = { .guest = guest, .stack = (u64)stack + sizeof(stack) - 8 };

	if (vendor_amd())
		floor_svm(&vm);
	else
		floor_vmx(&vm);
	floor_stop("the guest was not entered", 0);
}
