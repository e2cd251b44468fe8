; SPDX-License-Identifier: MIT
; What the guest's guest executes, from any byte on: copied to a place of its own.

	section .text
	bits 64
	global code, code_end
code:
	cpuid
	rdtsc
	mov ecx, 0xc0000080
	rdmsr
	mov ecx, 0xc0000082
	rdmsr
	wrmsr
	mov rax, cr0
	mov cr0, rax
	mov rax, cr4
	mov cr4, rax
	mov rax, cr3
	mov cr3, rax
	mov rax, cr8
	mov cr8, rax
	mov rax, dr7
	out 0x80, al
	in eax, 0x7f
	push rax
	popf
	pushf
	sti
	nop
	cli
	int 0x80
	lea rdi, [rel code + 0x1000]
	mov [rdi], rax
	mov ecx, 4
	rep stosb
	pause
	clgi
	stgi
	vmload
	vmsave
	invlpga rax, ecx
	clts
	wbinvd
	hlt
	vmmcall
	jmp code
code_end:
