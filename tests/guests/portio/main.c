/* SPDX-License-Identifier: MIT */
/*
 * Checks port I/O: the PC's old devices answer as documented, ports without a device read as all ones,
 * and string I/O moves the right bytes in both directions, across pages and up to a fault.
 */
#include "guest.h"

#define SCRATCH		0x3ff			/* the UART's scratch register */
#define LINE_STATUS	0x3fd			/* ... its line status, */
#define TRANSMITTER	0x3f8			/* and what it sends */
#define PCI_ADDRESS	0xcf8
#define PCI_DATA	0xcfc
#define FAR		0x8000000000ul		/* two adjacent pages whose frames are in the opposite order */
#define EDGE		(FAR + 4096)

static u64 far_pdpt[512] __attribute__((aligned(4096))), far_pd[512] __attribute__((aligned(4096)));
static u64 far_pt[512] __attribute__((aligned(4096)));
static u8 frames[2][4096] __attribute__((aligned(4096)));

static void unclaimed(void)
{
	check_eq(inb(0x5658), 0xff, "nobody's port reads as ones, 8 bits");
	check_eq(inw(0x5658), 0xffff, "nobody's port reads as ones, 16 bits");
	check_eq(inl(0x5658), 0xffffffff, "nobody's port reads as ones, 32 bits");
	outb(0x5658, 0);
	outw(0x5658, 0);
	outl(0x5658, 0);
	check_eq(inl(0x5658), 0xffffffff, "... after writes too");
}

static void pic(void)
{
	outb(0x21, 0xa5);
	outb(0xa1, 0x5a);
	check_eq(inb(0x21), 0xa5, "8259: master's mask");
	check_eq(inb(0xa1), 0x5a, "8259: slave's mask");
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	pit_oneshot(100);
	delay_us(2000);
	outb(0x20, 0x0a);
	check_eq(inb(0x20) & 1, 1, "8259: a masked request shows in IRR");
	outb(0x20, 0x0b);
	check_eq(inb(0x20), 0, "8259: nothing in service");
}

static void pit(void)
{
	u32 first, second;
	u64 start;

	check_range(tsc_per_ms(), 1000, 10000000, "8254: channel 2 ends, TSC kHz is sane");
	outb(0x61, inb(0x61) & ~3);
	outb(0x43, 0xb0);
	outb(0x42, 0xff);
	outb(0x42, 0xff);
	check_eq(inb(0x61) & 0x20, 0, "8254: output is low while counting");
	delay_us(1000);
	check_eq(inb(0x61) & 0x20, 0, "8254: a closed gate holds the count");
	outb(0x61, inb(0x61) | 1);
	outb(0x43, 0x80);
	first = inb(0x42), first |= inb(0x42) << 8;
	start = rdtsc();
	delay_us(2000);
	outb(0x43, 0x80);
	second = inb(0x42), second |= inb(0x42) << 8;
	start = rdtsc() - start;
	check(second < first, "8254: it counts down");
	check_range((u64)(first - second) * tsc_per_ms() / (PIT_HZ / 1000), start / 2, start * 2,
		    "8254: ... at its speed");
	pit_periodic(10000);
	outb(0x43, 0xe2);			/* read back channel 0's status */
	check_eq(inb(0x40) & 0x3f, 0x34, "8254: status gives mode 2, both bytes");
	outb(0x61, inb(0x61) & ~3);
}

static u8 rtc(u8 index)
{
	outb(0x70, index);
	return inb(0x71);
}

static void clock(void)
{
	u8 second = rtc(0), b = rtc(0x0b), changes = 0;
	u64 end = rdtsc() + tsc_per_ms() * 2500;

	check_eq(rtc(0x0d) & 0x80, 0x80, "RTC: its time is valid");
	check(second < (b & 4 ? 60 : 0x60), "RTC: the second is below 60");
	check(rtc(8) - 1u < (b & 4 ? 12 : 0x12), "RTC: the month is 1 to 12");
	while (rdtsc() < end && !changes)
		changes += !(rtc(0x0a) & 0x80) && rtc(0) != second;
	check(changes, "RTC: the second changes within two seconds");
}

static void pci(void)
{
	u32 id = pci_read(0, 0);

	outl(PCI_ADDRESS, 0x80000000);
	check_eq(inl(PCI_ADDRESS), 0x80000000, "PCI: the address reads back");
	check_eq(inw(PCI_DATA) | inw(PCI_DATA + 2) << 16, id, "PCI: 16-bit reads");
	check_eq(inb(PCI_DATA + 3), id >> 24, "PCI: 8-bit reads");
	check_eq(pci_read(0, 8) >> 16, 0x0600, "PCI: device 0 is a host bridge");
	check_eq(pci_read(0x1f << 3 | 6, 0), 0xffffffff, "PCI: nobody's function reads as ones");
	outl(PCI_ADDRESS, 0);
	check_eq(inl(PCI_DATA), 0xffffffff, "PCI: not enabled, the data port is nobody's");
}

