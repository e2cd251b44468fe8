/* SPDX-License-Identifier: MIT */
/*
 * The registers of the running CPU's error reporting banks. Intel SDM, "Error-Reporting Register Banks"; AMD APM
 * vol. 2, "Machine Check Registers". Any context; each access may fault, because an emulator or an outer hypervisor may
 * announce machine checks in CPUID, but have no such registers, or fewer than the count says.
 */
#pragma once

#include "arch/fault/machine_check.h"
#include "lib/log.h"
#include "lib/types.h"

/* Number of banks; CPUs of a machine can differ. 0: no machine checks. */
unsigned machine_check_bank_count(void);
/* AMD's scalable MCA? By CPUID. */
bool machine_check_scalable(void);
/* Have the bank report all its errors. */
void machine_check_bank_enable(unsigned number);
/* False: it holds no error. */
bool machine_check_bank_read(unsigned number, struct machine_check_bank *bank);
/* Scalable MCA: the deferred error that the bank holds besides. False: none. */
bool machine_check_bank_read_deferred(unsigned number, struct machine_check_bank *bank);
/* Make it ready for the next error. */
void machine_check_bank_clear(unsigned number);
void machine_check_bank_clear_deferred(unsigned number);
/* A line with all that the bank says, ended by `kind`, and with scalable MCA a second one. `who` begins it. */
void machine_check_bank_log(enum log_level level, const char *who, const struct machine_check_bank *bank,
			    const char *kind);
