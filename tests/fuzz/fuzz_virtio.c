/* SPDX-License-Identifier: MIT */
/*
 * Virtio devices with a hostile driver: it writes every register with every width, moves the base address registers, builds
 * chains of descriptors, good ones and bad ones, and changes its memory while the device reads it.
 *
 * The input: which device; then steps, each a code and its values. Without a step that brings the device up, few inputs
 * would get beyond the first check.
 */
/* link: dev/virtio/virtio.c dev/virtio/virtio_pci.c dev/pci/vpci_device.c dev/pci/vpci_msix.c */
/* link: lib/lock_order.c tests/fuzz/virtio_machine.c */
/* traced: dev/virtio/virtqueue.c dev/virtio/rng.c dev/virtio/block.c dev/virtio/net.c dev/virtio/net_control.c */
/* traced: dev/virtio/net_receive.c dev/net/switch.c dev/net/ring.c dev/net/offload.c dev/virtio/console.c */
/* traced: dev/virtio/guest_port.c lib/string.c tests/fuzz/virtio_mirror.c */
/* cflags: -O2 -DLAMINA_DEBUG -fno-sanitize-coverage=trace-cmp,indirect-calls */
/* cflags: -fsanitize-coverage-ignorelist=$(root)/tests/fuzz/fuzz_virtio.uncovered */
/* ldflags: -Wl,--wrap=net_ring_init */
#include "tests/fuzz/virtio_machine.h"

#include "core/mem/guest_mem.h"
#include "dev/virtio/block.h"
#include "dev/virtio/console.h"
#include "dev/virtio/net.h"
#include "dev/virtio/rng.h"

#define STEPS	     128
#define PORTIONS     64
#define LOADS_MOST   200000u	/* of a portion of all devices, from the RAM, with the bytes that are copied one by one */
#define MEMORY_BAR   2
#define COMMON_BYTES 60
#define NOTIFY	     0x2000

/* --- the devices --- */

static int block_create(struct vm *vm)
{
	return virtio_block_create(vm, 0);
}

static int read_only_create(struct vm *vm)
{
	machine.disk_is_read_only = true;
	return virtio_block_create(vm, 0);
}

static int full_create(struct vm *vm)
{
	machine.disk_is_full = true;
	return virtio_block_create(vm, 0);
}

/* Two ports, which send to each other. */
static int net_create(struct vm *vm)
{
	return virtio_net_create(vm, 0) || virtio_net_create(vm, 1);
}

struct writer;
static void seed_any(struct writer *to);
static void seed_disk(struct writer *to);
static void seed_net(struct writer *to);
static void seed_console(struct writer *to);

/* Add a kind of device here, and what it needs to virtio_machine.c. */
static const struct {
	int (*create)(struct vm *vm);
	void (*seed)(struct writer *to);
	bool takes_any;		/* its first queue returns a request that has only 16 bytes to write */
} targets[] = {
	{ mirror_create, seed_any, true }, { virtio_rng_create, seed_any, true }, { block_create, seed_disk, false },
	{ read_only_create, seed_disk, false }, { full_create, seed_disk, false }, { net_create, seed_net, false },
	{ virtio_console_create, seed_console, false },
};

/* --- what the driver does --- */

static struct virtio_device *device;
static u64 ports, memory;	/* where its registers were assigned */

static void choose_device(unsigned i)
{
	i %= machine.device_count;
	device = machine.devices[i];
	ports = 0xc000 + (i + 2) * 0x100;
	memory = 0xe0000000 + (i + 2) * 0x10000;
}

/* Where bring_up() puts the rings of queue n, with a size that it chooses. Some overlap. */
static u64 rings_of(unsigned queue)
{
	return device == machine.devices[0] ? 0x1000 + 0xa00 * (queue % 7) : 0x9000 + 0xa00 * (queue % 4);
}

static u64 avail_of(const struct virtqueue *queue)
{
	return queue->driver;
}

static void common(unsigned reg, unsigned size, u64 value)
{
	machine_write(false, memory + reg, size, value);
}

static void put(u64 gpa, u64 value, unsigned size)
{
	guest_write(machine_vm, gpa, &value, size);
}

static u64 get(u64 gpa, unsigned size)
{
	u64 value = 0;

	guest_read(machine_vm, gpa, &value, size);
	return value;
}

