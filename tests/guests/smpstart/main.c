/* SPDX-License-Identifier: MIT */
/*
 * Checks INIT and start-up IPIs: the state in which a CPU begins, which SIPIs count, what INIT keeps, and that no
 * pair of INIT and SIPI gets lost however fast they follow each other (rounds=1000).
 */
#include "smp.h"

#define OTHER_PAGE	0x9000u
#define TSC_ADJUST	0x3b
#define KERNEL_GS_BASE	0xc0000102
#define PATTERN		0x112233445566ull

static volatile u32 nmis[SMP_MAX];
static volatile u64 value, tsc_before;
static u8 xmm[16] __attribute__((aligned(16)));

static void on_nmi(struct regs *regs)
{
	(void)regs;
	atomic_add(&nmis[smp_index()], 1);
}

/* SDM, "Processor State After Reset", the column for INIT. CR0.CD and NW are as they were. */
static void first_state(u32 cpu, const char *name)
{
	struct entry_state entry = *(struct entry_state *)&smp[cpu].entry;

	print(name);
	print("\n");
	check_eq(entry.cs, smp[cpu].page >> 4, "CS is the vector's page");
	check_eq(entry.cr0 & ~0x60000000, 0x10, "CR0 has ET, and CD and NW at most");
	check_eq(entry.cr4, 0, "CR4 is 0");
	check_eq(entry.efer & ~BIT(12), 0, "EFER is 0");
	check_eq(entry.flags, 2, "RFLAGS is 2");
	if (!entry.edx && !hypervisor_present())
		skip("EDX is the processor's signature", "Bochs clears it");
	else
		check_eq(entry.edx, cpuid(1, 0).a, "EDX is the processor's signature");
	check_eq(entry.ds | entry.es | entry.ss | entry.fs | entry.gs, 0, "the data segments are 0");
	check_eq(smp[cpu].svr, 0xff, "the local APIC is software-disabled");
	check_eq(smp[cpu].apic_base >> 8 & 1, 0, "the BSP bit is clear");
	check_eq(smp[cpu].apic_base >> 11 & 1, 1, "the local APIC is enabled");
}

static bool comes(u32 cpu, u32 starts, u32 page)
{
	return wait_until(&smp[cpu].starts, starts + 1, EVENT_MS) && smp[cpu].starts == starts + 1 &&
	       smp[cpu].page == page;
}

static void without_delay(u32 cpu)
{
	u32 rounds = 1000, good = 0;

	cmdline_number("rounds", &rounds);
	for (u32 i = 0; i < rounds && good == i; i++) {
		u32 page = i & 1 ? OTHER_PAGE : TRAMPOLINE, starts = smp[cpu].starts;

		ipi_to(cpu, ICR_INIT | ICR_ASSERT);
		ipi_to(cpu, ICR_SIPI | page >> 12);
		good += comes(cpu, starts, page);
	}
	check_eq(good, rounds, "INIT and SIPI without a delay: it comes up at the vector, once, each time");
}

static void answer(u32 cpu)
{
	(void)cpu;
	value = 1;
}

static void pairs(u32 cpu)
{
	u32 starts;

	starts = smp[cpu].starts;
	ipi_to(cpu, ICR_INIT | ICR_ASSERT);
	delay_us(2000);
	check_eq(smp[cpu].starts, starts, "after INIT it waits");
	ipi_to(cpu, ICR_SIPI | OTHER_PAGE >> 12);
	ipi_to(cpu, ICR_SIPI | TRAMPOLINE >> 12);
	if (qemu_tcg()) {
		skip("of two SIPIs the first counts", "QEMU takes the vector of the last before the CPU runs");
		wait_until(&smp[cpu].starts, starts + 1, EVENT_MS);
	} else {
		check(comes(cpu, starts, OTHER_PAGE), "of two SIPIs the first counts");
	}
	delay_us(2000);
	check_eq(smp[cpu].starts, starts + 1, "the second is ignored");
	ipi_to(cpu, ICR_SIPI | TRAMPOLINE >> 12);
	delay_us(2000);
	check_eq(smp[cpu].starts, starts + 1, "a SIPI to a running CPU is ignored");

	/* Level-triggered INIT with the level de-asserted: ignored since the Pentium 4. */
	ipi_to(cpu, ICR_INIT | ICR_LEVEL);
	delay_us(2000);
	value = 0;
	smp_run(cpu, answer);
	check(smp_wait(cpu) && value == 1 && smp[cpu].starts == starts + 1, "INIT with the level de-asserted does nothing");
	starts = smp[cpu].starts;
	ipi_to(cpu, ICR_INIT | ICR_ASSERT);
	ipi_to(cpu, ICR_INIT | ICR_ASSERT);
	ipi_to(cpu, ICR_SIPI | OTHER_PAGE >> 12);
	check(comes(cpu, starts, OTHER_PAGE), "INIT, INIT, SIPI: it comes up once");
}

