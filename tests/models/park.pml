/* SPDX-License-Identifier: MIT */
/*
 * A home CPU with two vCPUs, of which it runs one at a time, and other CPUs that post interrupts to them.
 *
 * A sender posts (PIR, then ON), sets REQ_EVENT, and if that vCPU had no request yet it looks whether the CPU runs it.
 * If so, it sends an IPI that only ends the guest's turn: the loop looks at the requests before the next entry. Else it
 * sets the vCPU's bit in the CPU's `woken` and sends the IPI that makes the CPU look at them. A vCPU that halts is no
 * longer `running` for others, then clears REQ_EVENT, then looks at what was posted and at its other requests, and only
 * then leaves the run queue; for a woken one the same decides whether it comes back. The CPU takes `woken` by one
 * exchange, and idles after a look at `woken` and at the run queue with interrupts off.
 *
 * Property: when nothing can happen any more, every posted interrupt and every NMI was delivered, except for a vCPU in the
 * run queue that waits for the end of another's slice.
 *
 * broken: LOOK_FIRST OTHER_REQUEST STI_BEFORE_HLT WOKEN_FIRST NO_IPI_IF_QUEUED WOKEN_STORE PARK_UNSEEN STILL_RUNNING OLD_LOOK ANY_RUNNING
 */
#define VCPUS	2
#define EVENT	1
#define NMI	2

byte requests[VCPUS], woken;
bool ipi, nudge;
byte running;			/* as other CPUs see it: the vCPU in the loop, from 1 */
bool pir[VCPUS], on[VCPUS], nmi[VCPUS];
bool queued[VCPUS];
byte preemptions = 1, current;	/* current: the vCPU in the guest, from 1 */

inline kick(v, what)
{
#ifdef BROKEN_WOKEN_FIRST
	atomic { woken = woken | (1 << v) }
#endif
#ifdef BROKEN_OLD_LOOK
	was_running = running;
#endif
	atomic { old = requests[v]; requests[v] = old | what }
#ifndef BROKEN_OLD_LOOK
	was_running = running;
#endif
	if
#ifdef BROKEN_NO_IPI_IF_QUEUED
	:: old == 0 && !queued[v] ->
#else
	:: old == 0 ->
#endif
		if
#ifdef BROKEN_ANY_RUNNING
		:: was_running != 0 -> nudge = true
#else
		:: was_running == v + 1 -> nudge = true
#endif
		:: else ->
#ifndef BROKEN_WOKEN_FIRST
			atomic { woken = woken | (1 << v) }
#endif
			ipi = true
		fi
	:: else
	fi
}

proctype sender(byte v; byte count)
{
	byte old, i, was_running;
	bool was_on;

	for (i : 1 .. count) {
		pir[v] = true;
		atomic { was_on = on[v]; on[v] = true }
		if
		:: !was_on -> kick(v, EVENT)
		:: else
		fi;
		d_step { old = 0; was_on = false; was_running = 0 }
	}
}

proctype nmi_sender(byte v)
{
	byte old, was_running;

	nmi[v] = true;
	kick(v, NMI)
}

/* Can the halted vCPU run? Its request is cleared before what it stands for is looked at. */
inline can_run(v)
{
#if defined(BROKEN_LOOK_FIRST)
	stay = pir[v] || on[v];
	atomic { requests[v] = requests[v] & ~EVENT }
	stay = stay || requests[v] != 0;
#elif defined(BROKEN_OTHER_REQUEST)
	atomic { requests[v] = requests[v] & ~EVENT }
	stay = pir[v] || on[v];
#elif defined(BROKEN_PARK_UNSEEN)
	atomic { requests[v] = requests[v] & ~EVENT }
	stay = requests[v] != 0;
#else
	atomic { requests[v] = requests[v] & ~EVENT }
	stay = requests[v] != 0;
	if
	:: !stay -> stay = pir[v] || on[v]
	:: else
	fi;
#endif
	if
	:: stay -> atomic { requests[v] = requests[v] | EVENT }
	:: else
	fi;
	queued[v] = stay;
	stay = false
}

inline look_at(v)
{
	if
	:: (w & (1 << v)) && !queued[v] -> can_run(v)
	:: else		/* a vCPU in the run queue looks at its requests itself */
	fi
}

inline take_woken()
{
#ifdef BROKEN_WOKEN_STORE
	w = woken;
	woken = 0;
#else
	atomic { w = woken; woken = 0 }
#endif
	look_at(0);
	look_at(1);
	w = 0
}

inline merge(v)
{
	on[v] = false;
	pir[v] = false
}

inline serve(v)
{
	atomic { taken = requests[v]; requests[v] = 0 }
	if
	:: taken & EVENT -> merge(v)
	:: else
	fi;
	if
	:: taken & NMI -> nmi[v] = false
	:: else
	fi;
	taken = 0
}

active proctype home()
{
	byte w, taken, v;
	bool stay;

	queued[0] = true;
	queued[1] = true;
next:
	take_woken();
	if	/* any order of the run queue */
	:: queued[0] -> v = 0
	:: queued[1] -> v = 1
	:: !queued[0] && !queued[1] -> goto idle
	fi;
	running = v + 1;
enter:
	serve(v);
	if	/* the last look, interrupts off */
	:: requests[v] != 0 -> goto enter
	:: else
	fi;
	if
	:: true -> goto spins	/* a guest that never halts */
	:: true
	fi;
	if	/* in the guest */
	:: nudge -> nudge = false; goto enter
	:: ipi -> ipi = false; take_woken(); goto enter	/* nobody else has to run */
	:: ipi -> ipi = false; goto leave
	:: preemptions > 0 -> preemptions--; goto leave	/* the slice is over */
	:: goto halt
	fi;
spins:
	current = v + 1;
end_spins:
	if
	:: nudge -> nudge = false; current = 0; goto enter
	:: ipi -> ipi = false
	:: preemptions > 0 -> preemptions--
	fi;
	current = 0;
leave:
	running = 0;
	goto next;
halt:
#ifdef BROKEN_STILL_RUNNING
	can_run(v);
	running = 0;
#else
	running = 0;
	take_woken();
	can_run(v);
#endif
	goto next;
idle:
	/* CLI */
	if
	:: woken != 0 -> goto next
	:: else
	fi;
#ifdef BROKEN_STI_BEFORE_HLT
	if
	:: ipi -> ipi = false
	:: else
	fi;
#endif
end_hlt:	/* STI; HLT */
	if
	:: ipi -> ipi = false
	:: nudge -> nudge = false
	fi;
	goto next
}

/* The end of the current vCPU's slice lets it run. */
#define WAITS_FOR_SLICE(v)	(queued[v] && current != 0 && current != (v) + 1)

init
{
	atomic {
		run sender(1, 1);
		if
		:: run sender(0, 2)
		:: run sender(0, 1); run nmi_sender(0)
		fi
	}
	timeout;
	assert(WAITS_FOR_SLICE(0) || (!pir[0] && !on[0] && !nmi[0] && requests[0] == 0));
	assert(WAITS_FOR_SLICE(1) || (!pir[1] && !on[1] && !nmi[1] && requests[1] == 0))
}
