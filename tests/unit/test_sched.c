/* SPDX-License-Identifier: MIT */
/*
 * The scheduler of a CPU with the enter-guest loop: shares of time, how soon what was woken runs, what sleeps
 * and what leaves; and that no request of another CPU is lost, whichever step it comes between.
 */
/* link: core/vcpu_kick.c core/vtimer.c core/work.c lib/string.c tests/unit/fake_cpu.c */
#include "sched_steps.h"

#include "core/advance.c"
#include "core/enter.c"
#include "core/sched.c"

#include "sched_machine.h"

#include "arch/cpu/x86.h"
#include "choice.h"
#include "fake_cpu.h"
#include "lib/errno.h"

static struct guest *const A = &guests[0], *const B = &guests[1], *const C = &guests[2];

static void assert_share(const struct guest *g, u64 expected, unsigned percent)
{
	u64 slack = expected * percent / 100;

	if (g->ran < expected - slack || g->ran > expected + slack)
		fail_msg("guest %c ran %llu ticks, not %llu", (char)('A' + (g - guests)), (unsigned long long)g->ran,
			 (unsigned long long)expected);
}

/* --- sleeping --- */

static unsigned sleeps;

static void expect_hosts_value(void)
{
	sleeps++;
	assert_int_equal(fake_msr(MSR_SPEC_CTRL)->value, 0);
}

/* Intel, "Single Thread Indirect Branch Predictors (STIBP)": it restricts the other thread of the core, too. */
static void a_sleeping_cpu_has_its_own_spec_ctrl(void **state)
{
	fake_cpu_reset();
	cpu_features.spec_ctrl = true;
	fake_msr(MSR_SPEC_CTRL)->value = 2;	/* the guest has set STIBP */
	while_asleep = expect_hosts_value;
	sleeps = 0;
	add_guest(0, 0)->burst = MS;
	A->sleep = MS;
	A->spec_ctrl = 2;
	start_vm(0);
	run_until(10 * MS);
	while_asleep = NULL;
	cpu_features.spec_ctrl = false;
	assert_true(sleeps >= 4 && A->entries >= 4);
}

/* A guest that has set nothing costs a read and no write; without the register there is neither. */
static void a_sleeping_cpu_writes_nothing_in_vain(void **state)
{
	for (unsigned has = 0; has < 2; has++) {
		fake_cpu_reset();
		cpu_features.spec_ctrl = has;
		add_guest(has, has)->burst = MS;
		guests[has].sleep = MS;
		start_vm(has);
		act_at(now + 10 * MS, end_all);
		act_at(now + 20 * MS, stop_cpu);
		cpu_main(&cpus[0]);
		assert_int_equal(fake_cpu_writes(), 0);
		assert_int_equal(fake_cpu_count(DO_RDMSR) > 0, has);
		stopping = false;
	}
	cpu_features.spec_ctrl = false;
}

/* --- shares --- */

static void two_spinning_guests_share(void **state)
{
	u64 busy, idle_ticks;

	add_guest(0, 0);
	add_guest(1, 1);
	start_vm(0);
	start_vm(1);
	run_until(100 * SLICE);
	assert_share(A, 50 * SLICE, 2);
	assert_share(B, 50 * SLICE, 2);
	/* In turns, and not in shorter slices than they have to. */
	assert_in_range(strlen(order), 95, 105);
	assert_in_range(A->longest_gap, 0, SLICE + SLICE / 50);
	/* What one ran, the other waited. */
	assert_in_range(A->vcpu.sched.stolen, 49 * SLICE, 51 * SLICE);
	assert_in_range(A->vcpu.sched.run, 49 * SLICE, 51 * SLICE);
	assert_in_range(A->steal_time, 49 * SLICE, 51 * SLICE);
	sched_load(&cpus[0], &busy, &idle_ticks);
	assert_in_range(busy, 99 * SLICE, 101 * SLICE);
	assert_in_range(idle_ticks, 0, 101 * MS);
	sched_load(&cpus[1], &busy, &idle_ticks);	/* it runs no guests */
	assert_int_equal(busy + idle_ticks, 0);
}

