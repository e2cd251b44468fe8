/* SPDX-License-Identifier: MIT */
/* A PS/2 keyboard: see vkeyboard.h. */
#include "dev/isa/vkeyboard.h"

#define KEYBOARD_LEDS		0xed
#define KEYBOARD_ECHO		0xee
#define KEYBOARD_SET		0xf0
#define KEYBOARD_IDENTIFY	0xf2
#define KEYBOARD_RATE		0xf3
#define KEYBOARD_ENABLE		0xf4
#define KEYBOARD_DISABLE	0xf5
#define KEYBOARD_DEFAULTS	0xf6
#define KEYBOARD_RESET		0xff

#define REPLY_ACKNOWLEDGE	0xfa
#define REPLY_RESEND		0xfe
#define REPLY_PASSED		0xaa
#define SCAN_SET		2

#define PREFIX			0xe0
#define BREAK			0xf0
#define KEY_SHIFT		0x12
#define KEY_CTRL		0x14
#define KEY_TAB			0x0d
#define KEY_ENTER		0x5a
#define KEY_BACK		0x66
#define KEY_ESCAPE		0x76
#define LONGEST			9	/* bytes for one character: an Escape before it, Ctrl, the key, and both releases */

#define TYPED_ESCAPE		0x1b
#define S			0x80	/* with Shift */

/* The keys of ' ' to '~'. */
static const u8 keys[] = {
	0x29, S | 0x16, S | 0x52, S | 0x26, S | 0x25, S | 0x2e, S | 0x3d, 0x52, S | 0x46, S | 0x45, S | 0x3e, S | 0x55,
	0x41, 0x4e, 0x49, 0x4a,								/* , - . / */
	0x45, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46,			/* 0-9 */
	S | 0x4c, 0x4c, S | 0x41, 0x55, S | 0x49, S | 0x4a, S | 0x1e,			/* : ; < = > ? @ */
	S | 0x1c, S | 0x32, S | 0x21, S | 0x23, S | 0x24, S | 0x2b, S | 0x34, S | 0x33, S | 0x43, S | 0x3b, S | 0x42,
	S | 0x4b, S | 0x3a, S | 0x31, S | 0x44, S | 0x4d, S | 0x15, S | 0x2d, S | 0x1b, S | 0x2c, S | 0x3c, S | 0x2a,
	S | 0x1d, S | 0x22, S | 0x35, S | 0x1a,						/* A-Z */
	0x54, 0x5d, 0x5b, S | 0x36, S | 0x4e, 0x0e,					/* [ \ ] ^ _ ` */
	0x1c, 0x32, 0x21, 0x23, 0x24, 0x2b, 0x34, 0x33, 0x43, 0x3b, 0x42,
	0x4b, 0x3a, 0x31, 0x44, 0x4d, 0x15, 0x2d, 0x1b, 0x2c, 0x3c, 0x2a,
	0x1d, 0x22, 0x35, 0x1a,								/* a-z */
	S | 0x54, S | 0x5d, S | 0x5b, S | 0x0e,						/* { | } ~ */
};

_Static_assert(sizeof(keys) == '~' - ' ' + 1, "one for each");

/* IBM, "Personal Computer AT Technical Reference", "Scan Code Translation". */
static const u8 translation[0x80] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

