/* SPDX-License-Identifier: MIT */
/* The data of one physical CPU, reached through the GS base. */
#pragma once

#include "lib/types.h"

struct vcpu;
struct sched;
struct vcpu_ops;
struct trace_record;
struct native;

#define MAX_CPUS 256
#define NMI_GUEST_CHARS 96

/* How far a CPU has come that boot/cpus.c starts. */
enum cpu_state {
	CPU_CREATED,		/* it has stacks and tables; nothing has been heard of it */
	CPU_ARRIVED,		/* it runs on them */
	CPU_READY,		/* it is set up and compared; it answers the comparison of the TSCs */
	CPU_PARKED,		/* it halts, with machine checks on, until there is work for it */
	CPU_CALLED,		/* the boot CPU has work for it */
	CPU_ONLINE,		/* it works: it runs guests */
	CPU_LEFT_OUT,		/* it halts likewise; left_out says why it is not used */
	CPU_LOST,		/* it does not answer: INIT was sent to it */
	CPU_STOPPED,		/* it halts for good, for a crash report of another CPU */
};

/* Owned by core/observe/trace.c. */
struct trace_ring {
	struct trace_record *records;	/* NULL: the CPU runs no guests */
	u64 next;			/* records ever written */
	const struct vcpu_ops *ops;	/* for the names of exits */
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
	/* This CPU writes, any reads: the same while its guest runs or an exit is handled, else NULL. core/sched.c */
	struct vcpu *running;
	bool timer_counts;		/* this CPU: its APIC's timer is not armed by TSC deadline, but counts down */
	u64 timer_armed;		/* this CPU: the TSC time that arch/apic/lapic_timer.c has armed */
	struct sched *sched;		/* constant; owned by core/sched.c. NULL: the CPU runs no guests */
	struct trace_ring trace;	/* this CPU; others read it for reports */
	void *stack_top;		/* constant: top of the ordinary stack */
	void *vendor_page;		/* constant while it is on; VMX: VMXON region; SVM: host save area */
	hpa_t vendor_page_pa;		/* constant */
	void *host_vmcb;		/* constant; SVM: the VMCB in which VMSAVE and VMLOAD keep host state */
	hpa_t host_vmcb_pa;		/* constant */
	void *vendor_current;		/* this CPU; VMX: the page of the current VMCS; SVM: unused */
	u64 tlb_id_generation;		/* this CPU: core/cpu/tlb_id.c */
	u32 tlb_id_next;		/* this CPU, likewise */
	bool tlb_flush_pending;		/* this CPU; SVM: no entry has flushed the TLB since the ids began anew */
	u32 last_vm;			/* this CPU: id of the VM that ran last (core/cpu/speculation.c); 0: none */
	u64 poll_at;			/* this CPU, core/sched.c: TSC time of the next machine_check_poll() */
	u32 passes;			/* likewise: turns of its loop */
	bool nmi_asked;			/* atomic; arch/fault/nmi.c: the next NMI asks where this CPU is */
	u64 nmi_rip;			/* atomic, likewise: the answer. Set after nmi_guest */
	char nmi_guest[NMI_GUEST_CHARS];	/* this CPU, before it sets nmi_rip: what it runs, in words */
	u64 nmi_count, debug_count, init_count;	/* this CPU, in its exception handlers; nmi_count: from outside */
	void *arch_data;		/* constant; owned by arch/cpu/gdt.c: GDT and TSS */
	u32 state;			/* atomic: enum cpu_state */
	struct native *native;		/* this CPU; owned by arch/fault/native.c. NULL: not used so far */
	bool native_failed;		/* this CPU: there was no memory for it */
	char left_out[128];		/* why, in words; this CPU, before it sets CPU_LEFT_OUT */
	u64 msrs_changed, msrs_refused;	/* this CPU, before it sets CPU_READY; a bit for each row of arch/cpu/msr_settings.c */
	u32 microcode_found;		/* the revision that it had before; likewise */
	u32 microcode;			/* revision; this CPU, before it sets CPU_READY */
	u64 tsc_reply;			/* atomic: boot/cpus.c */
	u64 tdp_flushed;		/* this CPU writes, any reads: core/mem/tdp_flush.c */
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
