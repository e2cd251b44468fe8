/* SPDX-License-Identifier: MIT */
/* The ACPI tables of the guest's machine. */
#include "dev/firmware/acpi.h"

#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/firmware/aml.h"
#include "dev/firmware/mp_table.h"
#include "dev/irq/vioapic.h"
#include "dev/irq/vlapic.h"
#include "dev/isa/vpm.h"
#include "dev/isa/vrtc.h"
#include "dev/pci/vpci.h"
#include "lib/acpi_tables.h"
#include "lib/errno.h"
#include "lib/string.h"

/*
 * The tables are built in place in the guest's RAM, one after the other: the guest does not run yet.
 * The area is zeroed first, so fields that are not set here are 0.
 */
struct area {
	u8 *start;
	size_t size, used;
};

static size_t room(const struct area *area)
{
	return area->size - area->used;
}

/* Reserve `size` bytes at the next multiple of `alignment`. NULL: no room. */
static void *take(struct area *area, size_t size, size_t alignment)
{
	void *memory;

	area->used = ALIGN_UP(area->used, alignment);
	if (area->used > area->size || size > room(area))
		return NULL;
	memory = area->start + area->used;
	area->used += size;
	return memory;
}

static u32 address_of(const struct area *area, const void *table)
{
	return (u32)(GUEST_RSDP_ADDRESS + (size_t)((const u8 *)table - area->start));
}

static void *open_table(struct area *area, const char *signature, u8 revision, size_t size)
{
	struct acpi_header *header = take(area, size, 16);

	if (!header)
		return NULL;
	memcpy(header->signature, signature, sizeof(header->signature));
	header->revision = revision;
	memcpy(header->oem_id, ACPI_OEM_ID, sizeof(header->oem_id));
	memcpy(header->oem_table_id, ACPI_OEM_TABLE_ID, sizeof(header->oem_table_id));
	header->oem_revision = 1;
	memcpy(header->creator_id, ACPI_CREATOR_ID, sizeof(header->creator_id));
	header->creator_revision = 1;
	return header;
}

/* Set the length and checksum of a table that ends where the used part of the area ends. */
static void close_table(struct area *area, void *table)
{
	struct acpi_header *header = table;

	header->length = (u32)(area->start + area->used - (u8 *)table);
	header->checksum = (u8)-byte_sum(table, header->length);
}

/* --- FACS, DSDT --- */

static struct acpi_facs *write_facs(struct area *area)
{
	struct acpi_facs *facs = take(area, sizeof(*facs), FACS_ALIGNMENT);

	if (!facs)
		return NULL;
	memcpy(facs->signature, "FACS", sizeof(facs->signature));
	facs->length = sizeof(*facs);
	facs->version = 2;
	return facs;
}

static struct acpi_header *write_dsdt(struct area *area, u32 processors, bool pci)
{
	struct acpi_header *dsdt = open_table(area, "DSDT", 2, sizeof(*dsdt));
	struct aml aml = { .buffer = area->start + area->used, .size = room(area) };

	if (!dsdt)
		return NULL;
	acpi_declare_machine(&aml, processors, pci);
	if (aml_overflowed(&aml))
		return NULL;
	area->used += aml.used;
	close_table(area, dsdt);
	return dsdt;
}

/* --- FADT --- */

static struct acpi_address io_register(u16 port, u8 bytes, u8 access)
{
	return (struct acpi_address){
		.space = ACPI_SPACE_IO,
		.bits = (u8)(bytes * 8),
		.access_size = access,
		.address = port,
	};
}

static struct acpi_fadt *write_fadt(struct area *area, u32 facs, u32 dsdt)
{
	struct acpi_fadt *fadt = open_table(area, "FACP", 6, sizeof(*fadt));

