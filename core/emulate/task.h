/* SPDX-License-Identifier: MIT */
/*
 * Hardware task switches, which VMX demands of the hypervisor. Intel SDM, "Task Switching", "Task-State Segment (TSS)",
 * "Treatment of Task Switches". Interrupts off, on the CPU where the vCPU is loaded.
 */
#pragma once

#include "lib/types.h"

struct vcpu;

/* In the encoding of VMX's exit qualification. */
enum task_source { TASK_CALL, TASK_IRET, TASK_JMP, TASK_GATE };

struct task_switch {
	u16 selector;		/* of the new task's TSS */
	enum task_source source;
	u8 length;		/* bytes of the instruction that is over with the switch; 0: a fault, an interrupt */
	/* TASK_GATE: the event that is delivered by the switch. */
	bool external;		/* not by INT n, INT3 or INTO: faults say so in their error codes */
	bool has_error_code;	/* pushed on the new task's stack */
	u32 error_code;
};

/*
 * Switch tasks, and drop vcpu->events.reinject, which the switch has delivered. True: the new task runs, if need be
 * into an exception that was raised in its context. False: a fault was raised in the old task's, or the VM ended.
 */
bool emulate_task_switch(struct vcpu *vcpu, const struct task_switch *task_switch);
