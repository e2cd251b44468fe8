/* SPDX-License-Identifier: MIT */
/* The code that both boot protocols share, and the reader of Multiboot2's information. */
#include "arch/bootinfo/bootinfo.h"

#include "arch/bootinfo/memory_map.h"
#include "arch/mem/mapping.h"
#include "arch/mem/memory.h"
#include "lib/errno.h"
#include "lib/log.h"
#include "lib/multiboot.h"
#include "lib/string.h"

struct boot_info boot_info;

extern const char image_start[], image_end[];

/* A copy of the loader's information, whose memory will be reused. Pointers in boot_info point into it. */
static u8 block[BOOT_INFO_SIZE] __aligned(8);
static size_t block_used;

void *boot_info_store(size_t size)
{
	void *place = &block[block_used];

	if (size > sizeof(block) - block_used)
		return NULL;
	block_used = MIN(ALIGN_UP(block_used + size, 8), sizeof(block));
	return place;
}

size_t boot_info_room(void)
{
	return sizeof(block) - block_used;
}

/* A tag's text; empty where it does not end within the tag. */
static const char *text_of(const struct mb2_tag *tag, size_t offset)
{
	const char *text = (const char *)tag + offset;

	if (tag->size <= offset || strnlen(text, tag->size - offset) == tag->size - offset) {
		log_error("boot loader: the text of tag %u is not terminated: ignored", tag->type);
		return "";
	}
	return text;
}

static void read_command_line(const struct mb2_tag *tag)
{
	boot_info.command_line = text_of(tag, sizeof(*tag));
}

static void read_loader_name(const struct mb2_tag *tag)
{
	boot_info.loader_name = text_of(tag, sizeof(*tag));
}

/* Freeing the first of two overlapping modules would overwrite the second and give its memory away. */
static bool overlaps_another(u64 start, u64 end)
{
	for (unsigned i = 0; i < boot_info.modules; i++) {
		const struct boot_module *other = &boot_info.module[i];

		if (start < end && other->size && start < other->start + other->size &&
		    other->start < end)
			return true;
	}
	return false;
}

/* Why a module cannot be at this place, or NULL. Modules are overwritten once they are loaded. */
static const char *misplaced(u32 start, u32 end)
{
	if (end < start)
		return "ends before it starts";
	if (start < end && start < image_to_phys(image_end) && image_to_phys(image_start) < end)
		return "overlaps Lamina itself";
	return overlaps_another(start, end) ? "overlaps another module" : NULL;
}

/* An unusable module is added as an empty one, so that the others keep their numbers and roles. */
void boot_info_add_module(u32 start, u32 end, const char *string)
{
	const char *why;

	if (boot_info.modules == BOOT_MAX_MODULES) {
		if (!boot_info.modules_left_out++)
			log_error("boot loader: more than %d modules: the rest is ignored",
				  BOOT_MAX_MODULES);
		return;
	}
	why = misplaced(start, end);
	if (why) {
		log_error("boot loader: module %u, 0x%x up to 0x%x, %s: taken as empty",
			  boot_info.modules, start, end, why);
		end = start;
	}
	boot_info.module[boot_info.modules++] = (struct boot_module) {
		.start = start,
		.size = end - start,
		.string = string,
	};
}

static void read_module(const struct mb2_tag *tag)
{
	const struct mb2_module_tag *module = (const void *)tag;

	boot_info_add_module(module->mod_start, module->mod_end, text_of(tag, sizeof(*module)));
}

static void read_memory_map(const struct mb2_tag *tag)
{
	const struct mb2_memory_map_tag *map = (const void *)tag;
	size_t entry_size = map->entry_size;

	if (entry_size < sizeof(struct mb2_memory_entry) || entry_size % MB2_TAG_ALIGN) {
		log_error("boot loader: the memory map has entries of %u bytes; expected a multiple of %u, at least %u: ignored",
			  map->entry_size, MB2_TAG_ALIGN, (u32)sizeof(struct mb2_memory_entry));
		return;
	}
	for (size_t at = sizeof(*map); at + entry_size <= tag->size; at += entry_size) {
		const struct mb2_memory_entry *entry = (const void *)((const char *)tag + at);

		boot_memory_add(entry->base, entry->length, entry->type);
	}
}

/* The newer pointer wins, whatever the order of the tags. */
static void read_rsdp(const struct mb2_tag *tag)
{
	const struct mb2_rsdp_tag *copy = (const void *)tag;

	if (boot_info.rsdp && tag->type == MB2_TAG_RSDP_OLD)
		return;
	boot_info.rsdp = copy->rsdp;
	boot_info.rsdp_size = tag->size - sizeof(*tag);
}

static void read_framebuffer(const struct mb2_tag *tag)
{
	const struct mb2_framebuffer_tag *fb = (const void *)tag;

	boot_info.framebuffer = (struct boot_framebuffer) {
		.address = fb->address,
		.pitch = fb->pitch,
		.width = fb->width,
		.height = fb->height,
		.bits_per_pixel = fb->bits_per_pixel,
		.type = fb->type,
		.colours = (const u8 *)(fb + 1),
		.colours_size = tag->size - sizeof(*fb),
	};
}

/* The firmware's own map, to be compared with the boot loader's once that is complete. */
static const struct mb2_efi_memory_map_tag *efi_map;

static void read_efi_memory_map(const struct mb2_tag *tag)
{
	efi_map = (const void *)tag;
	boot_info.uefi = true;
}

static void read_efi_system_table(const struct mb2_tag *tag)
{
	boot_info.uefi = true;
}

