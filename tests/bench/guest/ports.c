/* SPDX-License-Identifier: MIT */
/* Ports of devices that every PC has, of one that ACPI names, and of one where no device is. */
#include "bench.h"

OPERATION(in_pic_mask, "", "", "in $0x21, %%al", "")
OPERATION(out_pic_mask, "in $0x21, %%al\n\tmov %%al, %%bl", "mov %%bl, %%al", "out %%al, $0x21", "")
OPERATION(in_pit, "", "", "in $0x40, %%al", "")
OPERATION(in_uart_lsr, "", "mov $0x3fd, %%edx", "in %%dx, %%al", "")
OPERATION(in_pm_timer, "", "mov %%esi, %%edx", "in %%dx, %%eax", "")
OPERATION(in_unclaimed, "", "mov %%esi, %%edx", "in %%dx, %%al", "")
OPERATION(out_unclaimed, "", "mov %%esi, %%edx", "out %%al, %%dx", "")

static bool has_pm_timer(void) { return acpi_pm_timer(); }
static ulong pm_timer(u32 i) { return acpi_pm_timer(); }
static ulong unclaimed(u32 i) { return 0x1e0; }

void bench_ports(void)
{
	static const struct bench list[] = {
		{ OP(in_pic_mask) },
		{ OP(out_pic_mask) },
		{ OP(in_pit) },
		{ OP(in_uart_lsr) },
		{ OP(in_pm_timer), .present = has_pm_timer, .arg = pm_timer },
		{ OP(in_unclaimed), .arg = unclaimed },
		{ OP(out_unclaimed), .arg = unclaimed },
	};

	RUN(list);
}
