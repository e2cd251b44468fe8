/* SPDX-License-Identifier: MIT */
/* Which ranges a device model can claim on the two buses, and the devices' own data. */
/* link: tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "lib/errno.h"

static u64 answer(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return (u64)device + offset;
}

static void take(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value) {}

static struct io_region region(u64 device, u64 base, u64 size)
{
	return (struct io_region){ "test", base, size, { answer }, { take }, (void *)device, false };
}

static int claim_ports(struct vm *vm, u64 device, u64 base, u64 size)
{
	const struct io_region r = region(device, base, size);

	return pio_register(vm, &r);
}

static int claim_memory(struct vm *vm, u64 device, u64 base, u64 size)
{
	const struct io_region r = region(device, base, size);

	return mmio_register(vm, &r);
}

static int set_up(void **state)
{
	*state = fake_create(0);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void ports_have_their_limits(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(claim_ports(vm, 1, 0x80, 0), -EINVAL);
	assert_int_equal(claim_ports(vm, 1, 0x10000, 1), -EINVAL);
	assert_int_equal(claim_ports(vm, 1, 0xfff8, 9), -EINVAL);
	assert_int_equal(claim_ports(vm, 1, 1ull << 32, 1), -EINVAL);
	assert_int_equal(claim_ports(vm, 1, 0x80, ~0ull), -EINVAL);
	assert_int_equal(vm->ports.count, 0);
	assert_int_equal(claim_ports(vm, 0x10, 0xfff8, 8), 0);
	assert_int_equal(claim_ports(vm, 0x20, 0, 1), 0);
	assert_int_equal(in8(vm, 0xffff), 0x17);
	assert_int_equal(in8(vm, 0), 0x20);
	assert_int_equal(in8(vm, 1), 0xff);
	assert_int_equal(in8(vm, 0xfff7), 0xff);
}

static void overlaps_are_refused(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(claim_ports(vm, 0x10, 0x100, 8), 0);
	assert_int_equal(claim_ports(vm, 0x20, 0x107, 1), -EEXIST);
	assert_int_equal(claim_ports(vm, 0x20, 0xf8, 9), -EEXIST);
	assert_int_equal(claim_ports(vm, 0x20, 0x102, 2), -EEXIST);
	assert_int_equal(claim_ports(vm, 0x20, 0xff, 0x20), -EEXIST);
	assert_int_equal(claim_ports(vm, 0x20, 0xf8, 8), 0);
	assert_int_equal(claim_ports(vm, 0x30, 0x108, 8), 0);
	assert_int_equal(in8(vm, 0xff), 0x27);
	assert_int_equal(in8(vm, 0x100), 0x10);
	assert_int_equal(in8(vm, 0x107), 0x17);
	assert_int_equal(in8(vm, 0x108), 0x30);

	assert_int_equal(claim_memory(vm, 0x10, 0xfee00000, 0x1000), 0);
	assert_int_equal(claim_memory(vm, 0x20, 0xfee00fff, 1), -EEXIST);
	assert_int_equal(claim_memory(vm, 0x20, 0xfee01000, 0x1000), 0);
	assert_int_equal(claim_memory(vm, 0x30, 0xfedff000, 0x1001), -EEXIST);
	assert_int_equal(claim_memory(vm, 0x30, 0xfedff000, 0x1000), 0);
	assert_int_equal(vm->mmio.count, 3);
}

static void a_bus_has_room_for_48_fixed_regions_and_40_movable_ones(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < 48; i++) {
		assert_int_equal(claim_ports(vm, i, i * 0x10, 0x10), 0);
		assert_int_equal(claim_memory(vm, i, i * 0x1000, 0x1000), 0);
	}
	assert_int_equal(vm->ports.count, 48);
	assert_int_equal(claim_ports(vm, 1, 0x1000, 1), -ENOSPC);
	assert_int_equal(claim_memory(vm, 1, 0x1000000, 1), -ENOSPC);
	assert_int_equal(in8(vm, 47 * 0x10), 47);
	assert_int_equal(in8(vm, 0x1000), 0xff);
	for (unsigned i = 0; i < 40; i++) {
		const struct io_region r = region(i, 0, 0x10);
		u32 handle;

		assert_int_equal(pio_register_movable(vm, &r, &handle), 0);
		assert_int_equal(pio_move(vm, handle, 0x2000 + i * 0x10, 0x10), 0);
		assert_int_equal(mmio_register_movable(vm, &r, &handle), 0);
		assert_int_equal(mmio_move(vm, handle, 0x2000000 + i * 0x10, 0x10), 0);
	}
	for (unsigned i = 0; i < 40; i++) {
		assert_int_equal(in8(vm, (u16)(0x2000 + i * 0x10)), i);
		assert_int_equal(mmio_read(vm_bsp(vm), 0x2000000 + i * 0x10, 1), i);
	}
	assert_int_equal(mmio_read(vm_bsp(vm), 0x2000000 + 40 * 0x10, 1), 0xff);
	{
		const struct io_region r = region(1, 0, 0x10);
		u32 handle;

		assert_int_equal(pio_register_movable(vm, &r, &handle), -ENOSPC);
		assert_int_equal(mmio_register_movable(vm, &r, &handle), -ENOSPC);
	}
}

static u64 memory8(struct vm *vm, u64 gpa)
{
	return mmio_read(vm_bsp(vm), gpa, 1);
}

static void a_range_moves_by_its_handle(void **state)
{
	struct vm *vm = *state;
	const struct io_region first = region(0x10, 0xd0000000, 0x1000), second = region(0x20, 0xd0001000, 0x1000);
	u32 handles[2];

	assert_int_equal(mmio_register_movable(vm, &first, &handles[0]), 0);
	assert_int_equal(mmio_register_movable(vm, &second, &handles[1]), 0);
	assert_int_equal(mmio_move(vm, handles[0], 0xd0000000, 0x1000), 0);
	assert_int_equal(mmio_move(vm, handles[1], 0xd0001000, 0x1000), 0);
	assert_int_equal(mmio_move(vm, handles[1], 0xe0000000, 0x800), 0);
	assert_int_equal(memory8(vm, 0xd0001000), 0xff);
	assert_int_equal(memory8(vm, 0xe0000000), 0x20);
	assert_int_equal(memory8(vm, 0xe0000800), 0xff);
	assert_int_equal(memory8(vm, 0xd0000000), 0x10);
	assert_int_equal(mmio_move(vm, handles[0], 0xd0000000, 0), 0);
	assert_int_equal(memory8(vm, 0xd0000000), 0xff);
	assert_int_equal(memory8(vm, 0xe0000000), 0x20);
	assert_int_equal(mmio_move(vm, handles[1] + 1, 0xe0001000, 0x1000), -ENOENT);
	assert_int_equal(memory8(vm, 0xe0001000), 0xff);
}

/* --- regions of PCI functions --- */

