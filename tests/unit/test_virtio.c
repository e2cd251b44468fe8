/* SPDX-License-Identifier: MIT */
/* The transport of virtio devices: registers, status, features, interrupts, reset. VIRTIO 1.2. */
/* link: dev/virtio/virtio.c dev/virtio/virtio_pci.c dev/virtio/virtqueue.c tests/unit/fake_vm.c tests/unit/fake_queue.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
/* cflags: -Xlinker --wrap=log_get_level */
#include "fake_virtio.h"

#include <pthread.h>
#include <time.h>

#include "dev/virtio/virtio.h"
#include "lib/errno.h"

/* "Device Status Field". */
#define ACKNOWLEDGE 1
#define DRIVER	    2
#define DRIVER_OK   4
#define FEATURES_OK 8
#define NEEDS_RESET 64
#define FAILED	    128

/* "Common configuration structure layout". */
enum {
	DEVICE_FEATURE_SELECT = 0x00, DEVICE_FEATURE = 0x04, DRIVER_FEATURE_SELECT = 0x08, DRIVER_FEATURE = 0x0c,
	CONFIG_VECTOR = 0x10, NUM_QUEUES = 0x12, STATUS = 0x14, GENERATION = 0x15, QUEUE_SELECT = 0x16,
	QUEUE_SIZE = 0x18, QUEUE_VECTOR = 0x1a, QUEUE_ENABLE = 0x1c, QUEUE_NOTIFY_OFF = 0x1e, QUEUE_DESC = 0x20, QUEUE_DRIVER = 0x28,
	QUEUE_DEVICE = 0x30,
};

#define QUEUES	 3
#define MY_BIT	 BIT_ULL(5)
#define FEATURES (MY_BIT | BIT_ULL(40))
#define CONFIG_SIZE 10
#define RAM	 0x20000

/* --- PCI: what the transport asks of it --- */

static struct io_region ports, memory;
static unsigned ports_bar, memory_bar;
static bool bus_master, msix, intx;
static unsigned sent[32], intx_changes, next_capability, table_reads, table_writes, pending_reads;
static u64 table_offset, table_value;
static u32 msix_table, msix_pending;
static struct vpci_identity identity;
static int create_error, ports_error, memory_error;

int vpci_device_create(struct vm *vm, struct vpci_device *device, const struct vpci_identity *wanted)
{
	identity = *wanted;
	device->vm = vm;
	return create_error;
}

int vpci_device_add_ports(struct vpci_device *device, unsigned bar, const struct io_region *region)
{
	ports = *region;
	ports_bar = bar;
	return ports_error;
}

int vpci_device_add_memory(struct vpci_device *device, unsigned bar, const struct io_region *region)
{
	memory = *region;
	memory_bar = bar;
	return memory_error;
}

unsigned vpci_device_add_capability(struct vpci_device *device, u8 id, unsigned size)
{
	unsigned at = next_capability;

	device->config[at] = id;
	next_capability = (at + size + 3) & ~3u;
	device->config[at + 1] = (u8)next_capability;
	return at;
}

static unsigned config_reads, config_writes;

u32 vpci_device_config_read(struct vpci_function *function, unsigned offset, unsigned size)
{
	struct vpci_device *device = (struct vpci_device *)function;
	u32 value = 0;

	config_reads++;
	memcpy(&value, device->config + offset, size);
	return value;
}

void vpci_device_config_write(struct vpci_function *function, unsigned offset, unsigned size, u32 value)
{
	struct vpci_device *device = (struct vpci_device *)function;

	config_writes++;
	for (unsigned i = 0; i < size; i++)
		if (device->writable[offset + i])
			device->config[offset + i] = (u8)(value >> 8 * i);
}

void vpci_device_add_msix(struct vpci_device *device, unsigned vectors, unsigned bar, u32 table, u32 pending)
{
	device->msix_vectors = vectors;
	assert_int_equal(bar, memory_bar);
	msix_table = table;
	msix_pending = pending;
}

u64 vpci_msix_table_read(struct vpci_device *device, u64 offset, unsigned size)
{
	table_reads++;
	table_offset = offset;
	return 0x1122334455667788;
}

void vpci_msix_table_write(struct vpci_device *device, u64 offset, unsigned size, u64 value)
{
	table_writes++;
	table_offset = offset;
	table_value = value;
}

u64 vpci_msix_pending_read(struct vpci_device *device, u64 offset, unsigned size)
{
	pending_reads++;
	table_offset = offset;
	return 2;
}

bool vpci_device_is_bus_master(const struct vpci_device *device)
{
	return bus_master;
}

bool vpci_device_uses_msix(const struct vpci_device *device)
{
	return msix;
}

void vpci_device_send(struct vpci_device *device, unsigned vector)
{
	assert_in_range(vector, 0, QUEUES);
	sent[vector]++;
}

static unsigned drops;

void vpci_device_drop_pending(struct vpci_device *device)
{
	drops++;
}

void vpci_device_set_intx(struct vpci_device *device, bool level)
{
	intx_changes++;
	intx = level;
}

/* --- work --- */

static struct vm_work *posted;
static unsigned posts;

void vm_work_init(struct vm *vm, struct vm_work *work, bool (*run)(struct vm_work *work, struct vcpu *vcpu))
{
	*work = (struct vm_work){ .vm = vm, .run = run };
}

void vm_work_post(struct vm_work *work)
{
	posted = work;
	posts++;
}

static struct vm *vm;
static struct virtio_device *device;

