/* SPDX-License-Identifier: MIT */
/* Every vector has a gate; a trap has a handler, or is expected by TRY(), or ends the guest. */
#include "guest.h"

volatile struct trap trap = { .vector = NO_TRAP };
ulong trap_resume;
struct gate idt[256] __attribute__((aligned(16)));
static trap_handler handlers[256];
static bool is_interrupt[256];
static volatile u32 interrupts_with_if_clear;
extern const ulong trap_stubs[256];
void trap_dispatch(struct regs *regs);

void gate_set(u32 vector, ulong entry, u16 selector, u8 type, u8 ist)
{
	idt[vector] = (struct gate) {
		.offset0 = entry, .selector = selector, .ist = ist, .type = type,
		.offset16 = entry >> 16,
#ifdef __x86_64__
		.offset32 = entry >> 32,
#endif
	};
}

void trap_on(u32 vector, trap_handler handler)
{
	handlers[vector] = handler;
	is_interrupt[vector] = false;
}

void interrupt_on(u32 vector, trap_handler handler)
{
	handlers[vector] = handler;
	is_interrupt[vector] = true;
}

void interrupts_verdict(void)
{
	static const char name[] = "interrupts come only while IF is set";
	bool any = false;
	u32 twice = 0;

	for (u32 i = 0; i < 256; i++)
		any |= is_interrupt[i];
	cmdline_number("twice", &twice);
	if (any && twice && interrupts_with_if_clear)
		skip(name, "QEMU has delivered one twice");
	else if (any)
		check_eq(interrupts_with_if_clear, 0, name);
}

void trap_init(void)
{
	struct { u16 limit; ulong base; } __attribute__((packed)) idtr = {
		sizeof(idt) - 1, (ulong)idt,
	};
	ulong base = (ulong)tss;
	bool wide = sizeof(ulong) == 8;

	for (u32 i = 0; i < 256; i++)
		gate_set(i, trap_stubs[i], wide ? CODE64 : CODE32, 0x8e, 0);
	asm volatile("lidt %0" : : "m"(idtr));

	/* Ring 0's stack for traps from ring 3: a page below the current one. */
	if (!wide)
		*(u32 *)(tss + 8) = DATA;
	*(u32 *)(tss + 4) = (u32)(ulong)stack_top - 8192;
	*(u16 *)(tss + 102) = sizeof(tss);	/* no I/O bitmap */
	gdt[TSS / 8] = (sizeof(tss) - 1) | (u64)(base & 0xffffff) << 16 | (u64)0x89 << 40 |
		       (u64)(base >> 24 & 0xff) << 56;
	asm volatile("ltr %w0" : : "r"(TSS));
}

static void die(struct regs *regs)
{
	print("unexpected trap ");
	print_hex(regs->vector);
	print(" error ");
	print_hex(regs->error);
	print(" ip ");
	print_hex(regs->ip);
	print(" cs ");
	print_hex(regs->cs);
	print(" cr2 ");
	print_hex(READ_CR(2));
	print("\n");
	check(false, "no unexpected trap");
	verdict();
}

void trap_dispatch(struct regs *regs)
{
	if (is_interrupt[regs->vector] && !(regs->flags & BIT(9))) {
		__atomic_add_fetch(&interrupts_with_if_clear, 1, __ATOMIC_RELAXED);
	} else if (handlers[regs->vector]) {
		handlers[regs->vector](regs);
	} else if (regs->vector < 32 && trap_resume) {
		trap = (struct trap) {
			.vector = regs->vector, .error = regs->error,
			.ip = regs->ip, .cr2 = READ_CR(2),
		};
		regs->ip = trap_resume;
		trap_resume = 0;
	} else {
		die(regs);
	}
}
