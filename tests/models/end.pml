/* SPDX-License-Identifier: MIT */
/*
 * The end of a VM, its restart, and commands of the monitor.
 *
 * vm_end() moves the state from RUNNING to ENDING by compare-and-swap, so the first reason wins, and kicks all
 * vCPUs. Each leaves its loop and counts itself out; the last one hands the VM to the service thread: a bit in
 * `handed`, then service_wake(). The service thread clears its wake-up before it looks, and destroys the VM or starts it
 * again. A pause is a flag that each home CPU looks at before it runs the vCPU; a paused vCPU still leaves when
 * the VM ends. Commands are carried out by the service thread, and each gets an answer.
 *
 * Two VMs: VM 0 has two vCPUs, VM 1 has one and may end while the service thread starts VM 0 again.
 *
 * Properties: no vCPU runs while the VM is destroyed or built; a life is destroyed once; when nothing can happen
 * any more, a VM that has ended was destroyed or runs again, a resumed one runs, and each command was answered.
 *
 * broken: NO_KICK DOUBLE_END COUNT WAKE_LATE PAUSE_HOLDS HANDED_FIRST PAUSED_KEPT COMMAND_LOST
 */
#define VMS	2
#define VCPUS	3		/* 0 and 1 belong to VM 0, 2 to VM 1 */
#define VM_OF(v)	((v) / 2)

#define RUNNING	1
#define ENDING	2
#define GONE	3

byte state[VMS];
bool paused[VMS];
byte active_vcpus[VMS];		/* those that have not left */
byte lives[VMS], destroyed[VMS];
bool restart[VMS];
byte ended_by[VMS];		/* calls that have ended this life */
bool go[VCPUS];			/* the vCPU is in its home CPU's run queue */
bool kicked[VCPUS];
bool in_guest[VCPUS];
byte handed;			/* bit: the VM belongs to the service thread */
bool wake;
bool started, both;
byte command, answers;		/* one place: the sender waits for the answer */

#define STOP	1
#define PAUSE	2
#define RESUME	3
#define RESET	4

inline kick_all(vm)
{
#ifndef BROKEN_NO_KICK
	if
	:: vm == 0 -> atomic { kicked[0] = true; kicked[1] = true }
	:: else -> kicked[2] = true
	fi
#else
	skip
#endif
}

/* won: this call has ended the VM. */
inline vm_end(vm, again)
{
#ifdef BROKEN_DOUBLE_END
	won = state[vm] == RUNNING;
	if
	:: won -> state[vm] = ENDING; restart[vm] = again
	:: else
	fi;
#else
	atomic {
		won = state[vm] == RUNNING;
		if
		:: won -> state[vm] = ENDING; restart[vm] = again
		:: else
		fi
	}
#endif
	if
	:: won ->
		ended_by[vm]++;
		assert(ended_by[vm] == 1);
		kick_all(vm)
	:: else
	fi
}

/* A home CPU of its own for each vCPU. */
proctype home(byte v; byte ends)
{
	byte vm = VM_OF(v), left;
	bool won;

end_queue:
	go[v];
	go[v] = false;
loop:
	kicked[v] = false;
	if
#ifdef BROKEN_PAUSE_HOLDS
	:: paused[vm] -> goto end_paused
	:: !paused[vm] && state[vm] != RUNNING -> goto leave
	:: !paused[vm] && state[vm] == RUNNING
#else
	:: state[vm] != RUNNING -> goto leave
	:: state[vm] == RUNNING && paused[vm] -> goto end_paused
	:: state[vm] == RUNNING && !paused[vm]
#endif
	fi;
	if	/* the last look, interrupts off */
	:: kicked[v] -> goto loop
	:: else
	fi;
	in_guest[v] = true;
end_guest:
	if
	:: kicked[v]
	:: ends > 0 ->		/* power-off or reset by the guest */
		ends--;
		in_guest[v] = false;
		vm_end(vm, true)
	fi;
	in_guest[v] = false;
	goto loop;
end_paused:
	kicked[v];
	goto loop;
leave:
#ifdef BROKEN_COUNT
	left = active_vcpus[vm] - 1;
	active_vcpus[vm] = left;
#else
	atomic { active_vcpus[vm]--; left = active_vcpus[vm] }
#endif
	if
	:: left == 0 ->
#ifdef BROKEN_HANDED_FIRST
		wake = true;
		atomic { handed = handed | (1 << vm) }
#else
		atomic { handed = handed | (1 << vm) }
		wake = true
#endif
	:: else
	fi;
	goto end_queue
}