u8 vkeyboard_translate(u8 code)
{
	if (code < sizeof(translation))
		return translation[code];
	return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

/* --- the queue --- */

static void put(struct vkeyboard *keyboard, u8 byte)
{
	if (keyboard->count < VKEYBOARD_QUEUE)
		keyboard->queue[(keyboard->head + keyboard->count++) % VKEYBOARD_QUEUE] = byte;
}

int vkeyboard_next(struct vkeyboard *keyboard)
{
	u8 byte = keyboard->queue[keyboard->head];

	if (!keyboard->count)
		return -1;
	keyboard->head = (keyboard->head + 1) % VKEYBOARD_QUEUE;
	keyboard->count--;
	return byte;
}

void vkeyboard_init(struct vkeyboard *keyboard)
{
	*keyboard = (struct vkeyboard){ .scans = true };
}

/* --- commands --- */

/* The second byte of a command. */
static void take_data(struct vkeyboard *keyboard, u8 command, u8 value)
{
	/* It has one set only. */
	if (command == KEYBOARD_SET && value && value != SCAN_SET) {
		put(keyboard, REPLY_RESEND);
		return;
	}
	put(keyboard, REPLY_ACKNOWLEDGE);
	if (command == KEYBOARD_SET && !value)
		put(keyboard, SCAN_SET);
}

/* Bytes that were not sent yet are dropped, as by a keyboard that gets another command. */
void vkeyboard_command(struct vkeyboard *keyboard, u8 value)
{
	u8 command = keyboard->command;

	keyboard->command = 0;
	keyboard->count = 0;
	if (command && value < KEYBOARD_LEDS) {
		take_data(keyboard, command, value);
		return;
	}
	switch (value) {
	case KEYBOARD_ECHO:
		put(keyboard, KEYBOARD_ECHO);
		return;
	case KEYBOARD_LEDS:
	case KEYBOARD_RATE:
	case KEYBOARD_SET:
		keyboard->command = value;
		break;
	case KEYBOARD_ENABLE:
	case KEYBOARD_DEFAULTS:
	case KEYBOARD_RESET:
		keyboard->scans = true;
		break;
	case KEYBOARD_DISABLE:
		keyboard->scans = false;
		break;
	case KEYBOARD_IDENTIFY:
		break;
	default:
		put(keyboard, REPLY_RESEND);
		return;
	}
	put(keyboard, REPLY_ACKNOWLEDGE);
	if (value == KEYBOARD_RESET)
		put(keyboard, REPLY_PASSED);
	if (value == KEYBOARD_IDENTIFY) {
		put(keyboard, 0xab);
		put(keyboard, 0x83);
	}
}

/* --- keys --- */

static void press(struct vkeyboard *keyboard, u8 key)
{
	put(keyboard, key);
}

static void release(struct vkeyboard *keyboard, u8 key)
{
	put(keyboard, BREAK);
	put(keyboard, key);
}

static void strike(struct vkeyboard *keyboard, u8 key, u8 with)
{
	if (with)
		press(keyboard, with);
	press(keyboard, key);
	release(keyboard, key);
	if (with)
		release(keyboard, with);
}

static void strike_extended(struct vkeyboard *keyboard, u8 key)
{
	put(keyboard, PREFIX);
	press(keyboard, key);
	put(keyboard, PREFIX);
	release(keyboard, key);
}

static void type_control(struct vkeyboard *keyboard, u8 c)
{
	switch (c) {
	case '\r':
	case '\n':
		strike(keyboard, KEY_ENTER, 0);
		break;
	case '\t':
		strike(keyboard, KEY_TAB, 0);
		break;
	case '\b':
	case 0x7f:
		strike(keyboard, KEY_BACK, 0);
		break;
	default:
		if (c >= 1 && c <= 26)
			strike(keyboard, keys['a' - ' ' + c - 1], KEY_CTRL);
		break;
	}
}

static void type_plain(struct vkeyboard *keyboard, u8 c)
{
	u8 key;

	if (c < ' ' || c > '~') {
		type_control(keyboard, c);
		return;
	}
	key = keys[c - ' '];
	strike(keyboard, key & ~S, key & S ? KEY_SHIFT : 0);
}

/* ECMA-48 and xterm: ESC [ A to D are the arrows, ESC O P to S are F1 to F4; of other sequences nothing is typed. */
static void end_sequence(struct vkeyboard *keyboard, u8 introducer, u8 c)
{
	static const u8 arrows[] = { 0x75, 0x72, 0x74, 0x6b }, functions[] = { 0x05, 0x06, 0x04, 0x0c };

	if (c >= 'A' && c <= 'D')
		strike_extended(keyboard, arrows[c - 'A']);
	else if (introducer == 'O' && c >= 'P' && c <= 'S')
		strike(keyboard, functions[c - 'P'], 0);
}

bool vkeyboard_has_room(const struct vkeyboard *keyboard)
{
	return VKEYBOARD_QUEUE - keyboard->count >= LONGEST;
}

void vkeyboard_type(struct vkeyboard *keyboard, u8 c)
{
	u8 escape = keyboard->escape;

	if (!keyboard->scans)
		return;
	keyboard->escape = 0;
	if (escape == '[' && c >= ' ' && c < '@') {
		keyboard->escape = escape;	/* a parameter */
	} else if (escape == '[' || escape == 'O') {
		end_sequence(keyboard, escape, c);
	} else if (escape == TYPED_ESCAPE && (c == '[' || c == 'O')) {
		keyboard->escape = c;
	} else {
		if (escape == TYPED_ESCAPE)
			strike(keyboard, KEY_ESCAPE, 0);
		if (c == TYPED_ESCAPE)
			keyboard->escape = TYPED_ESCAPE;
		else
			type_plain(keyboard, c);
	}
}

bool vkeyboard_escape_waits(const struct vkeyboard *keyboard)
{
	return keyboard->escape == TYPED_ESCAPE;
}

void vkeyboard_strike_escape(struct vkeyboard *keyboard)
{
	if (!vkeyboard_escape_waits(keyboard) || !vkeyboard_has_room(keyboard))
		return;
	strike(keyboard, KEY_ESCAPE, 0);
	keyboard->escape = 0;
}
