/* SPDX-License-Identifier: MIT */
/*
 * Serial ports on PCI: class 07h, subclass 00h, with a 16550's registers in I/O space (8 ports for each
 * UART, one after the other) or, if there is no such range, at the start of a memory range.
 */
#pragma once

#include "arch/console/uart.h"
#include "arch/pci/pci.h"

/*
 * Fill in the address of the n-th UART, from 0, in the order of buses, or of a function's first UART; speed
 * and clock stay. Switches the function's decoding on. -ENODEV with the reason as text in *why.
 */
int uart_pci_find(unsigned n, struct uart_config *uart, const char **why);
int uart_pci_at(struct pci_address at, struct uart_config *uart, const char **why);
