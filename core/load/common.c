/* SPDX-License-Identifier: MIT */
/* What the guest loaders share: places in guest memory, the memory map, processor state. */
#include "core/load/load.h"

#include "arch/cpu/x86.h"
#include "core/load/bios.h"
#include "core/service.h"
#include "lib/errno.h"
#include "lib/multiboot.h"
#include "lib/printf.h"
#include "lib/string.h"

void load_report(const struct load *load, const char *what, gpa_t entry)
{
	char initrd[64] = "none";

	if (load->initrd)
		snprintf(initrd, sizeof(initrd), "0x%llx-0x%llx", (ull)load->initrd,
			 (ull)(load->initrd + load->initrd_size - 1));
	vm_info(load->vm, "loaded: %s, entry 0x%llx, initrd %s, command line \"%s\"", what,
		(ull)entry, initrd, load->image->cmdline);
}

/* --- guest memory --- */

static const struct load_range *find_overlap(const struct load *load, gpa_t start, gpa_t end)
{
	for (u32 i = 0; i < load->taken_count; i++)
		if (start < load->taken[i].end && load->taken[i].start < end)
			return &load->taken[i];
	return NULL;
}

static bool take(struct load *load, gpa_t start, gpa_t end)
{
	if (load->taken_count == LOAD_RANGES)
		return false;
	load->taken[load->taken_count++] = (struct load_range){ start, end };
	return true;
}

/* Nothing is loaded into a PC's reserved area from 639 KiB to 1 MiB, although some of it is guest RAM. */
static bool is_loadable(const struct load *load, gpa_t start, u64 size)
{
	if (!guest_is_ram(load->vm, start, size))
		return false;
	return start >= LOAD_HIGH_START || start + size <= LOAD_LOW_END;
}

int load_take(struct load *load, gpa_t start, u64 size, const char *name)
{
	const struct load_range *other;

	if (!size)
		return 0;
	if (!is_loadable(load, start, size))
		return load_fail(load,
				 "%s, 0x%llx bytes at 0x%llx: expected it in RAM, below 0x%llx or "
				 "from 0x%llx up to 0x%llx; is mem= large enough?", name, (ull)size,
				 (ull)start, LOAD_LOW_END, (ull)LOAD_HIGH_START,
				 (ull)guest_low_ram(load->vm));
	other = find_overlap(load, start, start + size);
	if (other)
		return load_fail(load,
				 "%s at 0x%llx-0x%llx overlaps what is loaded at 0x%llx-0x%llx",
				 name, (ull)start, (ull)(start + size - 1), (ull)other->start,
				 (ull)other->end - 1);
	if (!take(load, start, start + size))
		return load_fail(load, "it has more than %d parts", LOAD_RANGES);
	/* What is loaded over the BIOS' vectors and data finds zeros there, as everywhere. */
	if (start < BIOS_LOW_END)
		memset(guest_ptr(load->vm, start, size), 0, MIN(size, BIOS_LOW_END - start));
	return 0;
}

bool load_is_free(const struct load *load, gpa_t start, u64 size)
{
	return is_loadable(load, start, size) && !find_overlap(load, start, start + size);
}

bool load_has_taken(const struct load *load, gpa_t gpa)
{
	return gpa != UINT64_MAX && find_overlap(load, gpa, gpa + 1);
}

static bool in_hole(gpa_t start, gpa_t end)
{
	return start < LOAD_HIGH_START && end > LOAD_LOW_END;
}

gpa_t load_place_low(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max)
{
	const struct load_range *other;
	gpa_t at;

	max = MIN(max, guest_low_ram(load->vm));
	if (min > max)
		return 0;
	for (at = ALIGN_UP(min, align); at <= max && size <= max - at; at = ALIGN_UP(at, align)) {
		other = find_overlap(load, at, at + size);
		if (other)
			at = other->end;
		else if (in_hole(at, at + size))
			at = LOAD_HIGH_START;
		else
			return take(load, at, at + size) ? at : 0;
	}
	return 0;
}

gpa_t load_place_high(struct load *load, u64 size, u64 align, gpa_t min, gpa_t max)
{
	const struct load_range *other;
	gpa_t end = MIN(max, guest_low_ram(load->vm)), at;

	while (end > min && size <= end - min) {
		at = ALIGN_DOWN(end - size, align);
		if (at < min)
			break;
		other = find_overlap(load, at, at + size);
		if (other)
			end = other->start;
		else if (in_hole(at, at + size))
			end = LOAD_LOW_END;
		else
			return take(load, at, at + size) ? at : 0;
	}
	return 0;
}

void *load_place_info(struct load *load, u64 size, gpa_t *gpa)
{
	*gpa = load_place_low(load, size, PAGE_SIZE, LOAD_INFO_START, GUEST_LOW_RAM_END);
	if (!*gpa) {
		vm_error(load->vm, "no room for %llu bytes of boot information: "
			 "expected a larger mem=", (ull)size);
		return NULL;
	}
	return guest_ptr(load->vm, *gpa, size);
}

#define COPY_PIECE (1ull << 20)

