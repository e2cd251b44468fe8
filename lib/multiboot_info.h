/* SPDX-License-Identifier: MIT */
/*
 * Reading the Multiboot2 information that a boot loader has left in memory.
 *
 * "Multiboot2 Specification version 2.0", "Boot information format". Nothing is copied: all that
 * is returned points into the information, which must stay where it is and as it is.
 */
#pragma once

#include "lib/multiboot.h"
#include "lib/string.h"

struct mb2_info {
	const u8 *start;
	u32 size;
};

/*
 * Validate the information at `start`, of which `readable` bytes may be read: its size, that all
 * tags lie within it, and its end tag. 0, or -EINVAL and in *why, a static string, what was
 * expected.
 */
int mb2_info_parse(const void *start, size_t readable, struct mb2_info *info, const char **why);

/* The tag behind `previous`, or the first one after NULL; NULL at the end. */
const struct mb2_tag *mb2_next_tag(const struct mb2_info *info, const struct mb2_tag *previous);

/*
 * The next tag of this type that is at least `least` bytes long, header included. Tags that are
 * too short to be what they say are passed over.
 */
const struct mb2_tag *mb2_next_tag_of(const struct mb2_info *info, const struct mb2_tag *previous,
				      enum mb2_tag_type type, u32 least);

/* The getters return false where there is no such tag, or only a malformed one. */

bool mb2_command_line(const struct mb2_info *info, struct str_view *text);
bool mb2_loader_name(const struct mb2_info *info, struct str_view *text);

struct mb2_module {
	hpa_t start, end;	  /* end is exclusive and at least start */
	struct str_view cmdline;
};

/* Module number `index`, in the order of the boot menu. */
bool mb2_module(const struct mb2_info *info, u32 index, struct mb2_module *module);

struct mb2_memory_map {
	const u8 *entries;
	u32 entry_size;
	u32 count;
};

bool mb2_memory_map(const struct mb2_info *info, struct mb2_memory_map *map);

/* Entry number `index`, below count. Not checked: the sum of base and length may overflow. */
struct mb2_memory_entry mb2_memory_entry(const struct mb2_memory_map *map, u32 index);

/* The copy of ACPI's RSDP, the newer one where there are two. Its checksums are not checked. */
bool mb2_rsdp(const struct mb2_info *info, const void **rsdp, u32 *size);

bool mb2_framebuffer(const struct mb2_info *info, struct mb2_framebuffer_tag *framebuffer);

/* What UEFI firmware left: the system table's physical address and whether it is 64 bits wide. */
bool mb2_efi_system_table(const struct mb2_info *info, hpa_t *address, bool *is_64bit);

/* Are EFI boot services still running? */
bool mb2_efi_boot_services(const struct mb2_info *info);

/* UEFI's "EFI_MEMORY_DESCRIPTOR"s, `count` of them, each `descriptor_size` bytes apart. */
bool mb2_efi_memory_map(const struct mb2_info *info, const void **descriptors, u32 *descriptor_size,
			u32 *count);

struct mb2_elf_sections {
	const void *headers;
	u32 entry_size;
	u32 count;
	u32 string_table;
};

bool mb2_elf_sections(const struct mb2_info *info, struct mb2_elf_sections *sections);

/* The physical address at which a relocatable image has been loaded. */
bool mb2_load_base(const struct mb2_info *info, hpa_t *base);
