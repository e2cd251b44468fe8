; SPDX-License-Identifier: MIT
;
; The Multiboot headers: what Lamina asks of the boot loader.
; Multiboot2 and Multiboot Specification, "OS image format".
;
; No EFI tags are requested: GRUB then exits the boot services and enters in 32-bit protected mode
; under UEFI just as under a BIOS, and passes the ACPI root pointer in a tag.
;
; Multiboot1 is for loaders without Multiboot2: QEMU's -kernel and iPXE. PVH, QEMU's other protocol for
; kernels, passes one module where two guests need four, and no other loader supports it. The address
; fields are unused, because they would require the file to be laid out like the memory. All these
; loaders read a 32-bit ELF file instead, which the Makefile makes from the image.

%include "arch/offsets.inc"

MULTIBOOT2_MAGIC	equ 0xe85250d6
MULTIBOOT2_I386		equ 0
TAG_END			equ 0
TAG_INFORMATION_REQUEST	equ 1
TAG_ENTRY_ADDRESS	equ 3
TAG_FRAMEBUFFER		equ 5
TAG_MODULE_ALIGN	equ 6
TAG_RELOCATABLE		equ 10
PREFER_LOWEST		equ 1
TAG_OPTIONAL		equ 1

MULTIBOOT1_MAGIC	equ 0x1badb002
ALIGN_MODULES		equ 1 << 0
WANT_MEMORY_MAP		equ 1 << 1
MULTIBOOT1_FLAGS	equ ALIGN_MODULES | WANT_MEMORY_MAP

extern entry

section .multiboot progbits alloc noexec nowrite align=8
header:
	dd MULTIBOOT2_MAGIC
	dd MULTIBOOT2_I386
	dd header_end - header
	dd -(MULTIBOOT2_MAGIC + MULTIBOOT2_I386 + (header_end - header)) & 0xffffffff

	; Command line, loader name, modules, memory map, ACPI old and new: Lamina boots without any.
	dw TAG_INFORMATION_REQUEST, TAG_OPTIONAL
	dd 8 + 6 * 4
	dd 1, 2, 3, 6, 14, 15

	align 8, db 0
	dw TAG_ENTRY_ADDRESS, 0
	dd 12
	dd entry - HOST_IMAGE

	; The preferred framebuffer: width, height, depth. Any other works, and text mode does, too.
	; Without a preference GRUB may choose a depth of 8 bits, in which GRUB 2.06 crashes.
	align 8, db 0
	dw TAG_FRAMEBUFFER, TAG_OPTIONAL
	dd 20
	dd 1024, 768, 32

	; Modules begin on page boundaries, so each one's memory can be freed once the module is loaded.
	align 8, db 0
	dw TAG_MODULE_ALIGN, 0
	dd 8

	; Load anywhere above the first MiB: the memory at the ELF file's address may be in use.
	align 8, db 0
	dw TAG_RELOCATABLE, TAG_OPTIONAL
	dd 24
	dd 0x100000, 0xffffffff, 4096, PREFER_LOWEST

	dw TAG_END, 0
	dd 8
header_end:

	align 4, db 0
	dd MULTIBOOT1_MAGIC
	dd MULTIBOOT1_FLAGS
	dd -(MULTIBOOT1_MAGIC + MULTIBOOT1_FLAGS) & 0xffffffff
