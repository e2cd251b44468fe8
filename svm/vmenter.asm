; SPDX-License-Identifier: MIT
; Enter a guest and return from it. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".

%include "core/guest_regs.inc"
%include "svm/offsets.inc"

bits 64
section .text

extern svm_exit_fastpath
extern svm_access_in_stub
extern svm_exit_in_stub

; In:       RAX  the VMCB's physical address, RDI  svm; all else of the guest but what LOAD_CLOBBERED_REGISTERS loads
;           [RSP] svm
; Out:      RDI  svm
;           EAX  enum svm_fastpath, and the flags of a comparison with 0: if not greater, the exit has not been handled
; Clobbers: what the guest changes, then as a C function
%macro ENTER_AND_TRY_FAST_PATH 0
	LOAD_CLOBBERED_REGISTERS

	vmrun			; RAX

	mov	rax, [rsp]
	mov	[rax + VCPU_RDI], rdi
	mov	rdi, rax
	SAVE_CLOBBERED_REGISTERS
	call	svm_exit_fastpath
	mov	rdi, [rsp]
	test	eax, eax
%endmacro

; enum exit_fastpath svm_vmenter(struct vcpu_svm *svm)
;
; In:       RDI  svm, whose registers enter; RAX and RSP enter through the VMCB
;           GIF = 0, RFLAGS.IF = 1: physical interrupts exit, whatever the guest's IF is
; Out:      EAX  EXIT_FASTPATH_NONE: an exit, or a failed entry, with its time in vcpu->exit_tsc;
;                EXIT_FASTPATH_EXIT_HANDLED: an exit that has been handled, after which
;                core/fastpath.h: fastpath_ends() has the loop go on.
;                In both cases the guest's registers are in svm, its RAX and RSP in its VMCB. After
;                an exit that has been handled and leaves nothing for the loop, the guest is entered
;                again from here.
;           GIF = 1, RFLAGS.IF = 0
; Clobbers: what the calling convention allows; debug registers 0-3 keep the guest's values
; Stack:    64 bytes, and what the handlers take. VMRUN restores RSP, RAX and RFLAGS only:
;           everything else is the guest's until it is loaded again, also after a failed entry.
global svm_vmenter
svm_vmenter:
	ENTER_FROM_C
	push	rdi

.load_kept:
	LOAD_KEPT_REGISTERS
.load:
	mov	rax, [rdi + VCPU_SVM_VMCB_PA]
	vmload			; RAX
	ENTER_AND_TRY_FAST_PATH
	jng	.long_way

	; As svm_entered(), once: the fast path leaves nothing for the entries after it.
	mov	rcx, [rdi + VCPU_SVM_VMCB]
	mov	qword [rcx + VMCB_EVENT_INJECTION], 0
	mov	byte [rcx + VMCB_TLB_CONTROL], TLB_KEEP
	mov	dword [rcx + VMCB_CLEAN], CLEAN_ALL

.again:
	mov	rax, [rdi + VCPU_SVM_VMCB_PA]
	ENTER_AND_TRY_FAST_PATH
	jg	.again

.long_way:
	mov	ecx, eax
	mov	rax, [rdi + VCPU_SVM_VMCB_PA]

	; this_cpu() needs the host's GS base, in a crash report too: load it first of all.
	vmsave			; RAX
	mov	rax, [rdi + VCPU_SVM_HOST_VMCB_PA]
	vmload			; RAX

	cli
	stgi
	test	ecx, ecx
	js	.access

.handler:
	SAVE_KEPT_REGISTERS
	call	svm_exit_in_stub
	cmp	eax, EXIT_FASTPATH_REENTER_GUEST
	jne	.leave
	clgi
	sti
	mov	rdi, [rsp]
	jmp	.load_kept

.access:
	call	svm_access_in_stub
	mov	rdi, [rsp]
	test	eax, eax
	jz	.handler
	cmp	eax, EXIT_FASTPATH_REENTER_GUEST
	jne	.handled
	clgi
	sti
	jmp	.load

.handled:
	SAVE_KEPT_REGISTERS
.leave:
	pop	rdi
	LEAVE_TO_C
