/* SPDX-License-Identifier: MIT */
/* Multiboot information of both versions. */
#include "core/load/multiboot_info.h"

#include "lib/multiboot.h"
#include "lib/string.h"

#define RSDP_SIZE_ACPI_1 20u
#define RSDP_SIZE	 36u

/*
 * A command line as GRUB legacy, QEMU and iPXE pass it: the name of the file, then the text. Kernels skip the first
 * word, whatever it is.
 */
static size_t line_size(struct str_view name, const char *text)
{
	return name.len + 1 + strlen(text) + 1;
}

static void write_line(char *to, struct str_view name, const char *text)
{
	if (name.len)
		memcpy(to, name.ptr, name.len);
	to += name.len;
	if (name.len && text[0])
		*to++ = ' ';
	memcpy(to, text, strlen(text) + 1);
}

/* Room for the strings of all modules, each with `more` bytes. */
static size_t modules_size(const struct load *load, size_t more)
{
	size_t size = 0;

	for (u32 i = 0; i < load->image->module_count; i++)
		size += line_size(load->image->modules[i].name, load->image->modules[i].string) + more;
	return size;
}

static u32 upper_kib(const struct vm *vm)
{
	return (u32)((guest_low_ram(vm) - LOAD_HIGH_START) >> 10);
}

/* --- Multiboot information --- */

/* All boot information of a Multiboot1 kernel, as one block. */
struct mb1_block {
	struct mb1_info info;
	struct mb1_module modules[LOAD_MODULES];
	struct mb1_memory_entry memory[LOAD_MEMORY_PIECES];
	char loader_name[32];
	char strings[];
};

static void fill_memory_map(const struct load *load, gpa_t gpa, struct mb1_block *block)
{
	struct load_memory map[LOAD_MEMORY_PIECES];
	u32 count = load_memory_map(load->vm, map);

	for (u32 i = 0; i < count; i++)
		block->memory[i] = (struct mb1_memory_entry){
			.size = sizeof(block->memory[i]) - sizeof(block->memory[i].size),
			.base = map[i].start, .length = map[i].size, .type = map[i].type,
		};
	block->info.mmap_addr = (u32)gpa + offsetof(struct mb1_block, memory);
	block->info.mmap_length = (u32)(count * sizeof(block->memory[0]));
}

/* The command line, and behind it the modules' strings. */
static void fill_strings(const struct load *load, u32 gpa, struct mb1_block *block)
{
	const struct guest_image *image = load->image;
	char *at = block->strings;

	write_line(at, image->name, image->cmdline);
	block->info.cmdline = gpa + offsetof(struct mb1_block, strings);
	for (u32 i = 0; i < image->module_count; i++) {
		at += strlen(at) + 1;
		write_line(at, image->modules[i].name, image->modules[i].string);
		block->modules[i] = (struct mb1_module){
			.mod_start = (u32)load->modules[i],
			.mod_end = (u32)(load->modules[i] + image->modules[i].size),
			.string = gpa + (u32)(at - (char *)block),
		};
	}
	block->info.mods_count = image->module_count;
	block->info.mods_addr = gpa + offsetof(struct mb1_block, modules);
}

int multiboot1_write_info(struct load *load, const struct multiboot_facts *facts, gpa_t *gpa)
{
	const struct load_sections *sections = &facts->sections;
	size_t strings = line_size(load->image->name, load->image->cmdline) + modules_size(load, 0);
	struct mb1_block *block = load_place_info(load, sizeof(*block) + strings, gpa);

	if (!block)
		return -ENOMEM;
	block->info = (struct mb1_info){
		.flags = MB1_INFO_MEMORY | MB1_INFO_CMDLINE | MB1_INFO_MODULES |
			 MB1_INFO_MEMORY_MAP | MB1_INFO_LOADER_NAME,
		.mem_lower = (u32)(LOAD_LOW_END >> 10),
		.mem_upper = upper_kib(load->vm),
		.boot_loader_name = (u32)*gpa + offsetof(struct mb1_block, loader_name),
	};
	if (sections->count) {
		block->info.flags |= MB1_INFO_ELF_SECTIONS;
		block->info.syms[0] = sections->count;
		block->info.syms[1] = sections->entry_size;
		block->info.syms[2] = (u32)sections->table;
		block->info.syms[3] = sections->names;
	}
	fill_memory_map(load, *gpa, block);
	fill_strings(load, (u32)*gpa, block);
	str_copy(block->loader_name, load_boot_loader_name, sizeof(block->loader_name));
	return 0;
}

/* --- Multiboot2 information --- */

#define MB2_FIXED 512u	/* room for everything but command line, modules and sections */

struct mb2_writer {
	u8 *block;
	u32 used;
};

