/* SPDX-License-Identifier: MIT */
/*
 * As "delivery", for 32-bit protected mode, and for INTO, which does not exist in 64-bit mode: events of ring 3
 * whose delivery finds the stack, the IDT, the GDT or the TSS missing until their next use.
 */
#include "guest.h"

#define DEVICE	   0x5e0	/* tests/selftest/test_device.c */
#define PAGE	   __attribute__((aligned(4096)))
#define SOFT	   0x71
#define LEAVE_USER 0x81

static u8 kernel_stack[4096] PAGE, user_stack[4096] PAGE, tables[3][4096] PAGE;
static void *const places[] = { kernel_stack, tables[0], tables[1], tables[2] };
static const char *const where[] = { "stack", "IDT", "GDT", "TSS" };

static volatile u32 arrived, vector, error;
static volatile ulong ip, before, after, go_on;

static void on_event(struct regs *regs)
{
	arrived++;
	vector = regs->vector;
	error = regs->error;
	ip = regs->ip;
	if (go_on)
		regs->ip = go_on;
	go_on = 0;
}

/* A fault's handler continues at `after`, which is a trap's return address anyway. */
#define EVENT(insn)							\
	asm volatile("movl $2f, %0; movl $1f, %1; movl $2f, %2\n"	\
		     "1:\t" insn "\n2:"					\
		     : "=m"(after), "=m"(before), "=m"(go_on) : : "eax", "memory", "cc")

static void event_into(void) { asm volatile("movb $127, %%al; incb %%al" : : : "eax", "cc"); EVENT("into"); }
static void event_int(void) { EVENT("int $0x71"); }
static void event_int3(void) { EVENT("int3"); }
static void event_ud(void) { EVENT("ud2"); }
static void event_gp(void) { EVENT("movw $0x7f0, %%ax; mov %%ax, %%fs"); }
static void event_de(void) { EVENT("xorl %%eax, %%eax; divb %%al"); }

static const struct event {
	const char *name;
	void (*raise)(void);
	u32 vector, error, offset;	/* of the instruction that faults; TRAP: of the next one */
} events[] = {
#define TRAP 99
	{ "INTO", event_into, OF, 0, TRAP },
	{ "INT n", event_int, SOFT, 0, TRAP },
	{ "INT3", event_int3, BP, 0, TRAP },
	{ "#UD", event_ud, UD, 0, 0 },
	{ "#GP", event_gp, GP, 0x7f0, 4 },
	{ "#DE", event_de, DE, 0, 2 },
};

static const struct event *event;
static u32 place, faults;

/* IOPL lets ring 3 reach the device. */
void in_ring_3(void);
void in_ring_3(void)
{
	faults = inl(DEVICE);
	outl(DEVICE, (u32)places[place]);
	event->raise();
	faults = inl(DEVICE) - faults;
	asm volatile("int $0x81");
}

extern ulong stack_of_ring_0;
ulong stack_of_ring_0;
extern const u8 back_in_ring_0[];

static void on_leave(struct regs *regs)
{
	regs->cs = CODE32;
	regs->ip = (ulong)back_in_ring_0;
}

/* Go to ring 3 by IRET, and back by an interrupt whose handler returns to ring 0. */
static void visit_ring_3(void)
{
	asm volatile("pushal; movl %%esp, stack_of_ring_0\n\t"
		     "pushl %0; pushl %1; pushl $0x3002; pushl %2; pushl $in_ring_3\n\t"
		     "movl %0, %%eax; movl %%eax, %%ds; movl %%eax, %%es; iretl\n"
		     "back_in_ring_0:\n\t"
		     "movl %3, %%eax; movl %%eax, %%ds; movl %%eax, %%es\n\t"
		     "movl stack_of_ring_0, %%esp; popal"
		     : : "i"(USER_DATA), "i"(user_stack + sizeof(user_stack)), "i"(USER_CODE32), "i"(DATA)
		     : "memory");
}

static void report(const char *name)
{
	ulong expected = event->offset == TRAP ? after : before + event->offset;

	print(event->name);
	print(" without its ");
	print(name);
	print(":\n");
	check_eq(arrived, 1, "... arrives once");
	check_eq(vector, event->vector, "... as its vector");
	check_eq(error, event->error, "... with its error code");
	check_eq(ip, expected, "... and its return address");
	check_eq(faults, 1, "... after one fault");
}

static void copy(void *to, const void *from, u32 size)
{
	for (u32 i = 0; i < size; i++)
		((u8 *)to)[i] = ((const u8 *)from)[i];
}

static void set_up(void)
{
	static const u8 vectors[] = { OF, SOFT, BP, UD, GP, DE };
	struct { u16 limit; ulong base; } __attribute__((packed)) pointer;
	ulong base = (ulong)tables[2];

	for (u32 i = 0; i < ARRAY_SIZE(vectors); i++)
		trap_on(vectors[i], on_event);
	trap_on(LEAVE_USER, on_leave);
	idt[OF].type = idt[SOFT].type = idt[BP].type = idt[LEAVE_USER].type = 0xee;

	*(u32 *)(tss + 4) = (u32)kernel_stack + sizeof(kernel_stack);
	copy(tables[2], tss, 104);
	gdt[TSS / 8] = 103 | (u64)(base & 0xffffff) << 16 | (u64)0x89 << 40 | (u64)(base >> 24 & 0xff) << 56;
	copy(tables[0], idt, sizeof(idt));
	copy(tables[1], gdt, sizeof(gdt));
	pointer.limit = sizeof(idt) - 1;
	pointer.base = (ulong)tables[0];
	asm volatile("lidt %0" : : "m"(pointer));
	pointer.limit = sizeof(gdt) - 1;
	pointer.base = (ulong)tables[1];
	asm volatile("lgdt %0" : : "m"(pointer));
	asm volatile("ltr %w0" : : "r"(TSS));
}

int main(void)
{
	set_up();
	for (u32 i = 0; i < ARRAY_SIZE(events) * ARRAY_SIZE(places); i++) {
		event = &events[i / ARRAY_SIZE(places)];
		place = i % ARRAY_SIZE(places);
		arrived = 0;
		visit_ring_3();
		report(where[place]);
	}
	return 0;
}
