/* SPDX-License-Identifier: MIT */
/* The interrupt table, and who handles which vector. */
#include "arch/fault/trap.h"

#include "arch/apic/irq.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/fault/extable.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/native.h"
#include "arch/fault/nmi.h"
#include "arch/fault/panic.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/printf.h"

struct idt_gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_middle;
	u32 offset_high;
	u32 reserved;
};
_Static_assert(sizeof(struct idt_gate) == 16, "IDT gate layout");

#define GATE_INTERRUPT 0x8e	/* present, DPL 0, 64-bit interrupt gate */

struct table_pointer {
	u16 limit;
	u64 base;
} __packed;

extern const u64 trap_stubs[256];

static struct idt_gate idt[256];

u64 idt_base(void)
{
	return (u64)idt;
}

void trap_load(void)
{
	struct table_pointer pointer = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void trap_init(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
		idt[i] = (struct idt_gate) {
			.offset_low = (u16)trap_stubs[i],
			.selector = GDT_CODE,
			.type = GATE_INTERRUPT,
			.offset_middle = (u16)(trap_stubs[i] >> 16),
			.offset_high = (u32)(trap_stubs[i] >> 32),
		};
	}
	trap_load();
}

void trap_enable_ist(void)
{
	idt[X86_NMI].ist = STACK_NMI;
	idt[X86_MC].ist = STACK_MACHINE_CHECK;
	idt[X86_DF].ist = STACK_DOUBLE_FAULT;
}

static bool fix_up(struct trap_frame *frame)
{
	u64 to;

	if (frame->vector != X86_GP && frame->vector != X86_UD && frame->vector != X86_PF)
		return false;
	to = extable_find(frame->rip);
	if (!to)
		return false;
	frame->rip = to;
	return true;
}

/* Lamina sets no breakpoints and does not single-step, so any #DB is spurious. Count them, log the first. */
static void handle_debug(const struct trap_frame *frame)
{
	if (this_cpu()->debug_count++ == 0 && this_cpu()->index == 0)
		log_warn("a debug exception that nobody asked for, at 0x%llx: ignored",
			 (unsigned long long)frame->rip);
}

/* As panic(), for an unexpected exception: prints its registers, too. */
static void __noreturn panic_trap(const struct trap_frame *frame)
{
	char why[80];

	panic_begin();
	snprintf(why, sizeof(why), "unexpected exception %llu (%s) at 0x%llx",
		 (unsigned long long)frame->vector, trap_name(frame->vector),
		 (unsigned long long)frame->rip);
	log_error("panic: %s", why);
	trap_report(frame);
	panic_end(why);
}

static void handle_exception(struct trap_frame *frame)
{
	switch (frame->vector) {
	case X86_NMI:
		nmi_handler(frame);
		return;
	case X86_MC:
		machine_check_handler();
		return;
	case X86_DB:
		handle_debug(frame);
		return;
	case X86_SX:
		/* An INIT from outside: ignored. Not logged, because the log's lock may be held here. */
		if (frame->error_code != SX_INIT)
			break;
		this_cpu()->init_count++;
		return;
	}
	if (!fix_up(frame) && !native_fix_up(frame))
		panic_trap(frame);
}

/*
 * NMIs, machine checks and breakpoints come in STI's shadow, too, and the shadow is over when their handler returns:
 * the interrupt that irq_wait() waits for would be served before the HLT, which would then sleep on.
 * Intel SDM, "STI"; AMD APM vol. 2, "Interrupt Shadows".
 */
static void step_over_halt(struct trap_frame *frame)
{
	if (frame->rip == (u64)irq_wait_halt)
		frame->rip += HLT_LENGTH;
}

/*
 * Between an SVM exit and the VMLOAD after it, the GS base is still the guest's. For an exception there,
 * load the CPU's own GS base while the handlers run, and restore the guest's afterwards.
 */
static void handle_exception_anywhere(struct trap_frame *frame)
{
	u64 own = (u64)percpu_by_stack(), found = rdmsr(MSR_GS_BASE);

	if (found != own)
		wrmsr(MSR_GS_BASE, own);
	handle_exception(frame);
	step_over_halt(frame);
	if (found != own)
		wrmsr(MSR_GS_BASE, found);
}

void trap_dispatch(struct trap_frame *frame)
{
	if (frame->vector >= 32)
		irq_dispatch(frame->vector);
	else
		handle_exception_anywhere(frame);
}
