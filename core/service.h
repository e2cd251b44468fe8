/* SPDX-License-Identifier: MIT */
/*
 * The service thread, on the boot CPU: it creates, restarts and destroys VMs and serves the monitor. It has a
 * stack of its own and takes turns with the vCPUs of that CPU. It runs with interrupts off, like everything
 * else, so it must call service_pause() at least every millisecond.
 */
#pragma once

#include "lib/types.h"

/* On the boot CPU, before cpu_main(): the thread that begins with `main`, which never returns. */
void service_create(void (*main)(void));

/* In the thread. */
void service_wait(void);	/* until service_wake() is called; returns immediately if it was since the last return */
void service_pause(void);	/* let vCPUs of this CPU run, if it is their turn */

/* Does the caller run in the thread? Any CPU. */
bool service_is_current(void);

/* Any CPU, any context that may send an IPI. Takes no lock. */
void service_wake(void);

/*
 * For core/sched.c, on the boot CPU: has the thread something to do? Let it run until it waits or pauses, and serve
 * interrupts. True: its turn is over.
 */
bool service_is_ready(void);
bool service_run(void);
