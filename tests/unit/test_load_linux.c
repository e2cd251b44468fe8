/* SPDX-License-Identifier: MIT */
/* Linux kernels: the entry state of the 64-bit boot protocol, and damaged and hostile files. */
/* link: tests/unit/loader_fixture.c core/load/loader.c core/load/common.c core/load/linux.c */
/* link: core/load/multiboot.c core/load/multiboot_info.c core/load/elf.c core/load/pvh.c core/load/flat.c */
/* link: core/load/bios.c core/load/bios_rom.asm */
/* link: core/load/firmware.c lib/pc_firmware.c */
/* link: lib/bzimage.c lib/crc32.c lib/elf.c lib/multiboot.c lib/string.c */

#include "loader_fixture.h"

#include "arch/cpu/x86.h"

void service_pause(void) { }

#define SETUP	(3 * 512)
#define KERNEL	(80 * 16)
#define IMAGE	(SETUP + KERNEL)
#define PREF	0x1000000ull
#define INIT	0x800000ull

/* Offsets in the file and in the zero page: boot.rst, "Details of Header Fields", zero-page.rst. */
enum field {
	RSDP = 0x70, EXT_RAMDISK_IMAGE = 0xc0, EXT_RAMDISK_SIZE = 0xc4, EXT_CMD_LINE = 0xc8,
	E820_ENTRIES = 0x1e8, SENTINEL = 0x1ef, SETUP_SECTS = 0x1f1, SYSSIZE = 0x1f4,
	BOOT_FLAG = 0x1fe, JUMP = 0x200, MAGIC = 0x202, PROTOCOL = 0x206, KERNEL_VERSION = 0x20e,
	LOADER = 0x210,
	LOADFLAGS = 0x211, RAMDISK_IMAGE = 0x218, RAMDISK_SIZE = 0x21c, CMD_LINE = 0x228,
	INITRD_ADDR_MAX = 0x22c, KERNEL_ALIGNMENT = 0x230, RELOCATABLE = 0x234, XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238, PAYLOAD_OFFSET = 0x248, PAYLOAD_LENGTH = 0x24c, PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260, E820_TABLE = 0x2d0,
};

