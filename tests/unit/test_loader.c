/* SPDX-License-Identifier: MIT */
/*
 * Multiboot, PVH and flat guests: what the guest finds in its registers and memory, by the words of
 * the protocols; damaged and hostile files. Linux has test_load_linux.c.
 */
/* link: tests/unit/loader_fixture.c core/loader.c core/load_common.c core/load_linux.c */
/* link: core/load_multiboot.c core/load_pvh.c core/load_flat.c */
/* link: lib/bzimage.c lib/elf.c lib/multiboot.c lib/string.c */

#include "loader_fixture.h"

#include "arch/x86.h"

/*
 * A 32-bit ELF image: code at 1 MiB that believes to be at 0xc0100000, data at 2 MiB. Headers and
 * notes are put where the code begins.
 */
#define CODE_AT	   0x1000	/* in the file */
#define CODE_SIZE  0x800
#define CODE_RAM   0x3000
#define DATA_AT	   0x1800
#define DATA_SIZE  0x123
#define NOTES_AT   0x1a00
#define IMAGE	   0x1b00
#define ENTRY	   0x100410u
#define HEADER_AT  (CODE_AT + 0x40)

enum { PT_LOAD = 1, PT_NOTE = 4 };

static void put_segment(u8 *image, u32 index, u32 type, u32 offset, u32 vaddr, u32 paddr,
			u32 file_size, u32 memory_size)
{
	const u32 words[8] = { type, offset, vaddr, paddr, file_size, memory_size, 7, 4 };

	memcpy(image + 52 + 32 * index, words, sizeof(words));
}

static u8 *elf(void)
{
	u8 *image = calloc(1, IMAGE);

	for (size_t i = CODE_AT; i < IMAGE; i++)
		image[i] = (u8)(i * 5 + 1);
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put(image, 16, 2, 2);			/* executable */
	put(image, 18, 3, 2);			/* i386 */
	put(image, 20, 1, 4);
	put(image, 24, 0xc0000000 + ENTRY, 4);
	put(image, 28, 52, 4);			/* program headers */
	put(image, 42, 32, 2);
	put(image, 44, 3, 2);
	put_segment(image, 0, PT_LOAD, CODE_AT, 0xc0100000, 0x100000, CODE_SIZE, CODE_RAM);
	put_segment(image, 1, PT_LOAD, DATA_AT, 0xc0200000, 0x200000, DATA_SIZE, DATA_SIZE);
	put_segment(image, 2, PT_NOTE, NOTES_AT, 0, 0, 0, 0);
	return image;
}

static void put_mb1(u8 *image, size_t at, u32 flags)
{
	put(image, at, 0x1badb002, 4);
	put(image, at + 4, flags, 4);
	put(image, at + 8, -(0x1badb002 + flags), 4);
}

/* Header tags are given with their end tag. */
static void put_mb2(u8 *image, size_t at, const u32 *tags, size_t count)
{
	u32 length = (u32)(16 + 4 * count);

	put(image, at, 0xe85250d6, 4);
	put(image, at + 4, 0, 4);
	put(image, at + 8, length, 4);
	put(image, at + 12, -(0xe85250d6 + length), 4);
	memcpy(image + at + 16, tags, 4 * count);
}

static const u32 no_tags[] = { 0, 8 };

static u8 *mb1_elf(u32 flags)
{
	u8 *image = elf();

	put_mb1(image, HEADER_AT, flags);
	return image;
}

static u8 *mb2_elf(void)
{
	u8 *image = elf();

	put_mb2(image, HEADER_AT, no_tags, 2);
	return image;
}

static u8 *pvh_elf(u32 entry)
{
	u8 *image = elf();
	const u32 note[5] = { 4, 4, 18, 0x006e6558 /* "Xen" */, entry };

	put_segment(image, 2, PT_NOTE, NOTES_AT, 0, 0, sizeof(note), 0);
	memcpy(image + NOTES_AT, note, sizeof(note));
	return image;
}

