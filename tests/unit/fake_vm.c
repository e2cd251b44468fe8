/* SPDX-License-Identifier: MIT */
/* The fake VM: see fake_vm.h. */
#include "fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/errno.h"

u64 fake_hz = 2399123457;
static u64 fake_now;

/* --- set-up --- */

struct vm *fake_create(u64 ram_size)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	assert_non_null(vm);
	fake_hz = 2399123457;
	fake_now = 0x123456789abull;
	vm->ram_size = ram_size;
	vm->ram = ram_size ? calloc(1, ram_size) : NULL;
	vm->alloc_limit = FAKE_ALLOCS;
	vm->vcpu_count = 1;
	vm->ports.port_map = calloc(1, 65536);
	for (u32 i = 0; i < FAKE_VCPUS; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].id = i;
	}
	return vm;
}

void fake_destroy(struct vm *vm)
{
	for (unsigned i = 0; i < vm->alloc_count; i++)
		free(vm->allocs[i]);
	free(vm->ports.port_map);
	free(vm->ram);
	free(vm);
}

void *vm_alloc(struct vm *vm, size_t size)
{
	void *memory;

	if (vm->alloc_count >= vm->alloc_limit)
		return NULL;
	memory = aligned_alloc(16, ALIGN_UP(size, 16));
	assert_non_null(memory);
	memset(memory, 0, ALIGN_UP(size, 16));
	vm->allocs[vm->alloc_count++] = memory;
	return memory;
}

void *vm_platform(const struct vm *vm)
{
	return vm->platform;
}

void vm_set_platform(struct vm *vm, void *platform)
{
	vm->platform = platform;
}

struct vcpu *vm_bsp(struct vm *vm)
{
	return &vm->vcpus[0];
}

u64 fake_random(u64 *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* --- buses --- */

static int claim(struct io_bus *bus, const struct io_region *region)
{
	for (u32 i = 0; i < bus->count; i++) {
		const struct io_region *other = &bus->regions[i];

		if (region->base < other->base + other->size &&
		    other->base < region->base + region->size)
			return -EEXIST;
	}
	if (bus->count == IO_REGIONS)
		return -ENOSPC;
	bus->regions[bus->count++] = *region;
	return 0;
}

int pio_register(struct vm *vm, const struct io_region *region)
{
	assert_true(region->base + region->size <= 65536);
	return claim(&vm->ports, region);
}

int mmio_register(struct vm *vm, const struct io_region *region)
{
	return claim(&vm->mmio, region);
}

int mmio_move(struct vm *vm, const char *name, void *device, u64 base, u64 size)
{
	for (u32 i = 0; i < vm->mmio.count; i++) {
		struct io_region *region = &vm->mmio.regions[i];

		if (region->device == device && strcmp(region->name, name) == 0) {
			region->base = base;
			region->size = size;
			return 0;
		}
	}
	return -ENOENT;
}

static const struct io_region *find(const struct io_bus *bus, u64 address)
{
	for (u32 i = 0; i < bus->count; i++) {
		const struct io_region *region = &bus->regions[i];

		if (address >= region->base && address - region->base < region->size)
			return region;
	}
	return NULL;
}

static u64 bus_read(const struct io_bus *bus, struct vcpu *vcpu, u64 address, unsigned size)
{
	const struct io_region *region = find(bus, address);
	u64 value = 0;

	if (region && address - region->base + size <= region->size)
		return region->read(region->device, vcpu, address - region->base, size);
	if (size == 1)
		return 0xff;
	for (unsigned i = 0; i < size; i++)
		value |= (bus_read(bus, vcpu, address + i, 1) & 0xff) << (8 * i);
	return value;
}

static void bus_write(const struct io_bus *bus, struct vcpu *vcpu, u64 address, unsigned size,
		      u64 value)
{
	const struct io_region *region = find(bus, address);

	if (region && address - region->base + size <= region->size)
		region->write(region->device, vcpu, address - region->base, size, value);
	else if (size > 1)
		for (unsigned i = 0; i < size; i++)
			bus_write(bus, vcpu, address + i, 1, value >> (8 * i) & 0xff);
}

u64 pio_read(struct vcpu *vcpu, u16 port, unsigned size)
{
	return bus_read(&vcpu->vm->ports, vcpu, port, size);
}

void pio_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	bus_write(&vcpu->vm->ports, vcpu, port, size, value);
}

