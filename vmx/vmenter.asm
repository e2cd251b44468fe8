; SPDX-License-Identifier: MIT
; The way into a guest and out of it. Intel SDM, "VM Entries", "VM Exits", "VMX Instructions".

%include "core/guest_regs.inc"
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
	ENTER_FROM_C
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
	LOAD_GUEST_REGISTERS

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
	SAVE_GUEST_REGISTERS
	pop	qword [rax + VCPU_RAX]
	pop	rdi

	mov	eax, VMX_FAIL_INVALID
	jc	.out
	mov	eax, VMX_FAIL_VALID
	jz	.out
	mov	eax, VMX_ENTERED
.out:
	LEAVE_TO_C

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