static void check_elf_in_memory(struct vm *vm, const u8 *image, struct places *places)
{
	assert_memory_equal(vm->ram + 0x100000, image + CODE_AT, CODE_SIZE);
	for (u32 i = CODE_SIZE; i < CODE_RAM; i++)
		assert_int_equal(vm->ram[0x100000 + i], 0);
	assert_memory_equal(vm->ram + 0x200000, image + DATA_AT, DATA_SIZE);
	assert_int_equal(vm->ram[0x200000 + DATA_SIZE], 0);
	place(places, 0x100000, CODE_RAM);
	place(places, 0x200000, DATA_SIZE);
}

static void fill(u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (u8)(i * 11 + 3);
}

static void check_module(struct vm *vm, u64 start, u64 end, const u8 *module, size_t size,
			 struct places *places)
{
	assert_int_equal(end - start, size);
	assert_int_equal(start % 4096, 0);
	assert_memory_equal(vm->ram + start, module, size);
	place(places, start, size);
}

/* --- Multiboot, "Boot information format" --- */

static void check_mb1_map(struct vm *vm, u64 info)
{
	u64 at = guest_number(vm, info + 48, 4), end = at + guest_number(vm, info + 44, 4);
	struct map_piece map[32];
	unsigned count = 0;

	while (at < end) {
		u64 size = guest_number(vm, at, 4);

		assert_true(size >= 20);
		map[count++] = (struct map_piece){ guest_number(vm, at + 4, 8),
						   guest_number(vm, at + 12, 8),
						   (u32)guest_number(vm, at + 20, 4) };
		at += size + 4;
	}
	check_memory_map(vm, map, count);
}

static u64 check_mb1(struct vm *vm, const char *cmdline)
{
	u64 info = vm->vcpu.regs[REG_RBX];

	assert_int_equal(vm->vcpu.regs[REG_RAX], 0x2badb002);
	assert_int_equal(guest_number(vm, info, 4) & 0x245, 0x245);
	assert_int_equal(guest_number(vm, info, 4) & ~0x24dull, 0);
	assert_int_equal(guest_number(vm, info + 4, 4), 639);
	assert_int_equal(guest_number(vm, info + 8, 4), (vm->low - MIB(1)) / 1024);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 16, 4)), cmdline);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 64, 4)), "Lamina 7.8");
	check_mb1_map(vm, info);
	return info;
}

static void test_mb1(void **state)
{
	struct vm *vm = fixture_create(MIB(16), MIB(2));
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3);
	u64 info;

	assert_int_equal(fixture_load(vm, image, IMAGE, "first second", NULL, 0), 0);
	check_protected_mode(vm, ENTRY);
	check_elf_in_memory(vm, image, &places);
	info = check_mb1(vm, "first second");
	assert_int_equal(guest_number(vm, info + 20, 4), 0);
	place(&places, info, 116);
	place(&places, guest_number(vm, info + 16, 4), 13);
	place(&places, guest_number(vm, info + 64, 4), 11);
	place(&places, guest_number(vm, info + 48, 4), guest_number(vm, info + 44, 4));
	check_places(vm, &places);
	assert_int_equal(vm->warnings, 0);
	fixture_said(vm, "loaded: a Multiboot kernel, entry 0x100410, initrd none, "
			 "command line \"first second\"");
	free(image);
	fixture_destroy(vm);
}

