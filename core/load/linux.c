/* SPDX-License-Identifier: MIT */
/* Linux kernels: bzImage. Documentation/arch/x86/boot.rst, "64-bit Boot Protocol", "32-bit Boot Protocol". */
#include "core/load/load.h"

#include "arch/cpu/x86.h"
#include "core/service.h"
#include "lib/bzimage.h"
#include "lib/printf.h"
#include "lib/string.h"

/* What the entry needs besides the zero page: a GDT, and in 64-bit mode an identity mapping of 4 GiB. */
struct linux_tables {
	u64 pml4[512], pdpt[512];
	u64 directories[4][512];
	u64 gdt[4];
};

#define TABLE_ENTRY (PTE_PRESENT | PTE_WRITE)

static int parse(const struct load *load, struct bzimage *bzimage)
{
	const struct guest_image *image = load->image;
	const char *why;
	int error;

	if (!bzimage_has_magic(image->kernel, image->kernel_size))
		return -ENOENT;
	error = bzimage_parse(image->kernel, image->kernel_size, bzimage, &why);
	if (error == -EOPNOTSUPP)
		return load_fail(load, "this bzImage is not supported: %s", why);
	if (error)
		return load_fail(load, "damaged bzImage of %llu bytes: %s; copy the file again",
				 (ull)image->kernel_size, why);
	if (strlen(image->cmdline) > bzimage->cmdline_max)
		return load_fail(load,
				 "the command line has %llu characters, expected at most %u for "
				 "this kernel", (ull)strlen(image->cmdline), bzimage->cmdline_max);
	if (!bzimage_checksum_matches(bzimage, service_pause))
		vm_warn(load->vm,
			"the bzImage's checksum does not match: the file is damaged, or the kernel "
			"was built without one; if it does not start, copy the file again");
	return 0;
}

/*
 * A relocatable kernel may be loaded anywhere, but moves itself up to pref_address if it was loaded
 * below. So search upwards from there.
 */
static int place_kernel(struct load *load, const struct bzimage *bzimage, gpa_t *address)
{
	u64 needed = bzimage->load_address + bzimage->memory_size;

	if (needed > GUEST_LOW_RAM_END)
		return load_fail(load,
				 "damaged bzImage: it is to lie at 0x%llx-0x%llx, expected below "
				 "0x%llx; copy the file again", (ull)bzimage->load_address,
				 (ull)needed - 1, (ull)GUEST_LOW_RAM_END);
	*address = load_place_low(load, bzimage->memory_size, bzimage->alignment,
				  MAX(bzimage->load_address, LOAD_HIGH_START),
				  bzimage->relocatable ? GUEST_LOW_RAM_END : needed);
	if (!*address)
		return load_fail(load,
				 "the kernel must have RAM from 0x%llx to 0x%llx, and the VM's "
				 "ends at 0x%llx: expected mem=%lluM or more",
				 (ull)bzimage->load_address, (ull)needed - 1,
				 (ull)guest_low_ram(load->vm) - 1,
				 (ull)ALIGN_UP(needed, MIB(2)) >> 20);
	return load_copy(load, *address, bzimage->data + bzimage->kernel_offset,
			   bzimage->kernel_size);
}

static int place_initrd(struct load *load, const struct bzimage *bzimage)
{
	const struct guest_module *initrd = load_find_initrd(load);
	gpa_t at;

	if (!initrd)
		return 0;
	at = load_place_high(load, initrd->size, PAGE_SIZE, LOAD_HIGH_START, bzimage->initrd_end_max);
	if (!at)
		return load_fail(load,
				 "the initrd of %llu KiB does not fit beside the kernel, which "
				 "needs %llu KiB: expected a larger mem=",
				 (ull)initrd->size >> 10, (ull)bzimage->memory_size >> 10);
	return load_copy_module(load, at, initrd);
}

static void fill_e820(const struct load *load, struct boot_params *params)
{
	struct load_memory map[LOAD_MEMORY_PIECES];
	u32 count = load_memory_map(load->vm, map);

	_Static_assert(LOAD_MEMORY_PIECES <= LINUX_E820_MAX, "zero page");
	for (u32 i = 0; i < count; i++)
		params->e820_table[i] = (struct linux_e820_entry){
			.address = map[i].start, .size = map[i].size, .type = map[i].type,
		};
	params->e820_entries = (u8)count;
}