/* One portion, if the work was posted; true: there is more. */
static bool work(void)
{
	struct vm_work *now = posted;
	bool more;

	posted = NULL;
	if (!now)
		return false;
	more = now->run(now, vm_bsp(vm));
	if (more)
		posted = now;
	return more;
}

/* --- the kind --- */

static u32 served, serve_calls, serve_more;
static unsigned starts, stops, resets;
static u8 config[CONFIG_SIZE];
static unsigned config_accesses;

static bool is_serving, is_slow, has_served, wants_doorbell;

static void sleep_ms(unsigned ms)
{
	nanosleep(&(struct timespec){ .tv_nsec = ms * 1000000 }, NULL);
}

static u32 serve(struct virtio_device *d, u32 queues)
{
	assert_ptr_equal(d, device);
	served = queues;
	serve_calls++;
	if (wants_doorbell)
		virtqueue_want_doorbell(&d->queues[0]);
	if (is_slow) {
		__atomic_store_n(&is_serving, true, __ATOMIC_RELEASE);
		sleep_ms(100);
		__atomic_store_n(&has_served, true, __ATOMIC_RELEASE);
	}
	return serve_more;
}

static void start(struct virtio_device *d)
{
	starts++;
}

static void reset(struct virtio_device *d)
{
	resets++;
}

static u32 config_read(struct virtio_device *d, unsigned offset, unsigned size)
{
	u32 value = 0;

	assert_true(size == 1 || size == 2 || size == 4);
	assert_in_range(offset + size, 1, CONFIG_SIZE);
	config_accesses++;
	memcpy(&value, config + offset, size);
	return value;
}

static void config_write(struct virtio_device *d, unsigned offset, unsigned size, u32 value)
{
	assert_true(size == 1 || size == 2 || size == 4);
	assert_in_range(offset + size, 1, CONFIG_SIZE);
	config_accesses++;
	memcpy(config + offset, &value, size);
}

static void stop(struct virtio_device *d)
{
	stops++;
}

static const struct virtio_ops ops = { serve, start, stop, reset, config_read, config_write };
static const struct virtio_kind kind = { "test device", 7, 0x020000, FEATURES, CONFIG_SIZE, &ops };
static const u16 sizes[QUEUES] = { 8, 256, 64 };

/* --- where the capabilities say that the structures are --- */

static u64 common_at, isr_at, config_at, notify_at, notify_port;

static u32 config32(unsigned at)
{
	u32 value;

	memcpy(&value, device->pci.config + at, 4);
	return value;
}

/* "Virtio Structure PCI Capabilities": the first of each kind that is in this register. */
static unsigned capability(u8 type, unsigned bar)
{
	for (unsigned at = 0x40; at < next_capability; at = device->pci.config[at + 1])
		if (device->pci.config[at] == 9 && device->pci.config[at + 3] == type &&
		    device->pci.config[at + 4] == bar)
			return at;
	fail_msg("no capability of type %u in register %u", type, bar);
	return 0;
}

static int set_up(void **state)
{
	vm = fake_create(RAM);
	next_capability = 0x40;
	bus_master = true;
	msix = intx = false;
	memset(sent, 0, sizeof(sent));
	intx_changes = table_reads = table_writes = pending_reads = posts = 0;
	served = serve_calls = serve_more = starts = stops = resets = config_accesses = 0;
	posted = NULL;
	create_error = ports_error = memory_error = 0;
	device = vm_alloc(vm, sizeof(*device));
	assert_int_equal(virtio_device_create(vm, device, &kind, QUEUES, sizes), 0);
	common_at = config32(capability(1, memory_bar) + 8);
	notify_port = config32(capability(2, ports_bar) + 8);
	notify_at = config32(capability(2, memory_bar) + 8);
	isr_at = config32(capability(3, memory_bar) + 8);
	config_at = config32(capability(4, memory_bar) + 8);
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(vm);
	return 0;
}

static u64 read(u64 offset, unsigned size)
{
	return memory.read(memory.device, vm_bsp(vm), offset, size) & (~0ull >> (64 - 8 * size));
}

static void write(u64 offset, unsigned size, u64 value)
{
	memory.write(memory.device, vm_bsp(vm), offset, size, value);
}

static u64 common(unsigned reg, unsigned size)
{
	return read(common_at + reg, size);
}

static void set(unsigned reg, unsigned size, u64 value)
{
	write(common_at + reg, size, value);
}

static void ring(unsigned queue)
{
	set(QUEUE_SELECT, 2, queue);
	ports.write(ports.device, vm_bsp(vm), notify_port + 4 * common(QUEUE_NOTIFY_OFF, 2), 2, queue);
}

static void want_features(u64 features)
{
	for (unsigned i = 0; i < 2; i++) {
		set(DRIVER_FEATURE_SELECT, 4, i);
		set(DRIVER_FEATURE, 4, (u32)(features >> 32 * i));
	}
}

static void negotiate(u64 features)
{
	set(STATUS, 1, ACKNOWLEDGE);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER);
	want_features(features);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
}

static struct fake_queue q[QUEUES];

static void enable(unsigned i, u16 vector)
{
	fake_queue_create(&q[i], vm, NULL, 0x1000 + 0x4000 * i, sizes[i]);
	set(QUEUE_SELECT, 2, i);
	set(QUEUE_DESC, 4, q[i].descriptors);
	set(QUEUE_DESC + 4, 4, 0);
	set(QUEUE_DRIVER, 4, q[i].driver);
	set(QUEUE_DRIVER + 4, 4, 0);
	set(QUEUE_DEVICE, 4, q[i].device);
	set(QUEUE_DEVICE + 4, 4, 0);
	set(QUEUE_VECTOR, 2, vector);
	set(QUEUE_ENABLE, 2, 1);
}

