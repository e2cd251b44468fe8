/* SPDX-License-Identifier: MIT */
/* A VM's RAM: taken from the machine, mapped for the guest and for the hypervisor on its behalf. */
#include "core/mem/guest_mem.h"

#include "arch/time/clock.h"
#include "core/service.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/errno.h"
#include "lib/string.h"

/* Map one piece in the nested tables, except for the VGA hole. */
static int map_nested(struct vm *vm, gpa_t gpa, const struct phys_range *piece)
{
	u64 hole_end = GUEST_VGA_HOLE_END - gpa;
	int error;

	if (gpa > GUEST_VGA_HOLE)
		return vm->ops->vm_map(vm, gpa, piece->start, piece->size);
	error = vm->ops->vm_map(vm, gpa, piece->start, GUEST_VGA_HOLE - gpa);
	if (error)
		return error;
	return vm->ops->vm_map(vm, GUEST_VGA_HOLE_END, piece->start + hole_end, piece->size - hole_end);
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

#define CLEAR_PIECE (2ull << 20)
#define REPORT_US   2000000u	/* of a long clearing, how far it has got */

/* In pieces of a fraction of a millisecond, because the others of this CPU wait meanwhile. */
static void clear_span(struct vm *vm, gpa_t gpa, u64 size, u64 before, u64 *report_us)
{
	for (u64 done = 0, piece; done < size; done += piece) {
		void *to = guest_window(gpa + done);
		u64 count, now;

		piece = MIN(size - done, CLEAR_PIECE);
		count = piece / 8;
		__asm__ volatile("rep stosq" : "+D"(to), "+c"(count) : "a"(0) : "memory");
		service_pause();
		now = clock_us_since_boot();
		if (now < *report_us)
			continue;
		*report_us = now + REPORT_US;
		vm_info(vm, "clearing its memory: %llu of %llu MiB", (unsigned long long)(before + done + piece) >> 20,
			(unsigned long long)vm->mem.size >> 20);
	}
}

void guest_mem_clear(struct vm *vm)
{
	u64 report_us = clock_us_since_boot() + REPORT_US;

	clear_span(vm, 0, vm->mem.low_size, 0, &report_us);
	clear_span(vm, GUEST_HIGH_RAM, vm->mem.high_size, vm->mem.low_size, &report_us);
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

static bool is_damaged(const struct guest_mem *mem, gpa_t gpa, u64 size)
{
	for (u32 i = 0; i < mem->damaged_count; i++)
		if (gpa < mem->damaged[i] + PAGE_SIZE && mem->damaged[i] < gpa + size)
			return true;
	return false;
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

int guest_mem_damage(struct vm *vm, gpa_t gpa, u64 size)
{
	struct guest_mem *mem = &vm->mem;
	gpa_t page = gpa & PAGE_MASK, end = gpa + size;

	if ((end - page + PAGE_SIZE - 1) / PAGE_SIZE > GUEST_MEM_DAMAGED - mem->damaged_count)
		return -ENOSPC;
	for (; page < end; page += PAGE_SIZE)
		if (!is_damaged(mem, page, 1))
			mem->damaged[mem->damaged_count++] = page;
	return 0;
}

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	const struct guest_mem *mem = &vm->mem;

	if (!in_span(gpa, size, GUEST_VGA_HOLE_END, mem->low_size) &&
	    !in_span(gpa, size, 0, GUEST_VGA_HOLE) &&
	    !in_span(gpa, size, GUEST_HIGH_RAM, GUEST_HIGH_RAM + mem->high_size))
		return false;
	return likely(!mem->damaged_count) || !is_damaged(mem, gpa, size);
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	return guest_is_ram(vm, gpa, size) ? guest_window(gpa) : NULL;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	const void *from = guest_ptr(vm, gpa, size);

	if (!from)
		return -EFAULT;
	memcpy(to, from, size);
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
