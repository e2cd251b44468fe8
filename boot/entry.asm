; SPDX-License-Identifier: MIT
;
; From the boot loader's 32-bit protected mode to boot_main() in long mode in the higher half.
; Multiboot2 Specification, "I386 machine state" (the same for Multiboot1); Intel SDM, "Initializing
; IA-32e Mode".

%include "arch/offsets.inc"

; The image may be loaded anywhere below 4 GiB. In 32-bit code EBP holds the physical address, modulo
; 4 GiB, that corresponds to the link address HOST_IMAGE (linker.ld); AT() is a symbol's physical address.
%define LINKED(symbol) ((symbol) - HOST_IMAGE)
%define AT(symbol) ebp + LINKED(symbol)

; RAM on every PC (a BIOS loads boot sectors here): the stack of one CALL, before there is a real one.
BORROWED	equ 0x7c00

MULTIBOOT1_LOADER	equ 0x2badb002
MULTIBOOT2_LOADER	equ 0x36d76289

CR0_PE		equ 1 << 0
CR0_MP		equ 1 << 1
CR0_ET		equ 1 << 4
CR0_NE		equ 1 << 5
CR0_WP		equ 1 << 16
CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
MSR_MISC_ENABLE	equ 0x1a0
LIMIT_CPUID	equ 1 << 22	; leaves above 3 are hidden
XD_DISABLE	equ 1 << 2	; in the upper half: no-execute pages are hidden
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
EFER_NXE	equ 1 << 11
EFLAGS_ID	equ 1 << 21

PTE_TABLE	equ 0x003	; present, writable
PTE_PAGE_2M	equ 0x083	; present, writable, large

; Clobbers AL.
%macro stage_begins 1
	mov	al, %1
	out	STAGE_PORT, al
%endmacro

extern boot_main
extern image_start
extern image_end
global entry
global boot_stack
global boot_stack_top
global boot_tsc
global boot_image
global boot_unhidden
global boot_pml4
global boot_gdt_pointer_64

section .boot progbits alloc exec nowrite align=16
bits 32

; In:       EAX = Multiboot loader magic, EBX = physical address of the boot information.
;           Flat 32-bit protected mode. Not relied on: paging, cache bits, EFER, stack, flags.
; Out:      boot_main(loader magic, physical address of the boot information), never returns
; Clobbers: everything
; Stack:    4 bytes at BORROWED, restored afterwards; then the boot stack
entry:
	mov	ecx, eax
	stage_begins STAGE_ENTRY
	cli
	cld
	mov	edi, [BORROWED]
	mov	esp, BORROWED + 4
	call	.here
.here:
	pop	ebp
	mov	[BORROWED], edi
	sub	ebp, LINKED(.here)
	lea	esp, [AT(boot_stack_top)]
	push	ebx
	push	ecx
	lea	esi, [AT(words_not_multiboot)]
	cmp	ecx, MULTIBOOT2_LOADER
	je	.known
	cmp	ecx, MULTIBOOT1_LOADER
	jne	refuse
.known:
	stage_begins STAGE_PROCESSOR
	call	check_long_mode
	pop	edi
	pop	esi
	lea	eax, [AT(image_start)]
	mov	[AT(boot_image)], eax
	rdtsc
	mov	[AT(boot_tsc)], eax
	mov	[AT(boot_tsc) + 4], edx
	stage_begins STAGE_BOOT_TABLES
	call	build_page_tables
	stage_begins STAGE_LONG_MODE
	call	enable_long_mode
	lea	eax, [AT(boot_gdt)]
	mov	[AT(boot_gdt_pointer_32.base)], eax
	lgdt	[AT(boot_gdt_pointer_32)]
	lea	eax, [AT(entry_64)]
	push	GDT_CODE
	push	eax
	retf

; In:       nothing
; Out:      returns if the processor has long mode, no-execute pages and CMOV, else refuse
; Clobbers: EAX, EBX, ECX, EDX, ESI, EDI
; Stack:    8 bytes
check_long_mode:
	lea	esi, [AT(words_no_long_mode)]
	pushfd
	pop	eax
	mov	ecx, eax
	xor	eax, EFLAGS_ID
	push	eax
	popfd
	pushfd
	pop	eax
	cmp	eax, ecx
	je	refuse			; the ID flag cannot be changed: no CPUID
	mov	eax, 0x80000000
	cpuid
	cmp	eax, 0x80000001
	jb	refuse
	mov	eax, 0x80000001
	cpuid
	bt	edx, 29			; LM
	jnc	refuse
	call	unhide
	mov	eax, 0x80000001
	cpuid
	lea	esi, [AT(words_no_nx)]
	bt	edx, 20			; NX
	jnc	refuse
	xor	eax, eax
	cpuid
	test	eax, eax
	jz	.done			; no leaf 1: cpu_features_missing() reports it later
	lea	esi, [AT(words_no_cmov)]
	mov	eax, 1
	cpuid
	bt	edx, 15			; CMOV: the compiler's code uses it
	jnc	refuse
