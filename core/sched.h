/* SPDX-License-Identifier: MIT */
/*
 * What a CPU does: it runs the vCPUs whose home it is, round robin in slices, and on the boot CPU the service
 * thread (core/service.h). A vCPU that is alone on its CPU has no slice.
 */
#pragma once

#include "core/vtimer.h"
#include "lib/types.h"

struct percpu;
struct vcpu;

#define SCHED_SLOTS 1024	/* vCPUs that a CPU can be the home of */

enum sched_state {
	SCHED_NONE,	/* no scheduler has it */
	SCHED_RUNNING,	/* its home CPU runs it */
	SCHED_QUEUED,	/* it waits for its turn */
	SCHED_PARKED,	/* it waits for an event */
};

/* The scheduler's part of a vCPU. Home CPU, unless the comment says otherwise. */
struct vcpu_sched {
	u8 state;		/* enum sched_state; other CPUs read it for reports */
	bool yields;		/* it spins: let another run first */
	bool shares;		/* others waited for the CPU when it began to run, so loops of PAUSE exit */
	u16 slot;		/* constant: its number on the home CPU */
	struct vcpu *next;	/* in the run queue */
	u64 credit;		/* ticks that are left of its slice */
	u64 since;		/* host TSC of the last change of `state` */
	u64 run, stolen;	/* ticks in which it ran; in which it could have run, but waited */
	struct vtimer wake;	/* while it is parked: its next timer */
};

/* Make the data of this CPU's scheduler. -ENOMEM. */
int sched_create(struct percpu *cpu);
/* All that a CPU does from here on. Interrupts off. Returns when sched_stop() was called. */
void cpu_main(struct percpu *cpu);
/* Have cpu_main() return on all CPUs, once they run no vCPU. */
void sched_stop(void);

/* In the service thread: give the vCPU to its home CPU, vcpu->cpu, which must have less than SCHED_SLOTS. */
void sched_attach(struct vcpu *vcpu);
/* Have the home CPU look whether the vCPU can run. Any CPU; takes no lock. */
void sched_notify(struct vcpu *vcpu);
/* Number of vCPUs whose home the CPU is. */
u32 sched_count(const struct percpu *cpu);

/* Have the other CPUs that run no vCPU look around. Takes no lock. */
void sched_wake_idle(void);

/* Timers of Lamina itself, of the running CPU. */
struct vtimer_list *sched_timers(void);

/* Have the boot CPU call a function of its own soon. Any CPU, any context. */
void sched_poke(void);
void sched_set_poke(void (*function)(void));

/* Ticks in which the CPU ran guests, and in which it slept. Any CPU: for reports. */
void sched_load(const struct percpu *cpu, u64 *busy, u64 *idle);

/* Make this vCPU the one that is loaded on this CPU, with its VM's address space. NULL: none, and Lamina's own. */
void vcpu_switch_to(struct vcpu *vcpu);
/* The same with NULL; and the vCPU can be loaded on any CPU after that. It is loaded here, or was last. */
void vcpu_unload(struct vcpu *vcpu);
