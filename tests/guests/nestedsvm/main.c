/* SPDX-License-Identifier: MIT */
/*
 * A hypervisor: what its guest does and what ends it, by AMD's manual. The same on a bare processor and in a VM with
 * nested=on. AMD APM vol. 2, "Secure Virtual Machine".
 */
#include "l2.h"
#include "svm.h"

static bool nrip_save, npt, pause_filter;
static u64 page[512] __attribute__((aligned(4096)));

static void instructions(void)
{
	u64 value;

	check_eq(TRY("vmrun", : : "a"(vmcb) : "memory"), UD, "VMRUN with EFER.SVME clear");
	check_eq(TRY("vmload", : : "a"(vmcb) : "memory"), UD, "VMLOAD with EFER.SVME clear");
	check_eq(TRY("clgi", : : : "memory"), UD, "CLGI with EFER.SVME clear");
	check_eq(try_rdmsr(VM_CR, &value), NO_TRAP, "VM_CR can be read");
	check_eq(value & BIT(4), 0, "... SVM is not disabled");
	/* Neither emulator lets SVMDIS be set. */
	if (hypervisor_present()) {
		wrmsr(VM_CR, BIT(4));
		check_eq(try_wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME), GP, "EFER.SVME cannot be set with VM_CR.SVMDIS");
		wrmsr(VM_CR, 0);
	}
	svm_on();
	check_eq(rdmsr(MSR_EFER) & EFER_SVME, EFER_SVME, "EFER.SVME keeps its value");
	check_eq(TRY("vmload", : : "a"(vmcb + 8) : "memory"), GP, "VMLOAD of an address that is not aligned");
	check_eq(TRY("vmrun", : : "a"(1ull << 62) : "memory"), GP, "VMRUN of an address beyond the physical ones");
	check_eq(TRY("vmsave", : : "a"(vmcb) : "memory"), NO_TRAP, "VMSAVE");
	check_eq(TRY("invlpga %%rax, %%ecx", : : "a"(0), "c"(1) : "memory"), NO_TRAP, "INVLPGA");
}

static void exits(void)
{
	ulong at = (ulong)l2_cpuid + 5;

	begin(l2_cpuid);
	C32(INTERCEPT_1) |= I_CPUID;
	check_eq(run(), EXIT_CPUID, "CPUID exits");
	check_eq(S64(RIP), at, "... at the instruction");
	check_eq(S64(RAX), 1, "... with RAX in the VMCB");
	check_eq(C64(EXIT_INT_INFO) & BIT(31), 0, "... no event is interrupted");
	if (nrip_save)
		check_eq(C64(NEXT_RIP), at + 2, "... and the next RIP is saved");
	else
		skip("... and the next RIP is saved", "the processor does not save it");
	skip_bytes(2);
	check_eq(run(), EXIT_VMMCALL, "... and goes on");
	check_eq(S64(RIP), at + 2, "... behind it");

	begin(l2_cpuid);
	check_eq(run(), EXIT_VMMCALL, "CPUID without an intercept");
	check_eq(S64(RAX) & 0xffffffff, cpuid(1, 0).a, "... gives what it gives to the hypervisor");

	begin(l2_registers);
	l2 = (struct registers){ 1, 2, 3, 4, 5, 6, 7, .r15 = 8 };
	check_eq(run(), EXIT_VMMCALL, "registers");
	check_eq(~l2.rbx, 1, "... RBX");
	check_eq(~l2.rcx, 2, "... RCX");
	check_eq(~l2.rbp, 6, "... RBP");
	check_eq(~l2.r15, 8, "... R15");

	begin(l2_hlt);
	C32(INTERCEPT_1) |= I_HLT;
	check_eq(run(), EXIT_HLT, "HLT exits");
	begin(l2_pauses);
	C32(INTERCEPT_1) |= I_PAUSE;
	check_eq(run(), EXIT_PAUSE, "PAUSE exits");
	check_eq(l2.rcx, 100, "... the first one");
	if (pause_filter) {
		begin(l2_pauses);
		C32(INTERCEPT_1) |= I_PAUSE;
		*(volatile u16 *)(vmcb + PAUSE_COUNT) = 1000;
		check_eq(run(), EXIT_VMMCALL, "the filter lets a hundred of them through");
		*(volatile u16 *)(vmcb + PAUSE_COUNT) = 50;
		check_eq(run_from(l2_pauses), EXIT_PAUSE, "... or half of them");
		check_range(l2.rcx, 49, 51, "... and then one exits");
	} else {
		skip("the filter of PAUSE", "the processor has none");
	}
	begin(l2_vmrun);
	check_eq(run(), EXIT_VMRUN, "VMRUN exits");
	begin(l2_stgi);
	C32(INTERCEPT_2) |= I_STGI;
	check_eq(run(), EXIT_STGI, "STGI exits");
	begin(l2_shutdown);
	check_eq(run(), EXIT_SHUTDOWN, "a triple fault exits");
}