u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	return bus_read(&vcpu->vm->mmio, vcpu, gpa, size);
}

void mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	bus_write(&vcpu->vm->mmio, vcpu, gpa, size, value);
}

u8 in8(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 1);
}

u16 in16(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 2);
}

u32 in32(struct vm *vm, u16 port)
{
	return pio_read(vm_bsp(vm), port, 4);
}

void out8(struct vm *vm, u16 port, u8 value)
{
	pio_write(vm_bsp(vm), port, 1, value);
}

void out16(struct vm *vm, u16 port, u16 value)
{
	pio_write(vm_bsp(vm), port, 2, value);
}

void out32(struct vm *vm, u16 port, u32 value)
{
	pio_write(vm_bsp(vm), port, 4, value);
}

/* --- interrupts --- */

void irq_line_set(struct vm *vm, unsigned irq, bool level)
{
	assert_in_range(irq, 0, FAKE_IRQS - 1);
	if (level && !vm->lines[irq].level)
		vm->lines[irq].rises++;
	vm->lines[irq].level = level;
	if (vm->set_line)
		vm->set_line(vm, irq, level);
}

bool irq_line_waiting(struct vm *vm, unsigned irq)
{
	return vm->lines[irq].waiting;
}

void vcpu_interrupt_changed(struct vcpu *vcpu)
{
	vcpu->interrupt_changes++;
}

void vm_set_irqchip(struct vm *vm, const struct irqchip_ops *ops, void *data)
{
	vm->irqchip = ops;
	vm->irqchip_data = data;
}

void *vm_irqchip_data(const struct vm *vm)
{
	return vm->irqchip_data;
}

u32 vm_vcpu_count(const struct vm *vm)
{
	return vm->vcpu_count;
}

struct vcpu *vm_vcpu(struct vm *vm, u32 index)
{
	assert_in_range(index, 0, vm->vcpu_count - 1);
	return &vm->vcpus[index];
}

struct vm *vcpu_vm(const struct vcpu *vcpu)
{
	return vcpu->vm;
}

u32 vcpu_apic_id(const struct vcpu *vcpu)
{
	return vcpu->id;
}

void *vcpu_vlapic(const struct vcpu *vcpu)
{
	return vcpu->vlapic;
}

void vcpu_set_vlapic(struct vcpu *vcpu, void *vlapic)
{
	vcpu->vlapic = vlapic;
}

u8 vcpu_physical_bits(const struct vcpu *vcpu)
{
	return 40;
}

void vcpu_raise_nmi(struct vcpu *vcpu)
{
	vcpu->nmis++;
}

void vcpu_raise_init(struct vcpu *vcpu)
{
	vcpu->inits++;
}

void vcpu_raise_startup(struct vcpu *vcpu, u8 vector)
{
	vcpu->startups++;
	vcpu->startup_vector = vector;
}

/* --- time --- */

void vtimer_init(struct vtimer *timer, struct vcpu *vcpu, void (*fire)(struct vtimer *timer))
{
	*timer = (struct vtimer){ .deadline = VTIMER_NEVER, .vcpu = vcpu, .fire = fire };
}

void vtimer_cancel(struct vtimer *timer)
{
	struct vtimer **link = &timer->vcpu->timers;

	if (!timer->armed)
		return;
	while (*link != timer)
		link = &(*link)->next;
	*link = timer->next;
	timer->armed = false;
}

void vtimer_arm(struct vtimer *timer, u64 deadline)
{
	struct vtimer **link = &timer->vcpu->timers;

	vtimer_cancel(timer);
	while (*link && (*link)->deadline <= deadline)
		link = &(*link)->next;
	timer->deadline = deadline;
	timer->armed = true;
	timer->next = *link;
	*link = timer;
}

/* What is due is taken off the list first: a timer that re-arms in the past waits. */
void vtimer_run_expired(struct vcpu *vcpu, u64 now)
{
	struct vtimer *due[64];
	unsigned count = 0;

	for (struct vtimer *timer = vcpu->timers; timer && timer->deadline <= now;
	     timer = timer->next) {
		assert_true(count < ARRAY_SIZE(due));
		due[count++] = timer;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!due[i]->armed || due[i]->deadline > now)
			continue;
		vtimer_cancel(due[i]);
		due[i]->fire(due[i]);
	}
}

