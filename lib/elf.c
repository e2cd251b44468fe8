/* SPDX-License-Identifier: MIT */
/* Reading an x86 ELF image that lies in memory. */
#include "lib/elf.h"

#include "lib/errno.h"
#include "lib/string.h"

#define CLASS_32	  1
#define CLASS_64	  2
#define DATA_LSB	  1
#define VERSION_CURRENT	  1
#define TYPE_EXEC	  2
#define TYPE_DYN	  3
#define MACHINE_386	  3
#define MACHINE_X86_64	  62
#define PHNUM_IN_SECTIONS 0xffff /* the number is in a section header: it needs more than 16 bits */

#define XEN_ELFNOTE_PHYS32_ENTRY 18
#define MAX_NOTES 1024 /* a kernel has about ten; a hostile file could take hours */

struct elf_ident {
	u8 magic[4];
	u8 class, data, version;
	u8 unused[9];
};

struct elf32_header {
	struct elf_ident ident;
	u16 type, machine;
	u32 version, entry, phoff, shoff, flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf64_header {
	struct elf_ident ident;
	u16 type, machine;
	u32 version;
	u64 entry, phoff, shoff;
	u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf32_segment {
	u32 type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

struct elf64_segment {
	u32 type, flags;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

struct elf32_section {
	u32 name, type, flags, addr, offset, size, link, info, addralign, entsize;
};

struct elf64_section {
	u32 name, type;
	u64 flags, addr, offset, size;
	u32 link, info;
	u64 addralign, entsize;
};

struct elf_note {
	u32 name_size, desc_size, type;
};

_Static_assert(sizeof(struct elf32_header) == 52, "ELF header");
_Static_assert(sizeof(struct elf64_header) == 64, "ELF header");
_Static_assert(sizeof(struct elf32_segment) == 32, "Program header");
_Static_assert(sizeof(struct elf64_segment) == 56, "Program header");
_Static_assert(sizeof(struct elf32_section) == 40, "Section header");
_Static_assert(sizeof(struct elf64_section) == 64, "Section header");
_Static_assert(sizeof(struct elf_note) == 12, "Note header");

static const u8 magic[4] = { 0x7f, 'E', 'L', 'F' };

/* The fields of the ELF header that both classes have and that matter here. */
struct header {
	u16 type, machine, phentsize, phnum;
	u64 entry, phoff;
};

static int fail(const char **why, const char *words)
{
	*why = words;
	return -EINVAL;
}

static bool in_image(u64 offset, u64 length, u64 size)
{
	return offset <= size && length <= size - offset;
}

bool elf_has_magic(const void *image, size_t size)
{
	return size >= sizeof(magic) && memcmp(image, magic, sizeof(magic)) == 0;
}

static struct header read_header(const void *image, bool is_64bit)
{
	struct elf32_header h32;
	struct elf64_header h64;

	if (is_64bit) {
		memcpy(&h64, image, sizeof(h64));
		return (struct header){ h64.type, h64.machine, h64.phentsize, h64.phnum,
					h64.entry, h64.phoff };
	}
	memcpy(&h32, image, sizeof(h32));
	return (struct header){ h32.type, h32.machine, h32.phentsize, h32.phnum,
				h32.entry, h32.phoff };
}

static int check_ident(const void *image, size_t size, bool *is_64bit, const char **why)
{
	struct elf_ident ident;

	if (!elf_has_magic(image, size))
		return fail(why, "not an ELF file: the magic 7f 45 4c 46 is missing");
	if (size < sizeof(ident))
		return fail(why, "the file ends within the ELF header");
	memcpy(&ident, image, sizeof(ident));
	if (ident.class != CLASS_32 && ident.class != CLASS_64)
		return fail(why, "the ELF class must be 1 (32 bit) or 2 (64 bit)");
	if (ident.data != DATA_LSB)
		return fail(why, "the ELF file must be little-endian");
	if (ident.version != VERSION_CURRENT)
		return fail(why, "the ELF version must be 1");
	*is_64bit = ident.class == CLASS_64;
	if (size < (*is_64bit ? sizeof(struct elf64_header) : sizeof(struct elf32_header)))
		return fail(why, "the file ends within the ELF header");
	return 0;
}

static int check_header(const struct header *header, const struct elf_image *elf, const char **why)
{
	size_t least = elf->is_64bit ? sizeof(struct elf64_segment) : sizeof(struct elf32_segment);

	if (header->type != TYPE_EXEC && header->type != TYPE_DYN)
		return fail(why, "the ELF type must be 2 (executable) or 3 (position-independent)");
	if (header->machine != MACHINE_386 && header->machine != MACHINE_X86_64)
		return fail(why, "the ELF machine must be 3 (i386) or 62 (x86-64)");
	if (!header->phnum)
		return fail(why, "the ELF file has no program headers");
	if (header->phnum == PHNUM_IN_SECTIONS)
		return fail(why, "more than 65534 ELF program headers are not supported");
	if (header->phentsize < least)
		return fail(why, "the size of an ELF program header is too small for its class");
	if (!in_image(header->phoff, (u64)header->phnum * header->phentsize, elf->size))
		return fail(why, "the ELF program headers lie outside of the file");
	return 0;
}

struct elf_segment elf_segment(const struct elf_image *elf, u32 index)
{
	const u8 *at = elf->data + elf->segment_table + (u64)index * elf->segment_entry_size;
	struct elf32_segment s32;
	struct elf64_segment s64;

	if (elf->is_64bit) {
		memcpy(&s64, at, sizeof(s64));
		return (struct elf_segment){ s64.type, s64.flags, s64.offset, s64.vaddr, s64.paddr,
					     s64.filesz, s64.memsz, s64.align };
	}
	memcpy(&s32, at, sizeof(s32));
	return (struct elf_segment){ s32.type, s32.flags, s32.offset, s32.vaddr, s32.paddr,
				     s32.filesz, s32.memsz, s32.align };
}

static int check_segment(const struct elf_segment *segment, size_t size, const char **why)
{
	u64 end;

	if (segment->type != ELF_PT_LOAD && segment->type != ELF_PT_NOTE)
		return 0;
	if (!in_image(segment->offset, segment->file_size, size))
		return fail(why, "the contents of an ELF segment lie outside of the file");
	if (segment->type == ELF_PT_NOTE)
		return 0;
	if (segment->memory_size < segment->file_size)
		return fail(why, "an ELF segment must not be larger in the file than in memory");
	if (__builtin_add_overflow(segment->physical_address, segment->memory_size, &end) ||
	    __builtin_add_overflow(segment->virtual_address, segment->memory_size, &end))
		return fail(why, "an ELF segment must end below the top of the address space");
	return 0;
}

static int check_segments(const struct elf_image *elf, const char **why)
{
	bool loadable = false;

	for (u32 i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_segment(elf, i);
		int err = check_segment(&segment, elf->size, why);

		if (err)
			return err;
		loadable |= segment.type == ELF_PT_LOAD && segment.memory_size;
	}
	if (!loadable)
		return fail(why, "the ELF file has no segment to load (PT_LOAD)");
	return 0;
}

int elf_parse(const void *image, size_t size, struct elf_image *elf, const char **why)
{
	struct header header;
	bool is_64bit;
	int err;

	err = check_ident(image, size, &is_64bit, why);
	if (err)
		return err;
	header = read_header(image, is_64bit);
	*elf = (struct elf_image){
		.data = image,
		.size = size,
		.is_64bit = is_64bit,
		.entry = header.entry,
		.segment_count = header.phnum,
		.segment_table = header.phoff,
		.segment_entry_size = header.phentsize,
	};
	err = check_header(&header, elf, why);
	if (err)
		return err;
	return check_segments(elf, why);
}

/* --- sections --- */

static size_t section_header_size(const struct elf_image *elf)
{
	return elf->is_64bit ? sizeof(struct elf64_section) : sizeof(struct elf32_section);
}

int elf_find_sections(const struct elf_image *elf, struct elf_sections *sections)
{
	struct elf32_header h32;
	struct elf64_header h64;

	if (elf->is_64bit) {
		memcpy(&h64, elf->data, sizeof(h64));
		*sections = (struct elf_sections){ h64.shoff, h64.shnum, h64.shentsize, h64.shstrndx };
	} else {
		memcpy(&h32, elf->data, sizeof(h32));
		*sections = (struct elf_sections){ h32.shoff, h32.shnum, h32.shentsize, h32.shstrndx };
	}
	if (!sections->table || !sections->count)
		return -ENOENT;
	if (sections->entry_size < section_header_size(elf) ||
	    !in_image(sections->table, (u64)sections->count * sections->entry_size, elf->size))
		return -EINVAL;
	return 0;
}

struct elf_section elf_section(const struct elf_image *elf, const struct elf_sections *sections, u32 index)
{
	const u8 *at = elf->data + sections->table + (u64)index * sections->entry_size;
	struct elf32_section s32;
	struct elf64_section s64;

	if (elf->is_64bit) {
		memcpy(&s64, at, sizeof(s64));
		return (struct elf_section){ s64.type, s64.addr, s64.offset, s64.size, s64.addralign };
	}
	memcpy(&s32, at, sizeof(s32));
	return (struct elf_section){ s32.type, s32.addr, s32.offset, s32.size, s32.addralign };
}

void elf_set_section_address(const struct elf_image *elf, void *header, u64 address)
{
	u32 low = (u32)address;

	if (elf->is_64bit)
		memcpy((u8 *)header + offsetof(struct elf64_section, addr), &address, sizeof(address));
	else
		memcpy((u8 *)header + offsetof(struct elf32_section, addr), &low, sizeof(low));
}

bool elf_has_section_data(const struct elf_image *elf, const struct elf_section *section)
{
	return in_image(section->offset, section->size, elf->size);
}

/* --- the PVH entry --- */

/* The note holds the entry point in 4 bytes, or in 8 bytes whose upper half is zero. */
static int read_pvh_entry(const u8 *desc, u32 size, u32 *entry, const char **why)
{
	u64 wide = 0;

	if (size != 4 && size != 8)
		return fail(why, "the PVH note must hold an address of 4 or 8 bytes");
	memcpy(&wide, desc, size);
	if (wide > UINT32_MAX)
		return fail(why, "the PVH entry point must lie below 4 GiB");
	*entry = (u32)wide;
	return 0;
}

static int find_pvh_note(const u8 *notes, u64 size, u64 alignment, u32 *budget, u32 *entry,
			 const char **why)
{
	static const char name[] = "Xen";
	struct elf_note note;

	for (u64 at = 0; at < size && size - at >= sizeof(note);) {
		u64 name_at = at + sizeof(note), desc_at, end;

		if (!(*budget)--)
			return fail(why, "the ELF file has more than 1024 notes");
		memcpy(&note, notes + at, sizeof(note));
		desc_at = ALIGN_UP(name_at + note.name_size, alignment);
		end = desc_at + note.desc_size;
		if (end > size)
			return fail(why, "an ELF note is longer than its segment");
		if (note.type == XEN_ELFNOTE_PHYS32_ENTRY && note.name_size == sizeof(name) &&
		    memcmp(notes + name_at, name, sizeof(name)) == 0)
			return read_pvh_entry(notes + desc_at, note.desc_size, entry, why);
		at = ALIGN_UP(end, alignment);
	}
	return -ENOENT;
}

int elf_pvh_entry(const struct elf_image *elf, u32 *entry, const char **why)
{
	u32 budget = MAX_NOTES;

	for (u32 i = 0; i < elf->segment_count; i++) {
		struct elf_segment segment = elf_segment(elf, i);
		int err;

		if (segment.type != ELF_PT_NOTE)
			continue;
		err = find_pvh_note(elf->data + segment.offset, segment.file_size,
				    segment.alignment == 8 ? 8 : 4, &budget, entry, why);
		if (err != -ENOENT)
			return err;
	}
	return -ENOENT;
}