static void maps(void)
{
	begin(l2_out);
	C32(INTERCEPT_1) |= I_IOIO;
	check_eq(run(), EXIT_VMMCALL, "ports that the map leaves alone");
	iopm[0x80 / 8] = 1;
	check_eq(run_from(l2_out), EXIT_IOIO, "OUT exits");
	check_eq(C64(EXIT_INFO1) & ~0x1f80ull, 0x80 << 16 | BIT(4), "... with port and size");
	check_eq(C64(EXIT_INFO2), (ulong)l2_out + 4, "... and the next RIP");
	iopm[0x80 / 8] = 0;
	iopm[0x3ff / 8] = 1 << 7;
	check_eq(run_from(l2_out), EXIT_IOIO, "IN exits");
	check_eq(C64(EXIT_INFO1) & ~0x1f80ull, 0x3ff << 16 | BIT(4) | BIT(0), "... with port, size and direction");
	iopm[0x3ff / 8] = 0;
	iopm[0x80 / 8] = 1;
	check_eq(run_from(l2_in_cross), EXIT_IOIO, "IN exits for its last byte");

	begin(l2_rdmsr);
	C32(INTERCEPT_1) |= I_MSR;
	check_eq(run(), EXIT_VMMCALL, "an MSR that the map leaves alone");
	check_eq(S64(RAX) & 0xffffffff, (u32)rdmsr(MSR_EFER), "... EFER, with SVME");
	msrpm[0x800 + 0x80 / 4] = 1;
	check_eq(run_from(l2_rdmsr), EXIT_MSR, "RDMSR exits");
	check_eq(C64(EXIT_INFO1), 0, "... as a read");
	check_eq(run_from(l2_wrmsr_lstar), EXIT_VMMCALL, "LSTAR");
	check_eq(S64(RAX), 0x12345678, "... is written and read");
	check_eq(S64(LSTAR), 0x12345678, "... and saved by VMSAVE");
	msrpm[0x800 + 0x82 / 4] = 2 << 4;
	check_eq(run_from(l2_wrmsr_lstar), EXIT_MSR, "WRMSR exits");
	check_eq(C64(EXIT_INFO1), 1, "... as a write");
}

static void control_registers(void)
{
	begin(l2_cr3);
	C32(INTERCEPT_CR) = BIT(16 + 3);
	check_eq(run(), EXIT_CR3_WRITE, "MOV to CR3 exits");
	begin(l2_cr3);
	check_eq(run(), EXIT_VMMCALL, "MOV to CR3");
	begin(l2_cr0);
	C32(INTERCEPT_1) |= I_CR0_SELECTIVE;
	check_eq(run(), EXIT_CR0_SELECTIVE, "MOV to CR0 exits");
	check_eq(S64(CR0), READ_CR(0) | BIT(3), "... where it changes more than TS");
	begin(l2_cr0);
	C32(INTERCEPT_CR) = BIT(16);
	C32(INTERCEPT_1) |= I_CR0_SELECTIVE;
	check_eq(run(), EXIT_CR0_WRITE, "the intercept of all writes comes first");
	begin(l2_clts);
	S64(CR0) |= BIT(3);
	check_eq(run(), EXIT_VMMCALL, "CLTS");
	check_eq(S64(CR0) & BIT(3), 0, "... clears TS");

	begin(l2_cr8);
	C64(VINTR) = V_INTR_MASKING | 3;
	check_eq(run(), EXIT_VMMCALL, "CR8 with V_INTR_MASKING");
	check_eq(l2.rbx, 3, "... reads V_TPR");
	check_eq(S64(RAX), 5, "... keeps what is written");
	check_eq(C64(VINTR) & 0xff, 5, "... in V_TPR");
	ulong tpr = lapic_read(0x80);
	check_eq(tpr, 0, "... and not in the hypervisor's APIC");
	begin(l2_cr8);
	check_eq(run(), EXIT_VMMCALL, "CR8 without");
	check_eq(lapic_read(0x80), 0x50, "... is the hypervisor's APIC's");
	lapic_write(0x80, 0);

	begin(l2_rdtsc);
	u64 before = rdtsc();
	C64(TSC_OFFSET) = 1ull << 50;
	check_eq(run(), EXIT_VMMCALL, "RDTSC");
	check_range(S64(RAX) - (1ull << 50), before, rdtsc(), "... with the offset");
}

