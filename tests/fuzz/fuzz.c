/* SPDX-License-Identifier: MIT */
/* Connects libFuzzer with the fuzzers here, and replaces the log by one that formats every line. */
#include "tests/fuzz/fuzz.h"

#include <stdarg.h>

#include "lib/log.h"

#define FRESH_ONE_IN  8	/* mutations that start again from a valid input */
#define BROKEN_ONE_IN 8 /* inputs whose checksums stay as the mutation left them */

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
size_t LLVMFuzzerMutate(u8 *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed);

u8 *fuzz_copy(const void *data, size_t size)
{
	u8 *copy = malloc(size ? size : 1);

	fuzz_assert(copy);
	memcpy(copy, data, size);
	return copy;
}

u64 fuzz_take(struct fuzz_input *input, unsigned bytes)
{
	u64 value = 0;

	for (unsigned i = 0; i < bytes && input->at < input->end; i++)
		value |= (u64)*input->at++ << 8 * i;
	return value;
}

/* Necessary: a string without its end is noticed when it is printed. */
void log_vline(enum log_level level, const char *tag, const char *format, va_list args)
{
	char line[1024];

	vsnprintf(line, sizeof(line), format, args);
}

void log_line(enum log_level level, const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_vline(level, tag, format, args);
	va_end(args);
}

size_t LLVMFuzzerCustomMutator(u8 *data, size_t size, size_t max, unsigned seed)
{
	if (size < 2 || seed % FRESH_ONE_IN == 0)
		size = fuzz_seed(data, max, seed / 64);
	size = LLVMFuzzerMutate(data, size, max);
	if (seed / 8 % BROKEN_ONE_IN)
		fuzz_repair(data, size);
	return size;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	u8 *copy = fuzz_copy(data, size);

	fuzz_one(copy, size);
	free(copy);
	return 0;
}
