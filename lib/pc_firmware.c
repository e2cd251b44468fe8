/* SPDX-License-Identifier: MIT */
/* Intel SDM, "First Instruction Executed"; "JMP - Jump". */
#include "lib/pc_firmware.h"

enum { JMP_NEAR = 0xe9, JMP_FAR = 0xea, JMP_SHORT = 0xeb };

bool pc_firmware_has_form(const void *image, u64 size)
{
	u8 first;

	if (size < PC_FIRMWARE_MIN || size > PC_FIRMWARE_MAX || (size & (size - 1)))
		return false;
	first = ((const u8 *)image)[size - PC_FIRMWARE_VECTOR];
	return first == JMP_NEAR || first == JMP_FAR || first == JMP_SHORT;
}
