; SPDX-License-Identifier: MIT
;
; The way into and out of an instruction that native_run() executes: arch/fault/native.h.

bits 64
section .text

global native_enter
global native_left
global native_faulted

; The status flags: CF, PF, AF, ZF, SF, OF.
STATUS_FLAGS equ 0x8d5

; int native_enter(struct native_regs *regs, u64 code)
;
; In:       RDI  the registers of the instruction; RSI  where it is. Behind it is a jump to native_left
; Out:      EAX  0: done, *regs has the results; 1: it faulted, *regs is unchanged
; Clobbers: what the calling convention allows
; Stack:    9 words, and what an exception takes
native_enter:
	push	rbx
	push	rbp
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi
	push	rsi
	pushfq
	pop	rax
	and	eax, ~STATUS_FLAGS
	mov	ecx, [rdi + 16 * 8]
	and	ecx, STATUS_FLAGS
	or	eax, ecx
	push	rax
	popfq
	mov	rax, [rdi + 0 * 8]
	mov	rcx, [rdi + 1 * 8]
	mov	rdx, [rdi + 2 * 8]
	mov	rbx, [rdi + 3 * 8]
	mov	rbp, [rdi + 5 * 8]
	mov	rsi, [rdi + 6 * 8]
	mov	r8, [rdi + 8 * 8]
	mov	r9, [rdi + 9 * 8]
	mov	r10, [rdi + 10 * 8]
	mov	r11, [rdi + 11 * 8]
	mov	r12, [rdi + 12 * 8]
	mov	r13, [rdi + 13 * 8]
	mov	r14, [rdi + 14 * 8]
	mov	r15, [rdi + 15 * 8]
	mov	rdi, [rdi + 7 * 8]
	jmp	[rsp]

; In:       the instruction's results; the stack as native_enter left it
native_left:
	push	rdi
	mov	rdi, [rsp + 16]
	mov	[rdi + 0 * 8], rax
	mov	[rdi + 1 * 8], rcx
	mov	[rdi + 2 * 8], rdx
	mov	[rdi + 3 * 8], rbx
	mov	[rdi + 5 * 8], rbp
	mov	[rdi + 6 * 8], rsi
	pop	qword [rdi + 7 * 8]
	mov	[rdi + 8 * 8], r8
	mov	[rdi + 9 * 8], r9
	mov	[rdi + 10 * 8], r10
	mov	[rdi + 11 * 8], r11
	mov	[rdi + 12 * 8], r12
	mov	[rdi + 13 * 8], r13
	mov	[rdi + 14 * 8], r14
	mov	[rdi + 15 * 8], r15
	pushfq
	pop	qword [rdi + 16 * 8]
	xor	eax, eax
	jmp	leave

; In:       the stack as native_enter left it
native_faulted:
	mov	eax, 1
leave:
	add	rsp, 16
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbp
	pop	rbx
	ret

section .note.GNU-stack noalloc noexec nowrite progbits
