/* SPDX-License-Identifier: MIT */
/*
 * MSI-X: the table and the pending bits by each width, masks, and that what waits is sent once. PCI Local Bus Specification,
 * "MSI-X Capability and Table Structures", "MSI-X Operation".
 */
/* link: dev/pci/vpci.c dev/pci/vpci_device.c dev/pci/vpci_msix.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/irq/msi.h"
#include "dev/isa/vpm.h"
#include "dev/pci/vpci_device.h"
#include "dev/platform.h"

#define ENABLE	0x8000u
#define MASK_ALL 0x4000u
#define VECTORS 5
#define TABLE	0x1000u
#define PENDING 0x1800u

static struct platform platform;
static struct vpci_device device;

u8 vpm_reset_read(struct vpm *vpm) { return 0; }
void vpm_reset_write(struct vpm *vpm, u8 value) { }

static unsigned sent;
static struct { u64 address; u32 data; } last;

void msi_send(struct vm *vm, u64 address, u32 data)
{
	sent++;
	last.address = address;
	last.data = data;
}

static u32 prepared;	/* bits of all data */

void msi_prepared(struct vm *vm, u32 data)
{
	prepared |= data;
}

static u64 bar_read(void *context, struct vcpu *vcpu, u64 offset, unsigned size)
{
	return offset < PENDING ? vpci_msix_table_read(&device, offset - TABLE, size) :
				  vpci_msix_pending_read(&device, offset - PENDING, size);
}

static void bar_write(void *context, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	if (offset < PENDING)
		vpci_msix_table_write(&device, offset - TABLE, size, value);
}

static const struct vpci_identity identity = { .name = "toy", .vendor = 0x1af4, .device = 0x1044 };
static u64 base;
static struct vm *vm;

static u32 config(unsigned offset)
{
	out32(vm, 0xcf8, 0x80000800 | (offset & 0xfc));
	return in32(vm, 0xcfc);
}

static unsigned capability(void) { return config(0x34) & 0xff; }

static void set_control(u16 value)
{
	out32(vm, 0xcf8, 0x80000800 | capability());
	out16(vm, 0xcfe, value);
}

static void set_command(u16 value)
{
	out32(vm, 0xcf8, 0x80000804);
	out16(vm, 0xcfc, value);
}

void vpic_set_line(struct vm *vm, unsigned irq, bool level)
{
}

static int set_up(void **state)
{
	const struct io_region region = { "toy", 0, 0x2000, { bar_read }, { bar_write }, NULL, true };

	vm = fake_create(0);
	memset(&platform, 0, sizeof(platform));
	memset(&device, 0, sizeof(device));
	vm_set_platform(vm, &platform);
	assert_int_equal(vpci_create(vm), 0);
	assert_int_equal(vpci_device_create(vm, &device, &identity), 0);
	assert_int_equal(vpci_device_add_memory(&device, 2, &region), 0);
	vpci_device_add_msix(&device, VECTORS, 2, TABLE, PENDING);
	base = (config(0x18) & ~15u) | (u64)config(0x1c) << 32;
	set_command(6);
	sent = 0;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

static u64 table(unsigned offset, unsigned size) { return mmio_read(vm_bsp(vm), base + TABLE + offset, size); }

static void set_table(unsigned offset, unsigned size, u64 value)
{
	mmio_write(vm_bsp(vm), base + TABLE + offset, size, value);
}

static u64 pending(void) { return mmio_read(vm_bsp(vm), base + PENDING, 8); }

static void program(unsigned vector, u64 address, u32 data)
{
	set_table(vector * 16, 4, (u32)address);
	set_table(vector * 16 + 4, 4, address >> 32);
	set_table(vector * 16 + 8, 4, data);
}

static void mask(unsigned vector, bool masked) { set_table(vector * 16 + 12, 4, masked); }

/* --- */

static void test_the_capability(void **state)
{
	unsigned at = capability();

	assert_int_equal(config(at) & 0xff, 0x11);
	assert_int_equal(config(at) >> 16, VECTORS - 1);	/* disabled; the size, less one */
	assert_int_equal(config(at + 4), TABLE | 2);
	assert_int_equal(config(at + 8), PENDING | 2);
	set_control(0xffff);
	assert_int_equal(config(at) >> 16, ENABLE | MASK_ALL | (VECTORS - 1));
	assert_true(vpci_device_uses_msix(&device));
	set_control(0);
	assert_int_equal(config(at) >> 16, VECTORS - 1);
	assert_false(vpci_device_uses_msix(&device));
}

/* "Vector Control for MSI-X Table Entries": all are masked after a reset. */
static void test_the_table_at_first(void **state)
{
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		assert_int_equal(table(vector * 16, 8), 0);
		assert_int_equal(table(vector * 16 + 8, 4), 0);
		assert_int_equal(table(vector * 16 + 12, 4), 1);
	}
	/* Behind its end nothing is. */
	set_table(VECTORS * 16, 8, ~0ull);
	set_table(VECTORS * 16 + 8, 8, ~0ull);
	assert_int_equal(table(VECTORS * 16, 8), 0);
	assert_int_equal(table(VECTORS * 16 + 12, 4), 0);
	set_table(0x7f8, 8, ~0ull);
	assert_int_equal(table(0x7f8, 8), 0);
	/* Across the end. */
	assert_int_equal(table(VECTORS * 16 - 4, 8), 1);
}

