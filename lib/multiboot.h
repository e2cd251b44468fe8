/* SPDX-License-Identifier: MIT */
/*
 * The Multiboot formats: constants and structures of both versions, as a boot loader or Lamina
 * itself writes them, and the header in a kernel image.
 *
 * "Multiboot Specification version 0.6.96" (here MB1) and "Multiboot2 Specification version 2.0"
 * (here MB2); the names follow their sections "OS image format" and "Boot information format".
 */
#pragma once

#include "lib/types.h"

/* EAX at the kernel's entry; EBX is the physical address of the information. */
#define MB1_BOOT_MAGIC 0x2badb002u
#define MB2_BOOT_MAGIC 0x36d76289u

/* MB1, "Boot information format" */

enum mb1_info_flags {
	MB1_INFO_MEMORY = BIT(0),
	MB1_INFO_BOOT_DEVICE = BIT(1),
	MB1_INFO_CMDLINE = BIT(2),
	MB1_INFO_MODULES = BIT(3),
	MB1_INFO_ELF_SECTIONS = BIT(5),
	MB1_INFO_MEMORY_MAP = BIT(6),
	MB1_INFO_LOADER_NAME = BIT(9),
	MB1_INFO_FRAMEBUFFER = BIT(12),
};

struct mb1_info {
	u32 flags; /* enum mb1_info_flags: which of these fields are valid */
	u32 mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
	u32 boot_device;
	u32 cmdline;
	u32 mods_count, mods_addr;
	u32 syms[4];
	u32 mmap_length, mmap_addr;
	u32 drives_length, drives_addr;
	u32 config_table;
	u32 boot_loader_name;
	u32 apm_table;
	u32 vbe[4];
	u64 framebuffer_addr;
	u32 framebuffer_pitch, framebuffer_width, framebuffer_height;
	u8 framebuffer_bpp, framebuffer_type;
	u8 color_info[6];
} __packed;

struct mb1_module {
	u32 mod_start, mod_end;
	u32 string;
	u32 reserved;
};

/* `size` does not count itself: it is 20 here. */
struct mb1_memory_entry {
	u32 size;
	u64 base, length;
	u32 type; /* enum multiboot_memory_type */
} __packed;

_Static_assert(offsetof(struct mb1_info, mmap_length) == 44, "MB1 information");
_Static_assert(offsetof(struct mb1_info, boot_loader_name) == 64, "MB1 information");
_Static_assert(offsetof(struct mb1_info, framebuffer_addr) == 88, "MB1 information");
_Static_assert(sizeof(struct mb1_info) == 116, "MB1 information");
_Static_assert(sizeof(struct mb1_module) == 16, "MB1 module");
_Static_assert(sizeof(struct mb1_memory_entry) == 24, "MB1 memory map");

enum multiboot_memory_type {
	MULTIBOOT_MEMORY_AVAILABLE = 1,
	MULTIBOOT_MEMORY_RESERVED = 2,
	MULTIBOOT_MEMORY_ACPI = 3,
	MULTIBOOT_MEMORY_NVS = 4,
	MULTIBOOT_MEMORY_BAD = 5,
};

/* MB2, "Boot information format": total size and a zero, then tags at multiples of 8 bytes. */

#define MB2_TAG_ALIGN 8u

enum mb2_tag_type {
	MB2_TAG_END = 0,
	MB2_TAG_CMDLINE = 1,
	MB2_TAG_LOADER_NAME = 2,
	MB2_TAG_MODULE = 3,
	MB2_TAG_BASIC_MEMORY = 4,
	MB2_TAG_BOOT_DEVICE = 5,
	MB2_TAG_MEMORY_MAP = 6,
	MB2_TAG_VBE = 7,
	MB2_TAG_FRAMEBUFFER = 8,
	MB2_TAG_ELF_SECTIONS = 9,
	MB2_TAG_APM = 10,
	MB2_TAG_EFI32 = 11,
	MB2_TAG_EFI64 = 12,
	MB2_TAG_SMBIOS = 13,
	MB2_TAG_RSDP_OLD = 14,
	MB2_TAG_RSDP_NEW = 15,
	MB2_TAG_NETWORK = 16,
	MB2_TAG_EFI_MEMORY_MAP = 17,
	MB2_TAG_EFI_BOOT_SERVICES = 18,
	MB2_TAG_EFI32_IMAGE = 19,
	MB2_TAG_EFI64_IMAGE = 20,
	MB2_TAG_LOAD_BASE = 21,
	MB2_TAG_TYPES,
};

struct mb2_info_header {
	u32 total_size; /* bytes, with this header and the end tag */
	u32 reserved;
};

struct mb2_tag {
	u32 type; /* enum mb2_tag_type */
	u32 size; /* bytes, with this header, without the padding after it */
};

/* The string of these tags follows the fixed part and ends with a NUL. */
struct mb2_string_tag {
	struct mb2_tag tag;
	char string[];
};

