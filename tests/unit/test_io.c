/* SPDX-License-Identifier: MIT */
/* The dispatch of accesses: sizes, accesses that no device claims, and what is recorded and logged. */
/* link: core/io.c core/device.c core/vm_log.c lib/log.c lib/string.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/io.h"
#include "core/observe/trace_record.h"
#include "lib/errno.h"
#include "home_cpu.h"

/* Nobody runs the VM. */
void vm_state_changed(struct vm *vm) { }

#define MMIO_BASE 0xfec00000ull

static struct vm vm;
static struct vcpu vcpu;
static bool no_memory;
static unsigned blocks, lines;

#define REGION(name, base, size, device) { name, base, size, { dev_read }, { dev_write }, device, false }

/* The device's registers read as their offset, repeated in more bytes than the access has. */
static struct {
	unsigned reads, writes, size;
	u64 offset, value;
	void *device;
	struct vcpu *vcpu;
	bool locked;		/* was the VM lock held? */
} last;

static bool is_locked(void)
{
	return vm.lock.next != vm.lock.served;
}

static u64 dev_read(void *device, struct vcpu *v, u64 offset, unsigned size)
{
	last.reads++;
	last.size = size;
	last.offset = offset;
	last.device = device;
	last.vcpu = v;
	last.locked = is_locked();
	return 0xa1a2a3a4b1b2b300ull | offset;
}

static void dev_write(void *device, struct vcpu *v, u64 offset, unsigned size, u64 value)
{
	last.writes++;
	last.size = size;
	last.offset = offset;
	last.value = value;
	last.device = device;
	last.vcpu = v;
	last.locked = is_locked();
}

void *pages_alloc(unsigned order)
{
	if (no_memory)
		return NULL;
	assert_int_equal(PAGE_SIZE << order, 65536);
	blocks++;
	return calloc(1, PAGE_SIZE << order);
}

void pages_free(void *pages, unsigned order)
{
	assert_int_equal(PAGE_SIZE << order, 65536);
	blocks--;
	free(pages);
}

static void count_lines(struct log_console *console, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
}

static int set_up(void **state)
{
	const struct io_region ports = REGION("ports", 0x100, 8, &last);
	const struct io_region memory = REGION("memory", MMIO_BASE, 0x20, &last);

	memset(&vm, 0, sizeof(vm));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&last, 0, sizeof(last));
	home_reset();
	vcpu.vm = &vm;
	vcpu.cpu = &home;
	no_memory = false;
	lines = 0;
	log_set_level(LOG_ERROR);
	assert_int_equal(io_init(&vm), 0);
	assert_int_equal(pio_register(&vm, &ports), 0);
	assert_int_equal(mmio_register(&vm, &memory), 0);
	return 0;
}

static int tear_down(void **state)
{
	io_destroy(&vm);
	assert_null(vm.ports.port_map);
	assert_int_equal(blocks, 0);
	return 0;
}

static void assert_recorded(u8 kind, bool write, unsigned size, u64 address, u64 value)
{
	const struct trace_record *record = &home.trace.records[(home.trace.next - 1) % TRACE_RECORDS];

	assert_int_equal(record->access.kind, kind);
	assert_int_equal(record->access.write, write);
	assert_int_equal(record->access.size, size);
	assert_int_equal(record->access.address, address);
	assert_int_equal(record->access.value, value);
}

static void the_map_needs_memory(void **state)
{
	struct vm other = { 0 };

	no_memory = true;
	assert_int_equal(io_init(&other), -ENOMEM);
	io_destroy(&other);	/* after a failure too */
	assert_int_equal(blocks, 1);
}

