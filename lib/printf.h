/* SPDX-License-Identifier: MIT */
/* Formatted output into a buffer. */
#pragma once

#include <stdarg.h>

#include "lib/types.h"

#ifdef LAMINA_HOST_TEST
#include <stdio.h> /* test_printf.c compares ours with the C library's */
#else
/*
 * The C standard's vsnprintf() for: flags - 0 + space #, width and precision (also *), length hh h
 * l ll z t, conversions d i u x X o c s p %. No floating point. Always terminates when size > 0;
 * returns the length that the whole text would have had.
 */
int vsnprintf(char *buffer, size_t size, const char *format, va_list args);
int snprintf(char *buffer, size_t size, const char *format, ...) __printf(3, 4);
#endif
