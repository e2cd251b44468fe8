/* SPDX-License-Identifier: MIT */
/* What the readers of the boot information share. */
#pragma once

#include "lib/multiboot.h"
#include "lib/types.h"

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