static void bring_up(u64 features)
{
	negotiate(features | VIRTIO_F_VERSION_1);
	for (unsigned i = 0; i < QUEUES; i++)
		enable(i, i);
	set(CONFIG_VECTOR, 2, QUEUES);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

/* Take a request of queue `i` and return it. */
static void complete(unsigned i)
{
	struct virtqueue_chain chain;
	const char *why;

	fake_queue_set(&q[i], 0, 0x10000, 16, FAKE_WRITE, 0);
	fake_queue_offer(&q[i], 0);
	spin_lock(&device->lock);
	assert_int_equal(virtqueue_peek(&device->queues[i], &chain, &why), 0);
	virtqueue_take(&device->queues[i]);
	virtqueue_done(&device->queues[i], chain.head, 16);
	virtio_queue_notify(device, i);
	spin_unlock(&device->lock);
}

/* --- */

static void identity_and_capabilities(void **state)
{
	unsigned at;

	/* "PCI Device Discovery": 1040h and the device type; not transitional. */
	assert_int_equal(identity.vendor, 0x1af4);
	assert_int_equal(identity.device, 0x1047);
	assert_true(identity.revision >= 1);
	assert_int_equal(identity.subsystem_vendor, 0x1af4);
	assert_true(identity.subsystem >= 0x40);
	assert_int_equal(identity.class, 0x020000);
	assert_true(ports.is_private && memory.is_private);
	assert_int_equal(memory.size & (memory.size - 1), 0);
	assert_int_equal(ports.size & (ports.size - 1), 0);
	assert_true(ports.size >= 4);

	/* A driver takes the first of a type: the doorbell in ports. */
	for (at = 0x40; device->pci.config[at + 3] != 2; at = device->pci.config[at + 1])
		;
	assert_int_equal(device->pci.config[at + 4], ports_bar);
	assert_int_equal(device->pci.config[at + 2], 20);
	for (unsigned bar = 0; bar < 6; bar++) {
		u32 multiplier, length;

		if (bar != ports_bar && bar != memory_bar)
			continue;
		at = capability(2, bar);
		length = config32(at + 12);
		multiplier = config32(at + 16);
		/* "Notification capability": an even power of 2, and room for the last queue's 16-bit value. */
		assert_true(multiplier == 4 || multiplier == 16 || multiplier == 64);
		assert_int_equal(config32(at + 8) % 2, 0);
		assert_true(length >= (QUEUES - 1) * multiplier + 2);
		assert_true(config32(at + 8) + length <= (bar == ports_bar ? ports.size : memory.size));
	}
	at = capability(1, memory_bar);
	assert_int_equal(device->pci.config[at + 2], 16);
	assert_int_equal(common_at % 4, 0);
	assert_true(config32(at + 12) >= 56);
	assert_true(config32(capability(3, memory_bar) + 12) >= 1);
	assert_int_equal(config_at % 4, 0);
	assert_int_equal(config32(capability(4, memory_bar) + 12), CONFIG_SIZE);
	assert_int_equal(device->pci.msix_vectors, QUEUES + 1);
	/* "MSI-X Capability and Table Structures": aligned to 8, none within another. */
	assert_int_equal(msix_table % 8, 0);
	assert_int_equal(msix_pending % 8, 0);
	assert_true(msix_pending >= msix_table + 16 * VPCI_MSIX_VECTORS);
	assert_true(msix_pending + 8 <= memory.size);
}

static void errors_of_pci_are_passed_on(void **state)
{
	create_error = -ENOSPC;
	assert_int_equal(virtio_device_create(vm, device, &kind, QUEUES, sizes), -ENOSPC);
	create_error = 0;
	ports_error = -ENOSPC;
	assert_int_equal(virtio_device_create(vm, device, &kind, QUEUES, sizes), -ENOSPC);
	ports_error = 0;
	memory_error = -ENOSPC;
	assert_int_equal(virtio_device_create(vm, device, &kind, QUEUES, sizes), -ENOSPC);
}

static void features_are_offered_in_halves(void **state)
{
	u64 offered;

	set(DEVICE_FEATURE_SELECT, 4, 1);
	offered = common(DEVICE_FEATURE, 4) << 32;
	set(DEVICE_FEATURE_SELECT, 4, 0);
	offered |= common(DEVICE_FEATURE, 4);
	assert_int_equal(offered, FEATURES | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	set(DEVICE_FEATURE, 4, 0);	/* read-only */
	assert_int_equal(common(DEVICE_FEATURE, 4), (u32)offered);
	for (unsigned i = 2; i < 40; i++) {
		set(DEVICE_FEATURE_SELECT, 4, i);
		assert_int_equal(common(DEVICE_FEATURE, 4), 0);
	}
	set(DEVICE_FEATURE_SELECT, 4, ~0u);
	assert_int_equal(common(DEVICE_FEATURE_SELECT, 4), ~0u);
	assert_int_equal(common(DEVICE_FEATURE, 4), 0);
}

static void features_are_accepted_or_refused(void **state)
{
	static const struct {
		u64 features;
		bool good;
	} cases[] = {
		{ VIRTIO_F_VERSION_1, true },
		{ VIRTIO_F_VERSION_1 | FEATURES | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC, true },
		{ 0, false },
		{ MY_BIT, false },
		{ VIRTIO_F_VERSION_1 | 1, false },
		{ VIRTIO_F_VERSION_1 | BIT_ULL(63), false },
		{ ~0ull, false },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set(STATUS, 1, 0);
		negotiate(cases[i].features);
		assert_int_equal(common(STATUS, 1), ACKNOWLEDGE | DRIVER | (cases[i].good ? FEATURES_OK : 0));
		assert_int_equal(device->features, cases[i].good ? cases[i].features : 0);
		/* Without FEATURES_OK the device does not start. */
		set(STATUS, 1, common(STATUS, 1) | DRIVER_OK);
		assert_int_equal(common(STATUS, 1) & DRIVER_OK, cases[i].good ? DRIVER_OK : 0);
		assert_int_equal(starts, i < 2 ? i + 1 : 2);
	}
	/* After FEATURES_OK they are fixed, until a reset. */
	set(STATUS, 1, 0);
	negotiate(VIRTIO_F_VERSION_1);
	want_features(VIRTIO_F_VERSION_1 | MY_BIT);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	assert_int_equal(device->features, VIRTIO_F_VERSION_1);
	set(DRIVER_FEATURE_SELECT, 4, 0);
	assert_int_equal(common(DRIVER_FEATURE, 4), 0);
	set(STATUS, 1, 0);
	assert_int_equal(device->features, 0);
	/* A half that there is not. */
	negotiate(0);
	set(DRIVER_FEATURE_SELECT, 4, 2);
	set(DRIVER_FEATURE, 4, ~0u);
	assert_int_equal(common(DRIVER_FEATURE, 4), 0);
	set(DRIVER_FEATURE_SELECT, 4, 32);
	set(DRIVER_FEATURE, 4, ~0u);
	assert_int_equal(device->driver_features, 0);
}

enum log_level __wrap_log_get_level(void);

enum log_level __wrap_log_get_level(void)
{
	return LOG_DEBUG;
}

/* Two complaints about a device are two lines, and once each. */
static void each_complaint_is_logged(void **state)
{
	u32 before = fake_of(vm)->logged;

	for (unsigned i = 0; i < 2; i++) {
		set(DEVICE_FEATURE_SELECT, 2, 0);	/* a part of the register at offset 0 */
		set(STATUS, 1, 0);
		negotiate(0);
	}
	assert_int_equal(fake_of(vm)->logged, before + 2);
}

static void bits_of_the_status_stay(void **state)
{
	set(STATUS, 1, ACKNOWLEDGE);
	set(STATUS, 1, DRIVER);
	assert_int_equal(common(STATUS, 1), ACKNOWLEDGE | DRIVER);
	set(STATUS, 1, NEEDS_RESET | 0x30 | ACKNOWLEDGE);	/* the device's own, and reserved ones */
	assert_int_equal(common(STATUS, 1), ACKNOWLEDGE | DRIVER);
	set(STATUS, 1, FAILED);
	assert_int_equal(common(STATUS, 1), ACKNOWLEDGE | DRIVER | FAILED);
	assert_int_equal(resets, 0);
	set(STATUS, 1, 0);
	assert_int_equal(common(STATUS, 1), 0);
	assert_int_equal(resets, 1);
}

static void queues_are_described(void **state)
{
	assert_int_equal(common(NUM_QUEUES, 2), QUEUES);
	for (unsigned i = 0; i < QUEUES; i++) {
		set(QUEUE_SELECT, 2, i);
		assert_int_equal(common(QUEUE_SELECT, 2), i);
		assert_int_equal(common(QUEUE_SIZE, 2), sizes[i]);
		assert_int_equal(common(QUEUE_ENABLE, 2), 0);
		assert_int_equal(common(QUEUE_VECTOR, 2), 0xffff);
		assert_int_equal(common(QUEUE_NOTIFY_OFF, 2), i);
	}
	negotiate(VIRTIO_F_VERSION_1);
	for (unsigned i = QUEUES; i <= 0xffff; i += i < 40 ? 1 : 997) {
		set(QUEUE_SELECT, 2, i);
		assert_int_equal(common(QUEUE_SELECT, 2), i);
		for (unsigned reg = QUEUE_SIZE; reg < QUEUE_DEVICE + 8; reg += 2) {
			set(reg, 2, 1);
			set(reg, 4, 1);
			assert_int_equal(common(reg, 2), reg == QUEUE_VECTOR ? 0xffff : 0);
		}
	}
}

static void sizes_are_checked(void **state)
{
	for (unsigned i = 0; i < QUEUES; i++) {
		u16 size = sizes[i];

		set(QUEUE_SELECT, 2, i);
		for (unsigned value = 0; value <= 0xffff; value++) {
			set(QUEUE_SIZE, 2, value);
			if (value && value <= sizes[i] && (value & (value - 1)) == 0)
				size = value;
			assert_int_equal(common(QUEUE_SIZE, 2), size);
		}
	}
}

static void vectors_are_checked(void **state)
{
	for (unsigned value = 0; value <= 0xffff; value++) {
		set(QUEUE_VECTOR, 2, value);
		assert_int_equal(common(QUEUE_VECTOR, 2), value <= QUEUES ? value : 0xffff);
		set(CONFIG_VECTOR, 2, value);
		assert_int_equal(common(CONFIG_VECTOR, 2), value <= QUEUES ? value : 0xffff);
	}
}

static void an_enabled_queue_is_frozen(void **state)
{
	negotiate(VIRTIO_F_VERSION_1);
	enable(1, 1);
	assert_int_equal(common(QUEUE_ENABLE, 2), 1);
	set(QUEUE_ENABLE, 2, 0);
	assert_int_equal(common(QUEUE_ENABLE, 2), 1);
	set(QUEUE_SIZE, 2, 16);
	assert_int_equal(common(QUEUE_SIZE, 2), 256);
	for (unsigned reg = QUEUE_DESC; reg < QUEUE_DEVICE + 8; reg += 4) {
		u32 before = common(reg, 4);

		set(reg, 4, 0xfffffff0);
		assert_int_equal(common(reg, 4), before);
	}
	set(QUEUE_VECTOR, 2, 2);
	assert_int_equal(common(QUEUE_VECTOR, 2), 2);
}

static void only_one_enables(void **state)
{
	static const u16 values[] = { 0, 2, 3, 0x100, 0x101, 0xffff };

	negotiate(VIRTIO_F_VERSION_1);
	enable(0, 0);
	set(STATUS, 1, 0);
	negotiate(VIRTIO_F_VERSION_1);
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
		set(QUEUE_ENABLE, 2, values[i]);
		assert_int_equal(common(QUEUE_ENABLE, 2), 0);
	}
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, 0);
	/* Not before the features are known. */
	set(STATUS, 1, 0);
	enable(0, 0);
	assert_int_equal(common(QUEUE_ENABLE, 2), 0);
}

