; SPDX-License-Identifier: MIT
;
; The Multiboot2 header: what Lamina asks of the boot loader.
; Multiboot2 Specification, "OS image format".
;
; Nothing EFI is asked for: GRUB then leaves the boot services and enters in 32-bit protected mode
; under UEFI just as it does under a BIOS, and the ACPI root pointer comes in a tag.

%include "arch/offsets.inc"

MULTIBOOT2_MAGIC	equ 0xe85250d6
MULTIBOOT2_I386		equ 0
TAG_END			equ 0
TAG_INFORMATION_REQUEST	equ 1
TAG_ENTRY_ADDRESS	equ 3
TAG_MODULE_ALIGN	equ 6
TAG_OPTIONAL		equ 1

extern entry

section .multiboot2 progbits alloc noexec nowrite align=8
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

	; A page is never shared by two modules, so each can be given away once it is consumed.
	align 8, db 0
	dw TAG_MODULE_ALIGN, 0
	dd 8

	dw TAG_END, 0
	dd 8
header_end:
