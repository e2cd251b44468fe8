/* SPDX-License-Identifier: MIT */
/*
 * Offsets for assembly, taken from the C structures.
 *
 * A <dir>/offsets.c that holds one function full of DEFINE()s is compiled to
 * assembly text and never linked. From the lines marked "->" the Makefile writes
 * build/<dir>/offsets.inc, which NASM reads with %include "<dir>/offsets.inc".
 */
#pragma once

#define DEFINE(name, value) \
	asm volatile(".ascii \"->" #name " %c0\"" : : "i"((long)(value)))
