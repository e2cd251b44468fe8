/* SPDX-License-Identifier: MIT */
/*
 * Starting the machine's other CPUs: with a clock and CPUs that the test plays, for what no emulator does,
 * and with threads that run the real code of both sides. Intel SDM, "MP Initialization Protocol Algorithm
 * for MP Systems".
 */
/* link: arch/cpu/identity.c arch/cpu/mtrr.c arch/cpu/topology.c lib/log.c lib/string.c tests/unit/fake_cpu.c */
/* libs: -lpthread */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "arch/acpi/acpi.h"
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpufeature.h"
#include "arch/fault/trap.h"
#include "fake_cpu.h"
#include "lib/errno.h"

#define CPUS 4

/* What boot/trampoline.asm has. */
__asm__(".pushsection .rodata\n.globl trampoline_start, trampoline_end\n"
	"trampoline_start: .fill 96, 1, 0xcc\ntrampoline_end:\n.popsection");
struct percpu *trampoline_cpu;
u64 boot_pml4[1], boot_unhidden = 0x400400000;

#include "boot/cpus.c"

struct cpu_features cpu_features;
struct acpi_madt_info acpi_madt;
struct boot_info boot_info;

static struct percpu percpus[MAX_CPUS];
static u32 created, memory_for;
static u64 pool_used;	/* of 100 */
static u64 now;			/* us, and ticks of the TSC */
static char diary[4096];	/* what was sent to whom, and when */
static char shown[8192];
static u8 low_page[PAGE_SIZE];
static hpa_t ram_start, ram_end;
static _Thread_local struct percpu *running = &percpus[0];
static bool threads;

/* How a played CPU behaves. */
static struct behaviour {
	bool silent, sticks, leaves_out, silent_tsc, does_not_come;
	unsigned ipis_needed;	/* start-up IPIs until it arrives */
	s64 tsc_off;
	u32 microcode, microcode_found;
} behaviours[CPUS + 1];
static unsigned startups[CPUS + 1];

/* --- the rest of Lamina --- */

struct percpu *this_cpu(void) { return running; }
struct percpu *percpu_by_stack(void) { return running; }
u32 percpu_count(void) { return created; }
struct percpu *percpu_get(u32 index) { return &percpus[index]; }

struct percpu *percpu_create(u32 apic_id)
{
	if (created == memory_for)
		return NULL;
	percpus[created].index = created;
	percpus[created].apic_id = apic_id;
	return &percpus[created++];
}

hpa_t image_to_phys(const void *p) { return 0x123000; }
bool boot_info_is_ram(hpa_t pa, u64 size) { return pa >= ram_start && pa + size <= ram_end; }
void *phys_window(unsigned slot, hpa_t pa, u64 size) { return size == PAGE_SIZE ? low_page : NULL; }
void phys_window_close(unsigned slot) { }
void gdt_load(struct percpu *cpu) { running = cpu; }
void trap_load(void) { }
void control_init(void) { }
void msr_settings_apply(struct percpu *cpu) { cpu->msrs_changed = 8 + cpu->index; }
static u64 reported[CPUS + 1];
static unsigned loads;		/* atomic */
bool microcode_load(void) { __atomic_add_fetch(&loads, 1, __ATOMIC_RELAXED); return false; }
void msr_settings_report(const struct percpu *cpu) { reported[cpu->index] = cpu->msrs_changed; }
void machine_check_init_cpu(void) { }
void machine_check_report_old(u32 cpu) { }
int lapic_init_secondary(void) { return running->apic_id == 77 ? -EINVAL : 0; }
bool lapic_reaches(u32 apic_id) { return apic_id < 255; }
u32 lapic_id(void) { return running->apic_id == 88 ? 89 : running->apic_id; }
struct cpuid_regs test_cpuid(u32 leaf, u32 subleaf) { return (struct cpuid_regs){ 0 }; }
void memory_stats(struct memory_stats *stats) { *stats = (struct memory_stats){ .pool = 100, .pool_used = pool_used }; }
u64 test_tsc(void) { return threads ? __atomic_add_fetch(&now, 1, __ATOMIC_SEQ_CST) : now; }

