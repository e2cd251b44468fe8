/* SPDX-License-Identifier: MIT */
/* The hypervisor's part: VMX operation, and a VMCS whose guest has this one's address space. */
#include "vmx.h"

enum { TRUE_PIN = 0x48d, TRUE_PRIMARY, TRUE_EXIT, TRUE_ENTRY, SECONDARY_MSR = 0x48b };

u64 l2[16];
u8 io_bitmaps[2][4096] __attribute__((aligned(4096)));
u8 msr_bitmap[4096] __attribute__((aligned(4096)));
u8 l2_stack[4096] __attribute__((aligned(16)));
static u8 vmxon_region[4096] __attribute__((aligned(4096)));
u8 vmcs_region[4096] __attribute__((aligned(4096)));
static bool launched, enlightened;

u64 l2_enter(u64 registers[16], bool resume, u64 *host_rsp);
void l2_exit(void);

bool vmx_start(void)
{
	u64 region = (ulong)vmxon_region;
	bool ok;

	if (!(cpuid(1, 0).c & BIT(5))) {
		skip("VMX", "this processor has none");
		return false;
	}
	if (!(rdmsr(0x3a) & 1))
		wrmsr(0x3a, rdmsr(0x3a) | 5);
	WRITE_CR(0, READ_CR(0) | BIT(5));
	WRITE_CR(4, READ_CR(4) | BIT(13));
	*(u32 *)vmxon_region = (u32)rdmsr(0x480);
	asm volatile("vmxon %1" : "=@cca"(ok) : "m"(region) : "memory");
	if (!check(ok, "VMXON"))
		return false;
	enlightened = evmcs_start();
	return true;
}

void vmx_stop(void)
{
	asm volatile("vmxoff" : : : "cc", "memory");
}

bool offers(u32 msr, u32 control)
{
	return (rdmsr(msr) >> 32 & control) == control;
}

static u32 required(u32 msr)
{
	return (u32)rdmsr(msr);
}

static void segment(u32 index, u16 selector, u64 base, u32 limit, u32 rights)
{
	vmwrite(GUEST_ES + 2 * index, selector);
	vmwrite(GUEST_ES_BASE + 2 * index, base);
	vmwrite(GUEST_ES_LIMIT + 2 * index, limit);
	vmwrite(GUEST_ES_RIGHTS + 2 * index, rights);
}

static void controls(void)
{
	vmwrite(PIN, required(TRUE_PIN));
	vmwrite(PRIMARY, (required(TRUE_PRIMARY) & ~(CR3_LOADS_EXIT | CR3_STORES_EXIT)) | MSR_BITMAPS | IO_BITMAPS);
	vmwrite(SECONDARY, 0);
	vmwrite(EXIT_CONTROLS, required(TRUE_EXIT) | HOST_64 | SAVE_DEBUG | SAVE_EFER | LOAD_EFER);
	vmwrite(ENTRY_CONTROLS, required(TRUE_ENTRY) | GUEST_64 | LOAD_DEBUG | ENTRY_EFER);
	vmwrite(IO_BITMAP_A, (ulong)io_bitmaps[0]);
	vmwrite(IO_BITMAP_B, (ulong)io_bitmaps[1]);
	vmwrite(MSR_BITMAP, (ulong)msr_bitmap);
	vmwrite(LINK, ~0ull);
	for (u32 i = 0; i < sizeof(msr_bitmap); i++)
		io_bitmaps[0][i] = io_bitmaps[1][i] = msr_bitmap[i] = 0;
}

void write_host(void)
{
	static const u8 selectors[] = { DATA, CODE64, DATA, DATA, DATA, DATA, TSS };

	for (u32 i = 0; i < ARRAY_SIZE(selectors); i++)
		vmwrite(HOST_ES + 2 * i, selectors[i]);
	vmwrite(HOST_CR0, READ_CR(0));
	vmwrite(HOST_CR3, READ_CR(3));
	vmwrite(HOST_CR4, READ_CR(4));
	vmwrite(HOST_EFER, rdmsr(0xc0000080));
	vmwrite(HOST_TR_BASE, (ulong)tss);
	vmwrite(HOST_GDTR, (ulong)gdt);
	vmwrite(HOST_IDTR, (ulong)idt);
	vmwrite(HOST_RIP, (ulong)l2_exit);
}

static void fresh_region(void)
{
	u64 region = (ulong)vmcs_region;

	asm volatile("vmclear %0" : : "m"(region) : "cc", "memory");
	for (u32 i = 0; i < sizeof(vmcs_region); i++)
		vmcs_region[i] = 0;
	*(u32 *)vmcs_region = (u32)rdmsr(0x480);
	asm volatile("vmclear %0; vmptrld %0" : : "m"(region) : "cc", "memory");
	/* The region's contents are the processor's own: every field is written. */
	for (u32 width = 0; width < 4; width++)
		for (u32 type = 0; type < 4; type++)
			for (u32 index = 0; type != 1 && index < 32; index++)
				vmwrite(width << 13 | type << 10 | index << 1, 0);
}

void fresh(void (*code)(void))
{
	if (enlightened)
		evmcs_fresh();
	else
		fresh_region();
	launched = false;
	controls();
	write_host();
	for (u32 i = 0; i < 6; i++)
		segment(i, i == 1 ? CODE64 : DATA, 0, ~0u, i == 1 ? 0xa09b : 0xc093);
	segment(6, 0, 0, 0, 0x10000);
	segment(7, TSS, (ulong)tss, 0x67, 0x8b);
	vmwrite(GUEST_GDTR, (ulong)gdt);
	vmwrite(GDTR_LIMIT, sizeof(gdt) - 1);
	vmwrite(GUEST_IDTR, (ulong)idt);
	vmwrite(IDTR_LIMIT, 0xfff);
	vmwrite(GUEST_CR0, READ_CR(0));
	vmwrite(GUEST_CR3, READ_CR(3));
	vmwrite(GUEST_CR4, READ_CR(4));
	vmwrite(GUEST_EFER, rdmsr(0xc0000080));
	vmwrite(GUEST_DR7, 0x400);
	vmwrite(GUEST_RSP, (ulong)l2_stack + sizeof(l2_stack) - 8);
	vmwrite(GUEST_RIP, (ulong)code);
	vmwrite(GUEST_RFLAGS, 2);
	for (u32 i = 0; i < ARRAY_SIZE(l2); i++)
		l2[i] = 0x1111111111111111ull * i;
}

u32 enter(void)
{
	u64 flags = l2_enter(l2, launched, evmcs ? evmcs_host_rsp() : 0);

	if (flags)
		return VMFAIL | (flags & 1 ? 0xffff : (u32)vmread(INSTRUCTION_ERROR));
	if (!(vmread(REASON) & BIT(31)))
		launched = true;
	return (u32)vmread(REASON);
}

void step_over(void)
{
	vmwrite(GUEST_RIP, vmread(GUEST_RIP) + vmread(LENGTH));
}

bool exits(u32 reason, const char *name)
{
	return check_eq(enter(), reason, name);
}
