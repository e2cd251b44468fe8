/* SPDX-License-Identifier: MIT */
/* What the host's page tables map while a VM's vCPU is loaded: that VM's memory, and no other's. */
#pragma once

struct vcpu;

/* Walk the tables that this CPU uses now, and report pages of other VMs. */
void selftest_isolation(const struct vcpu *loaded);
