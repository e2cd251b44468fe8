/* SPDX-License-Identifier: MIT */
/*
 * Disks: where their memory comes from and is mapped, and what is read after random writes, against a flat array. What
 * lies behind an image in memory, and what memory held before, must never be seen.
 */
/* link: core/disk.c core/disks.c lib/string.c */
/* libs: -lpthread */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "core/disks.h"
#include "core/vm.h"
#include "hostile.h"
#include "lib/errno.h"

#define MARK  0xa5	/* what memory holds before it is given to a disk, and what lies behind an image */
#define SLOT  GIB(64)
#define OWN   GIB(8)
#define START 0x12345000ull	/* of the image in physical memory */

struct boot_info boot_info;

static struct vm vm;
static struct vm_config config;
static struct vm_disk_config disk_configs[VM_MAX_DISKS];
static struct disk_image image;
static u8 *window;			/* HOST_DISK_WINDOW */
static u64 free_memory, piece_most;
static unsigned frees, maps, pauses, failing_map, failing_page;
static char logged[4096];
static struct mapping { u64 va; hpa_t pa; u64 size; unsigned flags; } mapped[80];

/* --- the rest of Lamina --- */

void *disk_window(u64 address)
{
	return window + (address - HOST_DISK_WINDOW);
}

void *page_alloc(void)
{
	return failing_page ? NULL : calloc(1, PAGE_SIZE);
}

int guest_ram_alloc(u64 size, struct phys_range *range)
{
	static hpa_t next = GIB(16);

	assert_true(size && IS_ALIGNED(size, MIB(2)));
	size = MIN(MIN(size, piece_most), free_memory);
	if (!size)
		return -ENOMEM;
	*range = (struct phys_range){ next, size };
	next += size + MIB(2);
	free_memory -= size;
	return 0;
}

void guest_ram_free(const struct phys_range *range)
{
	frees++;
	free_memory += range->size;
}

void memory_stats(struct memory_stats *stats) { *stats = (struct memory_stats){ .guest_free = free_memory }; }

int paging_map(struct address_space *space, u64 va, hpa_t pa, u64 size, unsigned flags)
{
	assert_ptr_equal(space, &vm.space);
	assert_true(IS_ALIGNED(va | pa | size, PAGE_SIZE));
	assert_true(maps < ARRAY_SIZE(mapped));
	mapped[maps++] = (struct mapping){ va, pa, size, flags };
	return maps == failing_map ? -ENOMEM : 0;
}

void service_pause(void) { pauses++; }
const char *vm_name(const struct vm *v) { return v->config->name; }

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(logged);
	va_list args;

	used += (size_t)snprintf(logged + used, sizeof(logged) - used, "%s] ", tag ? tag : "");
	va_start(args, format);
	used += (size_t)vsnprintf(logged + used, sizeof(logged) - used, format, args);
	va_end(args);
	assert_true(used + 1 < sizeof(logged));
	strcat(logged, "\n");
}

static void said(const char *words)
{
	if (!strstr(logged, words))
		fail_msg("expected \"%s\" in:\n%s", words, logged);
}

/* --- disks for a test --- */

