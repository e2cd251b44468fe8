/* SPDX-License-Identifier: MIT */
/*
 * Guest loaders: recognise an image by its content, load it into guest memory and set the vCPU to
 * the entry state of its boot protocol.
 */
#pragma once

#include "core/mem/guest_mem.h"	/* GUEST_RSDP_ADDRESS, which loaders pass to guests */
#include "lib/string.h"
#include "lib/types.h"

struct vm;
struct vcpu;

/* What is loaded beside the kernel. Texts are owned by the caller. */
struct guest_module {
	u64 size;		/* bytes */
	bool is_initrd;		/* of at most one */
	struct str_view name;	/* the first word that a Multiboot kernel gets for it; empty: none */
	const char *string;	/* what comes behind that; never NULL */
};

struct guest_image {
	const void *kernel;	/* owned by the caller, and mapped during the call */
	hpa_t kernel_memory;	/* where it is, unchanged for as long as the VM exists */
	u64 kernel_size;	/* bytes */
	struct str_view name;	/* the first word of a Multiboot kernel's command line; empty: none */
	const char *cmdline;	/* never NULL */
	const struct guest_module *modules;	/* in the order in which the kernel gets them */
	u32 module_count;
	/* Map a module's bytes until the next call. NULL: an error was logged. */
	const void *(*map)(const struct guest_image *image, u32 module);
};

/*
 * Is it a PC firmware's ROM? Then it finds the guest's ACPI and SMBIOS tables by the firmware configuration device, not in
 * memory: see platform_offer_tables() in dev/platform.h.
 */
bool loader_is_firmware(const struct guest_image *image);
/*
 * Load the image into `vm` and set `vcpu` to its entry state. The caller has reset and loaded the vCPU;
 * the VM's address space is the one in use, and its RAM is zero, except for the ACPI tables. 0, or an error
 * that was logged: what is wrong and what was expected.
 *
 * Order of recognition: bzImage, Multiboot2 or Multiboot header, ELF with PVH note, a PC firmware's ROM, flat binary.
 */
int loader_load(struct vm *vm, struct vcpu *vcpu, const struct guest_image *image);
