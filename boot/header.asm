; SPDX-License-Identifier: MIT
;
; The Multiboot headers: what Lamina asks of the boot loader.
; Multiboot2 and Multiboot Specification, "OS image format".
;
; Nothing EFI is asked for: GRUB then leaves the boot services and enters in 32-bit protected mode
; under UEFI just as it does under a BIOS, and the ACPI root pointer comes in a tag.
;
; Multiboot1 is for loaders that know nothing newer: QEMU's -kernel and iPXE. PVH, QEMU's other way
; to start a kernel, has one module where two guests need four, and no other loader has it. There are
; no address fields: the file would have to be laid out as the memory is. All these loaders read a
; 32-bit ELF file instead, and that is what the Makefile makes of the image.

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

	; Command line, loader name, modules, memory map, ACPI old and new: each is done without.
	dw TAG_INFORMATION_REQUEST, TAG_OPTIONAL
	dd 8 + 6 * 4
	dd 1, 2, 3, 6, 14, 15

	align 8, db 0
	dw TAG_ENTRY_ADDRESS, 0
	dd 12
	dd entry - HOST_IMAGE

	; The framebuffer that is liked best: width, height, depth. Any other will do, and text mode.
	; Left to itself GRUB takes what there is: 8 bits of depth at worst, in which GRUB 2.06 crashes.
	align 8, db 0
	dw TAG_FRAMEBUFFER, TAG_OPTIONAL
	dd 20
	dd 1024, 768, 32

	; A page is never shared by two modules, so each can be given away once it is consumed.
	align 8, db 0
	dw TAG_MODULE_ALIGN, 0
	dd 8

	; Anywhere above the first MiB: what the link address (linker.ld) names may be taken.
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
