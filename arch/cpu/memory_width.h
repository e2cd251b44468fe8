/* SPDX-License-Identifier: MIT */
/*
 * How wide addresses of memory are. Memory encryption takes the upper bits of physical addresses for keys, while CPUID's
 * leaf 80000008h goes on announcing all of them.
 * AMD APM vol. 2, "Secure Memory Encryption"; Intel SDM, "Total Memory Encryption (TME)".
 */
#pragma once

/* Bits, at most cpu_features.physical_address_bits. After cpu_features_init() and trap_init(). */
unsigned cpu_memory_width(void);
