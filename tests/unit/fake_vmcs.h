/* SPDX-License-Identifier: MIT */
/* A VMCS in memory behind the accessors of vmx/vmcs.h: every field exists and takes any value. */
#pragma once

#include "vmx/vmcs.h"

extern u64 fake_vmcs[0x8000];		/* by field encoding */
extern bool fake_vmcs_written[0x8000];

#define FAKE(field) fake_vmcs[(field).encoding]
#define WRITTEN(field) fake_vmcs_written[(field).encoding]

void fake_vmcs_clear(void);
