; SPDX-License-Identifier: MIT
; A boot sector as many write their first: it prints by INT 10h, which is to end the VM with words. It is not the first
; that accesses ports: the speaker's is read before.
	org 0x7c00
	bits 16
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	in al, 0x61
	in al, 0x61
	mov si, text
.next:	lodsb
	test al, al
	jz .stop
	mov ah, 0x0e
	mov bx, 7
	int 0x10
	jmp .next
.stop:	cli
	hlt
text:	db "Hello", 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
