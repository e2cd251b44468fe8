/* SPDX-License-Identifier: MIT */
/* The port and MMIO buses: hand each access of a guest to the device that claims it. */
#include "core/io.h"

#include "arch/mem/memory.h"
#include "arch/mem/pool.h"
#include "core/io_access.h"
#include "core/observe/trace_record.h"
#include "core/vcpu.h"
#include "core/vm.h"
#include "lib/bits.h"
#include "lib/errno.h"

#define PORT_MAP_ORDER 4	/* IO_PORTS bytes */

int io_init(struct vm *vm)
{
	vm->ports.port_map = pages_alloc(PORT_MAP_ORDER);
	return vm->ports.port_map ? 0 : -ENOMEM;
}

void io_destroy(struct vm *vm)
{
	if (vm->ports.port_map)
		pages_free(vm->ports.port_map, PORT_MAP_ORDER);
	vm->ports.port_map = NULL;
}

/* The number of the first of these regions that has the address, from 1; 0: none has. */
static u32 find(const struct io_region *regions, u32 count, u64 address)
{
	for (u32 i = 0; i < count; i++)
		if (address - regions[i].base < regions[i].size)
			return i + 1;
	return 0;
}

void io_map_ports(struct vm *vm, u64 base, u64 size)
{
	struct io_bus *bus = &vm->ports;

	for (u64 port = base; port < IO_PORTS && port - base < size; port++) {
		u32 index = find(bus->regions, bus->count, port);

		if (!index) {
			index = find(bus->regions + IO_FIXED, bus->movable, port);
			index += index ? IO_FIXED : 0;
		}
		if (bus->port_map[port] != index)
			WRITE_ONCE(bus->port_map[port], (u8)index);
	}
}
_Static_assert(IO_REGIONS < 256, "the port map's bytes");

static __always_inline u8 read_unclaimed(struct vcpu *vcpu, u16 port)
{
	vm_debug_once(vcpu->vm, ONCE_PORT_READ, port, "read of the unclaimed port 0x%x gives all ones", port);
	return 0xff;
}

static __always_inline void write_unclaimed(struct vcpu *vcpu, u16 port, u8 byte)
{
	vm_debug_once(vcpu->vm, ONCE_PORT_WRITE, port, "write of 0x%x to the unclaimed port 0x%x is dropped", byte, port);
}

/* Slow path: no device claims the whole access, or it is on an 8-bit bus. Split it into bytes. */
static __noinline u64 read_bytes(struct vcpu *vcpu, u16 port, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		u16 at = (u16)(port + i);
		const struct io_region *region = io_port_region(vcpu->vm, at);
		u64 offset;
		u8 byte;

		if (region && region->on_byte_bus)
			byte = io_read_byte(vcpu, region, at);
		else if (region && io_is_inside(region, at, 1, &offset))
			byte = (u8)io_read_region(vcpu, region, offset, 1);
		else
			byte = read_unclaimed(vcpu, at);
		value |= (u64)byte << (i * 8);
	}
	return value;
}

static __noinline void write_bytes(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	for (unsigned i = 0; i < size; i++) {
		u16 at = (u16)(port + i);
		const struct io_region *region = io_port_region(vcpu->vm, at);
		u64 offset;
		u8 byte = (u8)(value >> (i * 8));

		if (region && region->on_byte_bus)
			io_write_byte(vcpu, region, at, byte);
		else if (region && io_is_inside(region, at, 1, &offset))
			io_write_region(vcpu, region, offset, 1, byte);
		else
			write_unclaimed(vcpu, at, byte);
	}
}

/* `region`: the port's. */
static __always_inline u64 read_at(struct vcpu *vcpu, const struct io_region *region, u16 port, unsigned size)
{
	u64 offset;

	if (likely(region && !region->on_byte_bus && io_is_inside(region, port, size, &offset)))
		return io_operand(io_read_region(vcpu, region, offset, size), size);
	return read_bytes(vcpu, port, size);
}

static __always_inline void write_at(struct vcpu *vcpu, const struct io_region *region, u16 port, unsigned size, u64 value)
{
	u64 offset;

	if (likely(region && !region->on_byte_bus && io_is_inside(region, port, size, &offset)))
		io_write_region(vcpu, region, offset, size, value);
	else
		write_bytes(vcpu, port, size, value);
}