/* Append a CRC-32, as the kernel's build does: it makes the CRC-32 of the whole image zero. */
static void put_checksum(u8 *image)
{
	u32 crc = 0xffffffff;

	for (size_t i = 0; i < IMAGE - 4; i++) {
		crc ^= image[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
	}
	put(image, IMAGE - 4, crc, 4);
}

static u8 *good(void)
{
	u8 *image = calloc(1, IMAGE);

	for (size_t i = SETUP; i < IMAGE; i++)
		image[i] = (u8)(i * 7);
	put(image, SETUP_SECTS, 2, 1);
	put(image, SYSSIZE, KERNEL / 16, 4);
	put(image, BOOT_FLAG, 0xaa55, 2);
	put(image, JUMP, 0x6aeb, 2);
	memcpy(image + MAGIC, "HdrS", 4);
	put(image, PROTOCOL, 0x20f, 2);
	put(image, KERNEL_VERSION, 0x1a0, 2);
	memcpy(image + 0x3a0, "6.1.0-test", 11);
	put(image, LOADFLAGS, 1, 1);
	put(image, INITRD_ADDR_MAX, 0x7fffffff, 4);
	put(image, KERNEL_ALIGNMENT, 0x200000, 4);
	put(image, RELOCATABLE, 1, 1);
	put(image, XLOADFLAGS, 0x7f, 2);
	put(image, CMDLINE_SIZE, 100, 4);
	put(image, PAYLOAD_OFFSET, 0x100, 4);
	put(image, PAYLOAD_LENGTH, 0x200, 4);
	put(image, PREF_ADDRESS, PREF, 8);
	put(image, INIT_SIZE, INIT, 4);
	put_checksum(image);
	return image;
}

static u64 zero_page(struct vm *vm)
{
	return vm->vcpu.regs[REG_RSI];
}

static u64 field(struct vm *vm, enum field at, size_t width)
{
	return guest_number(vm, zero_page(vm) + at, width);
}

/* SDM, "4-Level Paging": translate a linear address with the guest's tables. ~0: not mapped. */
static u64 walk(struct vm *vm, u64 linear, struct places *tables)
{
	u64 entry = vm->controls[CTL_CR3];

	for (int shift = 39; shift >= 12; shift -= 9) {
		u64 table = entry & 0x000ffffffffff000;

		if (tables)
			place(tables, table, 4096);
		entry = guest_number(vm, table + (linear >> shift & 511) * 8, 8);
		if ((entry & 3) != 3 || entry >> 63)
			return ~0ull;
		if (shift < 39 && (entry & 0x80))
			return (entry & 0x000ffffffffff000) + (linear & ((1ull << shift) - 1));
	}
	return (entry & 0x000ffffffffff000) + (linear & 4095);
}

static void check_descriptor(struct vm *vm, u16 selector, const struct segment *segment)
{
	u64 raw = guest_number(vm, vm->gdt.base + selector, 8);
	u32 limit = (u32)((raw & 0xffff) | (raw >> 32 & 0xf0000));

	assert_int_equal(segment->selector, selector);
	assert_true(selector + 7 <= vm->gdt.limit);
	assert_int_equal((raw >> 16 & 0xffffff) | (raw >> 32 & 0xff000000), segment->base);
	assert_int_equal(raw >> 55 & 1 ? limit << 12 | 0xfff : limit, segment->limit);
	assert_int_equal(raw >> 40 & 15, segment->type);
	assert_int_equal(raw >> 44 & 1, segment->s);
	assert_int_equal(raw >> 45 & 3, segment->dpl);
	assert_int_equal(raw >> 47 & 1, segment->present);
	assert_int_equal(raw >> 53 & 1, segment->l);
	assert_int_equal(raw >> 54 & 1, segment->db);
}

/* boot.rst, "64-bit Boot Protocol" */
static void check_entry_state(struct vm *vm, u64 kernel)
{
	static const enum vcpu_segment data[] = { SEG_DS, SEG_ES, SEG_SS };

	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RIP), kernel + 0x200);
	assert_int_equal(vcpu_rflags(&vm->vcpu), 2);
	assert_int_equal(vm->controls[CTL_CR0], CR0_PE | CR0_ET | CR0_NE | CR0_PG);
	assert_int_equal(vm->controls[CTL_CR4], CR4_PAE);
	assert_int_equal(vm->controls[CTL_EFER], EFER_LME | EFER_LMA);

	assert_int_equal(vm->gdt.limit % 8, 7);	/* SDM, "Segment Descriptor Tables": 8 * N - 1 */
	assert_int_equal(vm->gdt.limit, 0x1f);
	check_descriptor(vm, 0x10, &vm->segments[SEG_CS]);
	assert_true(vm->segments[SEG_CS].l && !vm->segments[SEG_CS].db);
	assert_int_equal(vm->segments[SEG_CS].type & 10, 10);	/* execute, read */
	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		check_descriptor(vm, 0x18, &vm->segments[data[i]]);
		assert_int_equal(vm->segments[data[i]].type & 10, 2);	/* read, write */
	}
	assert_int_equal(vm->segments[SEG_TR].type, 11);	/* what IA-32e mode needs */
	assert_true(vm->segments[SEG_LDTR].unusable);
	for (u64 linear = 0; linear < GIB(4); linear += MIB(1) + 4099)
		assert_int_equal(walk(vm, linear, NULL), linear);
	assert_int_equal(walk(vm, GIB(4) - 1, NULL), GIB(4) - 1);
	for (u64 linear = GIB(4); linear < GIB(6); linear += MIB(2))	/* nothing else is mapped */
		assert_int_equal(walk(vm, linear, NULL), ~0ull);
	for (u64 linear = GIB(6); linear < GIB(512); linear += GIB(1))
		assert_int_equal(walk(vm, linear, NULL), ~0ull);
	for (u64 linear = GIB(512); linear < GIB(512) * 512; linear += GIB(512))
		assert_int_equal(walk(vm, linear, NULL), ~0ull);
}

static void check_map(struct vm *vm)
{
	struct map_piece map[128];
	u64 count = field(vm, E820_ENTRIES, 1);

	for (u64 i = 0; i < count; i++)
		map[i] = (struct map_piece){
			field(vm, E820_TABLE + 20 * i, 8), field(vm, E820_TABLE + 20 * i + 8, 8),
			(u32)field(vm, E820_TABLE + 20 * i + 16, 4),
		};
	check_memory_map(vm, map, count);
}

static void check_all_places(struct vm *vm, u64 kernel)
{
	struct places places = { .count = 0 };

	place(&places, kernel, INIT);
	place(&places, zero_page(vm), 4096);
	place(&places, field(vm, CMD_LINE, 4), strlen(guest_text(vm, field(vm, CMD_LINE, 4))) + 1);
	if (field(vm, RAMDISK_SIZE, 4))
		place(&places, field(vm, RAMDISK_IMAGE, 4), field(vm, RAMDISK_SIZE, 4));
	place(&places, vm->gdt.base, vm->gdt.limit + 1);
	walk(vm, 0, &places);
	check_places(vm, &places);
}

