/* SPDX-License-Identifier: MIT */
/*
 * A PS/2 keyboard with a US layout, whose keys are pressed by what is typed at the VM's console: printable characters,
 * Ctrl with a letter, Enter, Tab, Backspace, Escape, and the arrows and F1 to F4 of a terminal. It sends scan codes of
 * set 2 only. IBM, "Keyboard Technical Reference", "101-/102-Key Keyboard: Commands from the System".
 */
#pragma once

#include "lib/types.h"

#define VKEYBOARD_QUEUE	    32u	/* a power of two */
#define VKEYBOARD_ESCAPE_MS 30u

struct vkeyboard {
	u8 queue[VKEYBOARD_QUEUE];	/* bytes for the controller */
	u8 head, count;
	u8 command;			/* that waits for its data byte; 0: none */
	bool scans;			/* it sends keys */
	u8 escape;			/* of what is typed, the part of an escape sequence: 0, ESC, [ or O */
};

void vkeyboard_init(struct vkeyboard *keyboard);
/* A byte from the controller. */
void vkeyboard_command(struct vkeyboard *keyboard, u8 value);
/* Can a character be typed whose codes have room? */
bool vkeyboard_has_room(const struct vkeyboard *keyboard);
void vkeyboard_type(struct vkeyboard *keyboard, u8 c);
/* Escape was typed: the key, or the beginning of a sequence whose rest follows within VKEYBOARD_ESCAPE_MS. */
bool vkeyboard_escape_waits(const struct vkeyboard *keyboard);
/* It did not follow: it was the key. Nothing happens without room. */
void vkeyboard_strike_escape(struct vkeyboard *keyboard);
/* The next byte for the controller; -1: none. */
int vkeyboard_next(struct vkeyboard *keyboard);
/* The code of set 1 for one of set 2, as an 8042 translates; without the break bit. */
u8 vkeyboard_translate(u8 code);
