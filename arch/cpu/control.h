/* SPDX-License-Identifier: MIT */
/* The control register settings of every CPU. */
#pragma once

/*
 * Write protection, SMEP, SMAP, UMIP, machine checks, XSAVE and the page-attribute table, each
 * where the processor has it. Intel SDM, "Control Registers", "Page Attribute Table (PAT)".
 * On each CPU, after cpu_features_init() and before paging_init().
 */
void control_init(void);
