/* SPDX-License-Identifier: MIT */
/* Recognise a guest's image, and call its loader. */
#include "core/load/loader.h"

#include "core/load/bios.h"
#include "core/load/load.h"
#include "lib/bzimage.h"
#include "lib/elf.h"
#include "lib/errno.h"
#include "lib/multiboot.h"
#include "lib/pc_firmware.h"

/* The flat binary comes last: it has no magic number, so that any small file would be one. */
static int (*const kinds[])(struct load *load) = {
	load_linux, load_multiboot, load_pvh, load_flat,
};

bool loader_is_firmware(const struct guest_image *image)
{
	struct multiboot_header header;
	const char *why;

	return pc_firmware_has_form(image->kernel, image->kernel_size) &&
	       !bzimage_has_magic(image->kernel, image->kernel_size) &&
	       mb2_find_header(image->kernel, image->kernel_size, &header, &why) == -ENOENT &&
	       mb1_find_header(image->kernel, image->kernel_size, &header, &why) == -ENOENT &&
	       !elf_has_magic(image->kernel, image->kernel_size);
}

int loader_load(struct vm *vm, struct vcpu *vcpu, const struct guest_image *image)
{
	struct load load = { .vm = vm, .vcpu = vcpu, .image = image };
	int error;

	if (!image->kernel || !image->kernel_size)
		return load_fail(&load, "the kernel's file is empty");
	for (u32 i = 0; i < image->module_count; i++)
		if (!image->modules[i].size)
			return load_fail(&load, "the %s's file is empty",
					 image->modules[i].is_initrd ? "initrd" : "module");
	if (loader_is_firmware(image))
		return load_firmware(&load);
	error = bios_write_memory(&load);
	if (error)
		return error;
	error = -ENOENT;
	for (size_t i = 0; error == -ENOENT && i < ARRAY_SIZE(kinds); i++)
		error = kinds[i](&load);
	return error;
}
