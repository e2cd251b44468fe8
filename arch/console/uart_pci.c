/* SPDX-License-Identifier: MIT */
/* Serial ports on PCI. */
#include "arch/console/uart_pci.h"

#include "lib/errno.h"

#define CLASS_SERIAL  0x0700
#define LAST_16550    6		/* programming interfaces 0 to 6 are compatible with the 8250 */
#define UART_PORTS_OF 8u	/* bytes of I/O space a UART takes */
#define MAX_UARTS     8u	/* of one range */

struct search {
	unsigned skip;		/* UARTs to pass over */
	struct uart_config *uart;
};

static bool is_serial(struct pci_address at)
{
	u32 class = pci_read32(at, PCI_CLASS);

	return class >> 16 == CLASS_SERIAL && (class >> 8 & 0xff) <= LAST_16550;
}

/* Look in the I/O ranges, or in those in memory. Subtracts the UARTs passed over from *skip. */
static bool find_in(struct pci_address at, bool io, unsigned *skip, struct uart_config *uart)
{
	for (unsigned i = 0; i < PCI_BARS; i++) {
		struct pci_bar bar = pci_read_bar(at, i);
		unsigned uarts = io ? MIN(bar.size / UART_PORTS_OF, MAX_UARTS) : 1;

		i += bar.wide;
		if (bar.io != io || !bar.address || bar.size < UART_PORTS_OF ||
		    (io && bar.address > 0x10000 - UART_PORTS_OF * uarts))
			continue;
		if (*skip >= uarts) {
			*skip -= uarts;
			continue;
		}
		uart->space = io ? UART_PORTS : UART_MEMORY;
		uart->address = bar.address + (io ? *skip * UART_PORTS_OF : 0);
		uart->stride = uart->width = 1;
		pci_write32(at, PCI_COMMAND, (pci_read32(at, PCI_COMMAND) & 0xffff) |
			    (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY));
		return true;
	}
	return false;
}

static bool visit(struct pci_address at, void *argument)
{
	struct search *search = argument;
	unsigned before = search->skip;

	if (!is_serial(at))
		return false;
	if (find_in(at, true, &search->skip, search->uart))
		return true;
	/* The same registers may be in memory, too: count them once. */
	return search->skip == before && find_in(at, false, &search->skip, search->uart);
}

int uart_pci_find(unsigned n, struct uart_config *uart, const char **why)
{
	struct search search = { n, uart };

	*why = "PCI has no serial port of that number";
	return pci_for_each(visit, &search) ? 0 : -ENODEV;
}

int uart_pci_at(struct pci_address at, struct uart_config *uart, const char **why)
{
	struct search search = { 0, uart };

	*why = "names a PCI function that is no serial port";
	if (!is_serial(at))
		return -ENODEV;
	*why = "names a PCI function that has no address";
	return visit(at, &search) ? 0 : -ENODEV;
}
