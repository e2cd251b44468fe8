/* SPDX-License-Identifier: MIT */
/*
 * Checks that CPUID is right: leaves agree with each other, with the registers that they
 * describe and with what the instructions do. A hypervisor must also announce itself, and must
 * not announce features that it would have to emulate but does not.
 */
#include "guest.h"

#define MSR_APIC_BASE		0x1b
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_EFER		0xc0000080

static struct cpuid leaf1, ext1, leaf7;

static void leaves(void)
{
	struct cpuid zero = cpuid(0, 0), again = cpuid(0, 0);
	u64 a, b, c, d;

	check((zero.b == 0x756e6547 && zero.d == 0x49656e69 && zero.c == 0x6c65746e) ||
	      (zero.b == 0x68747541 && zero.d == 0x69746e65 && zero.c == 0x444d4163) ||
	      (zero.b == 0x6f677948 && zero.d == 0x6e65476e && zero.c == 0x656e6975),
	      "the vendor is GenuineIntel, AuthenticAMD or HygonGenuine");
	check_eq(again.a, zero.a, "the maximum leaf is constant");
	check_range(zero.a, 7, 0xff, "basic leaves reach 7");
	check_range(cpuid(0x80000000, 0).a, 0x80000008, 0x800000ff, "extended leaves reach 8");
	check_eq(leaf1.d & 0x0700a379, 0x0700a379, "what every 64-bit CPU has");
	check_eq(ext1.d & 0x20100800, 0x20100800, "long mode, NX, SYSCALL");
	check_range(cpuid(0x80000008, 0).a & 0xff, 32, 52, "physical address bits");
	check_eq(cpuid(0x80000008, 0).a >> 8 & 0xff, 48, "linear address bits");

	asm volatile("mov $-1, %%rax; mov %%rax, %%rbx; mov %%rax, %%rcx; mov %%rax, %%rdx\n\t"
		     "mov $1, %%eax; cpuid"
		     : "=a"(a), "=b"(b), "=c"(c), "=d"(d));
	check_eq((a | b | c | d) >> 32, 0, "CPUID clears the registers' upper halves");
}

static void hypervisor(void)
{
	struct cpuid leaf = cpuid(0x40000000, 0);

	if (!hypervisor_present()) {
		skip("what a hypervisor must show and hide", "there is none");
		return;
	}
	check_range(leaf.a, 0x40000000, 0x400000ff, "leaf 40000000h has a sane maximum");
	check(leaf.b && leaf.c && leaf.d, "leaf 40000000h has a signature");
	check_eq(leaf1.c & BIT(3), 0, "no MONITOR");
	check_eq(leaf1.c & BIT(5), 0, "no VMX");
	check_eq(ext1.c & BIT(2), 0, "no SVM");
	check_eq(ext1.c & BIT(29), 0, "no MWAITX");
	check_eq(TRY("monitor", : : "a"(&leaf), "c"(0), "d"(0)), UD, "MONITOR raises #UD");
	check_eq(TRY("mwait", : : "a"(0), "c"(0)), UD, "MWAIT raises #UD");
	check_eq(cpuid(0x80000007, 0).d >> 8 & 1, 1, "the TSC is invariant");
}

static void apic(void)
{
	u32 id = leaf1.b >> 24;
	bool deadline = leaf1.c & BIT(24), x2apic = leaf1.c & BIT(21);
	u64 value;

	check_eq(id, lapic_read(0x20) >> 24, "the APIC id is the LAPIC's");
	if (cpuid(0, 0).a >= 0xb && cpuid(0xb, 0).b)
		check_eq(cpuid(0xb, 0).d, id, "leaf Bh has the same id");
	if (deadline)
		check_eq(try_rdmsr(MSR_TSC_DEADLINE, &value), NO_TRAP, "TSC deadline: its MSR");
	else if (!qemu_tcg())
		check_eq(try_rdmsr(MSR_TSC_DEADLINE, &value), GP, "no TSC deadline: no MSR");
	if (!x2apic && !qemu_tcg())
		check_eq(try_wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(10)), GP,
			 "no x2APIC: its mode cannot be entered");
}

