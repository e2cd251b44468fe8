/* SPDX-License-Identifier: MIT */
/* Disks, network ports and images on module command lines: each valid form, and a violation of each rule. */
/* link: core/load/config.c core/load/config_devices.c lib/cpu_set.c lib/keyval.c lib/string.c */

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "arch/bootinfo/bootinfo.h"
#include "core/load/config.h"
#include "core/load/config_devices.h"
#include "lib/log.h"

static char logged[65536];
static unsigned errors, warnings;
static struct config config;
static struct boot_info info;
static u64 image_size = MIB(4);

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(logged);
	va_list args;

	errors += level == LOG_ERROR;
	warnings += level == LOG_WARN;
	va_start(args, format);
	vsnprintf(logged + used, sizeof(logged) - used, format, args);
	va_end(args);
	used = strlen(logged);
	snprintf(logged + used, sizeof(logged) - used, "\n");
}

static void parse_all(const char *const *lines, unsigned count)
{
	info.modules = count;
	for (unsigned i = 0; i < count; i++)
		info.module[i] = (struct boot_module){ .size = image_size, .string = lines[i] };
	logged[0] = 0;
	errors = warnings = 0;
	memset(&config, 0xee, sizeof(config));
	config_parse(&info, &config);
}

#define parse(...) \
	parse_all((const char *const[]){ __VA_ARGS__ },	\
		  ARRAY_SIZE(((const char *[]){ __VA_ARGS__ })))

static void said(const char *words)
{
	if (!strstr(logged, words))
		fail_msg("expected \"%s\" in:\n%s", words, logged);
}

/* --- disks --- */

static void test_disks(void **state)
{
	const struct vm_config *vm;

	/* The image may come before or after, and serves several VMs. */
	parse("vm=a disk=root,cow=256M disk=ram,size=1G disk=root,ro", "role=disk name=root", "vm=b disk=root",
	      "vm=b role=initrd disk=data", "/boot/data.img role=disk name=data");
	assert_string_equal(logged, "");
	assert_int_equal(config.vm_count, 2);
	assert_int_equal(config.image_count, 2);
	vm = &config.vms[0];
	assert_true(vm->valid);
	assert_int_equal(vm->disk_count, 3);
	assert_string_equal(vm->disks[0]->name, "root");
	assert_ptr_equal(vm->disks[0]->image, &config.images[0]);
	assert_int_equal(vm->disks[0]->image->module, 1);
	assert_int_equal(vm->disks[0]->image->size, MIB(4));
	assert_int_equal(vm->disks[0]->overlay, MIB(256));
	assert_false(vm->disks[0]->read_only);
	assert_string_equal(vm->disks[1]->name, "ram");
	assert_null(vm->disks[1]->image);
	assert_int_equal(vm->disks[1]->size, GIB(1));
	assert_int_equal(vm->disks[1]->overlay, 0);
	assert_true(vm->disks[2]->read_only);
	assert_int_equal(vm->disks[2]->overlay, 0);
	vm = &config.vms[1];
	assert_true(vm->valid);
	assert_int_equal(vm->disk_count, 2);
	assert_int_equal(vm->disks[0]->overlay, MIB(64));
	assert_ptr_equal(vm->disks[0]->image, &config.images[0]);
	assert_ptr_equal(vm->disks[1]->image, &config.images[1]);
	assert_int_equal(vm->disks[1]->line, 3);
	/* A VM that has none. */
	parse("");
	assert_int_equal(config.vms[0].disk_count + config.vms[0].net_count + config.image_count, 0);
	assert_false(config.vms[0].no_pci);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *line;
		u64 size;	/* 0: refused */
	} sizes[] = {
		{ "disk=ram,size=1M", MIB(1) }, { "disk=ram,size=1023K", 0 }, { "disk=ram,size=32G", GIB(32) },
		{ "disk=ram,size=33G", 0 }, { "disk=ram,size=1028K", KIB(1028) }, { "disk=ram,size=1030K", 0 },
		{ "disk=ram,size=1048577", 0 }, { "disk=ram,size=99999999999999999999", 0 }, { "disk=ram,size=", 0 },
		{ "disk=ram,size=0", 0 }, { "disk=ram,size=-1", 0 }, { "disk=ram,size=1M,size=1M", 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		parse(sizes[i].line);
		assert_int_equal(config.vms[0].valid, sizes[i].size != 0);
		assert_int_equal(errors, !sizes[i].size);
		if (sizes[i].size)
			assert_int_equal(config.vms[0].disks[0]->size, sizes[i].size);
	}
}

