/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor whose VMCB is wrong at random, from `seed=` and `rounds=` times: it may be refused, its guest may do
 * anything within the memory that it has, and the hypervisor goes on. A timer ends guests that do not end.
 * With `race=N` another CPU does it, while this one writes to the VMCB, and resets that CPU N times: race.c.
 */
#include "fuzz.h"

#define AREA_CODE  (AREA + 0x10000)
#define AREA_STACK (AREA + 0x20000)
#define AREA_PML4  (AREA + 0x30000)
#define TICKS	   20000	/* of the APIC's timer, for a guest that does not end by itself */
#define VECTOR	   0x90

extern u8 code[], code_end[];
static u32 state = 1, rounds = 10000, ends[4];
enum { REFUSED, TIMER, PAGING, OTHER };

u32 random32(void)		/* xorshift */
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

/* Zero, all ones, one bit, an address of its own, or anything. */
u64 random_value(u64 old)
{
	switch (random32() % 6) {
	case 0:
		return 0;
	case 1:
		return ~0ull;
	case 2:
		return AREA + (random32() & 0x1fffff);
	case 3:
		return (u64)random32() << 32 | random32();
	default:
		return old ^ BIT(random32() % 64);
	}
}

static void end_of_interrupt(struct regs *regs)
{
	(void)regs;
	lapic_write(0xb0, 0);
}

static void fill_area(void)
{
	u64 *pml4 = (u64 *)AREA_PML4, *pdpt = pml4 + 512, *pages = pml4 + 1024;

	for (u8 *from = code, *to = (u8 *)AREA_CODE; from < code_end; from++, to++)
		*to = *from;
	for (u32 i = 0; i < 3 * 512; i++)
		pml4[i] = 0;
	pml4[0] = (ulong)pdpt | 7;
	pdpt[0] = (ulong)pages | 7;
	pages[AREA >> 21] = AREA | 0x87;
}

/* The guest sees its own 2 MiB and nothing else, neither by its tables nor by its hypervisor's. */
static void make_guest(void)
{
	fill_area();
	begin((void (*)(void))(AREA_CODE + random32() % (code_end - code)));
	S64(RSP) = AREA_STACK;
	S64(CR3) = AREA_PML4;
	npt_on();
	for (u32 i = 0; i < 4 * 512; i++)
		npt_pd[i] = i == AREA >> 21 ? AREA | 0x87 : 0;
	C32(INTERCEPT_1) |= random32() & random32();
	C32(INTERCEPT_2) |= random32() & random32();
	C32(INTERCEPT_EXCEPTIONS) = random32() & random32();
	C32(INTERCEPT_CR) = random32() & random32();
}

/* Of the two areas, of which most is reserved, the fields are hit often. */
static void mutate(void)
{
	static const u16 fields[] = {
		INTERCEPT_CR, INTERCEPT_DR, INTERCEPT_EXCEPTIONS, INTERCEPT_1, INTERCEPT_2, 0x14, 0x3c, IOPM_BASE, MSRPM_BASE,
		TSC_OFFSET, ASID, VINTR, INT_STATE, EXIT_CODE, EXIT_INFO1, EXIT_INT_INFO, NP_ENABLE, 0x98, 0xa0,
		EVENT_INJECTION, NCR3, 0xb8, 0xc0, NEXT_RIP, 0xd0,
		0x400 + ES, 0x400 + ES + 8, 0x400 + CS, 0x400 + CS + 8, 0x400 + SSEG, 0x400 + DS, 0x400 + FS, 0x400 + GS + 8,
		0x400 + GDTR, 0x400 + GDTR + 8, 0x400 + LDTR, 0x400 + IDTR, 0x400 + IDTR + 8, 0x400 + TR, 0x400 + 0xc8,
		0x400 + EFER, 0x400 + CR4, 0x400 + CR3, 0x400 + CR0, 0x400 + DR6, 0x400 + RFLAGS, 0x400 + RIP, 0x400 + RSP,
		0x400 + RAX, 0x400 + STAR, 0x400 + LSTAR, 0x400 + KERNEL_GS_BASE, 0x400 + CR2, 0x400 + PAT, 0x400 + 0x270,
	};
	u32 at = random32() % 8 ? fields[random32() % ARRAY_SIZE(fields)] : random32() % 4089;

	/* QEMU ends at a breakpoint of a guest. */
	if (at + 7 < 0x400 + DR7 || at > 0x400 + DR7 + 7)
		C64(at) = random_value(C64(at));
}