	if (!fadt)
		return NULL;
	fadt->facs = facs;
	fadt->dsdt = dsdt;
	fadt->x_dsdt = dsdt;
	fadt->sci_irq = PM_SCI_IRQ;
	fadt->pm1a_event = PM1A_EVENT_PORT;
	fadt->pm1_event_length = PM1A_EVENT_LENGTH;
	fadt->x_pm1a_event = io_register(PM1A_EVENT_PORT, PM1A_EVENT_LENGTH, ACPI_ACCESS_WORD);
	fadt->pm1a_control = PM1A_CONTROL_PORT;
	fadt->pm1_control_length = PM1A_CONTROL_LENGTH;
	fadt->x_pm1a_control = io_register(PM1A_CONTROL_PORT, PM1A_CONTROL_LENGTH,
					   ACPI_ACCESS_WORD);
	fadt->pm_timer = PM_TIMER_PORT;
	fadt->pm_timer_length = PM_TIMER_LENGTH;
	fadt->x_pm_timer = io_register(PM_TIMER_PORT, PM_TIMER_LENGTH, ACPI_ACCESS_DWORD);
	fadt->gpe0 = PM_GPE0_PORT;
	fadt->gpe0_length = PM_GPE0_LENGTH;
	fadt->x_gpe0 = io_register(PM_GPE0_PORT, PM_GPE0_LENGTH, ACPI_ACCESS_BYTE);
	fadt->c2_latency = 0xfff;	/* C2 above 100 us, C3 above 1000 us: not supported */
	fadt->c3_latency = 0xfff;
	fadt->century = RTC_CENTURY;
	fadt->boot_flags = FADT_LEGACY_DEVICES | FADT_NO_VGA;
	fadt->flags = FADT_WBINVD | FADT_PROC_C1 | FADT_SLEEP_BUTTON | FADT_FIX_RTC |
		      FADT_TMR_VAL_EXT | FADT_RESET_REG_SUP | FADT_HEADLESS;
	fadt->reset = io_register(PM_RESET_PORT, 1, ACPI_ACCESS_BYTE);
	fadt->reset_value = PM_RESET_VALUE;
	memcpy(fadt->hypervisor, "Lamina", 6);
	close_table(area, fadt);
	return fadt;
}

/* --- MADT --- */

static bool add_to_madt(struct area *area, const void *entry, size_t size)
{
	void *place = take(area, size, 1);

	if (place)
		memcpy(place, entry, size);
	return place;
}

static bool add_override(struct area *area, u8 irq, u32 gsi, u16 flags)
{
	const struct madt_override override = {
		.type = MADT_OVERRIDE,
		.length = sizeof(override),
		.source = irq,
		.gsi = gsi,
		.flags = flags,
	};

	return add_to_madt(area, &override, sizeof(override));
}

static bool add_lapic(struct area *area, u32 id)
{
	const struct madt_lapic lapic = {
		.type = MADT_LAPIC,
		.length = sizeof(lapic),
		.processor_uid = (u8)id,
		.apic_id = (u8)id,
		.flags = MADT_LAPIC_ENABLED,
	};

	return add_to_madt(area, &lapic, sizeof(lapic));
}

static bool add_x2apic(struct area *area, u32 id)
{
	const struct madt_x2apic x2apic = {
		.type = MADT_X2APIC,
		.length = sizeof(x2apic),
		.apic_id = id,
		.flags = MADT_LAPIC_ENABLED,
		.processor_uid = id,
	};

	return add_to_madt(area, &x2apic, sizeof(x2apic));
}

/* The 8 bits of the first kind of entry end at 254: 255 means all processors, or no id. */
static bool add_processors(struct area *area, u32 processors)
{
	bool room_left = true;

	for (u32 id = 0; id < processors; id++)
		room_left &= id < MADT_NO_APIC_ID ? add_lapic(area, id) : add_x2apic(area, id);
	return room_left;
}

/* LINT1 of all processors. */
static bool add_nmis(struct area *area, u32 processors)
{
	const struct madt_lapic_nmi nmi = {
		.type = MADT_LAPIC_NMI,
		.length = sizeof(nmi),
		.processor_uid = MADT_ALL_PROCESSORS,
		.lint = 1,
	};
	const struct madt_x2apic_nmi x2apic_nmi = {
		.type = MADT_X2APIC_NMI,
		.length = sizeof(x2apic_nmi),
		.processor_uid = MADT_ALL_X2APICS,
		.lint = 1,
	};

	if (!add_to_madt(area, &nmi, sizeof(nmi)))
		return false;
	return processors <= MADT_NO_APIC_ID || add_to_madt(area, &x2apic_nmi, sizeof(x2apic_nmi));
}

