/* SPDX-License-Identifier: MIT */
/*
 * Memory that UEFI firmware keeps after its boot services have ended: runtime services, ACPI tables,
 * device memory. UEFI Specification, "EFI_BOOT_SERVICES.GetMemoryMap()".
 */
#include "arch/bootinfo/bootinfo.h"
#include "arch/bootinfo/memory_map.h"
#include "lib/log.h"
#include "lib/string.h"

#define MOST_LINES 8

static u64 end_of(u64 start, u64 size)
{
	return size < ~start ? start + size : ~0ull;
}

static bool is_kept(u32 type)
{
	return type != EFI_CONVENTIONAL_MEMORY && (type < EFI_LOADER_CODE || type > EFI_BOOT_SERVICES_DATA);
}

/* Whether a usable piece overlaps [start, end). */
static bool conflicts(const struct boot_memory *piece, u64 start, u64 end)
{
	return piece->type == MULTIBOOT_MEMORY_AVAILABLE && start < end && piece->start < end &&
	       start < end_of(piece->start, piece->size);
}

void boot_info_apply_efi(const struct mb2_efi_memory_map_tag *map)
{
	unsigned found = 0;
	struct efi_memory_descriptor d;
	size_t step = map->descriptor_size;

	if (step < sizeof(d)) {
		log_error("boot loader: the EFI memory map's entries have only %zu bytes: ignored", step);
		return;
	}
	for (size_t at = sizeof(*map); at + step <= map->tag.size; at += step) {
		bool conflict = false;
		u64 end;

		memcpy(&d, (const char *)map + at, sizeof(d));
		end = end_of(d.physical_start, d.pages < BIT_ULL(52) ? d.pages * PAGE_SIZE : ~0ull);
		for (unsigned i = 0; i < boot_info.memory_pieces && is_kept(d.type); i++) {
			const struct boot_memory *piece = &boot_info.memory[i];

			if (!conflicts(piece, d.physical_start, end))
				continue;
			conflict = true;
			if (found++ < MOST_LINES)
				log_warn("boot loader: it calls 0x%llx up to 0x%llx usable, of which the firmware"
					 " keeps 0x%llx up to 0x%llx (EFI type %u): left alone", (ull)piece->start,
					 (ull)end_of(piece->start, piece->size), (ull)d.physical_start, (ull)end,
					 d.type);
		}
		if (conflict)
			boot_memory_add(d.physical_start, end - d.physical_start, MULTIBOOT_MEMORY_RESERVED);
	}
	if (found > MOST_LINES)
		log_warn("boot loader: and %u more such conflicts", found - MOST_LINES);
}
