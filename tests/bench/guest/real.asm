; SPDX-License-Identifier: MIT
; One operation in real mode: the flat program leaves protected mode for it and comes back. IF is 0, and paging is off.
; u32 real_run(u32 operation), cdecl: ticks from one RDTSC to the next. REAL_... in real.c are the operations' numbers.

%if BITS = 32
%define PLACE	 0x8000			; below 1 MiB, where nothing else is
%define STACK	 0x7000
%define CODE32	 0x08
%define DATA32	 0x10
%define CODE16	 0x18
%define DATA16	 0x20
%define HERE(at) (PLACE + (at) - real_code)

	section .data
	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00009b000000ffff, 0x000093000000ffff
gdt_pointer:
	dw gdt_pointer - gdt - 1
	dd gdt

	section .bss
old_gdt:   resb 6
	alignb 4
old_stack: resd 1
old_ss:	   resd 1
old_cs:	   resd 1

	section .text
	bits 32
	global real_run
real_run:
	push ebp
	push ebx
	push esi
	push edi
	mov ebp, [esp + 20]
	mov [old_stack], esp
	mov [old_ss], ss
	mov [old_cs], cs
	sgdt [old_gdt]
	mov esi, real_code
	mov edi, PLACE
	mov ecx, real_end - real_code
	rep movsb
	lgdt [gdt_pointer]
	jmp CODE16:PLACE

back:
	mov ax, DATA32
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, ebp
	mov esp, [old_stack]
	lgdt [old_gdt]
	mov ecx, [old_ss]
	mov ds, cx
	mov es, cx
	mov ss, cx
	push dword [old_cs]
	push dword .reloaded
	retf
.reloaded:
	pop edi
	pop esi
	pop ebx
	pop ebp
	ret

; What follows is copied to PLACE. EBP is the operation, and in the end the ticks.
	bits 16
	align 64
real_code:
	mov ax, DATA16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, cr0
	and al, ~1
	mov cr0, eax
	jmp 0:HERE(.in_real_mode)
.in_real_mode:
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, STACK
	mov si, bp
	shl si, 6
	add si, HERE(operations)
	jmp si

finish:
	mov ebp, eax
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword CODE32:back

; 64 bytes each.
%macro operation 2+
	align 64
	rdtsc
	mov edi, eax
	%1
	%2
	rdtsc
	sub eax, edi
	jmp finish
%endmacro
	align 64
operations:
	operation {xor eax, eax}, cpuid
	operation {xor eax, eax}, {}
	operation {mov dx, 0x3fd}, {in al, dx}
	operation {mov dx, 0x1e0}, {out dx, al}
	operation {mov dx, 0x1e0}, {}
real_end:
%endif
