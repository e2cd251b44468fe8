/* SPDX-License-Identifier: MIT */
/*
 * PCI functions: base address registers, the command register, capabilities, INTA, and that all ways to the configuration space
 * show the same. PCI Local Bus Specification, "Configuration Space".
 */
/* link: dev/pci/vpci.c dev/pci/vpci_device.c dev/pci/vpci_msix.c tests/unit/fake_vm.c */
/* link: core/device.c core/io.c core/irqchip.c core/vtimer.c */
#include "fake_vm.h"

#include "dev/irq/msi.h"
#include "dev/isa/vpm.h"
#include "dev/pci/vpci_device.h"
#include "dev/platform.h"
#include "lib/errno.h"

#define ECAM   0xc0000000ull
#define ENABLE 0x80000000u

#define PORTS  0x20u
#define MEMORY 0x2000u

static struct platform platform;

u8 vpm_reset_read(struct vpm *vpm) { return 0; }
void vpm_reset_write(struct vpm *vpm, u8 value) { }
void msi_send(struct vm *vm, u64 address, u32 data) { fail(); }
void msi_prepared(struct vm *vm, u32 data) { fail(); }

/* A device whose registers read as its letter and their offset. */
struct toy {
	struct vpci_device pci;
	char letter;
	u64 last_write, last_offset;
};

static u64 toy_read(void *device, struct vcpu *vcpu, u64 offset, unsigned size)
{
	struct toy *toy = device;

	assert_true(offset + size <= MEMORY);
	return (u64)toy->letter << 8 | (offset & 0xff);
}

static void toy_write(void *device, struct vcpu *vcpu, u64 offset, unsigned size, u64 value)
{
	struct toy *toy = device;

	toy->last_offset = offset;
	toy->last_write = value;
}

static const struct vpci_identity identity = {
	.name = "toy", .vendor = 0x1af4, .device = 0x1042, .subsystem_vendor = 0x1af4, .subsystem = 0x1100,
	.class = 0x018000, .revision = 1,
};

/* Ports by register 0, memory by registers 4 and 5. */
static void plug(struct vm *vm, struct toy *toy, char letter)
{
	const struct io_region ports = { "toy", 0, PORTS, { toy_read }, { toy_write }, toy, true };
	const struct io_region memory = { "toy", 0, MEMORY, { toy_read }, { toy_write }, toy, true };

	memset(toy, 0, sizeof(*toy));
	toy->letter = letter;
	assert_int_equal(vpci_device_create(vm, &toy->pci, &identity), 0);
	assert_int_equal(vpci_device_add_ports(&toy->pci, 0, &ports), 0);
	assert_int_equal(vpci_device_add_memory(&toy->pci, 4, &memory), 0);
}

static struct toy A, B;

static int set_up(void **state)
{
	struct vm *vm = fake_create(0);

	memset(&platform, 0, sizeof(platform));
	vm_set_platform(vm, &platform);
	assert_int_equal(vpci_create(vm), 0);
	plug(vm, &A, 'A');
	plug(vm, &B, 'B');
	*state = vm;
	return 0;
}

static int tear_down(void **state)
{
	fake_destroy(*state);
	return 0;
}

/* --- the guest's accesses --- */

static void address(struct vm *vm, unsigned slot, unsigned offset)
{
	out32(vm, 0xcf8, ENABLE | slot << 11 | (offset & 0xfc));
}

static u32 get(struct vm *vm, unsigned slot, unsigned offset)
{
	address(vm, slot, offset);
	return in32(vm, 0xcfc);
}

static void set(struct vm *vm, unsigned slot, unsigned offset, u32 value)
{
	address(vm, slot, offset);
	out32(vm, 0xcfc, value);
}

static void set16(struct vm *vm, unsigned slot, unsigned offset, u16 value)
{
	address(vm, slot, offset);
	out16(vm, (u16)(0xcfc + offset % 4), value);
}

