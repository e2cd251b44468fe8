/* SPDX-License-Identifier: MIT */
/*
 * A hostile hypervisor: "mutations=N seed=S" enters N times with a VMCS in which a few fields have been changed by
 * chance. Whatever comes of it, this guest goes on, and a hypervisor below it has nothing to report but failing
 * entries.
 *
 * Host state is left alone, by which this guest goes on, and what ends the run in any case: the preemption timer.
 * L2's memory is this guest's, read-only but for its stack.
 */
#include "l2.h"

#define MIB2 0x200000ul
#define RAM  0x4000000ul	/* what the machine has at least */

static u64 ept[3][512] __attribute__((aligned(4096)));
static u64 stack_pages[512] __attribute__((aligned(4096)));
static u64 state;

/* xorshift64* */
static u64 random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

static u64 value_by_chance(u64 old)
{
	static const u64 interesting[] = {
		0, 1, 0xff, 0xffff, 0xffffffff, ~0ull, BIT(47), BIT(63), 0xfffff000, 0xfee00000, 0x1000, 0x800, ~0xfffull, BIT(52) - 1,
	};

	switch (random() % 4) {
	case 0:
		return interesting[random() % ARRAY_SIZE(interesting)];
	case 1:
		return random();
	case 2:
		return old ^ BIT(random() % 32);
	default:
		return old ^ BIT(random() % 64);
	}
}

/* Any field of the controls or the guest state. */
static u64 field_by_chance(void)
{
	u64 width, type, index;

	do {
		width = random() % 4;
		type = random() % 3;
		index = random() % 26;
	} while (type == 1);
	return width << 13 | type << 10 | index << 1;
}

NAKED l2_code(void)
{
	asm volatile("push %rax; cpuid; in %dx, %al; rdmsr; mov %cr0, %rax; mov %rax, %cr0; mov %cr4, %rax; mov %rax, %cr4;"
		     "mov %rax, %cr8; pushfq; popfq; sti; hlt; int3; ud2; 1: pause; jmp 1b");
}

static void mutant(void)
{
	fresh(l2_code);
	for (u32 i = 0; i < sizeof(msr_bitmap); i++)
		io_bitmaps[0][i] = io_bitmaps[1][i] = msr_bitmap[i] = 0xff;
	set(PRIMARY, USE_SECONDARY | HLT_EXITS);
	vmwrite(SECONDARY, USE_EPT);
	vmwrite(EPTP, (ulong)ept[0] | 3 << 3 | 6);
	vmwrite(EXCEPTIONS, random());
	for (u64 n = random() % 4; n; n--) {
		u64 field = field_by_chance();

		/* A list that cannot be stored or loaded would end this guest. */
		if (field != STORE_COUNT && field != LOAD_COUNT)
			vmwrite(field, value_by_chance(vmread(field)));
	}
	set(PIN, PIN_TIMER);
	vmwrite(TIMER, 2000 >> (rdmsr(0x485) & 31));
	/* The tables may be anything but writable: now and then an entry is changed, too. */
	if (random() % 4 == 0)
		ept[random() % 3][random() % 512] = random() & ~2ull;
}

static void map_memory(void)
{
	for (u32 i = 0; i < 512; i++) {
		ept[0][i] = ept[1][i] = 0;
		ept[2][i] = i < RAM / MIB2 ? i * MIB2 | BIT(7) | 6 << 3 | 5 : 0;
		stack_pages[i] = ((ulong)l2_stack & ~(MIB2 - 1)) + i * 4096;
		stack_pages[i] |= 6 << 3 | (stack_pages[i] == ((ulong)l2_stack & ~0xffful) ? 7 : 5);
	}
	ept[0][0] = (ulong)ept[1] | 7;
	ept[1][0] = (ulong)ept[2] | 7;
	ept[2][(ulong)l2_stack / MIB2] = (ulong)stack_pages | 7;
}

void mutate(u32 count, u32 seed)
{
	u32 invalid = 0, failed = 0, exited = 0, odd = 0;
	u64 descriptor[2] = { 0, 0 };

	state = seed | BIT(40);
	for (u32 i = 0; i < count; i++) {
		u32 reason;

		map_memory();
		asm volatile("invept (%0), %1" : : "r"(descriptor), "r"(2ul) : "cc", "memory");
		mutant();
		reason = enter();
		if ((reason & VMFAIL) == VMFAIL)
			invalid++;
		else if (reason & BIT(31))
			failed++;
		else
			exited++;
		odd += (reason & VMFAIL) != VMFAIL && (reason & 0xffff) > 70;
		for (u32 more = 0; !(reason & BIT(31)) && more < 3; more++) {
			vmwrite(TIMER, 2000 >> (rdmsr(0x485) & 31));
			step_over();
			reason = enter();
		}
	}
	print("mutations: VMfail ");
	print_dec(invalid);
	print(", failed entries ");
	print_dec(failed);
	print(", exits ");
	print_dec(exited);
	print("\n");
	check_eq(invalid + failed + exited, count, "each entry ended");
	check_eq(odd, 0, "... by a reason that there is");
	check_range(exited, count / 10, count, "... some in L2");
}
