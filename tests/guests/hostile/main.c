/* SPDX-License-Identifier: MIT */
/*
 * Does all kinds of things that a guest should not do, at random from `seed=` and for `rounds=` each:
 * MSRs, ports, PCI configuration, device memory, control registers, instructions of
 * virtualization. The machine must refuse or ignore it all and still work afterwards.
 */
#include "guest.h"

#define EFER		0xc0000080
#define APIC_BASE	0x1b
#define RAM_WORDS	65536

static u32 state = 1, rounds = 300;
static u32 ram[RAM_WORDS];		/* none of the accesses may change it */

static u32 random32(void)		/* xorshift */
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return state;
}

static u64 random64(void)
{
	return (u64)random32() << 32 | random32();
}

static void ignore(struct regs *regs)
{
	(void)regs;
}

/* On a bare machine random writes could start real devices, with DMA for one: it gets few of them. */
static bool safe_msr(u32 msr)
{
	return msr != APIC_BASE && msr != EFER && (hypervisor_present() || msr >= 0x40000000);
}

static void msrs(void)
{
	static const u32 bases[] = {
		0, 0x100, 0x200, 0x400, 0x480, 0x600, 0x700, 0x800, 0xd00, 0x40000000, 0x4b564d00,
		0xc0000000, 0xc0000080, 0xc0000100, 0xc0000200, 0xc0010000, 0xc0010100, 0xc0011000,
	};
	u32 refused = 0;
	u64 value;

	for (u32 i = 0; i < rounds; i++) {
		u32 msr = random32();

		if (i % 8)
			msr = bases[msr % ARRAY_SIZE(bases)] + (msr >> 8 & 0x7f);
		refused += try_rdmsr(msr, &value) == GP;
		if (safe_msr(msr))
			refused += try_wrmsr(msr, i & 1 ? value ^ BIT(random32() % 64) :
						  random64()) == GP;
	}
	check(refused || qemu_tcg(), "random MSRs: survived, some refused");
}

/* Without those that reset (keyboard controller, 0x92, 0xcf9), debug exit, UART and power-off. */
static bool safe_port(u32 port, u32 size)
{
	static const u16 keep[][2] = {
		{ 0x60, 0x6f }, { 0x92, 0x92 }, { 0xf4, 0xf4 }, { 0x3f8, 0x3ff }, { 0x600, 0x607 },
		{ 0xcf8, 0xcff },
	};

	for (u32 i = 0; i < ARRAY_SIZE(keep); i++)
		if (port <= keep[i][1] && port + size > keep[i][0])
			return false;
	return true;
}

static void ports(void)
{
	static u8 buffer[64];

	for (u32 i = 0; i < rounds; i++) {
		u16 port = hypervisor_present() ? random32() >> (i & 3) * 4 :
						  0x2000 | (random32() & 0x1fff);
		void *p = buffer;
		ulong n = 4;

		if (!safe_port(port, 16))
			continue;
		inb(port), inw(port), inl(port);
		outb(port, random32()), outw(port, random32()), outl(port, random32());
		TRY("rep insl", : "+D"(p), "+c"(n) : "d"(port) : "memory");
		p = buffer, n = 4;
		TRY("rep outsw", : "+S"(p), "+c"(n) : "d"(port) : "memory");
		p = (void *)random64(), n = random64() & 0xfff;
		TRY("rep outsb", : "+S"(p), "+c"(n) : "d"(port) : "memory");
	}
	check(true, "random ports: survived");
}

static void pci(void)
{
	for (u32 i = 0; i < rounds; i++) {
		outl(0xcf8, random32() | 0x80000000);
		inl(0xcfc), inw(0xcfd), inb(0xcff);
		if (hypervisor_present())
			outl(0xcfc, random32()), outw(0xcfd, random32()), outb(0xcff, random32());
	}
	check(pci_read(0, 0) != 0xffffffff, "random PCI configuration: the host bridge is there");
}

