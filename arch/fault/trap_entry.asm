; SPDX-License-Identifier: MIT
;
; The entry points of exceptions and interrupts: one stub for each vector, all of which
; build a struct trap_frame (arch/fault/trap.h) and call trap_dispatch().

%include "arch/offsets.inc"

extern trap_dispatch
extern lapic_registers
global trap_stubs

section .text

; In:       as the processor leaves the stack: [error code] RIP CS RFLAGS RSP SS
; Out:      trap_common with error code and vector pushed
; Clobbers: nothing
; Stack:    8 or 16 bytes
%macro TRAP_STUB 1
trap_stub_%1:
	%if !(%1 == 8 || (%1 >= 10 && %1 <= 14) || %1 == 17 || %1 == 21 || %1 == 29 || %1 == 30)
	push	0			; this vector has no error code
	%endif
	push	%1
	jmp	trap_common
%endmacro

%assign vector 0
%rep 256
	TRAP_STUB vector
	%assign vector vector + 1
%endrep

; The vector that does nothing but end a guest's turn: only the EOI.
; In:       as the processor leaves the stack: RIP CS RFLAGS RSP SS
; Out:      returns to the interrupted code
; Clobbers: nothing
; Stack:    24 bytes
trap_stub_force_exit:
	push	rax
	mov	rax, [rel lapic_registers]
	test	rax, rax
	jz	.x2apic
	mov	dword [rax + LAPIC_EOI_OFFSET], 0
	pop	rax
	iretq
.x2apic:
	push	rcx
	push	rdx
	mov	ecx, MSR_X2APIC_EOI
	xor	eax, eax
	xor	edx, edx
	wrmsr
	pop	rdx
	pop	rcx
	pop	rax
	iretq

; The processor aligned RSP to 16 before it pushed 5 words; with error code, vector and 15 registers
; it is aligned again for the call.
; In:       vector and error code on the stack; interrupts off
; Out:      returns to the interrupted code, at the frame's RIP, which the handler may have changed
; Clobbers: nothing
; Stack:    15 words, then trap_dispatch()
trap_common:
	push	rax
	push	rbx
	push	rcx
	push	rdx
	push	rsi
	push	rdi
	push	rbp
	push	r8
	push	r9
	push	r10
	push	r11
	push	r12
	push	r13
	push	r14
	push	r15
	cld
	mov	rdi, rsp
	xor	ebp, ebp		; ends the chain: a backtrace continues from the trap frame
	call	trap_dispatch
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	r11
	pop	r10
	pop	r9
	pop	r8
	pop	rbp
	pop	rdi
	pop	rsi
	pop	rdx
	pop	rcx
	pop	rbx
	pop	rax
	add	rsp, 16			; vector, error code
	iretq

section .rodata
align 8
trap_stubs:
%assign vector 0
%rep 256
	%if vector == IRQ_VECTOR_FORCE_EXIT
	dq trap_stub_force_exit
	%else
	dq trap_stub_ %+ vector
	%endif
	%assign vector vector + 1
%endrep
