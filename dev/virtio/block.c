/* SPDX-License-Identifier: MIT */
/*
 * A virtio block device. VIRTIO 1.2, "Block Device".
 *
 * One request is in progress at a time, of any of the queues, in turn. Its header is read once; then data is copied between
 * the guest's memory and the disk piece by piece, so that a portion of work ends in the middle of a long request, too. There
 * is no cache that would have to be written back: what was written is in the disk's memory when the request is returned.
 */
#include "dev/virtio/block.h"

#include "core/disk.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm_alloc.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/virtio/virtio.h"
#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"

#define QUEUES_MOST 4u
#define BLOCK_QUEUE_SIZE  128u
#define BLOCK_CLASS	    0x010000u	/* mass storage, SCSI: what other makers' virtio disks say, too */

/* "Feature bits". Without CONFIG_WCE: there is no cache to be switched off. */
#define FEATURE_SEG_MAX	     BIT_ULL(2)
#define FEATURE_RO	     BIT_ULL(5)
#define FEATURE_BLK_SIZE     BIT_ULL(6)
#define FEATURE_FLUSH	     BIT_ULL(9)
#define FEATURE_TOPOLOGY     BIT_ULL(10)
#define FEATURE_MQ	     BIT_ULL(12)
#define FEATURE_DISCARD	     BIT_ULL(13)
#define FEATURE_WRITE_ZEROES BIT_ULL(14)

/* "Device Operation": types of requests, and the status that they end with. */
enum { TYPE_IN = 0, TYPE_OUT = 1, TYPE_FLUSH = 4, TYPE_GET_ID = 8, TYPE_DISCARD = 11, TYPE_WRITE_ZEROES = 13 };
enum { STATUS_OK, STATUS_IOERR, STATUS_UNSUPP };

#define ID_SIZE 20u

struct request_header {
	u32 type;
	u32 reserved;
	u64 sector;
};

/* Of discard and write zeroes. */
struct request_range {
	u64 sector;
	u32 count;		/* sectors */
	u32 flags;
};

#define RANGE_UNMAP BIT(0)
#define RANGES_MOST 16u
#define RANGE_MOST  (1u << 21)	/* sectors: 1 GiB */

/* "Device configuration layout". */
struct block_config {
	u64 capacity;			/* sectors */
	u32 size_max, seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;
	u8 write_zeroes_may_unmap, unused1[3];
} __packed;

_Static_assert(sizeof(struct request_header) == 16 && sizeof(struct request_range) == 16, "Device Operation");
_Static_assert(offsetof(struct block_config, num_queues) == 34, "Device configuration layout");
_Static_assert(sizeof(struct block_config) == 60, "Device configuration layout");

/* A portion of work, in bytes that are copied; what else costs time is counted as so many bytes. */
#define PORTION	     KIB(192)	/* a request of 128 KiB is done in one */
#define REQUEST_COST KIB(2)
#define PIECE_COST   256u

/* The device's lock, but for what is constant. */
struct block {
	struct virtio_device virtio;	/* must be first */
	/* Constant. */
	struct vm *vm;
	struct disk *disk;
	u32 index;
	char name[12];
	struct block_config config;
	/* The request in progress. */
	bool busy;
	u32 queue;			/* which it is from; else the one that was served last */
	struct virtqueue_chain chain;
	u32 type;
	u64 at;				/* bytes: where on the disk it goes on */
	u32 size, done;			/* of the data, without header and status; `done` counts ranges with discard and write zeroes */
	u64 range_end;			/* bytes: of the range in progress; 0: none is */
	u32 segment, segment_done;	/* where in the chain the data goes on */
};

static struct block *to_block(struct virtio_device *device)
{
	return container_of(device, struct block, virtio);
}

/* --- what a request asks for --- */

/* Is the range within the disk? Nothing here can overflow. */
static bool is_on_disk(const struct block *block, u64 sector, u64 count)
{
	u64 sectors = disk_sectors(block->disk);

	return sector <= sectors && count <= sectors - sector;
}

