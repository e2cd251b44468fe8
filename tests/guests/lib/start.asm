; SPDX-License-Identifier: MIT
; The entry of every test guest. Multiboot1, Multiboot2 and PVH all arrive in 32-bit
; protected mode without paging; a 64-bit guest then maps the first 4 GiB one to one.
;
; In: EAX = boot protocol's magic, EBX = its information. Calls guest_start(), which never
; returns, with a known GDT, a stack, IF = DF = 0 and (BITS = 64) long mode.

%include "long_mode.inc"

	section .boot
%ifdef MB1
	align 4
	dd 0x1badb002, 3, -(0x1badb002 + 3)
%endif
%ifdef MB2
	align 8
mb2:	dd 0xe85250d6, 0, mb2_end - mb2, -(0xe85250d6 + (mb2_end - mb2))
	dw 0, 0
	dd 8
mb2_end:
%endif

%ifdef PVH
	section .note.pvh note alloc noexec nowrite align=4
	dd 4, 4, 18			; XEN_ELFNOTE_PHYS32_ENTRY
	db "Xen", 0
	dd start
%endif

	section .text
	bits 32
	extern guest_start, boot_magic, boot_info
	global start
start:
	cli
	cld
	mov [boot_magic], eax
	mov [boot_info], ebx
	mov eax, cr0
	and eax, ~0x60000000		; firmware may leave CD and NW set
	mov cr0, eax
	lgdt [gdtr]
	mov esp, stack_top
	push dword 2
	popfd
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	jmp 0x08:.flat
.flat:
%if BITS = 64
	mov eax, pdpt + 7
	mov [pml4], eax
	mov ecx, 4
	mov eax, pd + 7
	mov edi, pdpt
.pdpt:	mov [edi], eax
	add eax, 4096
	add edi, 8
	loop .pdpt
	mov ecx, 2048
	mov eax, 0x83			; present, writable, 2 MiB; not for ring 3
	mov edi, pd
.pd:	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	loop .pd
	enter_long_mode .long
%endif
	call guest_start

	section .data
	align 16
	global gdt, gdtr, tss, pml4, pd, stack_top
gdt:	dq 0
	dq 0x00cf9b000000ffff		; 08 code, 32 bit
	dq 0x00cf93000000ffff		; 10 data
	dq 0x00af9b000000ffff		; 18 code, 64 bit
	dq 0x00cf93000000ffff		; 20 data, where SYSCALL looks for it
	dq 0x00cffb000000ffff		; 28 user code, 32 bit
	dq 0x00cff3000000ffff		; 30 user data
	dq 0x00affb000000ffff		; 38 user code, 64 bit
	times 8 dq 0			; 40 TSS, 50 and up: the guest's own
gdtr:	dw $ - gdt - 1
	dd gdt, 0			; eight bytes of base serve both widths

	section .bss
	alignb 4096
%if BITS = 64
pml4:	resb 4096
pdpt:	resb 4096
pd:	resb 4 * 4096
%endif
	resb 16384
stack_top:
tss:	resb 128