static void test_kernel_alone(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();

	put(image, 0x268, 0x11223344, 4);	/* the setup header's last field, and bytes behind it */
	put(image, 0x26c, ~0ull, 8);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "console=ttyS0 quiet", NULL, 0), 0);
	assert_int_equal(vm->warnings, 0);
	check_entry_state(vm, PREF);
	check_all_places(vm, PREF);
	check_map(vm);
	assert_memory_equal(vm->ram + PREF, image + SETUP, KERNEL);

	assert_string_equal(guest_text(vm, field(vm, CMD_LINE, 4)), "console=ttyS0 quiet");
	assert_int_equal(field(vm, EXT_CMD_LINE, 4), 0);
	assert_int_equal(field(vm, RAMDISK_IMAGE, 4), 0);
	assert_int_equal(field(vm, RAMDISK_SIZE, 4), 0);
	assert_int_equal(field(vm, LOADER, 1), 0xff);
	assert_int_equal(field(vm, SENTINEL, 1), 0);
	assert_int_equal(field(vm, RSDP, 8), 0xe0000);
	/* The setup header up to its end at 0x26c, and nothing behind it. */
	assert_int_equal(field(vm, SETUP_SECTS, 1), 2);
	assert_int_equal(field(vm, INIT_SIZE, 4), INIT);
	assert_int_equal(field(vm, PROTOCOL, 2), 0x20f);
	assert_int_equal(field(vm, 0x268, 4), 0x11223344);
	assert_int_equal(field(vm, 0x26c, 8), 0);
	fixture_said(vm, "Linux 6.1.0-test, entry 0x1000200, initrd none, "
			 "command line \"console=ttyS0 quiet\"");
	free(image);
	fixture_destroy(vm);
}

/* boot.rst, "32-bit Boot Protocol" */
static void test_32bit_kernel(void **state)
{
	static const enum vcpu_segment data[] = { SEG_DS, SEG_ES, SEG_SS };
	struct vm *vm = fixture_create(MIB(64), GIB(1));
	u8 *image = good(), initrd[100];

	fill(initrd, sizeof(initrd));
	put(image, XLOADFLAGS, 0, 2);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "quiet", initrd, sizeof(initrd)), 0);
	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RIP), PREF);	/* the kernel's first byte */
	assert_memory_equal(vm->ram + PREF, image + SETUP, KERNEL);
	assert_int_equal(vcpu_rflags(&vm->vcpu), 2);			/* interrupts off */
	assert_int_equal(vm->controls[CTL_CR0] & (CR0_PE | CR0_PG), CR0_PE);
	assert_int_equal(vm->controls[CTL_CR4], 0);
	assert_int_equal(vm->controls[CTL_EFER], 0);
	for (enum vcpu_reg reg = REG_RBX; reg <= REG_RDI; reg++)	/* EBP, EDI and EBX are 0 */
		if (reg == REG_RBX || reg == REG_RBP || reg == REG_RDI)
			assert_int_equal(vm->vcpu.regs[reg], 0);
	assert_true(vm->gdt_set);
	check_descriptor(vm, 0x10, &vm->segments[SEG_CS]);
	assert_true(vm->segments[SEG_CS].db && !vm->segments[SEG_CS].l);
	assert_int_equal(vm->segments[SEG_CS].limit, 0xffffffff);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		check_descriptor(vm, 0x18, &vm->segments[data[i]]);
	assert_true(zero_page(vm) != 0);
	assert_string_equal(guest_text(vm, field(vm, CMD_LINE, 4)), "quiet");
	assert_int_equal(field(vm, RAMDISK_SIZE, 4), sizeof(initrd));
	assert_memory_equal(vm->ram + field(vm, RAMDISK_IMAGE, 4), initrd, sizeof(initrd));
	fixture_said(vm, "loaded: 32-bit Linux 6.1.0-test, entry 0x1000000, ");
	assert_int_equal(vm->warnings, 0);
	free(image);
	fixture_destroy(vm);
}

/* It takes an initrd, and is not told of other modules. */
static void test_modules_are_refused(void **state)
{
	static const struct guest_module modules[] = {
		{ .size = 1, .string = "", .is_initrd = true }, { .size = 1, .string = "" },
	};
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();
	const struct guest_image guest = {
		.kernel = image, .kernel_size = IMAGE, .cmdline = "", .modules = modules, .module_count = 2, .map = fixture_map,
	};

	assert_int_equal(fixture_load_image(vm, &guest), -EINVAL);
	fixture_said(vm, "Linux takes an initrd and no other modules: expected no role=module");
	free(image);
	fixture_destroy(vm);
}

