/* SPDX-License-Identifier: MIT */
/*
 * What the guest loaders share: which guest memory is taken, the memory map that guests are given,
 * and the flat protected mode that most boot protocols start in.
 */
#pragma once

#include "core/load/loader.h"
#include "core/vcpu.h"
#include "core/vm_log.h"
#include "lib/elf.h"

#define LOAD_LOW_END	   0x9fc00ull	/* where a PC's extended BIOS data would begin */
#define LOAD_HIGH_START	   MIB(1)
#define LOAD_INFO_START	   0x10000ull	/* boot information goes here, or as low above as it fits */
#define LOAD_RANGES	   72
#define LOAD_MEMORY_PIECES 5

struct load_range {
	gpa_t start, end;
};

/* One guest on its way into memory. */
struct load {
	struct vm *vm;
	struct vcpu *vcpu;
	const struct guest_image *image;
	struct load_range taken[LOAD_RANGES];
	u32 taken_count;
	gpa_t initrd;		/* where load_initrd() put it */
};

/*
 * One per kind of image. 0; -ENOENT where the image is of another kind; anything else is an error,
 * logged.
 */
int load_linux(struct load *load);
int load_multiboot(struct load *load);
int load_pvh(struct load *load);
int load_flat(struct load *load);

/* Log that the guest cannot be loaded, and why: a format and its arguments. -EINVAL. */
#define load_fail(load, ...) \
	(vm_error((load)->vm, "the guest cannot be loaded: " __VA_ARGS__), -EINVAL)
/* Log what has been loaded, and where the guest begins. */
void load_report(const struct load *load, const char *what, gpa_t entry);

/* --- guest memory --- */

/* Take RAM for what the image wants just there. Errors are logged and bear its name. */
int load_take(struct load *load, gpa_t start, u64 size, const char *name);
/* Is the address in something that load_take() took? */
bool load_has_taken(const struct load *load, gpa_t gpa);
/*
 * Take free RAM below 4 GiB, as low (or as high) as it goes within min and max. `align` is a power
 * of two. 0: there is none.
 */
gpa_t load_place_low(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max);
gpa_t load_place_high(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max);
/*
 * Take and return zeroed guest RAM for information of `size` bytes; page-aligned, below 4 GiB.
 * NULL, and logged: there is none.
 */
void *load_place_info(struct load *load, u64 size, gpa_t *gpa);
/* Put the initrd, if there is one, behind the kernel at the lowest place, page-aligned. */
int load_initrd_low(struct load *load);
/* Put all loadable segments of an ELF image to their physical addresses. */
int load_elf_segments(struct load *load, const struct elf_image *elf);

/* --- what guests are given --- */

extern const char load_boot_loader_name[];

struct load_memory {
	gpa_t start;
	u64 size;
	u32 type;	/* enum multiboot_memory_type; E820 and PVH have the same numbers */
};

/* The guest's memory map, in order of address. Returns the number of pieces. */
u32 load_memory_map(const struct vm *vm, struct load_memory map[LOAD_MEMORY_PIECES]);

/* --- processor state --- */

/* CS (0x10) and the data segments (0x18) from 0 to 4 GiB; TR and LDTR as after a reset. */
void load_flat_segments(struct vcpu *vcpu, bool code_64);
/* 32-bit protected mode without paging, interrupts off, EAX and EBX as given: Multiboot and PVH. */
void load_enter_protected(struct vcpu *vcpu, u32 entry, u32 eax, u32 ebx);
