/* SPDX-License-Identifier: MIT */
/*
 * INSB and OUTSB on the fast path: what it takes and what it leaves, against the walk of core/emulate/gwalk.c, and
 * what it has changed then.
 */
/* link: core/emulate/string_fast.c core/emulate/gwalk.c core/emulate/gwalk_segment.c core/emulate/operand.c core/emulate/watch.c */
/* link: core/cpu/control.c core/vcpu.c tests/unit/fake_vcpu.c */
#include "fake_vcpu.h"

#include <string.h>

#include "arch/cpu/cpufeature.h"
#include "core/emulate/string_fast.h"
#include "home_cpu.h"

/* The loop's part: tests/unit/test_enter.c. */
enum exit_fastpath enter_from_stub(struct vcpu *v) { return EXIT_FASTPATH_EXIT_HANDLED; }

/* In RAM above the VGA hole, where the fast path looks. */
#define PML4	0x100000ull
#define PDPT	0x101000ull
#define PD	0x102000ull
#define PT	0x103000ull
#define DATA	0x120000ull	/* linear and physical */
#define PORT	0x2f8
#define RIP	0x401000ull
#define PRESENT (PTE_PRESENT | PTE_ACCESSED)
#define ALL	(PRESENT | PTE_WRITE | PTE_DIRTY)

static struct exit_statistics counted;
static u8 port_map[IO_PORTS];
static struct string_exit string;
static struct access_exit leaving;
static struct {
	unsigned calls, most;
	u16 port;
	bool locked;
	u8 bytes[64];
	unsigned n;
} device;

static unsigned device_block(void *opaque, u16 port, bool in, u8 *data, unsigned n)
{
	device.calls++;
	device.port = port;
	device.locked = fake.vm.lock.next != fake.vm.lock.served;
	n = MIN(n, device.most);
	for (unsigned i = 0; i < n; i++) {
		if (in)
			data[i] = (u8)(0x80 + i);
		else
			device.bytes[device.n + i] = data[i];
	}
	device.n += n;
	return n;
}

static u64 *entry(u64 table, gva_t gva, unsigned shift)
{
	return (u64 *)(fake.ram + table) + (gva >> shift & 511);
}

static int setup(void **state)
{
	fake_machine_create();
	fake_long_mode();
	home_reset();
	memset(&device, 0, sizeof(device));
	device.most = ~0u;
	*entry(PML4, 0, 39) = PDPT | ALL;
	*entry(PDPT, 0, 30) = PD | ALL;
	*entry(PD, 0, 21) = PT | ALL;
	for (gva_t gva = 0; gva < MIB(2); gva += PAGE_SIZE)
		*entry(PT, gva, 12) = gva | ALL;
	for (unsigned i = 0; i < 256; i++)
		fake.ram[DATA + i] = (u8)i;
	fake.controls[CTL_CR3] = PML4;
	fake.vcpu.cpu = &home;
	fake.vcpu.deadline_in_hardware = true;
	fake.vcpu.statistics.by_kind[5] = &counted;
	fake.vm.ports.port_map = port_map;
	fake.vm.ports.count = 1;
	fake.vm.ports.regions[0] = (struct io_region){ .name = "test", .base = PORT - 8, .size = 16, .on_byte_bus = true, .block = device_block };
	memset(port_map + PORT - 8, 1, 16);
	string = (struct string_exit){
		.view = { .mode = INSN_MODE_64, .paging = CODE_4_LEVEL, .cr3 = PML4 }, .port = PORT, .rep = true };
	leaving = (struct access_exit){ .index = 5, .rip = RIP, .next_rip = RIP + 2 };
	fake.vcpu.regs[REG_RSI] = fake.vcpu.regs[REG_RDI] = DATA;
	fake.vcpu.regs[REG_RCX] = 16;
	return 0;
}

static int teardown(void **state)
{
	fake_machine_destroy();
	return 0;
}

static bool taken(void)
{
	enum exit_fastpath done = fastpath_string(&fake.vcpu, &leaving, &string);

	assert_int_equal(fake.vm.lock.next, fake.vm.lock.served);
	if (done == EXIT_FASTPATH_NONE) {
		assert_int_equal(home.trace.next, 0);
		assert_int_equal(fake.vcpu.regs[REG_RCX], 16);
		return false;
	}
	assert_int_equal(done, EXIT_FASTPATH_REENTER_GUEST);
	return true;
}

