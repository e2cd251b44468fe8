/* SPDX-License-Identifier: MIT */
/*
 * Progress of the start-up: one byte to port 0x80 as each stage begins, for machines that show nothing
 * else. POST cards, boards' displays and BMCs show the last byte.
 * docs/stages.md says what each means; none is written while guests run.
 */
#pragma once

#include "arch/cpu/cpu.h"

#define STAGE_PORT 0x80

enum stage {
	/* boot/entry.asm */
	STAGE_ENTRY = 0x10,
	STAGE_PROCESSOR = 0x11,
	STAGE_BOOT_TABLES = 0x12,
	STAGE_LONG_MODE = 0x13,
	STAGE_HIGHER_HALF = 0x14,

	/* boot/main.c, on the boot page tables */
	STAGE_TRAPS = 0x20,
	STAGE_BOOT_INFO = 0x21,
	STAGE_CONSOLE = 0x22,
	STAGE_FEATURES = 0x23,
	STAGE_MEMORY = 0x24,
	STAGE_PAGING = 0x25,
	STAGE_STACKS = 0x26,

	/* boot/main.c, on the final page tables */
	STAGE_MACHINE_CHECK = 0x30,
	STAGE_ACPI = 0x31,
	STAGE_LAPIC = 0x32,
	STAGE_IOAPIC = 0x33,
	STAGE_CLOCK = 0x34,
	STAGE_CPUS = 0x35,
	STAGE_VIRTUALIZATION = 0x36,

	/* boot/guests.c */
	STAGE_CONFIG = 0x40,
	STAGE_VM_CREATE = 0x41,
	STAGE_VM_LOAD = 0x42,
	STAGE_VM_RUN = 0x43,
	STAGE_VM_ENDED = 0x44,
	STAGE_DONE = 0x4f,
};

static inline void stage_begins(enum stage stage)
{
	outb(STAGE_PORT, (u8)stage);
}
