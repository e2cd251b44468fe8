/* SPDX-License-Identifier: MIT */
/*
 * Which CPUs run guests and where vCPUs are placed, on a machine with two packages of two cores of two
 * threads.
 */
/* link: lib/cpu_set.c lib/keyval.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "boot/placement.c"

#define CPUS 8

static struct percpu cpus[CPUS];
static u32 cpu_count, vcpus_of[CPUS];
static int some_sched;		/* what percpu->sched points to */
static char logged[512];
static unsigned errors;

/* --- the rest of Lamina --- */

u32 percpu_count(void) { return cpu_count; }

struct percpu *percpu_get(u32 index)
{
	assert_in_range(index, 0, cpu_count - 1);
	return &cpus[index];
}

struct cpu_topology cpu_topology_read(void)
{
	return (struct cpu_topology){ .thread_bits = 1, .package_bits = 2 };
}

u32 sched_count(const struct percpu *cpu)
{
	assert_non_null(cpu->sched);
	return vcpus_of[cpu->index];
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	errors += level == LOG_ERROR;
	va_start(args, format);
	vsnprintf(logged, sizeof(logged), format, args);
	va_end(args);
}

/* --- the tests --- */

/* CPU i has the APIC id i: threads 0 and 1 are the first core's, CPUs 0 to 3 the first package's. */
static int set_up(void **state)
{
	memset(cpus, 0, sizeof(cpus));
	memset(vcpus_of, 0, sizeof(vcpus_of));
	for (u32 i = 0; i < CPUS; i++) {
		cpus[i].index = cpus[i].apic_id = i;
		cpus[i].sched = (struct sched *)&some_sched;
	}
	cpu_count = CPUS;
	allowed = (struct cpu_set){ 0 };
	no_smt = false;
	logged[0] = '\0';
	errors = 0;
	return 0;
}

static struct str_view view(const char *text)
{
	return (struct str_view){ text, strlen(text) };
}

static struct percpu *homes[288];

/* Place a VM, and leave its vCPUs there. */
static int place(u32 vcpus, const char *list)
{
	struct vm_config config = { .name = "web", .vcpus = vcpus };
	int error;

	if (list)
		assert_int_equal(cpu_set_parse(view(list), &config.cpus), 0);
	memset(homes, 0, sizeof(homes));
	error = placement_choose(&config, homes);
	for (u32 i = 0; i < vcpus && !error; i++)
		vcpus_of[homes[i]->index]++;
	assert_null(homes[vcpus]);
	return error;
}

static unsigned different(u32 vcpus, unsigned shift)
{
	unsigned count = 0;

	for (u32 i = 0; i < vcpus; i++) {
		u32 other = 0;

		while (homes[other]->apic_id >> shift != homes[i]->apic_id >> shift)
			other++;
		count += other == i;
	}
	return count;
}

static void cores_before_threads(void **state)
{
	assert_int_equal(place(4, NULL), 0);
	assert_int_equal(different(4, 1), 4);
	set_up(state);
	assert_int_equal(place(8, NULL), 0);
	assert_int_equal(different(4, 1), 4);
	assert_int_equal(different(8, 0), 8);
	for (u32 i = 0; i < CPUS; i++)
		assert_int_equal(vcpus_of[i], 1);
}

static void more_vcpus_than_cpus(void **state)
{
	assert_int_equal(place(20, NULL), 0);
	assert_int_equal(different(8, 0), 8);
	for (u32 i = 0; i < CPUS; i++)
		assert_in_range(vcpus_of[i], 2, 3);
	set_up(state);
	assert_int_equal(place(287, NULL), 0);
	for (u32 i = 0; i < CPUS; i++)
		assert_in_range(vcpus_of[i], 287 / CPUS, 287 / CPUS + 1);
}