static const u8 *find_table(const char *signature)
{
	for (ulong a = 0xe0000; a < 0x100000; a += 16) {
		if (*(u64 *)a != 0x2052545020445352)	/* "RSD PTR " */
			continue;
		for (u32 *rsdt = (u32 *)(ulong)*(u32 *)(a + 16), *p = rsdt + 9;
		     p < rsdt + rsdt[1] / 4; p++)
			if (*(u32 *)(ulong)*p == *(u32 *)signature)
				return (u8 *)(ulong)*p;
	}
	return NULL;
}

static void pm_timer(void)
{
	const u8 *fadt = find_table("FACP");
	u32 port = fadt ? *(u32 *)(fadt + 76) : 0, first, ticks;
	u64 start, expected;

	if (!check(port, "ACPI: the FADT names the PM timer's port"))
		return;
	first = inl(port);
	start = rdtsc();
	delay_us(5000);
	ticks = (inl(port) - first) & 0xffffff;
	expected = (rdtsc() - start) * 3580 / tsc_per_ms();
	check_range(ticks, expected / 2, expected * 2, "ACPI: the PM timer runs at 3.58 MHz");
}

static void map_far(bool second)
{
	pml4[1] = (ulong)far_pdpt | 3;
	far_pdpt[0] = (ulong)far_pd | 3;
	far_pd[0] = (ulong)far_pt | 3;
	far_pt[0] = (ulong)frames[1] | 3;
	far_pt[1] = second ? (ulong)frames[0] | 3 : 0;
	WRITE_CR(3, pml4);
}

#define STRING_IO(insn, port, address, count, ...) ({					\
	p = (address); n = (count);							\
	TRY(insn, : "+S"(p), "+c"(n) : "d"(port), "D"(p) : "memory", ##__VA_ARGS__);	\
})
#define STRING_IN(insn, port, address, count) ({					\
	p = (address); n = (count);							\
	TRY(insn, : "+D"(p), "+c"(n) : "d"(port) : "memory");				\
})

static void strings(void)
{
	ulong p, n;
	u8 *at = (u8 *)EDGE;
	u32 id;

	map_far(true);
	for (int i = -8; i < 8; i++)
		at[i] = 0x40 + i;
	STRING_IO("rep outsb", SCRATCH, EDGE - 4, 7);
	check_eq(inb(SCRATCH), 0x42, "REP OUTSB across a page ends with the last byte");
	check(p == EDGE + 3 && !n, "... RSI and RCX moved on");
	STRING_IO("std; rep outsb; cld", SCRATCH, EDGE + 3, 7);
	check_eq(inb(SCRATCH), 0x3d, "REP OUTSB downwards ends with the lowest byte");
	check_eq(p, EDGE - 4, "... RSI moved down");

	STRING_IN("rep insb", SCRATCH, EDGE - 2, 4);
	check_eq(*(volatile u32 *)(at - 2), 0x3d3d3d3d, "REP INSB across a page");
	check(p == EDGE + 2 && !n, "... RDI and RCX moved on");
	check_eq(frames[1][4094] << 8 | frames[0][1], 0x3d3d, "... into the right frames");
	check(at[-3] == 0x3d && at[2] == 0x42, "... and nowhere else");
	STRING_IN("addr32 rep insb", SCRATCH, (ulong)frames | 7ul << 32, 3 | 5ul << 32);
	check(!n && p == (ulong)frames + 3, "a 32-bit address size uses EDI and ECX");
	STRING_IN("rep insb", SCRATCH, EDGE, 0);
	check_eq(p, EDGE, "a count of 0 does nothing");

	*(volatile u32 *)(at - 8) = 0x80000000;
	*(volatile u32 *)(at - 3) = 0x80000008;
	STRING_IO("outsl", PCI_ADDRESS, EDGE - 3, 1);
	check_eq(inl(PCI_ADDRESS), 0x80000008, "OUTSD across a page");
	STRING_IO("outsl", PCI_ADDRESS, EDGE - 8, 1);
	id = pci_read(0, 0);
	STRING_IN("rep insl", PCI_DATA, EDGE - 6, 3);
	check_eq(*(volatile u32 *)(at - 2), id, "REP INSD across a page");
	STRING_IN("std; rep insw; cld", PCI_DATA, EDGE - 1, 2);
	check_eq(*(volatile u32 *)(at - 3), (id & 0xffff) * 0x10001, "REP INSW downwards");
	wrmsr(0xc0000100, 0x100);
	at[1] = 0x77;
	STRING_IO("outsb %%fs:(%%rsi), %%dx", SCRATCH, EDGE + 1 - 0x100, 1);
	check_eq(inb(SCRATCH), 0x77, "OUTSB with a segment's base");
}

