/* SPDX-License-Identifier: MIT */
/*
 * The memory map in boot_info, as it is being read. It is sorted, and pieces of one type that touch are one.
 * Multiboot2 Specification, "Memory map"; ACPI Specification, "System Address Map Interfaces".
 */
#pragma once

#include "lib/types.h"

/*
 * Add memory of an enum multiboot_memory_type; it ends at the last address if it would go on beyond. With more than
 * BOOT_MAX_MEMORY pieces the map becomes inexact, and never calls memory usable that is not: pieces that are
 * not usable are joined across gaps without RAM, and if there are none, the smallest usable piece is left out.
 */
void boot_memory_add(hpa_t start, u64 size, u32 type);

/* Warn if the map is inexact, and begin anew: when the map is complete. */
void boot_memory_report(void);
