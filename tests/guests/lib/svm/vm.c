/* SPDX-License-Identifier: MIT */
/* The VM of the tiny hypervisor. */
#include "svm.h"

#define PAGE __attribute__((aligned(4096)))
u8 vmcb[4096] PAGE, host_vmcb[4096] PAGE, msrpm[8192] PAGE, iopm[3 * 4096] PAGE;
u64 npt_pml4[512] PAGE, npt_pdpt[512] PAGE, npt_pd[4 * 512] PAGE, npt_pt[512] PAGE;
struct registers l2;
static u8 host_save[4096] PAGE, stack[4096] PAGE;

void svm_on(void)
{
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME);
	wrmsr(VM_HSAVE_PA, (ulong)host_save);
}

static void segment(u32 at, u16 selector, u16 attributes, u32 limit, u64 base)
{
	S16(at) = selector;
	S16(at + 2) = attributes;
	C32(0x400 + at + 4) = limit;
	S64(at + 8) = base;
}

static void table(u32 at, bool idt)
{
	struct { u16 limit; u64 base; } __attribute__((packed)) now;

	if (idt)
		asm volatile("sidt %0" : "=m"(now));
	else
		asm volatile("sgdt %0" : "=m"(now));
	segment(at, 0, 0, now.limit, now.base);
}

void begin(void (*code)(void))
{
	for (u32 i = 0; i < sizeof(vmcb); i++)
		vmcb[i] = 0;
	for (u32 i = 0; i < sizeof(msrpm); i++)
		msrpm[i] = 0;
	for (u32 i = 0; i < sizeof(iopm); i++)
		iopm[i] = 0;
	C32(INTERCEPT_1) = I_SHUTDOWN;
	C32(INTERCEPT_2) = I_VMRUN | I_VMMCALL;
	C64(IOPM_BASE) = (ulong)iopm;
	C64(MSRPM_BASE) = (ulong)msrpm;
	C32(ASID) = 1;
	C8(TLB_CONTROL) = 1;

	segment(CS, CODE64, 0x29b, 0xffffffff, 0);
	segment(SSEG, DATA, 0xc93, 0xffffffff, 0);
	segment(DS, DATA, 0xc93, 0xffffffff, 0);
	segment(ES, DATA, 0xc93, 0xffffffff, 0);
	segment(FS, DATA, 0xc93, 0xffffffff, 0);
	segment(GS, DATA, 0xc93, 0xffffffff, 0);
	segment(LDTR, 0, 0x82, 0xffff, 0);
	segment(TR, TSS, 0x8b, 127, (ulong)tss);
	table(GDTR, false);
	table(IDTR, true);
	S64(EFER) = rdmsr(MSR_EFER);
	S64(CR0) = READ_CR(0);
	S64(CR3) = READ_CR(3);
	S64(CR4) = READ_CR(4);
	S64(DR6) = 0xffff0ff0;
	S64(DR7) = 0x400;
	S64(RFLAGS) = 2;
	S64(RIP) = (ulong)code;
	S64(RSP) = (ulong)(stack + sizeof(stack));
	S64(PAT) = 0x0007040600070406;
	l2 = (struct registers){ 0 };
}

u64 run(void)
{
	vmrun();
	return C64(EXIT_CODE);
}

u64 run_from(void (*code)(void))
{
	S64(RIP) = (ulong)code;
	return run();
}

void skip_bytes(u32 length)
{
	S64(RIP) += length;
}

void npt_on(void)
{
	for (u32 i = 0; i < 512; i++)
		npt_pml4[i] = npt_pdpt[i] = npt_pt[i] = 0;
	npt_pml4[0] = (ulong)npt_pdpt | 7;
	for (u32 i = 0; i < 4; i++)
		npt_pdpt[i] = (ulong)(npt_pd + 512 * i) | 7;
	for (u64 i = 0; i < 4 * 512; i++)
		npt_pd[i] = i << 21 | 0x87;
	C64(NP_ENABLE) = 1;
	C64(NCR3) = (ulong)npt_pml4;
}
