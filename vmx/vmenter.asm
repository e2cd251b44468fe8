; SPDX-License-Identifier: MIT
; VM entry and VM exit. Intel SDM, "VM Entries", "VM Exits", "VMX Instructions".

%include "core/guest_regs.inc"
%include "vmx/offsets.inc"

bits 64
section .text

extern vmx_exit_fastpath
extern vmx_exit_in_stub

; enum exit_fastpath vmx_vmenter(struct vcpu_vmx *vmx, bool resume)
;
; In:       RDI  vmx, whose VMCS is current. The guest gets RSP, RIP and RFLAGS from the VMCS, all
;                other general registers from vmx
;           ESI  VMRESUME if not 0, else VMLAUNCH
;           interrupts off; HOST_RIP = vmx_exit_point
; Out:      EAX  EXIT_FASTPATH_NONE: an exit, or a failed entry that has an exit reason; reason and
;                time are in vmx;
;                EXIT_FASTPATH_EXIT_HANDLED: an exit that has been handled, after which
;                core/fastpath.h: fastpath_ends() has the loop go on, or a handled exit for the host;
;                EXIT_FASTPATH_ENTRY_FAILED: VMfail; vmx->vmfail_valid says which kind.
;                In all cases the guest's registers are in vmx. After an exit that has been handled
;                and leaves nothing for the loop, the guest is entered again from here.
; Clobbers: what the calling convention allows
; Stack:    64 bytes, and what the handlers take. An exit loads RSP from HOST_RSP, VMfail does not
;           change it. In both cases every other register may hold a guest value: trust RSP and the
;           flags only.
global vmx_vmenter
global vmx_exit_point
vmx_vmenter:
	ENTER_FROM_C
	push	rdi

	; VMWRITE only if RSP has changed. Not checked: if it is refused, the entry fails, too.
	cmp	rsp, [rdi + VCPU_VMX_HOST_RSP]
	je	.host_rsp_current
	mov	eax, HOST_RSP
	vmwrite	rax, rsp
	mov	[rdi + VCPU_VMX_HOST_RSP], rsp
.host_rsp_current:
	LOAD_KEPT_REGISTERS
	test	esi, esi
	jnz	.resume

	mov	rax, [rdi + VCPU_RAX]
	LOAD_CLOBBERED_REGISTERS
	vmlaunch
	jmp	.refused

.load:
	LOAD_KEPT_REGISTERS
.resume:
	mov	rax, [rdi + VCPU_RAX]
	LOAD_CLOBBERED_REGISTERS
	vmresume

; ZF is VMfailValid, CF is VMfailInvalid. After the fast path vmx lacks the registers that it keeps.
.refused:
	pop	rdi
	SAVE_KEPT_REGISTERS
	setz	[rdi + VCPU_VMX_VMFAIL_VALID]
	mov	eax, EXIT_FASTPATH_ENTRY_FAILED
	jmp	vmx_out

vmx_exit_point:
	push	rdi
	mov	rdi, [rsp + 8]
	mov	[rdi + VCPU_RAX], rax
	SAVE_CLOBBERED_REGISTERS
	pop	qword [rdi + VCPU_RDI]

	call	vmx_exit_fastpath
	mov	rdi, [rsp]
	cmp	eax, EXIT_FASTPATH_REENTER_GUEST
	je	vmx_vmenter.resume

	SAVE_KEPT_REGISTERS
	test	eax, eax
	jnz	.leave
	call	vmx_exit_in_stub
	mov	rdi, [rsp]
	cmp	eax, EXIT_FASTPATH_REENTER_GUEST
	je	vmx_vmenter.load

.leave:
	pop	rdi
vmx_out:
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