/* What keeps this hypervisor alive: an interrupt ends its guest, which reaches no port and no memory but its own. */
static void keep_control(void)
{
	C32(INTERCEPT_1) |= I_INTR | I_SHUTDOWN | I_IOIO | I_MSR;
	C64(VINTR) |= V_INTR_MASKING;
	C64(NP_ENABLE) |= 1;
	C64(NCR3) = random32() % 8 ? (ulong)npt_pml4 : random_value(C64(NCR3));
	if (C64(NCR3) != (ulong)npt_pml4)
		C64(NCR3) = AREA + (C64(NCR3) & 0x1ff000);
	/* QEMU 10 fails an assertion when a guest writes CR8 while V_IRQ is set. */
	C32(INTERCEPT_CR) |= BIT(16 + 8);
	C64(IOPM_BASE) = (ulong)iopm;
	C64(MSRPM_BASE) = (ulong)msrpm;
	for (u32 i = 0; i < sizeof(iopm); i++)
		iopm[i] = 0xff;
	msrpm[random32() % sizeof(msrpm)] = 0xff;
}

void one_round(void)
{
	make_guest();
	for (u32 i = random32() % 5; i; i--)
		mutate();
	keep_control();
	lapic_write(0x380, TICKS);
	vmrun_with_gif();
	lapic_write(0x380, 0);
	sti();
	asm volatile("nop");
	cli();
	ends[(u32)C64(EXIT_CODE) == ~0u ? REFUSED : C64(EXIT_CODE) == EXIT_INTR ? TIMER :
	     C64(EXIT_CODE) == EXIT_NPF ? PAGING : OTHER]++;
}

void timer_on(void)
{
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x3e0, 3);
	lapic_write(0x320, VECTOR);
}

/* The last one is as it should be. */
void good_round(u32 cpu)
{
	(void)cpu;
	svm_on();
	make_guest();
	C32(INTERCEPT_1) = I_SHUTDOWN;
	C32(INTERCEPT_2) = I_VMRUN | I_VMMCALL;
	C32(INTERCEPT_EXCEPTIONS) = C32(INTERCEPT_CR) = 0;
	S64(RIP) = AREA_CODE + (code_end - code) - 5;
	run();
}

static void alone(void)
{
	svm_on();
	for (u32 i = 0; i < rounds; i++)
		one_round();
	print("ends: refused ");
	print_dec(ends[REFUSED]);
	print(", timer ");
	print_dec(ends[TIMER]);
	print(", nested page fault ");
	print_dec(ends[PAGING]);
	print(", other ");
	print_dec(ends[OTHER]);
	print("\n");
	check(ends[REFUSED] > rounds / 50, "some are refused");
	check(ends[PAGING] > rounds / 50, "some reach out of their memory");
	check(ends[OTHER] > rounds / 10, "many execute");
}

int main(void)
{
	u32 resets = 0;

	cmdline_number("seed", &state);
	cmdline_number("rounds", &rounds);
	trap_on(VECTOR, end_of_interrupt);
	if (cmdline_number("race", &resets)) {
		race(resets);
		return 0;
	}
	timer_on();
	alone();
	good_round(0);
	check_eq(C64(EXIT_CODE), EXIT_VMMCALL, "a good one still runs");
	return 0;
}
