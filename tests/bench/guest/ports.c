/* SPDX-License-Identifier: MIT */
/* Ports of devices that every PC has, of one that ACPI names, and of one where no device is. */
#include "bench.h"

OPERATION(in_pic_mask, "", "", "in $0x21, %%al", "")
OPERATION(out_pic_mask, "in $0x21, %%al\n\tmov %%al, %%bl", "mov %%bl, %%al", "out %%al, $0x21", "")
OPERATION(in_pit, "", "", "in $0x40, %%al", "")
OPERATION(in_uart_lsr, "", "mov $0x3fd, %%edx", "in %%dx, %%al", "")
/* Carriage returns, which the tools leave out of the log. */
OPERATION(out_uart_thr, "", "mov $0x3f8, %%edx\n\tmov $13, %%al", "out %%al, %%dx", "")
/* As a kernel's console driver prints 16 characters: it looks before each whether there is room. */
OPERATION(uart_print_16, "", "mov $16, %%ebx",
	  "1: mov $0x3fd, %%edx\n\tin %%dx, %%al\n\ttest $0x20, %%al\n\tjz 1b\n\t"
	  "mov $0x3f8, %%edx\n\tmov $13, %%al\n\tout %%al, %%dx\n\tdec %%ebx\n\tjnz 1b", "")
OPERATION(rep_outsb_16, "", "mov $0x3f8, %%edx\n\tmov $16, %%ecx", "rep outsb", "")
/* EDI, which holds the first time stamp, is put aside for it. */
OPERATION(rep_insb_16, "", "mov $0x3fd, %%edx\n\tmov $16, %%ecx",
	  "mov %%edi, %%ebx\n\tmov %%esi, %%edi\n\trep insb\n\tmov %%ebx, %%edi", "")
OPERATION(in_pm_timer, "", "mov %%esi, %%edx", "in %%dx, %%eax", "")
OPERATION(in_unclaimed, "", "mov %%esi, %%edx", "in %%dx, %%al", "")
OPERATION(out_unclaimed, "", "mov %%esi, %%edx", "out %%al, %%dx", "")

static bool has_pm_timer(void) { return acpi_pm_timer(); }
static ulong pm_timer(u32 i) { return acpi_pm_timer(); }
static ulong unclaimed(u32 i) { return 0x1e0; }

static ulong returns(u32 i)
{
	static u8 bytes[16] __attribute__((aligned(16)));

	for (u32 n = 0; n < sizeof(bytes); n++)
		bytes[n] = 13;
	return (ulong)bytes;
}

void bench_ports(void)
{
	static const struct bench list[] = {
		{ OP(in_pic_mask) },
		{ OP(out_pic_mask) },
		{ OP(in_pit) },
		{ OP(in_uart_lsr) },
		{ OP(out_uart_thr) },
		{ OP(uart_print_16), .count = 32 },
		{ OP(rep_outsb_16), .count = 32, .arg = returns },
		{ OP(rep_insb_16), .count = 32, .arg = returns },
		{ OP(in_pm_timer), .present = has_pm_timer, .arg = pm_timer },
		{ OP(in_unclaimed), .arg = unclaimed },
		{ OP(out_unclaimed), .arg = unclaimed },
	};

	RUN(list);
}