static struct acpi_madt *write_madt(struct area *area, u32 processors)
{
	struct acpi_madt *madt = open_table(area, "APIC", 4, sizeof(*madt));
	const struct madt_ioapic ioapic = {
		.type = MADT_IOAPIC,
		.length = sizeof(ioapic),
		.id = IOAPIC_APIC_ID,
		.address = IOAPIC_BASE,
	};

	if (!madt)
		return NULL;
	madt->lapic_address = LAPIC_DEFAULT_BASE;
	madt->flags = MADT_PCAT_COMPAT;
	if (!add_processors(area, processors) || !add_to_madt(area, &ioapic, sizeof(ioapic)) ||
	    !add_override(area, 0, IOAPIC_PIN_TIMER, 0) ||
	    !add_override(area, PM_SCI_IRQ, PM_SCI_IRQ, MADT_ACTIVE_HIGH | MADT_LEVEL) ||
	    !add_nmis(area, processors))
		return NULL;
	close_table(area, madt);
	return madt;
}

/* --- MCFG --- */

static struct acpi_mcfg *write_mcfg(struct area *area)
{
	struct acpi_mcfg *mcfg = open_table(area, "MCFG", 1, sizeof(*mcfg));

	if (!mcfg)
		return NULL;
	mcfg->base = PCI_ECAM_BASE;	/* of bus 0, the first and the last one */
	close_table(area, mcfg);
	return mcfg;
}

/* --- RSDT, XSDT, RSDP --- */

#define ROOT_ENTRIES 3

static void *write_root(struct area *area, const char *signature, size_t width, const u32 *entries, unsigned count)
{
	const size_t header = sizeof(struct acpi_header);
	u8 *root = open_table(area, signature, 1, header + count * width);

	if (!root)
		return NULL;
	for (unsigned i = 0; i < count; i++)
		memcpy(root + header + i * width, &entries[i], sizeof(entries[i]));
	close_table(area, root);
	return root;
}

static void write_rsdp(struct acpi_rsdp *rsdp, u32 rsdt, u32 xsdt)
{
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, ACPI_OEM_ID, sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->rsdt = rsdt;
	rsdp->length = sizeof(*rsdp);
	rsdp->xsdt = xsdt;
	rsdp->checksum = (u8)-byte_sum(rsdp, offsetof(struct acpi_rsdp, length));
	rsdp->extended_checksum = (u8)-byte_sum(rsdp, sizeof(*rsdp));
}

static int write_tables(struct area *area, u32 processors, bool pci)
{
	struct acpi_rsdp *rsdp = take(area, sizeof(*rsdp), 16);
	struct acpi_facs *facs = write_facs(area);
	struct acpi_header *dsdt = write_dsdt(area, processors, pci);
	struct acpi_madt *madt = write_madt(area, processors);
	struct acpi_mcfg *mcfg = pci ? write_mcfg(area) : NULL;
	const unsigned count = pci ? ROOT_ENTRIES : ROOT_ENTRIES - 1;
	struct acpi_fadt *fadt;
	void *rsdt, *xsdt;

	if (!rsdp || !facs || !dsdt || !madt || (pci && !mcfg))
		return -ENOSPC;
	fadt = write_fadt(area, address_of(area, facs), address_of(area, dsdt));
	if (!fadt)
		return -ENOSPC;

	const u32 entries[ROOT_ENTRIES] = { address_of(area, fadt), address_of(area, madt), mcfg ? address_of(area, mcfg) : 0 };

	rsdt = write_root(area, "RSDT", 4, entries, count);
	xsdt = write_root(area, "XSDT", 8, entries, count);
	if (!rsdt || !xsdt)
		return -ENOSPC;
	write_rsdp(rsdp, address_of(area, rsdt), address_of(area, xsdt));
	return 0;
}

int acpi_tables_write(struct vm *vm)
{
	const size_t size = MP_TABLE_ADDRESS - GUEST_RSDP_ADDRESS;
	struct area area = { .start = guest_ptr(vm, GUEST_RSDP_ADDRESS, size), .size = size };
	int error = -EFAULT;

	if (area.start) {
		memset(area.start, 0, area.size);
		error = write_tables(&area, vm_vcpu_count(vm), vm_has_pci(vm));
	}
	if (error)
		vm_error(vm, "no room for the ACPI tables below 1 MiB");
	return error;
}
