; SPDX-License-Identifier: MIT
; The real-mode half of the guest: linked for 0x8000, copied there by main.c, which also judges the
; records. Each event is raised while a page that its delivery needs is missing: between the page's removal
; and the event nothing uses the stack.

%define CODE16	0x50			; spare GDT entries, filled in by main.c
%define DATA16	0x58
%define DEVICE	0x5e0			; tests/selftest/test_device.c
%define AT_NMI	1
%define AT_LINE	16
%define STACK	0xa000			; pages
%define DATA	0xb000
%define TOP	0xb000
%define PLACES	3			; bits: 1 the stack, 2 the table at 0

	section .low
	global records
records:	times 6 * PLACES * 6 dd 0	; arrived, vector, IP, expected IP, faults, SP
place:		dd 0
go_on:		dw 0

	bits 16
%macro vector 1
	mov dword [%1 * 4], on_%1
%endmacro
%macro handler 1
on_%1:	mov word [bx + 4], %1
	jmp arrived
%endmacro

; In: nothing. Clobbers all. Returns by going back to PE. BX is the record, BP the event.
real_tests:
	vector 0
	vector 2
	vector 3
	vector 6
	vector 0x25
	vector 0x60
	mov bx, records
	mov bp, events
.event:	mov byte [place], 1
.place:	mov word [go_on], 0
	mov dx, DEVICE
	in eax, dx
	mov [bx + 16], eax
	test byte [place], 1
	jz .table
	mov eax, STACK
	out dx, eax
.table:	test byte [place], 2
	jz .raise
	xor eax, eax
	out dx, eax
.raise:	jmp [bp]
raised:	cli
	mov dx, DEVICE
	in eax, dx
	sub eax, [bx + 16]
	mov [bx + 16], eax
	mov [bx + 20], sp
	add bx, 24
	inc byte [place]
	cmp byte [place], PLACES
	jbe real_tests.place
	add bp, 2
	cmp bp, events_end
	jb real_tests.event
	lmsw [protected]		; sets PE; main.c's GDT is still there
	jmp dword 0x08:back

events:	dw soft, breakpoint, divide, undefined, interrupt, nmi
events_end:

soft:	mov word [bx + 12], .behind
	int 0x60
.behind:
	jmp raised
breakpoint:
	mov word [bx + 12], .behind
	int3
.behind:
	jmp raised
divide:	mov word [bx + 12], .at
	mov word [go_on], raised
	mov ax, 1
	xor cl, cl
.at:	div cl
undefined:
	mov word [bx + 12], .at
	mov word [go_on], raised
.at:	ud2
; They arrive while the fault of an access to a missing page is handled, and so before that access.
interrupt:
	mov word [bx + 12], .at
	mov eax, DATA | AT_LINE
	out dx, eax
	sti
	nop
.at:	mov al, [DATA]
	jmp raised
nmi:	mov word [bx + 12], .at
	mov eax, DATA | AT_NMI
	out dx, eax
	nop
.at:	mov al, [DATA]
	jmp raised

	handler 0
	handler 2
	handler 3
	handler 6
	handler 0x25
	handler 0x60
arrived:
	inc dword [bx]
	push bp
	mov bp, sp
	mov ax, [bp + 2]
	mov [bx + 8], ax
	cmp word [go_on], 0
	je .eoi
	mov ax, [go_on]
	mov [bp + 2], ax
	mov word [go_on], 0
.eoi:	cmp word [bx + 4], 0x25
	jne .done
	mov al, 0x20
	out 0x20, al
.done:	pop bp
	iret

protected:	dw 0x11
real_idt:	dw 0x3ff
		dd 0

	section .text
	bits 32
	global real_mode
; In: PE without paging, IF = 0, the code copied. Runs the tests; all registers are kept.
real_mode:
	pushad
	sidt [saved_idt]
	mov [saved_esp], esp
	lidt [real_idt]
	jmp CODE16:.narrow
	section .low
	bits 16
real_mode.narrow:
	mov ax, DATA16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and al, ~1
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, TOP
	jmp real_tests

	section .text
	bits 32
back:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, [saved_esp]
	lidt [saved_idt]
	popad
	ret

	section .bss
saved_esp:	resd 1
saved_idt:	resb 8
