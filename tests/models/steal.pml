/* SPDX-License-Identifier: MIT */
/*
 * The "preempted" byte of the steal-time area. A guest that wants a vCPU's TLB flushed skips the IPI if the byte says
 * that the vCPU is preempted, and asks for the flush by setting a second bit with CMPXCHG. The hypervisor
 * takes the byte by one exchange when it runs the vCPU again, and flushes if the bit was set.
 *
 * Property: after the guest has changed a translation and done this, the vCPU never uses the old one.
 *
 * broken: PLAIN_STORE PLAIN_GUEST IN_EMULATION
 */
#define PREEMPTED	1
#define FLUSH		2

byte area;
byte mapping, cached;		/* versions: in the page table, and in the vCPU's TLB */
bool running = true;
bool flush_ipi;
byte asked;			/* the version that the guest counts on */

active proctype hypervisor()
{
	byte old, rounds = 2, held;
	bool emulating;

end_run:
	do
	:: flush_ipi -> atomic { cached = mapping; flush_ipi = false }
	:: rounds > 0 ->
		rounds--;
#ifdef BROKEN_IN_EMULATION
		held = cached;		/* the emulator has translated an address, and is preempted then */
#endif
		running = false;
		atomic { area = area | PREEMPTED }
		/* other vCPUs run here */
#ifdef BROKEN_PLAIN_STORE
		old = area;
		area = 0;
#else
		atomic { old = area; area = 0 }
#endif
		if
		:: old & FLUSH -> cached = mapping
		:: else
		fi;
#ifdef BROKEN_IN_EMULATION
		if
		:: asked != 0 && !flush_ipi -> assert(held >= asked)
		:: else
		fi;
#endif
		running = true
	od
}

/* Another vCPU of the guest. Its IPI is served when the target runs, and it waits for that. */
active proctype guest()
{
	byte old, version;
	bool done;

	for (version : 1 .. 2) {
		mapping = version;
		old = area;
		done = false;
		if
		:: old & PREEMPTED ->
#ifdef BROKEN_PLAIN_GUEST
			area = old | FLUSH;
			done = true
#else
			atomic {	/* CMPXCHG */
				if
				:: area == old -> area = old | FLUSH; done = true
				:: else
				fi
			}
#endif
		:: else
		fi;
		if
		:: !done -> flush_ipi = true; !flush_ipi
		:: else
		fi;
		asked = version
	}
}

/* The vCPU executes an instruction that uses the translation. */
active proctype vcpu()
{
	atomic {
		running && asked != 0 && !(area & PREEMPTED) -> assert(cached >= asked)
	}
end_done:
	false
}
