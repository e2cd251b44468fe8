/* SPDX-License-Identifier: MIT */
/* Mappings of what is not the hypervisor's memory: device registers, firmware tables, boot modules. */
#pragma once

#include "lib/types.h"

/*
 * Map device registers or a firmware table for good; any alignment. NULL with a log line if out of
 * space. Before paging_init() it is the boot page tables' view, which ends with them: cached as the
 * memory type range registers say, and NULL without a line above 4 GiB.
 */
void *mmio_map(hpa_t pa, u64 size);		/* uncached */
void *framebuffer_map(hpa_t pa, u64 size);	/* write-combining; uncached where there is no PAT */
void *firmware_map(hpa_t pa, u64 size);		/* cached, read-only */

/*
 * A window on foreign physical memory (boot modules while they are loaded). One at a time in each
 * of the slots; the earlier mapping of the slot goes away. Read-write, cached. NULL with a
 * log line where page tables run out. Close it before the memory becomes a guest's: the windows are
 * part of every address space.
 */
enum { PHYS_WINDOW_KERNEL, PHYS_WINDOW_INITRD, PHYS_WINDOW_SCRUB, PHYS_WINDOWS };
void *phys_window(unsigned slot, hpa_t pa, u64 size);
void phys_window_close(unsigned slot);
