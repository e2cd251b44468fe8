; SPDX-License-Identifier: MIT
; Into the guest of this guest, and back at its exit.
bits 64
section .text

HOST_RSP equ 0x6c14

; u64 l2_enter(u64 registers[16], bool resume, u64 *host_rsp)
;
; In:       registers  RAX, RCX, RDX, RBX, (RSP), RBP, RSI, RDI, R8 to R15 of the guest; a VMCS is current
;           host_rsp  NULL, or where HOST_RSP is in memory
; Out:      0 after an exit, with the guest's registers stored; else RFLAGS after the VMfail
; HOST_RIP is l2_exit.
global l2_enter
global l2_exit
l2_enter:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi
	test	rdx, rdx
	jnz	.memory
	mov	rax, HOST_RSP
	vmwrite	rax, rsp
	jmp	.registers
.memory:
	mov	[rdx], rsp
.registers:
	test	esi, esi
	mov	rax, [rdi]
	mov	rcx, [rdi + 8]
	mov	rdx, [rdi + 16]
	mov	rbx, [rdi + 24]
	mov	rbp, [rdi + 40]
	mov	rsi, [rdi + 48]
	mov	r8, [rdi + 64]
	mov	r9, [rdi + 72]
	mov	r10, [rdi + 80]
	mov	r11, [rdi + 88]
	mov	r12, [rdi + 96]
	mov	r13, [rdi + 104]
	mov	r14, [rdi + 112]
	mov	r15, [rdi + 120]
	mov	rdi, [rdi + 56]
	jnz	.resume
	vmlaunch
	jmp	.failed
.resume:
	vmresume
.failed:
	pushfq
	pop	rax
	pop	rdi
	jmp	out
l2_exit:
	push	rdi
	mov	rdi, [rsp + 8]
	mov	[rdi], rax
	mov	[rdi + 8], rcx
	mov	[rdi + 16], rdx
	mov	[rdi + 24], rbx
	mov	[rdi + 40], rbp
	mov	[rdi + 48], rsi
	pop	rax
	mov	[rdi + 56], rax
	mov	[rdi + 64], r8
	mov	[rdi + 72], r9
	mov	[rdi + 80], r10
	mov	[rdi + 88], r11
	mov	[rdi + 96], r12
	mov	[rdi + 104], r13
	mov	[rdi + 112], r14
	mov	[rdi + 120], r15
	pop	rdi
	xor	eax, eax
out:
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret
