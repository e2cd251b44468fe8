/* SPDX-License-Identifier: MIT */
/* Programs whose guests are no hypervisors: what svm/nested/ does for one is not reached. */
#include "svm/nested/nested.h"

#include <stdlib.h>

int nsvm_create(struct vm *vm, struct vcpu_svm *svm)
{
	abort();
}

void nsvm_destroy(struct vcpu_svm *svm)
{
}

void nsvm_reset(struct vcpu *vcpu, bool init)
{
	abort();
}

void nsvm_come_to_cpu(struct vcpu_svm *svm)
{
	abort();
}

void nsvm_efer_written(struct vcpu *vcpu, u64 efer)
{
	abort();
}

void nsvm_forget_asid(struct vcpu_svm *svm, u32 asid)
{
	abort();
}
