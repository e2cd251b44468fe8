/* SPDX-License-Identifier: MIT */
/* INS and OUTS of bytes on the fast path of exits: see core/fastpath.h. */
#pragma once

#include "core/emulate/code.h"
#include "core/fastpath.h"

/*
 * What the vendor has read of an exit of INSB or OUTSB: with RFLAGS.DF clear, in 64-bit code, or in 32-bit code without
 * paging.
 */
struct string_exit {
	struct code_view view;
	u16 port;
	bool in, rep;
	bool user;		/* at CPL 3 */
	bool no_execute;	/* EFER.NXE */
};

/*
 * Carry out as many iterations as lie in one page, fit into one trace record, and the device takes in one go. Further ones
 * exit again: RIP, RCX, RSI and RDI are then those of the next iteration. EXIT_FASTPATH_NONE: the instruction has to be
 * decoded, may fault, or the device has no such way; nothing has changed.
 */
enum exit_fastpath fastpath_string(struct vcpu *vcpu, struct access_exit *exit, const struct string_exit *string);
