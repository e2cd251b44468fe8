/* SPDX-License-Identifier: MIT */
/* Mappings of memory outside the hypervisor's pool: device registers, firmware tables, boot modules. */
#include "arch/bootinfo/bootinfo.h"
#include "arch/cpu/cpu.h"
#include "arch/fault/panic.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "arch/mem/page_table.h"
#include "arch/mem/paging.h"
#include "lib/log.h"

#define MMIO_SIZE (512ull << 30)

static u64 mmio_next = HOST_MMIO;

/* Addresses come from firmware: one that is too wide would set reserved bits in a page table. */
static bool addressable(hpa_t pa, u64 size)
{
	return pa < memory_limit() && size <= memory_limit() - pa;
}

static void *map(hpa_t pa, u64 size, unsigned flags)
{
	hpa_t first = ALIGN_DOWN(pa, PAGE_SIZE);
	u64 bytes = ALIGN_UP(pa + size, PAGE_SIZE) - first;
	u64 va = mmio_next;

	if (!paging_is_final())
		return pa < GIB(4) && size <= GIB(4) - pa ? phys_to_virt(pa) : NULL;
	if (flags & MAP_WRITE_COMBINING)	/* same offset within 2 MiB as pa, so that large pages fit */
		va = ALIGN_UP(va, MIB(2)) + (first & (MIB(2) - 1));
	if (!addressable(pa, size)) {
		log_error("there is no physical address 0x%llx in this machine", (ull)pa);
		return NULL;
	}
	if (bytes >= HOST_MMIO + MMIO_SIZE - va ||
	    paging_map(&kernel_space, va, first, bytes, flags)) {
		log_error("no room to map 0x%llx bytes at physical 0x%llx", (ull)size, (ull)pa);
		return NULL;
	}
	mmio_next = va + bytes + PAGE_SIZE;	/* an unmapped page in between */
	return (void *)(va + pa - first);
}

/* A wrong firmware table may name RAM as a device's registers: writing there would corrupt memory. */
void *mmio_map(hpa_t pa, u64 size)
{
	if (boot_info_has_ram(pa, size)) {
		log_error("0x%llx is memory, where a device was expected", (ull)pa);
		return NULL;
	}
	return map(pa, size, MAP_WRITE | MAP_UNCACHED);
}

void *framebuffer_map(hpa_t pa, u64 size)
{
	return map(pa, size, MAP_WRITE | MAP_WRITE_COMBINING);
}

void *firmware_map(hpa_t pa, u64 size)
{
	return map(pa, size, MAP_READ);
}

void phys_window_close(unsigned slot)
{
	BUG_ON(slot >= PHYS_WINDOWS);
	paging_clear_top(&kernel_space, HOST_WINDOWS + slot * HOST_WINDOW_SIZE);
	write_cr3(read_cr3());			/* flush what the slot showed */
}

void *phys_window(unsigned slot, hpa_t pa, u64 size)
{
	u64 base = HOST_WINDOWS + slot * HOST_WINDOW_SIZE;
	hpa_t first = ALIGN_DOWN(pa, PAGE_SIZE);
	u64 bytes = ALIGN_UP(pa + size, PAGE_SIZE) - first;
	u64 va = base + (first & (GIB(1) - 1));	/* same offset within 1 GiB as pa, so that large pages fit */

	BUG_ON(bytes > HOST_WINDOW_SIZE - GIB(1));
	phys_window_close(slot);
	if (paging_map(&kernel_space, va, first, bytes, MAP_WRITE)) {
		log_error("no page tables left to reach 0x%llx bytes at physical 0x%llx",
			  (ull)size, (ull)pa);
		return NULL;
	}
	return (void *)(va + pa - first);
}