static u64 ecam(struct vm *vm, unsigned slot, unsigned offset, unsigned size)
{
	return mmio_read(vm_bsp(vm), ECAM + (slot << 15) + offset, size);
}

static void ecam_set(struct vm *vm, unsigned slot, unsigned offset, unsigned size, u64 value)
{
	mmio_write(vm_bsp(vm), ECAM + (slot << 15) + offset, size, value);
}

/* Who is there? 0: nobody. */
static char at_port(struct vm *vm, u16 port) { return in16(vm, port) == 0xffff ? 0 : (char)(in16(vm, port) >> 8); }

static char at_memory(struct vm *vm, u64 gpa)
{
	u64 value = mmio_read(vm_bsp(vm), gpa, 2);

	return value == 0xffff ? 0 : (char)(value >> 8);
}

static u16 port_base(struct vm *vm, unsigned slot) { return (u16)(get(vm, slot, 0x10) & ~3u); }

static u64 memory_base(struct vm *vm, unsigned slot)
{
	return (get(vm, slot, 0x20) & ~15u) | (u64)get(vm, slot, 0x24) << 32;
}

static void move_ports(struct vm *vm, unsigned slot, u32 base) { set(vm, slot, 0x10, base); }

static void move_memory(struct vm *vm, unsigned slot, u64 base)
{
	set(vm, slot, 0x20, (u32)base);
	set(vm, slot, 0x24, (u32)(base >> 32));
}

/* --- tests --- */

static void test_the_header(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(get(vm, 1, 0x00), 0x10421af4);
	assert_int_equal(get(vm, 1, 0x08), 0x01800001);		/* class 01 80 00, revision 1 */
	assert_int_equal(get(vm, 1, 0x0c), 0);			/* one function, header type 0 */
	assert_int_equal(get(vm, 1, 0x2c), 0x11001af4);
	assert_int_equal(get(vm, 1, 0x30), 0);			/* no expansion ROM */
	assert_int_equal(get(vm, 1, 0x34), 0);			/* no capabilities yet */
	assert_int_equal(get(vm, 1, 0x3c) >> 8 & 0xff, 1);	/* INTA */
	assert_int_equal(get(vm, 2, 0x00), 0x10421af4);		/* in the next slot */
	assert_int_equal(get(vm, 3, 0x00), 0xffffffff);
}

/* What software may not change stays. */
static void test_what_is_read_only(void **state)
{
	/* Command: I/O, memory, bus master, interrupt disable. The bases above their sizes. Line size and interrupt line. */
	static const struct { u8 offset; u32 writable; } registers[] = {
		{ 0x04, 0x00000407 }, { 0x0c, 0x000000ff }, { 0x10, 0xffffffe0 }, { 0x20, 0xffffe000 }, { 0x24, 0xffffffff },
		{ 0x3c, 0x000000ff },
	};
	struct vm *vm = *state;

	for (unsigned offset = 0; offset < 0x100; offset += 4) {
		u32 before = get(vm, 1, offset), writable = 0;

		for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
			if (registers[i].offset == offset)
				writable = registers[i].writable;
		set(vm, 1, offset, 0xffffffff);
		assert_int_equal(get(vm, 1, offset), before | writable);
		set(vm, 1, offset, 0);
		assert_int_equal(get(vm, 1, offset), before & ~writable);
		set(vm, 1, offset, before);
		assert_int_equal(get(vm, 1, offset), before);
	}
}

