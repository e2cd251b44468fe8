/* SPDX-License-Identifier: MIT */
/* What a vCPU's entries and exits were, counted. */
#pragma once

struct vcpu;

/* One line per kind of exit, most frequent first; the words before the colon are the same in every run. */
void statistics_print(struct vcpu *vcpu);
