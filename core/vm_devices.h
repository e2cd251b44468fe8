/* SPDX-License-Identifier: MIT */
/* Which disks, network ports and other PCI devices a VM's configuration asks for, as device models see it. */
#pragma once

#include "lib/types.h"

struct vm;
struct disk;	/* core/disk.h */

#define VM_MAX_DISKS 8u
#define VM_MAX_NETS  8u
#define NET_NAME_SIZE 24u

struct vm_net_config {
	char name[NET_NAME_SIZE];	/* of the switch */
	u8 mac[6];			/* from the configuration, or from the VM's name and the index */
	int line;			/* the boot module that has the key, for messages */
	bool trunk;			/* may send from other addresses, and gets frames to those that nobody else has */
};

/* false: nothing is on its PCI bus, and there is none: pci=none. */
bool vm_has_pci(const struct vm *vm);
/* What is typed goes to the virtio-console while its driver has it open: keyboard=hvc0. */
bool vm_types_at_hvc0(const struct vm *vm);
u32 vm_disk_count(const struct vm *vm);
/* It outlives the VM: it is the same after a restart. */
struct disk *vm_disk(const struct vm *vm, u32 i);
u32 vm_net_count(const struct vm *vm);
const struct vm_net_config *vm_net(const struct vm *vm, u32 i);