struct mb2_module_tag {
	struct mb2_tag tag;
	u32 mod_start, mod_end;
	char string[];
};

struct mb2_basic_memory_tag {
	struct mb2_tag tag;
	u32 mem_lower, mem_upper; /* KiB from 0 and from 1 MiB */
};

struct mb2_memory_entry {
	u64 base, length;
	u32 type; /* enum multiboot_memory_type */
	u32 reserved;
};

struct mb2_memory_map_tag {
	struct mb2_tag tag;
	u32 entry_size;	   /* from one entry to the next, a multiple of 8 */
	u32 entry_version; /* 0 */
	struct mb2_memory_entry entries[];
};

enum mb2_framebuffer_type {
	MB2_FRAMEBUFFER_INDEXED = 0,
	MB2_FRAMEBUFFER_RGB = 1,
	MB2_FRAMEBUFFER_EGA_TEXT = 2,
};

struct mb2_framebuffer_tag {
	struct mb2_tag tag;
	u64 address;
	u32 pitch; /* bytes */
	u32 width, height;
	u8 bits_per_pixel;
	u8 type; /* enum mb2_framebuffer_type */
	u16 reserved;
};

/* What follows the framebuffer's tag, by its type; nothing for text. */
struct mb2_framebuffer_rgb {
	u8 red_position, red_size; /* bits */
	u8 green_position, green_size;
	u8 blue_position, blue_size;
};

struct mb2_framebuffer_palette {
	u16 count;
	u8 rgb[][3];
};

struct mb2_elf_sections_tag {
	struct mb2_tag tag;
	u32 count;
	u32 entry_size;
	u32 string_table; /* index of the section with the names */
	u8 sections[];
};

struct mb2_address32_tag {
	struct mb2_tag tag;
	u32 address;
};

struct mb2_address64_tag {
	struct mb2_tag tag;
	u64 address;
};

/* UEFI Specification, "EFI_BOOT_SERVICES.GetMemoryMap()" */
enum efi_memory_type {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL_MEMORY = 7,
};

struct efi_memory_descriptor {
	u32 type; /* enum efi_memory_type, which lists those that are free after ExitBootServices() */
	u32 padding;
	u64 physical_start, virtual_start;
	u64 pages; /* of 4 KiB */
	u64 attribute;
};

struct mb2_efi_memory_map_tag {
	struct mb2_tag tag;
	u32 descriptor_size;
	u32 descriptor_version;
	u8 descriptors[];
};

struct mb2_rsdp_tag {
	struct mb2_tag tag;
	u8 rsdp[]; /* a copy of ACPI's structure */
};

_Static_assert(sizeof(struct efi_memory_descriptor) == 40, "EFI memory descriptor");
_Static_assert(sizeof(struct mb2_module_tag) == 16, "MB2 module");
_Static_assert(sizeof(struct mb2_memory_map_tag) == 16, "MB2 memory map");
_Static_assert(sizeof(struct mb2_memory_entry) == 24, "MB2 memory map");
_Static_assert(sizeof(struct mb2_framebuffer_tag) == 32, "MB2 framebuffer");
_Static_assert(sizeof(struct mb2_framebuffer_rgb) == 6, "MB2 framebuffer");
_Static_assert(offsetof(struct mb2_framebuffer_palette, rgb) == 2, "MB2 framebuffer");
_Static_assert(sizeof(struct mb2_elf_sections_tag) == 20, "MB2 ELF symbols");

/* "OS image format": the header in a kernel image, of either version. */

struct multiboot_header {
	u32 version; /* 1 or 2 */
	u32 offset;  /* of the header in the image */

	/* What the boot loader has to do. */
	bool page_align_modules;
	bool wants_memory_info; /* MB1 */
	u32 required_info;	/* MB2: bit n set: the tag of type n must be given */
	bool requires_console;	/* MB2: "at least one of the supported consoles must be present" */
	bool requires_framebuffer; /* MB1's video mode; MB2's framebuffer tag, if not optional */

	/* A flat image whose header says where to load it; without this, the image must be ELF. */
	bool has_addresses;
	u32 load_address; /* physical */
	u32 file_offset, file_size; /* the part of the image to load there */
	u32 memory_size;  /* at least file_size; the rest is zero */

	/* MB2: the whole image may be moved, to an address of this alignment, a power of two, from min up to max. */
	bool relocatable;
	u32 min_address, max_address, alignment;

	bool has_entry; /* otherwise the entry is the ELF header's */
	u32 entry;	/* physical */
};

/*
 * Find and validate a header in the first 8 KiB (MB1) or 32 KiB (MB2) of an image. 0; -ENOENT: there is
 * none; -EINVAL: it is malformed; -EOPNOTSUPP: it requires something unknown; the last two with the
 * reason in *why, a static string.
 */
int mb1_find_header(const void *image, size_t size, struct multiboot_header *header,
		    const char **why);
int mb2_find_header(const void *image, size_t size, struct multiboot_header *header,
		    const char **why);
