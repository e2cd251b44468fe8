/* SPDX-License-Identifier: MIT */
/* Reads the Multiboot header of a kernel image. "OS image format" in both specifications. */
#include "lib/multiboot.h"

#include "lib/errno.h"
#include "lib/string.h"

#define MB1_HEADER_MAGIC 0x1badb002u
#define MB1_SEARCH	 8192u
#define MB2_HEADER_MAGIC 0xe85250d6u
#define MB2_SEARCH	 32768u
#define MB2_ARCH_I386	 0u

/* Bits 0 to 15 are requirements: a boot loader must refuse an image that sets one it does not know. */
enum mb1_header_flags {
	MB1_PAGE_ALIGN = BIT(0),
	MB1_MEMORY_INFO = BIT(1),
	MB1_VIDEO_MODE = BIT(2),
	MB1_REQUIREMENTS = 0xffff,
	MB1_ADDRESSES = BIT(16),
};

/* Where the image is loaded: the same fields in MB1's header and MB2's address tag. */
struct addresses {
	u32 header_addr, load_addr, load_end_addr, bss_end_addr;
};

struct mb1_header {
	u32 magic, flags, checksum;
	struct addresses addresses; /* with MB1_ADDRESSES */
	u32 entry_addr;
};

struct mb2_header {
	u32 magic, architecture, header_length, checksum;
};

enum mb2_header_tag_type {
	MB2_HEADER_END = 0,
	MB2_HEADER_INFO_REQUEST = 1,
	MB2_HEADER_ADDRESS = 2,
	MB2_HEADER_ENTRY = 3,
	MB2_HEADER_CONSOLE = 4,
	MB2_HEADER_FRAMEBUFFER = 5,
	MB2_HEADER_MODULE_ALIGN = 6,
	MB2_HEADER_EFI_BOOT_SERVICES = 7,
	MB2_HEADER_ENTRY_EFI32 = 8,
	MB2_HEADER_ENTRY_EFI64 = 9,
	MB2_HEADER_RELOCATABLE = 10,
	MB2_HEADER_TYPES,
};

struct mb2_header_tag {
	u16 type, flags;
	u32 size;
};

#define MB2_HEADER_TAG_OPTIONAL BIT(0)
#define MB2_CONSOLE_REQUIRED	BIT(0)
#define MB2_LOAD_WHOLE_FILE	UINT32_MAX /* as load_addr */

_Static_assert(sizeof(struct mb1_header) == 32, "MB1 header");
_Static_assert(sizeof(struct mb2_header) == 16, "MB2 header");
_Static_assert(sizeof(struct mb2_header_tag) == 8, "MB2 header tag");

static int fail(const char **why, const char *words)
{
	*why = words;
	return -EINVAL;
}

static int not_supported(const char **why, const char *words)
{
	*why = words;
	return -EOPNOTSUPP;
}

static u32 read32(const u8 *at)
{
	u32 value;

	memcpy(&value, at, sizeof(value));
	return value;
}

/*
 * The offset of the first header whose words add up to zero, or -ENOENT. The magic number alone
 * proves nothing: every boot loader's code has it as a constant.
 */
static s64 find(const u8 *image, size_t size, u32 magic, u32 step, u32 words)
{
	for (size_t at = 0; at + words * sizeof(u32) <= size; at += step) {
		u32 sum = 0;

		if (read32(image + at) != magic)
			continue;
		for (u32 i = 0; i < words; i++)
			sum += read32(image + at + i * sizeof(u32));
		if (!sum)
			return (s64)at;
	}
	return -ENOENT;
}

/* "The address fields of Multiboot header". load_end_addr 0: the whole file; bss_end_addr 0: no bss. */
static int take_addresses(const struct addresses *from, size_t size,
			  struct multiboot_header *header, const char **why)
{
	u32 before = from->header_addr - from->load_addr; /* bytes before the header */
	u64 file_size;

