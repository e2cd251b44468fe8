/* SPDX-License-Identifier: MIT */
/*
 * A VM's RAM: from guest-physical 0 up to 3 GiB, the rest from 4 GiB on; the VGA hole at 0xa0000-0xb7fff is not
 * RAM. The text page behind it is: dev/isa/vvga.h. A firmware's ROM ends at 4 GiB. Lamina accesses RAM through
 * the guest window of the VM's address space, which must be the current one.
 */
#pragma once

#include "arch/mem/memory.h"
#include "arch/mem/paging.h"
#include "lib/types.h"

struct vm;

#define GUEST_LOW_RAM_END   GIB(3)
#define GUEST_HIGH_RAM	    GIB(4)
#define GUEST_ROM_END	    GIB(4)
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

/* A page of RAM that holds damaged data, and what the machine check said of it. */
struct guest_damage {
	gpa_t page;
	u64 status, misc;	/* MCi_STATUS, MCi_MISC */
};

struct guest_mem {
	u64 size;			/* bytes, multiple of 2 MiB */
	u64 low_size, high_size;	/* below 3 GiB, from 4 GiB on */
	u64 rom_size;			/* of a firmware's ROM, which the guest cannot write; 0: there is none */
	struct phys_range pieces[GUEST_MEM_PIECES];	/* in guest-physical order */
	u32 piece_count;
	u32 damaged_count;
	struct guest_damage damaged[GUEST_MEM_DAMAGED];	/* what Lamina must no longer read */
};

static inline bool guest_mem_is_rom(const struct guest_mem *mem, gpa_t gpa)
{
	return gpa - (GUEST_ROM_END - mem->rom_size) < mem->rom_size;
}

/* Take RAM, map it in vm->space and the nested page tables. -ENOMEM; -E2BIG: over GUEST_MEM_PIECES; both logged. */
int guest_mem_create(struct vm *vm, u64 size);
void guest_mem_destroy(struct vm *vm);

/*
 * Let the guest read and execute a ROM at the end of the first 4 GiB. Its bytes must not change, and stay with
 * the caller, until the VM is destroyed. Page aligned, at most the hole from 3 GiB on. Once per VM. -ENOMEM.
 */
int guest_rom_map(struct vm *vm, hpa_t hpa, u64 size);

/* Bytes of RAM below 3 GiB, including the VGA hole, and from 4 GiB on. */
u64 guest_low_ram(const struct vm *vm);
u64 guest_high_ram(const struct vm *vm);

/* The guest-physical address of a byte of its RAM. -ENOENT: not its RAM, or hidden by the VGA hole. */
int guest_mem_gpa(const struct vm *vm, hpa_t hpa, gpa_t *gpa);
/*
 * Mark the pages of this range as damaged: guest_is_ram() denies them from now on, because Lamina would
 * not survive reading them. The caller unmaps them. VM lock. -ENOSPC: too many pages; none is marked.
 */
int guest_mem_damage(struct vm *vm, gpa_t gpa, u64 size, u64 status, u64 misc);
/* The damage that the byte at gpa is part of. NULL: none. */
const struct guest_damage *guest_mem_damage_at(const struct vm *vm, gpa_t gpa);
/* Is the byte RAM, damaged or not? */
bool guest_mem_has(const struct vm *vm, gpa_t gpa);

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

/* Copy, from RAM or ROM, or to RAM. -EFAULT, with nothing copied, if any byte is something else. */
int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size);
int guest_read_large(const struct vm *vm, gpa_t gpa, void *to, u64 size);	/* of RAM, eight bytes a step */
int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size);
