/* SPDX-License-Identifier: MIT */
/* The control register settings of every CPU. */
#pragma once

/*
 * Write protection, SMEP, SMAP, UMIP, machine checks, XSAVE and the page-attribute table, each
 * where the processor has it. Intel SDM, "Control Registers", "Page Attribute Table (PAT)".
 * On each CPU, after cpu_features_init() and before paging_init().
 */
void control_init(void);

/*
 * Let an INIT reset this CPU again: it is blocked in VMX root operation, and SVM may redirect it. For a CPU that
 * runs no guest any more. SDM, "INIT"; APM vol. 2, "INIT Support".
 */
void control_leave_virtualization(void);
