/* SPDX-License-Identifier: MIT */
/* What a VM's configuration says about its devices. */
#include "core/vm_devices.h"

#include "core/load/config.h"
#include "core/vm.h"

bool vm_has_pci(const struct vm *vm)
{
	return !vm->config->no_pci;
}

bool vm_types_at_hvc0(const struct vm *vm)
{
	return vm->config->hvc0_keyboard;
}

u32 vm_disk_count(const struct vm *vm)
{
	return vm->config->disk_count;
}

struct disk *vm_disk(const struct vm *vm, u32 i)
{
	return vm->config->disks[i]->disk;
}

u32 vm_net_count(const struct vm *vm)
{
	return vm->config->net_count;
}

const struct vm_net_config *vm_net(const struct vm *vm, u32 i)
{
	return vm->config->nets[i];
}
