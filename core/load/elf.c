/* SPDX-License-Identifier: MIT */
/* What the loaders of ELF kernels share: segments, and the sections that Multiboot kernels get. */
#include "core/load/load.h"

#include "lib/errno.h"
#include "lib/printf.h"
#include "lib/string.h"

int load_elf_segments(struct load *load, const struct elf_image *elf, u64 moved)
{
	int error = 0;

	for (u32 i = 0; !error && i < elf->segment_count; i++) {
		struct elf_segment segment = elf_segment(elf, i);
		gpa_t to = segment.physical_address + moved;
		char name[32];

		if (segment.type != ELF_PT_LOAD || !segment.memory_size)
			continue;
		snprintf(name, sizeof(name), "ELF segment %u", i);
		error = load_take(load, to, segment.memory_size, name);
		/* Guest RAM is zero already: the rest of the segment needs no clearing. */
		if (!error)
			error = load_copy(load, to, elf->data + segment.offset, segment.file_size);
	}
	return error;
}

/* --- sections --- */

/* Is it a section with bytes in the file that no segment has? */
static bool is_apart(const struct elf_section *section)
{
	return section->size && !section->address && section->type != ELF_SHT_NOBITS;
}

static u64 place_of(const struct elf_section *section, u64 from)
{
	bool usable = section->alignment && section->alignment <= PAGE_SIZE &&
		      !(section->alignment & (section->alignment - 1));

	return usable ? ALIGN_UP(from, section->alignment) : from;
}

/* The bytes of the section headers and the sections behind them. 0: one lies outside of the file. */
static u64 size_of_all(const struct elf_image *elf, const struct elf_sections *sections)
{
	u64 size = (u64)sections->count * sections->entry_size;

	for (u32 i = 0; i < sections->count; i++) {
		struct elf_section section = elf_section(elf, sections, i);

		if (!is_apart(&section))
			continue;
		if (!elf_has_section_data(elf, &section))
			return 0;
		size = place_of(&section, size) + section.size;
	}
	return size;
}

/* Into a block of that size. */
static int copy_all(struct load *load, const struct elf_image *elf, const struct elf_sections *sections, gpa_t block)
{
	u64 table_size = (u64)sections->count * sections->entry_size, at = table_size;
	u8 *table = guest_ptr(load->vm, block, table_size);
	int error = load_copy(load, block, elf->data + sections->table, table_size);

	for (u32 i = 0; !error && i < sections->count; i++) {
		struct elf_section section = elf_section(elf, sections, i);

		if (!is_apart(&section))
			continue;
		at = place_of(&section, at);
		elf_set_section_address(elf, table + (u64)i * sections->entry_size, block + at);
		error = load_copy(load, block + at, elf->data + section.offset, section.size);
		at += section.size;
	}
	return error;
}

int load_elf_sections(struct load *load, const struct elf_image *elf, struct load_sections *sections)
{
	struct elf_sections found;
	int error = elf_find_sections(elf, &found);
	u64 size = error ? 0 : size_of_all(elf, &found);

	*sections = (struct load_sections){ 0 };
	if (error == -ENOENT)
		return 0;
	if (!size) {
		vm_warn(load->vm, "a section or the section headers of the ELF file lie outside of it: the kernel gets none");
		return 0;
	}
	sections->table = load_place_behind(load, size);
	if (!sections->table) {
		vm_warn(load->vm, "the kernel gets no ELF sections: no room for their %llu KiB, which needs a larger mem=",
			(ull)ALIGN_UP(size, 1024) >> 10);
		return 0;
	}
	sections->count = found.count;
	sections->entry_size = found.entry_size;
	sections->names = found.names;
	return copy_all(load, elf, &found, sections->table);
}
