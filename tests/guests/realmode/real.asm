; SPDX-License-Identifier: MIT
; The real-mode half of the guest: linked for 0x8000, copied there by main.c, which also
; judges the results. Offsets are addresses, since every segment but the tests' own is 0.

%define CODE16	0x50			; spare GDT entries, filled in by main.c
%define DATA16	0x58

	section .low
	global results
results:
.cs:		dd 0
.alias:		dd 0
.wide:		dd 0
.int_cs_ip:	dd 0			; return address pushed by INT, less the expected one
.int_if:	dd 0			; IF in the pushed flags, IF in the handler
.int_sp:	dd 0
.de_ip:		dd 0
.int3:		dd 0
.moved:		dd 0
.scratch:	dd 0
.ins:		dd 0
.outs:		dd 0
.movs:		dd 0
.unreal:	dd 0
.limit:		dd 0
.switches:	dd 0
.cpuid:		dd 0
.ticks:		dd 0
.loops:		dd 0

	bits 16
; In: nothing. Clobbers all. Runs every test in turn and returns by going back to PE.
real_tests:
	mov [results.cs], cs

	; segment * 16 + offset: three names for one byte
	mov ax, 0x900
	mov es, ax
	mov word [es:0x0f00], 0x1234
	mov ax, 0x9e0
	mov es, ax
	mov ax, [es:0x0100]
	mov [results.alias], ax
	mov ebx, 0x9f00			; a 32-bit address below 64 KiB
	mov eax, [ebx]
	mov [results.wide], ax

	; INT n through the table at 0: what is pushed, what the flags become
	xor ax, ax
	mov es, ax
	mov dword [0x60 * 4], on_int
	mov bp, sp
	push ax				; in a VM of a VM the stack's first use faults, and Bochs reports INT n then as
	pop ax				; an older event: EXITINTINFO
	sti
	int 0x60
.after_int:
	cli
	sub bp, sp
	mov [results.int_sp], bp
	mov dword [0], on_divide
	xor cx, cx
	mov ax, 1
.divide:
	div cl
	mov dword [3 * 4], on_int3
	int3

	; a table elsewhere: its vector 60h is another handler
	lidt [moved_idt]
	mov dword [0x9800 + 0x60 * 4], on_moved
	int 0x60
	lidt [real_idt]

	; ports, and strings of them: the UART's scratch register
	mov dx, 0x3ff
	mov al, 0x5a
	out dx, al
	xor al, al
	in al, dx
	mov [results.scratch], al
	mov di, 0x9f10
	mov cx, 4
	cld
	rep insb
	mov eax, [0x9f10]
	mov [results.ins], eax
	mov dword [0x9f10], 0x44332211
	mov si, 0x9f13
	mov cx, 3
	std
	rep outsb			; 44, 33, 22
	in al, dx
	mov ah, cl
	mov [results.outs], ax
	cld
	mov si, 0x9f10
	mov di, 0x9f20
	mov cx, 2
	rep movsw
	mov eax, [0x9f20]
	mov [results.movs], eax

	; to protected mode and back with 64 KiB segments, a hundred times
	mov cx, 100
.switch:
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp CODE16:.in_pe
.in_pe:	mov ax, DATA16
	mov ds, ax
	mov es, ax
	inc dword [results.switches]
	mov eax, cr0
	and al, ~1
	mov cr0, eax
	jmp 0:.out_of_pe
.out_of_pe:
	xor ax, ax
	mov ds, ax
	mov es, ax
	loop .switch

	; a word across the segment's end must raise #GP through vector 13, with no error code
	mov dword [13 * 4], on_limit
	mov bx, 0xffff
.limit:	mov ax, [bx]
.after_limit:

	; "unreal": a 4 GiB limit loaded in protected mode stays behind
	mov eax, cr0
	or al, 1
	mov cr0, eax
	mov bx, 0x10			; flat data
	mov fs, bx
	and al, ~1
	mov cr0, eax
	xor bx, bx
	mov ebx, 0x200000
	mov eax, [fs:ebx]
	mov [results.unreal], eax

	xor eax, eax
	cpuid
	mov [results.cpuid], eax

	; HLT, woken by IRQ 0 through the table
	mov dword [0x20 * 4], on_tick
	in al, 0x21
	and al, ~1
	out 0x21, al
.halt:	sti
	hlt
	cli
	inc dword [results.loops]
	cmp dword [results.ticks], 5
	jb .halt
	in al, 0x21
	or al, 1
	out 0x21, al

	lmsw [protected]		; sets PE; main.c's GDT is still there
	jmp dword 0x08:back

on_int:
	push bp
	mov bp, sp
	mov ax, [bp + 2]
	sub ax, real_tests.after_int
	or ax, [bp + 4]
	mov [results.int_cs_ip], ax
	mov ax, [bp + 6]
	and ax, 0x200
	mov [results.int_if], ax
	pushf
	pop ax
	and ax, 0x200
	mov [results.int_if + 2], ax
	pop bp
	iret
on_divide:
	push bp
	mov bp, sp
	mov ax, [bp + 2]
	sub ax, real_tests.divide
	not ax				; a fault: 0 becomes ffff, so that "never came" differs
	mov [results.de_ip], ax
	add word [bp + 2], 2
	pop bp
	iret
on_int3:
	inc word [results.int3]
	iret
on_moved:
	mov word [results.moved], 0x60
	iret
on_limit:
	push bp
	mov bp, sp
	cmp word [bp + 2], real_tests.limit
	jne .done
	mov word [bp + 2], real_tests.after_limit
	mov word [results.limit], 1
.done:	pop bp
	iret
on_tick:
	push ax
	inc dword [results.ticks]
	mov al, 0x20
	out 0x20, al
	pop ax
	iret

protected:	dw 0x11
real_idt:	dw 0x3ff
		dd 0
moved_idt:	dw 0x3ff
		dd 0x9800

	section .text
	bits 32
	extern gdtr
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
	mov fs, ax
	mov gs, ax
	mov eax, cr0
	and al, ~1
	mov cr0, eax
	jmp 0:.real
.real:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov esp, 0x7c00
	jmp real_tests

	section .text
	bits 32
back:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	mov esp, [saved_esp]
	lidt [saved_idt]
	popad
	ret

	section .bss
saved_idt:	resb 8
saved_esp:	resd 1
