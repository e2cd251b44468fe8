/* SPDX-License-Identifier: MIT */
/*
 * MSRs that each CPU gets into a known state before it runs guests: what firmware or another kernel may have left
 * on, and the settings with which AMD's processors avoid their errata.
 */
#pragma once

struct percpu;

/*
 * Bring the running CPU's MSRs into this state and note in `cpu`, which is this CPU's, what was changed and what
 * the processor refuses. Logs nothing, and takes no lock. After cpu_features_init(); once more after a microcode
 * update.
 */
void msr_settings_apply(struct percpu *cpu);
/* Log what msr_settings_apply() has noted. On the boot CPU. */
void msr_settings_report(const struct percpu *cpu);
