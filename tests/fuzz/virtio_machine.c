/* SPDX-License-Identifier: MIT */
/* The machine of the fuzzer of virtio devices: see virtio_machine.h. */
#include "tests/fuzz/virtio_machine.h"

#include <sanitizer/asan_interface.h>

#include "core/device.h"
#include "core/disk.h"
#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/random.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "dev/irq/msi.h"
#include "dev/net/ring.h"

#define DISK_BYTES (64u * DISK_SECTOR)
#define PAGE	   4096u
#define REGIONS	   32
#define ALLOCS	   64
#define POSTED	   BIT(0)
#define NOWHERE	   BIT_ULL(63)

struct machine machine;
static u64 vm_memory[64];	/* nobody looks into it */
struct vm *const machine_vm = (struct vm *)vm_memory;

/* Memory that inputs write: only the pages that one wrote are cleared for the next. */
static u8 ram[MACHINE_RAM] __aligned(PAGE), disk_data[DISK_BYTES] __aligned(PAGE);
static u64 written_ram, written_disk;	/* bit n: page n may have been written */

static struct io_region regions[REGIONS];
static bool region_is_port[REGIONS];
static unsigned region_count, slot;
/* Blocks for the VM: a heap block each. They are kept for the next input, because large ones take long to get. */
static struct {
	void *memory;
	size_t size;
	size_t accessible;	/* the rest of it is poisoned */
	bool used;
} allocs[ALLOCS];
static unsigned vm_locked;
static struct vm_end_hook *end_hooks;
static struct vm_console_end *console_end;

static u32 only_cpu(void)
{
	return 0;
}

static void violated(unsigned held, unsigned taken)
{
	fprintf(stderr, "a lock of rank %u is taken while one of rank %u is held\n", taken, held);
	abort();
}

static const struct lock_order_hooks order_hooks = { only_cpu, violated };

static u64 pages_of(u64 offset, u64 size)
{
	return size ? (2ull << (offset + size - 1) / PAGE) - (1ull << offset / PAGE) : 0;
}

static void clear_pages(u8 *memory, u64 pages, int value)
{
	for (; pages; pages &= pages - 1)
		memset(memory + PAGE * (unsigned)__builtin_ctzll(pages), value, PAGE);
}

void machine_reset(void)
{
	static bool again;

	fuzz_assert(!vm_locked);
	lock_order_set_hooks(&order_hooks);
	for (; end_hooks; end_hooks = end_hooks->next)
		end_hooks->run(end_hooks);
	clear_pages(ram, written_ram, 0);
	clear_pages(disk_data, again ? written_disk : pages_of(0, DISK_BYTES), 0xdd);
	written_ram = written_disk = 0;
	again = true;
	for (unsigned i = 0; i < ALLOCS; i++)
		allocs[i].used = false;
	region_count = 0;
	console_end = NULL;
	slot = 1;
	machine = (struct machine){ 0 };
}

/* --- RAM --- */

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	u64 end = gpa < MACHINE_HOLE ? MACHINE_HOLE : MACHINE_RAM;

	return gpa < end && (gpa < MACHINE_HOLE || gpa >= MACHINE_HOLE_END) && size <= end - gpa;
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	fuzz_assert(vm == machine_vm);
	if (!guest_is_ram(vm, gpa, size))
		return NULL;
	written_ram |= pages_of(gpa, size);	/* for all that is known here */
	return ram + gpa;
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

#define NOT_TRACED __attribute__((no_sanitize("coverage", "address", "undefined")))

static __attribute__((noinline)) void change(u64 offset, unsigned size)
{
	machine.until_change = machine.period;
	size = (unsigned)MIN((u64)size, MACHINE_RAM - offset);
	written_ram |= pages_of(offset, size);
	for (unsigned i = 0; i < size && machine.changes.at < machine.changes.end; i++)
		ram[offset + i] = *machine.changes.at++;
}

/* A load of `size` bytes is next. */
static inline NOT_TRACED void load(void *at, unsigned size)
{
	u64 offset = (u64)at - (u64)ram;

	if (offset >= MACHINE_RAM)
		return;
	machine.loads++;
	if (machine.period && !--machine.until_change)
		change(offset, size);
}

#include "loads.h"

/* --- the buses --- */

static int add(const struct io_region *region, bool is_port, u32 *handle)
{
	fuzz_assert(region_count < REGIONS && region->is_private);
	*handle = region_count;
	regions[region_count] = *region;
	regions[region_count].base = NOWHERE;
	region_is_port[region_count++] = is_port;
	return 0;
}

