/* SPDX-License-Identifier: MIT */
/*
 * Posted interrupts: other CPUs and hardware set bits in the PIR; the home CPU merges them into the IRR.
 *
 * A software sender writes the TMR, then the PIR, then ON, and kicks if ON was clear. A hardware sender sets
 * the PIR and ON in one step, and notifies if ON was clear; with SN set it leaves ON alone. The home CPU clears
 * ON and then takes the PIR. It does so when it looks for interrupts and again at the acknowledge. While the vCPU
 * is not on a CPU, SN is set; when it is put on one, SN is cleared and then the PIR is looked at.
 *
 * Vector 0 is an IOAPIC's level: it stays in service there (remote IRR) until an EOI for a vector whose TMR bit is
 * set; vector 1 is an edge that software sends, vector 2 one that hardware sends.
 *
 * Property: when nothing can happen any more, each of them was delivered, and the level's device is quiet.
 *
 * broken: TMR_LAST PIR_FIRST ON_FIRST SN_UNSEEN OTHER_PATH STORE
 */
#define LEVEL	1
#define SOFT	2
#define HARD	4

byte pir, irr, tmr;
bool on, sn;
bool ipi, request;		/* REQ_EVENT, and the IPI that goes with it or that hardware sends */
bool line, remote_irr;
byte raised, sent[2], delivered[2];

inline kick()
{
	atomic { old = request; request = true }
	if
	:: !old -> ipi = true
	:: else
	fi
}

inline post(vector, level)
{
#ifdef BROKEN_ON_FIRST
	atomic { was_on = on; on = true }
#endif
#ifndef BROKEN_TMR_LAST
	atomic { tmr = (level -> tmr | vector : tmr & ~vector) }
#endif
	atomic { pir = pir | vector }
#ifndef BROKEN_ON_FIRST
	atomic { was_on = on; on = true }
#endif
	if
	:: !was_on -> kick()
	:: else
	fi;
	d_step { old = false; was_on = false };
#ifdef BROKEN_TMR_LAST
	atomic { tmr = (level -> tmr | vector : tmr & ~vector) }
#endif
}

/* The IOAPIC, under the VM lock: `remote_irr` is tested and set in one step. */
active proctype ioapic()
{
	bool old, was_on;

	do
	:: atomic { line && !remote_irr -> remote_irr = true }
		post(LEVEL, true)
	:: atomic { raised < 1 && !line -> raised++; line = true }
	:: raised == 1 && !line -> break
	od
}

active proctype software()
{
	bool old, was_on;

	sent[0] = 1;
	post(SOFT, false)
}

active proctype hardware()
{
	byte i;

	for (i : 1 .. 2) {
		atomic {
			sent[1] = i;
			pir = pir | HARD;
			if
			:: !sn && !on -> on = true; ipi = true
			:: else
			fi
		}
	}
}

inline merge()
{
#if defined(BROKEN_PIR_FIRST)
	atomic { taken = pir; pir = 0 }
	irr = irr | taken;
	on = false;
#elif defined(BROKEN_STORE)
	on = false;
	taken = pir;
	pir = 0;
	irr = irr | taken;
#else
	on = false;
	atomic { taken = pir; pir = 0 }
	d_step { irr = irr | taken; taken = 0 }
#endif
}

inline handle()
{
	if
	:: irr & LEVEL ->
		irr = irr & ~LEVEL;
		line = false;
		if	/* EOI, under the VM lock */
		:: tmr & LEVEL -> remote_irr = false
		:: else
		fi
	:: else ->
		if
		:: irr & SOFT -> irr = irr & ~SOFT; delivered[0] = sent[0]
		:: else -> irr = irr & ~HARD; delivered[1] = sent[1]
		fi
	fi
}

active proctype home()
{
	byte taken, preemptions = 1, exceptions = 1;

look:
	request = false;
	if
	:: exceptions > 0 ->	/* an exception is injected first, and the entry exits at once */
		exceptions--;
#ifdef BROKEN_OTHER_PATH
		goto end_guest;
#endif
		request = true;
		goto look
	:: true
	fi;
	merge();
	if
	:: irr != 0 ->
		merge();		/* at the acknowledge: a vector of a higher priority may have come since */
		handle();
		goto look
	:: else
	fi;
	if
	:: request -> goto look
	:: else
	fi;
end_guest:
	if
	:: ipi -> ipi = false; goto look
	:: preemptions > 0 ->
		preemptions--;
		sn = true;
		/* another vCPU runs */
		sn = false;
#ifdef BROKEN_SN_UNSEEN
		goto end_guest
#else
		goto look
#endif
	fi
}

init
{
	timeout;
	assert(pir == 0 && irr == 0 && !on);
	assert(!line && !remote_irr && raised == 1);
	assert(delivered[0] == 1 && delivered[1] == 2)
}