static void check_initrd(u64 ram, u64 high, u64 addr_max, u64 end)
{
	struct vm *vm = fixture_create(ram, high);
	u8 *image = good(), initrd[0x3001];
	u64 at;

	for (size_t i = 0; i < sizeof(initrd); i++)
		initrd[i] = (u8)(i * 11 + 3);
	put(image, INITRD_ADDR_MAX, addr_max, 4);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", initrd, sizeof(initrd)), 0);
	at = field(vm, RAMDISK_IMAGE, 4);
	assert_int_equal(at, end - 0x4000);	/* page-aligned, as high as it goes */
	assert_int_equal(field(vm, RAMDISK_SIZE, 4), sizeof(initrd));
	assert_int_equal(field(vm, EXT_RAMDISK_IMAGE, 8), 0);
	assert_memory_equal(vm->ram + at, initrd, sizeof(initrd));
	check_entry_state(vm, PREF);
	check_all_places(vm, PREF);
	check_map(vm);
	free(image);
	fixture_destroy(vm);
}

static void test_initrd(void **state)
{
	check_initrd(MIB(64), 0, 0x7fffffff, MIB(64));
	check_initrd(GIB(3), GIB(2), 0x7fffffff, GIB(2));
	check_initrd(GIB(3), 0, 0xffffffff, GIB(3));
	check_initrd(MIB(64), 0, 0x37fffff, MIB(56));
	/* Below the kernel, where the kernel occupies the end of RAM. */
	check_initrd(PREF + INIT, 0, 0x7fffffff, PREF);
	check_initrd(PREF + INIT + MIB(2), 0, PREF + INIT + 0x2fff, PREF);
}

static void test_initrd_that_does_not_fit(void **state)
{
	struct vm *vm = fixture_create(PREF + INIT + MIB(2), 0);
	u8 *image = good(), *initrd = calloc(1, MIB(16));

	assert_int_not_equal(fixture_load(vm, image, IMAGE, "", initrd, MIB(16)), 0);
	fixture_said(vm, "the initrd of 16384 KiB does not fit beside the kernel, which needs 8192 KiB");
	vm->errors = 0;
	assert_int_not_equal(fixture_load(vm, image, IMAGE, "", initrd, 0), 0);
	fixture_said(vm, "the initrd's file is empty");
	free(initrd);
	free(image);
	fixture_destroy(vm);
}

static void test_too_little_memory(void **state)
{
	struct vm *vm = fixture_create(MIB(22), 0);
	u8 *image = good();

	fixture_refused(vm, image, IMAGE,
			"the kernel must have RAM from 0x1000000 to 0x17fffff, and the VM's ends "
			"at 0x15fffff: expected mem=24M or more");
	vm->low = MIB(24);
	vm->errors = 0;
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	free(image);
	fixture_destroy(vm);
}

static void test_fixed_address(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();

	put(image, RELOCATABLE, 0, 1);
	put(image, PREF_ADDRESS, 0x200000, 8);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_entry_state(vm, 0x200000);
	check_all_places(vm, 0x200000);
	free(image);
	fixture_destroy(vm);
}

/* The highest possible address: the kernel ends at 3 GiB, where the hole for devices begins. */
static void test_highest_address(void **state)
{
	struct vm *vm = fixture_create(GIB(3), 0);
	u8 *image = good();

	put(image, PREF_ADDRESS, GIB(3) - INIT, 8);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_entry_state(vm, GIB(3) - INIT);
	free(image);
	fixture_destroy(vm);
}

/* The message recommends a multiple of 2 MiB, the step of mem=. */
static void test_memory_that_is_advised(void **state)
{
	struct vm *vm = fixture_create(MIB(24), 0);
	u8 *image = good();

	put(image, INIT_SIZE, INIT + 0x1000, 4);
	fixture_refused(vm, image, IMAGE,
			"RAM from 0x1000000 to 0x1800fff, and the VM's ends at 0x17fffff: expected mem=26M");
	free(image);
	fixture_destroy(vm);
}

/* Command line and zero page take a page each, the page tables and the GDT seven. */
static void test_no_room_for_information(void **state)
{
	static const char *const words[] = {
		"no room for 4 bytes of boot information", "no room for 4096 bytes of boot information",
		"no room for 24608 bytes of boot information",
	};
	const struct load_range kernel = { PREF, PREF + INIT };
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();
	const struct guest_image guest = { .kernel = image, .kernel_size = IMAGE, .cmdline = "abc" };

	for (u32 pages = 0; pages <= 9; pages++) {
		int error = fixture_load_cramped(vm, load_linux, &guest, pages, &kernel);

		assert_int_equal(error, pages < 9 ? -ENOMEM : 0);
		assert_int_equal(vm->errors, pages < 9);
		if (error)
			fixture_said(vm, words[MIN(pages, 2u)]);
	}
	free(image);
	fixture_destroy(vm);
}

