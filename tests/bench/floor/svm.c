/* SPDX-License-Identifier: MIT */
/* AMD APM vol. 2, "Secure Virtual Machine": VMRUN, and only what it requires. */
#include "floor/floor.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/x86.h"
#include "svm/vmcb.h"

static struct vmcb vmcb __aligned(4096);
static u8 host_save[4096] __aligned(4096);
static bool has_next_rip;

void floor_svm_run(struct vmcb *vmcb);				/* run.asm */
void floor_svm_exit(struct vmcb *vmcb, struct floor_regs *regs);	/* called by it */

/* Without next-RIP save: the instruction's length is known. */
static void skip_cpuid(struct vmcb *vmcb, struct floor_regs *regs __maybe_unused)
{
	if (has_next_rip)
		vmcb->save.rip = vmcb->control.next_rip;
	else
		vmcb->save.rip += 2;
}

static void stamp_vmmcall(struct vmcb *vmcb, struct floor_regs *regs)
{
	regs->rcx = rdtsc();
	vmcb->save.rip += 3;
	regs->rdx = rdtsc();
}

static void (*const handlers[])(struct vmcb *vmcb, struct floor_regs *regs) = {
	[VMEXIT_CPUID] = skip_cpuid,
	[VMEXIT_VMMCALL] = stamp_vmmcall,
};

void floor_svm_exit(struct vmcb *vmcb, struct floor_regs *regs)
{
	u64 code = vmcb->control.exit_code;

	if (code >= ARRAY_SIZE(handlers) || !handlers[code])
		floor_stop("unexpected exit", code);
	handlers[code](vmcb, regs);
}

static void set_segment(struct vmcb_segment *segment, u16 selector, u16 attributes)
{
	*segment = (struct vmcb_segment){ .selector = selector, .attributes = attributes, .limit = ~0u };
}

static void set_table(struct vmcb_segment *segment, struct floor_table table)
{
	*segment = (struct vmcb_segment){ .limit = table.limit, .base = table.base };
}

void floor_svm(const struct floor_vm *vm)
{
	struct floor_table gdt, idt;
	u32 edx, eax = 0x8000000a, ebx, ecx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "=c"(ecx), "=d"(edx));
	has_next_rip = edx & BIT(3);
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(MSR_VM_HSAVE_PA, (u64)host_save);
	__asm__ volatile("sgdt %0; sidt %1" : "=m"(gdt), "=m"(idt));

	vmcb.control.intercept_misc1 = INTERCEPT_CPUID;
	vmcb.control.intercept_misc2 = INTERCEPT_VMRUN | INTERCEPT_VMMCALL;
	vmcb.control.asid = 1;
	set_segment(&vmcb.save.cs, 0x18, 0xa9b);
	set_segment(&vmcb.save.ss, 0x10, 0xc93);
	set_segment(&vmcb.save.ds, 0x10, 0xc93);
	set_segment(&vmcb.save.es, 0x10, 0xc93);
	set_table(&vmcb.save.gdtr, gdt);
	set_table(&vmcb.save.idtr, idt);
	vmcb.save.efer = rdmsr(MSR_EFER);
	vmcb.save.cr0 = read_cr0();
	vmcb.save.cr3 = read_cr3();
	vmcb.save.cr4 = read_cr4();
	vmcb.save.dr6 = 0xffff0ff0;
	vmcb.save.dr7 = 0x400;
	vmcb.save.rflags = 2;
	vmcb.save.rip = (u64)vm->guest;
	vmcb.save.rsp = vm->stack;
	if (vm->nested_tables) {
		floor_map(vm->nested_tables, 0);
		vmcb.control.np_enable = 1;
		vmcb.control.nested_cr3 = (u64)vm->nested_tables;
		vmcb.save.pat = rdmsr(MSR_PAT);
	}
	if (vm->first)
		vm->first();
	floor_svm_run(&vmcb);
}
