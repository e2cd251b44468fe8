/* SPDX-License-Identifier: MIT */
/*
 * Checks that an event whose delivery is interrupted by an exit is delivered once, with its error code
 * and its return address: the IDT, the GDT, the TSS and the stack lie in pages that a test device (see
 * tests/selftest/test_device.c) takes out of the nested page tables until their next use. It can
 * also make an NMI or an interrupt arrive at that moment. Without the device there is no test.
 */
#include "guest.h"

#define DEVICE	   0x5e0
#define AT_NMI	   1u
#define AT_IRQ	   2u
#define PAGE	   __attribute__((aligned(4096)))
#define IRQ_PIN	   5
#define IRQ_VECTOR 0x65
#define SELF_IRQ   0x40000
#define NMI_IPI	   0x400
#define SOFT	   0x71
#define ENTER_USER 0x80
#define LEAVE_USER 0x81
#define TRAP_GATE  0x8f

static u8 event_stack[4096] PAGE, inner_stack[4096] PAGE, user_stack[4096] PAGE;
static u8 data_page[4096] PAGE;
static u8 tables[3][4096] PAGE;		/* IDT, GDT, TSS */
extern const ulong trap_stubs[256];

enum { STACK, IDT, GDT, TSS_PAGE, PLACES };
static void *const places[PLACES] = { event_stack, tables[0], tables[1], tables[2] };
static const char *const where[] = {
	"stack", "IDT", "GDT", "TSS", "stack, IDT, GDT and TSS",
};

static void hole(void *page, u32 command)
{
	outl(DEVICE, (u32)(ulong)page | command);
}

static u32 punch(u32 which)
{
	if (which < PLACES) {
		hole(places[which], 0);
		return 1;
	}
	for (u32 i = 0; i < PLACES; i++)
		hole(places[i], 0);
	return PLACES;
}

/* --- what arrived --- */

static volatile u32 arrived, order[8];
static volatile struct trap first;
static volatile ulong ips[256], counts[256];
static volatile ulong go_on;		/* where a fault's handler returns to */

static void on_event(struct regs *regs)
{
	if (!arrived)
		first = (struct trap){ regs->vector, regs->error, regs->ip, READ_CR(2) };
	if (arrived < ARRAY_SIZE(order))
		order[arrived] = regs->vector;
	arrived++;
	counts[regs->vector]++;
	ips[regs->vector] = regs->ip;
	if (go_on && (regs->vector == UD || regs->vector == GP || regs->vector == PF)) {
		regs->ip = go_on;
		go_on = 0;
	}
	if (regs->vector == IRQ_VECTOR)
		lapic_write(0xb0, 0);
	if (regs->vector == DB)
		regs->flags &= ~0x100ul;
}

static void forget(void)
{
	arrived = 0;
	for (u32 i = 0; i < 256; i++)
		counts[i] = 0;
}

/* --- each event, with each of the pages missing at its delivery --- */

/* Runs one instruction between `before` and `after`; where it faults, the handler continues after it. */
#define EVENT(insn, ...)						\
	asm volatile("lea 2f(%%rip), %%rax\n\tmov %%rax, %0\n\t"	\
		     "lea 1f(%%rip), %%rax\n\tmov %%rax, %1\n\t"	\
		     "mov %0, %%rax\n\tmov %%rax, %2\n"			\
		     "1:\t" insn "\n2:\tmovq $0, %2"			\
		     : "=m"(after), "=m"(before), "=m"(go_on) : __VA_ARGS__ : "rax", "memory")

static ulong before, after;

static void event_ud(void) { EVENT("ud2", "i"(0)); }
static void event_gp(void) { EVENT("mov %3, %%ds", "r"(0x7f0)); }
static void event_pf(void) { EVENT("movb $1, (%3)", "r"(BIT(40) + 5)); }
static void event_int(void) { EVENT("int $0x71", "i"(0)); }
static void event_int3(void) { EVENT("int3", "i"(0)); }
static void event_icebp(void) { EVENT(".byte 0xf1", "i"(0)); }
static void event_nmi(void) { EVENT("movl $0x400, (%3)", "r"(LAPIC + 0x300)); }
static void event_irq(void) { EVENT("sti; movl $0x40065, (%3); nop; nop; cli", "r"(LAPIC + 0x300)); }
/* POPF sets TF: the trap comes after the next instruction. */
static void event_step(void) { EVENT("pushf; orl $0x100, (%%rsp); popf; nop", "i"(0)); }

