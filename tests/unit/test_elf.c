/* SPDX-License-Identifier: MIT */
/* ELF images: good ones of both widths, each rule broken, and hostile ones. */
/* link: lib/elf.c lib/string.c */

#include <elf.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "hostile.h"
#include "lib/elf.h"
#include "lib/errno.h"

#define NOTE_AT	 0x200
#define LOAD_AT	 0x300
#define IMAGE	 0x400
#define HEADERS	 0x240 /* all structures are below this */

/* The oracle for the places of the fields: the C library's structures. */
struct image64 {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3];
	u8 gap[NOTE_AT - sizeof(Elf64_Ehdr) - 3 * sizeof(Elf64_Phdr)];
	u8 notes[LOAD_AT - NOTE_AT];
	u8 load[IMAGE - LOAD_AT];
};

struct image32 {
	Elf32_Ehdr header;
	Elf32_Phdr segments[2];
	u8 gap[NOTE_AT - sizeof(Elf32_Ehdr) - 2 * sizeof(Elf32_Phdr)];
	u8 notes[LOAD_AT - NOTE_AT];
	u8 load[IMAGE - LOAD_AT];
};

static u32 put_note(u8 *to, const char *name, u32 type, const void *desc, u32 desc_size)
{
	Elf64_Nhdr note = {
		.n_namesz = (u32)strlen(name) + 1, .n_descsz = desc_size, .n_type = type,
	};
	u32 desc_at = (u32)sizeof(note) + ALIGN_UP(note.n_namesz, 4);

	memcpy(to, &note, sizeof(note));
	memcpy(to + sizeof(note), name, note.n_namesz);
	memcpy(to + desc_at, desc, desc_size);
	return desc_at + ALIGN_UP(desc_size, 4);
}

static u32 put_notes(u8 *to, u64 entry, u32 width)
{
	u32 length = put_note(to, "GNU", 3, "build id", 8);

	length += put_note(to + length, "Xen", 6, "linux", 6);
	length += put_note(to + length, "Xe", 18, "nope", 4);
	return length + put_note(to + length, "Xen", 18, &entry, width);
}

static struct image64 good64(void)
{
	struct image64 image = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_entry = 0xffffffff81000040,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_ehsize = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 3,
		},
		.segments = {
			{ .p_type = PT_GNU_STACK, .p_offset = ~0ull, .p_filesz = ~0ull },
			{ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = LOAD_AT,
			  .p_vaddr = 0xffffffff81000000, .p_paddr = 0x1000000,
			  .p_filesz = IMAGE - LOAD_AT, .p_memsz = 0x5000, .p_align = 0x200000 },
			{ .p_type = PT_NOTE, .p_offset = NOTE_AT, .p_align = 4 },
		},
	};

	image.segments[2].p_filesz = put_notes(image.notes, 0x10001c0, 8);
	return image;
}

static struct image32 good32(void)
{
	struct image32 image = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_DYN,
			.e_machine = EM_386,
			.e_version = EV_CURRENT,
			.e_entry = 0x100020,
			.e_phoff = sizeof(Elf32_Ehdr),
			.e_ehsize = sizeof(Elf32_Ehdr),
			.e_phentsize = sizeof(Elf32_Phdr),
			.e_phnum = 2,
		},
		.segments = {
			{ .p_type = PT_NOTE, .p_offset = NOTE_AT },
			{ .p_type = PT_LOAD, .p_flags = PF_W, .p_offset = LOAD_AT,
			  .p_vaddr = 0x100000, .p_paddr = 0x200000,
			  .p_filesz = 0x10, .p_memsz = 0x20, .p_align = 16 },
		},
	};

	image.segments[0].p_filesz = put_notes(image.notes, 0x100080, 4);
	return image;
}

