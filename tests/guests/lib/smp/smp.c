/* SPDX-License-Identifier: MIT */
/* The CPUs of the MADT, their start, and the functions that they run. */
#include "smp.h"

struct smp_cpu smp[SMP_MAX];
u32 smp_cpus;
bool x2apic;
u8 smp_index_of[256];			/* by initial APIC ID */
u8 smp_stacks[SMP_MAX * STACK_SIZE] __attribute__((aligned(STACK_SIZE)));

extern const u8 trampoline[], trampoline_end[], trampoline_state[];
void ap_main(u32 cpu, u32 page);

/* A pointer that the compiler takes for no null pointer with an offset. */
static const u8 *at(u64 address)
{
	asm("" : "+r"(address));
	return (const u8 *)address;
}

static bool same(const u8 *a, const char *b, u32 n)
{
	while (n && *a == (u8)*b)
		n--, a++, b++;
	return !n;
}

static const u8 *find_madt(void)
{
	const u8 *rsdp = NULL, *rsdt;

	for (u32 a = 0xe0000; a < 0x100000 && !rsdp; a += 16)
		if (same(at(a), "RSD PTR ", 8))
			rsdp = at(a);
	if (!rsdp && boot_magic != BOOT_MB1 && boot_magic != BOOT_MB2)
		rsdp = at(*(const u64 *)at(boot_info + 32));	/* PVH: rsdp_paddr */
	if (!rsdp)
		return NULL;
	rsdt = at(*(const u32 *)(rsdp + 16));
	for (u32 i = 36; i < *(const u32 *)(rsdt + 4); i += 4) {
		const u8 *table = at(*(const u32 *)(rsdt + i));

		if (same(table, "APIC", 4))
			return table;
	}
	return NULL;
}

static void add_cpu(u32 id)
{
	if (smp_cpus == SMP_MAX || (smp_cpus && id == smp[0].id))
		return;
	smp[smp_cpus].id = id;
	if (id < 256)
		smp_index_of[id] = smp_cpus;
	smp_cpus++;
}

static void on_job(struct regs *regs)
{
	(void)regs;
	apic_write(APIC_EOI, 0);
}

void smp_find(void)
{
	const u8 *madt = find_madt();
	u32 number = 0, most = SMP_MAX;

	if (cmdline_number("x2apic", &number) && number) {
		x2apic = cpuid(1, 0).c & BIT(21);
		if (!x2apic)
			skip("x2APIC mode", "this CPU has none");
	}
	x2apic |= (rdmsr(0x1b) & BIT(10)) != 0;	/* firmware has switched it on */
	trap_on(JOB_VECTOR, on_job);
	apic_on();
	add_cpu(cpuid(1, 0).b >> 24);
	if (madt)
		for (const u8 *e = madt + 44; e < madt + *(const u32 *)(madt + 4); e += e[1])
			if (e[0] == 0 && (e[4] & 1))		/* local APIC, enabled */
				add_cpu(e[3]);
	cmdline_number("cpus", &most);
	if (most && most < smp_cpus)
		smp_cpus = most;
	tsc_per_ms();
}

void trampoline_at(u32 page)
{
	u8 *to = (u8 *)at(page);

	for (u32 i = 0; i < (u32)(trampoline_end - trampoline); i++)
		to[i] = trampoline[i];
}

bool wait_until(volatile u32 *value, u32 least, u32 ms)
{
	u64 end = rdtsc() + tsc_per_ms() * ms;

	while (*value < least && rdtsc() < end)
		pause();
	return *value >= least;
}

bool smp_start_within(u32 cpu, u32 ms)
{
	u32 starts = smp[cpu].starts;

	ipi_to(cpu, ICR_INIT | ICR_ASSERT);
	delay_us(10000);
	ipi_to(cpu, ICR_SIPI | TRAMPOLINE >> 12);
	return wait_until(&smp[cpu].starts, starts + 1, ms);
}

bool smp_start(u32 cpu)
{
	return smp_start_within(cpu, EVENT_MS);
}

