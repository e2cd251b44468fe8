/* SPDX-License-Identifier: MIT */
/*
 * Serial ports of PCI: class 07h, subclass 00h, with a 16550's registers in I/O space (8 ports for each
 * UART, side by side) or, where there is no such range, at the start of one in memory.
 */
#pragma once

#include "arch/console/uart.h"
#include "arch/pci/pci.h"

/*
 * Fill in the place of the n-th from 0, in the order of buses, or of the first of a function; speed and
 * clock stay. Lets the function decode its ranges. -ENODEV with the reason in words.
 */
int uart_pci_find(unsigned n, struct uart_config *uart, const char **why);
int uart_pci_at(struct pci_address at, struct uart_config *uart, const char **why);
