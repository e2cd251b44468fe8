/* SPDX-License-Identifier: MIT */
/* PCI configuration mechanism #1, the host bridge, and the ports that it shares with the reset. */
/* link: dev/pci/vpci.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/pci/vpci.h"
#include "dev/platform.h"
#include "dev/isa/vpm.h"
#include "lib/errno.h"

#define ADDRESS 0xcf8
#define DATA	0xcfc
#define ENABLE	0x80000000u

static struct platform platform;
static unsigned reset_reads, reset_writes;
static u8 reset_value;

/* The power management model's part of 0xcf9 is tested in test_vpm.c. */
u8 vpm_reset_read(struct vpm *vpm)
{
	reset_reads++;
	return 0x5a;
}

void vpm_reset_write(struct vpm *vpm, u8 value)
{
	reset_writes++;
	reset_value = value;
}

void vpic_set_line(struct vm *vm, unsigned irq, bool level)
{
}

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	reset_reads = reset_writes = 0;
	vm_set_platform(vm, &platform);
	assert_int_equal(vpci_create(vm), 0);
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static u32 config_address(unsigned bus, unsigned slot, unsigned function, unsigned offset)
{
	return ENABLE | bus << 16 | slot << 11 | function << 8 | (offset & 0xfc);
}

static u32 config_read(struct vm *vm, unsigned slot, unsigned function, unsigned offset)
{
	out32(vm, ADDRESS, config_address(0, slot, function, offset));
	return in32(vm, DATA);
}

/* A function whose registers remember what was done to them. */
struct recorder {
	struct vpci_function function;
	u8 config[256];
	unsigned reads, writes;
};

static u32 recorder_read(struct vpci_function *function, unsigned offset, unsigned size)
{
	struct recorder *recorder = container_of(function, struct recorder, function);
	u32 value = 0;

	assert_true(offset + size <= 256 && offset % 4 + size <= 4);
	recorder->reads++;
	for (unsigned i = 0; i < size; i++)
		value |= (u32)recorder->config[offset + i] << (8 * i);
	return value;
}

static void recorder_write(struct vpci_function *function, unsigned offset, unsigned size, u32 value)
{
	struct recorder *recorder = container_of(function, struct recorder, function);

	assert_true(offset + size <= 256 && offset % 4 + size <= 4);
	recorder->writes++;
	for (unsigned i = 0; i < size; i++)
		recorder->config[offset + i] = (u8)(value >> (8 * i));
}

static struct recorder recorder_at(unsigned slot, unsigned function)
{
	return (struct recorder){ .function = {
		.name = "recorder",
		.devfn = PCI_SLOT(slot, function),
		.read = recorder_read,
		.write = recorder_write,
	} };
}

static void test_host_bridge(void **state)
{
	struct vm *vm = *state;
	u32 id = config_read(vm, 0, 0, 0);

	assert_int_not_equal(id & 0xffff, 0xffff);
	assert_int_equal(config_read(vm, 0, 0, 8) >> 8, 0x060000); /* class: host bridge */
	assert_int_equal(config_read(vm, 0, 0, 0x0c) >> 16 & 0xff, 0); /* one function */
	for (unsigned offset = 0x10; offset < 0x100; offset += 4) {
		out32(vm, ADDRESS, config_address(0, 0, 0, offset));
		out32(vm, DATA, 0xffffffff);
		assert_int_equal(in32(vm, DATA), 0); /* no BARs, no capabilities */
	}
	out32(vm, ADDRESS, config_address(0, 0, 0, 0));
	out32(vm, DATA, 0);
	assert_int_equal(in32(vm, DATA), id);
}

/* The generic host bridge of QEMU, 1b36:0008, revision 0, byte by byte as each access size sees it. */
static void test_each_part_of_the_host_bridge(void **state)
{
	static const u8 config[256] = { 0x36, 0x1b, 0x08, 0x00, [0xb] = 0x06 };
	struct vm *vm = *state;

	for (unsigned offset = 0; offset < 256; offset++) {
		const u8 *at = &config[offset & 0xfc];
		unsigned byte = offset & 3;

		out32(vm, ADDRESS, config_address(0, 0, 0, offset));
		assert_int_equal(in8(vm, DATA + byte), at[byte]);
		if (byte < 3)
			assert_int_equal(in16(vm, DATA + byte), at[byte] | at[byte + 1] << 8);
		if (byte == 0)
			assert_int_equal(in32(vm, DATA), at[0] | at[1] << 8 | at[2] << 16 | (u32)at[3] << 24);
	}
}

static void test_the_rest_is_absent(void **state)
{
	struct vm *vm = *state;

	for (unsigned devfn = 1; devfn < 256; devfn++)
		assert_int_equal(config_read(vm, devfn >> 3, devfn & 7, 0), 0xffffffff);
	for (unsigned bus = 1; bus < 256; bus++) {
		out32(vm, ADDRESS, config_address(bus, 0, 0, 0));
		assert_int_equal(in32(vm, DATA), 0xffffffff);
		out32(vm, DATA, 0);
	}
}

static void test_address_register(void **state)
{
	struct vm *vm = *state;

	out32(vm, ADDRESS, 0xffffffff);
	assert_int_equal(in32(vm, ADDRESS), 0x80fffffc);
	/* How guests find mechanism #1: a byte write changes nothing. */
	out8(vm, 0xcfb, 0x01);
	out32(vm, ADDRESS, ENABLE);
	assert_int_equal(in32(vm, ADDRESS), ENABLE);
	out16(vm, ADDRESS, 0x1234);
	out8(vm, ADDRESS, 0x12);
	assert_int_equal(in32(vm, ADDRESS), ENABLE);
	assert_int_equal(in8(vm, ADDRESS), 0xff);
	assert_int_equal(in16(vm, 0xcfa), 0xffff);
	/* Without the enable bit the data ports reach nothing. */
	out32(vm, ADDRESS, 0);
	assert_int_equal(in32(vm, DATA), 0xffffffff);
}