static void three_of_one_vm_share(void **state)
{
	for (unsigned i = 0; i < 3; i++)
		add_guest(i, 0);
	start_vm(0);
	run_until(90 * SLICE);
	for (unsigned i = 0; i < 3; i++)
		assert_share(&guests[i], 30 * SLICE, 4);
}

/* Alone it has no slice, so nothing makes it exit. */
static void one_guest_is_left_alone(void **state)
{
	add_guest(0, 0);
	start_vm(0);
	run_until(1000 * SLICE);
	assert_share(A, 1000 * SLICE, 1);
	assert_in_range(A->entries, 1, 5);
	assert_int_equal(A->steal_time, 0);
}

/* Once a minute, where a guest lets go of its CPU. */
static void cpus_look_for_corrected_errors(void **state)
{
	add_guest(0, 0);
	add_guest(1, 0);
	start_vm(0);
	start_vm(1);
	cpus[0].poll_at = 10 * SLICE;
	cpus[0].passes = 1024 - 5;	/* a look that is too early ... */
	run_until(1100 * SLICE);
	assert_int_equal(polls, 1);	/* ... and one after 1024 slices */
	assert_true(cpus[0].poll_at >= 1000 * SLICE + vtimer_from_ns(60000000000));
	assert_true(cpus[0].poll_at <= 1050 * SLICE + vtimer_from_ns(60000000000));
}

static void the_option_slice(void **state)
{
	static const char *const wrong[] = { "", "0", "1001", "x", "10ms", "-1" };

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(set_slice((struct str_view){ wrong[i], strlen(wrong[i]) }), -EINVAL);
	assert_int_equal(set_slice((struct str_view){ "1000", 4 }), 0);
	assert_int_equal(set_slice((struct str_view){ "1", 1 }), 0);
	add_guest(0, 0);
	add_guest(1, 1);
	start_vm(0);
	start_vm(1);
	run_until(100 * MS);
	assert_share(A, 50 * MS, 4);
	assert_in_range(strlen(order), 90, 110);
}

/* --- waking --- */

static void wake_b(void)
{
	post(B);
	vcpu_kick(&B->vcpu, REQ_EVENT);
}

/* B waits for interrupts that come in the middle of others' slices. */
static void a_woken_guest_runs_at_once(void **state)
{
	add_guest(0, 0);
	add_guest(1, 1)->burst = MS / 100;
	add_guest(2, 2);
	for (unsigned i = 0; i < 3; i++)
		start_vm(i);
	for (unsigned i = 1; i <= 20; i++)
		act_at(i * 23 * MS, wake_b);
	run_until(50 * SLICE);
	assert_int_equal(B->taken, 20);
	assert_in_range(B->latency, 0, MS / 10);
	/* Its short runs do not cost the one that it interrupted its turn. */
	assert_share(A, 25 * SLICE, 4);
	assert_share(C, 25 * SLICE, 4);
}

/* At the latest after one slice, if others were woken, too. */
static void wake_d(void)
{
	post(&guests[3]);
	vcpu_kick(&guests[3].vcpu, REQ_EVENT);
}

static void two_woken_guests(void **state)
{
	add_guest(0, 0);
	add_guest(1, 1)->burst = MS;
	add_guest(2, 2);
	add_guest(3, 3)->burst = MS;
	for (unsigned i = 0; i < 4; i++)
		start_vm(i);
	for (unsigned i = 1; i <= 20; i++) {
		act_at(i * 47 * MS, wake_b);
		act_at(i * 47 * MS, wake_d);
	}
	run_until(100 * SLICE);
	assert_int_equal(B->taken, 20);
	assert_int_equal(guests[3].taken, 20);
	assert_in_range(B->latency, 0, SLICE + 2 * MS);
	assert_in_range(guests[3].latency, 0, SLICE + 2 * MS);
}

