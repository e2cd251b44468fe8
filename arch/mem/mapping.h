/* SPDX-License-Identifier: MIT */
/* Mappings of memory outside the hypervisor's pool: device registers, firmware tables, boot modules. */
#pragma once

#include "lib/types.h"

/*
 * Map `size` bytes of device registers or of a firmware table, permanently; any alignment. NULL with a
 * log line if there is no room, the address is impossible or, for registers, RAM. Before paging_init()
 * the result is a pointer into the boot page tables' mapping, which ends with them: its memory type is the
 * MTRRs', and the result is NULL without a log line above 4 GiB.
 */
void *mmio_map(hpa_t pa, u64 size);		/* uncached */
void *framebuffer_map(hpa_t pa, u64 size);	/* write-combining; uncached where there is no PAT */
void *firmware_map(hpa_t pa, u64 size);		/* cached, read-only */

/*
 * A temporary mapping of `size` bytes outside the pool (boot modules while they are loaded), one for each
 * slot; it replaces the slot's earlier one. Read-write, cached. NULL with a log line if there are no
 * page tables left. Close it before the memory becomes a guest's: the windows are part of every address
 * space.
 */
enum { PHYS_WINDOW_KERNEL, PHYS_WINDOW_MODULE, PHYS_WINDOW_SCRUB, PHYS_WINDOWS };
void *phys_window(unsigned slot, hpa_t pa, u64 size);
void phys_window_close(unsigned slot);
