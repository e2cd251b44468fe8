/* SPDX-License-Identifier: MIT */
/*
 * A CPU that runs the scheduler and the enter-guest loop with a clock of 1 GHz that the test plays. Guests
 * spin, halt and wait for interrupts; other CPUs act at times that the test gives, or at every atomic access
 * and time stamp of the code, one after the other.
 *
 * The host's interrupts stay pending until irq_window() or irq_wait(), and make a guest exit.
 * Include it behind sched_steps.h, core/advance.c, core/enter.c and core/sched.c.
 */
#pragma once

#define MS	    1000000ull
#define SLICE	    (10 * MS)
#define ENTRY_TICKS 1000ull	/* of an entry and its exit */
#define GUESTS	    4
#define ACTIONS	    64

struct guest {
	struct vcpu vcpu;
	/* What it does. */
	u64 burst;		/* ticks until it halts; 0: it never does */
	u64 sleep;		/* its timer interrupts it after so many ticks; 0: it waits for others */
	u64 pause;		/* it spins in a loop with PAUSE, and exits after so many ticks; 0: it does not */
	/* What has happened. */
	u64 left, until_pause;	/* of the burst; of the loop */
	u64 ran, last_end, longest_gap;
	bool posted;		/* atomic in the product: an interrupt waits for it */
	u64 posted_at, latency;	/* the longest one */
	u64 due;		/* the deadline of the timer that has fired: the guest must not run before it */
	u64 late;		/* the longest time from it until the guest ran, since the test has cleared this */
	unsigned early;		/* timers that have fired before their deadlines */
	u64 period;		/* its timer fires again after so many ticks; 0: it does not */
	unsigned taken, nmis, flushes, entries;
	u64 steal_time;		/* as the guest sees it */
	struct vtimer timer;
	bool loaded, released, pause_exits;
	u64 spec_ctrl;		/* what the processor must hold while it runs; 0: anything */
};

static struct guest guests[GUESTS];
static struct vm vms[GUESTS];
static struct percpu cpus[2];	/* the one that is tested, and another */
static struct percpu *current;
static u64 now;
static bool kick_pending, end_of_turn_pending;
static irq_handler_t handlers[256];
static bool in_hardware;	/* the guests' deadlines are: VMX's preemption timer */

/* The order in which vCPUs ran: a letter for each time that one was chosen after another. */
static char order[4096];

/* --- other CPUs --- */

static struct action {
	u64 at;
	void (*act)(void);
} actions[ACTIONS];
static unsigned action_count, actions_done;

static void act_at(u64 at, void (*act)(void))
{
	assert_true(action_count < ACTIONS);
	assert_true(!action_count || actions[action_count - 1].at <= at);
	actions[action_count++] = (struct action){ at, act };
}

static void as_other_cpu(void (*act)(void))
{
	struct percpu *before = current;

	current = &cpus[1];
	act();
	current = before;
}

static u64 steps, step_of_action;	/* 0: none */
static void (*step_action)(void);
static bool step_done;

static void between_steps(void)
{
	if (current != &cpus[0])
		return;
	if (++steps == step_of_action) {
		step_done = true;
		as_other_cpu(step_action);
	}
}

static u64 next_action(void)
{
	return actions_done < action_count ? actions[actions_done].at : ~0ull;
}

static void advance_to(u64 time)
{
	while (next_action() <= time) {
		now = MAX(now, next_action());
		as_other_cpu(actions[actions_done++].act);
	}
	now = MAX(now, time);
}

/*
 * With the timer advance CPUs wait for a time, so that each look at the clock takes some. Without it none does, and
 * all times are exact.
 */
#define LOOK_TICKS 10
static bool advances;

u64 test_tsc(void)
{
	between_steps();
	now += advances ? LOOK_TICKS : 0;
	return now;
}

u64 clock_ns_to_tsc(u64 ns) { return ns; }
u64 clock_tsc_to_ns(u64 ticks) { return ticks; }
u64 clock_tsc_hz(void) { return 1000000000; }

/* --- the machine --- */

struct address_space kernel_space;
static const struct address_space *space = &kernel_space;

struct percpu *this_cpu(void) { return current; }
u32 percpu_count(void) { return ARRAY_SIZE(cpus); }
struct percpu *percpu_get(u32 index) { return &cpus[index]; }
void address_space_switch(const struct address_space *s) { space = s; }
void irq_set_handler(u8 vector, irq_handler_t handler) { handlers[vector] = handler; }
static void *sched_pages;
void *pages_alloc(unsigned order) { return sched_pages = calloc(1, PAGE_SIZE << order); }

void panic(const char *format, ...) { fail_msg("%s", format); abort(); }

