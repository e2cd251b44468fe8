/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a CPU. Only the CPU itself touches its run queue. Others set a bit in `woken` and send an
 * IPI; whatever the IPI interrupts, the CPU looks at these bits before it enters a guest or sleeps. For the vCPU that
 * the CPU runs an IPI is enough. tests/models/park.pml is the protocol.
 */
#include "core/sched.h"

#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/apic/lapic_timer.h"
#include "arch/bootinfo/option.h"
#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "arch/fault/machine_check_poll.h"
#include "arch/fault/panic.h"
#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/advance.h"
#include "core/cpu/paravirt.h"
#include "core/cpu/speculation.h"
#include "core/enter.h"
#include "core/mem/guest_clear.h"
#include "core/observe/statistics.h"
#include "core/service.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"

#define WOKEN_WORDS (SCHED_SLOTS / 64)
/* Corrected errors are looked for once a minute or less often; the time is looked at each so many turns of cpu_main(). */
#define POLL_NS	    60000000000ull
#define POLL_PASSES 1024u

struct sched {
	/* Atomic: senders set a bit of `woken`, then its word's bit in `woken_words`. */
	u64 woken_words;
	u64 woken[WOKEN_WORDS];
	/* Atomic: the service thread fills a slot, and this CPU empties it. */
	struct vcpu *slots[SCHED_SLOTS];
	u32 count;
	/* This CPU. */
	struct vcpu *first, *last;	/* the run queue */
	bool woke;			/* the first one in it was asleep */
	struct vtimer_list timers;
	struct advance awake, asleep;	/* from an exit, and from the sleep of this CPU, to a guest's handler of its timer */
	u64 busy, idle;			/* ticks; other CPUs read them for reports */
};
_Static_assert(WOKEN_WORDS <= 64, "a bit for each word");
#define SCHED_ORDER 2
_Static_assert(sizeof(struct sched) <= PAGE_SIZE << SCHED_ORDER, "the pages that are allocated");

static u64 slice_ms = 10;
static bool stopping;	/* atomic */
static void (*poke)(void);	/* boot CPU */
static bool poked;	/* atomic */

static int set_slice(struct str_view value)
{
	u64 ms;

	if (parse_u64_view(value, &ms) || !ms || ms > 1000)
		return -EINVAL;
	slice_ms = ms;
	return 0;
}
DEFINE_OPTION(slice, "slice", "MS",
	      "how long a vCPU runs while others wait for the same CPU: 1 to 1000 milliseconds (default 10)", set_slice);

static void kick_interrupt(void);
static void timer_interrupt(void);
static void wake_timer_fired(struct vtimer *timer);

/* Every n-th IPI is left out, to see that a lost one costs no more than a slice. 0: none. */
static u64 drop_kicks;
static u32 kicks;	/* atomic */

static int set_drop_kicks(struct str_view value)
{
	return parse_u64_view(value, &drop_kicks) || drop_kicks == 1 ? -EINVAL : 0;
}
DEFINE_OPTION(drop_kicks, "debug.dropkicks", "N",
	      "for tests: leave out each N-th IPI between CPUs; CPUs then look around once a slice (default none)",
	      set_drop_kicks);

static void send_ipi(const struct percpu *cpu, u8 vector)
{
	if (unlikely(drop_kicks) && __atomic_add_fetch(&kicks, 1, __ATOMIC_RELAXED) % drop_kicks == 0)
		return;
	lapic_send_fixed(cpu->apic_id, vector);
}

static struct sched *own(void)
{
	return this_cpu()->sched;
}

static u64 slice_ticks(void)
{
	return vtimer_from_ns(slice_ms * 1000000);
}

/* A timer was armed, or has expired, while a vCPU runs. */
static void timers_changed(struct vtimer_list *list)
{
	struct vcpu *running = this_cpu()->running;

	if (!running || list->deadline >= running->slice_end)
		return;
	running->slice_end = list->deadline;
	vtimer_limit_changed(running);
}

