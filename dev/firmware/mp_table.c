/* SPDX-License-Identifier: MIT */
/* The MP configuration table. */
#include "dev/firmware/mp_table.h"

#include "core/irqchip.h"
#include "core/mem/guest_mem.h"
#include "core/vm_devices.h"
#include "core/vm_log.h"
#include "dev/irq/vioapic.h"
#include "dev/isa/vpm.h"
#include "dev/pci/vpci.h"
#include "lib/errno.h"
#include "lib/lapic.h"
#include "lib/string.h"

#define SPEC_REVISION 4		/* 1.4 */
#define LAPIC_VERSION_BYTE 0x14
#define ALL_LAPICS    0xff
#define MAX_LAPICS    255	/* those whose ids have 8 bits and are no broadcast */

struct mp_pointer {
	char signature[4];	/* "_MP_" */
	u32 table;
	u8 length;		/* in units of 16 bytes */
	u8 spec_revision, checksum;
	u8 features[5];		/* features[1], bit 7: IMCR present; clear: virtual wire mode */
} __packed;
_Static_assert(sizeof(struct mp_pointer) == 16, "MP: floating pointer structure");

struct mp_header {
	char signature[4];	/* "PCMP" */
	u16 length;
	u8 spec_revision, checksum;
	char oem_id[8], product_id[12];
	u32 oem_table;
	u16 oem_table_size, entries;
	u32 lapic_address;
	u16 extended_length;
	u8 extended_checksum, reserved;
} __packed;
_Static_assert(sizeof(struct mp_header) == 44, "MP: configuration table header");

/* Entries, in the order in which the table has them. */
enum { MP_PROCESSOR, MP_BUS, MP_IOAPIC, MP_IO_INTERRUPT, MP_LOCAL_INTERRUPT };

struct mp_processor {
	u8 type, lapic_id, lapic_version;
	u8 flags;		/* bit 0: enabled, bit 1: boot processor */
	u32 signature, features;
	u32 reserved[2];
} __packed;
_Static_assert(sizeof(struct mp_processor) == 20, "MP: processor entry");

struct mp_bus {
	u8 type, id;
	char name[6];
} __packed;
_Static_assert(sizeof(struct mp_bus) == 8, "MP: bus entry");

struct mp_ioapic {
	u8 type, id, version, flags;
	u32 address;
} __packed;
_Static_assert(sizeof(struct mp_ioapic) == 8, "MP: I/O APIC entry");

enum { MP_INT, MP_NMI, MP_SMI, MP_EXTINT };
enum { MP_ACTIVE_HIGH = 1, MP_LEVEL = 3 << 2 };	/* 0: as the bus has it */

struct mp_interrupt {
	u8 type, kind;
	u16 flags;
	u8 source_bus, source_irq;
	u8 apic_id, apic_pin;
} __packed;
_Static_assert(sizeof(struct mp_interrupt) == 8, "MP: interrupt assignment entries");

enum { BUS_PCI, BUS_ISA };	/* a PCI bus has its own number as id */

/* The table is built in place. */
struct mp_area {
	u8 *start;
	size_t size, used;
	u16 entries;
};

/* Beyond the end, `used` still grows: it is compared once, at the end. */
static void add(struct mp_area *area, const void *entry, size_t size)
{
	if (area->used + size <= area->size)
		memcpy(area->start + area->used, entry, size);
	area->used += size;
	area->entries++;
}

static void add_processors(struct mp_area *area, u32 count)
{
	for (u32 id = 0; id < MIN(count, (u32)MAX_LAPICS); id++) {
		const struct mp_processor processor = {
			.type = MP_PROCESSOR,
			.lapic_id = (u8)id,
			.lapic_version = LAPIC_VERSION_BYTE,
			.flags = (u8)(BIT(0) | (id == 0 ? BIT(1) : 0)),
			/* Guests take both from CPUID where it exists. */
			.signature = 0x600,
			.features = BIT(0) /* FPU */ | BIT(9) /* APIC */,
		};

		add(area, &processor, sizeof(processor));
	}
}

static void add_interrupt(struct mp_area *area, u8 type, u8 kind, u16 flags, u8 bus, u8 irq, u8 apic, u8 pin)
{
	const struct mp_interrupt interrupt = { type, kind, flags, bus, irq, apic, pin };

	add(area, &interrupt, sizeof(interrupt));
}

