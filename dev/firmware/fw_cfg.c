/* SPDX-License-Identifier: MIT */
/* QEMU's firmware configuration device. */
#include "dev/firmware/fw_cfg.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm_alloc.h"
#include "lib/errno.h"
#include "lib/string.h"

#define FW_CFG_PORT  0x510	/* the selector, 16 bits wide */
#define FW_CFG_PORTS 2		/* with the data port behind it, 8 bits wide */
#define FW_CFG_DATA  1

/* The selector's values. */
#define KEY_SIGNATURE 0x00
#define KEY_ID	      0x01
#define KEY_RAM_SIZE  0x03
#define KEY_CPUS      0x05
#define KEY_MAX_CPUS  0x0f
#define KEY_DIRECTORY 0x19
#define KEY_FILES     0x20	/* the first file */
#define KEY_WRITE     0x4000	/* "write mode": reads work as well, and writes are ignored */

#define ID_TRADITIONAL BIT(0)	/* without the DMA interface */
#define E820_RAM       1

#define FILES	  8
#define FILE_NAME 56	/* with its NUL */

/* The directory's numbers are big-endian, all others are little-endian. */
struct fw_cfg_file {
	u32 size;
	u16 key, reserved;
	char name[FILE_NAME];
} __packed;

struct fw_cfg_e820 {
	u64 address, length;
	u32 type;
} __packed;

struct fw_cfg_items {
	char signature[4];
	u32 id;
	u64 ram_size;
	u16 cpus;
	u32 file_count;
	struct fw_cfg_file files[FILES];
	struct fw_cfg_e820 e820[2];
} __packed;

struct fw_cfg {
	struct fw_cfg_items items;
	const void *contents[FILES];
	u32 files;
	const u8 *next, *end;	/* of the selected item */
};

_Static_assert(sizeof(struct fw_cfg_file) == 64, "fw_cfg file");
_Static_assert(sizeof(struct fw_cfg_e820) == 20, "fw_cfg e820 entry");

static void set(struct fw_cfg *fw_cfg, const void *data, u32 size)
{
	fw_cfg->next = data;
	fw_cfg->end = fw_cfg->next + size;
}

/* An unknown item is empty, and behind an item's end there are zeros. */
static void select(struct fw_cfg *fw_cfg, u16 key)
{
	const struct fw_cfg_items *items = &fw_cfg->items;
	u32 file;
	const struct {
		u16 key;
		const void *data;
		u32 size;
	} table[] = {
		{ KEY_SIGNATURE, items->signature, sizeof(items->signature) },
		{ KEY_ID, &items->id, sizeof(items->id) },
		{ KEY_RAM_SIZE, &items->ram_size, sizeof(items->ram_size) },
		{ KEY_CPUS, &items->cpus, sizeof(items->cpus) },
		{ KEY_MAX_CPUS, &items->cpus, sizeof(items->cpus) },
		{ KEY_DIRECTORY, &items->file_count, sizeof(items->file_count) + fw_cfg->files * (u32)sizeof(items->files[0]) },
	};

	key &= (u16)~KEY_WRITE;
	file = key - KEY_FILES;
	fw_cfg->next = fw_cfg->end = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		if (table[i].key == key)
			set(fw_cfg, table[i].data, table[i].size);
	if (file < fw_cfg->files)
		set(fw_cfg, fw_cfg->contents[file], __builtin_bswap32(items->files[file].size));
}

static u64 read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	struct fw_cfg *fw_cfg = device;

	if (offset != FW_CFG_DATA || fw_cfg->next == fw_cfg->end)
		return 0;
	return *fw_cfg->next++;
}

static void write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	if (offset == 0 && size == 2)
		select(device, (u16)value);
}

static void fill(struct vm *vm, struct fw_cfg_items *items)
{
	u64 low = guest_low_ram(vm), high = guest_high_ram(vm);

	*items = (struct fw_cfg_items){
		.signature = { 'Q', 'E', 'M', 'U' },
		.id = ID_TRADITIONAL,
		.ram_size = low + high,
		.cpus = (u16)vm_vcpu_count(vm),
		.e820 = { { 0, low, E820_RAM }, { GUEST_HIGH_RAM, high, E820_RAM } },
	};
}

int fw_cfg_add(struct fw_cfg *fw_cfg, const char *name, const void *data, u32 size)
{
	struct fw_cfg_file *file = &fw_cfg->items.files[fw_cfg->files];

	if (fw_cfg->files == FILES)
		return -ENOSPC;
	file->size = __builtin_bswap32(size);
	file->key = __builtin_bswap16((u16)(KEY_FILES + fw_cfg->files));
	str_copy(file->name, name, sizeof(file->name));
	fw_cfg->contents[fw_cfg->files++] = data;
	fw_cfg->items.file_count = __builtin_bswap32(fw_cfg->files);
	return 0;
}

struct fw_cfg *fw_cfg_create(struct vm *vm)
{
	struct fw_cfg *fw_cfg = vm_alloc(vm, sizeof(*fw_cfg));
	const struct io_region region = { "fw_cfg", FW_CFG_PORT, FW_CFG_PORTS, { read }, { write }, fw_cfg };

	if (!fw_cfg)
		return NULL;
	fill(vm, &fw_cfg->items);
	fw_cfg_add(fw_cfg, "etc/e820", fw_cfg->items.e820, (guest_high_ram(vm) ? 2u : 1u) * (u32)sizeof(struct fw_cfg_e820));
	fw_cfg_add(fw_cfg, "etc/boot-cpus", &fw_cfg->items.cpus, sizeof(fw_cfg->items.cpus));
	select(fw_cfg, KEY_SIGNATURE);
	return pio_register(vm, &region) ? NULL : fw_cfg;
}
