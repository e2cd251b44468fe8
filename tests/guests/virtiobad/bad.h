/* SPDX-License-Identifier: MIT */
/* What all hostile tests share: a queue of some device to be hostile with, and proof that the device lives after it. */
#pragma once
#include "smp.h"
#include "virtio.h"

/* A queue whose requests the device looks at without waiting for anything else. */
struct target {
	struct device *device;
	u16 number;
	const char *name;
};

extern struct queue queue;			/* the target's, after restart() */
extern volatile struct ring rings[8];		/* of the queues up to the target's; 7 is free */
extern volatile u8 memory[4096];		/* for requests */
extern u64 ram_end;

/* Reset the device, negotiate, set up all queues up to the target's, DRIVER_OK. */
bool restart(const struct target *target, u64 features);
/* The device asks for a reset, within a second. */
bool broken(const struct target *target);
/* Start it anew and make a request that must work; a failure names `after`. */
bool works(const struct target *target, const char *after);
void describe(u32 i, u64 address, u32 size, u16 flags, u16 next);
void offer(u16 head);			/* with a doorbell */
void complain(const char *what, const char *name);
u32 random32(void);
u64 random64(void);

void bad_chains(const struct target *target);
void bad_rings(const struct target *target);
void bad_order(const struct target *target);
void bad_registers(const struct target *target);
void bad_races(const struct target *target);
void bad_places(struct device *device);		/* base address registers */
void bad_messages(const struct target *target);
void bad_configuration(void);
