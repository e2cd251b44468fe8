; SPDX-License-Identifier: MIT
; Interrupt handlers as short as they can be: acknowledge, count, return.
; In: what the CPU pushed. Clobbers: nothing.

	section .text
	bits BITS
	extern irq_done, irq_tsc
	global handle_ipi, handle_timer, handle_x2apic_ipi, handle_nmi, handle_far_ipi, handle_tick, handle_x2apic_tick

%if BITS = 64
%define AX rax
%define CX rcx
%define DX rdx
%define RETURN iretq
%else
%define AX eax
%define CX ecx
%define DX edx
%define RETURN iretd
%endif
%define EOI 0xfee000b0

; As bench.h's PLACE.
%macro handler 1
	align 64
%1:
%endmacro

handler handle_ipi
	push AX
	mov eax, EOI
	mov dword [AX], 0
	inc dword [irq_done]
	pop AX
	RETURN

handler handle_timer
	push AX
	push DX
	rdtsc
	mov [irq_tsc], eax
	mov eax, EOI
	mov dword [AX], 0
	inc dword [irq_done]
	pop DX
	pop AX
	RETURN

handler handle_x2apic_ipi
	push AX
	push CX
	push DX
	xor eax, eax
	xor edx, edx
	mov ecx, 0x80b
	wrmsr
	inc dword [irq_done]
	pop DX
	pop CX
	pop AX
	RETURN

; As an operating system's: it arms the next one, far away. TICK_OWN and X2APIC_TICK_OWN in interrupts.c are the
; numbers of instructions.
handler handle_tick
	push AX
	push CX
	push DX
	mov eax, EOI
	mov dword [AX], 0
	mov ecx, 0x6e0
	mov eax, -1
	mov edx, 1 << 30
	wrmsr
	inc dword [irq_done]
	pop DX
	pop CX
	pop AX
	RETURN

; The same in x2APIC mode.
handler handle_x2apic_tick
	push AX
	push CX
	push DX
	xor eax, eax
	xor edx, edx
	mov ecx, 0x80b
	wrmsr
	mov ecx, 0x6e0
	mov eax, -1
	mov edx, 1 << 30
	wrmsr
	inc dword [irq_done]
	pop DX
	pop CX
	pop AX
	RETURN

; On another processor, in x2APIC mode.
handler handle_far_ipi
	push AX
	push DX
	rdtsc
	push CX
	mov [irq_tsc], eax
	xor eax, eax
	xor edx, edx
	mov ecx, 0x80b
	wrmsr
	mov dword [irq_done], 1
	pop CX
	pop DX
	pop AX
	RETURN

handler handle_nmi
	inc dword [irq_done]
	RETURN
