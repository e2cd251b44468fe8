/* SPDX-License-Identifier: MIT */
/*
 * Checks that the guest was loaded with its command line, and that a write to the debug-exit
 * port ends the VM with the written status: the one given as `status=`, otherwise that of the result.
 * It is also linked with a single boot header each, as debugexit-mb1, -mb2 and -pvh.
 */
#include "guest.h"

int main(void)
{
	bool mb1 = boot_magic == BOOT_MB1, mb2 = boot_magic == BOOT_MB2;
	const char *variant = guest_name + sizeof("debugexit") - 1;
	u32 status;

	print(mb1 ? "loaded by Multiboot1" : mb2 ? "loaded by Multiboot2" : "loaded by PVH");
	print(", command line \"");
	print(boot_cmdline());
	print("\"\n");
	check(mb1 || mb2 || *(u32 *)(ulong)boot_info == 0x336ec578,
	      "boot information has its magic");
	if (*variant)
		check(variant[1] == 'p' ? !mb1 && !mb2 : variant[3] == '1' ? mb1 : mb2,
		      "loaded by the one protocol that it offers");
	check(READ_CR(0) & 1, "protected mode");
	if (!cmdline_number("status", &status))
		return 0;
	print("guest debugexit: leaving with status ");
	print_hex(status);
	print("\n");
	debug_exit(status);
}