/* A status, or -EAGAIN: there is more to do. */
static int begin_transfer(struct block *block, u64 sector)
{
	bool writes = block->type == TYPE_OUT;

	if (writes && disk_is_read_only(block->disk))
		return STATUS_IOERR;
	if (block->size % DISK_SECTOR || !is_on_disk(block, sector, block->size / DISK_SECTOR))
		return STATUS_IOERR;
	block->at = sector * DISK_SECTOR;
	/* What a driver reads begins with the first segment that the device writes; what it writes, behind the header. */
	block->segment = writes ? 0 : block->chain.readable;
	block->segment_done = writes ? sizeof(struct request_header) : 0;
	return -EAGAIN;
}

static int begin_ranges(struct block *block)
{
	u64 feature = block->type == TYPE_DISCARD ? FEATURE_DISCARD : FEATURE_WRITE_ZEROES;
	u32 count = block->size / sizeof(struct request_range);

	if (!virtio_has(&block->virtio, feature))
		return STATUS_UNSUPP;
	if (block->size % sizeof(struct request_range) || !count || count > RANGES_MOST)
		return STATUS_IOERR;
	block->range_end = 0;
	return -EAGAIN;
}

static int get_id(struct block *block)
{
	char id[ID_SIZE + 1] = { 0 };
	u32 size = MIN(block->chain.writable_bytes - 1, ID_SIZE);

	snprintf(id, sizeof(id), "%.17s:%u", vm_name(block->vm), block->index);
	virtqueue_write(&block->virtio.queues[block->queue], &block->chain, 0, id, size);
	block->done = size;
	return STATUS_OK;
}

static int begin(struct block *block, const struct request_header *header)
{
	bool reads = header->type == TYPE_IN;

	block->type = header->type;
	block->done = 0;
	block->size = reads ? block->chain.writable_bytes - 1 : block->chain.readable_bytes - (u32)sizeof(*header);
	switch (block->type) {
	case TYPE_IN:
	case TYPE_OUT:
		return begin_transfer(block, header->sector);
	case TYPE_FLUSH:
		return STATUS_OK;
	case TYPE_GET_ID:
		return get_id(block);
	case TYPE_DISCARD:
	case TYPE_WRITE_ZEROES:
		return begin_ranges(block);
	default:
		return STATUS_UNSUPP;
	}
}

/* --- doing it, piece by piece: a status, or -EAGAIN --- */

static void spend(u64 *budget, u64 cost)
{
	*budget -= MIN(*budget, cost);
}

/* The rest of the segment where the data goes on. An empty rest is skipped. NULL: it is no longer RAM. */
static void *next_piece(struct block *block, u32 *size)
{
	const struct virtqueue_segment *segment = &block->chain.segments[block->segment];

	while (block->segment_done >= segment->size) {
		block->segment_done -= segment->size;
		block->segment++;
		segment++;
	}
	*size = segment->size - block->segment_done;
	return guest_ptr(block->vm, segment->gpa + block->segment_done, *size);
}

static int transfer(struct block *block, u64 *budget)
{
	u32 size;
	void *piece;
	int error;

	if (block->done == block->size)
		return STATUS_OK;
	piece = next_piece(block, &size);
	if (!piece)
		return STATUS_IOERR;
	size = MIN(MIN(size, block->size - block->done), DISK_COPY_MOST);
	error = block->type == TYPE_IN ? disk_read(block->disk, block->at, piece, size) :
					 disk_write(block->disk, block->at, piece, size);
	if (error)
		return STATUS_IOERR;
	block->at += size;
	block->done += size;
	block->segment_done += size;
	spend(budget, size + PIECE_COST);
	return block->done == block->size ? STATUS_OK : -EAGAIN;
}

/* Whole pages only: the rest is not worth the memory that it would take to say that it is zero. */
static void shrink_to_pages(const struct block *block, u64 *start, u64 *end)
{
	*start = ALIGN_UP(*start, (u64)DISK_PAGE);
	if (*end != disk_sectors(block->disk) * DISK_SECTOR)
		*end = ALIGN_DOWN(*end, (u64)DISK_PAGE);
	*end = MAX(*start, *end);
}

