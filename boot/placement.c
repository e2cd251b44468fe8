/* SPDX-License-Identifier: MIT */
/* Which CPUs run guests, and which of them is the home of which vCPU. */
#include "boot/placement.h"

#include "arch/bootinfo/option.h"
#include "arch/cpu/percpu.h"
#include "arch/cpu/topology.h"
#include "core/load/config.h"
#include "core/sched.h"
#include "lib/cpu_set.h"
#include "lib/errno.h"
#include "lib/log.h"

static struct cpu_set allowed;	/* empty: all */
static bool no_smt;

static int set_allowed(struct str_view value)
{
	return cpu_set_parse(value, &allowed);
}
DEFINE_OPTION(cpus, "cpus", "LIST", "the CPUs that run guests, as in 0,2-5 (default all)", set_allowed);

static int set_no_smt(struct str_view value)
{
	no_smt = true;
	return 0;
}
DEFINE_OPTION(nosmt, "nosmt", NULL, "run guests on one thread of each core only", set_no_smt);

static bool is_allowed(const struct percpu *cpu)
{
	return cpu_set_is_empty(&allowed) || cpu_set_has(&allowed, cpu->index);
}

/* A number for each core of the machine. */
static u32 core_of(const struct percpu *cpu)
{
	static struct cpu_topology topology;	/* boot CPU */
	static bool known;

	if (!known)
		topology = cpu_topology_read();
	known = true;
	return cpu->apic_id >> topology.thread_bits;
}

static bool has_sibling_before(const struct percpu *cpu)
{
	for (u32 i = 0; i < cpu->index; i++) {
		const struct percpu *other = percpu_get(i);

		if (core_of(other) == core_of(cpu) && is_allowed(other))
			return true;
	}
	return false;
}

const char *placement_leaves_out(const struct percpu *cpu)
{
	if (!is_allowed(cpu))
		return "cpus= does not name it";
	if (no_smt && has_sibling_before(cpu))
		return "nosmt: another thread of its core runs guests";
	return NULL;
}

/* The boot CPU has a scheduler even if it is left out, for the service thread. */
static bool runs_guests(const struct percpu *cpu)
{
	return cpu->sched && !placement_leaves_out(cpu);
}

/* The homes of a VM that are chosen so far, and how many of them each CPU is. */
struct choice {
	struct percpu **homes;
	u32 count;
	u32 on[MAX_CPUS];
};

static void choose(struct choice *choice, struct percpu *cpu)
{
	choice->homes[choice->count++] = cpu;
	choice->on[cpu->index]++;
}

/* The vCPUs of a choice that is being made, and those that are there already. */
struct cpu_load {
	u32 vcpus, own;		/* of all VMs, of this one */
	u32 core;		/* of all VMs, on all threads of the core */
};

static struct cpu_load load_of(const struct percpu *cpu, const struct choice *choice)
{
	u32 own = choice->on[cpu->index];
	struct cpu_load load = { .vcpus = sched_count(cpu) + own, .own = own };

	for (u32 i = 0; i < percpu_count(); i++) {
		const struct percpu *other = percpu_get(i);

		if (core_of(other) == core_of(cpu) && runs_guests(other))
			load.core += sched_count(other) + choice->on[other->index];
	}
	return load;
}

static bool is_less(struct cpu_load a, struct cpu_load b)
{
	if (a.own != b.own)
		return a.own < b.own;
	if (a.core != b.core)
		return a.core < b.core;
	return a.vcpus < b.vcpus;
}

static bool any_runs_guests(void)
{
	for (u32 i = 0; i < percpu_count(); i++) {
		if (runs_guests(percpu_get(i)))
			return true;
	}
	return false;
}

/* NULL: no CPU has room for another vCPU. */
static struct percpu *least_loaded(const struct choice *choice)
{
	struct percpu *best = NULL;
	struct cpu_load best_load = { 0 };

	for (u32 i = 0; i < percpu_count(); i++) {
		struct percpu *cpu = percpu_get(i);
		struct cpu_load load;

		if (!runs_guests(cpu))
			continue;
		load = load_of(cpu, choice);
		if (load.vcpus >= SCHED_SLOTS || (best && !is_less(load, best_load)))
			continue;
		best = cpu;
		best_load = load;
	}
	return best;
}

/* The CPU after `previous` in the set, which begins again after its last one. -1: the set is empty. */
static int next_in_set(const struct cpu_set *set, int previous)
{
	for (u32 i = 1; i <= CPU_SET_SIZE; i++) {
		u32 cpu = ((u32)previous + i) % CPU_SET_SIZE;

		if (cpu_set_has(set, cpu))
			return (int)cpu;
	}
	return -1;
}

static int choose_from_set(const struct vm_config *config, struct choice *choice)
{
	int cpu = -1;

	for (u32 i = 0; i < config->vcpus; i++) {
		cpu = next_in_set(&config->cpus, cpu);
		if ((u32)cpu >= percpu_count() || !runs_guests(percpu_get((u32)cpu))) {
			log_error("VM %s: cpus= names CPU %d, which runs no guests; expected some of those that the log lists",
				  config->name, cpu);
			return -EINVAL;
		}
		if (load_of(percpu_get((u32)cpu), choice).vcpus >= SCHED_SLOTS) {
			log_error("VM %s: CPU %d has %u vCPUs already", config->name, cpu, SCHED_SLOTS);
			return -EINVAL;
		}
		choose(choice, percpu_get((u32)cpu));
	}
	return 0;
}

int placement_choose(const struct vm_config *config, struct percpu **homes)
{
	struct choice choice = { .homes = homes };

	if (!cpu_set_is_empty(&config->cpus))
		return choose_from_set(config, &choice);
	for (u32 i = 0; i < config->vcpus; i++) {
		struct percpu *cpu = least_loaded(&choice);

		if (!cpu) {
			if (any_runs_guests())
				log_error("VM %s: each CPU has %u vCPUs already", config->name, SCHED_SLOTS);
			else
				log_error("VM %s: no CPU runs guests: cpus= names none that there is", config->name);
			return -EINVAL;
		}
		choose(&choice, cpu);
	}
	return 0;
}