static void rings_outside_of_ram_break_it(void **state)
{
	bring_up(0);
	set(STATUS, 1, 0);
	negotiate(VIRTIO_F_VERSION_1);
	set(QUEUE_SELECT, 2, 0);
	set(QUEUE_DESC, 4, RAM);
	set(QUEUE_ENABLE, 2, 1);
	assert_int_equal(common(QUEUE_ENABLE, 2), 0);
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	/* Before DRIVER_OK nobody is notified, and the device does not start. */
	assert_int_equal(read(isr_at, 1), 0);
	set(STATUS, 1, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	assert_int_equal(starts, 1);
	posted = &device->work;
	assert_false(work());
	assert_int_equal(serve_calls, 0);
}

/* Addresses are 64 bits in two halves, also by one access of 8 bytes; and every register reads back byte by byte. */
static void every_width(void **state)
{
	static const u8 widths[] = { 1, 2, 4, 8 };
	u8 bytes[72];

	bring_up(0);
	set(QUEUE_SELECT, 2, 1);
	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (u8)common(i, 1);
	for (unsigned w = 0; w < ARRAY_SIZE(widths); w++) {
		for (unsigned i = 0; i + widths[w] <= sizeof(bytes); i++) {
			u64 expected = 0;

			memcpy(&expected, bytes + i, widths[w]);
			assert_int_equal(common(i, widths[w]), expected);
		}
	}
	for (unsigned i = 60; i < 72; i++)
		assert_int_equal(bytes[i], 0);
	set(STATUS, 1, 0);
	set(QUEUE_DESC, 8, 0x1122334455667780);
	assert_int_equal(common(QUEUE_DESC, 8), 0x1122334455667780);
	assert_int_equal(device->queues[0].descriptors, 0x1122334455667780);
	set(QUEUE_DESC + 4, 8, 0xaabbccdd00112233);	/* a half of each of two */
	assert_int_equal(device->queues[0].descriptors, 0x0011223355667780);
	assert_int_equal(device->queues[0].driver, 0xaabbccdd);
	/* A part of a register is not written: which bytes would the rest have? */
	set(QUEUE_DESC, 2, 0xffff);
	set(QUEUE_DESC + 1, 1, 0xff);
	set(QUEUE_SIZE, 1, 4);
	assert_int_equal(device->queues[0].descriptors, 0x0011223355667780);
	assert_int_equal(common(QUEUE_SIZE, 2), 8);
	/* Several registers by one access, in their order: select 1, then its size. */
	set(QUEUE_SELECT, 4, 32 << 16 | 1);
	assert_int_equal(common(QUEUE_SIZE, 2), 32);
	assert_int_equal(device->queues[0].size, 8);
	/* Status and generation. */
	set(STATUS, 2, 0xff00 | ACKNOWLEDGE);
	assert_int_equal(common(STATUS, 2), ACKNOWLEDGE);
}

static void no_access_is_out_of_bounds(void **state)
{
	u64 random = 1;

	for (u64 offset = 0; offset < memory.size; offset++) {
		for (unsigned size = 1; size <= 8; size *= 2) {
			if (offset + size > memory.size)
				continue;
			read(offset, size);
			write(offset, size, fake_random(&random));
		}
	}
	for (u64 offset = 0; offset < ports.size; offset++) {
		ports.read(ports.device, vm_bsp(vm), offset, 1);
		ports.write(ports.device, vm_bsp(vm), offset, 1, 0);
	}
}

static void configuration_of_the_device(void **state)
{
	for (unsigned i = 0; i < CONFIG_SIZE; i++)
		config[i] = 0x10 + i;
	assert_int_equal(read(config_at, 4), 0x13121110);
	assert_int_equal(config_accesses, 1);
	assert_int_equal(read(config_at + 4, 2), 0x1514);
	assert_int_equal(read(config_at, 8), 0x1716151413121110);
	assert_int_equal(read(config_at + 8, 4), 0x1918);	/* behind its end are zeros */
	assert_int_equal(read(config_at + 8, 8), 0x1918);
	assert_int_equal(read(config_at + 9, 2), 0x19);
	assert_int_equal(read(config_at + 10, 4), 0);
	assert_int_equal(read(config_at + 0xff8, 8), 0);
	write(config_at + 1, 1, 0xaa);
	assert_int_equal(read(config_at, 4), 0x1312aa10);
	write(config_at + 8, 4, 0x44332211);
	assert_int_equal(read(config_at + 8, 2), 0x2211);
	write(config_at + 100, 4, 0);
}

static void doorbells_are_served_outside_of_the_exit(void **state)
{
	bring_up(0);
	assert_int_equal(starts, 1);
	assert_false(work());
	assert_int_equal(served, 7);		/* all, after DRIVER_OK */
	for (unsigned i = 0; i < QUEUES; i++) {
		ring(i);
		assert_false(work());
		assert_int_equal(served, BIT(i));
		write(notify_at + 4 * i, 2, i);	/* the alias */
		assert_false(work());
		assert_int_equal(served, BIT(i));
	}
	/* Several until it is served are one; the work is posted once for what is not served yet. */
	serve_calls = posts = 0;
	ring(0);
	ring(0);
	assert_int_equal(posts, 1);
	ring(2);
	assert_int_equal(posts, 2);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
	assert_int_equal(served, 5);
	/* A portion that leaves something. */
	serve_more = 4;
	ring(2);
	assert_true(work());
	serve_more = 0;
	assert_false(work());
	assert_int_equal(served, 4);
	/* No queue has this doorbell. */
	serve_calls = 0;
	write(notify_at + 4 * QUEUES, 2, 0);
	assert_false(work());
	assert_int_equal(serve_calls, 0);
}

static void nothing_is_served_before_driver_ok(void **state)
{
	negotiate(VIRTIO_F_VERSION_1);
	enable(0, 0);
	ring(0);
	assert_false(work());
	assert_int_equal(serve_calls, 0);
	set(STATUS, 1, FEATURES_OK | DRIVER_OK);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
	/* The driver has given up. */
	set(STATUS, 1, FAILED);
	ring(0);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
}

static void a_bus_master_is_needed(void **state)
{
	bring_up(0);
	bus_master = false;
	assert_false(work());
	ring(1);
	assert_false(work());
	assert_int_equal(serve_calls, 0);
	bus_master = true;
	ring(2);
	assert_false(work());
	assert_int_equal(served, 7);	/* those from before are not forgotten */
	assert_int_equal(serve_calls, 1);
}

/* "ISR status capability": reading clears it, and lowers the line. */
static void interrupts_by_the_line(void **state)
{
	bring_up(0);
	complete(0);
	assert_true(intx);
	complete(1);
	assert_int_equal(intx_changes, 1);
	assert_int_equal(read(isr_at, 1), 1);
	assert_false(intx);
	assert_int_equal(read(isr_at, 1), 0);
	spin_lock(&device->lock);
	virtio_config_changed(device);
	spin_unlock(&device->lock);
	assert_true(intx);
	complete(0);
	assert_int_equal(read(isr_at, 4), 3);
	assert_false(intx);
	for (unsigned i = 0; i < 32; i++)
		assert_int_equal(sent[i], 0);
	fake_queue_set_flags(&q[0], 1);	/* VIRTQ_AVAIL_F_NO_INTERRUPT */
	complete(0);
	assert_false(intx);
}

static void interrupts_by_message(void **state)
{
	msix = true;
	bring_up(0);
	complete(0);
	complete(2);
	complete(2);
	assert_int_equal(sent[0], 1);
	assert_int_equal(sent[1], 0);
	assert_int_equal(sent[2], 2);
	assert_int_equal(read(isr_at, 1), 0);
	assert_int_equal(common(GENERATION, 1), 0);
	spin_lock(&device->lock);
	virtio_config_changed(device);
	spin_unlock(&device->lock);
	assert_int_equal(sent[QUEUES], 1);
	assert_int_equal(common(GENERATION, 1), 1);
	assert_true(intx);	/* MSI-X keeps it from the line */
	assert_int_equal(read(isr_at, 1), 2);
	assert_false(intx);
	/* Without a vector nothing is sent. */
	set(QUEUE_SELECT, 2, 0);
	set(QUEUE_VECTOR, 2, 0xffff);
	set(CONFIG_VECTOR, 2, 0xffff);
	complete(0);
	spin_lock(&device->lock);
	virtio_config_changed(device);
	spin_unlock(&device->lock);
	assert_int_equal(sent[0], 1);
	assert_int_equal(sent[QUEUES], 1);
	assert_int_equal(read(isr_at, 1), 2);
	intx_changes = 0;
	complete(1);
	assert_int_equal(intx_changes, 0);
}

/*
 * "ISR status capability": INTA is the logical OR of all bits once MSI-X is off. A driver that turns it off without a reset
 * finds the change of the configuration, which it has had no message of; the queue's message is over.
 */
static void msix_off_without_a_reset(void **state)
{
	msix = true;
	bring_up(0);
	set(CONFIG_VECTOR, 2, 0xffff);
	complete(0);
	assert_false(intx);
	spin_lock(&device->lock);
	virtio_config_changed(device);
	spin_unlock(&device->lock);
	msix = false;
	assert_true(intx);
	complete(0);
	assert_int_equal(read(isr_at, 1), 3);
	assert_false(intx);
	/* And on: what INTA was asserted for can still be read. */
	complete(0);
	msix = true;
	assert_int_equal(read(isr_at, 1), 1);
	assert_false(intx);
}

static void a_broken_device_needs_a_reset(void **state)
{
	bring_up(0);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
	spin_lock(&device->lock);
	virtio_device_break(device, "a test");
	virtio_device_break(device, "a test");
	spin_unlock(&device->lock);
	assert_int_equal(device->breaks, 1);
	assert_int_equal(stops, 1);
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	assert_true(intx);			/* "Device Requirements: Device Status Field": a notification */
	assert_int_equal(read(isr_at, 1), 2);
	ring(0);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
	set(STATUS, 1, ACKNOWLEDGE);
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	set(STATUS, 1, 0);
	assert_int_equal(common(STATUS, 1), 0);
	bring_up(0);
	assert_false(work());
	assert_int_equal(serve_calls, 2);
}

/* "Device Status Field", FAILED: the driver has given up the device. */
static void a_driver_gives_up(void **state)
{
	bring_up(0);
	assert_int_equal(stops, 0);
	set(STATUS, 1, 0x80);
	assert_int_equal(common(STATUS, 1), 0x8f);
	assert_int_equal(stops, 1);
	set(STATUS, 1, 0x80);
	assert_int_equal(stops, 1);
	ring(0);
	assert_false(work());
	assert_int_equal(serve_calls, 0);
}

/* Nobody rings for a queue whose avail_event cannot be written: the driver is told so. */
static void damaged_rings_need_a_reset(void **state)
{
	bring_up(VIRTIO_F_EVENT_IDX);
	wants_doorbell = true;
	assert_false(work());
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, 0);
	device->queues[0].device = RAM;
	ring(0);
	assert_false(work());
	wants_doorbell = false;
	assert_int_equal(common(STATUS, 1) & NEEDS_RESET, NEEDS_RESET);
	assert_int_equal(device->breaks, 1);
	assert_int_equal(read(isr_at, 1), 2);
}

