/* SPDX-License-Identifier: MIT */
/* The data of one physical CPU, reached through the GS base. */
#pragma once

#include "lib/types.h"

struct vcpu;

/*
 * Who may access a member: "constant" is written once, before the CPU runs guests; "this CPU" only by
 * the CPU itself, without a lock. No member may be written by another CPU.
 */
struct percpu {
	struct percpu *self;		/* constant; must stay first: this_cpu() is one load from gs:0 */
	u32 index;			/* constant: 0 for the boot CPU, without gaps */
	u32 apic_id;			/* constant */
	struct vcpu *current_vcpu;	/* this CPU: the vCPU that is loaded, or NULL */
	void *stack_top;		/* constant: top of the ordinary stack */
	void *vendor_page;		/* constant; VMX: VMXON region; SVM: host save area */
	hpa_t vendor_page_pa;		/* constant */
	void *host_vmcb;		/* constant; SVM: the VMCB in which VMSAVE and VMLOAD keep host state */
	hpa_t host_vmcb_pa;		/* constant */
	u64 nmi_count, debug_count;	/* this CPU, in its exception handlers */
	void *arch_data;		/* constant; owned by arch/cpu/gdt.c: GDT and TSS */
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
/* As this_cpu(), for exception handlers, which cannot trust the GS base. */
struct percpu *percpu_by_stack(void);
/* Number of CPUs whose stacks are mapped. */
u32 percpu_count(void);