static void test_a_run_is_written(void **state)
{
	const struct trace_record *record = &home.trace.records[0];

	assert_true(taken());
	assert_int_equal(device.calls, 1);
	assert_int_equal(device.port, PORT);
	assert_true(device.locked);
	assert_int_equal(device.n, 16);
	assert_memory_equal(device.bytes, fake.ram + DATA, 16);
	assert_int_equal(fake.vcpu.regs[REG_RSI], DATA + 16);
	assert_int_equal(fake.vcpu.regs[REG_RDI], DATA);
	assert_int_equal(fake.vcpu.regs[REG_RCX], 0);
	assert_int_equal(fake.vcpu.regs[REG_RIP], RIP + 2);
	assert_int_equal(fake.vcpu.exit_rip, RIP);
	assert_int_equal(home.trace.next, 1);
	assert_int_equal(record->kind, TRACE_FASTPATH_ACCESS);
	assert_int_equal(record->entry_rip, RIP + 2);
	assert_int_equal(record->access.kind, TRACE_PIO_BLOCK);
	assert_true(record->access.write);
	assert_int_equal(record->access.address, PORT);
	assert_int_equal(record->access.count, 16);
	assert_memory_equal(record->access.bytes, fake.ram + DATA, 16);
}

static void test_a_run_is_read(void **state)
{
	string.in = true;
	fake.vcpu.regs[REG_RCX] = 11;
	assert_int_equal(fastpath_string(&fake.vcpu, &leaving, &string), EXIT_FASTPATH_REENTER_GUEST);
	for (unsigned i = 0; i < 11; i++) {
		assert_int_equal(fake.ram[DATA + i], 0x80 + i);
		assert_int_equal(home.trace.records[0].access.bytes[i], 0x80 + i);
	}
	assert_int_equal(fake.ram[DATA + 11], 11);
	assert_int_equal(fake.vcpu.regs[REG_RDI], DATA + 11);
	assert_int_equal(fake.vcpu.regs[REG_RSI], DATA);
	assert_int_equal(fake.vcpu.regs[REG_RCX], 0);
	assert_false(home.trace.records[0].access.write);
}

static void test_one_without_rep(void **state)
{
	string.rep = false;
	leaving.next_rip = RIP + 1;
	assert_true(taken());
	assert_int_equal(device.n, 1);
	assert_int_equal(fake.vcpu.regs[REG_RSI], DATA + 1);
	assert_int_equal(fake.vcpu.regs[REG_RCX], 16);
	assert_int_equal(fake.vcpu.regs[REG_RIP], RIP + 1);
}

/* RIP stays where more is to be done: beyond the page, what a record holds, and what the device takes. */
static void test_a_part_of_a_run(void **state)
{
	static const struct {
		u64 from, count;
		unsigned most, done;
	} parts[] = {
		{ DATA + 0xffb, 16, ~0u, 5 }, { DATA + 0xfff, 3, ~0u, 1 }, { DATA, 1000, ~0u, 48 }, { DATA, 49, ~0u, 48 },
		{ DATA, 16, 7, 7 }, { DATA, ~0ull, ~0u, 48 }, { DATA, 1ull << 32, 20, 20 },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		teardown(state);
		setup(state);
		device.most = parts[i].most;
		fake.vcpu.regs[REG_RSI] = parts[i].from;
		fake.vcpu.regs[REG_RCX] = parts[i].count;
		assert_true(taken());
		assert_int_equal(device.n, parts[i].done);
		assert_int_equal(fake.vcpu.regs[REG_RSI], parts[i].from + parts[i].done);
		assert_int_equal(fake.vcpu.regs[REG_RCX], parts[i].count - parts[i].done);
		assert_int_equal(fake.vcpu.regs[REG_RIP], RIP);
		assert_int_equal(home.trace.records[0].entry_rip, RIP);
		assert_int_equal(home.trace.records[0].access.count, parts[i].done);
	}
}