static void reset_clears_all(void **state)
{
	static const struct virtqueue fresh;

	bring_up(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC | MY_BIT);
	assert_true(device->queues[0].event_index && device->queues[0].indirect);
	complete(0);
	spin_lock(&device->lock);
	virtio_config_changed(device);
	spin_unlock(&device->lock);
	bus_master = false;
	assert_false(work());
	ring(1);
	assert_true(intx);
	set(QUEUE_SELECT, 2, 2);
	drops = 0;
	set(STATUS, 1, 0);
	assert_false(intx);
	assert_int_equal(drops, 1);	/* "Device Requirements: Device Status Field": no notification after that */
	assert_int_equal(resets, 1);
	assert_int_equal(read(isr_at, 1), 0);
	assert_int_equal(common(STATUS, 1), 0);
	assert_int_equal(common(QUEUE_SELECT, 2), 0);
	assert_int_equal(common(CONFIG_VECTOR, 2), 0xffff);
	assert_int_equal(common(DEVICE_FEATURE_SELECT, 4), 0);
	assert_int_equal(common(DRIVER_FEATURE_SELECT, 4), 0);
	assert_int_equal(common(DRIVER_FEATURE, 4), 0);
	assert_false(virtio_has(device, MY_BIT));
	for (unsigned i = 0; i < QUEUES; i++) {
		struct virtqueue expected = fresh;

		expected.vm = vm;
		expected.max = expected.size = sizes[i];
		expected.msix_vector = 0xffff;
		assert_memory_equal(&device->queues[i].size, &expected.size,
				    sizeof(expected) - offsetof(struct virtqueue, size));
	}
	bus_master = true;
	assert_false(work());
	assert_int_equal(serve_calls, 0);
	/* And again, without what was negotiated before. */
	bring_up(0);
	assert_false(device->queues[0].event_index || device->queues[0].indirect);
	complete(0);
	assert_int_equal(read(isr_at, 1), 1);
}

