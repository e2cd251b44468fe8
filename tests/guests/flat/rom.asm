; SPDX-License-Identifier: MIT
; A PC firmware's ROM that never leaves the end of the first 4 GiB: what a processor finds after a reset, that the ROM is read
; and executed there and cannot be written, and that its copy below 1 MiB can be.
	org 0
	bits 16

SIZE	equ 0x10000
ROM	equ 0xffff0000		; the base of CS
SHADOW	equ 0xf000		; the copy's segment
COM1	equ 0x3f8
EXIT	equ 0xf4
STACK	equ 0x7c00

; Passed if ZF is set.
%macro check 1
	mov si, %%text
	mov cx, %%end - %%text
	call report
	jmp %%end
%%text:	db %1, 10
%%end:
%endmacro

start:
	mov eax, cr0
	xor bx, bx
	mov ss, bx
	mov sp, STACK
	xor bp, bp		; failed
	xor di, di		; passed
	cmp eax, 0x60000010
	check "CR0 after a reset"
	mov ax, cs
	cmp ax, 0xf000
	check "CS after a reset"

	mov ax, SHADOW
	mov es, ax
	mov eax, [cs:marker]
	cmp eax, [es:marker]
	check "the copy below 1 MiB"
	mov byte [es:start], 0
	cmp byte [es:start], 0
	check "... can be written"
	cmp byte [cs:start], 0x0f
	check "... and the ROM stays as it is"

	; Big real mode: DS with base 0 and 4 GiB. The descriptor is marked as accessed already.
	o32 lgdt [cs:gdtr]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	mov bx, 8
	mov ds, bx
	and al, 0xfe
	mov cr0, eax
	mov ebx, ROM + marker
	cmp dword [ebx], "ROM!"
	check "the ROM's bytes at the end of the first 4 GiB"
	mov dword [ebx], 0
	cmp dword [ebx], "ROM!"
	check "... after MOV"
	add dword [ebx], 1
	cmp dword [ebx], "ROM!"
	check "... after ADD"
	mov eax, 1
	xchg [ebx], eax
	cmp eax, "ROM!"
	check "what XCHG reads"
	cmp dword [ebx], "ROM!"
	check "... and does not write"

	cmp di, 10
	jne .failed
	mov si, verdict
	mov cx, verdict_end - verdict
	call print
.failed:
	mov ax, bp
	out EXIT, al
	hlt

report:	push si
	push cx
	mov si, passed
	jz .print
	mov si, failed
	inc bp
	dec di
.print:	inc di
	mov cx, 5
	call print
	pop cx
	pop si

; The bytes at CS:SI, by OUTS where DS can reach them.
print:	mov dx, COM1
	mov ax, ds
	cmp ax, 8
	je .string
.next:	mov al, [cs:si]
	inc si
	out dx, al
	loop .next
	ret
.string:
	movzx esi, si
	add esi, ROM
	movzx ecx, cx
	a32 rep outsb
	ret

passed:	 db "PASS "
failed:	 db "FAIL "
verdict: db "guest rom: 10 passed, 0 failed", 10
verdict_end:
marker:	 db "ROM!"
	align 8
gdt:	dq 0, 0x00cf93000000ffff
gdtr:	dw $ - gdt - 1
	dd ROM + gdt

	times SIZE - 16 - ($ - $$) db 0xff
	jmp start
	times SIZE - ($ - $$) db 0xff