static void test_parts_of_registers(void **state)
{
	struct recorder recorder = recorder_at(3, 2);
	struct vm *vm = *state;

	assert_int_equal(vpci_plug(vm, &recorder.function), 0);
	out32(vm, ADDRESS, config_address(0, 3, 2, 0x40));
	out32(vm, DATA, 0x44332211);
	assert_int_equal(in8(vm, DATA + 1), 0x22);
	assert_int_equal(in16(vm, DATA + 2), 0x4433);
	assert_int_equal(in16(vm, DATA + 1), 0x3322);
	out8(vm, DATA + 3, 0xaa);
	out16(vm, DATA, 0xbbcc);
	assert_int_equal(in32(vm, DATA), 0xaa33bbcc);
	assert_int_equal(recorder.config[0x43], 0xaa);
	/* The last register of the space. */
	out32(vm, ADDRESS, config_address(0, 3, 2, 0xff));
	out8(vm, DATA + 3, 0x77);
	assert_int_equal(recorder.config[0xff], 0x77);
	assert_int_equal(config_read(vm, 3, 1, 0x40), 0xffffffff);
}

/* Bits 7:2 of the address choose the register; bits 1:0 are not kept. */
static void test_each_register_is_reached_at_its_offset(void **state)
{
	struct recorder recorder = recorder_at(9, 5);
	struct vm *vm = *state;

	assert_int_equal(vpci_plug(vm, &recorder.function), 0);
	for (unsigned offset = 0; offset < 256; offset++) {
		out32(vm, ADDRESS, config_address(0, 9, 5, 0) | (offset & 0xfc) | 3);
		out8(vm, DATA + offset % 4, (u8)(offset ^ 0xa5));
		assert_int_equal(recorder.config[offset], offset ^ 0xa5);
	}
	for (unsigned offset = 0; offset < 256; offset++) {
		out32(vm, ADDRESS, config_address(0, 9, 5, 0) | (offset & 0xfc) | 3);
		assert_int_equal(in8(vm, DATA + offset % 4), offset ^ 0xa5);
	}
	assert_int_equal(recorder.writes, 256);
	assert_int_equal(recorder.reads, 256);
}

static void test_a_place_is_taken_once(void **state)
{
	struct recorder first = recorder_at(4, 0), second = recorder_at(4, 0);
	struct recorder bridge = recorder_at(0, 0);
	struct vm *vm = *state;

	assert_int_equal(vpci_plug(vm, &first.function), 0);
	assert_int_equal(vpci_plug(vm, &second.function), -EEXIST);
	assert_int_equal(vpci_plug(vm, &bridge.function), -EEXIST);
	config_read(vm, 4, 0, 0);
	assert_int_equal(first.reads, 1);
	assert_int_equal(second.reads, 0);
}

static void test_reset_port(void **state)
{
	struct vm *vm = *state;

	out32(vm, ADDRESS, 0x80000600);
	assert_int_equal(reset_writes, 0);
	out8(vm, 0xcf9, 0x06);
	assert_int_equal(reset_writes, 1);
	assert_int_equal(reset_value, 6);
	assert_int_equal(in8(vm, 0xcf9), 0x5a);
	assert_int_equal(in32(vm, ADDRESS), 0x80000600);
	/* Wider ones mean the address register. */
	out16(vm, ADDRESS, 0x0600);
	out16(vm, 0xcf9, 0x0606);
	in32(vm, ADDRESS);
	assert_int_equal(reset_writes, 1);
	assert_int_equal(reset_reads, 1);
}

static void test_no_memory(void **state)
{
	struct vm *vm = fake_create(0);

	vm_set_platform(vm, &platform);
	fake_of(vm)->alloc_limit = 0;
	assert_int_equal(vpci_create(vm), -ENOMEM);
	fake_destroy(vm);
}

/* Any access at all: recorder_read() and recorder_write() check what arrives. */
static void test_hostile(void **state)
{
	struct recorder functions[] = { recorder_at(1, 0), recorder_at(31, 7) };
	u64 seed = 0x5eed0001;
	struct vm *vm = *state;

	assert_int_equal(vpci_plug(vm, &functions[0].function), 0);
	assert_int_equal(vpci_plug(vm, &functions[1].function), 0);
	for (unsigned i = 0; i < 1000000; i++) {
		u64 random = fake_random(&seed);
		u16 port = 0xcf5 + random % 14;
		unsigned size = 1 << (random >> 8) % 3;
		u32 value = (u32)(random >> 32);

		if (random & 0x10000)
			value = random & 0x20000 ? config_address(0, 1, 0, value)
						 : config_address(0, 31, 7, value);
		if (random & 0x40000)
			pio_write(vm_bsp(vm), port, size, value);
		else
			pio_read(vm_bsp(vm), port, size);
	}
	assert_true(functions[0].reads > 1000 && functions[0].writes > 1000);
	assert_true(functions[1].reads > 1000 && functions[1].writes > 1000);
	assert_int_equal(config_read(vm, 0, 0, 8) >> 8, 0x060000);
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_host_bridge),
		ON(test_each_part_of_the_host_bridge),
		ON(test_the_rest_is_absent),
		ON(test_address_register),
		ON(test_parts_of_registers),
		ON(test_each_register_is_reached_at_its_offset),
		ON(test_a_place_is_taken_once),
		ON(test_reset_port),
		cmocka_unit_test(test_no_memory),
		ON(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
