/* SPDX-License-Identifier: MIT */
/* The fake VMCS: see fake_vmcs.h. */
#include "tests/unit/fake_vmcs.h"

#include <stdarg.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

u64 fake_vmcs[0x8000];
bool fake_vmcs_written[0x8000];

void fake_vmcs_clear(void)
{
	memset(fake_vmcs, 0, sizeof(fake_vmcs));
	memset(fake_vmcs_written, 0, sizeof(fake_vmcs_written));
}

u64 fake_vmread(u32 encoding, bool *fail)
{
	assert_true(encoding < ARRAY_SIZE(fake_vmcs));
	*fail = false;
	return fake_vmcs[encoding];
}

void fake_vmwrite(u32 encoding, u64 value, bool *fail)
{
	assert_true(encoding < ARRAY_SIZE(fake_vmcs));
	fake_vmcs[encoding] = value;
	fake_vmcs_written[encoding] = true;
	*fail = false;
}

/* Weak: a test that links vmx/vmcs.c has the real ones. */
__attribute__((weak)) void vmcs_read_failed(u32 encoding)
{
	fail_msg("VMREAD of 0x%x failed", encoding);
	__builtin_unreachable();
}

__attribute__((weak)) void vmcs_write_failed(u32 encoding, u64 value)
{
	fail_msg("VMWRITE of 0x%llx to 0x%x failed", (unsigned long long)value, encoding);
	__builtin_unreachable();
}
