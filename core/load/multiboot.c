/* SPDX-License-Identifier: MIT */
/*
 * Kernels with a Multiboot or Multiboot2 header: ELF files, or flat images whose header has load
 * addresses. Multiboot and Multiboot2 Specification, "Machine state", "Boot information format".
 */
#include "core/load/bios.h"
#include "core/load/load.h"

#include "lib/multiboot.h"
#include "lib/string.h"

#define RSDP_SIZE_ACPI_1 20u
#define RSDP_SIZE	 36u
#define MODULE_STRING	 "initrd"

/* --- the image --- */

static int find_header(const struct load *load, struct multiboot_header *header)
{
	const struct guest_image *image = load->image;
	const char *why;
	int error = mb2_find_header(image->kernel, image->kernel_size, header, &why);

	if (error == -ENOENT)
		error = mb1_find_header(image->kernel, image->kernel_size, header, &why);
	if (error == -EINVAL)
		return load_fail(load, "damaged Multiboot kernel: %s", why);
	if (error == -EOPNOTSUPP)
		return load_fail(load, "this Multiboot kernel is not supported: %s", why);
	return error;
}

/* Does Lamina provide all that the header marks as required? */
static int check_demands(const struct load *load, const struct multiboot_header *header)
{
	const u32 given = BIT(MB2_TAG_END) | BIT(MB2_TAG_CMDLINE) | BIT(MB2_TAG_LOADER_NAME) |
			  BIT(MB2_TAG_MODULE) | BIT(MB2_TAG_BASIC_MEMORY) |
			  BIT(MB2_TAG_MEMORY_MAP) | BIT(MB2_TAG_RSDP_OLD) | BIT(MB2_TAG_RSDP_NEW);
	u32 missing = header->required_info & ~given;

	if (missing)
		return load_fail(load,
				 "the Multiboot2 header requires the information tag of type %d, "
				 "which Lamina does not give", __builtin_ctz(missing));
	if (header->requires_framebuffer || header->requires_console)
		vm_warn(load->vm, "the kernel asks for a screen, and starts without one");
	return 0;
}

static int load_addressed(struct load *load, const struct multiboot_header *header, u32 *entry)
{
	const u8 *from = (const u8 *)load->image->kernel + header->file_offset;
	int error = load_take(load, header->load_address, header->memory_size, "the image");

	*entry = header->entry;
	return error ? error : load_copy(load, header->load_address, from, header->file_size);
}

/* The segment whose virtual, or physical, addresses hold the entry. */
static bool find_entry(const struct elf_image *elf, bool physical, struct elf_segment *found)
{
	for (u32 i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_segment(elf, i);
		u64 start = physical ? segment.physical_address : segment.virtual_address;

		if (segment.type == ELF_PT_LOAD && elf->entry - start < segment.memory_size) {
			*found = segment;
			return true;
		}
	}
	return false;
}

/*
 * The entry in the ELF header is a virtual address, but the kernel is entered without paging. Some kernels have virtual
 * segments and a physical entry: GRUB takes such an entry as it is.
 */
static int physical_entry(const struct load *load, const struct elf_image *elf, u32 *entry)
{
	struct elf_segment segment;
	u64 physical = 0;
	bool found = find_entry(elf, false, &segment);

	if (found)
		physical = segment.physical_address + (elf->entry - segment.virtual_address);
	if (!found || physical > UINT32_MAX) {
		physical = elf->entry;
		found = find_entry(elf, true, &segment);
	}
	if (!found || physical > UINT32_MAX)
		return load_fail(load, "the ELF entry 0x%llx: expected it in a segment loaded below 4 GiB",
				 (ull)elf->entry);
	*entry = (u32)physical;
	return 0;
}

static int load_elf(struct load *load, const struct multiboot_header *header, u32 *entry)
{
	const struct guest_image *image = load->image;
	struct elf_image elf;
	const char *why;
	int error;

	if (!elf_has_magic(image->kernel, image->kernel_size))
		return load_fail(load, "the Multiboot header has no load addresses: expected them, "
				 "or an ELF file");
	if (elf_parse(image->kernel, image->kernel_size, &elf, &why))
		return load_fail(load, "damaged ELF file: %s", why);
	error = load_elf_segments(load, &elf);
	if (error)
		return error;
	*entry = header->entry;
	return header->has_entry ? 0 : physical_entry(load, &elf, entry);
}

/* --- Multiboot information --- */

/* All boot information of a Multiboot1 kernel, as one block. */
struct mb1_block {
	struct mb1_info info;
	struct mb1_module module;
	struct mb1_memory_entry memory[LOAD_MEMORY_PIECES];
	char loader_name[32];
	char module_string[sizeof(MODULE_STRING)];
	char cmdline[];
};