/* As a good driver: reset, features, queues, DRIVER_OK. Neighbours in one access, which saves the fuzzer's time. */
static void bring_up(u64 features, unsigned log_size, u8 vector)
{
	common(20, 1, 0);
	common(20, 1, 1);
	common(20, 1, 3);
	features &= device->offered;
	common(8, 8, features << 32 | 0);
	common(8, 8, (features >> 32 | 1) << 32 | 1);
	common(20, 1, 11);
	for (unsigned i = 0; i < device->queue_count; i++) {
		u32 size;
		u64 at = rings_of(i);

		/* queue_select, queue_size, queue_msix_vector, queue_enable */
		common(22, 8, i | 1ull << log_size % 7 << 16 | (u64)vector << 32);
		size = device->queues[i].size;
		common(32, 8, at);
		common(40, 8, at + 16 * size);
		common(48, 8, (at + 16 * size + 6 + 2 * size + 3) & ~3ull);
		if (size <= 64)		/* not so if the register is out of reach */
			memset(guest_ptr(machine_vm, at + 16 * size, 0xa00 - 16 * size), 0, 0xa00 - 16 * size);
		common(28, 2, 1);
	}
	common(20, 1, 15);
}

/* A chain of descriptors from the input, which mostly lie in RAM; made available if `offer`. */
static void add_chain(struct fuzz_input *input)
{
	unsigned bits = (unsigned)fuzz_take(input, 1), count = bits % 16 + 1, i = (unsigned)fuzz_take(input, 1);
	struct virtqueue *queue = &device->queues[(unsigned)fuzz_take(input, 1) % device->queue_count];
	u64 table = bits & 16 ? 0x6000 : queue->descriptors;
	u16 index = (u16)get(avail_of(queue) + 2, 2), head = (u16)(i % queue->size);
	unsigned limit = bits & 16 ? 64 : queue->size;

	if (bits & 16) {
		put(queue->descriptors + 16 * head, table, 8);
		put(queue->descriptors + 16 * head + 8, 16 * count, 4);
		put(queue->descriptors + 16 * head + 12, 4, 2);
		i = 0;
	}
	for (unsigned n = 0; n < count; n++, i++) {
		u64 at = table + 16 * (i % limit), kind = fuzz_take(input, 1);

		put(at, kind & 0xc0 ? fuzz_take(input, 2) % 0xd000 : fuzz_take(input, 8), 8);
		put(at + 8, kind & 0x20 ? fuzz_take(input, 1) : kind & 0x10 ? fuzz_take(input, 2) : fuzz_take(input, 4), 4);
		put(at + 12, (n + 1 < count) | (kind & 8 ? 2 : 0) | ((kind & 7) == 7 ? fuzz_take(input, 2) : 0), 2);
		put(at + 14, (kind & 6) == 6 ? fuzz_take(input, 2) : (i + 1) % limit, 2);
	}
	put(avail_of(queue) + 4 + 2 * (index % queue->size), head, 2);
	put(avail_of(queue) + 2, index + 1, 2);
	/* Also used_event, as a driver that wants interrupts seldom. */
	if (bits & 32)
		put(avail_of(queue) + 4 + 2 * queue->size, fuzz_take(input, 2), 2);
}

static void work(unsigned portions)
{
	for (unsigned i = 0; i <= portions % PORTIONS; i++) {
		u64 before = machine.loads;
		bool more = machine_work();

		fuzz_assert(machine.loads - before < LOADS_MOST);
		if (!more)
			break;
	}
}

static unsigned width(u64 value)
{
	return 1u << value % 4;
}

