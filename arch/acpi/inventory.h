/* SPDX-License-Identifier: MIT */
/* For the log: which tables there are, and what they say about IOMMUs and NUMA, which Lamina does not use. */
#pragma once

/*
 * Log the tables' names, the IOMMU that one of them announces, and the number of nodes in the SRAT.
 * ACPI Specification, "DESCRIPTION_HEADER Signatures", "System Resource Affinity Table (SRAT)". From acpi_init().
 */
void acpi_print_inventory(void);
