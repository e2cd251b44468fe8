; SPDX-License-Identifier: MIT
; The guest's BIOS: real-mode code that serves hardware interrupts as a BIOS does, and reports all else. It is linked as
; data, and copied into the guest's memory at F000:BIOS_OFFSET by core/load/bios.c.

%define BIOS_OFFSET	0xe000		; BIOS_ROM in core/load/bios.h, as an offset in segment F000
%define BIOS_PORT	0xb2		; and BIOS_PORT
%define BIOS_DATA	0x40		; segment of the BIOS data area
%define TICKS		0x6c		; in it: timer ticks since midnight
%define MIDNIGHT	0x70		; 1 after midnight
%define TICKS_A_DAY	0x1800b0
%define PIC1		0x20
%define PIC2		0xa0
%define EOI		0x20
%define READ_ISR	0x0b
%define VECTOR_SIZE	4

%define at(label)	(label - bios_rom + BIOS_OFFSET)

bits 16
section .rodata

; Vector n at 4 * n: the OUT ends the VM, with words that core/bios_call.c makes from the stack and the registers.
global bios_rom
bios_rom:
%rep 256
	out	BIOS_PORT, al
	jmp	short $
%endrep

; IRQ 0, 18.2 times a second. INT 1Ch is for the guest's own use.
timer:
	push	ds
	push	eax
	mov	ax, BIOS_DATA
	mov	ds, ax
	mov	eax, [TICKS]
	inc	eax
	cmp	eax, TICKS_A_DAY
	jb	.store
	xor	eax, eax
	mov	byte [MIDNIGHT], 1
.store:
	mov	[TICKS], eax
	int	0x1c
	mov	al, EOI
	out	PIC1, al
	pop	eax
	pop	ds
	iret

; IRQ 1: the scan code is dropped.
keyboard:
	push	ax
	in	al, 0x60
	mov	al, EOI
	out	PIC1, al
	pop	ax
	iret

; IRQ 2 to 7. Their vectors are those of exceptions, too: it is an interrupt if the 8259 has it in service.
%assign irq 2
%rep 6
serve %+ irq:
	push	ax
	mov	al, READ_ISR
	out	PIC1, al
	in	al, PIC1
	test	al, 1 << irq
	mov	al, EOI
%if irq == 7
	jz	return				; a spurious interrupt
%else
	jz	exception %+ irq
%endif
	out	PIC1, al
	pop	ax
	iret
%if irq != 7
exception %+ irq:
	pop	ax
	jmp	bios_rom + VECTOR_SIZE * (8 + irq)
%endif
%assign irq irq + 1
%endrep

; IRQ 8: the RTC raises no other one before its register C is read.
rtc:
	push	ax
	mov	al, 0x0c
	out	0x70, al
	in	al, 0x71
	jmp	end_of_slave

; IRQ 9 to 15.
slave:
	push	ax
end_of_slave:
	mov	al, READ_ISR
	out	PIC2, al
	in	al, PIC2
	test	al, al
	mov	al, EOI
	jz	.master				; a spurious interrupt, but for the master
	out	PIC2, al
.master:
	out	PIC1, al
return:
	pop	ax
ignore:
	iret

; F000:FFF0, where a processor starts after a reset: an 8042's pulse resets the machine.
reset:
	mov	al, 0xfe
	out	0x64, al
	jmp	short $

global bios_rom_end
bios_rom_end:

global bios_rom_top
bios_rom_top:					; the last 16 bytes of the segment
	jmp	near $ + at(reset) - 0xfff0
	times 5 - ($ - bios_rom_top) nop
	db	"01/01/26", 0			; the BIOS' date
	db	0xfc				; model: AT
	db	0

; struct bios_handler in core/load/bios.c: the vectors that do not end the VM.
%macro handler 3				; first vector, how many, code
	db	%1, %2
	dw	at(%3)
%endmacro

global bios_handlers
bios_handlers:
	handler	0x08, 1, timer
	handler	0x09, 1, keyboard
	handler	0x0a, 1, serve2
	handler	0x0b, 1, serve3
	handler	0x0c, 1, serve4
	handler	0x0d, 1, serve5
	handler	0x0e, 1, serve6
	handler	0x0f, 1, serve7
	handler	0x1b, 2, ignore			; Ctrl-Break and the timer's tick, for the guest's own use
	handler	0x70, 1, rtc
	handler	0x71, 7, slave
global bios_handlers_end
bios_handlers_end:
