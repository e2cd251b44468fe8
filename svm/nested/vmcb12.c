/* SPDX-License-Identifier: MIT */
/*
 * Fields of L1's VMCB that reach the processor: each is named here, and of controls each bit. Whatever else L1
 * sets has no effect, as on a processor without the features that CPUID does not offer. AMD APM vol. 2, "Layout
 * of VMCB".
 */
#include "arch/cpu/x86.h"
#include "svm/nested/nested.h"

/* A processor takes as many bits as its linear addresses have, and repeats the highest. L1's have 48, whatever the host's. */
static u64 canonical(u64 address)
{
	return (u64)((s64)(address << 16) >> 16);
}

static struct vmcb_segment import_segment(const struct vmcb_segment *from)
{
	return (struct vmcb_segment){
		.selector = from->selector,
		.attributes = from->attributes & 0xfff,
		.limit = from->limit,
		.base = canonical(from->base),
	};
}

static struct vmcb_segment import_table(const struct vmcb_segment *from)
{
	return (struct vmcb_segment){ .limit = from->limit & 0xffff, .base = canonical(from->base) };
}

static void import_save(const struct vmcb_save *from, struct vmcb_save *to)
{
	to->es = import_segment(&from->es);
	to->cs = import_segment(&from->cs);
	to->ss = import_segment(&from->ss);
	to->ds = import_segment(&from->ds);
	to->gdtr = import_table(&from->gdtr);
	to->idtr = import_table(&from->idtr);
	to->cpl = from->cpl & 3;
	to->cr3 = from->cr3;
	to->dr6 = from->dr6;
	to->dr7 = from->dr7;
	to->rflags = (from->rflags & RFLAGS_DEFINED) | RFLAGS_FIXED;
	to->rip = from->rip;
	to->rsp = from->rsp;
	to->rax = from->rax;
	to->cr2 = from->cr2;
}

void nsvm_import(const struct vmcb *from, struct vmcb *to)
{
	const struct vmcb_control *control = &from->control;

	import_save(&from->save, &to->save);
	to->control.int_control |= control->int_control & VIRTUAL_INTERRUPT;
	to->control.int_state = control->int_state & INT_SHADOW;
	to->control.next_rip = control->next_rip;
}

void nsvm_copy_vmload(const struct vmcb_save *from, struct vmcb_save *to)
{
	to->fs = import_segment(&from->fs);
	to->gs = import_segment(&from->gs);
	to->tr = import_segment(&from->tr);
	to->ldtr = import_segment(&from->ldtr);
	to->kernel_gs_base = canonical(from->kernel_gs_base);
	to->star = from->star;
	to->lstar = canonical(from->lstar);
	to->cstar = canonical(from->cstar);
	to->sfmask = (u32)from->sfmask;
	to->sysenter_cs = from->sysenter_cs;
	to->sysenter_esp = canonical(from->sysenter_esp);
	to->sysenter_eip = canonical(from->sysenter_eip);
}