static void test_bad_disks(void **state)
{
	static const char *const bad[] = {
		"disk=", "disk=a/b", "disk=root,", "disk=root,cow", "disk=root,cow=", "disk=root,cow=1K", "disk=root,cow=0",
		"disk=root,ro,cow=64M", "disk=root,cow=64M,ro", "disk=root,ro,ro", "disk=root,rw", "disk=root,size=1G",
		"disk=ram", "disk=ram,ro", "disk=ram,cow=64M", "disk=ram,size=1G,ro", "disk=,ro", "disk=root,,ro",
		"disk=abcdefghijklmnopqrstuvwx", "disk=root,roo", "disk=root,cow=64M,cow=64M",
	};
	char words[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		parse("vm=good", bad[i], "role=disk name=root", "vm=user disk=root");
		snprintf(words, sizeof(words), "module 1 (%s): %s: expected disk=NAME[,cow=SIZE|,ro]|ram,size=SIZE, a virtio "
			 "disk", bad[i], bad[i]);
		said(words);
		assert_int_equal(errors, 1);
		assert_true(config.vms[0].valid);
		assert_false(config.vms[1].valid);
		assert_true(config.vms[2].valid);
	}
	parse("disk");
	said("disk has no value: expected disk=NAME");
	parse("disk=abcdefghijklmnopqrstuvw", "role=disk name=abcdefghijklmnopqrstuvw");
	assert_int_equal(errors, 0);
}

static void test_count_of_disks(void **state)
{
	parse("vm=a disk=r disk=r disk=r disk=r disk=r disk=r disk=r disk=r", "role=disk name=r", "vm=b");
	assert_int_equal(errors, 0);
	assert_int_equal(config.vms[0].disk_count, 8);
	parse("vm=a disk=r disk=r disk=r disk=r disk=r disk=r disk=r disk=r disk=r", "role=disk name=r", "vm=b disk=r");
	said("disk: expected at most 8 disks for a VM, and 512 in all");
	assert_false(config.vms[0].valid);
	assert_true(config.vms[1].valid);
	parse("vm=a disk=r disk=r disk=r disk=r", "vm=a disk=r disk=r disk=r disk=r disk=r", "role=disk name=r");
	said("disk: expected at most 8 disks for a VM");
	assert_false(config.vms[0].valid);
}

/* --- images --- */