/* With threads no wait for a CPU ends before it has come, however busy the build machine is. */
u64 clock_deadline_us(u64 us)
{
	if (threads)
		return us == INIT_DELAY_US ? 0 : ~0ull;
	return now + us;
}

static void note(const char *what, u32 apic_id)
{
	size_t used = strlen(diary);

	snprintf(diary + used, sizeof(diary) - used, "%s %u at %llu\n", what, apic_id, (ull)now);
}

static struct percpu *by_apic_id(u32 apic_id)
{
	for (u32 i = 0; i < created; i++) {
		if (percpus[i].apic_id == apic_id)
			return &percpus[i];
	}
	fail_msg("an IPI for APIC id %u", apic_id);
	return NULL;
}

static pthread_t thread_ids[CPUS + 1];

static void *run_cpu(void *cpu)
{
	cpu_arrived(cpu);
	return NULL;
}

static void end_thread(void)
{
	pthread_exit(NULL);
}

/* A parked CPU's thread ends when the test has no work for it. */
static bool work_follows;

void irq_wait(void)
{
	if (!__atomic_load_n(&work_follows, __ATOMIC_ACQUIRE))
		end_thread();
	sched_yield();
}

void lapic_send_fixed(u32 apic_id, u8 vector)
{
	assert_int_equal(vector, IRQ_VECTOR_KICK);
	assert_int_equal(by_apic_id(apic_id)->state != CPU_PARKED, true);
	if (!threads)
		note("kick", apic_id);
}

void lapic_send_init(u32 apic_id)
{
	note("INIT", apic_id);
	startups[by_apic_id(apic_id)->index] = 0;
}

void lapic_send_startup(u32 apic_id, hpa_t page)
{
	struct percpu *cpu = by_apic_id(apic_id);

	note("start-up", apic_id);
	assert_int_equal(page, 0x9e000);
	assert_ptr_equal(trampoline_cpu, cpu);
	startups[cpu->index]++;
	if (threads && startups[cpu->index] == 1)
		assert_int_equal(pthread_create(&thread_ids[cpu->index], NULL, run_cpu, cpu), 0);
}

void lapic_send_nmi(u32 apic_id)
{
	struct percpu *cpu = by_apic_id(apic_id);

	note("NMI", apic_id);
	if (!behaviours[cpu->index].sticks)
		cpu->state = CPU_STOPPED;
}

/* The played CPUs go on while the boot CPU waits. */
static void play(struct percpu *cpu)
{
	const struct behaviour *is = &behaviours[cpu->index];

	switch (cpu->state) {
	case CPU_CREATED:
		if (!is->silent && startups[cpu->index] > is->ipis_needed)
			cpu->state = CPU_ARRIVED;
		break;
	case CPU_ARRIVED:
		if (is->sticks)
			break;
		cpu->microcode = is->microcode;
		cpu->microcode_found = is->microcode_found;
		cpu->state = is->leaves_out ? CPU_LEFT_OUT : CPU_READY;
		strcpy(cpu->left_out, "it has two left hands");
		break;
	case CPU_CALLED:
		if (!is->does_not_come)
			cpu->state = job.prepare(cpu) ? CPU_LEFT_OUT : CPU_ONLINE;
		break;
	case CPU_READY:
		if (tsc_request == cpu->index && !is->silent_tsc) {
			tsc_request = NO_REQUEST;
			cpu->tsc_reply = now + (u64)is->tsc_off;
			if (++cpu->nmi_count == TSC_ROUNDS)
				cpu->state = CPU_PARKED;
		}
		break;
	}
}

bool clock_expired(u64 deadline)
{
	if (threads) {
		sched_yield();
		return !deadline;
	}
	now++;
	for (u32 i = 1; i < created; i++)
		play(&percpus[i]);
	return now >= deadline;
}