int sched_create(struct percpu *cpu)
{
	struct sched *sched = pages_alloc(SCHED_ORDER);

	irq_set_handler(IRQ_VECTOR_KICK, kick_interrupt);
	irq_set_handler(IRQ_VECTOR_TIMER, timer_interrupt);

	if (!sched)
		return -ENOMEM;
	sched->timers.deadline = VTIMER_NEVER;
	sched->timers.changed = timers_changed;
	advance_init(&sched->awake);
	advance_init(&sched->asleep);
	cpu->sched = sched;
	return 0;
}

struct vtimer_list *sched_timers(void)
{
	return &own()->timers;
}

void sched_load(const struct percpu *cpu, u64 *busy, u64 *idle)
{
	const struct sched *sched = cpu->sched;

	*busy = sched ? READ_ONCE(sched->busy) : 0;
	*idle = sched ? READ_ONCE(sched->idle) : 0;
}

/* --- the run queue --- */

static void push_first(struct sched *sched, struct vcpu *vcpu)
{
	vcpu->sched.next = sched->first;
	sched->first = vcpu;
	if (!sched->last)
		sched->last = vcpu;
}

/* After the first one, which was just woken. */
static void push_second(struct sched *sched, struct vcpu *vcpu)
{
	vcpu->sched.next = sched->first->sched.next;
	sched->first->sched.next = vcpu;
	if (sched->last == sched->first)
		sched->last = vcpu;
}

static void push_last(struct sched *sched, struct vcpu *vcpu)
{
	vcpu->sched.next = NULL;
	if (sched->last)
		sched->last->sched.next = vcpu;
	else
		sched->first = vcpu;
	sched->last = vcpu;
}

static struct vcpu *pop(struct sched *sched)
{
	struct vcpu *vcpu = sched->first;

	if (!vcpu)
		return NULL;
	sched->first = vcpu->sched.next;
	if (!sched->first)
		sched->last = NULL;
	return vcpu;
}

/* A sibling of the spinning vCPU may hold the lock that it waits for: let one that waits here run first. */
static void prefer_sibling(struct sched *sched, const struct vm *vm)
{
	struct vcpu *before = sched->first, *vcpu;

	if (!before || before->vm == vm)
		return;
	while (before->sched.next && before->sched.next->vm != vm)
		before = before->sched.next;
	vcpu = before->sched.next;
	if (!vcpu)
		return;
	before->sched.next = vcpu->sched.next;
	if (sched->last == vcpu)
		sched->last = before;
	push_first(sched, vcpu);
}

static void set_state(struct vcpu *vcpu, enum sched_state state, u64 now)
{
	struct vcpu_sched *s = &vcpu->sched;

	if (s->state == SCHED_RUNNING)
		s->run += now - s->since;
	else if (s->state == SCHED_QUEUED)
		s->stolen += now - s->since;
	s->since = now;
	WRITE_ONCE(s->state, state);
}

/* --- waking --- */

void sched_notify(struct vcpu *vcpu)
{
	struct percpu *cpu = vcpu->cpu;
	struct sched *sched = cpu->sched;
	u32 slot = vcpu->sched.slot;

	/* Its loop looks at the requests before the next entry. They were set before this look, by a locked operation. */
	if (__atomic_load_n(&cpu->running, __ATOMIC_SEQ_CST) == vcpu) {
		if (cpu != this_cpu())
			send_ipi(cpu, IRQ_VECTOR_FORCE_EXIT);
		return;
	}
	__atomic_fetch_or(&sched->woken[slot / 64], BIT_ULL(slot % 64), __ATOMIC_SEQ_CST);
	__atomic_fetch_or(&sched->woken_words, BIT_ULL(slot / 64), __ATOMIC_SEQ_CST);
	if (cpu != this_cpu())
		send_ipi(cpu, IRQ_VECTOR_KICK);
	else if (cpu->running)
		vcpu_request(cpu->running, REQ_RESCHED);
}