static u32 interrupts;
static void count_interrupt(struct regs *regs)
{
	interrupts++;
	(void)regs;
}

static void exceptions(void)
{
	begin(l2_ud);
	C32(INTERCEPT_EXCEPTIONS) = BIT(UD);
	check_eq(run(), EXIT_EXCEPTION + UD, "#UD exits");
	check_eq(S64(RIP), (ulong)l2_ud, "... at the instruction");
	begin(l2_read);
	C32(INTERCEPT_EXCEPTIONS) = BIT(PF);
	l2.rbx = 0x123456789000;
	S64(CR2) = 0x77;
	check_eq(run(), EXIT_EXCEPTION + PF, "#PF exits");
	check_eq(C64(EXIT_INFO1), 0, "... with its error code");
	check_eq(C64(EXIT_INFO2), 0x123456789000, "... and its address");
	if (S64(CR2) || hypervisor_present())
		check_eq(S64(CR2), 0x77, "... and CR2 is not written");
	else
		skip("... and CR2 is not written", "Bochs does not load CR2 at VMRUN");
}

static struct regs seen;
static void see(struct regs *regs)
{
	seen = *regs;
}

/* What is injected arrives through the guest's IDT, which is the hypervisor's, too. */
static void injection(void)
{
	trap_on(GP, see);
	trap_on(0x80, see);
	begin(l2_nothing);
	C64(EVENT_INJECTION) = EVENT(3, GP) | EVENT_CODE(0x1234);
	seen.vector = 0;
	check_eq(run(), EXIT_VMMCALL, "an injected #GP");
	check_eq(seen.vector, GP, "... arrives");
	check_eq(seen.error, 0x1234, "... with its error code");
	check_eq(seen.ip, (ulong)l2_nothing, "... before the first instruction");
	check_eq(C64(EVENT_INJECTION) & BIT(31), 0, "... once");
	begin(l2_nothing);
	C64(EVENT_INJECTION) = EVENT(0, 0x80);
	S64(RFLAGS) |= RFLAGS_IF;
	seen.vector = 0;
	check_eq(run(), EXIT_VMMCALL, "an injected interrupt");
	check_eq(seen.vector, 0x80, "... arrives");
	begin(l2_int80);
	seen.vector = 0;
	check_eq(run(), EXIT_VMMCALL, "INT n in the guest");
	check_eq(seen.ip, (ulong)l2_int80 + 2, "... goes through its IDT");
	trap_on(GP, NULL);

	begin(l2_sti);
	C64(VINTR) = V_IRQ | V_PRIORITY(15) | V_IGNORE_TPR | V_VECTOR(0x80);
	seen.vector = 0;
	check_eq(run(), EXIT_VMMCALL, "a virtual interrupt");
	check_eq(seen.vector, 0x80, "... arrives when IF is set");
	begin(l2_sti);
	C64(VINTR) = V_IRQ | V_PRIORITY(15) | V_IGNORE_TPR | V_VECTOR(0x80);
	C32(INTERCEPT_1) |= I_VINTR;
	seen.vector = 0;
	check_eq(run(), EXIT_VINTR, "an intercepted virtual interrupt exits");
	check_eq(seen.vector, 0, "... and does not arrive");
	trap_on(0x80, NULL);
}