static void ports_of_a_device(void **state)
{
	assert_int_equal(pio_read(&vcpu, 0x100, 1), 0x00);
	assert_int_equal(pio_read(&vcpu, 0x107, 1), 0x07);
	assert_int_equal(pio_read(&vcpu, 0x106, 2), 0xb306);
	assert_recorded(TRACE_PIO, false, 2, 0x106, 0xb306);
	assert_int_equal(pio_read(&vcpu, 0x104, 4), 0xb1b2b304);
	assert_int_equal(last.reads, 4);
	assert_int_equal(last.size, 4);
	assert_ptr_equal(last.device, &last);
	assert_ptr_equal(last.vcpu, &vcpu);
	pio_write(&vcpu, 0x104, 4, 0x1122334455667788);
	assert_int_equal(last.value, 0x55667788);
	assert_int_equal(last.offset, 4);
	assert_int_equal(last.size, 4);
	pio_write(&vcpu, 0x107, 1, 0x1234);
	assert_int_equal(last.value, 0x34);
	assert_recorded(TRACE_PIO, true, 1, 0x107, 0x1234);
	assert_int_equal(last.writes, 2);
}

/* An access that extends beyond a device's ports is split into bytes; those without a device read as ones. */
static void ports_that_stick_out_are_split(void **state)
{
	assert_int_equal(pio_read(&vcpu, 0x106, 4), 0xffff0706);
	assert_int_equal(last.reads, 2);
	assert_int_equal(last.size, 1);
	assert_int_equal(pio_read(&vcpu, 0xff, 2), 0x00ff);
	pio_write(&vcpu, 0x105, 4, 0x44332211);
	assert_int_equal(last.writes, 3);
	assert_int_equal(last.offset, 7);
	assert_int_equal(last.value, 0x33);
	assert_int_equal(last.size, 1);
}

static void port_numbers_wrap(void **state)
{
	const struct io_region low = REGION("low", 0, 2, &vm);

	assert_int_equal(pio_register(&vm, &low), 0);
	assert_int_equal(pio_read(&vcpu, 0xffff, 2), 0x00ff);
	assert_ptr_equal(last.device, &vm);
	pio_write(&vcpu, 0xffff, 4, 0x44332211);
	assert_int_equal(last.writes, 2);
	assert_int_equal(last.value, 0x33);
	assert_int_equal(last.offset, 1);
}

static void ports_of_nobody(void **state)
{
	assert_int_equal(pio_read(&vcpu, 0x80, 1), 0xff);
	assert_int_equal(pio_read(&vcpu, 0x80, 2), 0xffff);
	assert_int_equal(pio_read(&vcpu, 0x80, 4), 0xffffffff);
	assert_recorded(TRACE_PIO, false, 4, 0x80, 0xffffffff);
	pio_write(&vcpu, 0x80, 4, 1);
	assert_recorded(TRACE_PIO, true, 4, 0x80, 1);
	assert_int_equal(last.reads + last.writes, 0);
	/* Not even remembered: the lines are for loglevel=debug. */
	assert_int_equal(vm.once.count, 0);
}

static void unclaimed_ports_are_logged_once(void **state)
{
	log_set_level(LOG_DEBUG);
	pio_read(&vcpu, 0x80, 1);
	assert_int_equal(vm.once.count, 1);
	pio_read(&vcpu, 0x80, 1);
	assert_int_equal(vm.once.count, 1);
	pio_write(&vcpu, 0x80, 1, 0);
	assert_int_equal(vm.once.count, 2);
	pio_read(&vcpu, 0x80, 2);	/* 0x81 is new */
	assert_int_equal(vm.once.count, 3);
	pio_write(&vcpu, 0x80, 2, 0);
	assert_int_equal(vm.once.count, 4);
	assert_int_equal(lines, 4);
}