/* What there is to do was stored before, by a locked operation: one that comes to rest now sees it. */
void sched_wake_idle(void)
{
	for (u32 i = 0; i < percpu_count(); i++) {
		const struct percpu *cpu = percpu_get(i);

		if (cpu != this_cpu() && cpu->sched && !__atomic_load_n(&cpu->running, __ATOMIC_SEQ_CST))
			send_ipi(cpu, IRQ_VECTOR_KICK);
	}
}

static u32 take(struct vcpu *vcpu, u32 mask)
{
	return __atomic_fetch_and(&vcpu->requests, ~mask, __ATOMIC_SEQ_CST) & mask;
}

/*
 * Can the parked vCPU run? Requests are cleared before what they stand for is looked at: one that is set after
 * that finds none pending, and notifies.
 */
static bool can_run(struct vcpu *vcpu, u64 now)
{
	u32 state = __atomic_load_n(&vcpu->vm->state, __ATOMIC_SEQ_CST);

	if (state != VM_RUNNING)
		return state == VM_ENDED || (__atomic_load_n(&vcpu->requests, __ATOMIC_SEQ_CST) & REQ_DUMP);
	if ((take(vcpu, REQ_TIMER | REQ_RESCHED | REQ_WAIT) & REQ_TIMER || vcpu->timer_deadline <= now) &&
	    !vtimer_run(vcpu, now))
		vcpu_request(vcpu, REQ_TIMER);
	/* Its next entry serves them. */
	if (vcpu->activity == VCPU_RUNNING)
		return true;
	take(vcpu, REQ_EVENT | REQ_RESCHED);
	if (__atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE)) {
		vcpu_request(vcpu, REQ_EVENT);
		return true;
	}
	return vcpu->activity == VCPU_HALTED && event_wakes(vcpu);
}

/* From now on its timers are waited for in this way. NULL: until their deadlines. */
static void set_advance(struct vcpu *vcpu, struct advance *advance)
{
	vcpu->wait.advance = advance;
	vtimer_set_advance(&vcpu->timers, advance ? advance->ticks : 0);
}

static void park(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	u64 deadline;

	set_state(vcpu, SCHED_PARKED, now);
	set_advance(vcpu, NULL);
	vcpu->wait.learner = NULL;
	vcpu->slice_end = VTIMER_NEVER;
	vtimer_limit_changed(vcpu);
	deadline = vcpu->vm->state == VM_RUNNING ? vcpu->timer_deadline : VTIMER_NEVER;
	vtimer_arm(&vcpu->sched.wake, deadline);
}

/* A vCPU that was asleep runs before those that have used up their slices. */
static void enqueue(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	if (vcpu->sched.wake.armed)
		vtimer_cancel(&vcpu->sched.wake);
	if (vcpu->statistics.open || now > vcpu->sched.since)
		statistics_slept(vcpu, now - vcpu->sched.since);
	set_state(vcpu, SCHED_QUEUED, now);
	push_first(sched, vcpu);
	sched->woke = true;
}

static void look_at(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	if (!vcpu || vcpu->sched.state != SCHED_PARKED)
		return;		/* it will look at its requests itself */
	if (can_run(vcpu, now))
		enqueue(sched, vcpu, now);
	else
		park(sched, vcpu, now);
}

/* On the home CPU, while it looks at its timers. */
static void wake_timer_fired(struct vtimer *timer)
{
	struct vcpu *vcpu = container_of(timer, struct vcpu, sched.wake);

	look_at(vcpu->cpu->sched, vcpu, rdtsc());
}

