/* SPDX-License-Identifier: MIT */
/* Which serial port to use, by the command line or by the firmware. Pure. */
#pragma once

#include "arch/acpi/acpi.h"
#include "arch/console/uart.h"
#include "arch/pci/pci.h"
#include "lib/string.h"

enum console_kind { CONSOLE_AUTO, CONSOLE_NONE, CONSOLE_UART, CONSOLE_PCI };

struct console_choice {
	enum console_kind kind;
	struct uart_config uart;	/* the speed; with CONSOLE_UART also the address */
	bool speed_given;		/* console= has a speed */
	bool located;			/* CONSOLE_PCI: named by `pci`, else by `number` */
	struct pci_address pci;
	unsigned number;		/* from 0, among PCI's serial ports */
};

#define CONSOLE_VALUES "auto|com1|com2|com3|com4|0xPORT|pci[,N|,BB:DD.F]|mmio,0xADDRESS|none"	\
		       "[,BAUD[/CLOCK]|,keep][,STRIDE]"

/* Parse the value of console=. -EINVAL if it is malformed. */
int console_choice_parse(struct str_view value, struct console_choice *choice);

/*
 * ACPI's Serial Port Console Redirection table: fills `choice` with a UART or, where the table names
 * its device, CONSOLE_PCI together with the UART. -ENOENT if it says that no console is redirected,
 * -EINVAL if it cannot be used; both with the reason as text in *why.
 */
int console_choice_spcr(const struct acpi_header *table, struct console_choice *choice,
			const char **why);
