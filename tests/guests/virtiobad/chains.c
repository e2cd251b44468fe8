/* SPDX-License-Identifier: MIT */
/* Chains of descriptors that break the rules of "The Virtqueue Descriptor Table" and "Indirect Descriptors". */
#include "bad.h"

static volatile struct descriptor table[64] __attribute__((aligned(16)));
#define TABLE ((ulong)table)
#define MEM   ((ulong)memory)

static void entry(u32 i, u64 address, u32 size, u16 flags, u16 next)
{
	table[i].address = address;
	table[i].size = size;
	table[i].flags = flags;
	table[i].next = next;
}

static void loop_of_one(void) { describe(0, MEM, 8, D_WRITE | D_NEXT, 0); }

static void loop_of_two(void)
{
	describe(0, MEM, 8, D_WRITE | D_NEXT, 1);
	describe(1, MEM, 8, D_WRITE | D_NEXT, 0);
}

/* Of length 0, so that no sum and no number of pieces grows. */
static void loop_of_nothing(void)
{
	describe(0, MEM, 0, D_WRITE | D_NEXT, 1);
	describe(1, MEM, 0, D_WRITE | D_NEXT, 0);
}

static void next_behind_the_table(void) { describe(0, MEM, 8, D_WRITE | D_NEXT, queue.size); }
static void next_far_behind_the_table(void) { describe(0, MEM, 8, D_WRITE | D_NEXT, 0xffff); }
static void length_of_all_ones(void) { describe(0, MEM, 0xffffffff, D_WRITE, 0); }
static void over_the_end_of_ram(void) { describe(0, ram_end - 4, 8, D_WRITE, 0); }
static void behind_ram(void) { describe(0, ram_end, 8, D_WRITE, 0); }
static void over_the_end_of_addresses(void) { describe(0, -8ull, 16, D_WRITE, 0); }
static void at_the_largest_address(void) { describe(0, -1ull, 1, D_WRITE, 0); }
static void noncanonical(void) { describe(0, BIT(63) | MEM, 8, D_WRITE, 0); }
static void above_4_gib(void) { describe(0, BIT(32) | MEM, 8, D_WRITE, 0); }
static void in_the_hole(void) { describe(0, 0xd0000000, 8, D_WRITE, 0); }
static void in_the_apic_page(void) { describe(0, LAPIC + APIC_ICR, 4, D_WRITE, 0); }
static void read_the_apic_page(void) { describe(0, LAPIC, 4096, 0, 0); }
static void in_the_ioapic(void) { describe(0, IOAPIC, 4, D_WRITE, 0); }
static void in_its_own_registers(void) { describe(0, queue.device->cfg[CFG_COMMON].at, 56, D_WRITE, 0); }
static void in_ecam(void) { describe(0, ecam ? ecam : 0xe0000000, 4096, D_WRITE, 0); }

static void second_in_the_hole(void)
{
	describe(0, MEM, 8, D_NEXT, 1);
	describe(1, 0xd0000000, 8, D_WRITE, 0);
}

static void read_behind_write(void)
{
	describe(0, MEM, 8, D_WRITE | D_NEXT, 1);
	describe(1, MEM, 8, 0, 0);
}

static void indirect_not_negotiated(void)
{
	entry(0, MEM, 8, D_WRITE, 0);
	describe(0, TABLE, 16, D_INDIRECT, 0);
}

static void indirect_in_indirect(void)
{
	entry(0, TABLE, 16, D_INDIRECT, 0);
	describe(0, TABLE, 16, D_INDIRECT, 0);
}

static void indirect_and_next(void)
{
	entry(0, MEM, 8, D_WRITE, 0);
	describe(0, TABLE, 16, D_INDIRECT | D_NEXT, 1);
	describe(1, MEM, 8, D_WRITE, 0);
}

static void indirect_of_nothing(void) { describe(0, TABLE, 0, D_INDIRECT, 0); }
static void indirect_of_half_an_entry(void) { describe(0, TABLE, 8, D_INDIRECT, 0); }

static void indirect_of_odd_length(void)
{
	entry(0, MEM, 8, D_WRITE, 0);
	describe(0, TABLE, 17, D_INDIRECT, 0);
}

static void indirect_in_the_hole(void) { describe(0, 0xd0000000, 16, D_INDIRECT, 0); }
static void indirect_in_the_apic_page(void) { describe(0, LAPIC, 4096, D_INDIRECT, 0); }
static void indirect_over_the_end_of_ram(void) { describe(0, ram_end - 16, 64, D_INDIRECT, 0); }
static void indirect_of_4_gib(void) { describe(0, TABLE, 0xfffffff0, D_INDIRECT, 0); }

static void indirect_loop(void)
{
	entry(0, MEM, 8, D_WRITE | D_NEXT, 1);
	entry(1, MEM, 8, D_WRITE | D_NEXT, 0);
	describe(0, TABLE, 32, D_INDIRECT, 0);
}

static void indirect_next_behind_the_table(void)
{
	entry(0, MEM, 8, D_WRITE | D_NEXT, 2);
	describe(0, TABLE, 32, D_INDIRECT, 0);
}

#define CHAIN(function) { #function, function }
static const struct {
	const char *name;
	void (*make)(void);
} chains[] = {
	CHAIN(loop_of_one), CHAIN(loop_of_two), CHAIN(loop_of_nothing), CHAIN(next_behind_the_table),
	CHAIN(next_far_behind_the_table), CHAIN(length_of_all_ones), CHAIN(over_the_end_of_ram), CHAIN(behind_ram),
	CHAIN(over_the_end_of_addresses), CHAIN(at_the_largest_address), CHAIN(noncanonical), CHAIN(above_4_gib),
	CHAIN(in_the_hole), CHAIN(in_the_apic_page), CHAIN(read_the_apic_page), CHAIN(in_the_ioapic),
	CHAIN(in_its_own_registers), CHAIN(in_ecam), CHAIN(second_in_the_hole), CHAIN(read_behind_write),
	CHAIN(indirect_not_negotiated),
	/* From here on with indirect descriptors. */
	CHAIN(indirect_in_indirect), CHAIN(indirect_and_next), CHAIN(indirect_of_nothing),
	CHAIN(indirect_of_half_an_entry), CHAIN(indirect_of_odd_length), CHAIN(indirect_in_the_hole),
	CHAIN(indirect_in_the_apic_page), CHAIN(indirect_over_the_end_of_ram), CHAIN(indirect_of_4_gib),
	CHAIN(indirect_loop), CHAIN(indirect_next_behind_the_table),
};

void bad_chains(const struct target *target)
{
	u32 well = 0, unbroken = 0, used = 0;
	bool indirect = false;

	for (u32 i = 0; i < ARRAY_SIZE(chains); i++) {
		u32 id, written;

		if (!restart(target, indirect ? F_INDIRECT : 0))
			break;
		indirect |= chains[i].make == indirect_not_negotiated;
		chains[i].make();
		offer(0);
		if (!broken(target)) {
			unbroken++;
			complain("not broken by: ", chains[i].name);
		}
		used += queue_used(&queue, &id, &written);
		well += works(target, chains[i].name);
	}
	check_eq(unbroken, 0, "each bad chain: the device asks for a reset");
	check_eq(used, 0, "no bad chain is returned");
	check_eq(well, ARRAY_SIZE(chains), "after each bad chain and a reset the device works");
}
