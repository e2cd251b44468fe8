; SPDX-License-Identifier: MIT
;
; From a start-up IPI's real mode to cpu_arrived() in long mode, on a CPU's own stack. boot/cpus.c copies
; the first part to a page below 1 MiB. Intel SDM, "MP Initialization Protocol Algorithm for MP Systems".

%include "arch/offsets.inc"

CR0_PE		equ 1 << 0
CR0_MP		equ 1 << 1
CR0_ET		equ 1 << 4
CR0_NE		equ 1 << 5
CR0_WP		equ 1 << 16
CR0_PG		equ 1 << 31
CR4_PAE		equ 1 << 5
MSR_MISC_ENABLE	equ 0x1a0
MSR_EFER	equ 0xc0000080
EFER_LME	equ 1 << 8
EFER_NXE	equ 1 << 11
TRAMPOLINE_CODE_32 equ 0x18
PAGE		equ 4096

extern boot_gdt_pointer_64
extern kernel_space
extern cpu_arrived
global trampoline_start
global trampoline_end
global trampoline_cpu

%define AT(label) ebx + (label) - trampoline_start

section .rodata
align 16

; In:       CS = the page / 16, IP = 0; real mode
; Out:      arrived, in long mode on the boot page tables, by its higher-half address
; Clobbers: everything
; Stack:    the end of the page
trampoline_start:
bits 16
	jmp	short trampoline_begin
align 4
trampoline_page_tables:
	dd	0			; filled in: physical address of boot_pml4
trampoline_unhidden:
	dq	0			; filled in: boot_unhidden
trampoline_begin:
	cli
	cld
	mov	ax, cs
	mov	ds, ax
	mov	ss, ax
	mov	esp, PAGE
	movzx	ebx, ax
	shl	ebx, 4			; the page's address
	lea	eax, [AT(trampoline_gdt)]
	push	eax
	push	word trampoline_gdt_end - trampoline_gdt - 1
	o32 lgdt [esp]
	lea	eax, [AT(.protected)]
	push	dword TRAMPOLINE_CODE_32
	push	eax
	mov	eax, CR0_PE | CR0_ET | CR0_NE | CR0_MP
	mov	cr0, eax
	o32 retf			; right behind: Intel SDM, "Switching to Protected Mode"
bits 32
.protected:
	mov	ax, GDT_DATA
	mov	ds, ax
	mov	es, ax
	mov	ss, ax
	lea	esp, [ebx + PAGE]
	mov	eax, [AT(trampoline_unhidden)]
	or	eax, [AT(trampoline_unhidden) + 4]
	jz	.nothing_hidden		; the processor need not have the MSR
	mov	ecx, MSR_MISC_ENABLE
	rdmsr
	mov	esi, [AT(trampoline_unhidden)]
	mov	edi, [AT(trampoline_unhidden) + 4]
	not	esi
	not	edi
	and	eax, esi
	and	edx, edi
	wrmsr
.nothing_hidden:
	mov	eax, CR4_PAE
	mov	cr4, eax
	mov	eax, [AT(trampoline_page_tables)]
	mov	cr3, eax
	mov	ecx, MSR_EFER
	mov	eax, EFER_LME | EFER_NXE
	xor	edx, edx
	wrmsr
	mov	eax, CR0_PG | CR0_WP | CR0_PE | CR0_ET | CR0_NE | CR0_MP
	mov	cr0, eax
	lea	eax, [AT(.long)]
	push	GDT_CODE
	push	eax
	retf
bits 64
.long:
	mov	rax, arrived
	jmp	rax

; The selectors are those of the final tables (arch/cpu/gdt.h), and one for the way there.
align 8, db 0
trampoline_gdt:
	dq 0
	dq 0x00af9b000000ffff		; GDT_CODE: 64-bit code
	dq 0x00cf93000000ffff		; GDT_DATA
	dq 0x00cf9b000000ffff		; TRAMPOLINE_CODE_32
trampoline_gdt_end:
trampoline_end:

section .text

; In:       long mode, the boot page tables
; Out:      cpu_arrived(struct percpu *), never returns; halts where nobody is expected
; Clobbers: everything
; Stack:    the CPU's own
arrived:
	lgdt	[rel boot_gdt_pointer_64]
	mov	rax, [rel kernel_space]	; its first member is what CR3 holds
	mov	cr3, rax
	xor	edi, edi
	xchg	[rel trampoline_cpu], rdi
	test	rdi, rdi
	jz	.stop
	xor	eax, eax
	mov	fs, ax
	mov	gs, ax
	mov	rsp, [rdi + PERCPU_STACK_TOP]
	xor	ebp, ebp		; ends the backtrace
	call	cpu_arrived
.stop:
	cli
	hlt
	jmp	.stop

section .data align=8
; The CPU that is to arrive next; it takes the pointer, so that no other can use the same stack.
trampoline_cpu:
	dq 0