static void show(struct log_console *console, const char *text, size_t length)
{
	size_t used = strlen(shown);

	assert_true(used + length < sizeof(shown));
	memcpy(shown + used, text, length);
	shown[used + length] = '\0';
}

static void expect_shown(const char *text)
{
	if (!strstr(shown, text))
		fail_msg("\"%s\" is not in:\n%s", text, shown);
}

static void expect_sent(const char *text)
{
	if (!strstr(diary, text))
		fail_msg("\"%s\" is not in:\n%s", text, diary);
}

static int setup(void **state)
{
	static struct log_console console = { .write = show };
	static bool added;

	if (!added)
		log_add_console(&console);
	added = true;
	fake_cpu_reset();
	fake_cpu.on_hlt = end_thread;
	memset(percpus, 0, sizeof(percpus));
	memset(behaviours, 0, sizeof(behaviours));
	memset(startups, 0, sizeof(startups));
	memset(diary, 0, sizeof(diary));
	memset(shown, 0, sizeof(shown));
	memset(low_page, 0, sizeof(low_page));
	memset(&boot_info, 0, sizeof(boot_info));
	acpi_madt = (struct acpi_madt_info){ .cpus = CPUS, .cpu = { 0, 2, 4, 6 } };
	percpus[0].apic_id = 0;
	running = &percpus[0];
	created = 1;
	memory_for = MAX_CPUS;
	pool_used = 49;
	now = 1000000;
	ram_start = 0x1000;
	ram_end = 0x9f000;
	trampoline_cpu = NULL;
	tsc_request = NO_REQUEST;
	threads = false;
	work_follows = false;
	return 0;
}

/* --- the usual --- */

static void all_are_started_and_parked(void **state)
{
	cpus_start();
	expect_shown("CPUs: 4 of 4 can be used");
	for (u32 i = 1; i < CPUS; i++)
		assert_int_equal(percpus[i].state, CPU_PARKED);
	/* INIT for all, 10 ms, then each its start-up IPIs; no second one where the first is answered. */
	expect_sent("INIT 2 at 1000000\nINIT 4 at 1000000\nINIT 6 at 1000000\nstart-up 2 at 1010000\nstart-up 4 at ");
	assert_int_equal(startups[1], 1);
	assert_int_equal(startups[3], 1);
}

static void one_cpu_needs_nothing(void **state)
{
	acpi_madt.cpus = 1;
	cpus_start();
	assert_string_equal(diary, "");
	assert_string_equal(shown, "");
	acpi_madt.cpus = 0;		/* no MADT */
	cpus_start();
	assert_string_equal(diary, "");
}

static void the_boot_cpu_may_have_any_id(void **state)
{
	percpus[0].apic_id = 4;
	cpus_start();
	assert_null(strstr(diary, "INIT 4"));
	expect_sent("INIT 0 at 1000000\nINIT 2 ");
	expect_shown("CPUs: 4 of 4");
}

/* "MP Initialization Protocol": 200 us after the first. */
static void a_second_start_up_ipi(void **state)
{
	behaviours[1].ipis_needed = 1;
	cpus_start();
	expect_sent("start-up 2 at 1010000\nstart-up 2 at 1010200\n");
	expect_shown("CPUs: 4 of 4");
}

static void the_page_has_the_code_and_the_page_tables(void **state)
{
	cpus_start();
	assert_memory_equal(low_page, "\xcc\xcc\xcc\xcc\x00\x30\x12\x00\x00\x00\x40\x00\x04\x00\x00\x00\xcc", 17);
	assert_int_equal(low_page[95], 0xcc);
	assert_int_equal(low_page[96], 0);
}

/* --- what goes wrong --- */

static void a_cpu_that_does_not_answer(void **state)
{
	behaviours[2].silent = true;
	cpus_start();
	expect_shown("warning: CPU 2 (APIC id 4) is left out: it did not answer the start-up IPI within a second");
	expect_shown("CPUs: 3 of 4 can be used");
	assert_int_equal(percpus[2].state, CPU_LOST);
	assert_int_equal(percpus[3].state, CPU_PARKED);
	/* It waits for a start-up IPI again, so it cannot come late. */
	assert_true(strstr(diary, "INIT 4 at 1000000") < strstr(diary, "start-up 4"));
	assert_non_null(strstr(strstr(diary, "start-up 4"), "INIT 4 at "));
	assert_true(now < 2250000);
}

