/* SPDX-License-Identifier: MIT */
/*
 * Starting and parking CPUs. Intel SDM, "MP Initialization Protocol Algorithm for MP Systems".
 *
 * A CPU that is being started takes no lock and logs nothing, because the boot CPU may send it INIT
 * at any time. It says what it has to say by its struct percpu.
 */
#include "boot/cpus.h"

#include "arch/acpi/acpi.h"
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/bootinfo/bootinfo.h"
#include "arch/cpu/control.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/gdt.h"
#include "arch/cpu/identity.h"
#include "arch/cpu/msr_settings.h"
#include "arch/cpu/mtrr.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/topology.h"
#include "arch/cpu/x86.h"
#include "arch/fault/machine_check.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/trap.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/time/clock.h"
#include "boot/microcode.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/printf.h"
#include "lib/string.h"

#define INIT_DELAY_US	 10000u
#define STARTUP_DELAY_US 200u
#define INIT_ARRIVES_US	 1000u		/* even at a CPU that is slow to take it */
#define ANSWER_US	 1000000u	/* for a CPU to arrive, and for each further step */
#define STOP_US		 1000000u	/* below another hypervisor a CPU may have to wait for its turn */
#define TSC_ROUNDS	 32
#define NO_REQUEST	 (~0u)

extern const char trampoline_start[], trampoline_end[];
extern struct percpu *trampoline_cpu;	/* boot/trampoline.asm */
extern u64 boot_pml4[], boot_unhidden;	/* boot/entry.asm */

void cpu_arrived(struct percpu *cpu);

static struct cpu_identity boot_identity;
static struct mtrr_state boot_mtrrs;
/* The boot CPU writes it before it sets CPU_CALLED, and again only when the CPU has answered. */
static struct {
	int (*prepare)(struct percpu *cpu);
	void (*work)(struct percpu *cpu);
} job;
static u32 tsc_request = NO_REQUEST;	/* atomic; index of the CPU that is asked for its TSC */

/* --- on the CPU that starts --- */

static void set_state(struct percpu *cpu, enum cpu_state state)
{
	__atomic_store_n(&cpu->state, state, __ATOMIC_RELEASE);
}

static enum cpu_state state_of(const struct percpu *cpu)
{
	return __atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE);
}

