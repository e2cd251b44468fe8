/* SPDX-License-Identifier: MIT */
/*
 * One-shot timers in host TSC ticks, in lists sorted by deadline. A vCPU has a list for its own devices (the
 * local APIC), which its home CPU runs; a VM has one for its shared devices, run with the VM lock held; a
 * CPU has one for Lamina itself.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vcpu;
struct vtimer_list;

#define VTIMER_NEVER (~0ull)

struct vtimer {
	u64 deadline;			/* host TSC */
	bool armed;
	u64 early;			/* constant: all ones: it may fire early; or 0 */
	struct vtimer_list *list;
	void (*fire)(struct vtimer *timer);	/* disarmed already; may arm it again */
	struct vtimer *next;
};

/* The list's owner accesses it: the vCPU's home CPU, the holder of the VM lock, the CPU. */
struct vtimer_list {
	struct vtimer *first;
	u64 deadline;			/* when it is to be run, or VTIMER_NEVER; any CPU may read it */
	u64 advance;			/* ticks by which that is before the first timer's deadline: core/advance.h */
	struct vcpu *vcpu;		/* constant: whose timer_deadline follows this list; NULL: nobody's */
	void (*changed)(struct vtimer_list *list);	/* constant: the deadline has changed; NULL: not reported */
};

/*
 * A timer of the vCPU's own devices; or of a device that the VM's vCPUs share; or any other, on any list. Only the first
 * may fire early.
 */
void vtimer_init(struct vtimer *timer, struct vcpu *vcpu, void (*fire)(struct vtimer *timer));
void vtimer_init_shared(struct vtimer *timer, struct vm *vm, void (*fire)(struct vtimer *timer));
void vtimer_init_on(struct vtimer *timer, struct vtimer_list *list, void (*fire)(struct vtimer *timer));
/* By the owner of its list. */
void vtimer_arm(struct vtimer *timer, u64 deadline);	/* moves it if armed; a deadline in the past fires soon */
void vtimer_cancel(struct vtimer *timer);

/*
 * Fire all timers of the list that are due. Bounded: a timer that re-arms itself in the past waits for the next
 * call. False: more of them are due.
 */
bool vtimer_list_run(struct vtimer_list *list, u64 now);
/*
 * The same for the vCPU's own timers and, on its VM's boot processor, for those of the shared devices. Its own ones
 * fire early by vcpu->timers.advance: vcpu->wait.until is set then, and the next entry has to wait.
 */
bool vtimer_run(struct vcpu *vcpu, u64 now);
/* The same, with REQ_TIMER and REQ_WAIT for what is left. */
void vtimer_run_expired(struct vcpu *vcpu, u64 now);
/* By the owner of the list. */
void vtimer_set_advance(struct vtimer_list *list, u64 ticks);
/* vcpu->slice_end has changed, or the first timer of the VM's shared devices: set the vCPU's timer_deadline. */
void vtimer_limit_changed(struct vcpu *vcpu);

/* Time as device models see it. */
u64 vtimer_now(void);				/* host TSC */
/* The same, inlined into the entry and exit paths. */
#ifdef LAMINA_HOST_TEST
#define tsc_now vtimer_now
#else
#define tsc_now rdtsc
#endif
u64 vtimer_from_ns(u64 ns);			/* ticks */
u64 vtimer_to_ns(u64 ticks);
/* ticks * numerator / denominator with a 128-bit intermediate: for counters of any frequency. */
u64 vtimer_scale(u64 ticks, u64 numerator, u64 denominator);
u64 vtimer_hz(void);				/* TSC ticks per second */
u64 vcpu_guest_tsc(const struct vcpu *vcpu, u64 host_tsc);
