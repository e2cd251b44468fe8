/* SPDX-License-Identifier: MIT */
/* Reading the Multiboot2 information. "Boot information format". */
#include "lib/multiboot_info.h"

#include "lib/errno.h"

static int fail(const char **why, const char *words)
{
	*why = words;
	return -EINVAL;
}

static const struct mb2_tag *tag_at(const struct mb2_info *info, u32 offset)
{
	return (const struct mb2_tag *)(info->start + offset);
}

static int check_tags(const struct mb2_info *info, const char **why)
{
	u64 at = sizeof(struct mb2_info_header);

	for (;;) {
		const struct mb2_tag *tag;

		if (at + sizeof(*tag) > info->size)
			return fail(why, "the Multiboot2 information has no end tag");
		tag = tag_at(info, (u32)at);
		if (tag->size < sizeof(*tag))
			return fail(why, "a Multiboot2 tag must be at least 8 bytes long");
		if (tag->size > info->size - at)
			return fail(why, "a Multiboot2 tag is longer than the information");
		if (tag->type == MB2_TAG_END)
			return 0;
		at = ALIGN_UP(at + tag->size, MB2_TAG_ALIGN);
	}
}

int mb2_info_parse(const void *start, size_t readable, struct mb2_info *info, const char **why)
{
	const struct mb2_info_header *header = start;

	if (!IS_ALIGNED((uintptr_t)start, MB2_TAG_ALIGN))
		return fail(why, "the Multiboot2 information must be aligned to 8 bytes");
	if (readable < sizeof(*header))
		return fail(why, "the Multiboot2 information lies beyond the memory in reach");
	*info = (struct mb2_info){ .start = start, .size = header->total_size };
	if (info->size > readable)
		return fail(why, "the Multiboot2 information ends beyond the memory in reach");
	return check_tags(info, why);
}

const struct mb2_tag *mb2_next_tag(const struct mb2_info *info, const struct mb2_tag *previous)
{
	u32 offset = sizeof(struct mb2_info_header);

	if (previous) {
		offset = (u32)((const u8 *)previous - info->start);
		offset = ALIGN_UP(offset + previous->size, MB2_TAG_ALIGN);
	}
	return tag_at(info, offset)->type == MB2_TAG_END ? NULL : tag_at(info, offset);
}

const struct mb2_tag *mb2_next_tag_of(const struct mb2_info *info, const struct mb2_tag *previous,
				      enum mb2_tag_type type, u32 least)
{
	const struct mb2_tag *tag = mb2_next_tag(info, previous);

	while (tag && (tag->type != type || tag->size < least))
		tag = mb2_next_tag(info, tag);
	return tag;
}

/* The text from `fixed` bytes into the tag to its NUL, or to the tag's end where there is none. */
static struct str_view tag_text(const struct mb2_tag *tag, u32 fixed)
{
	const char *text = (const char *)tag + fixed;

	return (struct str_view){ text, strnlen(text, tag->size - fixed) };
}

static bool text_of(const struct mb2_info *info, enum mb2_tag_type type, struct str_view *text)
{
	const struct mb2_tag *tag = mb2_next_tag_of(info, NULL, type, sizeof(*tag));

	if (!tag)
		return false;
	*text = tag_text(tag, sizeof(*tag));
	return true;
}

bool mb2_command_line(const struct mb2_info *info, struct str_view *text)
{
	return text_of(info, MB2_TAG_CMDLINE, text);
}

bool mb2_loader_name(const struct mb2_info *info, struct str_view *text)
{
	return text_of(info, MB2_TAG_LOADER_NAME, text);
}

bool mb2_module(const struct mb2_info *info, u32 index, struct mb2_module *module)
{
	const u32 least = sizeof(struct mb2_module_tag);
	const struct mb2_tag *tag = NULL;

	while ((tag = mb2_next_tag_of(info, tag, MB2_TAG_MODULE, least))) {
		const struct mb2_module_tag *found = (const struct mb2_module_tag *)tag;

		if (found->mod_end < found->mod_start || index--)
			continue;
		*module = (struct mb2_module){
			.start = found->mod_start,
			.end = found->mod_end,
			.cmdline = tag_text(tag, least),
		};
		return true;
	}
	return false;
}

bool mb2_memory_map(const struct mb2_info *info, struct mb2_memory_map *map)
{
	const struct mb2_memory_map_tag *found;
	const struct mb2_tag *tag =
		mb2_next_tag_of(info, NULL, MB2_TAG_MEMORY_MAP, sizeof(*found));

	found = (const struct mb2_memory_map_tag *)tag;
	if (!tag || found->entry_size < sizeof(struct mb2_memory_entry))
		return false;
	*map = (struct mb2_memory_map){
		.entries = (const u8 *)found->entries,
		.entry_size = found->entry_size,
		.count = (tag->size - (u32)sizeof(*found)) / found->entry_size,
	};
	return true;
}