static u32 add_ports(struct vm *vm, u64 device, u64 size)
{
	const struct io_region r = region(device, 0x1234, size);
	u32 handle;

	assert_int_equal(pio_register_movable(vm, &r, &handle), 0);
	return handle;
}

static u32 add_memory(struct vm *vm, u64 device, u64 size)
{
	const struct io_region r = region(device, 0x1234000, size);
	u32 handle;

	assert_int_equal(mmio_register_movable(vm, &r, &handle), 0);
	return handle;
}

static void movable_regions_begin_nowhere(void **state)
{
	struct vm *vm = *state;

	add_ports(vm, 0x10, 0x10);
	add_memory(vm, 0x10, 0x1000);
	for (u32 port = 0; port < 0x10000; port++)
		assert_int_equal(in8(vm, (u16)port), 0xff);
	assert_int_equal(memory8(vm, 0x1234000), 0xff);
	assert_int_equal(memory8(vm, 0), 0xff);
	assert_int_equal(memory8(vm, 1ull << 52), 0xff);
}

/* As the loader does for a guest that gets a BIOS. */
static void fixed_regions_may_come_after_movable_ones(void **state)
{
	struct vm *vm = *state;
	u32 ports = add_ports(vm, 0x10, 0x10), memory = add_memory(vm, 0x10, 0x1000);

	assert_int_equal(pio_move(vm, ports, 0xc000, 0x10), 0);
	assert_int_equal(mmio_move(vm, memory, 0xe0000000, 0x1000), 0);
	assert_int_equal(claim_ports(vm, 0x20, 0x80, 1), 0);
	assert_int_equal(claim_memory(vm, 0x20, 0xd0000000, 0x1000), 0);
	assert_int_equal(claim_ports(vm, 0x20, 0xc00f, 1), -EEXIST);
	assert_int_equal(claim_memory(vm, 0x20, 0xe0000800, 0x1000), -EEXIST);
	/* They win all the same. */
	assert_int_equal(pio_move(vm, ports, 0x80, 0x10), 0);
	assert_int_equal(in8(vm, 0x80), 0x20);
	assert_int_equal(in8(vm, 0x81), 0x11);
	assert_int_equal(mmio_move(vm, memory, 0xd0000000, 0x2000), 0);
	assert_int_equal(memory8(vm, 0xd0000001), 0x21);
	assert_int_equal(memory8(vm, 0xd0001001), 0x11);
}

static void ports_move_by_their_handle(void **state)
{
	struct vm *vm = *state;
	u32 handle = add_ports(vm, 0x10, 8);

	assert_int_equal(pio_move(vm, handle, 0xc000, 8), 0);
	assert_int_equal(in8(vm, 0xbfff), 0xff);
	assert_int_equal(in8(vm, 0xc000), 0x10);
	assert_int_equal(in8(vm, 0xc007), 0x17);
	assert_int_equal(in8(vm, 0xc008), 0xff);
	assert_int_equal(pio_move(vm, handle, 0xc004, 8), 0);	/* onto a part of itself */
	assert_int_equal(in8(vm, 0xc003), 0xff);
	assert_int_equal(in8(vm, 0xc004), 0x10);
	assert_int_equal(in8(vm, 0xc00b), 0x17);
	assert_int_equal(pio_move(vm, handle, 0xc004, 0), 0);
	assert_int_equal(in8(vm, 0xc004), 0xff);
	assert_int_equal(pio_move(vm, handle, 0xfff8, 8), 0);
	assert_int_equal(in8(vm, 0xffff), 0x17);
	/* Above the ports' space is nowhere, and it does not wrap. */
	assert_int_equal(pio_move(vm, handle, 0x10000, 8), 0);
	assert_int_equal(in8(vm, 0), 0xff);
	assert_int_equal(in8(vm, 0xfff8), 0xff);
	assert_int_equal(pio_move(vm, handle, 0xfffffff8, 8), 0);
	assert_int_equal(in8(vm, 0xfff8), 0xff);
	assert_int_equal(pio_move(vm, vm->ports.count, 0xc000, 8), -ENOENT);
}