/* A bit of CR4 can be set if and only if CPUID offers the feature that it enables. */
static void cr4_bits(void)
{
	static const struct { u8 bit; const char *name; } bits[] = {
		{ 7, "CR4.PGE" }, { 11, "CR4.UMIP" }, { 13, "CR4.VMXE" }, { 16, "CR4.FSGSBASE" },
		{ 17, "CR4.PCIDE" }, { 18, "CR4.OSXSAVE" }, { 20, "CR4.SMEP" }, { 21, "CR4.SMAP" },
		{ 22, "CR4.PKE" },
	};
	const bool offered[] = {
		leaf1.d & BIT(13), leaf7.c & BIT(2), leaf1.c & BIT(5), leaf7.b & BIT(0),
		leaf1.c & BIT(17), leaf1.c & BIT(26), leaf7.b & BIT(7), leaf7.b & BIT(20),
		leaf7.c & BIT(3),
	};
	ulong cr4 = READ_CR(4);

	for (u32 i = 0; i < ARRAY_SIZE(bits); i++) {
		ulong wanted = cr4 | BIT(bits[i].bit);
		u32 vector;

		if (!offered[i] && qemu_tcg()) {
			skip(bits[i].name, "QEMU repeats a write of a reserved bit for ever");
			continue;
		}
		vector = TRY("mov %0, %%cr4", : : "r"(wanted) : "memory");
		check_eq(vector, offered[i] ? NO_TRAP : GP, bits[i].name);
		check_eq(READ_CR(4), offered[i] ? wanted : cr4, "... reads back");
		WRITE_CR(4, cr4);
	}
}

static u32 xsetbv(u64 value)
{
	return TRY("xsetbv", : : "c"(0), "a"((u32)value), "d"((u32)(value >> 32)));
}

static u32 area_size(u64 features)
{
	u32 size = 576;

	for (u32 i = 2; i < 63; i++) {
		struct cpuid leaf = cpuid(0xd, i);

		if ((features & BIT(i)) && leaf.a + leaf.b > size)
			size = leaf.a + leaf.b;
	}
	return size;
}

static void xsave(void)
{
	static u8 area[4096] __attribute__((aligned(64)));
	struct cpuid leaf = cpuid(0xd, 0);
	u64 supported = (u64)leaf.d << 32 | leaf.a;
	u32 lo, hi;

	if (!(leaf1.c & BIT(26))) {
		check_eq(leaf1.c & (BIT(27) | BIT(28)), 0, "no XSAVE: no OSXSAVE and no AVX");
		return;
	}
	check_eq(leaf1.c & BIT(27), READ_CR(4) << 9 & BIT(27), "OSXSAVE follows CR4");
	check_eq(TRY("xgetbv", : : "c"(0) : "eax", "edx"), UD, "XGETBV without OSXSAVE raises #UD");
	WRITE_CR(4, READ_CR(4) | BIT(18));
	check_eq(cpuid(1, 0).c & BIT(27), BIT(27), "OSXSAVE follows CR4 again");
	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	check_eq(lo, 1, "XCR0 is 1 after reset");
	check_eq(supported & 3, 3, "x87 and SSE state");
	check_eq(leaf.c, area_size(supported), "the largest XSAVE area is the sum of its parts");
	check_eq(cpuid(0xd, 0).b, 576, "the area for XCR0 = 1");
	for (u32 features = 3; features < 0x1000; features += 4) {
		if ((features & supported) != features || xsetbv(features) != NO_TRAP)
			continue;
		check_eq(cpuid(0xd, 0).b, area_size(features), "the area follows XCR0");
		if (area_size(features) > sizeof(area) - 1)
			continue;
		area[area_size(features)] = 0xa5;
		asm volatile("xsave %0" : "+m"(area) : "a"(-1), "d"(-1));
		check_eq(area[area_size(features)], 0xa5, "XSAVE stays within it");
	}
	check_eq(xsetbv(0), GP, "XCR0 = 0 raises #GP");
	check_eq(xsetbv(supported | BIT(62)), GP, "an unknown bit in XCR0 raises #GP");
	if (supported & 4)
		check_eq(xsetbv(5), GP, "AVX without SSE raises #GP");
	xsetbv(1);
	WRITE_CR(4, READ_CR(4) & ~BIT(18));
}

