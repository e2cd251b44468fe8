/* SPDX-License-Identifier: MIT */
/*
 * Work of a VM's devices, done by its vCPUs.
 *
 * A work's state has the bits posted and running. Who sets `posted` where no bit was set gives a vCPU REQ_WORK; else somebody
 * is to look at it already. A vCPU that serves REQ_WORK clears it, and for each work takes it from `posted` to `running` in one
 * step, or leaves it alone. When the run is over it clears `running`, or sets `posted` alone if there is more. After that it
 * looks for works that are posted and that nobody runs: for them it sets its own request, arms its timer, which sets it
 * later, or gives it to another vCPU. A vCPU of a paused VM serves nothing until the VM goes on.
 *
 * Two works, two vCPUs, and other CPUs that post. A run of a work may post the other one, and may say once that there is more.
 *
 * Property: no work runs on two vCPUs at the same time, and when nothing can happen any more, a run has begun after each post.
 *
 * broken: NOT_CLAIMED CLAIM_RUNNING REQUEST_LATE NO_LOOK CLEAR_ALL POST_IF_IDLE MORE_LOST
 */
#define VCPUS	2
#define WORKS	2
#define POSTED	1
#define RUNNING	2

byte state[WORKS];
bool request[VCPUS], timer[VCPUS];
bool dirty[WORKS];		/* something is there that no run has begun after */
byte running[WORKS];		/* vCPUs that are in the run */
byte posts_by_run = 1, more_times = 1;

inline choose()
{
	if
	:: to = 0
	:: to = 1
	fi
}

inline post(w)
{
	dirty[w] = true;
#ifdef BROKEN_POST_IF_IDLE
	old = state[w];
	if
	:: old == 0 -> state[w] = POSTED
	:: else
	fi;
#else
	atomic { old = state[w]; state[w] = old | POSTED }
#endif
	if
	:: old == 0 -> choose(); request[to] = true
	:: else
	fi;
	d_step { old = 0; to = 0 }
}

proctype poster(byte w)
{
	byte old, to;

	post(w)
}

inline do_run(w)
{
	d_step { running[w]++; assert(running[w] == 1) }
	dirty[w] = false;		/* it sees all that was written before */
	if
	:: atomic { posts_by_run > 0 -> posts_by_run-- }; other = 1 - w; post(other)
	:: true
	fi;
	if
	:: atomic { more_times > 0 -> more_times-- }; dirty[w] = true; more = true
	:: true
	fi;
	d_step { running[w]-- }
}

inline serve(w)
{
#ifdef BROKEN_NOT_CLAIMED
	claimed = (state[w] == POSTED);
	if
	:: claimed -> state[w] = RUNNING
	:: else
	fi;
#elif defined(BROKEN_CLAIM_RUNNING)
	atomic { claimed = (state[w] & POSTED) != 0; state[w] = (claimed -> RUNNING : state[w]) }
#else
	atomic { claimed = (state[w] == POSTED); state[w] = (claimed -> RUNNING : state[w]) }
#endif
	if
	:: claimed ->
		do_run(w);
		if
#ifdef BROKEN_MORE_LOST
		:: more -> atomic { state[w] = state[w] & ~RUNNING }
#else
		:: more -> state[w] = POSTED
#endif
#ifdef BROKEN_CLEAR_ALL
		:: !more -> state[w] = 0
#else
		:: !more -> atomic { state[w] = state[w] & ~RUNNING }
#endif
		fi
	:: else
	fi;
	d_step { claimed = false; more = false; other = 0 }
}

proctype vcpu(byte v)
{
	byte old, to, other;
	bool claimed, more, left;

end_of_all:
	do
	:: timer[v] -> timer[v] = false; request[v] = true
	:: request[v] ->
#ifndef BROKEN_REQUEST_LATE
		request[v] = false;
#endif
		serve(0);
		serve(1);
#ifndef BROKEN_NO_LOOK
		left = (state[0] == POSTED);
		left = left || state[1] == POSTED;
		if
		:: left -> timer[v] = true		/* the guest runs for a while, or is halted */
		:: left -> request[1 - v] = true	/* the other one idles */
		:: !left
		fi;
		left = false;
#endif
#ifdef BROKEN_REQUEST_LATE
		request[v] = false;
#endif
		skip
	od
}

init
{
	atomic {
		run vcpu(0);
		run vcpu(1);
		run poster(0);
		run poster(1)
	}
	timeout;
	assert(!dirty[0] && !dirty[1]);
	assert(state[0] == 0 && state[1] == 0)
}
