/* SPDX-License-Identifier: MIT */
/*
 * A machine check that reports damaged memory: a test device (tests/selftest/test_device.c) makes
 * the next use of a page a machine check. The handler must find the page's address in its bank. From then on each
 * use of the page is one, on every processor of the guest, which no longer reaches the memory.
 */
#include "guest.h"

#define DEVICE	  0x5e0
#define AT_MC	  8u
#define MC	  18
#define CR4_MCE	  BIT(6)
#define MCG_CAP	  0x179
#define MCG_STATUS 0x17a
#define MC0_CTL	  0x400
#define MC0_STATUS 0x401
#define MC0_ADDR  0x402
#define MC0_MISC  0x403

static u8 pages[3][4096] __attribute__((aligned(4096)));
static volatile u32 arrived;
static volatile u64 mcg_status, status, address, misc;
static volatile ulong ip, resume;

static void on_machine_check(struct regs *regs)
{
	arrived++;
	ip = regs->ip;
	mcg_status = rdmsr(MCG_STATUS);
	status = rdmsr(MC0_STATUS);
	address = rdmsr(MC0_ADDR);
	misc = rdmsr(MC0_MISC);
	wrmsr(MC0_STATUS, 0);
	wrmsr(MCG_STATUS, 0);
	regs->ip = resume;
}

static ulong access(u8 *byte)
{
	ulong at;

	asm volatile("lea 2f(%%rip), %0\n\tmov %0, %2\n\tlea 1f(%%rip), %0\n1:\tmovb $0x77, (%1)\n2:"
		     : "=&r"(at) : "r"(byte), "m"(resume) : "memory");
	return at;
}

static void damage(u8 *page)
{
	outl(DEVICE, (u32)(ulong)page | AT_MC);
}

int main(void)
{
	u64 value;

	trap_on(MC, on_machine_check);
	check_eq(rdmsr(MCG_CAP) & 0xff, 1, "one bank");
	check_eq(rdmsr(MCG_STATUS), 0, "no machine check yet");
	check_eq(rdmsr(MC0_STATUS), 0, "no error yet");
	wrmsr(MC0_CTL, ~0ull);
	check_eq(rdmsr(MC0_CTL), ~0ull, "MC0_CTL is kept");
	check_eq(try_wrmsr(MC0_STATUS, 1), GP, "an error cannot be made up");
	check_eq(try_wrmsr(MCG_STATUS, 8), GP, "nor what MCG_STATUS has not");
	check_eq(try_rdmsr(MC0_CTL + 4, &value), GP, "there is no other bank");

	WRITE_CR(4, READ_CR(4) | CR4_MCE);
	for (u32 i = 0; i < 6; i++) {
		u8 *byte = &pages[i / 2][0x123 * i];
		ulong at;

		arrived = 0;
		if (i % 2 == 0)
			damage(pages[i / 2]);
		at = access(byte);
		check_eq(arrived, 1, "#MC arrives once");
		check_eq(ip, at, "... at the access");
		check_eq(mcg_status, 7, "... which can be restarted");
		check_eq(status, 0xbd80000000000134, "... data that was about to be used is lost");
		check_eq(address, (ulong)byte, "... where");
		check_eq(misc, 0x86, "... a line of 64 bytes at a physical address");
		check_eq(rdmsr(MC0_STATUS) | rdmsr(MCG_STATUS), 0, "the bank is free again");
	}
	return 0;
}