static void memory_of_a_device(void **state)
{
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE, 1), 0x00);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x1f, 1), 0x1f);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x1c, 4), 0xb1b2b31c);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x18, 8), 0xa1a2a3a4b1b2b318);
	assert_recorded(TRACE_MMIO, false, 8, MMIO_BASE + 0x18, 0xa1a2a3a4b1b2b318);
	assert_int_equal(last.reads, 4);
	mmio_write(&vcpu, MMIO_BASE + 0x10, 4, 0x1122334455667788);
	assert_int_equal(last.value, 0x55667788);
	assert_int_equal(last.offset, 0x10);
	mmio_write(&vcpu, MMIO_BASE + 0x10, 8, 0x1122334455667788);
	assert_int_equal(last.value, 0x1122334455667788);
	assert_recorded(TRACE_MMIO, true, 8, MMIO_BASE + 0x10, 0x1122334455667788);
	assert_int_equal(last.writes, 2);
	assert_int_equal(lines, 0);
}

/* No device gets an access that extends beyond its memory. */
static void memory_of_nobody(void **state)
{
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x1d, 4), 0xffffffff);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE - 1, 2), 0xffff);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x20, 1), 0xff);
	assert_int_equal(mmio_read(&vcpu, 0, 8), ~0ull);
	assert_recorded(TRACE_MMIO, false, 8, 0, ~0ull);
	mmio_write(&vcpu, MMIO_BASE + 0x1f, 2, 1);
	mmio_write(&vcpu, MMIO_BASE + 0x20, 1, 1);
	assert_int_equal(last.reads + last.writes, 0);
}

static void a_region_ends_where_the_next_begins(void **state)
{
	const struct io_region next = REGION("next", MMIO_BASE + 0x20, 0x20, &vm);

	assert_int_equal(mmio_register(&vm, &next), 0);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x20, 1), 0x00);
	assert_ptr_equal(last.device, &vm);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + 0x1f, 1), 0x1f);
	assert_ptr_equal(last.device, &last);
}

static void a_full_bus(void **state)
{
	for (unsigned i = 1; i < IO_FIXED; i++) {
		const struct io_region more = REGION("more", MMIO_BASE + i * 0x1000, 0x20, &vm);

		assert_int_equal(mmio_register(&vm, &more), 0);
	}
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + (IO_FIXED - 1) * 0x1000 + 5, 1), 0x05);
	assert_int_equal(mmio_read(&vcpu, MMIO_BASE + IO_FIXED * 0x1000, 1), 0xff);
	assert_int_equal(last.reads, 1);
}

static void unclaimed_memory_is_logged_once_per_page(void **state)
{
	log_set_level(LOG_INFO);
	mmio_read(&vcpu, 0xd0000000, 4);
	mmio_read(&vcpu, 0xd0000ffc, 4);
	mmio_write(&vcpu, 0xd0000800, 4, 0);
	assert_int_equal(lines, 1);
	mmio_write(&vcpu, 0xd0001000, 4, 0);
	assert_int_equal(lines, 2);
	mmio_write(&vcpu, 0xd0001000, 4, 0);
	assert_int_equal(lines, 2);
	mmio_read(&vcpu, 0xd0002000, 4);
	assert_int_equal(lines, 3);
}

/* Shared devices are called with the VM lock, whole accesses and single bytes; those of a vCPU without it. */
static void the_vm_lock(void **state)
{
	struct io_region private = REGION("private", MMIO_BASE + 0x100, 0x20, &last);

	private.is_private = true;
	assert_int_equal(mmio_register(&vm, &private), 0);
	pio_read(&vcpu, 0x100, 4);
	assert_true(last.locked);
	pio_write(&vcpu, 0x100, 4, 0);
	assert_true(last.locked);
	pio_read(&vcpu, 0x107, 2);
	assert_true(last.locked);
	pio_write(&vcpu, 0x107, 2, 0);
	assert_true(last.locked);
	mmio_read(&vcpu, MMIO_BASE, 4);
	assert_true(last.locked);
	mmio_write(&vcpu, MMIO_BASE, 4, 0);
	assert_true(last.locked);
	mmio_read(&vcpu, MMIO_BASE + 0x100, 4);
	assert_false(last.locked);
	last.locked = true;
	mmio_write(&vcpu, MMIO_BASE + 0x100, 4, 0);
	assert_false(last.locked);
	assert_int_equal(last.reads + last.writes, 8);
	/* Nothing holds it when the access is done, or where no device is. */
	mmio_read(&vcpu, 0, 4);
	pio_write(&vcpu, 0x80, 1, 0);
	assert_false(is_locked());
}