	if (from->header_addr < from->load_addr || before > header->offset)
		return fail(why, "load_addr must be at most header_addr, and within the file");
	header->load_address = from->load_addr;
	header->file_offset = header->offset - before;
	file_size = size - header->file_offset;
	if (from->load_end_addr) {
		if (from->load_end_addr <= from->header_addr)
			return fail(why, "load_end_addr must be above header_addr, or 0");
		if (from->load_end_addr - from->load_addr > file_size)
			return fail(why, "load_end_addr lies beyond the end of the file");
		file_size = from->load_end_addr - from->load_addr;
	}
	if (file_size > UINT32_MAX - from->load_addr)
		return fail(why, "the image must end below 4 GiB");
	header->file_size = (u32)file_size;
	header->memory_size = header->file_size;
	if (from->bss_end_addr) {
		if (from->bss_end_addr < from->load_addr + header->file_size)
			return fail(why, "bss_end_addr must be 0 or behind what is loaded");
		header->memory_size = from->bss_end_addr - from->load_addr;
	}
	header->has_addresses = true;
	return 0;
}

static int check_entry(const struct multiboot_header *header, const char **why)
{
	if (!header->has_addresses)
		return 0;
	if (!header->has_entry)
		return fail(why, "a header with load addresses must have an entry address too");
	if (header->entry - header->load_address >= header->memory_size)
		return fail(why, "the entry address must lie in what is loaded");
	return 0;
}

int mb1_find_header(const void *image, size_t size, struct multiboot_header *header,
		    const char **why)
{
	struct mb1_header raw = { 0 };
	s64 offset = find(image, MIN(size, MB1_SEARCH), MB1_HEADER_MAGIC, 4, 3);
	int err;

	if (offset < 0)
		return -ENOENT;
	memcpy(&raw, (const u8 *)image + offset, MIN(sizeof(raw), size - (size_t)offset));
	if (raw.flags & MB1_REQUIREMENTS & ~(MB1_PAGE_ALIGN | MB1_MEMORY_INFO | MB1_VIDEO_MODE))
		return not_supported(why, "of the flags 0 to 15 only 0, 1 and 2 are known");
	*header = (struct multiboot_header){
		.version = 1,
		.offset = (u32)offset,
		.page_align_modules = raw.flags & MB1_PAGE_ALIGN,
		.wants_memory_info = raw.flags & MB1_MEMORY_INFO,
		.requires_framebuffer = raw.flags & MB1_VIDEO_MODE,
	};
	if (!(raw.flags & MB1_ADDRESSES))
		return 0;
	if ((size_t)offset + sizeof(raw) > size)
		return fail(why, "the file ends within the Multiboot header's address fields");
	err = take_addresses(&raw.addresses, size, header, why);
	if (err)
		return err;
	header->has_entry = true;
	header->entry = raw.entry_addr;
	return check_entry(header, why);
}

/* One tag of a Multiboot2 header, with the bytes after its type, flags and size. */
struct header_tag {
	const u8 *payload;
	u32 payload_size;
	bool optional;
	size_t image_size;
};

/* The least number of bytes after a tag's type, flags and size. */
static const u8 least_payload[MB2_HEADER_TYPES] = {
	[MB2_HEADER_ADDRESS] = sizeof(struct addresses),
	[MB2_HEADER_ENTRY] = 4,
	[MB2_HEADER_CONSOLE] = 4,
	[MB2_HEADER_FRAMEBUFFER] = 12,
	[MB2_HEADER_ENTRY_EFI32] = 4,
	[MB2_HEADER_ENTRY_EFI64] = 4,
	[MB2_HEADER_RELOCATABLE] = 16,
};

static int take_info_request(const struct header_tag *tag, struct multiboot_header *header,
			     const char **why)
{
	if (tag->optional)
		return 0;
	for (u32 i = 0; i + 4 <= tag->payload_size; i += 4) {
		u32 type = read32(tag->payload + i);

		if (type >= MB2_TAG_TYPES)
			return not_supported(why, "the kernel requires an unknown information tag");
		header->required_info |= BIT(type);
	}
	return 0;
}

