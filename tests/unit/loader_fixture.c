/* SPDX-License-Identifier: MIT */
/* The VM of the loaders' tests: see loader_fixture.h. */
#include "loader_fixture.h"

#include <stdio.h>
#include <sys/mman.h>

#include "arch/cpu/x86.h"
#include "core/bios_call.h"
#include "core/io.h"
#include "core/mem/guest_mem.h"
#include "core/vm_log.h"

const char load_boot_loader_name[] = "Lamina 7.8";

static struct vm *current;

/* --- the vCPU --- */

static void segment_set(struct vcpu *vcpu, enum vcpu_segment index, const struct segment *segment)
{
	vcpu->vm->segments[index] = *segment;
}

static void table_set(struct vcpu *vcpu, bool idt, const struct descriptor_table *table)
{
	assert_false(idt);
	vcpu->vm->gdt = *table;
	vcpu->vm->gdt_set = true;
}

static void control_set(struct vcpu *vcpu, enum vcpu_control control, u64 value)
{
	u64 *controls = vcpu->vm->controls;

	/* SDM, "Initializing IA-32e Mode": LME changes before paging is enabled. */
	if (control == CTL_EFER && (controls[CTL_CR0] & CR0_PG))
		assert_int_equal((controls[CTL_EFER] ^ value) & EFER_LME, 0);
	controls[control] = value;
	controls[CTL_EFER] &= ~EFER_LMA;
	if ((controls[CTL_EFER] & EFER_LME) && (controls[CTL_CR0] & CR0_PG)) {
		assert_true(controls[CTL_CR4] & CR4_PAE);
		controls[CTL_EFER] |= EFER_LMA;
	}
}

static void reg_fetch(struct vcpu *vcpu, enum vcpu_reg reg)
{
	fail_msg("register %d was never written", reg);
}

static const struct vcpu_ops ops = {
	.segment_set = segment_set, .table_set = table_set, .control_set = control_set,
	.reg_fetch = reg_fetch,
};

/* --- set-up --- */

/* Not a valid RSDP, but recognisable. */
static const char rsdp[36] = "RSD PTR \x11LAMINA\x02\x00\x10\x0e\x00\x24\x00\x00\x00";

struct vm *fixture_create(u64 low, u64 high)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->ram = mmap(NULL, GUEST_RAM, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_true(vm->ram != MAP_FAILED);
	assert_true(low <= GUEST_RAM);
	vm->low = low;
	vm->high = high;
	vm->vcpu.vm = vm;
	vm->vcpu.ops = &ops;
	vm->controls[CTL_CR0] = CR0_CD | CR0_NW | CR0_ET;
	memcpy(vm->ram + GUEST_RSDP_ADDRESS, rsdp, sizeof(rsdp));
	current = vm;
	return vm;
}

void fixture_destroy(struct vm *vm)
{
	munmap(vm->ram, GUEST_RAM);
	free(vm);
	current = NULL;
}

static const void *mapped[LOAD_MODULES];

const void *fixture_map(const struct guest_image *image, u32 module)
{
	assert_true(module < image->module_count);
	return mapped[module];
}

void fixture_set_data(u32 module, const void *data)
{
	mapped[module] = data;
}

int fixture_load(struct vm *vm, const void *kernel, size_t size, const char *cmdline,
		 const void *initrd, size_t initrd_size)
{
	const struct guest_module module = {
		.size = initrd_size, .is_initrd = true, .name = str_view_of("initrd"), .string = "",
	};
	const struct guest_image image = {
		.kernel = kernel, .kernel_size = size, .cmdline = cmdline,
		.modules = &module, .module_count = initrd != NULL, .map = fixture_map,
	};

	fixture_set_data(0, initrd);
	return fixture_load_image(vm, &image);
}

