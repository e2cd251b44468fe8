/* SPDX-License-Identifier: MIT */
/* Which serial port to use, as the command line or the firmware says it. Pure. */
#pragma once

#include "arch/acpi/acpi.h"
#include "arch/console/uart.h"
#include "arch/pci/pci.h"
#include "lib/string.h"

enum console_kind { CONSOLE_AUTO, CONSOLE_NONE, CONSOLE_UART, CONSOLE_PCI };

struct console_choice {
	enum console_kind kind;
	struct uart_config uart;	/* its speed, and with CONSOLE_UART its place */
	bool speed_given;		/* by the user */
	bool located;			/* CONSOLE_PCI: by its place, else by its number */
	struct pci_address pci;
	unsigned number;		/* from 0, of the serial ports that PCI has */
};

#define CONSOLE_VALUES "auto|com1|com2|com3|com4|0xPORT|pci[,N|,BB:DD.F]|mmio,0xADDRESS|none"	\
		       "[,BAUD[/CLOCK]|,keep][,STRIDE]"

/* The value of console=. -EINVAL. */
int console_choice_parse(struct str_view value, struct console_choice *choice);

/*
 * ACPI's Serial Port Console Redirection table: fills `choice` with a UART or, where the table names
 * its device, CONSOLE_PCI together with the UART. -ENOENT where it says that no console is
 * redirected, -EINVAL for a table that cannot be used; both with the reason in words.
 */
int console_choice_spcr(const struct acpi_header *table, struct console_choice *choice,
			const char **why);
