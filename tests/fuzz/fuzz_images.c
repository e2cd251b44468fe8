/* SPDX-License-Identifier: MIT */
/* Guests' kernels: ELF with its PVH note, Multiboot headers, bzImage, a firmware's ROM. */
/* link: lib/elf.c lib/multiboot.c lib/bzimage.c lib/crc32.c lib/pc_firmware.c lib/string.c */
#include "tests/fuzz/fuzz.h"

#include "lib/bzimage.h"
#include "lib/elf.h"
#include "lib/multiboot.h"
#include "lib/pc_firmware.h"

/* What lib/elf.h promises about an accepted image. */
static void check_segment(const struct elf_image *elf, const struct elf_segment *segment)
{
	u64 end;

	if (segment->type != ELF_PT_LOAD && segment->type != ELF_PT_NOTE)
		return;
	fuzz_assert(segment->offset <= elf->size && segment->file_size <= elf->size - segment->offset);
	if (segment->type != ELF_PT_LOAD)
		return;
	fuzz_assert(segment->memory_size >= segment->file_size);
	fuzz_assert(!__builtin_add_overflow(segment->physical_address, segment->memory_size, &end));
}

static void read_elf(const u8 *data, size_t size)
{
	struct elf_sections sections;
	struct elf_image elf;
	const char *why = NULL;
	u32 entry;

	if (elf_parse(data, size, &elf, &why)) {
		fuzz_assert(why && why[0]);
		return;
	}
	for (u32 i = 0; i < elf.segment_count; i++) {
		struct elf_segment segment = elf_segment(&elf, i);

		check_segment(&elf, &segment);
	}
	if (!elf_find_sections(&elf, &sections)) {
		for (u32 i = 0; i < sections.count; i++) {
			struct elf_section section = elf_section(&elf, &sections, i);

			fuzz_assert(!elf_has_section_data(&elf, &section) || section.offset <= size);
		}
	}
	elf_pvh_entry(&elf, &entry, &why);
}

static void check_multiboot(int error, const struct multiboot_header *header, const char *why,
			    size_t size)
{
	if (error == -EINVAL || error == -EOPNOTSUPP)
		fuzz_assert(why && why[0]);
	if (error || !header->has_addresses)
		return;
	fuzz_assert(header->file_offset <= size && header->file_size <= size - header->file_offset);
	fuzz_assert(header->memory_size >= header->file_size);
	fuzz_assert((u64)header->load_address + header->memory_size <= GIB(4));
	fuzz_assert(header->entry - header->load_address < header->memory_size);
}

static void no_pause(void)
{
}

static void read_bzimage(const u8 *data, size_t size)
{
	struct bzimage image;
	const char *why = NULL;
	char version[64];

	bzimage_has_magic(data, size);
	if (bzimage_parse(data, size, &image, &why)) {
		fuzz_assert(why && why[0]);
		return;
	}
	fuzz_assert(image.kernel_offset <= size && image.kernel_size <= size - image.kernel_offset);
	fuzz_assert(image.memory_size >= image.kernel_size);
	fuzz_assert(image.alignment && !(image.alignment & (image.alignment - 1)));
	fuzz_assert(image.setup_header_size <= sizeof(struct boot_params) - LINUX_SETUP_HEADER);
	bzimage_checksum_matches(&image, no_pause);
	bzimage_version(&image, version, sizeof(version));
	fuzz_assert(memchr(version, 0, sizeof(version)));
}

/* Inputs are smaller than a ROM: one of them is the end of a ROM. */
static void read_firmware(const u8 *data, size_t size)
{
	static u8 rom[PC_FIRMWARE_MIN];
	size_t part = MIN(size, sizeof(rom));
	u8 first;

	memset(rom, 0, sizeof(rom));
	memcpy(rom + sizeof(rom) - part, data + size - part, part);
	first = rom[sizeof(rom) - PC_FIRMWARE_VECTOR];
	fuzz_assert(pc_firmware_has_form(rom, sizeof(rom)) == (first >= 0xe9 && first <= 0xeb));
	fuzz_assert(!pc_firmware_has_form(data, MIN(size, sizeof(rom) - 1)));
}

void fuzz_one(const u8 *data, size_t size)
{
	struct multiboot_header header;
	const char *why = NULL;
	int error;

	read_elf(data, size);
	read_bzimage(data, size);
	read_firmware(data, size);
	error = mb1_find_header(data, size, &header, &why);
	check_multiboot(error, &header, why, size);
	error = mb2_find_header(data, size, &header, &why);
	check_multiboot(error, &header, why, size);
}

static void put(u8 *data, size_t at, u64 value, unsigned bytes)
{
	memcpy(data + at, &value, bytes);
}