void lapic_send_fixed(u32 apic_id, u8 vector)
{
	assert_int_equal(apic_id, cpus[0].apic_id);
	assert_true(vector == IRQ_VECTOR_KICK || vector == IRQ_VECTOR_FORCE_EXIT);
	assert_ptr_equal(current, &cpus[1]);
	if (vector == IRQ_VECTOR_KICK)
		kick_pending = true;
	else
		end_of_turn_pending = true;
}

/* Clearing of VMs' memory, piece by piece, by CPUs that have nothing to do. */
static unsigned pieces_to_clear, pieces_cleared;

bool guest_mem_clear_help(void)
{
	assert_null(current->running);
	if (!pieces_to_clear)
		return false;
	pieces_to_clear--;
	pieces_cleared++;
	advance_to(now + MS / 50);
	return true;
}

static unsigned polls;

void machine_check_poll(void)
{
	polls++;
}

void lapic_timer_arm(u64 deadline) { cpus[0].timer_armed = deadline; }
void lapic_timer_fired(void) { cpus[0].timer_armed = LAPIC_TIMER_OFF; }

static bool interrupt_pending(void)
{
	return kick_pending || end_of_turn_pending || cpus[0].timer_armed <= now;
}

static void serve_interrupts(void)
{
	while (interrupt_pending()) {
		if (end_of_turn_pending) {
			end_of_turn_pending = false;
		} else if (kick_pending) {
			kick_pending = false;
			handlers[IRQ_VECTOR_KICK]();
		} else {
			handlers[IRQ_VECTOR_TIMER]();
		}
	}
}

void irq_window(void) { serve_interrupts(); }
void force_exit_by_self_ipi(struct vcpu *vcpu) { fail_msg("this machine has no entry stub"); }

/* Nothing of what was sent may be forgotten while the CPU sleeps. */
static void check_nothing_lost(void)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		const struct guest *g = &guests[i];

		if (g->vcpu.sched.state == SCHED_PARKED && g->vcpu.vm->state == VM_RUNNING && g->posted)
			fail_msg("step %llu: guest %u sleeps, and an interrupt waits", (unsigned long long)step_of_action, i);
		if (g->vcpu.sched.state == SCHED_PARKED && g->vcpu.vm->state == VM_ENDED)
			fail_msg("step %llu: guest %u sleeps, and its VM has ended", (unsigned long long)step_of_action, i);
		if (g->vcpu.sched.state == SCHED_QUEUED)
			fail_msg("step %llu: guest %u waits, and the CPU sleeps", (unsigned long long)step_of_action, i);
	}
}

struct cpu_features cpu_features;
static void (*while_asleep)(void);

void irq_wait(void)
{
	if (while_asleep)
		while_asleep();
	if (!interrupt_pending()) {
		check_nothing_lost();
		while (!interrupt_pending()) {
			u64 next = MIN(cpus[0].timer_armed, next_action());

			assert_true(next != ~0ull);
			advance_to(next);
		}
	}
	serve_interrupts();
}

/* --- the service thread: ready as often as the test says --- */

static unsigned service_turns, service_wakes;	/* turns that are left */
static u64 service_ran, service_turn, service_since, service_latency;
static void (*service_work)(void);

bool service_is_ready(void) { return service_turns && current == &cpus[0]; }

void service_wake(void)
{
	service_wakes++;
}

bool service_run(void)
{
	assert_true(service_turns--);
	assert_null(current->running);
	service_latency = MAX(service_latency, now - service_since);
	advance_to(now + service_turn);
	service_ran += service_turn;
	service_since = now;
	if (service_work)
		service_work();
	return true;
}

/* --- guests --- */

static struct guest *guest_of(const struct vcpu *vcpu)
{
	return container_of(vcpu, struct guest, vcpu);
}

static void post(struct guest *g)
{
	if (!g->posted)
		g->posted_at = now;
	g->posted = true;
}

static void guest_timer_fired(struct vtimer *timer)
{
	struct guest *g = container_of(timer, struct guest, timer);

	assert_ptr_equal(current, &cpus[0]);
	assert_true(now + g->vcpu.timers.advance >= timer->deadline);
	g->due = timer->deadline;
	g->early += now < timer->deadline;
	if (g->period)
		vtimer_arm(timer, timer->deadline + g->period);
	post(g);
	g->posted_at = g->due;
	vcpu_request(&g->vcpu, REQ_EVENT);
}

bool event_wakes(struct vcpu *vcpu)
{
	bool wakes = guest_of(vcpu)->posted || guest_of(vcpu)->vcpu.events.nmi_pending;

	between_steps();
	if (wakes) {
		vcpu->activity = VCPU_RUNNING;
		vcpu_request(vcpu, REQ_EVENT);
	}
	return wakes;
}

void event_queue_nmi(struct vcpu *vcpu)
{
	vcpu->events.nmi_pending++;
	vcpu_request(vcpu, REQ_EVENT);
}

