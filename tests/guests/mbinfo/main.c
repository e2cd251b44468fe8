/* SPDX-License-Identifier: MIT */
/*
 * What a kernel is told by Multiboot1, Multiboot2 and PVH: its command line, its modules with their strings, in their
 * order, and the sections of its own ELF file. It is also linked with a single boot header each. `modules=` says how
 * many modules there are; each is an ELF file.
 */
#include "guest.h"

static u32 modules;

static void see_module(u32 start, u32 end, u32 string)
{
	print("module "), print_dec(modules++), print(": \"");
	if (string)
		print((const char *)(ulong)string);
	print("\"\n");
	check(start >= 0x100000 && end > start + 52, "a module lies above 1 MiB");
	check_eq(*(const u32 *)(ulong)start, 0x464c457f, "a module's first bytes");
}

static bool equal(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* System V ABI, "Section Header", 32 bits wide: name, type, flags, address, offset, size. */
static void see_sections(u32 count, u32 size, const u8 *table, u32 names)
{
	const char *strings = (const char *)(ulong)((const u32 *)(table + names * size))[3];
	bool found = false;

	check_eq(size, 40, "size of a section header");
	check(names < count && strings, "the sections' names are in memory");
	for (u32 i = 0; i < count; i++) {
		const u32 *section = (const u32 *)(table + i * size);

		if (equal(strings + section[0], ".text"))
			found = (ulong)see_sections - section[3] < section[5];
	}
	check(found, "the section .text holds the code");
}

static void read_mb1(const u32 *info)
{
	check(info[0] & BIT(5), "flag 5: ELF section headers");
	see_sections(info[7], info[8], (const u8 *)(ulong)info[9], info[10]);
	check(info[0] & BIT(3), "flag 3: modules");
	for (u32 i = 0; i < info[5]; i++) {
		const u32 *module = (const u32 *)(ulong)info[6] + 4 * i;

		see_module(module[0], module[1], module[2]);
	}
}

static void read_mb2(const u8 *at)
{
	u32 seen = 0;

	for (at += 8; *(const u32 *)at; at += (((const u32 *)at)[1] + 7) & ~7u) {
		const u32 *tag = (const u32 *)at;

		seen |= BIT(tag[0]);
		if (tag[0] == 3)
			see_module(tag[2], tag[3], (u32)(ulong)(tag + 4));
		if (tag[0] == 9)
			see_sections(tag[2], tag[3], (const u8 *)(tag + 5), tag[4]);
	}
	check(seen & BIT(9), "tag 9: ELF sections");
	check((seen & (BIT(4) | BIT(6))) == (BIT(4) | BIT(6)), "tags 4 and 6: memory");
	check((seen & (BIT(14) | BIT(15))) == (BIT(14) | BIT(15)), "tags 14 and 15: ACPI");
}

/* Xen, "x86/HVM direct boot ABI": the list's entries have 32 bytes: address, size, command line. */
static void read_pvh(const u32 *info)
{
	for (u32 i = 0; i < info[3]; i++) {
		const u32 *module = (const u32 *)(ulong)info[4] + 8 * i;

		see_module(module[0], module[0] + module[2], module[4]);
	}
}

int main(void)
{
	u32 expected = 0;

	print("command line \""), print(boot_cmdline()), print("\"\n");
	if (boot_magic == BOOT_MB1)
		read_mb1((const u32 *)(ulong)boot_info);
	else if (boot_magic == BOOT_MB2)
		read_mb2((const u8 *)(ulong)boot_info);
	else
		read_pvh((const u32 *)(ulong)boot_info);
	cmdline_number("modules", &expected);
	check_eq(modules, expected, "number of modules");
	return 0;
}
