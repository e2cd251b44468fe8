/* SPDX-License-Identifier: MIT */
/* The data of one physical CPU, reached through the GS base. */
#pragma once

#include "lib/types.h"

struct vcpu;

#define MAX_CPUS 256

/* How far a CPU has come that boot/cpus.c starts. */
enum cpu_state {
	CPU_CREATED,		/* it has stacks and tables; nothing has been heard of it */
	CPU_ARRIVED,		/* it runs on them */
	CPU_READY,		/* it is set up and compared; it answers the comparison of the TSCs */
	CPU_PARKED,		/* it halts, with machine checks on, until an NMI stops it */
	CPU_LEFT_OUT,		/* it halts likewise; left_out says why it is not used */
	CPU_LOST,		/* it does not answer: INIT was sent to it */
	CPU_STOPPED,		/* it halts for good, for a crash report of another CPU */
};

/*
 * Who may access a member: "constant" is written once, before the CPU runs guests; "this CPU" only by
 * the CPU itself, without a lock. No other member is written by another CPU but the atomic ones.
 */
struct percpu {
	struct percpu *self;		/* constant; must stay first: this_cpu() is one load from gs:0 */
	u32 index;			/* constant: 0 for the boot CPU, without gaps */
	u32 apic_id;			/* constant */
	struct vcpu *current_vcpu;	/* this CPU: the vCPU that is loaded, or NULL */
	void *stack_top;		/* constant: top of the ordinary stack */
	void *vendor_page;		/* constant while it is on; VMX: VMXON region; SVM: host save area */
	hpa_t vendor_page_pa;		/* constant */
	void *host_vmcb;		/* constant; SVM: the VMCB in which VMSAVE and VMLOAD keep host state */
	hpa_t host_vmcb_pa;		/* constant */
	u64 nmi_count, debug_count;	/* this CPU, in its exception handlers */
	void *arch_data;		/* constant; owned by arch/cpu/gdt.c: GDT and TSS */
	u32 state;			/* atomic: enum cpu_state */
	char left_out[128];		/* why, in words; this CPU, before it sets CPU_LEFT_OUT */
	u32 microcode;			/* revision; this CPU, before it sets CPU_READY */
	u64 tsc_reply;			/* atomic: boot/cpus.c */
};

#ifdef LAMINA_HOST_TEST
struct percpu *this_cpu(void);
#else
static inline struct percpu *this_cpu(void)
{
	struct percpu *cpu;

	__asm__("mov %%gs:0, %0" : "=r"(cpu));
	return cpu;
}
#endif

/* Make this_cpu() work on the boot CPU, before anything else. */
void percpu_init_early(void);
/* Give the boot CPU its stacks and descriptor tables. After paging_init(). */
void percpu_init(void);
/*
 * Make the data, stacks and descriptor tables of one more CPU, which gets the next index. On the boot
 * CPU only. NULL: no memory, or there are MAX_CPUS already.
 */
struct percpu *percpu_create(u32 apic_id);
/* As this_cpu(), for exception handlers, which cannot trust the GS base. */
struct percpu *percpu_by_stack(void);
/* Halt this CPU for good, on behalf of another's crash report. Any context. */
void cpu_stop(void) __noreturn;
/* Number of CPUs whose stacks are mapped, and one of them by its index. */
u32 percpu_count(void);
struct percpu *percpu_get(u32 index);