static void the_msix_table_is_pcis(void **state)
{
	assert_int_equal(read(msix_table + 0x18, 8), 0x1122334455667788);
	assert_int_equal(table_offset, 0x18);
	write(msix_table + 0x2c, 4, 1);
	assert_int_equal(table_offset, 0x2c);
	assert_int_equal(table_value, 1);
	assert_int_equal(read(msix_pending, 8), 2);
	assert_int_equal(table_offset, 0);
	write(msix_pending, 8, ~0ull);		/* read-only */
	assert_int_equal(table_reads, 1);
	assert_int_equal(table_writes, 1);
	assert_int_equal(pending_reads, 1);
}

/* "PCI configuration access capability": what the registers do through configuration space, too. */
static u32 window_read(unsigned offset, unsigned size)
{
	return device->pci.function.read(&device->pci.function, offset, size);
}

static void window_write(unsigned offset, unsigned size, u32 value)
{
	device->pci.function.write(&device->pci.function, offset, size, value);
}

static void the_window_in_configuration_space(void **state)
{
	unsigned window = 0;

	for (unsigned at = 0x40; at < next_capability; at = device->pci.config[at + 1])
		if (device->pci.config[at] == 9 && device->pci.config[at + 3] == 5)
			window = at;
	assert_int_not_equal(window, 0);
	assert_int_equal(device->pci.config[window + 2], 20);
	/* Nothing is selected at first. */
	assert_int_equal(window_read(window + 16, 4), 0);
	window_write(window + 16, 4, ~0u);

	window_write(window + 4, 1, memory_bar);
	window_write(window + 8, 4, common_at + NUM_QUEUES);
	window_write(window + 12, 4, 2);
	assert_int_equal(window_read(window + 16, 2), QUEUES);
	assert_int_equal(window_read(window + 16, 4) & 0xffff, QUEUES);
	window_write(window + 8, 4, common_at + STATUS);
	window_write(window + 12, 4, 1);
	window_write(window + 16, 4, ACKNOWLEDGE);
	assert_int_equal(common(STATUS, 1), ACKNOWLEDGE);
	assert_int_equal(window_read(window + 16, 1), ACKNOWLEDGE);
	window_write(window + 16, 1, DRIVER);
	assert_int_equal(window_read(window + 16, 1), ACKNOWLEDGE | DRIVER);
	window_write(window + 8, 4, common_at + QUEUE_DESC);
	window_write(window + 12, 4, 4);
	window_write(window + 16, 4, 0x12345670);
	assert_int_equal(common(QUEUE_DESC, 4), 0x12345670);
	/* A doorbell. */
	set(STATUS, 1, 0);
	bring_up(0);
	work();
	window_write(window + 8, 4, notify_at + 4);
	window_write(window + 12, 4, 2);
	window_write(window + 16, 2, 1);
	assert_false(work());
	assert_int_equal(served, 2);
	/* And where a driver finds the first of the doorbells: in the register for ports. */
	window_write(window + 4, 1, ports_bar);
	window_write(window + 8, 4, notify_port + 8);
	window_write(window + 16, 2, 2);
	assert_false(work());
	assert_int_equal(served, 4);
	assert_int_equal(window_read(window + 16, 2), 0);
	window_write(window + 4, 1, memory_bar);
	/* The interrupt status. */
	complete(0);
	window_write(window + 8, 4, isr_at);
	window_write(window + 12, 4, 1);
	assert_int_equal(window_read(window + 16, 1), 1);
	assert_false(intx);
}

