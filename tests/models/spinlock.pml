/* SPDX-License-Identifier: MIT */
/*
 * The ticket lock of lib/spinlock.h, with tickets that wrap round: one CPU at a time, in the order of the tickets,
 * and each gets it. The tickets count modulo 4 instead of 65536; there must be fewer CPUs than tickets.
 *
 * broken: PLAIN_TICKET UNLOCK_TWICE
 */
#define CPUS	3
#define ROUNDS	3
#define MASK	3

byte next, served, inside, done;

proctype cpu()
{
	byte ticket, round, held;

	for (round : 1 .. ROUNDS) {
#ifdef BROKEN_PLAIN_TICKET
		ticket = next;
		next = (ticket + 1) & MASK;
#else
		atomic { ticket = next; next = (next + 1) & MASK }
#endif
		served == ticket;
		inside++;
		assert(inside == 1);
		inside--;
		held = served;
#ifdef BROKEN_UNLOCK_TWICE
		served = (held + 2) & MASK;
#else
		served = (held + 1) & MASK;
#endif
	}
	done++
}

init
{
	byte i;

	atomic {
		for (i : 1 .. CPUS) {
			run cpu()
		}
	}
	timeout;
	assert(done == CPUS)
}