/* "Base Addresses": write all ones, and what comes back says the size and the kind. */
static void test_sizes(void **state)
{
	struct vm *vm = *state;
	u16 port = port_base(vm, 1);

	set16(vm, 1, 4, 0);		/* decoding off, as is usual meanwhile */
	set(vm, 1, 0x10, 0xffffffff);
	assert_int_equal(get(vm, 1, 0x10), 0xffffffe1);		/* 32 ports */
	set(vm, 1, 0x20, 0xffffffff);
	assert_int_equal(get(vm, 1, 0x20), 0xffffe004);		/* 8 KiB, 64 bits wide, not prefetchable */
	set(vm, 1, 0x24, 0xffffffff);
	assert_int_equal(get(vm, 1, 0x24), 0xffffffff);
	for (unsigned offset = 0x14; offset <= 0x1c; offset += 4) {
		set(vm, 1, offset, 0xffffffff);
		assert_int_equal(get(vm, 1, offset), 0);
	}
	assert_int_equal(at_port(vm, port), 0);
	/* With decoding on, it is at the end of the address space meanwhile, and nowhere that hurts. */
	set16(vm, 1, 4, 3);
	assert_int_equal(at_port(vm, 0xffe0), 0);
	assert_int_equal(at_memory(vm, 0), 0);
	move_ports(vm, 1, port);
	assert_int_equal(at_port(vm, port), 'A');
}

/* As firmware leaves it: assigned within the bus's windows, aligned, and decoding. */
static void test_what_firmware_does(void **state)
{
	struct vm *vm = *state;

	for (unsigned slot = 1; slot <= 2; slot++) {
		assert_int_equal(get(vm, slot, 4) & 7, 3);
		assert_in_range(port_base(vm, slot), 0x0d00, 0xffe0);
		assert_int_equal(port_base(vm, slot) % PORTS, 0);
		assert_in_range(memory_base(vm, slot), 0xc0100000, 0xfec00000 - MEMORY);
		assert_int_equal(memory_base(vm, slot) % MEMORY, 0);
		assert_int_equal(at_port(vm, port_base(vm, slot)), 'A' + slot - 1);
		assert_int_equal(at_memory(vm, memory_base(vm, slot)), 'A' + slot - 1);
	}
}

static void test_the_command_register(void **state)
{
	struct vm *vm = *state;
	u16 port = port_base(vm, 1);
	u64 gpa = memory_base(vm, 1);

	for (u16 command = 0; command < 4; command++) {
		set16(vm, 1, 4, command);
		assert_int_equal(at_port(vm, port), command & 1 ? 'A' : 0);
		assert_int_equal(at_memory(vm, gpa), command & 2 ? 'A' : 0);
		assert_int_equal(at_port(vm, port_base(vm, 2)), 'B');
	}
	assert_false(vpci_device_is_bus_master(&A.pci));
	set16(vm, 1, 4, 4);
	assert_true(vpci_device_is_bus_master(&A.pci));
	assert_false(vpci_device_is_bus_master(&B.pci));
}

static void test_moves(void **state)
{
	struct vm *vm = *state;
	u16 port = port_base(vm, 1);
	u64 gpa = memory_base(vm, 1);

	move_ports(vm, 1, 0xd007);		/* the low bits are the size's */
	assert_int_equal(get(vm, 1, 0x10), 0xd001);
	assert_int_equal(at_port(vm, port), 0);
	assert_int_equal(at_port(vm, 0xd000), 'A');
	assert_int_equal(in16(vm, 0xd01e) & 0xff, 0x1e);
	assert_int_equal(in8(vm, 0xd020), 0xff);
	move_ports(vm, 1, 0x1d000);		/* out of reach */
	assert_int_equal(at_port(vm, 0xd000), 0);
	move_memory(vm, 1, 0xd0001fff);
	assert_int_equal(memory_base(vm, 1), 0xd0000000);
	assert_int_equal(at_memory(vm, gpa), 0);
	assert_int_equal(at_memory(vm, 0xd0000000), 'A');
	assert_int_equal(at_memory(vm, 0xd0001ffe), 'A');
	assert_int_equal(at_memory(vm, 0xd0002000), 0);
	move_memory(vm, 1, 0x8123456000ull);	/* above 4 GiB */
	assert_int_equal(at_memory(vm, 0xd0000000), 0);
	assert_int_equal(at_memory(vm, 0x8123456010ull), 'A');
	mmio_write(vm_bsp(vm), 0x8123456010ull, 4, 0x11223344);
	assert_int_equal(A.last_offset, 0x10);
	assert_int_equal(A.last_write, 0x11223344);
	/* Half of a register. */
	address(vm, 1, 0x24);
	out8(vm, 0xcfc, 0);
	assert_int_equal(at_memory(vm, 0x23456010ull), 'A');
}