static void test_mb1_module(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	struct places places = { .count = 0 };
	u8 *image = mb1_elf(3), module[5000];
	u64 info, entry;

	fill(module, sizeof(module));
	assert_int_equal(fixture_load(vm, image, IMAGE, "", module, sizeof(module)), 0);
	check_elf_in_memory(vm, image, &places);
	info = check_mb1(vm, "");
	assert_int_equal(guest_number(vm, info, 4) & 8, 8);
	assert_int_equal(guest_number(vm, info + 20, 4), 1);
	entry = guest_number(vm, info + 24, 4);
	check_module(vm, guest_number(vm, entry, 4), guest_number(vm, entry + 4, 4), module,
		     sizeof(module), &places);
	assert_string_equal(guest_text(vm, guest_number(vm, entry + 8, 4)), "initrd");
	assert_true(guest_number(vm, entry, 4) >= 0x200000 + DATA_SIZE);	/* behind the kernel */
	place(&places, info, 116);
	place(&places, entry, 16);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

/* The header's own addresses win; the file need not be ELF. */
static void test_mb1_addresses(void **state)
{
	struct vm *vm = fixture_create(MIB(16), 0);
	u8 image[0x600];

	fill(image, sizeof(image));
	put_mb1(image, 0x40, 0x10003);
	put(image, 0x4c, 0x300040, 4);	/* header */
	put(image, 0x50, 0x300000, 4);	/* load */
	put(image, 0x54, 0x300500, 4);	/* load end */
	put(image, 0x58, 0x380000, 4);	/* bss end */
	put(image, 0x5c, 0x300123, 4);	/* entry */
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	check_protected_mode(vm, 0x300123);
	check_mb1(vm, "");
	assert_memory_equal(vm->ram + 0x300000, image, 0x500);
	assert_int_equal(guest_number(vm, 0x300500, 8), 0);
	fixture_destroy(vm);
}

static void test_mb1_refused(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(0x13);
	u8 flat[0x200] = { 0 };

	fixture_refused(vm, image, IMAGE, "this Multiboot kernel is not supported: of the flags");
	free(image);
	put_mb1(flat, 0, 3);
	fixture_refused(vm, flat, sizeof(flat), "no load addresses: expected them, or an ELF file");
	image = mb1_elf(3);
	put(image, 24, 0x100410, 4);	/* a physical address, where a virtual one belongs */
	fixture_refused(vm, image, IMAGE, "the ELF entry 0x100410: expected it in a segment");
	free(image);
	fixture_destroy(vm);
}

static void test_mb1_asks_for_video(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb1_elf(7);

	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "asks for a screen");
	free(image);
	fixture_destroy(vm);
}

/* --- Multiboot2, "Boot information format" --- */

/* The tag's address; 0: there is none. */
static u64 mb2_tag(struct vm *vm, u32 type)
{
	u64 info = vm->vcpu.regs[REG_RBX], at = info + 8;
	u64 end = info + guest_number(vm, info, 4), found = 0;

	for (;; at = ALIGN_UP(at + guest_number(vm, at + 4, 4), 8)) {
		assert_true(at + 8 <= end);
		if (guest_number(vm, at, 4) == type) {
			assert_int_equal(found, 0);
			found = at;
		}
		if (guest_number(vm, at, 4) == 0)
			break;
		assert_true(guest_number(vm, at + 4, 4) > 8);
	}
	assert_int_equal(guest_number(vm, at + 4, 4), 8);
	assert_int_equal(at + 8, end);
	return found;
}

static void check_mb2_map(struct vm *vm)
{
	u64 tag = mb2_tag(vm, 6), size = guest_number(vm, tag + 8, 4);
	unsigned count = (unsigned)((guest_number(vm, tag + 4, 4) - 16) / size);
	struct map_piece map[32];

	assert_int_equal(size % 8, 0);
	assert_int_equal(guest_number(vm, tag + 12, 4), 0);
	for (unsigned i = 0; i < count; i++) {
		u64 at = tag + 16 + size * i;

		map[i] = (struct map_piece){ guest_number(vm, at, 8), guest_number(vm, at + 8, 8),
					     (u32)guest_number(vm, at + 16, 4) };
	}
	check_memory_map(vm, map, count);
}