u64 fake_deadline(const struct vm *vm)
{
	u64 first = VTIMER_NEVER;

	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		if (vm->vcpus[i].timers)
			first = MIN(first, vm->vcpus[i].timers->deadline);
	return first;
}

static void run_all(struct vm *vm)
{
	for (unsigned i = 0; i < FAKE_VCPUS; i++)
		vtimer_run_expired(&vm->vcpus[i], fake_now);
}

void fake_advance(struct vm *vm, u64 ticks)
{
	u64 end = fake_now + ticks;

	while (fake_deadline(vm) <= end) {
		u64 deadline = fake_deadline(vm);

		fake_now = MAX(fake_now, deadline);
		run_all(vm);
		/* A timer that stays in the past for ever would hang the machine. */
		if (fake_deadline(vm) <= fake_now)
			fake_now++;
	}
	fake_now = MAX(fake_now, end);
}

void fake_advance_ns(struct vm *vm, u64 ns)
{
	fake_advance(vm, vtimer_from_ns(ns));
}

void fake_stall(struct vm *vm, u64 ticks)
{
	fake_now += ticks;
	run_all(vm);
}

u64 vtimer_now(void)
{
	return fake_now;
}

u64 vtimer_hz(void)
{
	return fake_hz;
}

u64 vtimer_scale(u64 ticks, u64 numerator, u64 denominator)
{
	return (unsigned __int128)ticks * numerator / denominator;
}

u64 vtimer_from_ns(u64 ns)
{
	return vtimer_scale(ns, fake_hz, 1000000000);
}

u64 vtimer_to_ns(u64 ticks)
{
	return vtimer_scale(ticks, 1000000000, fake_hz);
}

u64 vcpu_guest_tsc(const struct vcpu *vcpu, u64 host_tsc)
{
	return host_tsc + vcpu->tsc_offset;
}

/* --- guest memory --- */

bool guest_is_ram(const struct vm *vm, gpa_t gpa, u64 size)
{
	if (size > vm->ram_size || gpa > vm->ram_size - size)
		return false;
	return gpa + size <= GUEST_VGA_HOLE || gpa >= GUEST_VGA_HOLE_END || size == 0;
}

void *guest_ptr(const struct vm *vm, gpa_t gpa, u64 size)
{
	return guest_is_ram(vm, gpa, size) ? vm->ram + gpa : NULL;
}

int guest_read(const struct vm *vm, gpa_t gpa, void *to, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(to, vm->ram + gpa, size);
	return 0;
}

int guest_write(const struct vm *vm, gpa_t gpa, const void *from, u64 size)
{
	if (!guest_is_ram(vm, gpa, size))
		return -EFAULT;
	memcpy(vm->ram + gpa, from, size);
	return 0;
}

u64 guest_low_ram(const struct vm *vm)
{
	return vm->ram_size;
}

u64 guest_high_ram(const struct vm *vm)
{
	return vm->high_ram;
}

/* --- log, console, end --- */

const char *vm_name(const struct vm *vm)
{
	return "fake";
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;
	char text[512];

	/* Format it all the same: the sanitizers watch the arguments. */
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
}

bool vm_once(struct vm *vm, enum once_kind kind, u64 index)
{
	u64 subject = (u64)kind << 56 | (index & 0xffffffffffffffull);

	for (u32 i = 0; i < vm->once.count; i++)
		if (vm->once.seen[i] == subject)
			return false;
	if (vm->once.count == VM_ONCE_ENTRIES)
		return false;
	vm->once.seen[vm->once.count++] = subject;
	vm->logged++;
	return true;
}

void vm_end(struct vm *vm, enum vm_end end, const char *format, ...)
{
	va_list args;
	char text[512];

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (vm->end == VM_END_NONE)
		vm->end = end;
	vm->ends++;
}

void vm_end_debug_exit(struct vm *vm, u32 status)
{
	if (vm->end == VM_END_NONE)
		vm->exit_status = status;
	vm_end(vm, VM_END_DEBUG_EXIT, "debug exit, status %#x", status);
}

void vm_console_write(struct vm *vm, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		vm->console[vm->console_length++ % FAKE_CONSOLE] = text[i];
}