static u32 upper_kib(const struct vm *vm)
{
	return (u32)((guest_low_ram(vm) - LOAD_HIGH_START) >> 10);
}

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

static int write_mb1(struct load *load, gpa_t *gpa)
{
	size_t length = strlen(load->image->cmdline) + 1;
	struct mb1_block *block = load_place_info(load, sizeof(*block) + length, gpa);
	u32 at = (u32)*gpa;

	if (!block)
		return -ENOMEM;
	block->info = (struct mb1_info){
		.flags = MB1_INFO_MEMORY | MB1_INFO_CMDLINE | MB1_INFO_MODULES |
			 MB1_INFO_MEMORY_MAP | MB1_INFO_LOADER_NAME,
		.mem_lower = (u32)(LOAD_LOW_END >> 10),
		.mem_upper = upper_kib(load->vm),
		.cmdline = at + offsetof(struct mb1_block, cmdline),
		.boot_loader_name = at + offsetof(struct mb1_block, loader_name),
	};
	fill_memory_map(load, *gpa, block);
	if (load->initrd) {
		block->info.mods_count = 1;
		block->info.mods_addr = at + offsetof(struct mb1_block, module);
		block->module = (struct mb1_module){
			.mod_start = (u32)load->initrd,
			.mod_end = (u32)(load->initrd + load->image->initrd_size),
			.string = at + offsetof(struct mb1_block, module_string),
		};
	}
	str_copy(block->loader_name, load_boot_loader_name, sizeof(block->loader_name));
	memcpy(block->module_string, MODULE_STRING, sizeof(MODULE_STRING));
	memcpy(block->cmdline, load->image->cmdline, length);
	return 0;
}

/* --- Multiboot2 information --- */

#define MB2_FIXED 512u	/* room for everything but the command line */

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

static void add_string(struct mb2_writer *writer, enum mb2_tag_type type, const char *text)
{
	size_t length = strlen(text) + 1;
	struct mb2_string_tag *tag = add_tag(writer, type, sizeof(*tag) + length);

	memcpy(tag->string, text, length);
}

static void add_module(struct mb2_writer *writer, const struct load *load)
{
	struct mb2_module_tag *tag;

	if (!load->initrd)
		return;
	tag = add_tag(writer, MB2_TAG_MODULE, sizeof(*tag) + sizeof(MODULE_STRING));
	tag->mod_start = (u32)load->initrd;
	tag->mod_end = (u32)(load->initrd + load->image->initrd_size);
	memcpy(tag->string, MODULE_STRING, sizeof(MODULE_STRING));
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

static int write_mb2(struct load *load, gpa_t *gpa)
{
	struct mb2_writer writer = { .used = sizeof(struct mb2_info_header) };
	int error;

	writer.block = load_place_info(load, MB2_FIXED + strlen(load->image->cmdline), gpa);
	if (!writer.block)
		return -ENOMEM;
	add_string(&writer, MB2_TAG_CMDLINE, load->image->cmdline);
	add_string(&writer, MB2_TAG_LOADER_NAME, load_boot_loader_name);
	add_module(&writer, load);
	add_memory(&writer, load);
	error = add_rsdp(&writer, load, MB2_TAG_RSDP_OLD, RSDP_SIZE_ACPI_1);
	if (!error)
		error = add_rsdp(&writer, load, MB2_TAG_RSDP_NEW, RSDP_SIZE);
	add_tag(&writer, MB2_TAG_END, sizeof(struct mb2_tag));
	((struct mb2_info_header *)writer.block)->total_size = writer.used;
	return error;
}

/* --- all of it --- */

int load_multiboot(struct load *load)
{
	struct multiboot_header header;
	gpa_t info;
	u32 entry;
	bool mb2;
	int error = find_header(load, &header);

	if (!error)
		error = check_demands(load, &header);
	if (!error)
		error = header.has_addresses ? load_addressed(load, &header, &entry) :
					       load_elf(load, &header, &entry);
	if (error)
		return error;
	if (!load_has_taken(load, entry))
		return load_fail(load, "the entry 0x%x lies outside of what is loaded", entry);
	mb2 = header.version == 2;
	error = load_initrd_low(load);
	if (!error)
		error = mb2 ? write_mb2(load, &info) : write_mb1(load, &info);
	if (error)
		return error;
	bios_start_interrupts(load);	/* the rest of the machine as the BIOS left it */
	load_enter_protected(load->vcpu, entry, mb2 ? MB2_BOOT_MAGIC : MB1_BOOT_MAGIC, (u32)info);
	load_report(load, mb2 ? "a Multiboot2 kernel" : "a Multiboot kernel", entry);
	return 0;
}