int fixture_load_image(struct vm *vm, const struct guest_image *image)
{
	int error;

	vm->out_count = 0;
	vm->bios_calls = false;
	error = loader_load(vm, &vm->vcpu, image);

	assert_true(error <= 0);
	assert_int_equal(vm->errors, error ? 1 : 0);
	if (!error)
		assert_non_null(strstr(vm->log, "loaded: "));
	return error;
}

int fixture_load_cramped(struct vm *vm, int (*loader)(struct load *load), const struct guest_image *image,
			 u32 pages, const struct load_range *kernel)
{
	struct load load = {
		.vm = vm, .vcpu = &vm->vcpu, .image = image,
		.taken = {
			{ LOAD_INFO_START + pages * PAGE_SIZE, LOAD_LOW_END },
			{ LOAD_HIGH_START, kernel->start },
			{ kernel->end, vm->low },
		},
		.taken_count = 3,
	};

	vm->log[0] = 0;
	vm->errors = 0;
	return loader(&load);
}

void fixture_refused(struct vm *vm, const void *kernel, size_t size, const char *words)
{
	vm->log[0] = 0;
	vm->errors = 0;
	assert_int_not_equal(fixture_load(vm, kernel, size, "", NULL, 0), 0);
	fixture_said(vm, words);
}

void fixture_said(const struct vm *vm, const char *words)
{
	if (!strstr(vm->log, words))
		fail_msg("expected \"%s\" in:\n%s", words, vm->log);
}

/* --- guest memory, by core/mem/guest_mem.h --- */

u64 guest_low_ram(const struct vm *vm)
{
	return vm->low;
}

u64 guest_high_ram(const struct vm *vm)
{
	return vm->high;
}

static bool is_within(u64 start, u64 size, u64 from, u64 to)
{
	return start >= from && start <= to && size <= to - start;
}

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	return is_within(gpa, size, 0, GUEST_VGA_HOLE) ||
	       is_within(gpa, size, GUEST_VGA_HOLE_END, vm->low);
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return NULL;
	current->block = (struct load_block){ gpa, size };
	return vm->ram + gpa;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(to, vm->ram + gpa, size);
	return 0;
}

int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(vm->ram + gpa, from, size);
	return 0;
}

int guest_rom_map(struct vm *vm, hpa_t hpa, u64 size)
{
	vm->rom = hpa;
	vm->rom_size = size;
	return vm->rom_error;
}

/* --- ports --- */

u8 pio_firmware_read(struct vcpu *vcpu, u16 port)
{
	assert_int_equal(port, 0x71);
	return vcpu->vm->clock[vcpu->vm->outs[--vcpu->vm->out_count].value];	/* the index is written first */
}

void pio_firmware_write(struct vcpu *vcpu, u16 port, u8 value)
{
	struct vm *vm = vcpu->vm;

	assert_true(vm->out_count < ARRAY_SIZE(vm->outs));
	vm->outs[vm->out_count].port = port;
	vm->outs[vm->out_count++].value = value;
}

int bios_call_register(struct vm *vm)
{
	assert_false(vm->bios_calls);
	vm->bios_calls = true;
	return 0;
}

/*
 * 8259A, "Initialization Command Words 1 and 2": edge-triggered, cascaded, ICW4; vectors 08h and 70h; the slave at input 2;
 * 8086 mode. Masks: open are inputs 0, 1 and 2. 8254, "Control Word Format": channel 0, both bytes, mode 3; count 65536.
 */
void check_bios_interrupts(const struct vm *vm, bool started)
{
	static const struct {
		u16 port;
		u8 values[5], count;
	} expected[] = {
		{ 0x20, { 0x11 }, 1 }, { 0x21, { 0x08, 0x04, 0x01, 0xf8 }, 4 },
		{ 0xa0, { 0x11 }, 1 }, { 0xa1, { 0x70, 0x02, 0x01, 0xff }, 4 },
		{ 0x43, { 0x36 }, 1 }, { 0x40, { 0, 0 }, 2 },
	};
	unsigned total = 0;

	for (unsigned i = 0; started && i < ARRAY_SIZE(expected); i++) {
		unsigned n = 0;

		for (unsigned j = 0; j < vm->out_count; j++) {
			if (vm->outs[j].port != expected[i].port)
				continue;
			assert_true(n < expected[i].count);
			assert_int_equal(vm->outs[j].value, expected[i].values[n++]);
		}
		assert_int_equal(n, expected[i].count);
		total += n;
	}
	assert_int_equal(vm->out_count, total);
}