/* Guests that sleep often are not served before the others for ever. */
static void sleepers_do_not_starve_a_spinning_guest(void **state)
{
	static const u64 bursts[] = { MS / 10, MS, 9 * MS, 30 * MS };

	for (unsigned i = 0; i < ARRAY_SIZE(bursts); i++) {
		machine_tear_down(state);
		machine_set_up(state);
		add_guest(0, 0);
		add_guest(1, 1)->burst = bursts[i];
		add_guest(2, 2)->burst = bursts[i];
		B->sleep = C->sleep = MS / 100;	/* they want the CPU nearly all the time */
		for (unsigned n = 0; n < 3; n++)
			start_vm(n);
		run_until(100 * SLICE);
		if (A->ran < 25 * SLICE || A->longest_gap > 5 * SLICE)
			fail_msg("bursts of %llu: ran %llu, longest gap %llu", (unsigned long long)bursts[i],
				 (unsigned long long)A->ran, (unsigned long long)A->longest_gap);
		assert_true(B->ran > 25 * SLICE && C->ran > 25 * SLICE);
	}
}

static void a_halted_guest_is_woken_by_its_timer(void **state)
{
	add_guest(0, 0)->burst = MS;
	A->sleep = 3 * MS;
	start_vm(0);
	run_until(400 * MS);
	assert_in_range(A->taken, 98, 100);
	assert_in_range(A->latency, 0, MS / 100);
	assert_in_range(A->vcpu.statistics.idle, 290 * MS, 310 * MS);
}

/* The same, while another one spins, whose exit at that time is the host's business. */
static void a_timer_of_a_parked_guest_ends_a_run(void **state)
{
	add_guest(0, 0);
	add_guest(1, 1)->burst = MS / 10;
	B->sleep = 33 * MS;
	start_vm(0);
	start_vm(1);
	run_until(1000 * MS);
	assert_in_range(B->taken, 28, 31);
	assert_in_range(B->latency, 0, MS / 10);
	assert_in_range(A->entries, 1, 200);
	assert_true(A->ran > 980 * MS);
}

static void spurious(void)
{
	vcpu_kick(&B->vcpu, REQ_EVENT);
	vcpu_kick(&B->vcpu, REQ_TIMER);
}

/* Looked at, and parked again: its timer is still armed. */
static void a_kick_without_a_reason(void **state)
{
	add_guest(1, 1)->burst = MS;
	B->sleep = 50 * MS;
	start_vm(1);
	for (unsigned i = 1; i < 20; i++)
		act_at(i * 7 * MS, spurious);
	run_until(500 * MS);
	assert_in_range(B->taken, 8, 10);
	assert_in_range(B->latency, 0, MS / 100);
}

static void wake_running_a(void)
{
	assert_ptr_equal(cpus[0].running, &A->vcpu);
	post(A);
	vcpu_kick(&A->vcpu, REQ_EVENT);
	assert_true(end_of_turn_pending);
	assert_false(kick_pending);
	assert_int_equal(((const struct sched *)cpus[0].sched)->woken_words, 0);
}

/* The vCPU that the CPU runs is only interrupted: its loop looks at its requests, and no one else is looked at. */
static void an_interrupt_for_the_running_guest(void **state)
{
	add_guest(0, 0);
	start_vm(0);
	for (unsigned i = 1; i <= 20; i++)
		act_at(i * 7 * MS, wake_running_a);
	run_until(200 * MS);
	assert_int_equal(A->taken, 20);
	assert_in_range(A->latency, 0, MS / 100);
}

static void flush_b(void)
{
	vcpu_kick(&B->vcpu, REQ_FLUSH_TLB);
}