static void a_cpu_that_sticks(void **state)
{
	behaviours[1].sticks = true;
	cpus_start();
	expect_shown("CPU 1 (APIC id 2) is left out: it did not come through its set-up within a second");
	assert_int_equal(percpus[1].state, CPU_LOST);
	expect_shown("CPUs: 3 of 4");
}

static void a_cpu_that_differs(void **state)
{
	behaviours[3].leaves_out = true;
	cpus_start();
	expect_shown("CPU 3 (APIC id 6) is left out: it has two left hands");
	assert_int_equal(percpus[3].state, CPU_LEFT_OUT);
	expect_shown("CPUs: 3 of 4");
}

static void a_cpu_that_stops_answering(void **state)
{
	behaviours[1].silent_tsc = true;
	cpus_start();
	expect_shown("CPU 1 (APIC id 2) is left out: it stopped answering while its time stamp counter was compared");
	assert_int_equal(percpus[1].state, CPU_LOST);
	assert_int_equal(percpus[2].state, CPU_PARKED);		/* its request does not disturb the next */
}

static void time_stamp_counters_out_of_step(void **state)
{
	behaviours[1].tsc_off = 5000;
	behaviours[2].tsc_off = -5000;
	cpus_start();
	expect_shown("CPU 1 (APIC id 2) is left out: its time stamp counter is ");
	expect_shown(" ticks ahead");
	expect_shown("CPU 2 (APIC id 4) is left out: its time stamp counter is ");
	expect_shown(" ticks behind");
	assert_int_equal(percpus[1].state, CPU_LEFT_OUT);
	expect_shown("CPUs: 2 of 4");
}

static void another_microcode_is_reported(void **state)
{
	behaviours[2].microcode = 0x22;
	cpus_start();
	expect_shown("warning: CPU 2 has microcode revision 0x22, and the boot CPU 0x0");
	expect_shown("CPU 2: microcode revision 0x0, updated to 0x22");
	assert_null(strstr(shown, "CPU 1: microcode"));
	expect_shown("CPUs: 4 of 4");
}

/* INIT to 255 would reset all CPUs, and an id that is cut off another one. */
static void ids_that_no_ipi_reaches(void **state)
{
	acpi_madt.cpu[1] = 255;
	acpi_madt.cpu[3] = 256;
	cpus_start();
	expect_shown("the CPU with APIC id 255 is left out: in xAPIC mode ids end at 254");
	expect_shown("the CPU with APIC id 256 is left out");
	expect_shown("CPUs: 2 of 2");
	assert_null(strstr(diary, "INIT 25"));
}

static void memory_runs_out(void **state)
{
	memory_for = 3;
	cpus_start();
	expect_shown("no memory to start more than 3 CPUs");
	expect_shown("CPUs: 3 of 3");
	setup(state);
	pool_used = 50;			/* the other half is for VMs */
	cpus_start();
	expect_shown("no memory to start more than 1 CPUs");
	assert_string_equal(diary, "");
}

static void without_low_memory_they_stay(void **state)
{
	ram_start = MIB(1);
	ram_end = MIB(2);
	cpus_start();
	expect_shown("no usable page below 640 KiB to start 3 more by");
	assert_string_equal(diary, "");
}