static void step(struct fuzz_input *input)
{
	struct vpci_function *function = &device->pci.function;
	u64 code = fuzz_take(input, 1), a, b, c;

	switch (code % 16) {
	case 0:
		a = fuzz_take(input, 4);
		b = fuzz_take(input, 1);
		bring_up(a | a << 32, (unsigned)b, (u8)(b >> 4));
		break;
	case 1:
	case 2:
		add_chain(input);
		break;
	case 3:
		work((unsigned)fuzz_take(input, 1));
		break;
	case 4:
		a = fuzz_take(input, 1);
		machine_write(true, ports + a % 16, 2, a);
		work(0);
		break;
	case 5:		/* any register */
		a = fuzz_take(input, 1);
		b = width(fuzz_take(input, 1));
		common(a % 64, (unsigned)b, fuzz_take(input, (unsigned)b));
		break;
	case 6:		/* anywhere in the memory register */
		a = fuzz_take(input, 2) % 0x4000;
		b = width(fuzz_take(input, 1));
		machine_write(false, memory + a, (unsigned)b, fuzz_take(input, 8));
		break;
	case 7:
		a = fuzz_take(input, 2) % 0x4000;
		machine_read(false, memory + a, width(fuzz_take(input, 1)));
		break;
	case 8:		/* PCI configuration, with aligned accesses, as the bus makes them */
	case 9:
		b = 1u << fuzz_take(input, 1) % 3;
		a = fuzz_take(input, 1) & ~(b - 1);
		c = fuzz_take(input, (unsigned)b);
		if (code % 16 == 8)
			function->write(function, (unsigned)a, (unsigned)b, (u32)c);
		else
			function->read(function, (unsigned)a, (unsigned)b);
		break;
	case 10:	/* the window of the configuration */
		a = device->window;
		function->write(function, (unsigned)a + 4, 1, MEMORY_BAR);
		function->write(function, (unsigned)a + 8, 4, (u32)fuzz_take(input, 2));
		function->write(function, (unsigned)a + 12, 4, 1u << fuzz_take(input, 1) % 3);
		if (code & 16)
			function->write(function, (unsigned)a + 16, 4, (u32)fuzz_take(input, 4));
		else
			function->read(function, (unsigned)a + 16, 4);
		break;
	case 11:	/* any memory */
		a = fuzz_take(input, 2) % MACHINE_RAM;
		put(a, fuzz_take(input, 8), width(code >> 4));
		break;
	case 12:	/* the ring's own indexes and flags */
		a = fuzz_take(input, 1);
		put(avail_of(&device->queues[a % device->queue_count]) + 2 * (a >> 4), fuzz_take(input, 2), 2);
		break;
	case 13:	/* from now on the memory changes */
		machine.period = machine.until_change = (unsigned)fuzz_take(input, 1) % 32;
		a = fuzz_take(input, 1);
		machine.changes = (struct fuzz_input){ input->at, input->at + MIN(a, (u64)(input->end - input->at)) };
		if (code & 16)
			input->at = machine.changes.end;
		break;
	case 14:	/* bus master and decoding, as a good driver has them; the other device; the console */
		function->write(function, 4, 2, 7);
		if (code & 16)
			choose_device((unsigned)fuzz_take(input, 1));
		if (code & 32)
			machine_type((unsigned)fuzz_take(input, 1), code & 64);
		break;
	case 15:	/* MSI-X on or off, a vector unmasked */
		function->write(function, (unsigned)device->pci.msix_capability + 2, 2, code & 16 ? 0x8000 : 0);
		a = fuzz_take(input, 1) % 8;
		machine_write(false, memory + 0x3000 + 16 * a, 8, 0xfee00000);
		machine_write(false, memory + 0x3000 + 16 * a + 8, 8, fuzz_take(input, 1));
		break;
	}
}

/* DRIVER_OK, and neither DEVICE_NEEDS_RESET nor FAILED. */
static bool is_served(const struct virtio_device *which)
{
	return (which->status & 0xc4) == 4;
}

/* "ISR status capability": INTA is the OR of its bits. A port is open while its device is served, and only then takes input. */
static void check_devices(void)
{
	struct net_port_info port;

	for (unsigned i = 0; i < machine.device_count; i++)
		fuzz_assert(machine.devices[i]->pci.intx == (machine.devices[i]->isr != 0));
	for (unsigned i = 0; i < net_port_count(); i++) {
		if (net_port_describe(i, &port))
			fuzz_assert(port.open == is_served(machine.devices[port.index]));
	}
	fuzz_assert(!machine_reads() || is_served(machine.devices[0]));
}