static size_t make_elf64(u8 *data)
{
	memcpy(data, "\x7f" "ELF\2\1\1", 7);
	put(data, 16, 2, 2), put(data, 18, 62, 2), put(data, 20, 1, 4);
	put(data, 24, 0x100000, 8), put(data, 32, 64, 8), put(data, 52, 64, 2);
	put(data, 54, 56, 2), put(data, 56, 2, 2);
	put(data, 64, ELF_PT_LOAD, 4), put(data, 68, 5, 4), put(data, 72, 0, 8);
	put(data, 80, 0x100000, 8), put(data, 88, 0x100000, 8), put(data, 96, 256, 8);
	put(data, 104, 0x1000, 8), put(data, 112, 0x1000, 8);
	put(data, 120, ELF_PT_NOTE, 4), put(data, 128, 192, 8), put(data, 152, 20, 8);
	put(data, 160, 20, 8), put(data, 168, 4, 8);
	put(data, 192, 4, 4), put(data, 196, 4, 4), put(data, 200, 18, 4);
	memcpy(data + 204, "Xen", 4), put(data, 208, 0x100010, 4);
	return 256;
}

static size_t make_elf32(u8 *data)
{
	memcpy(data, "\x7f" "ELF\1\1\1", 7);
	put(data, 16, 2, 2), put(data, 18, 3, 2), put(data, 20, 1, 4);
	put(data, 24, 0x100000, 4), put(data, 28, 52, 4), put(data, 40, 52, 2);
	put(data, 42, 32, 2), put(data, 44, 2, 2);
	put(data, 52, ELF_PT_LOAD, 4), put(data, 56, 0, 4), put(data, 60, 0x100000, 4);
	put(data, 64, 0x100000, 4), put(data, 68, 192, 4), put(data, 72, 0x1000, 4);
	put(data, 76, 5, 4), put(data, 80, 0x1000, 4);
	put(data, 84, ELF_PT_NOTE, 4), put(data, 88, 128, 4), put(data, 100, 20, 4);
	put(data, 104, 20, 4), put(data, 112, 4, 4);
	put(data, 128, 4, 4), put(data, 132, 4, 4), put(data, 136, 18, 4);
	memcpy(data + 140, "Xen", 4), put(data, 144, 0x100010, 4);
	return 192;
}

static size_t make_multiboot1(u8 *data)
{
	const u32 header[8] = { 0x1badb002, 1 << 16, 0, 0x100010, 0x100000, 0x100100, 0x101000, 0x100030 };

	memcpy(data + 16, header, sizeof(header));
	return 512;
}

static size_t make_multiboot2(u8 *data)
{
	const u32 header[] = { 0xe85250d6, 0, 96, 0,
		1, 16, 1, 6,  2, 24, 0x100010, 0x100000, 0x100100, 0x101000,
		3, 12, 0x100040, 0,  6, 8,  0, 8 };

	memcpy(data + 16, header, sizeof(header));
	put(data, 24, sizeof(header), 4);
	return 512;
}

static size_t make_bzimage(u8 *data)
{
	data[0x1f1] = 1;
	put(data, 0x1f4, 64, 4), put(data, 0x1fe, 0xaa55, 2), put(data, 0x200, 0x6aeb, 2);
	memcpy(data + 0x202, "HdrS", 4);
	put(data, 0x206, 0x20f, 2), put(data, 0x20e, 0x100, 2), data[0x211] = 1;
	put(data, 0x214, 0x100000, 4), put(data, 0x22c, 0x7fffffff, 4), put(data, 0x230, 0x200000, 4);
	data[0x234] = 1, data[0x235] = 21, put(data, 0x236, 3, 2), put(data, 0x238, 2047, 4);
	put(data, 0x258, 0x1000000, 8), put(data, 0x260, 0x2000000, 4);
	memcpy(data + 0x300, "6.1.0 (a@b)", 12);
	return 1024 + 64 * 16;
}

static size_t make_firmware(u8 *data)
{
	memcpy(data + 512 - PC_FIRMWARE_VECTOR, "\xea\x5b\xe0\0\xf0" "06/23/99\0\xfc", 15);
	return 512;
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	static size_t (*const make[])(u8 *data) = {
		make_elf64, make_elf32, make_multiboot1, make_multiboot2, make_bzimage, make_firmware,
	};
	static u8 image[4096];
	size_t size;

	memset(image, 0, sizeof(image));
	size = make[which % ARRAY_SIZE(make)](image);
	size = MIN(size, max);
	memcpy(data, image, size);
	fuzz_repair(data, size);
	return size;
}

/* The headers' words must add up to zero. */
void fuzz_repair(u8 *data, size_t size)
{
	u32 word[4];

	if (size < 32)
		return;
	memcpy(word, data + 16, sizeof(word));
	if (word[0] == 0x1badb002)
		put(data, 24, -(word[0] + word[1]), 4);
	else if (word[0] == 0xe85250d6)
		put(data, 28, -(word[0] + word[1] + word[2]), 4);
}
