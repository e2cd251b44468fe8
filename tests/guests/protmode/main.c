/* SPDX-License-Identifier: MIT */
/*
 * Checks 32-bit protected mode: segment limits, types and expand-down, paging without PAE with
 * 4 MiB pages, PAE paging whose PDPTEs are read when CR3 is loaded, and exceptions' error codes.
 */
#include "guest.h"

#define MSR_EFER	0xc0000080
#define PAGED		__attribute__((aligned(4096)))
#define WINDOW		0x40000000ul	/* where the tests map pages */

static u32 directory[1024] PAGED, table[1024] PAGED;
static u64 pdpt[4] __attribute__((aligned(32))), pae_low[512] PAGED, pae_high[512] PAGED;
static u64 pae_table[512] PAGED;
static u32 page_a[1024] PAGED, page_b[1024] PAGED;

static void fault(const char *name, u32 vector, u32 expected, u32 error)
{
	u32 got = trap.error;

	check_eq(vector, expected, name);
	check_eq(got, error, "... with its error code");
}

static u64 segment(u32 base, u32 limit, u8 type, u8 flags)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)type << 40 |
	       (u64)(limit >> 16 & 15) << 48 | (u64)flags << 52 | (u64)(base >> 24) << 56;
}

static u32 load_fs(u16 selector)
{
	return TRY("mov %0, %%fs", : : "r"((u32)selector) : "memory");
}

static u32 fs_read(u32 offset, u32 *value)
{
	return TRY("mov %%fs:(%1), %0", : "=r"(*value) : "r"(offset) : "memory");
}

static void segments(void)
{
	u32 value;

	page_a[0] = 0x11223344;
	page_a[4] = 0x55667788;
	gdt[SPARE / 8] = segment((u32)page_a, 0x13, 0x93, 4);
	load_fs(SPARE);
	check_eq(fs_read(0x10, &value), NO_TRAP, "a read within the limit");
	check_eq(value, 0x55667788, "... is relative to the base");
	gdt[SPARE / 8] = segment(0, 0xfffff, 0x13, 12);
	fault("a segment that is not present raises #NP", load_fs(SPARE), NP, SPARE);
	fault("a selector beyond the GDT raises #GP", load_fs(0x7f8), GP, 0x7f8);
	gdt[SPARE / 8] = segment(0, 0xfffff, 0x91, 12);
	fault("SS must be writable", TRY("mov %0, %%ss", : : "r"(SPARE)), GP, SPARE);
	asm volatile("sgdt %0" : "=m"(page_b));
	check_eq(page_b[0] & 0xffff, sizeof(gdt) - 1, "SGDT stores the limit");
}

/* QEMU's TCG, below a hypervisor too, checks a segment when it is loaded, but not its use. */
static void limits(void)
{
	u32 value;

	gdt[SPARE / 8] = segment((u32)page_a, 0x13, 0x93, 4);
	load_fs(SPARE);
	if (fs_read(0x11, &value) == NO_TRAP) {
		skip("segment limits and types", "this CPU does not check them on use");
		return;
	}
	fault("a read across the limit raises #GP", fs_read(0x11, &value), GP, 0);
	gdt[SPARE / 8] = segment((u32)page_a, 0xf, 0x97, 4);
	load_fs(SPARE);
	check_eq(fs_read(0x10, &value), NO_TRAP, "expand-down: above the limit is inside");
	fault("expand-down: below is outside", fs_read(0, &value), GP, 0);
	gdt[SPARE / 8] = segment(0, 0xfffff, 0x91, 12);
	load_fs(SPARE);
	fault("a write to a read-only segment raises #GP",
	      TRY("mov %0, %%fs:(%1)", : : "r"(0), "r"(page_a) : "memory"), GP, 0);
	load_fs(0);
	fault("a null segment raises #GP when used", fs_read(0, &value), GP, 0);
	load_fs(DATA);
}