/* Look at all vCPUs that were woken. */
static void take_woken(struct sched *sched)
{
	u64 words, bits, now;

	if (likely(!READ_ONCE(sched->woken_words)))
		return;
	now = rdtsc();
	words = __atomic_exchange_n(&sched->woken_words, 0, __ATOMIC_SEQ_CST);
	for (; words; words &= words - 1) {
		unsigned word = (unsigned)__builtin_ctzll(words);

		bits = __atomic_exchange_n(&sched->woken[word], 0, __ATOMIC_SEQ_CST);
		for (; bits; bits &= bits - 1)
			look_at(sched, __atomic_load_n(&sched->slots[word * 64 + (unsigned)__builtin_ctzll(bits)],
						       __ATOMIC_ACQUIRE), now);
	}
}

static void run_timers(struct sched *sched, u64 now)
{
	if (unlikely(sched->timers.deadline <= now))
		vtimer_list_run(&sched->timers, now);
}

/* The kick's interrupt, and Lamina's timers: somebody else may have to run than the guest that was interrupted. */
static void look_around(struct sched *sched)
{
	struct vcpu *running = this_cpu()->running;

	run_timers(sched, rdtsc());
	take_woken(sched);
	if (running && (sched->first || service_is_ready() || READ_ONCE(poked)))
		vcpu_request(running, REQ_RESCHED);
}

static void kick_interrupt(void)
{
	look_around(own());
}

static void timer_interrupt(void)
{
	struct vcpu *running = this_cpu()->running;

	lapic_timer_fired();
	look_around(own());
	if (running)
		vcpu_request(running, REQ_TIMER);
}

/* --- poking the boot CPU --- */

void sched_set_poke(void (*function)(void))
{
	poke = function;
}

void sched_poke(void)
{
	struct percpu *boot = percpu_get(0);

	__atomic_store_n(&poked, true, __ATOMIC_SEQ_CST);
	if (boot != this_cpu())
		lapic_send_fixed(boot->apic_id, IRQ_VECTOR_KICK);
	else if (boot->running)
		vcpu_request(boot->running, REQ_RESCHED);
}

/* In cpu_main(), and in no interrupt handler: an NMI's report pokes, too. */
static void answer_poke(void)
{
	if (unlikely(READ_ONCE(poked)) && this_cpu() == percpu_get(0) &&
	    __atomic_exchange_n(&poked, false, __ATOMIC_SEQ_CST) && poke)
		poke();
}

/* --- loading --- */

void vcpu_switch_to(struct vcpu *vcpu)
{
	struct percpu *cpu = this_cpu();
	struct vcpu *old = cpu->current_vcpu;

	if (likely(old == vcpu))
		return;
	if (old)
		old->ops->vcpu_put(old);
	if (!old || !vcpu || old->vm != vcpu->vm)
		address_space_switch(vcpu ? &vcpu->vm->space : &kernel_space);
	if (vcpu)
		vcpu->ops->vcpu_load(vcpu);
	cpu->current_vcpu = vcpu;
}

void vcpu_unload(struct vcpu *vcpu)
{
	if (this_cpu()->current_vcpu == vcpu)
		vcpu_switch_to(NULL);
	vcpu->ops->vcpu_release(vcpu);
}

/* --- attaching, by the service thread --- */

static u32 free_slot(const struct sched *sched)
{
	u32 slot = 0;

	while (slot < SCHED_SLOTS && __atomic_load_n(&sched->slots[slot], __ATOMIC_ACQUIRE))
		slot++;
	return slot;
}

void sched_attach(struct vcpu *vcpu)
{
	struct sched *sched = vcpu->cpu->sched;
	u32 slot = free_slot(sched);

	BUG_ON(slot == SCHED_SLOTS);
	vcpu->sched = (struct vcpu_sched){ .state = SCHED_PARKED, .slot = (u16)slot, .credit = slice_ticks(), .since = rdtsc() };
	vtimer_init_on(&vcpu->sched.wake, &sched->timers, wake_timer_fired);
	__atomic_add_fetch(&sched->count, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&sched->slots[slot], vcpu, __ATOMIC_RELEASE);
	sched_notify(vcpu);
}

