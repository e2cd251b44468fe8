/* SPDX-License-Identifier: MIT */
/*
 * The reset line and the A20 gate of an AT: an 8042 keyboard controller without keyboard or mouse,
 * and system control port A. Every command completes immediately, so the guest never waits. The FADT
 * says that there is no 8042: only guests that do not read the FADT, or that reset the machine, use it.
 * A20 is always on.
 */
#include "dev/isa/vi8042.h"

#include "core/device.h"
#include "core/vm_alloc.h"
#include "core/vm_log.h"
#include "dev/isa/byte_ports.h"

#define DATA_PORT	0x60
#define COMMAND_PORT	0x64	/* read: status */
#define SYSTEM_PORT_A	0x92

#define STATUS_FULL	BIT(0)	/* a byte waits at the data port */
#define STATUS_SYSTEM	BIT(2)	/* self-test passed */
#define STATUS_COMMAND	BIT(3)	/* the last write was to the command port */
#define STATUS_UNLOCKED	BIT(4)
#define STATUS_TIMEOUT	BIT(6)	/* no device answered */

#define COMMAND_READ_RAM	0x20	/* to 0x3f */
#define COMMAND_WRITE_RAM	0x60	/* to 0x7f */
#define COMMAND_TEST_MOUSE	0xa9
#define COMMAND_SELF_TEST	0xaa
#define COMMAND_TEST_KEYBOARD	0xab
#define COMMAND_READ_OUTPUT	0xd0
#define COMMAND_WRITE_OUTPUT	0xd1	/* to 0xd4: output port, keyboard, mouse, to mouse */
#define COMMAND_PULSE		0xf0	/* to 0xff: a 0 bit pulses that line of the output port */

#define SELF_TEST_PASSED 0x55
#define TEST_PASSED	 0x00
#define TEST_CLOCK_LOW	 0x01
#define RESEND		 0xfe

#define OUTPUT_RESET	BIT(0)	/* active low */
#define OUTPUT_A20	BIT(1)
#define SYSTEM_A_RESET	BIT(0)
#define SYSTEM_A_A20	BIT(1)
#define RAM_SIZE	32

struct vi8042 {
	struct vm *vm;
	u8 ram[RAM_SIZE];	/* 0 is the command byte */
	u8 command;		/* that waits for its data byte; 0: none */
	u8 status, data;
	u8 system_a;
};

static void reset(struct vi8042 *vi8042, u16 port)
{
	vm_end(vi8042->vm, VM_END_RESET, "reset by the guest (port 0x%x)", port);
}

static void answer(struct vi8042 *vi8042, u8 data)
{
	vi8042->data = data;
	vi8042->status |= STATUS_FULL;
}

static void command(struct vi8042 *vi8042, u8 value)
{
	vi8042->status = STATUS_SYSTEM | STATUS_UNLOCKED | STATUS_COMMAND;
	vi8042->command = 0;
	switch (value) {
	case COMMAND_READ_RAM ... COMMAND_READ_RAM + RAM_SIZE - 1:
		answer(vi8042, vi8042->ram[value % RAM_SIZE]);
		break;
	case COMMAND_WRITE_RAM ... COMMAND_WRITE_RAM + RAM_SIZE - 1:
	case COMMAND_WRITE_OUTPUT ... COMMAND_WRITE_OUTPUT + 3:
		vi8042->command = value;
		break;
	case COMMAND_SELF_TEST:
		answer(vi8042, SELF_TEST_PASSED);
		break;
	case COMMAND_TEST_KEYBOARD:
		answer(vi8042, TEST_PASSED);
		break;
	case COMMAND_TEST_MOUSE:
		answer(vi8042, TEST_CLOCK_LOW);
		break;
	case COMMAND_READ_OUTPUT:
		answer(vi8042, OUTPUT_RESET | OUTPUT_A20);
		break;
	case COMMAND_PULSE ... 0xff:
		if (!(value & OUTPUT_RESET))
			reset(vi8042, COMMAND_PORT);
		break;
	default:	/* enable or disable a device that is not there, A20 on and off */
		break;
	}
}

static void data(struct vi8042 *vi8042, u8 value)
{
	u8 to = vi8042->command;

	vi8042->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	vi8042->command = 0;
	switch (to) {
	case COMMAND_WRITE_RAM ... COMMAND_WRITE_RAM + RAM_SIZE - 1:
		vi8042->ram[to % RAM_SIZE] = value;
		break;
	case COMMAND_WRITE_OUTPUT:
		if (!(value & OUTPUT_RESET))
			reset(vi8042, COMMAND_PORT);
		break;
	case COMMAND_WRITE_OUTPUT + 1:
	case COMMAND_WRITE_OUTPUT + 2:
		answer(vi8042, value);	/* as if the device had sent it */
		break;
	default:
		vi8042->status |= STATUS_TIMEOUT;
		answer(vi8042, RESEND);
		break;
	}
}

static u8 vi8042_read(void *device, u16 port)
{
	struct vi8042 *vi8042 = device;

	if (port == COMMAND_PORT)
		return vi8042->status;
	vi8042->status &= ~(STATUS_FULL | STATUS_TIMEOUT);
	return vi8042->data;
}

static void vi8042_write(void *device, u16 port, u8 value)
{
	if (port == COMMAND_PORT)
		command(device, value);
	else
		data(device, value);
}

static u8 system_a_read(void *device, u16 port)
{
	struct vi8042 *vi8042 = device;

	return vi8042->system_a | SYSTEM_A_A20;
}

static void system_a_write(void *device, u16 port, u8 value)
{
	struct vi8042 *vi8042 = device;

	vi8042->system_a = value & ~SYSTEM_A_RESET;
	if (value & SYSTEM_A_RESET)
		reset(vi8042, SYSTEM_PORT_A);
}

struct vi8042 *vi8042_create(struct vm *vm)
{
	struct vi8042 *vi8042 = vm_alloc(vm, sizeof(*vi8042));
	const struct byte_ports ports[] = {
		{ "8042 data", DATA_PORT, 1, vi8042_read, vi8042_write, vi8042 },
		{ "8042 command", COMMAND_PORT, 1, vi8042_read, vi8042_write, vi8042 },
		{ "port 0x92", SYSTEM_PORT_A, 1, system_a_read, system_a_write, vi8042 },
	};

	if (!vi8042)
		return NULL;
	vi8042->vm = vm;
	vi8042->status = STATUS_SYSTEM | STATUS_UNLOCKED;
	for (unsigned i = 0; i < ARRAY_SIZE(ports); i++)
		if (byte_ports_register(vm, &ports[i]))
			return NULL;
	return vi8042;
}
