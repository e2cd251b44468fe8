/* SPDX-License-Identifier: MIT */
/*
 * The MP configuration table, for guests with several processors that do not use ACPI. Intel, "MultiProcessor
 * Specification", version 1.4. It lies behind the ACPI tables, where guests look for it: 0xf0000-0xfffff.
 */
#pragma once

#include "lib/types.h"

struct vm;

#define MP_TABLE_ADDRESS 0xf8000ull
#define MP_TABLE_END	 0xfc000ull	/* the SMBIOS table follows */

/* Write it into the guest's RAM. 0; -ENOSPC: no room, -EFAULT: no RAM there; both logged. */
int mp_table_write(struct vm *vm);
