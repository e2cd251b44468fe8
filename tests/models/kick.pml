/* SPDX-License-Identifier: MIT */
/*
 * vcpu_kick(): requests from other CPUs to a vCPU, and the loop of its home CPU that enters the guest.
 *
 * Senders set a bit of `requests` by a locked OR and send an IPI only if all bits were clear. The home CPU
 * takes the requests, looks at the state behind them, looks with interrupts off whether new ones came, and
 * enters the guest. Whichever way an IPI is consumed, the requests are looked at again before an entry.
 *
 * A sender's stores are visible to others when they leave its store buffer. A locked OR lets earlier stores
 * out first and keeps other locked operations away until its own store is visible, but a WRMSR to the x2APIC's
 * ICR does not wait for that without MFENCE; LFENCE.
 *
 * Property: when nothing can happen any more, each request was served, so that neither a guest that runs
 * for ever nor a vCPU that sleeps for ever leaves one behind.
 *
 * broken: CLEAR_AFTER_LOOK WINDOW_AFTER_LOOK NO_LOOK_AFTER_IRQ NO_FENCE PLAIN_OR STI_BEFORE_HLT UNFORCED SENT_FLAG
 */
#define SENDERS	2
#define ROUNDS	2
#define LOCAL	4		/* bits 0 and 1 belong to the senders */

byte requests;
bool ipi;			/* pending in the home CPU's local APIC */
byte line;			/* sender whose locked OR is not visible yet, from 1; 0: none */
byte work[SENDERS];		/* the state behind each request: messages sent */
byte served[SENDERS];		/* messages that the home CPU has seen */
bool local_work, local_served;
#ifdef BROKEN_SENT_FLAG
bool ipi_sent;			/* cleared by the IPI's handler only */
#endif

proctype sender(byte me)
{
	byte old, round, mask = 1 << me;

	for (round : 1 .. ROUNDS) {
#ifdef BROKEN_PLAIN_OR
		work[me] = round;
		old = requests;
		requests = old | mask;
#else
		/* The message leaves the store buffer before the locked OR's read. */
		atomic {
			line == 0;
			work[me] = round;
			old = requests;
			line = me + 1;
		}
#if !defined(BROKEN_NO_FENCE)
		atomic { requests = old | mask; line = 0 }
#endif
#endif
		if
#ifdef BROKEN_SENT_FLAG
		:: !ipi_sent -> ipi_sent = true; ipi = true
		:: else
#else
		:: old == 0 -> ipi = true
		:: else
#endif
		fi;
#ifdef BROKEN_NO_FENCE
		atomic { requests = old | mask; line = 0 }
#endif
	}
}

inline irq_window()
{
	if
	:: ipi ->
		ipi = false;
#ifdef BROKEN_SENT_FLAG
		ipi_sent = false;
#endif
	:: else
	fi
}

inline serve(bits)
{
	if
	:: bits & 1 -> served[0] = work[0]
	:: else
	fi;
	if
	:: bits & 2 -> served[1] = work[1]
	:: else
	fi;
	if
	:: bits & LOCAL -> local_served = true
	:: else
	fi
}

active proctype home()
{
	byte taken, ticks = 2;
	bool force, event_made;

look:
	force = false;
#ifdef BROKEN_CLEAR_AFTER_LOOK
	taken = requests;
	serve(taken);
	atomic { line == 0; requests = requests & ~taken }
#else
	atomic { line == 0; taken = requests; requests = 0 }
	serve(taken);
#endif
	if
	:: !event_made ->	/* a second event waits behind the injected one */
		event_made = true;
		local_work = true;
		atomic { line == 0; requests = requests | LOCAL }
		force = true
	:: true
	fi;
#ifdef BROKEN_UNFORCED
	force = false;
	goto guest;
#endif

entry:	/* with interrupts off */
	if
	:: !force && requests != 0 -> goto look
	:: else
	fi;
#ifdef BROKEN_WINDOW_AFTER_LOOK
	irq_window();
#endif

guest:
	if
	:: force -> goto exit_slow	/* before the first instruction; `requests` are not 0 */
	:: else
	fi;
end_guest:
	if
	:: ipi -> goto exit_slow
	:: ticks > 0 -> ticks--; goto entry		/* an exit for the fast path: no interrupt window */
	:: ticks > 0 -> ticks--; goto exit_timer	/* the host's timer, and the IPI beside it */
	:: ticks > 0 -> ticks--; goto sleep		/* HLT */
	fi;

exit_timer:
#ifdef BROKEN_SENT_FLAG
	ipi = false;		/* consumed, but not by its handler */
#endif
	irq_window();
#ifdef BROKEN_NO_LOOK_AFTER_IRQ
	goto guest;
#endif
	goto look;

exit_slow:
	irq_window();
	goto look;

sleep:	/* CLI */
	if
	:: requests != 0 -> goto look
	:: else
	fi;
#ifdef BROKEN_STI_BEFORE_HLT
	irq_window();
#endif
end_sleep:	/* STI; HLT */
	ipi -> irq_window();
	goto sleep
}

init
{
	atomic { run sender(0); run sender(1) }
	timeout;
	assert(requests == 0);
	assert(served[0] == ROUNDS && served[1] == ROUNDS);
	assert(local_work == local_served)
}