static void bad_windows_are_closed(void **state)
{
	static const struct {
		u8 bar;
		u32 offset, length;
	} cases[] = {
		{ 2, STATUS, 0 }, { 2, STATUS, 3 }, { 2, STATUS, 5 }, { 2, STATUS, 8 }, { 2, STATUS, ~0u },
		{ 2, STATUS + 1, 2 }, { 2, STATUS + 2, 4 },
		{ 2, 0x4000, 1 }, { 2, 0x4000, 4 }, { 2, ~3u, 4 }, { 2, ~0u, 1 },
		{ 0, 16, 2 }, { 0, ~3u, 4 }, { 1, 0, 4 }, { 3, STATUS, 1 }, { 5, STATUS, 1 }, { 6, STATUS, 1 }, { 255, STATUS, 1 },
	};
	unsigned window = device->window;

	assert_int_equal(memory_bar, 2);
	assert_int_equal(memory.size, 0x4000);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		set(STATUS, 1, ACKNOWLEDGE);
		window_write(window + 4, 1, cases[i].bar);
		window_write(window + 8, 4, cases[i].offset);
		window_write(window + 12, 4, cases[i].length);
		window_write(window + 16, 4, 0x55aa00ff);
		assert_int_equal(window_read(window + 16, 4), 0x55aa00ff);	/* the data register only */
		assert_int_equal(common(STATUS, 1), ACKNOWLEDGE);
	}
	/* Other registers are PCI's. */
	config_reads = config_writes = 0;
	window_read(0, 4);
	window_write(0x10, 4, 0);
	assert_int_equal(config_reads, 1);
	assert_int_equal(config_writes, 1);
}