.done:
	ret

; Firmware's set-up may hide features of Intel's processors, for old systems. Intel SDM vol. 4,
; "IA32_MISC_ENABLE", which family 6 has from model 0Dh on. It is read only where something is missing. Family 0Fh has
; it, too, but no processor of it can run Lamina.
; In:       EDX = CPUID leaf 80000001h EDX
; Out:      the bits that hide are clear; boot_unhidden has those that were set
; Clobbers: EAX, EBX, ECX, EDX, EDI
; Stack:    nothing
unhide:
	mov	edi, edx
	xor	eax, eax
	cpuid
	cmp	ecx, "ntel"
	jne	.done
	test	eax, eax
	jz	.done
	cmp	eax, 3
	jbe	.look
	bt	edi, 20			; NX
	jc	.done
.look:
	mov	eax, 1
	cpuid
	mov	edx, eax
	shr	edx, 8
	and	edx, 0x0f		; family
	cmp	edx, 6
	jne	.done
	shr	eax, 4
	and	eax, 0xf00f		; extended model, model
	cmp	eax, 0x0d
	jb	.done
	mov	ecx, MSR_MISC_ENABLE
	rdmsr
	mov	ebx, eax
	mov	edi, edx
	and	ebx, LIMIT_CPUID
	and	edi, XD_DISABLE
	xor	eax, ebx
	xor	edx, edi
	mov	[AT(boot_unhidden)], ebx
	mov	[AT(boot_unhidden) + 4], edi
	or	ebx, edi
	jz	.done
	wrmsr
.done:
	ret

; Map the first EARLY_GIB GiB of physical memory twice, in the identity map and in the direct map, and
; the image at its link address, by 4 KiB pages since it may be loaded at any multiple of 4 KiB.
; In:       nothing
; Out:      boot_pml4 and the tables below it
; Clobbers: EAX, ECX, EDX
; Stack:    nothing
build_page_tables:
	xor	ecx, ecx
	mov	eax, PTE_PAGE_2M
	xor	edx, edx
.page:
	mov	[AT(boot_pd) + ecx * 8], eax
	mov	[AT(boot_pd) + ecx * 8 + 4], edx
	add	eax, 0x200000
	inc	ecx
	cmp	ecx, EARLY_GIB * 512
	jb	.page

	xor	ecx, ecx
	lea	eax, [AT(boot_pd) + PTE_TABLE]
.directory:
	mov	[AT(boot_pdpt_low) + ecx * 8], eax
	add	eax, 4096
	inc	ecx
	cmp	ecx, EARLY_GIB
	jb	.directory

	mov	ecx, LINKED(image_start)
	lea	eax, [ebp + ecx + PTE_TABLE]
	mov	edx, LINKED(image_end)
	shr	ecx, 12
	shr	edx, 12
.image:
	mov	[AT(boot_pt_image) + ecx * 8], eax
	add	eax, 4096
	inc	ecx
	cmp	ecx, edx
	jb	.image

	lea	eax, [AT(boot_pt_image) + PTE_TABLE]
	mov	[AT(boot_pd_image)], eax
	add	eax, 4096
	mov	[AT(boot_pd_image) + 8], eax
	lea	eax, [AT(boot_pd_image) + PTE_TABLE]
	mov	[AT(boot_pdpt_image) + 510 * 8], eax
	lea	eax, [AT(boot_pdpt_image) + PTE_TABLE]
	mov	[AT(boot_pml4) + 511 * 8], eax
	lea	eax, [AT(boot_pdpt_low) + PTE_TABLE]
	mov	[AT(boot_pml4)], eax
	mov	[AT(boot_pml4) + DIRECT_MAP_INDEX * 8], eax
	ret

