/* SPDX-License-Identifier: MIT */
/*
 * A flat binary: code without a header, started in real mode as a PC's firmware starts a boot sector.
 * It is loaded at 0x7c00 and may reach up to 0x9fc00. CS:IP = 0:7c00, SS:SP = 0:7c00, the other
 * segments 0, DL = 0x80, interrupts off. Interrupt controllers, timer and vectors are as a BIOS leaves them, but there
 * are no BIOS services, and no command line.
 */
#include "core/load/bios.h"
#include "core/load/load.h"

#include "arch/cpu/x86.h"
#include "lib/string.h"

#define LOAD_ADDRESS 0x7c00u
#define BOOT_DRIVE   0x80u
#define SIZE_MAX_KIB ((LOAD_LOW_END - LOAD_ADDRESS) >> 10)

static void enter_real(struct vcpu *vcpu)
{
	const struct segment code = { .limit = 0xffff, .type = 11, .s = true, .present = true };
	const struct segment data = { .limit = 0xffff, .type = 3, .s = true, .present = true };

	vcpu->ops->control_set(vcpu, CTL_CR0, CR0_ET);
	for (int i = SEG_ES; i <= SEG_GS; i++)
		vcpu->ops->segment_set(vcpu, i, i == SEG_CS ? &code : &data);
	vcpu_reg_write(vcpu, REG_RDX, BOOT_DRIVE);
	vcpu_reg_write(vcpu, REG_RSP, LOAD_ADDRESS);
	vcpu_reg_write(vcpu, REG_RFLAGS, RFLAGS_FIXED);
	vcpu_reg_write(vcpu, REG_RIP, LOAD_ADDRESS);
}

/* A boot sector may begin with any bytes, but it ends with a signature. */
static bool is_boot_sector(const u8 *file, u64 size)
{
	return size >= 512 && file[510] == 0x55 && file[511] == 0xaa;
}

/* How the file is compressed, by its first bytes; NULL: it is not. */
static const char *compression(const u8 *file, u64 size)
{
	static const struct {
		const char *name;
		u8 length, magic[6];
	} kinds[] = {
		{ "gzip", 2, { 0x1f, 0x8b } },
		{ "bzip2", 3, { 'B', 'Z', 'h' } },
		{ "xz", 6, { 0xfd, '7', 'z', 'X', 'Z', 0 } },
		{ "zstd", 4, { 0x28, 0xb5, 0x2f, 0xfd } },
		{ "lz4", 4, { 0x04, 0x22, 0x4d, 0x18 } },
		{ "lz4", 4, { 0x02, 0x21, 0x4c, 0x18 } },
	};

	for (unsigned i = 0; i < ARRAY_SIZE(kinds) && !is_boot_sector(file, size); i++) {
		if (size >= kinds[i].length && !memcmp(file, kinds[i].magic, kinds[i].length))
			return kinds[i].name;
	}
	return NULL;
}

int load_flat(struct load *load)
{
	const struct guest_image *image = load->image;
	const char *packed = compression(image->kernel, image->kernel_size);
	int error;

	if (packed)
		return load_fail(load, "the kernel is compressed: expected it unpacked, for example by \"%s -d\"", packed);
	if (image->kernel_size > LOAD_LOW_END - LOAD_ADDRESS)
		return load_fail(load,
				 "the kernel's kind is unknown: expected a Linux bzImage, an ELF "
				 "file with a Multiboot header or a PVH note, a PC firmware's ROM of 64 KiB to "
				 "16 MiB, or a flat binary of at most %llu KiB", SIZE_MAX_KIB);
	if (image->module_count || image->cmdline[0])
		vm_warn(load->vm,
			"a flat binary gets neither modules nor a command line: not used");
	error = load_take(load, LOAD_ADDRESS, image->kernel_size, "the flat binary");
	if (!error)
		error = load_copy(load, LOAD_ADDRESS, image->kernel, image->kernel_size);
	if (error)
		return error;
	enter_real(load->vcpu);
	bios_start_interrupts(load);
	load_report(load, "a flat binary, in real mode", LOAD_ADDRESS);
	return 0;
}
