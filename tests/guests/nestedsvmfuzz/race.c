/* SPDX-License-Identifier: MIT */
/*
 * The second CPU is the hypervisor, and the first writes to its VMCB and to its nested tables meanwhile, at any point of
 * a VMRUN and of an exit; now and then it resets that CPU, with its guest or without. What a VMCB is checked for is what
 * is used: nothing but that CPU may suffer.
 */
#include "fuzz.h"
#include "smp.h"

#define WRITES 2000	/* between two resets */

static volatile bool stop;
static volatile u32 done;

static void rounds_without_end(u32 cpu)
{
	(void)cpu;
	svm_on();
	timer_on();
	while (!stop) {
		one_round();
		done++;
	}
}

/* Of a field, what keeps the guest within its memory and within its time stays set: as keep_control() has it. */
static void write_somewhere(void)
{
	static const struct { u16 at; u64 kept; } fields[] = {
		{ INTERCEPT_CR, BIT(16 + 8) }, { INTERCEPT_EXCEPTIONS, (u64)(I_INTR | I_SHUTDOWN | I_IOIO | I_MSR) << 32 },
		{ INTERCEPT_1, I_INTR | I_SHUTDOWN | I_IOIO | I_MSR }, { INTERCEPT_2, 0 }, { TSC_OFFSET, 0 }, { ASID, 0 },
		{ VINTR, V_INTR_MASKING }, { INT_STATE, 0 }, { EXIT_CODE, 0 }, { EXIT_INFO1, 0 }, { EXIT_INT_INFO, 0 },
		{ EVENT_INJECTION, 0 }, { 0xc0, 0 }, { NEXT_RIP, 0 }, { 0x400 + ES, 0 }, { 0x400 + CS, 0 }, { 0x400 + SSEG, 0 },
		{ 0x400 + GDTR, 0 }, { 0x400 + IDTR + 8, 0 }, { 0x400 + TR, 0 }, { 0x400 + 0xc8, 0 }, { 0x400 + EFER, 0 },
		{ 0x400 + CR4, 0 }, { 0x400 + CR3, 0 }, { 0x400 + CR0, 0 }, { 0x400 + DR6, 0 }, { 0x400 + RFLAGS, 0 },
		{ 0x400 + RIP, 0 }, { 0x400 + RSP, 0 }, { 0x400 + RAX, 0 }, { 0x400 + PAT, 0 },
	};
	static const u64 entries[] = { AREA | 0x87, 0, AREA | 0x85, AREA | 0x87 | BIT(63), AREA | 0x87 | BIT(51) };
	u32 which = random32() % (ARRAY_SIZE(fields) + 2);

	if (which < ARRAY_SIZE(fields))
		C64(fields[which].at) = random_value(C64(fields[which].at)) | fields[which].kept;
	else
		*(volatile u64 *)&npt_pd[AREA >> 21] = entries[random32() % ARRAY_SIZE(entries)];
}

/* While GIF is clear INIT waits, and the SIPI behind it is lost: then both come once more. */
static bool restart(void)
{
	for (u32 i = 0; i < 60; i++)
		if (smp_start_within(1, 1000))
			return true;
	return false;
}

void race(u32 resets)
{
	u32 came = 0, busy = 0;

	smp_init();
	check(smp_cpus > 1, "there is a second CPU");
	for (u32 i = 0; i < resets && came == i; i++) {
		u32 before = done;

		smp_run(1, rounds_without_end);
		for (u32 n = random32() % WRITES; n; n--)
			write_somewhere();
		wait_until(&done, before + 1, EVENT_MS);
		busy += done != before;
		for (u32 n = random32() % WRITES; n; n--)
			write_somewhere();
		came += restart();
	}
	check_eq(came, resets, "the hypervisor's CPU starts again after each reset");
	check_eq(busy, resets, "... and ran its guest each time");
	print("rounds: ");
	print_dec(done);
	print("\n");
	smp_run(1, good_round);
	check(smp_wait(1), "a good round ends");
	check_eq(C64(EXIT_CODE), EXIT_VMMCALL, "... as it should");
}
