/* SPDX-License-Identifier: MIT */
/* Devices on an 8-bit bus, and the counters that they count time with. */
/* link: dev/isa/byte_ports.c tests/unit/fake_vm.c core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/isa/byte_ports.h"
#include "dev/isa/counter.h"
#include "lib/errno.h"

#define BASE  0x300
#define COUNT 8

static struct {
	unsigned count;
	u16 ports[COUNT];
	u8 values[COUNT];
} accesses;

static u8 read_port(void *device, u16 port)
{
	assert_ptr_equal(device, &accesses);
	accesses.ports[accesses.count++] = port;
	return 0x11 * (port - BASE + 1);
}

static void write_port(void *device, u16 port, u8 value)
{
	assert_ptr_equal(device, &accesses);
	accesses.ports[accesses.count] = port;
	accesses.values[accesses.count++] = value;
}

static const struct byte_ports ports = { "ports", BASE, COUNT, read_port, write_port, &accesses };

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	assert_int_equal(byte_ports_register(vm, &ports), 0);
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

static void assert_ports(unsigned first, unsigned count)
{
	assert_int_equal(accesses.count, count);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(accesses.ports[i], BASE + first + i);
}

static void a_read_becomes_one_per_port(void **state)
{
	static const struct {
		unsigned first, size;
		u32 value;
	} rows[] = {
		{ 0, 1, 0x11 }, { 3, 1, 0x44 }, { 0, 2, 0x2211 }, { 5, 2, 0x7766 }, { 2, 4, 0x66554433 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		accesses.count = 0;
		assert_int_equal(pio_read(vm_bsp(*state), BASE + rows[i].first, rows[i].size), rows[i].value);
		assert_ports(rows[i].first, rows[i].size);
	}
}

static void a_write_becomes_one_per_port(void **state)
{
	static const unsigned sizes[] = { 1, 2, 4 };

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		accesses.count = 0;
		pio_write(vm_bsp(*state), BASE + 1, sizes[i], 0x44332211);
		assert_ports(1, sizes[i]);
		for (unsigned byte = 0; byte < sizes[i]; byte++)
			assert_int_equal(accesses.values[byte], 0x11 * (byte + 1));
	}
}

static void ports_that_cannot_be_claimed(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(byte_ports_register(vm, &ports), -EEXIST);
}

/* To the tick, whether or not one frequency divides the other. */
static void a_deadline_is_the_first_tick_that_shows_the_count(void **state)
{
	static const u64 tsc_hz[] = { 2399123457, 3000000000, 1193182 * 100ull, 999999937 };
	static const u64 hz[] = { 1193182, 3579545, 32768, 1000000 };
	static const u64 counts[] = { 1, 2, 3, 1000, 65537, 1ull << 31, 86400ull * 3579545 };

	for (unsigned i = 0; i < ARRAY_SIZE(tsc_hz) * ARRAY_SIZE(hz) * ARRAY_SIZE(counts); i++) {
		const struct counter counter = { .origin = 123456789, .hz = hz[i / 4 % 4] };
		u64 count = counts[i / 16], deadline;

		fake_hz = tsc_hz[i % 4];
		deadline = counter_deadline(&counter, count);
		assert_int_equal(counter_at(&counter, deadline), count);
		assert_int_equal(counter_at(&counter, deadline - 1), count - 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_read_becomes_one_per_port),
		TEST(a_write_becomes_one_per_port),
		TEST(ports_that_cannot_be_claimed),
		TEST(a_deadline_is_the_first_tick_that_shows_the_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
