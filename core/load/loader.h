/* SPDX-License-Identifier: MIT */
/*
 * Guest loaders: recognise an image by its content, load it into guest memory and set the vCPU to
 * the entry state of its boot protocol.
 */
#pragma once

#include "core/mem/guest_mem.h"	/* GUEST_RSDP_ADDRESS, which loaders pass to guests */
#include "lib/types.h"

struct vm;
struct vcpu;

struct guest_image {
	const void *kernel;	/* owned by the caller, and mapped during the call */
	u64 kernel_size;	/* bytes */
	const void *initrd;	/* NULL: none */
	u64 initrd_size;
	const char *cmdline;	/* never NULL */
};

/*
 * Load the image into `vm` and set `vcpu` to its entry state. The caller has reset and loaded the vCPU;
 * the VM's address space is the one in use, and its RAM is zero, except for the ACPI tables. 0, or an error
 * that was logged: what is wrong and what was expected.
 *
 * Order of recognition: bzImage, Multiboot2 or Multiboot header, ELF with PVH note, flat binary.
 */
int loader_load(struct vm *vm, struct vcpu *vcpu, const struct guest_image *image);