static void poke(ulong address, u32 size)
{
	switch (hypervisor_present() ? size % 5 : 2) {
	case 0:
		*(volatile u8 *)address = random32();
		break;
	case 1:
		*(volatile u16 *)address = random32();
		break;
	case 2:
		(void)*(volatile u32 *)(address & ~3ul);
		*(volatile u32 *)(address & ~3ul) = random32();
		break;
	case 3:
		(void)*(volatile u64 *)address;
		*(volatile u64 *)address = random64();
		break;
	default:
		asm volatile("lock xorl %1, (%0)" : : "r"(address), "r"(random32()) : "memory");
	}
}

/* Not the ICR, which could send an INIT; Bochs gives up on an unknown destination format. */
static bool safe_register(u32 reg)
{
	return (reg + 8 < 0x300 || reg >= 0x310) && (hypervisor_present() || reg / 16 != 0xe);
}

static void memory(void)
{
	for (u32 i = 0; i < rounds; i++) {
		u32 lapic_reg = random32() & (hypervisor_present() ? 0xfff : 0x3f0);

		poke(0xd0000000 + (random32() & 0x0fffffff), random32());
		if (safe_register(lapic_reg))
			poke(LAPIC + lapic_reg, random32());
		lapic_write(0x300, random32() & 0xcf8ff);	/* not SMI, INIT, SIPI */
		mmio_write(IOAPIC, hypervisor_present() ? random32() : 0x10 + random32() % 48);
		mmio_write(IOAPIC + 0x10, random32() & ~0x600);	/* no SMI, no INIT */
		if (hypervisor_present()) {
			poke(IOAPIC + (random32() & 0xfff), random32());
			poke(0xa0000 + (random32() & 0x1fff0), random32());
			poke(0xfed00000 + (random32() & 0xffff0), random32());
		}
	}
	check(true, "random device memory: survived");
}

/* A hypervisor leaves these to the CPU. QEMU's CPU checks nothing: do not try CR3 and IDTR there. */
static void left_to_the_cpu(void)
{
	static const u8 idtr[1][10] = { { 0xff, 0x0f, [9] = 0x80 } };
	u64 fs_base = rdmsr(0xc0000100);
	u32 vector = try_wrmsr(0xc0000100, BIT(63));

	wrmsr(0xc0000100, fs_base);
	check_eq(TRY("mov %0, %%dr7", : : "r"(BIT(40))), GP, "DR7: a high bit");
	if (vector == NO_TRAP && vendor_amd()) {
		skip("bad values of CR3, CR8, IDTR, FS_BASE", "this CPU does not check them");
		return;
	}
	check_eq(vector, GP, "FS_BASE: not canonical");
	check_eq(TRY("mov %0, %%cr8", : : "r"(16ul)), GP, "CR8: more than 15");
	check_eq(TRY("mov %0, %%cr3", : : "r"((ulong)pml4 | BIT(60))), GP, "CR3: too high");
	check_eq(TRY("lidt %0", : : "m"(*idtr)), GP, "LIDT: a base that is not canonical");
}

static void control_registers(void)
{
	ulong cr0 = READ_CR(0), cr4 = READ_CR(4);
	u32 vector;

	left_to_the_cpu();
	check_eq(TRY("mov %%cr1, %%rax", : : : "rax"), UD, "CR1 is no register");
	if (qemu_tcg()) {
		skip("bad values of CR0, CR4, EFER", "QEMU does not check them");
		return;
	}
	check_eq(TRY("mov %0, %%cr0", : : "r"(cr0 & ~1ul)), GP, "CR0: PG without PE");
	check_eq(TRY("mov %0, %%cr0", : : "r"(cr0 | BIT(29))), GP, "CR0: NW without CD");
	vector = TRY("mov %0, %%cr0", : : "r"(cr0 | BIT(32)));
	WRITE_CR(0, cr0);
	/* An AMD hypervisor may leave such a write to the CPU, and QEMU's CPU does not check it. */
	if (vector == NO_TRAP && vendor_amd())
		skip("CR0: a high bit", "this CPU does not check it");
	else
		check_eq(vector, GP, "CR0: a high bit");
	for (u32 bit = 24; bit < 64; bit += 5)
		check_eq(TRY("mov %0, %%cr4", : : "r"(cr4 | BIT(bit))), GP, "CR4: a reserved bit");
	check_eq(TRY("mov %0, %%cr4", : : "r"(cr4 & ~BIT(5))), GP, "CR4: no PAE in long mode");
	check_eq(try_wrmsr(EFER, rdmsr(EFER) | BIT(30)), GP, "EFER: a reserved bit");
	check_eq(try_wrmsr(EFER, rdmsr(EFER) & ~BIT(8)), GP, "EFER: LME off under paging");
	check_eq(READ_CR(0), cr0, "CR0 is what it was");
	check_eq(READ_CR(4), cr4, "CR4 is what it was");
}