/* Eight VMs of one vCPU each: the first four on cores of their own. */
static void many_small_vms(void **state)
{
	for (unsigned n = 1; n <= 8; n++) {
		unsigned cores = 0;

		assert_int_equal(place(1, NULL), 0);
		for (u32 core = 0; core < 4; core++)
			cores += vcpus_of[2 * core] || vcpus_of[2 * core + 1];
		assert_int_equal(cores, n < 4 ? n : 4);
	}
	for (u32 i = 0; i < CPUS; i++)
		assert_int_equal(vcpus_of[i], 1);
}

static void the_second_vm_gets_the_free_cores(void **state)
{
	assert_int_equal(place(2, NULL), 0);
	assert_int_equal(place(2, NULL), 0);
	for (u32 core = 0; core < 4; core++)
		assert_int_equal(vcpus_of[2 * core] + vcpus_of[2 * core + 1], 1);
}

/* Different CPUs within a VM count more than what other VMs have there. */
static void different_cpus_within_a_vm(void **state)
{
	for (u32 i = 0; i < CPUS - 1; i++)
		vcpus_of[i] = 50;
	assert_int_equal(place(8, NULL), 0);
	assert_ptr_equal(homes[0], &cpus[7]);
	assert_int_equal(different(8, 0), 8);
}

static void cpus_that_run_no_guests(void **state)
{
	cpus[2].sched = cpus[3].sched = cpus[6].sched = NULL;
	assert_int_equal(place(5, NULL), 0);
	assert_int_equal(different(3, 1), 3);
	assert_int_equal(different(5, 0), 5);
	assert_int_equal(vcpus_of[2] + vcpus_of[3] + vcpus_of[6], 0);
}

static void one_cpu_takes_all(void **state)
{
	cpu_count = 1;
	assert_int_equal(place(288 - 1, NULL), 0);
	assert_int_equal(vcpus_of[0], 287);
}

/* --- the options cpus= and nosmt --- */

static void no_option_leaves_out_nobody(void **state)
{
	for (u32 i = 0; i < CPUS; i++)
		assert_null(placement_leaves_out(&cpus[i]));
}

static void only_cpus_of_the_option(void **state)
{
	assert_int_equal(set_allowed(view("1,4-5")), 0);
	for (u32 i = 0; i < CPUS; i++) {
		if (i == 1 || i == 4 || i == 5)
			assert_null(placement_leaves_out(&cpus[i]));
		else
			assert_string_equal(placement_leaves_out(&cpus[i]), "cpus= does not name it");
	}
	assert_int_equal(place(6, NULL), 0);
	assert_int_equal(vcpus_of[1], 2);
	assert_int_equal(vcpus_of[4], 2);
	assert_int_equal(vcpus_of[5], 2);
	assert_int_equal(set_allowed(view("1-")), -EINVAL);
}

static void one_thread_of_each_core(void **state)
{
	assert_int_equal(set_no_smt(view("")), 0);
	for (u32 i = 0; i < CPUS; i++)
		assert_int_equal(placement_leaves_out(&cpus[i]) != NULL, i % 2);
	assert_int_equal(place(8, NULL), 0);
	for (u32 i = 0; i < CPUS; i++)
		assert_int_equal(vcpus_of[i], i % 2 ? 0 : 2);
}

/* The boot CPU is the first of its core, whatever its APIC id is. */
static void the_boot_cpu_is_a_second_thread(void **state)
{
	cpus[0].apic_id = 1;
	cpus[1].apic_id = 0;
	set_no_smt(view(""));
	assert_null(placement_leaves_out(&cpus[0]));
	assert_non_null(placement_leaves_out(&cpus[1]));
}

/* Each core of which cpus= names a thread runs guests on one. */
static void both_options(void **state)
{
	set_no_smt(view(""));
	assert_int_equal(set_allowed(view("1,2-3,5")), 0);
	for (u32 i = 0; i < CPUS; i++) {
		if (!placement_leaves_out(&cpus[i]) != (i == 1 || i == 2 || i == 5))
			fail_msg("CPU %u: %s", i, placement_leaves_out(&cpus[i]));
	}
}

