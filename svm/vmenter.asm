; SPDX-License-Identifier: MIT
; The way into a guest and out of it. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".

%include "core/guest_regs.inc"
%include "svm/offsets.inc"

bits 64
section .text

extern svm_instant_exit
extern svm_answer_exit

; enum stub_answer svm_vmenter(struct vcpu_svm *svm)
;
; In:       RDI  svm, whose registers enter; RAX and RSP enter through the VMCB
;           GIF = 0, RFLAGS.IF = 1: physical interrupts exit, whatever the guest's IF is
; Out:      EAX  STUB_LEAVE: an exit, or a failed entry, with its time in vcpu->exit_tsc;
;                STUB_HANDLED: an exit that was handled already.
;                In both cases the guest's registers in svm, its RAX and RSP in its VMCB.
;                Exits that are handled while nothing waits do not come back here.
;           GIF, IF: either
; Clobbers: what the calling convention allows; debug registers 0-3 keep the guest's values
; Stack:    64 bytes, and what the handlers take. VMRUN restores RSP, RAX and RFLAGS only:
;           everything else is the guest's until it is loaded again, also after a failed entry.
global svm_vmenter
svm_vmenter:
	ENTER_FROM_C
	push	rdi

.load:
	mov	rax, [rdi + VCPU_SVM_VMCB_PA]
	vmload			; RAX

.enter:
	LOAD_GUEST_REGISTERS

	vmrun			; RAX

	mov	rax, [rsp]
	SAVE_GUEST_REGISTERS

	mov	rdi, rax
	call	svm_instant_exit
	mov	rdi, [rsp]
	test	al, al
	mov	rax, [rdi + VCPU_SVM_VMCB_PA]
	jnz	.enter

	; The host's GS base is what this_cpu() stands on, in a crash report too: first of all.
	vmsave			; RAX
	mov	rax, [rdi + VCPU_SVM_HOST_VMCB_PA]
	vmload			; RAX

	cli
	stgi
	call	svm_answer_exit
	cmp	eax, STUB_AGAIN
	jne	.leave
	clgi
	sti
	mov	rdi, [rsp]
	jmp	.load

.leave:
	pop	rdi
	LEAVE_TO_C
