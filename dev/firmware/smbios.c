/* SPDX-License-Identifier: MIT */
/* The SMBIOS table. */
#include "dev/firmware/smbios.h"

#include "core/mem/guest_mem.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/firmware/fw_cfg.h"
#include "lib/bits.h"
#include "lib/errno.h"
#include "lib/string.h"

enum smbios_type {
	SMBIOS_BIOS = 0, SMBIOS_SYSTEM = 1, SMBIOS_CHASSIS = 3, SMBIOS_MEMORY_ARRAY = 16, SMBIOS_MEMORY_DEVICE = 17,
	SMBIOS_MEMORY_MAP = 19, SMBIOS_BOOT = 32, SMBIOS_END_OF_TABLE = 127,
};

struct smbios_header {
	u8 type, length;
	u16 handle;
} __packed;

/* Numbers of strings count from 1; 0: none. */
struct smbios_bios {
	struct smbios_header header;
	u8 vendor, version;
	u16 segment;
	u8 date, rom_size;
	u64 characteristics;
	u8 extended[2];
	u8 major, minor, ec_major, ec_minor;
} __packed;
_Static_assert(sizeof(struct smbios_bios) == 0x18, "SMBIOS: type 0 of 2.4");

struct smbios_system {
	struct smbios_header header;
	u8 manufacturer, product, version, serial;
	u8 uuid[16];		/* zeros: there is none */
	u8 wake_up, sku, family;
} __packed;
_Static_assert(sizeof(struct smbios_system) == 0x1b, "SMBIOS: type 1 of 2.4");

struct smbios_chassis {
	struct smbios_header header;
	u8 manufacturer, kind, version, serial, asset;
	u8 boot_state, power_state, thermal_state, security;
	u32 oem;
	u8 height, power_cords, elements, element_size, sku;
} __packed;
_Static_assert(sizeof(struct smbios_chassis) == 0x16, "SMBIOS: type 3 of 2.7");

struct smbios_memory_array {
	struct smbios_header header;
	u8 location, use, correction;
	u32 capacity;		/* KiB; 0x80000000: see the extended one */
	u16 error_handle, devices;
	u64 extended_capacity;	/* bytes */
} __packed;
_Static_assert(sizeof(struct smbios_memory_array) == 0x17, "SMBIOS: type 16 of 2.7");

struct smbios_memory_device {
	struct smbios_header header;
	u16 array_handle, error_handle, total_width, data_width;
	u16 size;		/* MiB; 0x7fff: see the extended one */
	u8 form, set, locator, bank, kind;
	u16 detail, speed;
	u8 manufacturer, serial, asset, part, attributes;
	u32 extended_size;	/* MiB */
	u16 configured_speed, voltages[3];
} __packed;
_Static_assert(sizeof(struct smbios_memory_device) == 0x28, "SMBIOS: type 17 of 2.8");

struct smbios_memory_map {
	struct smbios_header header;
	u32 start, end;		/* KiB; all ones: see the extended ones */
	u16 array_handle;
	u8 width;
	u64 extended_start, extended_end;
} __packed;
_Static_assert(sizeof(struct smbios_memory_map) == 0x1f, "SMBIOS: type 19 of 2.7");

struct smbios_boot {
	struct smbios_header header;
	u8 reserved[6], status;
} __packed;
_Static_assert(sizeof(struct smbios_boot) == 0x0b, "SMBIOS: type 32");

struct smbios_entry {
	char anchor[4];		/* "_SM_" */
	u8 checksum, length, major, minor;
	u16 longest;		/* structure, with its strings */
	u8 revision, formatted[5];
	char second_anchor[5];	/* "_DMI_", from which the second checksum counts */
	u8 second_checksum;
	u16 table_length;
	u32 table;
	u16 structures;
	u8 bcd_revision;
} __packed;
_Static_assert(sizeof(struct smbios_entry) == 0x1f, "SMBIOS: entry point of 2.1");