static void far_call(void)
{
	u32 base = 0, value;

	/* 16-bit code, base 0: push 2 bytes, pop 2 bytes, far return of 32 bits */
	static const u8 code[] = { 0xb8, 0x34, 0x12, 0x66, 0xcb };	/* mov ax, 0x1234; lretd */
	struct { u32 offset; u16 selector; } __attribute__((packed)) target = { 0, SPARE };

	base = (u32)code;
	gdt[SPARE / 8] = segment(base, 0xffff, 0x9b, 0);
	asm volatile("xor %%eax, %%eax; lcall *%1" : "=&a"(value) : "m"(target) : "memory");
	check_eq(value, 0x1234, "a far call runs 16-bit code");
}

static u32 touch(ulong address, bool write)
{
	return write ? TRY("movb $1, (%0)", : : "r"(address) : "memory") :
		       TRY("movb (%0), %%al", : : "r"(address) : "eax");
}

static void set_paging(ulong root, ulong cr4, bool on)
{
	WRITE_CR(0, READ_CR(0) & ~BIT(31));
	WRITE_CR(4, cr4);
	WRITE_CR(3, root);
	if (on)
		WRITE_CR(0, READ_CR(0) | BIT(31));
}

static void paging_32(void)
{
	for (u32 i = 0; i < 16; i++)
		directory[i] = i << 22 | 0x87;
	directory[WINDOW >> 22] = (u32)table | 7;
	table[0] = (u32)page_a | 3;
	table[1] = (u32)page_b | 3;
	page_a[1] = 0xa;
	page_b[1] = 0xb;
	set_paging((u32)directory, BIT(4), true);
	check_eq(mmio_read(WINDOW + 4), 0xa, "4 KiB page, first");
	check_eq(mmio_read(WINDOW + 0x1004), 0xb, "4 KiB page, second");
	check_eq(table[0] & 0x60, 0x20, "a read sets accessed");
	check_eq(directory[0] & 0x60, 0x60, "4 MiB pages get accessed and dirty");
	fault("a missing page raises #PF", touch(WINDOW + 0x2345, true), PF, 2);
	check_eq(trap.cr2, WINDOW + 0x2345, "CR2 is the address");
	table[0] = (u32)page_b | 3;
	check_eq(mmio_read(WINDOW + 0x1004), 0xb, "a changed entry,");
	asm volatile("invlpg (%0)" : : "r"(WINDOW) : "memory");
	check_eq(mmio_read(WINDOW + 4), 0xb, "... after INVLPG");
	table[0] = (u32)page_a | 3;
	WRITE_CR(3, (u32)directory);
	check_eq(mmio_read(WINDOW + 4), 0xa, "... after loading CR3");
	table[0] = (u32)page_a | 1;
	WRITE_CR(3, (u32)directory);
	WRITE_CR(0, READ_CR(0) | BIT(16));
	fault("CR0.WP guards read-only pages", touch(WINDOW, true), PF, 3);
	WRITE_CR(0, READ_CR(0) & ~BIT(16));
	set_paging(0, 0, false);
	check_eq(page_a[1], 0xa, "paging goes off again");
}