/* Features that CPUID announces work, and others do not exist. */
static void instructions(void)
{
	u32 rdtscp = TRY("rdtscp", : : : "eax", "ecx", "edx");
	u32 rdrand = TRY("rdrand %%eax", : : : "eax", "cc");
	u32 popcnt = TRY("popcnt %%eax, %%eax", : : : "eax", "cc");
	u32 movbe = TRY("movbe %0, %%eax", : : "m"(leaf1.a) : "eax");
	u32 invpcid = TRY("invpcid %0, %1", : : "m"((u64[2]){ 0, 0 }), "r"(2ul) : "memory");

	check_eq(rdtscp, ext1.d & BIT(27) ? NO_TRAP : UD, "RDTSCP");
	check_eq(rdrand, leaf1.c & BIT(30) ? NO_TRAP : UD, "RDRAND");
	check_eq(popcnt, leaf1.c & BIT(23) ? NO_TRAP : UD, "POPCNT");
	check_eq(movbe, leaf1.c & BIT(22) ? NO_TRAP : UD, "MOVBE");
	check_eq(invpcid, leaf7.b & BIT(10) ? NO_TRAP : UD, "INVPCID");
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11));
	check_eq(rdmsr(MSR_EFER) >> 11 & 1, 1, "EFER.NXE can be set");
}

static u32 invpcid(ulong type, u64 pcid, u64 address)
{
	return TRY("invpcid %0, %1", : : "m"((u64[2]){ pcid, address }), "r"(type) : "memory");
}

/* SDM, "Process-Context Identifiers (PCIDs)"; "INVPCID - Invalidate Process-Context Identifier" */
static void pcids(void)
{
	ulong cr3 = READ_CR(3), cr4 = READ_CR(4);

	if (!(leaf1.c & BIT(17))) {
		skip("PCIDs", "not offered");
		return;
	}
	WRITE_CR(3, cr3 | BIT(4));
	check_eq(TRY("mov %0, %%cr4", : : "r"(cr4 | BIT(17)) : "memory"), GP, "CR4.PCIDE with a PCID in CR3");
	WRITE_CR(3, cr3);
	WRITE_CR(4, cr4 | BIT(17));
	for (ulong pcid = 0; pcid < 0x1000; pcid += 0x3ff) {
		WRITE_CR(3, cr3 | pcid);
		check_eq(READ_CR(3), cr3 | pcid, "CR3 has a PCID");
		WRITE_CR(3, cr3 | pcid | BIT(63));
		check_eq(READ_CR(3), cr3 | pcid, "... and not the bit that keeps translations");
	}
	check_eq(TRY("mov %0, %%cr0", : : "r"(READ_CR(0) & ~BIT(31)) : "memory"), GP, "paging stays on with PCIDs");
	if (leaf7.b & BIT(10)) {
		for (ulong type = 0; type < 4; type++)
			check_eq(invpcid(type, type < 2 ? 0x3ff : 0, (u64)&leaf1), NO_TRAP, "INVPCID of each type");
		check_eq(invpcid(4, 0, 0), GP, "INVPCID of a type that there is not");
		check_eq(invpcid(1, 0x1000, 0), GP, "INVPCID of a PCID that is too large");
		check_eq(invpcid(0, 0, BIT(62)), GP, "INVPCID of an address that is not canonical");
	}
	WRITE_CR(3, cr3);
	WRITE_CR(4, cr4);
	check_eq(READ_CR(4), cr4, "CR4.PCIDE can be cleared");
}

int main(void)
{
	leaf1 = cpuid(1, 0);
	leaf7 = cpuid(7, 0);
	ext1 = cpuid(0x80000001, 0);
	leaves();
	hypervisor();
	apic();
	cr4_bits();
	xsave();
	instructions();
	pcids();
	return 0;
}