static void invalid(void)
{
	static const struct {
		const char *what;
		u32 offset;
		u64 clear, set;
	} cases[] = {
		{ "EFER.SVME clear", 0x400 + EFER, EFER_SVME, 0 },
		{ "CR0.NW without CD", 0x400 + CR0, 0, BIT(29) },
		{ "CR0 with high bits", 0x400 + CR0, 0, BIT(32) },
		{ "CR4 with a reserved bit", 0x400 + CR4, 0, BIT(63) },
		{ "DR7 with high bits", 0x400 + DR7, 0, BIT(40) },
		{ "long mode without PAE", 0x400 + CR4, BIT(5), 0 },
		{ "VMRUN not intercepted", INTERCEPT_2, I_VMRUN, 0 },
		{ "an ASID of 0", ASID, ~0u, 0 },
		{ "an event of type 1", EVENT_INJECTION, 0, EVENT(1, 0x20) },
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(l2_nothing);
		C64(cases[i].offset) = (C64(cases[i].offset) & ~cases[i].clear) | cases[i].set;
		/* QEMU stores 32 bits. */
		check_eq((u32)run(), (u32)EXIT_INVALID, cases[i].what);
	}
}

static void irq_handler(struct regs *regs)
{
	count_interrupt(regs);
	lapic_write(0xb0, 0);
}

static void send_self(void)
{
	lapic_write(0x310, 0);
	lapic_write(0x300, 0x40000 | 0x90);
}

static void interrupt_exits(void)
{
	lapic_write(0xf0, 0x1ff);
	trap_on(0x90, irq_handler);
	interrupts = 0;
	begin(l2_spin);
	C32(INTERCEPT_1) |= I_INTR;
	C64(VINTR) = V_INTR_MASKING;
	asm volatile("clgi");
	send_self();
	for (u32 i = 0; i < 100; i++)
		pause();
	sti();
	for (u32 i = 0; i < 100; i++)
		pause();
	cli();
	check_eq(interrupts, 0, "no interrupt while GIF is 0");
	S64(RFLAGS) |= RFLAGS_IF;
	vmrun_with_gif();
	check_eq(C64(EXIT_CODE), EXIT_INTR, "a pending interrupt ends the guest");
	check_eq(interrupts, 0, "... and stays pending");
	sti();
	for (u32 i = 0; i < 100 && !interrupts; i++)
		pause();
	cli();
	check_eq(interrupts, 1, "... until the hypervisor takes it");
	trap_on(0x90, NULL);
}

/* The host's EFER.NXE decides whether a fetch is told from a read. It has no SMEP. */
static void fetch_from(void *absent, bool nxe)
{
	u64 before = rdmsr(0xc0000080);

	wrmsr(0xc0000080, nxe ? before | BIT(11) : before & ~BIT(11));
	check_eq(run_from(absent), EXIT_NPF, nxe ? "a fetch, with NX" : "a fetch");
	if (nxe || !(C64(EXIT_INFO1) & BIT(4)) || hypervisor_present())
		check_eq(C64(EXIT_INFO1), BIT(32) | BIT(2) | (nxe ? BIT(4) : 0), "... the access");
	else
		skip("... the access", "Bochs tells it always");
	wrmsr(0xc0000080, before);
}

static void nested_paging(void)
{
	ulong large = (ulong)page >> 21, small = (ulong)page >> 12 & 511;

	if (!npt) {
		skip("nested paging", "the processor does not have it");
		return;
	}
	begin(l2_read);
	npt_on();
	page[0] = 0x1122334455667788;
	l2.rbx = (ulong)page;
	check_eq(run(), EXIT_VMMCALL, "nested paging");
	check_eq(S64(RAX), page[0], "... reads");

	for (u64 i = 0; i < 512; i++)
		npt_pt[i] = large << 21 | i << 12 | 7;
	npt_pd[large] = (ulong)npt_pt | 7;
	npt_pt[small] = 0;
	C8(TLB_CONTROL) = 1;
	fetch_from(page, false);
	fetch_from(page, true);
	check_eq(run_from(l2_read), EXIT_NPF, "a page that is not present");
	check_eq(C64(EXIT_INFO1), BIT(32) | BIT(2), "... the access");
	check_eq(C64(EXIT_INFO2) & ~0xfffull, (ulong)page, "... and its address");
	check_eq(S64(RIP), (ulong)l2_read, "... at the instruction");
	npt_pt[small] = (ulong)page | 5;
	check_eq(run(), EXIT_VMMCALL, "... is present now");
	check_eq(S64(RAX), page[0], "... and is read");
	check_eq(npt_pt[small] & 0x60, 0x20, "... which sets the accessed bit");
	S64(RAX) = 5;
	check_eq(run_from(l2_write), EXIT_NPF, "a page that is read-only");
	check_eq(C64(EXIT_INFO1), BIT(32) | 7, "... the access");
	npt_pt[small] = (ulong)page | 7;
	C8(TLB_CONTROL) = 1;
	check_eq(run(), EXIT_VMMCALL, "... can be written now");
	check_eq(page[0], 5, "... and is");
	check_eq(npt_pt[small] & 0x60, 0x60, "... which sets the dirty bit");
	npt_pt[small] = (ulong)vmcb | 7;
	C8(TLB_CONTROL) = 1;
	check_eq(run_from(l2_read), EXIT_VMMCALL, "another page");
	check_eq(S64(RAX), C64(0), "... is seen after a flush");
	npt_pt[small] = 1ull << 51 | 7;
	C8(TLB_CONTROL) = 1;
	check_eq(run_from(l2_read), EXIT_NPF, "a reserved bit");
	npt_pd[large] = large << 21 | 0x87;
}

