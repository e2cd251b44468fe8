/* SPDX-License-Identifier: MIT */
/*
 * The boot loader's information, checked and copied to memory of our own.
 * Multiboot2 and Multiboot Specification, "Boot information format".
 */
#pragma once

#include "lib/multiboot.h"
#include "lib/types.h"

#define BOOT_MAX_MODULES 512
#define BOOT_MAX_MEMORY	 256
#define BOOT_INFO_SIZE	 KIB(256)	/* the largest information block that is understood */

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
	const u8 *colours;	/* as the type says it; unchecked */
	size_t colours_size;
};

struct boot_info {
	const char *command_line, *loader_name;	/* never NULL */
	bool file_names;	/* Multiboot1: the files' names may stand in front of the command lines */
	bool uefi;		/* the firmware is one: what a BIOS leaves in low memory is not there */
	unsigned modules, memory_pieces;
	unsigned modules_left_out;	/* of more than BOOT_MAX_MODULES */
	struct boot_module module[BOOT_MAX_MODULES];
	struct boot_memory memory[BOOT_MAX_MEMORY];
	const void *rsdp;	/* a copy of ACPI's root pointer, or NULL */
	size_t rsdp_size;
	struct boot_framebuffer framebuffer;
};

extern struct boot_info boot_info;

/*
 * Fill boot_info from the information at `pa`, which the boot page tables still show; the loader's
 * magic number tells its kind. Whatever is malformed or too much is left out with an error line.
 * -EINVAL where the information as a whole is of no use.
 */
int boot_info_init(u32 loader_magic, hpa_t pa);

/* Whether some of this memory is RAM that the boot loader's map calls usable. */
bool boot_info_has_ram(hpa_t pa, u64 size);
/* Whether all of it is that, within one piece of the map, and no other piece says otherwise. */
bool boot_info_is_ram(hpa_t pa, u64 size);

/*
 * Overwrite the module's memory and, unless it is to be kept, give it to the guests' RAM. Does nothing
 * the second time.
 */
void boot_module_free(unsigned index);

/* --- for the readers of this folder --- */

/* Room for a copy, 8-byte aligned, that lasts; NULL where the BOOT_INFO_SIZE bytes are used up. */
void *boot_info_store(size_t size);
size_t boot_info_room(void);	/* bytes left */

/* Number a module; one that cannot be true is taken as empty. The string must last. */
void boot_info_add_module(u32 start, u32 end, const char *string);
/* False where there are too many pieces, after an error line. */
bool boot_info_add_memory(hpa_t start, u64 size, u32 type);

/*
 * Hold the firmware's own memory map against what was added: what it keeps for itself where the boot
 * loader calls memory usable is added as reserved, and logged.
 */
void boot_info_apply_efi(const struct mb2_efi_memory_map_tag *map);

/* Read Multiboot1's information; as boot_info_init(). */
int mb1_info_read(hpa_t pa);