static void test_64bit(void **state)
{
	struct image64 image = good64();
	struct elf_segment segment;
	struct elf_image elf;
	const char *why = NULL;
	u32 entry;

	assert_true(elf_has_magic(&image, sizeof(image)));
	assert_int_equal(elf_parse(&image, sizeof(image), &elf, &why), 0);
	assert_true(elf.is_64bit);
	assert_int_equal(elf.entry, 0xffffffff81000040);
	assert_int_equal(elf.segment_count, 3);
	segment = elf_segment(&elf, 1);
	assert_int_equal(segment.type, ELF_PT_LOAD);
	assert_int_equal(segment.flags, ELF_PF_R | ELF_PF_X);
	assert_int_equal(segment.offset, LOAD_AT);
	assert_int_equal(segment.virtual_address, 0xffffffff81000000);
	assert_int_equal(segment.physical_address, 0x1000000);
	assert_int_equal(segment.file_size, IMAGE - LOAD_AT);
	assert_int_equal(segment.memory_size, 0x5000);
	assert_int_equal(segment.alignment, 0x200000);
	assert_int_equal(elf_pvh_entry(&elf, &entry, &why), 0);
	assert_int_equal(entry, 0x10001c0);
}

static void test_32bit(void **state)
{
	struct image32 image = good32();
	struct elf_segment segment;
	struct elf_image elf;
	const char *why = NULL;
	u32 entry;

	assert_int_equal(elf_parse(&image, sizeof(image), &elf, &why), 0);
	assert_false(elf.is_64bit);
	assert_int_equal(elf.entry, 0x100020);
	segment = elf_segment(&elf, 1);
	assert_int_equal(segment.type, ELF_PT_LOAD);
	assert_int_equal(segment.flags, ELF_PF_W);
	assert_int_equal(segment.offset, LOAD_AT);
	assert_int_equal(segment.virtual_address, 0x100000);
	assert_int_equal(segment.physical_address, 0x200000);
	assert_int_equal(segment.file_size, 0x10);
	assert_int_equal(segment.memory_size, 0x20);
	assert_int_equal(segment.alignment, 16);
	assert_int_equal(elf_pvh_entry(&elf, &entry, &why), 0);
	assert_int_equal(entry, 0x100080);
}

/* The image that is refused, and a word that the refusal must contain. */
static void refused(const struct image64 *image, size_t size, const char *word)
{
	struct elf_image elf;
	const char *why = "nothing";

	assert_int_equal(elf_parse(image, size, &elf, &why), -EINVAL);
	if (!strstr(why, word))
		fail_msg("expected \"%s\" in \"%s\"", word, why);
}

#define REFUSED_WITH(change, word) do {			\
	struct image64 image = good64();		\
							\
	image.change;					\
	refused(&image, sizeof(image), word);		\
} while (0)

static void test_each_rule_of_the_header(void **state)
{
	struct image64 image = good64();

	REFUSED_WITH(header.e_ident[1] = 'e', "magic");
	REFUSED_WITH(header.e_ident[EI_CLASS] = 0, "class");
	REFUSED_WITH(header.e_ident[EI_CLASS] = 3, "class");
	REFUSED_WITH(header.e_ident[EI_DATA] = ELFDATA2MSB, "little-endian");
	REFUSED_WITH(header.e_ident[EI_VERSION] = 0, "version");
	REFUSED_WITH(header.e_type = ET_REL, "type");
	REFUSED_WITH(header.e_type = ET_CORE, "type");
	REFUSED_WITH(header.e_machine = EM_AARCH64, "machine");
	REFUSED_WITH(header.e_phnum = 0, "no program headers");
	REFUSED_WITH(header.e_phnum = PN_XNUM, "65534");
	REFUSED_WITH(header.e_phnum = 18, "outside");
	REFUSED_WITH(header.e_phentsize = sizeof(Elf64_Phdr) - 1, "too small");
	REFUSED_WITH(header.e_phoff = IMAGE - 3 * sizeof(Elf64_Phdr) + 1, "outside");
	REFUSED_WITH(header.e_phoff = UINT64_MAX - 8, "outside");
	refused(&image, 0, "magic");
	refused(&image, 3, "magic");
	refused(&image, 4, "ends within");
	refused(&image, sizeof(Elf64_Ehdr) - 1, "ends within");
}

