/* SPDX-License-Identifier: MIT */
/*
 * What the guest loaders share: which guest memory is taken, the guest's memory map, and the flat
 * protected mode in which most boot protocols start a kernel. Addresses are guest-physical, sizes in
 * bytes. The VM's address space is the one in use.
 */
#pragma once

#include "core/load/loader.h"
#include "core/vcpu.h"
#include "core/vm_log.h"
#include "lib/elf.h"

#define LOAD_LOW_END	   0x9fc00ull	/* a PC's extended BIOS data area begins here */
#define LOAD_HIGH_START	   MIB(1)
#define LOAD_INFO_START	   0x10000ull	/* boot information is placed as low as possible from here */
#define LOAD_RANGES	   128
#define LOAD_MODULES	   64
#define LOAD_MEMORY_PIECES 5

struct load_range {
	gpa_t start, end;
};

/* The state of loading one guest. */
struct load {
	struct vm *vm;
	struct vcpu *vcpu;
	const struct guest_image *image;
	struct load_range taken[LOAD_RANGES];
	u32 taken_count;
	gpa_t initrd;		/* the initrd's address; 0: none */
	u64 initrd_size;
	gpa_t modules[LOAD_MODULES];	/* by load_modules_low(): the addresses of image->modules */
};

/*
 * One loader per kind of image. 0; -ENOENT if the image is of another kind; any other error was logged.
 */
int load_linux(struct load *load);
int load_multiboot(struct load *load);
int load_pvh(struct load *load);
int load_flat(struct load *load);
/* Of an image for which loader_is_firmware() is true. 0, or an error that was logged. */
int load_firmware(struct load *load);

/* Log why the guest cannot be loaded, from a format and its arguments. The value is -EINVAL. */
#define load_fail(load, ...) \
	(vm_error((load)->vm, "the guest cannot be loaded: " __VA_ARGS__), -EINVAL)
/* Log what has been loaded, and the guest's entry address. */
void load_report(const struct load *load, const char *what, gpa_t entry);

/* --- guest memory --- */

/*
 * Take RAM at the address that the image asks for. 0 (also for size 0, which takes nothing), or -EINVAL,
 * logged with `name`: not free RAM, or too many ranges.
 */
int load_take(struct load *load, gpa_t start, u64 size, const char *name);
/* Does the address lie in memory that was taken? */
bool load_has_taken(const struct load *load, gpa_t gpa);
/*
 * Take free RAM below 4 GiB, at the lowest (or highest) address so that all of it lies from min up to
 * max. `align` is a power of two, size >= 1. Returns the address; 0: there is none.
 */
gpa_t load_place_low(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max);
gpa_t load_place_high(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max);
/*
 * Take zeroed guest RAM for boot information of `size` bytes; page-aligned, below 4 GiB. Returns a
 * pointer to it in the guest window, and its address in *gpa. NULL: there is none, and an error was logged.
 */
void *load_place_info(struct load *load, u64 size, gpa_t *gpa);
/* Is all of it RAM that a loader may take, and not taken yet? */
bool load_is_free(const struct load *load, gpa_t start, u64 size);
/* Take free RAM at the lowest page behind what is loaded. 0: there is none. */
gpa_t load_place_behind(struct load *load, u64 size);
/* Copy to RAM that was taken. Other vCPUs and interrupts of this CPU get their turn meanwhile. 0, -EFAULT. */
int load_copy(struct load *load, gpa_t gpa, const void *from, u64 size);
/* The initrd among the modules. NULL: there is none. */
const struct guest_module *load_find_initrd(const struct load *load);
/* Copy a module to RAM that was taken. 0, or an error that was logged. */
int load_copy_module(struct load *load, gpa_t gpa, const struct guest_module *module);
/* Load all modules, the initrd among them, at the lowest pages behind the kernel. 0, or an error that was logged. */
int load_modules_low(struct load *load);
/* For a protocol that knows no modules but an initrd. 0, or -EINVAL, logged with the name of the guest's kind. */
int load_refuse_modules(const struct load *load, const char *kind);

/*
 * Load all PT_LOAD segments of an ELF image at their physical addresses plus `moved`, which may wrap around. 0, or an
 * error that was logged.
 */
int load_elf_segments(struct load *load, const struct elf_image *elf, u64 moved);

/* An ELF image's section headers in guest memory, for Multiboot information. */
struct load_sections {
	u32 count, entry_size, names;	/* as in struct elf_sections; count 0: there are none */
	gpa_t table;
};

/*
 * Load the section headers, and behind them the sections that are no part of a segment, such as symbols, whose headers
 * then have their addresses. Without room for them, or where they are damaged, the guest gets none, and a
 * warning is logged. 0, or an error that was logged.
 */
int load_elf_sections(struct load *load, const struct elf_image *elf, struct load_sections *sections);

/* --- the memory map --- */

/* The boot loader's name in Multiboot information. */
extern const char load_boot_loader_name[];

struct load_memory {
	gpa_t start;
	u64 size;
	u32 type;	/* enum multiboot_memory_type; E820 and PVH use the same numbers */
};

/* Fill in the guest's memory map, in ascending order. Returns the number of pieces. */
u32 load_memory_map(const struct vm *vm, struct load_memory map[LOAD_MEMORY_PIECES]);

/* --- processor state --- */

/* CS (selector 0x10) and the data segments (0x18) with base 0 and limit 4 GiB; a busy TSS, no LDT. */
void load_flat_segments(struct vcpu *vcpu, bool code_64);
/*
 * The entry state of Multiboot ("Machine state") and PVH: 32-bit protected mode without paging,
 * interrupts off, and these values in EIP, EAX and EBX.
 */
void load_enter_protected(struct vcpu *vcpu, u32 entry, u32 eax, u32 ebx);
