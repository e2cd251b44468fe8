/* SPDX-License-Identifier: MIT */
/*
 * The virtio block device against a flat array: random requests in random pieces, each kind of request, and each rule of
 * VIRTIO 1.2, "Block Device", that a driver may break. Played is the disk.
 */
/* link: dev/virtio/block.c dev/virtio/virtqueue.c tests/unit/fake_virtio.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c lib/printf.c lib/string.c */
#include "fake_virtio.h"

#include <stdlib.h>
#include <string.h>

#include "core/disk.h"
#include "core/vm_devices.h"
#include "dev/virtio/block.h"
#include "hostile.h"
#include "lib/errno.h"

#define SECTORS 2048u
#define RAM	MIB(8)
#define QUEUE	0x1000u		/* where the queues are */
#define HEADERS 0x20000u
#define DATA	0x100000u

/* "Device Operation". */
enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13, SECURE_ERASE = 14 };
enum { OK, IOERR, UNSUPP, UNTOUCHED = 0xee };

#define F_RO		BIT_ULL(5)
#define F_MQ		BIT_ULL(12)
#define F_DISCARD	BIT_ULL(13)
#define F_WRITE_ZEROES	BIT_ULL(14)

/* --- the disk --- */

struct disk {
	u8 data[SECTORS * DISK_SECTOR];
	u64 size;
	bool read_only;
	unsigned errors, reads, writes, zeroes;
	u64 zeroed;		/* bytes */
	u64 full_at;		/* writes from here on fail */
};

static struct disk disk;
static struct vm *vm;
static struct virtio_device *device;
static struct fake_queue queues[4];

struct disk *vm_disk(const struct vm *v, u32 i) { return &disk; }
u64 disk_sectors(const struct disk *d) { return d->size / DISK_SECTOR; }
bool disk_is_read_only(const struct disk *d) { return d->read_only; }
void disk_count_error(struct disk *d) { d->errors++; }

static void in_range(const struct disk *d, u64 offset, u32 size, u32 most)
{
	assert_true(size > 0 && size <= most);
	assert_true(offset <= d->size && size <= d->size - offset);
}

int disk_read(struct disk *d, u64 offset, void *to, u32 size)
{
	in_range(d, offset, size, DISK_COPY_MOST);
	d->reads++;
	memcpy(to, d->data + offset, size);
	return 0;
}

int disk_write(struct disk *d, u64 offset, const void *from, u32 size)
{
	in_range(d, offset, size, DISK_COPY_MOST);
	assert_false(d->read_only);
	d->writes++;
	if (offset + size > d->full_at)
		return -ENOSPC;
	memcpy(d->data + offset, from, size);
	return 0;
}

int disk_zero(struct disk *d, u64 offset, u32 size)
{
	in_range(d, offset, size, DISK_ZERO_MOST);
	assert_false(d->read_only);
	d->zeroes++;
	d->zeroed += size;
	if (offset + size > d->full_at)
		return -ENOSPC;
	memset(d->data + offset, 0, size);
	return 0;
}

/* --- a driver --- */


/* The block device is found by its queues. */
static void begin(u32 vcpus, bool read_only, u64 features)
{
	vm = fake_create(RAM);
	fake_of(vm)->vm.vcpu_count = vcpus;
	memset(&disk, 0, sizeof(disk));
	disk.size = sizeof(disk.data);
	disk.full_at = disk.size;
	disk.read_only = read_only;
	assert_int_equal(virtio_block_create(vm, 3), 0);
	device = fake_of(vm)->allocs[fake_of(vm)->alloc_count - 1];
	fake_virtio_accept(device, VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | features);
	for (u32 i = 0; i < device->queue_count; i++)
		fake_queue_create(&queues[i], vm, &device->queues[i], QUEUE + i * 0x1000, 128);
	fake_virtio_start(device);
}

static void end(void)
{
	fake_destroy(vm);
}

/* A request: its header is at HEADERS + slot * 64, its status 32 bytes behind. */
static u64 header_at(unsigned slot) { return HEADERS + slot * 64; }

static u8 status_of(unsigned slot)
{
	u8 status;

	fake_ram_read(vm, header_at(slot) + 32, &status, 1);
	return status;
}

static void put_header(unsigned slot, u32 type, u64 sector)
{
	struct { u32 type, reserved; u64 sector; } header = { type, 0, sector };
	u8 untouched = UNTOUCHED;

	fake_ram_write(vm, header_at(slot), &header, sizeof(header));
	fake_ram_write(vm, header_at(slot) + 32, &untouched, 1);
}