static void test_each_rule_of_a_segment(void **state)
{
	REFUSED_WITH(segments[1].p_type = PT_NULL, "PT_LOAD");
	REFUSED_WITH(segments[1].p_offset = LOAD_AT + 1, "outside");
	REFUSED_WITH(segments[1].p_offset = UINT64_MAX, "outside");
	REFUSED_WITH(segments[1].p_filesz = UINT64_MAX, "outside");
	REFUSED_WITH(segments[1].p_memsz = IMAGE - LOAD_AT - 1, "larger in the file");
	REFUSED_WITH(segments[1].p_memsz = UINT64_MAX - 0x1000000 + 1, "address space");
	REFUSED_WITH(segments[1].p_paddr = UINT64_MAX - 0x5000 + 1, "address space");
	REFUSED_WITH(segments[1].p_vaddr = UINT64_MAX - 0x5000 + 1, "address space");
	REFUSED_WITH(segments[2].p_offset = IMAGE, "outside");
}

#define ACCEPTED_WITH(change) do {						\
	struct image64 image = good64();				\
	struct elf_image elf;						\
	const char *why = "nothing";					\
									\
	image.change;							\
	if (elf_parse(&image, sizeof(image), &elf, &why))		\
		fail_msg("%s: %s", #change, why);			\
} while (0)

/* The last value that each rule allows. */
static void test_each_rule_at_its_limit(void **state)
{
	ACCEPTED_WITH(header.e_type = ET_DYN);
	ACCEPTED_WITH(header.e_machine = EM_386);
	ACCEPTED_WITH(segments[1].p_memsz = IMAGE - LOAD_AT);
	ACCEPTED_WITH(segments[1].p_memsz = UINT64_MAX - 0xffffffff81000000);
	ACCEPTED_WITH(segments[1].p_paddr = UINT64_MAX - 0x5000);
	ACCEPTED_WITH(segments[1].p_vaddr = UINT64_MAX - 0x5000);
	/* These rules are not for notes, and none is for other segments. */
	ACCEPTED_WITH(segments[2].p_paddr = UINT64_MAX);
	ACCEPTED_WITH(segments[2].p_vaddr = UINT64_MAX);
	ACCEPTED_WITH(segments[2].p_memsz = 1);
}

static void test_a_segment_may_end_with_the_file(void **state)
{
	for (u64 size = 0; size <= 2; size++) {
		struct image64 image = good64();
		struct elf_image elf;
		const char *why = NULL;

		image.segments[1].p_filesz = size;
		image.segments[1].p_offset = IMAGE - size;
		assert_int_equal(elf_parse(&image, sizeof(image), &elf, &why), 0);
		image.segments[1].p_offset++;
		refused(&image, sizeof(image), "outside");
	}
}

static void test_the_program_headers_may_end_with_the_file(void **state)
{
	struct image64 image = good64();
	struct elf_image elf;
	const char *why = NULL;

	image.header.e_phoff = IMAGE - sizeof(image.segments);
	memcpy((u8 *)&image + image.header.e_phoff, image.segments, sizeof(image.segments));
	memset(image.segments, 0, sizeof(image.segments));
	assert_int_equal(elf_parse(&image, sizeof(image), &elf, &why), 0);
	assert_int_equal(elf_segment(&elf, 1).memory_size, 0x5000);
}

static void test_a_segment_without_memory_is_none_to_load(void **state)
{
	struct image64 image = good64();

	image.segments[1].p_filesz = image.segments[1].p_memsz = 0;
	refused(&image, sizeof(image), "PT_LOAD");
}

