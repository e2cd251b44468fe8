/* SPDX-License-Identifier: MIT */
/*
 * tdp_flush(): a CPU takes a page from the VM, has all CPUs flush, waits for them, and gives the page to
 * others.
 *
 * It stores the entry, sets REQ_FLUSH_TLB of each vCPU, takes a number, and interrupts the CPUs; each answers
 * with the highest number that it has seen. An entry of the guest delivers an event by what the processor has
 * cached, or walks the tables for; the guest goes on until an interrupt. Both CPUs take a page each, perhaps at
 * the same time, of VMs that both have vCPUs on either. A handler may also wait for something else, and answer
 * meanwhile.
 *
 * Property: no guest uses a page that was given away, and both changes come to an end.
 *
 * broken: NO_WAIT NO_INTERRUPT NO_REQUEST NUMBER_FIRST NO_ANSWER NO_FLUSH ENTRY_LAST LOCKED
 */
#define CPUS 2

bool present[CPUS] = true;	/* the entry of the page that this CPU takes away */
bool given[CPUS];		/* its page belongs to others */
bool request[CPUS];		/* REQ_FLUSH_TLB of the CPU's vCPU */
bool interrupt[CPUS];
byte number;			/* of the last flush */
byte answered[CPUS];
#ifdef BROKEN_LOCKED
bool lock;			/* any, which CPUs wait for with interrupts off */
#endif
byte over;

/* A guest's access by the TLB, or else by the tables. cached: of each page, by this CPU's vCPU. */
inline use(page)
{
	atomic {
		if
		:: cached[page] || present[page] ->
			cached[page] = true;
			assert(!given[page])
		:: else
		fi
	}
}

inline flush()
{
	atomic { cached[0] = false; cached[1] = false }
}

/* tdp_flush_answer(); here only if there is something to answer, so that a wait without end is one that blocks. */
inline answer()
{
#ifndef BROKEN_NO_ANSWER
	seen = number;
#ifndef BROKEN_NO_FLUSH
	atomic { was = request[me]; request[me] = false }
	if
	:: was -> flush()
	:: else
	fi;
#endif
	atomic { answered[me] = seen; seen = 0; was = false }
#else
	skip
#endif
}

inline take_page()
{
#ifdef BROKEN_LOCKED
	atomic { !lock -> lock = true }
#endif
#ifndef BROKEN_ENTRY_LAST
	present[me] = false;
#endif
#ifdef BROKEN_NUMBER_FIRST
	atomic { number++; mine = number }
#endif
#ifndef BROKEN_NO_REQUEST
	request[0] = true;
	request[1] = true;
#endif
#ifndef BROKEN_NUMBER_FIRST
	atomic { number++; mine = number }
#endif
	answer();
#ifndef BROKEN_NO_INTERRUPT
	interrupt[1 - me] = true;
#endif
#ifdef BROKEN_ENTRY_LAST
	present[me] = false;
#endif
#ifndef BROKEN_NO_WAIT
	do
	:: answered[1 - me] >= mine -> break
#ifndef BROKEN_NO_ANSWER
	:: answered[1 - me] < mine && answered[me] < number -> answer()
#endif
	od;
#endif
	atomic { given[me] = true; mine = 0 }
#ifdef BROKEN_LOCKED
	lock = false;
#endif
	over++
}

proctype cpu(byte me)
{
	bool cached[CPUS], taken, was, forced;
	byte seen, mine, uses;

window:	/* between two entries, interrupts are served */
	if
	:: interrupt[me] ->
		interrupt[me] = false;
		seen = number;
		atomic { answered[me] = seen; seen = 0 }
	:: else
	fi;
	forced = false;
	if	/* serve_requests() */
	:: request[me] ->
		request[me] = false;
		flush()
	:: else
	fi;
	if	/* the handler of a request, or of the exit before */
	:: !taken -> taken = true; take_page()
#ifndef BROKEN_NO_ANSWER
	:: answered[me] < number -> answer()
#endif
	:: true
	fi;
	if	/* what was requested meanwhile makes the entry a forced exit: it still delivers an event */
	:: request[me] -> forced = true
	:: else
	fi;
	use(0);
	use(1);
	if
	:: forced -> goto window
	:: else
	fi;
	uses = 2;
guest:
	if
	:: interrupt[me] -> goto window
	:: uses > 0 -> uses--; use(0); goto guest
	:: uses > 0 -> uses--; use(1); goto guest
	:: !taken -> goto window		/* an exit of its own */
	:: over == CPUS
	fi
}

init
{
	atomic { run cpu(0); run cpu(1) }
	timeout;
	assert(over == CPUS)
}
