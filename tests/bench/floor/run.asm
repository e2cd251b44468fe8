; SPDX-License-Identifier: MIT
; The two loops. Only general registers are saved and loaded.

	section .text
	bits 64
	extern floor_svm_exit, floor_vmx_exit, floor_vmx_refused
	global floor_svm_run, floor_vmx_launch, floor_vmx_exit_point

%define HOST_RSP 0x6c14

%macro SAVE 0
	push rcx
	push rdx
	push rbx
	push rbp
	push rsi
	push rdi
%assign reg 8
%rep 8
	push r %+ reg
%assign reg reg + 1
%endrep
%endmacro

%macro LOAD 0
%assign reg 15
%rep 8
	pop r %+ reg
%assign reg reg - 1
%endrep
	pop rdi
	pop rsi
	pop rbp
	pop rbx
	pop rdx
	pop rcx
%endmacro

; void floor_svm_run(struct vmcb *vmcb)
; In: RDI. Does not return. Stack: 120 bytes; RSP and RAX are switched by VMRUN.
floor_svm_run:
	push rdi
.enter:
	mov rax, [rsp]
	vmrun
	SAVE
	mov rdi, rax
	mov rsi, rsp
	call floor_svm_exit
	LOAD
	jmp .enter

; void floor_vmx_launch(void)
; In: a current VMCS, complete but for HOST_RSP. Does not return. Stack: 128 bytes.
floor_vmx_launch:
	mov eax, HOST_RSP
	vmwrite rax, rsp
	vmlaunch
	call floor_vmx_refused

; Where each exit arrives, with the stack pointer of floor_vmx_launch.
floor_vmx_exit_point:
	push rax
	SAVE
	mov rdi, rsp
	call floor_vmx_exit
	LOAD
	pop rax
	vmresume
	call floor_vmx_refused