/* Every shorter file, up to the ELF header's end: 52 bytes in the 32-bit class, 64 in the other. */
static void test_a_file_that_ends_within_the_header(void **state)
{
	struct image64 image64 = good64();
	struct image32 image32 = good32();

	for (size_t size = 0; size <= 64; size++) {
		u8 *copy64 = exact_copy(&image64, size), *copy32 = exact_copy(&image32, size);

		assert_int_equal(elf_has_magic(copy64, size), size >= 4);
		refused((void *)copy64, size, size < 4 ? "magic" : size < 64 ? "ends within" : "outside");
		refused((void *)copy32, size, size < 4 ? "magic" : size < 52 ? "ends within" : "outside");
		free(copy64);
		free(copy32);
	}
}

static void test_program_headers_too_small_for_the_32_bit_class(void **state)
{
	struct image32 image = good32();

	image.header.e_phentsize = sizeof(Elf32_Phdr) - 1;
	refused((void *)&image, sizeof(image), "too small");
}

static void test_larger_program_headers_are_stepped_over(void **state)
{
	struct image64 image = good64();
	struct elf_image elf;
	const char *why = NULL;
	Elf64_Phdr load = image.segments[1];

	image.header.e_phentsize = sizeof(Elf64_Phdr) + 8;
	image.header.e_phnum = 2;
	memcpy((u8 *)image.segments + sizeof(Elf64_Phdr) + 8, &load, sizeof(load));
	assert_int_equal(elf_parse(&image, sizeof(image), &elf, &why), 0);
	assert_int_equal(elf_segment(&elf, 1).virtual_address, 0xffffffff81000000);
}

/* The result of looking for the PVH note after notes_size bytes of notes were put in the image. */
static int pvh_of(struct image64 *image, u32 notes_size, u64 alignment, u32 *entry)
{
	struct elf_image elf;
	const char *why = NULL;
	int err;

	image->segments[2].p_filesz = notes_size;
	image->segments[2].p_align = alignment;
	assert_int_equal(elf_parse(image, sizeof(*image), &elf, &why), 0);
	err = elf_pvh_entry(&elf, entry, &why);
	assert_true((err == -EINVAL) == (why != NULL));
	return err;
}

static void test_pvh_notes(void **state)
{
	struct image64 image = good64();
	u64 high = 0x100000000, low = 0x1000;
	u32 entry, size;

	assert_int_equal(pvh_of(&image, 0, 4, &entry), -ENOENT);
	size = put_note(image.notes, "GNU", 18, &low, 4);
	assert_int_equal(pvh_of(&image, size, 4, &entry), -ENOENT);
	size = put_note(image.notes, "Xen", 17, &low, 4);
	assert_int_equal(pvh_of(&image, size, 4, &entry), -ENOENT);
	size = put_note(image.notes, "Xen", 18, &high, 8);
	assert_int_equal(pvh_of(&image, size, 4, &entry), -EINVAL);
	size = put_note(image.notes, "Xen", 18, &low, 2);
	assert_int_equal(pvh_of(&image, size, 4, &entry), -EINVAL);
	size = put_note(image.notes, "Xen", 18, &low, 8);
	assert_int_equal(pvh_of(&image, size - 1, 4, &entry), -EINVAL);
	assert_int_equal(pvh_of(&image, size, 4, &entry), 0);
	assert_int_equal(entry, 0x1000);
}

static void test_the_entry_of_a_pvh_note(void **state)
{
	static const struct {
		u64 value;
		u32 size;
		int err;
	} cases[] = {
		{ 0xffffffff, 4, 0 }, { 0xffffffff, 8, 0 }, { 0x100000000, 8, -EINVAL }, { 0x1000, 0, -EINVAL },
		{ 0x1000, 3, -EINVAL }, { 0x1000, 5, -EINVAL }, { 0x1000, 7, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image64 image = good64();
		u32 size = put_note(image.notes, "Xen", 18, &cases[i].value, cases[i].size), entry = 0;

		assert_int_equal(pvh_of(&image, size, 4, &entry), cases[i].err);
		if (!cases[i].err)
			assert_int_equal(entry, cases[i].value);
	}
}

static void test_names_of_the_same_length_and_longer_are_others(void **state)
{
	static const char *const names[] = { "Xeo", "xen", "Xen4" };
	u64 low = 0x1000;
	u32 entry;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct image64 image = good64();

		assert_int_equal(pvh_of(&image, put_note(image.notes, names[i], 18, &low, 4), 4, &entry),
				 -ENOENT);
	}
}

