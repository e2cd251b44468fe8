/* SPDX-License-Identifier: MIT */
/* Microsoft's "Serial Port Console Redirection Table", revisions 1 to 4. */
#include "arch/console/choice.h"

#include "lib/errno.h"

enum { FULL_16550 = 0, SUBSET_16550 = 1, GENERIC_16550 = 0x12 };
enum { NO_PCI = 0xffff };

struct spcr {
	struct acpi_header header;
	u8 interface;
	u8 reserved1[3];
	struct acpi_address base;
	u8 interrupt_type;
	u8 irq;
	u32 gsi;
	u8 baud_rate;		/* a code */
	u8 parity, stop_bits, flow_control, terminal, language;
	u16 pci_device, pci_vendor;
	u8 pci_bus, pci_slot, pci_function;
	u32 pci_flags;
	u8 pci_segment;
	u32 clock;		/* Hz, or 0; from revision 3 on, reserved before that */
	u32 precise_baud;	/* or 0; from revision 4 on */
} __packed;
_Static_assert(offsetof(struct spcr, pci_device) == 64, "SPCR layout");
_Static_assert(offsetof(struct spcr, precise_baud) == 80, "SPCR layout");

/* "Interrupt Type" */
#define BY_8259	  BIT(0)	/* `irq` is valid */
#define BY_IOAPIC BIT(1)	/* `gsi` is valid */
#define LAST_ISA  15

#define LEAST_SIZE offsetof(struct spcr, precise_baud)

/* 0, also for an unknown code: keep the speed that the firmware has set. */
static u32 baud_of(const struct spcr *spcr)
{
	static const u32 codes[] = { [3] = 9600, [4] = 19200, [6] = 57600, [7] = 115200 };

	if (spcr->header.revision >= 4 && spcr->header.length >= sizeof(*spcr) &&
	    spcr->precise_baud)
		return spcr->precise_baud;
	return spcr->baud_rate < ARRAY_SIZE(codes) ? codes[spcr->baud_rate] : 0;
}

static void set_speed(const struct spcr *spcr, struct uart_config *uart)
{
	if (spcr->header.revision >= 3 && spcr->clock >= 16)
		uart->clock = spcr->clock;
	uart->baud = baud_of(spcr);
	if (!uart_divisor(uart))
		uart->baud = 0;
}

static bool set_place(const struct acpi_address *base, struct uart_config *uart)
{
	u8 width = base->access_size >= 1 && base->access_size <= 3 ? 1u << (base->access_size - 1) : 1;

	uart->address = base->address;
	uart->stride = uart->width = width;
	if (base->space == ACPI_SPACE_IO) {
		uart->space = UART_PORTS;
		uart->stride = 1;
		return base->address <= 0x10000 - 8;
	}
	uart->space = UART_MEMORY;
	return base->address >= PAGE_SIZE && base->address < BIT_ULL(52) &&
	       IS_ALIGNED(base->address, width);
}

/* Only a line of the ISA bus is certain to be the port's alone. */
static void set_irq(const struct spcr *spcr, struct uart_config *uart)
{
	if (spcr->interrupt_type & BY_8259 && spcr->irq <= LAST_ISA)
		uart->irq = spcr->irq;
	else if (spcr->interrupt_type & BY_IOAPIC && spcr->gsi <= LAST_ISA)
		uart->irq = (u8)spcr->gsi;
}

static void set_pci(const struct spcr *spcr, struct console_choice *choice)
{
	choice->kind = CONSOLE_UART;
	if (spcr->pci_device == NO_PCI || spcr->pci_vendor == NO_PCI || !spcr->pci_vendor ||
	    spcr->pci_segment || spcr->pci_slot > 31 || spcr->pci_function > 7)
		return;
	choice->kind = CONSOLE_PCI;
	choice->located = true;
	choice->pci = (struct pci_address) { spcr->pci_bus, spcr->pci_slot, spcr->pci_function };
}

int console_choice_spcr(const struct acpi_header *table, struct console_choice *choice,
			const char **why)
{
	const struct spcr *spcr = (const struct spcr *)table;

	*choice = (struct console_choice) { .uart.clock = UART_PC_CLOCK };
	*why = "is too short";
	if (table->length < LEAST_SIZE)
		return -EINVAL;
	*why = "says that there is no console";
	if (!spcr->base.address)
		return -ENOENT;
	*why = "names another kind of port than a 16550";
	if (spcr->interface != FULL_16550 && spcr->interface != SUBSET_16550 &&
	    spcr->interface != GENERIC_16550)
		return -EINVAL;
	*why = "has its port neither in memory nor in I/O space";
	if (spcr->base.space != ACPI_SPACE_MEMORY && spcr->base.space != ACPI_SPACE_IO)
		return -EINVAL;
	*why = "has an impossible address";
	if (!set_place(&spcr->base, &choice->uart))
		return -EINVAL;
	set_speed(spcr, &choice->uart);
	set_irq(spcr, &choice->uart);
	set_pci(spcr, choice);
	return 0;
}
