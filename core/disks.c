/* SPDX-License-Identifier: MIT */
/* The disks' memory, and their place in the address spaces of VMs. */
#include "core/disks.h"

#include "arch/bootinfo/bootinfo.h"
#include "arch/mem/paging.h"
#include "arch/mem/pool.h"
#include "core/load/config.h"
#include "core/service.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/string.h"

/* A disk's part of the window: first the image, with the offset within 1 GiB that it has in memory; then what is its own. */
#define SLOT_SIZE   (HOST_DISK_WINDOW_SIZE / VM_MAX_DISKS)
#define SLOT_OWN    GIB(8)
#define IMAGE_MOST  GIB(4)
#define DISK_STEP MIB(2)
_Static_assert(IMAGE_MOST + GIB(1) + PAGE_SIZE <= SLOT_OWN, "boot modules lie below 4 GiB");
_Static_assert(SLOT_OWN + GIB(33) <= SLOT_SIZE, "the largest overlay and its index, or disk in RAM");
_Static_assert(sizeof(struct disk) <= PAGE_SIZE, "a disk is in a page of its own");

/* --- creation --- */

static u64 pages_of(u64 bytes)
{
	return ALIGN_UP(bytes, (u64)DISK_PAGE) / DISK_PAGE;
}

static u64 size_of(const struct vm_disk_config *config)
{
	return ALIGN_UP(config->image ? config->image->size : config->size, (u64)DISK_SECTOR);
}

/* Pages of an overlay; more than the disk has are never used. */
static u64 budget_of(const struct vm_disk_config *config)
{
	return MIN(config->overlay / DISK_PAGE, pages_of(size_of(config)));
}

/* Data, and behind it the index. */
static u64 memory_of(const struct vm_disk_config *config)
{
	u64 size = config->size;

	if (config->overlay)
		size = budget_of(config) * DISK_PAGE + pages_of(size_of(config)) * sizeof(u32);
	return ALIGN_UP(size, DISK_STEP);
}

static struct disk *create(const struct vm_config *vm, u32 i)
{
	const struct vm_disk_config *config = vm->disks[i];
	struct disk *disk = page_alloc();
	u64 slot = HOST_DISK_WINDOW + i * SLOT_SIZE;

	if (!disk)
		return NULL;
	*disk = (struct disk){
		.config = config, .owner = vm->name, .size = size_of(config),
		.memory = memory_of(config), .budget = (u32)budget_of(config), .lock.rank = LOCK_DISK,
	};
	if (config->image) {
		disk->image_size = config->image->size;
		disk->image = disk_window(slot + (boot_info.module[config->image->module].start & (GIB(1) - 1)));
	}
	if (disk->memory)
		disk->data = disk_window(slot + SLOT_OWN);
	if (config->overlay)
		disk->index = (u32 *)(disk->data + (u64)disk->budget * DISK_PAGE);
	return disk;
}

static void release(struct disk *disk)
{
	while (disk->piece_count)
		guest_ram_free(&disk->pieces[--disk->piece_count]);
	disk->filled = false;
}

static int take_memory(struct disk *disk)
{
	if (disk->piece_count)
		return 0;
	for (u64 done = 0; done < disk->memory; done += disk->pieces[disk->piece_count++].size) {
		int error = disk->piece_count == DISK_PIECES ? -E2BIG :
			    guest_ram_alloc(disk->memory - done, &disk->pieces[disk->piece_count]);

		if (error) {
			release(disk);
			return error;
		}
	}
	return 0;
}

static int map(struct vm *vm, u32 i, const struct disk *disk)
{
	u64 slot = HOST_DISK_WINDOW + i * SLOT_SIZE, at = slot + SLOT_OWN;
	int error = 0;

	if (disk->image_size) {
		hpa_t start = boot_info.module[disk->config->image->module].start, first = ALIGN_DOWN(start, PAGE_SIZE);

		error = paging_map(&vm->space, slot + (first & (GIB(1) - 1)), first,
				   ALIGN_UP(start + disk->image_size, PAGE_SIZE) - first, MAP_READ);
	}
	for (u32 n = 0; !error && n < disk->piece_count; n++) {
		error = paging_map(&vm->space, at, disk->pieces[n].start, disk->pieces[n].size, MAP_WRITE);
		at += disk->pieces[n].size;
	}
	return error;
}