u32 sched_count(const struct percpu *cpu)
{
	return __atomic_load_n(&((const struct sched *)cpu->sched)->count, __ATOMIC_RELAXED);
}

/* --- running --- */

/* The vCPU has left for good; its VM's pages may be freed as soon as the last one has. */
static void leave(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	struct vm *vm = vcpu->vm;

	set_state(vcpu, SCHED_NONE, now);
	vcpu_unload(vcpu);
	__atomic_store_n(&sched->slots[vcpu->sched.slot], NULL, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&sched->count, 1, __ATOMIC_RELAXED);
	if (__atomic_sub_fetch(&vm->active, 1, __ATOMIC_ACQ_REL) == 0)
		service_wake();
}

/* Somebody else waits for this CPU: how long may the vCPU run? */
static void set_slice_end(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	bool alone = !sched->first && !service_is_ready() && !drop_kicks;
	struct advance *advance = alone ? &sched->awake : NULL;

	if (vcpu->wait.advance != advance)
		set_advance(vcpu, advance);
	vcpu->slice_end = MIN(alone ? VTIMER_NEVER : now + vcpu->sched.credit, sched->timers.deadline);
	vtimer_limit_changed(vcpu);
	if (vcpu->sched.shares == alone) {
		vcpu->sched.shares = !alone;
		vcpu->ops->pause_exits(vcpu, !alone);
	}
}

static void charge(struct vcpu *vcpu, u64 ticks)
{
	struct vcpu_sched *s = &vcpu->sched;

	s->credit -= MIN(ticks, s->credit);
}

/* It did not stop by itself: does it go on after those that were woken, or is its turn over? */
static void requeue(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	set_state(vcpu, SCHED_QUEUED, now);
	if (sched->first || service_is_ready())
		steal_time_begins(vcpu);
	if (vcpu->sched.yields) {
		prefer_sibling(sched, vcpu->vm);
		push_last(sched, vcpu);
	} else if (vcpu->sched.credit && sched->first && sched->woke) {
		push_second(sched, vcpu);
	} else if (vcpu->sched.credit) {
		push_first(sched, vcpu);
	} else {
		vcpu->sched.credit = slice_ticks();
		push_last(sched, vcpu);
	}
	vcpu->sched.yields = false;
	sched->woke = false;
}

static void run(struct sched *sched, struct vcpu *vcpu)
{
	struct percpu *cpu = this_cpu();
	u64 start = rdtsc(), now;
	enum vcpu_stop stop;

	if (cpu->current_vcpu != vcpu)
		vcpu_switch_to(vcpu);
	if (vcpu->sched.state == SCHED_QUEUED)
		steal_time_ends(vcpu, start - vcpu->sched.since);
	set_state(vcpu, SCHED_RUNNING, start);
	set_slice_end(sched, vcpu, start);
	__atomic_store_n(&cpu->running, vcpu, __ATOMIC_RELEASE);
	sched->woke = false;
	if (unlikely(vcpu->wait.until))
		vcpu_request(vcpu, REQ_WAIT);
	stop = vcpu_run_slice(vcpu);
	/* Before can_run() looks at the requests: who sets one after that look no longer sees the vCPU running. */
	(void)__atomic_exchange_n(&cpu->running, NULL, __ATOMIC_SEQ_CST);

	now = rdtsc();
	vtimer_list_run(&sched->timers, now);
	take_woken(sched);
	sched->busy += now - start;
	charge(vcpu, now - start);
	if (stop == VCPU_STOPPED_LEFT)
		leave(sched, vcpu, now);
	else if (stop == VCPU_STOPPED_PREEMPTED || can_run(vcpu, now))
		requeue(sched, vcpu, now);
	else
		park(sched, vcpu, now);
}

/* The parked vCPU that the first timer of this CPU is to wake, for a timer of its own; NULL: it is another timer. */
static struct vcpu *next_sleeper(const struct sched *sched)
{
	const struct vtimer *first = sched->timers.first;
	struct vcpu *vcpu;