/* --- a VM's own list --- */

static void the_list_of_a_vm(void **state)
{
	static const u32 order[] = { 1, 4, 5, 7, 1, 4 };

	vcpus_of[1] = 100;	/* it is the user's choice */
	assert_int_equal(place(6, "7,4-5,1"), 0);
	for (u32 i = 0; i < ARRAY_SIZE(order); i++)
		assert_ptr_equal(homes[i], &cpus[order[i]]);
	assert_int_equal(errors, 0);
	assert_int_equal(place(1, "0"), 0);
	assert_ptr_equal(homes[0], &cpus[0]);
	assert_int_equal(place(3, "7"), 0);
	assert_ptr_equal(homes[2], &cpus[7]);
}

/* CPUs beyond those that are needed do not matter. */
static void lists_that_name_what_is_not_there(void **state)
{
	assert_int_equal(place(2, "6-9"), 0);
	assert_int_equal(place(3, "6-9"), -EINVAL);
	assert_int_equal(errors, 1);
	assert_non_null(strstr(logged, "VM web: cpus= names CPU 8, which runs no guests"));
	assert_int_equal(place(1, "255"), -EINVAL);
	assert_non_null(strstr(logged, "CPU 255"));
	cpus[3].sched = NULL;
	assert_int_equal(place(1, "3"), -EINVAL);
	assert_non_null(strstr(logged, "CPU 3"));
	set_allowed(view("0-3"));
	assert_int_equal(place(1, "4"), -EINVAL);
	assert_non_null(strstr(logged, "CPU 4"));
	set_allowed(view("0-7"));
	set_no_smt(view(""));
	assert_int_equal(place(1, "5"), -EINVAL);
	assert_int_equal(errors, 5);
}

/* --- no room --- */

static void a_full_cpu_is_left_alone(void **state)
{
	for (u32 i = 0; i < CPUS; i++)
		vcpus_of[i] = SCHED_SLOTS;
	vcpus_of[5] = SCHED_SLOTS - 2;
	assert_int_equal(place(2, NULL), 0);
	assert_ptr_equal(homes[0], &cpus[5]);
	assert_ptr_equal(homes[1], &cpus[5]);
	assert_int_equal(place(1, NULL), -EINVAL);
	assert_non_null(strstr(logged, "VM web: each CPU has 1024 vCPUs already"));
	assert_int_equal(place(1, "5"), -EINVAL);
	assert_non_null(strstr(logged, "VM web: CPU 5 has 1024 vCPUs already"));
	vcpus_of[5] = SCHED_SLOTS - 2;
	assert_int_equal(place(3, "5"), -EINVAL);
	assert_int_equal(place(2, "5"), 0);
	vcpus_of[5] = SCHED_SLOTS - 2;
	assert_int_equal(place(3, NULL), -EINVAL);
}

/* Lists that name no CPU of this machine: the reason is not that CPUs are full. */
static void no_cpu_runs_guests(void **state)
{
	set_allowed(view("8"));
	assert_int_equal(place(1, NULL), -EINVAL);
	assert_int_equal(errors, 1);
	assert_null(strstr(logged, "vCPUs already"));
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(cores_before_threads),
		TEST(more_vcpus_than_cpus),
		TEST(many_small_vms),
		TEST(the_second_vm_gets_the_free_cores),
		TEST(different_cpus_within_a_vm),
		TEST(cpus_that_run_no_guests),
		TEST(one_cpu_takes_all),
		TEST(no_option_leaves_out_nobody),
		TEST(only_cpus_of_the_option),
		TEST(one_thread_of_each_core),
		TEST(the_boot_cpu_is_a_second_thread),
		TEST(both_options),
		TEST(the_list_of_a_vm),
		TEST(lists_that_name_what_is_not_there),
		TEST(a_full_cpu_is_left_alone),
		TEST(no_cpu_runs_guests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
