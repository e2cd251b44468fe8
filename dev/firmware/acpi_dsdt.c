/* SPDX-License-Identifier: MIT */
/* The DSDT: the devices of the guest's machine, with their ports, interrupts and memory windows. */
#include "core/mem/guest_mem.h"
#include "dev/firmware/acpi.h"
#include "dev/firmware/aml.h"
#include "dev/irq/vioapic.h"
#include "dev/isa/vpm.h"
#include "dev/pci/vpci.h"

_Static_assert(PCI_ECAM_BASE == GUEST_LOW_RAM_END, "RAM ends where the PCI bus's memory begins");

#define MACHINE_ID "PNP0C02"	/* resources of the machine itself, which the guest must not assign to other devices */

struct range {
	u16 base;
	u8 length;
};

struct isa_device {
	const char *name, *id;
	struct range ports[8];
	s8 irq;			/* -1: none */
	u8 before;		/* how many devices of the same id come before it */
};

static const struct isa_device isa_devices[] = {
	{ "PIC_", "PNP0000", { { 0x20, 2 }, { 0xa0, 2 }, { 0x4d0, 2 } }, 2 },
	{ "TIMR", "PNP0100", { { 0x40, 4 } }, 0 },
	{ "RTC_", "PNP0B00", { { 0x70, 2 } }, 8 },
	{ "COM1", "PNP0501", { { 0x3f8, 8 } }, 4 },
	{ "COM2", "PNP0501", { { 0x2f8, 8 } }, 3, 1 },
	{ "SYSR", MACHINE_ID, {
		{ 0x60, 2 },
		{ 0x64, 1 },
		{ 0x92, 1 },
		{ DEBUG_EXIT_PORT, 4 },
		{ PM1A_EVENT_PORT, PM1A_EVENT_LENGTH },
		{ PM1A_CONTROL_PORT, PM1A_CONTROL_LENGTH },
		{ PM_TIMER_PORT, PM_TIMER_LENGTH },
		{ PM_GPE0_PORT, PM_GPE0_LENGTH } }, -1 },
};

static void declare_isa_device(struct aml *aml, const struct isa_device *device)
{
	size_t block = aml_open_device(aml, device->name), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, device->id);
	aml_name(aml, "_UID");
	aml_integer(aml, 1u + device->before);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	for (unsigned i = 0; i < ARRAY_SIZE(device->ports) && device->ports[i].length; i++)
		aml_io(aml, device->ports[i].base, device->ports[i].length);
	if (device->irq >= 0)
		aml_irq(aml, (u8)device->irq);
	aml_close_resources(aml, resources);
	aml_close(aml, block);
}

static void declare_isa_devices(struct aml *aml)
{
	for (unsigned i = 0; i < ARRAY_SIZE(isa_devices); i++)
		declare_isa_device(aml, &isa_devices[i]);
}

/* What MCFG announces counts only if it is declared here, too: PCI Firmware Specification, "MCFG Table Description". */
static void declare_ecam(struct aml *aml)
{
	size_t block = aml_open_device(aml, "ECAM"), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, MACHINE_ID);
	aml_name(aml, "_UID");
	aml_integer(aml, 2);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_memory(aml, PCI_ECAM_BASE, PCI_ECAM_SIZE);
	aml_close_resources(aml, resources);
	aml_close(aml, block);
}

/* "_PIC": the operating system says that it uses the 8259s, 0, or the IOAPIC, 1. */
static void declare_interrupt_model(struct aml *aml)
{
	size_t method;

	aml_name(aml, "PICM");
	aml_integer(aml, 0);
	method = aml_open_method(aml, "_PIC", 1);
	aml_store_argument(aml, "PICM");
	aml_close(aml, method);
}

static void declare_routes(struct aml *aml, const char *name, bool ioapic)
{
	size_t table, entry;

	aml_name(aml, name);
	table = aml_open_package(aml, (PCI_SLOTS - 1) * 4);
	for (u32 slot = 1; slot < PCI_SLOTS; slot++) {
		for (u32 pin = 0; pin < 4; pin++) {
			entry = aml_open_package(aml, 4);
			aml_integer(aml, slot << 16 | 0xffff);	/* all functions of the slot */
			aml_integer(aml, pin);
			aml_integer(aml, 0);			/* no link device: a global interrupt follows */
			aml_integer(aml, ioapic ? vpci_gsi(slot, pin) : vpci_irq(vpci_gsi(slot, pin)));
			aml_close(aml, entry);
		}
	}
	aml_close(aml, table);
}

/* "_PRT (PCI Routing Table)" of the interrupt model. */
static void declare_pci_routing(struct aml *aml)
{
	size_t method, block;

	declare_routes(aml, "PRTP", false);
	declare_routes(aml, "PRTA", true);
	method = aml_open_method(aml, "_PRT", 0);
	block = aml_open_if(aml, "PICM");
	aml_return(aml, "PRTA");
	aml_close(aml, block);
	aml_return(aml, "PRTP");
	aml_close(aml, method);
}

static void declare_pci_bus(struct aml *aml)
{
	size_t bus = aml_open_device(aml, "PCI0"), resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_open_resources(aml);
	aml_bus_window(aml, 0, 0);
	aml_io(aml, PCI_CONFIG_PORT, PCI_CONFIG_PORTS);
	aml_io_window(aml, 0, PCI_CONFIG_PORT - 1);
	aml_io_window(aml, PCI_CONFIG_PORT + PCI_CONFIG_PORTS, 0xffff);
	aml_memory_window(aml, PCI_MEMORY_FIRST, PCI_MEMORY_LAST);
	aml_close_resources(aml, resources);
	declare_pci_routing(aml);
	declare_isa_devices(aml);
	aml_close(aml, bus);
}

static void declare_processor(struct aml *aml, u32 uid)
{
	static const char digits[] = "0123456789ABCDEF";
	/* CP00 to CPFF, C100 and so on. */
	const char name[] = { 'C', uid < 0x100 ? 'P' : digits[uid >> 8 & 15], digits[uid >> 4 & 15], digits[uid & 15], 0 };
	size_t block = aml_open_device(aml, name);

	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0007");
	aml_name(aml, "_UID");
	aml_integer(aml, uid);
	aml_close(aml, block);
}

static void declare_power_off(struct aml *aml)
{
	size_t package;

	aml_name(aml, "_S5_");
	package = aml_open_package(aml, 4);
	aml_integer(aml, PM_SLEEP_TYPE_S5);	/* PM1a */
	aml_integer(aml, PM_SLEEP_TYPE_S5);	/* PM1b */
	aml_integer(aml, 0);
	aml_integer(aml, 0);
	aml_close(aml, package);
}

void acpi_declare_machine(struct aml *aml, u32 processors, bool pci)
{
	size_t scope;

	declare_power_off(aml);
	if (pci)
		declare_interrupt_model(aml);
	scope = aml_open_scope(aml, "\\_SB_");
	for (u32 uid = 0; uid < processors; uid++)
		declare_processor(aml, uid);
	if (pci) {
		declare_ecam(aml);
		declare_pci_bus(aml);
	} else {
		declare_isa_devices(aml);
	}
	aml_close(aml, scope);
}
