/* SPDX-License-Identifier: MIT */
/*
 * A machine for the fuzzer of virtio devices: a VM's RAM that changes while it is read, a PCI bus, and work. The PCI
 * functions, the transport, the queues and the devices are the product's.
 *
 * clang calls the fuzzer before each load (-fsanitize-coverage=trace-loads). If the load is from the RAM, then every so many
 * times, as the input wants it, the value changes immediately before: so a value that is read twice may be two values.
 */
#pragma once

#include "tests/fuzz/fuzz.h"

#include "dev/virtio/virtio.h"

/* Two pieces with a hole between them, as the VGA hole; nothing at its end. */
#define MACHINE_RAM	 0xc000u
#define MACHINE_HOLE	 0x8000u
#define MACHINE_HOLE_END 0x9000u

struct machine {
	struct virtio_device *devices[4];	/* in the order of their creation */
	unsigned device_count;
	struct vm_work *works;			/* the list of all */
	bool running;				/* after the devices were created */
	/* How the RAM changes. */
	struct fuzz_input changes;		/* pairs of values: what is written, over what is about to be read */
	unsigned period, until_change;		/* each so many loads; 0: never */
	u64 loads;				/* from the RAM */
	unsigned lines, messages;		/* calls of irq_line_set(), msi_send() */
	/* What the devices have besides. */
	bool disk_is_read_only, disk_is_full;
	unsigned typed;				/* characters that wait */
	bool console_is_full;
};

extern struct machine machine;
extern struct vm *const machine_vm;

/* Room in the receive ring of a port: less than the product gives it, so that an input can fill it and reach its end. */
#define MACHINE_RING (96 * 1024u)

/* RAM of zeros, and nothing else. */
void machine_reset(void);

/* Create a device of the fuzzer's own, which does with its queues all that a device can do. */
int mirror_create(struct vm *vm);

/* An access by the guest where the function's registers say that the region is; all ones where nothing is. */
u64 machine_read(bool port, u64 address, unsigned size);
void machine_write(bool port, u64 address, unsigned size, u64 value);

/* Does the console's device take what is typed? */
bool machine_reads(void);
/* So many characters are typed at the console, which takes only a part of what is printed if it is full. */
void machine_type(unsigned count, bool full);

/* Do a portion of each work that was posted. Returns whether there is more. */
bool machine_work(void);
