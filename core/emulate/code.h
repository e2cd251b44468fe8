/* SPDX-License-Identifier: MIT */
/*
 * A look at the code that the vCPU has just executed, without changing anything: the way that most
 * accesses to devices take. What it cannot tell, core/emulate/gwalk.c can.
 */
#pragma once

#include "lib/insn.h"
#include "lib/types.h"

struct vm;

enum code_paging { CODE_UNPAGED, CODE_4_LEVEL, CODE_OTHER_PAGING };

/* Filled in by the vendor in one go. */
struct code_view {
	u8 mode;	/* enum insn_mode */
	u8 paging;	/* enum code_paging */
	u64 cr3;	/* of CODE_4_LEVEL */
	u64 cs_base;	/* 0 in 64-bit mode */
};

/*
 * Where the instruction at `rip` is in guest RAM, INSN_MAX_LENGTH bytes of it within one page;
 * else NULL. The processor has fetched it, so rights and limits held, and the tables are not marked.
 * The guest may change it at any time: read once. Touches the guest window only.
 */
const u8 *code_at(const struct vm *vm, const struct code_view *view, u64 rip);
