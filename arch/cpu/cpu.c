/* SPDX-License-Identifier: MIT */
/* Instructions that may fault or be interrupted. */
#include "arch/cpu/cpu.h"

#include "arch/fault/extable.h"
#include "lib/errno.h"

/* A fault skips the XOR that clears err, so err stays -EFAULT. */
int rdmsr_safe(u32 msr, u64 *value)
{
	u32 low = 0, high = 0;
	int err = -EFAULT;

	__asm__ volatile("1: rdmsr\n\t"
			 "xorl %[err], %[err]\n"
			 "2:" EXTABLE("1b", "2b")
			 : "+a"(low), "+d"(high), [err] "+r"(err)
			 : "c"(msr));
	if (!err)
		*value = (u64)high << 32 | low;
	return err;
}

int wrmsr_safe(u32 msr, u64 value)
{
	int err = -EFAULT;

	__asm__ volatile("1: wrmsr\n\t"
			 "xorl %[err], %[err]\n"
			 "2:" EXTABLE("1b", "2b")
			 : [err] "+r"(err)
			 : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32))
			 : "memory");
	return err;
}

#ifndef LAMINA_HOST_TEST
/* Never inlined: there is one HLT that an exception's handler has to know. */
__noinline void irq_wait(void)
{
	__asm__ volatile("sti\n"
			 ".global irq_wait_halt\n"
			 "irq_wait_halt:\n\t"
			 "hlt\n\t"
			 "cli" : : : "memory");
}
#endif
