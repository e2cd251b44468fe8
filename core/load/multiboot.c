/* SPDX-License-Identifier: MIT */
/*
 * Kernels with a Multiboot or Multiboot2 header: ELF files, or flat images whose header has load
 * addresses. Multiboot and Multiboot2 Specification, "OS image format", "Machine state".
 */
#include "core/load/bios.h"
#include "core/load/multiboot_info.h"

#include "lib/multiboot.h"

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
			  BIT(MB2_TAG_MEMORY_MAP) | BIT(MB2_TAG_RSDP_OLD) | BIT(MB2_TAG_RSDP_NEW) |
			  BIT(MB2_TAG_ELF_SECTIONS) | BIT(MB2_TAG_LOAD_BASE);
	u32 missing = header->required_info & ~given;

	if (missing)
		return load_fail(load,
				 "the Multiboot2 header requires the information tag of type %d, "
				 "which Lamina does not give", __builtin_ctz(missing));
	if (header->requires_framebuffer || header->requires_console)
		vm_warn(load->vm, "the kernel asks for a screen, and starts without one");
	return 0;
}

/*
 * Where an image that is linked at `start` goes: there, unless it may be moved and has to be. What it moves by is in
 * *moved, and may wrap around.
 */
static int choose_place(struct load *load, const struct multiboot_header *header, struct multiboot_facts *facts,
			u64 start, u64 size, u64 *moved)
{
	bool in_range = start >= header->min_address && size <= header->max_address &&
			start <= header->max_address - size;
	gpa_t at;

	*moved = 0;
	facts->load_base = (u32)start;
	facts->relocatable = header->relocatable;
	if (!header->relocatable || (in_range && load_is_free(load, start, size)))
		return 0;
	at = load_place_low(load, size, header->alignment, MAX((u64)header->min_address, LOAD_INFO_START),
			    header->max_address);
	if (!at)
		return load_fail(load, "the image of 0x%llx bytes: expected RAM for it from 0x%x to 0x%x, at a multiple "
				 "of 0x%x; is mem= large enough?", (ull)size, header->min_address, header->max_address,
				 header->alignment);
	load->taken_count--;	/* its parts are taken one by one */
	facts->load_base = (u32)at;
	*moved = at - start;
	return 0;
}

static int load_addressed(struct load *load, const struct multiboot_header *header, u32 *entry,
			  struct multiboot_facts *facts)
{
	const u8 *from = (const u8 *)load->image->kernel + header->file_offset;
	u64 moved;
	int error = choose_place(load, header, facts, header->load_address, header->memory_size, &moved);

	if (!error)
		error = load_take(load, header->load_address + moved, header->memory_size, "the image");
	*entry = (u32)(header->entry + moved);
	return error ? error : load_copy(load, header->load_address + moved, from, header->file_size);
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

/* The physical addresses of all segments together. */
static void find_extent(const struct elf_image *elf, u64 *start, u64 *end)
{
	*start = UINT64_MAX;
	*end = 0;
	for (u32 i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_segment(elf, i);

		if (segment.type != ELF_PT_LOAD || !segment.memory_size)
			continue;
		*start = MIN(*start, segment.physical_address);
		*end = MAX(*end, segment.physical_address + segment.memory_size);
	}
}

static int load_elf(struct load *load, const struct multiboot_header *header, u32 *entry,
		    struct multiboot_facts *facts)
{
	const struct guest_image *image = load->image;
	struct elf_image elf;
	u64 start, end, moved;
	const char *why;
	int error;

	if (!elf_has_magic(image->kernel, image->kernel_size))
		return load_fail(load, "the Multiboot header has no load addresses: expected them, "
				 "or an ELF file");
	if (elf_parse(image->kernel, image->kernel_size, &elf, &why))
		return load_fail(load, "damaged ELF file: %s", why);
	find_extent(&elf, &start, &end);
	error = choose_place(load, header, facts, start, end - start, &moved);
	if (!error)
		error = load_elf_segments(load, &elf, moved);
	if (!error)
		error = load_elf_sections(load, &elf, &facts->sections);
	*entry = header->entry;
	if (!error && !header->has_entry)
		error = physical_entry(load, &elf, entry);
	*entry += (u32)moved;
	return error;
}

/* --- all of it --- */

int load_multiboot(struct load *load)
{
	struct multiboot_facts facts = { 0 };
	struct multiboot_header header;
	gpa_t info;
	u32 entry;
	bool mb2;
	int error = find_header(load, &header);

	if (!error)
		error = check_demands(load, &header);
	if (!error)
		error = header.has_addresses ? load_addressed(load, &header, &entry, &facts) :
					       load_elf(load, &header, &entry, &facts);
	if (error)
		return error;
	if (!load_has_taken(load, entry))
		return load_fail(load, "the entry 0x%x lies outside of what is loaded", entry);
	mb2 = header.version == 2;
	error = load_modules_low(load);
	if (!error)
		error = mb2 ? multiboot2_write_info(load, &facts, &info) : multiboot1_write_info(load, &facts, &info);
	if (error)
		return error;
	bios_start_interrupts(load);	/* the rest of the machine as the BIOS left it */
	load_enter_protected(load->vcpu, entry, mb2 ? MB2_BOOT_MAGIC : MB1_BOOT_MAGIC, (u32)info);
	load_report(load, mb2 ? "a Multiboot2 kernel" : "a Multiboot kernel", entry);
	return 0;
}
