; SPDX-License-Identifier: MIT
; The way into a guest and out of it. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".

%include "core/guest_regs.inc"

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
	ENTER_FROM_C
	push	rdx
	push	rdi

	mov	rax, rsi
	vmload			; RAX

	LOAD_GUEST_REGISTERS

	vmrun			; RAX
	vmsave			; RAX

	; The host's GS base is what this_cpu() stands on, in a crash report too: first of all.
	mov	rax, [rsp + 8]
	vmload			; RAX

	mov	rax, [rsp]
	SAVE_GUEST_REGISTERS

	add	rsp, 16

	LEAVE_TO_C