static void extended_state(void)
{
	if (!(cpuid(1, 0).c & BIT(26))) {
		skip("XCR0", "no XSAVE");
		return;
	}
	WRITE_CR(4, READ_CR(4) | BIT(18));
	for (u32 i = 0; i < rounds; i++)
		TRY("xsetbv", : : "c"(i & 1 ? random32() : 0), "a"(random32()), "d"(random32()));
	check_eq(TRY("xsetbv", : : "c"(0), "a"(0), "d"(0)), GP, "XCR0 = 0");
	check_eq(TRY("xsetbv", : : "c"(1), "a"(1), "d"(0)), GP, "XCR1");
	check_eq(TRY("xsetbv", : : "c"(0), "a"(1), "d"(0)), NO_TRAP, "XCR0 = 1");
}

/* CPUID offers no virtualization, so its instructions do not exist. */
static void instructions(void)
{
	static u64 region[512] __attribute__((aligned(4096)));
	u64 address = (ulong)region;
	u32 vector = 0;

#define NONE(insn, ...) check_eq(TRY(insn, __VA_ARGS__), UD, insn)
	NONE("vmxon %0", : : "m"(address) : "memory");
	NONE("vmptrld %0", : : "m"(address) : "memory");
	NONE("vmclear %0", : : "m"(address) : "memory");
	NONE("vmread %%rax, %%rbx", : : : "rbx");
	NONE("vmlaunch", : : : "memory");
	NONE("vmresume", : : : "memory");
	NONE("vmxoff", : : : "memory");
	NONE("vmrun", : : "a"(address) : "memory");
	NONE("vmload", : : "a"(address) : "memory");
	NONE("vmsave", : : "a"(address) : "memory");
	NONE("stgi", : : : "memory");
	NONE("clgi", : : : "memory");
	NONE("rsm", : : : "memory");
	for (u32 i = 0; i < rounds; i++) {
		vector |= TRY("vmcall", : : "a"(random64()), "b"(random64()), "c"(random64()),
			      "d"(random64()), "S"(random64()) : "memory");
		vector |= TRY("vmmcall", : : "a"(random64()), "b"(random64()), "c"(random64()),
			      "d"(random64()), "S"(random64()) : "memory");
	}
	check(!(vector & ~(UD | NO_TRAP)), "VMCALL and VMMCALL with garbage: #UD or nothing");
	for (u32 i = 0; i < 4; i++)
		TRY("rdpmc", : : "c"(random32() | i << 30) : "eax", "edx");
	TRY("invlpg (%0)", : : "r"(random64()) : "memory");
	TRY("invpcid %0, %1", : : "m"(region), "r"(random64()) : "memory");
	TRY("wbinvd", : : : "memory");
	check_eq(TRY("ltr %w0", : : "r"(TSS)), GP, "LTR of a busy TSS");
}

static void aftermath(void)
{
	u32 changed = 0;

	for (u32 i = 0; i < RAM_WORDS; i++)
		changed += ram[i] != i * 2654435761u;
	check_eq(changed, 0, "RAM is untouched");
	check_eq(cpuid(0, 0).d, vendor_amd() ? 0x69746e65 : 0x49656e69, "CPUID still answers");
	asm volatile("sti; nop; nop; cli" : : : "memory");
	check(true, "interrupts still can be taken");
}

int main(void)
{
	cmdline_number("seed", &state);
	cmdline_number("rounds", &rounds);
	state |= !state;
	for (u32 i = 0; i < RAM_WORDS; i++)
		ram[i] = i * 2654435761u;
	for (u32 vector = 0x10; vector < 256; vector++)
		trap_on(vector, ignore);
	trap_on(NMI, ignore);
	print("guest hostile: starting\n");
	control_registers();
	extended_state();
	instructions();
	pci();
	msrs();
	ports();
	memory();
	aftermath();
	return 0;
}
