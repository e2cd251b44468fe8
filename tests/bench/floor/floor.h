/* SPDX-License-Identifier: MIT */
/*
 * The least that a hypervisor can do for an exit: save the general registers, find the handler in a
 * table, step over the instruction, load the registers, enter again. The guest is the second
 * half of this program: it shares the page tables, the descriptor tables and every other register.
 */
#pragma once
#include <stdint.h>

/* As run.asm pushes them. Under SVM RAX is in the VMCB. */
struct floor_regs {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax;
};

/* Both run guest() on that stack, in a VM, and return only if the processor refuses. */
void floor_svm(void (*guest)(void), uint64_t stack);
void floor_vmx(void (*guest)(void), uint64_t stack);

/* main.c */
void floor_stop(const char *why, uint64_t number) __attribute__((noreturn));
struct floor_table { uint16_t limit; uint64_t base; } __attribute__((packed));