/* Doorbells that came before are served as soon as the command register makes the function a bus master. */
static void becoming_bus_master_serves(void **state)
{
	bring_up(0);
	bus_master = false;
	assert_false(work());
	window_write(4, 2, 3);
	assert_false(work());
	assert_int_equal(serve_calls, 0);
	bus_master = true;
	window_write(4, 2, 7);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
	assert_int_equal(served, 7);
	window_write(4, 2, 7);
	assert_false(work());
	assert_int_equal(serve_calls, 1);
}

static void *other_cpu(void *unused)
{
	work();
	return NULL;
}

/*
 * PCI Local Bus Specification, "Device Control": without the bus master bit the device generates no accesses. A driver
 * that has cleared it may give the memory of the queues to others, whatever another CPU was doing for the device.
 */
static void no_access_after_bus_mastering_ends(void **state)
{
	pthread_t thread;

	bring_up(0);
	has_served = false;
	is_slow = true;
	assert_int_equal(pthread_create(&thread, NULL, other_cpu, NULL), 0);
	while (!__atomic_load_n(&is_serving, __ATOMIC_ACQUIRE))
		sleep_ms(1);
	bus_master = false;
	window_write(4, 2, 3);
	assert_true(__atomic_load_n(&has_served, __ATOMIC_ACQUIRE));
	assert_int_equal(pthread_join(thread, NULL), 0);
	is_slow = is_serving = false;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(identity_and_capabilities),
		TEST(errors_of_pci_are_passed_on),
		TEST(features_are_offered_in_halves),
		TEST(features_are_accepted_or_refused),
		TEST(each_complaint_is_logged),
		TEST(bits_of_the_status_stay),
		TEST(queues_are_described),
		TEST(sizes_are_checked),
		TEST(vectors_are_checked),
		TEST(an_enabled_queue_is_frozen),
		TEST(only_one_enables),
		TEST(rings_outside_of_ram_break_it),
		TEST(every_width),
		TEST(no_access_is_out_of_bounds),
		TEST(configuration_of_the_device),
		TEST(doorbells_are_served_outside_of_the_exit),
		TEST(nothing_is_served_before_driver_ok),
		TEST(a_bus_master_is_needed),
		TEST(interrupts_by_the_line),
		TEST(interrupts_by_message),
		TEST(msix_off_without_a_reset),
		TEST(a_driver_gives_up),
		TEST(a_broken_device_needs_a_reset),
		TEST(damaged_rings_need_a_reset),
		TEST(reset_clears_all),
		TEST(the_msix_table_is_pcis),
		TEST(the_window_in_configuration_space),
		TEST(bad_windows_are_closed),
		TEST(becoming_bus_master_serves),
		TEST(no_access_after_bus_mastering_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