/* A request that a halted guest has to see is served when it next runs, at the latest. */
static void requests_of_a_parked_guest(void **state)
{
	add_guest(1, 1)->burst = MS;
	start_vm(1);
	act_at(5 * MS, flush_b);
	act_at(9 * MS, wake_b);
	run_until(20 * MS);
	assert_int_equal(B->flushes, 1);
	assert_int_equal(B->taken, 1);
}

/* --- yielding --- */

/* A and B are of one VM; A spins for something that B has. C does not get the turn before it. */
static void a_spinning_guest_lets_its_sibling_run(void **state)
{
	add_guest(0, 0)->pause = MS / 10;
	add_guest(2, 1);
	add_guest(1, 0);
	start_vm(0);
	start_vm(1);
	run_until(100 * SLICE);
	for (const char *at = order; (at = strchr(at, 'A')) && at[1]; at++)
		assert_int_equal(at[1], 'B');
	assert_true(B->ran > 40 * SLICE);
	assert_true(C->ran > 40 * SLICE);
}

/* Nobody waits: it goes on, without an exit for each PAUSE. */
static void a_spinning_guest_alone(void **state)
{
	add_guest(0, 0)->pause = MS / 10;
	start_vm(0);
	run_until(10 * SLICE);
	assert_share(A, 10 * SLICE, 2);
	assert_in_range(A->entries, 1, 5);
}

static void two_that_spin_in_turns(void **state)
{
	add_guest(0, 0)->pause = MS / 10;
	add_guest(1, 1)->pause = MS / 10;
	start_vm(0);
	start_vm(1);
	run_until(10 * SLICE);
	assert_share(A, 5 * SLICE, 2);
	assert_share(B, 5 * SLICE, 2);
}

/* --- pausing --- */

static void set_vm_state(struct vm *vm, u32 state)
{
	vm->state = state;
	for (u32 i = 0; i < vm->vcpu_count; i++) {
		vcpu_request(vm->vcpus[i], REQ_STATE);
		sched_notify(vm->vcpus[i]);
	}
}

static u64 ran_at_pause;

static void pause_a(void) { set_vm_state(&vms[0], VM_PAUSED); }
static void note_ran(void) { ran_at_pause = A->ran; }

static void resume_a(void)
{
	assert_int_equal(A->ran, ran_at_pause);
	set_vm_state(&vms[0], VM_RUNNING);
}

static void a_paused_vm_does_not_run(void **state)
{
	add_guest(0, 0);
	add_guest(1, 1);
	start_vm(0);
	start_vm(1);
	act_at(105 * MS, pause_a);
	act_at(106 * MS, note_ran);
	act_at(600 * MS, resume_a);
	run_until(1000 * MS);
	assert_share(A, 52 * MS + 200 * MS, 5);
	assert_true(B->ran > 740 * MS);
}

/* An interrupt that came meanwhile is taken when the VM goes on. */
static void wake_and_resume_a(void);

static void an_interrupt_for_a_paused_vm(void **state)
{
	add_guest(0, 0);
	start_vm(0);
	act_at(10 * MS, pause_a);
	act_at(11 * MS, note_ran);
	act_at(30 * MS, wake_and_resume_a);
	run_until(50 * MS);
	assert_int_equal(A->taken, 1);
	assert_in_range(A->latency, 0, MS);
}

static void wake_a(void)
{
	post(A);
	vcpu_kick(&A->vcpu, REQ_EVENT);
}

static void wake_and_resume_a(void)
{
	wake_a();
	resume_a();
}

static void end_a(void) { vm_end(&vms[0], VM_END_STOPPED, "by another CPU"); }

/* What comes meanwhile waits; a timer that expires meanwhile, too; and it can end. */
static void what_comes_to_a_paused_vm(void **state)
{
	add_guest(0, 0)->burst = MS;
	A->sleep = 20 * MS;
	start_vm(0);
	act_at(10 * MS, pause_a);
	act_at(11 * MS, note_ran);
	act_at(15 * MS, wake_a);
	act_at(400 * MS, resume_a);
	act_at(402 * MS, pause_a);
	act_at(404 * MS, end_a);
	run_until(500 * MS);
	assert_true(A->taken >= 1);
	assert_true(A->entries < 100);
	assert_int_equal(vms[0].active, 0);
	assert_int_equal(service_wakes, 1);
	assert_true(A->released);
}

