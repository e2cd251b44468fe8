; SPDX-License-Identifier: MIT
; VMRUN, with the guest's registers in l2. AMD APM vol. 2, "VMRUN Instruction", "VMSAVE and VMLOAD Instructions".

	section .text
	bits 64
	extern vmcb, host_vmcb, l2
	global vmrun, vmrun_with_gif

%macro exchange 0
	xchg rbx, [l2]
	xchg rcx, [l2 + 8]
	xchg rdx, [l2 + 16]
	xchg rsi, [l2 + 24]
	xchg rdi, [l2 + 32]
	xchg rbp, [l2 + 40]
	xchg r8, [l2 + 48]
	xchg r9, [l2 + 56]
	xchg r10, [l2 + 64]
	xchg r11, [l2 + 72]
	xchg r12, [l2 + 80]
	xchg r13, [l2 + 88]
	xchg r14, [l2 + 96]
	xchg r15, [l2 + 104]
%endmacro

%macro enter 1
	mov rax, host_vmcb
	vmsave
	clgi
%if %1
	sti
%endif
	exchange
	mov rax, vmcb
	vmload
	vmrun
	vmsave
	exchange
	mov rax, host_vmcb
	vmload
	cli
	stgi
	ret
%endmacro

vmrun:		enter 0
vmrun_with_gif:	enter 1