bool event_inject(struct vcpu *vcpu)
{
	struct guest *g = guest_of(vcpu);
	bool posted = g->posted;

	g->nmis += vcpu->events.nmi_pending;
	vcpu->events.nmi_pending = 0;
	if (posted) {
		g->posted = false;
		g->taken++;
		if (now > g->posted_at)
			g->latency = MAX(g->latency, now - g->posted_at);
	}
	between_steps();
	return false;
}

static u64 guest_stops_at(const struct guest *g)
{
	u64 stop = g->burst ? now + g->left : ~0ull;

	if (g->pause && g->pause_exits)
		stop = MIN(stop, now + g->until_pause);
	return g->vcpu.deadline_in_hardware ? MIN(stop, MAX(g->vcpu.timer_deadline, now)) : stop;
}

static void note_order(const struct guest *g)
{
	size_t used = strlen(order);
	char letter = (char)('A' + (g - guests));

	if ((!used || order[used - 1] != letter) && used + 1 < sizeof(order))
		order[used] = letter;
}

static void guest_runs(struct guest *g)
{
	u64 start = now, stop = guest_stops_at(g);

	note_order(g);
	if (g->last_end)
		g->longest_gap = MAX(g->longest_gap, now - g->last_end);
	while (now < stop && !interrupt_pending())
		advance_to(MIN(stop, MIN(next_action(), MAX(cpus[0].timer_armed, now))));
	g->ran += now - start;
	g->left -= g->burst ? now - start : 0;
	g->until_pause -= g->pause && g->pause_exits ? now - start : 0;
	g->last_end = now;
}

static enum exit_fastpath fake_run(struct vcpu *vcpu, bool force)
{
	struct guest *g = guest_of(vcpu);

	assert_true(g->loaded);
	assert_ptr_equal(current->current_vcpu, vcpu);
	assert_ptr_equal(current->running, vcpu);
	assert_ptr_equal(space, &vcpu->vm->space);
	assert_int_equal(vcpu->activity, VCPU_RUNNING);
	g->entries++;
	assert_true(now >= g->due);
	if (g->due)
		g->late = MAX(g->late, now - g->due);
	g->due = 0;
	/* Whose CPU is others', too, does not wait for its timers. */
	if (!vcpu->wait.advance)
		assert_int_equal(vcpu->timers.advance, 0);
	if (g->spec_ctrl)
		assert_int_equal(rdmsr(MSR_SPEC_CTRL), g->spec_ctrl);
	between_steps();
	if (!force && !vcpu->requests && !kick_pending && !end_of_turn_pending) {
		if (g->posted)
			fail_msg("step %llu: the guest runs, and an interrupt waits", (unsigned long long)step_of_action);
		if (vcpu->vm->state != VM_RUNNING)
			fail_msg("step %llu: the guest runs, and its VM does not", (unsigned long long)step_of_action);
	}
	if (!force)
		guest_runs(g);
	vcpu->exit_tsc = now;
	advance_to(now + ENTRY_TICKS);
	return EXIT_FASTPATH_NONE;
}

static void fake_handle_exit(struct vcpu *vcpu)
{
	struct guest *g = guest_of(vcpu);

	if (g->burst && !g->left) {
		g->left = g->burst;
		vcpu->activity = VCPU_HALTED;
		if (g->sleep)
			vtimer_arm(&g->timer, now + g->sleep);
	} else if (g->pause && !g->until_pause) {
		g->until_pause = g->pause;
		vcpu->sched.yields = true;
		vcpu_request(vcpu, REQ_RESCHED);
	}
}

static void fake_load(struct vcpu *vcpu)
{
	for (unsigned i = 0; i < GUESTS; i++)
		assert_false(guests[i].loaded);
	assert_ptr_equal(space, &vcpu->vm->space);
	guest_of(vcpu)->loaded = true;
	guest_of(vcpu)->released = false;
}

static void fake_put(struct vcpu *vcpu)
{
	assert_true(guest_of(vcpu)->loaded);
	guest_of(vcpu)->loaded = false;
}

static void fake_release(struct vcpu *vcpu)
{
	assert_false(guest_of(vcpu)->loaded);
	guest_of(vcpu)->released = true;
}

static void fake_pause_exits(struct vcpu *vcpu, bool on)
{
	assert_true(guest_of(vcpu)->loaded);
	assert_int_not_equal(guest_of(vcpu)->pause_exits, on);
	guest_of(vcpu)->pause_exits = on;
}

static void fake_flush(struct vcpu *vcpu) { guest_of(vcpu)->flushes++; }

static const struct vcpu_ops ops = {
	.name = "fake", .vcpu_run = fake_run, .handle_exit = fake_handle_exit, .vcpu_load = fake_load,
	.vcpu_put = fake_put, .vcpu_release = fake_release, .flush_tlb = fake_flush,
	.pause_exits = fake_pause_exits,
};

