; SPDX-License-Identifier: MIT
; The switch between the boot CPU's own stack and that of the service thread (core/service.c).

bits 64
section .text

; void service_switch(u64 *old_stack, u64 new_stack)
;
; In:       RDI  where the stack pointer is stored
;           RSI  the stack pointer to go on with: what an earlier call stored, or what service_create() made
; Out:      returns on the new stack, to where that was left
; Clobbers: what the calling convention allows
; Stack:    48 bytes on the old one
global service_switch
service_switch:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	mov	[rdi], rsp
	mov	rsp, rsi
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	ret

; In:       RBX  the thread's function
; Out:      never returns
; Clobbers: everything
; Stack:    empty
global service_begin
service_begin:
	call	rbx
	ud2
