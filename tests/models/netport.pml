/* SPDX-License-Identifier: MIT */
/*
 * A port of a switch: senders on other CPUs put frames into its ring and wake its owner; the owner takes them out, closes
 * the ring, gives its memory up, and opens a ring in new memory. dev/net/ring.c, dev/net/switch.c.
 *
 * A sender reserves a record under the ring's lock: it sees that the ring is open, marks the record as reserved, makes it
 * visible, and counts itself among the senders. It copies without the lock, commits the record, or has it skipped if
 * the copy fails, wakes the owner, and only then leaves. The owner takes such records in the order of reservation, and
 * clears its doorbell before it looks. To end it closes the ring under the lock, and waits until there are no senders;
 * then it frees what they use.
 *
 * Properties: nobody writes a record, or wakes an owner, whose memory was given up; no record is taken before its copy is
 * complete, or used anew before it was taken; when nothing can happen any more, no record that is committed or to be
 * skipped waits with nobody to look at it.
 *
 * broken: NO_COUNT COUNT_LATE NO_WAIT LEAVE_BEFORE_WAKE STATE_LATE TAKE_RESERVED CLEAR_AFTER_LOOK WAKE_BEFORE_COMMIT REUSE_EARLY
 * broken: SKIP_SILENTLY
 */
#define SENDERS 2
#define SLOTS	2
#define LIVES	2
#define FRAMES	3	/* that each sender sends at most */

#define RESERVED  1
#define COMMITTED 2
#define SKIPPED	  3

bool locked, is_open, doorbell;
byte senders, life;		/* life: the memory that is in use; each one is freed before the next */
byte freed;			/* memory of lives up to this one is gone */
byte reserved, released;	/* records, counted */
byte state[SLOTS];
bool whole[SLOTS];		/* the copy into the record is complete */
byte done;

inline lock()
{
	atomic { !locked -> locked = true }
}

inline unlock()
{
	locked = false
}

proctype sender()
{
	byte slot, mine, sent;
	bool got, skipped;

again:
	got = false;
	skipped = false;
	lock();
	if
	:: is_open && reserved - released < SLOTS ->
		got = true;
		mine = life;
		slot = reserved % SLOTS;
#ifdef BROKEN_STATE_LATE
		reserved++;
		state[slot] = RESERVED;
#else
		state[slot] = RESERVED;
		reserved++;
#endif
#if !defined(BROKEN_NO_COUNT) && !defined(BROKEN_COUNT_LATE)
		atomic { senders++ }
#endif
	:: else		/* closed, or full: dropped */
	fi;
	unlock();
	if
	:: got ->
#ifdef BROKEN_COUNT_LATE
		atomic { senders++ }
#endif
		assert(freed < mine);	/* the copy begins */
		assert(!whole[slot]);
		whole[slot] = true;
		assert(freed < mine);
#ifdef BROKEN_WAKE_BEFORE_COMMIT
		doorbell = true;
#endif
		if
		:: state[slot] = COMMITTED
		:: state[slot] = SKIPPED; skipped = true
		fi;
#ifdef BROKEN_LEAVE_BEFORE_WAKE
		atomic { senders-- }
#endif
		assert(freed < mine);	/* what is woken */
#ifdef BROKEN_SKIP_SILENTLY
		doorbell = doorbell || !skipped;
#endif
#if !defined(BROKEN_WAKE_BEFORE_COMMIT) && !defined(BROKEN_SKIP_SILENTLY)
		doorbell = true;
#endif
#if !defined(BROKEN_LEAVE_BEFORE_WAKE) && !defined(BROKEN_NO_COUNT)
		atomic { senders-- }
#endif
	:: else
	fi;
	if
	:: sent < FRAMES - 1 -> sent++; goto again
	:: done++
	fi
}

/* Take what is there. */
inline serve()
{
#ifndef BROKEN_CLEAR_AFTER_LOOK
	doorbell = false;
#endif
	do
#ifdef BROKEN_TAKE_RESERVED
	:: released != reserved ->
#else
	:: released != reserved && state[released % SLOTS] >= COMMITTED ->
#endif
		assert(whole[released % SLOTS]);
#ifdef BROKEN_REUSE_EARLY
		released++;
		whole[(released - 1) % SLOTS] = false
#else
		whole[released % SLOTS] = false;
		released++
#endif
	:: else -> break
	od;
#ifdef BROKEN_CLEAR_AFTER_LOOK
	doorbell = false
#endif
}

active proctype owner()
{
	byte left = LIVES;

	do
	:: left > 0 ->
		left--;
		lock();
		life++;
		is_open = true;
		unlock();
		do
		:: doorbell -> serve()
		:: left > 0 -> break	/* the VM may end at any time, but for the last one */
		:: done == SENDERS && !doorbell -> break
		od;
		if
		:: left == 0 -> break
		:: else
		fi;
		lock();
		is_open = false;
		unlock();
#ifndef BROKEN_NO_WAIT
		senders == 0;
#endif
		freed = life;
		/* The next life's ring is empty. */
		d_step {
			reserved = 0; released = 0; doorbell = false;
			state[0] = 0; state[1] = 0; whole[0] = false; whole[1] = false
		}
	:: else -> break
	od;
	assert(reserved == released)
}

init
{
	byte i;

	atomic {
		for (i : 1 .. SENDERS) {
			run sender()
		}
	}
}