struct mb2_memory_entry mb2_memory_entry(const struct mb2_memory_map *map, u32 index)
{
	struct mb2_memory_entry entry;

	memcpy(&entry, map->entries + (size_t)index * map->entry_size, sizeof(entry));
	return entry;
}

bool mb2_rsdp(const struct mb2_info *info, const void **rsdp, u32 *size)
{
	const u32 least_old = sizeof(struct mb2_rsdp_tag) + 20; /* ACPI 1.0 */
	const u32 least_new = sizeof(struct mb2_rsdp_tag) + 36; /* since ACPI 2.0 */
	const struct mb2_tag *tag = mb2_next_tag_of(info, NULL, MB2_TAG_RSDP_NEW, least_new);

	if (!tag)
		tag = mb2_next_tag_of(info, NULL, MB2_TAG_RSDP_OLD, least_old);
	if (!tag)
		return false;
	*rsdp = tag + 1;
	*size = tag->size - (u32)sizeof(*tag);
	return true;
}

/* The specification has one reserved byte at the end and GRUB has two: take neither. */
bool mb2_framebuffer(const struct mb2_info *info, struct mb2_framebuffer_tag *framebuffer)
{
	const u32 least = offsetof(struct mb2_framebuffer_tag, reserved);
	const struct mb2_tag *tag = mb2_next_tag_of(info, NULL, MB2_TAG_FRAMEBUFFER, least);

	if (!tag)
		return false;
	*framebuffer = (struct mb2_framebuffer_tag){ .reserved = 0 };
	memcpy(framebuffer, tag, least);
	return true;
}

static bool address32_of(const struct mb2_info *info, enum mb2_tag_type type, hpa_t *address)
{
	const struct mb2_tag *tag =
		mb2_next_tag_of(info, NULL, type, sizeof(struct mb2_address32_tag));

	if (!tag)
		return false;
	*address = ((const struct mb2_address32_tag *)tag)->address;
	return true;
}

bool mb2_efi_system_table(const struct mb2_info *info, hpa_t *address, bool *is_64bit)
{
	const struct mb2_tag *tag =
		mb2_next_tag_of(info, NULL, MB2_TAG_EFI64, sizeof(struct mb2_address64_tag));

	*is_64bit = tag != NULL;
	if (!tag)
		return address32_of(info, MB2_TAG_EFI32, address);
	*address = ((const struct mb2_address64_tag *)tag)->address;
	return true;
}

bool mb2_efi_boot_services(const struct mb2_info *info)
{
	return mb2_next_tag_of(info, NULL, MB2_TAG_EFI_BOOT_SERVICES, sizeof(struct mb2_tag));
}

bool mb2_efi_memory_map(const struct mb2_info *info, const void **descriptors, u32 *descriptor_size,
			u32 *count)
{
	const u32 least = 40; /* EFI_MEMORY_DESCRIPTOR version 1 */
	const struct mb2_efi_memory_map_tag *found;
	const struct mb2_tag *tag =
		mb2_next_tag_of(info, NULL, MB2_TAG_EFI_MEMORY_MAP, sizeof(*found));

	found = (const struct mb2_efi_memory_map_tag *)tag;
	if (!tag || found->descriptor_size < least)
		return false;
	*descriptors = found->descriptors;
	*descriptor_size = found->descriptor_size;
	*count = (tag->size - (u32)sizeof(*found)) / found->descriptor_size;
	return true;
}

bool mb2_elf_sections(const struct mb2_info *info, struct mb2_elf_sections *sections)
{
	const struct mb2_elf_sections_tag *found;
	const struct mb2_tag *tag =
		mb2_next_tag_of(info, NULL, MB2_TAG_ELF_SECTIONS, sizeof(*found));

	found = (const struct mb2_elf_sections_tag *)tag;
	if (!tag || (u64)found->count * found->entry_size > tag->size - sizeof(*found))
		return false;
	*sections = (struct mb2_elf_sections){
		.headers = found->sections,
		.entry_size = found->entry_size,
		.count = found->count,
		.string_table = found->string_table,
	};
	return true;
}

bool mb2_load_base(const struct mb2_info *info, hpa_t *base)
{
	return address32_of(info, MB2_TAG_LOAD_BASE, base);
}