struct smbios_entry_3 {
	char anchor[5];		/* "_SM3_" */
	u8 checksum, length, major, minor, docrev, revision, reserved;
	u32 table_length;
	u64 table;
} __packed;
_Static_assert(sizeof(struct smbios_entry_3) == 0x18, "SMBIOS: entry point of 3.0");

/* All of it: the entry points begin at multiples of 16. */
struct smbios_area {
	struct smbios_entry entry;
	u8 reserved;
	struct smbios_entry_3 entry_3;
	u8 reserved_3[8];
	u8 table[SMBIOS_END - SMBIOS_ADDRESS - 0x40];
} __packed;
_Static_assert(offsetof(struct smbios_area, entry_3) == 0x20 && offsetof(struct smbios_area, table) == 0x40, "aligned");

#define MEMORY_ARRAY_HANDLE 0x1000u
#define NOT_PROVIDED	    0xfffeu
#define UNKNOWN_WIDTH	    0xffffu
#define SAFE		    3
#define VIRTUAL_MACHINE	    BIT(4)	/* in the second byte of the extended characteristics */

struct smbios_writer {
	u8 *table;
	u32 used;
	u16 longest, structures;
};

/* Add a structure, and its strings as "one\0two\0". The table has room for all that there are. */
static void add(struct smbios_writer *writer, enum smbios_type type, size_t length, u16 handle, const void *structure,
		const char *strings, size_t strings_size)
{
	struct smbios_header *header = (void *)(writer->table + writer->used);
	/* The literal's own end is the empty string that ends the list; without strings there are two. */
	size_t size = length + MAX(strings_size, (size_t)2);

	memcpy(header, structure, length);
	*header = (struct smbios_header){ type, (u8)length, handle };
	memcpy(writer->table + writer->used + length, strings, strings_size);
	writer->used += (u32)size;
	writer->longest = MAX(writer->longest, (u16)size);
	writer->structures++;
}

#define ADD(writer, type, handle, structure, strings) \
	add(writer, type, sizeof(structure), handle, &(structure), strings, sizeof(strings))

static void add_machine(struct smbios_writer *writer)
{
	const struct smbios_bios bios = {
		.vendor = 1, .version = 2, .segment = 0xf000, .date = 3,
		.characteristics = BIT(7),	/* PCI */
		.extended = { BIT(0) /* ACPI */, VIRTUAL_MACHINE },
		.major = 0xff, .minor = 0xff, .ec_major = 0xff, .ec_minor = 0xff,	/* they have no numbers */
	};
	const struct smbios_system system = { .manufacturer = 1, .product = 2, .wake_up = 6 /* the power switch */ };
	const struct smbios_chassis chassis = {
		.manufacturer = 1, .kind = 1 /* other */, .boot_state = SAFE, .power_state = SAFE, .thermal_state = SAFE,
		.security = 3,	/* none */
	};

	ADD(writer, SMBIOS_BIOS, 0, bios, "Lamina\0" "1\0" "01/01/2026\0");
	ADD(writer, SMBIOS_SYSTEM, 0x100, system, "Lamina\0" "Lamina VM\0");
	ADD(writer, SMBIOS_CHASSIS, 0x300, chassis, "Lamina\0");
}

static void add_map(struct smbios_writer *writer, u16 handle, u64 start, u64 size)
{
	const u64 last = start + size - 1;
	const bool wide = last >> 10 >= UINT32_MAX;
	const struct smbios_memory_map map = {
		.start = wide ? UINT32_MAX : (u32)(start >> 10),
		.end = wide ? UINT32_MAX : (u32)(last >> 10),
		.array_handle = MEMORY_ARRAY_HANDLE,
		.width = 1,
		.extended_start = wide ? start : 0,
		.extended_end = wide ? last : 0,
	};

	if (size)
		ADD(writer, SMBIOS_MEMORY_MAP, handle, map, "");
}