/* Less than the 12 bytes of a note's header ends the notes; 12 bytes are a note, which may be too long. */
static void test_what_remains_behind_the_last_note(void **state)
{
	struct image64 image = good64();
	u64 low = 0;
	u32 entry, size = put_note(image.notes, "GNU", 3, &low, 4);

	memset(image.notes + size, 0xff, 12);
	for (u32 rest = 0; rest < 12; rest++)
		assert_int_equal(pvh_of(&image, size + rest, 4, &entry), -ENOENT);
	assert_int_equal(pvh_of(&image, size + 12, 4, &entry), -EINVAL);
}

/* The last note's padding need not be in the file, and the PVH note may come behind others. */
static void test_the_padding_of_the_last_note_may_be_missing(void **state)
{
	struct image64 image = good64();
	u64 low = 0x1000;
	u32 entry, size = put_note(image.notes, "GNU", 3, &low, 5);

	assert_int_equal(pvh_of(&image, size - 3, 4, &entry), -ENOENT);
	assert_int_equal(pvh_of(&image, size - 4, 4, &entry), -EINVAL);
	size += put_note(image.notes + size, "Xen", 18, &low, 4);
	/* Any alignment but 8 is 4. */
	assert_int_equal(pvh_of(&image, size, 0, &entry), 0);
	assert_int_equal(pvh_of(&image, size, 1, &entry), 0);
	assert_int_equal(pvh_of(&image, size, 16, &entry), 0);
}

/* In a segment aligned to 8, so are the notes in it and what they hold. */
static void test_notes_aligned_to_eight(void **state)
{
	struct image64 image = good64();
	Elf64_Nhdr gnu = { .n_namesz = 4, .n_descsz = 4, .n_type = 5 };
	u64 low = 0x2000;
	u32 entry, size;

	memset(image.notes, 0, sizeof(image.notes));
	memcpy(image.notes, &gnu, sizeof(gnu));
	memcpy(image.notes + 12, "GNU", 4);
	size = 24 + put_note(image.notes + 24, "Xen", 18, &low, 8);
	assert_int_equal(pvh_of(&image, size, 8, &entry), 0);
	assert_int_equal(entry, 0x2000);
}

/* 60,000 note segments over a megabyte of notes each would otherwise take hours. */
static void test_the_search_for_notes_is_bounded(void **state)
{
	enum { SEGMENTS = 60000, NOTES = 1 << 20 };
	size_t size = sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr) + NOTES;
	u8 *image = calloc(1, size);
	struct image64 good = good64();
	Elf64_Phdr note = { .p_type = PT_NOTE, .p_offset = size - NOTES, .p_filesz = NOTES };
	struct elf_image elf;
	const char *why = NULL;
	u32 entry;

	good.header.e_phnum = SEGMENTS;
	good.segments[1].p_offset = good.segments[1].p_filesz = 0;
	memcpy(image, &good, sizeof(Elf64_Ehdr));
	memcpy(image + sizeof(Elf64_Ehdr), &good.segments[1], sizeof(Elf64_Phdr));
	for (u32 i = 1; i < SEGMENTS; i++)
		memcpy(image + sizeof(Elf64_Ehdr) + i * sizeof(note), &note, sizeof(note));
	assert_int_equal(elf_parse(image, size, &elf, &why), 0);
	assert_int_equal(elf_pvh_entry(&elf, &entry, &why), -EINVAL);
	assert_non_null(strstr(why, "1024"));
	free(image);
}