/* As the MADT has them: ISA interrupt 0 is pin 2, that of the 8259s is pin 0, and ACPI's is level-triggered. */
static void add_isa_interrupts(struct mp_area *area)
{
	add_interrupt(area, MP_IO_INTERRUPT, MP_EXTINT, 0, BUS_ISA, 0, IOAPIC_APIC_ID, IOAPIC_PIN_8259);
	for (u8 irq = 0; irq < 16; irq++) {
		u16 flags = irq == PM_SCI_IRQ ? MP_ACTIVE_HIGH | MP_LEVEL : 0;

		if (irq == 2)	/* the 8259s' cascade */
			continue;
		add_interrupt(area, MP_IO_INTERRUPT, MP_INT, flags, BUS_ISA, irq, IOAPIC_APIC_ID,
			      irq == 0 ? IOAPIC_PIN_TIMER : irq);
	}
}

/* As the DSDT routes them. The source is the slot, and in bits 0 and 1 the pin. */
static void add_pci_interrupts(struct mp_area *area)
{
	for (u32 slot = 1; slot < PCI_SLOTS; slot++)
		for (u32 pin = 0; pin < 4; pin++)
			add_interrupt(area, MP_IO_INTERRUPT, MP_INT, 0, BUS_PCI, (u8)(slot << 2 | pin),
				      IOAPIC_APIC_ID, (u8)vpci_gsi(slot, pin));
}

static void add_all(struct mp_area *area, u32 processors, bool pci)
{
	static const struct mp_bus buses[] = {
		{ MP_BUS, BUS_PCI, { 'P', 'C', 'I', ' ', ' ', ' ' } },
		{ MP_BUS, BUS_ISA, { 'I', 'S', 'A', ' ', ' ', ' ' } },
	};
	const struct mp_ioapic ioapic = {
		.type = MP_IOAPIC,
		.id = IOAPIC_APIC_ID,
		.version = 0x20,
		.flags = BIT(0),	/* usable */
		.address = (u32)IOAPIC_BASE,
	};

	add_processors(area, processors);
	if (pci)
		add(area, &buses[0], sizeof(buses[0]));
	add(area, &buses[1], sizeof(buses[1]));
	add(area, &ioapic, sizeof(ioapic));
	add_isa_interrupts(area);
	if (pci)
		add_pci_interrupts(area);
	add_interrupt(area, MP_LOCAL_INTERRUPT, MP_EXTINT, 0, BUS_ISA, 0, 0, 0);
	add_interrupt(area, MP_LOCAL_INTERRUPT, MP_NMI, 0, BUS_ISA, 0, ALL_LAPICS, 1);
}

static int build(u8 *memory, size_t size, u32 processors, bool pci)
{
	struct mp_pointer *pointer = (void *)memory;
	struct mp_header *header = (void *)(pointer + 1);
	struct mp_area area = { .start = memory, .size = size, .used = sizeof(*pointer) + sizeof(*header) };

	if (size < area.used)
		return -ENOSPC;
	add_all(&area, processors, pci);
	if (area.used > size)
		return -ENOSPC;

	memcpy(header->signature, "PCMP", 4);
	header->length = (u16)(area.used - sizeof(*pointer));
	header->spec_revision = SPEC_REVISION;
	memcpy(header->oem_id, "LAMINA  ", 8);
	memcpy(header->product_id, "LAMINA VM   ", 12);
	header->entries = area.entries;
	header->lapic_address = (u32)LAPIC_DEFAULT_BASE;
	header->checksum = (u8)-byte_sum(header, header->length);

	memcpy(pointer->signature, "_MP_", 4);
	pointer->table = (u32)(MP_TABLE_ADDRESS + sizeof(*pointer));
	pointer->length = 1;
	pointer->spec_revision = SPEC_REVISION;
	pointer->checksum = (u8)-byte_sum(pointer, sizeof(*pointer));
	return 0;
}

int mp_table_write(struct vm *vm)
{
	const size_t size = MP_TABLE_END - MP_TABLE_ADDRESS;
	u8 *memory = guest_ptr(vm, MP_TABLE_ADDRESS, size);
	int error = -EFAULT;

	if (memory) {
		memset(memory, 0, size);
		error = build(memory, size, vm_vcpu_count(vm), vm_has_pci(vm));
	}
	if (error)
		vm_error(vm, "no room for the MP table below 1 MiB");
	return error;
}