static u32 debugs;
static ulong debug_ip, debug_dr6;
extern u8 step_vmrun[], step_behind[];

/* The step ends behind the instruction; a breakpoint on it is passed by once. */
static void on_debug(struct regs *regs)
{
	debugs++;
	debug_ip = regs->ip;
	asm volatile("mov %%dr6, %0" : "=r"(debug_dr6));
	regs->flags = (regs->flags & ~BIT(8)) | BIT(16);
}

/* Its guest changes what CPUID changes. */
static void vmrun_with_flags(ulong flags)
{
	debugs = 0;
	asm volatile("mov %0, %%dr6" : : "r"(0xffff0ff0ul));
	asm volatile("pushfq; or %0, (%%rsp); popfq; step_vmrun: vmrun %%rax; step_behind: pushfq; and %1, (%%rsp); popfq; stgi"
		     : : "r"(flags), "r"(~BIT(8)), "a"(vmcb) : "memory", "cc", "rbx", "rcx", "rdx");
}

/* APM vol. 2, "VMRUN Instruction": EFLAGS.TF traps after the #VMEXIT; EFLAGS.RF holds a breakpoint back, and is cleared. */
static void debugged(void)
{
	ulong dr7;

	if (!hypervisor_present()) {
		skip("single steps and breakpoints of VMRUN", "the emulators differ");
		return;
	}
	trap_on(DB, on_debug);
	begin(l2_cpuid);
	vmrun_with_flags(BIT(8));
	check_eq(C64(EXIT_CODE), EXIT_VMMCALL, "VMRUN in single steps");
	check_eq(debugs, 1, "... traps once");
	check_eq(debug_ip, (ulong)step_behind, "... behind it");
	check_eq(debug_dr6 & 0x600f, BIT(14), "... as a step");
	begin(l2_cpuid);
	asm volatile("mov %0, %%dr0; mov %1, %%dr7" : : "r"(step_vmrun), "r"(0x402ul));
	vmrun_with_flags(0);
	check_eq(C64(EXIT_CODE), EXIT_VMMCALL, "VMRUN with a breakpoint");
	check_eq(debugs, 1, "... which hits once");
	check_eq(debug_ip, (ulong)step_vmrun, "... before it");
	asm volatile("mov %%dr7, %0" : "=r"(dr7));
	check_eq(dr7, 0x400, "... and is off after the exit");
	trap_on(DB, NULL);
}

static void efer(void)
{
	begin(l2_efer);
	C32(INTERCEPT_1) |= I_MSR;
	msrpm[0x800 + 0x80 / 4] = 2;
	check_eq(run(), EXIT_MSR, "a write of EFER exits");
}

int main(void)
{
	u32 features;

	check(cpuid(0x80000001, 0).c & BIT(2), "CPUID announces SVM");
	check(cpuid(0x80000000, 0).a >= 0x8000000a, "... and has its leaf");
	check(cpuid(0x8000000a, 0).b >= 2, "... with ASIDs");
	features = cpuid(0x8000000a, 0).d;
	npt = features & BIT(0);
	nrip_save = features & BIT(3);
	pause_filter = features & BIT(10);
	instructions();
	exits();
	maps();
	control_registers();
	exceptions();
	injection();
	invalid();
	interrupt_exits();
	nested_paging();
	hostile(npt);
	debugged();
	efer();
	return 0;
}
