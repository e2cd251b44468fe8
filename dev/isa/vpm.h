/* SPDX-License-Identifier: MIT */
/*
 * ACPI fixed hardware and the reset ports of the VM: the register addresses that the FADT announces,
 * and the model behind them.
 */
#pragma once

#include "lib/types.h"

struct vm;
struct vpm;

/* ACPI, "Fixed Hardware Registers". No SMI_CMD: the machine is in ACPI mode from the start. */
#define PM_SCI_IRQ		9	/* level, active high, as the MADT's override says */

#define PM1A_EVENT_PORT		0x600
#define PM1A_EVENT_LENGTH	4	/* status, enable */
#define PM1A_CONTROL_PORT	0x604
#define PM1A_CONTROL_LENGTH	2
#define PM_TIMER_PORT		0x608
#define PM_TIMER_LENGTH		4	/* 32 bits wide: FADT flag TMR_VAL_EXT */
#define PM_TIMER_HZ		3579545
#define PM_GPE0_PORT		0x620
#define PM_GPE0_LENGTH		4	/* status, enable; no event is wired to any of them */

#define PM_SLEEP_TYPE_S5	5	/* SLP_TYPa of \_S5 */

#define PM_RESET_PORT		0xcf9	/* FADT RESET_REG */
#define PM_RESET_VALUE		0x06	/* FADT RESET_VALUE */

#define DEBUG_EXIT_PORT		0xf4	/* customary among test kernels: a write ends the VM */

/* Claims all its ports, but PM_RESET_PORT only where there is no PCI bus. NULL: no memory, or a port is taken; logged. */
struct vpm *vpm_create(struct vm *vm);

/* The user presses the power button: sets PWRBTN_STS and raises the SCI if the guest enabled it. */
void vpm_power_button(struct vpm *vpm);

/*
 * The reset control register at PM_RESET_PORT. It overlaps the PCI address register, so where there is one,
 * dev/pci/vpci.c claims ports 0xcf8-0xcff and passes byte accesses of 0xcf9 to these functions.
 */
u8 vpm_reset_read(struct vpm *vpm);
void vpm_reset_write(struct vpm *vpm, u8 value);
