/* SPDX-License-Identifier: MIT */
/*
 * Guest loaders: recognise an image by its content, place it in guest memory and set the vCPU to
 * the entry state that its boot protocol asks for.
 */
#pragma once

#include "core/mem/guest_mem.h"	/* GUEST_RSDP_ADDRESS, which loaders hand over */
#include "lib/types.h"

struct vm;
struct vcpu;

struct guest_image {
	const void *kernel;	/* mapped by the caller for the time of the call */
	u64 kernel_size;	/* bytes */
	const void *initrd;	/* NULL: none */
	u64 initrd_size;
	const char *cmdline;	/* never NULL */
};

/*
 * Load into `vm` and set `vcpu` (loaded, and reset before). The VM's address space is the one in
 * use; its RAM is zero, but for the ACPI tables. 0, or an error that was logged with words that
 * name what is wrong and what was expected.
 *
 * Order of recognition: bzImage, Multiboot2 or Multiboot header, ELF with PVH note, flat binary.
 */
int loader_load(struct vm *vm, struct vcpu *vcpu, const struct guest_image *image);
