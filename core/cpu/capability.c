/* SPDX-License-Identifier: MIT */
/* The lines of the capability list. */
#include "core/cpu/capability.h"

#include "lib/log.h"

bool capability_optional(const char *name, bool found, const char *replacement)
{
	if (found)
		log_info("  %-34s found", name);
	else
		log_info("  %-34s missing: %s", name, replacement);
	return found;
}

bool capability_required(const char *name, bool found)
{
	if (found)
		log_info("  %-34s found", name);
	else
		log_error("  %-34s MISSING, required", name);
	return found;
}