static void check_mb2(struct vm *vm, const char *cmdline)
{
	u64 info = vm->vcpu.regs[REG_RBX];

	assert_int_equal(vm->vcpu.regs[REG_RAX], 0x36d76289);
	assert_int_equal(info % 8, 0);
	assert_int_equal(guest_number(vm, info + 4, 4), 0);
	assert_string_equal(guest_text(vm, mb2_tag(vm, 1) + 8), cmdline);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 1) + 4, 4), 8 + strlen(cmdline) + 1);
	assert_string_equal(guest_text(vm, mb2_tag(vm, 2) + 8), "Lamina 7.8");
	assert_int_equal(guest_number(vm, mb2_tag(vm, 4) + 8, 4), 639);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 4) + 12, 4), (vm->low - MIB(1)) / 1024);
	check_mb2_map(vm);
	/* ACPI, "Root System Description Pointer": 20 bytes of old, 36 of new. */
	assert_int_equal(guest_number(vm, mb2_tag(vm, 14) + 4, 4), 8 + 20);
	assert_memory_equal(vm->ram + mb2_tag(vm, 14) + 8, vm->ram + 0xe0000, 20);
	assert_int_equal(guest_number(vm, mb2_tag(vm, 15) + 4, 4), 8 + 36);
	assert_memory_equal(vm->ram + mb2_tag(vm, 15) + 8, vm->ram + 0xe0000, 36);
}

