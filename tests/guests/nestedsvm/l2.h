/* SPDX-License-Identifier: MIT */
/* Where the pieces of l2.asm begin. */
#pragma once

#include <stdbool.h>

void l2_cpuid(void), l2_vmmcall(void), l2_hlt(void), l2_out(void), l2_in_cross(void), l2_rdmsr(void);
void l2_wrmsr_lstar(void);
void l2_ud(void), l2_read(void), l2_write(void), l2_sti(void), l2_spin(void), l2_registers(void), l2_clts(void);
void l2_cr0(void), l2_cr3(void), l2_shutdown(void), l2_nothing(void), l2_stgi(void), l2_vmrun(void), l2_cr8(void);
void l2_efer(void), l2_int80(void), l2_rdtsc(void), l2_execute(void), l2_vmsave(void), l2_pauses(void);

void hostile(bool npt);	/* hostile.c */