static int set_up(void **state)
{
	if (!window)
		window = mmap(NULL, HOST_DISK_WINDOW_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(window, MAP_FAILED);
	for (u32 i = 0; i < config.disk_count; i++)
		free(config.disks[i]->disk);
	memset(&config, 0, sizeof(config));
	memset(disk_configs, 0, sizeof(disk_configs));
	strcpy(config.name, "a");
	vm = (struct vm){ .config = &config };
	free_memory = GIB(64);
	piece_most = GIB(64);
	frees = maps = pauses = failing_map = failing_page = 0;
	logged[0] = '\0';
	return 0;
}

static u8 image_byte(u64 offset)
{
	return (u8)(offset * 2654435761u >> 13 | 1);
}

/* A disk with an image of so many bytes; mark the memory that it gets, and what lies around the image. */
static struct vm_disk_config *add_image(u64 size, u64 overlay)
{
	struct vm_disk_config *c = &disk_configs[config.disk_count];
	u8 *slot = window + config.disk_count * SLOT, *at = slot + START % GIB(1);

	image = (struct disk_image){ .module = 3, .name = "root", .size = size };
	boot_info.module[3] = (struct boot_module){ .start = START, .size = size };
	*c = (struct vm_disk_config){ .name = "root", .image = &image, .overlay = overlay, .read_only = !overlay };
	config.disks[config.disk_count++] = c;
	memset(at - 4096, MARK, 4096);
	for (u64 i = 0; i < size; i++)
		at[i] = image_byte(i);
	memset(at + size, MARK, 8192);
	memset(slot + OWN, MARK, overlay + MIB(1));
	return c;
}

static struct vm_disk_config *add_ram(u64 size)
{
	struct vm_disk_config *c = &disk_configs[config.disk_count];

	*c = (struct vm_disk_config){ .name = "ram", .size = size };
	memset(window + config.disk_count * SLOT + OWN, MARK, size);
	config.disks[config.disk_count++] = c;
	return c;
}

static struct disk *start(void)
{
	assert_int_equal(disks_attach(&vm), 0);
	disks_fill(&vm);
	return config.disks[0]->disk;
}

/* --- memory and mappings --- */

static void is_mapped(unsigned i, u64 va, hpa_t pa, u64 size, unsigned flags)
{
	assert_int_equal(mapped[i].va, va);
	assert_int_equal(mapped[i].pa, pa);
	assert_int_equal(mapped[i].size, size);
	assert_int_equal(mapped[i].flags, flags);
}

static void test_where_a_disk_is(void **state)
{
	struct disk *disk;

	add_image(MIB(3) + 1, MIB(1));
	add_ram(MIB(5));
	/* 1 MiB of data, 769 entries of 4 bytes: 2 MiB. 5 MiB: 6 MiB. */
	assert_int_equal(disks_memory_missing(&config), MIB(8));
	assert_int_equal(disks_memory(&config), 0);
	piece_most = MIB(4);
	disk = start();
	assert_int_equal(maps, 4);
	is_mapped(0, HOST_DISK_WINDOW + START % GIB(1), START, MIB(3) + 4096, MAP_READ);
	assert_int_equal(mapped[1].va, HOST_DISK_WINDOW + OWN);
	assert_int_equal(mapped[1].size, MIB(2));
	assert_int_equal(mapped[1].flags, MAP_WRITE);
	assert_int_equal(mapped[2].va, HOST_DISK_WINDOW + SLOT + OWN);
	assert_int_equal(mapped[2].size, MIB(4));
	assert_int_equal(mapped[3].va, HOST_DISK_WINDOW + SLOT + OWN + MIB(4));
	assert_int_equal(mapped[3].size, MIB(2));
	assert_int_equal(disk_sectors(disk), MIB(3) / 512 + 1);
	assert_string_equal(disk_name(disk), "root");
	assert_false(disk_is_read_only(disk));
	assert_int_equal(disks_memory(&config), MIB(8));
	assert_int_equal(disks_memory_missing(&config), 0);
	/* The next start maps the same again. */
	maps = 0;
	assert_ptr_equal(start(), disk);
	assert_int_equal(maps, 4);
	assert_int_equal(GIB(64) - free_memory, MIB(8));
	disks_give_up(&config, false);
	assert_int_equal(frees, 0);
	disks_give_up(&config, true);
	assert_int_equal(free_memory, GIB(64));
	assert_int_equal(disks_memory(&config), 0);
}

/* A module that does not begin at a page's start. */
static void test_an_image_in_the_middle_of_a_page(void **state)
{
	u8 sector[512];
	struct disk *disk;

	add_image(1000, 0);
	boot_info.module[3].start = START + 0x123;
	for (u32 i = 0; i < 1000; i++)
		window[START % GIB(1) + 0x123 + i] = image_byte(i);
	memset(window + START % GIB(1) + 0x123 + 1000, MARK, 100);
	disk = start();
	is_mapped(0, HOST_DISK_WINDOW + START % GIB(1), START, 4096, MAP_READ);
	assert_int_equal(disk_sectors(disk), 2);
	assert_int_equal(disk_read(disk, 512, sector, 512), 0);
	for (u32 i = 0; i < 512; i++)
		assert_int_equal(sector[i], 512 + i < 1000 ? image_byte(512 + i) : 0);
}

static void test_too_little_memory(void **state)
{
	add_ram(MIB(2));
	add_image(MIB(64), MIB(64));
	free_memory = MIB(10);
	assert_int_equal(disks_attach(&vm), -ENOMEM);
	said("a] disk 1 needs 66 MiB: not enough memory, 8 MiB are free for guests: expected a smaller cow=");
	assert_int_equal(free_memory, MIB(10));
	set_up(state);
	add_ram(MIB(130));
	piece_most = MIB(2);
	assert_int_equal(disks_attach(&vm), -E2BIG);
	said("disk 0 needs 130 MiB: the free memory is in too many pieces");
	said("expected a smaller size=");
	assert_int_equal(free_memory, GIB(64));
	set_up(state);
	add_ram(MIB(2));
	failing_map = 1;
	assert_int_equal(disks_attach(&vm), -ENOMEM);
	said("disk 0: the hypervisor's own memory is used up");
	assert_int_equal(free_memory, GIB(64));
	set_up(state);
	add_ram(MIB(2));
	failing_page = 1;
	assert_int_equal(disks_attach(&vm), -ENOMEM);
	said("disk 0: the hypervisor's own memory is used up");
}

/* --- contents --- */

static u8 model[MIB(1)], buffer[DISK_ZERO_MOST];
static u64 model_size;
static bool in_overlay[256];

static void check(struct disk *disk)
{
	for (u64 at = 0; at < model_size; at += DISK_COPY_MOST) {
		u32 size = (u32)MIN(model_size - at, (u64)DISK_COPY_MOST);

		memset(buffer, 0x77, size);
		assert_int_equal(disk_read(disk, at, buffer, size), 0);
		assert_memory_equal(buffer, model + at, size);
	}
}

static void begin_model(u64 size, bool ram)
{
	model_size = ALIGN_UP(size, 512);
	for (u64 i = 0; i < model_size; i++)
		model[i] = !ram && i < size ? image_byte(i) : 0;
	memset(in_overlay, 0, sizeof(in_overlay));
}

static u32 count_overlay(void)
{
	u32 n = 0;

	for (u32 i = 0; i < ARRAY_SIZE(in_overlay); i++)
		n += in_overlay[i];
	return n;
}

/* What a write or a zeroing of each page has done, in order: as a whole, up to the first page that found no room. */
static void apply(struct disk *disk, u64 offset, const u8 *from, u32 size, int result)
{
	u32 budget = disk->budget, done = 0;

	while (done < size) {
		u64 at = offset + done, page = at / 4096;
		u32 part = (u32)MIN((u64)(size - done), 4096 - at % 4096);
		bool whole = at % 4096 == 0 && (part == 4096 || at + part == model_size);

		if (!disk->image) {
			/* No overlay. */
		} else if (!from && whole) {
			in_overlay[page] = false;
		} else if (!in_overlay[page]) {
			bool zero = true;

			for (u64 i = page * 4096; !from && i < MIN(page * 4096 + 4096, model_size); i++)
				zero &= !model[i];
			/* Of a page that is zero already, zeroing takes nothing; a page of the image is never zero here. */
			if ((from || !zero) && count_overlay() == budget) {
				assert_int_equal(result, -ENOSPC);
				return;
			}
			in_overlay[page] = from || !zero;
		}
		if (from)
			memcpy(model + at, from + done, part);
		else
			memset(model + at, 0, part);
		done += part;
	}
	assert_int_equal(result, 0);
}

static void random_operations(struct disk *disk, u32 count, u64 *random)
{
	static u8 data[DISK_COPY_MOST];

	while (count--) {
		u64 what = next_random(random) % 8, unit = next_random(random) % 4 ? 512 : 1;
		u64 most = what == 7 ? DISK_ZERO_MOST : next_random(random) % 3 ? 8192 : DISK_COPY_MOST;
		u64 offset = next_random(random) % model_size / unit * unit;
		u32 size = (u32)(MIN(next_random(random) % most + 1, model_size - offset));

		size = MAX((u32)ALIGN_DOWN(size, (u32)unit), (u32)unit);
		if (next_random(random) % 4 == 0) {	/* whole pages */
			offset = ALIGN_DOWN(offset, 4096ull);
			size = (u32)MIN(ALIGN_UP((u64)size, 4096), model_size - offset);
		}
		if (what < 3) {
			size = MIN(size, DISK_COPY_MOST);
			memset(buffer, 0x77, size + 1);
			assert_int_equal(disk_read(disk, offset, buffer, size), 0);
			assert_memory_equal(buffer, model + offset, size);
			assert_int_equal(buffer[size], 0x77);
		} else if (what < 6) {
			size = MIN(size, DISK_COPY_MOST);
			for (u32 i = 0; i < size; i++)
				data[i] = (u8)next_random(random) | 1;
			apply(disk, offset, data, size, disk_write(disk, offset, data, size));
		} else {
			apply(disk, offset, NULL, size, disk_zero(disk, offset, size));
		}
		assert_int_equal(disk->used, count_overlay());
		assert_true(disk->used <= disk->budget || !disk->image);
	}
	check(disk);
}

static void test_against_an_array(void **state)
{
	static const struct {
		u64 size, overlay;
	} cases[] = {
		{ MIB(1), MIB(1) }, { MIB(1), KIB(64) }, { KIB(700) + 513, MIB(1) }, { 1, MIB(1) }, { 4096, 4096 }, { 5000, 4096 },
		{ KIB(300), KIB(4) },
	};
	u64 random = 0x853c49e6748fea9b;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct disk *disk;

		set_up(state);
		add_image(cases[i].size, cases[i].overlay);
		disk = start();
		begin_model(cases[i].size, false);
		check(disk);
		random_operations(disk, 4000, &random);
		/* A restart of the VM changes nothing; nor does the image change. */
		start();
		check(disk);
		for (u64 n = 0; n < cases[i].size; n++)
			assert_int_equal(disk->image[n], image_byte(n));
	}
	set_up(state);
	add_ram(MIB(1));
	begin_model(MIB(1), true);
	start();
	assert_true(pauses > 0);
	check(config.disks[0]->disk);
	random_operations(config.disks[0]->disk, 4000, &random);
}

