/* SPDX-License-Identifier: MIT */
/* Reads a Linux kernel image for x86. Linux, Documentation/arch/x86/boot.rst. */
#include "lib/bzimage.h"

#include "lib/crc32.h"
#include "lib/errno.h"
#include "lib/string.h"

#define SECTOR		 512u
#define PARAGRAPH	 16u	   /* the unit of syssize */
#define BOOT_FLAG	 0xaa55
#define MAGIC		 0x53726448 /* "HdrS" */
#define LEAST_VERSION	 0x020a	   /* the first with pref_address and init_size */
#define XLOADFLAGS_VERSION 0x020c
#define DEFAULT_SECTS	 4	   /* what a setup_sects of zero means */
#define JUMP_END	 0x202	   /* the offset that jump_distance counts from */
#define HEADER_END	 (LINUX_SETUP_HEADER + sizeof(struct linux_setup_header))
#define CHECKSUM_PIECE	 (2ull << 20) /* bytes between two calls of pause() */
#define LEAST_HEADER_END (LINUX_SETUP_HEADER + offsetof(struct linux_setup_header, handover_offset))

static int fail(const char **why, const char *words)
{
	*why = words;
	return -EINVAL;
}

static int not_supported(const char **why, const char *words)
{
	*why = words;
	return -EOPNOTSUPP;
}

bool bzimage_has_magic(const void *image, size_t size)
{
	struct linux_setup_header header;

	if (size < HEADER_END)
		return false;
	memcpy(&header, (const u8 *)image + LINUX_SETUP_HEADER, sizeof(header));
	return header.boot_flag == BOOT_FLAG && header.magic == MAGIC;
}

static int check_protocol(const struct linux_setup_header *header, const char **why)
{
	if (header->boot_flag != BOOT_FLAG)
		return fail(why, "the boot flag aa55 is missing at offset 1fe");
	if (header->magic != MAGIC)
		return fail(why, "the magic \"HdrS\" is missing at offset 202");
	if (header->version < LEAST_VERSION)
		return not_supported(why, "the boot protocol must be 2.10 or later (Linux 2.6.31); older kernels, and "
				     "programs in the same format such as ipxe.lkrn, start in real mode with a BIOS, "
				     "which the VM does not have");
	if (!(header->loadflags & LINUX_LOADED_HIGH))
		return not_supported(why, "not a bzImage (no LOADED_HIGH in loadflags)");
	return 0;
}

static int find_kernel(struct bzimage *bzimage, const char **why)
{
	const struct linux_setup_header *header = &bzimage->header;
	u32 sectors = header->setup_sects ? header->setup_sects : DEFAULT_SECTS;
	u32 header_end = JUMP_END + header->jump_distance;

	if (header_end < LEAST_HEADER_END || header_end > LINUX_SETUP_HEADER_MAX)
		return fail(why, "the setup header must end between offsets 264 and 290");
	bzimage->setup_header_size = header_end - LINUX_SETUP_HEADER;
	bzimage->kernel_offset = (sectors + 1) * SECTOR;
	bzimage->kernel_size = (u64)header->syssize * PARAGRAPH;
	/* syssize is rounded up: the last paragraph may lack bytes at its end. */
	if (bzimage->size < bzimage->kernel_offset ||
	    bzimage->size - bzimage->kernel_offset + PARAGRAPH <= bzimage->kernel_size)
		return fail(why, "the file is cut off: it must be as long as syssize says");
	bzimage->kernel_size = MIN(bzimage->kernel_size, bzimage->size - bzimage->kernel_offset);
	bzimage->enters_64bit = header->version >= XLOADFLAGS_VERSION && (header->xloadflags & LINUX_XLF_KERNEL_64);
	if (bzimage->kernel_size <= (bzimage->enters_64bit ? LINUX_ENTRY64 : 0))
		return fail(why, "syssize is too small for a kernel");
	if ((u64)header->payload_offset + header->payload_length > bzimage->kernel_size)
		return fail(why, "the compressed kernel must lie within what syssize says");
	return 0;
}