/* Other requests are not served by a VM that pauses: they wait, too. */
static void nmi_and_flush_for_a(void)
{
	vcpu_kick(&A->vcpu, REQ_NMI);
	vcpu_kick(&A->vcpu, REQ_FLUSH_TLB);
}

static void requests_that_come_with_a_pause(void **state)
{
	add_guest(0, 0);
	start_vm(0);
	act_at(10 * MS, pause_a);
	act_at(10 * MS, nmi_and_flush_for_a);
	act_at(11 * MS, note_ran);
	act_at(30 * MS, resume_a);
	run_until(50 * MS);
	assert_int_equal(A->nmis, 1);
	assert_int_equal(A->flushes, 1);
}

/* --- leaving --- */

static void vcpus_leave_and_the_service_thread_hears_of_it_once(void **state)
{
	add_guest(0, 0);
	add_guest(1, 0)->burst = MS;		/* parked when it ends */
	add_guest(2, 1);
	start_vm(0);
	start_vm(1);
	act_at(100 * MS, end_a);
	act_at(200 * MS, end_all);
	act_at(201 * MS, stop_cpu);
	cpu_main(&cpus[0]);
	assert_int_equal(vms[0].active, 0);
	assert_int_equal(vms[1].active, 0);
	assert_int_equal(service_wakes, 2);	/* once for each VM */
	assert_int_equal(sched_count(&cpus[0]), 0);
	assert_true(A->released && B->released && C->released);
	for (u32 slot = 0; slot < SCHED_SLOTS; slot++)
		assert_null(cpus[0].sched->slots[slot]);
	assert_int_equal(A->vcpu.sched.state, SCHED_NONE);
	assert_true(C->ran > 145 * MS);
}

/* As the service thread restarts a VM. */
static void restart_a(void)
{
	if (vms[0].active)
		return;
	memset(&vms[0], 0, sizeof(vms[0]));
	add_guest(0, 0);
	start_vm(0);
}

static void end_and_restart(void)
{
	service_turns++;
	service_work = restart_a;
	vcpu_request(cpus[0].running, REQ_RESCHED);
}

static void a_vm_that_restarts_starves_nobody(void **state)
{
	add_guest(0, 0);
	add_guest(1, 1);
	add_guest(2, 2);
	for (unsigned i = 0; i < 3; i++)
		start_vm(i);
	for (unsigned i = 1; i <= 20; i++) {
		act_at(i * 45 * MS, end_a);
		act_at(i * 45 * MS + 30 * MS, end_and_restart);
	}
	run_until(100 * SLICE);
	assert_int_equal(service_wakes, 20 + 3);
	assert_true(B->ran > 30 * SLICE);
	assert_true(C->ran > 30 * SLICE);
	assert_in_range(B->longest_gap, 0, 3 * SLICE);
	assert_in_range(C->longest_gap, 0, 3 * SLICE);
}

/* --- the service thread --- */

static void the_service_thread_takes_turns(void **state)
{
	add_guest(0, 0);
	start_vm(0);
	service_turn = 5 * MS;
	service_turns = 1000000;
	run_until(150 * SLICE);
	/* 5 ms for each slice of 10 ms. */
	assert_share(A, 100 * SLICE, 5);
	assert_in_range(service_latency, 0, SLICE + MS);
}

/* --- attaching --- */