static void test_dropping(void **state)
{
	u64 random = 0x9e3779b97f4a7c15;
	struct disk_info info;
	struct disk *disk;

	add_image(MIB(1), KIB(64));
	add_image(MIB(1), 0);
	add_ram(MIB(1));
	/* Before the first start there is nothing to drop. */
	assert_int_equal(disks_reset(&config, 0), 0);
	assert_true(disks_info(&config, 0, &info));
	assert_false(info.dropped);
	assert_int_equal(info.overlay, KIB(64));
	disk = start();
	begin_model(MIB(1), false);
	random_operations(disk, 1000, &random);
	assert_int_equal(disks_reset(&config, 1), -EINVAL);
	assert_int_equal(disks_reset(&config, 3), -ENOENT);
	assert_int_equal(disks_reset(&config, 0), 0);
	check(disk);			/* the VM that runs does not see it */
	assert_true(disks_info(&config, 0, &info));
	assert_true(info.dropped);
	assert_true(info.overlay_used > 0);
	assert_false(disks_info(&config, 3, &info));
	start();
	said("a] disk root: what was written is dropped");
	begin_model(MIB(1), false);
	check(disk);
	assert_true(disks_info(&config, 0, &info));
	assert_false(info.dropped);
	assert_int_equal(info.overlay_used, 0);
	random_operations(disk, 1000, &random);
	/* A disk in RAM is empty again. */
	assert_int_equal(disk_write(config.disks[2]->disk, 0, "x", 1), 0);
	assert_int_equal(disks_reset(&config, 2), 0);
	start();
	begin_model(MIB(1), true);
	check(config.disks[2]->disk);
}

