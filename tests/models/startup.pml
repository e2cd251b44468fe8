/* SPDX-License-Identifier: MIT */
/*
 * INIT and start-up IPIs: the word vcpu->startup.
 *
 * A sender of INIT stores INIT over whatever is there. A sender of a SIPI turns INIT into INIT_SIPI(vector) and WAIT
 * into WAIT_SIPI(vector) by compare-and-swap; in other states the SIPI is ignored. Both then set REQ_STARTUP. The
 * home CPU clears the request, then looks at the word: it resets the vCPU for INIT and INIT_SIPI, and moves on to WAIT
 * or RUNNING by a compare-and-swap that fails where a sender came between.
 *
 * Properties: a vCPU is only started by a SIPI that was sent after the last INIT that it took, after a reset for
 * that INIT. When nothing can happen any more, the target runs at the first vector sent since the last INIT, and
 * if the last sender sent a SIPI after its INIT, it runs.
 *
 * broken: HOME_STORES SEPARATE_FLAGS CLEAR_AFTER_LOOK SIPI_STORES NO_RESET
 */
#define RUNNING		0
#define INIT		1
#define INIT_SIPI	2
#define WAIT		3
#define WAIT_SIPI	4

byte word = RUNNING, vector;	/* one atomic word in the code; together in each atomic step here */
bool request;
byte inits;			/* sent so far */
byte wanted;			/* first vector sent since the last INIT; 0: none */
byte reset_for;			/* the INITs that the last reset has seen */
byte running_at;		/* 0: not running since the last INIT was taken */
#ifdef BROKEN_SEPARATE_FLAGS
bool init_flag;
byte sipi_flag;
#endif

inline send_init()
{
	atomic {
		inits++;
		wanted = 0;
#ifdef BROKEN_SEPARATE_FLAGS
		init_flag = true;
#endif
		word = INIT
	}
	request = true
}

inline send_sipi(v)
{
#ifdef BROKEN_SEPARATE_FLAGS
	atomic {
		if
		:: wanted == 0 && inits != 0 -> wanted = v
		:: else
		fi;
		sipi_flag = v
	}
#else
#ifdef BROKEN_SIPI_STORES
	seen = word;
#endif
	atomic {
#ifndef BROKEN_SIPI_STORES
		seen = word;
#endif
		if
		:: seen == INIT || seen == WAIT ->
			word = (seen == INIT -> INIT_SIPI : WAIT_SIPI);
			vector = v;
			assert(wanted == 0);	/* one SIPI for each INIT */
			wanted = v
		:: else
		fi
	}
#endif
	request = true
}

proctype sender(byte v; bool again)
{
	byte seen;

	send_init();
	send_sipi(v);
	if
	:: again -> send_init(); send_sipi(v + 1)
	:: else -> send_sipi(v + 2)
	fi
}

inline reset_vcpu()
{
#ifndef BROKEN_NO_RESET
	reset_for = inits;
#endif
	running_at = 0
}

inline start(v)
{
	running_at = v;
	assert(v != 0)
}

active proctype home()
{
	byte seen, v, before;

end_wait:
	request;
#ifndef BROKEN_CLEAR_AFTER_LOOK
	request = false;
#endif
#ifdef BROKEN_SEPARATE_FLAGS
	v = sipi_flag;
	sipi_flag = 0;
	if
	:: v != 0 -> start(v)
	:: else
	fi;
	if
	:: init_flag -> init_flag = false; reset_vcpu(); word = WAIT
	:: else
	fi;
	goto end_wait;
#endif
look:
	atomic { seen = word; v = vector; before = inits }
#ifdef BROKEN_CLEAR_AFTER_LOOK
	request = false;
#endif
	if
	:: seen == INIT ->
		reset_vcpu();
#ifdef BROKEN_HOME_STORES
		word = WAIT;
		goto look
#else
		atomic {
			if
			:: word == INIT -> word = WAIT
			:: else -> goto look
			fi
		}
#endif
	:: seen == INIT_SIPI || seen == WAIT_SIPI ->
		if
		:: seen == INIT_SIPI -> reset_vcpu()
		:: else
		fi;
		atomic {
			if
			:: word == seen && vector == v ->
				word = RUNNING;
				assert(inits >= before);
				assert(reset_for != 0);
				assert(v == wanted)	/* no SIPI from before the last INIT */
			:: else -> goto look
			fi
		}
		start(v)
	:: else	/* RUNNING, WAIT */
	fi;
	goto end_wait
}

init
{
	atomic { run sender(10, true); run sender(20, false) }
	timeout;
	assert(word == RUNNING);
	assert(wanted != 0 && running_at == wanted)
}