static void test_version_that_is_not_given(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();

	put(image, KERNEL_VERSION, 0, 2);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	fixture_said(vm, "loaded: Linux of an unknown version, entry 0x1000200");
	free(image);
	fixture_destroy(vm);
}

/* Below 1 MiB there is no place for a kernel. */
static void test_low_address(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();

	put(image, PREF_ADDRESS, 0, 8);
	put_checksum(image);
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	check_entry_state(vm, 0x200000);	/* kernel_alignment's first multiple above 1 MiB */
	put(image, RELOCATABLE, 0, 1);
	fixture_refused(vm, image, IMAGE, "the guest cannot be loaded");
	free(image);
	fixture_destroy(vm);
}

static void test_command_line(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();
	char text[102];

	memset(text, 'x', sizeof(text));
	text[101] = 0;
	assert_int_not_equal(fixture_load(vm, image, IMAGE, text, NULL, 0), 0);
	fixture_said(vm, "the command line has 101 characters, expected at most 100");
	vm->errors = 0;
	text[100] = 0;
	assert_int_equal(fixture_load(vm, image, IMAGE, text, NULL, 0), 0);
	assert_string_equal(guest_text(vm, field(vm, CMD_LINE, 4)), text);
	free(image);
	fixture_destroy(vm);
}

static void test_damaged(void **state)
{
	static const struct {
		enum field field;
		u64 value;
		size_t width;
		const char *words;
	} damages[] = {
		{ SYSSIZE, KERNEL / 16 + 1, 4, "damaged bzImage of 2816 bytes: the file is cut" },
		{ INIT_SIZE, 16, 4, "init_size" },
		{ KERNEL_ALIGNMENT, 3, 4, "kernel_alignment" },
		{ PREF_ADDRESS, 1ull << 40, 8, "damaged bzImage: it is to lie at 0x10000000000-" },
		{ PREF_ADDRESS, 0xbfa00000, 8, 
		  "damaged bzImage: it is to lie at 0xbfa00000-0xc01fffff, expected below 0xc0000000" },
		{ PROTOCOL, 0x209, 2, "this bzImage is not supported: the boot protocol" },
	};
	struct vm *vm = fixture_create(MIB(64), 0);

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		u8 *image = good();

		put(image, damages[i].field, damages[i].value, damages[i].width);
		fixture_refused(vm, image, IMAGE, damages[i].words);
		free(image);
	}
	fixture_destroy(vm);
}

static void test_checksum(void **state)
{
	struct vm *vm = fixture_create(MIB(64), 0);
	u8 *image = good();

	image[SETUP + 700] ^= 0x10;
	assert_int_equal(fixture_load(vm, image, IMAGE, "", NULL, 0), 0);
	assert_int_equal(vm->warnings, 1);
	fixture_said(vm, "the bzImage's checksum does not match");
	free(image);
	fixture_destroy(vm);
}

static void use(const u8 *data, size_t size)
{
	struct vm *vm = fixture_create(MIB(64), MIB(2));
	u64 rip;

	if (!fixture_load(vm, data, size, "a b c", data, size)) {
		rip = vcpu_reg_read(&vm->vcpu, REG_RIP);
		assert_true(rip < vm->low);
		if (vm->gdt_set && (vm->controls[CTL_CR0] & CR0_PG))	/* otherwise as a 32-bit kernel */
			check_entry_state(vm, rip - 0x200);
	}
	fixture_destroy(vm);
}

static void test_hostile(void **state)
{
	u8 *image = good();

	each_truncation(image, IMAGE, use);
	random_mutations(image, IMAGE, 0x290, 2000, use);
	each_byte_mutation(image, IMAGE, 0x290, use);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_alone),
		cmocka_unit_test(test_32bit_kernel),
		cmocka_unit_test(test_modules_are_refused),
		cmocka_unit_test(test_initrd),
		cmocka_unit_test(test_initrd_that_does_not_fit),
		cmocka_unit_test(test_too_little_memory),
		cmocka_unit_test(test_fixed_address),
		cmocka_unit_test(test_highest_address),
		cmocka_unit_test(test_memory_that_is_advised),
		cmocka_unit_test(test_no_room_for_information),
		cmocka_unit_test(test_version_that_is_not_given),
		cmocka_unit_test(test_low_address),
		cmocka_unit_test(test_command_line),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