/* --- the rest of Lamina --- */

void statistics_first_of_kind(struct vcpu *vcpu) { }
void statistics_slept(struct vcpu *vcpu, u64 ticks) { vcpu->statistics.idle += ticks; }
bool startup_serve(struct vcpu *vcpu) { return false; }

void steal_time_begins(struct vcpu *vcpu)
{
	assert_ptr_equal(space, &vcpu->vm->space);
	assert_true(guest_of(vcpu)->loaded);
}

void steal_time_ends(struct vcpu *vcpu, u64 ticks)
{
	assert_ptr_equal(space, &vcpu->vm->space);
	assert_true(guest_of(vcpu)->loaded);
	guest_of(vcpu)->steal_time += ticks;
}

void trace_failed_entry(struct vcpu *vcpu) { fail(); }
void trace_print(const struct vm *vm, unsigned lines) { fail(); }

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
	vm->state = VM_ENDED;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		vcpu_request(vm->vcpus[i], REQ_STATE);
		sched_notify(vm->vcpus[i]);
	}
}

/* --- set-up --- */

static int machine_set_up(void **state)
{
	memset(guests, 0, sizeof(guests));
	memset(vms, 0, sizeof(vms));
	memset(cpus, 0, sizeof(cpus));
	memset(order, 0, sizeof(order));
	cpus[1].index = 1;
	cpus[1].apic_id = 9;
	cpus[0].timer_armed = cpus[1].timer_armed = LAPIC_TIMER_OFF;
	current = &cpus[0];
	space = &kernel_space;
	now = 1000;
	polls = 0;
	action_count = actions_done = 0;
	steps = 0;
	step_done = kick_pending = end_of_turn_pending = stopping = false;
	service_turns = service_wakes = 0;
	service_ran = service_turn = service_latency = 0;
	service_since = now;
	service_work = NULL;
	pieces_to_clear = pieces_cleared = 0;
	slice_ms = 10;
	off = !advances;
	for (unsigned i = 0; i < GUESTS; i++)
		guests[i].vcpu.vm = &vms[i];	/* of check_nothing_lost() */
	assert_int_equal(sched_create(&cpus[0]), 0);
	return 0;
}

static int machine_tear_down(void **state)
{
	free(sched_pages);
	sched_pages = NULL;
	step_of_action = 0;
	return 0;
}

/* Guest number `index`, in that VM. The VM's guests are added in one go. */
static struct guest *add_guest(unsigned index, unsigned vm_index)
{
	struct vm *vm = &vms[vm_index];
	struct guest *g = &guests[index];
	struct vcpu *vcpu = &g->vcpu;

	memset(g, 0, sizeof(*g));
	if (!vm->vcpu_count)
		vm->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER };
	vcpu->vm = vm;
	vcpu->ops = &ops;
	vcpu->choose_event = event_inject;
	vcpu->cpu = &cpus[0];
	vcpu->id = vm->vcpu_count;
	vcpu->deadline_in_hardware = in_hardware;
	vcpu->timers = (struct vtimer_list){ .deadline = VTIMER_NEVER, .vcpu = vcpu };
	vcpu->shared_timers = vcpu->id ? NULL : &vm->timers;
	vcpu->timer_deadline = vcpu->limit = vcpu->slice_end = VTIMER_NEVER;
	vm->vcpus[vm->vcpu_count++] = vcpu;
	vtimer_init(&g->timer, vcpu, guest_timer_fired);
	return g;
}

static void start_vm(unsigned vm_index)
{
	struct vm *vm = &vms[vm_index];

	vm->active = vm->vcpu_count;
	vm->state = VM_RUNNING;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		struct guest *g = guest_of(vm->vcpus[i]);

		g->left = g->burst;
		g->until_pause = g->pause;
		sched_attach(vm->vcpus[i]);
	}
}

/* All VMs end, and then the CPU stops. */
static void end_all(void)
{
	for (unsigned i = 0; i < GUESTS; i++) {
		if (vms[i].state == VM_RUNNING || vms[i].state == VM_PAUSED)
			vm_end(&vms[i], VM_END_STOPPED, "the test is over");
	}
}

static void stop_cpu(void) { sched_stop(); }

/* Let all VMs run until that time. */
static void run_until(u64 time)
{
	act_at(time, end_all);
	act_at(time + 100 * MS, stop_cpu);
	cpu_main(&cpus[0]);
	assert_int_equal(sched_count(&cpus[0]), 0);
	assert_ptr_equal(space, &kernel_space);
	assert_int_equal(cpus[0].timer_armed, LAPIC_TIMER_OFF);
	for (unsigned i = 0; i < GUESTS; i++)
		assert_false(guests[i].loaded);
}