void smp_init(void)
{
	u32 came = 0;

	smp_find();
	trampoline_at(TRAMPOLINE);
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		came += smp_start(cpu);
	if (!check_eq(came + 1, smp_cpus, "all CPUs come up"))
		verdict();
	check_range(smp_cpus, 2, SMP_MAX, "there is more than one");
	if (smp_cpus < 2)
		verdict();
}

/* On its own stack, with interrupts off; a CPU gets here again after each INIT and SIPI. */
void ap_main(u32 cpu, u32 page)
{
	struct { u16 limit; ulong base; } __attribute__((packed)) idtr = { sizeof(idt) - 1, (ulong)idt };
	const u32 *noted = (const u32 *)(at(page) + (trampoline_state - trampoline));

	asm volatile("lidt %0" : : "m"(idtr));
	smp[cpu].apic_base = rdmsr(0x1b);
	smp[cpu].svr = smp[cpu].apic_base & BIT(10) ? (u32)rdmsr(0x80f) : lapic_read(APIC_SVR);
	apic_on();
	smp[cpu].entry = *(const struct entry_state *)noted;
	smp[cpu].page = page;
	smp[cpu].job = NULL;
	atomic_add(&smp[cpu].starts, 1);
	for (;;) {
		void (*job)(u32) = smp[cpu].job;

		if (job) {
			job(cpu);
			smp[cpu].job = NULL;
		} else {
			wait_irq();
		}
	}
}

void smp_run(u32 cpu, void (*function)(u32 cpu))
{
	__atomic_store_n(&smp[cpu].job, function, __ATOMIC_SEQ_CST);
	ipi_to(cpu, ICR_FIXED | JOB_VECTOR);
}

bool smp_wait(u32 cpu)
{
	u64 end = rdtsc() + tsc_per_ms() * 600000;

	/* With interrupts off the host's interrupts would not end this CPU's turn in Bochs' SVM, however many wait for it. */
	sti();
	while (smp[cpu].job && rdtsc() < end)
		pause();
	cli();
	return !smp[cpu].job;
}

bool smp_all(void (*function)(u32 cpu))
{
	bool done = true;

	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		smp_run(cpu, function);
	function(0);
	for (u32 cpu = 1; cpu < smp_cpus; cpu++)
		done &= smp_wait(cpu);
	return done;
}

u32 smp_index(void)
{
	ulong sp = (ulong)__builtin_frame_address(0) - (ulong)smp_stacks;

	return sp < sizeof(smp_stacks) ? sp / STACK_SIZE : 0;
}

void barrier(void)
{
	static volatile u32 arrived, generation;
	u32 mine = generation;

	if (atomic_add(&arrived, 1) == smp_cpus) {
		arrived = 0;
		atomic_add(&generation, 1);
	} else {
		while (generation == mine)
			pause();
	}
}

/* The local APIC in either mode. */

u32 apic_read(u32 reg)
{
	return x2apic ? (u32)rdmsr(0x800 + reg / 16) : lapic_read(reg);
}

void apic_write(u32 reg, u32 value)
{
	if (x2apic)
		wrmsr(0x800 + reg / 16, value);
	else
		lapic_write(reg, value);
}

void apic_on(void)
{
	if (x2apic)
		wrmsr(0x1b, rdmsr(0x1b) | BIT(11) | BIT(10));
	apic_write(APIC_SVR, 0x1ff);
}

void ipi(u32 id, u32 icr)
{
	if (x2apic) {
		asm volatile("mfence; lfence" : : : "memory");
		wrmsr(0x830, (u64)id << 32 | icr);
		return;
	}
	lapic_write(APIC_ICR2, id << 24);
	lapic_write(APIC_ICR, icr);
	for (u32 i = 0; i < 1000000 && (lapic_read(APIC_ICR) & ICR_PENDING); i++)
		pause();
}

void ipi_to(u32 cpu, u32 icr)
{
	ipi(smp[cpu].id, icr);
}