/* An image with so many empty notes before the PVH note. */
static int pvh_behind(u32 others, u32 *entry)
{
	size_t size = sizeof(struct image64) + others * sizeof(Elf64_Nhdr) + 64;
	u8 *image = calloc(1, size);
	struct image64 good = good64();
	u64 low = 0x1000;
	struct elf_image elf;
	const char *why = NULL;
	int err;

	good.segments[2].p_offset = sizeof(good);
	good.segments[2].p_filesz = size - sizeof(good) - 64;
	good.segments[2].p_filesz += put_note(image + size - 64, "Xen", 18, &low, 4);
	memcpy(image, &good, sizeof(good));
	assert_int_equal(elf_parse(image, size, &elf, &why), 0);
	err = elf_pvh_entry(&elf, entry, &why);
	free(image);
	return err;
}

static void test_1024_notes_are_searched(void **state)
{
	u32 entry = 0;

	assert_int_equal(pvh_behind(1023, &entry), 0);
	assert_int_equal(entry, 0x1000);
	assert_int_equal(pvh_behind(1024, &entry), -EINVAL);
}

/* Whatever is accepted must be safe to load: read every byte that a loader would. */
static void use(const u8 *data, size_t size)
{
	struct elf_image elf;
	const char *why = NULL;
	u32 entry;
	int err = elf_parse(data, size, &elf, &why);

	if (err) {
		assert_int_equal(err, -EINVAL);
		assert_non_null(why);
		return;
	}
	for (u32 i = 0; i < elf.segment_count; i++) {
		struct elf_segment segment = elf_segment(&elf, i);

		if (segment.type != ELF_PT_LOAD)
			continue;
		touch(data + segment.offset, segment.file_size);
		assert_true(segment.file_size <= segment.memory_size);
		assert_true(segment.physical_address <= UINT64_MAX - segment.memory_size);
		assert_true(segment.virtual_address <= UINT64_MAX - segment.memory_size);
	}
	err = elf_pvh_entry(&elf, &entry, &why);
	assert_true(err == 0 || err == -ENOENT || err == -EINVAL);
}

static void test_truncations(void **state)
{
	struct image64 image64 = good64();
	struct image32 image32 = good32();

	each_truncation(&image64, sizeof(image64), use);
	each_truncation(&image32, sizeof(image32), use);
}

static void test_mutations(void **state)
{
	struct image64 image64 = good64();
	struct image32 image32 = good32();

	each_byte_mutation(&image64, sizeof(image64), HEADERS, use);
	each_byte_mutation(&image32, sizeof(image32), HEADERS, use);
	random_mutations(&image64, sizeof(image64), sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr),
			 100000, use);
	random_mutations(&image64, sizeof(image64), HEADERS, 100000, use);
	random_mutations(&image32, sizeof(image32), HEADERS, 100000, use);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_64bit),
		cmocka_unit_test(test_32bit),
		cmocka_unit_test(test_each_rule_of_the_header),
		cmocka_unit_test(test_each_rule_of_a_segment),
		cmocka_unit_test(test_each_rule_at_its_limit),
		cmocka_unit_test(test_a_segment_may_end_with_the_file),
		cmocka_unit_test(test_the_program_headers_may_end_with_the_file),
		cmocka_unit_test(test_a_segment_without_memory_is_none_to_load),
		cmocka_unit_test(test_a_file_that_ends_within_the_header),
		cmocka_unit_test(test_program_headers_too_small_for_the_32_bit_class),
		cmocka_unit_test(test_larger_program_headers_are_stepped_over),
		cmocka_unit_test(test_pvh_notes),
		cmocka_unit_test(test_the_entry_of_a_pvh_note),
		cmocka_unit_test(test_names_of_the_same_length_and_longer_are_others),
		cmocka_unit_test(test_what_remains_behind_the_last_note),
		cmocka_unit_test(test_the_padding_of_the_last_note_may_be_missing),
		cmocka_unit_test(test_1024_notes_are_searched),
		cmocka_unit_test(test_notes_aligned_to_eight),
		cmocka_unit_test(test_the_search_for_notes_is_bounded),
		cmocka_unit_test(test_truncations),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
