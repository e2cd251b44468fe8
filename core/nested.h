/* SPDX-License-Identifier: MIT */
/*
 * Guests that are hypervisors: nested=on. L1 is such a guest, L2 is its guest; both run on L1's vCPU, one at a time.
 * While L2 runs, vcpu->ops are the vendor's operations for L2 (vcpu_ops.l2), so that all of core works on the
 * level that is current, and each exit leaves the entry stub. Other VMs' exits do not get longer by any of this.
 */
#pragma once

#include "core/vcpu.h"
#include "core/vm.h"

static inline bool nested_is_on(const struct vcpu *vcpu)
{
	return vcpu->vm->l2_ops != NULL;
}

/* On the home CPU, by the vendor: from now on L2, or L1, is what vcpu->ops work on. */
void nested_switch_to_l2(struct vcpu *vcpu);
void nested_switch_to_l1(struct vcpu *vcpu);