static void nmi_while_waiting(u32 cpu)
{
	u32 starts = smp[cpu].starts;

	if (qemu_tcg()) {
		skip("an NMI while it waits for the SIPI", "QEMU lets it end the waiting");
		return;
	}
	nmis[cpu] = 0;
	ipi_to(cpu, ICR_INIT | ICR_ASSERT);
	ipi_to(cpu, ICR_NMI);
	delay_us(2000);
	check_eq(smp[cpu].starts, starts, "an NMI does not end the waiting for a SIPI");
	ipi_to(cpu, ICR_SIPI | TRAMPOLINE >> 12);
	check(comes(cpu, starts, TRAMPOLINE), "... and the SIPI does");
	delay_us(2000);
	check_eq(nmis[cpu], 0, "... and the NMI does not come later");
	ipi_to(cpu, ICR_NMI);
	check(wait_until(&nmis[cpu], 1, EVENT_MS), "the next NMI comes");
}

static void set_state(u32 cpu)
{
	(void)cpu;
	wrmsr(KERNEL_GS_BASE, PATTERN);
	asm volatile("movdqu %0, %%xmm5" : : "m"(xmm));
	if (cpuid(7, 0).b & BIT(1))
		wrmsr(TSC_ADJUST, rdmsr(TSC_ADJUST) + 1);
	apic_write(APIC_TPR, 0x30);
	tsc_before = rdtsc();
}

static void enable_sse(u32 cpu)
{
	(void)cpu;
	WRITE_CR(4, READ_CR(4) | BIT(9));
}

static void get_state(u32 cpu)
{
	enable_sse(cpu);
	asm volatile("movdqu %%xmm5, %0" : "=m"(xmm));
	if (cpuid(7, 0).b & BIT(1))
		value = rdmsr(TSC_ADJUST);
	smp[cpu].svr = apic_read(APIC_TPR);
	tsc_before = rdtsc() - tsc_before;
}

static void set_state_with_sse(u32 cpu)
{
	enable_sse(cpu);
	set_state(cpu);
}

static void read_gs(u32 cpu)
{
	(void)cpu;
	value = rdmsr(KERNEL_GS_BASE);
}

static void on_cpu(u32 cpu, void (*function)(u32))
{
	smp_run(cpu, function);
	smp_wait(cpu);
}

static void kept_by_init(u32 cpu)
{
	u64 adjust = 0;

	for (u32 i = 0; i < sizeof(xmm); i++)
		xmm[i] = i + 1;
	on_cpu(cpu, set_state_with_sse);
	if (cpuid(7, 0).b & BIT(1))
		adjust = rdmsr(TSC_ADJUST) + 1;
	for (u32 i = 0; i < sizeof(xmm); i++)
		xmm[i] = 0;
	smp_start(cpu);
	on_cpu(cpu, get_state);
	check_eq(smp[cpu].svr, 0, "INIT clears TPR");
	check_range(tsc_before, 1, tsc_per_ms() * EVENT_MS * 10, "INIT keeps the TSC");
	if (x2apic && !(smp[cpu].apic_base & BIT(10)) && !hypervisor_present())
		skip("INIT keeps the local APIC's mode", "Bochs goes back to xAPIC mode");
	else
		check_eq(smp[cpu].apic_base >> 10 & 1, x2apic, "INIT keeps the local APIC's mode");
	if (qemu_tcg()) {
		skip("what INIT keeps", "QEMU clears MSRs and the SSE registers");
		return;
	}
	check(xmm[0] == 1 && xmm[15] == 16, "INIT keeps XMM5");
	if (adjust)
		check_eq(value, adjust, "INIT keeps IA32_TSC_ADJUST");
	on_cpu(cpu, read_gs);
	if (!value && !hypervisor_present())
		skip("INIT keeps IA32_KERNEL_GS_BASE", "Bochs clears it");
	else
		check_eq(value, PATTERN, "INIT keeps IA32_KERNEL_GS_BASE");
}

int main(void)
{
	trap_on(NMI, on_nmi);
	smp_init();
	trampoline_at(OTHER_PAGE);
	check_eq(rdmsr(0x1b) >> 8 & 1, 1, "the boot CPU has the BSP bit");
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		first_state(cpu, "a CPU's first state:");
	without_delay(1);
	first_state(1, "after many:");
	pairs(smp_cpus - 1);
	nmi_while_waiting(1);
	kept_by_init(1);
	return 0;
}
