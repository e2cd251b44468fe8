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
	return (struct io_region){ "test", base, size, answer, take, (void *)device, false };
}

static int claim_ports(struct vm *vm, u64 device, u64 base, u64 size)
{
	const struct io_region r = region(device, base, size);

	return pio_register(vm, &r);
}

static int claim_memory(struct vm *vm, u64 device, u64 base, u64 size)
{
	const struct io_region r = region(device, base, size);

	return mmio_register(vm, &r, NULL);
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

static void a_bus_has_room_for_48_regions(void **state)
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

	assert_int_equal(mmio_register(vm, &first, &handles[0]), 0);
	assert_int_equal(mmio_register(vm, &second, &handles[1]), 0);
	assert_int_equal(mmio_move(vm, handles[1], 0xe0000000, 0x800), 0);
	assert_int_equal(memory8(vm, 0xd0001000), 0xff);
	assert_int_equal(memory8(vm, 0xe0000000), 0x20);
	assert_int_equal(memory8(vm, 0xe0000800), 0xff);
	assert_int_equal(memory8(vm, 0xd0000000), 0x10);
	assert_int_equal(mmio_move(vm, handles[0], 0xd0000000, 0), 0);
	assert_int_equal(memory8(vm, 0xd0000000), 0xff);
	assert_int_equal(memory8(vm, 0xe0000000), 0x20);
	assert_int_equal(mmio_move(vm, vm->mmio.count, 0xe0001000, 0x1000), -ENOENT);
	assert_int_equal(memory8(vm, 0xe0001000), 0xff);
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
		TEST(a_bus_has_room_for_48_regions),
		TEST(a_range_moves_by_its_handle),
		TEST(the_vm_keeps_the_devices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