static void add(unsigned queue, unsigned slot, u32 type, u64 sector, u64 data, u32 size)
{
	bool reads = type == IN || type == GET_ID;
	struct fake_buffer buffers[3] = {
		{ header_at(slot), 16, false }, { data, size, reads }, { header_at(slot) + 32, 1, true },
	};

	put_header(slot, type, sector);
	if (!size)
		buffers[1] = buffers[2];
	fake_queue_add(&queues[queue], buffers, size ? 3 : 2);
}

/* One request from begin to end. Returns its status; `written` may be NULL. */
static u8 request(u32 type, u64 sector, u64 data, u32 size, u32 *written)
{
	u16 head;
	u32 length;

	add(0, 0, type, sector, data, size);
	fake_virtio_kick(device, 0);
	assert_true(fake_queue_used(&queues[0], &head, &length));
	assert_int_equal(fake_queue_used_count(&queues[0]), 0);
	if (written)
		*written = length;
	return status_of(0);
}

static void fill(u64 gpa, u32 size, u8 seed)
{
	u8 *at = guest_ptr(vm, gpa, size);

	for (u32 i = 0; i < size; i++)
		at[i] = (u8)(seed + i * 7 + (i >> 8));
}

/* --- what it says about itself --- */

static u32 config(unsigned offset, unsigned size)
{
	return fake_virtio_config(device, offset, size);
}

static void test_configuration(void **state)
{
	begin(1, false, 0);
	assert_int_equal(device->queue_count, 1);
	assert_int_equal(device->config_size, 60);
	assert_int_equal(config(0, 4), SECTORS);
	assert_int_equal(config(4, 4), 0);
	assert_int_equal(config(12, 4), VIRTQUEUE_SEGMENTS - 2);	/* seg_max */
	assert_int_equal(config(20, 4), 512);				/* blk_size */
	assert_int_equal(config(24, 1), 3);				/* physical_block_exp */
	assert_int_equal(config(26, 2), 8);				/* min_io_size */
	assert_int_equal(config(34, 2), 1);				/* num_queues */
	assert_true(config(36, 4) > 0 && config(40, 4) > 0);
	assert_int_equal(config(44, 4), 8);				/* discard_sector_alignment */
	assert_true(config(48, 4) > 0 && config(52, 4) > 0);
	assert_int_equal(config(56, 1), 1);
	assert_int_equal(device->offered & (F_RO | F_MQ | F_DISCARD | F_WRITE_ZEROES), F_MQ | F_DISCARD | F_WRITE_ZEROES);
	end();
	begin(3, false, 0);
	assert_int_equal(device->queue_count, 3);
	assert_int_equal(config(34, 2), 3);
	end();
	begin(64, true, 0);
	assert_int_equal(device->queue_count, 4);
	assert_int_equal(device->offered & (F_RO | F_DISCARD | F_WRITE_ZEROES), F_RO);
	assert_int_equal(config(36, 4), 0);
	end();
	/* Creation that fails. */
	vm = fake_create(RAM);
	fake_of(vm)->alloc_limit = fake_of(vm)->alloc_count;
	assert_int_equal(virtio_block_create(vm, 0), -ENOMEM);
	end();
	vm = fake_create(RAM);
	fake_virtio_failure = -ENOSPC;
	assert_int_equal(virtio_block_create(vm, 0), -ENOSPC);
	end();
}

/* --- each kind --- */