inline start_vm(vm)
{
	atomic {	/* no vCPU sees this before it is in a run queue, and vm_end() not before the last store */
		lives[vm]++;
		ended_by[vm] = 0;
		active_vcpus[vm] = (vm == 0 -> 2 : 1);
#ifndef BROKEN_PAUSED_KEPT
		paused[vm] = false;
#endif
		if
		:: vm == 0 -> go[0] = true; go[1] = true
		:: else -> go[2] = true
		fi;
		state[vm] = RUNNING
	}
}

inline take_vm(vm)
{
	assert(active_vcpus[vm] == 0);
	assert(vm != 0 || (!in_guest[0] && !in_guest[1]));
	assert(vm != 1 || !in_guest[2]);
	assert(destroyed[vm] + 1 == lives[vm]);
	destroyed[vm]++;
	if
	:: restart[vm] && lives[vm] < 2 -> start_vm(vm)
	:: else -> state[vm] = GONE
	fi
}

inline carry_out()
{
	if
	:: command == STOP -> vm_end(0, false)
	:: command == RESET -> vm_end(0, true)
	:: command == PAUSE ->
		if
		:: state[0] == RUNNING -> paused[0] = true; kick_all(0)
		:: else
		fi
	:: command == RESUME -> paused[0] = false; kick_all(0)
	fi;
	command = 0;
	answers++
}

active proctype service()
{
	byte taken;
	bool won;

	started;
	start_vm(0);
	if
	:: both -> start_vm(1)
	:: else -> state[1] = GONE
	fi;
end_wait:
	wake;
#ifdef BROKEN_WAKE_LATE
#else
	wake = false;
#endif
	atomic { taken = handed; handed = 0 }
	if
	:: taken & 1 -> take_vm(0)
	:: else
	fi;
	if
	:: taken & 2 -> take_vm(1)
	:: else
	fi;
	if
#ifdef BROKEN_COMMAND_LOST
	:: command != 0 && state[0] == RUNNING -> carry_out()
#else
	:: command != 0 -> carry_out()
#endif
	:: else
	fi;
#ifdef BROKEN_WAKE_LATE
	wake = false;
#endif
	goto end_wait
}

byte asked, expected;

proctype user(byte first; byte second)
{
	command = first;
	wake = true;
	answers == 1;
	command = second;
	wake = true;
	answers == 2;
	asked = 2
}

#define SETTLED(vm)	(state[vm] == GONE && destroyed[vm] == lives[vm] || \
			 state[vm] == RUNNING && destroyed[vm] + 1 == lives[vm])

init
{
	atomic {
		if
		:: run home(0, 1); run home(1, 1)
		:: both = true; run home(0, 1); run home(1, 0); run home(2, 1)
		fi;
		started = true;
		if
		:: !both -> run user(PAUSE, RESUME); expected = RUNNING
		:: run user(PAUSE, STOP)
		:: !both -> run user(PAUSE, RESET); expected = RUNNING
		:: !both -> run user(RESET, STOP)
		fi
	}
	timeout;
	assert(asked == 2);
	assert(handed == 0 && !wake);
	assert(SETTLED(0) && SETTLED(1));
	assert(state[0] != RUNNING || (in_guest[0] && in_guest[1]) || (paused[0] && expected != RUNNING));
	assert(state[1] != RUNNING || in_guest[2])
}
