/* SPDX-License-Identifier: MIT */
/*
 * A UEFI program that makes a piece of memory the firmware's for good, as runtime services data, and
 * returns to the boot loader that started it. UEFI Specification, "EFI_BOOT_SERVICES.AllocatePages()".
 */
typedef unsigned long long u64;

enum { ALLOCATE_ADDRESS = 2, RUNTIME_SERVICES_DATA = 6 };

/* Where it lies: -DTAKE_START= and -DTAKE_PAGES=, in pages of 4 KiB. */
typedef u64 __attribute__((ms_abi)) allocate_pages(u64 kind, u64 type, u64 pages, u64 *address);

struct boot_services {
	char header[24];
	void *raise_tpl, *restore_tpl;
	allocate_pages *allocate_pages;
};

struct system_table {
	char before[96];
	struct boot_services *boot_services;
};

u64 __attribute__((ms_abi)) efi_main(void *image, struct system_table *table);

u64 __attribute__((ms_abi)) efi_main(void *image, struct system_table *table)
{
	u64 address = TAKE_START;

	(void)image;
	return table->boot_services->allocate_pages(ALLOCATE_ADDRESS, RUNTIME_SERVICES_DATA, TAKE_PAGES,
						    &address);
}