static void test_read_and_write(void **state)
{
	u32 written;

	begin(1, false, 0);
	fill(DATA, 8192, 1);
	assert_int_equal(request(OUT, 8, DATA, 8192, &written), OK);
	assert_int_equal(written, 1);
	assert_memory_equal(disk.data + 4096, guest_ptr(vm, DATA, 8192), 8192);
	assert_int_equal(request(IN, 8, DATA + 65536, 8192, &written), OK);
	assert_int_equal(written, 8193);
	assert_memory_equal(disk.data + 4096, guest_ptr(vm, DATA + 65536, 8192), 8192);
	assert_int_equal(request(FLUSH, 0, 0, 0, &written), OK);
	assert_int_equal(written, 1);
	/* The last sector, and one behind; numbers that overflow. */
	assert_int_equal(request(OUT, SECTORS - 1, DATA, 512, NULL), OK);
	assert_int_equal(disk.errors, 0);
	assert_int_equal(request(OUT, SECTORS, DATA, 512, NULL), IOERR);
	assert_int_equal(request(IN, SECTORS - 1, DATA, 1024, &written), IOERR);
	assert_true(written == 0);
	assert_int_equal(request(IN, ~0ull, DATA, 512, NULL), IOERR);
	assert_int_equal(request(IN, 1ull << 55, DATA, 512, NULL), IOERR);
	assert_int_equal(request(OUT, ~0ull / 512, DATA, 512, NULL), IOERR);
	/* No whole sectors. */
	assert_int_equal(request(OUT, 0, DATA, 511, NULL), IOERR);
	assert_int_equal(request(IN, 0, DATA, 513, NULL), IOERR);
	assert_int_equal(disk.errors, 7);
	assert_int_equal(request(SECURE_ERASE, 0, 0, 0, NULL), UNSUPP);
	assert_int_equal(request(2, 0, 0, 0, NULL), UNSUPP);
	assert_int_equal(request(0x80000000, 0, DATA, 512, NULL), UNSUPP);
	/* A transfer of nothing. */
	assert_int_equal(request(OUT, SECTORS, 0, 0, NULL), OK);
	assert_int_equal(request(IN, 0, 0, 0, &written), OK);
	assert_int_equal(written, 1);
	/* The overlay is full. */
	disk.full_at = 65536;
	assert_int_equal(request(OUT, 0, DATA, 512, NULL), OK);
	assert_int_equal(request(OUT, 127, DATA, 1024, NULL), IOERR);
	assert_int_equal(fake_transport_of(device)->breaks, 0);
	end();
}

static void test_read_only(void **state)
{
	u8 range[16] = { 0, [8] = 8 };

	begin(1, true, F_RO);
	assert_int_equal(request(IN, 0, DATA, 512, NULL), OK);
	assert_int_equal(request(OUT, 0, DATA, 512, NULL), IOERR);
	fake_ram_write(vm, DATA, range, 16);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), UNSUPP);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), UNSUPP);
	assert_int_equal(request(FLUSH, 0, 0, 0, NULL), OK);
	assert_int_equal(disk.writes + disk.zeroes, 0);
	end();
}

static void test_id(void **state)
{
	char expected[20] = { 0 }, id[32];
	u32 written;

	begin(1, false, 0);
	strcpy(fake_of(vm)->vm.name, "web");
	strcpy(expected, "web:3");
	memset(guest_ptr(vm, DATA, 32), 0x77, 32);
	assert_int_equal(request(GET_ID, 0, DATA, 20, &written), OK);
	assert_int_equal(written, 21);
	fake_ram_read(vm, DATA, id, 32);
	assert_memory_equal(id, expected, 20);
	assert_int_equal(id[20], 0x77);
	/* A name that is too long; buffers that are shorter, longer. */
	strcpy(fake_of(vm)->vm.name, "abcdefghijklmnopqrstuvw");
	assert_int_equal(request(GET_ID, 0, DATA, 32, &written), OK);
	assert_int_equal(written, 20);
	fake_ram_read(vm, DATA, id, 32);
	assert_memory_equal(id, "abcdefghijklmnopq:3\0\x77", 21);
	memset(guest_ptr(vm, DATA, 32), 0x77, 32);
	assert_int_equal(request(GET_ID, 0, DATA, 3, NULL), OK);
	fake_ram_read(vm, DATA, id, 32);
	assert_memory_equal(id, "abc\x77", 4);
	end();
}

static void put_range(unsigned i, u64 sector, u32 count, u32 flags)
{
	struct { u64 sector; u32 count, flags; } range = { sector, count, flags };

	fake_ram_write(vm, DATA + 16 * i, &range, 16);
}