u64 guest_number(struct vm *vm, gpa_t gpa, size_t width)
{
	u64 value = 0;

	assert_int_equal(guest_read(vm, gpa, &value, width), 0);
	return value;
}

const char *guest_text(struct vm *vm, gpa_t gpa)
{
	assert_true(gpa != 0 && gpa < vm->low);
	assert_true(strnlen((char *)vm->ram + gpa, vm->low - gpa) < vm->low - gpa);
	return (const char *)vm->ram + gpa;
}

/* --- the log --- */

const char *vm_name(const struct vm *vm)
{
	return "fixture";
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	size_t used = strlen(current->log);
	va_list args;

	assert_string_equal(tag, "fixture");
	current->errors += level == LOG_ERROR;
	current->warnings += level == LOG_WARN;
	va_start(args, format);
	vsnprintf(current->log + used, sizeof(current->log) - used, format, args);
	va_end(args);
}

/* --- checks --- */

void place(struct places *places, gpa_t start, u64 size)
{
	assert_true(places->count < ARRAY_SIZE(places->list));
	places->list[places->count].start = start;
	places->list[places->count++].size = size;
}

void check_places(const struct vm *vm, const struct places *places)
{
	for (unsigned i = 0; i < places->count; i++) {
		u64 start = places->list[i].start, end = start + places->list[i].size;

		assert_true(end > start && end <= vm->low);
		assert_true(start >= 0x1000);
		assert_true(end <= 0x9fc00 || start >= 0x100000);
		for (unsigned j = 0; j < i; j++)
			assert_true(end <= places->list[j].start ||
				    places->list[j].start + places->list[j].size <= start);
	}
}

void check_memory_map(const struct vm *vm, const struct map_piece *map, unsigned count)
{
	u64 ram = 0, end = 0;
	bool tables = false;

	for (unsigned i = 0; i < count; i++) {
		assert_true(map[i].start >= end && map[i].size > 0);
		end = map[i].start + map[i].size;
		if (map[i].type != 1) {
			assert_int_equal(map[i].type, 2);
			tables |= map[i].start == 0xe0000 && end == 0x100000;
			continue;
		}
		ram += map[i].size;
		if (map[i].start >= GIB(4))
			assert_true(end <= GIB(4) + vm->high);
		else
			assert_true(end <= 0x9fc00 || (map[i].start >= 0x100000 && end <= vm->low));
	}
	assert_int_equal(ram, 0x9fc00 + (vm->low - 0x100000) + vm->high);
	assert_true(tables);
}

static void check_flat(const struct segment *segment, u8 type)
{
	assert_int_equal(segment->base, 0);
	assert_int_equal(segment->limit, 0xffffffff);
	assert_int_equal(segment->type & ~1, type);	/* without the accessed bit */
	assert_true(segment->s && segment->present && segment->db && segment->g);
	assert_false(segment->unusable || segment->l);
	assert_int_equal(segment->dpl, 0);
}