u64 pio_access_read(struct vcpu *vcpu, u16 port, unsigned size)
{
	return read_at(vcpu, io_port_region(vcpu->vm, port), port, size);
}

void pio_access_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	write_at(vcpu, io_port_region(vcpu->vm, port), port, size, value);
}

u64 pio_read(struct vcpu *vcpu, u16 port, unsigned size)
{
	u64 value = pio_access_read(vcpu, port, size);

	trace_pio(vcpu, false, port, size, value);
	return value;
}

void pio_write(struct vcpu *vcpu, u16 port, unsigned size, u64 value)
{
	trace_pio(vcpu, true, port, size, value);
	pio_access_write(vcpu, port, size, io_operand(value, size));
}

void io_port_of_record(struct vcpu *vcpu, struct trace_record *record)
{
	u16 port = (u16)record->access.address;
	unsigned size = record->access.size;
	u64 *rax = &vcpu->regs[REG_RAX], value = io_operand(*rax, size);
	const struct io_region *region = io_port_region(vcpu->vm, port);

	if (record->access.write) {
		record->access.value = value;
		/* Such as port 80h, by which many wait. */
		if (!region && size == 1)
			write_unclaimed(vcpu, port, (u8)value);
		else
			write_at(vcpu, region, port, size, value);
	} else {
		value = !region && size == 1 ? read_unclaimed(vcpu, port) : read_at(vcpu, region, port, size);
		record->access.value = value;
		*rax = io_result(*rax, size, value);
	}
}

u8 pio_firmware_read(struct vcpu *vcpu, u16 port)
{
	return (u8)pio_access_read(vcpu, port, 1);
}

void pio_firmware_write(struct vcpu *vcpu, u16 port, u8 value)
{
	pio_access_write(vcpu, port, 1, value);
}

/* Of these regions, the first that has the address. NULL: none, or the access sticks out. */
static const struct io_region *memory_region(const struct io_region *regions, u32 count, gpa_t gpa, unsigned size, u64 *offset)
{
	for (u32 i = 0; i < count; i++) {
		u64 length = READ_ONCE(regions[i].size);

		*offset = gpa - READ_ONCE(regions[i].base);
		if (*offset < length)
			return length - *offset >= size ? &regions[i] : NULL;
	}
	return NULL;
}

/*
 * Fixed regions come first, then the vCPU's own. What the nested page tables map as RAM never gets here: RAM wins over a memory
 * region of a PCI function that the guest has moved onto it.
 */
static const struct io_region *any_memory_region(const struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 *offset)
{
	const struct io_bus *bus = &vcpu->vm->mmio;
	const struct io_region *region = memory_region(bus->regions, bus->count, gpa, size, offset);

	if (!region)
		region = memory_region(&vcpu->own_region, 1, gpa, size, offset);
	return region ? region : memory_region(bus->regions + IO_FIXED, bus->movable, gpa, size, offset);
}

u64 mmio_read_other(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	struct vm *vm = vcpu->vm;
	u64 offset;
	const struct io_region *region = any_memory_region(vcpu, gpa, size, &offset);

	if (likely(region))
		return io_read_region(vcpu, region, offset, size);
	if (vm_once(vm, ONCE_MMIO, gpa & PAGE_MASK))
		vm_info(vm, "read of 0x%llx, where nothing is, gives all ones (logged once per page)",
			(unsigned long long)gpa);
	return ~0ull;
}

void mmio_write_other(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	struct vm *vm = vcpu->vm;
	u64 offset;
	const struct io_region *region = any_memory_region(vcpu, gpa, size, &offset);

	if (likely(region))
		io_write_region(vcpu, region, offset, size, value);
	else if (vm_once(vm, ONCE_MMIO, gpa & PAGE_MASK))
		vm_info(vm, "write to 0x%llx, %s, is dropped (logged once per page)",
			(unsigned long long)gpa, guest_mem_is_rom(&vm->mem, gpa) ? "which is ROM" : "where nothing is");
}

u64 mmio_read(struct vcpu *vcpu, gpa_t gpa, unsigned size)
{
	u64 value = io_read_memory(vcpu, gpa, size);

	trace_mmio(vcpu, false, gpa, size, value);
	return value;
}

void mmio_write(struct vcpu *vcpu, gpa_t gpa, unsigned size, u64 value)
{
	trace_mmio(vcpu, true, gpa, size, value);
	io_write_memory(vcpu, gpa, size, value & size_mask(size));
}