static void test_discard_and_zeroes(void **state)
{
	begin(1, false, F_DISCARD | F_WRITE_ZEROES);
	memset(disk.data, 0x55, sizeof(disk.data));
	put_range(0, 7, 10, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), OK);
	for (u32 i = 0; i < 32 * 512; i++)
		assert_int_equal(disk.data[i], i >= 7 * 512 && i < 17 * 512 ? 0 : 0x55);
	/* Of a discard, whole pages only. */
	put_range(0, 31, 10, 0);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), OK);
	for (u32 i = 24 * 512; i < 56 * 512; i++)
		assert_int_equal(disk.data[i], i >= 32 * 512 && i < 40 * 512 ? 0 : 0x55);
	put_range(0, 57, 6, 0);
	disk.zeroed = 0;
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), OK);
	assert_int_equal(disk.zeroed, 0);
	/* The end of the disk counts as a page's. */
	disk.size -= 512;
	put_range(0, 2040, 7, 0);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), OK);
	assert_int_equal(disk.zeroed, 7 * 512);
	disk.size += 512;
	/* Several ranges; unmap is for write zeroes only; other flags are for nobody. */
	put_range(0, 64, 8, 1);
	put_range(1, 0, 0, 1);
	put_range(2, 80, 8, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 48, NULL), OK);
	assert_int_equal(disk.data[64 * 512] | disk.data[80 * 512] | disk.data[88 * 512 - 1], 0);
	assert_int_equal(disk.data[79 * 512], 0x55);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), UNSUPP);
	put_range(0, 64, 8, 2);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), UNSUPP);
	put_range(0, 64, 8, 0x80000000);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), UNSUPP);
	/* Outside of the disk, too long, too many, none, a part. */
	put_range(0, SECTORS, 1, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), IOERR);
	put_range(0, ~0ull, 1, 0);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), IOERR);
	put_range(0, 1, ~0u, 0);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), IOERR);
	for (u32 i = 0; i < 17; i++)
		put_range(i, 0, 8, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16 * 16, NULL), OK);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16 * 17, NULL), IOERR);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 15, NULL), IOERR);
	assert_int_equal(request(DISCARD, 0, 0, 0, NULL), IOERR);
	disk.full_at = 0;
	put_range(0, 1, 1, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), IOERR);
	end();
	/* Not negotiated. */
	begin(1, false, F_DISCARD);
	put_range(0, 0, 8, 0);
	assert_int_equal(request(WRITE_ZEROES, 0, DATA, 16, NULL), UNSUPP);
	assert_int_equal(request(DISCARD, 0, DATA, 16, NULL), OK);
	end();
}

/* --- against the array --- */

/* Split [gpa, gpa + size) into buffers of random sizes. */
static unsigned split(struct fake_buffer *buffers, unsigned most, u64 gpa, u32 size, bool writable, u64 *random)
{
	unsigned count = 0;

	while (size && count + 1 < most) {
		u32 part = (u32)(next_random(random) % 3 ? next_random(random) % size + 1 : MIN(size, next_random(random) % 700 + 1));

		buffers[count++] = (struct fake_buffer){ gpa, part, writable };
		gpa += part;
		size -= part;
	}
	if (size)
		buffers[count++] = (struct fake_buffer){ gpa, size, writable };
	return count;
}

static void test_random_requests(void **state)
{
	static u8 model[SECTORS * DISK_SECTOR];
	u64 random = 0x853c49e6748fea9b;

	begin(4, false, F_DISCARD | F_WRITE_ZEROES);
	memset(model, 0, sizeof(model));
	for (u32 round = 0; round < 3000; round++) {
		struct fake_buffer buffers[VIRTQUEUE_SEGMENTS];
		unsigned count = 0, queue = (unsigned)(next_random(&random) % 4);
		u32 most = next_random(&random) % 20 ? 32768 : sizeof(model), type = next_random(&random) % 2 ? OUT : IN;
		u64 sector = next_random(&random) % SECTORS;
		u32 size = (u32)MIN(next_random(&random) % (most / 512) + 1, SECTORS - sector) * 512;
		u16 head;
		u32 written;

		put_header(0, type, sector);
		if (type == OUT) {
			fill(DATA, size, (u8)next_random(&random));
			memcpy(model + sector * 512, guest_ptr(vm, DATA, size), size);
		} else {
			memset(guest_ptr(vm, DATA, size), 0x77, size);
		}
		/* The header may be split, and the data follow it in one buffer: "Framing". */
		count = split(buffers, 3, header_at(0), 16, false, &random);
		count += split(buffers + count, VIRTQUEUE_SEGMENTS - count - 1, DATA, size, type == IN, &random);
		buffers[count++] = (struct fake_buffer){ header_at(0) + 32, 1, true };
		if (next_random(&random) % 2)
			fake_queue_add(&queues[queue], buffers, count);
		else
			fake_queue_add_indirect(&queues[queue], 0x30000, buffers, count);
		fake_virtio_kick(device, queue);
		assert_true(fake_queue_used(&queues[queue], &head, &written));
		assert_int_equal(status_of(0), OK);
		assert_int_equal(written, type == IN ? size + 1 : 1);
		if (type == IN)
			assert_memory_equal(guest_ptr(vm, DATA, size), model + sector * 512, size);
		assert_memory_equal(disk.data, model, sizeof(model));
	}
	end();
}

/* --- portions, turns, notifications --- */

