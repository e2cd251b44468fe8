/* SPDX-License-Identifier: MIT */
/* The guest's machine: creates its devices. */
#include "dev/platform.h"

#include "core/device.h"
#include "core/irqchip.h"
#include "core/vm_alloc.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/firmware/acpi.h"
#include "dev/firmware/fw_cfg.h"
#include "dev/firmware/mp_table.h"
#include "dev/firmware/smbios.h"
#include "dev/firmware/table_loader.h"
#include "dev/irq/irqchip.h"
#include "dev/irq/vpic.h"
#include "dev/isa/byte_ports.h"
#include "dev/isa/vi8042.h"
#include "dev/isa/vpit.h"
#include "dev/isa/vpm.h"
#include "dev/isa/vrtc.h"
#include "dev/isa/vuart.h"
#include "dev/isa/vvga.h"
#include "dev/pci/vpci.h"
#include "dev/virtio/devices.h"
#include "lib/errno.h"

#define COM1_PORT 0x3f8
#define COM1_IRQ  4
#define COM2_PORT 0x2f8
#define COM2_IRQ  3

/* The POST code port. ISA drivers write to it as a delay of about one microsecond. */
#define POST_PORT 0x80

static u8 post_read(void *device, u16 port)
{
	return 0xff;
}

static void post_write(void *device, u16 port, u8 value)
{
	/* There is no POST card to show it. */
}

/* The latch between FERR# and IRQ 13. IGNNE#, which it drives, too, does not reach the processor. */
#define FPU_PORT  0xf0
#define FPU_PORTS 2

static u8 fpu_read(void *device, u16 port)
{
	return 0xff;
}

static void fpu_write(void *device, u16 port, u8 value)
{
	irq_line_set(device, IRQ_FPU, false);
}

static int create_isa_devices(struct vm *vm, struct platform *platform, u64 now)
{
	const struct byte_ports post = { "POST", POST_PORT, 1, post_read, post_write, NULL };
	const struct byte_ports fpu = { "FPU errors", FPU_PORT, FPU_PORTS, fpu_read, fpu_write, vm };
	int error;

	platform->vpit = vpit_create(vm);
	platform->vrtc = vrtc_create(vm, now);
	platform->vpm = vpm_create(vm);
	platform->vi8042 = vi8042_create(vm);
	platform->com1 = vuart_create(vm, COM1_PORT, COM1_IRQ, true);
	platform->com2 = vuart_create(vm, COM2_PORT, COM2_IRQ, false);	/* many kernels expect its ports */
	platform->vvga = vvga_create(vm);
	if (!platform->vpit || !platform->vrtc || !platform->vpm || !platform->vi8042 ||
	    !platform->com1 || !platform->com2 || !platform->vvga)
		return -ENOMEM;
	error = byte_ports_register(vm, &post);
	return error ? error : byte_ports_register(vm, &fpu);
}

static int create_fw_cfg(struct vm *vm, struct platform *platform)
{
	platform->fw_cfg = fw_cfg_create(vm);
	return platform->fw_cfg ? 0 : -ENOMEM;
}

static int create_devices(struct vm *vm, struct platform *platform, u64 now)
{
	int error;

	/* The interrupt controllers first: the other devices drive their lines. */
	platform->vpic = vpic_create(vm);
	error = platform->vpic ? apic_create(vm) : -ENOMEM;
	if (!error)
		error = create_isa_devices(vm, platform, now);
	if (!error && vm_has_pci(vm))
		error = vpci_create(vm);
	if (!error)
		error = create_fw_cfg(vm, platform);
	if (!error && vm_has_pci(vm))
		error = virtio_devices_create(vm);
	if (!error)
		error = acpi_tables_write(vm);
	if (!error)
		error = smbios_write(vm);
	/* With one processor, guests without ACPI use the 8259s. */
	if (!error && vm_vcpu_count(vm) > 1)
		error = mp_table_write(vm);
	return error;
}

int platform_create(struct vm *vm, u64 now)
{
	struct platform *platform = vm_alloc(vm, sizeof(*platform));
	int error = -ENOMEM;

	if (platform) {
		vm_set_platform(vm, platform);
		error = create_devices(vm, platform, now);
	}
	if (error)
		vm_error(vm, "cannot create the VM's devices: %s",
			 error == -ENOMEM ? "the hypervisor's own memory is used up" : "see above");
	return error;
}

int platform_connect_keyboard(struct vm *vm)
{
	struct platform *platform = vm_platform(vm);

	if (vi8042_connect_keyboard(platform->vi8042)) {
		vm_error(vm, "cannot connect a keyboard: the hypervisor's own memory is used up");
		return -ENOMEM;
	}
	return 0;
}

int platform_offer_tables(struct vm *vm)
{
	static const u64 sercon_port = COM1_PORT;
	struct fw_cfg *fw_cfg = ((struct platform *)vm_platform(vm))->fw_cfg;
	int error = table_loader_offer(vm, fw_cfg);

	if (!error)
		error = smbios_offer(vm, fw_cfg);
	if (!error)
		error = fw_cfg_add(fw_cfg, "etc/sercon-port", &sercon_port, sizeof(sercon_port));
	if (error)
		vm_error(vm, "cannot offer the ACPI and SMBIOS tables to the firmware: the hypervisor's own memory is used up");
	return error;
}