int pio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle)
{
	return add(region, true, handle);
}

int mmio_register_movable(struct vm *vm, const struct io_region *region, u32 *handle)
{
	return add(region, false, handle);
}

static int move(u32 handle, u64 base, u64 size)
{
	fuzz_assert(handle < region_count && (vm_locked || !machine.running));
	fuzz_assert(!size || (size == regions[handle].size && base % size == 0));
	regions[handle].base = size ? base : NOWHERE;
	return 0;
}

int pio_move(struct vm *vm, u32 handle, u64 base, u64 size)
{
	return move(handle, base, size);
}

int mmio_move(struct vm *vm, u32 handle, u64 base, u64 size)
{
	return move(handle, base, size);
}

static const struct io_region *region_at(bool port, u64 address, unsigned size)
{
	for (unsigned i = 0; i < region_count; i++) {
		u64 offset = address - regions[i].base;

		if (region_is_port[i] == port && offset < regions[i].size && size <= regions[i].size - offset)
			return &regions[i];
	}
	return NULL;
}

u64 machine_read(bool port, u64 address, unsigned size)
{
	const struct io_region *region = region_at(port, address, size);

	return region ? region->read(region->device, NULL, address - region->base, size) : ~0ull;
}

void machine_write(bool port, u64 address, unsigned size, u64 value)
{
	const struct io_region *region = region_at(port, address, size);

	if (region)
		region->write(region->device, NULL, address - region->base, size, value);
}

/* --- PCI, interrupts --- */

int vpci_free_slot(struct vm *vm)
{
	return (int)slot++;
}

int vpci_plug(struct vm *vm, struct vpci_function *function)
{
	fuzz_assert(machine.device_count < ARRAY_SIZE(machine.devices));
	machine.devices[machine.device_count++] = (struct virtio_device *)function;
	return 0;
}

u64 vpci_assign(struct vm *vm, bool is_port, u64 size)
{
	/* A region each. */
	return is_port ? 0xc000 + slot * 0x100 : 0xe0000000 + slot * 0x10000;
}

void vpci_set_line(struct vm *vm, u8 devfn, bool level)
{
	machine.lines++;
}

void msi_send(struct vm *vm, u64 address, u32 data)
{
	machine.messages++;
}

void msi_prepared(struct vm *vm, u32 data)
{
}

void vm_lock(struct vm *vm)
{
	fuzz_assert(vm == machine_vm && !vm_locked);
	vm_locked = 1;
}

void vm_unlock(struct vm *vm)
{
	fuzz_assert(vm_locked);
	vm_locked = 0;
}

/* --- work --- */

void vm_work_init(struct vm *vm, struct vm_work *work, bool (*run)(struct vm_work *work, struct vcpu *vcpu))
{
	*work = (struct vm_work){ .vm = vm, .run = run, .next = machine.works };
	machine.works = work;
}

void vm_work_post(struct vm_work *work)
{
	work->state |= POSTED;
}

bool machine_work(void)
{
	bool more = false;

	for (struct vm_work *work = machine.works; work; work = work->next) {
		if (!(work->state & POSTED))
			continue;
		work->state &= ~POSTED;
		fuzz_assert(!vm_locked);
		if (work->run(work, NULL))
			work->state |= POSTED;
		more |= work->state & POSTED;
	}
	return more;
}

/* --- the VM --- */

void *vm_alloc(struct vm *vm, size_t size)
{
	unsigned i = 0;

	while (i < ALLOCS && allocs[i].memory && (allocs[i].used || allocs[i].size != size))
		i++;
	fuzz_assert(i < ALLOCS);
	if (!allocs[i].memory) {
		allocs[i].memory = calloc(1, size);
		allocs[i].size = allocs[i].accessible = size;
	}
	fuzz_assert(allocs[i].memory);
	allocs[i].used = true;
	return memset(allocs[i].memory, 0, allocs[i].accessible);
}

const char *vm_name(const struct vm *vm)
{
	return "fuzz";
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	return true;	/* so that every line is formatted */
}

enum log_level log_get_level(void)
{
	return LOG_DEBUG;
}

void vm_at_end(struct vm *vm, struct vm_end_hook *hook)
{
	hook->next = end_hooks;
	end_hooks = hook;
}

u32 vm_vcpu_count(const struct vm *vm)
{
	return 3;
}

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
}

void vm_end_debug_exit(struct vm *vm, u32 status)
{
}

void vm_report_result(struct vm *vm, u32 status, const char *text)
{
	fuzz_assert(strlen(text) < 4096);
}