static void test_mb2(void **state)
{
	struct vm *vm = fixture_create(MIB(16), GIB(1));
	struct places places = { .count = 0 };
	u8 *image = mb2_elf(), module[5000];
	char cmdline[2048];
	u64 tag;

	fill(module, sizeof(module));
	memset(cmdline, 'c', sizeof(cmdline) - 1);
	cmdline[2047] = 0;
	assert_int_equal(fixture_load(vm, image, IMAGE, cmdline, module, sizeof(module)), 0);
	check_protected_mode(vm, ENTRY);
	check_elf_in_memory(vm, image, &places);
	check_mb2(vm, cmdline);
	tag = mb2_tag(vm, 3);
	check_module(vm, guest_number(vm, tag + 8, 4), guest_number(vm, tag + 12, 4), module,
		     sizeof(module), &places);
	assert_string_equal(guest_text(vm, tag + 16), "initrd");
	place(&places, vm->vcpu.regs[REG_RBX], guest_number(vm, vm->vcpu.regs[REG_RBX], 4));
	check_places(vm, &places);
	/* No room was taken that the largest information does not fit in. */
	assert_true(guest_number(vm, vm->vcpu.regs[REG_RBX], 4) <= 512 + 2047);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_without_module(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb2_elf();

	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_mb2(vm, "");
	assert_int_equal(mb2_tag(vm, 3), 0);
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_wins_over_mb1(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = mb2_elf();

	put_mb1(image, HEADER_AT - 0x20, 3);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_mb2(vm, "");
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_entry_tag(void **state)
{
	const u32 tags[] = { 3, 12, 0x100500, 0, 0, 8 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf();

	put_mb2(image, HEADER_AT, tags, ARRAY_SIZE(tags));
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_protected_mode(vm, 0x100500);
	put(image, HEADER_AT + 24, 0x180000, 4);
	fixture_refused(vm, image, IMAGE, "the entry 0x180000 lies outside of what is loaded");
	free(image);
	fixture_destroy(vm);
}

static void test_mb2_demands(void **state)
{
	const u32 met[] = { 1, 24, 1, 4, 6, 15, 0, 8 };	/* requires tags 1, 4, 6 and 15 */
	const u32 unmet[] = { 1, 16, 6, 9, 0, 8 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf();

	put_mb2(image, HEADER_AT, met, ARRAY_SIZE(met));
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	put_mb2(image, HEADER_AT, unmet, ARRAY_SIZE(unmet));
	fixture_refused(vm, image, IMAGE, "requires the information tag of type 9");
	free(image);
	fixture_destroy(vm);
}

/* --- PVH --- */

static void check_pvh_map(struct vm *vm, u64 info)
{
	u64 at = guest_number(vm, info + 40, 8);
	unsigned count = (unsigned)guest_number(vm, info + 48, 4);
	struct map_piece map[32];

	for (unsigned i = 0; i < count; i++, at += 24)
		map[i] = (struct map_piece){ guest_number(vm, at, 8), guest_number(vm, at + 8, 8),
					     (u32)guest_number(vm, at + 16, 4) };
	check_memory_map(vm, map, count);
}

static void test_pvh(void **state)
{
	struct vm *vm = fixture_create(MIB(16), MIB(2));
	struct places places = { .count = 0 };
	u8 *image = pvh_elf(ENTRY), module[5000];
	u64 info, entry;

	fill(module, sizeof(module));
	assert_int_equal(fixture_load(vm, image, IMAGE, "one two", module, sizeof(module)), 0);
	check_protected_mode(vm, ENTRY);
	check_elf_in_memory(vm, image, &places);
	info = vm->vcpu.regs[REG_RBX];
	assert_int_equal(guest_number(vm, info, 4), 0x336ec578);
	assert_int_equal(guest_number(vm, info + 4, 4), 1);
	assert_int_equal(guest_number(vm, info + 8, 4), 0);
	assert_int_equal(guest_number(vm, info + 12, 4), 1);
	assert_string_equal(guest_text(vm, guest_number(vm, info + 24, 8)), "one two");
	assert_int_equal(guest_number(vm, info + 32, 8), 0xe0000);
	check_pvh_map(vm, info);
	entry = guest_number(vm, info + 16, 8);
	check_module(vm, guest_number(vm, entry, 8),
		     guest_number(vm, entry, 8) + guest_number(vm, entry + 8, 8), module,
		     sizeof(module), &places);
	place(&places, info, 56);
	place(&places, entry, 32);
	place(&places, guest_number(vm, info + 24, 8), 8);
	check_places(vm, &places);
	free(image);
	fixture_destroy(vm);
}

static void test_pvh_without_module(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ENTRY);

	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	assert_int_equal(guest_number(vm, vm->vcpu.regs[REG_RBX] + 12, 4), 0);
	assert_int_equal(guest_number(vm, vm->vcpu.regs[REG_RBX] + 16, 8), 0);
	free(image);
	fixture_destroy(vm);
}

static void test_pvh_entry_elsewhere(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(0x100000 + CODE_RAM);

	fixture_refused(vm, image, IMAGE, "the PVH entry 0x103000 lies outside");
	free(image);
	fixture_destroy(vm);
}

/* --- ELF segments --- */

static void test_segments_that_do_not_fit(void **state)
{
	static const struct {
		u32 address, size;
		const char *words;
	} bad[] = {
		{ 0x400000, 0x1000, "ELF segment 1, 0x1000 bytes at 0x400000: expected it in RAM" },
		{ 0x3ff000, 0x1001, "expected it in RAM" },
		{ 0x9fc00, 0x123, "expected it in RAM, below 0x9fc00 or from 0x100000 up to 0x400000" },
		{ 0x9f000, 0x1000, "expected it in RAM" },
		{ 0xa0000, 0x123, "expected it in RAM" },
		{ 0xe0000, 0x123, "expected it in RAM" },
		{ 0xfffff000, 0x123, "expected it in RAM" },
		{ 0x100000, 0x123, "ELF segment 1 at 0x100000-0x100122 overlaps what is loaded at "
				   "0x100000-0x102fff" },
		{ 0x102fff, 0x123, "overlaps" },
	};
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ENTRY);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_segment(image, 1, PT_LOAD, DATA_AT, 0xc0200000, bad[i].address, DATA_SIZE,
			    bad[i].size);
		fixture_refused(vm, image, IMAGE, bad[i].words);
	}
	fixture_destroy(vm);
	vm = fixture_create(MIB(4), 0);
	put_segment(image, 1, PT_LOAD, DATA_AT, 0xc0103000, 0x103000, DATA_SIZE, 0x2fd000);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	free(image);
	fixture_destroy(vm);
}

/* What the guest is told moves out of the way of a kernel in low memory. */
static void test_kernel_in_low_memory(void **state)
{
	static const struct {
		u32 address, size;
	} kernels[] = { { 0x1000, 0x9ec00 }, { 0x10000, 0x1000 }, { 0x9f000, 0xc00 }, { 0x8000, 0x9000 } };

	for (size_t i = 0; i < ARRAY_SIZE(kernels); i++) {
		struct vm *vm = fixture_create(MIB(4), 0);
		struct places places = { .count = 0 };
		u8 *image = pvh_elf(ENTRY);

		put_segment(image, 1, PT_LOAD, DATA_AT, 0, kernels[i].address, DATA_SIZE,
			    kernels[i].size);
		assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
		assert_memory_equal(vm->ram + kernels[i].address, image + DATA_AT, DATA_SIZE);
		place(&places, kernels[i].address, kernels[i].size);
		place(&places, 0x100000, CODE_RAM);
		place(&places, vm->vcpu.regs[REG_RBX], 56);
		check_places(vm, &places);
		free(image);
		fixture_destroy(vm);
	}
}

static void test_no_room_beside_the_kernel(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = pvh_elf(ENTRY), module[5000] = { 0 };

	put_segment(image, 1, PT_LOAD, DATA_AT, 0, 0x103000, DATA_SIZE, 0x2fd000);
	assert_int_not_equal(fixture_load(vm, image, IMAGE, "", module, sizeof(module)), 0);
	fixture_said(vm, "the initrd of 4 KiB does not fit behind the kernel, which ends at 0x400000");
	put_segment(image, 2, PT_LOAD, DATA_AT, 0, 0x1000, DATA_SIZE, 0x9ec00);
	memcpy(image + HEADER_AT, (u32[]){ 0x1badb002, 0, -0x1badb002u }, 12);
	fixture_refused(vm, image, IMAGE, "bytes of boot information: expected a larger mem=");
	free(image);
	fixture_destroy(vm);
}

static void test_elf_refused(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = elf();

	fixture_refused(vm, image, IMAGE, "an ELF file that does not say how to enter it: expected");
	put(image, 18, 62 + 1, 2);
	fixture_refused(vm, image, IMAGE, "damaged ELF file: the ELF machine");
	put_mb1(image, HEADER_AT, 3);
	fixture_refused(vm, image, IMAGE, "damaged ELF file: the ELF machine");
	free(image);
	fixture_destroy(vm);
}

/* --- flat binaries --- */

static void test_flat(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 image[512];

	fill(image, sizeof(image));
	image[510] = 0x55;
	image[511] = 0xaa;
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", NULL, 0), 0);
	assert_memory_equal(vm->ram + 0x7c00, image, sizeof(image));
	assert_int_equal(vm->controls[CTL_CR0], 0x10);
	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RIP), 0x7c00);
	assert_int_equal(vcpu_rflags(&vm->vcpu), 2);
	assert_int_equal(vm->vcpu.regs[REG_RDX], 0x80);
	for (int i = SEG_ES; i <= SEG_GS; i++) {
		assert_int_equal(vm->segments[i].selector, 0);
		assert_int_equal(vm->segments[i].base, 0);
		assert_int_equal(vm->segments[i].limit, 0xffff);
		assert_true(vm->segments[i].present && vm->segments[i].s);
		assert_int_equal(vm->segments[i].type, i == SEG_CS ? 11 : 3);
	}
	assert_int_equal(vm->warnings, 0);
	fixture_destroy(vm);
}