/* Each by each: what is where depends on the registers alone. */
static void test_two_change_places(void **state)
{
	struct vm *vm = *state;
	u16 port_a = port_base(vm, 1), port_b = port_base(vm, 2);
	u64 gpa_a = memory_base(vm, 1), gpa_b = memory_base(vm, 2);

	for (unsigned decoding = 0; decoding < 2; decoding++) {
		set16(vm, 1, 4, decoding ? 3 : 0);
		set16(vm, 2, 4, decoding ? 3 : 0);
		move_ports(vm, 1, port_b);
		move_memory(vm, 1, gpa_b);
		if (decoding) {
			/* On top of each other: one of them has it, and nothing else changes. */
			assert_int_equal(at_port(vm, port_b), 'A');
			assert_int_equal(at_memory(vm, gpa_b), 'A');
			assert_int_equal(at_port(vm, port_a), 0);
		}
		move_ports(vm, 2, port_a);
		move_memory(vm, 2, gpa_a);
		set16(vm, 1, 4, 3);
		set16(vm, 2, 4, 3);
		assert_int_equal(at_port(vm, port_a), 'B');
		assert_int_equal(at_port(vm, port_b), 'A');
		assert_int_equal(at_memory(vm, gpa_a), 'B');
		assert_int_equal(at_memory(vm, gpa_b), 'A');
		/* And back, the other one first. */
		move_ports(vm, 2, port_b);
		move_memory(vm, 2, gpa_b);
		assert_int_equal(at_port(vm, port_b), 'A');
		move_ports(vm, 1, port_a);
		move_memory(vm, 1, gpa_a);
		assert_int_equal(at_port(vm, port_a), 'A');
		assert_int_equal(at_port(vm, port_b), 'B');
		assert_int_equal(at_memory(vm, gpa_a), 'A');
		assert_int_equal(at_memory(vm, gpa_b), 'B');
	}
}

/* On top of the machine's own ports and memory, which go on. */
static void test_on_top_of_the_machine(void **state)
{
	struct vm *vm = *state;

	move_ports(vm, 1, 0xce0);	/* 0xce0-0xcff */
	assert_int_equal(at_port(vm, 0xce0), 'A');
	assert_int_equal(get(vm, 1, 0), 0x10421af4);
	move_memory(vm, 1, ECAM);
	assert_int_equal(ecam(vm, 1, 0, 4), 0x10421af4);
	move_memory(vm, 1, ECAM + 0x100000);
	assert_int_equal(at_memory(vm, ECAM + 0x100000), 'A');
}

/* --- INTA --- */

static bool pic_lines[16];

void vpic_set_line(struct vm *vm, unsigned irq, bool level)
{
	pic_lines[irq] = level;
}

static bool line(struct vm *vm, unsigned gsi) { return fake_of(vm)->lines[gsi].level; }

static bool status_says_interrupt(struct vm *vm, unsigned slot) { return get(vm, slot, 4) & 0x80000; }

static void test_inta(void **state)
{
	struct vm *vm = *state;

	vpci_device_set_intx(&A.pci, true);
	assert_true(line(vm, 17));		/* slot 1 */
	assert_true(status_says_interrupt(vm, 1));
	assert_false(status_says_interrupt(vm, 2));
	/* "Interrupt Disable" holds back the line, and not the status. */
	set16(vm, 1, 4, 0x403);
	assert_false(line(vm, 17));
	assert_true(status_says_interrupt(vm, 1));
	set16(vm, 1, 4, 0x003);
	assert_true(line(vm, 17));
	vpci_device_set_intx(&A.pci, false);
	assert_false(line(vm, 17));
	assert_false(status_says_interrupt(vm, 1));
}