static void slots_are_used_again(void **state)
{
	struct sched *sched = cpus[0].sched;
	static struct vcpu others;

	for (u32 i = 0; i < SCHED_SLOTS; i++)
		sched->slots[i] = i == 777 ? NULL : &others;
	add_guest(0, 0);
	vms[0].state = VM_RUNNING;
	sched_attach(&A->vcpu);
	assert_int_equal(A->vcpu.sched.slot, 777);
	assert_ptr_equal(sched->slots[777], &A->vcpu);
	assert_int_equal(A->vcpu.sched.state, SCHED_PARKED);
	assert_int_equal(sched->woken[777 / 64], 1ull << 777 % 64);
	assert_int_equal(sched->woken_words, 1ull << 777 / 64);
}

/* --- clearing of memory: a piece takes 20 us --- */

static unsigned cleared_so_far;

static void note_cleared(void)
{
	cleared_so_far = pieces_cleared;
}

static bool served_in_time;

static void interrupt(void)
{
	kick_pending = true;
}

static void interrupt_is_served(void)
{
	served_in_time = !kick_pending;
}

static void a_cpu_with_nothing_to_do_clears(void **state)
{
	pieces_to_clear = 1000;
	add_guest(0, 0)->burst = MS;
	A->sleep = MS;
	start_vm(0);
	act_at(20 * MS, note_cleared);
	run_until(20 * MS);
	/* While the guest sleeps, and it is woken no later than by a piece. */
	assert_in_range(cleared_so_far, 450, 560);
	assert_true(A->taken >= 9);
	assert_in_range(A->latency, 0, MS / 50 + 3 * ENTRY_TICKS);
}

/* It is not deaf meanwhile: whoever flushes TLBs waits for an answer. */
static void interrupts_are_served_between_pieces(void **state)
{
	pieces_to_clear = 1000;
	add_guest(0, 0)->burst = MS;
	A->sleep = 15 * MS;
	start_vm(0);
	act_at(5 * MS, interrupt);
	act_at(6 * MS, interrupt_is_served);
	run_until(10 * MS);
	assert_true(served_in_time);
}

static void a_cpu_that_runs_a_guest_does_not_clear(void **state)
{
	pieces_to_clear = 1000;
	add_guest(0, 0);
	start_vm(0);
	act_at(20 * MS, note_cleared);
	run_until(20 * MS);
	assert_int_equal(cleared_so_far, 0);
	assert_int_equal(A->entries, 1);
}

/* --- timers that fire early: fake_run() verifies that no guest runs before the deadline --- */

static void learnt(void)
{
	A->late = 0;
}

/* After some times the CPU knows how long its way takes, out of its sleep and out of an exit. */
static void a_sleeping_guest_is_woken_in_time(void **state)
{
	add_guest(0, 0)->burst = MS;
	A->sleep = MS;
	start_vm(0);
	act_at(20 * MS, learnt);
	run_until(100 * MS);
	assert_true(A->early > 20);
	assert_in_range(A->late, 0, 4 * LOOK_TICKS);
}

static void a_running_guest_is_interrupted_in_time(void **state)
{
	add_guest(0, 0)->period = MS;
	start_vm(0);
	vtimer_arm(&A->timer, 2 * MS);
	act_at(20 * MS, learnt);
	run_until(100 * MS);
	assert_true(A->early > 20);
	assert_in_range(A->late, 0, 4 * LOOK_TICKS);
}

/* The CPU's time belongs to the others: it is not spent on waiting for a sleeper's timer. */
static void nothing_fires_early_while_others_run(void **state)
{
	add_guest(0, 0)->burst = MS;
	A->sleep = 3 * MS;
	add_guest(1, 1)->period = 3 * MS;
	start_vm(0);
	start_vm(1);
	vtimer_arm(&B->timer, 2 * MS);
	run_until(100 * SLICE);
	assert_true(A->taken > 100 && B->taken > 100);
	/* B is alone while A sleeps. */
	assert_int_equal(A->early, 0);
}

static void with_the_option_off_nothing_fires_early(void **state)
{
	choose(&option_timeradvance, "off");
	free(sched_pages);
	assert_int_equal(sched_create(&cpus[0]), 0);
	add_guest(0, 0)->burst = MS;
	A->sleep = MS;
	start_vm(0);
	run_until(100 * MS);
	assert_int_equal(A->early, 0);
	assert_true(A->taken > 20);
}

