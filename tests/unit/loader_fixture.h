/* SPDX-License-Identifier: MIT */
/*
 * A VM for the guest loaders: RAM, and a vCPU whose operations record what is set.
 * Link: tests/unit/loader_fixture.c.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/load/load.h"
#include "core/load/loader.h"
#include "core/vcpu.h"
#include "hostile.h"

#define GUEST_RAM GIB(3)	/* reserved, and taken from the host page by page */

struct vm {
	u8 *ram;
	u64 low, high;		/* bytes of RAM from 0 and from 4 GiB; high is not backed */
	struct vcpu vcpu;
	struct segment segments[SEG_COUNT];
	u64 controls[CTL_XCR0 + 1];
	struct descriptor_table gdt;
	bool gdt_set;
	struct load_block {	/* what guest_ptr() was last asked for */
		gpa_t start;
		u64 size;
	} block;
	struct {		/* port writes by the firmware, in order */
		u16 port;
		u8 value;
	} outs[32];
	unsigned out_count;
	u8 clock[128];		/* what the RTC's registers read as */
	bool bios_calls;	/* bios_call_register() was called */
	hpa_t rom;		/* guest_rom_map()'s ROM */
	u64 rom_size;		/* 0: it was not called */
	int rom_error;		/* what it returns */
	char log[8192];
	unsigned errors, warnings;
};

/* One VM at a time: zero RAM but for an RSDP, vCPU after reset. */
struct vm *fixture_create(u64 low, u64 high);
void fixture_destroy(struct vm *vm);

/* Load the image. A failure must log exactly one error, a success none. */
int fixture_load(struct vm *vm, const void *kernel, size_t size, const char *cmdline,
		 const void *initrd, size_t initrd_size);
/* The same, with modules of its own; fixture_map() gives what fixture_set_data() has set. */
int fixture_load_image(struct vm *vm, const struct guest_image *image);
const void *fixture_map(const struct guest_image *image, u32 module);
void fixture_set_data(u32 module, const void *data);
/*
 * Try one loader, with only `pages` pages of memory free for boot information, from 64 KiB on, and the
 * memory at `kernel`. Returns what it returns.
 */
int fixture_load_cramped(struct vm *vm, int (*loader)(struct load *load), const struct guest_image *image,
			 u32 pages, const struct load_range *kernel);
/* As fixture_load(), but it must fail with this text in its message. */
void fixture_refused(struct vm *vm, const void *kernel, size_t size, const char *words);
/* The 8259s and the 8254 have been set as a BIOS leaves them (or not touched). */
void check_bios_interrupts(const struct vm *vm, bool started);
/* The log must contain this text. */
void fixture_said(const struct vm *vm, const char *words);

/* Little-endian numbers in an image under construction, and in guest memory. */
static inline void put(void *image, size_t at, u64 value, size_t width)
{
	memcpy((u8 *)image + at, &value, width);
}

u64 guest_number(struct vm *vm, gpa_t gpa, size_t width);
const char *guest_text(struct vm *vm, gpa_t gpa);

/* Ranges of guest memory that must not overlap, in RAM that a PC's loader may use. */
struct places {
	struct {
		gpa_t start;
		u64 size;
	} list[16];
	unsigned count;
};

void place(struct places *places, gpa_t start, u64 size);
void check_places(const struct vm *vm, const struct places *places);

/* One piece of the guest's memory map. */
struct map_piece {
	u64 start, size;
	u32 type;
};

/*
 * Check the map, which must be in ascending order: available is exactly the RAM below the PC's extended
 * BIOS data area, from 1 MiB on and from 4 GiB on; the ACPI tables are reserved.
 */
void check_memory_map(const struct vm *vm, const struct map_piece *map, unsigned count);

/* 32-bit protected mode as Multiboot and PVH want it: flat segments, no paging, interrupts off. */
void check_protected_mode(struct vm *vm, u32 eip);

/*
 * A 32-bit ELF image: code at physical 1 MiB, linked at 0xc0100000, and data at 2 MiB. It has no boot
 * protocol: put_mb1() and put_segment() add one, in parts of the code that are reserved for that.
 */
#define ELF_CODE_AT   0x1000	/* in the file */
#define ELF_CODE_SIZE 0x800
#define ELF_CODE_RAM  0x3000
#define ELF_HEADER_AT (ELF_CODE_AT + 0x40)
#define ELF_DATA_AT   0x1800
#define ELF_DATA_SIZE 0x123
#define ELF_NOTES_AT  0x1a00
#define ELF_SIZE      0x1b00
#define ELF_ENTRY     0x100410u	/* physical */
#define ELF_HEADERS   (52 + 3 * 32)

enum { PT_LOAD = 1, PT_NOTE = 4 };

u8 *elf_image(void);
/* Program header `index`. */
void put_segment(u8 *image, u32 index, u32 type, u32 offset, u32 vaddr, u32 paddr, u32 file_size,
		 u32 memory_size);
/* A Multiboot header without addresses. */
void put_mb1(u8 *image, size_t at, u32 flags);
/* Bytes that are not all the same. */
void fill(u8 *bytes, size_t size);

/* Check that the image's code and data, and a module, are at their places in memory. */
void check_elf_in_memory(struct vm *vm, const u8 *image, struct places *places);
void check_module(struct vm *vm, u64 start, u64 end, const u8 *module, size_t size,
		  struct places *places);

/* Load the image into a small VM, which may succeed or fail but must be safe. */
void use_hostile(const u8 *image, size_t size);