static const struct {
	void (*read)(const struct mb2_tag *tag);
	size_t size;	/* the smallest valid one */
} tags[MB2_TAG_TYPES] = {
	[MB2_TAG_CMDLINE] = { read_command_line, sizeof(struct mb2_tag) + 1 },
	[MB2_TAG_LOADER_NAME] = { read_loader_name, sizeof(struct mb2_tag) + 1 },
	[MB2_TAG_MODULE] = { read_module, sizeof(struct mb2_module_tag) + 1 },
	[MB2_TAG_MEMORY_MAP] = { read_memory_map, sizeof(struct mb2_memory_map_tag) },
	[MB2_TAG_FRAMEBUFFER] = { read_framebuffer, sizeof(struct mb2_framebuffer_tag) },
	[MB2_TAG_EFI32] = { read_efi_system_table, sizeof(struct mb2_tag) + 4 },
	[MB2_TAG_EFI64] = { read_efi_system_table, sizeof(struct mb2_tag) + 8 },
	[MB2_TAG_EFI_MEMORY_MAP] = { read_efi_memory_map, sizeof(struct mb2_efi_memory_map_tag) },
	[MB2_TAG_RSDP_OLD] = { read_rsdp, sizeof(struct mb2_tag) + 20 },
	[MB2_TAG_RSDP_NEW] = { read_rsdp, sizeof(struct mb2_tag) + 36 },
};

static void read_tag(const struct mb2_tag *tag)
{
	if (tag->type >= ARRAY_SIZE(tags) || !tags[tag->type].read)
		return;
	if (tag->size < tags[tag->type].size)
		log_error("boot loader: tag %u has only %u bytes: ignored", tag->type, tag->size);
	else
		tags[tag->type].read(tag);
}

static void read_tags(u32 size)
{
	u32 at = sizeof(struct mb2_info_header);

	while (at < size && size - at >= sizeof(struct mb2_tag)) {
		const struct mb2_tag *tag = (const void *)&block[at];

		if (tag->type == MB2_TAG_END)
			return;
		if (tag->size < sizeof(*tag) || tag->size > size - at)
			break;
		read_tag(tag);
		at += ALIGN_UP(tag->size, MB2_TAG_ALIGN);
	}
	log_error("boot loader: its information is cut off at byte %u of %u", at, size);
}

static int mb2_info_read(hpa_t pa)
{
	const struct mb2_info_header *header = early_map(pa, sizeof(*header));
	u32 size = header ? header->total_size : 0;

	if (size < sizeof(*header) || size > sizeof(block)) {
		log_error("boot loader: its information has %u bytes, at most %u are understood",
			  size, (unsigned)sizeof(block));
		return -EINVAL;
	}
	header = early_map(pa, size);
	if (!header) {
		log_error("boot loader: its information at 0x%llx goes beyond 4 GiB",
			  (unsigned long long)pa);
		return -EINVAL;
	}
	memcpy(boot_info_store(size), header, size);
	efi_map = NULL;
	read_tags(size);
	/* GRUB removes the file names in front of command lines. kexec leaves them there, and knows no firmware. */
	boot_info.file_names = strncmp(boot_info.loader_name, "GRUB", 4);
	boot_info.bios = !boot_info.file_names && !boot_info.uefi;
	if (efi_map)
		boot_info_apply_efi(efi_map);
	return 0;
}

int boot_info_init(u32 loader_magic, hpa_t pa)
{
	int err;

	block_used = 0;
	boot_info.command_line = "";
	boot_info.loader_name = "an unnamed boot loader";
	boot_info.protocol = loader_magic == MB1_BOOT_MAGIC ? 1 : 2;
	boot_info.file_names = loader_magic == MB1_BOOT_MAGIC;
	err = loader_magic == MB1_BOOT_MAGIC ? mb1_info_read(pa) : mb2_info_read(pa);
	boot_info.kexec = !strncmp(boot_info.loader_name, "kexec", 5);
	boot_memory_report();
	return err;
}

/* A map may have pieces that go on beyond the last address. */
static bool touches(const struct boot_memory *m, hpa_t pa, u64 size)
{
	return m->start < pa + size && (pa < m->start ? m->size > 0 : pa - m->start < m->size);
}

bool boot_info_has_ram(hpa_t pa, u64 size)
{
	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *m = &boot_info.memory[i];

		if (m->type == MULTIBOOT_MEMORY_AVAILABLE && touches(m, pa, size))
			return true;
	}
	return false;
}

static bool covers(const struct boot_memory *m, hpa_t pa, u64 size)
{
	return m->start <= pa && pa - m->start < m->size && m->size - (pa - m->start) >= size;
}

bool boot_info_is_ram(hpa_t pa, u64 size)
{
	bool covered = false;

	for (unsigned i = 0; i < boot_info.memory_pieces; i++) {
		const struct boot_memory *m = &boot_info.memory[i];

		if (m->type != MULTIBOOT_MEMORY_AVAILABLE && touches(m, pa, size))
			return false;
		covered |= m->type == MULTIBOOT_MEMORY_AVAILABLE && covers(m, pa, size);
	}
	return covered;
}

void boot_module_free(unsigned index)
{
	struct boot_module *module = &boot_info.module[index];
	u64 size = module->size, end = ALIGN_UP(module->start + size, PAGE_SIZE);
	void *window;

	if (!size)
		return;
	window = phys_window(PHYS_WINDOW_SCRUB, module->start, size);
	if (!window)	/* better to lose the memory than to pass on its contents */
		return;
	memset(window, 0, size);
	phys_window_close(PHYS_WINDOW_SCRUB);
	module->size = 0;
	/* If the loader does not align modules, the next one may begin in this one's last page. */
	if (overlaps_another(module->start + size, end))
		end -= PAGE_SIZE;
	if (!module->keep && end > module->start)
		memory_add(module->start, end - module->start);
}
