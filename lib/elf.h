/* SPDX-License-Identifier: MIT */
/*
 * Reading an x86 ELF image, 32 or 64 bits wide, that lies in memory as a whole.
 *
 * System V ABI, "ELF Header", "Program Header"; Xen, "x86/HVM direct boot ABI" for the PVH entry.
 * The image may be hostile; it need not be aligned, and it stays owned by the caller.
 */
#pragma once

#include "lib/types.h"

enum elf_segment_type {
	ELF_PT_LOAD = 1,
	ELF_PT_NOTE = 4,
};

enum elf_segment_flags {
	ELF_PF_X = 1,
	ELF_PF_W = 2,
	ELF_PF_R = 4,
};

struct elf_image {
	const u8 *data;
	size_t size;
	bool is_64bit;
	u64 entry;	   /* virtual address */
	u32 segment_count; /* of all types */
	u64 segment_table; /* offset in the image */
	u32 segment_entry_size;
};

/*
 * A program header. In an accepted image, the contents of ELF_PT_LOAD and ELF_PT_NOTE lie within the
 * image, and neither address of an ELF_PT_LOAD plus its memory_size overflows.
 */
struct elf_segment {
	u32 type;  /* enum elf_segment_type, or one that Lamina does not know */
	u32 flags; /* enum elf_segment_flags */
	u64 offset;
	u64 virtual_address;
	u64 physical_address;
	u64 file_size;	 /* bytes at offset */
	u64 memory_size; /* at least file_size; the rest is zero */
	u64 alignment;
};

/* Does the image begin like an ELF file? It may still be invalid. */
bool elf_has_magic(const void *image, size_t size);

/*
 * Validate the ELF header and all program headers. 0, or -EINVAL with what was expected in *why, a
 * static string. An accepted image has at least one ELF_PT_LOAD segment that takes memory.
 */
int elf_parse(const void *image, size_t size, struct elf_image *elf, const char **why);

/* Program header number `index` (below segment_count) of an accepted image. */
struct elf_segment elf_segment(const struct elf_image *elf, u32 index);

/* The section headers, which a Multiboot loader passes on. System V ABI, "Sections". */
struct elf_sections {
	u64 table; /* offset in the image; the whole table lies within it */
	u32 count; /* at least 1 */
	u32 entry_size;
	u32 names; /* index of the section with their names */
};

enum elf_section_type {
	ELF_SHT_NOBITS = 8,
};

struct elf_section {
	u32 type; /* enum elf_section_type, or another one */
	u64 address; /* 0: no part of what a program's loader loads */
	u64 offset, size; /* as the file says: they may lie outside of it */
	u64 alignment;
};

/* 0; -ENOENT: the image has none; -EINVAL: they lie outside of it. */
int elf_find_sections(const struct elf_image *elf, struct elf_sections *sections);
/* Section header number `index`, below sections->count. */
struct elf_section elf_section(const struct elf_image *elf, const struct elf_sections *sections, u32 index);
/* Write an address into a copy of a section header. */
void elf_set_section_address(const struct elf_image *elf, void *header, u64 address);
/* Do the section's bytes lie within the image? */
bool elf_has_section_data(const struct elf_image *elf, const struct elf_section *section);

/*
 * The 32-bit physical entry point of the PVH note, XEN_ELFNOTE_PHYS32_ENTRY. 0; -ENOENT: the image has
 * no such note; -EINVAL: a note is malformed, with the reason in *why, a static string.
 */
int elf_pvh_entry(const struct elf_image *elf, u32 *entry, const char **why);