/* --- nothing is lost, whichever step it comes between --- */

static bool nmi_sent;	/* early enough before the end */

static void nmi_a(void)
{
	nmi_sent = now < actions[0].at - MS;
	vcpu_kick(&A->vcpu, REQ_NMI);
}

static void build_sleepers(void)
{
	add_guest(0, 0)->burst = MS / 2;
	A->sleep = MS;
	start_vm(0);
}

static void build_crowd(void)
{
	add_guest(0, 0)->burst = 15 * MS;
	add_guest(1, 0);
	add_guest(2, 1)->burst = MS;
	A->sleep = C->sleep = 4 * MS;
	start_vm(0);
	start_vm(1);
}

/* Run it once for each of its steps, in which the other CPU acts. Returns the number of steps. */
static u64 at_each_step(void (*build)(void), u64 duration, void (*act)(void), void (*check)(void))
{
	void *unused = NULL;

	for (u64 step = 1; step < 100000; step++) {
		machine_tear_down(&unused);
		machine_set_up(&unused);
		build();
		steps = 0;
		step_of_action = step;
		step_action = act;
		run_until(duration);
		if (!step_done)
			return step - 1;
		check();
	}
	fail();
	return 0;
}

static void check_taken(void)
{
	assert_false(A->posted && vms[0].state == VM_RUNNING);
	assert_in_range(A->latency, 0, 2 * SLICE);
}

static void check_nmi(void)
{
	if (nmi_sent && A->nmis != 1)
		fail_msg("step %llu: %u NMIs", (unsigned long long)step_of_action, A->nmis);
}

static void check_left(void)
{
	assert_int_equal(vms[0].active, 0);
	assert_int_equal(vms[0].state, VM_ENDED);
	assert_true(A->released);
	assert_int_equal(service_wakes, vms[1].vcpu_count ? 2 : 1);
}

static void pause_and_resume_a(void)
{
	if (vms[0].state != VM_RUNNING)
		return;
	set_vm_state(&vms[0], VM_PAUSED);
	set_vm_state(&vms[0], VM_RUNNING);
}

static void check_goes_on(void)
{
	assert_true(A->ran > MS);
	check_left();
}

static void no_step_loses_an_interrupt(void **state)
{
	for (unsigned hardware = 0; hardware < 2; hardware++) {
		in_hardware = hardware;
		assert_true(at_each_step(build_sleepers, 6 * MS, wake_a, check_taken) > 100);
		assert_true(at_each_step(build_crowd, 40 * MS, wake_a, check_taken) > 100);
	}
	in_hardware = false;
}

/* It sleeps for less than the CPU's way takes. */
static void build_short_sleeper(void)
{
	add_guest(0, 0)->burst = MS / 50;
	A->sleep = MS / 200;
	cpus[0].sched->asleep.ticks = MS / 100;
	start_vm(0);
}

static void wake_service(void)
{
	service_turns = 3;
	service_turn = 1000;
}

static void check_sleeper(void)
{
	assert_true(A->taken >= 2);
}

/* fake_run() looks at each entry: also at that of a guest which has been woken early when the service thread becomes ready. */
static void no_step_leaves_an_advance_where_others_run(void **state)
{
	assert_true(at_each_step(build_short_sleeper, MS / 5, wake_service, check_sleeper) > 100);
}

static void no_step_loses_an_nmi(void **state)
{
	assert_true(at_each_step(build_sleepers, 6 * MS, nmi_a, check_nmi) > 100);
	assert_true(at_each_step(build_crowd, 40 * MS, nmi_a, check_nmi) > 100);
}

static void no_step_misses_the_end(void **state)
{
	assert_true(at_each_step(build_sleepers, 6 * MS, end_a, check_left) > 100);
	assert_true(at_each_step(build_crowd, 40 * MS, end_a, check_left) > 100);
}

