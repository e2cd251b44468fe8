/* SPDX-License-Identifier: MIT */
/*
 * "race=N": the second CPU is the hypervisor, and the first writes to all that an entry, an exit or an access of its guest is
 * decided by, at any point of them: VMCS regions, cleared, active or current, or the enlightened VMCS; EPT tables, both kinds of
 * bitmaps, lists of MSRs, the virtual-APIC page. N times it ends the guest by an INIT. What has been checked is what is
 * used: nothing but that guest, or that entry, may suffer.
 *
 * What keeps the hypervisor alive is written after VMPTRLD, when its region counts no longer; of an enlightened VMCS it is left
 * alone. The guest executes one page, reads this guest's memory, and writes to nothing but its stack. The MSRs of the lists may
 * have any value.
 */
#include "l2.h"
#include "smp.h"

#define MIB2   0x200000ul
#define RAM    0x4000000ul
#define WB     (6 << 3)
#define WRITES 100000	/* between two INITs, at most */

static u64 ept[3][512] __attribute__((aligned(4096)));
static u64 pages[RAM / MIB2][512] __attribute__((aligned(4096)));
static u8 virtual_apic[4096] __attribute__((aligned(4096)));
static u8 second_region[4096] __attribute__((aligned(4096))), stack[4096] __attribute__((aligned(4096)));
static struct msr_entry entry_load[2], exit_store[2], exit_load[2];
static volatile bool stop;
static volatile u32 rounds, invalid, failed, exited, odd;
static u64 state = BIT(40) | 1;

/* A page of its own. */
asm(".balign 4096; race_code: push %rax; cpuid; in %dx, %al; rdmsr; mov %cr0, %rax; mov %rax, %cr0; mov %cr4, %rax;"
    "mov %rax, %cr4; mov (%rbx), %rax; mov %rax, %cr8; mov %cr8, %rsi; pushfq; popfq; pause; dec %ecx; jnz race_code; int3;"
    "sti; hlt; ud2; .balign 4096, 0x90");
void race_code(void);

/* xorshift64* */
static u64 random(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1d;
}

/* --- the hypervisor --- */

static u64 rights(u64 page)
{
	return page == (ulong)race_code ? 5 : page == (ulong)stack ? 3 : 1;
}

static void map_memory(void)
{
	for (u32 i = 0; i < 512; i++) {
		ept[0][i] = ept[1][i] = ept[2][i] = 0;
		for (u32 m = 0; m < RAM / MIB2; m++)
			pages[m][i] = (m * MIB2 + i * 4096) | WB | rights(m * MIB2 + i * 4096);
	}
	for (u32 m = 0; m < RAM / MIB2; m++)
		ept[2][m] = (ulong)pages[m] | 7;
	ept[1][0] = (ulong)ept[2] | 7;
	ept[0][0] = (ulong)ept[1] | 7;
}

/* What must not be lost to chance: where exits go on, and what the guest may write to. */
static void write_kept(void)
{
	vmwrite(EXIT_CONTROLS, (u32)rdmsr(0x48f) | HOST_64 | SAVE_DEBUG | SAVE_EFER | LOAD_EFER);
	set(PRIMARY, USE_SECONDARY | TPR_SHADOW);
	set(SECONDARY, USE_EPT);
	vmwrite(EPTP, (ulong)ept[0] | 3 << 3 | 6);
	vmwrite(VIRTUAL_APIC, (ulong)virtual_apic);
	vmwrite(STORE_ADDRESS, (ulong)exit_store);
	vmwrite(LOAD_ADDRESS, (ulong)exit_load);
	vmwrite(ENTRY_ADDRESS, (ulong)entry_load);
	vmwrite(STORE_COUNT, ARRAY_SIZE(exit_store));
	vmwrite(LOAD_COUNT, ARRAY_SIZE(exit_load));
	vmwrite(ENTRY_COUNT, ARRAY_SIZE(entry_load));
}

/* The region lies in memory, cleared, for a moment; then another one is current for a moment. */
static void expose_region(u8 *page)
{
	u64 region = (ulong)page, second = (ulong)second_region;
	bool refused;

	asm volatile("vmclear %0" : : "m"(region) : "cc", "memory");
	for (u32 i = 0; i < 20; i++)
		asm volatile("pause");
	*(volatile u32 *)second_region = (u32)rdmsr(0x480);
	asm volatile("vmptrld %1" : "=@ccbe"(refused) : "m"(second) : "memory");
	do {
		*(volatile u32 *)page = (u32)rdmsr(0x480);
		asm volatile("vmptrld %1" : "=@ccbe"(refused) : "m"(region) : "memory");
	} while (refused);
	write_host();
	write_kept();
}

static void count(u32 reason)
{
	if ((reason & VMFAIL) == VMFAIL)
		invalid++;
	else if (reason & BIT(31))
		failed++;
	else
		exited++;
	odd += (reason & VMFAIL) != VMFAIL && (reason & 0xffff) > 70;
}