static int find_place(struct bzimage *bzimage, const char **why)
{
	const struct linux_setup_header *header = &bzimage->header;
	u64 end;

	bzimage->relocatable = header->relocatable_kernel;
	bzimage->alignment = header->kernel_alignment;
	bzimage->load_address = header->pref_address;
	bzimage->memory_size = header->init_size;
	bzimage->initrd_end_max = (u64)header->initrd_addr_max + 1;
	bzimage->cmdline_max = header->cmdline_size;

	if (header->init_size < bzimage->kernel_size)
		return fail(why, "init_size must be at least the size of the kernel in the file");
	if (!header->kernel_alignment || header->kernel_alignment & (header->kernel_alignment - 1))
		return fail(why, "kernel_alignment must be a power of two");
	if (!IS_ALIGNED(bzimage->load_address, bzimage->alignment))
		return fail(why, "pref_address must be a multiple of kernel_alignment");
	if (__builtin_add_overflow(bzimage->load_address, bzimage->memory_size, &end))
		return fail(why, "pref_address plus init_size must be within 64 bits");
	return 0;
}

int bzimage_parse(const void *image, size_t size, struct bzimage *bzimage, const char **why)
{
	int err;

	if (size < HEADER_END)
		return fail(why, "the file ends within the setup header");
	*bzimage = (struct bzimage){ .data = image, .size = size };
	memcpy(&bzimage->header, bzimage->data + LINUX_SETUP_HEADER, sizeof(bzimage->header));

	err = check_protocol(&bzimage->header, why);
	if (err)
		return err;
	err = find_kernel(bzimage, why);
	if (err)
		return err;
	return find_place(bzimage, why);
}

void bzimage_version(const struct bzimage *bzimage, char *text, size_t size)
{
	struct str_view version = { (const char *)bzimage->data, 0 };
	u64 at = (u64)bzimage->header.kernel_version + 0x200;

	if (bzimage->header.kernel_version && at < bzimage->kernel_offset) {
		version.ptr += at;
		version.len = strnlen(version.ptr, bzimage->kernel_offset - at);
	}
	str_view_copy(text, version, size);
}

/*
 * The fields of the PE header that signing for UEFI changes: the checksum and the place of the
 * certificates. They were zero when the kernel's own checksum was computed. PE Format, "Optional
 * Header".
 */
struct signature_fields {
	u64 checksum, certificates; /* offsets in the file; 0: none */
};

#define PE_POINTER	0x3c /* holds the offset of the PE header */
#define PE_MAGIC	0x00004550
#define PE_CHECKSUM	(4 + 20 + 64)
#define PE_CERTIFICATES (4 + 20 + 144) /* of the 64-bit format, PE32+ */

static struct signature_fields find_signature(const struct bzimage *bzimage)
{
	u32 pe, magic;

	memcpy(&pe, bzimage->data + PE_POINTER, sizeof(pe));
	if ((u64)pe + PE_CERTIFICATES + 8 > bzimage->kernel_offset)
		return (struct signature_fields){ 0 };
	memcpy(&magic, bzimage->data + pe, sizeof(magic));
	if (magic != PE_MAGIC)
		return (struct signature_fields){ 0 };
	return (struct signature_fields){ pe + PE_CHECKSUM, pe + PE_CERTIFICATES };
}

/* The field's bytes as zeros, if it lies in the file; returns where the rest begins. */
static u64 leave_out(u32 *crc, const struct bzimage *bzimage, u64 from, u64 field, u64 size)
{
	static const u8 zeros[8];

	if (!field)
		return from;
	*crc = crc32_update(*crc, bzimage->data + from, field - from);
	*crc = crc32_update(*crc, zeros, size);
	return field + size;
}

bool bzimage_checksum_matches(const struct bzimage *bzimage, void (*pause)(void))
{
	struct signature_fields signature = find_signature(bzimage);
	u64 end = bzimage->kernel_offset + bzimage->kernel_size, at = 0, piece;
	u32 crc = UINT32_MAX;

	at = leave_out(&crc, bzimage, at, signature.checksum, 4);
	at = leave_out(&crc, bzimage, at, signature.certificates, 8);
	for (; at < end; at += piece) {
		piece = MIN(end - at, CHECKSUM_PIECE);
		crc = crc32_update(crc, bzimage->data + at, piece);
		pause();
	}
	/* The kernel ends with its checksum, so that the remainder over all bytes is zero. */
	return crc == 0;
}