u64 vtimer_now(void)
{
	static u64 now;

	return now += 1000000;
}

u64 vtimer_hz(void)
{
	return 1000000000;
}

/* --- a disk --- */

struct disk *vm_disk(const struct vm *vm, u32 i)
{
	return (struct disk *)disk_data;
}

u64 disk_sectors(const struct disk *disk)
{
	return DISK_BYTES / DISK_SECTOR;
}

bool disk_is_read_only(const struct disk *disk)
{
	return machine.disk_is_read_only;
}

const char *disk_name(const struct disk *disk)
{
	return "fuzz";
}

static void check_range(u64 offset, u64 size, u64 most)
{
	fuzz_assert(size && size <= most && offset <= DISK_BYTES && size <= DISK_BYTES - offset && !vm_locked);
}

int disk_read(struct disk *disk, u64 offset, void *to, u32 size)
{
	check_range(offset, size, DISK_COPY_MOST);
	memcpy(to, disk_data + offset, size);
	return 0;
}

int disk_write(struct disk *disk, u64 offset, const void *from, u32 size)
{
	check_range(offset, size, DISK_COPY_MOST);
	fuzz_assert(!machine.disk_is_read_only);
	if (machine.disk_is_full)
		return -ENOSPC;
	written_disk |= pages_of(offset, size);
	memcpy(disk_data + offset, from, size);
	return 0;
}

int disk_zero(struct disk *disk, u64 offset, u32 size)
{
	check_range(offset, size, DISK_ZERO_MOST);
	fuzz_assert(!machine.disk_is_read_only);
	if (machine.disk_is_full)
		return -ENOSPC;
	written_disk |= pages_of(offset, size);
	memset(disk_data + offset, 0, size);
	return 0;
}

void disk_count_error(struct disk *disk)
{
}

/* --- ports of a switch --- */

void __real_net_ring_init(struct net_ring *ring, void *data, u32 size);
void __wrap_net_ring_init(struct net_ring *ring, void *data, u32 size);

void __wrap_net_ring_init(struct net_ring *ring, void *data, u32 size)
{
	unsigned i = 0;

	while (i < ALLOCS && allocs[i].memory != data)
		i++;
	fuzz_assert(i < ALLOCS && allocs[i].size == size && size > MACHINE_RING);
	if (allocs[i].accessible == size) {
		ASAN_POISON_MEMORY_REGION((u8 *)data + MACHINE_RING, size - MACHINE_RING);
		allocs[i].accessible = MACHINE_RING;
	}
	__real_net_ring_init(ring, data, MACHINE_RING);
}

const struct vm_net_config *vm_net(const struct vm *vm, u32 i)
{
	static const struct vm_net_config ports[] = {
		{ .name = "lan", .mac = { 2, 0, 0, 0, 0, 1 } },
		{ .name = "lan", .mac = { 2, 0, 0, 0, 0, 2 }, .trunk = true },
	};

	fuzz_assert(i < ARRAY_SIZE(ports));
	return &ports[i];
}

/* --- a console --- */

/* Both ways, as the console comes and goes. */
bool vm_types_at_hvc0(const struct vm *vm)
{
	return machine.console_is_full;
}

void vm_console_connect(struct vm *vm, struct vm_console_end *end)
{
	console_end = end;
}

void vm_console_need(struct vm *vm, struct vm_console_end *end, enum vm_console_need need)
{
	fuzz_assert(vm_locked && end == console_end);
	end->need = need;
}

size_t vm_console_send(struct vm *vm, const char *text, size_t n)
{
	u8 sum = 0;

	fuzz_assert(vm_locked);
	for (size_t i = 0; i < n; i++)
		sum += text[i];		/* all of it can be read */
	return machine.console_is_full ? n / 2 + sum % 1 : n;
}

size_t vm_console_write(struct vm *vm, const char *text, size_t n)
{
	return vm_console_send(vm, text, n);
}

int vm_console_read(struct vm *vm, struct vm_console_end *end)
{
	fuzz_assert(vm_locked);
	return machine.typed ? (int)(machine.typed-- & 0x7f) : -1;
}

bool machine_reads(void)
{
	return console_end && console_end->need != CONSOLE_UNREAD;
}

void machine_type(unsigned count, bool full)
{
	if (!console_end)
		return;
	vm_lock(machine_vm);
	machine.typed = count;
	machine.console_is_full = full;
	console_end->changed(console_end->device);
	vm_unlock(machine_vm);
}

/* --- random numbers --- */

void random_start(void)
{
}

void random_fill(void *to, u32 size)
{
	memset(to, 0x5a, size);
}