/* Page 0 holds the interrupt vectors of real mode, and 640 KiB is the end. */
static void the_low_page_is_free_ram(void **state)
{
	ram_start = 0;
	ram_end = MIB(1);
	assert_int_equal(find_low_page(), 0x9f000);
	ram_end = 0x1000;
	assert_int_equal(find_low_page(), 0);
	ram_end = 0x3000;
	assert_int_equal(find_low_page(), 0x2000);
	boot_info.modules = 2;
	boot_info.module[0] = (struct boot_module){ .start = MIB(4), .size = MIB(1) };
	boot_info.module[1] = (struct boot_module){ .start = 0x2800, .size = 0x100 };
	assert_int_equal(find_low_page(), 0x1000);
	boot_info.module[1] = (struct boot_module){ .start = 0x1800, .size = 0x1000 };
	assert_int_equal(find_low_page(), 0);
	boot_info.module[1] = (struct boot_module){ .start = 0x2000, .size = 0 };
	assert_int_equal(find_low_page(), 0x2000);
}

/* --- both sides, as threads --- */

static void start_with_threads(void)
{
	threads = true;
	cpus_start();
	for (u32 i = 1; i < created; i++)
		pthread_join(thread_ids[i], NULL);
}

static void both_sides_agree(void **state)
{
	loads = 0;
	for (unsigned round = 0; round < 20; round++) {
		setup(state);
		start_with_threads();
		for (u32 i = 1; i < CPUS; i++)
			assert_int_equal(percpus[i].state, CPU_PARKED);
		expect_shown("CPUs: 4 of 4");
		for (u32 i = 1; i < CPUS; i++)
			assert_int_equal(reported[i], 8 + i);
		assert_int_equal(loads, 3 * (round + 1));
	}
}

static void local_apics_that_cannot_be_used(void **state)
{
	acpi_madt.cpu[1] = 77;
	acpi_madt.cpu[2] = 88;
	start_with_threads();
	expect_shown("CPU 1 (APIC id 77) is left out: its local APIC is at another address, or has another mode");
	expect_shown("CPU 2 (APIC id 88) is left out: its local APIC has the id 89");
	expect_shown("CPUs: 2 of 4");
}

/* --- work --- */

static unsigned prepared[CPUS], worked[CPUS];
static int error_of_prepare;
static bool stop_working;

static int prepare(struct percpu *cpu)
{
	prepared[cpu->index]++;
	return error_of_prepare;
}

static void work(struct percpu *cpu)
{
	assert_int_equal(cpu->state, CPU_ONLINE);
	worked[cpu->index]++;
	while (!__atomic_load_n(&stop_working, __ATOMIC_ACQUIRE))
		sched_yield();
}

static int work_setup(void **state)
{
	memset(prepared, 0, sizeof(prepared));
	memset(worked, 0, sizeof(worked));
	error_of_prepare = 0;
	stop_working = false;
	return setup(state);
}

static void a_parked_cpu_is_given_work(void **state)
{
	assert_false(cpus_is_parked(&percpus[0]));	/* the boot CPU never is */
	cpus_start();
	memset(diary, 0, sizeof(diary));
	assert_false(cpus_is_parked(&percpus[0]));
	assert_true(cpus_is_parked(&percpus[2]));
	assert_true(cpus_run(&percpus[2], prepare, work));
	assert_int_equal(prepared[2], 1);
	assert_false(cpus_is_parked(&percpus[2]));
	assert_true(cpus_is_parked(&percpus[1]));
	expect_sent("kick 4 at ");
	assert_null(strstr(diary, "kick 2"));
}

static void a_cpu_that_cannot_work(void **state)
{
	cpus_start();
	error_of_prepare = -ENODEV;
	assert_false(cpus_run(&percpus[1], prepare, work));
	expect_shown("warning: CPU 1 (APIC id 2) is left out");
	assert_int_equal(percpus[1].state, CPU_LEFT_OUT);
	error_of_prepare = 0;
	assert_true(cpus_run(&percpus[2], prepare, work));	/* it does not disturb the next */
}

static void a_cpu_that_does_not_come(void **state)
{
	u64 before;

	cpus_start();
	before = now;
	behaviours[3].does_not_come = true;
	assert_false(cpus_run(&percpus[3], prepare, work));
	expect_shown("warning: CPU 3 (APIC id 6) is left out: it does not answer any more");
	assert_int_equal(percpus[3].state, CPU_LOST);
	assert_in_range(now - before, 1000000, 1100000);	/* a second */
	expect_sent("INIT 6 at ");
	assert_int_equal(prepared[3], 0);
}

