/* SPDX-License-Identifier: MIT */
/* Instructions that C cannot express. */
#pragma once

#include "lib/types.h"

struct cpuid_regs {
	u32 eax, ebx, ecx, edx;
};
/* A table's column: the register of struct cpuid_regs, in its order. */
enum cpuid_reg { EAX, EBX, ECX, EDX };

#ifdef LAMINA_HOST_TEST
/* A unit test may define its own CPUID; without that, the build host's is used. */
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) __attribute__((weak));
#endif

static inline struct cpuid_regs cpuid_count(u32 leaf, u32 subleaf)
{
	struct cpuid_regs r;

#ifdef LAMINA_HOST_TEST
	if (test_cpuid)
		return test_cpuid(leaf, subleaf);
#endif
	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline struct cpuid_regs cpuid(u32 leaf)
{
	return cpuid_count(leaf, 0);
}

/* For MSRs that exist, and values that they accept: a #GP is a panic. Intel SDM, "RDMSR", "WRMSR". */
static inline u64 rdmsr(u32 msr)
{
	u32 low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (u64)high << 32 | low;
}

static inline void wrmsr(u32 msr, u64 value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)value), "d"((u32)(value >> 32)) : "memory");
}

/* As rdmsr/wrmsr, but a #GP gives -EFAULT instead of a panic (arch/fault/extable.h). */
int rdmsr_safe(u32 msr, u64 *value);
int wrmsr_safe(u32 msr, u64 value);

#ifdef LAMINA_HOST_TEST
u64 read_breakpoint(unsigned n);
#else
/* DR0 to DR3: while a vCPU is loaded its own. */
static inline u64 read_breakpoint(unsigned n)
{
	u64 value;

	switch (n) {
	case 0:
		__asm__ volatile("mov %%db0, %0" : "=r"(value));
		break;
	case 1:
		__asm__ volatile("mov %%db1, %0" : "=r"(value));
		break;
	case 2:
		__asm__ volatile("mov %%db2, %0" : "=r"(value));
		break;
	default:
		__asm__ volatile("mov %%db3, %0" : "=r"(value));
		break;
	}
	return value;
}
#endif

#ifdef LAMINA_HOST_TEST
/* A unit test may define its own TSC; without that, the build host's is used. */
u64 test_tsc(void) __attribute__((weak));
#endif

/* RDTSC clears the upper halves of RAX and RDX. */
static inline u64 rdtsc(void)
{
	u64 low, high;

#ifdef LAMINA_HOST_TEST
	if (test_tsc)
		return test_tsc();
#endif
	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return high << 32 | low;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/*
 * Halt until an interrupt, and serve it. STI's shadow covers the HLT: none is missed. Called and returns with IF=0.
 * An exception in the shadow ends the wait, too: its handler steps over the HLT, which is at irq_wait_halt.
 */
void irq_wait(void);
extern const char irq_wait_halt[];
#define HLT_LENGTH 1	/* bytes */

#ifdef LAMINA_HOST_TEST
/* On the build host the unit tests define these, and irq_wait(). */
void irq_disable(void);
void irq_enable(void);
void irq_window(void);
#else
static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Serve every host interrupt that is pending now. Called with and returns with interrupts off. */
static inline void irq_window(void)
{
	__asm__ volatile("sti; nop; cli" : : : "memory");
}
#endif

#define DEFINE_CR(n)							\
	static inline u64 read_cr##n(void)				\
	{								\
		u64 value;						\
									\
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(value));	\
		return value;						\
	}								\
	static inline void write_cr##n(u64 value)			\
	{								\
		__asm__ volatile("mov %0, %%cr" #n : : "r"(value) : "memory"); \
	}
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
#undef DEFINE_CR

#ifdef LAMINA_HOST_TEST
#define DEFINE_PORT(suffix, type)					\
	void out##suffix(u16 port, type value);				\
	type in##suffix(u16 port);
#else
#define DEFINE_PORT(suffix, type)					\
	static inline void out##suffix(u16 port, type value)		\
	{								\
		__asm__ volatile("out" #suffix " %0, %1" : : "a"(value), "Nd"(port)); \
	}								\
	static inline type in##suffix(u16 port)				\
	{								\
		type value;						\
									\
		__asm__ volatile("in" #suffix " %1, %0" : "=a"(value) : "Nd"(port)); \
		return value;						\
	}
#endif
DEFINE_PORT(b, u8)
DEFINE_PORT(w, u16)
DEFINE_PORT(l, u32)
#undef DEFINE_PORT