/* Slots 1, 5, 9 and so on share a line: it is asserted while one of them asserts it. */
static void test_functions_share_a_line(void **state)
{
	static struct toy more[4];	/* slots 3 to 6 */
	struct vm *vm = *state;

	for (unsigned i = 0; i < 4; i++)
		plug(vm, &more[i], (char)('C' + i));
	vpci_device_set_intx(&A.pci, true);
	vpci_device_set_intx(&more[2].pci, true);	/* slot 5 */
	vpci_device_set_intx(&B.pci, true);
	assert_true(line(vm, 17));
	assert_true(line(vm, 18));
	vpci_device_set_intx(&A.pci, false);
	assert_true(line(vm, 17));
	vpci_device_set_intx(&A.pci, false);		/* twice is once */
	assert_true(line(vm, 17));
	set16(vm, 5, 4, 0x400);
	assert_false(line(vm, 17));
	set16(vm, 5, 4, 0);
	assert_true(line(vm, 17));
	vpci_device_set_intx(&more[2].pci, false);
	assert_false(line(vm, 17));
	assert_true(line(vm, 18));
	assert_false(line(vm, 16));
	assert_false(line(vm, 19));
}

/* Slots of odd numbers share input 11 of the 8259s, those of even ones 10: the DSDT and the interrupt line registers say so. */
static void test_functions_share_an_input_of_the_8259s(void **state)
{
	static struct toy more[4];	/* slots 3 to 6 */
	struct vm *vm = *state;

	memset(pic_lines, 0, sizeof(pic_lines));
	for (unsigned i = 0; i < 4; i++)
		plug(vm, &more[i], (char)('C' + i));
	for (unsigned slot = 1; slot <= 6; slot++)
		assert_int_equal(get(vm, slot, 0x3c) & 0xff, slot % 2 ? 11 : 10);
	vpci_device_set_intx(&A.pci, true);
	assert_true(pic_lines[11] && !pic_lines[10]);
	vpci_device_set_intx(&more[0].pci, true);	/* slot 3: another line of the IOAPIC */
	vpci_device_set_intx(&A.pci, false);
	assert_true(pic_lines[11] && !line(vm, 17) && line(vm, 19));
	set16(vm, 3, 4, 0x400);
	assert_false(pic_lines[11]);
	set16(vm, 3, 4, 0);
	vpci_device_set_intx(&B.pci, true);
	assert_true(pic_lines[11] && pic_lines[10]);
	vpci_device_set_intx(&more[0].pci, false);
	assert_true(!pic_lines[11] && pic_lines[10]);
	vpci_device_set_intx(&B.pci, false);
	for (unsigned irq = 0; irq < 16; irq++)
		assert_false(pic_lines[irq]);
	/* ISA's inputs of the IOAPIC with the same numbers have no part in it. */
	assert_false(line(vm, 10) || line(vm, 11));
}

/* --- capabilities --- */

static void test_capabilities(void **state)
{
	struct vm *vm = *state;
	unsigned first = vpci_device_add_capability(&A.pci, 9, 16), second = vpci_device_add_capability(&A.pci, 9, 15);
	unsigned third = vpci_device_add_capability(&A.pci, 5, 4);

	assert_int_equal(get(vm, 1, 4) >> 20 & 1, 1);
	assert_int_equal(get(vm, 2, 4) >> 20 & 1, 0);
	assert_in_range(first, 0x40, 0xf0);
	assert_int_equal(get(vm, 1, 0x34) & 0xff, first);
	assert_int_equal(get(vm, 1, first) & 0xffff, 9 | second << 8);
	assert_int_equal(get(vm, 1, second) & 0xffff, 9 | third << 8);
	assert_int_equal(get(vm, 1, third) & 0xffff, 5);
	assert_int_equal(first % 4 + second % 4 + third % 4, 0);
	/* Up to the last byte, and no further. */
	assert_int_not_equal(vpci_device_add_capability(&A.pci, 9, 256 - (third + 4)), 0);
	assert_int_equal(vpci_device_add_capability(&A.pci, 9, 4), 0);
	assert_int_equal(vpci_device_add_capability(&B.pci, 9, 0xc4), 0);
}