void fuzz_one(const u8 *data, size_t size)
{
	struct fuzz_input input = { data, data + size };
	unsigned target = (unsigned)fuzz_take(&input, 1) % ARRAY_SIZE(targets);

	machine_reset();
	fuzz_assert(!targets[target].create(machine_vm));
	choose_device(0);
	device->pci.function.write(&device->pci.function, 4, 2, 7);
	machine.running = true;
	for (unsigned i = 0; i < STEPS && input.at < input.end; i++)
		step(&input);
	check_devices();

	/* After all that a driver can reset it, and it works. */
	machine.period = 0;
	for (unsigned i = 0; i < machine.device_count; i++) {
		choose_device(i);
		device->pci.function.write(&device->pci.function, 0x10, 4, (u32)ports);
		device->pci.function.write(&device->pci.function, 0x18, 4, (u32)memory);
		device->pci.function.write(&device->pci.function, 0x1c, 4, 0);
		device->pci.function.write(&device->pci.function, 4, 2, 7);
	}
	for (unsigned i = 0; i < machine.device_count; i++) {
		choose_device(i);
		common(20, 1, 0);
	}
	choose_device(0);
	bring_up(0, 3, 0);
	work(PORTIONS - 1);
	fuzz_assert(device->status == 15);
	if (!targets[target].takes_any)
		return;
	put(device->queues[0].descriptors, 0x5000, 8);
	put(device->queues[0].descriptors + 8, 2ull << 32 | 16, 8);
	put(device->queues[0].driver + 4, 0, 2);
	put(device->queues[0].driver + 2, 1, 2);
	machine_write(true, ports, 2, 0);
	work(PORTIONS - 1);
	fuzz_assert(device->status == 15 && get(device->queues[0].device + 2, 2) == 1);
}

/* --- valid inputs: the steps of good drivers --- */

struct writer {
	u8 *at, *end;
};

static void emit(struct writer *to, u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && to->at < to->end; i++)
		*to->at++ = (u8)(value >> 8 * i);
}

static void emit_bring_up(struct writer *to, u32 features)
{
	emit(to, 14, 1);
	emit(to, 0, 1);
	emit(to, features, 4);
	emit(to, 0x03, 1);
}

static void emit_memory(struct writer *to, u16 gpa, u64 value)
{
	emit(to, 0x3b, 1);
	emit(to, gpa, 2);
	emit(to, value, 8);
}

/* A chain of `count` descriptors in queue `queue`, beginning with descriptor `first`. */
static void emit_chain(struct writer *to, unsigned queue, unsigned first, unsigned count)
{
	emit(to, 1, 1);
	emit(to, count - 1, 1);
	emit(to, first, 1);
	emit(to, queue, 1);
}

static void emit_descriptor(struct writer *to, u16 gpa, u16 size, bool writable)
{
	emit(to, writable ? 0xd8 : 0xd0, 1);
	emit(to, gpa, 2);
	emit(to, size, 2);
}

static void emit_ring(struct writer *to, unsigned queue)
{
	emit(to, 4, 1);
	emit(to, 4 * queue, 1);
	emit(to, 3, 1);
	emit(to, 9, 1);
}

static void emit_choice(struct writer *to, unsigned i)
{
	emit(to, 14 | 16, 1);
	emit(to, i, 1);
}

static void seed_any(struct writer *to)
{
	emit_bring_up(to, 0x300000ff);
	for (unsigned i = 0; i < 3; i++) {
		emit_chain(to, 0, 2 * i, 2);
		emit_descriptor(to, 0x7000, 32, false);
		emit_descriptor(to, 0x7100, 100, true);
	}
	emit_ring(to, 0);
	emit_chain(to, 1, 0, 1);
	emit_descriptor(to, 0x7000, 0x200, true);
	emit(to, 13, 1);	/* the memory changes with each third load */
	emit(to, 3, 1);
	emit(to, 8, 1);
	emit_ring(to, 1);
}

/* Of a disk: "Device Operation". IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES. */
static void seed_disk(struct writer *to)
{
	static const u8 types[] = { 0, 1, 4, 8, 11, 13 };

	emit_bring_up(to, 0xffffffff);
	for (unsigned i = 0; i < sizeof(types); i++) {
		u16 at = 0x6800 + 32 * i;
		bool reads = types[i] == 0 || types[i] == 8;

		emit_memory(to, at, types[i]);
		emit_memory(to, at + 8, types[i] > 1 ? 0 : i + 1);
		emit_chain(to, 0, 4 * (i % 2), types[i] == 4 ? 2 : 3);
		emit_descriptor(to, at, 16, false);
		if (types[i] != 4)
			emit_descriptor(to, 0x7000, types[i] < 4 ? 1024 : types[i] == 8 ? 20 : 16, reads);
		emit_descriptor(to, 0x6ff0 + i, 1, true);
		/* A segment of DISCARD and WRITE_ZEROES: sector, count, flags. */
		emit_memory(to, 0x7000, 3);
		emit_memory(to, 0x7008, 5);
		emit_ring(to, 0);
	}
}