	if (!first || first->fire != wake_timer_fired)
		return NULL;
	vcpu = container_of(first, struct vcpu, sched.wake);
	return vcpu->timers.deadline == first->deadline ? vcpu : NULL;
}

/*
 * The CPU goes to sleep: it may wake up before this vCPU's timer. Nothing is learnt from a timer that is so close that
 * it does not sleep at all. Returns the time at which it has to wake up.
 */
static u64 sleep_less(struct sched *sched, struct vcpu *vcpu, u64 now)
{
	set_advance(vcpu, &sched->asleep);
	if (vcpu->timers.deadline <= now)
		vcpu->wait.advance = NULL;
	return vcpu->timers.deadline;
}

/* It has slept until `deadline`. If nothing else is to be done the vCPU is next, though its timer may not be due. */
static void wake_early(struct sched *sched, struct vcpu *vcpu, u64 deadline)
{
	u64 now = rdtsc();

	if (vcpu->sched.state == SCHED_PARKED && now >= deadline && !sched->first && !READ_ONCE(sched->woken_words) &&
	    !service_is_ready() && !READ_ONCE(poked))
		look_at(sched, vcpu, now);
	/* Of one that is to run, too, if run() would take it for one without an advance. */
	if (vcpu->sched.state == SCHED_PARKED || !vcpu->wait.advance)
		set_advance(vcpu, NULL);
}

/*
 * Sleep until an interrupt. Whoever wakes a vCPU sets its bit before it sends the IPI. A vCPU that has halted stays
 * loaded, but its IA32_SPEC_CTRL must not slow a sibling thread down, which IBRS, STIBP and SSBD can.
 */
static void idle(struct sched *sched)
{
	u64 start = rdtsc(), deadline = sched->timers.deadline, spec_ctrl;
	struct vcpu *next;

	if (READ_ONCE(sched->woken_words) || service_is_ready() || READ_ONCE(poked))
		return;
	next = next_sleeper(sched);
	if (next)
		deadline = sleep_less(sched, next, start);
	lapic_timer_arm(drop_kicks ? MIN(deadline, start + slice_ticks()) : deadline);
	spec_ctrl = speculation_save_guest();
	irq_wait();
	speculation_load_guest(spec_ctrl);
	sched->idle += rdtsc() - start;
	if (next)
		wake_early(sched, next, deadline);
}

/* Between two runs of vCPUs: while one that never halts has the CPU for itself, the banks keep what they hold. */
static void poll(struct percpu *cpu, u64 now)
{
	if (now < cpu->poll_at)
		return;
	cpu->poll_at = now + vtimer_from_ns(POLL_NS);
	machine_check_poll();
}

void cpu_main(struct percpu *cpu)
{
	struct sched *sched = cpu->sched;
	bool served = false;	/* the service thread has had its turn after the last vCPU; timers run within it */

	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		struct vcpu *vcpu;
		u64 now;

		answer_poke();
		now = rdtsc();
		run_timers(sched, now);
		if (unlikely(cpu->passes++ % POLL_PASSES == 0))
			poll(cpu, now);
		take_woken(sched);
		vcpu = !served && service_is_ready() ? NULL : pop(sched);
		served = false;
		if (vcpu) {
			run(sched, vcpu);
		} else if (service_is_ready()) {
			served = service_run();
		} else if (guest_mem_clear_help()) {
			irq_window();	/* other CPUs may wait for an answer: core/mem/tdp_flush.h */
		} else {
			idle(sched);
		}
	}
	vcpu_switch_to(NULL);
	lapic_timer_arm(LAPIC_TIMER_OFF);
}

void sched_stop(void)
{
	__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
	for (u32 i = 0; i < percpu_count(); i++) {
		if (percpu_get(i)->sched && percpu_get(i) != this_cpu())
			lapic_send_fixed(percpu_get(i)->apic_id, IRQ_VECTOR_KICK);
	}
}