static int next_range(struct block *block)
{
	const struct virtqueue *queue = &block->virtio.queues[block->queue];
	u32 offset = (u32)(sizeof(struct request_header) + block->done * sizeof(struct request_range));
	bool discards = block->type == TYPE_DISCARD;
	struct request_range range;

	if (virtqueue_read(queue, &block->chain, offset, &range, sizeof(range)) != sizeof(range))
		return STATUS_IOERR;
	/* "Device Requirements: Device Operation". */
	if (range.flags & ~RANGE_UNMAP || (discards && range.flags & RANGE_UNMAP))
		return STATUS_UNSUPP;
	if (range.count > RANGE_MOST || !is_on_disk(block, range.sector, range.count))
		return STATUS_IOERR;
	block->at = range.sector * DISK_SECTOR;
	block->range_end = block->at + (u64)range.count * DISK_SECTOR;
	if (discards)
		shrink_to_pages(block, &block->at, &block->range_end);
	return -EAGAIN;
}

static int clear_ranges(struct block *block, u64 *budget)
{
	u32 size;

	if (!block->range_end) {
		int status = next_range(block);

		spend(budget, PIECE_COST);
		if (status != -EAGAIN)
			return status;
	}
	size = (u32)MIN(block->range_end - block->at, (u64)DISK_ZERO_MOST);
	if (size && disk_zero(block->disk, block->at, size))
		return STATUS_IOERR;
	block->at += size;
	spend(budget, size / 2);
	if (block->at < block->range_end)
		return -EAGAIN;
	block->range_end = 0;
	block->done++;
	return block->done == block->size / sizeof(struct request_range) ? STATUS_OK : -EAGAIN;
}

/* Return the request. Its last byte is the status; how much was written before it is reported only with the whole. */
static void finish(struct block *block, u8 status)
{
	struct virtqueue *queue = &block->virtio.queues[block->queue];
	u32 last = block->chain.writable_bytes - 1;
	bool reads = block->type == TYPE_IN || block->type == TYPE_GET_ID;
	u32 written = reads ? block->done : 0;

	virtqueue_write(queue, &block->chain, last, &status, 1);
	if (status != STATUS_OK)
		disk_count_error(block->disk);
	virtqueue_done(queue, block->chain.head, written == last ? last + 1 : written);
	block->busy = false;
}

/* --- the queues --- */

/* The next of these queues, in turn. */
static u32 next_queue(const struct block *block, u32 queues)
{
	u32 queue = block->queue;

	do {
		queue = queue + 1 < block->virtio.queue_count ? queue + 1 : 0;
	} while (!(queues & BIT(queue)));
	return queue;
}

/* Take the next request. 0: it is in progress, or done; -ENOENT: there is none; -EINVAL: the device is broken now. */
static int take(struct block *block, u32 *returned)
{
	struct virtqueue *queue = &block->virtio.queues[block->queue];
	struct request_header header;
	const char *why;
	int error = virtqueue_peek(queue, &block->chain, &why);

	if (error == -ENOENT)
		return error;
	if (!error && virtqueue_read(queue, &block->chain, 0, &header, sizeof(header)) != sizeof(header)) {
		why = "a request has no header";
		error = -EINVAL;
	} else if (!error && !block->chain.writable_bytes) {
		why = "a request has no room for its status";
		error = -EINVAL;
	}
	if (error) {
		virtio_device_break(&block->virtio, why);
		return error;
	}
	virtqueue_take(queue);
	block->busy = true;
	error = begin(block, &header);
	if (error != -EAGAIN) {
		finish(block, (u8)error);
		*returned |= BIT(block->queue);
	}
	return 0;
}

