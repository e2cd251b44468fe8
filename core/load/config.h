/* SPDX-License-Identifier: MIT */
/*
 * What the boot menu says: one struct per VM, made from the modules' command lines.
 *
 *	module2 /vmlinuz vm=web role=kernel mem=512M -- console=ttyS0 quiet
 *	module2 /initrd  vm=web role=initrd
 *
 * Which VM a module belongs to: the one that vm= names, whatever the modules' order. Without vm=, a
 * module with role=initrd belongs to the VM of the module before it, and any other module is the
 * kernel of a new VM: "guest", "guest2" and so on.
 * What it is there: what role= says. Without role=, the kernel where the VM has none yet, or else
 * the initrd.
 *
 * GRUB leaves the file's name out of the command line. QEMU and iPXE, by Multiboot1, put its path or
 * URI in front. There a first word is passed over that has no = and is no key, or that has a / in
 * front of the =; with every loader, one that begins with / or (.
 */
#pragma once

#include "arch/bootinfo/bootinfo.h"
#include "lib/types.h"

#define VM_NAME_SIZE	 24
#define VM_MODULE_NAME	 32
#define VM_CMDLINE_SIZE	 2048
#define VM_CONFIG_MAX	 BOOT_MAX_MODULES	/* each module can be a VM's kernel */

/* Where a module lies; its memory is freed when the VM's loader is done with it. */
struct vm_module {
	int index;			/* into boot_info's modules; -1: none */
	char name[VM_MODULE_NAME];	/* for messages: "module 2", or the file's if known */
};

struct vm_config {
	char name[VM_NAME_SIZE];
	u64 memory;			/* bytes, a multiple of 2 MiB */
	u32 vcpus;
	u64 time_limit_s;		/* 0: none */
	struct vm_module kernel, initrd;
	const char *cmdline;		/* for the guest: in the boot loader's information */
	bool valid;			/* false: an error was logged, the VM does not start */
};

struct config {
	struct vm_config vms[VM_CONFIG_MAX];
	u32 vm_count;
	u32 last_number;	/* given to a VM without a name */
	u32 modules_unused;	/* that belong to no VM, each with an error logged */
};

/*
 * Parse all module command lines. Errors name the module, the key and what was expected, and make
 * the module's VM invalid; never fails as a whole.
 */
void config_parse(const struct boot_info *info, struct config *config);

/* Log the keys of a module's command line, with their values and defaults. */
void config_print_help(void);