/* False: it is in another state. */
static bool change_state(struct percpu *cpu, u32 from, u32 to)
{
	return __atomic_compare_exchange_n(&cpu->state, &from, to, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

/* Interrupts stay off. NMIs and machine checks come through, and system management mode. */
static void __noreturn park_for_good(struct percpu *cpu, enum cpu_state state)
{
	set_state(cpu, state);
	for (;;)
		__asm__ volatile("hlt" : : : "memory");
}

/* Between two pieces of work. Whoever sets the state to CPU_CALLED then sends an interrupt. */
static void __noreturn park(struct percpu *cpu)
{
	for (;;) {
		void (*work)(struct percpu *cpu);

		set_state(cpu, CPU_PARKED);
		while (state_of(cpu) != CPU_CALLED)
			irq_wait();
		work = job.work;
		if (job.prepare(cpu))
			park_for_good(cpu, CPU_LEFT_OUT);
		/* The boot CPU may have given it up meanwhile. */
		if (!change_state(cpu, CPU_CALLED, CPU_ONLINE))
			park_for_good(cpu, CPU_LEFT_OUT);
		work(cpu);
	}
}

static u64 rdtsc_ordered(void)
{
	__asm__ volatile("mfence; lfence" : : : "memory");	/* on some of AMD's LFENCE alone does not wait */
	return rdtsc();
}

/* Without CR4.MCE a machine check that all CPUs get would reset the machine. */
static void __noreturn leave_out(struct percpu *cpu)
{
	if (cpuid(1).edx & BIT(7))
		write_cr4(read_cr4() | CR4_MCE);
	park_for_good(cpu, CPU_LEFT_OUT);
}

/* Answer until the boot CPU is content: it asks TSC_ROUNDS times, or gives up and sends INIT. */
static void answer_tsc_requests(struct percpu *cpu)
{
	for (unsigned round = 0; round < TSC_ROUNDS; round++) {
		while (__atomic_load_n(&tsc_request, __ATOMIC_ACQUIRE) != cpu->index)
			cpu_relax();
		__atomic_store_n(&tsc_request, NO_REQUEST, __ATOMIC_RELAXED);
		__atomic_store_n(&cpu->tsc_reply, rdtsc_ordered(), __ATOMIC_RELEASE);
	}
}

/* False: cpu->left_out says why this CPU cannot be used. */
static bool set_up(struct percpu *cpu)
{
	struct cpu_identity identity;

	if (lapic_init_secondary()) {
		str_copy(cpu->left_out, "its local APIC is at another address, or has another mode", sizeof(cpu->left_out));
		return false;
	}
	if (lapic_id() != cpu->apic_id) {
		snprintf(cpu->left_out, sizeof(cpu->left_out), "its local APIC has the id %u", lapic_id());
		return false;
	}
	mtrr_write(&boot_mtrrs);
	cpu->microcode_found = cpu_microcode_read();
	microcode_load();
	cpu_identity_read(&identity);
	cpu->microcode = identity.microcode;
	if (!cpu_identity_matches(&boot_identity, &identity, cpu->left_out, sizeof(cpu->left_out)))
		return false;
	return true;
}

/* Called by boot/trampoline.asm on the CPU's own stack, in the final address space. */
void cpu_arrived(struct percpu *cpu)
{
	gdt_load(cpu);
	trap_load();
	set_state(cpu, CPU_ARRIVED);
	/* Compared before it is used: control_init() takes the boot CPU's features for granted. */
	if (!set_up(cpu))
		leave_out(cpu);
	control_init();
	msr_settings_apply(cpu);
	machine_check_init_cpu();
	set_state(cpu, CPU_READY);
	answer_tsc_requests(cpu);
	park(cpu);
}

/* --- on the boot CPU --- */

static void wait_us(u64 us)
{
	u64 end = clock_deadline_us(us);

	while (!clock_expired(end))
		cpu_relax();
}

static bool wait_for_state(const struct percpu *cpu, enum cpu_state state, u64 us)
{
	u64 end = clock_deadline_us(us);

	while (state_of(cpu) < state) {
		if (clock_expired(end))
			return false;
		cpu_relax();
	}
	return true;
}

/* Its reading lies between two of the boot CPU's, or it is out of step: returns by how many ticks. */
static bool compare_tsc_once(struct percpu *cpu, s64 *off)
{
	u64 end = clock_deadline_us(ANSWER_US), before, after, reply;

	__atomic_store_n(&cpu->tsc_reply, 0, __ATOMIC_RELAXED);
	before = rdtsc_ordered();
	__atomic_store_n(&tsc_request, cpu->index, __ATOMIC_RELEASE);
	while (!(reply = __atomic_load_n(&cpu->tsc_reply, __ATOMIC_ACQUIRE))) {
		if (clock_expired(end))
			return false;
		cpu_relax();
	}
	after = rdtsc_ordered();
	*off = (s64)(reply - before) < 0 ? (s64)(reply - before) :
	       (s64)(reply - after) > 0 ? (s64)(reply - after) : 0;
	return true;
}

/* All rounds, whatever they say: the CPU counts them. False: it stopped answering. */
static bool compare_tsc(struct percpu *cpu, s64 *worst)
{
	s64 off;

	*worst = 0;
	for (unsigned round = 0; round < TSC_ROUNDS; round++) {
		if (!compare_tsc_once(cpu, &off))
			return false;
		*worst = off ? off : *worst;
	}
	return true;
}

/* INIT keeps it from running later, when its stack and the page may be something else's. */
static void give_up(struct percpu *cpu, const char *what)
{
	lapic_send_init(cpu->apic_id);
	wait_us(INIT_ARRIVES_US);
	__atomic_store_n(&trampoline_cpu, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&tsc_request, NO_REQUEST, __ATOMIC_RELEASE);
	set_state(cpu, CPU_LOST);
	log_warn("CPU %u (APIC id %u) is left out: it %s", cpu->index, cpu->apic_id, what);
}

static bool arrive(struct percpu *cpu, hpa_t page)
{
	__atomic_store_n(&trampoline_cpu, cpu, __ATOMIC_RELEASE);
	lapic_send_startup(cpu->apic_id, page);
	if (wait_for_state(cpu, CPU_ARRIVED, STARTUP_DELAY_US))
		return true;
	lapic_send_startup(cpu->apic_id, page);
	return wait_for_state(cpu, CPU_ARRIVED, ANSWER_US);
}

/* True: it is parked, and could run guests. */
static bool start(struct percpu *cpu, hpa_t page)
{
	s64 off;

	if (!arrive(cpu, page)) {
		give_up(cpu, "did not answer the start-up IPI within a second");
		return false;
	}
	if (!wait_for_state(cpu, CPU_READY, ANSWER_US)) {
		give_up(cpu, "did not come through its set-up within a second");
		return false;
	}
	machine_check_report_old(cpu->index);
	if (state_of(cpu) == CPU_LEFT_OUT) {
		log_warn("CPU %u (APIC id %u) is left out: %s", cpu->index, cpu->apic_id, cpu->left_out);
	} else if (!compare_tsc(cpu, &off) || !wait_for_state(cpu, CPU_PARKED, ANSWER_US)) {
		give_up(cpu, "stopped answering while its time stamp counter was compared");
	} else if (off) {
		log_warn("CPU %u (APIC id %u) is left out: its time stamp counter is %lld ticks %s", cpu->index,
			 cpu->apic_id, (long long)(off < 0 ? -off : off), off < 0 ? "behind" : "ahead");
		set_state(cpu, CPU_LEFT_OUT);
	} else {
		if (cpu->microcode != boot_identity.microcode)
			log_warn("CPU %u has microcode revision 0x%x, and the boot CPU 0x%x", cpu->index, cpu->microcode,
				 boot_identity.microcode);
		if (cpu->microcode != cpu->microcode_found)
			log_info("CPU %u: microcode revision 0x%x, updated to 0x%x", cpu->index, cpu->microcode_found,
				 cpu->microcode);
		msr_settings_report(cpu);
		return true;
	}
	return false;
}

/* RAM for the trampoline: the highest page below 640 KiB that no module lies in. 0: none. */
static bool holds_module(hpa_t page)
{
	for (unsigned i = 0; i < boot_info.modules; i++) {
		const struct boot_module *m = &boot_info.module[i];

		if (m->start < page + PAGE_SIZE && page < m->start + m->size)
			return true;
	}
	return false;
}

static hpa_t find_low_page(void)
{
	for (hpa_t page = KIB(640) - PAGE_SIZE; page >= PAGE_SIZE; page -= PAGE_SIZE) {
		if (boot_info_is_ram(page, PAGE_SIZE) && !holds_module(page))
			return page;
	}
	return 0;
}

/* The page must hold the trampoline before the first start-up IPI, and until the last CPU has left it. */
static bool write_trampoline(hpa_t page)
{
	char *at = phys_window(PHYS_WINDOW_SCRUB, page, PAGE_SIZE);
	u32 page_tables = (u32)image_to_phys(boot_pml4);

	if (!at)
		return false;
	memcpy(at, trampoline_start, (size_t)(trampoline_end - trampoline_start));
	memcpy(at + 4, &page_tables, sizeof(page_tables));
	memcpy(at + 8, &boot_unhidden, sizeof(boot_unhidden));
	phys_window_close(PHYS_WINDOW_SCRUB);
	return true;
}

/* Each CPU costs some 50 KiB: leave half of the pool for the VMs. */
static bool memory_is_left(void)
{
	struct memory_stats stats;

	memory_stats(&stats);
	return stats.pool_used < stats.pool / 2;
}

static void create_cpus(void)
{
	u32 own = this_cpu()->apic_id;

	for (u32 i = 0; i < acpi_madt.cpus; i++) {
		if (acpi_madt.cpu[i] == own)
			continue;
		if (!lapic_reaches(acpi_madt.cpu[i])) {
			log_warn("the CPU with APIC id %u is left out: in xAPIC mode ids end at 254", acpi_madt.cpu[i]);
			continue;
		}
		if (!memory_is_left() || !percpu_create(acpi_madt.cpu[i])) {
			log_warn("no memory to start more than %u CPUs", percpu_count());
			return;
		}
	}
}

/* INIT for all first: they wait together. */
static void init_cpus(void)
{
	for (u32 i = 1; i < percpu_count(); i++)
		lapic_send_init(percpu_get(i)->apic_id);
	wait_us(INIT_DELAY_US);
}

/* --- the report --- */

static bool is_usable(const struct percpu *cpu)
{
	return cpu->index == 0 || state_of(cpu) == CPU_PARKED;
}

bool cpus_is_parked(const struct percpu *cpu)
{
	return state_of(cpu) == CPU_PARKED;
}

/* How many of the usable CPUs are the first with what `shift` leaves of their APIC ids? */
static u32 count_groups(u8 shift)
{
	u32 groups = 0, other;

	for (u32 i = 0; i < percpu_count(); i++) {
		for (other = 0; other < i; other++) {
			if (is_usable(percpu_get(other)) &&
			    percpu_get(other)->apic_id >> shift == percpu_get(i)->apic_id >> shift)
				break;
		}
		groups += is_usable(percpu_get(i)) && other == i;
	}
	return groups;
}

static void report(u32 usable)
{
	struct cpu_topology topology = cpu_topology_read();

	for (u32 i = 0; i < percpu_count(); i++) {
		const struct percpu *cpu = percpu_get(i);

		if (is_usable(cpu))
			log_debug("CPU %u: APIC id %u, package %u, core %u, thread %u", i, cpu->apic_id,
				  cpu_package_of(topology, cpu->apic_id), cpu_core_of(topology, cpu->apic_id),
				  cpu_thread_of(topology, cpu->apic_id));
	}
	log_info("CPUs: %u of %u can be used (packages: %u, cores: %u)",
		 usable, percpu_count(), count_groups(topology.package_bits), count_groups(topology.thread_bits));
}

void cpus_start(void)
{
	hpa_t page = find_low_page();
	u32 usable = 1;

	create_cpus();
	if (percpu_count() == 1)
		return;
	if (!page || !write_trampoline(page)) {
		log_warn("CPUs: no usable page below 640 KiB to start %u more by: they stay as the firmware left them",
			 percpu_count() - 1);
		return;
	}
	mtrr_read(&boot_mtrrs);
	cpu_identity_read(&boot_identity);
	init_cpus();
	for (u32 i = 1; i < percpu_count(); i++)
		usable += start(percpu_get(i), page);
	report(usable);
}

/* --- work --- */

bool cpus_run(struct percpu *cpu, int (*prepare)(struct percpu *cpu), void (*work)(struct percpu *cpu))
{
	u64 end = clock_deadline_us(ANSWER_US);
	enum cpu_state state;

	job.prepare = prepare;
	job.work = work;
	set_state(cpu, CPU_CALLED);
	lapic_send_fixed(cpu->apic_id, IRQ_VECTOR_KICK);
	while ((state = state_of(cpu)) == CPU_CALLED && !clock_expired(end))
		cpu_relax();
	/* From now on it parks itself if it comes to life again: INIT may not reach it. */
	if (state == CPU_CALLED && change_state(cpu, CPU_CALLED, CPU_LOST))
		log_warn("CPU %u (APIC id %u) is left out: it does not answer any more", cpu->index, cpu->apic_id);
	else if (state_of(cpu) == CPU_LEFT_OUT)
		log_warn("CPU %u (APIC id %u) is left out, see above", cpu->index, cpu->apic_id);
	return state_of(cpu) == CPU_ONLINE;
}

void cpus_wait_until_parked(void)
{
	u64 end = clock_deadline_us(STOP_US);

	for (u32 i = 1; i < percpu_count(); i++) {
		while (state_of(percpu_get(i)) == CPU_ONLINE && !clock_expired(end))
			cpu_relax();
		if (state_of(percpu_get(i)) == CPU_ONLINE)
			log_warn("CPU %u does not stop", i);
	}
}

/* --- a crash --- */

/* Of a CPU that was not started only the firmware knows what it does with an NMI. */
bool cpus_is_running(const struct percpu *cpu)
{
	u32 state = state_of(cpu);

	return cpu->index == 0 ? state == CPU_CREATED : state > CPU_CREATED && state < CPU_LOST;
}

void cpus_stop(void)
{
	static bool done;
	u64 end;

	if (done)
		return;
	done = true;
	for (u32 i = 0; i < percpu_count(); i++) {
		const struct percpu *cpu = percpu_get(i);

		if (cpu != percpu_by_stack() && cpus_is_running(cpu))
			lapic_send_nmi(cpu->apic_id);
	}
	end = clock_deadline_us(STOP_US);
	for (u32 i = 0; i < percpu_count(); i++)
		while (percpu_get(i) != percpu_by_stack() && cpus_is_running(percpu_get(i)) && !clock_expired(end))
			cpu_relax();
}

void cpus_report(void)
{
	for (u32 i = 0; i < percpu_count(); i++) {
		if (percpu_get(i) != percpu_by_stack() && cpus_is_running(percpu_get(i)))
			log_error("CPU %u does not stop", i);
	}
	if (percpu_by_stack()->index)
		log_error("the crash is CPU %u's", percpu_by_stack()->index);
}
