/* SPDX-License-Identifier: MIT */
/*
 * Machine checks: switching them on, and what one of them means for the machine and for a VM.
 * Intel SDM, "Machine-Check Architecture"; AMD APM vol. 2, "Machine Check Architecture".
 */
#pragma once

#include "arch/mem/memory.h"
#include "lib/types.h"

/*
 * Enable all error reporting banks of the boot CPU, and log and clear what they hold: errors from before the boot, which
 * may have been the reason for it.
 */
void machine_check_init(void);
/* The same on another CPU, later. Logs nothing: machine_check_report_old() does. */
void machine_check_init_cpu(void);

/*
 * Intel: does this CPU have local machine checks, which only the CPU gets that they are about? SDM, "Local Machine
 * Check". Enabling them needs IA32_FEATURE_CONTROL locked, with its bit for them; without that it does nothing.
 */
bool machine_check_is_local(void);
void machine_check_enable_local(void);

/* In order of severity. */
enum machine_check_verdict {
	MACHINE_CHECK_GO_ON,
	MACHINE_CHECK_TELL_VM,		/* data in the guest's memory is lost, which the guest may survive */
	MACHINE_CHECK_STOP_VM,		/* what is lost was the guest's alone */
	MACHINE_CHECK_STOP_MACHINE,
};

/* One machine-check exception: what the errors of all banks have in common. */
struct machine_check {
	u64 mcg_status;
	bool amd;			/* MCi_STATUS bits 43, 44, 55 and 56 are AMD's, else Intel's */
	bool scalable;			/* AMD: scalable MCA */
	bool recovery;			/* Intel: MCG_CAP.SER_P; AMD: SUCCOR */
	bool overflow_recovery;		/* AMD: McaOverflowRecov; Intel: true */
	bool in_guest;			/* while a guest ran or was being entered; else in Lamina itself */
	const struct phys_range *guest;	/* the guest's RAM */
	unsigned guest_pieces;
};

struct machine_check_bank {
	u64 status, address, misc;	/* address and misc: 0 unless the status says they are valid */
	u8 number;
	u8 lsb;				/* scalable MCA: the lowest bit of the address that is valid */
	u64 ipid, syndrome;		/* scalable MCA: whose bank it is, and what exactly was wrong; else 0 */
};

/* Pure: the verdict on one bank's error. *kind is a constant text that names the kind of error. */
enum machine_check_verdict machine_check_judge_bank(const struct machine_check *mc,
						    const struct machine_check_bank *bank,
						    const char **kind);
/* Pure: the damaged memory, in whole pages. False if none is, or if the bank gives no physical address. */
bool machine_check_damage(const struct machine_check *mc, const struct machine_check_bank *bank,
			  struct phys_range *damage);
/* Pure: the verdict on all of it; `worst`: the worst one of any bank, `explained`: a bank held an error. */
enum machine_check_verdict machine_check_judge(const struct machine_check *mc,
					       enum machine_check_verdict worst, bool explained);

/* Fill in what the processor is. */
void machine_check_describe(struct machine_check *mc);

/* Does this processor say which errors software can recover from? (Intel: MCG_CAP.SER_P, AMD: SUCCOR) */
bool machine_check_recovery(void);

/*
 * A machine check that a VM exit or a failed VM entry reported. The caller sets mc->guest and
 * mc->guest_pieces, the rest is filled in. Logs and clears the banks; panics if the machine cannot
 * continue. With MACHINE_CHECK_TELL_VM, *lost is the one error that lost data of the guest, which has to
 * be informed of it. Interrupts off.
 */
enum machine_check_verdict machine_check_in_guest(struct machine_check *mc,
						  struct machine_check_bank *lost);

/*
 * The handler of #MC, for machine checks while Lamina itself runs: log and clear the banks that hold an
 * error, then panic unless nothing is lost. VM exits and failed VM entries call machine_check_in_guest().
 */
void machine_check_handler(void);
