/* SPDX-License-Identifier: MIT */
/*
 * The Linux kernel image for x86, bzImage, as its 64-bit and 32-bit boot protocols see it.
 *
 * Linux, Documentation/arch/x86/boot.rst, "Details of Header Fields", "64-bit Boot Protocol", "32-bit Boot Protocol";
 * zero-page.rst for struct boot_params. Offsets count from the beginning of the file; the setup header has
 * the same offset in struct boot_params.
 */
#pragma once

#include "lib/types.h"

#define LINUX_SETUP_HEADER     0x1f1 /* offset of struct linux_setup_header */
#define LINUX_SETUP_HEADER_MAX 0x290 /* in struct boot_params, other fields start here */
#define LINUX_ENTRY64	       0x200 /* offset of the 64-bit entry in the protected-mode kernel */
#define LINUX_LOADER_UNDEFINED 0xff  /* type_of_loader: a loader without an assigned number */

enum linux_load_flags {
	LINUX_LOADED_HIGH = BIT(0),
	LINUX_KASLR = BIT(1),
	LINUX_QUIET = BIT(5),
	LINUX_KEEP_SEGMENTS = BIT(6),
	LINUX_CAN_USE_HEAP = BIT(7),
};

enum linux_xload_flags {
	LINUX_XLF_KERNEL_64 = BIT(0),
	LINUX_XLF_CAN_BE_LOADED_ABOVE_4G = BIT(1),
};

struct linux_setup_header {
	u8 setup_sects;
	u16 root_flags;
	u32 syssize; /* of the protected-mode kernel, in units of 16 bytes */
	u16 ram_size;
	u16 vid_mode;
	u16 root_dev;
	u16 boot_flag; /* 0xaa55 */
	u8 jump_opcode, jump_distance;
	u32 magic; /* "HdrS" */
	u16 version;
	u32 realmode_swtch;
	u16 start_sys_seg;
	u16 kernel_version; /* offset of the version's text minus 0x200; 0: none */
	u8 type_of_loader;
	u8 loadflags; /* enum linux_load_flags */
	u16 setup_move_size;
	u32 code32_start;
	u32 ramdisk_image, ramdisk_size;
	u32 bootsect_kludge;
	u16 heap_end_ptr;
	u8 ext_loader_ver, ext_loader_type;
	u32 cmd_line_ptr;
	u32 initrd_addr_max;
	u32 kernel_alignment;
	u8 relocatable_kernel;
	u8 min_alignment;
	u16 xloadflags; /* enum linux_xload_flags */
	u32 cmdline_size;
	u32 hardware_subarch;
	u64 hardware_subarch_data;
	u32 payload_offset, payload_length; /* in the protected-mode kernel */
	u64 setup_data;
	u64 pref_address;
	u32 init_size;
	u32 handover_offset;
} __packed;

#define LINUX_ASSERT_AT(field, at)							\
	_Static_assert(LINUX_SETUP_HEADER + offsetof(struct linux_setup_header, field) == (at),	\
		       "Linux setup header: " #field)
LINUX_ASSERT_AT(boot_flag, 0x1fe);
LINUX_ASSERT_AT(magic, 0x202);
LINUX_ASSERT_AT(version, 0x206);
LINUX_ASSERT_AT(loadflags, 0x211);
LINUX_ASSERT_AT(code32_start, 0x214);
LINUX_ASSERT_AT(cmd_line_ptr, 0x228);
LINUX_ASSERT_AT(kernel_alignment, 0x230);
LINUX_ASSERT_AT(xloadflags, 0x236);
LINUX_ASSERT_AT(payload_offset, 0x248);
LINUX_ASSERT_AT(pref_address, 0x258);
LINUX_ASSERT_AT(init_size, 0x260);
LINUX_ASSERT_AT(handover_offset, 0x264);
#undef LINUX_ASSERT_AT

enum linux_e820_type {
	LINUX_E820_RAM = 1,
	LINUX_E820_RESERVED = 2,
	LINUX_E820_ACPI = 3,
	LINUX_E820_NVS = 4,
};

struct linux_e820_entry {
	u64 address, size;
	u32 type; /* enum linux_e820_type */
} __packed;

#define LINUX_E820_MAX 128

/* The "zero page": the boot loader passes its address in RSI. */
struct boot_params {
	u8 screen_info[0x40];
	u8 apm_bios_info[0x14];
	u8 reserved1[0x70 - 0x54];
	u64 acpi_rsdp_addr;
	u8 reserved2[0xc0 - 0x78];
	u32 ext_ramdisk_image, ext_ramdisk_size, ext_cmd_line_ptr; /* upper halves */
	u8 reserved3[0x1e8 - 0xcc];
	u8 e820_entries;
	u8 reserved4[0x1ef - 0x1e9];
	u8 sentinel; /* must be 0: otherwise Linux clears most other fields */
	u8 reserved5;
	struct linux_setup_header header;
	u8 reserved6[0x2d0 - LINUX_SETUP_HEADER - sizeof(struct linux_setup_header)];
	struct linux_e820_entry e820_table[LINUX_E820_MAX];
	u8 reserved7[0x1000 - 0xcd0];
} __packed;

_Static_assert(offsetof(struct boot_params, acpi_rsdp_addr) == 0x70, "zero page");
_Static_assert(offsetof(struct boot_params, ext_ramdisk_image) == 0xc0, "zero page");
_Static_assert(offsetof(struct boot_params, e820_entries) == 0x1e8, "zero page");
_Static_assert(offsetof(struct boot_params, sentinel) == 0x1ef, "zero page");
_Static_assert(offsetof(struct boot_params, header) == LINUX_SETUP_HEADER, "zero page");
_Static_assert(offsetof(struct boot_params, e820_table) == 0x2d0, "zero page");
_Static_assert(sizeof(struct boot_params) == 4096, "zero page");

struct bzimage {
	const u8 *data;
	size_t size;
	struct linux_setup_header header; /* a copy */
	/* Bytes of the file's setup header to copy into struct boot_params. */
	u32 setup_header_size;
	/* The protected-mode kernel: its place in the file, and the memory it needs at its load address. */
	u64 kernel_offset, kernel_size;
	u64 memory_size; /* at least kernel_size */
	bool enters_64bit; /* by the 64-bit boot protocol, at LINUX_ENTRY64; otherwise at its beginning, by the 32-bit one */
	bool relocatable;
	u64 alignment; /* of the load address, a power of two */
	u64 load_address; /* the preferred one; if not relocatable, the only one */
	u64 initrd_end_max; /* the highest address at which an initrd may end, exclusive */
	u32 cmdline_max;    /* characters, without the NUL */
};

/* Does the file have a Linux setup header? The header may still be invalid. */
bool bzimage_has_magic(const void *image, size_t size);

/*
 * Validate the setup header: 0, or -EINVAL for a damaged image and
 * -EOPNOTSUPP for one that cannot be booted this way, with the reason in *why, a static string.
 */
int bzimage_parse(const void *image, size_t size, struct bzimage *bzimage, const char **why);

/*
 * Does the file's CRC-32 match, "The Image Checksum"? false: the file is damaged, or the kernel was
 * built without a checksum, as Linux is since 6.16. A UEFI signature that was added later does not
 * matter. Reads the whole kernel, in pieces of a fraction of a millisecond, and calls pause() after each.
 */
bool bzimage_checksum_matches(const struct bzimage *bzimage, void (*pause)(void));

/* Copy the kernel's version as text ("6.1.0-25-cloud-amd64 ..."); empty if the image has none. */
void bzimage_version(const struct bzimage *bzimage, char *text, size_t size);
