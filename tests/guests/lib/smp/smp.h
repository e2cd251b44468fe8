/* SPDX-License-Identifier: MIT */
/*
 * More CPUs for a guest in long mode. The boot CPU is number 0; the others, started by INIT-SIPI-SIPI, wait in
 * HLT for functions to run. Only the boot CPU prints and checks: the others leave their results in memory.
 * The command line may say x2apic=1, and cpus=N to use fewer CPUs than there are.
 */
#pragma once
#include "guest.h"

#define SMP_MAX		16
#define STACK_SIZE	16384
#define JOB_VECTOR	0x30		/* wakes a CPU in HLT that has a function to run */
#define TRAMPOLINE	0x8000u		/* where smp_init() puts it; trampoline_at() others */

enum {
	APIC_ID = 0x20, APIC_TPR = 0x80, APIC_EOI = 0xb0, APIC_LDR = 0xd0, APIC_DFR = 0xe0, APIC_SVR = 0xf0,
	APIC_ISR = 0x100, APIC_TMR = 0x180, APIC_IRR = 0x200, APIC_ESR = 0x280, APIC_ICR = 0x300, APIC_ICR2 = 0x310,
	APIC_LVTT = 0x320, APIC_LINT0 = 0x350, APIC_LINT1 = 0x360, APIC_TMICT = 0x380, APIC_TMCCT = 0x390,
	APIC_TDCR = 0x3e0,
};
enum {
	ICR_FIXED = 0, ICR_LOWEST = 1 << 8, ICR_NMI = 4 << 8, ICR_INIT = 5 << 8, ICR_SIPI = 6 << 8,
	ICR_LOGICAL = 1 << 11, ICR_PENDING = 1 << 12, ICR_ASSERT = 1 << 14, ICR_LEVEL = 1 << 15,
	ICR_SELF = 1 << 18, ICR_ALL = 2 << 18, ICR_OTHERS = 3 << 18,
};

/* What the first instructions after a SIPI found. Its place in the trampoline is known to trampoline.asm. */
struct entry_state {
	u32 cs, cr0, flags, edx, ds, es, ss, fs, gs, cr4, efer;
} __attribute__((packed));

struct smp_cpu {
	u32 id;				/* of its local APIC */
	volatile u32 starts;		/* how often it has come up */
	volatile u32 page;		/* where it came up */
	volatile struct entry_state entry;
	volatile u64 apic_base;		/* as found after the SIPI, like svr */
	volatile u32 svr;
	void (*volatile job)(u32 cpu);
};

extern struct smp_cpu smp[SMP_MAX];
extern u32 smp_cpus;			/* entries of smp[]; the boot CPU is one */
extern bool x2apic;

/* Find the CPUs and start them. Fails a check and ends the guest if one does not come. */
void smp_init(void);
void smp_find(void);				/* the same without starting them */
bool smp_start(u32 cpu);			/* INIT, 10 ms, SIPI; false: it did not come in EVENT_MS */
bool smp_start_within(u32 cpu, u32 ms);		/* for a SIPI that may get lost */
void trampoline_at(u32 page);
/* Have one CPU run a function; all of them, and this one. smp_wait() is until it has returned; false: 10 minutes. */
void smp_run(u32 cpu, void (*function)(u32 cpu));
bool smp_wait(u32 cpu);
bool smp_all(void (*function)(u32 cpu));
u32 smp_index(void);				/* the CPU that this is */
void barrier(void);				/* for functions of smp_all() */

u32 apic_read(u32 reg);
void apic_write(u32 reg, u32 value);
void apic_on(void);				/* software-enabled, in the mode of `x2apic` */
void ipi(u32 id, u32 icr);			/* id: the destination field, 8 bits or 32 */
void ipi_to(u32 cpu, u32 icr);
bool wait_until(volatile u32 *value, u32 least, u32 ms);	/* false: it stayed below `least` */

static inline u32 atomic_add(volatile u32 *value, u32 n) { return __atomic_add_fetch(value, n, __ATOMIC_SEQ_CST); }
