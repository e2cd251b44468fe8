/* SPDX-License-Identifier: MIT */
/* What belongs to one physical CPU, reached through the GS base. */
#pragma once

#include "lib/types.h"

struct vcpu;

struct percpu {
	struct percpu *self;		/* must stay first: this_cpu() is one load from gs:0 */
	u32 index;			/* 0 for the boot CPU, dense */
	u32 apic_id;
	struct vcpu *current_vcpu;	/* the vCPU loaded on this CPU, or NULL */
	void *stack_top;		/* top of the ordinary stack */
	void *vendor_page;		/* VMX: VMXON region; SVM: host save area */
	hpa_t vendor_page_pa;
	void *host_vmcb;		/* SVM: VMCB that VMSAVE/VMLOAD keep host state in */
	hpa_t host_vmcb_pa;
	u64 nmi_count, debug_count;
	void *arch_data;		/* owned by arch: GDT, TSS, IST stacks */
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
/* As this_cpu(), for code that cannot trust the GS base: exceptions. */
struct percpu *percpu_by_stack(void);
/* CPUs that have their stacks. */
u32 percpu_count(void);