static void test_a_full_overlay(void **state)
{
	struct disk_info info;
	struct disk *disk;
	u8 sector[512] = { 1 };

	add_image(MIB(1), KIB(8));
	disk = start();
	assert_int_equal(disk_write(disk, 0, sector, 512), 0);
	assert_int_equal(disk_write(disk, 8192, sector, 512), 0);
	assert_string_equal(logged, "");
	assert_int_equal(disk_write(disk, 4096, sector, 512), -ENOSPC);
	said("a] disk root: its overlay of 0 MiB is full: writes fail; cow= makes it larger, and the monitor's `disk reset' drops it");
	logged[0] = '\0';
	assert_int_equal(disk_write(disk, 4096, sector, 512), -ENOSPC);
	assert_int_equal(disk_zero(disk, 4096 + 512, 512), -ENOSPC);
	assert_string_equal(logged, "");
	/* What is there can still be written, and a page that was given back serves another. */
	assert_int_equal(disk_write(disk, 8192 + 1024, sector, 512), 0);
	assert_int_equal(disk_zero(disk, 8192, 4096), 0);
	assert_int_equal(disk_write(disk, 4096, sector, 512), 0);
	assert_int_equal(disk_write(disk, 8192, sector, 1), -ENOSPC);
	assert_string_equal(logged, "");
	assert_int_equal(disks_reset(&config, 0), 0);
	start();
	logged[0] = '\0';
	for (u32 i = 0; i < 3; i++)
		disk_write(disk, 4096 * i, sector, 512);
	said("is full");
	disk_count_error(disk);
	assert_true(disks_info(&config, 0, &info));
	assert_int_equal(info.errors, 1);
	assert_int_equal(info.bytes_written, (4 + 2) * 512);
	assert_int_equal(info.bytes_read, 0);
}

