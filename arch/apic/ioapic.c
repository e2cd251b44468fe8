/* SPDX-License-Identifier: MIT */
/* The interrupt controllers outside the processor: every line masked except those that are routed, or the firmware's. */
#include "arch/apic/ioapic.h"

#include "arch/acpi/acpi.h"
#include "arch/apic/irq.h"
#include "arch/apic/lapic.h"
#include "arch/cpu/cpu.h"
#include "arch/mem/mapping.h"
#include "arch/mem/paging.h"
#include "lib/errno.h"
#include "lib/ioapic.h"
#include "lib/log.h"

#define REG_ENTRY(n)	 (IOAPIC_REG_ENTRIES + 2 * (n))

static struct ioapic {
	volatile u32 *select, *window;
	u32 gsi_base, lines;
} ioapics[ACPI_MAX_IOAPICS];
static unsigned count;

#ifdef LAMINA_HOST_TEST
/* The unit test, which includes this file, has registers of its own. */
static u32 read(const struct ioapic *ioapic, u32 reg);
static void write(const struct ioapic *ioapic, u32 reg, u32 value);
#else
static u32 read(const struct ioapic *ioapic, u32 reg)
{
	*ioapic->select = reg;
	return *ioapic->window;
}

static void write(const struct ioapic *ioapic, u32 reg, u32 value)
{
	*ioapic->select = reg;
	*ioapic->window = value;
}
#endif

static bool raises(const struct ioapic *ioapic, u32 line, u32 delivery)
{
	return IOAPIC_ENTRY_DELIVERY(read(ioapic, REG_ENTRY(line))) == delivery;
}

/* The firmware has this line raise an SMI: that is not for Lamina to end. */
static bool is_firmwares(const struct ioapic *ioapic, u32 line)
{
	return raises(ioapic, line, IOAPIC_DELIVERY_SMI);
}

/*
 * Intel 8259A data sheet, "Initialization Command Words". Even a masked 8259 raises spurious
 * interrupts, so its vectors must not be those of exceptions.
 */
static void mask_8259s(void)
{
	static const struct {
		u16 port;
		u8 value;
	} sequence[] = {
		{ 0x20, 0x11 }, { 0x21, IRQ_VECTOR_FIRST },	 { 0x21, 4 }, { 0x21, 1 },
		{ 0xa0, 0x11 }, { 0xa1, IRQ_VECTOR_FIRST + 8 }, { 0xa1, 2 }, { 0xa1, 1 },
		{ 0x21, 0xff }, { 0xa1, 0xff },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(sequence); i++)
		outb(sequence[i].port, sequence[i].value);
}

static void add(const struct acpi_ioapic *description)
{
	struct ioapic *ioapic = &ioapics[count];
	volatile u32 *registers = mmio_map(description->address, 0x20);
	u32 version;

	if (!registers)
		return;
	ioapic->select = registers;
	ioapic->window = registers + 0x10 / 4;
	ioapic->gsi_base = description->gsi_base;
	version = read(ioapic, IOAPIC_REG_VERSION);
	if (version == 0 || version == ~0u) {
		log_warn("I/O APIC at 0x%llx does not answer",
			 (unsigned long long)description->address);
		return;
	}
	ioapic->lines = (version >> 16 & 0xff) + 1;
	for (u32 line = 0; line < ioapic->lines; line++)
		if (!is_firmwares(ioapic, line))
			write(ioapic, REG_ENTRY(line), IOAPIC_ENTRY_MASKED);
	count++;
}

void ioapic_init(void)
{
	mask_8259s();
	for (u32 i = 0; i < acpi_madt.ioapics; i++)
		add(&acpi_madt.ioapic[i]);
}

static struct acpi_override isa_line(u8 irq)
{
	for (u32 i = 0; i < acpi_madt.overrides; i++)
		if (acpi_madt.override[i].irq == irq)
			return acpi_madt.override[i];
	return (struct acpi_override) { .irq = irq, .gsi = irq };
}

bool ioapic_isa_is_level(u8 irq)
{
	return (isa_line(irq).flags & MPS_TRIGGER) == MPS_LEVEL;
}

/* `flags`: for the polarity. */
static int route(u32 gsi, u16 flags, u32 entry)
{
	if (lapic_id() > 0xff)
		return -ENODEV;	/* the destination field has eight bits */
	if ((flags & MPS_POLARITY) == MPS_ACTIVE_LOW)
		entry |= IOAPIC_ENTRY_ACTIVE_LOW;
	for (unsigned i = 0; i < count; i++) {
		const struct ioapic *ioapic = &ioapics[i];
		u32 n = gsi - ioapic->gsi_base;

		if (n >= ioapic->lines)
			continue;
		if (is_firmwares(ioapic, n) || raises(ioapic, n, IOAPIC_DELIVERY_NMI))
			return -EBUSY;
		write(ioapic, REG_ENTRY(n), IOAPIC_ENTRY_MASKED);
		write(ioapic, REG_ENTRY(n) + 1, lapic_id() << 24);
		write(ioapic, REG_ENTRY(n), entry);
		return 0;
	}
	return -ENODEV;
}

int ioapic_route_isa(u8 irq, u8 vector)
{
	struct acpi_override line = isa_line(irq);

	return route(line.gsi, line.flags, vector | (ioapic_isa_is_level(irq) ? (u32)IOAPIC_ENTRY_LEVEL : 0));
}

/* "NMI": the entry has to be edge-triggered, whatever the line is. */
void ioapic_route_nmis(void)
{
	for (u32 i = 0; i < acpi_madt.nmi_sources; i++) {
		const struct acpi_nmi_source *source = &acpi_madt.nmi_source[i];
		int error = route(source->gsi, source->flags, IOAPIC_ENTRY_NMI);

		if (error)
			log_warn("ACPI: the NMI source at GSI %u cannot be used: %s", source->gsi, error == -EBUSY ?
				 "the line raises SMIs, or has been named before" : "no I/O APIC has that line, or this CPU's APIC id is too large");
		else
			log_info("NMI: I/O APIC line %u raises one, as ACPI says", source->gsi);
	}
}
