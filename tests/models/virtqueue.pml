/* SPDX-License-Identifier: MIT */
/*
 * Notifications of a split virtqueue with the event index: dev/virtio/virtqueue.c and a driver as in VIRTIO 1.2,
 * "Available Buffer Notification Suppression" and "Used Buffer Notification Suppression".
 *
 * Each side has a store buffer, as x86 has it: its stores become visible in order, but later than its own loads
 * that follow. A fence waits until the buffer is empty. The device takes a request, stores the used index, fences, and
 * reads used_event; when there is nothing left it stores avail_event, fences, and looks at the available index again.
 * The driver does the same the other way round. The indexes count without end here; need_event() is exact for them.
 *
 * Property: when nothing can happen any more, all requests were made, returned and seen.
 *
 * broken: DEVICE_NO_FENCE_INDEX DEVICE_NO_FENCE_EVENT DEVICE_NO_LOOK DRIVER_NO_FENCE DRIVER_NO_LOOK
 * broken: EVENT_FIRST OFF_BY_ONE POST_LATE
 */
#define REQUESTS 4
#define ROOM	 2		/* requests that the driver has under way at most */

/* Memory. Written by the driver: 0, 1; by the device: 2, 3. */
#define AVAIL	    0
#define USED_EVENT  1
#define USED	    2
#define AVAIL_EVENT 3
byte memory[4];

/* A store buffer: places and values, oldest first. */
chan stores[2] = [2] of { byte, byte };
#define DRIVER_SIDE 0
#define DEVICE_SIDE 1

bool work, doorbell, interrupt;	/* work: posted, and not yet begun */
byte seen;

proctype drain(byte side)
{
	byte place, value;

end:	do
	:: d_step { stores[side] ? place, value -> memory[place] = value; place = 0; value = 0 }
	od
}

#define fence(side) empty(stores[side])

/* Did the index pass `event` between old and new? vring_need_event(). */
#ifdef BROKEN_OFF_BY_ONE
#define passed(event, new, old) ((event) < (new) && (event) > (old))
#else
#define passed(event, new, old) ((event) < (new) && (event) >= (old))
#endif

active proctype driver()
{
	byte made, event, used;

	do
	:: made < REQUESTS && made - seen < ROOM ->
		made++;
		stores[DRIVER_SIDE] ! AVAIL, made;
#ifndef BROKEN_DRIVER_NO_FENCE
		fence(DRIVER_SIDE);
#endif
		event = memory[AVAIL_EVENT];
		if
		:: passed(event, made, made - 1) -> doorbell = true
		:: else
		fi;
		event = 0
	:: interrupt ->
		interrupt = false;
look:
		used = memory[USED];
		if
		:: used > seen -> seen = used; goto look
		:: else
		fi;
		stores[DRIVER_SIDE] ! USED_EVENT, seen;
#ifndef BROKEN_DRIVER_NO_LOOK
		fence(DRIVER_SIDE);
		used = memory[USED];
		if
		:: used > seen -> goto look
		:: else
		fi;
#endif
		used = 0
	:: seen == REQUESTS -> break
	od
}

/* The exit of a doorbell posts work; the work begins with clearing the post. */
active proctype exits()
{
end:	do
	:: doorbell -> doorbell = false; work = true
	od
}

active proctype device()
{
	byte taken, avail, event, old;

end:	do
	:: work ->
#ifndef BROKEN_POST_LATE
		work = false;
#endif
more:
		avail = memory[AVAIL];
		do
		:: taken < avail ->
			taken++;
			stores[DEVICE_SIDE] ! USED, taken
		:: else -> break
		od;
		avail = 0;
		if
		:: taken > old ->
#ifdef BROKEN_EVENT_FIRST
			event = memory[USED_EVENT];
			fence(DEVICE_SIDE);
#else
#ifndef BROKEN_DEVICE_NO_FENCE_INDEX
			fence(DEVICE_SIDE);
#endif
			event = memory[USED_EVENT];
#endif
			if
			:: passed(event, taken, old) -> interrupt = true
			:: else
			fi;
			old = taken;
			event = 0
		:: else
		fi;
		stores[DEVICE_SIDE] ! AVAIL_EVENT, taken;
#ifndef BROKEN_DEVICE_NO_LOOK
#ifndef BROKEN_DEVICE_NO_FENCE_EVENT
		fence(DEVICE_SIDE);
#endif
		avail = memory[AVAIL];
		if
		:: avail != taken -> goto more
		:: else
		fi;
		avail = 0;
#endif
#ifdef BROKEN_POST_LATE
		work = false
#endif
	od
}

init
{
	run drain(DRIVER_SIDE);
	run drain(DEVICE_SIDE);
	timeout;
	assert(seen == REQUESTS)
}
