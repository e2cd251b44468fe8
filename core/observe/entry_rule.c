/* SPDX-License-Identifier: MIT */
/* The values of a violation, as text. */
#include "core/observe/entry_rule.h"

#include "lib/printf.h"
#include "lib/string.h"

void violation_add_value(struct violation *violation, const char *label, u64 value)
{
	size_t at = strnlen(violation->values, sizeof(violation->values) - 1);

	snprintf(violation->values + at, sizeof(violation->values) - at, "%s%s 0x%llx",
		 at ? ", " : "", label, (unsigned long long)value);
}
