/* SPDX-License-Identifier: MIT */
/*
 * A VM's RAM: from guest-physical 0 up to 3 GiB, the rest from 4 GiB on; the VGA hole at 0xa0000-0xb7fff
 * is not RAM. The text page behind it is: dev/isa/vvga.h. Lamina accesses RAM through the guest window of the VM's address space,
 * which must be the current one.
 */
#pragma once

#include "arch/mem/memory.h"
#include "arch/mem/paging.h"
#include "lib/types.h"

struct vm;

#define GUEST_LOW_RAM_END   GIB(3)
#define GUEST_HIGH_RAM	    GIB(4)
#define GUEST_VGA_HOLE	    0xa0000ull
#define GUEST_VGA_HOLE_END  0xb8000ull
#define GUEST_TEXT_PAGE	    0xb8000ull
#define GUEST_TEXT_SIZE	    0x8000ull
#define GUEST_TEXT_CELLS    (GUEST_TEXT_SIZE / 2)
/* The guest's ACPI tables, MP table, SMBIOS table and BIOS code, from the RSDP up to 1 MiB. */
#define GUEST_RSDP_ADDRESS  0xe0000ull
#define GUEST_RSDP_AREA_END 0x100000ull
#define GUEST_MEM_PIECES    32
#define GUEST_MEM_DAMAGED   16

struct guest_mem {
	u64 size;			/* bytes, multiple of 2 MiB */
	u64 low_size, high_size;	/* below 3 GiB, from 4 GiB on */
	struct phys_range pieces[GUEST_MEM_PIECES];	/* in guest-physical order */
	u32 piece_count;
	u32 damaged_count;
	gpa_t damaged[GUEST_MEM_DAMAGED];	/* pages that Lamina must no longer read */
};

/* Take RAM, map it in vm->space and by vm->ops->vm_map(). -ENOMEM; -E2BIG: over GUEST_MEM_PIECES; both logged. */
int guest_mem_create(struct vm *vm, u64 size);
/*
 * Zero all of it, as it may hold data of another VM or a boot module, and report how far it has got where that takes
 * seconds. The VM's space is the current one. In the service thread, which pauses on the way.
 */
void guest_mem_clear(struct vm *vm);
void guest_mem_destroy(struct vm *vm);

/* Bytes of RAM below 3 GiB, including the VGA hole, and from 4 GiB on. */
u64 guest_low_ram(const struct vm *vm);
u64 guest_high_ram(const struct vm *vm);

/* The guest-physical address of a byte of its RAM. -ENOENT: not its RAM, or hidden by the VGA hole. */
int guest_mem_gpa(const struct vm *vm, hpa_t hpa, gpa_t *gpa);
/*
 * Mark the pages of this range as damaged: guest_is_ram() denies them from now on, because Lamina would
 * not survive reading them. They stay mapped for the guest. -ENOSPC: too many pages; none is marked.
 */
int guest_mem_damage(struct vm *vm, gpa_t gpa, u64 size);

/* Is the whole range RAM? Overflow-safe. */
bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size);

/*
 * A pointer to guest RAM, or NULL if any byte of the range is not RAM. The guest may write
 * there at any time: copy out first, then check the copy.
 */
void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size);

/* Where the guest window maps an address that is known to be RAM. */
#ifdef LAMINA_HOST_TEST
void *guest_window(gpa_t gpa);
#else
static inline void *guest_window(gpa_t gpa)
{
	return (void *)(HOST_GUEST_WINDOW + gpa);
}
#endif

/* Copy. -EFAULT, with nothing copied, if any byte is not RAM. */
int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size);
int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size);
