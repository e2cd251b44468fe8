/* SPDX-License-Identifier: MIT */
/*
 * What a PC's BIOS leaves behind for the program that it starts: its data area, the real-mode interrupt table with
 * code behind each vector, the state of the 8259s and of the 8254. There are no BIOS services: a guest that calls one
 * is ended, with words, by core/bios_call.c.
 *
 * IBM, "Personal System/2 and Personal Computer BIOS Interface Technical Reference", "BIOS Data Area".
 */
#pragma once

#include "lib/types.h"

struct load;

/* Guest-physical. The code is in segment F000, at the end of what GUEST_RSDP_AREA_END ends. */
#define BIOS_DATA_AREA	   0x400ull
#define BIOS_LOW_END	   0x500ull	/* behind the vectors, which begin at 0, and the data area */
#define BIOS_ROM	   0xfe000ull
#define BIOS_VECTORS	   256
#define BIOS_VECTOR_SIZE   4u		/* vector n at BIOS_ROM + 4 * n reports itself */
#define BIOS_PORT	   0xb2		/* by a write to this port */

/* Write vectors, data area and code into the guest's RAM. 0, or an error that was logged. */
int bios_write_memory(struct load *load);
/*
 * For boot protocols that leave the machine to the guest as the BIOS left it: the 8259s with vectors 08h and 70h, all masked
 * but the timer, the keyboard and the cascade; IRQ 0 18.2 times a second.
 */
void bios_start_interrupts(struct load *load);