static void test_read_only(void **state)
{
	struct disk *disk;

	add_image(10000, 0);
	disk = start();
	assert_true(disk_is_read_only(disk));
	assert_int_equal(disks_memory(&config), 0);
	assert_int_equal(maps, 1);
	assert_int_equal(disk_write(disk, 0, "x", 1), -EINVAL);
	assert_int_equal(disk_zero(disk, 0, 512), -EINVAL);
	begin_model(10000, false);
	check(disk);
}

/* Two disks of one image do not see each other's writes. */
static void test_two_on_one_image(void **state)
{
	u64 random = 0x2545f4914f6cdd1d;

	add_image(MIB(1), MIB(1));
	add_image(MIB(1), MIB(1));
	start();
	begin_model(MIB(1), false);
	random_operations(config.disks[0]->disk, 1000, &random);
	begin_model(MIB(1), false);
	check(config.disks[1]->disk);
}

/* --- several CPUs --- */

#define WRITERS 2u
#define ROUNDS  30u

static struct disk *shared;

/* Each writes a sector of its own of the same pages. */
static void *write_sectors(void *argument)
{
	u64 number = (u64)argument;
	u8 sector[512];

	for (u32 round = 1; round <= ROUNDS; round++) {
		memset(sector, (int)(number * 16 + round % 16), sizeof(sector));
		for (u64 page = 0; page < 64; page++)
			disk_write(shared, page * 4096 + number * 512, sector, 512);
		if (round % 10 == 0 && number == 0)
			disk_zero(shared, 65 * 4096, 64 * 4096);
	}
	return NULL;
}

static void test_several_cpus(void **state)
{
	pthread_t threads[WRITERS];
	u8 sector[512];

	add_image(MIB(1), MIB(1));
	shared = start();
	for (u64 i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_sectors, (void *)i), 0);
	for (u32 i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
	for (u64 page = 0; page < 64; page++) {
		for (u64 n = 0; n < 8; n++) {
			assert_int_equal(disk_read(shared, page * 4096 + n * 512, sector, 512), 0);
			for (u32 i = 0; i < 512; i++)
				assert_int_equal(sector[i], n < WRITERS ? n * 16 + ROUNDS % 16 : image_byte(page * 4096 + n * 512 + i));
		}
	}
	assert_int_equal(shared->used, 64);
}

#define T(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_where_a_disk_is), T(test_an_image_in_the_middle_of_a_page), T(test_too_little_memory),
		T(test_against_an_array), T(test_dropping), T(test_a_full_overlay), T(test_read_only), T(test_two_on_one_image),
		T(test_several_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
