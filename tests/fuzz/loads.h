/* SPDX-License-Identifier: MIT */
/*
 * What clang calls before each load of a source that a fuzzer names as `traced`: it hands the load to the fuzzer's
 * load(). Include it behind that; both must not be traced themselves.
 */
#pragma once

#include "lib/types.h"

#define HOOK __attribute__((no_sanitize("coverage", "address", "undefined")))

void __sanitizer_cov_load1(u8 *at);
void __sanitizer_cov_load2(u16 *at);
void __sanitizer_cov_load4(u32 *at);
void __sanitizer_cov_load8(u64 *at);
void __sanitizer_cov_load16(void *at);

HOOK void __sanitizer_cov_load1(u8 *at)
{
	load(at, 1);
}

HOOK void __sanitizer_cov_load2(u16 *at)
{
	load(at, 2);
}

HOOK void __sanitizer_cov_load4(u32 *at)
{
	load(at, 4);
}

HOOK void __sanitizer_cov_load8(u64 *at)
{
	load(at, 8);
}

HOOK void __sanitizer_cov_load16(void *at)
{
	load(at, 16);
}
