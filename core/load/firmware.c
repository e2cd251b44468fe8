/* SPDX-License-Identifier: MIT */
/*
 * A PC firmware's ROM: mapped at the end of the first 4 GiB, read-only and without a copy. The vCPU stays as it is after a
 * reset, and begins with the ROM's last 16 bytes. What firmware expects to be in the RAM below 1 MiB, a copy of the
 * ROM's end, is there and can be written from the start: this machine's host bridge has no registers that switch it on.
 */
#include "core/load/load.h"

#include "lib/pc_firmware.h"
#include "lib/string.h"

#define SHADOW_END  MIB(1)
#define USUAL_MEMORY MIB(8)
#define SHADOW_SIZE KIB(256)	/* at most: from C0000h, where option ROMs begin, on */

/* What else Lamina has put there is for guests without firmware. */
static int write_shadow(struct load *load)
{
	const struct guest_image *image = load->image;
	u64 size = MIN(image->kernel_size, SHADOW_SIZE);
	u8 *tables = guest_ptr(load->vm, GUEST_RSDP_ADDRESS, GUEST_RSDP_AREA_END - GUEST_RSDP_ADDRESS);

	if (!tables)
		return -EFAULT;
	memset(tables, 0, GUEST_RSDP_AREA_END - GUEST_RSDP_ADDRESS);
	return load_copy(load, SHADOW_END - size, (const u8 *)image->kernel + image->kernel_size - size, size);
}

int load_firmware(struct load *load)
{
	const struct guest_image *image = load->image;
	int error;

	if (image->kernel_memory & (PAGE_SIZE - 1))
		return load_fail(load, "the boot loader has put the firmware's ROM at 0x%llx: expected a multiple of %llu",
				 (ull)image->kernel_memory, (ull)PAGE_SIZE);
	if (image->module_count || image->cmdline[0])
		vm_warn(load->vm, "a firmware's ROM gets neither modules nor a command line: not used");
	if (guest_low_ram(load->vm) < USUAL_MEMORY)
		vm_warn(load->vm, "mem=%lluM is little for a PC firmware: SeaBIOS stops silently with less than %lluM",
			(ull)(guest_low_ram(load->vm) >> 20), (ull)(USUAL_MEMORY >> 20));
	error = write_shadow(load);
	if (!error)
		error = guest_rom_map(load->vm, image->kernel_memory, image->kernel_size);
	if (error)
		return load_fail(load, "the firmware's ROM of %llu KiB cannot be mapped", (ull)image->kernel_size >> 10);
	load_report(load, "a PC firmware's ROM, in real mode", GUEST_ROM_END - PC_FIRMWARE_VECTOR);
	return 0;
}