static const struct event {
	const char *name;
	void (*raise)(void);
	u32 vector, error;
	enum { IS_FAULT, IS_TRAP, IS_ASYNC } kind;	/* RIP: before, after, anywhere in between */
} events[] = {
	{ "#UD", event_ud, UD, 0, IS_FAULT },
	{ "#GP", event_gp, GP, 0x7f0, IS_FAULT },
	{ "#PF", event_pf, PF, 2, IS_FAULT },
	{ "INT n", event_int, SOFT, 0, IS_TRAP },
	{ "INT3", event_int3, BP, 0, IS_TRAP },
	{ "ICEBP", event_icebp, DB, 0, IS_TRAP },
	{ "single step", event_step, DB, 0, IS_TRAP },
	{ "NMI", event_nmi, NMI, 0, IS_TRAP },
	{ "interrupt", event_irq, IRQ_VECTOR, 0, IS_ASYNC },
};

static const char *join(const char *a, const char *b, const char *c)
{
	static char text[2][120];
	static u32 turn;
	char *to = text[turn ^= 1];
	const char *parts[] = { a, b, c };
	u32 n = 0;

	for (u32 i = 0; i < 3; i++)
		for (const char *p = parts[i]; *p && n < sizeof(text[0]) - 1; p++)
			to[n++] = *p;
	to[n] = 0;
	return to;
}

/* One line of either kind for each event and place. */
static void report(const struct event *e, const char *name, u32 holes, u32 faults)
{
	ulong low = e->kind == IS_FAULT ? before : e->kind == IS_TRAP ? after : before + 1;

	if (arrived != 1)
		check_eq(arrived, 1, join(name, ": arrives once", ""));
	else if (first.vector != e->vector)
		check_eq(first.vector, e->vector, join(name, ": its vector", ""));
	else if (first.error != e->error)
		check_eq(first.error, e->error, join(name, ": its error code", ""));
	else if (e->vector == PF && first.cr2 != BIT(40) + 5)
		check_eq(first.cr2, BIT(40) + 5, join(name, ": its address", ""));
	else if (first.ip < low || first.ip > (e->kind == IS_FAULT ? before : after))
		check_eq(first.ip, low, join(name, ": its return address", ""));
	else
		check_eq(faults, holes, name);
}

static void interrupted(const struct event *e, u32 place, const char *ring)
{
	u32 faults = inl(DEVICE), holes;

	forget();
	holes = punch(place);
	e->raise();
	go_on = 0;
	report(e, join(e->name, ring, where[place]), holes, inl(DEVICE) - faults);
}

static bool has_icebp(void)
{
	forget();
	event_icebp();
	go_on = 0;
	return counts[DB];
}

static void in_ring_0(void)
{
	bool icebp = has_icebp();

	for (u32 i = 0; i < ARRAY_SIZE(events); i++) {
		if (events[i].raise == event_icebp && !icebp) {
			skip("ICEBP", "QEMU raises #UD");
			continue;
		}
		for (u32 place = 0; place <= PLACES; place++)
			interrupted(&events[i], place, " without its ");
	}
}

/* --- another event arrives while one is being delivered --- */

static void arrives_at(u32 command, u8 gate, u32 vector, const char *name)
{
	struct gate *gates = (struct gate *)tables[0];

	forget();
	gates[UD].type = gate;
	gates[vector].ist = 2;		/* the first one's frame is on the other stack */
	hole(event_stack, command);
	if (vector == IRQ_VECTOR)
		asm volatile("sti; nop" : : : "memory");
	event_ud();
	for (u32 i = 0; i < 64; i++)
		pause();
	cli();
	gates[UD].type = 0x8e;
	gates[vector].ist = 1;
	check_eq(counts[UD], 1, join(name, ": #UD arrives once", ""));
	check_eq(counts[vector], 1, join(name, ": it arrives once", ""));
	check_eq(ips[vector], gate == TRAP_GATE || vector == NMI ? trap_stubs[UD] : after,
		 join(name, ": immediately", ""));
}

/* Immediately is before the handler's first instruction, or after the IRET of one that keeps IF clear. */
static void queued(void)
{
	arrives_at(AT_NMI, TRAP_GATE, NMI, "NMI while #UD is delivered");
	arrives_at(AT_IRQ, TRAP_GATE, IRQ_VECTOR, "interrupt while #UD is delivered");
	arrives_at(AT_IRQ, 0x8e, IRQ_VECTOR, "interrupt while #UD is delivered by an interrupt gate");
}

/* --- an access in a shadow exits, and there an event arrives --- */

static void in_shadow(u32 command, bool mov_ss, u32 vector, const char *name)
{
	ulong next, ss = DATA;

	forget();
	hole(data_page, command);
	if (mov_ss)
		asm volatile("lea 1f(%%rip), %0; sti; nop; mov %1, %%ss; mov (%2), %%al; 1: nop; nop; cli"
			     : "=&r"(next) : "r"(ss), "r"(data_page) : "rax", "memory");
	else
		asm volatile("lea 1f(%%rip), %0; sti; mov (%1), %%al; 1: nop; nop; cli"
			     : "=&r"(next) : "r"(data_page) : "rax", "memory");
	check_eq(counts[vector], 1, join(name, ": arrives once", ""));
	check_eq(ips[vector], next, join(name, ": behind the next instruction", ""));
}