static void test_a_long_request_is_done_in_portions(void **state)
{
	begin(1, false, F_WRITE_ZEROES);
	fill(DATA, MIB(1), 3);
	add(0, 0, OUT, 0, DATA, MIB(1));
	virtio_device_post(device, BIT(0));
	assert_in_range(fake_virtio_run(device), 4, 20);
	assert_int_equal(status_of(0), OK);
	assert_memory_equal(disk.data, guest_ptr(vm, DATA, MIB(1)), MIB(1));
	assert_int_equal(fake_transport_of(device)->notified[0], 1);
	put_range(0, 0, SECTORS, 0);
	add(0, 1, WRITE_ZEROES, 0, DATA, 16);
	virtio_device_post(device, BIT(0));
	assert_in_range(fake_virtio_run(device), 2, 20);
	assert_int_equal(status_of(1), OK);
	/* Many short ones in few portions, with fewer notifications than requests. */
	for (unsigned i = 0; i < 40; i++)
		add(0, i, IN, i, DATA + i * 512, 512);
	fake_transport_of(device)->notified[0] = 0;
	virtio_device_post(device, BIT(0));
	assert_in_range(fake_virtio_run(device), 1, 4);
	assert_int_equal(fake_queue_used_count(&queues[0]), 42);
	assert_in_range(fake_transport_of(device)->notified[0], 1, 4);
	end();
}

static void test_queues_take_turns(void **state)
{
	u32 order = 0, seen[2] = { 0 };

	begin(2, false, 0);
	for (unsigned i = 0; i < 8; i++) {
		add(0, i, IN, 0, DATA, 65536);
		add(1, 8 + i, IN, 0, DATA, 65536);
	}
	virtio_device_post(device, BIT(0) | BIT(1));
	/* Portion by portion: none is ahead by more than what is in a portion. */
	for (u32 more = BIT(0) | BIT(1); more; order++) {
		device->doorbells = 0;
		more = device->ops->serve(device, more);
		for (unsigned q = 0; q < 2; q++)
			seen[q] = fake_queue_used_count(&queues[q]);
		assert_in_range(seen[0] + 2, seen[1], seen[1] + 4);
	}
	assert_int_equal(seen[0], 8);
	assert_int_equal(seen[1], 8);
	end();
}

static void test_event_index(void **state)
{
	begin(1, false, VIRTIO_F_EVENT_IDX);
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(request(IN, 0, DATA, 512, NULL), OK);
		/* The next request rings the doorbell. */
		assert_int_equal(fake_queue_available_event(&queues[0]), (u16)(i + 1));
	}
	end();
}

/* --- drivers that break the protocol --- */

static void breaks(const struct fake_buffer *buffers, unsigned count, const char *why)
{
	begin(1, false, 0);
	put_header(0, IN, 0);
	fake_queue_add(&queues[0], buffers, count);
	fake_virtio_kick(device, 0);
	assert_int_equal(fake_transport_of(device)->breaks, 1);
	assert_non_null(strstr(fake_transport_of(device)->why, why));
	assert_int_equal(fake_queue_used_count(&queues[0]), 0);
	end();
}

static void test_broken_requests(void **state)
{
	breaks((struct fake_buffer[]){ { HEADERS, 15, false }, { DATA, 513, true } }, 2, "a request has no header");
	breaks((struct fake_buffer[]){ { DATA, 513, true } }, 1, "a request has no header");
	breaks((struct fake_buffer[]){ { HEADERS, 16, false } }, 1, "a request has no room for its status");
	breaks((struct fake_buffer[]){ { HEADERS, 16, false }, { RAM, 513, true } }, 2, "not RAM");
}

/* The driver resets the device in the middle of a request: it is never returned, and the next one is. */
static void test_reset_in_mid_request(void **state)
{
	begin(1, false, 0);
	add(0, 0, OUT, 0, DATA, MIB(1));
	assert_int_equal(device->ops->serve(device, BIT(0)), BIT(0));
	fake_virtio_reset(device);
	fake_virtio_accept(device, VIRTIO_F_VERSION_1);
	fake_queue_create(&queues[0], vm, &device->queues[0], QUEUE, 64);
	fake_virtio_start(device);
	assert_int_equal(fake_virtio_run(device), 0);
	assert_int_equal(status_of(0), UNTOUCHED);
	assert_int_equal(request(IN, 0, DATA, 512, NULL), OK);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_discard_and_zeroes),
		cmocka_unit_test(test_random_requests),
		cmocka_unit_test(test_a_long_request_is_done_in_portions),
		cmocka_unit_test(test_queues_take_turns),
		cmocka_unit_test(test_event_index),
		cmocka_unit_test(test_broken_requests),
		cmocka_unit_test(test_reset_in_mid_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
