/* SPDX-License-Identifier: MIT */
/* The way to the FADT: ACPI specification, "Root System Description Pointer (RSDP)". */
#include "bench.h"

#define HVM_START_MAGIC	0x336ec578u	/* struct hvm_start_info of the PVH boot ABI */
#define PM_TMR_BLK	76

static const u32 *start_info(void)
{
	const u32 *info = (const u32 *)(ulong)boot_info;

	return boot_magic != BOOT_MB1 && boot_magic != BOOT_MB2 && info && info[0] == HVM_START_MAGIC ?
	       info : NULL;
}

static bool is(const void *at, const char *signature)
{
	return !__builtin_memcmp(at, signature, 4);
}

static const u8 *find_rsdp(void)
{
	const u32 *info = start_info();

	if (info && info[8])		/* rsdp_paddr */
		return (const u8 *)(ulong)info[8];
	for (ulong at = 0xe0000; at < 0x100000; at += 16) {
		if (is((void *)at, "RSD ") && is((void *)(at + 4), "PTR "))
			return (const u8 *)at;
	}
	return NULL;
}

/* The tables lie below 4 GiB: the low half of an address is all of it. */
u16 acpi_pm_timer(void)
{
	const u8 *rsdp = find_rsdp(), *root;
	u32 xsdt, step, length;

	if (!rsdp)
		return 0;
	xsdt = rsdp[15] >= 2 ? *(const u32 *)(rsdp + 24) : 0;
	root = (const u8 *)(ulong)(xsdt ? xsdt : *(const u32 *)(rsdp + 16));
	step = xsdt ? 8 : 4;
	length = *(const u32 *)(root + 4);
	for (u32 at = 36; at + step <= length; at += step) {
		const u8 *table = (const u8 *)(ulong)*(const u32 *)(root + at);

		if (is(table, "FACP"))
			return *(const u16 *)(table + PM_TMR_BLK);
	}
	return 0;
}
