/* SPDX-License-Identifier: MIT */
/* The lines of the capability list. */
#include "core/cpu/capability.h"

#include "arch/bootinfo/option.h"
#include "lib/log.h"

bool capability_hides_apic, capability_hides_all_but_tpr = true;

#define APICV "full|tpr|off"

static int set_apicv(struct str_view value)
{
	int choice = option_choice(value, APICV);

	if (choice < 0)
		return choice;
	capability_hides_all_but_tpr = choice >= 1;
	capability_hides_apic = choice == 2;
	return 0;
}
DEFINE_OPTION(apicv, "apicv", APICV,
	      "local APICs by the processor as far as it can, or TPR alone, or by software (default tpr)", set_apicv);

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
