/* SPDX-License-Identifier: MIT */
/* Ports of devices that every PC has, of one that ACPI tells, and one that nobody answers. */
#include "bench.h"

OPERATION(in_pic, "", "", "in $0x21, %%al", "")
OPERATION(out_pic, "in $0x21, %%al\n\tmov %%al, %%bl", "mov %%bl, %%al", "out %%al, $0x21", "")
OPERATION(in_pit, "", "", "in $0x40, %%al", "")
OPERATION(in_uart, "", "mov $0x3fd, %%edx", "in %%dx, %%al", "")
OPERATION(in_dx32, "", "mov %%esi, %%edx", "in %%dx, %%eax", "")
OPERATION(in_dx8, "", "mov %%esi, %%edx", "in %%dx, %%al", "")
OPERATION(out_dx8, "", "mov %%esi, %%edx", "out %%al, %%dx", "")

static bool has_pm_timer(void) { return acpi_pm_timer(); }
static ulong pm_timer(u32 i) { return acpi_pm_timer(); }
static ulong unclaimed(u32 i) { return 0x1e0; }

#define OP(f)	.op = f, .empty = f##_empty

void bench_ports(void)
{
	static const struct bench list[] = {
		{ "in-pic-mask", OP(in_pic) },
		{ "out-pic-mask", OP(out_pic) },
		{ "in-pit", OP(in_pit) },
		{ "in-uart-lsr", OP(in_uart) },
		{ "in-pm-timer", .present = has_pm_timer, .arg = pm_timer, OP(in_dx32) },
		{ "in-unclaimed", .arg = unclaimed, OP(in_dx8) },
		{ "out-unclaimed", .arg = unclaimed, OP(out_dx8) },
	};

	RUN(list);
}