static void test_the_table_by_each_width(void **state)
{
	static const u8 image[16] = { 0x00, 0x10, 0xe0, 0xfe, 0x21, 0x32, 0x43, 0x54, 0x65, 0x76, 0x87, 0x98, 0x01, 0, 0, 0 };

	for (unsigned size = 1; size <= 8; size *= 2) {
		for (unsigned offset = 0; offset < 16; offset += size) {
			u64 value = 0;

			memcpy(&value, image + offset, size);
			set_table(32 + offset, size, value);
		}
		for (unsigned width = 1; width <= 8; width *= 2) {
			for (unsigned offset = 0; offset + width <= 16; offset++) {
				u64 value = 0;

				memcpy(&value, image + offset, width);
				assert_int_equal(table(32 + offset, width), value);
			}
		}
		/* Its neighbours are as they were. */
		assert_int_equal(table(16, 8) | table(48, 8), 0);
		assert_int_equal(table(28, 4), 1);
		set_table(32, 8, 0);
		set_table(40, 8, 0);
		assert_int_equal(table(32, 8) | table(40, 8), 0);
	}
	/* Bits 1:0 of the address, and all but bit 0 of the vector control, are 0. */
	set_table(0, 8, ~0ull);
	set_table(8, 8, ~0ull);
	assert_int_equal(table(0, 8), 0xfffffffffffffffcull);
	assert_int_equal(table(8, 8), 0x1ffffffffull);
}

static void test_messages(void **state)
{
	set_control(ENABLE);
	program(3, 0xfee01000, 0x4041);
	mask(3, false);
	assert_int_equal(sent, 0);
	vpci_device_send(&device, 3);
	assert_int_equal(sent, 1);
	assert_int_equal(last.address, 0xfee01000);
	assert_int_equal(last.data, 0x4041);
	assert_int_equal(pending(), 0);
	vpci_device_send(&device, VECTORS);
	vpci_device_send(&device, 64);
	vpci_device_send(&device, 0xffff);		/* VIRTIO_MSI_NO_VECTOR */
	assert_int_equal(sent, 1);
	assert_int_equal(pending(), 0);
}

static void test_a_masked_message_waits_and_is_sent_once(void **state)
{
	set_control(ENABLE);
	program(1, 0xfee02000, 0x51);
	program(4, 0xfee03000, 0x54);
	for (unsigned i = 0; i < 3; i++)
		vpci_device_send(&device, 1);
	vpci_device_send(&device, 4);
	assert_int_equal(sent, 0);
	assert_int_equal(pending(), BIT(1) | BIT(4));
	mask(1, false);
	assert_int_equal(sent, 1);
	assert_int_equal(last.data, 0x51);
	assert_int_equal(pending(), BIT(4));
	mask(1, true);
	mask(1, false);
	assert_int_equal(sent, 1);
	/* Address and data as they are by then. */
	program(4, 0xfee07000, 0x77);
	mask(4, false);
	assert_int_equal(sent, 2);
	assert_int_equal(last.address, 0xfee07000);
	assert_int_equal(last.data, 0x77);
	assert_int_equal(pending(), 0);
}

/* One write that covers data and vector control: the message is what is written, not what was before. */
static void test_eight_bytes_over_the_vector_control(void **state)
{
	set_control(ENABLE);
	program(2, 0xfee05000, 0x11);
	vpci_device_send(&device, 2);
	set_table(2 * 16 + 8, 8, 0x0000000000000022ull);
	assert_int_equal(sent, 1);
	assert_int_equal(last.data, 0x22);
	set_table(2 * 16 + 8, 8, 0x0000000100000033ull);
	vpci_device_send(&device, 2);
	assert_int_equal(sent, 1);
	assert_int_equal(pending(), BIT(2));
	/* One byte. */
	set_table(2 * 16 + 12, 1, 0);
	assert_int_equal(sent, 2);
	assert_int_equal(last.data, 0x33);
}

/* The data that is written byte by byte passes through no other delivery mode; the other registers are no data. */
static void test_data_is_looked_at(void **state)
{
	prepared = 0;
	program(2, 0x0000040000000400ull, 0x51);
	assert_int_equal(prepared, 0x51);
	set_table(2 * 16 + 9, 1, 4);
	assert_int_equal(prepared, 0x451);
}

