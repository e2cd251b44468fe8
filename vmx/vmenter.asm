; SPDX-License-Identifier: MIT
; The way into a guest and out of it. Intel SDM, "VM Entries", "VM Exits", "VMX Instructions".

%include "vmx/offsets.inc"

bits 64
section .text

; u32 vmx_vmenter(struct vcpu_vmx *vmx, bool resume)
;
; In:       RDI  vmx, whose VMCS is current and whose registers enter; RSP, RIP and RFLAGS enter
;                through the VMCS
;           ESI  VMRESUME if not 0, else VMLAUNCH
;           interrupts off; HOST_RIP = vmx_exit_point
; Out:      EAX  VMX_ENTERED: an exit, or a failed entry that has an exit reason;
;                VMX_FAIL_INVALID or VMX_FAIL_VALID: the processor refused the instruction
;           the guest's registers in vmx
; Clobbers: what the calling convention allows
; Stack:    64 bytes. An exit comes back to HOST_RSP, a refused instruction never left. Either way
;           every register but RSP may hold a value of the guest's: trust RSP and the flags only.
global vmx_vmenter
global vmx_exit_point
vmx_vmenter:
	push	rbp
	push	rbx
	push	r12
	push	r13
	push	r14
	push	r15
	push	rdi

	; VMWRITE only what changed; a refused one would show in the entry that fails after it.
	cmp	rsp, [rdi + VCPU_VMX_HOST_RSP]
	je	.host_rsp_current
	mov	eax, HOST_RSP
	vmwrite	rax, rsp
	mov	[rdi + VCPU_VMX_HOST_RSP], rsp
.host_rsp_current:
	test	esi, esi		; MOV leaves ZF alone: it decides below

	mov	rax, [rdi + VCPU_RAX]
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

	jz	.launch
	vmresume
	jmp	vmx_exit_point
.launch:
	vmlaunch

; After an exit CF and ZF are clear, after a refused instruction one of them is set. Nothing here
; changes the flags until they have been read.
vmx_exit_point:
	push	rax
	mov	rax, [rsp + 8]
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
	pop	qword [rax + VCPU_RAX]
	pop	rdi

	mov	eax, VMX_FAIL_INVALID
	jc	.out
	mov	eax, VMX_FAIL_VALID
	jz	.out
	mov	eax, VMX_ENTERED
.out:
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

; void vmx_host_nmi(void)
;
; In:       NMIs blocked by the exit that an NMI caused
; Out:      the host's NMI handler has run, and its IRET has unblocked NMIs
; Clobbers: nothing
; Stack:    the handler's own
global vmx_host_nmi
vmx_host_nmi:
	int	2
	ret
