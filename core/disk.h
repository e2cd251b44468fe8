/* SPDX-License-Identifier: MIT */
/*
 * The disks of VMs: a shared image that is never written with an overlay of the VM's own, an empty disk in RAM, or an
 * image as it is, read-only. A disk belongs to one VM of the configuration, and is kept when that VM restarts.
 *
 * What holds the data is mapped only in the address spaces of the VMs that have the disk, so all but the
 * constants is for CPUs that run a vCPU of the disk's VM. Offsets and sizes are in bytes.
 */
#pragma once

#include "lib/types.h"

#define DISK_SECTOR 512u
#define DISK_PAGE   4096u	/* the overlay's unit */
#define DISK_NAME_SIZE 24u

struct disk;

/* Constants. */
u64 disk_sectors(const struct disk *disk);
bool disk_is_read_only(const struct disk *disk);
const char *disk_name(const struct disk *disk);	/* of the image, or "ram" */

/*
 * Copy from or to the disk; of any alignment, at most DISK_COPY_MOST bytes, and within the disk. -ENOSPC: the
 * overlay's budget is used up; what was written before is kept. Several vCPUs may call them at the same time: each call
 * is done as a whole. `to` and `from` may be guest memory that the guest changes meanwhile.
 */
#define DISK_COPY_MOST 65536u
int disk_read(struct disk *disk, u64 offset, void *to, u32 size);
int disk_write(struct disk *disk, u64 offset, const void *from, u32 size);
/*
 * These bytes read as zero from now on; whole pages give overlay memory back. -ENOSPC, only where part of a
 * page is concerned. At most DISK_ZERO_MOST bytes.
 */
#define DISK_ZERO_MOST 262144u
int disk_zero(struct disk *disk, u64 offset, u32 size);

/* For the statistics: a request that the disk's model has refused or could not complete. */
void disk_count_error(struct disk *disk);
