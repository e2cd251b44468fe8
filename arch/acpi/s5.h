/* SPDX-License-Identifier: MIT */
/* The sleep type of the soft-off state, found without an AML interpreter. */
#pragma once

#include "lib/types.h"

/*
 * Find Name(_S5_, Package(...){a, b, ...}) in `size` bytes of AML and return its first two numbers: the
 * values of SLP_TYP for the PM1a and PM1b control registers. -ENOENT if there is no such name.
 * ACPI Specification, "\_Sx (System States)", "AML Grammar Definition".
 */
int acpi_find_s5(const u8 *aml, size_t size, u8 *type_a, u8 *type_b);
