/* SPDX-License-Identifier: MIT */
/*
 * One figure: TSC ticks from one RDTSC to the next with an operation between them. Where one tick is
 * one instruction (QEMU with -icount shift=0, Bochs with clock: sync=none) that is the number of
 * instructions that the guest and whatever runs beneath it have executed.
 */
#pragma once
#include "guest.h"

#ifdef __x86_64__
#define MODE	"long"
#define R(reg)	"%%r" #reg
#else
#define MODE	"flat"
#define R(reg)	"%%e" #reg
#endif

#define CHANGED_FLAGS	"cc", "memory"

/*
 * Wherever the compiler puts it, an operation begins at the same place within 64 bytes: hypervisors that read the
 * instruction do so in pieces of memory, and other code before it does not move these.
 */
#define PLACE		".balign 64\n\t"

/*
 * The operation is `insn`. `before` and `after` are not measured; `setup` is measured, and subtracted
 * again. ESI holds `arg`; EDI must not be changed; EAX to EDX are free. An operation that traps
 * continues after itself, with the vector in trap.vector.
 */
#define SAMPLE(arg, before, setup, insn, after) ({					\
	u32 ticks_, b_, c_, d_;								\
	ulong s_ = (arg);								\
											\
	asm volatile(SET_LONG "$99f, trap_resume\n\t"					\
		     before "\n\t" PLACE "rdtsc\n\tmov %%eax, %%edi\n\t"			\
		     setup "\n\t" insn "\n99:\trdtsc\n\tsub %%edi, %%eax\n\t"		\
		     after "\n\t" SET_LONG "$0, trap_resume"				\
		     : "=&a"(ticks_), "=&b"(b_), "=&c"(c_), "=&d"(d_), "+S"(s_)		\
		     : : "edi", CHANGED_FLAGS);						\
	ticks_;										\
})

/* Two functions: one with the operation, one without it. */
#define OPERATION(name, before, setup, insn, after)					\
	static u32 name(ulong arg) { return SAMPLE(arg, before, setup, insn, after); }	\
	static u32 name##_empty(ulong arg) { return SAMPLE(arg, "", setup, "", ""); }

/* Of a struct bench; the figure is printed under the operation's name, with dashes. */
#define OP(f)	.name = #f, .op = f, .empty = f##_empty

struct bench {
	const char *name;
	u32 count;			/* samples; 0 is DEFAULT_COUNT */
	bool (*present)(void);		/* NULL: always; also prepares what the operation needs */
	ulong (*arg)(u32 i);		/* the value of ESI for sample i; NULL: 0 */
	u32 (*op)(ulong arg);
	u32 (*empty)(ulong arg);	/* NULL: nothing to subtract */
};

#define MAX_COUNT	256
#define DEFAULT_COUNT	128
#define RUN(benches)	bench_run(benches, ARRAY_SIZE(benches))

/* measure.c */
void bench_run(const struct bench *benches, u32 count);
void say(const char *text);
void say_dec(u32 value);

/* Each opens with the features that it needs, runs its list and leaves the machine as it was. */
void bench_cpu(void);		/* cpu.c: CPUID, MSRs, control and debug registers, memory */
void bench_ports(void);		/* ports.c */
void bench_real(void);		/* real.c */
void bench_interrupts(void);	/* interrupts.c: local APIC and timers */
/* ipi.c, long mode only: between two processors, in x2APIC mode. Starts the other one. */
void bench_ipi(void);
/* virtio.c, long mode only: doorbells and requests. */
void bench_virtio(void);
/* requests.c, echo.c, likewise: requests that end with an interrupt, and a neighbour's answers. */
void bench_requests(void);
void bench_echo(void);

/* acpi.c: the I/O port of the ACPI PM timer, or 0 */
u16 acpi_pm_timer(void);
