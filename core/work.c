/* SPDX-License-Identifier: MIT */
/* Work of devices, done by the VM's vCPUs between two entries. */
#include "core/work.h"

#include "arch/cpu/cpu.h"
#include "arch/cpu/percpu.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "core/vtimer.h"

/* Of vm_work.state. Who sets POSTED where no bit was set finds a vCPU for the work; who clears RUNNING sees to what was posted. */
#define POSTED	BIT(0)
#define RUNNING BIT(1)

#define WORK_TURN_NS	  100000	/* no new portion is begun after that, before the guest had its turn */
#define GUEST_SHORTEST_NS 10000		/* how long the guest runs between two turns, whatever they took */
#define GUEST_LONGEST_NS  10000000	/* one long portion does not stop the device for longer */

void vm_work_init(struct vm *vm, struct vm_work *work, bool (*run)(struct vm_work *work, struct vcpu *vcpu))
{
	struct vm_work **last = &vm->work;

	*work = (struct vm_work){ .vm = vm, .run = run };
	while (*last)
		last = &(*last)->next;
	*last = work;
}

/* --- posting --- */

/* A vCPU that has nothing to do, best on a CPU that has nothing to do either; NULL: none. Others may change that meanwhile. */
static struct vcpu *find_idle(const struct vm *vm)
{
	struct vcpu *parked = NULL;

	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (READ_ONCE(vcpu->sched.state) != SCHED_PARKED)
			continue;
		if (!__atomic_load_n(&vcpu->cpu->running, __ATOMIC_RELAXED))
			return vcpu;
		if (!parked)
			parked = vcpu;
	}
	return parked;
}

/* One whose CPU looks at its requests as soon as an IPI arrives. */
static struct vcpu *find_running(const struct vm *vm)
{
	for (u32 i = 0; i < vm->vcpu_count; i++)
		if (__atomic_load_n(&vm->vcpus[i]->cpu->running, __ATOMIC_RELAXED) == vm->vcpus[i])
			return vm->vcpus[i];
	return NULL;
}

void vm_work_post(struct vm_work *work)
{
	struct vcpu *own = this_cpu()->running, *vcpu;

	/* Posted already, or running: somebody is to look at it. */
	if (__atomic_fetch_or(&work->state, POSTED, __ATOMIC_SEQ_CST))
		return;
	if (own && own->vm == work->vm) {
		/* The guest has executed an instruction for it, so it is no reason for letting the guest run first. */
		if (!own->work.serving)
			own->work.asked = true;
		vcpu_request(own, REQ_WORK);
		return;
	}
	vcpu = find_idle(work->vm);
	if (!vcpu)
		vcpu = find_running(work->vm);
	vcpu_kick(vcpu ?: work->vm->vcpus[0], REQ_WORK);
}

/* --- doing it --- */

static void timer_fired(struct vtimer *timer)
{
	vcpu_request(container_of(timer, struct vcpu, work.timer), REQ_WORK);
}

/* Not early: the guest gets its time, and the work does not wait for the end of it. */
void work_create(struct vcpu *vcpu)
{
	vtimer_init_on(&vcpu->work.timer, &vcpu->timers, timer_fired);
}

/* Do a portion, if the work is posted and nobody else is doing it. */
static void run_portion(struct vm_work *work, struct vcpu *vcpu)
{
	u32 posted = POSTED;

	if (!__atomic_compare_exchange_n(&work->state, &posted, RUNNING, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return;
	if (work->run(work, vcpu))
		__atomic_store_n(&work->state, POSTED, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&work->state, ~RUNNING, __ATOMIC_SEQ_CST);
}

static bool is_wanted_elsewhere(const struct vcpu *vcpu)
{
	return __atomic_load_n(&vcpu->requests, __ATOMIC_ACQUIRE) & (REQ_RESCHED | REQ_STOP | REQ_STATE);
}

/* A turn: a portion of each work, beginning after the one that was done last, until the time is up. */
static void take_turn(struct vcpu *vcpu)
{
	struct vm_work *first = vcpu->vm->work, *work = vcpu->work.last ?: first;
	u64 end = tsc_now() + vtimer_from_ns(WORK_TURN_NS);
	struct vm_work *stop = work;

	vcpu->work.serving = true;
	do {
		work = work->next ?: first;
		if (__atomic_load_n(&work->state, __ATOMIC_RELAXED) != POSTED)
			continue;
		run_portion(work, vcpu);
		vcpu->work.last = work;
		irq_window();
		if (is_wanted_elsewhere(vcpu) || tsc_now() >= end)
			break;
	} while (work != stop);
	vcpu->work.serving = false;
}

/* Is a work left that nobody is doing? After the turn: what its runs have posted is seen. */
static bool is_left(const struct vm *vm)
{
	for (const struct vm_work *work = vm->work; work; work = work->next)
		if (__atomic_load_n(&work->state, __ATOMIC_SEQ_CST) == POSTED)
			return true;
	return false;
}

/* See to it that somebody goes on with what is left. */
static void go_on_later(struct vcpu *vcpu)
{
	struct vcpu *idle;

	if (vcpu->activity != VCPU_RUNNING || is_wanted_elsewhere(vcpu)) {
		vcpu_request(vcpu, REQ_WORK);
		return;
	}
	idle = find_idle(vcpu->vm);
	if (idle)
		vcpu_kick(idle, REQ_WORK);
	else
		vtimer_arm(&vcpu->work.timer, vcpu->work.not_before);
}

/*
 * After a turn the guest runs for as long as that took, whatever others post meanwhile. If other vCPUs have had the CPU since the
 * turn, and the guest was not entered, its time begins now.
 */
static bool is_guests_turn(struct vcpu *vcpu, u64 now)
{
	if (vcpu->work.not_before && vcpu->entry_tsc < vcpu->work.ended)
		vcpu->work.not_before = now + vcpu->work.took;
	return now < vcpu->work.not_before;
}

/*
 * How long the guest has its time now. With what the exit took before the turn: where exits are slow, entries are, too. A vCPU
 * that is halted needs no time.
 */
static void end_turn(struct vcpu *vcpu, u64 begin)
{
	bool exited = vcpu->exit_tsc >= vcpu->sched.since;	/* since its CPU took it up, and not long ago */
	u64 now = tsc_now(), took = now - (exited ? MIN(begin, vcpu->exit_tsc) : begin);

	vcpu->work.ended = now;
	vcpu->work.took = MIN(MAX(took, vtimer_from_ns(GUEST_SHORTEST_NS)), vtimer_from_ns(GUEST_LONGEST_NS));
	vcpu->work.not_before = vcpu->activity == VCPU_RUNNING ? now + vcpu->work.took : 0;
}

void work_serve(struct vcpu *vcpu)
{
	u64 begin = tsc_now();

	if (!vcpu->vm->work)
		return;
	if (vcpu->activity == VCPU_RUNNING && !vcpu->work.asked && is_guests_turn(vcpu, begin)) {
		vtimer_arm(&vcpu->work.timer, vcpu->work.not_before);
		return;
	}
	vcpu->work.asked = false;
	vtimer_cancel(&vcpu->work.timer);
	take_turn(vcpu);
	end_turn(vcpu, begin);
	if (is_left(vcpu->vm))
		go_on_later(vcpu);
}

void work_resume(struct vcpu *vcpu)
{
	vtimer_cancel(&vcpu->work.timer);
	vcpu_request(vcpu, REQ_WORK);
}