static void shadows(void)
{
	in_shadow(AT_IRQ, false, IRQ_VECTOR, "interrupt in the shadow of STI");
	in_shadow(AT_IRQ, true, IRQ_VECTOR, "interrupt in the shadow of MOV SS");
	in_shadow(AT_NMI, false, NMI, "NMI in the shadow of STI");
	in_shadow(AT_NMI, true, NMI, "NMI in the shadow of MOV SS");
}

/* --- from ring 3: the TSS names the stack, and gates are checked --- */

static struct regs kernel;
static void in_ring_3(void);

static void on_enter(struct regs *regs)
{
	kernel = *regs;
	regs->cs = USER_CODE64;
	regs->ss = USER_DATA;
	regs->sp = (ulong)user_stack + sizeof(user_stack) - 8;
	regs->ip = (ulong)in_ring_3;
	regs->flags = (regs->flags & ~0x200ul) | 0x3000;
}

static void on_leave(struct regs *regs)
{
	*regs = kernel;
}

static const struct event *user_event;
static u32 user_place;

/* IOPL lets ring 3 reach the device, so that only the delivery of the event touches missing pages. */
static void in_ring_3(void)
{
	punch(user_place);
	user_event->raise();
	asm volatile("int $0x81");
}

static void user_mode(void)
{
	static const struct event user_events[] = {
		{ "#UD", event_ud, UD, 0, IS_FAULT },
		{ "#GP", event_gp, GP, 0x7f0, IS_FAULT },
		{ "#PF", event_pf, PF, 6, IS_FAULT },
		{ "INT n", event_int, SOFT, 0, IS_TRAP },
		{ "INT3", event_int3, BP, 0, IS_TRAP },
	};

	pd[0] |= 4;
	WRITE_CR(3, pml4);
	for (u32 i = 0; i < ARRAY_SIZE(user_events) * (PLACES + 1); i++) {
		u32 faults = inl(DEVICE);

		user_event = &user_events[i / (PLACES + 1)];
		user_place = i % (PLACES + 1);
		forget();
		asm volatile("int $0x80" : : : "memory");
		go_on = 0;
		report(user_event, join(user_event->name, " in ring 3 without its ", where[user_place]),
		       user_place < PLACES ? 1 : PLACES, inl(DEVICE) - faults);
	}
}

/* --- the tables move to pages of their own --- */

static void load_table(const char *insn, void *base, u32 size)
{
	struct { u16 limit; ulong base; } __attribute__((packed)) pointer = { size - 1, (ulong)base };

	if (insn[1] == 'i')
		asm volatile("lidt %0" : : "m"(pointer));
	else
		asm volatile("lgdt %0" : : "m"(pointer));
}

static void copy(void *to, const void *from, u32 size)
{
	for (u32 i = 0; i < size; i++)
		((u8 *)to)[i] = ((const u8 *)from)[i];
}

static void set_up(void)
{
	static const u32 vectors[] = { UD, GP, PF, SOFT, BP, DB, NMI, IRQ_VECTOR };
	ulong base = (ulong)tables[2];

	for (u32 i = 0; i < ARRAY_SIZE(vectors); i++) {
		trap_on(vectors[i], on_event);
		idt[vectors[i]].ist = 1;
	}
	idt[SOFT].type = idt[BP].type = idt[LEAVE_USER].type = 0xee;
	trap_on(ENTER_USER, on_enter);
	trap_on(LEAVE_USER, on_leave);

	*(u64 *)(tss + 36) = (ulong)event_stack + sizeof(event_stack);
	*(u64 *)(tss + 44) = (ulong)inner_stack + sizeof(inner_stack);
	copy(tables[2], tss, 104);
	gdt[TSS / 8] = 103 | (base & 0xffffff) << 16 | (u64)0x89 << 40 | (u64)(base >> 24 & 0xff) << 56;
	gdt[TSS / 8 + 1] = 0;
	copy(tables[0], idt, sizeof(idt));
	copy(tables[1], gdt, sizeof(gdt));
	load_table("lidt", tables[0], sizeof(idt));
	load_table("lgdt", tables[1], sizeof(gdt));
	asm volatile("ltr %w0" : : "r"(TSS));

	lapic_write(0xf0, 0x1ff);
	lapic_write(0x310, lapic_read(0x20));
	ioapic_write(0x10 + 2 * IRQ_PIN + 1, lapic_read(0x20));
	ioapic_write(0x10 + 2 * IRQ_PIN, IRQ_VECTOR);
}

int main(void)
{
	if (inl(DEVICE) == ~0u) {
		skip("delivery", "this image has no test device");
		check(true, "nothing to test");
		return 0;
	}
	set_up();
	in_ring_0();
	queued();
	shadows();
	user_mode();
	return 0;
}
