/* SPDX-License-Identifier: MIT */
/* A PC firmware's ROM image, such as SeaBIOS': code that a processor starts after a reset, 16 bytes before its end. */
#pragma once

#include "lib/types.h"

#define PC_FIRMWARE_MIN	   KIB(64)
#define PC_FIRMWARE_MAX	   MIB(16)
#define PC_FIRMWARE_VECTOR 16u	/* bytes from the reset vector to the end */

/*
 * Is it one, by its form: a power of two of bytes, and a JMP at the reset vector? It has no magic number, so look for
 * formats that have one first.
 */
bool pc_firmware_has_form(const void *image, u64 size);