/* --- configuration space by all ways --- */

static void test_the_same_by_each_way(void **state)
{
	struct vm *vm = *state;

	vpci_device_add_capability(&A.pci, 9, 0x30);
	for (unsigned i = 0x42; i < 0x70; i++)
		A.pci.config[i] = (u8)(i * 7);
	for (unsigned slot = 0; slot < 4; slot++) {
		u8 bytes[256 + 8];

		for (unsigned offset = 0; offset < 256; offset += 4) {
			u32 value = get(vm, slot, offset);

			memcpy(bytes + offset, &value, 4);
		}
		memset(bytes + 256, 0xff, 8);
		for (unsigned offset = 0; offset < 256; offset++) {
			for (unsigned size = 1; size <= 8; size *= 2) {
				u64 expected = 0;

				memcpy(&expected, bytes + offset, size);
				assert_int_equal(ecam(vm, slot, offset, size), expected);
				if (size == 8)
					continue;
				/* Of what sticks out of the data ports, only the bytes within belong to them. */
				if (offset % 4 + size > 4)
					continue;
				address(vm, slot, offset);
				assert_int_equal(pio_read(vm_bsp(vm), (u16)(0xcfc + offset % 4), size), expected);
			}
		}
		/* Conventional functions have 256 bytes. */
		for (unsigned offset = 256; offset < 4096; offset += 4)
			assert_int_equal(ecam(vm, slot, offset, 4), 0xffffffff);
	}
	/* Other functions of the slots. */
	for (unsigned function = 1; function < 8; function++)
		assert_int_equal(mmio_read(vm_bsp(vm), ECAM + (1 << 15) + (function << 12), 4), 0xffffffff);
	assert_int_equal(mmio_read(vm_bsp(vm), ECAM + 0xffffc, 4), 0xffffffff);
}

static void test_writes_of_each_width(void **state)
{
	struct vm *vm = *state;

	/* Eight bytes that are two registers, and four that are parts of two. */
	ecam_set(vm, 1, 0x20, 8, 0x00000081d0002000ull);
	assert_int_equal(memory_base(vm, 1), 0x81d0002000ull);
	ecam_set(vm, 1, 0x22, 4, 0x0042e000);
	assert_int_equal(memory_base(vm, 1), 0x42e0002000ull);
	assert_int_equal(at_memory(vm, 0x42e0002000ull), 'A');
	ecam_set(vm, 1, 0x3b, 2, 0x0b00);
	assert_int_equal(get(vm, 1, 0x3c) & 0xffff, 0x010b);
	ecam_set(vm, 1, 0x3c, 1, 0x0c);
	assert_int_equal(get(vm, 1, 0x3c) & 0xffff, 0x010c);
	/* A double word at 0xcfd is split into bytes: three are data, the last one is nobody's. */
	address(vm, 1, 0x24);
	out32(vm, 0xcfd, 0x44332211);
	assert_int_equal(get(vm, 1, 0x24), 0x33221142);
	assert_int_equal(get(vm, 1, 0x28), 0);
	/* Beyond the 256 bytes. */
	ecam_set(vm, 1, 0xfe, 4, 0xffffffff);
	ecam_set(vm, 1, 0x104, 4, 0);
	assert_int_equal(get(vm, 1, 4) & 0xffff, 3);
}

/* --- what cannot be --- */

