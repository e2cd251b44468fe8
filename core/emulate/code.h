/* SPDX-License-Identifier: MIT */
/*
 * Fast path: find the instruction that the vCPU has just executed in guest RAM, without side effects.
 * It knows code without paging and 4-level paging; core/emulate/gwalk.c handles everything else.
 * Intel SDM, "4-Level Paging and 5-Level Paging".
 */
#pragma once

#include "lib/insn.h"
#include "lib/types.h"

struct vm;

enum code_paging { CODE_UNPAGED, CODE_4_LEVEL, CODE_OTHER_PAGING };

/* All that code_at() needs of the vCPU, filled in by one call of vcpu_ops.code_view(). */
struct code_view {
	u8 mode;	/* enum insn_mode */
	u8 paging;	/* enum code_paging */
	u64 cr3;	/* for CODE_4_LEVEL */
	u64 cs_base;	/* 0 in 64-bit mode */
};

/*
 * Pointer to the instruction at `rip` in the guest window of the VM's address space, which must be the
 * one in use. NULL: the INSN_MAX_LENGTH bytes from it are not in one page of RAM, or the slow path
 * has to find them. The processor has just fetched the instruction, so access rights and limits are not
 * checked again, and no accessed flags are set. The guest may change the bytes at any time: read them once.
 */
const u8 *code_at(const struct vm *vm, const struct code_view *view, u64 rip);
