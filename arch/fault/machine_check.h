/* SPDX-License-Identifier: MIT */
/*
 * Machine checks: switching them on, and what one of them means for the machine and for a VM.
 * Intel SDM, "Machine-Check Architecture"; AMD APM vol. 2, "Machine Check Architecture".
 */
#pragma once

#include "arch/mem/memory.h"
#include "lib/types.h"

/* Enable all error reporting banks of the boot CPU and clear what an earlier run left in them. */
void machine_check_init(void);
/* The same on another CPU, later. Logs nothing. */
void machine_check_init_cpu(void);

/* In order of severity. */
enum machine_check_verdict {
	MACHINE_CHECK_GO_ON,
	MACHINE_CHECK_TELL_VM,		/* data in the guest's memory is lost, which the guest may survive */
	MACHINE_CHECK_STOP_VM,		/* what is lost was the guest's alone */
	MACHINE_CHECK_STOP_MACHINE,
};

/* A processor's machine check, as far as its banks' errors share it. */
struct machine_check {
	u64 mcg_status;
	bool amd;			/* whose meaning bits 43, 44, 55 and 56 of a bank's status have */
	bool recovery;			/* Intel: MCG_CAP.SER_P; AMD: SUCCOR */
	bool overflow_recovery;		/* AMD: McaOverflowRecov; Intel: true */
	bool in_guest;			/* a guest was interrupted, or entered; else Lamina itself */
	const struct phys_range *guest;	/* the guest's RAM */
	unsigned guest_pieces;
};

struct machine_check_bank {
	u64 status, address, misc;	/* address and misc 0 where the status does not announce them */
};

/* Pure: what one bank's error means, and in words of what kind it is. */
enum machine_check_verdict machine_check_judge_bank(const struct machine_check *mc,
						    const struct machine_check_bank *bank,
						    const char **kind);
/* Pure: false where the bank does not say which memory is damaged; else all pages of it. */
bool machine_check_damage(const struct machine_check *mc, const struct machine_check_bank *bank,
			  struct phys_range *damage);
/* Pure: what the whole means; `worst` is the worst of the banks, `explained` that one held an error. */
enum machine_check_verdict machine_check_judge(const struct machine_check *mc,
					       enum machine_check_verdict worst, bool explained);

/* Does this processor tell errors apart that a program may survive? */
bool machine_check_recovery(void);

/*
 * A machine check that a VM exit or a failed entry was about. Logs the banks and frees them, panics
 * where the machine cannot go on. With MACHINE_CHECK_TELL_VM *mc and *lost are what the guest has to
 * know: the one error that lost data of its.
 */
enum machine_check_verdict machine_check_in_guest(struct machine_check *mc,
						  struct machine_check_bank *lost);

/*
 * The machine-check exception in Lamina itself: log the banks that hold an error, then panic unless
 * nothing is lost. One that a VM exit or a failed entry is about is machine_check_in_guest()'s.
 */
void machine_check_handler(void);