; Every control register is written in full, so that no earlier setting remains: disabled caches (CD,
; NW), EFER bits of an earlier 64-bit environment, five-level paging.
; In:       page tables built
; Out:      compatibility mode, paging on
; Clobbers: EAX, ECX, EDX
; Stack:    nothing
enable_long_mode:
	xor	eax, eax
	mov	cr4, eax		; first: with CR4.CET set, clearing CR0.WP raises #GP
	mov	eax, CR0_PE | CR0_ET | CR0_NE | CR0_MP
	mov	cr0, eax
	mov	eax, CR4_PAE
	mov	cr4, eax
	lea	eax, [AT(boot_pml4)]
	mov	cr3, eax
	mov	ecx, MSR_EFER
	mov	eax, EFER_LME | EFER_NXE
	xor	edx, edx
	wrmsr
	mov	eax, CR0_PG | CR0_WP | CR0_PE | CR0_ET | CR0_NE | CR0_MP
	mov	cr0, eax
	ret

; Say why on the serial port and the text screen, then stop.
; In:       ESI = physical address of the message, zero-terminated
; Out:      never returns
; Clobbers: everything
; Stack:    4 bytes
refuse:
	mov	edi, 0xb8000
.next:
	mov	bl, [esi]
	inc	esi
	test	bl, bl
	jz	.stop
	mov	bh, 0x0f		; bright white
	cmp	bl, ' '
	jb	.serial
	mov	[edi], bx
	add	edi, 2
.serial:
	call	serial_put
	jmp	.next
.stop:
	hlt
	jmp	.stop

; In:       BL = character, sent to COM1 at the speed that is set there
; Out:      nothing; stops waiting after a while if no port answers
; Clobbers: EAX, ECX, EDX
; Stack:    nothing
serial_put:
	mov	edx, 0x3fd		; line status
	mov	ecx, 100000
.wait:
	in	al, dx
	test	al, 0x20		; transmitter holding register empty
	jnz	.send
	pause
	loop	.wait
.send:
	mov	edx, 0x3f8
	mov	al, bl
	out	dx, al
	ret

bits 64

; In:       EDI = loader magic, ESI = physical address of the boot information; running in the identity
;           mapping
; Out:      boot_main(), in the higher half
; Clobbers: everything
; Stack:    the boot stack by its higher-half address
entry_64:
	mov	ax, GDT_DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	xor	eax, eax
	mov	fs, ax
	mov	gs, ax
	mov	rax, .higher_half
	jmp	rax
.higher_half:
	stage_begins STAGE_HIGHER_HALF
	lgdt	[rel boot_gdt_pointer_64]
	mov	rsp, boot_stack_top
	mov	esi, esi
	xor	ebp, ebp		; ends the backtrace
	call	boot_main
.stop:
	hlt
	jmp	.stop

section .rodata
words_not_multiboot:
	db 13, 10, "Lamina: stopped: it must be started by a Multiboot or Multiboot2 boot loader", 13, 10, 0
words_no_long_mode:
	db 13, 10, "Lamina: stopped: Lamina needs a 64-bit processor (long mode)", 13, 10, 0
words_no_nx:
	db 13, 10, "Lamina: stopped: Lamina needs no-execute pages (NX); the firmware's setup "
	db "may switch them on", 13, 10, 0
words_no_cmov:
	db 13, 10, "Lamina: stopped: CPUID announces no CMOV, which every 64-bit processor has"
	db 13, 10, 0

align 8, db 0
; The same selectors as in the final tables (arch/cpu/gdt.h).
boot_gdt:
	dq 0
	dq 0x00af9b000000ffff		; GDT_CODE: 64-bit code
	dq 0x00cf93000000ffff		; GDT_DATA
boot_gdt_end:
boot_gdt_pointer_32:
	dw boot_gdt_end - boot_gdt - 1
.base:	dd 0				; set at run time
boot_gdt_pointer_64:
	dw boot_gdt_end - boot_gdt - 1
	dq boot_gdt

section .data align=8
boot_tsc:
	dq 0				; the time stamp counter at entry
boot_image:
	dq 0				; the physical address of image_start
boot_unhidden:
	dq 0				; bits of IA32_MISC_ENABLE that were set, and are clear

section .bss align=4096
boot_pml4:		resb 4096
boot_pdpt_low:		resb 4096
boot_pdpt_image:	resb 4096
boot_pd_image:		resb 4096
boot_pt_image:		resb 2 * 4096	; linker.ld checks that this is enough
boot_pd:		resb EARLY_GIB * 4096
boot_stack:		resb 16384
boot_stack_top:
