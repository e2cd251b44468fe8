/* SPDX-License-Identifier: MIT */
/* A VM's RAM: taken from the machine, mapped for the guest and for the hypervisor on its behalf. */
#include "core/mem/guest_mem.h"

#include "core/mem/tdp.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Map one piece in the nested tables, except for the VGA hole. */
static int map_nested(struct vm *vm, gpa_t gpa, const struct phys_range *piece)
{
	u64 hole_end = GUEST_VGA_HOLE_END - gpa;
	struct tdp_format format;
	int error;

	vm->ops->tdp_format(vm, &format);
	if (gpa > GUEST_VGA_HOLE)
		return tdp_map(vm, &format, gpa, piece->start, piece->size);
	error = tdp_map(vm, &format, gpa, piece->start, GUEST_VGA_HOLE - gpa);
	if (error)
		return error;
	return tdp_map(vm, &format, GUEST_VGA_HOLE_END, piece->start + hole_end, piece->size - hole_end);
}

static int add_piece(struct vm *vm, gpa_t gpa, u64 wanted, u64 *got)
{
	struct guest_mem *mem = &vm->mem;
	struct phys_range *piece = &mem->pieces[mem->piece_count];
	int error;

	if (mem->piece_count == GUEST_MEM_PIECES)
		return -E2BIG;
	error = guest_ram_alloc(wanted, piece);
	if (error)
		return error;
	mem->piece_count++;
	*got = piece->size;

	error = paging_map(&vm->space, HOST_GUEST_WINDOW + gpa, piece->start, piece->size, MAP_WRITE);
	return error ? error : map_nested(vm, gpa, piece);
}

static int add_span(struct vm *vm, gpa_t start, u64 size)
{
	for (u64 done = 0, got; done < size; done += got) {
		int error = add_piece(vm, start + done, size - done, &got);

		if (error)
			return error;
	}
	return 0;
}

int guest_mem_create(struct vm *vm, u64 size)
{
	struct guest_mem *mem = &vm->mem;
	struct memory_stats stats;
	int error;

	mem->size = size;
	mem->low_size = MIN(size, GUEST_LOW_RAM_END);
	mem->high_size = size - mem->low_size;

	error = add_span(vm, 0, mem->low_size);
	if (!error)
		error = add_span(vm, GUEST_HIGH_RAM, mem->high_size);
	if (!error)
		return 0;

	guest_mem_destroy(vm);
	memory_stats(&stats);
	vm_error(vm, "mem=%lluM: %s, %llu MiB are free for guests: expected a smaller mem=",
		 (unsigned long long)(size >> 20),
		 error == -E2BIG ? "the free memory is in too many pieces" : "not enough memory",
		 (unsigned long long)(stats.guest_free >> 20));
	return error;
}

int guest_rom_map(struct vm *vm, hpa_t hpa, u64 size)
{
	const gpa_t gpa = GUEST_ROM_END - size;
	struct tdp_format format;
	int error = paging_map(&vm->space, HOST_GUEST_WINDOW + gpa, hpa, size, MAP_READ);

	vm->ops->tdp_format(vm, &format);
	format = tdp_read_only(&format);
	if (!error)
		error = tdp_map(vm, &format, gpa, hpa, size);
	if (!error)
		vm->mem.rom_size = size;
	return error;
}

void guest_mem_destroy(struct vm *vm)
{
	for (u32 i = 0; i < vm->mem.piece_count; i++)
		guest_ram_free(&vm->mem.pieces[i]);
	vm->mem.piece_count = 0;
}

u64 guest_low_ram(const struct vm *vm)
{
	return vm->mem.low_size;
}

u64 guest_high_ram(const struct vm *vm)
{
	return vm->mem.high_size;
}

static bool in_span(gpa_t gpa, u64 size, gpa_t start, gpa_t end)
{
	return gpa >= start && gpa < end && size <= end - gpa;
}

static const struct guest_damage *damage_within(const struct guest_mem *mem, gpa_t gpa, u64 size)
{
	for (u32 i = 0; i < mem->damaged_count; i++)
		if (gpa < mem->damaged[i].page + PAGE_SIZE && mem->damaged[i].page < gpa + size)
			return &mem->damaged[i];
	return NULL;
}

const struct guest_damage *guest_mem_damage_at(const struct vm *vm, gpa_t gpa)
{
	return damage_within(&vm->mem, gpa, 1);
}

int guest_mem_gpa(const struct vm *vm, hpa_t hpa, gpa_t *gpa)
{
	const struct guest_mem *mem = &vm->mem;
	u64 offset = 0;

	for (u32 i = 0; i < mem->piece_count; offset += mem->pieces[i++].size) {
		const struct phys_range *piece = &mem->pieces[i];

		if (hpa < piece->start || hpa - piece->start >= piece->size)
			continue;
		offset += hpa - piece->start;
		*gpa = offset < mem->low_size ? offset : offset - mem->low_size + GUEST_HIGH_RAM;
		return *gpa < GUEST_VGA_HOLE || *gpa >= GUEST_VGA_HOLE_END ? 0 : -ENOENT;
	}
	return -ENOENT;
}

int guest_mem_damage(struct vm *vm, gpa_t gpa, u64 size, u64 status, u64 misc)
{
	struct guest_mem *mem = &vm->mem;
	gpa_t page = gpa & PAGE_MASK, end = gpa + size;
	u32 more = 0;

	for (gpa_t at = page; at < end; at += PAGE_SIZE)
		if (!damage_within(mem, at, 1) && ++more > GUEST_MEM_DAMAGED - mem->damaged_count)
			return -ENOSPC;
	for (; page < end; page += PAGE_SIZE) {
		if (damage_within(mem, page, 1))
			continue;
		mem->damaged[mem->damaged_count] = (struct guest_damage){ page, status, misc };
		/* Other CPUs look at it without the lock. */
		__atomic_store_n(&mem->damaged_count, mem->damaged_count + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static inline bool in_any_span(const struct guest_mem *mem, gpa_t gpa, u64 size)
{
	return in_span(gpa, size, GUEST_VGA_HOLE_END, mem->low_size) ||
	       in_span(gpa, size, 0, GUEST_VGA_HOLE) ||
	       in_span(gpa, size, GUEST_HIGH_RAM, GUEST_HIGH_RAM + mem->high_size);
}

bool guest_mem_has(const struct vm *vm, gpa_t gpa)
{
	return in_any_span(&vm->mem, gpa, 1);
}

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	const struct guest_mem *mem = &vm->mem;

	return in_any_span(mem, gpa, size) && (likely(!mem->damaged_count) || !damage_within(mem, gpa, size));
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	return guest_is_ram(vm, gpa, size) ? guest_window(gpa) : NULL;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	const void *from = guest_ptr(vm, gpa, size);

	if (!from && guest_mem_is_rom(&vm->mem, gpa) && size <= GUEST_ROM_END - gpa)
		from = guest_window(gpa);
	if (!from)
		return -EFAULT;
	memcpy(to, from, size);
	return 0;
}

int guest_read_large(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	const void *from = guest_ptr(vm, gpa, size);

	if (!from)
		return -EFAULT;
	copy_large(to, from, size);
	return 0;
}

int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size)
{
	void *to = guest_ptr(vm, gpa, size);

	if (!to)
		return -EFAULT;
	memcpy(to, from, size);
	return 0;
}