static int take_address_tag(const struct header_tag *tag, struct multiboot_header *header,
			    const char **why)
{
	struct addresses addresses;

	memcpy(&addresses, tag->payload, sizeof(addresses));
	if (addresses.load_addr == MB2_LOAD_WHOLE_FILE)
		addresses.load_addr = addresses.header_addr - header->offset;
	return take_addresses(&addresses, tag->image_size, header, why);
}

/* The last word, where the image would like to lie, does not matter: it is moved only where it has to be. */
static int take_relocatable(const struct header_tag *tag, struct multiboot_header *header, const char **why)
{
	header->relocatable = true;
	header->min_address = read32(tag->payload);
	header->max_address = read32(tag->payload + 4);
	header->alignment = MAX(read32(tag->payload + 8), 1u);
	if (header->alignment & (header->alignment - 1))
		return fail(why, "the alignment of a relocatable image must be a power of two");
	return 0;
}

static int take_tag(u16 type, const struct header_tag *tag, struct multiboot_header *header,
		    const char **why)
{
	if (type >= MB2_HEADER_TYPES)
		return tag->optional ? 0 : not_supported(why, "a Multiboot2 header tag that is not "
							      "optional has an unknown type");
	if (tag->payload_size < least_payload[type])
		return fail(why, "a Multiboot2 header tag is too small for its type");

	switch (type) {
	case MB2_HEADER_INFO_REQUEST:
		return take_info_request(tag, header, why);
	case MB2_HEADER_ADDRESS:
		return take_address_tag(tag, header, why);
	case MB2_HEADER_ENTRY:
		header->has_entry = true;
		header->entry = read32(tag->payload);
		return 0;
	case MB2_HEADER_CONSOLE:
		header->requires_console =
			!tag->optional && read32(tag->payload) & MB2_CONSOLE_REQUIRED;
		return 0;
	case MB2_HEADER_FRAMEBUFFER:
		header->requires_framebuffer = !tag->optional;
		return 0;
	case MB2_HEADER_MODULE_ALIGN:
		header->page_align_modules = true;
		return 0;
	case MB2_HEADER_EFI_BOOT_SERVICES:
		return tag->optional ? 0 : not_supported(why, "EFI boot services are required");
	case MB2_HEADER_RELOCATABLE:
		return take_relocatable(tag, header, why);
	default: /* EFI entries count only with boot services */
		return 0;
	}
}

int mb2_find_header(const void *image, size_t size, struct multiboot_header *header,
		    const char **why)
{
	s64 offset = find(image, MIN(size, MB2_SEARCH), MB2_HEADER_MAGIC, 8, 4);
	struct mb2_header raw;
	struct mb2_header_tag tag;
	const u8 *start;
	int err;

	if (offset < 0)
		return -ENOENT;
	start = (const u8 *)image + offset;
	memcpy(&raw, start, sizeof(raw));
	if (raw.architecture != MB2_ARCH_I386)
		return fail(why, "the Multiboot2 header's architecture must be 0 (i386)");
	if (raw.header_length > MIN(size, MB2_SEARCH) - (size_t)offset)
		return fail(why, "the Multiboot2 header must end within the file's first 32 KiB");
	*header = (struct multiboot_header){ .version = 2, .offset = (u32)offset };

	for (u64 at = sizeof(raw);; at = ALIGN_UP(at + tag.size, MB2_TAG_ALIGN)) {
		if (at + sizeof(tag) > raw.header_length)
			return fail(why, "the Multiboot2 header has no end tag");
		memcpy(&tag, start + at, sizeof(tag));
		if (tag.size < sizeof(tag) || tag.size > raw.header_length - at)
			return fail(why, "a Multiboot2 header tag is longer than the header");
		if (tag.type == MB2_HEADER_END)
			return check_entry(header, why);
		err = take_tag(tag.type,
			       &(struct header_tag){
				       .payload = start + at + sizeof(tag),
				       .payload_size = tag.size - (u32)sizeof(tag),
				       .optional = tag.flags & MB2_HEADER_TAG_OPTIONAL,
				       .image_size = size,
			       }, header, why);
		if (err)
			return err;
	}
}
