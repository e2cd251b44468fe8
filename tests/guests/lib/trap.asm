; SPDX-License-Identifier: MIT
; One entry per vector. Each leaves the same frame, struct regs, for trap_dispatch().

	section .text
	bits BITS
	extern trap_dispatch
%if BITS = 64
%define WORD dq
%else
%define WORD dd
%endif

%assign vector 0
%rep 256
	align 16
stub_ %+ vector:
%if vector <> 8 && (vector < 10 || vector > 14) && vector <> 17 && vector <> 21
	push 0				; in place of an error code
%endif
	push strict dword vector
	jmp trap_entry
%assign vector vector + 1
%endrep

; Stack: vector, error code, then what the CPU pushed.
trap_entry:
%if BITS = 64
	push rax
	push rcx
	push rdx
	push rbx
	push rsp
	push rbp
	push rsi
	push rdi
%assign reg 8
%rep 8
	push r %+ reg
%assign reg reg + 1
%endrep
	cld
	mov rdi, rsp
	mov rbx, rsp
	and rsp, -16
	call trap_dispatch
	mov rsp, rbx
%assign reg 15
%rep 8
	pop r %+ reg
%assign reg reg - 1
%endrep
	pop rdi
	pop rsi
	pop rbp
	pop rax				; not RSP
	pop rbx
	pop rdx
	pop rcx
	pop rax
	add rsp, 16
	iretq
%else
	pushad
	push ds
	push es
	mov eax, 0x10
	mov ds, eax
	mov es, eax
	cld
	lea eax, [esp + 8]
	push eax
	call trap_dispatch
	add esp, 4
	pop es
	pop ds
	popad
	add esp, 8
	iretd
%endif

	section .rodata
	global trap_stubs
trap_stubs:
%assign vector 0
%rep 256
	WORD stub_ %+ vector
%assign vector vector + 1
%endrep