static void test_bad_registers(void **state)
{
	struct io_region r = { "toy", 0, 4096, { toy_read }, { toy_write }, &A, true };

	assert_int_equal(vpci_device_add_memory(&A.pci, 5, &r), -EINVAL);	/* its upper half is nowhere */
	assert_int_equal(vpci_device_add_memory(&A.pci, 0, &r), -EINVAL);	/* taken */
	r.size = 2048;
	assert_int_equal(vpci_device_add_memory(&A.pci, 1, &r), -EINVAL);
	r.size = 5000;
	assert_int_equal(vpci_device_add_memory(&A.pci, 1, &r), -EINVAL);
	r.size = 0;
	assert_int_equal(vpci_device_add_memory(&A.pci, 1, &r), -EINVAL);
	assert_int_equal(vpci_device_add_ports(&A.pci, 1, &r), -EINVAL);
	r.size = 512;
	assert_int_equal(vpci_device_add_ports(&A.pci, 1, &r), -EINVAL);
	r.size = 2;
	assert_int_equal(vpci_device_add_ports(&A.pci, 1, &r), -EINVAL);
	r.size = 8;
	assert_int_equal(vpci_device_add_ports(&A.pci, 6, &r), -EINVAL);
	r.size = GIB(1);
	assert_int_equal(vpci_device_add_memory(&A.pci, 1, &r), -ENOSPC);	/* larger than the window */
}

/* 31 functions beside the host bridge. */
static void test_a_full_bus(void **state)
{
	static struct toy more[30];
	struct vm *vm = *state;

	for (unsigned i = 0; i < 29; i++) {
		plug(vm, &more[i], (char)('a' + i));
		assert_int_equal(at_port(vm, port_base(vm, i + 3)), 'a' + i);
		assert_int_equal(at_memory(vm, memory_base(vm, i + 3)), 'a' + i);
	}
	assert_int_equal(vpci_device_create(vm, &more[29].pci, &identity), -ENOSPC);
}

static void test_no_bus(void **state)
{
	struct vm *vm = fake_create(0);
	static struct toy toy;

	memset(&platform, 0, sizeof(platform));
	vm_set_platform(vm, &platform);
	assert_int_equal(vpci_device_create(vm, &toy.pci, &identity), -ENOSPC);
	fake_destroy(vm);
}

/* Any access at all: toy_read() checks what arrives. */
static void test_hostile(void **state)
{
	struct vm *vm = *state;
	u64 seed = 0x5eed0012;

	for (unsigned i = 0; i < 300000; i++) {
		u64 random = fake_random(&seed);
		unsigned size = 1 << (random & 3), slot = random >> 2 & 3, offset = random >> 4 & 0x3f;
		u64 value = fake_random(&seed);

		if (random & 0x10000)
			ecam_set(vm, slot, offset, size, random & 0x20000 ? value : value & 0xfebfffff);
		else if (random & 0x40000)
			set(vm, slot, offset, (u32)value & 0x1ffff);
		else if (random & 0x80000)
			mmio_read(vm_bsp(vm), 0xd0000000 + (value & 0x2fffffff), size);
		else
			pio_read(vm_bsp(vm), (u16)value, size == 8 ? 4 : size);
	}
	assert_int_equal(get(vm, 1, 0), 0x10421af4);
	assert_int_equal(get(vm, 2, 0), 0x10421af4);
}

#define ON(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON(test_the_header), ON(test_what_is_read_only), ON(test_sizes), ON(test_what_firmware_does),
		ON(test_the_command_register), ON(test_moves), ON(test_two_change_places), ON(test_on_top_of_the_machine),
		ON(test_inta), ON(test_functions_share_a_line), ON(test_functions_share_an_input_of_the_8259s), ON(test_capabilities),
		ON(test_the_same_by_each_way), ON(test_writes_of_each_width),
		ON(test_bad_registers), ON(test_a_full_bus), cmocka_unit_test(test_no_bus), ON(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