static void test_what_is_left_to_the_decoder(void **state)
{
	for (unsigned i = 0; i < 9; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0: leaving.next_rip = RIP + 3; break;			/* a prefix */
		case 1: string.rep = false; break;
		case 2: fake.vm.ports.regions[0].block = NULL; break;
		case 3: memset(port_map + PORT - 8, 0, 16); break;
		case 4: device.most = 0; break;					/* the device has to be asked for each */
		case 5: fake.vm.mem.damaged_count = 1; break;
		case 6: fake.vcpu.regs[REG_RSI] = BIT_ULL(47); break;		/* not canonical */
		case 7: fake.vcpu.regs[REG_RSI] = DATA | BIT_ULL(48); break;
		default: fake.vcpu.regs[REG_RSI] = GIB(1) + DATA; break;	/* not mapped */
		}
		assert_false(taken());
		assert_int_equal(device.n, 0);
		memset(port_map + PORT - 8, 1, 16);
	}
	teardown(state);
	setup(state);
	fake.vcpu.regs[REG_RCX] = 0;
	assert_int_equal(fastpath_string(&fake.vcpu, &leaving, &string), EXIT_FASTPATH_NONE);
	assert_int_equal(device.calls, 0);
}

/* 32-bit code without paging: registers of 32 bits, and segments. */
static void enter_flat(void)
{
	fake_protected_mode(true);
	string.view = (struct code_view){ .mode = INSN_MODE_32, .paging = CODE_UNPAGED };
	fake.vcpu.regs[REG_RSI] = fake.vcpu.regs[REG_RDI] = DATA;
}

static void test_registers_of_32_bits(void **state)
{
	enter_flat();
	fake.vcpu.regs[REG_RSI] |= 7ull << 32;
	fake.vcpu.regs[REG_RCX] = 5ull << 32 | 3;
	assert_true(taken());
	assert_int_equal(device.n, 3);
	assert_int_equal(fake.vcpu.regs[REG_RSI], DATA + 3);
	assert_int_equal(fake.vcpu.regs[REG_RCX], 0);
}

static void test_segments(void **state)
{
	for (unsigned i = 0; i < 9; i++) {
		struct segment *segment;

		teardown(state);
		setup(state);
		enter_flat();
		string.in = i >= 6;
		segment = &fake.segments[string.in ? SEG_ES : SEG_DS];
		switch (i) {
		case 0: segment->limit = DATA + 15; break;
		case 1: segment->limit = DATA + 14; break;
		case 2: segment->base = 0x40, segment->limit = DATA + 15; break;
		case 3: segment->type = 7; break;		/* expand-down */
		case 4: segment->unusable = true; break;
		case 5: segment->type = 9; break;		/* code that cannot be read */
		case 6: segment->type = 1; break;		/* not writable */
		case 7: segment->type = 3; break;
		default: segment->base = 0xfffffff0, fake.vcpu.regs[REG_RDI] = DATA + 16; break;	/* wraps */
		}
		assert_int_equal(taken(), i == 0 || i == 2 || i >= 7);
		if (i == 2)
			assert_int_equal(device.bytes[0], 0x40);
		if (i == 8)
			assert_int_equal(fake.ram[DATA], 0x80);
	}
}

/* Where the hole or no RAM is, and where a page is large. */
static void test_where_the_memory_is(void **state)
{
	for (unsigned i = 0; i < 9; i++) {
		teardown(state);
		setup(state);
		switch (i) {
		case 0: *entry(PT, DATA, 12) = 0xa0000 | ALL; break;
		case 1: *entry(PT, DATA, 12) = FAKE_RAM_SIZE | ALL; break;
		case 2: *entry(PML4, 0, 39) = FAKE_RAM_SIZE | ALL; break;
		case 3: *entry(PD, 0, 21) = 0 | ALL | PTE_LARGE; break;
		case 4: *entry(PD, 0, 21) = 0x2000 | ALL | PTE_LARGE; break;	/* reserved */
		case 5: *entry(PDPT, 0, 30) = 0 | ALL | PTE_LARGE; break;
		case 6: *entry(PDPT, 0, 30) = 0 | ALL | PTE_LARGE; cpu_features.pages_1g = false; break;
		case 7: *entry(PML4, 0, 39) = PDPT | ALL | PTE_LARGE; break;
		default: *entry(PT, DATA, 12) |= PTE_LARGE | PTE_GLOBAL | PTE_PCD; break;	/* PAT */
		}
		assert_int_equal(taken(), i == 3 || i == 5 || i == 8);
		if (device.n)
			assert_memory_equal(device.bytes, fake.ram + DATA, 16);
	}
}

