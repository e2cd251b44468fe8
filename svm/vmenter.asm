; SPDX-License-Identifier: MIT
; The way into a guest and out of it. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".

%include "svm/offsets.inc"

bits 64
section .text

; void svm_vmenter(struct vcpu *vcpu, u64 vmcb_pa, u64 host_vmcb_pa)
;
; In:       RDI  vcpu, whose registers enter; RAX and RSP enter through the VMCB
;           RSI  physical address of the guest's VMCB
;           RDX  physical address of the VMCB that holds the host's VMSAVE state
;           GIF = 0, RFLAGS.IF = 1: physical interrupts exit, whatever the guest's IF is
; Out:      the guest's registers in vcpu; its RAX and RSP in its VMCB
; Clobbers: what the calling convention allows; debug registers 0-3 keep the guest's values
; Stack:    72 bytes. VMRUN restores RSP, RAX and RFLAGS only: everything else is the guest's
;           until it is loaded again, also after a failed entry.
global svm_vmenter
svm_vmenter:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdx
	push	rdi

	mov	rax, rsi
	vmload			; RAX

	mov	rcx, [rdi + VCPU_RCX]
	mov	rdx, [rdi + VCPU_RDX]
	mov	rbx, [rdi + VCPU_RBX]
	mov	rbp, [rdi + VCPU_RBP]
	mov	rsi, [rdi + VCPU_RSI]
	mov	r8, [rdi + VCPU_R8]
	mov	r9, [rdi + VCPU_R9]
	mov	r10, [rdi + VCPU_R10]
	mov	r11, [rdi + VCPU_R11]
	mov	r12, [rdi + VCPU_R12]
	mov	r13, [rdi + VCPU_R13]
	mov	r14, [rdi + VCPU_R14]
	mov	r15, [rdi + VCPU_R15]
	mov	rdi, [rdi + VCPU_RDI]

	vmrun			; RAX
	vmsave			; RAX

	; The host's GS base is what this_cpu() stands on, in a crash report too: first of all.
	mov	rax, [rsp + 8]
	vmload			; RAX

	mov	rax, [rsp]
	mov	[rax + VCPU_RCX], rcx
	mov	[rax + VCPU_RDX], rdx
	mov	[rax + VCPU_RBX], rbx
	mov	[rax + VCPU_RBP], rbp
	mov	[rax + VCPU_RSI], rsi
	mov	[rax + VCPU_RDI], rdi
	mov	[rax + VCPU_R8], r8
	mov	[rax + VCPU_R9], r9
	mov	[rax + VCPU_R10], r10
	mov	[rax + VCPU_R11], r11
	mov	[rax + VCPU_R12], r12
	mov	[rax + VCPU_R13], r13
	mov	[rax + VCPU_R14], r14
	mov	[rax + VCPU_R15], r15

	add	rsp, 16

	; No value of the guest's goes on in a register that C code may read by accident.
	xor	ecx, ecx
	xor	edx, edx
	xor	esi, esi
	xor	edi, edi
	xor	r8d, r8d
	xor	r9d, r9d
	xor	r10d, r10d
	xor	r11d, r11d
	pop	r15
	pop	r14
	pop	r13
	pop	r12
	pop	rbx
	pop	rbp
	cld
	ret