/* What Lamina does in one go. The second round finds the accessed and dirty flags set. */
static void uart_strings(void)
{
	ulong p, n;
	u8 *at = (u8 *)EDGE;

	map_far(true);
	for (int round = 0; round < 2; round++) {
		while ((inb(LINE_STATUS) & 0x60) != 0x60)
			;
		for (int i = -16; i < 16; i++)
			at[i] = 0x11;
		STRING_IN("rep insb", LINE_STATUS, EDGE - 5, 9);
		check(p == EDGE + 4 && !n, "REP INSB of the line status: RDI and RCX moved on");
		n = 0;
		for (int i = -5; i < 4; i++)
			n += at[i] == 0x60;
		check_eq(n, 9, "... it is the same each time");
		check(at[-6] == 0x11 && at[4] == 0x11, "... and nowhere else");
		STRING_IN("insb", LINE_STATUS, EDGE + 8, 1);
		check(p == EDGE + 9 && at[8] == 0x60, "INSB of the line status");
		STRING_IN("std; rep insb; cld", LINE_STATUS, EDGE - 6, 4);
		check(p == EDGE - 10 && *(volatile u32 *)(at - 9) == 0x60606060 && at[-10] == 0x11, "... downwards");
		STRING_IN("addr32 rep insb", LINE_STATUS, (ulong)frames | 7ul << 32, 3 | 5ul << 32);
		check(!n && p == (ulong)frames + 3, "... with a 32-bit address size");
	}
	for (int i = -200; i < 200; i++)
		at[i] = '\r';
	for (int round = 0; round < 2; round++) {
		STRING_IO("rep outsb", TRANSMITTER, EDGE - 8, 16);
		check(p == EDGE + 8 && !n, "REP OUTSB to the transmitter: RSI and RCX moved on");
		while ((inb(LINE_STATUS) & 0x60) != 0x60)
			;
	}
	STRING_IO("rep outsb", TRANSMITTER, EDGE - 200, 400);
	check(p == EDGE + 200 && !n, "... of more than one exit");
	STRING_IO("std; rep outsb; cld", TRANSMITTER, EDGE + 3, 7);
	check(p == EDGE - 4 && !n, "... downwards");

	map_far(false);
	STRING_IN("insb", LINE_STATUS, EDGE - 9, 1);
	check_eq(STRING_IN("rep insb", LINE_STATUS, EDGE - 4, 9), PF, "REP INSB of the line status into a missing page");
	check(trap.cr2 == EDGE && trap.error == 2 && n == 5 && p == EDGE, "... with the bytes before it done");
	check_eq(STRING_IO("rep outsb", TRANSMITTER, EDGE - 4, 9), PF, "REP OUTSB to the transmitter from a missing page");
	check(trap.cr2 == EDGE && !trap.error && n == 5 && p == EDGE, "... with the bytes before it done");
	far_pt[0] = (ulong)frames[1] | 1;
	WRITE_CR(0, READ_CR(0) | 1 << 16);
	WRITE_CR(3, pml4);
	check_eq(STRING_IN("rep insb", LINE_STATUS, EDGE - 16, 4), PF, "REP INSB of the line status into a read-only page");
	check(trap.cr2 == EDGE - 16 && trap.error == 3 && n == 4 && p == EDGE - 16, "... has done nothing");
}

static void faults(void)
{
	ulong p, n;

	map_far(false);
	check_eq(STRING_IN("rep insb", SCRATCH, EDGE - 4, 9), PF, "REP INSB into a missing page");
	check_eq(trap.cr2, EDGE, "... faults at its start");
	check_eq(trap.error, 2, "... as a write");
	check(n == 5 && p == EDGE, "... with the bytes before it done");
	check_eq(STRING_IO("rep outsb", SCRATCH, EDGE - 4, 9), PF, "REP OUTSB from a missing page");
	check(n == 5 && p == EDGE && !trap.error, "... faults at its start as a read");
	check_eq(STRING_IN("insl", PCI_DATA, EDGE - 2, 1), PF, "INSD half into a missing page");
	check(trap.cr2 == EDGE && p == EDGE - 2, "... faults there and moves nothing");
	check_eq(STRING_IN("insb", SCRATCH, BIT(63), 1), GP, "INSB to a non-canonical address");
}

/* QEMU, "QEMU Firmware Configuration (fw_cfg) Device": what kernels ask that were written for it. */
static void fw_cfg(void)
{
	u32 signature = 0;

	outw(0x510, 0);
	for (unsigned i = 0; i < 32; i += 8)
		signature |= (u32)inb(0x511) << i;
	if (signature == 0xffffffff && !hypervisor_present()) {
		skip("fw_cfg", "a machine without it");
		return;
	}
	check_eq(signature, 0x554d4551, "fw_cfg: signature");
	outw(0x510, 5);
	check_eq(inb(0x511), 1, "fw_cfg: number of CPUs");
	check_eq(inb(0x511), 0, "... in 16 bits");
	check_eq(inb(0x511), 0, "... and zeros behind it");
}

int main(void)
{
	unclaimed();
	pic();
	pit();
	clock();
	pci();
	pm_timer();
	fw_cfg();
	strings();
	uart_strings();
	faults();
	return 0;
}
