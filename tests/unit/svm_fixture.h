/* SPDX-License-Identifier: MIT */
/* A vCPU under SVM with a VMCB in ordinary memory, for tests of svm's own files. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "arch/cpu/cpufeature.h"
#include "arch/cpu/x86.h"
#include "fake_cpu.h"
#include "svm/svm.h"

static struct vm vm;
static struct vmcb vmcb;
static struct vcpu_svm svm;
static struct vcpu *const vcpu = &svm.vcpu;

/* The VMCB as the manual's table of offsets has it: the save area begins at 400h. */
static inline u64 vmcb_field(unsigned offset, unsigned size)
{
	u64 value = 0;

	memcpy(&value, (u8 *)&vmcb + offset, size);
	return value;
}

/* All clean, nothing to flush, no register read yet. */
static inline int svm_fixture_reset(void **state)
{
	fake_cpu_reset();
	memset(&vm, 0, sizeof(vm));
	memset(&vmcb, 0, sizeof(vmcb));
	memset(&svm, 0, sizeof(svm));
	svm.vmcb = &vmcb;
	vcpu->vm = &vm;
	vmcb.control.clean = CLEAN_ALL;
	return 0;
}

/* The clean bits that were taken away since the reset. "VMCB Clean Field". */
static inline u32 dirtied(void)
{
	return CLEAN_ALL & ~vmcb.control.clean;
}