static void test_flat_gets_no_command_line(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 image[16] = { 0xf4 };

	assert_int_equal(fixture_load(vm, image, sizeof(image), "quiet", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	assert_int_equal(fixture_load(vm, image, sizeof(image), "", image, sizeof(image)), 0);
	assert_int_equal(vm->warnings, 2);
	fixture_destroy(vm);
}

static void test_size_of_flat(void **state)
{
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = calloc(1, 0x98001);

	image[0x97fff] = 0x77;
	assert_int_equal(fixture_load(vm, image, 0x98000, "", NULL, 0), 0);
	assert_int_equal(vm->ram[0x9fbff], 0x77);
	fixture_refused(vm, image, 0x98001, "the kernel's kind is unknown: expected a Linux bzImage");
	fixture_refused(vm, image, 0, "the kernel's file is empty");
	fixture_refused(vm, NULL, 0, "the kernel's file is empty");
	free(image);
	fixture_destroy(vm);
}

/* --- hostile ones --- */

static void use(const u8 *data, size_t size)
{
	struct vm *vm = fixture_create(MIB(4), MIB(2));

	if (!fixture_load(vm, data, size, "a b c", data, size))
		assert_true(guest_is_ram(vm, vcpu_reg_read(&vm->vcpu, REG_RIP), 1));
	fixture_destroy(vm);
}

static void hostile(u8 *image)
{
	/* The headers lie close together, so that most mutations hit them. */
	random_mutations(image, IMAGE, 52 + 3 * 32, 1500, use);
	random_mutations(image, IMAGE, IMAGE, 500, use);
	each_byte_mutation(image, IMAGE, 52 + 3 * 32, use);
	free(image);
}

static void test_hostile(void **state)
{
	u8 *image = mb2_elf();

	each_truncation(image, IMAGE, use);
	free(image);
	hostile(mb1_elf(3));
	hostile(mb2_elf());
	hostile(pvh_elf(ENTRY));
}

/* More segments than anybody has, each of one byte. */
static void test_many_segments(void **state)
{
	enum { COUNT = 1000 };
	struct vm *vm = fixture_create(MIB(4), 0);
	u8 *image = calloc(1, 0x3000 + COUNT * 32);

	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put(image, 16, 2, 2);
	put(image, 18, 3, 2);
	put(image, 20, 1, 4);
	put(image, 24, 0x100000, 4);
	put(image, 28, 0x3000, 4);
	put(image, 42, 32, 2);
	put(image, 44, COUNT, 2);
	put_mb1(image, 0x1000, 3);
	for (u32 i = 0; i < COUNT; i++) {
		const u32 words[8] = { PT_LOAD, 0, 0x100000 + i, 0x100000 + i, 1, 1, 7, 1 };

		memcpy(image + 0x3000 + 32 * i, words, sizeof(words));
	}
	fixture_refused(vm, image, 0x3000 + COUNT * 32, "it has more than 72 parts");
	free(image);
	fixture_destroy(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mb1),
		cmocka_unit_test(test_mb1_module),
		cmocka_unit_test(test_mb1_addresses),
		cmocka_unit_test(test_mb1_refused),
		cmocka_unit_test(test_mb1_asks_for_video),
		cmocka_unit_test(test_mb2),
		cmocka_unit_test(test_mb2_without_module),
		cmocka_unit_test(test_mb2_wins_over_mb1),
		cmocka_unit_test(test_mb2_entry_tag),
		cmocka_unit_test(test_mb2_demands),
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_pvh_without_module),
		cmocka_unit_test(test_pvh_entry_elsewhere),
		cmocka_unit_test(test_segments_that_do_not_fit),
		cmocka_unit_test(test_kernel_in_low_memory),
		cmocka_unit_test(test_no_room_beside_the_kernel),
		cmocka_unit_test(test_elf_refused),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_flat_gets_no_command_line),
		cmocka_unit_test(test_size_of_flat),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_many_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