/* As much of the request as the budget allows. */
static void go_on(struct block *block, u64 *budget, u32 *returned)
{
	bool transfers = block->type == TYPE_IN || block->type == TYPE_OUT;
	int status = -EAGAIN;

	while (status == -EAGAIN && *budget)
		status = transfers ? transfer(block, budget) : clear_ranges(block, budget);
	if (status == -EAGAIN)
		return;
	finish(block, (u8)status);
	*returned |= BIT(block->queue);
}

static u32 serve(struct virtio_device *device, u32 queues)
{
	struct block *block = to_block(device);
	u64 budget = PORTION;
	u32 returned = 0;
	int error;

	queues &= BIT(device->queue_count) - 1;
	if (block->busy)
		queues |= BIT(block->queue);
	while (queues && budget) {
		if (block->busy) {
			go_on(block, &budget, &returned);
			continue;
		}
		block->queue = next_queue(block, queues);
		spend(&budget, REQUEST_COST);
		error = take(block, &returned);
		if (error == -EINVAL)
			queues = 0;
		else if (error && !virtqueue_want_doorbell(&device->queues[block->queue]))
			queues &= ~BIT(block->queue);
	}
	for (u32 i = 0; i < device->queue_count; i++)
		if (returned & BIT(i))
			virtio_queue_notify(device, i);
	return queues;
}

static void reset(struct virtio_device *device)
{
	struct block *block = to_block(device);

	block->busy = false;
	block->queue = 0;
}

static u32 config_read(struct virtio_device *device, unsigned offset, unsigned size)
{
	u32 value = 0;

	memcpy(&value, (const u8 *)&to_block(device)->config + offset, size);
	return value;
}

static const struct virtio_ops block_ops = { .serve = serve, .reset = reset, .config_read = config_read };

/* --- creation --- */

static void fill_config(struct block *block, u32 queues)
{
	bool writable = !disk_is_read_only(block->disk);

	block->config = (struct block_config){
		.capacity = disk_sectors(block->disk),
		.seg_max = VIRTQUEUE_SEGMENTS - 2,	/* header and status */
		.blk_size = DISK_SECTOR,
		.physical_block_exp = 3,		/* the overlay's unit, 4 KiB */
		.min_io_size = DISK_PAGE / DISK_SECTOR,
		.num_queues = (u16)queues,
	};
	if (!writable)
		return;
	block->config.max_discard_sectors = block->config.max_write_zeroes_sectors = RANGE_MOST;
	block->config.max_discard_seg = block->config.max_write_zeroes_seg = RANGES_MOST;
	block->config.discard_sector_alignment = DISK_PAGE / DISK_SECTOR;
	block->config.write_zeroes_may_unmap = 1;
}

int virtio_block_create(struct vm *vm, u32 i)
{
	static const u16 sizes[QUEUES_MOST] = { BLOCK_QUEUE_SIZE, BLOCK_QUEUE_SIZE, BLOCK_QUEUE_SIZE, BLOCK_QUEUE_SIZE };
	u32 queues = MIN(vm_vcpu_count(vm), QUEUES_MOST);
	struct block *block = vm_alloc(vm, sizeof(*block));
	struct virtio_kind kind = {
		.id = VIRTIO_ID_BLOCK, .class = BLOCK_CLASS, .config_size = sizeof(block->config), .ops = &block_ops,
		.features = FEATURE_SEG_MAX | FEATURE_BLK_SIZE | FEATURE_FLUSH | FEATURE_TOPOLOGY | FEATURE_MQ,
	};

	if (!block) {
		vm_error(vm, "disk %u: the hypervisor's own memory is used up", i);
		return -ENOMEM;
	}
	block->vm = vm;
	block->disk = vm_disk(vm, i);
	block->index = i;
	snprintf(block->name, sizeof(block->name), "disk %u", i);
	kind.name = block->name;
	kind.features |= disk_is_read_only(block->disk) ? FEATURE_RO : FEATURE_DISCARD | FEATURE_WRITE_ZEROES;
	fill_config(block, queues);
	return virtio_device_create(vm, &block->virtio, &kind, queues, sizes);
}
