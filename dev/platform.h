/* SPDX-License-Identifier: MIT */
/* The guest's machine: all devices of a VM, created together. */
#pragma once

#include "lib/types.h"

struct vm;
struct fw_cfg;
struct vi8042;
struct vpci_bus;
struct vpic;
struct vpit;
struct vpm;
struct vrtc;
struct vuart;
struct vvga;

/* What vm_platform() returns. */
struct platform {
	struct vpic *vpic;
	struct vpit *vpit;
	struct vrtc *vrtc;
	struct vpm *vpm;
	struct vi8042 *vi8042;
	struct vuart *com1, *com2;
	struct vvga *vvga;
	struct vpci_bus *pci;	/* NULL: pci=none */
	struct fw_cfg *fw_cfg;
};

/*
 * Create the devices and write the ACPI tables into the guest's RAM. RAM, the vCPUs and the buses
 * must exist. `now` is the wall clock in seconds since 1970, UTC, that the RTC starts with. Errors
 * are logged. There is nothing to undo after one: memory and timers are freed with the VM.
 */
int platform_create(struct vm *vm, u64 now);
/* After that: what is typed at the VM's console goes to a PS/2 keyboard, not to COM1. -ENOMEM: logged. */
int platform_connect_keyboard(struct vm *vm);
/*
 * After platform_create(), for a VM that starts with firmware: the ACPI and SMBIOS tables become files for it, and where its console
 * is. -ENOMEM, -ENOSPC: logged.
 */
int platform_offer_tables(struct vm *vm);
