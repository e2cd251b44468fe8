; SPDX-License-Identifier: MIT
; Where a CPU begins after a SIPI: in real mode, at the start of a page below 1 MiB, which trampoline_at() has
; copied it to. Notes the state that it finds, and goes to long mode, to ap_main() on this CPU's own stack.

%include "long_mode.inc"

	extern gdt, pml4, ap_main, smp_stacks, smp_index_of

	section .rodata
	global trampoline, trampoline_end, trampoline_state
	bits 16
trampoline:
	mov [cs:state.ds - trampoline], ds	; before the first instruction that changes anything
	mov [cs:state.ss - trampoline], ss
	mov [cs:state.cs - trampoline], cs
	mov [cs:state.es - trampoline], es
	mov [cs:state.fs - trampoline], fs
	mov [cs:state.gs - trampoline], gs
	mov [cs:state.edx - trampoline], edx
	mov ax, cs				; flags are not changed before they are noted
	mov ds, ax
	mov ss, ax
	mov esp, 0x1000
	pushfd
	pop dword [state.flags - trampoline]
	cli
	cld
	xor ebx, ebx
	mov bx, cs
	shl ebx, 4
	mov eax, cr0
	mov [state.cr0 - trampoline], eax
	mov eax, cr4
	mov [state.cr4 - trampoline], eax
	mov ecx, 0xc0000080			; EFER
	rdmsr
	mov [state.efer - trampoline], eax
	mov eax, cr0
	o32 lgdt [.gdtr - trampoline]
	or eax, 1				; PE
	and eax, ~0x60000000			; CD, NW
	mov cr0, eax
	jmp dword 0x08:ap32
	align 8
.gdtr:	dw 127
	dd gdt
	align 4
trampoline_state:
state:
.cs:	dd 0
.cr0:	dd 0
.flags:	dd 0
.edx:	dd 0
.ds:	dd 0
.es:	dd 0
.ss:	dd 0
.fs:	dd 0
.gs:	dd 0
.cr4:	dd 0
.efer:	dd 0
trampoline_end:

	section .text
	bits 32
; EBX = the trampoline's page.
ap32:
	mov ax, 0x10
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov fs, ax
	mov gs, ax
	enter_long_mode ap64
	mov r12d, ebx
	mov eax, 1
	cpuid
	shr ebx, 24
	movzx edi, byte [smp_index_of + rbx]	; by the initial APIC ID
	mov eax, edi
	inc eax
	shl eax, 14				; STACK_SIZE
	lea rsp, [smp_stacks + rax]
	mov esi, r12d
	call ap_main
	ud2
