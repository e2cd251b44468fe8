/* SPDX-License-Identifier: MIT */
/*
 * The log's drain token. Text is put into the ring under a lock; who gets the token prints a piece of it, and
 * who does not get it says so in `more`. The holder clears `more` before it looks at the ring, gives the
 * token back, and looks at `more` once more.
 *
 * Property: when nothing can happen any more, no text is left in the ring, and nobody holds the token.
 *
 * broken: NO_LOOK_AFTER MORE_AFTER_TRY CLEAR_LATE
 */
#define CPUS	3
#define LINES	2

byte text;			/* lines in the ring; one atomic step is one hold of the ring's lock */
bool token, more;
byte printed, printing;

proctype cpu()
{
	byte line, piece;
	bool got;

	for (line : 1 .. LINES) {
		atomic { text++ }
#ifndef BROKEN_MORE_AFTER_TRY
		more = true;
#endif
again:
		atomic { got = !token; token = true }
		if
		:: !got ->
#ifdef BROKEN_MORE_AFTER_TRY
			more = true;
#endif
			skip
		:: else ->
#ifndef BROKEN_CLEAR_LATE
			more = false;
#endif
			printing++;
			assert(printing == 1);
			do
			:: atomic { piece = text; text = 0 }
				if
				:: piece == 0 -> break
				:: else -> printed = printed + piece
				fi
			od;
#ifdef BROKEN_CLEAR_LATE
			more = false;
#endif
			printing--;
			token = false;
#ifndef BROKEN_NO_LOOK_AFTER
			if
			:: more -> goto again
			:: else
			fi
#endif
		fi
	}
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
	assert(text == 0);
	assert(!token);
	assert(printed == CPUS * LINES)
}
