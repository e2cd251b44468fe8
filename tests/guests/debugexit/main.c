/* SPDX-License-Identifier: MIT */
/*
 * Proves that the guest was loaded with its command line, and that a write to the debug-exit
 * port ends the VM with just that status: the one given as `status=`, otherwise the verdict's.
 */
#include "guest.h"

int main(void)
{
	u32 status;

	print(boot_magic == BOOT_MB1 ? "loaded by Multiboot1" :
	      boot_magic == BOOT_MB2 ? "loaded by Multiboot2" : "loaded by PVH");
	print(", command line \"");
	print(boot_cmdline());
	print("\"\n");
	check(boot_magic == BOOT_MB1 || boot_magic == BOOT_MB2 ||
	      *(u32 *)(ulong)boot_info == 0x336ec578, "boot information has its magic");
	check(READ_CR(0) & 1, "protected mode");
	if (!cmdline_number("status", &status))
		return 0;
	print("guest debugexit: leaving with status ");
	print_hex(status);
	print("\n");
	debug_exit(status);
}
