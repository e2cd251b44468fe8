; SPDX-License-Identifier: MIT
; What the guest's guest executes. Each piece ends with VMMCALL, which is intercepted.

	section .text
	bits 64

%macro piece 1
	global l2_%1
l2_%1:
%endmacro

piece nothing
piece vmmcall
	vmmcall
	jmp l2_vmmcall

piece cpuid
	mov eax, 1
	cpuid
	vmmcall

piece hlt
	hlt
	vmmcall

piece out
	mov al, 0x5a
	out 0x80, al
	mov dx, 0x3ff
	in al, dx
	vmmcall

; Four bytes, of which the last alone is intercepted.
piece in_cross
	mov dx, 0x7d
	in eax, dx
	vmmcall

piece rdmsr
	mov ecx, 0xc0000080
	rdmsr
	vmmcall

piece wrmsr_lstar
	mov ecx, 0xc0000082
	mov eax, 0x12345678
	mov edx, 0
	wrmsr
	rdmsr
	vmmcall

piece ud
	ud2
	vmmcall

; RBX: an address
piece read
	mov rax, [rbx]
	vmmcall

piece write
	mov [rbx], rax
	vmmcall

piece execute
	call rbx
	vmmcall

piece sti
	cli
	nop
	sti
	nop
	nop
	nop
	vmmcall

piece pauses
	mov ecx, 100
.again:	pause
	loop .again
	vmmcall

piece spin
	pause
	jmp l2_spin

piece registers
	not rbx
	not rcx
	not rdx
	not rsi
	not rdi
	not rbp
	not r8
	not r15
	vmmcall

piece clts
	clts
	vmmcall

piece cr0
	mov rax, cr0
	or eax, 8			; TS
	mov cr0, rax
	xor eax, 1 << 18		; AM
	mov cr0, rax
	vmmcall

piece cr3
	mov rax, cr3
	mov cr3, rax
	vmmcall

; A breakpoint without an IDT.
piece shutdown
	lidt [empty]
	int3
	vmmcall

piece stgi
	stgi
	vmmcall

piece vmrun
	vmrun
	vmmcall

; RAX: a physical address, of the hypervisor's.
piece vmsave
	vmsave
	vmmcall

piece cr8
	mov rax, cr8
	mov rbx, rax
	mov eax, 5
	mov cr8, rax
	mov rax, cr8
	vmmcall

piece efer
	mov ecx, 0xc0000080
	rdmsr
	and eax, ~(1 << 12)		; SVME
	wrmsr
	vmmcall

piece int80
	int 0x80
	vmmcall

piece rdtsc
	rdtsc
	shl rdx, 32
	or rax, rdx
	vmmcall

	section .data
empty:	times 10 db 0
