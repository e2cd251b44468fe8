/* SPDX-License-Identifier: MIT */
/* Which virtio devices a VM gets, in which order, and the line of the log that lists them. The devices are fakes. */
/* link: dev/virtio/devices.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/disk.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/virtio/block.h"
#include "dev/virtio/console.h"
#include "dev/virtio/devices.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"
#include "lib/errno.h"

struct disk {
	const char *name;
	u64 sectors;
	bool read_only;
};

static struct disk disks[VM_MAX_DISKS];
static struct vm_net_config nets[VM_MAX_NETS];
static u32 disk_count, net_count;
static char created[64], failing, logged[2048];
static struct vm *const vm = (struct vm *)(uintptr_t)0x1000;	/* passed on, never accessed */

static int create(char device)
{
	created[strlen(created)] = device;
	return device == failing ? -ENOSPC : 0;
}

int virtio_rng_create(struct vm *of) { return create('r'); }
int virtio_console_create(struct vm *of) { return create('c'); }
int virtio_block_create(struct vm *of, u32 i) { return create((char)('0' + i)); }
int virtio_net_create(struct vm *of, u32 i) { return create((char)('A' + i)); }
u32 vm_disk_count(const struct vm *of) { return disk_count; }
u32 vm_net_count(const struct vm *of) { return net_count; }
struct disk *vm_disk(const struct vm *of, u32 i) { return &disks[i]; }
const struct vm_net_config *vm_net(const struct vm *of, u32 i) { return &nets[i]; }
u64 disk_sectors(const struct disk *disk) { return disk->sectors; }
bool disk_is_read_only(const struct disk *disk) { return disk->read_only; }
const char *disk_name(const struct disk *disk) { return disk->name; }
const char *vm_name(const struct vm *of) { return "web"; }

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	assert_int_equal(level, LOG_INFO);
	assert_string_equal(tag, "web");
	va_start(args, format);
	vsnprintf(logged, sizeof(logged), format, args);
	va_end(args);
}

static int set_up(void **state)
{
	memset(created, 0, sizeof(created));
	logged[0] = failing = '\0';
	disk_count = net_count = 0;
	return 0;
}

static void each_vm_has_some(void **state)
{
	assert_int_equal(virtio_devices_create(vm), 0);
	assert_string_equal(created, "rc");
	assert_string_equal(logged, "virtio devices: random numbers, console");
}

static void disks_and_ports(void **state)
{
	disks[0] = (struct disk){ "root", (512ull << 20) / 512, true };
	disks[1] = (struct disk){ "ram", 3, false };
	nets[0] = (struct vm_net_config){ .name = "lan", .mac = { 0x52, 0x54, 0, 0, 0, 2 } };
	nets[1] = (struct vm_net_config){ .name = "wan", .mac = { 0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54 }, .trunk = true };
	disk_count = net_count = 2;
	assert_int_equal(virtio_devices_create(vm), 0);
	assert_string_equal(created, "rc01AB");
	assert_string_equal(logged, "virtio devices: random numbers, console, disk 0 (root, 512 MiB, read-only), "
				    "disk 1 (ram, 1 KiB), net 0 (lan, 52:54:00:00:00:02), "
				    "net 1 (wan, fe:dc:ba:98:76:54, trunk)");
}

/* The longest names of all that a VM can have: the line is cut, and says so. */
static void too_many_for_a_line(void **state)
{
	for (u32 i = 0; i < 8; i++) {
		disks[i] = (struct disk){ "a-name-of-23-characters", ~0ull >> 10, true };
		nets[i] = (struct vm_net_config){ .name = "a-name-of-23-characters", .trunk = true };
	}
	disk_count = net_count = 8;
	assert_int_equal(virtio_devices_create(vm), 0);
	assert_in_range(strlen(logged), 400, 500);
	assert_string_equal(logged + strlen(logged) - 4, " ...");
}

static void the_first_failure_ends_it(void **state)
{
	static const char *const expected[] = { "r", "rc", "rc0", "rc01", "rc01A", "rc01AB" };

	for (unsigned i = 0; i < 6; i++) {
		set_up(state);
		disk_count = net_count = 2;
		failing = expected[i][i];
		assert_int_equal(virtio_devices_create(vm), -ENOSPC);
		assert_string_equal(created, expected[i]);
		assert_string_equal(logged, "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(each_vm_has_some, set_up),
		cmocka_unit_test_setup(disks_and_ports, set_up),
		cmocka_unit_test_setup(too_many_for_a_line, set_up),
		cmocka_unit_test_setup(the_first_failure_ends_it, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
