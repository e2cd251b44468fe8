/* SPDX-License-Identifier: MIT */
/* What the boot menu says: one struct per VM, made from the modules' command lines. */
#pragma once

#include "lib/types.h"

#define VM_NAME_SIZE	 24
#define VM_CMDLINE_SIZE	 2048
#define VM_CONFIG_MAX	 16

struct boot_info;

/* Where a module lies; its memory is freed when the VM's loader is done with it. */
struct vm_module {
	int index;		/* into boot_info's modules; -1: none */
	const char *name;	/* file name, for messages */
};

struct vm_config {
	char name[VM_NAME_SIZE];
	u64 memory;			/* bytes */
	u32 vcpus;
	u64 time_limit_s;		/* 0: none */
	struct vm_module kernel, initrd;
	char cmdline[VM_CMDLINE_SIZE];	/* for the guest */
	bool valid;			/* false: an error was logged, the VM does not start */
};

struct config {
	struct vm_config vms[VM_CONFIG_MAX];
	u32 vm_count;
};

/* Parse all module command lines. Errors name the module, the key and what was expected; never fails as a whole. */
void config_parse(const struct boot_info *info, struct config *config);