static void hypervisor(u32 cpu)
{
	(void)cpu;
	if (!vmx_start())
		return;
	map_memory();
	while (!stop) {
		fresh(race_code);
		write_kept();
		l2[RCX] = 0x174;
		l2[RDX] = 0x80;
		l2[RBX] = (ulong)virtual_apic;
		vmwrite(GUEST_RSP, (ulong)stack + sizeof(stack) - 8);
		if (!evmcs)
			expose_region(vmcs_region);
		for (u32 n = 0; n < 4 && !stop; n++) {
			u32 reason = enter();

			count(reason);
			if (reason & BIT(31))
				break;
			if ((reason & 0xffff) == EXIT_CPUID || (reason & 0xffff) == EXIT_IO)
				step_over();
		}
		rounds++;
		if (rounds % 64 == 0)
			map_memory();
	}
	vmx_stop();
}

/* --- the other CPU --- */

static volatile u64 *word(void *page)
{
	return (u64 *)page + random() % 512;
}

/* Of an enlightened VMCS what is not read from it as host state, as controls of exits, lists, or where the guest may write. */
static void write_evmcs(void)
{
	static const struct { u16 first, end; } safe[] = {
		{ 0x78, 0x140 }, { 0x158, 0x184 }, { 0x190, 0x198 }, { 0x1a0, 0x240 }, { 0x278, 0x27c }, { 0x300, 0x314 }, { 0x318, 0x400 },
	};
	u32 which = random() % ARRAY_SIZE(safe), at = safe[which].first + (random() % (safe[which].end - safe[which].first) & ~3u);

	*(volatile u32 *)(evmcs + at) = (u32)random();
}

/* The right to write is not given, and no right to execute. */
static u64 entry_by_chance(u64 old)
{
	switch (random() % 4) {
	case 0:
		return old & ~6ull;
	case 1:
		return random() & ~6ull;
	case 2:
		return 0;
	default:
		return (old ^ BIT(random() % 64)) & ~6ull;
	}
}

static void write_somewhere(void)
{
	static const u32 msrs[] = { 0x174, 0x175, 0x176, 0xc0000081, 0xc0000082, 0xc0000084 };
	u32 which = random() % 64;
	volatile u64 *at;

	if (which < 2) {
		if (evmcs)
			write_evmcs();
		else
			*word(random() % 2 ? vmcs_region : second_region) = random();
	} else if (which < 8) {
		at = word(random() % 4 ? (void *)pages[random() % ARRAY_SIZE(pages)] : ept[random() % 3]);
		*at = entry_by_chance(*at);
	} else if (which < 16) {
		/* Where the guest is, goes, and comes from. */
		u32 table = (ulong)race_code / MIB2;

		if (random() % 2)
			*(volatile u64 *)&pages[table][(ulong)race_code / 4096 % 512] = random() % 2 ? 0 : (ulong)race_code | WB | 5;
		else
			*(volatile u64 *)&ept[2][table] = random() % 2 ? 0 : (ulong)pages[table] | 7;
	} else if (which < 32) {
		*word(random() % 3 == 0 ? msr_bitmap : io_bitmaps[random() % 2]) = random();
	} else if (which < 48) {
		virtual_apic[random() % 2 ? 0x80 : random() % 4096] = (u8)random();
	} else if (which < 52) {
		entry_load[random() % 2].index = random() % 64 ? msrs[random() % 6] : (u32)random() | 0x100000;
	} else if (which < 56) {
		entry_load[random() % 2].value = random() % 32 ? random() >> 20 : random();
	} else if (which < 60) {
		exit_store[random() % 2].index = msrs[random() % 6];
	} else {
		exit_load[random() % 2].value = random() >> 20;
	}
}

static void fill_lists(void)
{
	for (u32 i = 0; i < 2; i++) {
		entry_load[i] = (struct msr_entry){ .index = 0x174 };
		exit_store[i] = (struct msr_entry){ .index = 0x175 };
		exit_load[i] = (struct msr_entry){ .index = 0xc0000081 };
	}
}

static void tell(const char *name, u32 value)
{
	print(name);
	print_dec(value);
}

void race(u32 inits)
{
	u32 came = 0, before, starts;

	smp_init();
	check(smp_cpus > 1, "there is a second CPU");
	fill_lists();
	starts = smp[1].starts;
	smp_run(1, hypervisor);
	/* Its guest ends by itself now: before VMXON an INIT would reset it. */
	check(wait_until(&rounds, 1, EVENT_MS), "its guest runs");
	for (u32 i = 0; i < inits && came == i; i++) {
		u32 until = rounds + random() % 4;

		for (u32 n = 0; n < WRITES && rounds < until; n++)
			write_somewhere();
		before = rounds;
		/* The first one ends this guest; those that L2 is entered with in the same round end the others at once. */
		for (u32 more = 0; more < 100 && rounds == before; more++) {
			ipi_to(1, ICR_INIT | ICR_ASSERT);
			wait_until(&rounds, before + 1, 10);
		}
		came += rounds != before;
	}
	check_eq(came, inits, "the hypervisor goes on after each INIT");
	check_eq(smp[1].starts, starts, "... which resets none");
	check_eq(odd, 0, "no exit for a reason that there is not");
	tell("race: rounds ", rounds);
	tell(", VMfail ", invalid);
	tell(", failed entries ", failed);
	tell(", exits ", exited);
	print("\n");
	check_range(exited, inits / 2, ~0u, "the guest ran");
	check_range(invalid + failed, 1, ~0u, "entries failed");
	stop = true;
	for (u32 more = 0; more < 10 && smp[1].starts == starts; more++)
		smp_start_within(1, 1000);
	check_eq(smp[1].starts, starts + 1, "after VMXOFF an INIT resets it, once");
}