static void *add_tag(struct mb2_writer *writer, enum mb2_tag_type type, size_t size)
{
	struct mb2_tag *tag = (struct mb2_tag *)(writer->block + writer->used);

	*tag = (struct mb2_tag){ .type = type, .size = (u32)size };
	writer->used += (u32)ALIGN_UP(size, MB2_TAG_ALIGN);
	return tag;
}

/* What a line takes with its name, its blank and its NUL. */
static size_t exact_size(struct str_view name, const char *text)
{
	return line_size(name, text) - !(name.len && text[0]);
}

static void add_string(struct mb2_writer *writer, enum mb2_tag_type type, struct str_view name, const char *text)
{
	struct mb2_string_tag *tag = add_tag(writer, type, sizeof(*tag) + exact_size(name, text));

	write_line(tag->string, name, text);
}

static void add_modules(struct mb2_writer *writer, const struct load *load)
{
	for (u32 i = 0; i < load->image->module_count; i++) {
		const struct guest_module *module = &load->image->modules[i];
		struct mb2_module_tag *tag = add_tag(writer, MB2_TAG_MODULE,
						     sizeof(*tag) + exact_size(module->name, module->string));

		tag->mod_start = (u32)load->modules[i];
		tag->mod_end = (u32)(load->modules[i] + module->size);
		write_line(tag->string, module->name, module->string);
	}
}

static void add_memory(struct mb2_writer *writer, const struct load *load)
{
	struct load_memory map[LOAD_MEMORY_PIECES];
	u32 count = load_memory_map(load->vm, map);
	struct mb2_basic_memory_tag *basic = add_tag(writer, MB2_TAG_BASIC_MEMORY, sizeof(*basic));
	struct mb2_memory_map_tag *tag =
		add_tag(writer, MB2_TAG_MEMORY_MAP, sizeof(*tag) + count * sizeof(tag->entries[0]));

	basic->mem_lower = (u32)(LOAD_LOW_END >> 10);
	basic->mem_upper = upper_kib(load->vm);
	tag->entry_size = sizeof(tag->entries[0]);
	for (u32 i = 0; i < count; i++)
		tag->entries[i] = (struct mb2_memory_entry){
			.base = map[i].start, .length = map[i].size, .type = map[i].type,
		};
}

static int add_rsdp(struct mb2_writer *writer, const struct load *load, enum mb2_tag_type type,
		    u32 size)
{
	struct mb2_rsdp_tag *tag = add_tag(writer, type, sizeof(*tag) + size);

	return guest_read(load->vm, GUEST_RSDP_ADDRESS, tag->rsdp, size);
}

static int add_sections(struct mb2_writer *writer, const struct load *load, const struct load_sections *sections)
{
	u32 size = sections->count * sections->entry_size;
	struct mb2_elf_sections_tag *tag;

	if (!size)
		return 0;
	tag = add_tag(writer, MB2_TAG_ELF_SECTIONS, sizeof(*tag) + size);
	tag->count = sections->count;
	tag->entry_size = sections->entry_size;
	tag->string_table = sections->names;
	return guest_read(load->vm, sections->table, tag->sections, size);
}

static void add_load_base(struct mb2_writer *writer, const struct multiboot_facts *facts)
{
	struct mb2_address32_tag *tag;

	if (!facts->relocatable)
		return;
	tag = add_tag(writer, MB2_TAG_LOAD_BASE, sizeof(*tag));
	tag->address = facts->load_base;
}

int multiboot2_write_info(struct load *load, const struct multiboot_facts *facts, gpa_t *gpa)
{
	const struct guest_image *image = load->image;
	struct mb2_writer writer = { .used = sizeof(struct mb2_info_header) };
	int error;

	writer.block = load_place_info(load, MB2_FIXED + line_size(image->name, image->cmdline) +
				       modules_size(load, sizeof(struct mb2_module_tag) + MB2_TAG_ALIGN) +
				       (u64)facts->sections.count * facts->sections.entry_size, gpa);
	if (!writer.block)
		return -ENOMEM;
	add_string(&writer, MB2_TAG_CMDLINE, image->name, image->cmdline);
	add_string(&writer, MB2_TAG_LOADER_NAME, str_view_of(""), load_boot_loader_name);
	add_modules(&writer, load);
	add_memory(&writer, load);
	add_load_base(&writer, facts);
	error = add_rsdp(&writer, load, MB2_TAG_RSDP_OLD, RSDP_SIZE_ACPI_1);
	if (!error)
		error = add_rsdp(&writer, load, MB2_TAG_RSDP_NEW, RSDP_SIZE);
	if (!error)
		error = add_sections(&writer, load, &facts->sections);
	add_tag(&writer, MB2_TAG_END, sizeof(struct mb2_tag));
	((struct mb2_info_header *)writer.block)->total_size = writer.used;
	return error;
}