void check_protected_mode(struct vm *vm, u32 eip)
{
	static const enum vcpu_segment data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS, SEG_SS };

	assert_true(vm->controls[CTL_CR0] & 1);
	assert_int_equal(vm->controls[CTL_CR0] & ~0x11ull, 0);
	assert_int_equal(vm->controls[CTL_CR4], 0);
	assert_int_equal(vm->controls[CTL_EFER], 0);
	assert_int_equal(vcpu_reg_read(&vm->vcpu, REG_RIP), eip);
	assert_int_equal(vcpu_rflags(&vm->vcpu), 2);
	check_flat(&vm->segments[SEG_CS], 10);
	for (size_t i = 0; i < ARRAY_SIZE(data); i++)
		check_flat(&vm->segments[data[i]], 2);
	assert_int_equal(vm->segments[SEG_TR].base, 0);
	assert_int_equal(vm->segments[SEG_TR].limit, 0x67);
	assert_int_equal(vm->segments[SEG_TR].type, 11);
	assert_true(vm->segments[SEG_TR].present && !vm->segments[SEG_TR].s);
}

/* --- images --- */

void put_segment(u8 *image, u32 index, u32 type, u32 offset, u32 vaddr, u32 paddr, u32 file_size,
		 u32 memory_size)
{
	const u32 words[8] = { type, offset, vaddr, paddr, file_size, memory_size, 7, 4 };

	memcpy(image + 52 + 32 * index, words, sizeof(words));
}

u8 *elf_image(void)
{
	u8 *image = calloc(1, ELF_SIZE);

	for (size_t i = ELF_CODE_AT; i < ELF_SIZE; i++)
		image[i] = (u8)(i * 5 + 1);
	memcpy(image, "\x7f" "ELF\1\1\1", 7);
	put(image, 16, 2, 2);			/* executable */
	put(image, 18, 3, 2);			/* i386 */
	put(image, 20, 1, 4);
	put(image, 24, 0xc0000000 + ELF_ENTRY, 4);
	put(image, 28, 52, 4);			/* program headers */
	put(image, 42, 32, 2);
	put(image, 44, 3, 2);
	put_segment(image, 0, PT_LOAD, ELF_CODE_AT, 0xc0100000, 0x100000, ELF_CODE_SIZE,
		    ELF_CODE_RAM);
	put_segment(image, 1, PT_LOAD, ELF_DATA_AT, 0xc0200000, 0x200000, ELF_DATA_SIZE,
		    ELF_DATA_SIZE);
	put_segment(image, 2, PT_NOTE, ELF_NOTES_AT, 0, 0, 0, 0);
	return image;
}

void put_mb1(u8 *image, size_t at, u32 flags)
{
	put(image, at, 0x1badb002, 4);
	put(image, at + 4, flags, 4);
	put(image, at + 8, -(0x1badb002 + flags), 4);
}

void fill(u8 *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (u8)(i * 11 + 3);
}

void check_elf_in_memory(struct vm *vm, const u8 *image, struct places *places)
{
	assert_memory_equal(vm->ram + 0x100000, image + ELF_CODE_AT, ELF_CODE_SIZE);
	for (u32 i = ELF_CODE_SIZE; i < ELF_CODE_RAM; i++)
		assert_int_equal(vm->ram[0x100000 + i], 0);
	assert_memory_equal(vm->ram + 0x200000, image + ELF_DATA_AT, ELF_DATA_SIZE);
	assert_int_equal(vm->ram[0x200000 + ELF_DATA_SIZE], 0);
	place(places, 0x100000, ELF_CODE_RAM);
	place(places, 0x200000, ELF_DATA_SIZE);
}

void check_module(struct vm *vm, u64 start, u64 end, const u8 *module, size_t size,
		  struct places *places)
{
	assert_int_equal(end - start, size);
	assert_int_equal(start % 4096, 0);
	assert_memory_equal(vm->ram + start, module, size);
	place(places, start, size);
}

void use_hostile(const u8 *image, size_t size)
{
	struct vm *vm = fixture_create(MIB(4), MIB(2));

	if (!fixture_load(vm, image, size, "a b c", image, size))
		assert_true(guest_is_ram(vm, vcpu_reg_read(&vm->vcpu, REG_RIP), 1));
	fixture_destroy(vm);
}
