/* SPDX-License-Identifier: MIT */
/*
 * The VMs' configuration: one struct per VM, parsed from the command lines of the boot modules.
 *
 *	module2 /vmlinuz vm=web role=kernel mem=512M -- console=ttyS0 quiet
 *	module2 /initrd  vm=web role=initrd
 *
 * A module belongs to the VM that vm= names; only those with role=module have an order. Without vm=, a module
 * with role=initrd or role=module belongs to the VM of the module before it, and any other module is the kernel
 * of a new VM, named "guest", "guest2" and so on. Without role=, a module is the kernel if its VM has none
 * yet, otherwise the initrd.
 *
 * A module with role=microcode belongs to no VM: boot/main.c has used it before. Neither does one with role=disk: it is an
 * image that any number of VMs may name in disk=.
 *
 * GRUB does not pass the file name in the command line. QEMU and iPXE, with Multiboot1, put its path or
 * URI first. So with Multiboot1 the first word is a file name if it has no = and is no key, or has a / before
 * the =. With every boot loader it is one if it begins with / or (.
 */
#pragma once

#include "arch/bootinfo/bootinfo.h"
#include "core/disk.h"
#include "core/vm_devices.h"
#include "lib/cpu_set.h"
#include "lib/string.h"
#include "lib/types.h"

#define VM_NAME_SIZE	 24
#define VM_MODULE_NAME	 32
#define VM_CMDLINE_SIZE	 2048
#define VM_CONFIG_MAX	 BOOT_MAX_MODULES	/* each module can be a VM's kernel */

/* A boot module of a VM. Its memory is freed when the VM has ended for good. */
struct vm_module {
	int index;			/* into boot_info's modules; -1: none */
	char name[VM_MODULE_NAME];	/* for messages: the file name if known, otherwise "module 2" */
	/* What a Multiboot kernel gets as the first word of the module's line: file=, the file name, or the role. */
	struct str_view word;		/* empty: none */
	const char *string;		/* what follows the --; points into the module's command line, never NULL */
	struct vm_module *next;		/* of the same VM, in the boot menu entry's order */
};

/* What CPUID says about the hypervisor from leaf 40000000h on. */
enum hypervisor {
	HYPERVISOR_LAMINA,	/* Lamina's leaves there, and KVM's from 40000100h on */
	HYPERVISOR_KVM,		/* KVM's leaves there, for guests that look at no other place */
	HYPERVISOR_NONE,	/* that there is none; nor are there KVM's MSRs and hypercalls */
	HYPERVISOR_HYPERV,	/* with nested=evmcs: the vendor's leaves for Hyper-V's interface there, Lamina's from 40000100h on */
};

/* Are there KVM's MSRs and hypercalls? */
static inline bool hypervisor_is_paravirtual(enum hypervisor hypervisor)
{
	return hypervisor < HYPERVISOR_NONE;
}

/* Is the guest a hypervisor? Design and limits: docs/nested.md. */
enum nested { NESTED_OFF, NESTED_ON, NESTED_EVMCS /* with Hyper-V's enlightened VMCS */ };

/* A boot module with role=disk. Its memory is kept as long as Lamina runs, and never written. */
struct disk_image {
	int module;			/* index into boot_info's modules */
	char name[DISK_NAME_SIZE];
	u64 size;			/* bytes, not 0 */
	bool used;			/* a valid VM names it */
};

/* One disk= of a VM. */
struct vm_disk_config {
	char name[DISK_NAME_SIZE];	/* of the image, or "ram" */
	int line;			/* the module that has the key, for messages */
	struct disk_image *image;	/* NULL: an empty disk in RAM */
	u64 size;			/* bytes, of a disk in RAM: a multiple of 4 KiB */
	u64 overlay;			/* bytes that its overlay may take at most, a multiple of 4 KiB */
	bool read_only;
	struct disk *disk;		/* core/disk.c's, from the VM's first start on; NULL before */
};

struct vm_config {
	char name[VM_NAME_SIZE];
	u64 memory;			/* bytes, a multiple of 2 MiB */
	u32 vcpus;
	u64 time_limit_s;		/* 0: none */
	struct cpu_set cpus;		/* vCPU i is at home on the i-th of them, and so on; empty: Lamina chooses */
	bool ps2_keyboard;		/* what is typed goes to it, not to COM1 */
	bool hvc0_keyboard;		/* what is typed goes to the virtio-console while that is open */
	bool vga_lines;			/* print what its VGA text screen shows */
	bool stop_on_reset;		/* a reset by the guest ends the VM instead of restarting it */
	enum hypervisor hypervisor;
	enum nested nested;
	struct vm_module kernel;	/* its string is the guest's command line */
	struct vm_module *modules;	/* the others, an initrd among them; NULL: none */
	u32 module_count;
	int initrd;			/* its index; -1: none */
	struct vm_disk_config *disks[VM_MAX_DISKS];
	struct vm_net_config *nets[VM_MAX_NETS];
	u32 disk_count, net_count;
	bool no_pci;			/* there is no PCI bus, and nothing on it */
	bool valid;			/* false: an error was logged; the VM does not start */
};

#define CONFIG_DISKS 512u	/* of all VMs together */
#define CONFIG_NETS  512u

struct config {
	struct vm_config vms[VM_CONFIG_MAX];
	struct vm_module modules[BOOT_MAX_MODULES];	/* behind vm_config's lists, by their indexes */
	struct vm_disk_config disks[CONFIG_DISKS];	/* the same */
	struct vm_net_config nets[CONFIG_NETS];
	struct disk_image images[BOOT_MAX_MODULES];
	u32 disk_count, net_count, image_count;
	u32 vm_count;
	u32 last_number;	/* of the last VM that was named "guestN" */
	u32 modules_unused;	/* modules that belong to no VM and are no good image; an error was logged for each */
};

/*
 * Parse all module command lines. An error is logged with the module, the key and what was expected, and
 * makes that module's VM invalid; the other VMs can start. `info` must stay while *config is used.
 */
void config_parse(const struct boot_info *info, struct config *config);

/*
 * After config_parse(): an image whose content is not a disk's, but compressed or in a virtual machine's format, makes the
 * VMs that name it invalid; logged. look() maps the first bytes of a module, at most `size`, until the next call; NULL: it cannot.
 */
void config_check_images(struct config *config, const void *(*look)(unsigned module, u64 size));

/* Bytes of Lamina's own memory that the VMs of these modules may need, which is known before config_parse(). Logs nothing. */
u64 config_memory_need(const struct boot_info *info);

/* Has the module role=microcode, which is needed before config_parse()? Logs nothing. */
bool config_is_microcode(const struct boot_info *info, unsigned index);

/* Log the keys of a module's command line, with their values and defaults. */
void config_print_help(void);
