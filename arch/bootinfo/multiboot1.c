/* SPDX-License-Identifier: MIT */
/*
 * Reading the Multiboot1 information: a table of pointers to data anywhere below 4 GiB.
 * Multiboot Specification, "Boot information format".
 *
 * It has no ACPI root pointer: arch/acpi/acpi.c scans low memory for it, where a BIOS puts it.
 */
#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/memory_map.h"
#include "arch/mem/memory.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/string.h"

/* A copy of the text at `pa`; empty if it is not terminated within the room that is left. */
static const char *copy_text(u32 pa, const char *what)
{
	size_t most = MIN(boot_info_room(), EARLY_MEMORY - pa);
	const char *text = early_map(pa, most);
	size_t length;
	char *copy;

	if (!pa || !text)
		return "";
	length = strnlen(text, most);
	if (length == most) {
		log_error("boot loader: the %s at 0x%x does not end within %zu bytes: ignored", what, pa, most);
		return "";
	}
	copy = boot_info_store(length + 1);
	memcpy(copy, text, length);
	copy[length] = 0;
	return copy;
}

static void read_modules(const struct mb1_info *info)
{
	for (u32 i = 0; i < info->mods_count; i++) {
		hpa_t at = info->mods_addr + (hpa_t)i * sizeof(struct mb1_module);
		const void *place = early_map(at, sizeof(struct mb1_module));
		struct mb1_module module;

		if (!place) {
			log_error("boot loader: module %u of %u has its entry beyond 4 GiB: the rest is ignored",
				  i, info->mods_count);
			return;
		}
		if (boot_info.modules == BOOT_MAX_MODULES) {
			log_error("boot loader: %u modules: those from %d on are ignored", info->mods_count,
				  BOOT_MAX_MODULES);
			boot_info.modules_left_out = info->mods_count - BOOT_MAX_MODULES;
			return;
		}
		memcpy(&module, place, sizeof(module));
		boot_info_add_module(module.mod_start, module.mod_end,
				     copy_text(module.string, "module's command line"));
	}
}

/* Each entry begins with its own size, which does not count itself. */
static void read_memory_map(const struct mb1_info *info)
{
	u64 end = (u64)info->mmap_addr + MIN(info->mmap_length, (u32)BOOT_INFO_SIZE);
	struct mb1_memory_entry entry;

	if (info->mmap_length > BOOT_INFO_SIZE)
		log_error("boot loader: the memory map has %u bytes: those from %u on are ignored", info->mmap_length,
			  (u32)BOOT_INFO_SIZE);
	for (hpa_t at = info->mmap_addr; at + sizeof(entry) <= end; at += entry.size + sizeof(entry.size)) {
		const void *place = early_map(at, sizeof(entry));

		if (!place)
			break;
		memcpy(&entry, place, sizeof(entry));
		if (entry.size < sizeof(entry) - sizeof(entry.size)) {
			log_error("boot loader: the memory map's entry at 0x%llx has only %u bytes: the rest is "
				  "ignored", (unsigned long long)at, entry.size);
			return;
		}
		boot_memory_add(entry.base, entry.length, entry.type);
	}
}

/* Without a map: what is below 640 KiB, and above 1 MiB up to the first hole. */
static void read_memory_sizes(const struct mb1_info *info)
{
	boot_memory_add(0, KIB((u64)info->mem_lower), MULTIBOOT_MEMORY_AVAILABLE);
	boot_memory_add(MIB(1), KIB((u64)info->mem_upper), MULTIBOOT_MEMORY_AVAILABLE);
}

/* A pixel's colours are described as in Multiboot2; a palette is not. */
static void read_framebuffer(const struct mb1_info *info)
{
	bool rgb = info->framebuffer_type == MB2_FRAMEBUFFER_RGB;
	void *colours = rgb ? boot_info_store(sizeof(info->color_info)) : NULL;

	if (colours)
		memcpy(colours, info->color_info, sizeof(info->color_info));
	boot_info.framebuffer = (struct boot_framebuffer) {
		.address = info->framebuffer_addr,
		.pitch = info->framebuffer_pitch,
		.width = info->framebuffer_width,
		.height = info->framebuffer_height,
		.bits_per_pixel = info->framebuffer_bpp,
		.type = info->framebuffer_type,
		.colours = colours,
		.colours_size = colours ? sizeof(info->color_info) : 0,
	};
}

int mb1_info_read(hpa_t pa)
{
	const void *place = early_map(pa, sizeof(struct mb1_info));
	struct mb1_info info;

	if (!place) {
		log_error("boot loader: its information at 0x%llx goes beyond 4 GiB", (unsigned long long)pa);
		return -EINVAL;
	}
	memcpy(&info, place, sizeof(info));
	if (info.flags & MB1_INFO_CMDLINE)
		boot_info.command_line = copy_text(info.cmdline, "command line");
	if (info.flags & MB1_INFO_LOADER_NAME)
		boot_info.loader_name = copy_text(info.boot_loader_name, "boot loader's name");
	if (info.flags & MB1_INFO_MEMORY_MAP)
		read_memory_map(&info);
	else if (info.flags & MB1_INFO_MEMORY)
		read_memory_sizes(&info);
	if (info.flags & MB1_INFO_MODULES)
		read_modules(&info);
	if (info.flags & MB1_INFO_FRAMEBUFFER)
		read_framebuffer(&info);
	return 0;
}