static int write_zero_page(struct load *load, const struct bzimage *bzimage, gpa_t cmdline,
			   gpa_t *gpa)
{
	struct boot_params *params = load_place_info(load, sizeof(*params), gpa);

	if (!params)
		return -ENOMEM;
	memcpy((u8 *)params + LINUX_SETUP_HEADER, bzimage->data + LINUX_SETUP_HEADER,
	       bzimage->setup_header_size);
	params->header.type_of_loader = LINUX_LOADER_UNDEFINED;
	params->header.cmd_line_ptr = (u32)cmdline;
	if (load->initrd) {	/* below 4 GiB, so that ext_ramdisk_image and ext_ramdisk_size stay 0 */
		params->header.ramdisk_image = (u32)load->initrd;
		params->header.ramdisk_size = (u32)load->initrd_size;
	}
	params->acpi_rsdp_addr = GUEST_RSDP_ADDRESS;
	fill_e820(load, params);
	return 0;
}

static int write_cmdline(struct load *load, gpa_t *gpa)
{
	size_t size = strlen(load->image->cmdline) + 1;
	char *cmdline = load_place_info(load, size, gpa);

	if (!cmdline)
		return -ENOMEM;
	memcpy(cmdline, load->image->cmdline, size);
	return 0;
}

static int write_tables(struct load *load, bool in_64bit, gpa_t *gpa)
{
	struct linux_tables *tables = load_place_info(load, sizeof(*tables), gpa);
	gpa_t directories;

	if (!tables)
		return -ENOMEM;
	directories = *gpa + offsetof(struct linux_tables, directories);
	tables->pml4[0] = (*gpa + offsetof(struct linux_tables, pdpt)) | TABLE_ENTRY;
	for (u32 i = 0; i < 4; i++)
		tables->pdpt[i] = (directories + i * PAGE_SIZE) | TABLE_ENTRY;
	for (u32 i = 0; i < 4 * 512; i++)
		tables->directories[i / 512][i % 512] = MIB(2) * i | TABLE_ENTRY | PTE_LARGE;
	tables->gdt[2] = in_64bit ? DESCRIPTOR_CODE_64 : DESCRIPTOR_CODE_32;	/* the boot protocol's __BOOT_CS */
	tables->gdt[3] = DESCRIPTOR_DATA;	/* and __BOOT_DS */
	return 0;
}

/* Linux itself loads what it needs; EBP, EDI and EBX are 0. */
static void enter_kernel(struct vcpu *vcpu, bool in_64bit, gpa_t entry, gpa_t zero_page, gpa_t tables)
{
	const struct descriptor_table gdt = {
		.base = tables + offsetof(struct linux_tables, gdt),
		.limit = sizeof(((struct linux_tables *)NULL)->gdt) - 1,
	};

	if (in_64bit) {
		vcpu->ops->control_set(vcpu, CTL_CR3, tables);
		vcpu->ops->control_set(vcpu, CTL_CR4, CR4_PAE);
		vcpu->ops->control_set(vcpu, CTL_EFER, EFER_LME);
		vcpu->ops->control_set(vcpu, CTL_CR0, CR0_PE | CR0_ET | CR0_NE | CR0_PG);
		load_flat_segments(vcpu, true);
		vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED);
		vcpu_reg_write(vcpu, REG_RIP, entry);
	} else {
		load_enter_protected(vcpu, (u32)entry, 0, 0);
	}
	vcpu->ops->table_set(vcpu, false, &gdt);
	vcpu_reg_write(vcpu, REG_RSI, zero_page);
}

static void report(const struct load *load, const struct bzimage *bzimage, gpa_t entry)
{
	char version[64], what[96];

	bzimage_version(bzimage, version, sizeof(version));
	snprintf(what, sizeof(what), "%sLinux %s", bzimage->enters_64bit ? "" : "32-bit ",
		 version[0] ? version : "of an unknown version");
	load_report(load, what, entry);
}

int load_linux(struct load *load)
{
	gpa_t kernel, cmdline, zero_page, tables;
	struct bzimage bzimage;
	int error = parse(load, &bzimage);

	if (!error)
		error = load_refuse_modules(load, "Linux");
	if (!error)
		error = place_kernel(load, &bzimage, &kernel);
	if (!error)
		error = place_initrd(load, &bzimage);
	if (!error)
		error = write_cmdline(load, &cmdline);
	if (!error)
		error = write_zero_page(load, &bzimage, cmdline, &zero_page);
	if (!error)
		error = write_tables(load, bzimage.enters_64bit, &tables);
	if (error)
		return error;
	if (bzimage.enters_64bit)
		kernel += LINUX_ENTRY64;
	enter_kernel(load->vcpu, bzimage.enters_64bit, kernel, zero_page, tables);
	report(load, &bzimage, kernel);
	return 0;
}