static int attach(struct vm *vm, u32 i)
{
	struct vm_disk_config *config = vm->config->disks[i];
	struct memory_stats stats;
	int error;

	if (!config->disk)
		config->disk = create(vm->config, i);
	error = config->disk ? take_memory(config->disk) : -ENOMEM;
	if (error && config->disk) {
		memory_stats(&stats);
		vm_error(vm, "disk %u needs %llu MiB: %s, %llu MiB are free for guests: expected a smaller %s", i,
			 (ull)config->disk->memory >> 20,
			 error == -E2BIG ? "the free memory is in too many pieces" : "not enough memory",
			 (ull)stats.guest_free >> 20, config->image ? "cow=" : "size=");
		return error;
	}
	if (!error)
		error = map(vm, i, config->disk);
	if (error)
		vm_error(vm, "disk %u: the hypervisor's own memory is used up", i);
	return error;
}

int disks_attach(struct vm *vm)
{
	int error = 0;

	for (u32 i = 0; !error && i < vm->config->disk_count; i++)
		error = attach(vm, i);
	if (error)
		disks_give_up(vm->config, false);
	return error;
}

void disks_give_up(const struct vm_config *config, bool contents)
{
	for (u32 i = 0; i < config->disk_count; i++) {
		struct disk *disk = config->disks[i]->disk;

		if (disk && (contents || !disk->filled))
			release(disk);
	}
}

/* --- contents --- */

/* In pieces of a fraction of a millisecond, because the others of this CPU wait meanwhile. */
static void clear(void *start, u64 size)
{
	for (u64 done = 0, piece; done < size; done += piece) {
		piece = MIN(size - done, MIB(1));
		memset((u8 *)start + done, 0, piece);
		service_pause();
	}
}

static void fill(struct disk *disk)
{
	if (disk->filled && !disk->dropped)
		return;
	if (disk->index)
		clear(disk->index, pages_of(disk->size) * sizeof(*disk->index));
	else if (!disk->image)
		clear(disk->data, disk->size);
	if (disk->dropped)
		log_line(LOG_INFO, disk->owner, "disk %s: what was written is dropped", disk_name(disk));
	disk->used = disk->untouched = disk->free = 0;
	disk->full_reported = disk->dropped = false;
	disk->filled = true;
}

void disks_fill(struct vm *vm)
{
	for (u32 i = 0; i < vm->config->disk_count; i++)
		fill(vm->config->disks[i]->disk);
}

/* --- numbers --- */

u64 disks_memory(const struct vm_config *config)
{
	u64 size = 0;

	for (u32 i = 0; i < config->disk_count; i++) {
		const struct disk *disk = config->disks[i]->disk;

		size += disk && disk->piece_count ? disk->memory : 0;
	}
	return size;
}

u64 disks_memory_missing(const struct vm_config *config)
{
	u64 size = 0;

	for (u32 i = 0; i < config->disk_count; i++)
		size += memory_of(config->disks[i]);
	return size - disks_memory(config);
}

bool disks_info(const struct vm_config *config, u32 i, struct disk_info *info)
{
	const struct vm_disk_config *c;
	const struct disk *disk;

	if (i >= config->disk_count)
		return false;
	c = config->disks[i];
	disk = c->disk;
	*info = (struct disk_info){
		.size = size_of(c), .read_only = c->read_only, .ram = !c->image,
		.overlay = budget_of(c) * DISK_PAGE,
	};
	str_copy(info->name, c->name, sizeof(info->name));
	if (!disk)
		return true;
	info->overlay_used = disk->filled ? (u64)READ_ONCE(disk->used) * DISK_PAGE : 0;
	info->dropped = disk->dropped;
	info->bytes_read = READ_ONCE(disk->bytes_read);
	info->bytes_written = READ_ONCE(disk->bytes_written);
	info->errors = READ_ONCE(disk->errors);
	return true;
}

int disks_reset(const struct vm_config *config, u32 i)
{
	if (i >= config->disk_count)
		return -ENOENT;
	if (config->disks[i]->read_only)
		return -EINVAL;
	if (config->disks[i]->disk && config->disks[i]->disk->filled)
		config->disks[i]->disk->dropped = true;
	return 0;
}
