/* SPDX-License-Identifier: MIT */
/* Forced exits on the real processor. */
#pragma once

struct vcpu;

/* Runs instead of the guest in the VM named "forced", whose vCPU is loaded; ends that VM. */
void selftest_forced(struct vcpu *loaded);
