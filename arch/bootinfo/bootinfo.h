/* SPDX-License-Identifier: MIT */
/*
 * The boot loader's information, checked and copied to Lamina's memory.
 * Multiboot2 and Multiboot Specification, "Boot information format".
 */
#pragma once

#include "lib/multiboot.h"
#include "lib/types.h"

#define BOOT_MAX_MODULES 512
#define BOOT_MAX_MEMORY	 512
#define BOOT_INFO_SIZE	 KIB(256)	/* bytes of the largest information block that is accepted */

struct boot_module {
	hpa_t start;
	u64 size;		/* bytes; 0 once boot_module_free() was called */
	const char *string;	/* its command line */
	bool keep;		/* its memory is not for guests */
};

struct boot_memory {
	hpa_t start;
	u64 size;
	u32 type;		/* enum multiboot_memory_type */
};

struct boot_framebuffer {
	hpa_t address;		/* 0: none */
	u32 pitch, width, height;
	u8 bits_per_pixel;
	u8 type;		/* enum mb2_framebuffer_type */
	const u8 *colours;	/* the layout depends on the type; contents unchecked */
	size_t colours_size;
};

struct boot_info {
	const char *command_line, *loader_name;	/* never NULL */
	bool file_names;	/* command lines may begin with any file name: Multiboot1, or a loader other than GRUB */
	unsigned protocol;	/* Multiboot's version: 1 or 2 */
	bool bios;		/* a loader that would tell of UEFI does not */
	bool kexec;		/* started by a running system: low memory is no firmware's any more */
	bool uefi;		/* the firmware is UEFI: there is no BIOS data area in low memory */
	unsigned modules, memory_pieces;
	unsigned modules_left_out;	/* beyond BOOT_MAX_MODULES */
	struct boot_module module[BOOT_MAX_MODULES];
	struct boot_memory memory[BOOT_MAX_MEMORY + 1];	/* sorted; one more while it is being read */
	const void *rsdp;	/* a copy of ACPI's root pointer, or NULL */
	size_t rsdp_size;
	struct boot_framebuffer framebuffer;
};

extern struct boot_info boot_info;

/*
 * Fill boot_info from the information at `pa`; the loader's magic number says whether that is
 * Multiboot1's or Multiboot2's. Before paging_init(), since the boot page tables map it. Malformed or
 * excess parts are left out with an error line. -EINVAL if the information as a whole is unusable.
 */
int boot_info_init(u32 loader_magic, hpa_t pa);

/* Whether any of these `size` bytes is RAM that the boot loader's map calls usable. */
bool boot_info_has_ram(hpa_t pa, u64 size);
/* Whether all of it is that, within one piece of the map, and no other piece says otherwise. */
bool boot_info_is_ram(hpa_t pa, u64 size);

/*
 * Zero the module's memory and, unless `keep` is set, add it to the guests' RAM. Does nothing the second
 * time. Without page tables to map it, the memory stays unused. After paging_init().
 */
void boot_module_free(unsigned index);

/* --- for the readers of this folder --- */

/* Memory for a copy, 8-byte aligned, never freed; NULL if fewer than `size` of BOOT_INFO_SIZE bytes are left. */
void *boot_info_store(size_t size);
size_t boot_info_room(void);	/* bytes left */

/* Add the module [start, end); at an impossible place, as an empty one. Keeps the pointer to the string. */
void boot_info_add_module(u32 start, u32 end, const char *string);

/*
 * Compare the firmware's own memory map with the memory added so far: what the firmware keeps but the
 * boot loader calls usable is added as reserved, and logged.
 */
void boot_info_apply_efi(const struct mb2_efi_memory_map_tag *map);

/* Read Multiboot1's information; as boot_info_init(). */
int mb1_info_read(hpa_t pa);
