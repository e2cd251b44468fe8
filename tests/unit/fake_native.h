/* SPDX-License-Identifier: MIT */
/* For fake_native.c: the guest's x87 and vector registers, of which the test itself makes use between the runs. */
#pragma once

#include "lib/types.h"

/* In XSAVE's standard format: x87, SSE, AVX. */
extern u8 fake_vectors[1024] __attribute__((aligned(64)));
