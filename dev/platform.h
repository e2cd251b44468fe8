/* SPDX-License-Identifier: MIT */
/* The guest's machine: all devices of a VM, created together. */
#pragma once

#include "lib/types.h"

struct vm;
struct pci_bus;
struct pic;
struct pit;
struct pm;
struct rtc;
struct uart;

/* What vm_platform() returns. The memory is the VM's. */
struct platform {
	struct pic *pic;
	struct pit *pit;
	struct rtc *rtc;
	struct pm *pm;
	struct pci_bus *pci;
	struct uart *com1;
};

/*
 * Create the devices and write the ACPI tables. RAM, the vCPUs and the buses must exist; `now` is
 * the wall clock in seconds since 1970 that the RTC starts with. Errors are logged.
 */
int platform_create(struct vm *vm, u64 now);

/* Stop what would go on by itself: timers. The memory goes with the VM. */
void platform_destroy(struct vm *vm);

/* A character that the user typed. false: no room, the guest has not read the earlier ones. */
bool platform_console_input(struct vm *vm, char c);

/* The other parts of the machine, each in the file of its name. 0 or -ENOMEM, -EEXIST, -ENOSPC. */
int apic_create(struct vm *vm);			/* local APICs and IOAPIC; sets vm's irqchip */
void apic_destroy(struct vm *vm);
int pci_create(struct vm *vm);			/* needs the VM's platform set */
int acpi_tables_write(struct vm *vm);