static void add_memory(struct smbios_writer *writer, u64 low, u64 high)
{
	const u64 size = low + high;
	const bool large_array = size >> 10 >= 0x80000000, large_device = size >> 20 >= 0x7fff;
	const struct smbios_memory_array array = {
		.location = 3 /* the board */, .use = 3 /* system memory */, .correction = 2 /* unknown */,
		.capacity = large_array ? 0x80000000 : (u32)(size >> 10),
		.error_handle = NOT_PROVIDED, .devices = 1,
		.extended_capacity = large_array ? size : 0,
	};
	const struct smbios_memory_device device = {
		.array_handle = MEMORY_ARRAY_HANDLE, .error_handle = NOT_PROVIDED,
		.total_width = UNKNOWN_WIDTH, .data_width = UNKNOWN_WIDTH,
		.size = large_device ? 0x7fff : (u16)(size >> 20),
		.form = 1 /* other */, .locator = 1, .kind = 7 /* RAM */, .detail = BIT(1) /* other */,
		.extended_size = large_device ? (u32)(size >> 20) : 0,
	};

	ADD(writer, SMBIOS_MEMORY_ARRAY, MEMORY_ARRAY_HANDLE, array, "");
	ADD(writer, SMBIOS_MEMORY_DEVICE, 0x1100, device, "RAM\0");
	add_map(writer, 0x1300, 0, low);
	add_map(writer, 0x1301, GUEST_HIGH_RAM, high);
}

static void build(struct smbios_area *area, u64 low, u64 high)
{
	const struct smbios_boot boot = { .status = 0 };	/* no errors */
	const struct smbios_header end = { 0 };
	const u64 table = SMBIOS_ADDRESS + offsetof(struct smbios_area, table);
	struct smbios_writer writer = { .table = area->table };

	add_machine(&writer);
	add_memory(&writer, low, high);
	ADD(&writer, SMBIOS_BOOT, 0x2000, boot, "");
	ADD(&writer, SMBIOS_END_OF_TABLE, 0x7f00, end, "");

	area->entry = (struct smbios_entry){
		.anchor = "_SM_", .length = sizeof(area->entry), .major = 2, .minor = 8, .longest = writer.longest,
		.second_anchor = { '_', 'D', 'M', 'I', '_' }, .table_length = (u16)writer.used, .table = (u32)table,
		.structures = writer.structures, .bcd_revision = 0x28,
	};
	area->entry.second_checksum = (u8)-byte_sum(area->entry.second_anchor, sizeof(area->entry) -
						    offsetof(struct smbios_entry, second_anchor));
	area->entry.checksum = (u8)-byte_sum(&area->entry, sizeof(area->entry));
	area->entry_3 = (struct smbios_entry_3){
		.anchor = { '_', 'S', 'M', '3', '_' }, .length = sizeof(area->entry_3), .major = 3, .revision = 1,
		.table_length = writer.used, .table = table,
	};
	area->entry_3.checksum = (u8)-byte_sum(&area->entry_3, sizeof(area->entry_3));
}

int smbios_offer(struct vm *vm, struct fw_cfg *fw_cfg)
{
	struct smbios_area *area = vm_alloc(vm, sizeof(*area));
	int error;

	if (!area)
		return -ENOMEM;
	build(area, guest_low_ram(vm), guest_high_ram(vm));
	error = fw_cfg_add(fw_cfg, "etc/smbios/smbios-anchor", &area->entry, sizeof(area->entry));
	return error ? error : fw_cfg_add(fw_cfg, "etc/smbios/smbios-tables", area->table, area->entry.table_length);
}

int smbios_write(struct vm *vm)
{
	struct smbios_area *area = guest_ptr(vm, SMBIOS_ADDRESS, sizeof(*area));

	if (!area) {
		vm_error(vm, "no room for the SMBIOS table below 1 MiB");
		return -EFAULT;
	}
	memset(area, 0, sizeof(*area));
	build(area, guest_low_ram(vm), guest_high_ram(vm));
	return 0;
}
