/* SPDX-License-Identifier: MIT */
/*
 * The reset line and the A20 gate of an AT: an 8042 keyboard controller without mouse, and without keyboard
 * unless one is connected, and system control port A. Every command completes immediately, so the guest never
 * waits. The FADT says that there is no 8042: only guests that do not read the FADT, or that reset the machine,
 * use it. A20 is always on.
 */
#include "dev/isa/vi8042.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_console.h"
#include "core/vm_log.h"
#include "core/vtimer.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/vkeyboard.h"
#include "lib/errno.h"

#define KEYBOARD_IRQ	1

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
#define COMMAND_DISABLE		0xad	/* the keyboard's clock */
#define COMMAND_ENABLE		0xae
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

/* The command byte. */
#define MODE_INTERRUPT	BIT(0)
#define MODE_SYSTEM	BIT(2)
#define MODE_DISABLED	BIT(4)
#define MODE_TRANSLATE	BIT(6)

struct vi8042 {
	struct vm *vm;
	struct vkeyboard *keyboard;	/* NULL: none is connected */
	struct vm_console_end end;	/* the keyboard's */
	bool released;			/* translation: the code of a key that is released follows */
	bool line;			/* IRQ 1 */
	struct vtimer escape;		/* runs while an Escape waits for the rest of a sequence */
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

/* --- the keyboard, if one is connected --- */

static void set_line(struct vi8042 *vi8042, bool level)
{
	if (level == vi8042->line)
		return;
	vi8042->line = level;
	irq_line_set(vi8042->vm, KEYBOARD_IRQ, level);
}

/* Set 2 sends F0h before the code of a released key, set 1 sets bit 7. -1: nothing yet. */
static int translate(struct vi8042 *vi8042, u8 byte)
{
	u8 released = vi8042->released ? 0x80 : 0;

	if (!(vi8042->ram[0] & MODE_TRANSLATE))
		return byte;
	vi8042->released = byte == 0xf0;
	return vi8042->released ? -1 : vkeyboard_translate(byte) | released;
}

static void take_typed(struct vi8042 *vi8042)
{
	struct vkeyboard *keyboard = vi8042->keyboard;
	int c = 0;

	while (vkeyboard_has_room(keyboard) && c >= 0) {
		c = vm_console_read(vi8042->vm, &vi8042->end);
		if (c >= 0)
			vkeyboard_type(keyboard, (u8)c);
	}
	if (!vkeyboard_escape_waits(keyboard))
		vtimer_cancel(&vi8042->escape);
	else if (!vi8042->escape.armed)
		vtimer_arm(&vi8042->escape, vtimer_now() + vtimer_from_ns(VKEYBOARD_ESCAPE_MS * 1000000ull));
}

/* Move the keyboard's next byte to the output buffer, if that is empty. */
static void receive(struct vi8042 *vi8042)
{
	int byte, code = -1;

	while (code < 0 && !(vi8042->status & STATUS_FULL) && !(vi8042->ram[0] & MODE_DISABLED)) {
		byte = vkeyboard_next(vi8042->keyboard);
		if (byte < 0)
			break;
		code = translate(vi8042, (u8)byte);
	}
	if (code >= 0)
		answer(vi8042, (u8)code);
}

/* After each access, and when something was typed. */
static void update(struct vi8042 *vi8042)
{
	if (!vi8042->keyboard)
		return;
	take_typed(vi8042);
	receive(vi8042);
	set_line(vi8042, (vi8042->status & STATUS_FULL) && (vi8042->ram[0] & MODE_INTERRUPT));
}

static void escape_fire(struct vtimer *timer)
{
	struct vi8042 *vi8042 = container_of(timer, struct vi8042, escape);

	vkeyboard_strike_escape(vi8042->keyboard);
	update(vi8042);
}

static void console_changed(void *device)
{
	update(device);
}

/* What waits in the output buffer stays there, if a keyboard may have sent it. */
static u8 kept(const struct vi8042 *vi8042)
{
	return vi8042->keyboard ? vi8042->status & STATUS_FULL : 0;
}

/* --- commands --- */

static void command(struct vi8042 *vi8042, u8 value)
{
	vi8042->status = STATUS_SYSTEM | STATUS_UNLOCKED | STATUS_COMMAND | kept(vi8042);
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
	case COMMAND_DISABLE:
		vi8042->ram[0] |= vi8042->keyboard ? MODE_DISABLED : 0;
		break;
	case COMMAND_ENABLE:
		vi8042->ram[0] &= vi8042->keyboard ? ~MODE_DISABLED : 0xff;
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

	vi8042->status = STATUS_SYSTEM | STATUS_UNLOCKED | kept(vi8042);
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
	case 0:
		if (vi8042->keyboard) {
			vkeyboard_command(vi8042->keyboard, value);
			vi8042->ram[0] &= ~MODE_DISABLED;	/* sending to it switches its clock on */
			vi8042->released = false;
			break;
		}
		/* fallthrough */
	default:
		vi8042->status |= STATUS_TIMEOUT;
		answer(vi8042, RESEND);
		break;
	}
}

static u8 vi8042_read(void *device, u16 port)
{
	struct vi8042 *vi8042 = device;
	u8 value;

	if (port == COMMAND_PORT)
		return vi8042->status;
	value = vi8042->data;
	vi8042->status &= ~(STATUS_FULL | STATUS_TIMEOUT);
	if (vi8042->keyboard) {
		set_line(vi8042, false);	/* an edge for each byte */
		update(vi8042);
	}
	return value;
}

static void vi8042_write(void *device, u16 port, u8 value)
{
	if (port == COMMAND_PORT)
		command(device, value);
	else
		data(device, value);
	update(device);
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

/* As a BIOS leaves it: the keyboard sends, its codes are translated, and each raises IRQ 1. */
int vi8042_connect_keyboard(struct vi8042 *vi8042)
{
	vi8042->keyboard = vm_alloc(vi8042->vm, sizeof(*vi8042->keyboard));
	if (!vi8042->keyboard)
		return -ENOMEM;
	vkeyboard_init(vi8042->keyboard);
	vtimer_init_shared(&vi8042->escape, vi8042->vm, escape_fire);
	vi8042->ram[0] = MODE_INTERRUPT | MODE_SYSTEM | MODE_TRANSLATE;
	vi8042->end = (struct vm_console_end){ .changed = console_changed, .device = vi8042, .need = CONSOLE_CHOSEN };
	vm_console_connect(vi8042->vm, &vi8042->end);
	return 0;
}
