/* SPDX-License-Identifier: MIT */
/*
 * A guest without a program: in one of three modes its vCPU starts at a slide of NOPs, so that RIP
 * counts the instructions that ran; every vector leads to another slide.
 */
#pragma once

#include "core/vcpu.h"
#include "core/vm.h"

enum machine_mode { MODE_REAL, MODE_PROTECTED, MODE_LONG, MODES };

#define MACHINE_CODE	0x8000u		/* where RIP starts */
#define MACHINE_HANDLER 0xc000u		/* where every vector leads */
#define MACHINE_SLIDE	0x3000u		/* NOPs of either, then HLT; a jump to itself in MACHINE_LOOP */
#define MACHINE_LOOP	0x7800u
#define MACHINE_STACK	0x7000u		/* RSP starts here */

extern const char *const machine_mode_names[MODES];

/* Write the slides into the memory of a new VM. */
void machine_create(struct vcpu *vcpu);

/* Bring the machine into the mode, at MACHINE_CODE, with these RFLAGS. */
void machine_set(struct vcpu *vcpu, enum machine_mode mode, u64 rflags);

enum machine_shadow { SHADOW_NONE, SHADOW_STI, SHADOW_MOV_SS };
void machine_set_shadow(struct vcpu *vcpu, enum machine_shadow shadow);
void machine_set_halted(struct vcpu *vcpu);	/* VMX: the activity state HLT */

/* All registers that the guest can see, and a sum of its low memory without the stack's page. */
struct machine_state {
	u64 regs[REG_COUNT];
	u64 controls[CTL_XCR0];
	struct segment segments[SEG_COUNT];
	struct descriptor_table tables[2];
	u64 shadow, activity;
	u64 memory;
};
void machine_save(struct vcpu *vcpu, struct machine_state *state);
/* The name of the first difference, without RIP, RSP and RFLAGS on demand; NULL: there is none. */
const char *machine_difference(const struct machine_state *a, const struct machine_state *b, bool delivered);