static void no_step_is_stuck_after_a_pause(void **state)
{
	assert_true(at_each_step(build_sleepers, 6 * MS, pause_and_resume_a, check_goes_on) > 100);
	assert_true(at_each_step(build_crowd, 40 * MS, pause_and_resume_a, check_goes_on) > 100);
}

static int hardware_set_up(void **state)
{
	in_hardware = true;
	return machine_set_up(state);
}

static int software_set_up(void **state)
{
	in_hardware = false;
	return machine_set_up(state);
}

static int early_hardware_set_up(void **state)
{
	advances = true;
	return hardware_set_up(state);
}

static int early_software_set_up(void **state)
{
	advances = true;
	return software_set_up(state);
}

static int early_tear_down(void **state)
{
	advances = false;
	return machine_tear_down(state);
}

#define TEST(name)      cmocka_unit_test_setup_teardown(name, software_set_up, machine_tear_down)
#define TEST_BOTH(name) TEST(name), \
	{ #name " (deadline in hardware)", name, hardware_set_up, machine_tear_down, NULL }

#define TEST_EARLY(name) cmocka_unit_test_setup_teardown(name, early_software_set_up, early_tear_down), \
	{ #name " (deadline in hardware)", name, early_hardware_set_up, early_tear_down, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sleeping_cpu_has_its_own_spec_ctrl),
		TEST(a_sleeping_cpu_writes_nothing_in_vain),
		TEST_BOTH(two_spinning_guests_share),
		TEST_BOTH(three_of_one_vm_share),
		TEST_BOTH(one_guest_is_left_alone),
		TEST_BOTH(cpus_look_for_corrected_errors),
		TEST(the_option_slice),
		TEST_BOTH(a_woken_guest_runs_at_once),
		TEST_BOTH(two_woken_guests),
		TEST_BOTH(sleepers_do_not_starve_a_spinning_guest),
		TEST_BOTH(a_halted_guest_is_woken_by_its_timer),
		TEST_BOTH(a_timer_of_a_parked_guest_ends_a_run),
		TEST_BOTH(a_kick_without_a_reason),
		TEST_BOTH(an_interrupt_for_the_running_guest),
		TEST(requests_of_a_parked_guest),
		TEST_BOTH(a_spinning_guest_lets_its_sibling_run),
		TEST(a_spinning_guest_alone),
		TEST_BOTH(two_that_spin_in_turns),
		TEST_BOTH(a_paused_vm_does_not_run),
		TEST_BOTH(what_comes_to_a_paused_vm),
		TEST(an_interrupt_for_a_paused_vm),
		TEST(requests_that_come_with_a_pause),
		TEST_BOTH(vcpus_leave_and_the_service_thread_hears_of_it_once),
		TEST_BOTH(a_vm_that_restarts_starves_nobody),
		TEST_BOTH(the_service_thread_takes_turns),
		TEST(slots_are_used_again),
		TEST_BOTH(a_cpu_with_nothing_to_do_clears),
		TEST(interrupts_are_served_between_pieces),
		TEST(a_cpu_that_runs_a_guest_does_not_clear),
		TEST_EARLY(a_sleeping_guest_is_woken_in_time),
		TEST_EARLY(a_running_guest_is_interrupted_in_time),
		TEST_EARLY(nothing_fires_early_while_others_run),
		TEST_EARLY(with_the_option_off_nothing_fires_early),
		TEST(no_step_loses_an_interrupt),
		TEST_EARLY(no_step_loses_an_interrupt),
		TEST_EARLY(no_step_leaves_an_advance_where_others_run),
		TEST_EARLY(no_step_loses_an_nmi),
		TEST_EARLY(no_step_misses_the_end),
		TEST_EARLY(no_step_is_stuck_after_a_pause),
		TEST(no_step_loses_an_nmi),
		TEST(no_step_misses_the_end),
		TEST(no_step_is_stuck_after_a_pause),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
