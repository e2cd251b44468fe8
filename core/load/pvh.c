/* SPDX-License-Identifier: MIT */
/* ELF images with a PVH note. Xen, "x86/HVM direct boot ABI". */
#include "core/load/load.h"

#include "lib/string.h"

#define START_INFO_MAGIC   0x336ec578u
#define START_INFO_VERSION 1u	/* the first with a memory map */

struct start_info {
	u32 magic, version, flags;
	u32 module_count;
	u64 modules, cmdline, rsdp, memory_map;	/* physical addresses; 0: none */
	u32 memory_map_entries;
	u32 reserved;
};

struct start_info_module {
	u64 address, size;
	u64 cmdline;
	u64 reserved;
};

struct start_info_memory {
	u64 address, size;
	u32 type;
	u32 reserved;
};

_Static_assert(offsetof(struct start_info, modules) == 16, "PVH start info");
_Static_assert(offsetof(struct start_info, memory_map_entries) == 48, "PVH start info");
_Static_assert(sizeof(struct start_info) == 56, "PVH start info");
_Static_assert(sizeof(struct start_info_module) == 32, "PVH module list");
_Static_assert(sizeof(struct start_info_memory) == 24, "PVH memory map");

/* All boot information of a PVH guest, as one block. */
struct pvh_info {
	struct start_info start;
	struct start_info_module modules[LOAD_MODULES];
	struct start_info_memory memory[LOAD_MEMORY_PIECES];
	char cmdline[];
};

static void fill_memory_map(const struct load *load, struct pvh_info *info)
{
	struct load_memory map[LOAD_MEMORY_PIECES];

	info->start.memory_map_entries = load_memory_map(load->vm, map);
	for (u32 i = 0; i < info->start.memory_map_entries; i++)
		info->memory[i] = (struct start_info_memory){
			.address = map[i].start, .size = map[i].size, .type = map[i].type,
		};
}

/* Each with its string, if it has one. Without a name in front, like the kernel's command line. */
static void add_modules(const struct load *load, gpa_t gpa, struct pvh_info *info)
{
	const struct guest_module *modules = load->image->modules;
	size_t used = strlen(info->cmdline) + 1;

	if (!load->image->module_count)
		return;
	info->start.module_count = load->image->module_count;
	info->start.modules = gpa + offsetof(struct pvh_info, modules);
	for (u32 i = 0; i < load->image->module_count; i++) {
		size_t length = strlen(modules[i].string) + 1;

		info->modules[i] = (struct start_info_module){
			.address = load->modules[i], .size = modules[i].size,
			.cmdline = length > 1 ? gpa + offsetof(struct pvh_info, cmdline) + used : 0,
		};
		memcpy(info->cmdline + used, modules[i].string, length);
		used += length;
	}
}

static int write_info(struct load *load, gpa_t *gpa)
{
	size_t length = strlen(load->image->cmdline) + 1, strings = 0;
	struct pvh_info *info;

	for (u32 i = 0; i < load->image->module_count; i++)
		strings += strlen(load->image->modules[i].string) + 1;
	info = load_place_info(load, sizeof(*info) + length + strings, gpa);
	if (!info)
		return -ENOMEM;
	info->start = (struct start_info){
		.magic = START_INFO_MAGIC,
		.version = START_INFO_VERSION,
		.cmdline = *gpa + offsetof(struct pvh_info, cmdline),
		.rsdp = GUEST_RSDP_ADDRESS,
		.memory_map = *gpa + offsetof(struct pvh_info, memory),
	};
	fill_memory_map(load, info);
	memcpy(info->cmdline, load->image->cmdline, length);
	add_modules(load, *gpa, info);
	return 0;
}

static int find_entry(const struct load *load, struct elf_image *elf, u32 *entry)
{
	const struct guest_image *image = load->image;
	const char *why;
	int error;

	if (!elf_has_magic(image->kernel, image->kernel_size))
		return -ENOENT;
	if (elf_parse(image->kernel, image->kernel_size, elf, &why))
		return load_fail(load, "damaged ELF file: %s", why);
	error = elf_pvh_entry(elf, entry, &why);
	if (error == -ENOENT)
		return load_fail(load,
				 "an ELF file that does not say how to enter it: expected a "
				 "Multiboot or Multiboot2 header or a PVH note; of Linux, take the "
				 "bzImage");
	return error ? load_fail(load, "damaged ELF file: %s", why) : 0;
}

int load_pvh(struct load *load)
{
	struct elf_image elf;
	gpa_t info;
	u32 entry;
	int error = find_entry(load, &elf, &entry);

	if (!error)
		error = load_elf_segments(load, &elf, 0);
	if (error)
		return error;
	if (!load_has_taken(load, entry))
		return load_fail(load, "the PVH entry 0x%x lies outside of what is loaded", entry);
	error = load_modules_low(load);
	if (!error)
		error = write_info(load, &info);
	if (error)
		return error;
	load_enter_protected(load->vcpu, entry, 0, (u32)info);
	load_report(load, "an ELF file, by PVH", entry);
	return 0;
}