static void test_images(void **state)
{
	static const struct {
		const char *line, *words;
	} bad[] = {
		{ "role=disk", "module 1 (role=disk): role=disk: expected name=NAME, what disk= calls the image" },
		{ "role=disk name=ram", "name=ram: expected name=NAME, what disk= calls the image: at most 23 letters, digits, _ . "
				       "and -, and not ram" },
		{ "role=disk name=a/b", "name=a/b: expected name=NAME" },
		{ "role=disk name=", "name=: expected name=NAME" },
		{ "role=disk name=new vm=good", "role=disk: belongs to no VM, expected name= and no vm=" },
		{ "role=disk name=new mem=1G", "role=disk: belongs to no VM, expected name= and no mem=" },
		{ "role=disk name=new disk=root", "role=disk: belongs to no VM, expected name= and no disk=" },
		{ "role=disk name=new -- x", "role=disk: an image has no command line, expected nothing behind a --" },
		{ "role=disk name=root", "module 1: name=root: module 0 has that name already, expected another one" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		parse("role=disk name=root", bad[i].line, "vm=good disk=root", "vm=bad disk=new");
		said(bad[i].words);
		said("module 3: disk=new: there is no such image, expected a module with role=disk name=new");
		assert_int_equal(config.modules_unused, 1);
		assert_int_equal(config.vm_count, 2);
		assert_int_equal(config.image_count, 1);
		assert_true(config.vms[0].valid);
		assert_false(config.vms[1].valid);
	}
	parse("vm=a name=x");
	said("name=x: expected role=disk beside it; a VM is named by vm=");
	assert_false(config.vms[0].valid);
	parse("vm=a", "role=disk name=root");
	assert_int_equal(errors, 0);
	assert_int_equal(warnings, 1);
	said("module 1: no VM that can start has disk=root: the image is not used");
	assert_true(config.vms[0].valid);
	assert_int_equal(config.modules_unused, 0);
}

static void test_sizes_of_images(void **state)
{
	image_size = 0;
	parse("vm=a disk=root", "role=disk name=root");
	said("role=disk: the image is empty, expected at least one byte");
	assert_false(config.vms[0].valid);
	image_size = 1;
	parse("vm=a disk=root", "role=disk name=root");
	assert_int_equal(errors + warnings, 0);
	said("module 1: the disk image \"root\" has 1 bytes, which is no multiple of 512: zeros are added to its last sector");
	assert_true(config.vms[0].valid);
	image_size = 512;
	parse("vm=a disk=root", "role=disk name=root");
	assert_string_equal(logged, "");
	image_size = MIB(4);
}

static const void *start_of_images;

static const void *look(unsigned module, u64 size)
{
	assert_int_equal(module, 1);
	assert_true(size <= 32);
	return start_of_images;
}

/* The signatures are those of RFC 1952, RFC 8878, the .xz file format, the qcow2, VMDK, VHDX and VHD specifications. */
static void test_formats(void **state)
{
	static const struct {
		const char *bytes, *words;
	} formats[] = {
		{ "\x1f\x8b\x08\x08", "is compressed by gzip: unpack it first" },
		{ "\x28\xb5\x2f\xfd", "is compressed by zstd: unpack it first" },
		{ "\xfd" "7zXZ", "is compressed by xz: unpack it first" },
		{ "QFI\xfb\0\0\0\x03", "is a qcow2 image: convert it first, with qemu-img convert -O raw" },
		{ "KDMV\x01", "is a VMDK image" }, { "vhdxfile", "is a VHDX image" }, { "conectix", "is a dynamic VHD image" },
		{ "\x1f\x8b\x07\x08", NULL }, { "", NULL }, { "\xeb\x63\x90", NULL }, { "QFI", NULL }, { "vhdxfil", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char start[32] = { 0 };

		strcpy(start, formats[i].bytes);
		start_of_images = start;
		parse("vm=a disk=root", "role=disk name=root", "vm=b disk=root,ro", "vm=c");
		config_check_images(&config, look);
		if (formats[i].words)
			said(formats[i].words);
		assert_int_equal(errors, formats[i].words ? 3 : 0);
		assert_int_equal(config.vms[0].valid, !formats[i].words);
		assert_int_equal(config.vms[1].valid, !formats[i].words);
		assert_true(config.vms[2].valid);
	}
	said("");
	/* What cannot be mapped, or is shorter than the signature, is taken as it is. */
	start_of_images = NULL;
	config_check_images(&config, look);
	image_size = 2;
	start_of_images = "\x1f\x8b";
	parse("vm=a disk=root", "role=disk name=root");
	config_check_images(&config, look);
	assert_int_equal(errors, 0);
	image_size = MIB(4);
}

/* --- ports --- */

static void is_mac(const struct vm_net_config *net, u8 a, u8 b, u8 c, u8 d, u8 e, u8 f)
{
	const u8 mac[6] = { a, b, c, d, e, f };

	assert_memory_equal(net->mac, mac, 6);
}

static void test_ports(void **state)
{
	const struct vm_config *vm;
	u8 first[6], second[6];

	parse("vm=a net=lan net=lan net=wan,mac=52:54:00:0A:bc:f2,trunk net=wan,trunk", "vm=b net=lan");
	assert_string_equal(logged, "");
	vm = &config.vms[0];
	assert_int_equal(vm->net_count, 4);
	assert_string_equal(vm->nets[0]->name, "lan");
	assert_false(vm->nets[0]->trunk);
	assert_string_equal(vm->nets[2]->name, "wan");
	is_mac(vm->nets[2], 0x52, 0x54, 0x00, 0x0a, 0xbc, 0xf2);
	assert_true(vm->nets[2]->trunk);
	assert_true(vm->nets[3]->trunk);
	/* Addresses that Lamina chooses: of one station, locally administered, different, and the same each time. */
	assert_int_equal(vm->nets[0]->mac[0], 0x02);
	assert_int_equal(config.vms[1].nets[0]->mac[0], 0x02);
	memcpy(first, vm->nets[0]->mac, 6);
	memcpy(second, vm->nets[1]->mac, 6);
	assert_memory_not_equal(first, second, 6);
	assert_memory_not_equal(first, config.vms[1].nets[0]->mac, 6);
	parse("vm=b net=wan", "vm=a net=other,trunk", "vm=a net=lan role=initrd");
	assert_memory_equal(config.vms[1].nets[0]->mac, first, 6);
	assert_memory_equal(config.vms[1].nets[1]->mac, second, 6);
}

static void test_bad_ports(void **state)
{
	static const char *const bad[] = {
		"net=", "net=a/b", "net=lan,", "net=lan,trunk,trunk", "net=lan,mac", "net=lan,mac=", "net=lan,up",
		"net=lan,mac=52:54:00:00:00", "net=lan,mac=52:54:00:00:00:0", "net=lan,mac=52:54:00:00:00:0g",
		"net=lan,mac=52-54-00-00-00-01", "net=lan,mac=52:54:00:00:00:01:02", "net=lan,mac=53:54:00:00:00:01",
		"net=lan,mac=00:00:00:00:00:00", "net=lan,mac=52:54:00:00:00:01,mac=52:54:00:00:00:01",
		"net=abcdefghijklmnopqrstuvwx",
	};
	char words[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		parse("vm=good net=lan", bad[i]);
		snprintf(words, sizeof(words), "net=%.40s: expected net=SWITCH[,mac=XX:XX:XX:XX:XX:XX][,trunk], a virtio network "
			 "port", bad[i] + 4);
		said(words);
		assert_int_equal(errors, 1);
		assert_true(config.vms[0].valid);
		assert_false(config.vms[1].valid);
	}
	parse("net=a net=a net=a net=a net=a net=a net=a net=a");
	assert_int_equal(errors, 0);
	parse("net=a net=a net=a net=a net=a net=a net=a net=a net=a");
	said("net: expected at most 8 ports for a VM, and 512 in all");
}

static void test_addresses_are_unique(void **state)
{
	parse("vm=a net=lan,mac=52:54:00:00:00:01", "vm=b net=lan,mac=52:54:00:00:00:01", "vm=c net=wan,mac=52:54:00:00:00:01",
	      "vm=d net=lan,mac=52:54:00:00:00:02");
	said("module 1: net=lan: VM a has a port with the address 52:54:00:00:00:01 there already, expected another mac=");
	assert_int_equal(errors, 1);
	assert_true(config.vms[0].valid);
	assert_false(config.vms[1].valid);
	assert_true(config.vms[2].valid);
	assert_true(config.vms[3].valid);
	parse("vm=a net=lan,mac=52:54:00:00:00:01 net=lan,mac=52:54:00:00:00:01");
	said("module 0: net=lan: VM a has a port");
	assert_false(config.vms[0].valid);
	/* That of a VM that does not start is free. */
	parse("vm=a colour=red net=lan,mac=52:54:00:00:00:01", "vm=b net=lan,mac=52:54:00:00:00:01");
	assert_true(config.vms[1].valid);
}

static void test_no_pci(void **state)
{
	parse("vm=a pci=none", "vm=b pci=on net=lan", "vm=c");
	assert_int_equal(errors, 0);
	assert_true(config.vms[0].no_pci);
	assert_false(config.vms[1].no_pci);
	assert_false(config.vms[2].no_pci);
	parse("vm=a pci=none net=lan", "vm=b pci=none disk=ram,size=1M", "vm=c");
	said("VM a has pci=none: expected no net=, or pci=on");
	said("VM b has pci=none: expected no disk=, or pci=on");
	assert_false(config.vms[0].valid);
	assert_false(config.vms[1].valid);
	assert_true(config.vms[2].valid);
	parse("vm=a pci=none keyboard=hvc0");
	said("VM a has pci=none: expected no keyboard=hvc0, or pci=on");
	assert_false(config.vms[0].valid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_disks),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_bad_disks),
		cmocka_unit_test(test_count_of_disks),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_sizes_of_images),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_bad_ports),
		cmocka_unit_test(test_addresses_are_unique),
		cmocka_unit_test(test_no_pci),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
