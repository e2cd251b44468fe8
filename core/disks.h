/* SPDX-License-Identifier: MIT */
/*
 * The life of disks: their memory, where they are mapped, and what the monitor says about them. A disk is created when its
 * VM starts first, and keeps its contents when the VM ends or restarts, until disks_give_up().
 *
 * Images stay in the memory that the boot loader has put them into. Overlays and disks in RAM take theirs from the guests' RAM.
 * All is in the service thread.
 */
#pragma once

#include "arch/mem/memory.h"
#include "core/disk.h"
#include "lib/spinlock.h"
#include "lib/types.h"

struct vm;
struct vm_config;
struct vm_disk_config;

#define DISK_PIECES 64u

/* What an entry of the index says about a page of the disk; from DISK_IN_OVERLAY on, which page of the overlay has it. */
enum { DISK_IN_IMAGE, DISK_IS_ZERO, DISK_IN_OVERLAY };

struct disk {
	/* Constant. */
	const struct vm_disk_config *config;
	const char *owner;		/* the VM's name */
	u64 size;			/* bytes, a multiple of DISK_SECTOR */
	u64 image_size;			/* bytes; what lies behind it is zero. 0: there is no image */
	u64 memory;			/* bytes for data and index, a multiple of 2 MiB */
	u32 budget;			/* pages of the overlay */
	/* In the VM's address space. */
	const u8 *image;
	u8 *data;			/* the overlay's pages, or a disk in RAM */
	u32 *index;			/* by page of the disk; NULL: there is no overlay */

	/* Service thread. */
	struct phys_range pieces[DISK_PIECES];	/* of its memory, in the order in which they are mapped */
	u32 piece_count;
	bool filled;			/* it has its contents: the memory was cleared */
	/* Service thread; the monitor asks for it while the VM runs. */
	bool dropped;			/* the contents are to be dropped when the VM starts next */

	struct spinlock lock;
	/* `lock`; the monitor reads the numbers without it. */
	u32 used;			/* pages of the overlay that are in use */
	u32 untouched;			/* and the first one that never was */
	u32 free;			/* the first of those that were given back, plus 1; 0: none. It begins with the next one's number */
	bool full_reported;		/* once, until the overlay is dropped */
	u64 bytes_read, bytes_written, errors;
};

/*
 * Take the memory of the VM's disks, where they have none yet, and map them in the VM's new address space. 0, or an error that
 * was logged; memory that was taken for nothing is given back then.
 */
int disks_attach(struct vm *vm);
/* The VM's address space is the current one: fill disks that are new or to be dropped. Pauses on the way. */
void disks_fill(struct vm *vm);
/* Give back the memory of the VM's disks, with their contents; or only of those that have none yet. The VM does not exist. */
void disks_give_up(const struct vm_config *config, bool contents);

/* Bytes that its disks have, and what they still need to start. */
u64 disks_memory(const struct vm_config *config);
u64 disks_memory_missing(const struct vm_config *config);

/* The address in the window of the VM's address space. */
#ifdef LAMINA_HOST_TEST
void *disk_window(u64 address);
#else
static inline void *disk_window(u64 address)
{
	return (void *)address;
}
#endif

struct disk_info {
	char name[DISK_NAME_SIZE];
	u64 size;			/* bytes */
	bool read_only, ram;
	u64 overlay, overlay_used;	/* bytes: the budget, and what is in use */
	bool dropped;			/* when the VM starts next */
	u64 bytes_read, bytes_written, errors;
};

/* False: there is no disk of that number. */
bool disks_info(const struct vm_config *config, u32 i, struct disk_info *info);
/*
 * Have the overlay, or the contents of a disk in RAM, dropped when the VM starts next: a VM that runs would lose its file system
 * under its feet. 0; -ENOENT: there is no such disk; -EINVAL: it is read-only.
 */
int disks_reset(const struct vm_config *config, u32 i);