static void test_the_function_mask(void **state)
{
	set_control(ENABLE | MASK_ALL);
	for (unsigned vector = 0; vector < VECTORS; vector++) {
		program(vector, 0xfee00000, 0x60 + vector);
		mask(vector, vector == 2);
		vpci_device_send(&device, vector);
	}
	assert_int_equal(sent, 0);
	assert_int_equal(pending(), 0x1f);
	set_control(ENABLE);
	assert_int_equal(sent, 4);		/* all but the one that has a mask of its own */
	assert_int_equal(pending(), BIT(2));
	set_control(ENABLE | MASK_ALL);
	mask(2, false);
	assert_int_equal(sent, 4);
	set_control(ENABLE);
	assert_int_equal(sent, 5);
	assert_int_equal(last.data, 0x62);
	assert_int_equal(pending(), 0);
}

static void test_without_enable_nothing_is_sent_or_kept(void **state)
{
	program(0, 0xfee00000, 0x60);
	mask(0, false);
	vpci_device_send(&device, 0);
	assert_int_equal(sent, 0);
	assert_int_equal(pending(), 0);
	set_control(ENABLE);
	assert_int_equal(sent, 0);
	mask(0, true);
	vpci_device_send(&device, 0);
	assert_int_equal(pending(), 1);
	set_control(0);
	assert_int_equal(pending(), 0);
	set_control(ENABLE);
	mask(0, false);
	assert_int_equal(sent, 0);
}

/* A message is an access to memory. */
static void test_only_a_bus_master_sends(void **state)
{
	set_control(ENABLE);
	program(0, 0xfee00000, 0x60);
	mask(0, false);
	set_command(2);
	vpci_device_send(&device, 0);
	assert_int_equal(sent, 0);
	assert_int_equal(pending(), 1);
	set_command(6);
	assert_int_equal(sent, 1);
	assert_int_equal(pending(), 0);
}

/* "MSI-X Operation": nothing spurious is sent for an event that is over. */
static void test_pending_messages_are_dropped(void **state)
{
	set_control(ENABLE);
	program(0, 0xfee00000, 0x60);
	program(1, 0xfee00000, 0x61);
	vpci_device_send(&device, 0);
	vpci_device_send(&device, 1);
	assert_int_equal(pending(), 3);
	vpci_device_drop_pending(&device);
	assert_int_equal(pending(), 0);
	mask(0, false);
	mask(1, false);
	assert_int_equal(sent, 0);
	vpci_device_send(&device, 1);
	assert_int_equal(sent, 1);
}

static void test_the_pending_bits_are_read_only_and_of_any_width(void **state)
{
	set_control(ENABLE);
	for (unsigned vector = 0; vector < VECTORS; vector++)
		vpci_device_send(&device, vector);
	mmio_write(vm_bsp(vm), base + PENDING, 8, 0);
	assert_int_equal(pending(), 0x1f);
	assert_int_equal(mmio_read(vm_bsp(vm), base + PENDING, 1), 0x1f);
	assert_int_equal(mmio_read(vm_bsp(vm), base + PENDING, 4), 0x1f);
	assert_int_equal(mmio_read(vm_bsp(vm), base + PENDING + 1, 4), 0);
	assert_int_equal(mmio_read(vm_bsp(vm), base + PENDING + 8, 8), 0);
	assert_int_equal(mmio_read(vm_bsp(vm), base + PENDING + 0x7f8, 8), 0);
}

#define STATUS		 6
#define INTERRUPT_STATUS BIT(3)

/* "MSI-X and MSI are mutually exclusive" with INTx: the line falls with the enable bit. */
static void test_inta_with_msix(void **state)
{
	vpci_device_set_intx(&device, true);
	assert_true(fake_of(vm)->lines[17].level);
	assert_int_equal(device.function.read(&device.function, STATUS, 2) & INTERRUPT_STATUS, INTERRUPT_STATUS);
	set_control(ENABLE);
	assert_false(fake_of(vm)->lines[17].level);
	assert_int_equal(device.function.read(&device.function, STATUS, 2) & INTERRUPT_STATUS, 0);
	set_control(0);
	assert_true(fake_of(vm)->lines[17].level);
	assert_int_equal(device.function.read(&device.function, STATUS, 2) & INTERRUPT_STATUS, INTERRUPT_STATUS);
	vpci_device_set_intx(&device, false);
	assert_false(fake_of(vm)->lines[17].level);
	/* What comes while messages are on reaches the line when they are off: the function asserts it still. */
	set_control(ENABLE);
	vpci_device_set_intx(&device, true);
	assert_false(fake_of(vm)->lines[17].level);
	set_control(0);
	assert_true(fake_of(vm)->lines[17].level);
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_the_capability), ON(test_the_table_at_first), ON(test_the_table_by_each_width), ON(test_messages),
		ON(test_a_masked_message_waits_and_is_sent_once), ON(test_eight_bytes_over_the_vector_control),
		ON(test_data_is_looked_at),
		ON(test_the_function_mask), ON(test_without_enable_nothing_is_sent_or_kept),
		ON(test_only_a_bus_master_sends), ON(test_the_pending_bits_are_read_only_and_of_any_width),
		ON(test_pending_messages_are_dropped), ON(test_inta_with_msix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