/* In pieces of a fraction of a millisecond, because the others of this CPU wait meanwhile. */
int load_copy(struct load *load, gpa_t gpa, const void *from, u64 size)
{
	u8 *to = guest_ptr(load->vm, gpa, size);

	if (size && !to)
		return -EFAULT;
	for (u64 done = 0, piece; done < size; done += piece) {
		piece = MIN(size - done, COPY_PIECE);
		copy_large(to + done, (const u8 *)from + done, piece);
		service_pause();
	}
	return 0;
}

/* Of what is loaded from 1 MiB on. */
static gpa_t taken_end(const struct load *load)
{
	gpa_t end = LOAD_HIGH_START;

	for (u32 i = 0; i < load->taken_count; i++)
		if (load->taken[i].end <= guest_low_ram(load->vm))
			end = MAX(end, load->taken[i].end);
	return end;
}

gpa_t load_place_behind(struct load *load, u64 size)
{
	return load_place_low(load, size, PAGE_SIZE, taken_end(load), GUEST_LOW_RAM_END);
}

/* --- modules --- */

const struct guest_module *load_find_initrd(const struct load *load)
{
	for (u32 i = 0; i < load->image->module_count; i++)
		if (load->image->modules[i].is_initrd)
			return &load->image->modules[i];
	return NULL;
}

int load_copy_module(struct load *load, gpa_t gpa, const struct guest_module *module)
{
	const void *data = load->image->map(load->image, (u32)(module - load->image->modules));

	if (!data)
		return -ENOMEM;
	if (module->is_initrd) {
		load->initrd = gpa;
		load->initrd_size = module->size;
	}
	return load_copy(load, gpa, data, module->size);
}

int load_modules_low(struct load *load)
{
	const struct guest_image *image = load->image;
	int error = 0;

	if (image->module_count > LOAD_MODULES)
		return load_fail(load, "it has %u modules beside the kernel: expected at most %d", image->module_count,
				 LOAD_MODULES);
	for (u32 i = 0; !error && i < image->module_count; i++) {
		const struct guest_module *module = &image->modules[i];

		load->modules[i] = load_place_behind(load, module->size);
		if (!load->modules[i])
			return load_fail(load,
					 "the %s of %llu KiB does not fit behind the kernel and what is loaded with "
					 "it, up to 0x%llx: expected a larger mem=",
					 module->is_initrd ? "initrd" : "module", (ull)module->size >> 10,
					 (ull)taken_end(load));
		error = load_copy_module(load, load->modules[i], module);
	}
	return error;
}

int load_refuse_modules(const struct load *load, const char *kind)
{
	u32 others = load->image->module_count - !!load_find_initrd(load);

	if (!others)
		return 0;
	return load_fail(load, "%s takes an initrd and no other modules: expected no role=module, which is for "
			 "Multiboot and PVH kernels", kind);
}

/* --- the memory map --- */

u32 load_memory_map(const struct vm *vm, struct load_memory map[LOAD_MEMORY_PIECES])
{
	const struct {
		gpa_t start, end;
		u32 type;
	} pieces[LOAD_MEMORY_PIECES] = {
		{ 0, LOAD_LOW_END, MULTIBOOT_MEMORY_AVAILABLE },
		{ LOAD_LOW_END, GUEST_VGA_HOLE, MULTIBOOT_MEMORY_RESERVED },
		{ GUEST_RSDP_ADDRESS, GUEST_RSDP_AREA_END, MULTIBOOT_MEMORY_RESERVED },
		{ LOAD_HIGH_START, guest_low_ram(vm), MULTIBOOT_MEMORY_AVAILABLE },
		{ GUEST_HIGH_RAM, GUEST_HIGH_RAM + guest_high_ram(vm), MULTIBOOT_MEMORY_AVAILABLE },
	};
	u32 count = 0;

	for (u32 i = 0; i < LOAD_MEMORY_PIECES; i++)
		if (pieces[i].end > pieces[i].start)
			map[count++] = (struct load_memory){
				pieces[i].start, pieces[i].end - pieces[i].start, pieces[i].type,
			};
	return count;
}

/* --- processor state --- */

void load_flat_segments(struct vcpu *vcpu, bool code_64)
{
	const struct segment code = {
		.selector = 0x10, .limit = UINT32_MAX, .type = 11, .s = true, .present = true,
		.l = code_64, .db = !code_64, .g = true,
	};
	const struct segment data = {
		.selector = 0x18, .limit = UINT32_MAX, .type = 3, .s = true, .present = true,
		.db = true, .g = true,
	};
	const struct segment tss = { .limit = 0x67, .type = 11, .present = true };
	const struct segment ldt = { .unusable = true };

	for (int i = SEG_ES; i <= SEG_GS; i++)
		vcpu->ops->segment_set(vcpu, i, i == SEG_CS ? &code : &data);
	vcpu->ops->segment_set(vcpu, SEG_TR, &tss);
	vcpu->ops->segment_set(vcpu, SEG_LDTR, &ldt);
}

void load_enter_protected(struct vcpu *vcpu, u32 entry, u32 eax, u32 ebx)
{
	vcpu->ops->control_set(vcpu, CTL_CR0, CR0_PE | CR0_ET);
	load_flat_segments(vcpu, false);
	vcpu_reg_write(vcpu, REG_RAX, eax);
	vcpu_reg_write(vcpu, REG_RBX, ebx);
	vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED);
	vcpu_reg_write(vcpu, REG_RIP, entry);
}