/* Whatever the tables are: what the fast path takes does not fault, is at this address, and needs no flag set. */
static void test_rights_against_the_walk(void **state)
{
	static const u64 bits[] = {
		PTE_PRESENT, PTE_WRITE, PTE_USER, PTE_ACCESSED, PTE_DIRTY, PTE_LARGE, PTE_GLOBAL, BIT_ULL(13), BIT_ULL(39), BIT_ULL(41),
		BIT_ULL(51), BIT_ULL(52), PTE_NX,
	};
	u64 seed = 0x6e6f, *entries[] = { entry(PML4, 0, 39), entry(PDPT, 0, 30), entry(PD, 0, 21), entry(PT, DATA, 12) };
	const u64 tables[] = { PDPT, PD, PT, DATA };
	unsigned count[2][2] = { 0 };

	for (unsigned round = 0; round < 200000; round++) {
		bool user = fake_random(&seed) & 1, done;
		u64 random = fake_random(&seed), before[4];
		struct guest_fault fault;
		struct guest_span span;
		int error;

		for (unsigned i = 0; i < 4; i++)
			*entries[i] = tables[i] | ALL | (user ? PTE_USER : 0);
		for (unsigned changes = random >> 60 & 3; changes; changes--, random >>= 8)
			*entries[random & 3] ^= bits[(random >> 2 & 63) % ARRAY_SIZE(bits)];
		random = fake_random(&seed);
		string.in = random & 1;
		string.user = user;
		string.no_execute = random & 2;
		fake_set_cpl(user ? 3 : 0);
		fake.controls[CTL_EFER] = EFER_LME | EFER_LMA | (random & 2 ? EFER_NXE : 0);
		fake.controls[CTL_CR0] = CR0_PE | CR0_PG | (random & 4 ? CR0_WP : 0);
		fake.controls[CTL_CR4] = CR4_PAE | (random & 8 ? CR4_SMAP : 0);
		cpu_features.pages_1g = random & 16;
		memset(&device, 0, sizeof(device));
		device.most = ~0u;
		fake.vcpu.regs[REG_RSI] = fake.vcpu.regs[REG_RDI] = DATA;
		fake.vcpu.regs[REG_RCX] = 4;
		leaving.next_rip = RIP + 2;
		memcpy(fake.ram + DATA, "\1\2\3\4", 4);
		done = fastpath_string(&fake.vcpu, &leaving, &string) != EXIT_FASTPATH_NONE;
		count[string.in][done]++;
		if (!done)
			continue;
		for (unsigned i = 0; i < 4; i++)
			before[i] = *entries[i];
		error = gwalk_span(&fake.vcpu, DATA, 4, (string.in ? PF_WRITE : 0) | (user ? PF_USER : 0), &span, &fault);
		assert_int_equal(error, 0);
		for (unsigned i = 0; i < 4; i++)
			assert_int_equal(*entries[i], before[i]);
		if (string.in)
			assert_memory_equal(fake.ram + span.gpa[0], "\x80\x81\x82\x83", 4);
		else
			assert_memory_equal(fake.ram + span.gpa[0], device.bytes, 4);
	}
	for (unsigned i = 0; i < 4; i++)
		assert_true(count[i & 1][i >> 1] > 10000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_run_is_written),
		TEST(test_a_run_is_read),
		TEST(test_one_without_rep),
		TEST(test_a_part_of_a_run),
		TEST(test_what_is_left_to_the_decoder),
		TEST(test_registers_of_32_bits),
		TEST(test_segments),
		TEST(test_where_the_memory_is),
		TEST(test_rights_against_the_walk),
	};

	return cmocka_run_group_tests_name("test_string_fast", tests, NULL, NULL);
}