static void a_cpu_that_does_not_stop(void **state)
{
	u64 before;

	cpus_start();
	cpus_wait_until_parked();		/* all are */
	assert_null(strstr(shown, "does not stop"));
	assert_true(cpus_run(&percpus[2], prepare, work));
	before = now;
	cpus_wait_until_parked();
	expect_shown("warning: CPU 2 does not stop");
	assert_null(strstr(shown, "CPU 1 does not stop"));
	assert_in_range(now - before, 1000000, 1050000);
}

/* Both sides: each CPU works, parks, and works again. */
static void working_and_parking(void **state)
{
	threads = work_follows = true;
	cpus_start();
	for (unsigned round = 1; round <= 3; round++) {
		stop_working = false;
		for (u32 i = 1; i < CPUS; i++) {
			while (!cpus_is_parked(&percpus[i]))
				sched_yield();
			assert_true(cpus_run(&percpus[i], prepare, work));
		}
		__atomic_store_n(&stop_working, true, __ATOMIC_RELEASE);
		cpus_wait_until_parked();
		for (u32 i = 1; i < CPUS; i++) {
			assert_true(cpus_is_parked(&percpus[i]));
			assert_int_equal(prepared[i], round);
			assert_int_equal(worked[i], round);
		}
	}
	__atomic_store_n(&work_follows, false, __ATOMIC_RELEASE);
	for (u32 i = 1; i < CPUS; i++)
		pthread_join(thread_ids[i], NULL);
}

/* --- a crash: last, since it is done once --- */

static void a_crash_stops_the_others(void **state)
{
	cpus_start();
	memset(diary, 0, sizeof(diary));
	behaviours[3].sticks = true;
	percpus[1].state = CPU_LOST;
	percpu_create(8);				/* and one that was not started */
	running = &percpus[2];
	cpus_stop();
	assert_true(strstr(diary, "NMI 0 at ") != NULL);
	assert_null(strstr(diary, "NMI 2"));		/* it waits for a start-up IPI */
	assert_null(strstr(diary, "NMI 4"));		/* the one that crashed */
	assert_null(strstr(diary, "NMI 8"));
	expect_sent("NMI 6 at ");
	cpus_report();
	expect_shown("error: CPU 3 does not stop");
	expect_shown("error: the crash is CPU 2's");
	assert_null(strstr(shown, "CPU 0 does not stop"));
	assert_null(strstr(shown, "CPU 4 does not stop"));
	memset(diary, 0, sizeof(diary));
	cpus_stop();
	assert_string_equal(diary, "");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_are_started_and_parked),
		TEST(one_cpu_needs_nothing),
		TEST(the_boot_cpu_may_have_any_id),
		TEST(a_second_start_up_ipi),
		TEST(the_page_has_the_code_and_the_page_tables),
		TEST(a_cpu_that_does_not_answer),
		TEST(a_cpu_that_sticks),
		TEST(a_cpu_that_differs),
		TEST(a_cpu_that_stops_answering),
		TEST(time_stamp_counters_out_of_step),
		TEST(another_microcode_is_reported),
		TEST(ids_that_no_ipi_reaches),
		TEST(memory_runs_out),
		TEST(without_low_memory_they_stay),
		TEST(the_low_page_is_free_ram),
		TEST(both_sides_agree),
		TEST(local_apics_that_cannot_be_used),
		cmocka_unit_test_setup(a_parked_cpu_is_given_work, work_setup),
		cmocka_unit_test_setup(a_cpu_that_cannot_work, work_setup),
		cmocka_unit_test_setup(a_cpu_that_does_not_come, work_setup),
		cmocka_unit_test_setup(a_cpu_that_does_not_stop, work_setup),
		cmocka_unit_test_setup(working_and_parking, work_setup),
		TEST(a_crash_stops_the_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