/* The ports of a switch: buffers for the second one, then a frame from the first one. */
static void seed_net(struct writer *to)
{
	emit_choice(to, 1);
	emit_bring_up(to, 0xffffffff);
	for (unsigned i = 0; i < 4; i++) {
		emit_chain(to, 0, i, 1);
		emit_descriptor(to, 0x7000 + 0x300 * i, 0x300, true);
	}
	emit_ring(to, 0);
	emit_choice(to, 0);
	emit_bring_up(to, 0xffffffff);
	/* The header, of 12 bytes: checksum wanted, TCP, segments of 100 bytes. Then Ethernet, IPv4, TCP. */
	emit_memory(to, 0x6800, 1 | 1 << 8 | 54ull << 16 | 100ull << 32 | 34ull << 48);
	emit_memory(to, 0x6808, 16 | 0x02ull << 32);
	emit_memory(to, 0x6810, 0x02ull << 8 | 0x02ull << 16 | 0x01ull << 56);
	emit_memory(to, 0x6818, 0x08ull | 0x45ull << 16 | 0x01ull << 32 | 0x2cull << 40);
	emit_memory(to, 0x6820, 0x40ull << 16 | 0x06ull << 24);
	emit_memory(to, 0x6828, 0);
	emit_memory(to, 0x6830, 0);
	emit_memory(to, 0x6838, 0x50ull << 16);
	emit_chain(to, 1, 0, 2);
	emit_descriptor(to, 0x6800, 12, false);
	emit_descriptor(to, 0x680c, 314, false);
	emit_ring(to, 1);
	/* The control queue: the class and the command, values, and where the result goes. */
	for (unsigned class = 0; class < 6; class++) {
		emit_memory(to, 0x6c00, class | (class > 1 ? 1 : 0) << 8 | 1 << 16);
		emit_chain(to, 6, 0, 3);
		emit_descriptor(to, 0x6c00, 2, false);
		emit_descriptor(to, 0x6c02, class == 1 ? 6 : class == 2 || class == 4 ? 2 : 1, false);
		emit_descriptor(to, 0x6c40, 1, true);
		emit_ring(to, 6);
	}
	emit_choice(to, 1);
	emit_ring(to, 0);
}

static void seed_console(struct writer *to)
{
	static const char *const texts[] = { "status 3 all tests passed\n", "result 0\n", "poweroff\n", "time\n" };

	emit_bring_up(to, 0xffffffff);
	for (unsigned i = 0; i < 4; i++) {
		emit_chain(to, 2, i, 1);
		emit_descriptor(to, 0x7000 + 64 * i, 64, true);
	}
	emit_chain(to, 0, 0, 1);
	emit_descriptor(to, 0x7200, 64, true);
	/* DEVICE_READY; PORT_READY and PORT_OPEN of both ports. "Multiport Device Operation". */
	for (unsigned i = 0; i < 5; i++) {
		emit_memory(to, 0x6800 + 8 * i, i == 0 ? 1ull << 48 : i % 2 | (i < 3 ? 3ull : 6) << 32 | 1ull << 48);
		emit_chain(to, 3, i, 1);
		emit_descriptor(to, 0x6800 + 8 * i, 8, false);
		emit_ring(to, 3);
	}
	emit(to, 14 | 32, 1);
	emit(to, 20, 1);	/* typed characters */
	for (unsigned i = 0; i < ARRAY_SIZE(texts); i++) {
		u64 words[4] = { 0 };

		memcpy(words, texts[i], strlen(texts[i]));
		for (unsigned j = 0; j < 4; j++)
			emit_memory(to, 0x6900 + 8 * j, words[j]);
		emit_chain(to, 5, i, 1);
		emit_descriptor(to, 0x6900, (u16)strlen(texts[i]), false);
		emit_ring(to, 5);
	}
	emit_chain(to, 1, 0, 1);
	emit_descriptor(to, 0x6900, 30, false);
	emit_chain(to, 4, 0, 1);
	emit_descriptor(to, 0x7300, 64, true);
	emit_ring(to, 1);
	emit_ring(to, 4);
}

size_t fuzz_seed(u8 *data, size_t max, unsigned which)
{
	unsigned target = which % ARRAY_SIZE(targets);
	struct writer to = { data, data + max };

	emit(&to, target, 1);
	targets[target].seed(&to);
	return (size_t)(to.at - data);
}

void fuzz_repair(u8 *data, size_t size)
{
}
