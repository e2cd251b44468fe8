; SPDX-License-Identifier: MIT
; Relies on what a BIOS leaves: real mode, interrupts that arrive without any set-up, and the BIOS data area. It counts
; checks as the other guests do, writes to the text screen, and ends with debug exit 0.
	org 0x7c00
	bits 16

%macro check 2				; a condition that is true where the check holds, its number
	j%-1 %%failed
	inc byte [passed]
	jmp %%done
%%failed:
	mov al, '0' + %2
	call failed_check
%%done:
%endmacro

	cld
	xor ax, ax
	mov ds, ax
	mov word [0x1c * 4], on_tick
	mov word [0x1c * 4 + 2], ax
	mov ax, [0x46c]
	mov [before], ax

	; 3 halts, each until the next timer interrupt: nothing else is due, and none comes before 1/18 s
	sti
	hlt
	hlt
	hlt
	cli
	mov ax, [0x46c]
	sub ax, [before]
	cmp ax, 3
	check e, 1			; the data area's tick count
	cmp byte [ticks], 3
	check e, 2			; INT 1Ch
	in al, 0x21
	test al, 1
	check z, 3			; the timer's interrupt is not masked
	mov al, 0x0b
	out 0x20, al
	in al, 0x20
	test al, al
	check z, 4			; the handler has ended each interrupt
	cmp word [0x413], 639
	check e, 5			; KiB of base memory, up to
	cmp word [0x40e], 0x9fc0
	check e, 6			; the extended data area
	cmp word [0x400], 0x3f8
	check e, 7			; COM1
	cmp byte [0x449], 3
	check e, 8			; 80 columns of text

	; an RTC interrupt, which comes by the second 8259 and vector 70h
	mov al, 0x8b
	out 0x70, al
	in al, 0x71
	or al, 0x40			; periodic, at 1024 Hz as the BIOS sets it
	mov ah, al
	mov al, 0x8b
	out 0x70, al
	mov al, ah
	out 0x71, al
	mov al, 0xfe
	out 0xa1, al
	mov al, 0xfb			; only the cascade
	out 0x21, al
	sti
	hlt
	hlt
	cli
	mov al, 0x0b
	out 0xa0, al
	in al, 0xa0
	test al, al
	check z, 9

	mov ax, 0xb800
	mov es, ax
	mov di, 160			; the second line of the screen
	mov si, screen
	mov ah, 7
.cell:	lodsb
	stosw
	cmp al, '.'
	jne .cell

	mov si, name
	call print
	mov al, [passed]
	add al, '0'
	call put
	mov si, end
	call print
	mov al, [failures]
	add al, '0'
	call put
	mov si, end.failed
	call print
	mov al, [failures]
	mov dx, 0xf4
	out dx, al
	cli
	hlt

on_tick:
	inc byte [cs:ticks]
	iret

; In: AL  the check's digit
failed_check:
	inc byte [failures]
	push ax
	mov si, fail
	call print
	pop ax
	call put
	mov al, 10
	jmp put

; In: SI  text, up to a 0
print:
	lodsb
	test al, al
	jz .end
	call put
	jmp print
.end:
	ret

put:
	mov dx, 0x3f8
	out dx, al
	ret

name:	db "guest biosticks: ", 0
end:	db " passed, ", 0
.failed: db " failed", 10, 0
fail:	db "FAIL check ", 0
screen:	db "on the screen."
before:	dw 0
ticks:	db 0
passed:	db 0
failures: db 0
	times 510 - ($ - $$) db 0
	dw 0xaa55