/* --- what the fast path does with other than a byte of a device on an 8-bit bus --- */

static u8 read_byte(void *device, u16 port)
{
	last.reads++;
	last.locked = is_locked();
	return (u8)port;
}

static void write_byte(void *device, u16 port, u8 value)
{
	last.writes++;
	last.locked = is_locked();
	last.value = last.value << 8 | value;
}

static void accesses_for_a_record(void **state)
{
	static const struct io_region bytes = {
		.name = "bytes", .base = 0x200, .size = 4, .read_byte = read_byte, .write_byte = write_byte, .on_byte_bus = true };
	/* RAX was 1122334455667788h. SDM vol. 1, "General-Purpose Registers in 64-bit Mode": 32 bits clear the upper half. */
	static const struct {
		u16 port;
		u8 size;
		u64 value, rax;
	} rows[] = {
		{ 0x104, 4, 0xb1b2b304, 0xb1b2b304 },		/* a device */
		{ 0x104, 2, 0xb304, 0x112233445566b304 },
		{ 0x104, 1, 0x04, 0x1122334455667704 },
		{ 0x107, 2, 0xff07, 0x112233445566ff07 },	/* it sticks out */
		{ 0x200, 4, 0x03020100, 0x03020100 },		/* an 8-bit bus */
		{ 0x202, 2, 0x0302, 0x1122334455660302 },
		{ 0x203, 4, 0xffffff03, 0xffffff03 },
		{ 0x201, 1, 0x01, 0x1122334455667701 },
		{ 0x80, 1, 0xff, 0x11223344556677ff },		/* nobody */
	};
	struct trace_record record;

	assert_int_equal(pio_register(&vm, &bytes), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vcpu.regs[REG_RAX] = 0x1122334455667788;
		record = (struct trace_record){
			.access = { .what = TRACE_ACCESS_WHAT(TRACE_PIO, rows[i].size, false), .address = rows[i].port } };
		io_port_of_record(&vcpu, &record);
		assert_int_equal(record.access.value, rows[i].value);
		assert_int_equal(vcpu.regs[REG_RAX], rows[i].rax);
	}
	assert_int_equal(last.reads, 4 + 4 + 2 + 1 + 1);
	assert_true(last.locked);
	vcpu.regs[REG_RAX] = 0x1122334455667788;
	record.access.address = 0x104;
	record.access.what = TRACE_ACCESS_WHAT(TRACE_PIO, 2, true);
	io_port_of_record(&vcpu, &record);
	assert_int_equal(record.access.value, 0x7788);
	assert_int_equal(last.value, 0x7788);
	last.value = 0;
	record.access.address = 0x200;
	record.access.what = TRACE_ACCESS_WHAT(TRACE_PIO, 4, true);
	io_port_of_record(&vcpu, &record);
	assert_int_equal(record.access.value, 0x55667788);
	assert_int_equal(last.value, 0x88776655);	/* the lowest port first */
	assert_true(last.locked);
	assert_false(is_locked());
	assert_int_equal(vcpu.regs[REG_RAX], 0x1122334455667788);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static struct log_console console = { .write = count_lines };
	const struct CMUnitTest tests[] = {
		TEST(the_map_needs_memory),
		TEST(ports_of_a_device),
		TEST(accesses_for_a_record),
		TEST(ports_that_stick_out_are_split),
		TEST(port_numbers_wrap),
		TEST(ports_of_nobody),
		TEST(unclaimed_ports_are_logged_once),
		TEST(memory_of_a_device),
		TEST(memory_of_nobody),
		TEST(a_region_ends_where_the_next_begins),
		TEST(a_full_bus),
		TEST(unclaimed_memory_is_logged_once_per_page),
		TEST(the_vm_lock),
	};

	log_add_console(&console);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