/* What is where depends on the bases alone, not on the way to them. */
static void two_regions_of_ports_change_places(void **state)
{
	struct vm *vm = *state;
	u32 first = add_ports(vm, 0x10, 8), second = add_ports(vm, 0x20, 8);

	pio_move(vm, first, 0xc000, 8);
	pio_move(vm, second, 0xc008, 8);
	pio_move(vm, first, 0xc008, 8);
	assert_int_equal(in8(vm, 0xc000), 0xff);
	assert_int_equal(in8(vm, 0xc008), 0x10);	/* the one that was registered first */
	pio_move(vm, second, 0xc000, 8);
	assert_int_equal(in8(vm, 0xc000), 0x20);
	assert_int_equal(in8(vm, 0xc008), 0x10);
	/* Partly on top of each other, and away again. */
	pio_move(vm, first, 0xc004, 8);
	assert_int_equal(in8(vm, 0xc003), 0x23);
	assert_int_equal(in8(vm, 0xc004), 0x10);
	assert_int_equal(in8(vm, 0xc00b), 0x17);
	pio_move(vm, first, 0xd000, 8);
	assert_int_equal(in8(vm, 0xc004), 0x24);
	assert_int_equal(in8(vm, 0xc008), 0xff);
}

static void fixed_ports_win(void **state)
{
	struct vm *vm = *state;
	u32 handle;

	assert_int_equal(claim_ports(vm, 0x60, 0x3f8, 8), 0);
	handle = add_ports(vm, 0x10, 0x20);
	pio_move(vm, handle, 0x3e0, 0x20);
	assert_int_equal(in8(vm, 0x3f7), 0x27);
	assert_int_equal(in8(vm, 0x3f8), 0x60);
	pio_move(vm, handle, 0xc000, 0x20);
	assert_int_equal(in8(vm, 0x3f7), 0xff);
	assert_int_equal(in8(vm, 0x3f8), 0x60);
}

static void memory_overlaps_by_order(void **state)
{
	struct vm *vm = *state;
	u32 first, second;

	assert_int_equal(claim_memory(vm, 0x60, 0xfec00000, 0x1000), 0);
	first = add_memory(vm, 0x10, 0x1000);
	second = add_memory(vm, 0x20, 0x4000);
	mmio_move(vm, second, 0xfebfe000, 0x4000);
	mmio_move(vm, first, 0xfebff000, 0x1000);
	assert_int_equal(memory8(vm, 0xfebfe000), 0x20);
	assert_int_equal(memory8(vm, 0xfebff001), 0x11);
	assert_int_equal(memory8(vm, 0xfec00002), 0x62);
	assert_int_equal(memory8(vm, 0xfec01003), 0x23);	/* its offset is 0x3003; the answer has 8 bits */
	/* The first byte decides; an access that sticks out of the region that has it is nobody's. */
	assert_int_equal(mmio_read(vm_bsp(vm), 0xfebfeffc, 8), 0x20 + 0xffc);
	assert_int_equal(mmio_read(vm_bsp(vm), 0xfebffffc, 8), ~0ull);
	mmio_move(vm, first, 0, 0);
	assert_int_equal(memory8(vm, 0xfebff001), 0x21);
	/* What a guest leaves in a 64-bit register while it finds out the size. */
	mmio_move(vm, first, 0xfffffffffffff000ull, 0x1000);
	assert_int_equal(memory8(vm, 0), 0xff);
	assert_int_equal(memory8(vm, 0xfffffffffffffull), 0xff);
}

static void the_vm_keeps_the_devices(void **state)
{
	struct vm *vm = *state;
	int devices;

	assert_null(vm_platform(vm));
	vm_set_platform(vm, &devices);
	assert_ptr_equal(vm_platform(vm), &devices);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_have_their_limits),
		TEST(overlaps_are_refused),
		TEST(a_bus_has_room_for_48_fixed_regions_and_40_movable_ones),
		TEST(a_range_moves_by_its_handle),
		TEST(movable_regions_begin_nowhere),
		TEST(fixed_regions_may_come_after_movable_ones),
		TEST(ports_move_by_their_handle),
		TEST(two_regions_of_ports_change_places),
		TEST(fixed_ports_win),
		TEST(memory_overlaps_by_order),
		TEST(the_vm_keeps_the_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