static void paging_pae(void)
{
	for (u32 i = 0; i < 32; i++)
		pae_low[i] = i << 21 | 0x87;
	pae_high[0] = (u32)pae_table | 7;
	pae_table[0] = (u32)page_a | 3;
	pdpt[0] = (u32)pae_low | 1;
	pdpt[1] = (u32)pae_high | 1;
	set_paging((u32)pdpt, BIT(5), true);
	check_eq(mmio_read(WINDOW + 4), 0xa, "PAE: a 4 KiB page");
	pae_table[0] = (u32)page_b | 3;
	WRITE_CR(3, (u32)pdpt);
	check_eq(mmio_read(WINDOW + 4), 0xb, "PAE: a changed entry after loading CR3");
	pdpt[1] = 0;
	WRITE_CR(3, (u32)pdpt);
	fault("PAE: a missing PDPTE raises #PF", touch(WINDOW, false), PF, 0);
	check_eq(trap.cr2, WINDOW, "... with its address");
	pdpt[1] = (u32)pae_high | 1;
	WRITE_CR(3, (u32)pdpt);
	check_eq(touch(WINDOW, false), NO_TRAP, "PAE: loading CR3 reads the PDPTEs");
	if (cpuid(0x80000001, 0).d & BIT(20)) {
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | BIT(11));
		pae_table[0] = (u32)page_b | BIT(63) | 3;
		WRITE_CR(3, (u32)pdpt);
		check_eq(touch(WINDOW, true), NO_TRAP, "PAE: NX lets data through");
		fault("PAE: NX stops a fetch", TRY("jmp *%0", : : "r"(WINDOW)), PF, 0x11);
	}
	if (vendor_amd()) {
		skip("a reserved PDPTE bit", "AMD reads PDPTEs late under NPT, QEMU always");
	} else {
		pdpt[2] = 0x1e7;
		fault("a reserved PDPTE bit raises #GP on loading CR3",
		      TRY("mov %0, %%cr3", : : "r"(pdpt) : "memory"), GP, 0);
		pdpt[2] = 0;
	}
	set_paging(0, 0, false);
}

/* EFER.LME alone changes nothing yet; CR4.PAE is needed only when paging goes on. AMD APM vol. 2, "Enabling Long Mode". */
static void long_mode_prepared(void)
{
	u64 efer = rdmsr(MSR_EFER);

	if (!(cpuid(0x80000001, 0).d & BIT(29))) {
		skip("EFER.LME without paging", "the processor has no long mode");
		return;
	}
	wrmsr(MSR_EFER, efer | BIT(8));
	check(cpuid(0, 0).a > 0, "EFER.LME without CR4.PAE and paging");
	check_eq(rdmsr(MSR_EFER) & (BIT(8) | BIT(10)), BIT(8), "... keeps its value, and LMA is clear");
	wrmsr(MSR_EFER, efer);
	check_eq(rdmsr(MSR_EFER) & BIT(8), 0, "... goes off again");
}

static void exceptions(void)
{
	fault("DIV by zero raises #DE", TRY("div %0", : : "r"(0), "a"(1), "d"(0)), DE, 0);
	fault("BOUND raises #BR", TRY("bound %0, %1", : : "r"(9), "m"(*(u64 *)page_a)), 5, 0);
	fault("INTO traps with OF set", TRY("movb $127, %%al; inc %%al; into", : : : "eax"), OF, 0);
	fault("UD2 raises #UD", TRY("ud2"), UD, 0);
	WRITE_CR(0, READ_CR(0) | BIT(3));
	fault("x87 with CR0.TS raises #NM", TRY("fnop"), NM, 0);
	asm volatile("clts");
	check_eq(READ_CR(0) & BIT(3), 0, "CLTS clears CR0.TS");
	fault("a far jump to data raises #GP", TRY("ljmp $0x10, $0"), GP, DATA);
	fault("INT to an empty gate raises #NP",
	      (idt[0x80].type = 0x0e, TRY("int $0x80")), NP, 0x80 * 8 + 2);
}

/* An AMD hypervisor may leave CR0 to the CPU, and QEMU's CPU does not check it. */
static void control_registers(void)
{
	u32 cr0 = READ_CR(0), vector = TRY("mov %0, %%cr0", : : "r"(cr0 | 1u << 29));

	WRITE_CR(0, cr0);
	if (vector == NO_TRAP && vendor_amd()) {
		skip("invalid values of CR0", "this CPU does not check them");
		return;
	}
	check_eq(vector, GP, "NW without CD raises #GP");
	fault("PG without PE raises #GP", TRY("mov %0, %%cr0", : : "r"(0x80000010)), GP, 0);
	check_eq(READ_CR(0), cr0, "CR0 keeps its value");
}

int main(void)
{
	check_eq(READ_CR(0) & 0x80000001, 1, "protected mode without paging");
	segments();
	limits();
	far_call();
	paging_32();
	paging_pae();
	long_mode_prepared();
	exceptions();
	control_registers();
	return 0;
}
