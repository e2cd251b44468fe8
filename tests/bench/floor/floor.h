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

struct floor_vm {
	void (*guest)(void);
	uint64_t stack;
	uint64_t *nested_tables;	/* NULL: no nested paging; else 3 pages, which will map 1 GiB one to one */
	void (*first)(void);		/* NULL, or what the host does when all is ready, before the first entry */
};

/*
 * Both run the guest on its stack, in a VM, and return only if the processor refuses. CPUID exits, and VMCALL or
 * VMMCALL, which gives the TSC of the host's handler: RCX at its begin, RDX at its end.
 */
void floor_svm(const struct floor_vm *vm);
void floor_vmx(const struct floor_vm *vm);

/* Tables of four levels, the last left out; attributes: of pages of 2 MiB beside presence and rights. */
static inline void floor_map(uint64_t *tables, uint64_t attributes)
{
	tables[0] = (uint64_t)(tables + 512) | 7;
	tables[512] = (uint64_t)(tables + 1024) | 7;
	for (uint64_t i = 0; i < 512; i++)
		tables[1024 + i] = i << 21 | 0x87 | attributes;
}

/* main.c */
void floor_stop(const char *why, uint64_t number) __attribute__((noreturn));
struct floor_table { uint16_t limit; uint64_t base; } __attribute__((packed));
