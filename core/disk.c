/* SPDX-License-Identifier: MIT */
/* Reading and writing a disk: where each page of it is, and the overlay's pages. */
#include "core/disk.h"

#include "core/disks.h"
#include "core/load/config.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

u64 disk_sectors(const struct disk *disk)
{
	return disk->size / DISK_SECTOR;
}

bool disk_is_read_only(const struct disk *disk)
{
	return disk->config->read_only;
}

const char *disk_name(const struct disk *disk)
{
	return disk->config->name;
}

static void copy_image(const struct disk *disk, void *to, u64 offset, u64 size)
{
	u64 there = offset < disk->image_size ? MIN(size, disk->image_size - offset) : 0;

	copy_large(to, disk->image + offset, there);
	if (there < size)
		clear_large((u8 *)to + there, size - there);
}

/* --- the overlay's pages; with the lock --- */

static u8 *page_at(const struct disk *disk, u32 number)
{
	return disk->data + (u64)number * DISK_PAGE;
}

/* Its contents are those of a page that was given back, or of the memory's former owner: write all of it. */
static bool take_page(struct disk *disk, u32 *number)
{
	if (disk->free) {
		*number = disk->free - 1;
		disk->free = *(const u32 *)page_at(disk, *number);
	} else if (disk->untouched < disk->budget) {
		*number = disk->untouched++;
	} else {
		return false;
	}
	disk->used++;
	return true;
}

static void give_page_back(struct disk *disk, u32 number)
{
	*(u32 *)page_at(disk, number) = disk->free;
	disk->free = number + 1;
	disk->used--;
}

/* The overlay's page for a page of the disk, of which all but [from, from + size) has the disk's contents. NULL: none is left. */
static u8 *page_for_write(struct disk *disk, u64 page, u32 from, u32 size)
{
	u32 entry = disk->index[page], number;
	u8 *to;

	if (entry >= DISK_IN_OVERLAY)
		return page_at(disk, entry - DISK_IN_OVERLAY);
	if (!take_page(disk, &number))
		return NULL;
	to = page_at(disk, number);
	if (size < DISK_PAGE && entry == DISK_IN_IMAGE) {
		copy_image(disk, to, page * DISK_PAGE, from);
		copy_image(disk, to + from + size, page * DISK_PAGE + from + size, DISK_PAGE - from - size);
	} else if (size < DISK_PAGE) {
		clear_large(to, from);
		clear_large(to + from + size, DISK_PAGE - from - size);
	}
	disk->index[page] = number + DISK_IN_OVERLAY;
	return to;
}

/* --- one page of the disk; with the lock --- */

static void read_page(const struct disk *disk, u64 offset, u8 *to, u32 size)
{
	u32 entry = disk->index ? disk->index[offset / DISK_PAGE] : DISK_IN_IMAGE;

	if (entry >= DISK_IN_OVERLAY)
		copy_large(to, page_at(disk, entry - DISK_IN_OVERLAY) + offset % DISK_PAGE, size);
	else if (entry == DISK_IS_ZERO)
		clear_large(to, size);
	else
		copy_image(disk, to, offset, size);
}

static int write_page(struct disk *disk, u64 offset, const u8 *from, u32 size)
{
	u8 *page = page_for_write(disk, offset / DISK_PAGE, offset % DISK_PAGE, size);

	if (!page)
		return -ENOSPC;
	copy_large(page + offset % DISK_PAGE, from, size);
	return 0;
}

static int zero_page(struct disk *disk, u64 offset, u32 size)
{
	u32 *entry = &disk->index[offset / DISK_PAGE];
	u8 *page;

	if (*entry == DISK_IS_ZERO)
		return 0;
	if (offset % DISK_PAGE == 0 && (size == DISK_PAGE || offset + size == disk->size)) {
		if (*entry >= DISK_IN_OVERLAY)
			give_page_back(disk, *entry - DISK_IN_OVERLAY);
		*entry = DISK_IS_ZERO;
		return 0;
	}
	page = page_for_write(disk, offset / DISK_PAGE, offset % DISK_PAGE, size);
	if (!page)
		return -ENOSPC;
	clear_large(page + offset % DISK_PAGE, size);
	return 0;
}

/* --- the interface --- */

static u32 rest_of_page(u64 offset, u32 size)
{
	return MIN(size, DISK_PAGE - (u32)(offset % DISK_PAGE));
}

/* Unlock. The first time that no page is left, say so. */
static int unlock(struct disk *disk, int error)
{
	bool report = error == -ENOSPC && !disk->full_reported;

	disk->full_reported |= report;
	spin_unlock(&disk->lock);
	if (report)
		log_line(LOG_WARN, disk->owner, "disk %s: its overlay of %llu MiB is full: writes fail; cow= makes it larger, "
			 "and the monitor's `disk reset' drops it", disk_name(disk), ((ull)disk->budget * DISK_PAGE) >> 20);
	return error;
}

int disk_read(struct disk *disk, u64 offset, void *buffer, u32 size)
{
	u8 *to = buffer;

	spin_lock(&disk->lock);
	disk->bytes_read += size;
	if (!disk->image) {
		copy_large(to, disk->data + offset, size);
	} else if (!disk->index) {
		copy_image(disk, to, offset, size);
	} else {
		for (u32 done = 0, part; done < size; done += part) {
			part = rest_of_page(offset + done, size - done);
			read_page(disk, offset + done, to + done, part);
		}
	}
	spin_unlock(&disk->lock);
	return 0;
}

int disk_write(struct disk *disk, u64 offset, const void *buffer, u32 size)
{
	const u8 *from = buffer;
	int error = 0;
	u32 done = 0;

	if (disk_is_read_only(disk))
		return -EINVAL;
	spin_lock(&disk->lock);
	if (!disk->image) {
		copy_large(disk->data + offset, from, size);
		done = size;
	}
	while (!error && done < size) {
		u32 part = rest_of_page(offset + done, size - done);

		error = write_page(disk, offset + done, from + done, part);
		done += error ? 0 : part;
	}
	disk->bytes_written += done;
	return unlock(disk, error);
}

int disk_zero(struct disk *disk, u64 offset, u32 size)
{
	int error = 0;
	u32 done = 0;

	if (disk_is_read_only(disk))
		return -EINVAL;
	spin_lock(&disk->lock);
	if (!disk->image) {
		clear_large(disk->data + offset, size);
		done = size;
	}
	for (u32 part; !error && done < size; done += part) {
		part = rest_of_page(offset + done, size - done);
		error = zero_page(disk, offset + done, part);
	}
	return unlock(disk, error);
}

void disk_count_error(struct disk *disk)
{
	spin_lock(&disk->lock);
	disk->errors++;
	spin_unlock(&disk->lock);
}
